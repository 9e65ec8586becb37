"""Between the core and the venue of a backtest: what the carrier does live, in virtual time and without waiting.

Everything that is under way has an instant at which it arrives; nothing arrives in the moment in which it was sent.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from math import inf
from operator import itemgetter
from typing import Any, Final

from msgspec.structs import replace

from nexus_engine.core.engine import PULSE, Engine
from nexus_engine.lab.venue import BarVenue
from nexus_engine.model.effects import AnyEffect, Cancel, Query, Record, SetTimer, Snapshot, Submit
from nexus_engine.model.events import AnyEvent, CancelResult, SubmitResult, TimerFired
from nexus_engine.model.facts import AnyFact
from nexus_engine.model.orders import Order
from nexus_engine.model.words import Leg, Outcome
from nexus_engine.servos.manager import LOOK_TIMER
from nexus_engine.servos.protection import EXIT_TIMER, RETRY_TIMER
from nexus_engine.servos.reconcile import REGULAR_MS
from nexus_engine.servos.reconcile import TIMER as RECONCILE_TIMER
from nexus_engine.sim.broker import Answers
from nexus_engine.sim.orders import UserEvent

THERE_NS: Final = 150_000_000
BACK_NS: Final = 50_000_000
"""How long a request takes to the venue, and its answer back."""


class Clock:
    """The one clock of a backtest, for the wall's time and for durations."""

    def __init__(self, now_ns: int) -> None:
        self.now_ns = now_ns

    def utc_ns(self) -> int:
        return self.now_ns

    def mono_ns(self) -> int:
        return self.now_ns


