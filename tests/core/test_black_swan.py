"""BTC falls out of the sky: longs go, shorts stay."""

import pytest
from faulty import LOST_AFTER, LOST_BEFORE, Fault
from msgspec.structs import replace
from world import BTC, SOL, World, virtual

from nexus_engine.model.commands import RearmSwan
from nexus_engine.model.facts import SWAN_ALERT, SWAN_LOCK
from nexus_engine.model.view import View, ViewRequest
from nexus_engine.model.words import Leg, Mode, Side


async def calm() -> World:
    """A world whose guards have seen enough to know a fall."""
    world = await World().start().ready()
    await world.run(10.0)
    return world


async def crash(world: World, to: float = 88_000.0) -> float:
    """Let BTC fall; returns the instant at which the guard tripped."""
    world.tape.move(BTC, to)
    await world.until(lambda: SWAN_LOCK in world.ledger.locks, 10.0)
    return world.s


@virtual
async def test_longs_are_leaving_within_half_a_second_and_shorts_are_not_touched() -> None:
    world = await calm()
    await world.enter(SOL, Side.BUY)
    await world.enter(BTC, Side.SELL, risk_pct=0.1, target_pct=None, time_stop_ns=20_000_000_000)
    held = world.held(BTC)
    tripped_s = await crash(world)
    await world.until(lambda: world.sent(leg=Leg.EXIT), 0.5)
    await world.until(lambda: not world.held(SOL), 1.0)
    assert world.s - tripped_s < 0.5
    await world.run(30.0)
    assert world.held(BTC) == held
    assert world.protected(BTC)
    exits = [order.symbol for order in world.orders(Leg.EXIT)]
    assert set(exits) == {SOL}


@virtual
async def test_a_long_that_fills_late_leaves_at_once() -> None:
    world = await calm()
    world.wire.faults.append(Fault(call="submit", leg=Leg.ENTRY, kind="slow", delay_s=5.0))
    world.wish()
    await world.until(lambda: world.sent(leg=Leg.ENTRY))
    await crash(world)
    await world.until(lambda: world.held(), 6.0)
    filled_s = world.s
    await world.until(lambda: world.sent(leg=Leg.EXIT), 1.0)
    await world.until(lambda: not world.held(), 1.0)
    assert world.s - filled_s < 0.6
    assert world.said("a long filled after the black swan: closing it at once")
    await world.run(3.0)
    assert world.converged()


@virtual
async def test_late_parts_of_a_long_do_not_wait_for_an_exit_that_hangs() -> None:
    world = await calm()
    world.tape.lots[SOL] = 2
    world.wire.faults.append(Fault(call="submit", leg=Leg.EXIT, kind="slow", delay_s=5.0))
    world.wire.faults.append(Fault(call="cancel", kind=LOST_BEFORE, delay_s=5.0, count=0))
    world.wish(limit_pct=0.0, target_pct=None)
    await world.until(lambda: world.held())
    await crash(world)
    first = world.held()
    await world.until(lambda: len(world.sent(leg=Leg.EXIT)) == 1, 1.0)
    world.tape.lots[SOL] = 50
    world.tape.move(SOL, 149.9)
    await world.until(lambda: world.held() > first, 2.0)
    grown_s = world.s
    await world.until(lambda: len(world.sent(leg=Leg.EXIT)) == 2, 3.0)
    assert world.s - grown_s < 0.5


@virtual
async def test_no_long_is_opened_while_the_lock_holds_and_shorts_may() -> None:
    world = await calm()
    await crash(world)
    await world.run(3.0)
    world.wish(SOL, Side.BUY)
    await world.run(2.0)
    assert not world.sent(leg=Leg.ENTRY)
    await world.enter(SOL, Side.SELL)


@pytest.mark.parametrize("kind", [LOST_BEFORE, LOST_AFTER])
@virtual
async def test_an_exit_whose_answer_is_lost_in_the_swan_does_not_flip(kind: str) -> None:
    world = await calm()
    await world.enter()
    world.wire.faults.append(Fault(call="submit", leg=Leg.EXIT, kind=kind, delay_s=0.5))
    await crash(world)
    await world.until(lambda: not world.held(), 4.0)
    await world.run(15.0)
    assert world.held() == 0
    assert world.converged()


@virtual
async def test_the_swan_goes_on_after_a_kill() -> None:
    world = await calm()
    await world.enter()
    world.wire.faults.append(Fault(call="submit", leg=Leg.EXIT, kind=LOST_BEFORE, delay_s=9.0))
    await crash(world)
    await world.kill()
    assert world.held()
    world.start()
    assert await world.until(lambda: not world.held(), 3.0) < 1.5
    await world.run(12.0)
    assert world.converged()


@virtual
async def test_the_windows_know_the_past_before_the_first_tick() -> None:
    world = World()
    world.tell_past(BTC, world.past_minutes(95_000.0))
    assert world.engine.market.now_ns > 0
    for step in range(40):
        world.tick(BTC, 90_000.0, step)
    falls = dict(world.engine.shield._swan.falls(world.engine.market.now_ns))
    assert falls[5] > 5.0
    assert falls[15] > 5.0


