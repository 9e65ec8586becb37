"""A stage for a crash: the practice venue served on loopback, and the real adapter, engine, carrier and journal on it.

Longs and shorts are opened first, on different symbols; then the tape is played, and a witness writes down what the
Sentinel does with them. Everything lives in a temporary folder and ends with the play.
"""

import asyncio
import contextlib
import gc
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

import nexus_engine
from nexus_engine.carrier import Carrier
from nexus_engine.core.engine import Engine
from nexus_engine.lab.bars import utc
from nexus_engine.lab.house import HOST, Bill, House
from nexus_engine.lab.scan import Trip, trip_of
from nexus_engine.model.config import Directive, ShieldConfig
from nexus_engine.model.effects import AnyEffect, Record
from nexus_engine.model.events import AnyEvent, Bar, BarRow, Started, TimerFired
from nexus_engine.model.facts import SWAN_ALERT, SWAN_LOCK, Filled, GuardTripped, OrderIntended
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.orders import Order
from nexus_engine.model.secret import Secret
from nexus_engine.model.signals import Quote, RegimeView, Signal
from nexus_engine.model.verdicts import Verdict
from nexus_engine.model.words import AccountKind, Leg, Mode, Regime, Side, Venue
from nexus_engine.runtime.clock import SystemClock
from nexus_engine.servos.reconcile import TIMER as RECONCILE_TIMER
from nexus_engine.sim.faults import Fault
from nexus_engine.sim.played import Ticks
from nexus_engine.store.sqlite import SqliteJournal
from nexus_engine.uplink.binance.broker import BinanceBroker
from nexus_engine.uplink.binance.feed import BinanceFeed
from nexus_engine.uplink.binance.rest import BinanceRest
from nexus_engine.uplink.binance.settings import BinanceSettings

CALM_SPEED: Final = 5.0
"""While the positions are opened."""
SWITCH_S: Final = 0.0001
OPEN_S: Final = 30.0
CLOSE_S: Final = 20.0
STOP_SHARE: Final = 0.25
"""Where the stops lie, a fraction of the price: far enough that the Sentinel acts first."""
WISH_NS: Final = 20_000_000_000
"""Who holds nothing of a symbol wishes for it this often, also while longs are locked."""

_REGIME: Final = RegimeView(regime=Regime.RANGE, confidence=1.0)


class Wishes:
    """A cortex that wants one position on each symbol, for ever."""

    intervals = ("1m",)
    warmup_bars = 61
    leverage: int | None = None
    names: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __init__(self, sides: Mapping[str, Side], ledger: Ledger) -> None:
        self.counters: Counter[str] = Counter()
        self._sides, self._ledger = sides, ledger
        self._asked: dict[str, int] = {}
        self.awake = True

    def bar(self, bar: Bar, quote: Quote, context: object = None) -> Iterable[Signal]:
        side = self._sides.get(bar.symbol)
        due = bar.venue_ns - self._asked.get(bar.symbol, 0) >= WISH_NS
        if not (self.awake and side and due and quote.valid) or bar.symbol in self._ledger.positions:
            return ()
        self._asked[bar.symbol] = bar.venue_ns
        price = quote.ask if side is Side.BUY else quote.bid
        return (
            Signal(
                symbol=bar.symbol,
                # One of its own each, so that no streak of losses stands in the way of the next round.
                strategy=f"drill {bar.symbol}",
                side=side,
                price=price,
                limit=price * (1 + side.sign * 0.004),
                stop_distance=price * STOP_SHARE,
                target=None,
                reasons=("the drill wants a position",),
                regime=_REGIME,
                risk_pct=0.3,
                leverage=3,
                market_ns=bar.venue_ns,
            ),
        )

    def leave(self, name: str, interval: str, bar: object, held: object) -> None:
        """It leaves nothing by itself: what it holds is there for the black swan."""

    def history(self, symbol: str, interval: str, rows: Sequence[BarRow]) -> None: ...

    def regime(self, symbol: str) -> RegimeView:
        return _REGIME

    def needs_history(self) -> list[tuple[str, str]]:
        return []


class Exit(msgspec.Struct):
    """What became of one long after a trip. Times are real milliseconds after the engine's turn that tripped."""

    symbol: str
    qty: str
    sent_ms: float | None = None
    """The first request for its exit was at the venue."""
    filled_ms: float | None = None
    """The fill that closed it was known here."""
    price: str = ""
    attempts: int = 0


