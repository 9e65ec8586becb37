"""Lets a cockpit leave its terminal while the engine of the same process goes on.

A shell waits for the process that it started, and a process with threads cannot fork, so the two roles part first
thing, before a thread or a heavy import: the parent stays a few megabytes that wait; the child is cockpit and engine.
To detach, the child leaves the session (`setsid`: it leads no process group, so it may at any time, and from then on
no terminal can stop it or hang it up) and tells the parent, which ends: shell, tmux pane, ssh or make get their answer.

Until then the two behave as one process: same session and process group, so the terminal's own signals reach the
child; what is sent to the parent alone is passed on; the child's exit code is the parent's; the child dies with a
parent that is killed. Should the child be killed, the parent puts the terminal back in order.
"""

import contextlib
import ctypes
import os
import signal
import sys
import termios
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from nexus_engine.runtime import Runtime
    from nexus_tui.app import NexusApp

_PR_SET_PDEATHSIG: Final = 1
_SCREEN_SIGNALS: Final = (signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH)
_RESTORE: Final = (
    b"\x1b[?1049l\x1b[?25h\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1004l\x1b[?2004l\x1b[<u"
    b"\x1b[23;0t\x1b[0m\r\n"
)
"""Leave the other screen, show the cursor; mouse, focus, paste and keyboard reports off, title and colours back."""


class Leash:
    """The child's hold on the terminal."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def release(self) -> None:
        """Leave the terminal for good and let the parent end. Standard streams lead nowhere from here on."""
        if self._fd < 0:
            return
        os.setsid()
        _die_with_parent(0)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        os.close(nowhere)
        with contextlib.suppress(OSError):  # the parent may be gone with the terminal
            os.write(self._fd, b"d")
        os.close(self._fd)
        self._fd = -1


class Signals:
    """What SIGHUP, SIGTERM and SIGINT mean, by `signal.signal` in the main thread: a loop that is stuck in a write
    never runs handlers of its own.
    """

    def __init__(self, runtime: "Runtime | None" = None) -> None:
        self._runtime = runtime
        self._app: NexusApp | None = None
        self._wanted = ""

    def install(self) -> None:
        """Take the signals."""
        signal.signal(signal.SIGHUP, self._hang_up)
        signal.signal(signal.SIGTERM, self._terminate)
        signal.signal(signal.SIGINT, self._terminate)

    def watch(self, app: "NexusApp | None") -> None:
        """A cockpit is open and hears of signals first, also of one that came while it opened; None: it has closed."""
        self._app = app
        if app is None:
            # Textual leaves its handlers behind: they would bring the screen back on a loop that has ended, and the
            # error would end the process, with an engine in it that goes on alone.
            for number in _SCREEN_SIGNALS:
                signal.signal(number, signal.SIG_DFL)
        if app is not None and self._wanted:
            app.hangup() if self._wanted == "hangup" else app.terminate()

    def _hang_up(self, number: int, frame: FrameType | None) -> None:
        self._wanted = self._wanted or "hangup"
        if self._app is not None:
            self._app.hangup()

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        self._wanted = "terminate"
        if self._app is not None:
            self._app.terminate()
        elif self._runtime is not None:
            self._runtime.stop()


def part() -> "Leash | int":
    """Fork. In the child: its Leash. In the parent, once the child has ended or left: the exit code."""
    terminal = termios.tcgetattr(sys.stdin.fileno())
    parent = os.getpid()
    read_fd, write_fd = os.pipe()
    child = os.fork()
    if child:
        os.close(write_fd)
        return _watch(child, read_fd, terminal)
    os.close(read_fd)
    _die_with_parent(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    return Leash(write_fd)


def _watch(child: int, read_fd: int, terminal: list[Any]) -> int:
    def pass_on(number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    if os.read(read_fd, 1):
        return 0
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code >= 0:
        return code
    with contextlib.suppress(OSError, termios.error):
        os.write(sys.stderr.fileno(), _RESTORE)
        termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, terminal)
        sys.stderr.write(f"nexus: killed by {signal.Signals(-code).name}; stops rest at the venue, start again\n")
    return 128 - code


def _die_with_parent(number: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
