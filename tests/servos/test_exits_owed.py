"""Leaving a position means all of it: what its entry still fills, however the exits end, across restarts."""

from decimal import Decimal
from itertools import pairwise

import pytest
from faulty import LOST_BEFORE, REFUSED, SLOW, Fault
from msgspec.structs import replace
from world import BTC, SOL, World, leg_of, virtual

from nexus_engine.model.commands import AnyCommand, ClosePosition, Flatten
from nexus_engine.model.events import Instruments
from nexus_engine.model.facts import Filled, Leaving
from nexus_engine.model.view import ViewRequest
from nexus_engine.model.words import Leg, OrderStatus, Side

HALF = ClosePosition(symbol=SOL, half=True)


async def half_filled(lots: int) -> World:
    """An entry that has filled in part and rests with the remainder."""
    world = await World().start().ready()
    world.tape.lots[SOL] = lots
    world.wish(target_pct=None, limit_pct=0.0)
    await world.until(world.covered)
    return world


def refusal() -> Fault:
    return Fault(call="submit", leg=Leg.EXIT, kind=REFUSED, code=-1008, text="throttled")


def shown_half(world: World) -> tuple[Decimal | None, str]:
    """What the cockpit is told that closing half would send, and why it would not."""
    at_ns, mono_ns = world.now()
    (position,) = world.engine.view(ViewRequest(), at_ns=at_ns, mono_ns=mono_ns).positions
    return position.half, position.no_half


async def an_even_position(**more: object) -> World:
    """A position whose half is a whole number of steps: half of it and what is left are the same."""
    for step in range(60):
        world = await World().start().ready()
        position = await world.enter(target_pct=None, risk_pct=0.3 + 0.0011 * step, **more)
        if int(position.qty * 100) % 2 == 0:
            return world
        await world.kill()
    raise AssertionError("no such size")


@virtual
@pytest.mark.parametrize("command", [ClosePosition(symbol=SOL), Flatten(word="flat")])
async def test_what_the_entry_fills_before_its_cancel_lands_is_closed_too(command: AnyCommand) -> None:
    world = await half_filled(300)
    world.wire.faults.append(Fault(call="cancel", kind=SLOW, delay_s=2.0))
    first = world.ours()
    world.command(command)
    await world.run(8.0)
    assert world.orders(Leg.ENTRY)[0].filled > first, "the entry went on filling"
    assert not world.held()
    assert not world.ours()
    assert world.converged()


@virtual
@pytest.mark.parametrize("after_ms", range(0, 200, 10))
async def test_flatten_at_any_instant_of_a_fill_leaves_nothing(after_ms: int) -> None:
    world = await half_filled(100)
    await world.run(after_ms / 1000)
    world.command(Flatten(word="flat"))
    await world.run(6.0)
    assert not world.held()


@virtual
async def test_flatten_takes_back_entries_that_have_not_filled() -> None:
    world = await World().start().ready()
    world.wish(limit_pct=-0.4)
    await world.until(world.resting)
    world.wish(BTC, limit_pct=-0.4, risk_pct=0.1)
    await world.until(lambda: world.resting(BTC))
    world.command(Flatten(word="flat"))
    await world.until(lambda: not world.resting() and not world.resting(BTC), 1.0)
    await world.until(lambda: not any(world.ledger.alive()), 2.0)


@virtual
async def test_what_is_left_of_a_position_is_pursued_after_a_restart() -> None:
    world = await World().start().ready()
    await world.enter(target_pct=None)
    world.wire.faults.append(refusal())
    world.command(ClosePosition(symbol=SOL))
    await world.until(lambda: world.said("exit refused"))
    await world.kill()
    assert world.held()
    world.start()
    assert world.ledger.positions[SOL].leaving == "you"
    await world.until(lambda: not world.held(), 3.0)
    assert world.orders(Leg.EXIT)[-1].by == "you"


@virtual
async def test_a_new_position_is_not_left_for_an_older_one() -> None:
    world = await World().start().ready()
    await world.enter(target_pct=None)
    world.command(ClosePosition(symbol=SOL))
    await world.until(lambda: not world.ours() and world.converged(), 5.0)
    position = await world.enter(target_pct=None)
    await world.run(5.0)
    assert not position.leaving
    assert world.held() == position.qty


@virtual
async def test_a_refused_half_close_stays_a_half_close() -> None:
    world = await an_even_position()
    whole = world.held()
    world.wire.faults.append(refusal())
    world.command(HALF)
    await world.run(5.0)
    world.command(HALF)
    await world.run(5.0)
    assert world.held() == whole / 2
    await world.kill()
    world.start()
    await world.run(5.0)
    assert world.held() == whole / 2
    assert not any(isinstance(fact, Leaving) for fact in world.journal.facts())


