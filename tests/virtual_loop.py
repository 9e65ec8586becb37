"""An asyncio loop whose time is virtual: it never waits, it jumps to the next timer. No threads, no sockets."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

R = TypeVar("R")
START_NS = 1_750_000_000_000_000_000


class Stuck(Exception):
    """Everything waits, and no timer will ever wake it."""


class VirtualLoop(asyncio.BaseEventLoop):
    """The same callbacks in the same order every time; `time()` is seconds since its start."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self._selector = self

    def time(self) -> float:
        return self._now_s

    def select(self, timeout: float | None) -> tuple[()]:
        """Where another loop would sleep."""
        if timeout is None:
            raise Stuck
        self._now_s += timeout
        return ()

    def _process_events(self, event_list: object) -> None:
        """Nothing outside can happen."""

    def _write_to_self(self) -> None:
        """Nobody sleeps, so nobody needs waking."""


class VirtualClock:
    """Both clocks of a virtual loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def mono_ns(self) -> int:
        return round(self._loop.time() * 1e9)

    def utc_ns(self) -> int:
        return START_NS + self.mono_ns()


def run_virtual(main: Coroutine[Any, Any, R]) -> R:
    """Run it to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
