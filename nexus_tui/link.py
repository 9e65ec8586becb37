"""The one seam to an engine: pull a View, send a Command; in-process or over the control socket."""

import gc
import socket
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

import msgspec

from nexus_engine.model.commands import AnyCommand, Halt
from nexus_engine.model.paths import socket_path
from nexus_engine.model.view import View, ViewRequest

_DEADLINE_S: Final = 5.0
_GOODBYE_S: Final = 0.5
"""For what is queued when the cockpit closes."""
_COMMANDS: Final = 64
_AGAIN_S: Final = 0.5
"""Between two tries to find an engine that is gone."""
_SETTLED: Final = 20
"""Views until what a cockpit makes for its first pictures is made."""
_LOOK: Final = 40
"""Views from one look for garbage to the next, ten seconds or so. A dialog leaves 860 objects in cycles when it goes,
and Python would let 20,000 of them gather: then they lie between what lives on, whose room is never given back."""


class Link(Protocol):
    """What the cockpit knows of an engine. No method blocks."""

    @property
    def alive(self) -> bool:
        """False while there is no engine."""

    def pull(self, request: ViewRequest) -> View | None:
        """The newest View, None before the first; asks for a fresh one of what is on the screen."""

    def send(self, command: AnyCommand) -> None: ...

    def progress(self) -> str:
        """What start-up is doing, or why it failed; empty when all is well."""

    def heard(self) -> str:
        """What became of a HALT that no engine took as it should, or of commands that were not sent; once."""

    def asked(self) -> str:
        """The user's own strategy that the engine waits for at this moment, where that can be seen."""

    def close(self) -> None: ...


class Host(Protocol):
    """What the link needs of nexus_engine.runtime.Runtime."""

    @property
    def progress(self) -> str: ...

    @property
    def failed(self) -> str: ...

    @property
    def asked(self) -> str: ...

    @property
    def over(self) -> bool: ...

    @property
    def folder(self) -> Path: ...

    def pull(self, request: ViewRequest) -> View | None: ...

    def send(self, command: AnyCommand) -> None: ...


class _Halting:
    """HALT on a link of its own, so that it waits behind nothing; leaves the latch of `nexus kill` where no engine
    answers. `heard` is what there is to say of it, once."""

    def __init__(self, folder: Path, by: str) -> None:
        self._folder = folder
        self._by = by
        self._heard = ""
        self._thread: threading.Thread | None = None

    def send(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="nexus-halt", daemon=True)
            self._thread.start()

    def heard(self) -> str:
        heard, self._heard = self._heard, ""
        return heard

    def close(self) -> None:
        """One just pressed must not end with the cockpit."""
        if self._thread is not None:
            self._thread.join(_DEADLINE_S)

    def _run(self) -> None:
        from nexus_engine.runtime.client import UNANSWERED, halt

        try:
            told = halt(self._folder, self._by)
        except (OSError, ValueError) as error:
            told = f"may not halt: no latch can be left, {getattr(error, 'strerror', '') or error}"
        if told.startswith(UNANSWERED):
            told = f"{UNANSWERED}; no answer"  # why there was none is for a shell, which has the room
        self._heard = "" if told == "halted" else f"HALT: {told}"


class LocalLink:
    """The engine of this process. It may have ended while the cockpit is open: another one told it to."""

    def __init__(self, runtime: Host, *, by: str = "you") -> None:
        self._runtime = runtime
        self._halting = _Halting(runtime.folder, by)

    @property
    def alive(self) -> bool:
        return not (self._runtime.failed or self._runtime.over)

    def pull(self, request: ViewRequest) -> View | None:
        return self._runtime.pull(request)

    def send(self, command: AnyCommand) -> None:
        if isinstance(command, Halt):
            self._halting.send()  # an engine that hangs or closes takes no command, and the latch waits for the next
        else:
            self._runtime.send(command)

    def progress(self) -> str:
        return self._runtime.failed or self._runtime.progress

    def heard(self) -> str:
        return self._halting.heard()

    def asked(self) -> str:
        return self._runtime.asked

    def close(self) -> None:
        """The runtime's life is its owner's business."""
        self._halting.close()


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    op: str
    request: ViewRequest | None = None
    command: AnyCommand | None = None
    by: str = "you"


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    view: View | None = None
    ok: bool = False
    error: str = ""


