"""The trading state is what the facts have made of it."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_engine.model import ledger as ledgers
from nexus_engine.model.facts import (
    Adopted,
    AnyFact,
    DayOpened,
    Filled,
    ForeignSeen,
    LatchSet,
    LockSet,
    Naked,
    Noted,
    OrderChanged,
    OrderIntended,
    PlanChanged,
    PositionLost,
    RunStarted,
)
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.orders import ZERO, ExitPlan, Fill, Order, client_id
from nexus_engine.model.words import (
    AccountKind,
    Latch,
    Leg,
    Level,
    OrderKind,
    OrderStatus,
    Side,
    TradingState,
)

SOL = "SOLUSDT"
PLAN = ExitPlan(stop=Decimal("95"))


def order(
    leg: Leg = Leg.ENTRY, qty: str = "10", *, intent: int = 1, side: Side | None = None, attempt: int = 1
) -> Order:
    side = side or (Side.BUY if leg is Leg.ENTRY else Side.SELL)
    return Order(
        client_id=client_id("test", 1, intent, leg, attempt),
        symbol=SOL,
        side=side,
        kind=OrderKind.LIMIT,
        leg=leg,
        intent=intent,
        qty=Decimal(qty),
        price=Decimal(100),
        strategy="wish",
        plan=PLAN if leg is Leg.ENTRY else None,
        created_ns=1,
        changed_ns=1,
    )


def filled(of: Order, qty: str | Decimal, trade: int, *, price: str = "100", fee: str = "0") -> Filled:
    fill = Fill(
        symbol=SOL,
        trade_id=str(trade),
        client_id=of.client_id,
        side=of.side,
        price=Decimal(price),
        qty=Decimal(qty),
        fee=Decimal(fee),
        venue_ns=trade,
    )
    return Filled(at_ns=trade, fill=fill, market_ns=trade)


def intended(one: Order) -> OrderIntended:
    return OrderIntended(at_ns=1, order=one)


def fold(*facts: AnyFact) -> Ledger:
    return Ledger().fold(facts)


parts = st.lists(st.integers(1, 400).map(lambda lots: Decimal(lots) / 100), min_size=1, max_size=8)


@given(parts=parts, seed=st.randoms(use_true_random=False))
def test_fills_in_any_order_and_told_twice_make_the_same_position(parts: Sequence[Decimal], seed: object) -> None:
    entry = order(qty=str(sum(parts)))
    told = [filled(entry, qty, at, price=str(100 + at)) for at, qty in enumerate(parts)]
    shuffled = told * 2
    seed.shuffle(shuffled)  # type: ignore[attr-defined]
    straight, mixed = fold(intended(entry), *told), fold(intended(entry), *shuffled)
    position = mixed.positions[SOL]
    assert position.qty == straight.positions[SOL].qty == sum(parts)
    cost = sum(qty * (100 + at) for at, qty in enumerate(parts))
    assert abs(position.entry * position.qty - cost) < Decimal("1e-9")
    assert mixed.orders[entry.client_id].status is OrderStatus.FILLED
    assert mixed.day_fees == straight.day_fees


@given(ins=parts, outs=parts, side=st.sampled_from(list(Side)))
def test_the_position_is_the_sum_of_the_fills_and_never_flips(
    ins: Sequence[Decimal], outs: Sequence[Decimal], side: Side
) -> None:
    entry = order(qty=str(sum(ins)), side=side)
    leave = order(Leg.EXIT, qty=str(sum(outs)), side=side.opposite)
    facts = [filled(entry, qty, at) for at, qty in enumerate(ins)]
    facts += [filled(leave, qty, 100 + at) for at, qty in enumerate(outs)]
    ledger = fold(intended(entry), intended(leave), *facts)
    left = max(ZERO, sum(ins) - sum(outs))
    position = ledger.positions.get(SOL)
    assert (ZERO if position is None else position.qty) == left * side.sign
    assert len(ledger.closed) == (0 if left else 1)


@given(
    ins=st.lists(st.tuples(st.integers(1, 99), st.integers(90, 110)), min_size=1, max_size=5),
    price=st.integers(80, 120),
    fees=st.lists(st.integers(0, 50), min_size=6, max_size=6),
    side=st.sampled_from(list(Side)),
)
def test_a_closed_trade_earned_what_it_realised_less_its_fees(
    ins: list[tuple[int, int]], price: int, fees: list[int], side: Side
) -> None:
    qty = sum(lots for lots, _ in ins)
    entry, leave = order(qty=str(qty), side=side), order(Leg.EXIT, qty=str(qty), side=side.opposite)
    facts = [filled(entry, str(q), at, price=str(p), fee=str(fees[at])) for at, (q, p) in enumerate(ins)]
    ledger = fold(
        intended(entry), intended(leave), *facts, filled(leave, str(qty), 99, price=str(price), fee=str(fees[5]))
    )
    [trade] = ledger.closed
    earned = sum((price - p) * q for q, p in ins) * side.sign
    paid = sum(fees[: len(ins)]) + fees[5]
    assert abs(trade.pnl - (earned - paid)) < Decimal("1e-9")
    assert abs(ledger.day_realised - earned) < Decimal("1e-9")
    assert ledger.day_fees == paid


def test_a_fill_after_the_end_of_its_order_still_counts() -> None:
    entry = order()
    gone = OrderChanged(at_ns=2, client_id=entry.client_id, status=OrderStatus.CANCELED)
    ledger = fold(intended(entry), filled(entry, "4", 1), gone, filled(entry, "6", 2))
    assert ledger.positions[SOL].qty == 10
    assert ledger.orders[entry.client_id].status is OrderStatus.FILLED


def test_an_ended_order_does_not_come_back() -> None:
    entry = order()
    facts = [
        OrderChanged(at_ns=at, client_id=entry.client_id, status=status)
        for at, status in enumerate((OrderStatus.OPEN, OrderStatus.CANCELED, OrderStatus.OPEN, OrderStatus.REJECTED))
    ]
    ledger = fold(intended(entry), *facts)
    assert ledger.orders[entry.client_id].status is OrderStatus.CANCELED
    assert ledger.orders[entry.client_id].leaves == 0


def test_a_fill_while_a_cancel_is_under_way_leaves_it_under_way() -> None:
    entry = order()
    asked = OrderChanged(at_ns=1, client_id=entry.client_id, status=OrderStatus.PENDING_CANCEL)
    ledger = fold(intended(entry), asked, filled(entry, "4", 1))
    assert ledger.orders[entry.client_id].status is OrderStatus.PENDING_CANCEL
    assert ledger.orders[entry.client_id].leaves == 6


def test_what_someone_else_took_is_valued_and_counted_once() -> None:
    entry = order()
    part = PositionLost(at_ns=3, symbol=SOL, qty=Decimal(4), price=Decimal(90))
    ledger = fold(intended(entry), filled(entry, "10", 1), part)
    assert ledger.positions[SOL].qty == 4
    assert not ledger.closed
    ledger.apply(PositionLost(at_ns=4, symbol=SOL, qty=ZERO, price=Decimal(90)))
    assert SOL not in ledger.positions
    assert ledger.closed[0].pnl == -100
    assert ledger.streaks == {"wish": 1}
    assert ledger.day_trades == 1


def test_a_losing_streak_counts_trades_not_fills_and_ends_with_a_win() -> None:
    ledger = Ledger()
    for intent, price in enumerate(("99", "98", "101", "97"), 1):
        entry, leave = order(intent=intent), order(Leg.STOP, intent=intent)
        ledger.fold([intended(entry), intended(leave), filled(entry, "10", intent * 10)])
        half = filled(leave, "5", intent * 10 + 1, price=price)
        ledger.fold([half, half, filled(leave, "5", intent * 10 + 2, price=price)])
        assert ledger.streaks["wish"] == (1, 2, 0, 1)[intent - 1]
    assert ledger.day_trades == 4


def test_a_position_is_naked_from_its_first_fill_and_more_does_not_reset_the_clock() -> None:
    entry = order()
    ledger = fold(intended(entry), filled(entry, "4", 5))
    assert ledger.positions[SOL].naked_since_ns == 5
    ledger.apply(Naked(at_ns=6, symbol=SOL, since_ns=None))
    ledger.apply(filled(entry, "3", 7))
    assert ledger.positions[SOL].naked_since_ns == 7
    ledger.apply(filled(entry, "3", 9))
    assert ledger.positions[SOL].naked_since_ns == 7


def test_orders_of_an_open_position_are_not_forgotten() -> None:
    entry, leave = order(), order(Leg.EXIT)
    ledger = fold(intended(entry), intended(leave), filled(entry, "10", 1))
    ledger.apply(OrderChanged(at_ns=1, client_id=leave.client_id, status=OrderStatus.REJECTED))
    for at in range(2, 3 * ledgers.KEPT_ORDERS):
        other = order(intent=at)
        ledger.apply(intended(other))
        ledger.apply(OrderChanged(at_ns=at, client_id=other.client_id, status=OrderStatus.CANCELED))
    assert {entry.client_id, leave.client_id} <= set(ledger.orders)
    assert len(ledger.orders) <= 2 * ledgers.KEPT_ORDERS + 2


@pytest.mark.parametrize(
    ("latches", "state"),
    [
        ([], TradingState.ACTIVE),
        ([Latch.BREAKER], TradingState.REDUCING),
        ([Latch.PROTECT_ONLY, Latch.DRAWDOWN], TradingState.REDUCING),
        ([Latch.PROTECT_ONLY, Latch.HALT], TradingState.HALTED),
    ],
)
def test_the_strictest_latch_decides(latches: list[Latch], state: TradingState) -> None:
    ledger = fold(*(LatchSet(at_ns=1, latch=latch, on=True, by="you") for latch in latches))
    assert ledger.state is state
    for latch in latches:
        ledger.apply(LatchSet(at_ns=2, latch=latch, on=False, by="you"))
    assert ledger.state is TradingState.ACTIVE


def test_every_fact_that_changes_the_state_changes_the_digest() -> None:
    entry = order()
    ledger = Ledger()
    seen = {ledger.digest()}
    facts: list[AnyFact] = [
        RunStarted(at_ns=1, account="main", kind=AccountKind.DEMO, instance="test", epoch=1, version="0"),
        intended(entry),
        OrderChanged(at_ns=2, client_id=entry.client_id, status=OrderStatus.OPEN),
        filled(entry, "10", 3),
        Naked(at_ns=4, symbol=SOL, since_ns=None),
        LockSet(at_ns=5, name="swan", until_ns=9, reason="fell"),
        LatchSet(at_ns=6, latch=Latch.HALT, on=True, by="you"),
        DayOpened(at_ns=7, day=1, equity=Decimal(100)),
        PositionLost(at_ns=8, symbol=SOL, qty=ZERO, price=Decimal(99)),
    ]
    for fact in facts:
        assert ledger.apply(fact)
        assert ledger.digest() not in seen, fact
        seen.add(ledger.digest())
    told = Noted(at_ns=9, level=Level.INFO, subject="x", by="you", text="hello")
    before = ledger.digest()
    assert not ledger.apply(told)
    assert ledger.digest() == before


@given(ins=parts, cut=st.integers(0, 8), price=st.integers(80, 120))
def test_an_exit_heard_of_before_the_fills_that_it_closed_comes_out_even(
    ins: Sequence[Decimal], cut: int, price: int
) -> None:
    entry, leave = order(qty=str(sum(ins))), order(Leg.EXIT, qty=str(sum(ins)))
    fills: list[AnyFact] = [filled(entry, qty, at) for at, qty in enumerate(ins)]
    out = filled(leave, str(sum(ins)), 99, price=str(price))
    ledger = fold(intended(entry), intended(leave), *fills[:cut], out, *fills[cut:])
    assert SOL not in ledger.positions
    assert abs(ledger.day_realised - (price - 100) * sum(ins)) < Decimal("1e-9")
    ledger.fold([intended(order(intent=2)), filled(order(intent=2), "3", 200)])
    assert ledger.positions[SOL].qty == 3


def test_a_fill_that_explains_what_was_written_off_takes_nothing_more() -> None:
    entry, half, stop = order(), order(Leg.EXIT, qty="5"), order(Leg.STOP, qty="5")
    gone = PositionLost(at_ns=50, symbol=SOL, qty=Decimal(5), price=Decimal(99))
    ledger = fold(intended(entry), intended(half), intended(stop), filled(entry, "10", 1), gone, filled(half, "5", 40))
    assert ledger.positions[SOL].qty == 5
    ledger.apply(filled(stop, "5", 60))
    assert SOL not in ledger.positions


def test_a_fill_after_a_write_off_is_one() -> None:
    entry, stop = order(), order(Leg.STOP)
    gone = PositionLost(at_ns=50, symbol=SOL, qty=Decimal(5), price=Decimal(99))
    ledger = fold(intended(entry), intended(stop), filled(entry, "10", 1), gone, filled(stop, "5", 60))
    assert SOL not in ledger.positions


@pytest.mark.parametrize("qty", ["5", "-5"])
def test_an_adopted_quantity_is_a_position_and_foreign_no_more(qty: str) -> None:
    plan = ExitPlan(stop=Decimal("95") if qty == "5" else Decimal("105"))
    adopted = Adopted(
        at_ns=7, symbol=SOL, qty=Decimal(qty), entry=Decimal(100), plan=plan, intent=4, by="you", market_ns=6
    )
    ledger = fold(ForeignSeen(at_ns=1, symbol=SOL, qty=Decimal(qty)), adopted)
    position = ledger.positions[SOL]
    assert not ledger.foreign
    assert ledger.next_intent == 5
    assert (position.qty, position.peak_qty, position.by, position.naked_since_ns) == (Decimal(qty), 5, "you", 7)
    leave = order(Leg.EXIT, "5", intent=4, side=position.side.opposite)
    ledger.fold([intended(leave), filled(leave, "5", 9, price="95" if qty == "5" else "105")])
    [trade] = ledger.closed
    assert (trade.pnl, trade.r, trade.intent) == (-25, -1.0, 4)
    assert not ledger.streaks
    assert not ledger.positions


def test_a_moved_stop_changes_the_plan_and_not_what_r_is_measured_by() -> None:
    entry, leave = order(), order(Leg.EXIT)
    moved = PlanChanged(at_ns=3, symbol=SOL, plan=ExitPlan(stop=Decimal(101)), by="you")
    ledger = fold(intended(entry), filled(entry, "10", 1), moved)
    assert ledger.positions[SOL].plan.stop == 101
    assert ledger.positions[SOL].risk_per_unit == 0
    assert ledger.positions[SOL].first_risk_per_unit == 5
    ledger.fold([intended(leave), filled(leave, "10", 2, price="101")])
    assert ledger.closed[0].r == pytest.approx(0.2)


def test_closing_what_is_foreign_never_counts_for_a_position_of_ours() -> None:
    entry, leave = order(), order(Leg.FOREIGN, "3", intent=2, side=Side.SELL)
    foreign = ForeignSeen(at_ns=1, symbol=SOL, qty=Decimal(3))
    ledger = fold(intended(entry), filled(entry, "10", 1), foreign, intended(leave), filled(leave, "3", 2, fee="1"))
    assert ledger.positions[SOL].qty == 10
    assert not ledger.ahead
    assert ledger.day_fees == 1
    assert ledger.foreign == {SOL: 3}
    assert ledger.orders[leave.client_id].status is OrderStatus.FILLED
