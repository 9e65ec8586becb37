"""The practice venue as python-binance sees it: it takes it for Binance USD-M futures."""

import asyncio
import contextlib
from itertools import pairwise
from typing import Any

import pytest
from binance import AsyncClient
from binance.exceptions import BinanceAPIException
from venue_host import KEY, host, python_binance

BTC = "BTCUSDT"


async def test_the_usual_calls_of_a_start_answer() -> None:
    async with host() as venue, python_binance(venue) as (client, _):
        assert await client.futures_ping() == {}
        info = await client.futures_exchange_info()
        btc = next(row for row in info["symbols"] if row["symbol"] == BTC)
        filters = {row["filterType"]: row for row in btc["filters"]}
        assert filters["PRICE_FILTER"]["tickSize"] == "0.1"
        assert filters["LOT_SIZE"]["stepSize"] == "0.001"
        assert len(info["symbols"]) == 8
        klines = await client.futures_klines(symbol=BTC, interval="5m", limit=1500)
        assert len(klines) == 1500
        assert all(later[0] - earlier[0] == 300_000 for earlier, later in pairwise(klines))
        premium = await client.futures_mark_price(symbol=BTC)
        assert float(premium["markPrice"]) == pytest.approx(float(klines[-1][4]), rel=0.01)
        assert await client.futures_get_position_mode() == {"dualSidePosition": False}
        assert (await client.futures_commission_rate(symbol=BTC))["takerCommissionRate"] == "0.0005"
        (usdt,) = await client.futures_account_balance()
        assert usdt["balance"] == "25000.00000000"
        account = await client.futures_account()
        assert {row["symbol"] for row in account["positions"]} == {row["symbol"] for row in info["symbols"]}
        assert await client.futures_position_information() == []
        assert (await client.futures_ticker(symbol=BTC))["symbol"] == BTC
        assert len(await client.futures_symbol_ticker()) == 8
        assert float((await client.futures_open_interest(symbol=BTC))["openInterest"]) > 0


async def test_create_finds_the_spot_pages_it_asks_for() -> None:
    async with host() as venue:

        class Client(AsyncClient):
            API_URL = venue.rest + "/api"
            FUTURES_URL = venue.rest + "/fapi"

        client = await Client.create(KEY, "s")
        assert abs(client.timestamp_offset) < 5000
        await client.close_connection()


async def test_a_position_from_entry_to_stop() -> None:
    async with host(speed=0) as venue, python_binance(venue) as (client, _):
        assert (await client.futures_change_leverage(symbol=BTC, leverage=5))["leverage"] == 5
        (config,) = await client.futures_symbol_config(symbol=BTC)
        assert config["leverage"] == 5

        reply = await client.futures_create_order(
            symbol=BTC, side="BUY", type="MARKET", quantity="0.100", newClientOrderId="nx-entry"
        )
        assert (reply["status"], reply["executedQty"]) == ("NEW", "0.000")  # the acknowledgement, as on the venue
        order = await client.futures_get_order(symbol=BTC, origClientOrderId="nx-entry")
        assert (order["status"], order["executedQty"]) == ("FILLED", "0.100")
        (position,) = await client.futures_position_information(symbol=BTC)
        assert position["positionAmt"] == "0.100"

        trigger = f"{float(position['markPrice']) * 0.9995:.1f}"
        stop = await client.futures_create_algo_order(
            algoType="CONDITIONAL",
            symbol=BTC,
            side="SELL",
            type="STOP_MARKET",
            triggerPrice=trigger,
            quantity="0.100",
            reduceOnly="true",
            workingType="MARK_PRICE",
            clientAlgoId="nx-stop",
        )
        assert stop["algoStatus"] == "NEW"
        assert await client.futures_get_open_orders(symbol=BTC) == []
        (listed,) = await client.futures_get_open_algo_orders(symbol=BTC)
        assert (listed["clientAlgoId"], listed["quantity"], listed["reduceOnly"]) == ("nx-stop", "0.100", True)

        venue.advance_until(lambda: not venue.venue.account.conditionals.open)
        ended = await client.futures_get_algo_order(clientAlgoId="nx-stop")
        assert ended["algoStatus"] == "FINISHED"
        closing = await client.futures_get_order(symbol=BTC, orderId=int(ended["actualOrderId"]))
        assert (closing["status"], closing["side"], closing["reduceOnly"]) == ("FILLED", "SELL", True)
        assert await client.futures_position_information(symbol=BTC) == []
        trades = await client.futures_account_trades(symbol=BTC)
        assert {row["orderId"] for row in trades} == {order["orderId"], closing["orderId"]}
        income = await client.futures_income_history(symbol=BTC)
        assert {row["incomeType"] for row in income} == {"COMMISSION", "REALIZED_PNL"}
        (usdt,) = await client.futures_account_balance()
        assert float(usdt["balance"]) == pytest.approx(25_000 + sum(float(row["income"]) for row in income))


