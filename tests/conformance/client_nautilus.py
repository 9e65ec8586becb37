"""A nautilus_trader TradingNode with Binance data and execution clients, pointed at the venue by their configuration.

It logs on to the WebSocket API with an Ed25519 key, which is how it gets its user stream.
"""

import asyncio
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from nautilus_trader.adapters.binance import (
    BINANCE,
    BinanceAccountType,
    BinanceDataClientConfig,
    BinanceExecClientConfig,
    BinanceLiveDataClientFactory,
    BinanceLiveExecClientFactory,
)
from nautilus_trader.config import InstrumentProviderConfig, LiveExecEngineConfig, LoggingConfig, TradingNodeConfig
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import (
    GenerateFillReports,
    GenerateOrderStatusReport,
    GeneratePositionStatusReports,
)
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import BookType, OrderSide, OrderStatus, TriggerType
from nautilus_trader.model.identifiers import ClientId, InstrumentId, Venue
from nautilus_trader.trading.strategy import Strategy
from report import Heard, Report, expect, place_near, run

INSTRUMENT = InstrumentId.from_str("BTCUSDT-PERP.BINANCE")
BARS = BarType.from_str("BTCUSDT-PERP.BINANCE-1-MINUTE-LAST-EXTERNAL")
QTY = Decimal("0.010")
report = Report()


