"""What a start finds after a crash, as the engine settles it and as the cockpit shows it."""

from decimal import Decimal

import pytest
from test_screens import compare
from tui_driving import cockpit
from virtual_loop import run_virtual
from world import SOL, World

from nexus_engine.model.view import View, ViewRequest
from nexus_engine.model.words import Leg, Side


def picture(world: World) -> View:
    at_ns, mono_ns = world.now()
    return world.engine.view(ViewRequest(books=(SOL,)), at_ns=at_ns, mono_ns=mono_ns)


async def _stop_removed() -> View:
    """Somebody takes the stop away on the venue's page, while nobody is there."""
    world = await World().start().ready()
    await world.enter(target_pct=None)
    held = world.held()
    await world.kill()
    world.venue.account.conditionals.cancel_all(SOL, 0)
    await world.run(5.0)
    assert not world.protected()
    world.start()
    await world.until(world.protected, 3.0)
    await world.until(lambda: world.covered() and not world.blocked, 3.0)
    assert world.held() == world.ours() == held
    assert len(world.stops()) == 1 and world.converged()
    assert len(world.sent(leg=Leg.STOP)) == 2
    return picture(world)


async def _foreign() -> View:
    """Somebody buys on the venue's page what no journal knows."""
    world = await World().start().ready()
    await world.enter("BTCUSDT", target_pct=None)
    await world.kill()
    world.by_hand(SOL, Side.BUY, "5")
    world.start()
    await world.until(lambda: not world.blocked, 5.0)
    await world.run(3.0)
    assert world.ledger.foreign == {SOL: Decimal(5)}
    assert world.held() == 5 and not world.stops() and world.protected("BTCUSDT")
    world.wish()
    await world.run(2.0)
    assert len(world.sent(leg=Leg.ENTRY)) == 1
    return picture(world)


async def _half_filled() -> View:
    """Killed while an entry is half filled; another part fills before the next start."""
    world = await World().start().ready()
    world.tape.lots[SOL] = 1
    world.wish(limit_pct=0.0, target_pct=None)
    await world.until(world.covered)
    assert world.resting()
    first = world.held()
    await world.kill()
    world.tape.lots[SOL] = 300
    world.tape.move(SOL, 149.99)
    world.venue.advance(100_000_000, world.clock.utc_ns())
    world.venue.take_events()
    held = world.held()
    assert held > first and world.resting()
    world.start()
    await world.until(world.protected, 3.0)
    await world.until(lambda: world.covered() and not world.resting() and not world.blocked, 3.0)
    await world.run(2.0)
    assert world.ours() == world.held() >= held
    assert world.stop_qty() == [world.held()] and world.converged()
    assert len(world.sent(leg=Leg.ENTRY)) == 1
    return picture(world)


STORIES = {"stop-removed": _stop_removed, "foreign": _foreign, "half-filled": _half_filled}


@pytest.fixture
def found(request: pytest.FixtureRequest) -> View:
    """Told before the cockpit's own loop runs."""
    return run_virtual(STORIES[request.param]())


@pytest.mark.parametrize(("found", "name"), [(name, name) for name in STORIES], indirect=["found"])
async def test_what_a_start_found_is_on_the_reconcile_screen(found: View, name: str) -> None:
    async with cockpit(found) as driven:
        await driven.arm()
        assert ("Venue and journal" in driven.text) is bool(found.differences)
        await driven.press("escape")
        await driven.press("colon", *"reconcile", "enter")
        await driven.show(found)
        while not (driven.row(2).strip() and driven.row(-1).startswith(" esc back")):  # drawn anew under the dialog
            await driven.pilot.pause(0.01)
        compare(f"restart-{name}-80x24", driven.text)
        await driven.press("a", "c", "j")  # of what is settled nothing can be adopted or closed
        await driven.press("escape", "escape")
        assert driven.sent == []
