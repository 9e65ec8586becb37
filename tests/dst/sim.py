"""The world of `world.py`, with everything that can go wrong at once: net, clock, disk, market, people, other people.

The market moves whether or not an engine lives; the wall clock of the engine's machine is not the venue's.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Sequence
from decimal import Decimal
from random import Random
from typing import Any

import msgspec
from disk import TornJournal
from faulty import LOST_AFTER, LOST_BEFORE, REFUSED, SLOW, STALE, Fault, Faulty
from loop import KillingLoop
from msgspec.structs import replace
from tape import HandTape
from virtual_loop import VirtualClock
from world import BTC, SOL, Killed, World, Writes

from nexus_engine.carrier import Carrier
from nexus_engine.core.engine import Engine
from nexus_engine.model.config import Directive
from nexus_engine.model.effects import AnyEffect
from nexus_engine.model.events import (
    AccountUpdate,
    AnyEvent,
    BookDelta,
    BookInvalid,
    BookSnapshot,
    FeedStatus,
    Mark,
    OrderUpdate,
    Started,
    SubmitResult,
    Trade,
)
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.orders import Order
from nexus_engine.model.ports import Sink
from nexus_engine.model.words import Leg, Mode, Outcome, Venue
from nexus_engine.sim.broker import NS_PER_MS
from nexus_engine.sim.direct import FEEDS, Direct, _bar

TICK_S = 0.2
MARK_EVERY = 2
BAR_EVERY = 5
HANG_S = 5.0
"""The adapter's own deadline for a request."""
DELAYED = 0.1
"""Of the failing orders, so many arrive after they were given up."""
RECEIVED_S = 4.5
"""The venue takes no request that is older than five seconds."""
REFUSALS = (
    (-1008, "Server is currently overloaded with other requests. Please try again in a few minutes."),
    (0, "Service Unavailable."),
    (-1000, "Internal error; unable to process your request. Please try again."),
    (-1021, "Timestamp for this request is outside of the recvWindow."),
)
_STRICT = Directive.model_validate({"strategies": {}})
LOOSE = Directive.model_validate(
    {
        "account": {"crash_boots": 1_000},
        "risk": {
            "day_loss_pct": 20,
            "day_loss_r": 50,
            "week_loss_r": 100,
            "account_exposure_pct": 60,
            "hold_ms": 3_000,
        },
        "shield": {
            "exit_pause_min": 0,
            "stops_window_min": 0,
            "low_trades": 0,
            "loss_streak": 30,
            "loss_streaks": {},
            "min_depth": 0,
        },
    }
)
"""Trades again at once, whatever the last ones came to and however often it dies: a world has seconds for it."""
DIRECTIVES = (LOOSE, LOOSE, LOOSE, _STRICT)
MARKET = (BookDelta, Trade, Mark)


