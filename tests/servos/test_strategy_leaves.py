"""A strategy leaves what it opened, at a close: once, all of it, whatever the account's state, across restarts."""

import pytest
from faulty import LOST_AFTER, SLOW, Fault
from msgspec.structs import replace
from world import SOL, World, virtual

from nexus_engine.model.commands import ClosePosition, Halt, SetMode
from nexus_engine.model.facts import SWAN_LOCK, AnyFact, LatchSet, Leaving, LockSet
from nexus_engine.model.view import ViewRequest
from nexus_engine.model.words import Latch, Leg, Mode, Side

MINUTE_NS = 60_000_000_000
MINUTE_S = 62.0


async def holding(side: Side = Side.BUY, **more: object) -> World:
    world = World()
    world.tape.remembers = True
    await world.start().ready()
    await world.enter(side=side, stop_pct=5.0, target_pct=None, **more)
    return world


def left(world: World) -> list[Leaving]:
    return [fact for fact in world.journal.facts() if isinstance(fact, Leaving)]


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
@virtual
async def test_it_leaves_at_the_next_close_with_one_order_and_says_why(side: Side) -> None:
    world = await holding(side)
    intent = world.ledger.positions[SOL].intent
    world.wishes.out.add(SOL)
    await world.until(lambda: not world.held(), MINUTE_S)
    await world.until(lambda: world.converged() and not world.stops(), 5.0)
    assert not world.ours()
    [order] = world.orders(Leg.EXIT)
    assert order.reduce_only and order.by == "bot"
    [fact] = left(world)
    assert fact.intent == intent and fact.leave is not None and fact.leave.reasons == ("a test wants out",)
    at_ns, mono_ns = world.now()
    why = world.engine.view(ViewRequest(why=f"P{intent}"), at_ns=at_ns, mono_ns=mono_ns).why
    assert why is not None and why.leave == fact.leave
    assert any(f"P{intent}: wish leaves: a test wants out" in note for note in world.notes)


def latched(latch: Latch) -> AnyFact:
    return LatchSet(at_ns=0, latch=latch, on=True, by="bot", reason="a test")


@pytest.mark.parametrize("state", ["HALT", "PROTECT_ONLY", "BREAKER", "WATCHER"])
@virtual
async def test_it_leaves_whatever_keeps_entries_out(state: str) -> None:
    world = await holding()
    if state == "HALT":
        world.command(Halt())
    elif state == "WATCHER":
        world.command(SetMode(mode=Mode.WATCHER))
    else:
        world.record(latched(Latch[state]))
    world.wishes.out.add(SOL)
    await world.until(lambda: not world.held() and world.converged(), MINUTE_S)


@virtual
async def test_in_a_black_swan_it_does_not_touch_a_short_and_leaves_it_once_that_is_over() -> None:
    world = await holding(Side.SELL)
    until_ns = world.ledger.market_ns + 150 * 1_000_000_000
    world.record(LockSet(at_ns=0, name=SWAN_LOCK, until_ns=until_ns, reason="a test"))
    world.wishes.out.add(SOL)
    await world.run(100.0)
    assert world.ours() < 0 and not left(world) and not world.orders(Leg.EXIT)
    await world.until(lambda: not world.held() and world.converged(), 120.0)


@virtual
async def test_what_nobody_of_its_name_opened_it_does_not_touch() -> None:
    world = await holding()
    world.ledger.positions[SOL] = replace(world.ledger.positions[SOL], strategy="another")
    world.wishes.out.add(SOL)
    await world.run(130.0)
    assert world.held() and not left(world)


@virtual
async def test_an_exit_whose_outcome_is_not_known_is_not_doubled_by_the_next_close() -> None:
    world = await holding()
    world.wire.faults.append(Fault(call="submit", leg=Leg.EXIT, kind=LOST_AFTER))
    world.wishes.out.add(SOL)
    await world.until(lambda: not world.held(), MINUTE_S)
    await world.run(130.0)
    assert len(left(world)) == 1 and len(world.orders(Leg.EXIT)) == 1
    assert world.converged()


@virtual
async def test_a_half_that_is_being_closed_by_hand_and_a_leave_together_never_flip() -> None:
    world = await holding()
    world.wire.faults.append(Fault(call="submit", leg=Leg.EXIT, kind=SLOW, delay_s=61.0))
    world.command(ClosePosition(symbol=SOL, half=True))
    world.wishes.out.add(SOL)
    lowest = world.held()
    for _ in range(1_400):
        await world.run(0.1)
        lowest = min(lowest, world.held())
    assert lowest == 0 and world.converged() and not world.ours()


@virtual
async def test_an_entry_that_still_fills_is_taken_back_and_left_too() -> None:
    world = World()
    world.tape.remembers = True
    world.tape.lots[SOL] = 300
    await world.start().ready()
    world.wish(target_pct=None, stop_pct=5.0, limit_pct=0.0)
    await world.until(world.covered)
    world.wishes.out.add(SOL)
    await world.until(lambda: not world.held() and world.converged(), 2 * MINUTE_S)
    await world.run(5.0)
    assert not world.held() and not list(world.ledger.alive())


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("what", ["commit", "call"])
@pytest.mark.parametrize("nth", [1, 2])
@virtual
async def test_killed_at_any_step_of_leaving_it_is_out_after_the_next_start(what: str, when: str, nth: int) -> None:
    world = await holding()
    world.wishes.out.add(SOL)
    world.kill_at = (what, when, world.passed(what, when) + nth)
    await world.until(lambda: world.crashed.is_set() or not world.held(), 2 * MINUTE_S)
    world.kill_at = None
    await world.kill()
    await world.start().ready()
    await world.until(lambda: not world.held() and world.converged(), 2 * MINUTE_S)
    assert all(sealed == folded for sealed, folded in world.sealed())


@virtual
async def test_a_close_that_nobody_was_there_to_see_is_looked_at_after_the_start() -> None:
    world = await holding()
    await world.until(lambda: world.tape.now_ns % MINUTE_NS < 2_000_000_000, MINUTE_S)
    await world.kill()
    world.wishes.out.add(SOL)
    world.start()
    await world.until(lambda: not world.held() and world.converged(), 20.0)
    assert left(world) and world.tape.now_ns % MINUTE_NS < 50_000_000_000, "no other minute has closed"


@virtual
async def test_a_start_without_its_strategy_says_what_becomes_of_the_position() -> None:
    world = await holding()
    await world.kill()
    world.wishes.names = ()  # type: ignore[misc]
    await world.start().ready()
    assert any("wish does not run: P1 keeps its stop, targets and time stop" in note for note in world.notes)
    assert world.covered()
