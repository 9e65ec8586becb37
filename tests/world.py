"""A whole world on a virtual loop: practice venue, faulty wire, carrier, engine, journal. One seed, one world.

The venue and the journal outlive the engine: `kill` drops everything else, `start` folds the journal and goes on.
"""

import asyncio
import functools
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from decimal import Decimal
from random import Random
from typing import Any

from faulty import Faulty, Rates
from tape import HandTape
from virtual_loop import VirtualClock, run_virtual
from wishes import Wishes

from nexus_engine.carrier import Carrier
from nexus_engine.core.engine import Engine
from nexus_engine.model.commands import AnyCommand, Approve
from nexus_engine.model.config import AccountConfig, Directive, RiskConfig, ShieldConfig
from nexus_engine.model.effects import AnyEffect
from nexus_engine.model.events import AnyEvent, BarRow, History, Instruments, Started, Stopping, TimerFired, Trade
from nexus_engine.model.facts import AnyFact, Sealed
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.orders import ZERO, Order
from nexus_engine.model.positions import Position
from nexus_engine.model.proposals import Proposal
from nexus_engine.model.turn import Turn
from nexus_engine.model.words import AccountKind, Leg, Mode, Side, Venue
from nexus_engine.servos.reconcile import TIMER as RECONCILE_TIMER
from nexus_engine.sim.bars import MINUTE_NS
from nexus_engine.sim.direct import Direct
from nexus_engine.sim.orders import Algo, NewOrder
from nexus_engine.sim.orders import Order as VenueOrder
from nexus_engine.sim.venue import Venue as PracticeVenue
from nexus_engine.store.memory import MemoryJournal

SOL, BTC = "SOLUSDT", "BTCUSDT"
UNPAUSED = ShieldConfig(exit_pause_min=0, stops_window_min=0, low_trades=0, loss_streak=5, min_depth=0)
"""A trade that ended keeps nobody from the next one, unless a story is about that."""


class Killed(BaseException):
    """The process is gone. Not an Exception: nothing in the house may survive it."""


