"""How long from the command to the first frame, and to a moving book.

Each start runs in a real pty of 80x24, read and answered by a terminal emulator. The first start of a state folder is
left out: the figures are those of every later one. Prints a table and a JSON line.
"""

import fcntl
import json
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

import pyte

ROOT = Path(__file__).resolve().parent.parent
STARTS = 5
LIMIT_S = 20.0
COLUMNS, ROWS, LADDER = 80, 24, 52


def start(state: str) -> tuple[float, float]:
    """(seconds to the first frame, seconds to the first change of a filled ladder)."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("SSH_", "NO_COLOR", "TEXTUAL"))}
    # Empty: bytecode is kept, as at a user's; a warm start does not compile.
    environment |= {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": ""}
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "nexus_tui", "--demo", "--state", state, "--seed", "7"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment,
        start_new_session=True,
    )
    os.close(slave)
    screen = pyte.Screen(COLUMNS, ROWS)
    # A terminal answers what it is asked (the cursor's position ends a frame); pyte leaves the sending to us.
    screen.write_process_input = lambda data: os.write(master, data.encode())  # type: ignore[method-assign, assignment]
    stream = pyte.ByteStream(screen)
    frame_s = book_s = 0.0
    filled = ""
    try:
        while not book_s and time.perf_counter() - begun < LIMIT_S:
            if not select.select([master], [], [], 0.05)[0]:
                continue
            stream.feed(os.read(master, 65536))
            now_s = time.perf_counter() - begun
            if not frame_s and "Proposals" in "".join(screen.display):
                frame_s = now_s
            ladder = "\n".join(line[LADDER:] for line in screen.display[3:13])
            if "spread" in ladder:
                if filled and ladder != filled:
                    book_s = now_s
                filled = filled or ladder
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(master)
    return frame_s, book_s


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
