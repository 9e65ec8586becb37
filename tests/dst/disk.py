"""A journal that may be torn: what was handed over and not acknowledged may be there after a crash, or not."""

import asyncio
from collections.abc import Awaitable, Sequence
from random import Random

from nexus_engine.model.facts import AnyFact, OrderIntended
from nexus_engine.model.ports import JournalError
from nexus_engine.store.memory import MemoryJournal

QUICK_S, SLOW_S, STUCK_S = (0.0002, 0.004), (0.05, 0.4), (0.5, 2.5)
FULL = "disk full"


class TornJournal(MemoryJournal):
    """Commits become durable in order, each a moment later, some much later.

    While the disk is full every append is told so and kept, as the real writer does; all of it stands when there is
    room again. A transaction that was under way when the process ended is not there: SQLite rolls it back.
    """

    def __init__(self, rng: Random) -> None:
        super().__init__()
        self._rng = rng
        self._durable = 0
        self._due_s = 0.0
        self._timers: list[asyncio.TimerHandle] = []
        self.full_until_s = 0.0
        self.slow = 0.0
        """Part of the commits that take long."""
        self.written: set[str] = set()
        """Client ids whose intent is durable."""
        self.torn: list[tuple[AnyFact, ...]] = []

    def append(self, facts: Sequence[AnyFact]) -> Awaitable[None]:
        loop, rng = asyncio.get_running_loop(), self._rng
        future: asyncio.Future[None] = loop.create_future()
        self.turns.append(tuple(facts))
        now_s, chance = loop.time(), rng.random()
        span = STUCK_S if chance < self.slow / 4 else SLOW_S if chance < self.slow else QUICK_S
        self._due_s = max(self._due_s, now_s + rng.uniform(*span))
        if now_s < self.full_until_s:
            future.set_exception(JournalError(FULL))
            future.exception()
            self._due_s = max(self._due_s, self.full_until_s)
        self._timers.append(loop.call_at(self._due_s, self._stand, len(self.turns), future))
        if len(self._timers) > 64:
            self._timers = [timer for timer in self._timers if timer.when() >= now_s]
        return future

    def _stand(self, count: int, future: "asyncio.Future[None]") -> None:
        self._note(count)
        if not future.done():
            future.set_result(None)

    def _note(self, count: int) -> None:
        # two that are due at the same instant may come in any order
        for turn in self.turns[self._durable : count]:
            self.written.update(fact.order.client_id for fact in turn if type(fact) is OrderIntended)
        self._durable = max(self._durable, count)

    def crash(self) -> int:
        """The process is gone. Returns how many commits went with it."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        kept = self._rng.randint(self._durable, len(self.turns))
        gone = self.turns[kept:]
        self.torn += gone
        del self.turns[kept:]
        self._note(kept)
        self._due_s = 0.0
        return len(gone)

    @property
    def whole(self) -> bool:
        """Everything that was handed over is durable."""
        return self._durable == len(self.turns)
