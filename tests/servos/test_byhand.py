"""What a person does to what is held: every hand is journalled, none adds risk."""

from decimal import Decimal

import pytest
from faulty import LOST_AFTER, LOST_BEFORE, REFUSED, Fault
from world import BTC, SOL, World, virtual

from nexus_engine.model.commands import Adopt, CloseForeign, ClosePosition, Flatten, MoveStop, Pause, Rearm, Release
from nexus_engine.model.facts import Adopted, Noted, PlanChanged
from nexus_engine.model.view import ViewRequest
from nexus_engine.model.words import Latch, Leg, Mode, OrderStatus, Side


def nearer(world: World, symbol: str = SOL, share: str = "0.5") -> Decimal:
    """A stop between the planned one and the entry, on the tick."""
    position = world.ledger.positions[symbol]
    stop = position.plan.stop + (position.entry - position.plan.stop) * Decimal(share)
    return world.engine.market.symbols[symbol].instrument.nearest(float(stop))


async def foreign(world: World, qty: str = "5", side: Side = Side.BUY) -> None:
    world.by_hand(SOL, side, qty)
    await world.until(lambda: world.ledger.foreign.get(SOL) == world.held(), 6.0)


def moved(world: World) -> bool:
    """The new stop stands and the old one is asked to go."""
    return world.said(" goes")


def noted(world: World, text: str) -> list[Noted]:
    return [fact for fact in world.journal.facts() if isinstance(fact, Noted) and text in fact.text]


# ---- moving a stop ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", list(Side))
@virtual
async def test_a_moved_stop_stands_before_the_old_one_goes(side: Side) -> None:
    world = await World().start().ready()
    position = await world.enter(side=side)
    stop = nearer(world)
    [old] = world.orders(Leg.STOP)
    assert world.command(MoveStop(symbol=SOL, stop=stop)) == f"{SOL}: moving the stop to {stop}"
    await world.until(lambda: not world.protected() or (moved(world) and len(world.stops()) == 1))
    assert world.protected()
    await world.run(1.0)
    assert world.ledger.positions[SOL].plan.stop == stop
    [standing] = world.stops()
    assert world.engine.market.symbols[SOL].instrument.price(standing.trigger_ticks) == stop
    calls = [(call, cid) for _, call, cid in world.calls]
    new = world.orders(Leg.STOP)[-1].client_id
    assert calls.index(("submit", new)) < calls.index(("cancel", old.client_id))
    [fact] = [fact for fact in world.journal.facts() if isinstance(fact, PlanChanged)]
    assert (fact.by, fact.plan.target) == ("you", position.plan.target)
    assert world.ledger.positions[SOL].naked_since_ns is None
    assert not world.said("NAKED")


@virtual
async def test_a_stop_never_moves_towards_more_risk_nor_beyond_the_mark_nor_off_the_tick() -> None:
    world = await World().start().ready()
    position = await world.enter()
    wide = position.plan.stop - 1
    mark = world.engine.market.marks()[SOL]
    for stop, why in (
        (wide, "only moves towards less risk"),
        (position.plan.stop, "already"),
        (mark, "beyond the mark"),
        (mark + 1, "beyond the mark"),
        (nearer(world) + Decimal("0.001"), "not on the tick"),
        (Decimal(-1), "not on the tick"),
        (Decimal("NaN"), "not on the tick"),
    ):
        assert why in world.command(MoveStop(symbol=SOL, stop=stop)), stop
    assert "we hold nothing" in world.command(MoveStop(symbol=BTC, stop=Decimal(1)))
    assert "we hold nothing" in world.command(MoveStop(symbol="XUSDT", stop=Decimal(1)))
    assert world.ledger.positions[SOL].plan == position.plan
    assert len(world.sent(leg=Leg.STOP)) == 1


