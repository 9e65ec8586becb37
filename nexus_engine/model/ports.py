"""What the machine needs of the world. Live, paper, demo, backtest and simulation differ in these alone."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from nexus_engine.model.effects import Cancel, Query
from nexus_engine.model.events import AnyEvent, CancelResult, QueryResult, SubmitResult, VenueSnapshot
from nexus_engine.model.facts import AnyFact
from nexus_engine.model.orders import Order
from nexus_engine.model.verdicts import Reading
from nexus_engine.model.words import Venue

Sink = Callable[[AnyEvent], None]
"""Where a feed puts events. Never blocks, never fails; called on the engine's loop only."""


class Clock(Protocol):
    """Both times that the house knows, in integer nanoseconds."""

    def utc_ns(self) -> int: ...

    def mono_ns(self) -> int: ...


class Feed(Protocol):
    """A venue's streams."""

    @property
    def venue(self) -> Venue: ...

    async def run(self, sink: Sink) -> None:
        """Deliver until cancelled; reconnect for ever; say FeedStatus when a stream comes or goes."""

    def resync(self, symbol: str, reason: str) -> None:
        """Drop a book and deliver it anew."""

    @property
    def problem(self) -> str:
        """What is wrong at the venue that a person should know, in one line; empty when all is well."""

    def readings(self) -> tuple[Reading, ...]:
        """What it counts, for the screen."""


class Broker(Protocol):
    """A venue's order entry. No method raises for what a venue or a network can do: that is an Outcome.

    Every call has its own deadline. Only the carrier calls it.
    """

    @property
    def venue(self) -> Venue: ...

    async def submit(self, order: Order) -> SubmitResult: ...

    async def cancel(self, cancel: Cancel) -> CancelResult: ...

    async def query(self, query: Query) -> QueryResult: ...

    async def snapshot(self) -> VenueSnapshot: ...


class Journal(Protocol):
    """The one record of what was decided. Append-only, chained by hash."""

    def append(self, facts: Sequence[AnyFact]) -> Awaitable[None]:
        """Write the facts of one event as one commit, in call order. Awaiting it returns when they are durable.

        Raises JournalError when they could not be made durable; whoever does not need to know need not await.
        """


class JournalError(Exception):
    """The journal could not be read or written; the message is one clear line."""