@virtual
async def test_a_refused_half_close_does_not_stop_the_time_stop() -> None:
    world = await an_even_position(time_stop_ns=60 * 10**9)
    world.wire.faults.append(refusal())
    world.command(HALF)
    await world.run(5.0)
    world.command(HALF)
    await world.until(lambda: not world.held(), 70.0)


@virtual
@pytest.mark.parametrize("step", range(6))
async def test_the_half_that_is_shown_is_the_half_that_is_sent(step: int) -> None:
    world = await World().start().ready()
    whole = (await world.enter(target_pct=None, risk_pct=0.3 + 0.0011 * step)).qty
    shown, hindrance = shown_half(world)
    world.command(HALF)
    await world.run(5.0)
    assert shown == whole - world.held() > 0 and not hindrance


@virtual
@pytest.mark.parametrize("first", [HALF, ClosePosition(symbol=SOL)])
async def test_no_half_is_shown_while_an_exit_is_under_way(first: AnyCommand) -> None:
    world = await World().start().ready()
    await world.enter(target_pct=None)
    world.wire.faults.append(Fault(call="submit", leg=Leg.EXIT, kind=SLOW, delay_s=2.0))
    world.command(first)
    await world.run(0.2)
    _, hindrance = shown_half(world)
    assert hindrance == "an exit is under way already" and hindrance in world.command(HALF)


@virtual
async def test_half_of_a_position_whose_step_is_not_known_is_refused() -> None:
    world = await World().start().ready()
    await world.enter(target_pct=None)
    held = world.held()
    await world.kill()
    world._build()
    post = world.carrier.post
    world.carrier.post = lambda event: None if isinstance(event, Instruments) else post(event)  # type: ignore[method-assign]
    world.start()
    await world.run(0.1)
    _, hindrance = shown_half(world)
    assert "not known" in hindrance and hindrance in world.command(HALF)
    await world.run(3.0)
    assert world.held() == held


@virtual
async def test_half_of_less_than_two_steps_is_refused() -> None:
    world = await World().start().ready()
    held = (await world.enter(target_pct=None)).qty
    state = world.engine.market.symbols[SOL]
    state.instrument = replace(state.instrument, step=held)
    _, hindrance = shown_half(world)
    assert "less than the smallest step" in hindrance and hindrance in world.command(HALF)
    await world.run(1.0)
    assert world.held() == held


@virtual
async def test_no_entry_while_an_exit_may_still_arrive() -> None:
    world = await World().start().ready()
    await world.enter(target_pct=None)
    world.wire.faults.append(Fault(call="submit", leg=Leg.EXIT, kind=SLOW, delay_s=4.5))
    world.command(ClosePosition(symbol=SOL))
    await world.until(lambda: not world.held(), 10.0)
    assert any(world.ledger.alive(SOL, Leg.EXIT)), "the first exit is still on its way"
    world.wish(target_pct=None)
    await world.until(lambda: world.said("an exit is still under way"), 3.0)
    assert len(world.sent(leg=Leg.ENTRY)) == 1
    await world.until(lambda: not any(world.ledger.alive()), 10.0)
    position = await world.enter(target_pct=None)
    await world.run(5.0)
    assert world.held() == position.qty


@virtual
async def test_exits_of_which_nobody_says_what_became_come_ever_more_slowly() -> None:
    world = await World().start().ready()
    await world.enter(target_pct=None)
    for call in ("submit", "query", "snapshot", "cancel"):
        world.wire.faults.append(Fault(call=call, kind=LOST_BEFORE, count=0, delay_s=0.2))
    begun = len(world.calls)
    world.command(ClosePosition(symbol=SOL))
    await world.run(120.0)
    left_s = [at_s for at_s, call, cid in world.calls if call == "submit" and leg_of(cid) is Leg.EXIT]
    waits_s = [after_s - before_s for before_s, after_s in pairwise(left_s)]
    assert 5 <= len(left_s) <= 7
    assert all(later_s > 1.5 * sooner_s for sooner_s, later_s in pairwise(waits_s))
    assert {order.status for order in world.orders(Leg.EXIT)} == {OrderStatus.UNKNOWN}
    assert len(world.calls) - begun < 300
    world.wire.faults.clear()
    await world.until(lambda: not world.held(), 30.0)