@virtual
async def test_a_moved_stop_survives_a_restart_and_r_is_still_measured_by_the_first() -> None:
    world = await World().start().ready()
    position = await world.enter(target_pct=None)
    world.tape.move(SOL, 151.5)
    await world.run(1.5)
    stop = position.entry.quantize(Decimal("0.01")) + Decimal("0.50")
    world.command(MoveStop(symbol=SOL, stop=stop))
    await world.until(lambda: moved(world))
    assert world.ledger.positions[SOL].risk_per_unit == 0
    await world.kill()
    await world.start().ready()
    assert world.ledger.positions[SOL].plan.stop == stop
    assert world.ledger.positions[SOL].first_stop == position.plan.stop
    world.tape.move(SOL, 150.3)
    await world.until(lambda: not world.ours(), 3.0)
    [trade] = world.ledger.closed
    assert 0 < trade.r < 1
    await world.until(world.converged, 3.0)


@virtual
async def test_a_stop_that_is_not_moved_is_written_down_with_who_wanted_it() -> None:
    world = await World().start().ready()
    world.command(MoveStop(symbol=SOL, stop=Decimal("140")))
    position = await world.enter()
    farther = position.plan.stop - Decimal("0.10")
    told = world.command(MoveStop(symbol=SOL, stop=farther))
    assert "only moves towards less risk" in told
    kept = [fact.text for fact in noted(world, "stop not moved") if fact.by == "you"]
    assert kept == [
        "stop not moved to 140: we hold nothing",
        f"stop not moved to {farther}: a stop only moves towards less risk, from {position.plan.stop} up",
    ]


@virtual
async def test_a_moved_stop_that_is_refused_leaves_the_old_one_and_is_tried_again() -> None:
    world = await World().start().ready()
    await world.enter()
    world.wire.faults.append(Fault(call="submit", leg=Leg.STOP, kind=REFUSED, code=-1000, count=3))
    world.command(MoveStop(symbol=SOL, stop=nearer(world)))
    at_ns, mono_ns = world.now()
    [row] = world.engine.view(ViewRequest(), at_ns=at_ns, mono_ns=mono_ns).positions
    assert (row.stop_state, row.naked_ms) == ("wait", None)
    await world.run(0.3)
    assert world.protected()
    await world.until(lambda: moved(world), 3.0)
    assert world.held()


@virtual
async def test_a_stop_is_not_moved_while_the_position_is_being_left() -> None:
    world = await World().start().ready()
    await world.enter()
    world.command(ClosePosition(symbol=SOL))
    assert "under way" in world.command(MoveStop(symbol=SOL, stop=Decimal("149.50")))


# ---- placing one again -----------------------------------------------------------------------------------------------


@virtual
async def test_rearming_does_not_wait_out_a_refusal() -> None:
    world = await World().start().ready()
    world.wire.faults.append(Fault(call="submit", leg=Leg.STOP, kind=REFUSED, code=-2022, count=1))
    world.wish()
    await world.until(lambda: world.said("stop refused"))
    assert not world.protected()
    assert "placing the stop" in world.command(Rearm(symbol=SOL))
    assert await world.until(world.protected, 1.0) < 0.3
    await world.until(world.covered)
    assert "is confirmed" in world.command(Rearm(symbol=SOL))
    assert noted(world, "again")[0].by == "you"
    assert "we hold nothing" in world.command(Rearm(symbol=BTC))


# ---- pausing ---------------------------------------------------------------------------------------------------------


@virtual
async def test_a_pause_stops_entries_keeps_what_works_and_is_released_by_its_word() -> None:
    world = await World(mode=Mode.COPILOT).start().ready()
    working = await world.proposal(limit_pct=0.0)
    world.approve(working)
    world.tape.move(SOL, 150.1)
    await world.until(world.resting)
    card = await world.proposal(BTC, risk_pct=0.1)
    assert world.command(Pause()) == "PAUSE: no new entries; what works stays"
    assert world.command(Pause()) == "PAUSE is latched already"
    assert world.approve(card) == f"{card.handle} not sent: PAUSE by you"
    await world.run(1.0)
    assert world.resting()
    await world.kill()
    world.start()
    await world.run(2.0)
    assert "PAUSE" in world.blocked
    assert "type pause" in world.command(Release(latch=Latch.PAUSE, word="yes"))
    world.command(Release(latch=Latch.PAUSE, word="pause"))
    await world.ready()


# ---- what is foreign -------------------------------------------------------------------------------------------------


