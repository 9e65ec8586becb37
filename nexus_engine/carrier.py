"""Carries out what the engine wants: journal first, then the broker. The only caller of a broker.

Async, threadless, on ports alone, so it runs the same on a virtual loop. One carrier belongs to one loop, and all of
its methods are called on that loop.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

from nexus_engine.model.commands import AnyCommand, Halt
from nexus_engine.model.effects import AnyEffect, Cancel, Notify, Query, Record, Resync, SetTimer, Snapshot, Submit
from nexus_engine.model.events import (
    AnyEvent,
    CancelResult,
    Commanded,
    Instruments,
    JournalFailed,
    QueryResult,
    SubmitResult,
    TimerFired,
    VenueSnapshot,
)
from nexus_engine.model.facts import AnyFact, Noted
from nexus_engine.model.orders import Order
from nexus_engine.model.ports import Broker, Clock, Journal, JournalError
from nexus_engine.model.words import Level, Outcome, Venue

log = logging.getLogger(__name__)

EXIT_WAIT_S: Final = 0.25
"""An exit, a stop or a cancel leaves without its record after this."""
ENTRY_WAIT_S: Final = 1.0
"""An entry whose record takes longer is dropped: by then its price is old."""
_BUGS: Final = 3
_BUGS_WITHIN_NS: Final = 60_000_000_000

R = TypeVar("R")


class Core(Protocol):
    """The engine: one event in, effects out."""

    def on(self, event: AnyEvent) -> Sequence[AnyEffect]: ...


class Tape(Protocol):
    """What writes down the engine's input, so that a run can be replayed."""

    def event(self, event: AnyEvent) -> None: ...

    def effects(self, effects: Sequence[AnyEffect]) -> None: ...