@virtual
async def test_an_exit_of_which_the_venue_does_not_tell_holds_back_the_next_for_two_seconds() -> None:
    world = await World().start().ready()
    await world.enter(target_pct=None)
    world.wire.faults += [
        Fault(call="submit", leg=Leg.EXIT, kind=LOST_BEFORE),
        Fault(call="query", kind=LOST_BEFORE, count=0),
    ]
    world.command(ClosePosition(symbol=SOL))
    await world.until(lambda: not world.held(), 3.0)
    assert len(world.sent(leg=Leg.EXIT)) == 2


@virtual
async def test_exits_and_stops_that_are_refused_come_more_slowly() -> None:
    world = await World().start().ready()
    world.wire.faults += [
        Fault(call="submit", leg=leg, kind=REFUSED, count=0, code=-1003) for leg in (Leg.STOP, Leg.EXIT)
    ]
    world.wish(target_pct=None)
    await world.until(world.ours)
    await world.run(120.0)
    assert 20 <= len(world.sent(leg=Leg.EXIT)) <= 30
    assert 20 <= len(world.sent(leg=Leg.STOP)) <= 35
    world.wire.faults.clear()
    await world.until(lambda: not world.held(), 6.0)


@virtual
async def test_exits_that_take_all_there_is_of_a_thin_book_leave_the_venue_its_limit_of_orders() -> None:
    world = await World().start().ready()
    await world.enter(target_pct=None)
    world.tape.lots[SOL] = 60
    world.command(ClosePosition(symbol=SOL))
    await world.until(lambda: not world.held(), 30.0)
    left_s = [at_s for at_s, call, cid in world.calls if call == "submit" and leg_of(cid) is Leg.EXIT]
    assert 10 < len(left_s) <= 16, "each finds a book that has filled up again"
    assert min(after_s - before_s for before_s, after_s in pairwise(left_s)) >= 0.09, "50 ms beyond its answer"


@virtual
async def test_a_growing_position_sends_one_stop_at_a_time() -> None:
    world = await World().start().ready()
    world.tape.lots[SOL] = 40
    world.wire.faults.append(Fault(call="submit", leg=Leg.STOP, kind=LOST_BEFORE, count=0, delay_s=5.0))
    world.wish(target_pct=None, limit_pct=0.0)
    await world.until(world.held)
    await world.run(2.0)
    assert sum(isinstance(fact, Filled) for fact in world.journal.facts()) > 6
    assert 2 <= len(world.sent(leg=Leg.STOP)) <= 4


@virtual
async def test_what_others_hold_on_the_other_side_has_closed_as_much_of_ours() -> None:
    world = await World().start().ready()
    world.wish(side=Side.SELL, target_pct=None, limit_pct=-0.4)
    await world.until(world.resting)
    world.by_hand(SOL, Side.BUY, "1")
    await world.until(lambda: world.ledger.foreign.get(SOL) == 1, 5.0)
    world.tape.move(SOL, world.tape.price(SOL) * 1.006)
    await world.until(world.ours)
    await world.until(lambda: world.ours() == world.held() and not world.ledger.foreign.get(SOL), 70.0)
    world.command(ClosePosition(symbol=SOL))
    await world.until(lambda: not world.ours() and not world.held() and world.converged(), 5.0)
    assert len(world.sent(leg=Leg.EXIT)) == 1


@virtual
async def test_exits_with_nothing_to_reduce_do_not_hammer_while_another_is_asked_for() -> None:
    world = await World().start().ready()
    await world.enter(target_pct=None)
    world.wire.faults += [
        Fault(call="submit", leg=Leg.EXIT, kind=LOST_BEFORE),
        Fault(call="submit", leg=Leg.EXIT, kind=REFUSED, count=0, code=-2022),
    ]
    world.command(ClosePosition(symbol=SOL))
    await world.run(10.0)
    assert 3 <= len(world.sent(leg=Leg.EXIT)) <= 7


@virtual
async def test_a_price_beyond_the_stop_and_exits_that_are_refused_do_not_hammer() -> None:
    world = await World().start().ready()
    world.wire.faults += [
        Fault(call="submit", leg=Leg.STOP, kind=REFUSED, count=0, code=-2021),
        Fault(call="submit", leg=Leg.EXIT, kind=REFUSED, count=0, code=-1008),
    ]
    world.wish(target_pct=None)
    await world.until(world.held)
    await world.run(10.0)
    assert 3 <= len(world.sent(leg=Leg.EXIT)) <= 8
    assert 3 <= len(world.sent(leg=Leg.STOP)) <= 12
