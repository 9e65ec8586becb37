"""Who of our own threads gets the core first.

With one core the kernel lets a painting thread finish its slice of some milliseconds before a tick is looked at,
however soon the interpreter would be given back. Both calls are wishes: where the kernel knows none of this, nothing
happens and nothing is said.
"""

import contextlib
import ctypes
import os
import platform
import struct
import threading
from typing import Final

_GIVES_WAY: Final = 5
"""Steps of niceness. A third of the engine's weight: passed over, and still not starved by a busy neighbour. With 15
steps one that is of our group starves the painting thread, and the engine that waits for the interpreter with it."""
_SLICE_NS: Final = 100_000
_SLACK_NS: Final = 1_000
_SET_TIMERSLACK: Final = 29
"""The option of prctl(2)."""
_SCHED_SETATTR: Final = {"x86_64": 314, "aarch64": 274}
"""The call's number by machine: no C library before glibc 2.41 has it by name."""
_ATTR: Final = struct.Struct("=IIQiIQQQ")
"""struct sched_attr of sched_setattr(2): size, policy, flags, nice, priority, runtime, deadline, period."""


def give_way() -> None:
    """The calling thread, and those it starts from here on, stand behind the engine's."""
    thread = threading.get_native_id()
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _GIVES_WAY)


def short_turns() -> None:
    """The calling thread asks for short slices, so that it is let in at once when it wakes (Linux 6.12), and for timers
    that are on time: the interpreter waits for its turn with one, and 50 us later is the kernel's usual. What it starts
    from here on has such timers too."""
    if platform.system() == "Linux":
        ctypes.CDLL(None).prctl(_SET_TIMERSLACK, *map(ctypes.c_ulong, (_SLACK_NS, 0, 0, 0)))
    number = _SCHED_SETATTR.get(platform.machine())
    if number is None or platform.system() != "Linux":
        return
    nice = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    wish = _ATTR.pack(_ATTR.size, os.SCHED_OTHER, 0, nice, 0, _SLICE_NS, 0, 0)
    ctypes.CDLL(None).syscall(number, threading.get_native_id(), ctypes.create_string_buffer(wish, len(wish)), 0)