def adopting(world: World, stop: str | int) -> Adopt:
    """What a person who looks at the foreign quantity now would send."""
    return Adopt(symbol=SOL, qty=world.ledger.foreign.get(SOL, Decimal(1)), stop=Decimal(stop))


def closing(world: World, word: str = "solusdt") -> CloseForeign:
    return CloseForeign(symbol=SOL, qty=world.ledger.foreign.get(SOL, Decimal(1)), word=word)


@virtual
async def test_another_foreign_quantity_than_the_person_saw_is_neither_adopted_nor_closed() -> None:
    world = await World().start().ready()
    await foreign(world)
    adopt, close = adopting(world, "148.00"), closing(world)
    world.by_hand(SOL, Side.SELL, "105", "web_2")
    await world.until(lambda: world.ledger.foreign.get(SOL) == -100, 6.0)
    assert "it is -100.00 by now, not 5.00: look again" in world.command(adopt)
    assert "it is -100.00 by now, not 5.00: look again" in world.command(close)
    await world.run(3.0)
    assert not world.sent()
    assert world.held() == -100


@pytest.mark.parametrize(("side", "stop"), [(Side.BUY, "148.00"), (Side.SELL, "152.00")])
@virtual
async def test_an_adopted_quantity_is_ours_and_protected_at_once(side: Side, stop: str) -> None:
    world = await World().start().ready()
    await foreign(world, side=side)
    at_ns, mono_ns = world.now()
    [difference] = world.engine.view(ViewRequest(), at_ns=at_ns, mono_ns=mono_ns).differences
    assert (difference.venue, difference.ours) == (world.held(), 0)
    assert 149 < difference.entry < 151
    assert difference.liquidation == world.engine.manager.liquidation[SOL] != 0
    told = world.command(adopting(world, stop.removesuffix(".00")))
    assert " 5 is ours now" in told.replace("-", "") and told.endswith(f"placing its stop at {stop}")
    assert await world.until(world.covered, 1.0) < 0.4
    position = world.ledger.positions[SOL]
    assert (position.qty, position.by, position.entry) == (world.held(), "you", difference.entry)
    assert not world.ledger.foreign
    [fact] = [fact for fact in world.journal.facts() if isinstance(fact, Adopted)]
    assert fact.by == "you"
    await world.run(3.0)
    assert world.converged()
    await world.kill()
    await world.start().ready()
    assert world.covered()
    world.command(ClosePosition(symbol=SOL))
    await world.until(lambda: not world.held() and not world.ours(), 3.0)
    assert len(world.ledger.closed) == 1
    assert not world.ledger.streaks
    await world.until(world.converged, 3.0)
    assert all(kept == folded for kept, folded in world.sealed())


@pytest.mark.parametrize("entry", ["170", "130"])
@virtual
async def test_what_an_adopted_quantity_has_won_or_lost_before_is_neither_todays_result_nor_a_drawdown(
    entry: str,
) -> None:
    world = await World().start().ready()
    await world.run(4.0)
    await foreign(world, "50")
    world.engine.manager.venue_entry[SOL] = Decimal(entry)

    def counted() -> dict[str, float]:
        at_ns, mono_ns = world.now()
        shown = world.engine.view(ViewRequest(), at_ns=at_ns, mono_ns=mono_ns)
        losses = {
            gauge.label: gauge.value for gauge in shown.gauges if "day loss" in gauge.label or "draw" in gauge.label
        }
        return {"today": shown.account.day_pnl, **losses}

    before, equity = counted(), world.engine.view(ViewRequest(), at_ns=0, mono_ns=world.now()[1]).account.equity
    assert "is ours now" in world.command(adopting(world, 120))
    assert counted() == pytest.approx(before, abs=1e-6)
    [fact] = [fact for fact in world.journal.facts() if isinstance(fact, Adopted)]
    assert fact.carried == (world.engine.market.marks()[SOL] - Decimal(entry)) * 50
    assert float(fact.before) == equity
    assert not world.blocked
    await world.until(world.covered)
    await world.kill()
    await world.start().ready()
    assert abs(counted()["today"] - before["today"]) < 0.01 * equity
    assert all(kept == folded for kept, folded in world.sealed())


