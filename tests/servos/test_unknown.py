"""What is not known is asked for, never sent again, and counts until it is known."""

from decimal import Decimal

import pytest
from faulty import LOST_AFTER, LOST_BEFORE, STALE, Fault
from world import SOL, World, virtual

from nexus_engine.core import accounting
from nexus_engine.model.commands import Halt
from nexus_engine.model.config import RiskConfig
from nexus_engine.model.effects import Query
from nexus_engine.model.events import SubmitResult
from nexus_engine.model.facts import Filled
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.orders import OrderReport
from nexus_engine.model.turn import Turn
from nexus_engine.model.words import Latch, Leg, OrderKind, OrderStatus, Outcome, ProposalStatus, Side
from nexus_engine.servos.manager import Manager


@pytest.mark.parametrize("told", [True, False], ids=["the stream tells", "nobody tells"])
@virtual
async def test_an_entry_whose_answer_is_lost_is_found_and_not_sent_again(told: bool) -> None:
    world = await World().start().ready()
    world.wire.faults.append(Fault(call="submit", leg=Leg.ENTRY, kind=LOST_AFTER, delay_s=0.2))
    if not told:
        world.wire.faults.append(Fault(call="user", kind="lost", count=0))
    world.wish()
    await world.until(lambda: world.held())
    assert await world.until(lambda: world.covered(), 3.0) < 0.8
    await world.run(15.0)
    assert len(world.sent(leg=Leg.ENTRY)) == 1
    assert world.held() == world.ours()


def test_an_answer_that_tells_of_another_order_is_asked_for_at_once() -> None:
    ledger, manager = Ledger(), Manager(RiskConfig())
    turn = Turn(ledger, at_ns=1, mono_ns=1, market_ns=1)
    order = turn.submit(leg=Leg.ENTRY, symbol=SOL, side=Side.BUY, kind=OrderKind.MARKET, qty=Decimal(1), intent=1)
    turn.effects.clear()
    manager.submitted(
        turn, SubmitResult(at_ns=1, mono_ns=1, client_id=order.client_id, outcome=Outcome.DONE, report=None)
    )
    assert turn.effects == [Query(client_id=order.client_id, symbol=SOL, conditional=False)]


def test_an_end_that_is_told_without_its_executions_is_asked_for_at_once() -> None:
    ledger, manager = Ledger(), Manager(RiskConfig())
    turn = Turn(ledger, at_ns=1, mono_ns=1, market_ns=1)
    stop = turn.submit(
        leg=Leg.STOP,
        symbol=SOL,
        side=Side.SELL,
        kind=OrderKind.STOP_MARKET,
        qty=Decimal(1),
        trigger=Decimal(9),
        intent=1,
    )
    turn.change(stop, OrderStatus.OPEN)
    turn.effects.clear()
    ended = OrderReport(
        client_id=stop.client_id,
        symbol=SOL,
        side=Side.SELL,
        status=OrderStatus.FILLED,
        qty=Decimal(1),
        conditional=True,
    )
    manager.reported(turn, ended)
    assert Query(client_id=stop.client_id, symbol=SOL, conditional=True) in turn.effects
    assert ledger.orders[stop.client_id].alive
    manager.reported(turn, ended, asked=True)
    assert ledger.orders[stop.client_id].status is OrderStatus.EXPIRED


@virtual
async def test_a_question_that_hangs_is_asked_once_more_beside_it() -> None:
    """A fill that nobody told of has no stop until an answer comes."""
    world = await World().start().ready()
    world.wire.faults.append(Fault(call="user", kind="lost", count=0))
    world.wire.faults.append(Fault(call="query", kind=LOST_BEFORE, delay_s=5.0))
    world.wish()
    await world.until(lambda: world.held())
    assert await world.until(lambda: world.covered(), 6.0) < 4.5
    assert world.held() == world.ours()


@virtual
async def test_an_entry_that_never_arrived_counts_as_exposure_until_two_looks_agree() -> None:
    world = await World().start().ready()
    world.wire.faults.append(Fault(call="submit", leg=Leg.ENTRY, kind=LOST_BEFORE, delay_s=0.2))
    world.wish()
    await world.until(lambda: any(o.status is OrderStatus.UNKNOWN for o in world.ledger.alive()))
    marks = world.engine.market.marks()
    assert accounting.exposure(world.ledger, marks) > 1_000
    world.wish()
    await world.run(2.0)
    assert world.said("is on its way")
    waited_s = await world.until(lambda: not any(world.ledger.alive()), 20.0)
    assert waited_s > 7.0
    [entry] = world.orders(Leg.ENTRY)
    assert entry.status is OrderStatus.CANCELED
    assert world.ledger.proposals[entry.intent].status is ProposalStatus.FAILED
    assert accounting.exposure(world.ledger, marks) == 0
    assert len(world.sent(leg=Leg.ENTRY)) == 1
    assert Latch.PROTECT_ONLY not in world.ledger.latches


