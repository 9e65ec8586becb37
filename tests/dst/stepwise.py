"""The whole engine on the practice venue without a loop: one thing at a time, and nothing unless it is told to.

What the carrier promises is kept by hand: an entry leaves once its record stands or not at all, an exit after a quarter
of a second in any case, a cancel after what it must not overtake. All else may come late, twice, in any order or never.
"""

from collections.abc import Coroutine
from typing import Any, TypeVar

from faulty import LOST_AFTER, LOST_BEFORE, REFUSED
from msgspec.structs import replace
from sim import LOOSE, TICK_S, Sim, Street, Trace
from tape import HandTape
from virtual_loop import START_NS
from wishes import Wishes
from world import World

from nexus_engine.carrier import ENTRY_WAIT_S, EXIT_WAIT_S
from nexus_engine.core.engine import Engine
from nexus_engine.model.commands import AnyCommand
from nexus_engine.model.effects import AnyEffect, Cancel, Notify, Query, Record, Resync, SetTimer, Snapshot, Submit
from nexus_engine.model.events import (
    AnyEvent,
    BookDelta,
    BookInvalid,
    BookSnapshot,
    CancelResult,
    Commanded,
    FeedStatus,
    JournalFailed,
    Mark,
    QueryResult,
    Started,
    SubmitResult,
    TimerFired,
    VenueSnapshot,
)
from nexus_engine.model.facts import OrderIntended
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.orders import Order
from nexus_engine.model.turn import Turn
from nexus_engine.model.words import AccountKind, Leg, Mode, Outcome, Venue
from nexus_engine.servos.reconcile import TIMER as RECONCILE_TIMER
from nexus_engine.sim.orders import UserEvent
from nexus_engine.sim.venue import Venue as PracticeVenue
from nexus_engine.store.memory import MemoryJournal

ARRIVES, DELAYED = "arrives", "delayed"
HANG_S = 5.0
"""The adapter's own deadline for a request."""
RECEIVED_S = 4.5
"""The venue takes no request that is older than five seconds."""
_TICK_NS = int(TICK_S * 1e9)
_NS = 1_000_000_000

R = TypeVar("R")


def at_once(work: Coroutine[Any, Any, R]) -> R:
    """Run what never waits for anything but its turn."""
    while True:
        try:
            work.send(None)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


class Hands:
    """Both clocks of a machine, turned by hand."""

    def __init__(self) -> None:
        self.now_ns = _NS
        self.off_ns = 0

    def mono_ns(self) -> int:
        return self.now_ns

    def utc_ns(self) -> int:
        return START_NS + self.now_ns + self.off_ns


