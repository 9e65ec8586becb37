"""The practice account: the venue's rules and codes on plain orders, to the cent."""

from decimal import Decimal as D

import pytest
from desk import BTC, Desk, refused

from nexus_engine.sim.contract import Print
from nexus_engine.sim.orders import NewOrder


@pytest.fixture
def desk() -> Desk:
    return Desk()


# -- what the venue refuses -------------------------------------------------------------------------------------------

LIMIT = {"symbol": BTC, "side": "BUY", "type": "LIMIT", "quantity": D("0.01"), "price": D("99000"), "client_id": "x"}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"symbol": "NOPEUSDT"}, -1121),
        ({"side": "HOLD"}, -1117),
        ({"type": "ICEBERG"}, -1116),
        ({"tif": "DAY"}, -1115),
        ({"position_side": "LONG"}, -4061),
        ({"client_id": "y" * 37}, -4015),
        ({"client_id": "a b"}, -1100),
        ({"quantity": None}, -1102),
        ({"price": None}, -1102),
        ({"quantity": D("0")}, -4003),
        ({"quantity": D("-1")}, -4003),
        ({"quantity": D("0.0005")}, -1111),
        ({"quantity": D("1000.001")}, -4005),
        ({"price": D("99000.05")}, -4014),
        ({"price": D("99000.001")}, -1111),
        ({"price": D("0")}, -4013),
        ({"price": D("120000")}, -4016),
        ({"price": D("80000")}, -4024),
        ({"quantity": D("0.001")}, -4164),
        ({"reduce_only": True}, -2022),
        ({"quantity": D("50")}, -2019),
        ({"price": D("100000.1"), "tif": "GTX"}, -5022),
        ({"price": D("100000.1"), "quantity": D("3"), "tif": "FOK"}, -5021),
    ],
)
def test_a_bad_order_is_refused_with_the_venues_code_and_leaves_no_trace(
    desk: Desk, change: dict[str, object], code: int
) -> None:
    with refused(code):
        desk.account.place(NewOrder(**(LIMIT | change)), 1_000, desk.shelf)
    assert not desk.account.ledger.orders
    assert not desk.account.events


@pytest.mark.parametrize("kind", ["STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"])
def test_a_conditional_order_is_sent_to_its_own_list(desk: Desk, kind: str) -> None:
    with refused(-4120):
        desk.account.place(NewOrder(**(LIMIT | {"type": kind})), 1_000, desk.shelf)


def test_a_client_id_is_taken_while_its_order_is_open_and_free_afterwards(desk: Desk) -> None:
    desk.order("BUY", "0.01", "99000", client_id="same")
    with refused(-4116):
        desk.order("BUY", "0.01", "99000", client_id="same")
    desk.account.cancel(BTC, None, "same", 1_000)
    filled = desk.order("BUY", "0.01", client_id="same")
    again = desk.order("BUY", "0.01", client_id="same")
    assert desk.account.find(BTC, None, "same") is again
    assert filled.status == again.status == "FILLED"


def test_cancelling_what_is_gone_and_asking_for_what_never_was(desk: Desk) -> None:
    order = desk.order("BUY", "0.01")
    with refused(-2011):
        desk.account.cancel(BTC, order.order_id, None, 1_000)
    with refused(-2013):
        desk.account.find(BTC, 12345, None)
    algo = desk.algo("BUY", "STOP_MARKET", "101000", "0.01")
    with refused(-2013):
        desk.account.find(BTC, algo.algo_id, None)
    with refused(-2011):
        desk.account.conditionals.cancel(12345, None, 1_000)


@pytest.mark.parametrize(
    ("side", "kind", "trigger"),
    [
        ("SELL", "STOP_MARKET", "100000"),
        ("BUY", "STOP_MARKET", "100000"),
        ("SELL", "TAKE_PROFIT_MARKET", "100000"),
        ("BUY", "TAKE_PROFIT_MARKET", "100000"),
    ],
)
def test_a_trigger_already_reached_is_refused(desk: Desk, side: str, kind: str, trigger: str) -> None:
    with refused(-2021):
        desk.algo(side, kind, trigger, "0.01")


def test_close_all_orders_need_a_position_and_are_one_of_a_kind(desk: Desk) -> None:
    with refused(-4509):
        desk.algo("SELL", "STOP_MARKET", "99000", close_position=True)
    desk.order("BUY", "0.1")
    desk.algo("SELL", "STOP_MARKET", "99000", close_position=True)
    desk.algo("SELL", "TAKE_PROFIT_MARKET", "101000", close_position=True)
    with refused(-4130):
        desk.algo("SELL", "STOP_MARKET", "98000", close_position=True)
    with refused(-4137):
        desk.algo("SELL", "STOP_MARKET", "98000", "0.1", close_position=True)


def test_a_trailing_stop_checks_its_callback_and_its_activation(desk: Desk) -> None:
    with refused(-2007):
        desk.algo("SELL", "TRAILING_STOP_MARKET", None, "0.01", callback_pct=D("0.05"))
    with refused(-4135):
        desk.algo("SELL", "TRAILING_STOP_MARKET", None, "0.01", callback_pct=D(1), activate_price=D("99000"))


