"""Faults of the machine itself: a process that stood still."""

import asyncio
from typing import Any

from virtual_loop import VirtualLoop
from world import BTC, World, virtual

from nexus_engine.model.words import Leg


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
