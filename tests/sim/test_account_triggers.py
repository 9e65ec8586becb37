"""The practice account when the price moves: conditional orders, liquidation, funding; and what it keeps."""

from decimal import Decimal as D

import pytest
from desk import BTC, Desk, refused
from msgspec.structs import replace

from nexus_engine.sim.account import Account
from nexus_engine.sim.orders import AccountEvent, Algo, AlgoEvent, OrderEvent
from nexus_engine.sim.specs import SPECS


@pytest.fixture
def desk() -> Desk:
    return Desk()


# -- conditional orders -----------------------------------------------------------------------------------------------


def states(desk: Desk, algo: Algo) -> list[str]:
    events = [event.algo for event in desk.account.events if isinstance(event, AlgoEvent)]
    return [seen.status for seen in events if seen.algo_id == algo.algo_id]


def test_a_stop_triggers_on_the_mark_and_closes_through_a_real_order(desk: Desk) -> None:
    desk.order("BUY", "0.1")
    stop = desk.algo("SELL", "STOP_MARKET", "99000", "0.1", reduce_only=True)
    desk.mark(99_000.1)
    assert stop.status == "NEW"
    desk.mark(98_999.9)
    assert states(desk, stop) == ["NEW", "TRIGGERING", "TRIGGERED", "FINISHED"]
    order = desk.account.ledger.orders[stop.order_id]
    assert (order.client_id, order.type, order.status) == (stop.client_id, "MARKET", "FILLED")
    assert (stop.filled_lots, desk.lots) == (100, 0)


def test_a_contract_price_stop_watches_trades_not_the_mark(desk: Desk) -> None:
    desk.order("BUY", "0.1")
    stop = desk.algo("SELL", "STOP_MARKET", "99000", "0.1", reduce_only=True, working_type="CONTRACT_PRICE")
    desk.account.conditionals.trigger(BTC, 989_000, 1_000_000, 2_000, desk.shelf)
    assert stop.status == "FINISHED"


def test_close_all_takes_whatever_the_position_is_and_expires_with_it(desk: Desk) -> None:
    desk.order("BUY", "0.1")
    stop = desk.algo("SELL", "STOP_MARKET", "99000", close_position=True)
    profit = desk.algo("SELL", "TAKE_PROFIT_MARKET", "101000", close_position=True)
    desk.order("BUY", "0.2")
    desk.mark(98_000)
    assert (desk.lots, stop.status, stop.filled_lots, profit.status) == (0, "FINISHED", 300, "EXPIRED")


def test_a_reduce_only_stop_outlives_the_position_and_is_rejected_at_its_trigger(desk: Desk) -> None:
    desk.order("BUY", "0.1")
    stop = desk.algo("SELL", "STOP_MARKET", "99000", "0.1", reduce_only=True)
    desk.order("SELL", "0.1")
    assert stop.status == "NEW"
    desk.mark(98_000)
    assert (stop.status, stop.reason) == ("REJECTED", "Reduce Only reject")


def test_a_stop_limit_rests_after_its_trigger_until_it_fills(desk: Desk) -> None:
    stop = desk.algo("BUY", "STOP", "101000", "0.1", price=D("100900"))
    desk.mark(101_000)
    assert stop.status == "TRIGGERED"
    with refused(-2011):
        desk.account.conditionals.cancel(stop.algo_id, None, 2_000)
    desk.account.cancel(BTC, stop.order_id, None, 2_000)
    assert (stop.status, stop.filled_lots) == ("FINISHED", 0)


def test_a_trailing_stop_follows_from_its_activation_and_fires_on_the_callback(desk: Desk) -> None:
    desk.order("BUY", "0.1")
    trail = desk.algo(
        "SELL", "TRAILING_STOP_MARKET", None, "0.1", callback_pct=D(1), activate_price=D("101000"), reduce_only=True
    )
    for price in (98_000, 101_000, 102_000, 101_000):
        desk.mark(price)
        assert trail.status == "NEW", price
    desk.mark(100_980)
    assert trail.status == "FINISHED"
    told = [(e.algo.status, bool(e.algo.best_ticks)) for e in desk.account.events if isinstance(e, AlgoEvent)]
    assert told[:3] == [("NEW", False), ("NEW", True), ("TRIGGERING", True)]


