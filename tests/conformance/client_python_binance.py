"""python-binance, pointed at the venue by its class attributes."""

import asyncio
from typing import Any

from binance import AsyncClient, BinanceSocketManager
from binance.exceptions import BinanceAPIException
from report import SYMBOL, Heard, Report, expect, place_near, run

report = Report()
tasks: list[asyncio.Task[None]] = []
rest, ws = report.venue["rest"], report.venue["ws"]


class Client(AsyncClient):
    API_URL = rest + "/api"
    FUTURES_URL = rest + "/fapi"
    FUTURES_DATA_URL = rest + "/futures/data"
    WS_FUTURES_URL = ws + "/ws-fapi/v1"


class Sockets(BinanceSocketManager):
    STREAM_URL = ws + "/"
    FSTREAM_URL = ws + "/"


async def listen(socket: Any, heard: Heard) -> None:
    async with socket as stream:
        while True:
            heard(await stream.recv())


async def stream(socket: Any, event: str) -> None:
    heard = Heard()
    task = asyncio.create_task(listen(socket, heard))
    try:
        await heard.until(lambda message: message.get("data", message).get("e") == event)
    finally:
        task.cancel()


async def main() -> None:
    client = await Client.create(report.venue["api_key"], report.venue["api_secret"])
    sockets = Sockets(client)
    order = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.010"}

    async def markets() -> None:
        info = await client.futures_exchange_info()
        expect(any(row["symbol"] == SYMBOL for row in info["symbols"]), f"no {SYMBOL}")

    async def price() -> float:
        return float((await client.futures_symbol_ticker(symbol=SYMBOL))["price"])

    async def far() -> str:
        return f"{await price() * 0.9:.1f}"

    async def limit() -> None:
        placed = await client.futures_create_order(**order, price=await far())
        found = await client.futures_get_order(symbol=SYMBOL, orderId=placed["orderId"])
        expect(found["status"] == "NEW", found["status"])
        gone = await client.futures_cancel_order(symbol=SYMBOL, orderId=placed["orderId"])
        expect(gone["status"] == "CANCELED", gone["status"])

    async def limit_by_socket() -> None:
        placed = await client.ws_futures_create_order(**order, price=await far())
        found = await client.ws_futures_get_order(symbol=SYMBOL, orderId=placed["orderId"])
        expect(found["status"] == "NEW", found["status"])
        gone = await client.ws_futures_cancel_order(symbol=SYMBOL, orderId=placed["orderId"])
        expect(gone["status"] == "CANCELED", gone["status"])

    await report.check("markets", markets)
    await report.check("book", lambda: client.futures_order_book(symbol=SYMBOL, limit=1000))
    await report.check("book stream", lambda: stream(sockets.futures_depth_socket(SYMBOL, "@100ms"), "depthUpdate"))
    await report.check("trades", lambda: client.futures_recent_trades(symbol=SYMBOL))
    await report.check("trades stream", lambda: stream(sockets.aggtrade_futures_socket(SYMBOL), "aggTrade"))
    await report.check("klines", lambda: client.futures_klines(symbol=SYMBOL, interval="1m"))
    await report.check("klines stream", lambda: stream(sockets.kline_futures_socket(SYMBOL), "continuous_kline"))
    await report.check("mark stream", lambda: stream(sockets.symbol_mark_price_socket(SYMBOL), "markPriceUpdate"))
    await report.check("balance", client.futures_account_balance)
    user = Heard()
    tasks.append(asyncio.create_task(listen(sockets.futures_user_socket(), user)))
    await asyncio.sleep(1)  # the library does not tell when its socket is open
    await report.check("limit: place, query, cancel", limit)
    await report.check("limit by WS API: place, query, cancel", limit_by_socket)
    report.cannot(
        "session logon (Ed25519)",
        "it has no session.logon for futures; here it percent-encodes an Ed25519 signature, which is refused",
    )
    bought: dict[str, Any] = {}

    async def market() -> None:
        bought.update(await client.futures_create_order(symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.010"))

    async def fill() -> None:
        rows = await client.futures_account_trades(symbol=SYMBOL, orderId=bought["orderId"])
        expect(sum(float(row["qty"]) for row in rows) == 0.01, "the fills are not the order")

    async def position() -> None:
        (row,) = await client.futures_position_information(symbol=SYMBOL)
        expect(float(row["positionAmt"]) == 0.01, row["positionAmt"])

    def filled(message: Any) -> bool:
        return message["e"] == "ORDER_TRADE_UPDATE" and message["o"]["X"] == "FILLED"

    async def stop() -> None:
        made = await client.futures_create_order(
            symbol=SYMBOL, side="SELL", type="STOP_MARKET", stopPrice=await far(), closePosition="true"
        )
        open_now = await client.futures_get_open_orders(symbol=SYMBOL, conditional=True)
        expect([row["algoId"] for row in open_now] == [made["algoId"]], "it is not listed")
        await client.futures_cancel_order(symbol=SYMBOL, algoId=made["algoId"], conditional=True)

    async def triggers() -> None:
        await place_near(
            price,
            lambda trigger: client.futures_create_algo_order(
                algoType="CONDITIONAL", symbol=SYMBOL, side="SELL", type="STOP_MARKET", triggerPrice=trigger,
                quantity="0.010", reduceOnly="true", workingType="CONTRACT_PRICE", clientAlgoId="conf-stop",
            ),
            lambda error: isinstance(error, BinanceAPIException) and error.code == -2021,
        )  # fmt: skip
        ended = await user.until(lambda message: message["e"] == "ALGO_UPDATE" and message["o"]["X"] == "FINISHED")
        expect(ended["o"]["caid"] == "conf-stop", ended)
        expect(not await client.futures_position_information(symbol=SYMBOL), "the position is still there")

    async def close() -> None:
        for side in ("BUY", "SELL"):
            await client.futures_create_order(symbol=SYMBOL, side=side, type="MARKET", quantity="0.010")
        expect(not await client.futures_position_information(symbol=SYMBOL), "the position is still there")

    await report.check("market order", market)
    await report.check("fill", fill)
    await report.check("fill stream", lambda: user.until(filled))
    await report.check("position", position)
    await report.check("position stream", lambda: user.until(lambda m: m["e"] == "ACCOUNT_UPDATE" and m["a"]["P"]))
    await report.check("stop: place, query, cancel", stop)
    await report.check("stop: triggers", triggers)
    await report.check("close", close)


run(main())