class Carrier:
    """Runs the engine on each event and carries its effects.

    What leaves for a venue:
    - the facts of one event are one commit, handed to the journal before anything of that event leaves;
    - an entry leaves when its record is durable, or not at all; an exit leaves after EXIT_WAIT_S in any case;
    - an entry that is cancelled before it has left never leaves;
    - a cancel leaves after its order's own submit has been answered, so that what is on its way is not cancelled before
      the venue has it; a stop's also after the stops of its symbol that were begun before it, so that a new stop is
      known before the old one goes.
    """

    def __init__(
        self,
        engine: Core,
        journal: Journal,
        brokers: Mapping[Venue, Broker],
        clock: Clock,
        *,
        recorder: Tape | None = None,
        notify: Callable[[Notify], None] | None = None,
        resync: Callable[[str, str], None] | None = None,
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._brokers = brokers
        self._home = next(iter(brokers))
        self._venues: dict[str, Venue] = {}
        self._clock = clock
        self._recorder = recorder
        self._notify = notify
        self._resync_book = resync
        self._waiting: deque[AnyEvent] = deque()
        self._turning = False
        self._durable: asyncio.Future[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._submitting: dict[asyncio.Task[None], Order] = {}
        self._unsent: set[str] = set()
        """Entries that wait for their record: these may still be withdrawn."""
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._bugs: deque[int] = deque(maxlen=_BUGS)
        self._over = False
        self.entries = True
        """False: entries are answered with a refusal. The account is being closed."""
        self.journal_problem = ""
        """Why the last records are not durable; empty when they are."""
        self._failing = False
        self.posted = 0
        """Events so far."""
        self._carry: Final[dict[type, Callable[[Any], object]]] = {
            Submit: self._submit,
            Cancel: self._cancel,
            Query: self._query,
            Snapshot: self._snapshot,
            Resync: self._resync,
            Notify: self._tell,
            SetTimer: self._set_timer,
        }

    # ---- in ----------------------------------------------------------------------------------------------------------

    def post(self, event: AnyEvent) -> None:
        """Run the engine on an event, now; or after the one it is busy with. Never fails, never blocks."""
        self._waiting.append(event)
        if self._turning:
            return
        self._turning = True
        try:
            while self._waiting and not self._over:
                self._turn(self._waiting.popleft())
        finally:
            self._turning = False

    def command(self, command: AnyCommand, *, by: str, surface: str) -> None:
        """Post what a person asks for, stamped now."""
        at_ns, mono_ns = self._now()
        self.post(Commanded(at_ns=at_ns, mono_ns=mono_ns, command=command, by=by, surface=surface))

    async def run(self) -> None:
        """Hold what is under way until cancelled; then drop the timers and end it."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._over = True
            for timer in self._timers.values():
                timer.cancel()
            self._timers.clear()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def drain(self) -> None:
        """Return when no request is under way and the journal has answered for every record."""
        while waiting := self._tasks | ({self._durable} if self._durable and not self._durable.done() else set()):
            await asyncio.wait(waiting)

    async def answered(self) -> None:
        """Return when the requests that are under way by now have been answered."""
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    async def recorded(self, within_s: float) -> bool:
        """The records of all events so far are durable, or become so in time."""
        return self._durable is None or not await self._unrecorded(self._durable, within_s)

    # ---- one event ---------------------------------------------------------------------------------------------------

    def _turn(self, event: AnyEvent) -> None:
        self.posted += 1
        if self._recorder is not None:
            self._recorder.event(event)
        if type(event) is Instruments:
            self._venues.update((one.symbol, one.venue) for one in event.instruments)
        try:
            effects = self._engine.on(event)
        # Supervision boundary: a bug in one turn must not leave positions without an engine.
        except Exception:
            log.exception("the engine failed on %s", type(event).__name__)
            self._bug(type(event).__name__)
            return
        if not effects:
            return
        if self._recorder is not None:
            self._recorder.effects(effects)
        self._write([effect.fact for effect in effects if type(effect) is Record])
        for effect in effects:
            carry = self._carry.get(type(effect))
            if carry is not None:
                carry(effect)

    def _write(self, facts: Sequence[AnyFact]) -> None:
        if not facts:
            return
        durable: asyncio.Future[None]
        try:
            durable = asyncio.ensure_future(self._journal.append(facts))
        except JournalError as error:
            durable = asyncio.get_running_loop().create_future()
            durable.set_exception(error)
        durable.add_done_callback(self._written)
        self._durable = durable

    def _written(self, durable: asyncio.Future[None]) -> None:
        error = None if durable.cancelled() else durable.exception()
        if error is None:
            self.journal_problem = ""
            self._failing = False
        else:
            self._journal_failed(str(error))

    def _journal_failed(self, reason: str) -> None:
        """Said once until the journal works again: the facts of saying it cannot be recorded either."""
        self.journal_problem = reason
        if not self._failing:
            self._failing = True
            at_ns, mono_ns = self._now()
            self.post(JournalFailed(at_ns=at_ns, mono_ns=mono_ns, reason=reason))

    def _journal_slow(self, reason: str) -> None:
        """A commit that is late may still come, so nothing latches; it is said, and shows until the next one stands."""
        if not self.journal_problem:
            self.journal_problem = reason
            self._tell(Notify(level=Level.ALARM, subject="journal", by="carrier", text=reason))

    def remark(self, note: Notify) -> None:
        """Write down what no event of the engine told of; it changes nothing."""
        at_ns, _ = self._now()
        self._write([Noted(at_ns=at_ns, level=note.level, subject=note.subject, by=note.by, text=note.text)])

    def _bug(self, where: str) -> None:
        at_ns, mono_ns = self._now()
        text = f"the engine failed on {where}; see the log"
        self._write([Noted(at_ns=at_ns, level=Level.ALARM, subject="engine", by="carrier", text=text)])
        self._tell(Notify(level=Level.ALARM, subject="engine", by="carrier", text=text))
        self._bugs.append(mono_ns)
        if len(self._bugs) == _BUGS and mono_ns - self._bugs[0] < _BUGS_WITHIN_NS:
            self._bugs.clear()
            self.command(Halt(reason=f"the engine failed {_BUGS} times in a minute"), by="carrier", surface="carrier")

    # ---- out ---------------------------------------------------------------------------------------------------------

    def _submit(self, effect: Submit) -> None:
        if not effect.exit:
            self._unsent.add(effect.order.client_id)
        task = self._hold(self._send(effect, self._durable, self._clock.mono_ns()))
        self._submitting[task] = effect.order
        task.add_done_callback(self._submitting.pop)

    async def _send(self, effect: Submit, durable: asyncio.Future[None] | None, since_ns: int) -> None:
        order = effect.order
        refusal = ""
        if durable is not None and await self._unrecorded(durable, EXIT_WAIT_S if effect.exit else ENTRY_WAIT_S):
            refusal = "not recorded"
        # by the clock too: a process that stood still has slept through the deadline
        elif self._clock.mono_ns() - since_ns > ENTRY_WAIT_S * 1e9:
            refusal = "it waited too long"
        if not self.entries:
            refusal = "the account is being closed"
        if not effect.exit:
            if order.client_id not in self._unsent:
                return  # withdrawn while it waited
            self._unsent.discard(order.client_id)
            if refusal:
                self._refuse(order.client_id, refusal)
                return
        self.post(
            await self._ask(
                self._broker(order.symbol).submit(order),
                lambda at_ns, mono_ns: SubmitResult(
                    at_ns=at_ns, mono_ns=mono_ns, client_id=order.client_id, outcome=Outcome.UNKNOWN
                ),
            )
        )

    def _refuse(self, client_id: str, text: str) -> None:
        at_ns, mono_ns = self._now()
        outcome = Outcome.REFUSED
        self.post(SubmitResult(at_ns=at_ns, mono_ns=mono_ns, client_id=client_id, outcome=outcome, text=text))

    def _cancel(self, effect: Cancel) -> None:
        client_id = effect.client_id
        if client_id in self._unsent:
            self._unsent.discard(client_id)
            self._refuse(client_id, "withdrawn")
            at_ns, mono_ns = self._now()
            self.post(CancelResult(at_ns=at_ns, mono_ns=mono_ns, client_id=client_id, outcome=Outcome.DONE))
            return
        before = {
            task
            for task, order in self._submitting.items()
            if order.client_id == client_id
            or (effect.conditional and order.conditional and order.symbol == effect.symbol)
        }
        self._hold(self._send_cancel(effect, self._durable, before))

    async def _send_cancel(
        self, effect: Cancel, durable: asyncio.Future[None] | None, before: set[asyncio.Task[None]]
    ) -> None:
        if durable is not None:
            await self._unrecorded(durable, EXIT_WAIT_S)
        if before:
            await asyncio.wait(before)
        self.post(
            await self._ask(
                self._broker(effect.symbol).cancel(effect),
                lambda at_ns, mono_ns: CancelResult(
                    at_ns=at_ns, mono_ns=mono_ns, client_id=effect.client_id, outcome=Outcome.UNKNOWN
                ),
            )
        )

    def _query(self, effect: Query) -> None:
        self._hold(self._send_query(effect))

    async def _send_query(self, effect: Query) -> None:
        self.post(
            await self._ask(
                self._broker(effect.symbol).query(effect),
                lambda at_ns, mono_ns: QueryResult(
                    at_ns=at_ns, mono_ns=mono_ns, client_id=effect.client_id, outcome=Outcome.UNKNOWN
                ),
            )
        )

    def _snapshot(self, effect: Snapshot) -> None:
        self._hold(self._send_snapshot(effect))

    async def _send_snapshot(self, effect: Snapshot) -> None:
        self.post(
            await self._ask(
                self._brokers[effect.venue].snapshot(),
                lambda at_ns, mono_ns: VenueSnapshot(
                    at_ns=at_ns, mono_ns=mono_ns, venue=effect.venue, ok=False, reason="asking failed; see the log"
                ),
            )
        )

    def _resync(self, effect: Resync) -> None:
        # not within this turn: the feed will have something to say
        if self._resync_book is not None:
            asyncio.get_running_loop().call_soon(self._resync_book, effect.symbol, effect.reason)

    def _tell(self, effect: Notify) -> None:
        if self._notify is not None:
            self._notify(effect)

    def _set_timer(self, effect: SetTimer) -> None:
        key, due_ns = effect.key, effect.due_mono_ns
        if (old := self._timers.get(key)) is not None:
            old.cancel()
        loop = asyncio.get_running_loop()
        after_s = max(0.0, (due_ns - self._clock.mono_ns()) / 1e9)
        self._timers[key] = loop.call_later(after_s, self._fire, key, due_ns)

    def _fire(self, key: str, due_ns: int) -> None:
        del self._timers[key]
        at_ns, mono_ns = self._now()
        # A loop may wake a hair early; a timer never says that it fired before it was due.
        self.post(TimerFired(at_ns=at_ns, mono_ns=max(mono_ns, due_ns), key=key))

    # ---- helpers -----------------------------------------------------------------------------------------------------

    def _hold(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _unrecorded(self, durable: asyncio.Future[None], within_s: float) -> bool:
        """Wait for a commit without owning it. True when it failed or took too long, which is then said."""
        done, _ = await asyncio.wait({durable}, timeout=within_s)
        if not done:
            self._journal_slow(f"the journal took longer than {within_s * 1e3:.0f} ms")
            return True
        return durable.cancelled() or durable.exception() is not None

    async def _ask(self, reply: Awaitable[R], silence: Callable[[int, int], R]) -> R:
        try:
            return await reply
        # Supervision boundary: a broker that fails instead of answering has left the outcome unknown.
        except Exception as error:
            log.exception("a broker failed instead of answering")
            text = f"the broker failed: {type(error).__name__}; the outcome is unknown"
            self._tell(Notify(level=Level.ALARM, subject="broker", by="carrier", text=text))
            return silence(*self._now())

    def _broker(self, symbol: str) -> Broker:
        return self._brokers[self._venues.get(symbol, self._home)]

    def _now(self) -> tuple[int, int]:
        return self._clock.utc_ns(), self._clock.mono_ns()
