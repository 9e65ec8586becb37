"""A position has its stop at the venue, or is on its way out."""

import re
from decimal import Decimal

import pytest
from faulty import LOST_AFTER, LOST_BEFORE, REFUSED, Fault
from world import SOL, World, virtual

from nexus_engine.model.commands import ClosePosition, Halt
from nexus_engine.model.config import RiskConfig
from nexus_engine.model.effects import Notify
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.orders import ExitPlan, Fill
from nexus_engine.model.told import quantity
from nexus_engine.model.turn import Turn
from nexus_engine.model.words import Leg, Mode, OrderKind, OrderStatus, ProposalStatus, Side
from nexus_engine.servos.manager import Manager
from nexus_engine.sim.orders import Algo


@virtual
async def test_a_fill_gets_its_stop_within_a_quarter_second() -> None:
    world = await World().start().ready()
    world.wish()
    await world.until(lambda: world.held())
    assert await world.until(world.protected, 1.0) <= 0.25
    [stop] = world.stop_qty()
    assert stop == world.held() == world.ours()
    await world.until(lambda: world.covered(), 1.0)


@virtual
async def test_a_short_gets_a_buy_stop_above() -> None:
    world = await World().start().ready()
    position = await world.enter(side=Side.SELL)
    assert position.qty < 0
    [stop] = world.stops()
    assert stop.side_buy and stop.trigger_ticks > world.tape.mids[SOL]


@virtual
async def test_the_stop_stands_on_the_first_partial_fill_and_grows_with_more() -> None:
    world = await World().start().ready()
    world.tape.lots[SOL] = 200
    world.wish(target_pct=None, limit_pct=0.0)
    await world.until(lambda: world.covered())
    first = world.ours()
    [entry] = world.orders(Leg.ENTRY)
    assert first < entry.qty
    sizes = [sum(world.stop_qty())]
    while world.ours() < entry.qty:
        await world.until(lambda: world.ours() > sizes[-1] or world.ours() == entry.qty)
        await world.until(world.protected, 0.3)
        sizes.append(sum(world.stop_qty()))
        await world.run(0.3)
    await world.run(1.0)
    assert len(sizes) > 2
    assert world.stop_qty() == [entry.qty]


@virtual
async def test_a_stop_refused_once_is_sent_again() -> None:
    world = await World().start().ready()
    world.wire.faults.append(Fault(call="submit", leg=Leg.STOP, kind=REFUSED, code=-4120))
    world.wish()
    await world.until(lambda: world.held())
    assert await world.until(world.protected, 2.0) < 1.0
    assert len(world.sent(leg=Leg.STOP)) == 2
    await world.run(5.0)
    assert world.held()


@pytest.mark.parametrize("kind", [REFUSED, LOST_BEFORE])
@virtual
async def test_a_stop_that_never_comes_about_ends_in_an_exit_at_the_deadline(kind: str) -> None:
    world = await World().start().ready()
    world.wire.faults.append(Fault(call="submit", leg=Leg.STOP, kind=kind, count=0, delay_s=1.0))
    world.wish()
    await world.until(lambda: world.held())
    waited_s = await world.until(lambda: not world.held(), 4.0)
    assert 1.5 < waited_s < 2.3
    assert world.said("closing at market")
    await world.run(12.0)
    assert world.converged()
    assert not list(world.ledger.alive())


@virtual
async def test_a_stop_that_would_trigger_at_once_means_out_now() -> None:
    world = await World().start().ready()
    world.wish()
    await world.until(lambda: world.held())
    world.tape.move(SOL, 140.0)
    assert await world.until(lambda: not world.held(), 2.0) < 1.0
    await world.run(3.0)
    assert world.converged()


@virtual
async def test_a_stop_cancelled_by_hand_is_placed_again() -> None:
    world = await World().start().ready()
    await world.enter()
    world.venue.account.conditionals.cancel_all(SOL, 0)
    assert not world.protected()
    assert await world.until(world.protected, 2.0) < 1.0
    assert world.held()


@virtual
async def test_a_stop_cancelled_by_hand_is_missed_even_when_nobody_tells() -> None:
    world = await World().start().ready()
    await world.enter()
    world.wire.faults.append(Fault(call="user", kind="lost", count=0))
    world.venue.account.conditionals.cancel_all(SOL, 0)
    assert await world.until(world.protected, 10.0) <= 5.0
    assert world.held()


