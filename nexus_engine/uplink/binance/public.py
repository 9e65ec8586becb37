"""The order books: the diff streams of every symbol on one socket, and the snapshots they need."""

import asyncio
import random
from collections.abc import Iterable
from typing import Final

import msgspec

from nexus_engine.model.events import BookDelta
from nexus_engine.model.instruments import Instrument
from nexus_engine.model.ports import Sink
from nexus_engine.model.words import Venue
from nexus_engine.uplink.binance.depth import DepthBook
from nexus_engine.uplink.binance.outcomes import RestError
from nexus_engine.uplink.binance.rest import DEPTH, BinanceRest
from nexus_engine.uplink.binance.subscriptions import Subscriptions, is_answer
from nexus_engine.uplink.binance.wire import PublicFrame
from nexus_engine.uplink.conflate import Conflator
from nexus_engine.uplink.status import Status
from nexus_engine.uplink.stream import Backoff, Stream
from nexus_engine.uplink.unreadable import UNREADABLE

FEED: Final = "public"
STALE_S: Final = 2.7
"""Noticed within three seconds: a stream is looked at every tenth of this."""
LEVELS: Final = 1_000
SPACING_S: Final = 0.05
AGAIN_S: Final = 1.0
"""Not sooner for the same symbol: a book that cannot find its place must not eat the request weight."""


class PublicFeed:
    """Books of all symbols. A book is in step, or it is being asked for."""

    def __init__(self, rest: BinanceRest, instruments: tuple[Instrument, ...], sink: Sink, rng: random.Random) -> None:
        self._rest = rest
        self._clock = rest.clock
        self._status = Status(Venue.BINANCE, FEED, self._clock, sink)
        self._books = {instrument.symbol: DepthBook(instrument) for instrument in instruments}
        self._asked_mono: dict[str, int] = {}
        self._wanted = asyncio.Event()
        self._backoff = Backoff(rng)
        self._decode = msgspec.json.Decoder(PublicFrame, strict=False).decode
        self.stream = Stream(
            url=self._url,
            frame=self._frame,
            opened=self._opened,
            up=self._status.up,
            down=self._down,
            passed=lambda: self._out.flush(),
            counts=rest.counts,
            clock=self._clock,
            rng=rng,
            stale_s=STALE_S,
        )
        self._out = Conflator(sink, lambda: self.stream.behind, rest.counts)
        self._subscriptions = Subscriptions(
            self.stream,
            self._books,
            lambda symbol: (f"{symbol.lower()}@depth@100ms",),
            self._clock,
            lambda symbol: self.resync(symbol, "its stream fell silent"),
        )

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.stream.run(), name="binance public stream")
            tasks.create_task(self._snapshots(), name="binance snapshots")
            tasks.create_task(self._subscriptions.run(), name="binance public subscriptions")

    def resync(self, symbol: str, reason: str) -> None:
        """Drop a book and begin it anew: it is not what the venue's is."""
        book = self._books.get(symbol)
        if book is None:
            return
        invalid = book.lost(reason, self._clock.utc_ns(), self._clock.mono_ns())
        if invalid is not None:
            self._out.whole(invalid)
        book.begin()
        self._wanted.set()

    def regrid(self, instruments: Iterable[Instrument]) -> None:
        """The price steps of these have changed: their books begin anew."""
        for instrument in instruments:
            if instrument.symbol in self._books:
                self.resync(instrument.symbol, "its price step changed")
                self._books[instrument.symbol] = book = DepthBook(instrument)
                book.begin()

    async def _url(self) -> str:
        return f"{self._rest.settings.ws_url.rstrip('/')}/public/stream?streams={self._subscriptions.path()}"

    def _frame(self, data: bytes, at_ns: int, mono_ns: int) -> None:
        try:
            msg = self._decode(data).data
        except UNREADABLE:
            if is_answer(data):
                return
            raise
        book = self._books.get(msg.s)
        if book is None:
            raise msgspec.ValidationError("a symbol that was not asked for")
        self._subscriptions.heard(msg.s, mono_ns)
        for event in book.diff(msg, at_ns, mono_ns):
            if type(event) is BookDelta:
                self._out.add(event)
            else:
                self._out.whole(event)
        if book.wants_snapshot:
            self._wanted.set()

    def _opened(self) -> None:
        self._subscriptions.opened()
        for book in self._books.values():
            book.begin()
        self._wanted.set()

    def _down(self, reason: str) -> None:
        at_ns, mono_ns = self._clock.utc_ns(), self._clock.mono_ns()
        self._subscriptions.ended()
        for book in self._books.values():
            invalid = book.lost(reason, at_ns, mono_ns)
            if invalid is not None:
                self._out.whole(invalid)
        self._status.down(reason)

    # ---- snapshots ---------------------------------------------------------------------------------------------------

    async def _snapshots(self) -> None:
        """One at a time, a little apart: 8 symbols at a start take 160 of 2,400 weight."""
        while True:
            await self._wanted.wait()
            book = self._next()
            if book is None:
                self._wanted.clear()
                continue
            await self._ask(book)
            await asyncio.sleep(SPACING_S)

    def _next(self) -> DepthBook | None:
        """The book that wants a snapshot and was asked for longest ago."""
        wanting = [book for book in self._books.values() if book.wants_snapshot]
        return min(wanting, key=lambda book: self._asked_mono.get(book.symbol, -1), default=None)

    async def _ask(self, book: DepthBook) -> None:
        asked = self._asked_mono.get(book.symbol)
        if asked is not None:
            await asyncio.sleep(AGAIN_S - (self._clock.mono_ns() - asked) / 1e9)
        self._asked_mono[book.symbol] = self._clock.mono_ns()
        try:
            reply = await self._rest.call(DEPTH, {"symbol": book.symbol, "limit": LEVELS})
        except RestError as error:
            await asyncio.sleep(max(error.retry_after_s, self._backoff.next_s()))
            return
        self._backoff.reset()
        for event in book.snapshot(reply, self._clock.utc_ns(), self._clock.mono_ns()):
            self._out.whole(event)