def _after_a_kill(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What the venue was just telling a life that ended is heard by nobody, and its traceback is of no use. asyncio
    would print it whenever the collector comes upon it, in the middle of another test.
    """
    if not isinstance(context.get("exception"), Killed):
        loop.default_exception_handler(context)


class Writes:
    """The journal as one life sees it: a test may end that life before or after any commit."""

    def __init__(self, journal: MemoryJournal, on_commit: Callable[[str], None]) -> None:
        self._journal = journal
        self._on_commit = on_commit

    def append(self, facts: Sequence[AnyFact]) -> Awaitable[None]:
        self._on_commit("before")
        future = self._journal.append(facts)
        self._on_commit("after")
        return future


class _Keeper:
    """The carrier's recorder: keeps the effects of all lives."""

    def __init__(self, kept: list[AnyEffect]) -> None:
        self._kept = kept

    def event(self, event: AnyEvent) -> None: ...

    def effects(self, effects: Sequence[AnyEffect]) -> None:
        self._kept.extend(effects)


def virtual(story: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Tell a test's story in virtual time."""

    @functools.wraps(story)
    def test(*args: Any, **kwargs: Any) -> None:
        run_virtual(story(*args, **kwargs))

    return test


def leg_of(cid: str) -> Leg | None:
    """What an order of ours is for; None for anybody else's."""
    if not cid.startswith("nx") or cid.count("-") != 2:
        return None
    return Leg(cid.rpartition("-")[2].strip("0123456789"))


class World:
    """Build it inside a virtual loop (`run_virtual`)."""

    def __init__(
        self,
        seed: int = 0,
        *,
        mode: Mode = Mode.PILOT,
        swing: float = 0.0,
        speed: float = 1.0,
        directive: Directive | None = None,
        tape: Any = None,
        kind: AccountKind = AccountKind.DEMO,
        attended: bool = False,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.clock = VirtualClock(loop)
        self.seed, self.mode, self.speed, self.kind = seed, mode, speed, kind
        self.attended = attended
        # a world may be killed as often as a test likes
        self.directive = directive or Directive(
            account=AccountConfig(crash_boots=1_000),
            shield=UNPAUSED,
            risk=RiskConfig(day_loss_r=50, week_loss_r=100),
        )
        self.tape = tape or HandTape(self.clock.utc_ns(), seed=seed, swing=swing)
        self.venue = PracticeVenue(self.tape)
        self.journal = MemoryJournal()
        self.rng = Random(f"{seed}:faults")
        self.notes: list[str] = []
        self.effects: list[AnyEffect] = []
        self.calls: list[tuple[float, str, str]] = []
        self.crashed = asyncio.Event()
        self.lives = 0
        self.kill_at: tuple[str, str, int] | None = None
        """("commit" or "call", "before" or "after", n): where this life ends."""
        self._tasks: list[asyncio.Task[None]] = []
        self._count: Counter[tuple[str, str]] = Counter()
        self.wishes = Wishes()
        self.rates = Rates()
        self._build()

    # ---- lives -------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.lives += 1
        self._count.clear()
        self.crashed.clear()
        self.ledger = Ledger().fold(self.journal.facts())
        self.engine = Engine(self.directive, self.ledger)
        if not hasattr(self.tape, "macro"):
            self.engine.cortex = self.wishes  # type: ignore[assignment]
            self.engine.intervals = self.wishes.intervals
            self.engine.warmup_bars = self.wishes.warmup_bars
        direct = Direct(
            self.venue,
            self.clock,
            intervals=self.engine.intervals,
            warmup_bars=self.engine.warmup_bars,
            speed=self.speed,
        )
        self.wire = Faulty(direct, self.clock, self.rng)
        self.wire.calls = self.calls
        self.wire.rates = self.rates
        wire = self.wire
        wire.on_call = lambda when: self._pass(wire, "call", when)
        journal = Writes(self.journal, lambda when: self._pass(wire, "commit", when))
        self.carrier = Carrier(
            self.engine,
            journal,
            {Venue.BINANCE: self.wire},
            self.clock,
            notify=lambda note: self.notes.append(f"{note.level} {note.subject}: {note.text}"),
            recorder=_Keeper(self.effects),
        )

    def start(self) -> "World":
        """Begin a life: the first one, or the next after `kill`."""
        if self.wire.dead:
            self._build()
        loop = asyncio.get_running_loop()
        if loop.get_exception_handler() is None:
            loop.set_exception_handler(_after_a_kill)
        at_ns, mono_ns = self.now()
        self._tasks = [loop.create_task(self.carrier.run())]
        try:
            self.carrier.post(
                Started(
                    at_ns=at_ns,
                    mono_ns=mono_ns,
                    account="main",
                    kind=self.kind,
                    instance="test",
                    epoch=self.journal.claim("main", self.kind),
                    version="0",
                    mode=self.mode,
                    attended=self.attended,
                )
            )
        except Killed:
            return self
        self._tasks.append(loop.create_task(self.wire.run(self.carrier.post)))
        return self

    async def kill(self) -> None:
        """kill -9: nothing gets to finish but what is on the wire already."""
        self.wire.dead = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.venue.take_events()

    async def stop(self) -> None:
        """Leave in order, then end."""
        at_ns, mono_ns = self.now()
        self.carrier.post(Stopping(at_ns=at_ns, mono_ns=mono_ns))
        await self.run(1.0)
        await self.kill()

    def _pass(self, wire: Faulty, what: str, when: str) -> None:
        if wire.dead:
            raise Killed
        self._count[what, when] += 1
        if self.kill_at == (what, when, self._count[what, when]):
            wire.dead = True
            self.crashed.set()
            raise Killed

    def passed(self, what: str, when: str) -> int:
        """How many commits or calls this life has had."""
        return self._count[what, when]

    # ---- time --------------------------------------------------------------------------------------------------------

    def now(self) -> tuple[int, int]:
        return self.clock.utc_ns(), self.clock.mono_ns()

    @property
    def s(self) -> float:
        return asyncio.get_running_loop().time()

    async def run(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def until(self, done: Callable[[], object], within_s: float = 30.0) -> float:
        """Run until it holds; returns how long that took. Fails when it does not hold in time."""
        begun_s = self.s
        while not done():
            assert self.s - begun_s < within_s, f"did not come about within {within_s} s\n" + "\n".join(
                self.notes[-30:]
            )
            await asyncio.sleep(0.01)
        return self.s - begun_s

    async def ready(self) -> "World":
        """Entries may leave."""
        await self.until(lambda: not self.blocked)
        return self

    # ---- acts --------------------------------------------------------------------------------------------------------

    def wish(self, symbol: str = SOL, side: Side = Side.BUY, **more: Any) -> None:
        self.wishes.queue.append((symbol, side, more))

    async def enter(self, symbol: str = SOL, side: Side = Side.BUY, **more: Any) -> Position:
        """Open a position and see it protected."""
        self.wish(symbol, side, **more)
        await self.until(lambda: self.covered(symbol))
        return self.ledger.positions[symbol]

    def command(self, command: AnyCommand, by: str = "you") -> str:
        try:
            self.carrier.command(command, by=by, surface="test")
        except Killed:
            return "killed"
        outcome = self.engine.notebook.outcome_of(by)
        return "" if outcome is None else outcome.text

    def approve(self, proposal: Proposal) -> str:
        return self.command(Approve(proposal=proposal.id, shown=proposal.shown))

    async def proposal(self, symbol: str = SOL, side: Side = Side.BUY, **more: Any) -> Proposal:
        """Have a card made."""
        self.wish(symbol, side, **more)
        await self.until(lambda: self.open_cards())
        return self.open_cards()[-1]

    def record(self, fact: AnyFact) -> None:
        """Make a fact so, as if something earlier had led to it."""
        self.ledger.apply(fact)
        self.journal.turns.append((fact,))

    def ask_account(self) -> None:
        """Have the account read now, as the engine would."""
        self.carrier.post(TimerFired(at_ns=self.now()[0], mono_ns=self.now()[1], key=RECONCILE_TIMER))

    def past_minutes(self, price: float, count: int = 20) -> tuple[BarRow, ...]:
        """Closed minutes up to now, all at one price."""
        first = self.tape.now_ns // MINUTE_NS * MINUTE_NS - count * MINUTE_NS
        return tuple(BarRow(first + at * MINUTE_NS, price, price, price, price, 1.0) for at in range(count))

    def tell_past(self, symbol: str, bars: tuple[BarRow, ...]) -> None:
        at_ns, mono_ns = self.now()
        self.carrier.post(
            Instruments(at_ns=at_ns, mono_ns=mono_ns, instruments=self.wire.direct.instruments()),
        )
        self.carrier.post(History(at_ns=at_ns, mono_ns=mono_ns, symbol=symbol, interval="1m", bars=bars))

    def tick(self, symbol: str, price: float, step: int) -> None:
        """A trade, `step` tenths of a second from now by the market's clock."""
        at_ns, mono_ns = self.now()
        self.carrier.post(
            Trade(
                at_ns=at_ns,
                mono_ns=mono_ns,
                symbol=symbol,
                price=price,
                qty=1.0,
                buyer_is_maker=True,
                venue_ns=self.tape.now_ns + step * 100_000_000,
            )
        )

    def by_hand(self, symbol: str, side: Side, qty: str, client_id: str = "web_1", price: str | None = None) -> None:
        """A person trades on the venue's own page."""
        self.venue.account.place(
            NewOrder(
                symbol=symbol,
                side=side.value,
                type="MARKET" if price is None else "LIMIT",
                quantity=Decimal(qty),
                price=None if price is None else Decimal(price),
                client_id=client_id,
            ),
            self.clock.utc_ns() // 1_000_000,
            self.venue,
        )

    # ---- looks -------------------------------------------------------------------------------------------------------

    @property
    def blocked(self) -> str:
        at_ns, mono_ns = self.now()
        turn = Turn(self.ledger, at_ns=at_ns, mono_ns=mono_ns, market_ns=self.engine.market.now_ns)
        return self.engine.blocked(turn)

    def open_cards(self) -> list[Proposal]:
        return [card for card in self.ledger.proposals.values() if card.status.open]

    def held(self, symbol: str = SOL) -> Decimal:
        """What the venue says."""
        return self.venue.account.position_state(symbol, self.venue).amount

    def ours(self, symbol: str = SOL) -> Decimal:
        """What we say."""
        position = self.ledger.positions.get(symbol)
        return ZERO if position is None else position.qty

    def resting(self, symbol: str = SOL) -> list[VenueOrder]:
        return [order for order in self.venue.account.resting.values() if order.symbol == symbol]

    def stops(self, symbol: str = SOL) -> list[Algo]:
        return [algo for algo in self.venue.account.conditionals.open.values() if algo.symbol == symbol]

    def stop_qty(self, symbol: str = SOL) -> list[Decimal]:
        return [algo.qty_lots * self.tape.specs[symbol].step for algo in self.stops(symbol)]

    def protected(self, symbol: str = SOL) -> bool:
        """The venue holds a stop of the right side and at least the size, or nothing needs one."""
        held = self.held(symbol)
        return not held or any(
            algo.status != "TRIGGERING"
            and algo.side_buy == (held < 0)
            and algo.reduce_only
            and algo.qty_lots * self.tape.specs[symbol].step >= abs(held)
            for algo in self.stops(symbol)
        )

    def covered(self, symbol: str = SOL) -> bool:
        """We hold something, and know its stop."""
        position = self.ledger.positions.get(symbol)
        return position is not None and position.naked_since_ns is None and self.protected(symbol)

    def sent(self, call: str = "submit", leg: Leg | None = None) -> list[str]:
        """Client ids of what left for the venue, over all lives."""
        return [cid for _, done, cid in self.calls if done == call and (leg is None or leg_of(cid) is leg)]

    def orders(self, leg: Leg) -> list[Order]:
        return [order for order in self.ledger.orders.values() if order.leg is leg]

    def said(self, text: str) -> bool:
        return any(text in note for note in self.notes)

    def converged(self) -> bool:
        """Venue and ledger say the same, and nothing of ours rests that the ledger does not know."""
        known = {order.client_id for order in self.ledger.alive()}
        there = [order.client_id for symbol in self.tape.symbols for order in self.resting(symbol)]
        there += [algo.client_id for symbol in self.tape.symbols for algo in self.stops(symbol)]
        foreign = self.ledger.foreign
        return all(
            self.held(symbol) == self.ours(symbol) + foreign.get(symbol, ZERO) for symbol in self.tape.symbols
        ) and known == {cid for cid in there if cid.startswith("nx")}

    def sealed(self) -> Iterator[tuple[str, str]]:
        """(digest in the journal, digest of the facts folded until there), for every seal."""
        ledger = Ledger()
        for fact in self.journal.facts():
            if isinstance(fact, Sealed):
                yield fact.digest, ledger.digest()
            ledger.apply(fact)