class VenueClock:
    """The same time, and nobody sets it."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands

    def mono_ns(self) -> int:
        return self._hands.now_ns

    def utc_ns(self) -> int:
        return START_NS + self._hands.now_ns


class Pages(MemoryJournal):
    """A journal whose commits stand when `stand` says so."""

    full_until_s = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.durable = 0
        self.slow = False
        self.written: set[str] = set()

    def stand(self) -> None:
        for turn in self.turns[self.durable :]:
            self.written.update(fact.order.client_id for fact in turn if type(fact) is OrderIntended)
        self.durable = len(self.turns)

    def crash(self, more: int) -> None:
        """The process is gone; so many of the commits that did not stand yet are there all the same."""
        del self.turns[self.durable + more :]
        self.stand()

    @property
    def whole(self) -> bool:
        return self.durable == len(self.turns)


class Line:
    """What the eyes ask of a wire."""

    dead = down = False

    def __init__(self) -> None:
        self.fresh: dict[str, list[float]] = {}
        self.broken: set[str] = set()


class Asked:
    """A request on its way."""

    def __init__(self, effect: Submit | Cancel | Query | Snapshot, at_s: float, turn: int) -> None:
        self.effect = effect
        self.at_s = at_s
        self.turn = turn
        """So many commits must stand before an entry leaves."""
        self.after: tuple[Asked, ...] = ()
        """What must have been answered before this one leaves."""
        self.left = self.heard = False
        self.answer: AnyEvent | None = None
        """It was there; this is on its way back."""

    @property
    def order(self) -> Order | None:
        return self.effect.order if isinstance(self.effect, Submit) else None

    def silence(self) -> AnyEvent:
        """Nobody answered."""
        effect = self.effect
        if isinstance(effect, Submit):
            return SubmitResult(at_ns=0, mono_ns=0, client_id=effect.order.client_id, outcome=Outcome.UNKNOWN)
        if isinstance(effect, Cancel):
            return CancelResult(at_ns=0, mono_ns=0, client_id=effect.client_id, outcome=Outcome.UNKNOWN)
        if isinstance(effect, Query):
            return QueryResult(at_ns=0, mono_ns=0, client_id=effect.client_id, outcome=Outcome.UNKNOWN)
        return VenueSnapshot(at_ns=0, mono_ns=0, venue=effect.venue, ok=False, reason="nobody answered")

    def refusal(self, code: int, text: str) -> AnyEvent:
        answer = self.silence()
        if isinstance(answer, SubmitResult | CancelResult):
            return replace(answer, outcome=Outcome.REFUSED, code=code, text=text)
        return answer


class ByHandStreet(Street):
    """The venue's streams; what the account's own says is put aside."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.heap: list[AnyEvent] = []

    def _tell_user(self, sink: Any) -> None:
        events: list[UserEvent] = self.practice.take_events()
        at_once(self._later(self.heap.append, events))


