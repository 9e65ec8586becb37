"""Requests: each is sent once, ends in time, and says honestly what became of it. Keys are never shown."""

import asyncio
import subprocess
import sys
import time
import traceback
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
from scripted import Answer, Ear, Scripted, rest_of, scripted
from uplink_data import KEY, SECRET, settings

from nexus_engine.model.effects import Cancel, Query
from nexus_engine.model.events import Instruments
from nexus_engine.model.orders import Order
from nexus_engine.model.words import Leg, OrderKind, OrderStatus, Outcome, Side
from nexus_engine.uplink.binance import rest as rest_module
from nexus_engine.uplink.binance.broker import FILLS_OF, BinanceBroker
from nexus_engine.uplink.binance.limits import Urgency
from nexus_engine.uplink.binance.outcomes import RestError
from nexus_engine.uplink.binance.rest import GET_ORDER, TIME, BinanceRest
from nexus_engine.uplink.binance.settings import AccountRefused, UplinkError

PLACE, ALGO = "POST /fapi/v1/order", "POST /fapi/v1/algoOrder"
ACK = {
    "orderId": 7, "symbol": "BTCUSDT", "status": "NEW", "clientOrderId": "nxab-1-1e1", "price": "0", "origQty": "0.010",
    "executedQty": "0", "type": "MARKET", "side": "BUY", "reduceOnly": False, "updateTime": 5,
}  # fmt: skip
ALGO_ACK = {
    "algoId": 9, "clientAlgoId": "nxab-1-1s1", "symbol": "BTCUSDT", "side": "SELL", "algoStatus": "NEW",
    "quantity": "0.010", "triggerPrice": "95.0", "reduceOnly": True, "orderType": "STOP_MARKET", "updateTime": 5,
}  # fmt: skip


def echo(params: dict[str, str], **headers: str) -> Answer:
    """Taken, under the id that was asked for."""
    return Answer(ACK | {"clientOrderId": params["newClientOrderId"]}, headers=headers)


TRADE = {
    "symbol": "BTCUSDT", "id": 11, "orderId": 7, "side": "BUY", "price": "100", "qty": "0.010", "commission": "0.0005",
    "commissionAsset": "USDT", "realizedPnl": "0", "maker": False, "time": 6,
}  # fmt: skip


def an_order(leg: Leg = Leg.ENTRY, kind: OrderKind = OrderKind.MARKET, **changes: object) -> Order:
    given = {
        "client_id": f"nxab-1-1{leg.value}1", "symbol": "BTCUSDT", "side": Side.BUY if leg is Leg.ENTRY else Side.SELL,
        "kind": kind, "leg": leg, "intent": 1, "qty": Decimal("0.010"), "reduce_only": leg is not Leg.ENTRY,
        "created_ns": 1, "changed_ns": 1,
    }  # fmt: skip
    return Order(**(given | changes))  # type: ignore[arg-type]


@pytest.fixture
async def venue() -> AsyncIterator[Scripted]:
    async with scripted() as venue:
        yield venue


@pytest.fixture
async def rest(venue: Scripted) -> AsyncIterator[BinanceRest]:
    async with rest_of(venue) as rest:
        await venue.until(lambda: venue.count("GET /fapi/v1/time") == 1)
        yield rest


async def test_a_market_order_goes_out_as_the_venue_wants_it_and_its_ack_is_a_report(
    venue: Scripted, rest: BinanceRest
) -> None:
    venue.answers[PLACE] = echo
    result = await BinanceBroker(rest).submit(an_order(Leg.EXIT))
    assert result.outcome is Outcome.DONE and result.report is not None
    assert (result.report.status, result.report.venue_id) == (OrderStatus.OPEN, "7")
    _, params = venue.asked[-1]
    assert params.pop("signature") and params.pop("timestamp")
    assert params == {
        "symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.010", "newClientOrderId": "nxab-1-1x1",
        "reduceOnly": "true", "recvWindow": "5000",
    }  # fmt: skip


