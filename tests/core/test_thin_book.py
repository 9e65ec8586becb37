"""An entry is no larger than what the book can take in and give back; the card says what it was measured by."""

import pytest
from world import SOL, World, virtual

from nexus_engine.model.config import Directive, RiskConfig, ShieldConfig
from nexus_engine.model.words import Leg, Ruling

DIRECTIVE = Directive(shield=ShieldConfig(exit_pause_min=0), risk=RiskConfig(day_loss_r=50, week_loss_r=100))


async def entered(lots: int) -> World:
    world = World(directive=DIRECTIVE)
    world.tape.lots[SOL] = lots
    await world.start().ready()
    world.wish(target_pct=None)
    await world.until(lambda: world.ledger.proposals or world.engine.desk.refused, 3.0)
    return world


@virtual
async def test_an_order_is_cut_to_a_twentieth_of_what_the_book_holds_within_ten_basis_points() -> None:
    world = await entered(1_000)
    state = world.engine.market.symbols[SOL]
    there = state.near()
    assert there is not None
    [order] = world.orders(Leg.ENTRY)
    assert there / 20 - state.instrument.step <= order.qty <= there / 20
    [verdict] = [one for one in world.ledger.proposals[1].verdicts if one.guard == "depth"]
    assert verdict.ruling is Ruling.REDUCE and verdict.inputs[0].limit == 20
    await world.until(world.covered, 5.0)


@pytest.mark.parametrize(("lots", "sent"), [(1, 0), (1_000_000, 1)])
@virtual
async def test_a_book_too_thin_for_the_smallest_order_refuses_and_a_deep_one_cuts_nothing(lots: int, sent: int) -> None:
    world = await entered(lots)
    assert len(world.orders(Leg.ENTRY)) == sent
    assert all(one.ruling is Ruling.ALLOW for card in world.ledger.proposals.values() for one in card.verdicts)
