"""Binance's official USD-M SDK (binance-sdk-derivatives-trading-usds-futures), pointed at the venue by its settings."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from binance_common.configuration import (
    ConfigurationRestAPI,
    ConfigurationWebSocketAPI,
    ConfigurationWebSocketStreams,
)
from binance_common.errors import BadRequestError
from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import DerivativesTradingUsdsFutures
from report import SYMBOL, Heard, Report, expect, place_near, run

report = Report()
key = {"api_key": report.venue["api_key"], "api_secret": report.venue["api_secret"]}


async def main() -> None:
    sdk = DerivativesTradingUsdsFutures(
        config_rest_api=ConfigurationRestAPI(**key, base_path=report.venue["rest"], timeout=5000),
        config_ws_api=ConfigurationWebSocketAPI(**key, stream_url=report.venue["ws"] + "/ws-fapi/v1"),
        config_ws_streams=ConfigurationWebSocketStreams(stream_url=report.venue["ws"] + "/stream"),
    )
    await sdk.websocket_streams.create_connection()

    async def rest(call: Callable[..., Any], **params: Any) -> Any:
        """A call of theirs blocks; and its reply is decoded into their models, which is part of the question."""
        return (await asyncio.to_thread(call, **params)).data()

    api = sdk.rest_api
    order = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "time_in_force": "GTC", "quantity": 0.01}

    async def price() -> float:
        return float((await rest(api.symbol_price_ticker_v2, symbol=SYMBOL)).actual_instance.price)

    async def far() -> float:
        return round(await price() * 0.9, 1)

    async def markets() -> None:
        info = await rest(api.exchange_information)
        expect(SYMBOL in {row.symbol for row in info.symbols}, f"no {SYMBOL}")

    async def stream(subscribe: Callable[..., Awaitable[Any]], **params: Any) -> None:
        heard = Heard()
        handle = await subscribe(**params)
        handle.on("message", heard)
        await heard.until(bool)
        await handle.unsubscribe()

    async def positions() -> list[float]:
        return [float(row.position_amt) for row in await rest(api.position_information_v3, symbol=SYMBOL)]

    async def limit() -> None:
        placed = await rest(api.new_order, **order, price=await far())
        found = await rest(api.query_order, symbol=SYMBOL, order_id=placed.order_id)
        expect(found.status == "NEW", found.status)
        gone = await rest(api.cancel_order, symbol=SYMBOL, order_id=placed.order_id)
        expect(gone.status == "CANCELED", gone.status)

    async def limit_by_socket() -> None:
        await sdk.websocket_api.create_connection()
        placed = (await sdk.websocket_api.new_order(**order, price=await far())).data().result
        found = (await sdk.websocket_api.query_order(symbol=SYMBOL, order_id=placed.order_id)).data().result
        expect(found.status == "NEW", found.status)
        gone = (await sdk.websocket_api.cancel_order(symbol=SYMBOL, order_id=placed.order_id)).data().result
        expect(gone.status == "CANCELED", gone.status)

    async def logon() -> None:
        own = DerivativesTradingUsdsFutures(
            config_ws_api=ConfigurationWebSocketAPI(
                api_key=report.venue["ed25519_api_key"], private_key=report.venue["ed25519_private_key"],
                stream_url=report.venue["ws"] + "/ws-fapi/v1",
            )
        )  # fmt: skip
        api = own.websocket_api
        await api.create_connection()
        logon = {"method": "session.logon", "params": {}}
        answer = (await api.send_signed_message(logon, api.signer, session_logon=True)).data()
        expect(answer["result"]["authorizedSince"], answer)
        rows = (await api.futures_account_balance_v2()).data().result
        expect([row.asset for row in rows] == ["USDT"], rows)

    market_streams = sdk.websocket_streams
    await report.check("markets", markets)
    await report.check("book", lambda: rest(api.order_book, symbol=SYMBOL, limit=1000))
    await report.check("book stream", lambda: stream(market_streams.diff_book_depth_streams, symbol="btcusdt"))
    await report.check("trades", lambda: rest(api.recent_trades_list, symbol=SYMBOL))
    await report.check("trades stream", lambda: stream(market_streams.aggregate_trade_streams, symbol="btcusdt"))
    await report.check("klines", lambda: rest(api.kline_candlestick_data, symbol=SYMBOL, interval="1m"))
    await report.check(
        "klines stream", lambda: stream(market_streams.kline_candlestick_streams, symbol="btcusdt", interval="1m")
    )
    await report.check("mark stream", lambda: stream(market_streams.mark_price_stream, symbol="btcusdt"))
    await report.check("balance", lambda: rest(api.futures_account_balance_v3))
    user = Heard()
    listen_key = (await rest(api.start_user_data_stream)).listen_key
    handle = await sdk.websocket_streams.user_data(listen_key)
    handle.on("message", lambda event: user((type(event.actual_instance).__name__, event.actual_instance.to_dict())))
    await asyncio.sleep(0.5)  # their subscription is not awaited

    await report.check("limit: place, query, cancel", limit)
    await report.check("limit by WS API: place, query, cancel", limit_by_socket)
    await report.check("session logon (Ed25519)", logon)
    bought: list[int] = []

    async def market() -> None:
        bought.append((await rest(api.new_order, symbol=SYMBOL, side="BUY", type="MARKET", quantity=0.01)).order_id)

    async def fill() -> None:
        rows = await rest(api.account_trade_list, symbol=SYMBOL, order_id=bought[0])
        expect(abs(sum(float(row.qty) for row in rows) - 0.01) < 1e-9, "the fills are not the order")

    async def position() -> None:
        expect(await positions() == [0.01], await positions())

    async def stop() -> None:
        made = await rest(
            api.new_algo_order, algo_type="CONDITIONAL", symbol=SYMBOL, side="SELL", type="STOP_MARKET",
            trigger_price=await far(), close_position="true",
        )  # fmt: skip
        found = await rest(api.query_algo_order, algo_id=made.algo_id)
        expect(found.algo_status == "NEW", found.algo_status)
        await rest(api.cancel_algo_order, algo_id=made.algo_id)

    async def triggers() -> None:
        await place_near(
            price,
            lambda trigger: rest(
                api.new_algo_order, algo_type="CONDITIONAL", symbol=SYMBOL, side="SELL", type="STOP_MARKET",
                trigger_price=float(trigger), quantity=0.01, reduce_only="true", working_type="CONTRACT_PRICE",
            ),
            lambda error: isinstance(error, BadRequestError) and "immediately" in str(error),
        )  # fmt: skip
        await user.until(lambda event: event[0] == "AlgoUpdate" and event[1]["o"]["X"] == "FINISHED")
        expect(not await positions(), "the position is still there")

    async def close() -> None:
        for side in ("BUY", "SELL"):
            await rest(api.new_order, symbol=SYMBOL, side=side, type="MARKET", quantity=0.01)
        expect(not await positions(), "the position is still there")

    await report.check("market order", market)
    await report.check("fill", fill)
    await report.check(
        "fill stream", lambda: user.until(lambda m: m[0] == "OrderTradeUpdate" and m[1]["o"]["X"] == "FILLED")
    )
    await report.check("position", position)
    await report.check("position stream", lambda: user.until(lambda m: m[0] == "AccountUpdate" and m[1]["a"]["P"]))
    await report.check("stop: place, query, cancel", stop)
    await report.check("stop: triggers", triggers)
    await report.check("close", close)


run(main())
