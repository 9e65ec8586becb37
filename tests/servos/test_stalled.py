"""A stop at market that has had a part and then nothing more. It cannot rest, so its silence is asked after soon, and
what stands still is not believed."""

import pytest
from faulty import LOST, LOST_BEFORE, REFUSED, Fault
from tape import LEVELS
from world import SOL, World, virtual

from nexus_engine.model.view import ViewRequest
from nexus_engine.model.words import Leg, OrderStatus, Side
from nexus_engine.servos.manager import NO_SUCH_ORDER

PART = 300
"""Lots at each level of the thin book."""
UP_TO_THE_PART = 3 + 2 * LEVELS
"""User events of a stop that triggers, while it takes: TRIGGERING, TRIGGERED, NEW, each level's with the account."""
BEYOND = {Side.BUY: 147.0, Side.SELL: 153.0}


async def parted(world: World, *, side: Side = Side.BUY, rests: bool) -> None:
    """Hold a position whose stop has triggered beyond its price and found a part of what it wants. `rests`: the venue
    never ends it; else it does, and nobody tells."""
    await world.enter(side=side, target_pct=None)
    await world.run(1.0)
    world.venue.account.market_rests = rests
    if not rests:
        world.wire.faults.append(Fault(call="user", kind=LOST, after=UP_TO_THE_PART, count=0))
    world.tape.lots[SOL] = PART
    world.tape.move(SOL, BEYOND[side])
    await world.until(lambda: any(order.filled for order in world.orders(Leg.STOP)), 1.0)
    [stop] = world.orders(Leg.STOP)
    assert stop.status is OrderStatus.PARTIAL and world.held() == world.ours()
    world.tape.lots[SOL] = 1_000_000


@pytest.mark.parametrize("side", Side)
@virtual
async def test_a_stop_whose_end_nobody_told_is_asked_after_and_the_rest_goes(side: Side) -> None:
    world = await World().start().ready()
    await parted(world, side=side, rests=False)
    assert await world.until(lambda: not world.held(), 10.0) < 2.0
    await world.run(12.0)
    assert world.converged()


@pytest.mark.parametrize("side", Side)
@virtual
async def test_a_stop_that_the_venue_never_ends_is_not_believed(side: Side) -> None:
    world = await World().start().ready()
    await parted(world, side=side, rests=True)
    assert await world.until(lambda: not world.held(), 120.0) < 3.0
    assert world.said("stop is not to be relied on")
    assert len(world.sent(leg=Leg.EXIT)) == 1
    await world.run(12.0)
    assert world.converged()


@virtual
async def test_nor_is_one_of_which_the_venue_says_nothing_at_all() -> None:
    world = await World().start().ready()
    await parted(world, rests=True)
    world.wire.faults.append(Fault(call="query", kind=LOST_BEFORE, count=0))
    world.wire.faults.append(Fault(call="snapshot", kind=LOST_BEFORE, count=0))
    assert await world.until(lambda: not world.held(), 120.0) < 3.0
    assert len(world.sent(leg=Leg.EXIT)) == 1


@virtual
async def test_nor_is_one_of_which_the_venue_says_again_and_again_that_it_stands() -> None:
    world = await World().start().ready()
    await parted(world, rests=True)
    for _ in range(8):
        world.ask_account()
        await world.run(0.4)
    assert not world.held()


@virtual
async def test_a_restart_buys_it_no_belief() -> None:
    world = await World().start().ready()
    await parted(world, rests=True)
    await world.kill()
    world.start()
    assert await world.until(lambda: not world.held(), 120.0) < 4.0
    await world.run(12.0)
    assert world.converged() and len(world.sent(leg=Leg.EXIT)) == 1


@pytest.mark.parametrize("refuses", [False, True])
@virtual
async def test_one_that_stands_still_under_a_price_that_came_back_is_replaced_and_nobody_is_hammered(
    refuses: bool,
) -> None:
    world = await World().start().ready()
    await parted(world, rests=True)
    if refuses:
        world.wire.faults.append(Fault(call="cancel", kind=REFUSED, code=NO_SUCH_ORDER, count=0))
    world.tape.move(SOL, 150.0)
    await world.until(lambda: any(algo.status == "NEW" for algo in world.stops()), 4.0)
    calls = len(world.calls)
    await world.run(60.0)
    assert world.held() and world.covered() and not world.sent(leg=Leg.EXIT)
    assert len(world.calls) - calls < 60
    world.tape.move(SOL, 147.0)
    await world.until(lambda: not world.held(), 3.0)