def stick(world: World) -> None:
    """The venue's stops trigger, and no order comes of it, as was seen of the real one."""

    def fire(algo: Algo, now_ms: int, market: object) -> None:
        algo.status, algo.updated_ms = "TRIGGERING", now_ms

    world.venue.account.conditionals._fire = fire  # type: ignore[assignment, method-assign]


@virtual
async def test_a_stop_stuck_in_triggering_is_a_missing_stop_and_the_position_goes_at_market() -> None:
    world = await World().start().ready()
    await world.enter(target_pct=None)
    await world.run(1.0)
    stick(world)
    world.tape.move(SOL, 148.0)
    await world.until(lambda: world.stops()[0].status == "TRIGGERING", 2.0)
    assert await world.until(lambda: not world.held(), 10.0) <= 6.0
    assert world.said("stop is not to be relied on")
    assert len(world.sent(leg=Leg.EXIT)) == 1


@virtual
async def test_a_stop_stuck_in_triggering_blocks_its_symbol_and_is_not_hammered() -> None:
    world = await World().start().ready()
    await world.enter(target_pct=None)
    stick(world)
    world.tape.move(SOL, 148.0)
    await world.until(lambda: not world.held(), 10.0)
    calls = len(world.calls)
    await world.run(60.0)
    assert len(world.calls) - calls < 40
    world.wish(target_pct=None)
    await world.until(lambda: world.said("an exit is still under way"), 3.0)
    assert len(world.sent(leg=Leg.ENTRY)) == 1


@virtual
async def test_a_stuck_stop_under_a_price_that_came_back_is_replaced() -> None:
    world = await World().start().ready()
    await world.enter(target_pct=None)
    stick(world)
    world.tape.move(SOL, 148.0)
    await world.until(lambda: world.stops()[0].status == "TRIGGERING", 2.0)
    world.tape.move(SOL, 150.0)
    del world.venue.account.conditionals._fire
    await world.until(lambda: any(algo.status == "NEW" for algo in world.stops()), 10.0)
    await world.run(5.0)
    assert world.held() and world.covered() and len(world.stops()) == 2


@virtual
async def test_a_stop_whose_answer_is_lost_is_found_by_asking() -> None:
    world = await World().start().ready()
    world.wire.faults.append(Fault(call="submit", leg=Leg.STOP, kind=LOST_AFTER))
    world.wire.faults.append(Fault(call="user", kind="lost", after=4, count=1))
    world.wish()
    await world.until(lambda: world.covered(), 2.0)
    await world.run(12.0)
    assert len(world.stops()) == 1
    assert world.converged()


@virtual
async def test_a_stop_that_fires_closes_the_trade_and_takes_the_target_with_it() -> None:
    world = await World().start().ready()
    await world.enter()
    await world.until(world.resting)
    world.tape.move(SOL, 148.0)
    await world.until(lambda: not world.ours(), 2.0)
    await world.until(lambda: not world.resting() and world.converged(), 3.0)
    assert not list(world.ledger.alive())
    [trade] = world.ledger.closed
    assert trade.pnl < 0
    assert world.said(f"P1 closed: {trade.pnl:+.2f}")
    assert world.ledger.streaks == {"wish": 1}


@virtual
async def test_what_is_told_of_a_trade_has_the_numbers_as_the_cards_and_the_tables_have_them() -> None:
    world = await World(mode=Mode.COPILOT).start().ready()
    world.tape.move(SOL, 149.0)
    await world.run(1.0)
    card = await world.proposal()
    size = quantity(card.qty)
    world.approve(card)
    await world.until(world.covered)
    world.command(ClosePosition(symbol=SOL))
    await world.until(lambda: world.ledger.closed)
    told = [row.text for row in world.engine.notebook.rows]
    fills = [text for text in told if " at 1" in text]
    assert len(fills) >= 2
    assert all(re.search(r" at \d{3}\.\d\d$", text) for text in fills), fills
    assert f"closing all of it at market: {size}" in told
    assert any(text.startswith(f"P1 BUY {size} wish") for text in told)
    assert any(text.startswith(f"stop {card.plan.stop} confirmed") for text in told)