class Ears(Strategy):
    """Says what it is told, in words of ours: (kind, object)."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = Heard()

    def on_order_book_deltas(self, deltas: Any) -> None:
        self.heard(("book", deltas))

    def on_trade_tick(self, tick: Any) -> None:
        self.heard(("trade", tick))

    def on_bar(self, bar: Any) -> None:
        self.heard(("bar", bar))

    def on_mark_price(self, mark: Any) -> None:
        self.heard(("mark", mark))

    def on_historical_data(self, data: Any) -> None:
        self.heard(("past", data))

    def on_order_event(self, event: Any) -> None:
        self.heard((type(event).__name__, event))

    def on_position_event(self, event: Any) -> None:
        self.heard((type(event).__name__, event))


def node() -> TradingNode:
    rest, ws = report.venue["rest"], report.venue["ws"]
    common: dict[str, Any] = {
        "api_key": report.venue["ed25519_api_key"],
        "api_secret": report.venue["ed25519_private_key"],
        "account_type": BinanceAccountType.USDT_FUTURES,
        "base_url_http": rest,
        "instrument_provider": InstrumentProviderConfig(load_all=True),
    }
    made = TradingNode(
        TradingNodeConfig(
            trader_id="CONFORMANCE-001",
            logging=LoggingConfig(log_level="ERROR"),
            exec_engine=LiveExecEngineConfig(reconciliation=True),
            data_clients={BINANCE: BinanceDataClientConfig(**common, base_url_ws=ws)},
            exec_clients={
                BINANCE: BinanceExecClientConfig(**common, base_url_ws=ws + "/ws-fapi/v1", base_url_ws_stream=ws)
            },
            timeout_connection=20.0,
            timeout_reconciliation=10.0,
        )
    )
    made.add_data_client_factory(BINANCE, BinanceLiveDataClientFactory)
    made.add_exec_client_factory(BINANCE, BinanceLiveExecClientFactory)
    return made


async def main() -> None:
    trading = node()
    ears = Ears()
    trading.trader.add_strategy(ears)
    trading.build()
    running = asyncio.create_task(trading.run_async())
    heard, cache = ears.heard, trading.cache

    async def markets() -> None:
        while not ears.is_running:
            expect(not running.done(), "the node ended")
            await asyncio.sleep(0.1)
        expect(cache.instrument(INSTRUMENT) is not None, f"no {INSTRUMENT}")

    async def kind(name: str) -> Any:
        return (await heard.until(lambda row: row[0] == name))[1]

    async def book_stream() -> None:
        ears.subscribe_order_book_deltas(INSTRUMENT, BookType.L2_MBP, depth=1000)
        await kind("book")
        expect(cache.order_book(INSTRUMENT).best_bid_price() < cache.order_book(INSTRUMENT).best_ask_price(), "crossed")

    async def book() -> None:
        bids = cache.order_book(INSTRUMENT).bids()
        expect(len(bids) >= 100, f"only {len(bids)} bids: no snapshot was loaded")

    async def past(ask: Any) -> None:
        done = asyncio.Event()
        ask(callback=lambda _: done.set())
        await done.wait()
        await kind("past")

    def hour_ago() -> Any:
        return ears.clock.utc_now() - timedelta(hours=1)

    async def price() -> float:
        return float(cache.order_book(INSTRUMENT).best_bid_price())

    instrument: Any = None

    async def query(order: Any) -> None:
        """What `query_order` does, waited for."""
        found = await executor().generate_order_status_report(
            GenerateOrderStatusReport(
                instrument_id=INSTRUMENT, client_order_id=order.client_order_id,
                venue_order_id=cache.order(order.client_order_id).venue_order_id, command_id=UUID4(), ts_init=0,
            )
        )  # fmt: skip
        expect(found is not None and found.order_status == OrderStatus.ACCEPTED, found)

    async def limit() -> None:
        order = ears.order_factory.limit(
            INSTRUMENT, OrderSide.BUY, instrument.make_qty(QTY), instrument.make_price(await price() * 0.9)
        )
        ears.submit_order(order)
        await heard.until(lambda row: row[0] == "OrderAccepted" and row[1].client_order_id == order.client_order_id)
        await query(order)
        ears.cancel_order(order)
        await heard.until(lambda row: row[0] == "OrderCanceled" and row[1].client_order_id == order.client_order_id)

    async def market(side: OrderSide = OrderSide.BUY) -> None:
        order = ears.order_factory.market(INSTRUMENT, side, instrument.make_qty(QTY))
        ears.submit_order(order)
        await heard.until(lambda row: row[0] == "OrderFilled" and row[1].client_order_id == order.client_order_id)

    def executor() -> Any:
        engine = trading.kernel.exec_engine
        return (
            next(iter(engine.get_clients())) if hasattr(engine, "get_clients") else engine._clients[ClientId(BINANCE)]
        )

    async def asked(call: str, command: Any) -> list[Any]:
        return await getattr(executor(), call)(command(
            instrument_id=INSTRUMENT, start=None, end=None, command_id=UUID4(), ts_init=0,
            **({"venue_order_id": None} if command is GenerateFillReports else {}),
        ))  # fmt: skip

    async def logged_on() -> None:
        """It raised at its start if not; asked once more, of the venue."""
        status = await executor()._ws_client.session_status()
        expect(status["result"]["apiKey"] == report.venue["ed25519_api_key"], status)

    async def fill() -> None:
        expect(await asked("generate_fill_reports", GenerateFillReports), "no fill report")

    async def position() -> None:
        rows = await asked("generate_position_status_reports", GeneratePositionStatusReports)
        expect([row.quantity.as_decimal() for row in rows] == [QTY], rows)

    async def stop() -> None:
        order = ears.order_factory.stop_market(
            INSTRUMENT, OrderSide.SELL, instrument.make_qty(QTY), instrument.make_price(await price() * 0.9),
            trigger_type=TriggerType.LAST_PRICE, reduce_only=True,
        )  # fmt: skip
        ears.submit_order(order)
        await heard.until(lambda row: row[0] == "OrderAccepted" and row[1].client_order_id == order.client_order_id)
        await query(order)
        ears.cancel_order(order)
        await heard.until(lambda row: row[0] == "OrderCanceled" and row[1].client_order_id == order.client_order_id)

    async def place_stop(trigger: str) -> Any:
        order = ears.order_factory.stop_market(
            INSTRUMENT, OrderSide.SELL, instrument.make_qty(QTY), instrument.make_price(float(trigger)),
            trigger_type=TriggerType.LAST_PRICE, reduce_only=True,
        )  # fmt: skip
        ears.submit_order(order)
        answer = await heard.until(
            lambda row: row[0] in ("OrderAccepted", "OrderRejected") and row[1].client_order_id == order.client_order_id
        )
        expect(answer[0] == "OrderAccepted", f"rejected: {getattr(answer[1], 'reason', '')}")
        return order

    async def triggers() -> None:
        order = await place_near(price, place_stop, lambda error: "immediately" in str(error))
        await heard.until(lambda row: row[0] == "OrderFilled" and row[1].client_order_id == order.client_order_id)
        expect(cache.order(order.client_order_id).status == OrderStatus.FILLED, "not filled")
        await heard.until(lambda row: row[0] == "PositionClosed")

    async def close() -> None:
        earlier = list(heard.all)
        await market()
        ears.close_all_positions(INSTRUMENT)
        await heard.until(lambda row: row[0] == "PositionClosed" and row not in earlier)

    async def balance() -> None:
        expect(trading.portfolio.account(Venue(BINANCE)).balance_total(USDT).as_decimal() > 0, "no USDT")

    async def subscribed(subscribe: Any, argument: Any, name: str) -> None:
        subscribe(argument)
        await kind(name)

    await report.check("markets", markets)
    instrument = cache.instrument(INSTRUMENT)
    await report.check("book stream", book_stream)
    await report.check("book", book)
    await report.check("trades", lambda: past(partial(ears.request_trade_ticks, INSTRUMENT, hour_ago(), limit=100)))
    await report.check("trades stream", lambda: subscribed(ears.subscribe_trade_ticks, INSTRUMENT, "trade"))
    await report.check("klines", lambda: past(partial(ears.request_bars, BARS, hour_ago(), limit=100)))
    await report.check("klines stream", lambda: subscribed(ears.subscribe_bars, BARS, "bar"))
    await report.check("mark stream", lambda: subscribed(ears.subscribe_mark_prices, INSTRUMENT, "mark"))
    await report.check("balance", balance)
    await report.check("limit: place, query, cancel", limit)
    report.cannot(
        "limit by WS API: place, query, cancel",
        "its orders go by REST; of the WebSocket API it uses session.logon and userDataStream, and did so here",
    )
    await report.check("session logon (Ed25519)", logged_on)
    await report.check("market order", market)
    await report.check("fill", fill)
    await report.check("fill stream", lambda: kind("OrderFilled"))
    await report.check("position", position)
    await report.check("position stream", lambda: kind("PositionOpened"))
    await report.check("stop: place, query, cancel", stop)
    await report.check("stop: triggers", triggers)
    await report.check("close", close)


run(main())
