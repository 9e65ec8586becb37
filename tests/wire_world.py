"""A world whose venue is reached by the real adapter, over real sockets and in virtual time.

Build it inside `warped`. What goes wrong is a list of `sim.faults.Fault`, committed by the venue itself.
"""

import asyncio
import functools
import random
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from aiohttp import web
from warp import WarpTime, run_warped
from world import World, _Keeper

from nexus_engine.carrier import Carrier
from nexus_engine.core.engine import Engine
from nexus_engine.model.events import AnyEvent, BookInvalid, FeedStatus, OrderUpdate, Started, TimerFired
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.secret import Secret
from nexus_engine.model.words import AccountKind, Venue
from nexus_engine.servos.reconcile import TIMER as RECONCILE_TIMER
from nexus_engine.sim.faults import Fault, Faults
from nexus_engine.sim.hub import ABNORMAL
from nexus_engine.sim.server import Server
from nexus_engine.uplink.binance.broker import BinanceBroker
from nexus_engine.uplink.binance.feed import BinanceFeed
from nexus_engine.uplink.binance.rest import BinanceRest
from nexus_engine.uplink.binance.settings import BinanceSettings, UplinkError

KEY, SECRET = "k" * 64, "s" * 64
VENUE_CLOCKS = ("nexus_engine.sim.server",)
OUR_CLOCKS = ("binance.base_client",)


def warped(
    story: Callable[..., Coroutine[Any, Any, None]] | None = None, *, ahead_s: float = 0.0
) -> Callable[..., Any]:
    """Tell a test's story in virtual time; our wall clock is `ahead_s` of the venue's."""
    if story is None:
        return functools.partial(warped, ahead_s=ahead_s)

    @functools.wraps(story)
    def test(*args: Any, **kwargs: Any) -> None:
        run_warped(
            story(*args, **kwargs), dict.fromkeys(VENUE_CLOCKS, 0) | dict.fromkeys(OUR_CLOCKS, int(ahead_s * 1e9))
        )

    return test


class Wire:
    """The adapter of one life."""

    def __init__(self, rest: BinanceRest, seed: int) -> None:
        self.rest = rest
        self.broker = BinanceBroker(rest)
        self.feed = BinanceFeed(rest, random.Random(seed))
        self.dead = False


