"""The carrier on a virtual loop, with a scripted engine, a broker that writes down what reaches it, and real facts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from virtual_loop import VirtualClock, run_virtual

from nexus_engine.carrier import ENTRY_WAIT_S, EXIT_WAIT_S, Carrier
from nexus_engine.model.commands import Halt
from nexus_engine.model.effects import AnyEffect, Cancel, Notify, Query, Record, SetTimer, Snapshot, Submit
from nexus_engine.model.events import (
    AnyEvent,
    CancelResult,
    Commanded,
    FeedStatus,
    JournalFailed,
    QueryResult,
    SubmitResult,
    TimerFired,
    VenueSnapshot,
)
from nexus_engine.model.facts import AnyFact, OrderIntended
from nexus_engine.model.orders import Order
from nexus_engine.model.ports import JournalError
from nexus_engine.model.words import Leg, Level, OrderKind, Outcome, Side, Venue

GO = FeedStatus(at_ns=0, mono_ns=0, venue=Venue.BINANCE, feed="go", up=True)


class Script:
    """An engine that answers named events with what the test wrote down, and keeps what it was told."""

    def __init__(self) -> None:
        self.answers: dict[str, list[AnyEffect]] = {}
        self.heard: list[AnyEvent] = []
        self.on_event: Callable[[AnyEvent], None] = lambda event: None

    def on(self, event: AnyEvent) -> list[AnyEffect]:
        self.heard.append(event)
        self.on_event(event)
        return self.answers.pop(event.feed, []) if isinstance(event, FeedStatus) else []

    def told(self, kind: type) -> list[Any]:
        return [event for event in self.heard if type(event) is kind]


class World:
    """Journal and broker in one, so that what happens has one order. Times in virtual seconds."""

    venue = Venue.BINANCE

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.did: list[tuple[str, float]] = []
        self.disk_s = 0.0
        self.disk_error = ""
        self.reply_s = 0.0
        self.broken = False
        self._last_write: asyncio.Future[None] | None = None

    def note(self, what: str) -> None:
        self.did.append((what, round(self.loop.time(), 3)))

    @property
    def order(self) -> list[str]:
        return [what for what, _ in self.did]

    def append(self, facts: Sequence[AnyFact]) -> Awaitable[None]:
        self.note(f"append {len(facts)}")
        self._last_write = asyncio.ensure_future(self._write(self._last_write))
        return self._last_write

    async def _write(self, before: asyncio.Future[None] | None) -> None:
        durable_s = self.loop.time() + self.disk_s
        if before is not None:  # commits become durable in their order
            await asyncio.wait({before})
        await asyncio.sleep(durable_s - self.loop.time())
        if self.disk_error:
            raise JournalError(self.disk_error)
        self.note("durable")

    async def _answer(self, what: str) -> None:
        self.note(what)
        if self.broken:
            raise RuntimeError("a bug in the broker")
        await asyncio.sleep(self.reply_s)

    async def submit(self, order: Order) -> SubmitResult:
        await self._answer(f"submit {order.client_id}")
        return SubmitResult(at_ns=0, mono_ns=0, client_id=order.client_id, outcome=Outcome.DONE)

    async def cancel(self, cancel: Cancel) -> CancelResult:
        await self._answer(f"cancel {cancel.client_id}")
        return CancelResult(at_ns=0, mono_ns=0, client_id=cancel.client_id, outcome=Outcome.DONE)

    async def query(self, query: Query) -> QueryResult:
        await self._answer(f"query {query.client_id}")
        return QueryResult(at_ns=0, mono_ns=0, client_id=query.client_id, outcome=Outcome.ABSENT)

    async def snapshot(self) -> VenueSnapshot:
        await self._answer("snapshot")
        return VenueSnapshot(at_ns=0, mono_ns=0, venue=Venue.BINANCE, ok=True)


class Bench:
    def __init__(self, carrier: Carrier, engine: Script, world: World, notes: list[Notify]) -> None:
        self.carrier, self.engine, self.world, self.notes = carrier, engine, world, notes

    def go(self, *effects: AnyEffect, name: str = "go") -> None:
        self.engine.answers[name] = list(effects)
        self.carrier.post(FeedStatus(at_ns=0, mono_ns=0, venue=Venue.BINANCE, feed=name, up=True))


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    engine, world, notes = Script(), World(), list[Notify]()
    clock = VirtualClock(asyncio.get_running_loop())
    carrier = Carrier(engine, world, {Venue.BINANCE: world}, clock, notify=notes.append)
    running = asyncio.create_task(carrier.run())
    await asyncio.sleep(0)
    yield Bench(carrier, engine, world, notes)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def order(cid: str, leg: Leg, symbol: str = "SOLUSDT") -> Order:
    return Order(
        client_id=cid,
        symbol=symbol,
        side=Side.BUY,
        kind=OrderKind.STOP_MARKET if leg is Leg.STOP else OrderKind.MARKET,
        leg=leg,
        intent=1,
        qty=Decimal(1),
        created_ns=0,
        changed_ns=0,
    )


def sends(cid: str, leg: Leg = Leg.ENTRY, symbol: str = "SOLUSDT") -> list[AnyEffect]:
    made = order(cid, leg, symbol)
    return [Record(fact=OrderIntended(at_ns=0, order=made)), Submit(order=made, exit=leg is not Leg.ENTRY)]


def cancels(cid: str, symbol: str = "SOLUSDT", *, conditional: bool = False) -> Cancel:
    return Cancel(client_id=cid, symbol=symbol, conditional=conditional)


def test_an_entry_leaves_only_when_its_record_is_durable() -> None:
    async def story() -> None:
        async with bench() as b:
            b.world.disk_s = 0.4
            b.go(*sends("e1"))
            assert b.world.order == ["append 1"]  # the engine's turn is over; nothing has been waited for
            await b.carrier.drain()
            assert b.world.did == [("append 1", 0.0), ("durable", 0.4), ("submit e1", 0.4)]
            assert [result.outcome for result in b.engine.told(SubmitResult)] == [Outcome.DONE]

    run_virtual(story())


def test_the_facts_of_one_event_are_one_commit_and_events_commit_in_order() -> None:
    async def story() -> None:
        async with bench() as b:
            b.go(*sends("e1"), *sends("t1", Leg.TARGET))
            b.go(*sends("e2", symbol="ADAUSDT"), name="next")
            await b.carrier.drain()
            assert [what for what in b.world.order if what.startswith("append")] == ["append 2", "append 1"]

    run_virtual(story())


def test_an_entry_that_cannot_be_recorded_is_refused_and_the_failure_is_said_once() -> None:
    async def story() -> None:
        async with bench() as b:
            b.world.disk_error = "disk full"
            b.go(*sends("e1"))
            await b.carrier.drain()
            b.go(*sends("e2"), name="again")
            await b.carrier.drain()
            assert not any(what.startswith("submit") for what in b.world.order)
            assert [(one.outcome, one.text) for one in b.engine.told(SubmitResult)] == [
                (Outcome.REFUSED, "not recorded")
            ] * 2
            assert [failed.reason for failed in b.engine.told(JournalFailed)] == ["disk full"]
            assert b.carrier.journal_problem == "disk full"
            b.world.disk_error = ""
            b.go(*sends("e3"), name="mended")
            await b.carrier.drain()
            assert b.world.order[-1] == "submit e3"
            assert b.carrier.journal_problem == ""

    run_virtual(story())


def test_an_entry_whose_record_takes_too_long_is_dropped_even_if_the_disk_comes_back() -> None:
    async def story() -> None:
        async with bench() as b:
            b.world.disk_s = ENTRY_WAIT_S + 1
            b.go(*sends("e1"))
            await b.carrier.drain()
            assert b.world.order == ["append 1", "durable"]
            assert b.engine.told(SubmitResult)[0].outcome is Outcome.REFUSED

    run_virtual(story())


@pytest.mark.parametrize("error", ["", "disk full"])
def test_an_exit_leaves_without_its_record_and_alarms(error: str) -> None:
    async def story() -> None:
        async with bench() as b:
            b.world.disk_s, b.world.disk_error = (0.0 if error else 5.0), error
            b.go(*sends("x1", Leg.EXIT))
            await b.carrier.drain()
            sent = dict(b.world.did)["submit x1"]
            assert sent == (0.0 if error else EXIT_WAIT_S)
            # a slow disk is said and forgotten once it has answered; only a failed one closes the account to entries
            assert len(b.engine.told(JournalFailed)) == bool(error)
            assert error or "took longer" in b.notes[0].text

    run_virtual(story())


def test_an_exit_never_waits_for_an_entry_that_the_venue_has_not_answered() -> None:
    async def story() -> None:
        async with bench() as b:
            b.world.reply_s = 5.0
            b.go(*sends("e1"))
            await asyncio.sleep(0.1)
            b.go(*sends("x1", Leg.EXIT), name="exit")
            await b.carrier.drain()
            assert dict(b.world.did)["submit x1"] == 0.1

    run_virtual(story())


def test_submits_of_a_symbol_keep_their_order() -> None:
    async def story() -> None:
        async with bench() as b:
            b.world.disk_s = 0.05
            for number in range(5):
                b.go(*sends(f"s{number}", Leg.STOP), name=f"n{number}")
            await b.carrier.drain()
            assert [what for what in b.world.order if what.startswith("submit")] == [
                f"submit s{number}" for number in range(5)
            ]

    run_virtual(story())


def test_the_old_stop_is_cancelled_after_the_new_one_was_answered() -> None:
    async def story() -> None:
        async with bench() as b:
            b.world.reply_s = 0.3
            b.go(
                *sends("new", Leg.STOP),
                cancels("old", conditional=True),
                cancels("other", "ADAUSDT", conditional=True),
            )
            await b.carrier.drain()
            when = dict(b.world.did)
            assert (when["submit new"], when["cancel other"], when["cancel old"]) == (0.0, 0.0, 0.3)
            assert len(b.engine.told(CancelResult)) == 2

    run_virtual(story())


def test_an_entrys_cancel_waits_for_no_other_order() -> None:
    async def story() -> None:
        async with bench() as b:
            b.world.reply_s = 0.3
            b.go(*sends("e1"))
            await asyncio.sleep(0.1)
            b.go(*sends("new", Leg.STOP), cancels("e1"), cancels("e0"), name="stop")
            await b.carrier.drain()
            when = dict(b.world.did)
            assert (when["cancel e0"], when["cancel e1"]) == (0.1, 0.3)  # e1 is on its way until then

    run_virtual(story())


def test_an_entry_that_is_cancelled_before_it_left_never_leaves() -> None:
    async def story() -> None:
        async with bench() as b:
            b.world.disk_s = 0.8
            b.go(*sends("e1"), *sends("e2"))
            await asyncio.sleep(0.1)
            b.go(cancels("e1"), name="halt")
            assert [(one.client_id, one.outcome, one.text) for one in b.engine.told(SubmitResult)] == [
                ("e1", Outcome.REFUSED, "withdrawn")
            ]
            assert [(one.client_id, one.outcome) for one in b.engine.told(CancelResult)] == [("e1", Outcome.DONE)]
            await b.carrier.drain()
            assert b.world.order == ["append 2", "durable", "submit e2"]

    run_virtual(story())


def test_queries_and_snapshots_do_not_wait_for_the_disk() -> None:
    async def story() -> None:
        async with bench() as b:
            b.world.disk_s = 3.0
            question = Query(client_id="e1", symbol="SOLUSDT", conditional=False)
            b.go(*sends("e1"), question, Snapshot(venue=Venue.BINANCE))
            await asyncio.sleep(0.01)
            assert b.world.order[1:] == ["query e1", "snapshot"]
            assert b.engine.told(QueryResult)[0].outcome is Outcome.ABSENT
            assert b.engine.told(VenueSnapshot)[0].ok

    run_virtual(story())


def test_a_timer_of_the_same_key_replaces_the_first_and_never_fires_early() -> None:
    async def story() -> None:
        async with bench() as b:
            b.go(SetTimer(key="a", due_mono_ns=100_000_001), SetTimer(key="b", due_mono_ns=50_000_000))
            b.go(SetTimer(key="a", due_mono_ns=333_333_333), name="later")
            await asyncio.sleep(1)
            fired = b.engine.told(TimerFired)
            assert [
                (timer.key, timer.mono_ns >= due) for timer, due in zip(fired, (50_000_000, 333_333_333), strict=True)
            ] == [
                ("b", True),
                ("a", True),
            ]
            b.go(SetTimer(key="past", due_mono_ns=1), name="past")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert b.engine.told(TimerFired)[-1].key == "past"

    run_virtual(story())


def test_what_is_posted_inside_a_turn_runs_after_it() -> None:
    async def story() -> None:
        async with bench() as b:
            order_of: list[str] = []

            def reenter(event: AnyEvent) -> None:
                if isinstance(event, FeedStatus):
                    b.carrier.command(Halt(), by="test", surface="test")
                    order_of.append("turn ends")
                else:
                    order_of.append("halt")

            b.engine.on_event = reenter
            b.carrier.post(GO)
            assert order_of == ["turn ends", "halt"]

    run_virtual(story())


def test_a_bug_in_the_engine_alarms_and_the_account_lives_on() -> None:
    async def story() -> None:
        async with bench() as b:

            def fail(event: AnyEvent) -> None:
                if isinstance(event, FeedStatus) and event.feed == "bad":
                    raise ZeroDivisionError

            b.engine.on_event = fail
            b.go(name="bad")
            assert [note.level for note in b.notes] == [Level.ALARM]
            b.go(*sends("e1"))
            await b.carrier.drain()
            assert b.world.order[-1] == "submit e1"
            assert not b.engine.told(Commanded)

    run_virtual(story())


@pytest.mark.parametrize(("apart_s", "halts"), [(10.0, 1), (40.0, 0)])
def test_three_bugs_in_a_minute_halt_the_account(apart_s: float, halts: int) -> None:
    async def story() -> None:
        async with bench() as b:

            def fail(event: AnyEvent) -> None:
                if isinstance(event, FeedStatus):
                    raise ZeroDivisionError

            b.engine.on_event = fail
            for _ in range(3):
                b.carrier.post(GO)
                await asyncio.sleep(apart_s)
            assert [type(one.command) for one in b.engine.told(Commanded)] == [Halt] * halts

    run_virtual(story())


def test_an_engine_that_fails_on_everything_ends_in_no_loop() -> None:
    async def story() -> None:
        async with bench() as b:

            def fail(event: AnyEvent) -> None:
                raise ZeroDivisionError

            b.engine.on_event = fail
            b.world.disk_error = "disk full"
            b.carrier.post(GO)
            await asyncio.sleep(1)
            assert len(b.engine.heard) < 10

    run_virtual(story())


def test_a_broker_that_fails_leaves_the_outcome_unknown() -> None:
    async def story() -> None:
        async with bench() as b:
            b.world.broken = True
            question = Query(client_id="q1", symbol="SOLUSDT", conditional=False)
            b.go(*sends("e1"), cancels("c1"), question, Snapshot(venue=Venue.BINANCE))
            await b.carrier.drain()
            for kind in (SubmitResult, CancelResult, QueryResult):
                assert [result.outcome for result in b.engine.told(kind)] == [Outcome.UNKNOWN]
            assert not b.engine.told(VenueSnapshot)[0].ok
            assert len(b.notes) == 4

    run_virtual(story())


def test_an_account_that_is_being_closed_sends_exits_but_no_entries() -> None:
    async def story() -> None:
        async with bench() as b:
            b.carrier.entries = False
            b.go(*sends("e1"), *sends("s1", Leg.STOP))
            await b.carrier.drain()
            assert [what for what in b.world.order if what.startswith("submit")] == ["submit s1"]
            assert b.engine.told(SubmitResult)[0].text == "the account is being closed"

    run_virtual(story())


def test_after_its_end_nothing_fires_and_nothing_is_under_way() -> None:
    async def story() -> None:
        async with bench() as b:
            b.world.reply_s = 60.0
            b.go(*sends("e1"), SetTimer(key="a", due_mono_ns=5_000_000_000))
            await asyncio.sleep(1)
        heard = len(b.engine.heard)
        await asyncio.sleep(100)
        b.carrier.post(GO)
        assert len(b.engine.heard) == heard
        await b.carrier.drain()

    run_virtual(story())


def test_the_same_story_happens_the_same_way_twice() -> None:
    async def story() -> list[tuple[str, float]]:
        async with bench() as b:
            b.world.disk_s, b.world.reply_s = 0.003, 0.02
            for number in range(20):
                leg = Leg.STOP if number % 3 else Leg.ENTRY
                b.go(
                    *sends(f"o{number}", leg, f"S{number % 4}"),
                    cancels(f"c{number}", f"S{number % 4}"),
                    name=f"{number}",
                )
                await asyncio.sleep(0.001 * number)
            await b.carrier.drain()
            return b.world.did

    assert run_virtual(story()) == run_virtual(story())
