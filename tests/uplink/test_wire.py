"""Messages become events, and absurd ones become nothing."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from uplink_data import algo_message, order_message

from nexus_engine.model.events import Bar, Mark, Trade
from nexus_engine.model.words import OrderStatus, Side
from nexus_engine.uplink.binance import replies, wire

public = msgspec.json.Decoder(wire.PublicFrame, strict=False)
market = msgspec.json.Decoder(wire.MarketFrame, strict=False)
user = msgspec.json.Decoder(wire.UserMessage, strict=False)
AGG: dict[str, Any] = {
    "e": "aggTrade",
    "E": 5,
    "s": "BTCUSDT",
    "p": "61800.30",
    "q": "0.5",
    "T": 4,
    "m": True,
    "new": {},
}
MARK = {"e": "markPriceUpdate", "E": 5, "s": "BTCUSDT", "p": "61800.1", "i": "61801", "r": "-0.0001", "T": 28_800_000}
CANDLE = {"t": 60_000, "T": 119_999, "i": "1m", "o": "1", "h": "3", "l": "0.5", "c": "2", "v": "9", "n": 7, "x": True}


def combined(data: object) -> bytes:
    return msgspec.json.encode({"stream": "any", "data": data})


def order(**changes: Any) -> wire.OrderBody:
    msg = user.decode(order_message(**changes))
    assert isinstance(msg, wire.OrderTradeUpdate)
    return msg.o


def algo(**changes: Any) -> wire.AlgoUpdate:
    msg = user.decode(algo_message(**changes))
    assert isinstance(msg, wire.AlgoUpdate)
    return msg


def event_of(data: object) -> Trade | Mark | Bar:
    msg = market.decode(combined(data)).data
    return wire.MARKET_EVENTS[type(msg)](msg, 1, 2)


def test_a_trade_a_mark_and_a_candle_keep_their_numbers_and_their_market_time() -> None:
    assert event_of(AGG) == Trade(
        at_ns=1, mono_ns=2, symbol="BTCUSDT", price=61800.3, qty=0.5, buyer_is_maker=True, venue_ns=4_000_000
    )
    mark = event_of(MARK)
    assert isinstance(mark, Mark)
    assert (mark.mark, mark.index, mark.funding_rate) == (61800.1, 61801.0, -0.0001)
    assert (mark.venue_ns, mark.next_funding_ns) == (5_000_000, 28_800_000_000_000)
    bar = event_of({"e": "kline", "E": 120_000, "s": "BTCUSDT", "k": CANDLE})
    assert isinstance(bar, Bar)
    assert (bar.open, bar.high, bar.low, bar.close, bar.closed, bar.open_ns) == (1, 3, 0.5, 2, True, 60_000_000_000)


@pytest.mark.parametrize("price", ["NaN", "Infinity", "-1", "0", "1e400", "１００", " 1_0 ", "", None, [], "1e13"])
def test_an_absurd_price_never_becomes_an_event(price: object) -> None:
    with pytest.raises(msgspec.MsgspecError):
        market.decode(combined(AGG | {"p": price}))
    with pytest.raises(msgspec.MsgspecError):
        public.decode(
            combined({"e": "depthUpdate", "s": "A", "T": 1, "U": 1, "u": 1, "pu": 0, "b": [[price, "1"]], "a": []})
        )


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "sNaN", "１００", " 1 ", "1_0", "1e9", "1E+9", "1\n", "0x1"]
)
def test_an_absurd_number_of_the_account_fails_the_message(number: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        user.decode(order_message(l=number))
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"asset": "USDT", "balance": number, "availableBalance": "1"}, replies.AssetBalance)


@given(st.text(max_size=30))
def test_whatever_passes_as_a_number_is_a_finite_decimal(text: str) -> None:
    try:
        number = msgspec.convert(text, wire.Number)
    except msgspec.ValidationError:
        return
    assert wire.exact(number).is_finite()


def test_an_execution_is_a_report_and_a_fill() -> None:
    body = order(X="PARTIALLY_FILLED", z="0.004", l="0.004", rp="-1.5", n="0.02")
    report, fill = wire.order_report(body), wire.order_fill(body)
    assert (report.client_id, report.status, report.qty, report.filled) == (
        "nxab-1-1e1", OrderStatus.PARTIAL, Decimal("0.010"), Decimal("0.004"),
    )  # fmt: skip
    assert report.price is None and not report.conditional and report.venue_id == "77"
    assert fill is not None
    assert (fill.trade_id, fill.side, fill.price, fill.qty) == ("9001", Side.BUY, Decimal("100.0"), Decimal("0.004"))
    assert (fill.fee, fill.realised) == (Decimal("0.02"), Decimal("-1.5"))


def test_an_order_that_only_rests_has_no_fill() -> None:
    assert wire.order_fill(order(x="NEW", X="NEW", l="0", L="0", z="0", t=0, n=None, N=None)) is None


def test_a_fee_in_another_asset_is_booked_in_quote_currency_and_never_too_low() -> None:
    fill = wire.order_fill(order(N="BNB", n="0.0000012"))
    assert fill is not None and fill.fee == Decimal("0.010") * Decimal("100.0") * Decimal("0.0005")
    assert fill.fee_asset == "USDT"


@pytest.mark.parametrize(
    ("word", "filled", "status"),
    [
        ("NEW", "0", OrderStatus.OPEN),
        ("PARTIALLY_FILLED", "0.004", OrderStatus.PARTIAL),
        ("FILLED", "0.010", OrderStatus.FILLED),
        ("CANCELED", "0", OrderStatus.CANCELED),
        ("EXPIRED", "0.004", OrderStatus.EXPIRED),
        ("EXPIRED_IN_MATCH", "0", OrderStatus.EXPIRED),
        ("REJECTED", "0", OrderStatus.REJECTED),
        ("NEW_ADL", "0.010", OrderStatus.FILLED),
        ("NEW_INSURANCE", "0.004", OrderStatus.PARTIAL),
        ("SOMETHING_NEW", "0", OrderStatus.OPEN),
    ],
)
def test_an_orders_state_in_our_words(word: str, filled: str, status: OrderStatus) -> None:
    assert wire.order_report(order(X=word, z=filled)).status is status


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"X": "NEW"}, OrderStatus.OPEN, ""),
        ({"X": "TRIGGERING"}, OrderStatus.OPEN, "triggering"),
        ({"X": "TRIGGERED", "ai": "88", "aq": "0"}, OrderStatus.OPEN, "triggered"),
        ({"X": "FINISHED", "ai": "88", "aq": "0.010"}, OrderStatus.FILLED, "finished"),
        ({"X": "FINISHED", "ai": "88", "aq": "0"}, OrderStatus.EXPIRED, "finished"),
        ({"X": "CANCELED"}, OrderStatus.CANCELED, "canceled"),
        ({"X": "EXPIRED"}, OrderStatus.EXPIRED, "expired"),
        ({"X": "REJECTED", "rm": "Margin is insufficient."}, OrderStatus.REJECTED, "Margin is insufficient."),
    ],
)
def test_a_conditional_orders_state_in_our_words(changes: dict[str, str], status: OrderStatus, reason: str) -> None:
    report = wire.algo_report(algo(**changes))
    assert (report.status, report.reason, report.conditional) == (status, reason, True)
    assert (report.client_id, report.trigger, report.venue_id) == ("nxab-1-1s1", Decimal("95.0"), "501")


def test_an_account_update_tells_the_wallet_only_when_it_changed_and_one_way_positions_only() -> None:
    raw = msgspec.json.encode(
        {
            "e": "ACCOUNT_UPDATE",
            "E": 9,
            "T": 3,
            "a": {
                "B": [{"a": "BNB", "wb": "7"}],
                "P": [
                    {"s": "BTCUSDT", "pa": "-0.5", "ep": "100.5", "ps": "BOTH"},
                    {"s": "ETHUSDT", "pa": "1", "ep": "1", "ps": "LONG"},
                ],
            },
        }
    )  # fmt: skip
    msg = user.decode(raw)
    assert isinstance(msg, wire.AccountChange)
    event = wire.account_event(msg, 1, 2, leverage=3)
    assert event.wallet is None
    assert event.venue_ns == 3_000_000, "of the change, not of the message"
    assert [(p.symbol, p.qty, p.entry, p.leverage) for p in event.positions] == [
        ("BTCUSDT", Decimal("-0.5"), Decimal("100.5"), 3)
    ]


@pytest.mark.parametrize(
    ("reason", "moved"),
    [
        ("DEPOSIT", "500.5"), ("WITHDRAW", "500.5"), ("ASSET_TRANSFER", "500.5"), ("COIN_SWAP_WITHDRAW", "500.5"),
        ("ORDER", "0"), ("FUNDING_FEE", "0"), ("INSURANCE_CLEAR", "0"), ("MARGIN_TRANSFER", "0"), ("", "0"),
    ],
)  # fmt: skip
def test_only_some_reasons_move_money_and_only_ours_counts(reason: str, moved: str) -> None:
    rows = [{"a": "BNB", "wb": "7", "bc": "3"}, {"a": "USDT", "wb": "1500.50", "cw": "1", "bc": "500.50"}]
    body = {"m": reason, "B": rows, "P": []}
    msg = user.decode(msgspec.json.encode({"e": "ACCOUNT_UPDATE", "T": 3, "a": body}))
    assert isinstance(msg, wire.AccountChange)
    event = wire.account_event(msg, 1, 2, leverage=3)
    assert (event.wallet, event.transfer) == (Decimal("1500.5"), Decimal(moved))


STREAMS = {
    "depthUpdate": public,
    "aggTrade": market,
    "markPriceUpdate": market,
    "kline": market,
    "ORDER_TRADE_UPDATE": user,
    "ALGO_UPDATE": user,
    "ACCOUNT_UPDATE": user,
    "TRADE_LITE": user,
    "ACCOUNT_CONFIG_UPDATE": user,
    "MARGIN_CALL": user,
    "listenKeyExpired": user,
}


def test_every_recorded_shape_of_a_stream_that_we_use_decodes(data_dir: Path) -> None:
    seen = dict.fromkeys(STREAMS, 0)
    for line in (data_dir / "messages" / "binance_futures_message_shapes.jsonl").read_text("utf-8").splitlines():
        message = json.loads(line)["message"]
        body = message.get("data", message) if isinstance(message, dict) else {}
        kind = body.get("e") if isinstance(body, dict) else None
        if kind not in STREAMS:
            continue
        seen[kind] += 1
        decoder = STREAMS[kind]
        msg = decoder.decode(combined(body) if decoder is not user else msgspec.json.encode(body))
        if isinstance(msg, wire.OrderTradeUpdate):
            assert wire.order_report(msg.o).client_id
            wire.order_fill(msg.o)
        elif isinstance(msg, wire.AlgoUpdate):
            assert wire.algo_report(msg).conditional
        elif isinstance(msg, wire.MarketFrame):
            assert wire.MARKET_EVENTS[type(msg.data)](msg.data, 1, 1).symbol
    assert {kind for kind, count in seen.items() if count} >= {
        "depthUpdate", "aggTrade", "markPriceUpdate", "kline", "ORDER_TRADE_UPDATE", "ALGO_UPDATE", "ACCOUNT_UPDATE",
        "TRADE_LITE",
    }  # fmt: skip


REPLIES: dict[str, Any] = {
    "http_json/open_algo_orders.json": list[replies.AlgoRow],
    "http_json/order_response.json": replies.OrderRow,
    "http_json/position_risk.json": list[replies.PositionRisk],
    "http_json/balance.json": list[replies.AssetBalance],
    "http_futures_account_orders.json": list[replies.OrderRow],
    "http_futures_account_trades.json": list[replies.TradeRow],
    "http_futures_account_position_side_dual.json": replies.PositionMode,
    "http_futures_account_symbol_config.json": list[replies.SymbolConfig],
    "http_futures_market_depth.json": replies.DepthReply,
    "http_futures_market_klines.json": list[replies.KlineRow],
    "http_futures_market_exchange_info.json": replies.ExchangeInfo,
    "http_futures_wallet_commission_rate_btcusdt.json": replies.Commission,
}


def test_every_recorded_reply_that_we_use_decodes(data_dir: Path) -> None:
    left = dict(REPLIES)
    for line in (data_dir / "messages" / "binance_futures_message_shapes.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        for ending in [name for name in left if row["path"].endswith(name)]:
            decoded = msgspec.json.decode(json.dumps(row["message"]), type=left.pop(ending), strict=False)
            if isinstance(decoded, replies.ExchangeInfo):
                grids = [replies.instrument(symbol) for symbol in decoded.symbols if symbol.filters]
                assert all(grid.tick > 0 and grid.step > 0 for grid in grids)
    assert not left