@virtual
async def test_what_cannot_be_adopted() -> None:
    world = await World().start().ready()
    assert "nothing foreign" in world.command(adopting(world, 148))
    assert "not among the symbols" in world.command(Adopt(symbol="XUSDT", qty=Decimal(1), stop=Decimal(148)))
    await foreign(world)
    assert "beyond the mark" in world.command(adopting(world, 152))
    assert "not on the tick" in world.command(adopting(world, "148.001"))
    world.by_hand(SOL, Side.SELL, "2", "web_2")
    await world.until(lambda: world.engine.manager.venue_qty[SOL] == 3, 2.0)
    assert "something else by now" in world.command(adopting(world, 148))
    await world.run(5.0)
    assert not world.sent()
    assert world.ledger.foreign[SOL] == 3


@pytest.mark.parametrize(("side", "liquidation"), [(Side.BUY, "147.50"), (Side.SELL, "152.50")])
@virtual
async def test_a_stop_beyond_the_liquidation_price_is_none(side: Side, liquidation: str) -> None:
    world = await World().start().ready()
    await foreign(world, side=side)
    price, away = Decimal(liquidation), Decimal("0.10") * side.sign
    world.engine.manager.liquidation[SOL] = price
    for stop in (price, price - away):
        told = world.command(adopting(world, str(stop)))
        assert told == f"{SOL}: {stop} is beyond its liquidation at {liquidation}"
    assert not world.sent()
    world.engine.manager.liquidation[SOL] = None
    assert "is ours now" in world.command(adopting(world, str(price - away)))
    await world.until(world.covered)
    world.engine.manager.liquidation[SOL] = price
    assert "beyond its liquidation" in world.command(MoveStop(symbol=SOL, stop=price))
    # one net position at the venue: a liquidation on the other side of the mark is not that of this quantity
    world.engine.manager.liquidation[SOL] = Decimal(150) + 5 * side.sign
    assert "moving the stop" in world.command(MoveStop(symbol=SOL, stop=price))


@virtual
async def test_beside_a_position_of_ours_nothing_is_adopted_and_only_the_foreign_part_is_closed() -> None:
    world = await World().start().ready()
    position = await world.enter()
    world.by_hand(SOL, Side.BUY, "5")
    await world.until(lambda: world.ledger.foreign.get(SOL) == 5, 6.0)
    assert "of ours is open there" in world.command(adopting(world, 148))
    assert "closing the foreign 5" in world.command(closing(world))
    assert "being closed already" in world.command(closing(world))
    await world.until(lambda: SOL not in world.ledger.foreign, 3.0)
    await world.run(3.0)
    assert world.ours() == world.held() == position.qty
    assert world.covered()
    assert world.converged()
    assert not world.ledger.closed
    assert all(kept == folded for kept, folded in world.sealed())


@pytest.mark.parametrize("side", list(Side))
@virtual
async def test_a_foreign_quantity_is_closed_by_its_typed_name_and_counts_no_more(side: Side) -> None:
    world = await World().start().ready()
    await foreign(world, side=side)
    assert "type solusdt" in world.command(closing(world, ""))
    assert not world.sent()
    world.command(closing(world))
    await world.until(lambda: not world.held() and SOL not in world.ledger.foreign, 1.2)
    [order] = world.orders(Leg.FOREIGN)
    assert (order.by, order.reduce_only, order.status) == ("you", True, OrderStatus.FILLED)
    assert not world.ledger.closed
    await world.run(2.0)
    assert world.converged()
    await world.enter()
    assert world.ledger.positions[SOL].intent > order.intent


@virtual
async def test_a_foreign_quantity_that_cannot_be_closed_is_said_and_can_be_tried_again() -> None:
    world = await World().start().ready()
    await foreign(world)
    world.wire.faults.append(Fault(call="submit", leg=Leg.FOREIGN, kind=REFUSED, code=-4131))
    world.command(closing(world))
    await world.until(lambda: world.said("foreign refused"))
    await world.run(3.0)
    assert world.held() == world.ledger.foreign[SOL] == 5
    world.command(closing(world))
    await world.until(lambda: not world.held() and SOL not in world.ledger.foreign, 4.0)


