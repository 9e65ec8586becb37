"""The real Binance adapter, pointed at a venue on loopback."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from nexus_engine.model.book import OrderBook
from nexus_engine.model.events import AnyEvent, BookDelta, BookInvalid, BookSnapshot, FeedStatus
from nexus_engine.model.secret import Secret
from nexus_engine.uplink.binance.broker import BinanceBroker
from nexus_engine.uplink.binance.feed import BinanceFeed
from nexus_engine.uplink.binance.rest import BinanceRest
from nexus_engine.uplink.binance.settings import BinanceSettings

PATIENCE_S = 15.0
T = TypeVar("T")


class RealClock:
    def utc_ns(self) -> int:
        return time.time_ns()

    def mono_ns(self) -> int:
        return time.monotonic_ns()


class Client:
    """Adapter, everything it said, and the books that follow from it."""

    def __init__(self, rest: str, ws: str, key: str, secret: str, seed: int = 1, **changes: Any) -> None:
        given = {"symbols": ("BTCUSDT", "ETHUSDT"), "intervals": ("1m", "5m"), "warmup_bars": 100, "leverage": 3}
        self.settings = BinanceSettings(
            rest_url=rest, ws_url=ws, api_key=Secret(key), api_secret=Secret(secret), **(given | changes)
        )
        self.rest = BinanceRest(self.settings, RealClock())
        self.broker = BinanceBroker(self.rest)
        self.feed = BinanceFeed(self.rest, random.Random(seed))
        self.events: list[AnyEvent] = []
        self.books: dict[str, OrderBook] = {}
        self.watch: Callable[[AnyEvent], None] | None = None
        self._changed = asyncio.Event()

    def sink(self, event: AnyEvent) -> None:
        self.events.append(event)
        match event:
            case BookSnapshot():
                self.books.setdefault(event.symbol, OrderBook()).snapshot(event.bids, event.asks, event.update_id)
            case BookDelta():
                self.books[event.symbol].delta(event.bids, event.asks, event.update_id)
            case BookInvalid():
                self.books[event.symbol].invalidate()
        if self.watch is not None:
            self.watch(event)
        self._changed.set()

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, done: Callable[[], object], within_s: float = PATIENCE_S) -> None:
        async with asyncio.timeout(within_s):
            while not done():
                self._changed.clear()
                await self._changed.wait()

    def status(self, feed: str) -> list[bool]:
        return [event.up for event in self.of(FeedStatus) if event.feed == feed]

    @property
    def in_step(self) -> bool:
        """Every book is valid."""
        return all(symbol in self.books and self.books[symbol].valid for symbol in self.settings.symbols)


@contextlib.asynccontextmanager
async def connected(client: Client, *, feed: bool = True) -> AsyncIterator[Client]:
    """Open the adapter and run its feed."""
    await client.rest.open()
    task = asyncio.create_task(client.feed.run(client.sink)) if feed else None
    try:
        yield client
    finally:
        began = time.monotonic()
        if task is not None:
            if task.done():
                task.result()
            task.cancel()
            await asyncio.wait((task,))
        await client.rest.close()
        assert time.monotonic() - began < 2.0, "leaving took too long"
