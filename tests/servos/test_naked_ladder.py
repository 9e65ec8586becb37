"""The ladder of a naked position: its stop again, another kind, out at a capped limit, out at market; and one hold."""

from types import SimpleNamespace
from typing import Any

import pytest
from faulty import LOST_BEFORE, REFUSED, Fault
from world import SOL, World, virtual

from nexus_engine.model.commands import Hold
from nexus_engine.model.config import Directive, RiskConfig
from nexus_engine.model.facts import Escalated
from nexus_engine.model.view import PositionView, ViewRequest
from nexus_engine.model.words import Leg, OrderKind, OrderStatus, Rung, Side
from nexus_engine.sim.orders import Algo, NewAlgo
from nexus_engine.sim.rules import VenueError


def risk(**changed: Any) -> Directive:
    return Directive(risk=RiskConfig(**changed))


def climbed(world: World) -> list[Rung]:
    """The rungs that the journal tells of."""
    return [fact.rung for fact in world.journal.facts() if isinstance(fact, Escalated)]


def refuse_kind(world: World, kind: str = "STOP_MARKET") -> None:
    """The venue takes no conditional order of that type, as it did of all on the day it moved them."""
    conditionals = world.venue.account.conditionals
    place = conditionals.place

    def judged(request: NewAlgo, now_ms: int, market: Any) -> Algo:
        if request.type == kind:
            raise VenueError(-1116)
        return place(request, now_ms, market)

    conditionals.place = judged  # type: ignore[method-assign]


def no_stops(world: World, kind: str = REFUSED) -> None:
    world.wire.faults.append(Fault(call="submit", leg=Leg.STOP, kind=kind, count=0, delay_s=0.5))


def row(world: World) -> PositionView:
    at_ns, mono_ns = world.now()
    [row] = world.engine.view(ViewRequest(), at_ns=at_ns, mono_ns=mono_ns).positions
    return row


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
@virtual
async def test_where_the_venue_takes_no_market_stop_a_limit_stop_far_through_protects(side: Side) -> None:
    world = await World().start().ready()
    refuse_kind(world)
    world.wish(side=side, target_pct=None)
    await world.until(lambda: world.held())
    assert 0.9 < await world.until(world.protected, 2.0) < 1.5
    await world.run(5.0)
    assert world.covered() and not world.sent(leg=Leg.EXIT)
    [stop] = world.stops()
    assert stop.type == "STOP"
    through = (stop.price_ticks - stop.trigger_ticks) / stop.trigger_ticks * side.sign
    assert -0.031 < through < -0.029
    assert SOL not in world.ledger.rungs


@virtual
async def test_a_limit_stop_that_fires_closes_the_position() -> None:
    world = await World().start().ready()
    refuse_kind(world)
    world.wish(target_pct=None)
    await world.until(lambda: world.covered())
    world.tape.move(SOL, 148.0)
    await world.until(lambda: not world.held(), 2.0)
    await world.run(2.0)
    assert world.converged() and not world.sent(leg=Leg.EXIT)


@virtual
async def test_a_limit_stop_that_price_has_run_through_is_chased_at_market() -> None:
    world = await World().start().ready()
    refuse_kind(world)
    world.wish(target_pct=None)
    await world.until(lambda: world.covered())
    world.tape.move(SOL, 130.0)
    assert 0.9 < await world.until(lambda: not world.held(), 4.0) < 2.5
    assert world.said("its limit does not fill: closing at market")
    await world.run(12.0)
    assert world.converged() and not list(world.ledger.alive())


@virtual
async def test_the_exit_at_the_deadline_is_a_limit_with_a_cap_and_leaves_nothing() -> None:
    world = await World().start().ready()
    no_stops(world)
    world.wish(target_pct=None)
    await world.until(lambda: world.held())
    assert 1.9 < await world.until(lambda: not world.held(), 4.0) < 2.2
    [out] = world.orders(Leg.EXIT)
    assert out.kind is OrderKind.LIMIT and out.price is not None
    assert abs(float(out.price) / (world.tape.price(SOL) * 0.99) - 1) < 1e-3
    await world.run(3.0)
    assert world.converged()


@virtual
async def test_what_the_cap_does_not_get_rid_of_goes_at_market() -> None:
    world = await World(directive=risk(exit_slip_pct=0.1)).start().ready()
    no_stops(world)
    world.wish(target_pct=None, stop_pct=3.0)
    await world.until(lambda: world.held())
    # the book falls away under the mark that the exit is reckoned from
    await world.until(lambda: world.ledger.rungs.get(SOL) is Rung.OTHER_STOP, 2.0)
    world.engine.market.symbols[SOL].mark = 154.0
    keep = world.engine.market.marked
    world.engine.market.marked = lambda event: None if event.symbol == SOL else keep(event)  # type: ignore[method-assign]
    assert await world.until(lambda: not world.held(), 4.0) < 1.6
    limit, *rest = world.orders(Leg.EXIT)
    assert limit.kind is OrderKind.LIMIT and limit.status is OrderStatus.EXPIRED
    assert [order.kind for order in rest] == [OrderKind.MARKET]
    assert climbed(world) == [Rung.OTHER_STOP, Rung.LIMIT, Rung.MARKET]


