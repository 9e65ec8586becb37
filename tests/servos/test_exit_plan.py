"""Several take-profits and a stop that follows price: reduce-only, never more than is held, new before old."""

from decimal import Decimal
from itertools import pairwise

import msgspec
import pytest
from world import SOL, World, virtual

from nexus_engine.model.orders import ExitPlan
from nexus_engine.model.words import Leg, Side
from nexus_engine.sim.orders import Order as VenueOrder
from nexus_engine.store.codec import encode

THIRDS = ((1.0, 0.5), (1.5, 0.25))


def total(orders: list[VenueOrder]) -> Decimal:
    return sum((order.qty_lots - order.filled_lots for order in orders), 0) * Decimal("0.01")


def sized(world: World) -> list[Decimal]:
    orders = sorted(world.resting(), key=lambda order: order.price_ticks)
    return [(order.qty_lots - order.filled_lots) * Decimal("0.01") for order in orders]


@virtual
async def test_partial_targets_rest_together_and_are_as_large_as_the_position() -> None:
    world = await World().start().ready()
    held = (await world.enter(partials=THIRDS)).qty
    await world.until(lambda: len(world.resting()) == 3, 3.0)
    assert total(world.resting()) == held and all(order.reduce_only for order in world.resting())
    half, quarter, rest = sized(world)
    assert abs(half - held / 2) <= Decimal("0.01") and abs(quarter - held / 4) <= Decimal("0.01")
    assert rest == held - half - quarter


@virtual
async def test_each_target_that_fills_leaves_a_stop_of_what_is_left_and_the_next_ones_untouched() -> None:
    world = await World().start().ready()
    held = (await world.enter(partials=THIRDS)).qty
    await world.until(lambda: len(world.resting()) == 3, 3.0)
    first, second, last = sized(world)
    world.tape.move(SOL, 151.9)
    await world.until(lambda: world.held() == held - first, 3.0)
    await world.until(lambda: world.stop_qty() == [held - first] and world.covered(), 3.0)
    assert sized(world) == [second, last]
    await world.kill()
    await world.start().ready()
    await world.run(3.0)
    assert sized(world) == [second, last] and world.converged()
    world.tape.move(SOL, 153.5)
    await world.until(lambda: not world.held(), 3.0)
    await world.until(lambda: world.converged() and not list(world.ledger.alive()), 5.0)
    assert world.ledger.closed[-1].pnl > 0
    assert all(sealed == folded for sealed, folded in world.sealed())


@virtual
async def test_a_target_that_a_hand_takes_away_comes_back_beside_the_others() -> None:
    world = await World().start().ready()
    await world.enter(partials=THIRDS)
    await world.until(lambda: len(world.resting()) == 3, 3.0)
    before, ids = sized(world), {order.client_id for order in world.resting()}
    gone = min(world.resting(), key=lambda order: order.price_ticks)
    world.venue.account.cancel(SOL, gone.order_id, None, world.clock.utc_ns() // 1_000_000)
    await world.until(lambda: len(world.resting()) == 3, 8.0)
    assert sized(world) == before
    assert ids & {order.client_id for order in world.resting()} == ids - {gone.client_id}
    assert total(world.resting()) == world.held()


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
@virtual
async def test_after_one_r_the_stop_goes_to_the_entry_and_the_new_one_stands_before_the_old_one_goes(
    side: Side,
) -> None:
    world = await World().start().ready()
    position = await world.enter(side=side, break_even_r=1.0, target_pct=5.0)
    world.tape.move(SOL, 150 * (1 + 0.005 * side.sign))
    await world.run(6.0)
    assert world.ledger.positions[SOL].plan.stop == position.plan.stop
    naked = []

    def moved() -> bool:
        naked.append(not world.protected())
        stop = world.ledger.positions[SOL].plan.stop
        return abs(stop - position.entry) <= Decimal("0.01") and world.covered() and len(world.stops()) == 1

    world.tape.move(SOL, 150 * (1 + 0.015 * side.sign))
    await world.until(moved, 8.0)
    assert not any(naked)


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
@virtual
async def test_a_trailing_stop_follows_only_one_way_and_does_not_spam(side: Side) -> None:
    world = await World().start().ready()
    await world.enter(side=side, trail_distance=1.2, target_pct=20.0)
    stops = [world.ledger.positions[SOL].plan.stop]
    for step in range(100):
        drift = 0.0004 * step + (0.0006 if step % 2 else 0.0)
        world.tape.move(SOL, 150 * (1 + drift * side.sign))
        await world.run(0.5)
        stops.append(world.ledger.positions[SOL].plan.stop)
        assert world.protected()
    assert all((after - before) * side.sign >= 0 for before, after in pairwise(stops))
    assert (stops[-1] - stops[0]) * side.sign > 4
    assert len(world.sent(leg=Leg.STOP)) <= 12
    await world.run(6.0)
    before = world.ledger.positions[SOL].plan.stop
    world.tape.move(SOL, float(before) + 0.3 * side.sign)
    await world.run(8.0)
    assert world.ledger.positions[SOL].plan.stop == before
    world.tape.move(SOL, float(before) - 0.3 * side.sign)
    await world.until(lambda: not world.held(), 3.0)
    await world.until(lambda: not world.ours(), 3.0)
    assert world.ledger.closed[-1].pnl > 0


@virtual
async def test_a_trailing_stop_goes_on_from_where_it_was_after_a_restart() -> None:
    world = await World().start().ready()
    first = (await world.enter(trail_distance=1.2, target_pct=20.0)).plan.stop
    world.tape.move(SOL, 153.0)
    await world.run(8.0)
    assert world.ledger.positions[SOL].plan.stop > first and world.covered()
    moved = world.ledger.positions[SOL].plan.stop
    await world.kill()
    world.tape.move(SOL, 152.0)
    await world.start().ready()
    await world.run(8.0)
    assert world.ledger.positions[SOL].plan.stop == moved and world.covered()
    world.tape.move(SOL, 156.0)
    await world.until(lambda: world.ledger.positions[SOL].plan.stop > moved, 8.0)


def test_a_plan_of_an_older_journal_reads_and_is_written_as_it_was() -> None:
    old = b'{"stop":"148.5","target":"153.0","time_stop_ns":0}'
    plan = msgspec.json.decode(old, type=ExitPlan)
    assert (plan.stop, plan.target) == (Decimal("148.5"), Decimal("153.0"))
    assert encode(plan) == old