def test_an_entry_stop_without_margin_is_rejected_at_its_trigger(desk: Desk) -> None:
    stop = desk.algo("BUY", "STOP_MARKET", "101000", "50")
    desk.mark(101_000)
    assert (stop.status, stop.reason) == ("REJECTED", "Margin is insufficient.")


# -- liquidation and funding ------------------------------------------------------------------------------------------


def test_a_cross_account_is_liquidated_at_the_price_it_names(desk: Desk) -> None:
    desk.order("BUY", "4")
    price = desk.account.margins(desk.shelf).symbols[BTC].liquidation
    assert D("93000") < price < D("95000")
    desk.mark(float(price) + 1)
    assert desk.lots == 4000
    desk.mark(float(price) - 1)
    assert desk.lots == 0
    last = list(desk.account.ledger.orders.values())[-1]
    assert last.client_id.startswith("autoclose-")
    executions = [event.execution for event in desk.account.events if isinstance(event, OrderEvent)]
    assert executions[-1] == "CALCULATED"


def test_an_isolated_position_loses_its_own_margin_and_no_more(desk: Desk) -> None:
    desk.account.set_margin_type(BTC, isolated=True)
    desk.order("BUY", "1")
    backing = desk.account.position(BTC).isolated_wallet
    assert backing == D("5000.005")
    before = desk.account.ledger.wallet
    desk.mark(90_000)  # a gap far beyond the bankruptcy price
    assert desk.lots == 0
    assert desk.account.ledger.wallet == before - backing


def test_a_bankrupt_cross_wallet_is_made_whole_by_the_insurance_fund(desk: Desk) -> None:
    desk.order("BUY", "4")
    desk.mark(90_000)
    assert desk.account.ledger.wallet == 0
    assert desk.account.ledger.insurance > 0


def test_longs_pay_a_positive_funding_rate_and_shorts_receive_it(desk: Desk) -> None:
    desk.order("BUY", "1")
    wallet = desk.account.ledger.wallet
    desk.account.fund(BTC, 0.0001, 2_000, desk.shelf)
    assert desk.account.ledger.wallet == wallet - D("10")
    event = desk.account.events[-1]
    assert isinstance(event, AccountEvent)
    assert (event.reason, event.change) == ("FUNDING_FEE", D("-10"))
    desk.order("SELL", "2")
    wallet = desk.account.ledger.wallet
    desk.account.fund(BTC, 0.0001, 3_000, desk.shelf)
    assert desk.account.ledger.wallet == wallet + D("10")


def test_a_ledger_that_lives_for_long_stays_short_and_keeps_what_is_open() -> None:
    desk = Desk()
    resting = desk.order("BUY", "0.01", "99000")
    ledger = desk.account.ledger
    for i in range(30_000):
        gone = replace(resting, order_id=i, client_id=f"gone{i}", status="CANCELED")
        ledger.orders[i] = gone
        ledger.shorten(1_000)
    assert len(ledger.orders) <= 10_000 and ledger.orders[resting.order_id] is resting and 29_999 in ledger.orders
    desk.account.cancel(BTC, resting.order_id, None, 2_000)
    assert resting.status == "CANCELED"


def test_a_trimmed_ledger_keeps_everything_open_and_the_totals() -> None:
    desk = Desk()
    for _ in range(10):
        desk.order("BUY", "0.01")
    resting = desk.order("BUY", "0.01", "99000")
    stop = desk.algo("SELL", "STOP_MARKET", "99000", close_position=True)
    kept = desk.account.ledger.trimmed(3)
    assert len(kept.fills) == 3
    assert len(kept.orders) == 4
    assert resting.order_id in kept.orders
    assert stop.algo_id in kept.algos
    assert Account(SPECS, kept).resting.keys() == {resting.order_id}
    assert kept.wallet == kept.start + kept.realised - kept.fees + kept.funding