def test_leverage_and_margin_type_change_only_when_allowed(desk: Desk) -> None:
    with refused(-4028):
        desk.account.set_leverage(BTC, 126, 1_000)
    with refused(-4046):
        desk.account.set_margin_type(BTC, isolated=False)
    order = desk.order("BUY", "0.01", "99000")
    with refused(-4047):
        desk.account.set_margin_type(BTC, isolated=True)
    desk.account.cancel(BTC, order.order_id, None, 1_000)
    desk.account.set_margin_type(BTC, isolated=True)
    desk.order("BUY", "0.01")
    with refused(-4048):
        desk.account.set_margin_type(BTC, isolated=False)
    with refused(-4161):
        desk.account.set_leverage(BTC, 10, 1_000)


# -- what an order does -----------------------------------------------------------------------------------------------


def test_a_market_order_walks_the_book_and_pays_the_taker_fee(desk: Desk) -> None:
    order = desk.order("BUY", "3")
    assert order.status == "FILLED"
    assert order.quote == D("2") * D("100000.1") + D("1") * D("100000.2")
    assert desk.account.ledger.wallet == D(25_000) - order.quote * D("0.0005")
    position = desk.account.position(BTC)
    assert position.entry(D("0.001")) == (order.quote / 3).quantize(D("1e-8"))


def test_a_resting_limit_fills_in_parts_on_prints_at_its_price_as_a_maker(desk: Desk) -> None:
    order = desk.order("BUY", "0.010", "99990")
    sold = [Print(999_900, 4, True, 0), Print(999_901, 100, True, 0), Print(999_900, 100, False, 0)]
    desk.account.match(BTC, sold, 1_500, desk.shelf)
    assert (order.status, order.filled_lots) == ("PARTIALLY_FILLED", 4)
    desk.account.match(BTC, [Print(999_899, 50, True, 0)], 1_600, desk.shelf)
    assert (order.status, order.filled_lots) == ("FILLED", 10)
    fills = desk.account.ledger.fills
    assert [(fill.price_ticks, fill.maker) for fill in fills] == [(999_900, True)] * 2
    assert desk.account.ledger.fees == order.quote * D("0.0002")


def test_the_better_priced_order_is_served_first_and_a_print_is_shared(desk: Desk) -> None:
    behind = desk.order("BUY", "0.010", "99980")
    ahead = desk.order("BUY", "0.010", "99990")
    desk.account.match(BTC, [Print(999_800, 15, True, 0)], 1_500, desk.shelf)
    assert (ahead.filled_lots, behind.filled_lots) == (10, 5)


def test_a_resting_limit_fills_when_the_book_crosses_it(desk: Desk) -> None:
    order = desk.order("SELL", "0.010", "100100")
    desk.shelf.move(100_200.0)
    desk.account.match(BTC, [], 1_500, desk.shelf)
    assert order.status == "FILLED"
    assert order.quote == D("0.010") * D("100100")


def test_immediate_or_cancel_keeps_what_it_got_and_the_rest_expires(desk: Desk) -> None:
    order = desk.order("BUY", "3", "100000.1", tif="IOC")
    assert (order.status, order.filled_lots) == ("EXPIRED", 2_000)


def test_a_reduce_only_order_is_clipped_to_the_position_and_never_turns_it(desk: Desk) -> None:
    desk.order("BUY", "0.010")
    order = desk.order("SELL", "0.050", reduce_only=True)
    assert (order.filled_lots, order.status, desk.lots) == (10, "EXPIRED", 0)


def test_reduce_only_orders_expire_with_the_position_they_would_reduce(desk: Desk) -> None:
    desk.order("BUY", "0.010")
    resting = desk.order("SELL", "0.010", "100500", reduce_only=True)
    entry = desk.order("BUY", "0.010", "99000")
    desk.order("SELL", "0.010")
    assert (resting.status, entry.status) == ("EXPIRED", "NEW")


def test_amending_a_resting_order_moves_it_and_one_that_crosses_trades(desk: Desk) -> None:
    order = desk.order("BUY", "0.010", "99000")
    desk.account.amend(order, D("0.020"), D("99500"), 1_100, desk.shelf)
    assert (order.qty_lots, order.price_ticks) == (20, 995_000)
    with refused(-5027):
        desk.account.amend(order, D("0.020"), D("99500"), 1_100, desk.shelf)
    desk.account.amend(order, D("0.020"), D("100000.1"), 1_200, desk.shelf)
    assert order.status == "FILLED"


def test_profit_is_realised_against_the_average_entry(desk: Desk) -> None:
    desk.order("BUY", "1")
    desk.shelf.move(101_000.0)
    desk.order("SELL", "0.5")
    assert desk.account.ledger.realised == D("0.5") * (D("100999.9") - D("100000.1"))
    assert desk.account.position(BTC).entry(D("0.001")) == D("100000.1")


def test_the_break_even_price_carries_the_fees(desk: Desk) -> None:
    desk.order("BUY", "1")
    assert desk.account.position(BTC).break_even(D("0.001")) == D("100000.1") * D("1.0005")


def test_margin_is_position_value_by_leverage_and_limits_what_can_be_opened(desk: Desk) -> None:
    desk.account.set_leverage(BTC, 10, 1_000)
    desk.order("BUY", "2")
    state = desk.account.margins(desk.shelf)
    assert state.initial == D("20000")
    assert state.maintenance == D("800")
    with refused(-2019):
        desk.order("BUY", "1")
    desk.order("SELL", "4")  # closes and turns: no more margin than before
    assert desk.lots == -2000


def test_resting_entries_hold_margin_too(desk: Desk) -> None:
    desk.account.set_leverage(BTC, 10, 1_000)
    desk.order("BUY", "2", "99000")
    assert desk.account.margins(desk.shelf).order_initial == D("19800")
    with refused(-2019):
        desk.order("BUY", "1", "99000")
