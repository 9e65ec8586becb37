"""A program in a pty, for the benchmarks: counts what it writes, drains it at a given rate, answers as terminals do.

Only the question for the cursor's position is answered, without an emulator: that one parses slower than a full screen
is painted, and it would be measured too.
"""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = (sys.executable,)
ESCAPE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-Z\\^-~])")
PARKED = re.compile(rb"\x1b\[(\d+);(\d+)H\x1b\[6n")
KEPT = 400_000


def environment() -> dict[str, str]:
    """A user's: no SSH note on the screen, full colour, bytecode kept so that a warm start does not compile."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SSH_", "NO_COLOR", "TEXTUAL"))}
    return kept | {
        "TERM": "xterm-256color", "TMUX": "none", "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "",
    }  # fmt: skip


class Terminal:
    """`core`: the one it may run on. `bytes_per_s`: how fast it is drained, 0 for as fast as it comes. `behind`:
    niceness of what reads here. `hear` gets what was read, after it was counted."""

    def __init__(
        self,
        command: Sequence[str],
        columns: int,
        rows: int,
        *,
        core: int | None = None,
        bytes_per_s: int = 0,
        behind: int = 0,
        hear: Callable[[bytes], None] | None = None,
    ) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

        def begin() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            if core is not None:
                os.sched_setaffinity(0, {core})

        self.begun_s = time.perf_counter()
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment(),
            start_new_session=True,
            preexec_fn=begin,
        )
        os.close(slave)
        self.received = 0
        self._rate = bytes_per_s
        self._behind = behind
        self._hear = hear
        self._tail = b""
        self._end = b""
        """The last bytes, which may be the first half of a question."""
        self._news = threading.Condition()
        self._over = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), self._behind)
        size = max(256, self._rate // 100) if self._rate else 65_536
        due_s = time.perf_counter()
        while not self._over:
            if not select.select([self.master], [], [], 0.05)[0]:
                continue
            try:
                data = os.read(self.master, size)
            except OSError:
                data = b""
            with self._news:
                if not data:
                    self._over = True
                self.received += len(data)
                # what is before a question has been answered
                seen = self._end + data
                self._end = seen[-32:]
                self._tail = (self._tail + data)[-KEPT:]
                asked = [found for found in PARKED.finditer(seen) if found.end() > len(seen) - len(data)]
                self._news.notify_all()
            if self._rate:
                due_s = max(due_s, time.perf_counter() - 0.02) + len(data) / self._rate
                time.sleep(max(0.0, due_s - time.perf_counter()))
            for found in asked:
                self.press(b"\x1b[%b;%bR" % (found[1], found[2]))
            if self._hear is not None:
                self._hear(data)

    def press(self, keys: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(self.master, keys)

    def forget(self) -> None:
        """From here on only what is new counts."""
        with self._news:
            self._tail = b""

    def wait_for(self, text: str, within_s: float = 20.0) -> float:
        """Wait until `text` has been painted since `forget`; the time of it. Raises TimeoutError."""
        wanted = text.encode()
        deadline_s = time.perf_counter() + within_s
        with self._news:
            while wanted not in ESCAPE.sub(b"", self._tail):
                left_s = deadline_s - time.perf_counter()
                if left_s <= 0 or self._over or not self._news.wait(left_s):
                    shown = ESCAPE.sub(b"", self._tail).decode(errors="replace")[-2_000:]
                    raise TimeoutError(f"never saw {text!r} (exit {self.process.poll()}): {shown}")
        return time.perf_counter()

    def close(self) -> None:
        """Kill what still runs, and close."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._over = True
        self._thread.join()
        os.close(self.master)
