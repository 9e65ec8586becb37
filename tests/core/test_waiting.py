"""A signal that speaks at a settlement of funding waits it out, and enters at its own prices or not at all."""

import pytest
from tape import HandTape
from world import SOL, World, virtual

from nexus_engine.model.commands import Halt
from nexus_engine.model.facts import SignalSeen
from nexus_engine.model.words import Leg, Mode, Side

STAMP_NS = 1_750_003_200 * 1_000_000_000
"""A settlement: 16:00 UTC."""
QUIET_S = 120


async def at_the_stamp(after_s: float = 1.0, mode: Mode = Mode.PILOT) -> World:
    """A world that is ready `after_s` after the settlement (before it, when negative)."""
    world = World(mode=mode, tape=HandTape(STAMP_NS + round((after_s - 5.0) * 1e9)))
    await world.start().ready()
    await world.until(lambda: world.engine.market.now_ns >= STAMP_NS + after_s * 1e9, 6.0)
    return world


def outcomes(world: World) -> list[str]:
    return [fact.outcome for fact in world.journal.facts() if isinstance(fact, SignalSeen)]


def since_s(world: World) -> float:
    return (world.engine.market.now_ns - STAMP_NS) / 1e9


@pytest.mark.parametrize("after_s", [1.0, -60.0])
@virtual
async def test_it_enters_when_the_quiet_time_is_over_and_not_before(after_s: float) -> None:
    world = await at_the_stamp(after_s)
    world.wish()
    await world.until(lambda: outcomes(world), 3.0)
    [waits] = outcomes(world)
    assert waits.startswith("waits: funding")
    await world.until(lambda: world.orders(Leg.ENTRY), QUIET_S - after_s + 2.0)
    assert QUIET_S <= since_s(world) < QUIET_S + 1.0
    assert outcomes(world)[1:] == ["proposed"]
    await world.until(world.covered, 5.0)
    assert (world.engine.desk.seen, world.engine.desk.refused) == (1, 0)


@pytest.mark.parametrize(
    ("side", "price", "words"),
    [
        (Side.BUY, 150.5, "price left its limit"),
        (Side.BUY, 148.0, "price is beyond its stop"),
        (Side.SELL, 149.5, "price left its limit"),
        (Side.SELL, 152.0, "price is beyond its stop"),
    ],
)
@virtual
async def test_a_price_that_has_left_its_limit_or_passed_its_stop_is_not_followed(
    side: Side, price: float, words: str
) -> None:
    world = await at_the_stamp()
    world.wish(side=side)
    await world.until(lambda: outcomes(world), 3.0)
    world.tape.move(SOL, price)
    await world.run(QUIET_S + 1.0)
    assert not world.orders(Leg.ENTRY)
    assert words in outcomes(world)[-1]


@virtual
async def test_a_better_price_is_taken_with_the_stop_and_limit_that_it_named() -> None:
    world = await at_the_stamp()
    world.wish()
    await world.until(lambda: outcomes(world), 3.0)
    signal = next(fact.signal for fact in world.journal.facts() if isinstance(fact, SignalSeen))
    world.tape.move(SOL, 149.5)
    await world.until(world.covered, QUIET_S + 5.0)
    [order] = world.orders(Leg.ENTRY)
    assert order.price is not None and abs(float(order.price) - signal.limit) < 0.011
    assert abs(float(order.plan.stop) - (signal.price - signal.stop_distance)) < 0.011


@virtual
async def test_a_person_gets_the_card_when_it_may_be_answered() -> None:
    world = await at_the_stamp(mode=Mode.COPILOT)
    world.wish()
    await world.run(QUIET_S - 5.0)
    assert not world.open_cards()
    await world.until(lambda: world.open_cards(), 8.0)
    world.approve(world.open_cards()[0])
    await world.until(world.covered, 5.0)


@virtual
async def test_whatever_else_keeps_entries_out_meanwhile_keeps_it_out() -> None:
    world = await at_the_stamp()
    world.wish()
    await world.until(lambda: outcomes(world), 3.0)
    world.command(Halt())
    await world.run(QUIET_S + 1.0)
    assert not world.orders(Leg.ENTRY) and outcomes(world)[-1].startswith("refused: HALT")


@virtual
async def test_the_newest_word_of_a_strategy_on_a_symbol_counts() -> None:
    world = await at_the_stamp()
    world.wish(side=Side.BUY)
    await world.until(lambda: outcomes(world), 3.0)
    world.wish(side=Side.SELL)
    await world.until(world.covered, QUIET_S + 5.0)
    assert world.ours() < 0 and len(world.orders(Leg.ENTRY)) == 1


@virtual
async def test_a_start_forgets_it() -> None:
    world = await at_the_stamp()
    world.wish()
    await world.until(lambda: outcomes(world), 3.0)
    await world.kill()
    await world.start().ready()
    await world.run(QUIET_S + 5.0)
    assert not world.orders(Leg.ENTRY)


@virtual
async def test_funding_that_is_too_dear_is_refused_at_once() -> None:
    world = await at_the_stamp()
    world.tape.funding_rate = lambda symbol: 0.001
    await world.run(2.0)
    world.wish()
    await world.until(lambda: outcomes(world), 3.0)
    assert outcomes(world)[0].startswith("refused: BUY pays")
