"""A virtual loop that is quick, and that can stop a life before any callback."""

import asyncio
import heapq
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from virtual_loop import Stuck, VirtualLoop

R = TypeVar("R")


class KillingLoop(VirtualLoop):
    """Every step of every task is a callback, so a kill between two of them is a kill at an await."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0
        """Callbacks so far."""
        self.kill_at = -1
        self.on_kill: Callable[[], None] = lambda: None

    @staticmethod
    def current() -> "KillingLoop":
        loop = asyncio.get_running_loop()
        assert isinstance(loop, KillingLoop)
        return loop

    def _run_once(self) -> None:
        # what BaseEventLoop does, less what a loop without sockets cannot need
        ready, scheduled = self._ready, self._scheduled  # type: ignore[attr-defined]
        if not ready:
            while scheduled and scheduled[0]._cancelled:
                heapq.heappop(scheduled)._scheduled = False
            if not scheduled:
                raise Stuck
            self._now_s = max(self._now_s, scheduled[0]._when)
        end_s = self._now_s + 1e-9
        while scheduled and scheduled[0]._when < end_s:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False
            ready.append(handle)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            self.steps += 1
            if self.steps == self.kill_at:
                self.on_kill()
            handle._run()


def run_killing(main: Coroutine[Any, Any, R]) -> R:
    """Run it to its end in virtual time."""
    with asyncio.Runner(loop_factory=KillingLoop) as runner:
        return runner.run(main)