@virtual
async def test_cards_of_longs_are_over_and_those_of_shorts_stay() -> None:
    world = World(mode=Mode.COPILOT).start()
    await world.ready()
    await world.run(10.0)
    long = await world.proposal(BTC, risk_pct=0.5, stop_pct=15.0)
    world.wish(SOL, Side.SELL)
    await world.until(lambda: len(world.open_cards()) == 2)
    short = world.open_cards()[-1]
    await crash(world)
    assert world.ledger.proposals[long.id].reason == "black swan"
    assert world.ledger.proposals[short.id].status.open


@virtual
async def test_a_long_entry_that_has_not_filled_is_taken_back() -> None:
    world = await calm()
    world.wish(SOL, limit_pct=-0.4)
    await world.until(world.resting)
    await crash(world)
    await world.until(lambda: not world.resting(), 0.5)


def looked(world: World) -> View:
    at_ns, mono_ns = world.now()
    return world.engine.view(ViewRequest(shield=True), at_ns=at_ns, mono_ns=mono_ns)


@virtual
async def test_an_alert_refuses_longs_lets_shorts_in_and_leaves_what_is_held_alone() -> None:
    world = await calm()
    await world.enter(SOL, Side.BUY)
    held = world.held(SOL)
    world.tape.move(BTC, world.tape.price(BTC) * 0.976)
    await world.until(lambda: SWAN_ALERT in world.ledger.locks, 10.0)
    await world.run(3.0)
    world.wish(BTC, Side.BUY)
    await world.run(3.0)
    assert world.held(SOL) == held
    assert not world.held(BTC)
    assert world.said("under its 5 min high: no new longs")
    assert SWAN_LOCK not in world.ledger.locks
    await world.enter(BTC, Side.SELL, risk_pct=0.1)


@virtual
async def test_a_trip_can_be_looked_at_with_what_it_saw_and_when_each_long_was_gone() -> None:
    world = await calm()
    await world.enter(SOL, Side.BUY)
    await crash(world)
    await world.until(lambda: not world.held(SOL), 1.0)
    await world.run(1.0)
    trip = next(each for each in looked(world).trips if not each.alert)
    (exit_,) = trip.exits
    assert (exit_.symbol, exit_.sent_ms, exit_.attempts) == (SOL, 0, 1)
    assert exit_.confirmed_ms is not None
    assert 0 <= exit_.confirmed_ms < 1_000
    assert len(trip.ticks) == 50
    assert {reading.name for reading in trip.readings} >= {"fall", "high", "low", "mark", "filtered", "confirmations"}
    states = {guard.name: guard.state for guard in looked(world).guards}
    assert states["BTC trip 5m"] == "LOCKED"
    assert states["swan"] == "LOCKED"
    await world.kill()
    world.start()
    await world.ready()
    assert looked(world).trips == ()  # the harness recalls nothing; the account does
    world.engine.recall(world.journal.facts())
    assert next(each for each in looked(world).trips if not each.alert) == trip


@virtual
async def test_a_fall_that_goes_on_is_told_with_the_trip_that_began_it() -> None:
    world = await calm()
    await crash(world)
    await world.run(3.0)
    first = next(each for each in looked(world).trips if not each.alert)
    assert not first.further
    world.tape.move(BTC, 84_000.0)
    await world.until(lambda: "where the black swan tripped" in world.ledger.locks[SWAN_LOCK].reason, 10.0)
    trips = [each for each in looked(world).trips if not each.alert]
    assert [replace(each, further=()) for each in trips] == [first]
    ((at_ns, low),) = trips[0].further
    assert at_ns > first.at_ns and low < next(each.value for each in first.readings if each.name == "low")
    swans = [each for each in looked(world).events if each.text.startswith("BLACK SWAN: ")]
    assert swans[0].text == f"BLACK SWAN: 0 longs closing, shorts untouched; {first.reason.removeprefix(f'{BTC} ')}"
    assert "fell" in swans[1].text and swans[0].text != swans[1].text


@virtual
async def test_only_the_typed_word_lets_longs_in_again() -> None:
    world = await calm()
    await crash(world)
    await world.run(3.0)
    world.command(RearmSwan(word="yes"))
    await world.run(0.5)
    assert world.ledger.locks[SWAN_LOCK].until_ns > world.engine.market.now_ns
    world.command(RearmSwan(word="swan"))
    await world.run(3.0)
    assert world.ledger.locks[SWAN_LOCK].until_ns <= world.engine.market.now_ns
    await world.enter(SOL, Side.BUY)


@virtual
async def test_the_way_to_an_order_says_where_wishes_end() -> None:
    world = await calm()
    await crash(world)
    await world.run(3.0)
    world.wish(SOL, Side.BUY)
    await world.run(2.0)
    stages = {stage.name: stage for stage in looked(world).stages}
    assert stages["shield"].stopped == 1
    assert "black swan" in stages["shield"].reason or "min high" in stages["shield"].reason
    assert stages["mode"].passed == 0
