"""A terminal for tests: a real pty, read into a pyte screen that answers as terminals do."""

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyte

A_HAND_S = 0.05
"""No hand is faster from what it sees to the next key, nor from one key to the next."""


class _Screen(pyte.Screen):
    """Sends its answers (DSR, DA) back to the program."""

    def __init__(self, columns: int, lines: int, answer: Callable[[bytes], None] | None) -> None:
        super().__init__(columns, lines)
        self._answer = answer

    def write_process_input(self, data: str) -> None:
        if self._answer is not None:
            self._answer(data.encode())

    def set_margins(self, *args: Any, **kwargs: Any) -> None:
        # pyte takes the kitty query `CSI > 11 u` and friends for something else; margins are never used here.
        kwargs.pop("private", None)
        super().set_margins(*args, **kwargs)


class Terminal:
    """Runs `command` in a pty of the given size. `stalled` True: nothing is read, as on a link that hangs."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = 80,
        lines: int = 24,
        answers: bool = True,
        env: Mapping[str, str] | None = None,
        bytes_per_s: int = 0,
    ) -> None:
        self._lock = threading.RLock()
        self.master, slave = pty.openpty()
        self._size(slave, columns, lines)
        self.screen = _Screen(columns, lines, self._write if answers else None)
        self._stream = pyte.ByteStream(self.screen)
        self.stalled = False
        self.received = 0
        self._rate = bytes_per_s
        self._closed = False
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", **(env or {})},
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @staticmethod
    def _size(fd: int, columns: int, lines: int) -> None:
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(self.master, data)

    def _read(self) -> None:
        while not self._closed:
            if self.stalled or not select.select([self.master], [], [], 0.02)[0]:
                if self.stalled:
                    time.sleep(0.02)
                continue
            size = max(256, self._rate // 20) if self._rate else 65_536
            try:
                data = os.read(self.master, size)
            except OSError:
                return
            if not data:
                return
            with self._lock:
                self.received += len(data)
                self._stream.feed(data)
            if self._rate:
                time.sleep(len(data) / self._rate)

    def drawing(self) -> threading.RLock:
        """Held while the screen is being read cell by cell."""
        return self._lock

    @property
    def text(self) -> str:
        with self._lock:
            return "\n".join(self.screen.display)

    def press(self, keys: str) -> None:
        """As a hand does, after a look at the screen."""
        time.sleep(A_HAND_S)
        self.send(keys)

    def send(self, keys: str) -> None:
        """At once, as a paste or a link does that held back what was pressed."""
        self._write(keys.encode())

    def wait_for(self, what: str | Callable[[str], bool], timeout_s: float = 15.0) -> str:
        """Wait until the screen holds `what`. Returns the screen; raises with it otherwise."""
        deadline = time.monotonic() + timeout_s
        holds = what if callable(what) else lambda text: what in text
        while time.monotonic() < deadline:
            text = self.text
            if holds(text):
                return text
            if self.process.poll() is not None and not self._reader.is_alive():
                break
            time.sleep(0.01)
        reading = "" if self._reader.is_alive() else ", nobody reads it"
        raise AssertionError(f"never saw {what!r} (exit {self.process.poll()}{reading}):\n{self.text}")

    def resize(self, columns: int, lines: int) -> None:
        with self._lock:
            self.screen.resize(max(1, lines), max(1, columns))
        self._size(self.master, columns, lines)

    def hang_up(self) -> None:
        """Close the terminal, as a dropped SSH link does."""
        self._closed = True
        self._reader.join(2)
        os.close(self.master)
        self.master = -1

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        if self.master >= 0:
            self.hang_up()