class WireWorld(World):
    """`async with` it: the venue serves from the entry to the exit."""

    wire: Wire  # type: ignore[assignment]

    def __init__(self, faults: Iterable[Fault] = (), *, ahead_s: float = 0.0, **more: Any) -> None:
        loop = asyncio.get_running_loop()
        self._time = WarpTime(loop, int(ahead_s * 1e9))
        self.faults = Faults(faults, loop.time)
        self.said_by_feed: list[str] = []
        self.requests: list[tuple[float, str]] = []
        """What the venue was asked, "GET order", and when."""
        self.port = 0
        self.heard: list[AnyEvent] = []
        self.watch: Callable[[AnyEvent], None] = lambda event: None
        self._server_tasks: list[asyncio.Task[None]] = []
        super().__init__(**more)

    # ---- the venue ---------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> "WireWorld":
        self.server = Server(
            self.venue,
            api_key=KEY,
            api_secret=SECRET,
            drive=lambda: self.venue.advance(int(self.speed * 100_000_000), WarpTime(self._loop).time_ns()),
            store=lambda: None,
            faults=self.faults,
            clock=self._loop.time,
        )
        asked = self.faults.request
        self.faults.request = lambda method, path, fields: self._log(method, path) or asked(method, path, fields)  # type: ignore[method-assign]
        await self.serve()
        return self

    def _log(self, method: str, path: str) -> None:
        self.requests.append((self.s, f"{method} {path.rpartition('/')[2]}"))

    async def serve(self) -> None:
        """Listen, on the same port each time."""
        self._runner = web.AppRunner(self.server.app(), access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]
        self._server_tasks = [asyncio.create_task(self.server.run_clock())]

    async def go_down(self) -> None:
        """As a venue that lost its power: everything is cut, and its market stands still."""
        for task in self._server_tasks:
            task.cancel()
        await asyncio.gather(*self._server_tasks, return_exceptions=True)
        self.server.hub.close_all(ABNORMAL)
        await self._runner.cleanup()

    async def __aexit__(self, *_: object) -> None:
        if not self.wire.dead:
            await self.kill()
        for task in self._server_tasks:
            task.cancel()
        ended = await asyncio.gather(*self._server_tasks, return_exceptions=True)
        self.server.hub.close_all()
        await self._runner.cleanup()
        for error in ended:
            if isinstance(error, Exception):
                raise error

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    # ---- lives -------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.lives += 1
        self.clock = self._time  # type: ignore[assignment]
        self.ledger = Ledger().fold(self.journal.facts())
        self.engine = Engine(self.directive, self.ledger)
        self.engine.cortex = self.wishes  # type: ignore[assignment]
        self.engine.intervals = self.wishes.intervals
        self.engine.warmup_bars = self.wishes.warmup_bars

    async def open(self) -> "WireWorld":
        """Begin a life, as the runtime does."""
        if self.lives and getattr(self, "wire", None) is not None and self.wire.dead:
            self._build()
        settings = BinanceSettings(
            rest_url=f"http://127.0.0.1:{self.port}",
            ws_url=f"ws://127.0.0.1:{self.port}",
            api_key=Secret(KEY),
            api_secret=Secret(SECRET),
            symbols=tuple(self.tape.symbols),
            intervals=self.engine.intervals,
            warmup_bars=self.engine.warmup_bars,
            leverage=self.directive.risk.leverage,
        )
        self.wire = wire = Wire(BinanceRest(settings, self._time), self.seed + self.lives)
        await wire.rest.open()
        self.carrier = Carrier(
            self.engine,
            self.journal,
            {Venue.BINANCE: wire.broker},
            self._time,
            notify=lambda note: self.notes.append(f"{self.s:7.2f} {note.level} {note.subject}: {note.text}"),
            recorder=_Keeper(self.effects),
            resync=wire.feed.resync,
        )
        at_ns, mono_ns = self.now()
        self._tasks = [asyncio.create_task(self.carrier.run())]
        self.carrier.post(
            Started(
                at_ns=at_ns,
                mono_ns=mono_ns,
                account="main",
                kind=AccountKind.DEMO,
                instance="test",
                epoch=self.journal.claim("main", AccountKind.DEMO),
                version="0",
                mode=self.mode,
            )
        )
        self._tasks.append(asyncio.create_task(self._live(wire)))
        return self

    async def _live(self, wire: Wire) -> None:
        """Introduce, feed, compare, prepare: the order of `runtime.account`."""
        await self._insist(wire.broker.introduce)
        feed = asyncio.create_task(wire.feed.run(lambda event: self._take(wire, event)))
        try:
            at_ns, mono_ns = self.now()
            self.carrier.post(TimerFired(at_ns=at_ns, mono_ns=mono_ns, key=RECONCILE_TIMER))
            await self.carrier.answered()
            await self._insist(wire.broker.prepare)
            await feed
        finally:
            feed.cancel()
            await asyncio.gather(feed, return_exceptions=True)

    async def _insist(self, work: Callable[[Any], Coroutine[Any, Any, Any]]) -> None:
        while True:
            try:
                await work(self.carrier.post)
            except UplinkError:
                await asyncio.sleep(1.0)
            else:
                return

    def _take(self, wire: Wire, event: AnyEvent) -> None:
        if wire.dead:
            return
        if isinstance(event, FeedStatus):
            state = "up" if event.up else f"down: {event.reason}"
            self.said_by_feed.append(f"{self.s:7.2f} {event.feed} {state}")
        elif isinstance(event, BookInvalid):
            self.said_by_feed.append(f"{self.s:7.2f} {event.symbol} book lost: {event.reason}")
        elif isinstance(event, OrderUpdate):
            self.heard.append(event)
        self.watch(event)
        self.carrier.post(event)

    async def kill(self) -> None:
        """The process ends; the venue does not."""
        self.wire.dead = True
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.wire.rest.close()
        for error in ended:
            if isinstance(error, Exception):
                raise error

    # ---- looks -------------------------------------------------------------------------------------------------------

    def struck(self) -> int:
        """How often the venue committed the faults."""
        return sum(hits for _, hits in self.faults.seen())

    @property
    def up(self) -> bool:
        """All streams."""
        return all(self.engine.feeds.get(feed, False) for feed in ("public", "market", "user"))

    def book_is_right(self, symbol: str) -> bool:
        """Ours is the venue's, as far as it was told."""
        book = self.engine.market.symbols[symbol].book
        here = {ticks for ticks, _ in book.bids(50)}, {ticks for ticks, _ in book.asks(50)}
        there = self.venue.market.book(symbol)
        return book.valid and here == ({ticks for ticks, _ in there.bids}, {ticks for ticks, _ in there.asks})