class WallClock(VirtualClock):
    """The machine's: the wall jumps and drifts, the monotonic one does not."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.off_ns = 0

    def utc_ns(self) -> int:
        return super().utc_ns() + self.off_ns


class Net(Faulty):
    """A wire that also hangs, refuses in the venue's own words, goes silent, and loses its place in a book."""

    down = False
    """Nothing gets through to the venue."""
    mute = False
    """The account's stream says nothing; nobody notices."""
    deaf: frozenset[str] = frozenset()
    """Symbols whose market is silent."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.fresh: dict[str, list[float]] = {}
        """By symbol, when the book and the mark were last heard of."""
        self.broken: set[str] = set()
        """Symbols without a whole book."""
        self.shifted: Callable[[], int] = lambda: 0
        self.on_lost: Callable[[str], None] = lambda cid: None
        """Told of each exit that does not reach the venue at once, or at all."""

    def _deliver(self, sink: Sink, event: AnyEvent) -> None:
        if self.dead:
            return
        kind = type(event)
        if kind in MARKET or kind is BookSnapshot:
            symbol = event.symbol  # type: ignore[union-attr]
            if symbol in self.deaf:
                return
            if kind is BookDelta and symbol in self.broken:
                return
            if kind is not Trade:
                now_s = asyncio.get_running_loop().time()
                self.fresh.setdefault(symbol, [now_s, now_s])[kind is Mark] = now_s
            if kind is BookSnapshot:
                self.broken.discard(symbol)
        elif self.mute and kind in (OrderUpdate, AccountUpdate):
            return
        off_ns = self.shifted()
        if off_ns:
            event = replace(event, at_ns=event.at_ns + off_ns)
        super()._deliver(lambda event: _posted(sink, event), event)

    def lose_place(self, sink: Sink, symbol: str) -> None:
        """A gap in the book's updates: it is of no use until read anew."""
        if not self.dead:
            self.broken.add(symbol)
            at_ns, mono_ns = self._now()
            _posted(sink, BookInvalid(at_ns=at_ns, mono_ns=mono_ns, symbol=symbol, reason="gap"))

    def status(self, sink: Sink, feed: str, up: bool) -> None:
        if not self.dead:
            at_ns, mono_ns = self._now()
            _posted(sink, FeedStatus(at_ns=at_ns, mono_ns=mono_ns, venue=Venue.BINANCE, feed=feed, up=up, reason="cut"))

    async def submit(self, order: Order) -> SubmitResult:
        if self.dead or self.down or self._rng.random() >= self.rates.calls * DELAYED:
            return await super().submit(order)
        # given up while it is still on its way: it may yet arrive, as late as the venue takes it
        if order.leg is Leg.EXIT:
            self.on_lost(order.client_id)
        self.on_call("before")
        self.calls.append((asyncio.get_running_loop().time(), "submit", order.client_id))
        gone = asyncio.get_running_loop().create_task(self._arrive(order, self._rng.uniform(0.1, RECEIVED_S)))
        self._network.add(gone)
        gone.add_done_callback(self._network.discard)
        await asyncio.sleep(self._rng.uniform(0.05, 0.5))
        at_ns, mono_ns = self._now()
        return SubmitResult(at_ns=at_ns, mono_ns=mono_ns, client_id=order.client_id, outcome=Outcome.UNKNOWN)

    async def _arrive(self, order: Order, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await self.direct.submit(order)

    def _fate(self, call: str, cid: str, leg: Leg | None) -> Fault | None:
        fault = super()._fate(call, cid, leg)
        if fault is not None and leg is Leg.EXIT and fault.kind != STALE:
            self.on_lost(cid)
        return fault

    def _by_chance(self, call: str) -> Fault | None:
        rng = self._rng
        if self.down:
            return Fault(call=call, kind=LOST_BEFORE, delay_s=rng.uniform(0.01, HANG_S))
        if rng.random() >= self.rates.calls:
            return None
        kinds = [LOST_BEFORE, LOST_AFTER, SLOW, STALE]
        if call in ("submit", "cancel"):
            kinds.append(REFUSED)
        kind = rng.choice(kinds)
        hangs = kind in (LOST_BEFORE, LOST_AFTER) and rng.random() < 0.15
        code, text = rng.choice(REFUSALS)
        return Fault(call=call, kind=kind, delay_s=HANG_S if hangs else rng.uniform(0.05, 1.5), code=code, text=text)


def _posted(sink: Sink, event: AnyEvent) -> None:
    with contextlib.suppress(Killed):
        sink(event)


class Street(Direct):
    """The venue's streams as one life hears them; who moves the market is the world."""

    sink: Sink | None = None

    async def run(self, sink: Sink) -> None:
        self._begin(sink)
        self.sink = sink
        await asyncio.get_running_loop().create_future()

    def read_book(self, symbol: str) -> None:
        """Tell the whole book again."""
        if self.sink is None:
            return
        at, mono, market = self._clock.utc_ns(), self._clock.mono_ns(), self.practice.market
        self.practice.publish(symbol)
        update_id, book = self.practice.depth(symbol, 1_000)
        step = float(market.specs[symbol].step)
        self.sink(
            BookSnapshot(
                at_ns=at,
                mono_ns=mono,
                symbol=symbol,
                update_id=update_id,
                bids=tuple((ticks, lots * step) for ticks, lots in book.bids),
                asks=tuple((ticks, lots * step) for ticks, lots in book.asks),
                venue_ns=market.now_ns,
            )
        )

    def say(self, ticks: int, wanted: set[str]) -> None:
        """One publication. `wanted`: symbols whose bar is looked at now."""
        sink = self.sink
        if sink is None:
            return
        at, mono, market = self._clock.utc_ns(), self._clock.mono_ns(), self.practice.market
        for symbol, spec in market.specs.items():
            update = self.practice.publish(symbol)
            diff = update.diff
            tick, step = float(spec.tick), float(spec.step)
            if diff is not None:
                sink(
                    BookDelta(
                        at_ns=at,
                        mono_ns=mono,
                        symbol=symbol,
                        update_id=diff.last_id,
                        bids=tuple((ticks, lots * step) for ticks, lots in diff.bids),
                        asks=tuple((ticks, lots * step) for ticks, lots in diff.asks),
                        venue_ns=diff.at_ns,
                    )
                )
            for trade in update.aggregates:
                sink(
                    Trade(
                        at_ns=at,
                        mono_ns=mono,
                        symbol=symbol,
                        price=trade.price_ticks * tick,
                        qty=trade.lots * step,
                        buyer_is_maker=trade.buyer_is_maker,
                        venue_ns=trade.at_ns,
                    )
                )
            if ticks % MARK_EVERY == 0:
                self._mark(sink, symbol)
            if symbol in wanted or ticks % BAR_EVERY == 0:
                sink(_bar(market.forming(symbol, "1m"), symbol, "1m", at, mono, market.now_ns))
        self._tell_user(sink)

    def close(self, symbol: str) -> None:
        """The minute that forms is over."""
        if self.sink is not None:
            bar = _bar(
                self.practice.market.forming(symbol, "1m"), symbol, "1m", self._clock.utc_ns(), self._clock.mono_ns(),
                self.practice.market.now_ns,
            )  # fmt: skip
            self.sink(replace(bar, closed=True))


class Trace:
    """A hash over all that happened: every event, every effect, then the venue's books."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._encode = msgspec.msgpack.Encoder().encode
        self.events = 0
        self.on_effects: Callable[[Sequence[AnyEffect]], None] = lambda effects: None

    def event(self, event: AnyEvent) -> None:
        self.events += 1
        self._hash.update(self._encode(event))

    def effects(self, effects: Sequence[AnyEffect]) -> None:
        self._hash.update(self._encode(effects))
        self.on_effects(effects)

    def add(self, value: Any) -> None:
        self._hash.update(self._encode(value))

    def hex(self) -> str:
        return self._hash.hexdigest()


class Sim(World):
    """Build it inside a `KillingLoop`."""

    wire: Net

    def __init__(self, seed: int, *, swing: float, mode: Mode, directive: Directive) -> None:
        self.loop = loop = KillingLoop.current()
        self.true = VirtualClock(loop)
        self.wall = WallClock(loop)
        self.trace = Trace()
        self.found: list[str] = []
        self.on_tick: Callable[[], None] = lambda: None
        self.on_submit: Callable[[Any], None] = lambda order: None
        self.on_lost: Callable[[str], None] = lambda symbol: None
        """Told of each exit of a symbol that the wire kept from the venue."""
        self.ticks = 0
        self.kills = 0
        loop.set_exception_handler(self._failed)
        super().__init__(seed, mode=mode, swing=swing, directive=directive)
        self.venue.account.liquidation.check = lambda now_ms, market: None  # type: ignore[method-assign]
        self._market = loop.create_task(self._move())

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        # what a killed life had under way is dropped, as a kernel would; when the collector finds it is chance
        dropped = error is None and context["message"].startswith("Task was destroyed")
        if not (dropped or isinstance(error, Killed)):
            self.found.append(f"{self.s:.2f} s: {context['message']}: {error!r}")

    # ---- lives -------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        if not isinstance(self.journal, TornJournal):
            self.journal = TornJournal(Random(f"{self.seed}:disk"))
            self.clock = self.wall
        self.lives += 1
        self._count.clear()
        self.crashed.clear()
        self.loop.kill_at = -1
        self.loop.on_kill = self._die
        self.ledger = Ledger().fold(self.journal.facts())
        self.engine = Engine(self.directive, self.ledger)
        self.engine.cortex = self.wishes  # type: ignore[assignment]
        self.engine.intervals = self.wishes.intervals
        self.engine.warmup_bars = self.wishes.warmup_bars
        self.street = Street(self.venue, self.true, intervals=("1m",), warmup_bars=1)
        self.wire = wire = Net(self.street, self.clock, self.rng)
        wire.shifted = lambda: self.wall.off_ns
        wire.on_lost = lambda cid: self.on_lost(self.ledger.orders[cid].symbol)
        wire.calls, wire.rates = self.calls, self.rates
        wire.on_call = lambda when: self._pass(wire, "call", when)
        submit = wire.submit

        async def watched(order: Any) -> Any:
            if not wire.dead:
                self.on_submit(order)
            return await submit(order)

        wire.submit = watched  # type: ignore[method-assign]
        self.carrier = Carrier(
            self.engine,
            Writes(self.journal, lambda when: self._pass(wire, "commit", when)),
            {Venue.BINANCE: wire},
            self.clock,
            notify=lambda note: self.notes.append(f"{self.s:.2f} {note.level} {note.subject}: {note.text}"),
            recorder=self.trace,
            resync=lambda symbol, reason: self.street.read_book(symbol),
        )

    def start(self) -> "Sim":
        if self.wire.dead:
            self._build()
        at_ns, mono_ns = self.now()
        self._tasks = [self.loop.create_task(self.carrier.run())]
        started = Started(
            at_ns=at_ns,
            mono_ns=mono_ns,
            account="main",
            kind=self.kind,
            instance="test",
            epoch=self.journal.claim("main", self.kind),
            version="0",
            mode=self.mode,
        )
        try:
            self.carrier.post(started)
        except Killed:
            return self
        self._tasks.append(self.loop.create_task(self.wire.run(self.carrier.post)))
        return self

    def kill_within(self, callbacks: int) -> None:
        """This life ends before the callback that many from now."""
        self.loop.kill_at = self.loop.steps + callbacks

    def _die(self) -> None:
        """Between two callbacks. From here on nothing of this life has an effect."""
        self.wire.dead = True
        self.carrier._over = True
        self.crashed.set()

    async def kill(self) -> None:
        self.loop.kill_at = -1
        self._die()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.journal.crash()
        self.kills += 1

    async def end(self) -> None:
        self.loop.kill_at = -1
        self._die()
        for task in (*self._tasks, self._market):
            task.cancel()
        await asyncio.gather(*self._tasks, self._market, return_exceptions=True)

    # ---- the market --------------------------------------------------------------------------------------------------

    async def _move(self) -> None:
        dt_ns = int(TICK_S * 1e9)
        while True:
            await asyncio.sleep(TICK_S)
            self.ticks += 1
            self.venue.step(dt_ns, self.true.utc_ns())
            if self.wire.dead or self.street.sink is None:
                self.venue.take_events()
            else:
                self.street.say(self.ticks, {wish[0] for wish in self.wishes.queue})
            self.on_tick()

    def asked(self) -> list[Order]:
        """Orders whose fate is still being asked for."""
        return [order for order in self.ledger.alive() if self.engine.manager.asker.open(order)]

    def stop_lots(self, symbol: str, long: bool) -> Decimal:
        """The largest stop at the venue on the side that leaves such a position."""
        step = self.tape.specs[symbol].step
        return max(
            (algo.qty_lots * step for algo in self.stops(symbol) if algo.side_buy is not long and algo.status == "NEW"),
            default=Decimal(0),
        )

    @property
    def venue_ms(self) -> int:
        return self.true.utc_ns() // NS_PER_MS

    def fingerprint(self) -> str:
        """The hash of everything, venue's books included."""
        ledger = self.venue.account.ledger
        self.trace.add(self.journal.turns)
        self.trace.add(self.journal.torn)
        self.trace.add(self.calls)
        self.trace.add(ledger.fills)
        self.trace.add(list(ledger.orders.values()))
        self.trace.add(list(ledger.algos.values()))
        self.trace.add(ledger.wallet)
        self.trace.add(self.ledger.digest())
        return self.trace.hex()


__all__ = ["BTC", "FEEDS", "SOL", "HandTape", "Net", "Sim", "Street"]