class Act(msgspec.Struct):
    """One trip on the stage."""

    trip: Trip
    verdict: Verdict
    longs: dict[str, Exit]
    shorts: dict[str, str]
    at_s: float
    further: list[Trip] = []


class Played(msgspec.Struct):
    acts: list[Act]
    alerts: int
    longs_opened_while_tripped: int
    shorts_touched: int
    opened: tuple[int, int]
    """Longs and shorts that were held when the tape began."""
    notes: list[str]
    struck: int = 0
    """How often the venue did wrong as it was asked to."""

    @property
    def longs_open(self) -> int:
        return sum(len(act.longs) for act in self.acts)

    @property
    def longs_closed(self) -> int:
        return sum(one.filled_ms is not None for act in self.acts for one in act.longs.values())

    @property
    def exit_ms(self) -> list[float]:
        return [one.sent_ms for act in self.acts for one in act.longs.values() if one.sent_ms is not None]


class Witness:
    """Sees what goes into the engine and what comes out, and each request that reaches the venue."""

    def __init__(self, engine: Engine, tripped: Callable[[], None] = lambda: None) -> None:
        self._engine, self._told = engine, tripped
        self.acts: list[Act] = []
        self.alerts = 0
        self.long_entries: dict[str, bool] = {}
        """Entries of longs by client id: whether they were intended while longs were locked."""
        self.opened_while_tripped = 0
        self.shorts_touched: set[str] = set()
        self._exits: dict[str, Exit] = {}
        self._turn_s = 0.0

    def event(self, event: AnyEvent) -> None:
        self._turn_s = time.monotonic()

    def effects(self, effects: Sequence[AnyEffect]) -> None:
        for effect in effects:
            if type(effect) is Record:
                fact = effect.fact
                if isinstance(fact, GuardTripped):
                    self._tripped(fact)
                elif isinstance(fact, OrderIntended):
                    self._intended(fact.order)
                elif isinstance(fact, Filled):
                    self._filled(fact)

    def request(self, cid: str, at_s: float) -> None:
        """The request for an order was at the venue then."""
        found = self._exits.get(cid)
        if found is not None:
            found.attempts += 1
            if found.sent_ms is None:
                found.sent_ms = (at_s - self.acts[-1].at_s) * 1e3
        if self.long_entries.get(cid):
            self.opened_while_tripped += 1

    def _tripped(self, fact: GuardTripped) -> None:
        if fact.verdict.guard == SWAN_ALERT:
            self.alerts += 1
        if fact.verdict.guard != SWAN_LOCK:
            return
        trip = trip_of(fact, self._engine.market.now_ns)
        if not trip.window_s:
            if self.acts:
                self.acts[-1].further.append(trip)
            return
        positions = self._engine.ledger.positions.values()
        self.acts.append(
            Act(
                trip=trip,
                verdict=fact.verdict,
                longs={one.symbol: Exit(symbol=one.symbol, qty=str(one.qty)) for one in positions if one.qty > 0},
                shorts={one.symbol: str(one.qty) for one in positions if one.qty < 0},
                at_s=self._turn_s,
            )
        )
        self._told()

    def _intended(self, order: Order) -> None:
        if order.leg is Leg.ENTRY and order.side is Side.BUY:
            lock = self._engine.ledger.locks.get(SWAN_LOCK)
            self.long_entries[order.client_id] = lock is not None and lock.until_ns > self._engine.market.now_ns
        if order.leg is not Leg.EXIT or not self.acts:
            return
        act = self.acts[-1]
        if order.symbol in act.longs:
            self._exits[order.client_id] = act.longs[order.symbol]
        elif order.symbol in act.shorts:
            self.shorts_touched.add(order.symbol)

    def _filled(self, fact: Filled) -> None:
        if not self.acts:
            return
        fill, act = fact.fill, self.acts[-1]
        done = act.longs.get(fill.symbol)
        if done is not None and done.filled_ms is None and fill.symbol not in self._engine.ledger.positions:
            done.filled_ms, done.price = (self._turn_s - act.at_s) * 1e3, str(fill.price)

    def shorts_changed(self) -> int:
        """Shorts that are not what they were at the last trip, by our own hand."""
        if self.acts:
            held, ledger = self.acts[-1].shorts, self._engine.ledger
            for symbol, qty in held.items():
                position = ledger.positions.get(symbol)
                stopped = any(
                    order.filled and order.leg in (Leg.STOP, Leg.TARGET) and order.symbol == symbol
                    for order in ledger.orders.values()
                )
                if (position is None or str(position.qty) != qty) and not stopped:
                    self.shorts_touched.add(symbol)
        return len(self.shorts_touched)