@virtual
async def test_a_close_of_what_is_foreign_that_nobody_answered_is_asked_for_and_neither_repeated_nor_taken_back() -> (
    None
):
    world = await World().start().ready()
    await foreign(world)
    world.wire.faults.append(Fault(call="user", kind="lost", count=0))
    world.wire.faults.append(Fault(call="submit", leg=Leg.FOREIGN, kind=LOST_AFTER, delay_s=1.0))
    world.command(closing(world))
    world.ask_account()
    await world.until(lambda: SOL not in world.ledger.foreign, 8.0)
    [order] = world.orders(Leg.FOREIGN)
    await world.until(lambda: not any(world.ledger.alive()), 3.0)
    assert world.sent("submit") == [order.client_id]
    assert not world.sent("cancel")
    assert world.converged()


@virtual
async def test_a_close_of_what_is_foreign_that_never_arrived_is_over_once_the_venue_says_so_twice() -> None:
    world = await World().start().ready()
    await foreign(world)
    world.wire.faults.append(Fault(call="submit", leg=Leg.FOREIGN, kind=LOST_BEFORE, delay_s=0.5))
    world.command(closing(world))
    world.ask_account()
    await world.run(3.0)
    assert "being closed already" in world.command(closing(world))
    await world.until(lambda: not any(world.ledger.alive()), 15.0)
    assert not world.sent("cancel")
    assert world.held() == world.ledger.foreign[SOL] == 5
    world.command(closing(world))
    await world.until(lambda: not world.held() and SOL not in world.ledger.foreign, 4.0)


@virtual
async def test_flatten_leaves_what_is_foreign_unless_a_person_includes_it() -> None:
    world = await World().start().ready()
    await world.enter()
    world.by_hand(SOL, Side.BUY, "5")
    await world.until(lambda: world.ledger.foreign.get(SOL) == 5, 6.0)
    world.command(Flatten(word="flat"))
    await world.until(lambda: not world.ledger.positions, 4.0)
    await world.run(3.0)
    assert world.held() == world.ledger.foreign[SOL] == 5
    assert not world.orders(Leg.FOREIGN)
    assert "nothing closed" in world.command(Flatten(word="", foreign=True))
    assert "and 1 foreign" in world.command(Flatten(word="flat", foreign=True))
    assert "being closed already" in world.command(Flatten(word="flat", foreign=True))
    await world.until(lambda: not world.held() and SOL not in world.ledger.foreign, 4.0)
    [order] = world.orders(Leg.FOREIGN)
    assert (order.by, order.reduce_only, order.status) == ("you", True, OrderStatus.FILLED)
    assert world.said("closing the foreign 5")
    assert all(kept == folded for kept, folded in world.sealed())


@virtual
async def test_flatten_closes_ours_and_what_is_foreign_on_one_symbol_without_flipping_it() -> None:
    world = await World().start().ready()
    await world.enter()
    world.by_hand(SOL, Side.BUY, "5")
    await world.until(lambda: world.ledger.foreign.get(SOL) == 5, 6.0)
    world.command(Flatten(word="flat", foreign=True))
    await world.until(lambda: not world.ledger.positions and SOL not in world.ledger.foreign, 6.0)
    await world.run(3.0)
    assert world.held() == 0
    assert world.converged()


@pytest.mark.parametrize("stop", ["1e30", "1e40", "1e-40", "123456789012345678901234567890.01"])
@virtual
async def test_a_stop_of_an_absurd_length_is_refused_and_breaks_nothing(stop: str) -> None:
    world = await World().start().ready()
    position = await world.enter(BTC, side=Side.SELL)
    assert stop in world.command(MoveStop(symbol=BTC, stop=Decimal(stop))).lower().replace("+", "")
    assert world.ledger.positions[BTC].plan == position.plan
    await foreign(world, side=Side.SELL)
    assert stop in world.command(adopting(world, stop)).lower().replace("+", "")
    assert SOL not in world.ledger.positions
    assert not world.said("the engine failed")