async def test_a_limit_order_carries_price_and_time_in_force(venue: Scripted, rest: BinanceRest) -> None:
    venue.answers[PLACE] = Answer(ACK | {"type": "LIMIT", "price": "0.00001234"})
    result = await BinanceBroker(rest).submit(an_order(kind=OrderKind.LIMIT, price=Decimal("0.00001234")))
    assert result.report is not None and result.report.price == Decimal("0.00001234")
    _, params = venue.asked[-1]
    assert (params["price"], params["timeInForce"], params.get("reduceOnly")) == ("0.00001234", "GTC", None)


async def test_a_stop_goes_to_the_conditional_orders_with_our_own_id(venue: Scripted, rest: BinanceRest) -> None:
    venue.answers[ALGO] = Answer(ALGO_ACK)
    result = await BinanceBroker(rest).submit(an_order(Leg.STOP, OrderKind.STOP_MARKET, trigger=Decimal("95.0")))
    assert result.outcome is Outcome.DONE and result.report is not None
    assert result.report.conditional and result.report.trigger == Decimal(95)
    assert venue.count(PLACE) == 0
    _, params = venue.asked[-1]
    wanted = {
        "algoType": "CONDITIONAL", "type": "STOP_MARKET", "triggerPrice": "95.0", "workingType": "MARK_PRICE",
        "clientAlgoId": "nxab-1-1s1", "reduceOnly": "true", "quantity": "0.010",
    }  # fmt: skip
    assert params.items() >= wanted.items()


@pytest.mark.parametrize(
    ("answer", "outcome", "code"),
    [
        (Answer({"code": -1000, "msg": "Unknown error, please check your request."}, 503), "unknown", -1000),
        (Answer("Service Unavailable.", 503), "refused", 0),
        (Answer({"code": -1008, "msg": "Request throttled."}, 503), "refused", -1008),
        (Answer({"code": -1007, "msg": "Timeout waiting for response."}, 408), "unknown", -1007),
        (Answer("<html>502 Bad Gateway</html>", 502), "unknown", 0),
        (Answer("<html>forbidden</html>", 403), "refused", 0),
        (Answer('{"orderId":7,"symbol":"BTC', 200), "unknown", 0),
        (Answer("<html>all fine</html>", 200), "unknown", 0),
        (Answer({}, 200), "unknown", 0),
        (Answer(ACK | {"executedQty": "NaN"}, 200), "unknown", 0),
        (Answer([1, 2], 400), "refused", 0),
        (Answer({"code": None, "msg": None}, 500), "unknown", 0),
        (Answer({}, 302, {"Location": "/elsewhere"}), "unknown", 0),
        (Answer({"code": -2019, "msg": "Margin is insufficient."}, 400), "refused", -2019),
        (Answer({"code": -4116, "msg": "ClientOrderId is duplicated."}, 400), "unknown", -4116),
        (Answer(cut=True), "unknown", 0),
    ],
)  # fmt: skip
async def test_an_order_is_sent_once_and_its_outcome_is_what_the_reply_proves(
    venue: Scripted, rest: BinanceRest, answer: Answer, outcome: str, code: int
) -> None:
    venue.answers[PLACE] = answer
    result = await BinanceBroker(rest).submit(an_order())
    assert (result.outcome, result.code) == (outcome, code)
    assert venue.count(PLACE) == 1
    assert sum("/order" in name or "elsewhere" in name for name, _ in venue.asked) == 1


async def test_a_venue_that_hangs_leaves_the_outcome_unknown_after_our_own_deadline(
    venue: Scripted, rest: BinanceRest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest_module, "DEADLINE_S", 0.2)
    venue.answers[PLACE] = Answer(ACK, hang=3)
    began = time.monotonic()
    result = await BinanceBroker(rest).submit(an_order())
    assert result.outcome is Outcome.UNKNOWN and "no answer" in result.text
    assert time.monotonic() - began < 1.0