@virtual
async def test_one_that_goes_on_taking_its_parts_is_left_alone() -> None:
    world = await World().start().ready()
    await parted(world, rests=True)
    world.tape.lots[SOL] = PART
    while world.held():
        await world.run(1.0)
        world.venue.account.work(world.clock.utc_ns() // 1_000_000, world.venue)
    await world.run(1.0)
    assert not world.ours() and len(world.ledger.closed) == 1
    assert len(world.sent(leg=Leg.STOP)) == 1 and not world.sent(leg=Leg.EXIT)


@virtual
async def test_one_that_moves_again_is_believed_again() -> None:
    world = await World().start().ready()
    await parted(world, rests=True)
    world.wire.faults.append(Fault(call="submit", kind=LOST_BEFORE, count=0))
    await world.until(lambda: world.said("stop is not to be relied on"), 4.0)
    assert world.ledger.positions[SOL].naked_since_ns is not None
    at_ns, mono_ns = world.now()
    [row] = world.engine.view(ViewRequest(), at_ns=at_ns, mono_ns=mono_ns).positions
    assert row.stop_state != "ok" and row.naked_ms is not None and row.stop_qty is None
    world.tape.lots[SOL] = PART
    world.venue.account.work(world.clock.utc_ns() // 1_000_000, world.venue)
    await world.until(lambda: world.ledger.positions[SOL].naked_since_ns is None, 0.5)


@virtual
async def test_beside_a_foreign_quantity_nobody_leaves_a_stop_of_whose_end_the_venue_only_has_not_told_yet() -> None:
    world = await World().start().ready()
    position = await world.enter(target_pct=None)
    world.by_hand(SOL, Side.BUY, "5")
    await world.until(lambda: world.ledger.foreign.get(SOL) == 5, 6.0)
    world.wire.faults.append(Fault(call="user", kind=LOST, after=3 + 2, count=0))
    world.tape.lots[SOL] = int(position.qty * 100) // 3
    world.tape.move(SOL, BEYOND[Side.BUY])
    await world.until(lambda: any(order.filled for order in world.orders(Leg.STOP)), 1.0)
    world.wire.faults.append(Fault(call="query", kind=LOST_BEFORE, count=2))
    assert world.held() == 5 < world.ours()
    await world.until(lambda: not world.ours(), 10.0)
    await world.run(12.0)
    assert world.held() == 5 and world.converged() and not world.sent(leg=Leg.EXIT)


@virtual
async def test_one_that_stands_still_beside_a_foreign_quantity_takes_only_its_own_out() -> None:
    world = await World().start().ready()
    await world.enter(target_pct=None)
    world.by_hand(SOL, Side.BUY, "5")
    await world.until(lambda: world.ledger.foreign.get(SOL) == 5, 6.0)
    world.venue.account.market_rests = True
    world.tape.lots[SOL] = PART
    world.tape.move(SOL, BEYOND[Side.BUY])
    await world.until(lambda: any(order.filled for order in world.orders(Leg.STOP)), 1.0)
    world.tape.lots[SOL] = 1_000_000
    assert await world.until(lambda: not world.ours(), 20.0) < 3.0
    await world.run(12.0)
    assert world.held() == 5 and world.converged()


# ---- one that never begins -------------------------------------------------------------------------------------------


async def held_by_a_venue_that_triggers_nothing(world: World, side: Side) -> None:
    await world.enter(side=side, target_pct=None)
    await world.run(1.0)
    world.venue.account.conditionals.trigger = lambda *prices: None  # type: ignore[method-assign]


@pytest.mark.parametrize("side", Side)
@virtual
async def test_a_stop_that_the_venue_does_not_see_to_is_asked_after_and_not_believed(side: Side) -> None:
    world = await World().start().ready()
    await held_by_a_venue_that_triggers_nothing(world, side)
    world.tape.move(SOL, BEYOND[side])
    assert 2.0 < await world.until(lambda: not world.held(), 120.0) < 4.0
    assert world.said("stop is not to be relied on: price is beyond it, and it does nothing")
    assert len(world.sent(leg=Leg.EXIT)) == 1
    await world.run(12.0)
    assert world.converged()


@virtual
async def test_it_has_no_second_from_one_dip_to_the_next() -> None:
    world = await World().start().ready()
    await held_by_a_venue_that_triggers_nothing(world, Side.BUY)
    for _ in range(6):
        world.tape.move(SOL, BEYOND[Side.BUY])
        await world.run(0.9)
        world.tape.move(SOL, 150.0)
        await world.run(0.6)
    assert world.held() and world.covered() and not world.said("not to be relied on")


@virtual
async def test_one_that_may_be_done_and_unheard_is_no_reason_for_an_exit() -> None:
    world = await World().start().ready()
    await world.enter(target_pct=None)
    await world.run(1.0)
    for call in ("user", "query", "snapshot"):
        world.wire.faults.append(Fault(call=call, kind=LOST if call == "user" else LOST_BEFORE, count=0))
    world.tape.move(SOL, BEYOND[Side.BUY])
    await world.run(8.0)
    assert not world.held() and world.ours() and not world.sent(leg=Leg.EXIT)
    world.wire.faults.clear()
    await world.until(lambda: not world.ours(), 12.0)
