"""Faults that have no incident to their name: of people, of streams, and of the machine itself."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from virtual_loop import VirtualLoop
from wire_world import ABNORMAL, WireWorld, warped
from world import BTC, SOL, World, virtual

from nexus_engine.model.words import Latch, Leg, Side


def stand_still(world: World, seconds: float) -> None:
    """As SIGSTOP and SIGCONT do it: both clocks go on, and nothing runs. Afterwards everything is late at once."""
    loop: Any = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop._now_s += seconds


@virtual
async def test_after_a_pause_of_a_minute_nothing_is_entered_before_the_venue_was_asked() -> None:
    """F33."""
    world = await World().start().ready()
    await world.enter(target_pct=None)
    await world.run(1.0)
    world.wish(BTC)
    stand_still(world, 60.0)
    looks = len(world.sent("snapshot"))
    await world.run(0.001)
    assert len(world.sent(leg=Leg.ENTRY)) == 1
    await world.until(lambda: world.said("the process stood still for 60"), 1.0)
    assert world.blocked == "not reconciled with the venue yet"
    assert len(world.sent("snapshot")) == looks + 1
    await world.ready()
    await world.enter(BTC)
    await world.run(2.0)
    assert world.protected() and world.converged()


@virtual
async def test_an_entry_that_waited_through_a_pause_does_not_leave_any_more() -> None:
    """F33: its price is a minute old."""
    world = await World().start().ready()
    append = world.journal.append
    waiting = asyncio.get_running_loop().create_future()

    def slow(facts: Any) -> Any:
        append(facts)
        return waiting

    world.journal.append = slow  # type: ignore[method-assign]
    world.wish()
    await world.until(lambda: any(world.ledger.alive(leg=Leg.ENTRY)))
    world.journal.append = append  # type: ignore[method-assign]
    waiting.set_result(None)
    stand_still(world, 10.0)
    await world.until(lambda: not any(world.ledger.alive()), 3.0)
    assert not world.sent(leg=Leg.ENTRY)
    assert world.said("waited too long")


@warped
async def test_a_part_that_fills_as_the_stream_breaks_has_its_stop_and_so_has_the_rest() -> None:
    """F17."""
    async with WireWorld() as world:
        await world.open()
        await world.until(lambda: not world.blocked and world.wire.rest.prepared)
        world.tape.lots[SOL] = 200
        world.wish(limit_pct=0.0, target_pct=None)
        await world.until(world.held, 5.0)
        world.server.hub.close_all(ABNORMAL)
        first = world.held()
        took_s = await world.until(world.protected, 2.0)
        assert took_s < 1.5
        await world.until(lambda: world.held() > first, 10.0)
        await world.until(lambda: world.protected() and world.stop_qty() == [world.held()], 5.0)
        await world.until(lambda: not any(world.ledger.alive(SOL, Leg.ENTRY)) and world.converged(), 25.0)


@pytest.mark.parametrize("side", list(Side))
@virtual
async def test_a_hand_that_flips_the_position_leaves_a_foreign_one_that_nobody_touches(side: Side) -> None:
    """F27: more is sold than we hold; the rest is theirs, and our stop must not close it."""
    world = await World().start().ready()
    position = await world.enter(side=side, target_pct=None)
    await world.run(1.0)
    world.by_hand(SOL, side.opposite, str(abs(position.qty) + 3))
    await world.until(lambda: not world.ours() and not world.stops(), 8.0)
    await world.until(world.converged, 5.0)
    assert world.ledger.foreign == {SOL: Decimal(-3 * side.sign)}
    assert world.held() == -3 * side.sign
    for price in (140.0, 160.0):
        world.tape.move(SOL, price)
        await world.run(2.0)
    assert world.held() == -3 * side.sign
    assert not world.sent(leg=Leg.EXIT)
    assert Latch.PROTECT_ONLY not in world.ledger.latches
