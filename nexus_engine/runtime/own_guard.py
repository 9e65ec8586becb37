"""Ends a call into a strategy of one's own that does not come back, so that the engine's thread goes on without it.

What is ended is Python: a loop, at one of its next steps. Code that catches everything it can is asked again and again,
and ended where it catches nothing for a moment; a single call into C (a sleep, a search by a regular expression) is
ended when it returns, and not before. Where neither comes, only the end of the process helps.
"""

import ctypes
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

log = logging.getLogger(__name__)

LIMIT_S: Final = 1.5
"""Of one call: a thousand times what a bar should take, and less than the cockpit waits before it says SILENT."""
BAR_S: Final = 0.005
"""More for each bar of a history, which comes as one call."""
_LOOKS: Final = 8
"""In a limit."""
_AGAIN_S: Final = 0.02
_TIMES: Final = 200
_MOMENT_S: Final = 0.0001
_NAME: Final = "own-guard"

_set_async_exc: Final = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p)(
    ("PyThreadState_SetAsyncExc", ctypes.pythonapi)
)
"""(thread, address of a class, or None to take back what was not raised yet). It keeps the interpreter's lock."""


class Hung(Exception):
    """A strategy did not come back in time; the message is for people."""


class _Cut(BaseException):
    """Raised in the engine's thread, inside a strategy's code. Nobody outside of this file ever sees one."""


class Guard:
    """Calls strategies, on the thread that it is made on, with a thread beside that measures until `close`.

    A call that is not back when its limit has passed raises `Hung`, whatever it answers later; `tell` is given the
    strategy's name, the call's number and the message first. A process that was stopped as a whole counts as one look.
    `files` are the strategies' own, to say where one stood.
    """

    def __init__(self, files: Iterable[str], tell: Callable[[str, int, str], None], limit_s: float = LIMIT_S) -> None:
        self._files = frozenset(files)
        self._tell = tell
        self._limit_s = limit_s
        self._guarded = threading.get_ident()
        self._count = 0
        self._inside = 0
        self._bars = 0
        self._aiming = False
        self._hung = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=_NAME, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread beside. What is called from then on is not measured."""
        self._over.set()
        self._thread.join()

    def __call__(self, name: str, bars: int, work: Callable[[], Any]) -> Any:
        """What `work` answers; `bars` of history are in it. Raises what it raises, and Hung."""
        # No lock is needed while all goes well, since each side writes its own flag before it reads the other's: either
        # the watcher sees that the call is over and raises nothing, or it is seen here that it aims or has aimed, and
        # waited for. Python raises what another thread asked for only where it calls, is called or jumps back, so
        # nothing can come between the end of `work` and the first line of the `finally`. From there on two can come at
        # most, one that was asked for before and one that the watcher was just about to, hence two handlers.
        self._count += 1
        self._bars = bars
        try:
            self._inside = self._count
            return work()
        finally:
            self._inside = 0
            if self._aiming or self._hung:
                try:
                    self._settle()
                except _Cut:
                    try:
                        self._settle()
                    except _Cut:
                        self._settle()
                hung, self._hung = self._hung, ""
                if hung:
                    self._tell(name, self._count, hung)
                    raise Hung(hung)

    def _settle(self) -> None:
        """After this nothing more is raised. May be ended by what it takes back; then again."""
        while self._aiming:
            time.sleep(_MOMENT_S)
        _set_async_exc(self._guarded, None)

    # ---- on the thread beside ----------------------------------------------------------------------------------------

    def _watch(self) -> None:
        every_s = self._limit_s / _LOOKS
        call, spent_s, times = 0, 0.0, 0
        looked_s = time.monotonic()
        while not self._over.wait(_AGAIN_S if times else every_s):
            before_s, looked_s = looked_s, time.monotonic()
            if self._inside != call:
                call, spent_s, times = self._inside, 0.0, 0
            if not call:
                continue
            # this thread may have stood still as well: then it was the process, or its machine
            spent_s += min(looked_s - before_s, 2 * every_s)
            limit_s = self._limit_s + self._bars * BAR_S
            if spent_s > limit_s and times < _TIMES:
                self._end(call, limit_s)
                times += 1
                if times == _TIMES:
                    log.error("a strategy %s; it catches all that ends it, or is in C code: kill -9", self._hung)

    def _end(self, call: int, limit_s: float) -> None:
        told = self._hung or f"did not come back within {limit_s:.1f} s{self._place()}"
        self._aiming = True
        try:
            if self._inside == call:
                self._hung = told
                _set_async_exc(self._guarded, id(_Cut))
        finally:
            self._aiming = False

    def _place(self) -> str:
        """Where in a strategy's file the other thread is."""
        frame = sys._current_frames().get(self._guarded)
        while frame is not None:
            file = Path(frame.f_code.co_filename)
            if str(file) in self._files:
                line, function = frame.f_lineno, frame.f_code.co_name
                do = f"mend it, try it with nexus strategy check {file.name}"
                return f": {file.name}, line {line}, in {function}; {do}"
            frame = frame.f_back
        return ""


class Repeated:
    """In a replay: what hung then hangs now, at the same call, and nothing is waited for."""

    def __init__(self, hung: Mapping[int, str]) -> None:
        self._hung = hung
        self._count = 0

    def __call__(self, name: str, bars: int, work: Callable[[], Any]) -> Any:
        """What `work` answers. Raises what it raises, and Hung where it was recorded."""
        self._count += 1
        if told := self._hung.get(self._count):
            raise Hung(told)
        return work()
