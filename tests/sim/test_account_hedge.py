"""A hedged account: two positions a symbol, each with its own orders, and what one-way accounts are spared."""

from decimal import Decimal as D

import pytest
from desk import BTC, Desk, refused

from nexus_engine.sim.orders import AccountEvent, OrderEvent

LONG, SHORT = {"position_side": "LONG"}, {"position_side": "SHORT"}


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.account.set_hedge(True)
    return desk


def lots(desk: Desk) -> tuple[int, int]:
    return desk.account.position(f"{BTC}:LONG").lots, desk.account.position(f"{BTC}:SHORT").lots


def test_a_long_and_a_short_stand_side_by_side(desk: Desk) -> None:
    desk.order("BUY", "0.020", **LONG)
    desk.order("SELL", "0.030", **SHORT)
    desk.order("SELL", "0.005", **LONG)
    assert lots(desk) == (15, -30)
    rows = desk.account.margins(desk.shelf).symbols
    assert rows[f"{BTC}:LONG"].notional == D("1500") and rows[f"{BTC}:SHORT"].notional == D("-3000")
    assert BTC not in rows
    sides = [event.position.position_side for event in desk.account.events if isinstance(event, AccountEvent)]
    assert sides == ["LONG", "SHORT", "LONG"]


def test_an_order_must_say_whose_it_is_and_not_that_it_reduces(desk: Desk) -> None:
    with refused(-4061):
        desk.order("BUY", "0.01")
    with refused(-1106):
        desk.order("SELL", "0.01", reduce_only=True, **LONG)
    desk.order("BUY", "0.01", **LONG)
    with refused(-1106):
        desk.algo("SELL", "STOP_MARKET", "99000", "0.01", reduce_only=True, **LONG)


def test_closing_more_than_there_is_is_refused_and_never_turns_a_position(desk: Desk) -> None:
    desk.order("BUY", "0.010", **LONG)
    with refused(-2022):
        desk.order("SELL", "0.011", **LONG)
    with refused(-2022):
        desk.order("BUY", "0.010", **SHORT)
    desk.order("SELL", "0.010", **LONG)
    assert lots(desk) == (0, 0)


def test_a_close_all_stop_closes_its_own_side_only(desk: Desk) -> None:
    desk.order("BUY", "0.010", **LONG)
    desk.order("SELL", "0.010", **SHORT)
    stop = desk.algo("SELL", "STOP_MARKET", "99000", close_position=True, **LONG)
    other = desk.algo("BUY", "STOP_MARKET", "101000", close_position=True, **SHORT)
    with refused(-4509):
        desk.algo("SELL", "STOP_MARKET", "99000", close_position=True, **SHORT)
    desk.mark(98_900.0)
    assert lots(desk) == (0, -10)
    assert (stop.status, other.status) == ("FINISHED", "NEW")


def test_the_mode_changes_on_an_empty_account_only(desk: Desk) -> None:
    with refused(-4059):
        desk.account.set_hedge(True)
    order = desk.order("BUY", "0.01", "99000", **LONG)
    with refused(-4067):
        desk.account.set_hedge(False)
    desk.account.cancel(BTC, order.order_id, None, 1_000)
    desk.order("BUY", "0.01", **LONG)
    with refused(-4068):
        desk.account.set_hedge(False)
    desk.order("SELL", "0.01", **LONG)
    desk.account.set_hedge(False)
    desk.order("BUY", "0.01")


def test_both_sides_pay_funding_and_both_are_liquidated_together(desk: Desk) -> None:
    desk.order("BUY", "4", **LONG)
    desk.order("SELL", "0.5", **SHORT)
    desk.account.fund(BTC, 0.0001, 1_500, desk.shelf)
    paid = [row.amount for row in desk.account.ledger.incomes if row.kind == "FUNDING_FEE"]
    assert paid == [D("-40"), D("5")]
    desk.mark(92_500.0)
    assert lots(desk) == (0, 0)
    forced = {
        e.order.position_side for e in desk.account.events if isinstance(e, OrderEvent) and e.execution == "CALCULATED"
    }
    assert forced == {"LONG", "SHORT"}
    ledger = desk.account.ledger
    assert ledger.wallet == ledger.start + ledger.realised - ledger.fees + ledger.funding + ledger.insurance >= 0


def test_a_one_way_account_knows_no_sides() -> None:
    desk = Desk()
    for side in ("LONG", "SHORT"):
        with refused(-4061):
            desk.order("BUY", "0.01", position_side=side)
