"""Nobody there for too long, or a machine that keeps falling over: no entries; what protects goes on."""

from world import SOL, World, virtual

from nexus_engine.model.commands import Pause, Release
from nexus_engine.model.config import AccountConfig, Directive
from nexus_engine.model.events import Attended
from nexus_engine.model.words import Latch


def account(**changed: float) -> Directive:
    return Directive(account=AccountConfig.model_validate(changed))


def look_in(world: World) -> None:
    at_ns, mono_ns = world.now()
    world.carrier.post(Attended(at_ns=at_ns, mono_ns=mono_ns))


@virtual
async def test_nothing_is_entered_while_nobody_has_been_there_and_stops_are_kept_up() -> None:
    world = await World(directive=account(unattended_min=1.0), attended=True).start().ready()
    await world.enter(target_pct=None)
    await world.run(61.0)
    assert world.blocked == "unattended for 1 min: no entries"
    assert sum("unattended" in note for note in world.notes) == 1
    world.wish("BTCUSDT")
    await world.run(2.0)
    assert not world.held("BTCUSDT")
    world.venue.account.conditionals.cancel_all(SOL, 0)
    await world.until(world.covered, 2.0)


@virtual
async def test_a_look_and_a_command_both_mean_that_somebody_is_back() -> None:
    world = await World(directive=account(unattended_min=1.0), attended=True).start().ready()
    await world.run(61.0)
    look_in(world)
    assert not world.blocked and world.said("somebody is here again")
    await world.run(61.0)
    assert world.blocked
    world.command(Pause())
    world.command(Release(latch=Latch.PAUSE, word="pause"))
    await world.ready()


@virtual
async def test_who_looks_in_time_is_never_away() -> None:
    world = await World(directive=account(unattended_min=1.0), attended=True).start().ready()
    for _ in range(5):
        await world.run(50.0)
        look_in(world)
    assert not world.blocked and not world.said("unattended")


@virtual
async def test_a_headless_start_and_a_limit_of_none_expect_nobody() -> None:
    for world in (
        World(directive=account(unattended_min=1.0)),
        World(directive=account(unattended_min=0), attended=True),
    ):
        await world.start().ready()
        await world.run(120.0)
        assert not world.blocked
        await world.kill()


@virtual
async def test_the_third_start_after_a_crash_within_five_minutes_only_protects() -> None:
    world = await World(directive=account(crash_boots=3)).start().ready()
    await world.enter(target_pct=None)
    for _ in range(2):
        await world.kill()
        await world.start().ready()
    await world.kill()
    world.venue.account.conditionals.cancel_all(SOL, 0)
    world.start()
    await world.until(world.covered, 3.0)
    await world.run(2.0)
    assert "3 starts after a crash within 5 min" in world.blocked
    assert world.said("PROTECT_ONLY: 3 starts after a crash")
    world.command(Release(latch=Latch.PROTECT_ONLY, word="protect_only"))
    await world.ready()
    assert all(sealed == folded for sealed, folded in world.sealed())


@virtual
async def test_starts_after_an_end_in_order_and_crashes_far_apart_are_none() -> None:
    world = await World(directive=account(crash_boots=2)).start().ready()
    for _ in range(4):
        await world.stop()
        await world.start().ready()
    for _ in range(3):
        await world.kill()
        await world.run(301.0)
        await world.start().ready()
    assert not world.ledger.latches