def test_a_price_that_the_venue_tells_short_has_the_digits_of_its_symbol() -> None:
    ledger, manager = Ledger(), Manager(RiskConfig())
    turn = Turn(ledger, at_ns=1, mono_ns=1, market_ns=1)
    plan = ExitPlan(stop=Decimal("145.30"))
    size, half = Decimal("4819.0"), Decimal("2409.5")
    entry = turn.submit(
        leg=Leg.ENTRY, symbol=SOL, side=Side.BUY, kind=OrderKind.MARKET, qty=size, intent=1, plan=plan
    )  # fmt: skip
    leaving = turn.submit(leg=Leg.EXIT, symbol=SOL, side=Side.SELL, kind=OrderKind.MARKET, qty=size, intent=1)
    for number, (order, qty) in enumerate(((entry, half), (entry, half), (leaving, size))):
        fill = Fill(
            symbol=SOL, trade_id=str(number), client_id=order.client_id, side=order.side, price=Decimal(149), qty=qty,
            venue_ns=1,
        )  # fmt: skip
        manager.filled(turn, fill)
    told = [effect.text for effect in turn.effects if isinstance(effect, Notify) and " at 1" in effect.text]
    assert told == [
        "P1 partly filled 2,409.5 at 149.00", "P1 filled 2,409.5 at 149.00", "exit of P1: SELL 4,819 at 149.00",
    ]  # fmt: skip


def test_a_part_of_an_entry_that_is_told_after_its_end_is_a_part() -> None:
    ledger, manager = Ledger(), Manager(RiskConfig())
    turn = Turn(ledger, at_ns=1, mono_ns=1, market_ns=1)
    entry = turn.submit(
        leg=Leg.ENTRY, symbol=SOL, side=Side.BUY, kind=OrderKind.LIMIT, qty=Decimal(10), price=Decimal(149), intent=1,
        plan=ExitPlan(stop=Decimal("145.30")),
    )  # fmt: skip
    turn.change(entry, OrderStatus.CANCELED)
    fill = Fill(
        symbol=SOL, trade_id="1", client_id=entry.client_id, side=Side.BUY, price=Decimal(149), qty=Decimal(4),
        venue_ns=1,
    )  # fmt: skip
    manager.filled(turn, fill)
    told = [effect.text for effect in turn.effects if isinstance(effect, Notify)]
    assert "P1 partly filled 4 at 149.00" in told


@virtual
async def test_a_closing_is_told_of_whose_order_it_was_not_of_who_had_opened() -> None:
    world = await World(mode=Mode.COPILOT).start().ready()
    closings: dict[int, str] = {}
    for number in (1, 2):
        world.approve(await world.proposal())
        await world.until(world.covered)
        if number == 1:
            world.tape.move(SOL, 148.0)
        else:
            world.command(ClosePosition(symbol=SOL), by="ann")
        await world.until(lambda: not world.ours(), 5.0)
        await world.until(world.converged, 5.0)
        [closings[number]] = [row.by for row in world.engine.notebook.rows if f"P{number} closed" in row.text]
        world.tape.move(SOL, 150.0)
    assert closings == {1: "bot", 2: "ann"}
    assert [trade.by for trade in world.ledger.closed] == ["you", "you"]


@virtual
async def test_a_target_that_fills_takes_the_stop_with_it() -> None:
    world = await World().start().ready()
    await world.enter()
    await world.until(world.resting)
    world.tape.move(SOL, 154.0)
    await world.until(lambda: not world.ours(), 2.0)
    await world.until(lambda: not world.stops() and world.converged(), 3.0)
    assert not list(world.ledger.alive())
    assert world.ledger.closed[0].pnl > 0
    assert world.ledger.streaks == {"wish": 0}


@virtual
async def test_the_target_waits_for_the_end_of_the_entry() -> None:
    world = await World().start().ready()
    world.tape.lots[SOL] = 100
    world.wish(limit_pct=0.0)
    await world.until(lambda: world.covered())
    assert any(world.ledger.alive(SOL, Leg.ENTRY))
    assert not any(world.ledger.alive(SOL, Leg.TARGET))
    await world.until(lambda: not any(world.ledger.alive(SOL, Leg.ENTRY)), 40.0)
    await world.until(lambda: any(not order.reduce_only for order in world.resting()) or world.resting(), 2.0)
    [target] = world.resting()
    assert target.reduce_only
    assert target.qty_lots * Decimal("0.01") == world.held()


