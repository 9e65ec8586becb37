"""kill -9 at every point of a trade's life: the next run protects within 3 s and nothing is doubled."""

import pytest
from faulty import LOST_BEFORE, REFUSED, STALE, Fault
from virtual_loop import run_virtual
from world import SOL, World, leg_of, virtual

from nexus_engine.model.commands import ClosePosition
from nexus_engine.model.events import AnyEvent, Bar, History, Mark, Trade
from nexus_engine.model.facts import SWAN_LOCK, LockSet
from nexus_engine.model.words import Leg

PROTECTED_S = 3.0
CONVERGED_S = 14.0
"""Two looks ten seconds apart prove an order absent that may never have left."""


async def life_of_a_trade(world: World) -> None:
    """Entry in two parts, stop, target, half a close, the target at the end."""
    world.tape.lots[SOL] = 400
    world.wish(limit_pct=0.0)
    await world.until(lambda: world.crashed.is_set() or world.covered(), 5.0)
    world.tape.lots[SOL] = 1_000_000
    await world.until(
        lambda: world.crashed.is_set() or (world.resting() and not any(world.ledger.alive(SOL, Leg.ENTRY))), 5.0
    )
    if not world.crashed.is_set():
        world.command(ClosePosition(symbol=SOL, half=True))
    await world.until(lambda: world.crashed.is_set() or len(world.sent("cancel")) >= 2, 5.0)
    await world.until(lambda: world.crashed.is_set() or world.converged(), 5.0)
    world.tape.move(SOL, 154.0)
    await world.until(lambda: world.crashed.is_set() or (not world.ours() and world.converged()), 5.0)
    await world.run(0.5)


async def killed_at(what: str, when: str, number: int) -> bool:
    """One world, killed there. False when its life was over before."""
    world = await World().start().ready()
    world.kill_at = (what, when, world.passed(what, when) + number)
    await life_of_a_trade(world)
    if not world.crashed.is_set():
        return False
    where = f"killed {when} {what} {number}"
    world.kill_at = None
    await world.kill()
    world.tape.move(SOL, 150.0)
    world.start()
    begun_s = world.s
    bare_s = 0.0
    while world.s - begun_s < CONVERGED_S:
        if not world.protected():
            bare_s = world.s - begun_s
        await world.run(0.05)
    assert bare_s <= PROTECTED_S, f"{where}: naked {bare_s:.2f} s after the start"
    assert world.converged(), f"{where}: {world.held()} at the venue, {world.ours()} here"
    placed = [order.client_id for order in world.venue.account.ledger.orders.values()]
    assert sum(leg_of(cid) is Leg.ENTRY for cid in placed) <= 1, where
    assert all(kept == folded for kept, folded in world.sealed()), where
    assert not world.ledger.foreign, where
    assert not world.ledger.latches, where
    assert world.protected(), where
    return True


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("what", ["commit", "call"])
def test_a_kill_at_every_point_of_a_trades_life_is_survived(what: str, when: str) -> None:
    number = 1
    while run_virtual(killed_at(what, when, number)):
        number += 1
    assert number > 10, "the story has become too short to prove anything"


@virtual
async def test_a_crash_loop_buys_a_naked_position_no_time() -> None:
    world = await World().start().ready()
    await world.enter()
    world.venue.account.conditionals.cancel_all(SOL, 0)
    alive_s = 0.0
    for _ in range(12):
        await world.kill()
        world.start()
        world.wire.faults.append(fault())
        for _ in range(14):
            if world.held():
                alive_s += 0.1
            await world.run(0.1)
    assert not world.held()
    assert alive_s < 8.0


def fault() -> Fault:
    return Fault(call="submit", kind=REFUSED, leg=Leg.STOP, count=0)


@virtual
async def test_an_exit_that_was_decided_is_gone_on_with() -> None:
    world = await World().start().ready()
    await world.enter()
    world.kill_at = ("call", "before", world.passed("call", "before") + 1)
    world.command(ClosePosition(symbol=SOL))
    await world.until(world.crashed.is_set, 5.0)
    await world.kill()
    assert world.held()
    world.kill_at = None
    world.start()
    await world.until(lambda: not world.held(), 3.0)
    await world.run(12.0)
    assert world.converged()


@virtual
async def test_an_entry_of_an_earlier_run_is_taken_back() -> None:
    world = await World().start().ready()
    world.wish(limit_pct=-0.5)
    await world.until(world.resting)
    await world.kill()
    world.start()
    await world.until(lambda: not world.resting(), 2.0)
    await world.run(2.0)
    assert world.converged()


@pytest.mark.parametrize("kind", [STALE, LOST_BEFORE])
@virtual
async def test_a_start_that_cannot_read_the_account_protects_nevertheless(kind: str) -> None:
    """The stop stands and its answer was lost with the process; or it never arrived."""
    world = await World().start().ready()
    world.wire.faults.append(Fault(call="submit", leg=Leg.STOP, kind=kind, delay_s=5.0))
    world.wire.faults.append(Fault(call="user", kind="lost", after=2, count=0))
    world.wish(target_pct=None)
    await world.until(world.ours)
    await world.run(0.05)
    await world.kill()
    held = world.held()
    world.start()
    world.wire.faults.append(Fault(call="snapshot", kind=LOST_BEFORE, count=0, delay_s=8.0))
    await world.until(world.protected, 1.0)
    await world.until(world.covered, 2.0)
    await world.run(8.0)
    assert world.held() == held
    assert world.protected()


def without_market(world: World, seconds: float) -> None:
    """The market's streams come that much later than the account's."""
    post, begun_s = world.carrier.post, world.s

    def late(event: AnyEvent) -> None:
        if world.s - begun_s >= seconds or not isinstance(event, Trade | Mark | Bar | History):
            post(event)

    world.carrier.post = late  # type: ignore[method-assign]


@virtual
async def test_a_swan_that_is_over_closes_nothing_before_the_market_is_heard() -> None:
    world = await World().start().ready()
    yesterday_ns = world.tape.now_ns - 86_400 * 10**9
    world.record(LockSet(at_ns=0, name=SWAN_LOCK, until_ns=yesterday_ns, reason="fell yesterday"))
    world.wish(target_pct=None)
    await world.until(lambda: world.sent(leg=Leg.ENTRY))
    await world.kill()
    await world.run(1.0)
    held = world.held()
    assert held
    world._build()
    without_market(world, 0.6)
    world.start()
    await world.run(5.0)
    assert world.held() == held


@virtual
async def test_a_lock_set_before_the_market_is_heard_holds() -> None:
    world = await World().start().ready()
    await world.enter(target_pct=None)
    await world.kill()
    world.tape.move(SOL, 148.0)
    world._build()
    world.ledger.streaks["wish"] = 4
    without_market(world, 0.6)
    world.start()
    await world.until(lambda: "streak:wish" in world.ledger.locks, 3.0)
    await world.run(1.0)
    assert world.ledger.locks["streak:wish"].until_ns > world.engine.market.now_ns
