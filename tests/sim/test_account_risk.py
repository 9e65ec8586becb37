"""Brackets that bind, margin calls, forced closing, margin moved by hand, and prices far from the mark."""

import itertools
from decimal import Decimal as D

import pytest
from desk import BTC, Desk, refused

from nexus_engine.sim.orders import AccountEvent, MarginCallEvent, OrderEvent
from nexus_engine.sim.specs import SPECS


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize("symbol", list(SPECS))
def test_the_maintenance_margin_is_continuous_over_the_brackets(symbol: str) -> None:
    rows = SPECS[symbol].brackets
    assert rows[0].floor == 0 and rows[0].cum == 0
    for lower, upper in itertools.pairwise(rows):
        assert lower.cap == upper.floor and lower.leverage > upper.leverage
        assert lower.cap * lower.mmr - lower.cum == upper.floor * upper.mmr - upper.cum
    assert rows[-1].leverage == 1


def test_a_position_may_not_outgrow_its_leverage(desk: Desk) -> None:
    desk.account.ledger.wallet = D(1_000_000)
    desk.account.set_leverage(BTC, 125, 1_000)
    desk.order("BUY", "2.5")
    with refused(-2027):
        desk.order("BUY", "1")
    desk.account.set_leverage(BTC, 100, 1_000)
    desk.order("BUY", "1")
    with refused(-2027):
        desk.account.set_leverage(BTC, 125, 1_000)
    desk.order("SELL", "1", reduce_only=True)


def test_the_margin_of_a_large_position_is_its_brackets(desk: Desk) -> None:
    desk.account.ledger.wallet = D(1_000_000)
    desk.order("BUY", "5")
    assert desk.account.margins(desk.shelf).maintenance == D(500_000) * D("0.005") - 300
    price = desk.account.margins(desk.shelf).symbols[BTC].liquidation
    assert price == 0  # the wallet outlasts it


def test_a_margin_call_comes_once_before_the_liquidation_and_again_after_a_recovery(desk: Desk) -> None:
    desk.order("BUY", "4")
    price = float(desk.account.margins(desk.shelf).symbols[BTC].liquidation)

    def calls() -> int:
        return sum(isinstance(event, MarginCallEvent) for event in desk.account.events)

    told = []
    for mark in (price * 1.01, price * 1.0005, price * 1.0004, price * 1.01, price * 1.0005):
        desk.mark(mark)
        told.append(calls())
    assert told == [0, 1, 1, 1, 2] and desk.lots == 4000
    (row,) = next(event for event in desk.account.events if isinstance(event, MarginCallEvent)).positions
    assert row[0].symbol == BTC and row[2] > 0


def test_deleveraging_takes_the_position_at_the_mark_and_the_orders_with_it(desk: Desk) -> None:
    desk.order("SELL", "1")
    entry = desk.order("SELL", "0.01", "101000")
    stop = desk.algo("BUY", "STOP_MARKET", "101000", close_position=True)
    desk.shelf.move(95_000.0)
    asks = list(desk.shelf.asks)
    desk.account.liquidation.deleverage(BTC, "BOTH", 3_000, desk.shelf)
    assert (desk.lots, entry.status, stop.status) == (0, "CANCELED", "EXPIRED")
    assert desk.shelf.asks == asks
    forced = [e.order for e in desk.account.events if isinstance(e, OrderEvent) and e.execution == "CALCULATED"]
    assert [order.client_id.startswith("adl_autoclose") for order in forced] == [True]
    assert desk.account.ledger.realised == D("99999.9") - D("95000")
    desk.account.liquidation.deleverage(BTC, "BOTH", 3_000, desk.shelf)


def test_margin_is_added_to_an_isolated_position_and_taken_back_as_far_as_it_is_free(desk: Desk) -> None:
    with refused(-4049):
        desk.account.move_margin(BTC, "BOTH", D(10), 1_000, desk.shelf)
    desk.account.set_margin_type(BTC, isolated=True)
    with refused(-4054):
        desk.account.move_margin(BTC, "BOTH", D(10), 1_000, desk.shelf)
    desk.order("BUY", "0.1")
    before = desk.account.position(BTC).isolated_wallet
    first = desk.account.margins(desk.shelf).symbols[BTC].liquidation
    desk.account.move_margin(BTC, "BOTH", D(100), 1_000, desk.shelf)
    assert desk.account.position(BTC).isolated_wallet == before + 100
    assert desk.account.margins(desk.shelf).symbols[BTC].liquidation < first
    event = desk.account.events[-1]
    assert isinstance(event, AccountEvent) and event.reason == "MARGIN_TRANSFER"
    with refused(-4051):
        desk.account.move_margin(BTC, "BOTH", D(-101), 1_000, desk.shelf)
    with refused(-4050):
        desk.account.move_margin(BTC, "BOTH", D(1_000_000), 1_000, desk.shelf)
    desk.account.move_margin(BTC, "BOTH", D(-99), 1_000, desk.shelf)


def test_a_market_order_gives_up_five_percent_from_the_mark(desk: Desk) -> None:
    desk.order("BUY", "0.2")
    desk.shelf.bids = [(999_999, 10), (950_000, 20), (949_999, 1_000)]
    order = desk.order("SELL", "0.100", reduce_only=True)
    assert (order.status, order.filled_lots) == ("EXPIRED", 30)


def test_a_market_order_into_a_book_far_from_the_mark_is_refused(desk: Desk) -> None:
    desk.shelf.asks = [(1_150_001, 1_000)]
    with refused(-4131):
        desk.order("BUY", "0.01")


def test_a_price_beyond_all_bounds_is_named_as_such(desk: Desk) -> None:
    with refused(-4002):
        desk.order("SELL", "0.01", "10000000.1")