@virtual
async def test_an_order_that_turns_up_after_it_was_given_up_is_taken_back() -> None:
    world = await World().start().ready()
    world.wire.faults.append(Fault(call="submit", leg=Leg.ENTRY, kind=LOST_BEFORE, delay_s=0.2))
    world.wish()
    await world.until(lambda: world.orders(Leg.ENTRY) and not any(world.ledger.alive()), 20.0)
    [entry] = world.orders(Leg.ENTRY)
    world.by_hand(SOL, Side.BUY, "3", entry.client_id, price="140")
    assert world.resting()
    await world.until(lambda: not world.resting(), 3.0)
    await world.run(2.0)
    assert world.converged()


@virtual
async def test_a_fill_that_nobody_tells_is_found_within_a_second_or_so() -> None:
    world = await World().start().ready()
    world.wish(limit_pct=-0.1)
    await world.until(world.resting)
    world.wire.faults.append(Fault(call="user", kind="lost", count=0))
    world.tape.move(SOL, 149.5)
    await world.until(lambda: world.held())
    assert await world.until(world.protected, 3.0) < 1.6
    assert world.ours() == world.held()


@virtual
async def test_a_trade_that_ends_while_nobody_tells_is_known_within_seconds() -> None:
    world = await World().start().ready()
    await world.enter()
    world.wire.faults.append(Fault(call="user", kind="lost", count=0))
    world.tape.move(SOL, 147.0)
    await world.until(lambda: not world.held())
    assert await world.until(lambda: not world.ours(), 10.0) < 5.5
    await world.until(world.converged, 5.0)


@virtual
async def test_fills_told_twice_and_late_count_once() -> None:
    world = await World().start().ready()
    world.wire.faults += [Fault(call="user", kind="twice", count=6), Fault(call="user", kind="late", count=4)]
    world.tape.lots[SOL] = 300
    world.wish(limit_pct=0.0)
    await world.until(lambda: world.covered() and not any(world.ledger.alive(SOL, Leg.ENTRY)), 60.0)
    await world.run(3.0)
    assert world.ours() == world.held()
    assert world.converged()
    counted = [fact.fill.trade_id for fact in world.journal.facts() if isinstance(fact, Filled)]
    assert len(counted) == len(set(counted))


@virtual
async def test_an_entry_is_not_over_before_its_fills_are_known() -> None:
    world = await World().start().ready()
    world.tape.lots[SOL] = 300
    world.wish(limit_pct=0.0)
    await world.until(lambda: world.ours())
    world.wire.faults.append(Fault(call="user", kind="lost", count=12))
    world.wire.faults.append(Fault(call="query", kind=STALE, count=0, delay_s=0.4))
    await world.run(0.3)
    world.command(Halt())
    unseen = []

    def over() -> bool:
        alive = any(world.ledger.alive(SOL, Leg.ENTRY))
        unseen.append(not alive and world.ours() != world.held())
        return not alive

    await world.until(over, 10.0)
    assert not any(unseen)


@virtual
async def test_a_reading_of_the_account_that_was_overtaken_by_a_fill_takes_nothing_away() -> None:
    world = await World().start().ready()
    world.wire.faults.append(Fault(call="snapshot", kind=STALE, delay_s=1.0))
    world.ask_account()
    await world.run(0.1)
    world.wish()
    await world.until(lambda: world.ours(), 2.0)
    await world.run(4.0)
    assert world.ours() == world.held() > 0
    assert not world.ledger.foreign
    assert not world.ledger.closed
    assert world.protected()


@virtual
async def test_a_cancel_that_is_refused_is_not_hammered() -> None:
    world = await World().start().ready()
    world.wish(limit_pct=-0.5)
    await world.until(world.resting)
    world.wire.faults.append(Fault(call="cancel", kind="refused", count=8))
    before = len(world.calls)
    world.command(Halt())
    await world.until(lambda: not world.resting(), 10.0)
    assert len(world.calls) - before < 25
    await world.run(2.0)
    assert world.converged()


@virtual
async def test_the_rest_of_an_entry_goes_after_its_time() -> None:
    world = await World().start().ready()
    world.wish(limit_pct=-0.5)
    await world.until(world.resting)
    assert 18.0 < await world.until(lambda: not world.resting(), 30.0) < 22.0
    await world.run(1.0)
    [entry] = world.orders(Leg.ENTRY)
    assert entry.status is OrderStatus.CANCELED
    assert world.ledger.proposals[entry.intent].status is ProposalStatus.FAILED
