"""ccxt.pro's `binanceusdm`, pointed at the venue by rewriting its table of addresses."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import ccxt.pro
from ccxt.base.errors import OrderImmediatelyFillable
from report import SYMBOL, Heard, Report, expect, place_near, run

PAIR = "BTC/USDT:USDT"
report = Report()
tasks: list[asyncio.Task[None]] = []


def pointed(table: dict[str, Any]) -> dict[str, Any]:
    """The addresses with the venue's host and their own paths."""
    made: dict[str, Any] = {}
    for name, url in table.items():
        if isinstance(url, dict):
            made[name] = pointed(url)
        else:
            scheme, _, rest = url.partition("://")
            made[name] = report.venue["ws" if scheme == "wss" else "rest"] + "/" + rest.partition("/")[2]
    return made


async def watch(call: Callable[[], Awaitable[Any]], wanted: Callable[[Any], object]) -> None:
    while not wanted(await call()):
        pass


async def collect(call: Callable[[], Awaitable[list[Any]]], heard: Heard) -> None:
    while True:
        for row in await call():
            heard(row)


async def main() -> None:
    exchange = ccxt.pro.binanceusdm({"apiKey": report.venue["api_key"], "secret": report.venue["api_secret"]})
    exchange.urls["api"] = pointed(exchange.urls["api"])

    async def markets() -> None:
        expect(SYMBOL in {market["id"] for market in (await exchange.load_markets()).values()}, f"no {SYMBOL}")

    async def price() -> float:
        return float((await exchange.fetch_ticker(PAIR))["last"])

    async def limit(by_socket: bool) -> None:
        far = await price() * 0.9
        if by_socket:
            place, query, cancel = exchange.create_order_ws, exchange.fetch_order_ws, exchange.cancel_order_ws
        else:
            place, query, cancel = exchange.create_order, exchange.fetch_order, exchange.cancel_order
        placed = await place(PAIR, "limit", "buy", 0.01, far)
        found = await query(placed["id"], PAIR)
        expect(found["status"] == "open", found["status"])
        gone = await cancel(placed["id"], PAIR)
        expect(gone["status"] == "canceled", gone["status"])

    await report.check("markets", markets)
    await report.check("book", lambda: exchange.fetch_order_book(PAIR, 1000))
    await report.check("book stream", lambda: watch(lambda: exchange.watch_order_book(PAIR), lambda b: b["bids"]))
    await report.check("trades", lambda: exchange.fetch_trades(PAIR))
    await report.check("trades stream", lambda: watch(lambda: exchange.watch_trades(PAIR), bool))
    await report.check("klines", lambda: exchange.fetch_ohlcv(PAIR, "1m"))
    await report.check("klines stream", lambda: watch(lambda: exchange.watch_ohlcv(PAIR, "1m"), bool))
    await report.check("mark stream", lambda: watch(lambda: exchange.watch_mark_price(PAIR), lambda t: t["markPrice"]))

    async def balance() -> None:
        expect((await exchange.fetch_balance())["USDT"]["total"] > 0, "no USDT")

    await report.check("balance", balance)
    fills, positions, orders = Heard(), Heard(), Heard()
    tasks[:] = [
        asyncio.create_task(collect(lambda: exchange.watch_my_trades(PAIR), fills)),
        asyncio.create_task(collect(lambda: exchange.watch_positions([PAIR]), positions)),
        asyncio.create_task(collect(lambda: exchange.watch_orders(PAIR), orders)),
    ]
    await asyncio.sleep(2)  # the library does not tell when its socket is open
    await report.check("limit: place, query, cancel", lambda: limit(False))
    await report.check("limit by WS API: place, query, cancel", lambda: limit(True))
    report.cannot("session logon (Ed25519)", "it signs every request by itself and has no session.logon")
    bought: dict[str, Any] = {}

    async def market() -> None:
        bought.update(await exchange.create_order(PAIR, "market", "buy", 0.01))

    async def fill() -> None:
        rows = [row for row in await exchange.fetch_my_trades(PAIR) if row["order"] == bought["id"]]
        expect(abs(sum(row["amount"] for row in rows) - 0.01) < 1e-9, "the fills are not the order")

    async def position() -> None:
        (row,) = [row for row in await exchange.fetch_positions([PAIR]) if row["contracts"]]
        expect((row["contracts"], row["side"]) == (0.01, "long"), row)

    async def stop() -> None:
        made = await exchange.create_order(
            PAIR, "market", "sell", 0.01, None, {"stopLossPrice": await price() * 0.9, "reduceOnly": True}
        )
        listed = await exchange.fetch_open_orders(PAIR, params={"trigger": True})
        expect([row["id"] for row in listed] == [made["id"]], "it is not listed")
        await exchange.cancel_order(made["id"], PAIR, {"trigger": True})

    async def triggers() -> None:
        await place_near(
            price,
            lambda trigger: exchange.create_order(
                PAIR, "market", "sell", 0.01, None,
                {"stopLossPrice": float(trigger), "reduceOnly": True, "workingType": "CONTRACT_PRICE"},
            ),
            lambda error: isinstance(error, OrderImmediatelyFillable),
        )  # fmt: skip
        await orders.until(lambda row: row["side"] == "sell" and row["status"] == "closed")
        expect(not [row for row in await exchange.fetch_positions([PAIR]) if row["contracts"]], "still open")

    async def close() -> None:
        await exchange.create_order(PAIR, "market", "buy", 0.01)
        await exchange.create_order(PAIR, "market", "sell", 0.01, None, {"reduceOnly": True})
        expect(not [row for row in await exchange.fetch_positions([PAIR]) if row["contracts"]], "still open")

    await report.check("market order", market)
    await report.check("fill", fill)
    await report.check("fill stream", lambda: fills.until(lambda row: row["order"] == bought["id"]))
    await report.check("position", position)
    await report.check("position stream", lambda: positions.until(lambda row: row["contracts"] == 0.01))
    await report.check("stop: place, query, cancel", stop)
    await report.check("stop: triggers", triggers)
    await report.check("close", close)


run(main())
