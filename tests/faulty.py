"""A broker and feed that fail as told, or as a seed decides, in front of a practice venue."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from nexus_engine.model.effects import Cancel, Query
from nexus_engine.model.events import (
    AccountUpdate,
    AnyEvent,
    CancelResult,
    OrderUpdate,
    QueryResult,
    SubmitResult,
    VenueSnapshot,
)
from nexus_engine.model.orders import Order
from nexus_engine.model.ports import Clock, Sink
from nexus_engine.model.words import Leg, Outcome, Venue
from nexus_engine.sim.direct import Direct

LOST_BEFORE = "lost before"
LOST_AFTER = "lost after"
REFUSED = "refused"
SLOW = "slow"
STALE = "stale"
LOST, TWICE, LATE = "lost", "twice", "late"

R = TypeVar("R", SubmitResult, CancelResult, QueryResult, VenueSnapshot)


class Fault(msgspec.Struct, kw_only=True):
    """Hits `count` calls (0: all) of a kind after `after` of them. `call` is submit, cancel, query, snapshot or user.

    `lost before`: it never reaches the venue; `lost after`: only the answer is lost; `slow`: it reaches the venue
    after `delay_s`; `stale`: the venue answers at once, and the answer is under way for `delay_s`.
    """

    call: str
    kind: str
    leg: Leg | None = None
    after: int = 0
    count: int = 1
    delay_s: float = 0.3
    code: int = -1000
    text: str = "refused by a test"


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """What goes wrong by chance, as fractions."""

    calls: float = 0.0
    events: float = 0.0


class Faulty:
    """Feed and Broker of one life of the engine. `calls` is what left for the venue: (virtual s, call, client id)."""

    venue = Venue.BINANCE

    def __init__(self, direct: Direct, clock: Clock, rng: Random) -> None:
        self.direct = direct
        self.faults: list[Fault] = []
        self.rates = Rates()
        self.calls: list[tuple[float, str, str]] = []
        self.dead = False
        self.on_call: Callable[[str], None] = lambda when: None
        """Told `before` and `after` each call: where a test kills."""
        self._clock = clock
        self._rng = rng
        self._network: set[asyncio.Task[Any]] = set()

    # ---- feed --------------------------------------------------------------------------------------------------------

    async def run(self, sink: Sink) -> None:
        await self.direct.run(lambda event: self._deliver(sink, event))

    def _deliver(self, sink: Sink, event: AnyEvent) -> None:
        if self.dead:
            return
        fate = self._fate_of_event() if isinstance(event, OrderUpdate | AccountUpdate) else ""
        if fate == LATE:
            asyncio.get_running_loop().call_later(self._rng.uniform(0.05, 1.5), self._late, sink, event)
            return
        for _ in range({LOST: 0, TWICE: 2}.get(fate, 1)):
            sink(event)

    def _fate_of_event(self) -> str:
        fault = self._struck("user", None)
        if fault is not None:
            return fault.kind
        return self._rng.choice((LOST, TWICE, LATE)) if self._rng.random() < self.rates.events else ""

    def _late(self, sink: Sink, event: AnyEvent) -> None:
        if not self.dead:
            at_ns, mono_ns = self._clock.utc_ns(), self._clock.mono_ns()
            sink(replace(event, at_ns=at_ns, mono_ns=mono_ns))

    # ---- broker ------------------------------------------------------------------------------------------------------

    async def submit(self, order: Order) -> SubmitResult:
        def failed(outcome: Outcome, code: int, text: str) -> SubmitResult:
            at, mono = self._now()
            return SubmitResult(
                at_ns=at, mono_ns=mono, client_id=order.client_id, outcome=outcome, code=code, text=text
            )

        return await self._call("submit", order.client_id, order.leg, lambda: self.direct.submit(order), failed)

    async def cancel(self, cancel: Cancel) -> CancelResult:
        def failed(outcome: Outcome, code: int, text: str) -> CancelResult:
            at, mono = self._now()
            return CancelResult(
                at_ns=at, mono_ns=mono, client_id=cancel.client_id, outcome=outcome, code=code, text=text
            )

        return await self._call("cancel", cancel.client_id, None, lambda: self.direct.cancel(cancel), failed)

    async def query(self, query: Query) -> QueryResult:
        def failed(outcome: Outcome, code: int, text: str) -> QueryResult:
            at, mono = self._now()
            return QueryResult(at_ns=at, mono_ns=mono, client_id=query.client_id, outcome=Outcome.UNKNOWN)

        return await self._call("query", query.client_id, None, lambda: self.direct.query(query), failed)

    async def snapshot(self) -> VenueSnapshot:
        def failed(outcome: Outcome, code: int, text: str) -> VenueSnapshot:
            at, mono = self._now()
            return VenueSnapshot(at_ns=at, mono_ns=mono, venue=self.venue, ok=False, reason=text)

        return await self._call("snapshot", "", None, self.direct.snapshot, failed)

    # ---- inside ------------------------------------------------------------------------------------------------------

    async def _call(
        self,
        call: str,
        cid: str,
        leg: Leg | None,
        ask: Callable[[], Awaitable[R]],
        failed: Callable[[Outcome, int, str], R],
    ) -> R:
        if self.dead:
            await asyncio.get_running_loop().create_future()
        self.on_call("before")
        self.calls.append((asyncio.get_running_loop().time(), call, cid))
        fault = self._fate(call, cid, leg)
        kind, delay_s = ("", 0.0) if fault is None else (fault.kind, fault.delay_s)
        if kind == REFUSED and fault is not None:
            await asyncio.sleep(0.04)
            return failed(Outcome.REFUSED, fault.code, fault.text)
        if kind == LOST_BEFORE:
            await asyncio.sleep(delay_s)
            return failed(Outcome.UNKNOWN, 0, "connection lost")
        if kind == SLOW:
            await asyncio.sleep(delay_s)
        # what is on the wire arrives, whether or not the one who sent it is still there
        sent = asyncio.get_running_loop().create_task(_asked(ask))
        self._network.add(sent)
        sent.add_done_callback(self._network.discard)
        answer = await asyncio.shield(sent)
        self.on_call("after")
        if kind == LOST_AFTER:
            await asyncio.sleep(delay_s)
            return failed(Outcome.UNKNOWN, 0, "connection lost")
        if kind == STALE:
            await asyncio.sleep(delay_s)
        at_ns, mono_ns = self._now()
        return replace(answer, at_ns=at_ns, mono_ns=mono_ns)

    def _fate(self, call: str, cid: str, leg: Leg | None) -> Fault | None:
        return self._struck(call, leg) or self._by_chance(call)

    def _struck(self, call: str, leg: Leg | None) -> Fault | None:
        for fault in self.faults:
            if fault.call == call and (fault.leg is None or fault.leg is leg):
                if fault.after:
                    fault.after -= 1
                    continue
                if fault.count == 1:
                    self.faults.remove(fault)
                elif fault.count:
                    fault.count -= 1
                return fault
        return None

    def _by_chance(self, call: str) -> Fault | None:
        rng = self._rng
        if rng.random() >= self.rates.calls:
            return None
        kinds = [LOST_BEFORE, LOST_AFTER, SLOW, STALE]
        if call in ("submit", "cancel"):
            kinds.append(REFUSED)
        return Fault(call=call, kind=rng.choice(kinds), delay_s=rng.uniform(0.05, 1.5))

    def _now(self) -> tuple[int, int]:
        return self._clock.utc_ns(), self._clock.mono_ns()


async def _asked(ask: Callable[[], Awaitable[R]]) -> R:
    # called in the task: one that never ran leaves no coroutine behind
    return await ask()
