"""Entries that only make, and stops that trail only once there is a profit to keep."""

from decimal import Decimal

from world import SOL, World, virtual

from nexus_engine.model.words import Leg, Mode, OrderStatus, ProposalStatus, TimeInForce
from nexus_engine.shield.breaker import rejected_in_row


def entry(world: World):  # type: ignore[no-untyped-def]
    return next(order for order in reversed(world.ledger.orders.values()) if order.leg is Leg.ENTRY)


@virtual
async def test_a_post_only_entry_rests_at_the_own_touch_and_is_filled_as_a_maker() -> None:
    world = await World().start().ready()
    world.wish(post_only=True, limit_pct=-0.05)
    await world.until(lambda: world.sent(leg=Leg.ENTRY))
    assert entry(world).tif is TimeInForce.GTX
    await world.until(lambda: entry(world).status is OrderStatus.OPEN)
    assert not world.held()
    world.tape.move(SOL, 149.6)
    await world.until(lambda: world.covered(), 5.0)


@virtual
async def test_a_post_only_entry_that_would_take_is_not_placed_and_counts_against_nobody() -> None:
    world = await World().start().ready()
    world.wish(post_only=True)
    await world.until(lambda: world.sent(leg=Leg.ENTRY))
    await world.until(lambda: not entry(world).alive)
    assert entry(world).status is OrderStatus.REJECTED
    assert not world.held()
    assert rejected_in_row(world.ledger, SOL) == 0


@virtual
async def test_the_card_of_a_maker_stays_while_the_market_stands_and_follows_its_own_touch() -> None:
    world = await World(mode=Mode.COPILOT).start().ready()
    state = world.engine.market.symbols
    card = await world.proposal(post_only=True, limit_pct=-0.015)
    await world.run(2.0)
    assert world.ledger.proposals[card.id].status is ProposalStatus.PENDING
    world.tape.move(SOL, 150.6)
    await world.until(lambda: world.ledger.proposals[card.id].status is ProposalStatus.STALE, 3.0)
    bid, ask = state[SOL].book.best_bid, state[SOL].book.best_ask
    assert bid is not None and ask is not None
    limit = world.ledger.proposals[card.id].limit
    assert card.limit < limit < Decimal(repr(ask[0] * state[SOL].tick))


@virtual
async def test_a_stop_that_trails_from_one_r_on_stays_where_it_is_before() -> None:
    world = await World().start().ready()
    # the stop is 1 % away, so 1 R is 1.5
    first = (await world.enter(trail_distance=1.0, trail_from_r=1.0, target_pct=20.0)).plan.stop
    world.tape.move(SOL, 151.2)
    await world.run(8.0)
    assert world.ledger.positions[SOL].plan.stop == first
    world.tape.move(SOL, 151.9)
    await world.until(lambda: world.ledger.positions[SOL].plan.stop > first, 8.0)
    assert world.protected()
