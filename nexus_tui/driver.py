"""Textual's Linux driver with one frame in flight: it never blocks the app's loop and never queues seconds of frames.

Each frame ends with a question that every terminal answers (DSR 6, the cursor's position). The cursor, which is
hidden, is parked on a column that numbers the frame, so the answer says which frame has been taken: not by the kernel
or by an SSH buffer, but by the terminal. A terminal that never answers is believed to have what was written.
"""

import asyncio
import contextlib
import contextvars
import os
import selectors
import signal
import termios
import threading
from codecs import getincrementaldecoder
from collections.abc import Callable
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING, Any, Final, cast

from textual import events
from textual._context import active_app
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

from nexus_tui.drain import LOST_NS, Drain
from nexus_tui.gate import Reads, mark

if TYPE_CHECKING:
    from nexus_tui.app import NexusApp

_COLUMNS: Final = 16
_ROW: Final = 2  # F3 with a modifier looks like an answer from row 1
_MUTE_S: Final = 0.7
"""A terminal that has not answered its first question for this long never will."""
_STOP_S: Final = 0.4
_HELD: Final = 1_000_000
"""Characters that wait for the terminal at most; only control sequences can add to the one frame."""
_KEEP_TITLE: Final = "\x1b[22;0t"
_GIVE_TITLE_BACK: Final = "\x1b[23;0t"
_ABORT: Final = "\x18"
"""CAN: ends an escape sequence that was cut short."""


class Writer:
    """Writes to the terminal on a thread of its own. `write` never blocks; `on_dead` is called once if it is gone."""

    def __init__(self, fileno: int, on_dead: Callable[[], None], on_written: Callable[[], None]) -> None:
        self._fileno = fileno
        self._on_dead = on_dead
        self._on_written = on_written
        self._ready = threading.Condition()
        self._held: list[str] = []
        self._length = 0
        self._busy = False
        self._ending = False
        self.dead = False
        self._thread = threading.Thread(target=self._run, name="nexus-screen", daemon=True)
        self._thread.start()

    def write(self, data: str) -> None:
        with self._ready:
            if not self.dead and self._length + len(data) <= _HELD:
                self._held.append(data)
                self._length += len(data)
                self._ready.notify()

    @property
    def idle(self) -> bool:
        """Everything has left for the kernel."""
        with self._ready:
            return not self._busy and not self._held

    def drop(self) -> None:
        """Forget what has not been started."""
        with self._ready:
            self._held.clear()
            self._length = 0

    def stop(self, timeout_s: float) -> bool:
        """End after what is held, within `timeout_s`. False: the terminal does not take it; the thread is left."""
        with self._ready:
            self._ending = True
            self._ready.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._ready:
                while not self._held and not self._ending:
                    self._ready.wait()
                if not self._held:
                    return
                data = "".join(self._held).encode("utf-8", "replace")
                self._held.clear()
                self._length = 0
                self._busy = True
            try:
                while data:
                    data = data[os.write(self._fileno, data) :]
            except OSError:
                with self._ready:
                    self.dead = True
                    self._busy = False
                    self._held.clear()
                self._on_dead()
                return
            with self._ready:
                self._busy = False
            self._on_written()