class Stepwise(World):
    """Stands where `Sim` does for the eyes of `watch.py`."""

    def __init__(self, *, mode: Mode, lots: int) -> None:
        self.clock = self.hands = Hands()
        self.true = VenueClock(self.hands)
        self.mode, self.kind, self.directive = mode, AccountKind.DEMO, LOOSE
        self.tape = HandTape(self.true.utc_ns())
        self.tape.lots = dict.fromkeys(self.tape.lots, lots)
        self.venue = PracticeVenue(self.tape)
        self.venue.account.liquidation.check = lambda now_ms, market: None  # type: ignore[method-assign]
        self.journal = Pages()
        self.trace = Trace()
        self.found: list[str] = []
        self.notes: list[str] = []
        self.on_tick = lambda: None
        self.on_submit = lambda order: None
        self.on_lost = lambda symbol: None
        self.on_heard = lambda event, asked: None
        self.on_turn = lambda event, effects: None
        self.on_life = lambda: None
        self.ticks = self.kills = 0
        self.refuse_stops = self.mute = False
        self.deaf: set[str] = set()
        self.late: list[Asked] = []
        self.sent: list[AnyEffect] = []
        """All that the engine ever wanted."""
        self._build()

    # ---- lives -------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.ledger = Ledger().fold(self.journal.facts())
        self.wishes = Wishes()
        self.engine = Engine(self.directive, self.ledger)
        self.engine.cortex = self.wishes  # type: ignore[assignment]
        self.engine.intervals, self.engine.warmup_bars = self.wishes.intervals, self.wishes.warmup_bars
        self.street = ByHandStreet(self.venue, self.true, intervals=("1m",), warmup_bars=1, latency_ms=0)
        self.wire = Line()  # type: ignore[assignment]
        self.asked_for: list[Asked] = []
        self.answers: list[Asked] = []
        self.stream: list[AnyEvent] = []
        self.timers: dict[str, int] = {}
        self._unsent: set[str] = set()
        self._waiting: list[AnyEvent] = []
        self._turning = False
        self._next_tick_ns = self.hands.now_ns + _TICK_NS
        self.refuse_stops = self.mute = False
        self.deaf.clear()

    def start(self) -> "Stepwise":
        at_ns, mono_ns = self.now()
        self.on_life()
        epoch = self.journal.claim("main", self.kind)
        self.post(
            Started(at_ns=at_ns, mono_ns=mono_ns, account="main", kind=self.kind, instance="test", epoch=epoch,
                    version="0", mode=self.mode)
        )  # fmt: skip
        self.street._begin(self._market)
        self.street.sink = self._market
        return self

    def die(self, more: int, *, arrive: bool) -> None:
        """The process ends. `more` commits stand that were not known to; what has left arrives, or does not."""
        for asked in [*self.able(), *self.late]:
            if arrive and asked.order is not None:
                self._there(asked)
        self.late.clear()
        self.venue.take_events()
        self.kills += 1
        self.journal.crash(min(more, len(self.journal.turns) - self.journal.durable))
        self._build()
        self.start()

    @property
    def s(self) -> float:
        return self.hands.now_ns / 1e9

    def asked(self) -> list[Order]:
        return [order for order in self.ledger.alive() if self.engine.manager.asker.open(order)]

    # ---- one event ---------------------------------------------------------------------------------------------------

    def post(self, event: AnyEvent) -> None:
        self._waiting.append(event)
        if self._turning:
            return
        self._turning = True
        try:
            while self._waiting:
                self._turn(self._waiting.pop(0))
        finally:
            self._turning = False
        self.leave()

    def command(self, command: AnyCommand, by: str = "you") -> str:
        at_ns, mono_ns = self.now()
        self.post(Commanded(at_ns=at_ns, mono_ns=mono_ns, command=command, by=by, surface="test"))
        told = self.engine.notebook.outcome_of(by)
        return "" if told is None else told.text

    def _turn(self, event: AnyEvent) -> None:
        effects = self.engine.on(event)
        self.trace.on_effects(effects)
        self.sent += effects
        facts = [effect.fact for effect in effects if type(effect) is Record]
        if facts:
            self.journal.turns.append(tuple(facts))
            if not self.journal.slow:
                self.journal.stand()
        for effect in effects:
            self._carry(effect)
        self.on_turn(event, effects)

    def _carry(self, effect: AnyEffect) -> None:
        kind = type(effect)
        if kind is SetTimer:
            self.timers[effect.key] = effect.due_mono_ns  # type: ignore[union-attr]
        elif kind is Submit:
            self._ask(effect)  # type: ignore[arg-type]
            if not effect.exit:  # type: ignore[union-attr]
                self._unsent.add(effect.order.client_id)  # type: ignore[union-attr]
        elif kind is Cancel:
            self._cancel(effect)  # type: ignore[arg-type]
        elif kind in (Query, Snapshot):
            self._ask(effect)  # type: ignore[arg-type]
        elif kind is Resync:
            self.street.read_book(effect.symbol)  # type: ignore[union-attr]
        elif kind is Notify:
            self.notes.append(f"{self.s:.2f} {effect.subject}: {effect.text}")  # type: ignore[union-attr]

    def _ask(self, effect: Submit | Cancel | Query | Snapshot, after: tuple[Asked, ...] = ()) -> None:
        asked = Asked(effect, self.s, len(self.journal.turns))
        asked.after = after
        self.asked_for.append(asked)

    def _cancel(self, effect: Cancel) -> None:
        cid = effect.client_id
        if cid in self._unsent:
            self._unsent.discard(cid)
            own = next(asked for asked in self.asked_for if asked.order and asked.order.client_id == cid)
            self.asked_for.remove(own)
            self._refuse(own, "withdrawn")
            self.post(self._stamped(CancelResult(at_ns=0, mono_ns=0, client_id=cid, outcome=Outcome.DONE)))
            return
        begun = [asked for asked in (*self.asked_for, *self.answers) if (order := asked.order) is not None and (
            order.client_id == cid or (effect.conditional and order.conditional and order.symbol == effect.symbol)
        )]  # fmt: skip
        self._ask(effect, tuple(begun))

    def _refuse(self, asked: Asked, text: str) -> None:
        """The carrier's own word."""
        answer = asked.refusal(0, text)
        self.on_heard(answer, asked)
        self.post(self._stamped(answer))

    def _stamped(self, event: AnyEvent) -> AnyEvent:
        at_ns, mono_ns = self.now()
        return replace(event, at_ns=at_ns, mono_ns=mono_ns)

    def leave(self) -> None:
        """What may leave, leaves."""
        for asked in list(self.asked_for):
            if asked.left or asked not in self.asked_for:
                continue
            effect, waited_s = asked.effect, self.s - asked.at_s
            stands = self.journal.durable >= asked.turn
            if isinstance(effect, Submit) and not effect.exit:
                if waited_s >= ENTRY_WAIT_S or not stands:
                    if waited_s >= ENTRY_WAIT_S:
                        self._unsent.discard(effect.order.client_id)
                        self.asked_for.remove(asked)
                        self._refuse(asked, "not recorded")
                    continue
                self._unsent.discard(effect.order.client_id)
            elif isinstance(effect, Submit | Cancel) and not stands and waited_s < EXIT_WAIT_S:
                continue
            if all(other.heard for other in asked.after):
                asked.left = True
                if asked.order is not None:
                    self.on_submit(asked.order)

    # ---- the wire ----------------------------------------------------------------------------------------------------

    def able(self) -> list[Asked]:
        """Requests that have left and are not there yet."""
        return [asked for asked in self.asked_for if asked.left]

    def arrive(self, asked: Asked, fate: str = ARRIVES) -> None:
        """A request gets there, or what else becomes of it."""
        order = asked.order
        self.asked_for.remove(asked)
        self.answers.append(asked)
        if order is not None and order.leg is Leg.STOP and self.refuse_stops:
            asked.answer = asked.refusal(-4120, "Algo.")
        elif fate == ARRIVES:
            asked.answer = self._there(asked)
        elif fate == LOST_AFTER:
            self._there(asked)
            asked.answer = asked.silence()
        elif fate == REFUSED:
            asked.answer = asked.refusal(-1008, "Server is currently overloaded.")
        else:
            assert fate in (LOST_BEFORE, DELAYED)
            asked.answer = asked.silence()
            if fate == DELAYED and order is not None:
                self.late.append(asked)

    def arrive_late(self, asked: Asked) -> None:
        self.late.remove(asked)
        self._there(asked)

    def _there(self, asked: Asked) -> AnyEvent:
        effect, street = asked.effect, self.street
        answer: AnyEvent
        if isinstance(effect, Submit):
            answer = at_once(street.submit(effect.order))
        elif isinstance(effect, Cancel):
            answer = at_once(street.cancel(effect))
        elif isinstance(effect, Query):
            answer = at_once(street.query(effect))
        else:
            answer = at_once(street.snapshot())
        self.user()
        return answer

    def user(self) -> None:
        """What the account's stream says from now on."""
        self.street._tell_user(None)
        if not self.mute:
            self.stream += self.street.heap
        self.street.heap.clear()

    def hear(self, which: int, *, twice: bool = False) -> None:
        """One of what is on its way back, or of what the stream says, comes in. The stream may say it again."""
        if which < len(self.answers):
            asked = self.answers.pop(which)
            asked.heard = True
            assert asked.answer is not None
            self.on_heard(asked.answer, asked)
            self.post(self._stamped(asked.answer))
        else:
            event = self.stream[which - len(self.answers)] if twice else self.stream.pop(which - len(self.answers))
            self.on_heard(event, None)
            self.post(self._stamped(event))

    def settle(self) -> None:
        """All that is under way gets there and back, at once and in order."""
        for _ in range(400):
            self.leave()
            if self.answers or self.stream:
                self.hear(0)
            elif able := self.able():
                self.arrive(able[0])
            else:
                return
        raise AssertionError("it never comes to rest")

    # ---- time --------------------------------------------------------------------------------------------------------

    def wait(self, seconds: float, *, smoothly: bool = False) -> None:
        """Timers fire and the market goes on. `smoothly`: the venue answers too."""
        until_ns = self.hands.now_ns + round(seconds * _NS)
        while self.hands.now_ns < until_ns:
            due_ns = min((*self.timers.values(), self._next_tick_ns, until_ns))
            self.hands.now_ns = max(self.hands.now_ns, due_ns)
            self._fire()
            if self.hands.now_ns >= self._next_tick_ns:
                self._tick()
            self._overdue()
            self.leave()
            if smoothly:
                self.settle()

    def stand_still(self, seconds: float) -> None:
        """The process is stopped; the world is not."""
        span_ns = round(seconds * _NS)
        self.hands.now_ns += span_ns
        self.venue.advance(span_ns, self.true.utc_ns())
        self.user()
        self._next_tick_ns = self.hands.now_ns + _TICK_NS

    def _fire(self) -> None:
        while self.timers:
            key = min(self.timers, key=self.timers.__getitem__)
            if self.timers[key] > self.hands.now_ns:
                return
            del self.timers[key]
            at_ns, mono_ns = self.now()
            self.post(TimerFired(at_ns=at_ns, mono_ns=mono_ns, key=key))

    def _tick(self) -> None:
        self._next_tick_ns = self.hands.now_ns + _TICK_NS
        self.ticks += 1
        self.venue.step(_TICK_NS, self.true.utc_ns())
        self.street.say(self.ticks, {wish[0] for wish in self.wishes.queue})
        self.user()
        self.on_tick()

    def _overdue(self) -> None:
        """The adapter gives up what takes too long; the venue takes nothing that old."""
        self.late = [asked for asked in self.late if self.s - asked.at_s < RECEIVED_S]
        for asked in [asked for asked in self.asked_for if asked.left and self.s - asked.at_s >= HANG_S]:
            self.asked_for.remove(asked)
            asked.answer = asked.silence()
            self.answers.insert(0, asked)
        for asked in [asked for asked in self.answers if self.s - asked.at_s >= HANG_S]:
            asked.answer = asked.silence()
            self.hear(self.answers.index(asked))

    # ---- the market --------------------------------------------------------------------------------------------------

    def _market(self, event: AnyEvent) -> None:
        kind, symbol = type(event), getattr(event, "symbol", "")
        if symbol in self.deaf or (kind is BookDelta and symbol in self.wire.broken):
            return
        if kind in (BookDelta, BookSnapshot, Mark):
            self.wire.fresh.setdefault(symbol, [self.s, self.s])[kind is Mark] = self.s
        if kind is BookSnapshot:
            self.wire.broken.discard(symbol)
        self.post(self._stamped(event))

    def lose_place(self, symbol: str) -> None:
        self.wire.broken.add(symbol)
        at_ns, mono_ns = self.now()
        self.post(BookInvalid(at_ns=at_ns, mono_ns=mono_ns, symbol=symbol, reason="gap"))

    def feed(self, up: bool) -> None:
        """The account's stream ends, or is back."""
        self.mute = not up
        at_ns, mono_ns = self.now()
        self.post(FeedStatus(at_ns=at_ns, mono_ns=mono_ns, venue=Venue.BINANCE, feed="user", up=up, reason="cut"))

    def disk(self, *, slow: bool) -> None:
        """Commits do not stand from now on, or all of them at once."""
        self.journal.slow = slow
        if not slow:
            self.journal.stand()
            self.leave()

    def journal_failed(self) -> None:
        at_ns, mono_ns = self.now()
        self.post(JournalFailed(at_ns=at_ns, mono_ns=mono_ns, reason="disk full"))

    stop_lots = Sim.stop_lots

    @property
    def venue_ms(self) -> int:
        return self.true.utc_ns() // 1_000_000

    def turn(self) -> Turn:
        at_ns, mono_ns = self.now()
        return Turn(self.ledger, at_ns=at_ns, mono_ns=mono_ns, market_ns=self.engine.market.now_ns)

    def told(self) -> str:
        return "\n".join((*self.notes[-40:], *self.found))

    def ask_account(self) -> None:
        at_ns, mono_ns = self.now()
        self.post(TimerFired(at_ns=at_ns, mono_ns=mono_ns, key=RECONCILE_TIMER))