class Wire:
    """Posts events to the engine and carries what it wants to the venue.

    `heard` is told of every fact, `traded` of what happened on the account, before its price moves on. The pulse is the
    caller's. The comparison once a minute and after an entry is left out, since no message is ever lost here. Nor is
    there a second exit at market every two seconds beside one that bars fill bit by bit, or another stop, which a price
    beyond it would refuse again and again: its end will be heard, and the stop that stands covers more.
    """

    def __init__(
        self,
        engine: Engine,
        venue: BarVenue,
        clock: Clock,
        heard: Callable[[AnyFact], None],
        traded: Callable[[list[UserEvent]], None],
    ) -> None:
        self.engine = engine
        self.venue = venue
        self.clock = clock
        self.market_open = True
        """False between the bars of a gap: requests wait for the next price."""
        self._answers = Answers(venue, clock)
        self._heard = heard
        self._traded = traded
        self._due: list[tuple[int, int, Callable[[Any], None], Any]] = []
        self._count = 0
        self._messages = 0
        """How many of what is due are messages, and not timers."""
        self._timers: dict[str, int] = {}
        self._door: list[tuple[Callable[[Any], None], Any]] = []
        self._around: deque[tuple[int, AnyEvent]] = deque()

    def hear(self, around: Iterable[tuple[int, AnyEvent]]) -> None:
        """What is heard of the world beside the symbol, each at its time. It keeps nobody awake: it must come when a
        bar is told anyway."""
        self._around = deque(sorted(around, key=itemgetter(0)))

    @property
    def busy(self) -> bool:
        """Something is under way."""
        return bool(self._due or self._door)

    @property
    def speaking(self) -> bool:
        """A message is under way, either way; timers may be running."""
        return bool(self._messages or self._door)

    @property
    def next_ns(self) -> float:
        """When the next thing arrives; infinite when nothing is under way."""
        due_ns = self._due[0][0] if self._due else inf
        return min(due_ns, self._around[0][0]) if self._around else due_ns

    def arrive(self) -> None:
        """Let the next thing arrive, now."""
        if self._around and (not self._due or self._around[0][0] < self._due[0][0]):
            now_ns = self.clock.now_ns
            self.engine.leap(now_ns, now_ns)
            self.post(self._around.popleft()[1])
            return
        _, _, act, what = heapq.heappop(self._due)
        if act != self._fire:
            self._messages -= 1
        act(what)

    def drop_spent(self) -> None:
        """Wait no longer for timers that will find nothing to do."""
        spent = [key for key in self._timers if self.engine.spent(key)]
        if spent:
            numbers = {self._timers.pop(key) for key in spent}
            self._due = [each for each in self._due if each[1] not in numbers]
            heapq.heapify(self._due)

    def post(self, event: AnyEvent) -> None:
        """Run the engine on an event, and carry what it wants."""
        effects = self.engine.on(event)
        if effects:
            self._carry(effects)

    def settle(self) -> None:
        """The account meets the price; what follows is told."""
        self.venue.settle(self.clock.now_ns)
        self.tell()

    def tell(self) -> None:
        """What happened on the account goes to the engine."""
        events = self.venue.take_events()
        if events:
            self._traded(events)
            self._at(BACK_NS, self._hear, events)

    def knock(self) -> None:
        """The market trades again: what waited for it arrives."""
        self.market_open = True
        door, self._door = self._door, []
        for act, what in door:
            act(what)

    # ---- out ---------------------------------------------------------------------------------------------------------

    def _carry(self, effects: list[AnyEffect]) -> None:
        for effect in effects:
            kind = type(effect)
            if kind is Record:
                self._heard(effect.fact)  # type: ignore[union-attr]
            elif kind is Submit:
                self._at(THERE_NS, self._submit, effect.order)  # type: ignore[union-attr]
            elif kind is Cancel:
                self._at(THERE_NS, self._cancel, effect)
            elif kind is Query:
                self._at(THERE_NS, self._query, effect)
            elif kind is Snapshot:
                self._at(THERE_NS, self._snapshot, None)
            elif kind is SetTimer:
                self._set_timer(effect)  # type: ignore[arg-type]

    def _at(self, after_ns: int, act: Callable[[Any], None], what: Any) -> None:
        self._messages += 1
        self._due_in(after_ns, act, what)

    def _due_in(self, after_ns: int, act: Callable[[Any], None], what: Any) -> None:
        self._count += 1
        heapq.heappush(self._due, (self.clock.now_ns + after_ns, self._count, act, what))

    def _submit(self, order: Order) -> None:
        if not self.market_open:
            self._door.append((self._submit, order))
            return
        result = self._answers.submitted(order)
        self.tell()
        self._at(BACK_NS, self._answer, result)

    def _cancel(self, cancel: Cancel) -> None:
        if self._withdrawn(cancel):
            return
        if not self.market_open:
            self._door.append((self._cancel, cancel))
            return
        result = self._answers.cancelled(cancel)
        self.tell()
        self._at(BACK_NS, self._answer, result)

    def _withdrawn(self, cancel: Cancel) -> bool:
        """An entry that is cancelled before the market took it never reaches it."""
        waiting = next(
            (
                at
                for at, (_, what) in enumerate(self._door)
                if isinstance(what, Order) and what.client_id == cancel.client_id and what.leg is Leg.ENTRY
            ),
            None,
        )
        if waiting is None:
            return False
        del self._door[waiting]
        at, cid = self.clock.now_ns, cancel.client_id
        refused = SubmitResult(at_ns=at, mono_ns=at, client_id=cid, outcome=Outcome.REFUSED, text="withdrawn")
        self._at(BACK_NS, self._answer, refused)
        self._at(BACK_NS, self._answer, CancelResult(at_ns=at, mono_ns=at, client_id=cid, outcome=Outcome.DONE))
        return True

    def _query(self, query: Query) -> None:
        self._at(BACK_NS, self._answer, self._answers.found(query))

    def _snapshot(self, _: None) -> None:
        self._at(BACK_NS, self._answer, self._answers.listed())

    # ---- in ----------------------------------------------------------------------------------------------------------

    def _hear(self, events: list[UserEvent]) -> None:
        for event in self._answers.told(events):
            self.post(event)

    def _answer(self, result: AnyEvent) -> None:
        now_ns = self.clock.now_ns
        self.post(replace(result, at_ns=now_ns, mono_ns=now_ns))

    def _set_timer(self, timer: SetTimer) -> None:
        key, now_ns = timer.key, self.clock.now_ns
        if key in (PULSE, LOOK_TIMER):
            return
        self._timers.pop(key, None)
        if key == RECONCILE_TIMER and timer.due_mono_ns - now_ns >= REGULAR_MS * 1_000_000:
            return
        self._due_in(max(0, timer.due_mono_ns - now_ns), self._fire, (key, self._count + 1))
        self._timers[key] = self._count

    def _fire(self, timer: tuple[str, int]) -> None:
        key, number = timer
        if self._timers.get(key) == number:
            del self._timers[key]
            if key.startswith((EXIT_TIMER, RETRY_TIMER)) and self.venue.leaves:
                return
            now_ns = self.clock.now_ns
            self.post(TimerFired(at_ns=now_ns, mono_ns=now_ns, key=key))