class SocketLink:
    """The engine of another process, over its control socket: JSON lines, one answer a line, in order.

    A thread asks and reads, so that a slow engine never blocks the screen. When the socket ends, it looks for the
    engine again until `close`. Raises OSError when nobody listens for the account that lives in `folder`.

    No engine beats in this process, so Python looks for garbage by its own rule: once a quarter more waits than there
    was. What is there after the first pictures is left out of that, or the quarter is of all the modules and widgets,
    and its peaks stay in the size of the process.
    """

    def __init__(self, folder: Path, *, by: str = "you") -> None:
        self._path = socket_path(folder)
        self._by = by
        self._view: View | None = None
        self._views = 0
        self._said = ""
        self._heard = ""
        self._open = True
        self._commands: deque[AnyCommand] = deque(maxlen=_COMMANDS)
        self._unanswered = False
        """A command is on its way."""
        self._request: ViewRequest | None = None
        self._wake = threading.Condition()
        self._socket = self._connect()
        self._alive = True
        self._halting = _Halting(folder, by)
        self._thread = threading.Thread(target=self._run, name="nexus-link", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._alive

    def pull(self, request: ViewRequest) -> View | None:
        with self._wake:
            self._request = request
            self._wake.notify()
        return self._view

    def send(self, command: AnyCommand) -> None:
        if isinstance(command, Halt):
            self._halting.send()
            return
        with self._wake:
            self._commands.append(command)
            self._wake.notify()

    def progress(self) -> str:
        return self._said

    def heard(self) -> str:
        if told := self._halting.heard():
            return told
        heard, self._heard = self._heard, ""
        return heard

    def asked(self) -> str:
        """Who hangs there cannot say for whom."""
        return ""

    def close(self) -> None:
        with self._wake:
            self._open = False
            self._wake.notify()
        self._thread.join(_GOODBYE_S)
        with self._wake, suppress(OSError):  # the other end may have gone first
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(_DEADLINE_S)
        gc.unfreeze()
        self._halting.close()

    def _connect(self) -> socket.socket:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.settimeout(_DEADLINE_S)
        try:
            link.connect(str(self._path))
        except OSError:
            link.close()
            raise
        return link

    def _next(self) -> _Asked | None:
        with self._wake:
            while self._open and not self._commands and self._request is None:
                self._wake.wait()
            if self._commands:
                return _Asked(op="send", command=self._commands.popleft(), by=self._by)
            if not self._open:
                return None
            request, self._request = self._request, None
            return _Asked(op="view", request=request, by=self._by)

    def _run(self) -> None:
        while self._open:
            with self._socket:
                self._said, self._alive = self._talk()
            while self._open:
                with self._wake:
                    # What was meant for the engine that is gone is not for whatever is found later.
                    if lost := len(self._commands) + self._unanswered:
                        self._heard = f"{lost} not answered: look before you send it again"
                    self._commands.clear()
                    self._unanswered = False
                    self._wake.wait_for(lambda: not self._open, _AGAIN_S)
                try:
                    found = self._connect()
                except OSError:
                    self._alive = False
                    continue
                with self._wake:
                    self._socket = found
                break
        self._alive = False
        self._socket.close()

    def _talk(self) -> tuple[str, bool]:
        """Ask and read until the socket ends: why it did, and whether an engine may still be behind it."""
        encode = msgspec.json.Encoder().encode
        decode = msgspec.json.Decoder(_Answer).decode
        try:
            with self._socket.makefile("rb") as lines:
                while (asked := self._next()) is not None:
                    self._unanswered = asked.command is not None
                    self._socket.sendall(encode(asked) + b"\n")
                    line = lines.readline()
                    if not line:
                        return "the engine has ended; looking for it", False
                    answer = decode(line)
                    self._alive, self._unanswered = True, False
                    if asked.command is None:
                        self._said = answer.error
                    elif answer.error:
                        self._heard = f"not taken: {answer.error}"
                    if answer.view is not None:
                        self._view = answer.view
                        self._views += 1
                        if self._views == _SETTLED:
                            gc.collect()
                            gc.freeze()
                        elif self._views % _LOOK == 0:
                            from nexus_engine.runtime.garbage import look_at_all

                            look_at_all()
        except ConnectionError:
            return "the engine has ended; looking for it", False
        except OSError as error:
            return f"the engine does not answer ({error.strerror or error})", True
        except msgspec.MsgspecError:
            return "the engine speaks another version: use the nexus that started it", False
        return "", False