def directive_for(shield: ShieldConfig, symbols: Sequence[str]) -> Directive:
    """A house with room for all the positions; its Shield is the given one."""
    plain = Directive()
    risk = plain.risk.model_copy(
        update={
            "open_risk_pct": 10.0,
            "symbol_exposure_pct": 200.0,
            "account_exposure_pct": 1000.0,
            "side_exposure_pct": 1000.0,
            "group_risk_pct": 10.0,
            "max_positions": 100,
            "liquidation_stops": 1.0,
            "day_loss_pct": 20.0,
            "day_loss_r": 50.0,
            "week_loss_r": 100.0,
            "day_drawdown_pct": 50.0,
            "peak_drawdown_pct": 80.0,
        }
    )
    # what pauses after losses would keep the next round's positions away: a drill is about the fall alone
    shield = shield.model_copy(
        update={
            "exit_pause_min": 0,
            "stops_window_min": 0,
            "low_trades": 0,
            "max_funding_bp": 100.0,
            "funding_quiet_s": 0,
            "orders_a_minute": 200,
            "rejects_in_row": 50,
        }
    )
    return plain.model_copy(
        update={
            "account": plain.account.model_copy(update={"mode": Mode.PILOT}),
            "risk": risk,
            "shield": shield,
            "binance": plain.binance.model_copy(update={"symbols": tuple(symbols)}),
        }
    )