@virtual
async def test_a_capped_exit_that_is_not_answered_is_followed_at_market() -> None:
    world = await World().start().ready()
    no_stops(world)
    world.wire.faults.append(Fault(call="submit", leg=Leg.EXIT, kind=LOST_BEFORE, delay_s=30.0))
    world.wish(target_pct=None)
    await world.until(lambda: world.held())
    assert await world.until(lambda: not world.held(), 6.0) < 3.2
    assert [order.kind for order in world.orders(Leg.EXIT)] == [OrderKind.LIMIT, OrderKind.MARKET]


@virtual
async def test_without_a_limit_step_the_exit_goes_at_market() -> None:
    world = await World(directive=risk(exit_limit_ms=0)).start().ready()
    no_stops(world)
    world.wish(target_pct=None)
    await world.until(lambda: world.held())
    await world.until(lambda: not world.held(), 4.0)
    assert [order.kind for order in world.orders(Leg.EXIT)] == [OrderKind.MARKET]
    assert climbed(world) == [Rung.OTHER_STOP, Rung.MARKET]


@virtual
async def test_a_restart_goes_on_at_the_rung_that_was_reached() -> None:
    world = await World().start().ready()
    no_stops(world)
    world.wish(target_pct=None)
    await world.until(lambda: world.ledger.rungs.get(SOL) is Rung.OTHER_STOP, 5.0)
    await world.kill()
    refuse_kind(world)
    world.start()
    assert world.ledger.rungs[SOL] is Rung.OTHER_STOP
    assert await world.until(world.protected, 3.0) < 2.0
    assert world.stops()[0].type == "STOP"
    assert all(sealed == folded for sealed, folded in world.sealed())


@virtual
async def test_the_view_counts_down_to_the_machines_exit() -> None:
    world = await World().start().ready()
    no_stops(world)
    world.wish(target_pct=None)
    await world.until(lambda: world.ours())
    await world.run(0.5)
    first = row(world).exit_ms
    await world.run(0.5)
    second = row(world).exit_ms
    assert first is not None and second is not None
    assert 1_300 < first <= 1_600 and 450 <= first - second <= 550


@virtual
async def test_a_hold_puts_the_exit_off_once_and_the_stop_is_tried_on() -> None:
    world = await World(directive=risk(hold_ms=10_000)).start().ready()
    no_stops(world)
    world.wish(target_pct=None)
    await world.until(lambda: world.ours())
    assert "held for" in world.command(Hold(symbol=SOL), by="ann")
    assert row(world).held_by == "ann"
    assert "once already" in world.command(Hold(symbol=SOL))
    tried = len(world.sent(leg=Leg.STOP))
    await world.run(8.0)
    assert world.held() and len(world.sent(leg=Leg.STOP)) > tried + 2
    assert 3.5 < await world.until(lambda: not world.held(), 6.0) < 4.5


@virtual
async def test_a_stop_that_comes_while_held_ends_it_and_the_next_time_there_is_no_second_hold() -> None:
    world = await World().start().ready()
    no_stops(world)
    world.wish(target_pct=None)
    await world.until(lambda: world.ours())
    world.command(Hold(symbol=SOL))
    world.wire.faults.clear()
    await world.until(lambda: world.covered(), 6.0)
    assert row(world).exit_ms is None and row(world).held_by == ""
    no_stops(world)
    world.venue.account.conditionals.cancel_all(SOL, 0)
    await world.until(lambda: world.ledger.positions[SOL].naked_since_ns, 2.0)
    assert "once already" in world.command(Hold(symbol=SOL))
    assert await world.until(lambda: not world.held(), 6.0) < 3.0


@virtual
async def test_a_hold_outlives_a_restart_and_a_restart_makes_it_no_longer() -> None:
    world = await World(directive=risk(hold_ms=10_000)).start().ready()
    no_stops(world)
    world.wish(target_pct=None)
    await world.until(lambda: world.ours())
    world.command(Hold(symbol=SOL))
    begun_s = world.s
    await world.run(6.0)
    await world.kill()
    world.start()
    no_stops(world)
    await world.until(lambda: not world.held(), 15.0)
    assert 10.0 < world.s - begun_s < 13.0


@virtual
async def test_there_is_nothing_to_hold_where_a_stop_stands_or_the_directive_has_no_holds() -> None:
    world = await World(directive=risk(hold_ms=0)).start().ready()
    assert "we hold nothing" in world.command(Hold(symbol=SOL))
    await world.enter(target_pct=None)
    assert "is confirmed" in world.command(Hold(symbol=SOL))
    no_stops(world)
    world.venue.account.conditionals.cancel_all(SOL, 0)
    await world.until(lambda: world.ledger.positions[SOL].naked_since_ns, 2.0)
    assert "risk.hold_ms is 0" in world.command(Hold(symbol=SOL))


@virtual
async def test_a_limit_stop_that_gets_a_part_now_and_then_is_chased_no_later() -> None:
    world = await World().start().ready()
    refuse_kind(world)
    world.wish(target_pct=None)
    await world.until(lambda: world.covered())
    [order] = world.ledger.alive(SOL, Leg.STOP)
    world.tape.move(SOL, 130.0)
    for _ in range(8):
        world.engine.manager.protection.moved(SimpleNamespace(mono_ns=world.now()[1]), order)  # type: ignore[arg-type]
        await world.run(0.3)
    assert not world.held()
    assert world.said("its limit does not fill: closing at market")