@virtual
async def test_half_a_close_puts_the_smaller_stop_before_it_takes_the_larger_away() -> None:
    world = await World().start().ready()
    whole = (await world.enter()).qty
    naked = []

    def look() -> bool:
        naked.append(not world.protected())
        return world.stop_qty() == [world.held()] and world.held() < whole

    world.command(ClosePosition(symbol=SOL, half=True))
    await world.until(look, 3.0)
    assert not any(naked)
    await world.run(2.0)
    assert abs(world.held() - whole / 2) <= Decimal("0.01")
    assert sum(order.qty_lots for order in world.resting()) * Decimal("0.01") == world.held()
    assert world.converged()


@virtual
async def test_two_halves_pressed_at_once_are_one() -> None:
    world = await World().start().ready()
    whole = (await world.enter()).qty
    world.command(ClosePosition(symbol=SOL, half=True))
    world.command(ClosePosition(symbol=SOL, half=True))
    await world.run(3.0)
    assert abs(world.held() - whole / 2) <= Decimal("0.01")


@virtual
async def test_a_refused_half_close_does_not_become_a_whole_one() -> None:
    world = await World().start().ready()
    whole = (await world.enter()).qty
    world.wire.faults.append(Fault(call="submit", leg=Leg.EXIT, kind=REFUSED))
    world.command(ClosePosition(symbol=SOL, half=True))
    await world.run(5.0)
    assert world.held() >= whole / 2
    assert world.said("exit refused")


@virtual
async def test_a_whole_close_is_pursued_until_flat() -> None:
    world = await World().start().ready()
    await world.enter()
    world.wire.faults += [
        Fault(call="submit", leg=Leg.EXIT, kind=REFUSED),
        Fault(call="submit", leg=Leg.EXIT, kind=LOST_BEFORE),
        Fault(call="submit", leg=Leg.EXIT, kind=REFUSED),
    ]
    world.command(ClosePosition(symbol=SOL))
    assert await world.until(lambda: not world.held(), 10.0) < 5.0
    await world.run(12.0)
    assert world.converged()


@virtual
async def test_a_market_exit_that_the_book_cannot_take_whole_is_sent_again() -> None:
    world = await World().start().ready()
    await world.enter()
    world.tape.lots[SOL] = 100
    world.command(ClosePosition(symbol=SOL))
    await world.until(lambda: not world.held(), 10.0)
    await world.run(3.0)
    assert len(world.sent(leg=Leg.EXIT)) > 1
    assert world.converged()


@virtual
async def test_closing_a_position_takes_the_rest_of_its_entry_back() -> None:
    world = await World().start().ready()
    world.tape.lots[SOL] = 100
    world.wish(limit_pct=0.0)
    await world.until(lambda: world.covered())
    assert any(world.ledger.alive(SOL, Leg.ENTRY))
    world.command(ClosePosition(symbol=SOL))
    await world.run(6.0)
    assert not world.held()
    assert not world.resting()
    assert world.converged()


@virtual
async def test_the_time_stop_leaves_on_the_markets_clock() -> None:
    world = await World(speed=10.0).start().ready()
    await world.enter(time_stop_ns=60_000_000_000)
    assert 5.0 < await world.until(lambda: not world.held(), 20.0) < 7.0


@virtual
async def test_a_cancel_that_loses_against_the_fill_counts_the_fill() -> None:
    world = await World().start().ready()
    world.tape.lots[SOL] = 300
    world.wish(limit_pct=0.0)
    await world.until(lambda: world.ours())
    [entry] = world.orders(Leg.ENTRY)
    # the rest fills at the venue while our cancel is under way, and the fill's event is lost
    world.wire.faults.append(Fault(call="cancel", kind="slow", delay_s=1.0))
    world.wire.faults.append(Fault(call="user", kind="lost", count=0))
    world.command(Halt())
    world.tape.lots[SOL] = 1_000_000
    await world.until(lambda: world.held() == entry.qty)
    await world.until(lambda: world.ours() == entry.qty, 4.0)
    await world.until(world.protected, 1.0)
    assert world.ledger.orders[entry.client_id].status is OrderStatus.FILLED
    assert world.ledger.proposals[entry.intent].status is ProposalStatus.EXECUTED


@virtual
async def test_a_refused_stop_is_not_hammered() -> None:
    world = await World().start().ready()
    world.tape.lots[SOL] = 300
    world.wire.faults.append(Fault(call="submit", leg=Leg.STOP, kind=REFUSED, count=0))
    world.wish(limit_pct=0.0)
    await world.until(lambda: world.said("closing at market"), 5.0)
    assert len(world.sent(leg=Leg.STOP)) <= 20