class Stage:
    """`async with` it, then `play`."""

    def __init__(
        self,
        tape: Mapping[str, Ticks],
        start_ns: int,
        *,
        shield: ShieldConfig,
        sides: Mapping[str, Side],
        speed: float,
        faults: Iterable[Fault] = (),
        open_s: float = OPEN_S,
    ) -> None:
        self._open_s = open_s
        self._paced = 0.0
        self._speed, self._sides = speed, sides
        # What shall go wrong counts from the moment at which the tape begins.
        late = tuple(msgspec.structs.replace(fault, at_s=fault.at_s or 0.001) for fault in faults)
        self._key, self._secret = secrets.token_hex(32), secrets.token_hex(32)
        bill = Bill(dict(tape), start_ns, late, self._key, self._secret)
        self._house = House(bill, lambda cid, at_s: self.witness.request(cid, at_s))
        self._folder = tempfile.TemporaryDirectory(prefix="nexus-drill-")
        self._directive = directive_for(shield, tuple(tape))
        self._clock = SystemClock()
        self._tasks: list[asyncio.Task[Any]] = []
        self._closing = contextlib.AsyncExitStack()
        self.notes: list[str] = []

    async def __aenter__(self) -> "Stage":
        async with self._closing:
            self._closing.callback(self._folder.cleanup)
            self._closing.push_async_callback(self._house.close)
            await self._house.open(min(CALM_SPEED, self._speed))
            self._closing.push_async_callback(self._stop)
            await self._connect()
            self._closing = self._closing.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()
        await self._closing.aclose()

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connect(self) -> None:
        ledger = Ledger()
        self.engine = engine = Engine(self._directive, ledger)
        self.wishes = Wishes(self._sides, ledger)
        engine.cortex = self.wishes  # type: ignore[assignment]
        engine.intervals, engine.warmup_bars = self.wishes.intervals, self.wishes.warmup_bars
        settings = BinanceSettings(
            rest_url=f"http://{HOST}:{self._house.port}",
            ws_url=f"ws://{HOST}:{self._house.port}",
            api_key=Secret(self._key),
            api_secret=Secret(self._secret),
            symbols=self._directive.binance.symbols,
            intervals=engine.intervals,
            warmup_bars=engine.warmup_bars,
            leverage=self._directive.risk.leverage,
            swan_symbol=self._directive.shield.swan_symbol,
        )
        rest = BinanceRest(settings, self._clock)
        await rest.open()
        self._closing.push_async_callback(rest.close)
        broker, feed = BinanceBroker(rest), BinanceFeed(rest, random.Random(1))
        journal = SqliteJournal.open(Path(self._folder.name) / "journal.db")
        self._closing.callback(journal.close)
        self.witness = Witness(engine, lambda: self._pace(CALM_SPEED))
        self.carrier = carrier = Carrier(
            engine,
            journal,
            {Venue.BINANCE: broker},
            self._clock,
            recorder=self.witness,
            notify=lambda note: self.notes.append(f"{note.level} {note.subject}: {note.text}"),
            resync=feed.resync,
        )
        self._hold(carrier.run())
        carrier.post(
            Started(
                at_ns=self._clock.utc_ns(),
                mono_ns=self._clock.mono_ns(),
                account="drill",
                kind=AccountKind.DEMO,
                instance=journal.instance,
                epoch=journal.claim("drill", AccountKind.DEMO),
                version=nexus_engine.__version__,
                mode=Mode.PILOT,
            )
        )
        await broker.introduce(carrier.post)
        self._hold(feed.run(carrier.post))
        carrier.post(TimerFired(at_ns=self._clock.utc_ns(), mono_ns=self._clock.mono_ns(), key=RECONCILE_TIMER))
        await carrier.answered()
        await broker.prepare(carrier.post)

    def _hold(self, work: Any) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def open(self) -> tuple[int, int]:
        """Wait until every position is held and has its stop. Returns how many longs and shorts are."""
        ledger = self.engine.ledger

        def ready() -> bool:
            held = ledger.positions
            return len(held) == len(self._sides) and all(one.naked_since_ns is None for one in held.values())

        await self._until(ready, self._open_s)
        held = list(ledger.positions.values())
        return sum(one.qty > 0 for one in held), sum(one.qty < 0 for one in held)

    async def play(self, end_ns: int, progress: Callable[[int], None] = lambda at_ns: None) -> Played:
        """Open, play the tape up to `end_ns` of market time, and wait for what is still under way."""
        opened = await self.open()
        self._settle()
        self._house.begin()
        self._pace(self._speed)
        while self._house.now_ns < end_ns:
            await asyncio.sleep(0.05)
            self._fail()
            progress(self._house.now_ns)
            if not self._leaving():
                self._pace(self._speed)
        self.wishes.awake = False
        witness = self.witness
        if witness.acts:
            await self._until(lambda: not self._leaving(), CLOSE_S)
        return Played(
            acts=witness.acts,
            alerts=witness.alerts,
            longs_opened_while_tripped=witness.opened_while_tripped,
            shorts_touched=witness.shorts_changed(),
            opened=opened,
            notes=self.notes,
            struck=self._house.struck,
        )

    def _settle(self) -> None:
        """As the runtime does once an account has started: short pauses of the collector, quick threads."""
        self._closing.callback(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(SWITCH_S)
        gc.collect()
        gc.freeze()
        self._closing.callback(gc.unfreeze)

    def _pace(self, speed: float) -> None:
        """While longs leave, time is the real one's: a fast tape would only take the core from them."""
        if (speed := min(speed, self._speed)) != self._paced:
            self._paced = speed
            self._house.pace(speed)

    def _leaving(self) -> bool:
        """A long of the last trip is not closed yet."""
        acts = self.witness.acts
        return bool(acts) and any(one.filled_ms is None for one in acts[-1].longs.values())

    def _fail(self) -> None:
        self._house.check()
        for task in self._tasks:
            if task.done():
                task.result()
                raise RuntimeError("a part of the stage has ended")

    async def _until(self, done: Callable[[], bool], within_s: float) -> None:
        deadline_s = time.monotonic() + within_s
        while not done() and time.monotonic() < deadline_s:
            self._fail()
            await asyncio.sleep(0.02)


def evidence_of(act: Act) -> dict[str, Any]:
    """A trip as a drill tells it: what it saw, what it sent, when that was confirmed."""
    return {
        **act.trip.told(),
        "reason": act.verdict.reason,
        "filter": {reading.name: reading.value for reading in act.verdict.inputs},
        "ticks": [[utc(at_ns), price] for at_ns, price in act.trip.evidence],
        "exits": [
            {
                "symbol": one.symbol,
                "qty": one.qty,
                "sent_ms": None if one.sent_ms is None else round(one.sent_ms, 2),
                "attempts": one.attempts,
                "confirmed_ms": None if one.filled_ms is None else round(one.filled_ms, 2),
                "price": one.price,
            }
            for one in act.longs.values()
        ],
        "shorts": act.shorts,
        "further": [trip.told() for trip in act.further],
    }