async def test_what_never_left_was_not_executed(venue: Scripted) -> None:
    venue.port = 1
    async with rest_of(venue) as rest:
        result = await BinanceBroker(rest).submit(an_order())
    assert result.outcome is Outcome.REFUSED and result.text == "no connection (connection refused)"


async def test_a_reply_about_another_order_proves_nothing(venue: Scripted, rest: BinanceRest) -> None:
    broker = BinanceBroker(rest)
    venue.answers[PLACE] = Answer(ACK | {"clientOrderId": "nxab-1-7e1"})
    assert (await broker.submit(an_order())).outcome is Outcome.UNKNOWN
    venue.answers |= {GET: Answer(FILLED | {"clientOrderId": "nxab-1-7e1"}), GET_TRADES: Answer([TRADE])}
    assert (await broker.query(asking())).outcome is Outcome.UNKNOWN
    venue.answers[GET_ALGO] = Answer(ALGO_ACK | {"clientAlgoId": "nxab-1-7s1"})
    assert (await broker.query(asking(conditional=True))).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(("age_ms", "status"), [(300, OrderStatus.OPEN), (1_500, OrderStatus.UNKNOWN)])
async def test_a_stop_that_triggers_for_too_long_is_not_known_to_protect(
    venue: Scripted, rest: BinanceRest, age_ms: int, status: OrderStatus
) -> None:
    stuck = ALGO_ACK | {"algoStatus": "TRIGGERING", "updateTime": time.time_ns() // 1_000_000 - age_ms}
    venue.answers[GET_ALGO] = Answer(stuck)
    result = await BinanceBroker(rest).query(asking(conditional=True))
    assert result.report is not None and result.report.status is status
    venue.answers |= ACCOUNT | {"GET /fapi/v1/openAlgoOrders": Answer([stuck])}
    snapshot = await BinanceBroker(rest).snapshot()
    assert [order.status for order in snapshot.orders if order.conditional] == [status]


async def test_words_that_are_not_known_are_counted_for_a_person_to_see(venue: Scripted, rest: BinanceRest) -> None:
    venue.answers[GET] = Answer(ACK | {"status": "FROZEN"})
    venue.answers[GET_ALGO] = Answer(ALGO_ACK | {"algoStatus": "PAUSED"})
    for conditional in (False, True, True):
        await BinanceBroker(rest).query(asking(conditional))
    assert rest.counts.unknown == 3
    assert ("venue unknown", 3.0) in [(reading.name, reading.value) for reading in rest.counts.readings()]


async def test_429_silences_everything_but_exits_for_as_long_as_the_venue_says(
    venue: Scripted, rest: BinanceRest
) -> None:
    broker = BinanceBroker(rest)
    venue.answers[PLACE] = Answer({"code": -1003, "msg": "Too many requests."}, 429, {"Retry-After": "30"})
    assert (await broker.submit(an_order())).outcome is Outcome.REFUSED
    again = await broker.submit(an_order())
    assert again.outcome is Outcome.REFUSED and "silent for" in again.text
    assert (await broker.query(Query(client_id="x", symbol="BTCUSDT", conditional=False))).outcome is Outcome.UNKNOWN
    assert venue.count(PLACE) == 1 and venue.count("GET /fapi/v1/order") == 0
    venue.answers[PLACE] = echo
    assert (await broker.submit(an_order(Leg.EXIT))).outcome is Outcome.DONE


async def test_a_ban_silences_exits_too(venue: Scripted, rest: BinanceRest) -> None:
    broker = BinanceBroker(rest)
    venue.answers[PLACE] = Answer({"code": -1003, "msg": "Banned."}, 418, {"Retry-After": "120"})
    await broker.submit(an_order())
    assert (await broker.submit(an_order(Leg.EXIT))).outcome is Outcome.REFUSED
    assert venue.count(PLACE) == 1


async def test_the_weight_that_the_venue_counts_holds_entries_back_before_exits(
    venue: Scripted, rest: BinanceRest
) -> None:
    venue.answers[PLACE] = lambda params: echo(params, **{"x-mbx-used-weight-1m": "2300"})
    broker = BinanceBroker(rest)
    await broker.submit(an_order(Leg.EXIT))
    assert (await broker.submit(an_order())).outcome is Outcome.REFUSED
    assert (await broker.submit(an_order(Leg.EXIT))).outcome is Outcome.DONE


async def test_the_venues_clock_is_followed_and_looked_at_again_after_minus_1021(
    venue: Scripted, rest: BinanceRest
) -> None:
    ahead_ms = 90_000
    venue.answers["GET /fapi/v1/time"] = lambda _: Answer({"serverTime": time.time_ns() // 1_000_000 + ahead_ms})
    venue.answers[PLACE] = Answer({"code": -1021, "msg": "Timestamp for this request is outside."}, 400)
    result = await BinanceBroker(rest).submit(an_order())
    assert (result.outcome, result.code) == (Outcome.REFUSED, -1021)
    await venue.until(lambda: venue.count("GET /fapi/v1/time") == 2)
    venue.answers[PLACE] = echo
    await rest.sync_clock()
    await BinanceBroker(rest).submit(an_order())
    assert abs(int(venue.asked[-1][1]["timestamp"]) - time.time() * 1000 - ahead_ms) < 1_000
    assert venue.count(PLACE) == 2


async def test_a_clock_of_ours_that_jumps_does_not_spoil_the_timestamps(
    venue: Scripted, rest: BinanceRest, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rest.sync_clock()
    now_s, now_ns = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: now_s() + 3_600)
    monkeypatch.setattr(time, "time_ns", lambda: now_ns() + 3_600_000_000_000)
    await BinanceBroker(rest).submit(an_order())
    assert abs(int(venue.asked[-1][1]["timestamp"]) - now_s() * 1000) < 1_000


# ---- asking --------------------------------------------------------------------------------------------------------

GET, GET_TRADES, GET_ALGO = "GET /fapi/v1/order", "GET /fapi/v1/userTrades", "GET /fapi/v1/algoOrder"
FILLED = ACK | {"status": "FILLED", "executedQty": "0.010"}
ABSENT = Answer({"code": -2013, "msg": "Order does not exist."}, 400)


def asking(conditional: bool = False) -> Query:
    return Query(client_id="nxab-1-1s1" if conditional else "nxab-1-1e1", symbol="BTCUSDT", conditional=conditional)


async def test_a_filled_order_comes_with_its_fills(venue: Scripted, rest: BinanceRest) -> None:
    venue.answers |= {GET: Answer(FILLED), GET_TRADES: Answer([TRADE])}
    result = await BinanceBroker(rest).query(asking())
    assert result.outcome is Outcome.DONE and result.report is not None
    assert result.report.status is OrderStatus.FILLED
    assert [(fill.trade_id, fill.client_id, fill.qty) for fill in result.fills] == [
        ("11", "nxab-1-1e1", Decimal("0.010"))
    ]


@pytest.mark.parametrize("trades", [Answer([]), Answer([TRADE | {"qty": "0.004"}]), Answer("oops", 500)])
async def test_an_order_whose_fills_are_not_all_there_is_not_known_yet(
    venue: Scripted, rest: BinanceRest, trades: Answer
) -> None:
    venue.answers |= {GET: Answer(FILLED), GET_TRADES: trades}
    result = await BinanceBroker(rest).query(asking())
    assert (result.outcome, result.report, result.fills) == (Outcome.UNKNOWN, None, ())


@pytest.mark.parametrize("conditional", [False, True])
async def test_an_order_that_the_venue_does_not_know_is_absent(
    venue: Scripted, rest: BinanceRest, conditional: bool
) -> None:
    venue.answers |= {GET: ABSENT, GET_ALGO: ABSENT}
    assert (await BinanceBroker(rest).query(asking(conditional))).outcome is Outcome.ABSENT


async def test_a_triggered_stop_is_followed_to_the_order_that_it_made(venue: Scripted, rest: BinanceRest) -> None:
    venue.answers[GET_ALGO] = Answer(ALGO_ACK | {"algoStatus": "TRIGGERED", "actualOrderId": "7"})
    venue.answers[GET] = Answer(FILLED | {"side": "SELL", "clientOrderId": "made-by-venue"})
    venue.answers[GET_TRADES] = Answer([TRADE | {"side": "SELL"}])
    result = await BinanceBroker(rest).query(asking(conditional=True))
    assert result.report is not None
    assert (result.report.client_id, result.report.status) == ("nxab-1-1s1", OrderStatus.FILLED)
    assert result.report.conditional and result.report.trigger == Decimal(95)
    assert [fill.client_id for fill in result.fills] == ["nxab-1-1s1"]
    assert venue.asked[-1][1]["orderId"] == "7"


async def test_a_triggered_stop_whose_order_cannot_be_found_is_unknown_rather_than_absent(
    venue: Scripted, rest: BinanceRest
) -> None:
    venue.answers[GET_ALGO] = Answer(ALGO_ACK | {"algoStatus": "TRIGGERED", "actualOrderId": "7"})
    venue.answers[GET] = ABSENT
    assert (await BinanceBroker(rest).query(asking(conditional=True))).outcome is Outcome.UNKNOWN


async def test_a_cancel_of_what_is_gone_is_refused_with_the_venues_code(venue: Scripted, rest: BinanceRest) -> None:
    venue.answers["DELETE /fapi/v1/order"] = Answer({"code": -2011, "msg": "Unknown order sent."}, 400)
    venue.answers["DELETE /fapi/v1/algoOrder"] = Answer({"code": "200", "msg": "success"})
    broker = BinanceBroker(rest)
    gone = await broker.cancel(Cancel(client_id="nxab-1-1e1", symbol="BTCUSDT", conditional=False))
    assert (gone.outcome, gone.code) == (Outcome.REFUSED, -2011)
    done = await broker.cancel(Cancel(client_id="nxab-1-1s1", symbol="BTCUSDT", conditional=True))
    assert done.outcome is Outcome.DONE
    assert venue.asked[-1][1]["clientAlgoId"] == "nxab-1-1s1"


async def test_an_account_that_cannot_be_read_whole_proves_nothing(venue: Scripted, rest: BinanceRest) -> None:
    for path in ("v1/openOrders", "v1/openAlgoOrders", "v3/balance"):
        venue.answers[f"GET /fapi/{path}"] = Answer([])
    venue.answers["GET /fapi/v3/positionRisk"] = Answer("oops", 502)
    snapshot = await BinanceBroker(rest).snapshot()
    assert not snapshot.ok and "502" in snapshot.reason


async def test_fills_in_a_snapshot_are_named_after_the_orders_that_the_venue_numbers(
    venue: Scripted, rest: BinanceRest
) -> None:
    position = {"symbol": "BTCUSDT", "positionAmt": "0.010", "entryPrice": "100", "liquidationPrice": "0"}
    venue.answers |= {
        "GET /fapi/v1/openOrders": Answer([]),
        "GET /fapi/v1/openAlgoOrders": Answer([ALGO_ACK]),
        "GET /fapi/v3/positionRisk": Answer([position, position | {"symbol": "ETHUSDT", "positionAmt": "0.0"}]),
        "GET /fapi/v3/balance": Answer([{"asset": "USDT", "balance": "25000.5", "availableBalance": "24000"}]),
        GET_TRADES: Answer([TRADE, TRADE | {"id": 12, "orderId": 8}, TRADE | {"id": 13, "orderId": 9}]),
        "GET /fapi/v1/allOrders": Answer([ACK]),
        "GET /fapi/v1/allAlgoOrders": Answer([ALGO_ACK | {"actualOrderId": "8"}]),
    }
    snapshot = await BinanceBroker(rest).snapshot()
    assert snapshot.ok, snapshot.reason
    assert (snapshot.wallet, snapshot.available) == (Decimal("25000.5"), Decimal(24000))
    assert [(p.symbol, p.qty, p.liquidation) for p in snapshot.positions] == [("BTCUSDT", Decimal("0.010"), None)]
    assert [(order.client_id, order.conditional) for order in snapshot.orders] == [("nxab-1-1s1", True)]
    assert [fill.client_id for fill in snapshot.fills] == ["nxab-1-1e1", "nxab-1-1s1", ""]


async def test_a_snapshot_reads_the_fills_of_positions_before_those_of_orders(venue: Scripted) -> None:
    symbols = tuple(f"S{number}USDT" for number in range(FILLS_OF + 3))
    algos = [
        ALGO_ACK | {"symbol": symbol, "clientAlgoId": f"nxab-{number}-1s1"} for number, symbol in enumerate(symbols)
    ]
    position = {"symbol": symbols[-1], "positionAmt": "0.010", "entryPrice": "100", "liquidationPrice": "0"}
    venue.answers |= {
        "GET /fapi/v1/openOrders": Answer([]),
        "GET /fapi/v1/openAlgoOrders": Answer(algos),
        "GET /fapi/v3/positionRisk": Answer([position]),
        "GET /fapi/v3/balance": Answer([]),
        GET_TRADES: Answer([]),
    }
    async with rest_of(venue, symbols=symbols) as rest:
        assert (await BinanceBroker(rest).snapshot()).ok
    read = {params["symbol"] for name, params in venue.asked if name == GET_TRADES}
    assert read == {symbols[-1], *symbols[: FILLS_OF - 1]}


async def test_transfers_of_a_snapshot_are_ours_in_our_own_time(venue: Scripted) -> None:
    ahead_ms = 40_000
    venue.answers |= ACCOUNT | {
        "GET /fapi/v1/time": lambda _: Answer({"serverTime": time.time_ns() // 1_000_000 + ahead_ms}),
        "GET /fapi/v1/income": Answer([
            {"symbol": "", "incomeType": "TRANSFER", "income": "-0.37500000", "asset": "USDT", "info": "TRANSFER",
             "time": 1_570_608_000_000, "tranId": 9689322392, "tradeId": ""},
            {"symbol": "", "incomeType": "TRANSFER", "income": "5", "asset": "BNB", "info": "TRANSFER",
             "time": 1_570_608_000_000, "tranId": 1, "tradeId": ""},
        ]),
    }  # fmt: skip
    async with rest_of(venue) as rest:
        await rest.sync_clock()
        before_ns = time.time_ns()
        snapshot = await BinanceBroker(rest).snapshot()
    (row,) = snapshot.transfers
    assert (row.id, row.amount) == ("9689322392", Decimal("-0.375"))
    assert abs(row.at_ns - (1_570_608_000_000 - ahead_ms) * 1_000_000) < 2e9
    assert before_ns <= snapshot.wallet_ns <= snapshot.at_ns
    (asked,) = [params for name, params in venue.asked if name == "GET /fapi/v1/income"]
    assert asked["incomeType"] == "TRANSFER" and int(asked["startTime"]) < int(asked["timestamp"]) - 29 * 86_400_000


ACCOUNT: dict[str, Answer] = {
    "GET /fapi/v1/openOrders": Answer([]),
    "GET /fapi/v1/openAlgoOrders": Answer([]),
    "GET /fapi/v3/positionRisk": Answer([]),
    "GET /fapi/v3/balance": Answer([]),
    GET_TRADES: Answer([]),
    "GET /fapi/v1/allOrders": Answer([]),
    "GET /fapi/v1/allAlgoOrders": Answer([]),
}


# ---- making ready --------------------------------------------------------------------------------------------------

SYMBOL = {
    "symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT",
    "filters": [
        {"filterType": "PRICE_FILTER", "tickSize": "0.10", "minPrice": "556.80"},
        {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001", "maxQty": "1000"},
        {"filterType": "MARKET_LOT_SIZE", "stepSize": "0.001", "minQty": "0.001", "maxQty": "120"},
        {"filterType": "MIN_NOTIONAL", "notional": "100"},
    ],
}  # fmt: skip
WEIGHT = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 1_200}


def ready_to_trade(venue: Scripted) -> None:
    venue.answers |= {
        "GET /fapi/v1/exchangeInfo": Answer({"rateLimits": [WEIGHT], "symbols": [SYMBOL]}),
        "GET /fapi/v1/positionSide/dual": Answer({"dualSidePosition": False}),
        "GET /fapi/v1/symbolConfig": Answer([{"symbol": "BTCUSDT", "marginType": "CROSSED", "leverage": 20}]),
        "GET /fapi/v1/commissionRate": Answer({"makerCommissionRate": "0.00018", "takerCommissionRate": "0.00045"}),
        "POST /fapi/v1/marginType": Answer({"code": 200, "msg": "success"}),
        "POST /fapi/v1/leverage": Answer({"symbol": "BTCUSDT", "leverage": 3}),
    }


async def test_instruments_carry_the_grid_the_fees_and_the_limits_of_the_account(
    venue: Scripted, rest: BinanceRest
) -> None:
    ready_to_trade(venue)
    ear = Ear()
    await BinanceBroker(rest).prepare(ear)
    (made,) = ear.of(Instruments)[0].instruments
    assert (made.tick, made.step, made.min_notional) == (Decimal("0.1"), Decimal("0.001"), Decimal(100))
    assert (made.max_qty, made.market_max_qty) == (Decimal(1000), Decimal(120))
    assert (made.maker_fee, made.taker_fee, made.trading) == (0.00018, 0.00045, True)
    assert rest.budget.limit == 1_200


async def test_a_hedge_mode_account_is_refused_in_one_line_and_not_touched(venue: Scripted, rest: BinanceRest) -> None:
    ready_to_trade(venue)
    venue.answers["GET /fapi/v1/positionSide/dual"] = Answer({"dualSidePosition": True})
    ear = Ear()
    with pytest.raises(AccountRefused, match="hedge mode"):
        await BinanceBroker(rest).prepare(ear)
    assert not ear.events and not any(name.startswith("POST") for name, _ in venue.asked)


async def test_a_margin_type_that_is_so_already_is_no_error(venue: Scripted, rest: BinanceRest) -> None:
    ready_to_trade(venue)
    venue.answers["POST /fapi/v1/marginType"] = Answer({"code": -4046, "msg": "No need to change margin type."}, 400)
    ear = Ear()
    await BinanceBroker(rest).prepare(ear)
    assert ear.of(Instruments)[0].instruments[0].trading
    assert venue.count("POST /fapi/v1/leverage") == 1


async def test_a_symbol_that_cannot_be_set_up_is_not_traded_and_does_not_stop_the_others(
    venue: Scripted, rest: BinanceRest
) -> None:
    ready_to_trade(venue)
    venue.answers["POST /fapi/v1/marginType"] = Answer({"code": -4048, "msg": "Position exists."}, 400)
    ear = Ear()
    await BinanceBroker(rest).prepare(ear)
    assert not ear.of(Instruments)[0].instruments[0].trading


async def test_instruments_come_before_anything_is_set_and_are_not_traded_until_then(
    venue: Scripted, rest: BinanceRest
) -> None:
    ready_to_trade(venue)
    ear = Ear()
    assert await BinanceBroker(rest).introduce(ear) == ()
    assert [made.trading for made in ear.of(Instruments)[0].instruments] == [False]
    assert not any(name.startswith("POST") for name, _ in venue.asked)


async def test_a_symbol_that_the_venue_does_not_list_is_told_and_left_out(venue: Scripted) -> None:
    ready_to_trade(venue)
    async with rest_of(venue, symbols=("NOPEUSDT", "BTCUSDT")) as rest:
        ear, broker = Ear(), BinanceBroker(rest)
        assert await broker.introduce(ear) == ("NOPEUSDT",)
        await broker.prepare(ear)
        assert [made.symbol for event in ear.of(Instruments) for made in event.instruments] == ["BTCUSDT"] * 2
    async with rest_of(venue, symbols=("NOPEUSDT",)) as rest:
        with pytest.raises(AccountRefused, match="NOPEUSDT"):
            await BinanceBroker(rest).introduce(Ear())


async def test_a_venue_that_fails_while_it_is_asked_can_be_asked_again(venue: Scripted, rest: BinanceRest) -> None:
    ready_to_trade(venue)
    venue.answers["POST /fapi/v1/leverage"] = Answer(cut=True)
    with pytest.raises(UplinkError) as caught:
        await BinanceBroker(rest).prepare(Ear())
    assert not isinstance(caught.value, AccountRefused)


# ---- keys ----------------------------------------------------------------------------------------------------------


def shown(value: object) -> str:
    text = f"{value!r} {value!s} {value}"
    if isinstance(value, BaseException):
        lines = traceback.TracebackException.from_exception(value, capture_locals=True, compact=False).format()
        text += "".join(lines)
    return text


@pytest.mark.parametrize(
    "answer", [Answer(cut=True), Answer({"code": -1022, "msg": "Signature is not valid."}, 400), Answer("x", 200)]
)
async def test_neither_key_nor_signature_shows_in_an_error_or_its_traceback(
    venue: Scripted, rest: BinanceRest, answer: Answer
) -> None:
    venue.answers[GET] = answer
    with pytest.raises(RestError) as caught:
        await rest.call(GET_ORDER, {"symbol": "BTCUSDT"}, Urgency.QUERY)
    text = shown(caught.value) + shown(rest) + shown(rest.settings) + shown(settings())
    signature = venue.asked[-1][1]["signature"]
    for hidden in (KEY, SECRET, signature):
        assert hidden not in text


async def test_nothing_is_logged_of_a_key(venue: Scripted, rest: BinanceRest, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    venue.answers[PLACE] = Answer(cut=True)
    await BinanceBroker(rest).submit(an_order())
    assert SECRET not in caplog.text and KEY not in caplog.text


async def test_closing_is_prompt_while_a_request_hangs(venue: Scripted) -> None:
    async with rest_of(venue) as rest:
        venue.answers["GET /fapi/v1/time"] = Answer(hang=5)
        hanging = asyncio.create_task(rest.call(TIME))
        await venue.until(lambda: venue.count("GET /fapi/v1/time") >= 2)
        began = time.monotonic()
        await rest.close()
        assert time.monotonic() - began < 1.0
        with pytest.raises(RestError):
            await hanging
        with pytest.raises(RestError, match="closed"):
            await rest.call(TIME)


def test_opening_prints_nothing() -> None:
    program = (
        "import asyncio, time\n"
        "from nexus_engine.model.secret import Secret\n"
        "from nexus_engine.uplink.binance.rest import BinanceRest\n"
        "from nexus_engine.uplink.binance.settings import BinanceSettings\n"
        "import sys\n"
        "assert 'binance' not in sys.modules\n"
        "class Clock:\n"
        "    utc_ns = staticmethod(time.time_ns)\n"
        "    mono_ns = staticmethod(time.monotonic_ns)\n"
        "async def main():\n"
        "    rest = BinanceRest(BinanceSettings(rest_url='http://127.0.0.1:1', ws_url='ws://127.0.0.1:1',\n"
        "        api_key=Secret('k'), api_secret=Secret('s'), symbols=('BTCUSDT',), intervals=('1m',),\n"
        "        warmup_bars=1, leverage=1), Clock())\n"
        "    await rest.open()\n"
        "    await rest.close()\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-W", "default", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