class CockpitDriver(LinuxDriver):
    """The driver of a real terminal."""

    def __init__(self, app: "NexusApp", **options: Any) -> None:
        # The mouse stays the terminal's own, for selecting and copying.
        super().__init__(app, **{**options, "mouse": False})
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        self._context.run(active_app.set, app)
        self._out: Writer | None = None
        self._answers = False
        self._answer_seen = threading.Event()
        self._first_question: float | None = None
        self._last_ns = 0
        self._raw: list[Any] | None = None
        self.dead = False
        signal.signal(signal.SIGTSTP, lambda *_: self._tell(self._detach))
        signal.signal(signal.SIGCONT, lambda *_: self._tell(self._come_back))

    @property
    def _drain(self) -> Drain:
        return cast("NexusApp", self._app).drain

    # ---- the app's side, on its loop ------------------------------------------------------------------------------

    def write(self, data: str) -> None:
        if self._out is not None:
            self._out.write(data)

    def end_frame(self, cells: int) -> None:
        """What was written since the last call is one frame of `cells`: ask when it has been taken."""
        if self._out is None or self.dead:
            return
        self._last_ns = monotonic_ns()
        frame = self._drain.begin(self._last_ns, cells)
        if self._first_question is None:
            self._first_question = monotonic()
            self._loop.call_later(_MUTE_S, self._written)
        self._answer_seen.clear()
        self._out.write(f"\x1b[{_ROW};{frame % _COLUMNS + 1}H\x1b[6n")
        self._loop.call_later(LOST_NS / 1e9 + 0.05, self._lost, frame)

    def free(self) -> bool:
        """A frame may leave now."""
        if not self._drain.busy:
            return True
        return self._out is not None and self._out.idle and monotonic_ns() - self._last_ns >= LOST_NS

    def terminal_size(self) -> tuple[int, int]:
        """(columns, rows) by the terminal's own word, now."""
        return self._get_terminal_size()

    def _tell(self, callback: Callable[..., None], *args: Any) -> None:
        """Run on the app's loop, from any thread, unless that has ended."""
        try:
            self._loop.call_soon_threadsafe(callback, *args, context=self._context)
        except RuntimeError:  # the loop is closed: nobody is left to tell
            return

    def _written(self) -> None:
        """The kernel has everything. Without answers that is all there is to know."""
        mute = self._first_question is not None and monotonic() - self._first_question >= _MUTE_S
        if mute and not self._answers and self._out is not None and self._out.idle:
            self._taken(self._drain.sent)

    def _answered(self, column: int) -> None:
        self._answers = True
        for frame in range(self._drain.sent, max(0, self._drain.sent - _COLUMNS), -1):
            if frame % _COLUMNS == column:
                self._taken(frame)
                return

    def _lost(self, frame: int) -> None:
        if self._drain.drained < frame == self._drain.sent and self.free():
            cast("NexusApp", self._app).paint_owed()

    def _taken(self, frame: int) -> None:
        cast("NexusApp", self._app).frame_taken(frame)

    def _detach(self) -> None:
        """To be suspended would stop the engine beside the screen, so only the screen goes."""
        if not self.dead:
            cast("NexusApp", self._app).action_detach()

    def _come_back(self) -> None:
        """The process stood still (SIGSTOP) and goes on: the terminal may have been somebody else's meanwhile."""
        if self._out is None or self.dead:
            return
        if self._raw is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self.fileno, termios.TCSANOW, self._raw)
        self.write("\x1b[?1049h\x1b[?25l")
        cast("NexusApp", self._app).paint_owed(whole=True)

    def _die(self) -> None:
        if not self.dead:
            self.dead = True
            cast("NexusApp", self._app).hung_up()

    # ---- life -----------------------------------------------------------------------------------------------------

    def start_application_mode(self) -> None:
        self._out = Writer(self.fileno_out, lambda: self._tell(self._die), lambda: self._tell(self._written))
        self.write(_KEEP_TITLE)
        super().start_application_mode()  # type: ignore[no-untyped-call]
        with contextlib.suppress(termios.error):
            self._raw = termios.tcgetattr(self.fileno)

    @property
    def fileno_out(self) -> int:
        return self._file.fileno() if self._file is not None else 2

    def stop_application_mode(self) -> None:
        out = self._out
        if out is None:
            return
        if not self.dead:
            self._wait_for_answer()
            if not out.idle:
                # What the terminal has not taken is thrown away, or the way out would wait behind it.
                out.drop()
                self._flush_terminal()
                out.write(_ABORT)
            out.write(_GIVE_TITLE_BACK)
        super().stop_application_mode()

    def _wait_for_answer(self) -> None:
        """An answer that comes after the end would be typed into the shell."""
        if self._answers and self._drain.busy:
            self._answer_seen.wait(_STOP_S / 2)

    def _flush_terminal(self) -> None:
        try:
            termios.tcflush(self.fileno_out, termios.TCOFLUSH)
        except termios.error:
            return

    def close(self) -> None:
        if self._out is not None and not self.dead:
            self._out.stop(_STOP_S)
        super().close()

    # ---- the input thread -----------------------------------------------------------------------------------------

    def _run_input_thread(self) -> None:
        try:
            self.run_input_thread()
        except OSError:  # EIO: the terminal is gone
            self._tell(self._die)

    def run_input_thread(self) -> None:
        """Read keys until the end. Unlike the stock one it notices that the terminal is gone."""
        parser = XTermParser(self._debug)
        decode = getincrementaldecoder("utf-8")("replace").decode
        reads = Reads()
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                if selector.select(0.1):
                    data = os.read(self.fileno, 4096)
                    if not data:
                        self._tell(self._die)
                        return
                    # a terminal may send both for one Return, which is one key
                    messages = list(parser.feed(decode(data.replace(b"\r\n", b"\r"))))
                    if keys := [message for message in messages if isinstance(message, events.Key)]:
                        read = reads.take(monotonic_ns(), len(keys))
                        for key in keys:
                            mark(key, read)
                    for message in messages:
                        self.process_message(message)
                for message in parser.tick():
                    self.process_message(message)

    def process_message(self, message: Message) -> None:
        if isinstance(message, events.CursorPosition):
            self._answer_seen.set()
            if message.y == _ROW - 1:
                self._tell(self._answered, message.x)
            return
        super().process_message(message)