async def test_limit_orders_rest_are_listed_amended_and_cancelled() -> None:
    async with host(speed=0) as venue, python_binance(venue) as (client, _):
        for i, price in enumerate(("95000", "94000", "93000")):
            await client.futures_create_order(
                symbol=BTC, side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.010", price=price,
                newClientOrderId=f"nx-{i}",
            )  # fmt: skip
        assert len(await client.futures_get_open_orders(symbol=BTC)) == 3
        moved = await client.futures_modify_order(
            symbol=BTC, side="BUY", origClientOrderId="nx-0", quantity="0.020", price="95500"
        )
        assert (moved["origQty"], float(moved["price"])) == ("0.020", 95500)
        gone = await client.futures_cancel_order(symbol=BTC, origClientOrderId="nx-0")
        assert gone["status"] == "CANCELED"
        assert (await client.futures_cancel_all_open_orders(symbol=BTC))["code"] == 200
        assert await client.futures_get_open_orders(symbol=BTC) == []
        everything = await client.futures_get_all_orders(symbol=BTC)
        assert [row["status"] for row in everything] == ["CANCELED"] * 3


async def test_stops_sent_the_old_way_arrive_in_the_conditional_list_and_are_cancelled_there() -> None:
    async with host(speed=0) as venue, python_binance(venue) as (client, _):
        reply = await client.futures_create_order(
            symbol=BTC, side="SELL", type="STOP_MARKET", stopPrice="90000", quantity="0.010", clientAlgoId="nx-a"
        )
        assert reply["algoStatus"] == "NEW"
        assert (await client.futures_cancel_algo_order(clientAlgoId="nx-a"))["msg"] == "success"
        with pytest.raises(BinanceAPIException) as error:
            await client.futures_cancel_algo_order(clientAlgoId="nx-a")
        assert error.value.code == -2011
        with pytest.raises(BinanceAPIException) as error:
            await client.futures_get_order(symbol=BTC, orderId=reply["algoId"])
        assert error.value.code == -2013


async def test_the_user_socket_tells_the_whole_life_of_an_order() -> None:
    async with host(speed=0) as venue, python_binance(venue) as (client, sockets):
        socket = sockets.futures_user_socket()
        await socket.__aenter__()
        await client.futures_create_order(
            symbol=BTC, side="BUY", type="MARKET", quantity="0.010", newClientOrderId="nx-u"
        )
        await client.futures_create_algo_order(
            algoType="CONDITIONAL", symbol=BTC, side="SELL", type="STOP_MARKET", triggerPrice="90000",
            closePosition="true", clientAlgoId="nx-s",
        )  # fmt: skip
        await client.futures_change_leverage(symbol=BTC, leverage=7)
        heard = []
        async with asyncio.timeout(10):
            while not heard or heard[-1]["e"] != "ACCOUNT_CONFIG_UPDATE":
                heard.append(await socket.recv())
        assert [message["e"] for message in heard] == [
            "ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE", "TRADE_LITE", "ORDER_TRADE_UPDATE", "ALGO_UPDATE",
            "ACCOUNT_CONFIG_UPDATE",
        ]  # fmt: skip
        new, account, _, filled, algo, _ = heard
        assert (new["o"]["x"], filled["o"]["x"], filled["o"]["X"]) == ("NEW", "TRADE", "FILLED")
        assert filled["o"]["z"] == account["a"]["P"][0]["pa"] == "0.010"
        assert (algo["o"]["caid"], algo["o"]["X"], algo["o"]["cp"]) == ("nx-s", "NEW", True)
        # leaving such a socket waits up to ten seconds for a message; nobody needs that here
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await socket.__aexit__(None, None, None)


async def test_a_stop_is_told_to_be_over_after_its_fills_have_been_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that reads both at once (nautilus) takes the end for a fill that it missed, and books a second one."""
    async with host(speed=0) as venue:
        heard: list[str] = []
        over = asyncio.Event()

        def hear(body: dict[str, Any]) -> None:
            heard.append(body["o"]["X"] if "o" in body else body["e"])
            if heard[-1] == "FINISHED":
                over.set()

        monkeypatch.setattr(venue.server.hub, "user", hear)
        await venue.ok("POST", "/fapi/v1/listenKey")
        price = float((await venue.ok("GET", "/fapi/v1/ticker/price", False, symbol=BTC))["price"])
        await venue.ok("POST", "/fapi/v1/order", symbol=BTC, side="BUY", type="MARKET", quantity="0.010")
        await venue.ok(
            "POST", "/fapi/v1/algoOrder", algoType="CONDITIONAL", symbol=BTC, side="SELL", type="STOP_MARKET",
            triggerPrice=f"{price * 0.9995:.1f}", closePosition="true",
        )  # fmt: skip
        venue.advance_until(lambda: not venue.venue.account.conditionals.open)
        venue.server._tell_account()
        assert heard[-1] == "FILLED"
        await asyncio.wait_for(over.wait(), 10)
