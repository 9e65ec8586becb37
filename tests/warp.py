"""Virtual time with real sockets: a loop that jumps to its next timer as soon as nothing is under way.

Client and server live on this one loop and speak over loopback, where what one end has written the other can read at
once: a look at the sockets that finds nothing means that everybody waits for the time.
"""

import asyncio
import selectors
import time
from collections.abc import Coroutine, Mapping
from contextlib import ExitStack
from typing import Any, TypeVar
from unittest import mock

R = TypeVar("R")
GRACE_S = 0.0005
"""Real time in which a packet may still be under way."""
START_NS = 1_795_337_955_000_000_000


class _Selector(selectors.DefaultSelector):  # type: ignore[valid-type, misc]
    now_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        events = super().select(0)
        if events or timeout == 0:
            return events
        events = super().select(None if timeout is None else GRACE_S)
        if not events and timeout is not None:
            self.now_s += timeout
        return events


class WarpLoop(asyncio.SelectorEventLoop):
    """`time()` is seconds since its start, and costs nothing."""

    def __init__(self) -> None:
        self._warp = _Selector()
        super().__init__(self._warp)

    def time(self) -> float:
        return self._warp.now_s


class WarpTime:
    """The module `time` and the house's Clock, both by a loop. `ahead_ns` is how far this party's wall clock is off."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ahead_ns: int = 0) -> None:
        self._loop = loop
        self.ahead_ns = ahead_ns

    def monotonic(self) -> float:
        return self._loop.time()

    def time_ns(self) -> int:
        return START_NS + self.ahead_ns + self.mono_ns()

    def time(self) -> float:
        return self.time_ns() / 1e9

    def mono_ns(self) -> int:
        return round(self._loop.time() * 1e9)

    def utc_ns(self) -> int:
        return self.time_ns()

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


def run_warped(main: Coroutine[Any, Any, R], clocks: Mapping[str, int]) -> R:
    """Run it in virtual time, in which the modules named as `clocks` have theirs, so many ns ahead."""
    with asyncio.Runner(loop_factory=WarpLoop) as runner, ExitStack() as patches:
        for module, ahead_ns in clocks.items():
            patches.enter_context(mock.patch(f"{module}.time", WarpTime(runner.get_loop(), ahead_ns)))
        return runner.run(main)
