"""How long from the command to the first frame, and to a moving book.

Each start runs in a real pty of 80x24, read and answered by a terminal emulator. The first start of a state folder is
left out: the figures are those of every later one. Prints a table and a JSON line.
"""

import json
import os
import statistics
import tempfile
import threading
import time

import pyte
from _terminal import PYTHON, Terminal

STARTS = 5
LIMIT_S = 20.0
COLUMNS, ROWS, LADDER = 80, 24, 52


class Watch:
    """Looks at the screen as it is painted."""

    def __init__(self) -> None:
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self._screen)
        self._filled = ""
        self.frame_at_s = self.book_at_s = 0.0
        self.done = threading.Event()

    def hear(self, data: bytes) -> None:
        now_s = time.perf_counter()
        self._stream.feed(data)
        if not self.frame_at_s and "Proposals" in "".join(self._screen.display):
            self.frame_at_s = now_s
        ladder = "\n".join(line[LADDER:] for line in self._screen.display[3:13])
        if "spread" in ladder and not self.book_at_s:
            if self._filled and ladder != self._filled:
                self.book_at_s = now_s
                self.done.set()
            self._filled = self._filled or ladder


def start(state: str) -> tuple[float, float]:
    """(seconds to the first frame, seconds to the first change of a filled ladder)."""
    watch = Watch()
    command = [*PYTHON, "-m", "nexus_tui", "--demo", "--state", state, "--seed", "7"]
    terminal = Terminal(command, COLUMNS, ROWS, hear=watch.hear)
    try:
        if not watch.done.wait(LIMIT_S):
            raise TimeoutError(f"no moving book within {LIMIT_S:.0f} s (exit {terminal.process.poll()})")
    finally:
        terminal.close()
    return watch.frame_at_s - terminal.begun_s, watch.book_at_s - terminal.begun_s


def main() -> int:
    with tempfile.TemporaryDirectory() as state:
        start(state)
        taken = [start(state) for _ in range(STARTS)]
    rows = {"first_frame_s": [t[0] for t in taken], "moving_book_s": [t[1] for t in taken]}
    print(f"{'':16}{'median':>8}{'worst':>8}   of {STARTS} warm starts, 80x24, {os.cpu_count()} cores")
    for name, values in rows.items():
        print(f"{name:16}{statistics.median(values):8.2f}{max(values):8.2f}")
    print(json.dumps({name: [round(v, 3) for v in values] for name, values in rows.items()}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
