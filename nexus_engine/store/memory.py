"""A journal that forgets: for a virtual loop and for tests."""

import asyncio
from collections.abc import Awaitable, Iterator, Sequence

from nexus_engine.model.facts import AnyFact
from nexus_engine.model.ports import JournalError
from nexus_engine.model.words import AccountKind


class MemoryJournal:
    """The same interface as SqliteJournal, without a thread or a file: every append is durable at once.

    Set `failing` to a reason, and appends fail with it as on a full disk.
    """

    def __init__(self, *, instance: str = "test", facts: Sequence[AnyFact] = ()) -> None:
        self.instance = instance
        self.epoch = 0
        self.failing = ""
        self.turns: list[tuple[AnyFact, ...]] = [tuple(facts)] if facts else []

    def claim(self, account: str, kind: AccountKind) -> int:
        """Become the next writer; returns the new epoch."""
        self.epoch += 1
        return self.epoch

    def facts(self) -> Iterator[AnyFact]:
        """All facts in order."""
        for turn in self.turns:
            yield from turn

    def append(self, facts: Sequence[AnyFact]) -> Awaitable[None]:
        """Keep the facts of one event; the future that comes back is done."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.failing:
            future.set_exception(JournalError(self.failing))
            future.exception()
        else:
            self.turns.append(tuple(facts))
            future.set_result(None)
        return future

    def close(self) -> None:
        """Nothing to do."""
