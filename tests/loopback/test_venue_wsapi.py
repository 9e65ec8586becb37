"""The venue's WebSocket API as python-binance uses it, and its frames as a plain socket sees them."""

import base64
import contextlib
import hmac
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from binance import AsyncClient
from binance.exceptions import BinanceAPIException
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from venue_host import DEADLINE_S, KEY, SECRET, Ears, Hands, Host, host

from nexus_engine.sim.faults import Fault
from nexus_engine.sim.rules import VenueError
from nexus_engine.sim.wsapi import METHODS, PATH

BTC = "BTCUSDT"


@contextlib.asynccontextmanager
async def client_of(venue: Host, key: str = KEY, **secrets: Any) -> AsyncIterator[AsyncClient]:
    class Client(AsyncClient):
        FUTURES_URL = venue.rest + "/fapi"
        WS_FUTURES_URL = venue.ws + PATH

    client = Client(key, **(secrets or {"api_secret": SECRET}))
    try:
        yield client
    finally:
        await client.close_connection()
        # `close_connection` forgets this socket, and leaving it the library's way waits for a message
        reader, socket = client.ws_future._handle_read_loop, client.ws_future.ws
        if reader is not None:
            reader.cancel()
        if socket is not None:
            await socket.close()


class Caller(Ears):
    """A client that writes its frames by hand."""

    async def call(self, method: str, **params: Any) -> Any:
        await self.socket.send_json({"id": method, "method": method, "params": params})
        return await self.next()

    async def signed(self, method: str, private: Ed25519PrivateKey | None = None, **params: Any) -> Any:
        params = {"apiKey": KEY, "timestamp": int(time.time() * 1000)} | params
        text = "&".join(f"{name}={params[name]}" for name in sorted(params)).encode()
        if private is None:
            signature = hmac.new(SECRET.encode(), text, "sha256").hexdigest()
        else:
            signature = base64.b64encode(private.sign(text)).decode()
        return await self.call(method, **params, signature=signature)


@contextlib.asynccontextmanager
async def caller(venue: Host, query: str = "") -> AsyncIterator[Caller]:
    async with aiohttp.ClientSession() as http, http.ws_connect(venue.ws + PATH + query) as socket:
        yield Caller(socket)


async def test_the_market_by_socket_is_the_market_by_rest() -> None:
    async with host(speed=0) as venue, client_of(venue) as client:
        book = await client.ws_futures_get_order_book(symbol=BTC, limit=20)
        assert book == await client.futures_order_book(symbol=BTC, limit=20)
        ticker = await client.ws_futures_get_all_tickers(symbol=BTC)
        assert ticker == await client.futures_symbol_ticker(symbol=BTC)
        best = await client.ws_futures_get_order_book_ticker(symbol=BTC)
        assert (best["bidPrice"], best["askPrice"]) == (book["bids"][0][0], book["asks"][0][0])


async def test_an_order_lives_from_place_to_cancel_by_socket() -> None:
    async with host(speed=0) as venue, client_of(venue) as client:
        order = {"symbol": BTC, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
        placed = await client.ws_futures_create_order(**order, quantity=0.010, price=95000, newClientOrderId="nx-w")
        assert (placed["status"], placed["origQty"]) == ("NEW", "0.010")
        moved = await client.ws_futures_edit_order(
            symbol=BTC, side="BUY", orderId=placed["orderId"], quantity="0.020", price="95500"
        )
        assert moved["origQty"] == "0.020"
        asked = await client.ws_futures_get_order(symbol=BTC, origClientOrderId="nx-w")
        assert asked == await client.futures_get_order(symbol=BTC, origClientOrderId="nx-w")
        gone = await client.ws_futures_cancel_order(symbol=BTC, orderId=placed["orderId"])
        assert gone["status"] == "CANCELED"
        with pytest.raises(BinanceAPIException) as error:
            await client.ws_futures_cancel_order(symbol=BTC, orderId=placed["orderId"])
        assert error.value.code == -2011
        assert error.value.status_code == 400


async def test_a_stop_goes_the_conditional_way_and_a_stop_sent_the_old_way_is_refused() -> None:
    async with host(speed=0) as venue, client_of(venue) as client:
        stop = {"symbol": BTC, "side": "SELL", "type": "STOP_MARKET", "quantity": "0.010"}
        placed = await client.ws_futures_create_order(**stop, stopPrice="90000", clientAlgoId="nx-s")
        assert placed["algoStatus"] == "NEW"
        (listed,) = await client.futures_get_open_algo_orders(symbol=BTC)
        assert listed["clientAlgoId"] == "nx-s"
        assert (await client.ws_futures_cancel_order(clientAlgoId="nx-s"))["msg"] == "success"
        async with caller(venue) as plain:
            refused = await plain.signed("order.place", **stop, stopPrice="90000")
            assert (refused["status"], refused["error"]["code"]) == (400, -4120)


async def test_the_account_by_socket_and_what_it_did_on_the_user_stream() -> None:
    async with host(speed=0) as venue, client_of(venue) as client, venue.user() as ears:
        await client.ws_futures_create_order(symbol=BTC, side="BUY", type="MARKET", quantity="0.010")
        filled = await ears.until(lambda message: message["e"] == "ORDER_TRADE_UPDATE" and message["o"]["x"] == "TRADE")
        assert filled["o"]["z"] == "0.010"
        (position,) = await client.ws_futures_v2_account_position()
        assert position == (await client.futures_position_information())[0]
        assert "leverage" not in position
        every = await client.ws_futures_account_position()
        assert len(every) == 8
        assert all("leverage" in row for row in every)
        assert (await client.ws_futures_v2_account_balance())[0]["asset"] == "USDT"
        assert (await client.ws_futures_account_balance())[0]["asset"] == "USDT"
        assert len((await client.ws_futures_account_status())["positions"]) == 8
        assert len((await client.ws_futures_v2_account_status())["positions"]) == 1


async def test_the_user_stream_begins_lives_and_ends_by_socket() -> None:
    async with host(speed=0) as venue, caller(venue) as plain:
        key = (await plain.call("userDataStream.start", apiKey=KEY))["result"]["listenKey"]
        assert (await plain.call("userDataStream.ping", apiKey=KEY))["result"]["listenKey"] == key
        async with venue.stream(f"/private/ws?listenKey={key}") as ears:
            await plain.signed("order.place", symbol=BTC, side="BUY", type="MARKET", quantity="0.01")
            assert (await ears.next())["o"]["x"] == "NEW"
        assert (await plain.call("userDataStream.stop", apiKey=KEY))["result"] == {}
        assert (await plain.call("userDataStream.ping", apiKey=KEY))["error"]["code"] == -1125


async def test_a_session_needs_an_ed25519_key_and_then_no_signature_any_more() -> None:
    private = Ed25519PrivateKey.generate()
    async with host(speed=0, public_key=private.public_key()) as venue, caller(venue) as plain:
        second = venue.server.keys.ed25519_key
        assert (await plain.call("session.status"))["result"]["apiKey"] is None
        assert (await plain.signed("session.logon"))["error"]["code"] == -4056
        assert (await plain.signed("session.logon", Ed25519PrivateKey.generate(), apiKey=second))["error"]["code"] == (
            -1022
        )
        begun = await plain.signed("session.logon", private, apiKey=second)
        assert begun["result"]["apiKey"] == second
        assert begun["result"]["authorizedSince"] >= begun["result"]["connectedSince"]
        now_ms = int(time.time() * 1000)
        assert (await plain.call("v2/account.balance", timestamp=now_ms))["status"] == 200
        assert (await plain.call("v2/account.balance"))["error"]["code"] == -1102
        assert (await plain.call("v2/account.balance", timestamp=now_ms - 60_000))["error"]["code"] == -1021
        # another key on the same socket proves itself by its own signature
        assert (await plain.call("v2/account.balance", timestamp=now_ms, apiKey=KEY))["error"]["code"] == -1102
        assert (await plain.signed("v2/account.balance"))["status"] == 200
        assert (await plain.call("session.logout"))["result"]["authorizedSince"] is None
        assert (await plain.call("v2/account.balance", timestamp=now_ms))["error"]["code"] == -2014


async def test_a_library_signs_with_ed25519_too() -> None:
    """By REST: on this socket python-binance percent-encodes the signature, which base64 is not."""
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    async with host(speed=0, public_key=private.public_key()) as venue:
        async with client_of(venue, venue.server.keys.ed25519_key, private_key=pem.decode()) as client:
            assert (await client.futures_account_balance())[0]["asset"] == "USDT"
            placed = await client.futures_create_order(symbol=BTC, side="BUY", type="MARKET", quantity="0.010")
            assert placed["status"] == "NEW"
        async with client_of(venue, venue.server.keys.ed25519_key, api_secret=SECRET) as client:
            with pytest.raises(BinanceAPIException) as error:
                await client.futures_account_balance()
            assert error.value.code == -1022


@pytest.mark.parametrize("method", [m for m in METHODS if m not in {"depth", "ticker.price", "ticker.book"}])
async def test_what_belongs_to_the_account_is_not_told_or_done_without_its_key(method: str) -> None:
    async with host(speed=0) as venue, caller(venue) as plain:
        now_ms = int(time.time() * 1000)
        assert (await plain.call(method, timestamp=now_ms))["error"]["code"] == -2014
        stranger = await plain.call(method, apiKey="x" * 64, timestamp=now_ms, signature="0" * 64)
        assert (stranger["status"], stranger["error"]["code"]) == (401, -2015)
        if not method.startswith("userDataStream"):
            forged = await plain.call(method, apiKey=KEY, timestamp=now_ms, signature="0" * 64)
            assert (forged["status"], forged["error"]["code"]) == (400, -1022)


async def test_a_reply_tells_the_limits_it_counted_for_unless_asked_not_to() -> None:
    async with host(speed=0) as venue:
        async with caller(venue) as plain:
            (weight,) = (await plain.call("depth", symbol=BTC, limit=1000))["rateLimits"]
            assert (weight["rateLimitType"], weight["limit"], weight["count"]) == ("REQUEST_WEIGHT", 2400, 20)
            reply = await plain.signed("order.place", symbol=BTC, side="BUY", type="MARKET", quantity="0.01")
            assert [(row["rateLimitType"], row["intervalNum"], row["count"]) for row in reply["rateLimits"]] == [
                ("ORDERS", 10, 1), ("ORDERS", 1, 1),
            ]  # fmt: skip
            assert "rateLimits" not in await plain.call("depth", symbol=BTC, returnRateLimits=False)
        async with caller(venue, "?returnRateLimits=false") as plain:
            assert "rateLimits" not in await plain.call("depth", symbol=BTC)


@pytest.mark.parametrize(("kind", "status", "code", "orders"), [
    ("unknown_after", 503, -1000, 1), ("timeout_before", 408, -1007, 0), ("throttled", 503, -1008, 0)
])  # fmt: skip
async def test_a_fault_of_the_route_is_one_of_the_socket_too(kind: str, status: int, code: int, orders: int) -> None:
    fault = Fault(on="POST /fapi/v1/order", kind=kind)
    async with host(speed=0, faults=[fault]) as venue, caller(venue) as plain:
        reply = await plain.signed("order.place", symbol=BTC, side="BUY", type="MARKET", quantity="0.01")
        assert (reply["status"], reply["error"]["code"]) == (status, code)
        assert len(venue.venue.account.ledger.orders) == orders


ORDER = {"symbol": BTC, "side": "BUY", "type": "MARKET", "quantity": "0.01"}


@pytest.mark.parametrize(("kind", "orders"), [("hang_before", 0), ("hang_after", 1)])
async def test_a_reply_that_never_comes_holds_up_nothing_else_on_its_socket(kind: str, orders: int) -> None:
    async with host(speed=0, faults=[Fault(on="POST /fapi/v1/order", kind=kind)]) as venue, caller(venue) as plain:
        await plain.socket.send_json({"id": "lost", "method": "ticker.price", "params": {"symbol": BTC}})
        assert (await plain.next())["id"] == "lost"
        # the next reply on the socket is that of the next request
        params = {"apiKey": KEY, "timestamp": int(time.time() * 1000)} | ORDER
        text = "&".join(f"{name}={params[name]}" for name in sorted(params)).encode()
        params["signature"] = hmac.new(SECRET.encode(), text, "sha256").hexdigest()
        await plain.socket.send_json({"id": "order", "method": "order.place", "params": params})
        assert (await plain.call("ticker.price", symbol=BTC))["id"] == "ticker.price"
        assert len(venue.venue.account.ledger.orders) == orders


@pytest.mark.parametrize(("kind", "orders"), [("drop_before", 0), ("drop_after", 1), ("truncate", 1)])
async def test_a_socket_that_ends_instead_of_a_reply_is_replaced_and_the_order_asked_for(
    kind: str, orders: int
) -> None:
    async with host(speed=0, faults=[Fault(on="POST /fapi/v1/order", kind=kind)]) as venue:
        async with caller(venue) as plain:
            with pytest.raises(AssertionError):  # CLOSED or ERROR, and not a message
                await plain.signed("order.place", **ORDER, newClientOrderId="nx-lost")
            assert plain.socket.closed
        async with caller(venue) as plain:
            asked = await plain.signed("order.status", symbol=BTC, origClientOrderId="nx-lost")
            assert (asked["status"] == 200) == bool(orders)
        assert len(venue.venue.account.ledger.orders) == orders


async def test_a_reply_is_late_or_old_or_no_reply_at_all() -> None:
    where = "GET /fapi/v2/ticker/price"
    faults = [
        Fault(on=where, kind="stale", after=1),
        Fault(on=where, kind="delay", delay_ms=50, after=2),
        Fault(on=where, kind="html", after=3),
        Fault(on=where, kind="garbage", body="{", after=4),
        Fault(on=where, kind="edit", edit={"price": "-1"}, after=5),
        Fault(on=where, kind="numbers", value="NaN", after=6),
        Fault(on=where, kind="unknown_field", after=7),
    ]
    async with host(speed=0, faults=faults) as venue, caller(venue) as plain:
        first = await plain.call("ticker.price", symbol=BTC)
        stale = await plain.call("ticker.price", symbol="ETHUSDT")
        assert stale["result"] == first["result"] and stale["id"] == "ticker.price"
        late = await plain.call("ticker.price", symbol="ETHUSDT")
        assert late["result"]["symbol"] == "ETHUSDT"
        for wanted in ("<html>", "{"):
            await plain.socket.send_json({"id": 1, "method": "ticker.price", "params": {"symbol": BTC}})
            assert (await plain.socket.receive(DEADLINE_S)).data.startswith(wanted)
        edited = await plain.call("ticker.price", symbol=BTC)
        assert edited["result"]["price"] == "-1" and edited["status"] == 200
        assert (await plain.call("ticker.price", symbol=BTC))["result"]["price"] == "NaN"
        assert "xNew" in (await plain.call("ticker.price", symbol=BTC))["result"]


async def test_what_only_reduces_goes_through_an_overloaded_socket() -> None:
    async with (
        host(speed=0, faults=[Fault(on="POST /fapi/v1/order", kind="throttled", after=1, count=0)]) as venue,
        caller(venue) as plain,
    ):
        await plain.signed("order.place", **ORDER)
        assert (await plain.signed("order.place", **ORDER))["error"]["code"] == -1008
        closed = await plain.signed("order.place", **(ORDER | {"side": "SELL"}), reduceOnly="true")
        assert closed["status"] == 200


async def test_a_handshake_is_met_by_its_own_fault() -> None:
    async with host(speed=0, faults=[Fault(on=f"GET {PATH}", kind="html")]) as venue:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            async with caller(venue):
                pass
        async with caller(venue) as plain:
            assert (await plain.call("ticker.price", symbol=BTC))["status"] == 200


async def test_orders_by_socket_and_by_rest_count_for_the_same_limit() -> None:
    async with host(speed=0, clock=Hands()) as venue, caller(venue) as plain:
        with contextlib.suppress(VenueError):
            while True:
                venue.server.limits.count(0, 1)
        refused = await plain.signed("order.place", symbol=BTC, side="BUY", type="MARKET", quantity="0.01")
        assert (refused["status"], refused["error"]["code"]) == (429, -1015)
        status, body = await venue.call(
            "POST", "/fapi/v1/order", symbol=BTC, side="BUY", type="MARKET", quantity="0.01"
        )
        assert (status, body["code"]) == (429, -1015)


async def test_the_socket_goes_by_the_venues_clock_and_ends_with_the_venue() -> None:
    skewed = Fault(on="server", kind="skew", skew_ms=120_000, for_s=60)
    async with host(speed=0, faults=[skewed]) as venue, caller(venue) as plain:
        venue.server._suffer()
        assert (await plain.signed("v2/account.balance"))["error"]["code"] == -1021
    down = Fault(on="server", kind="down", at_s=0.5, for_s=60)
    async with host(speed=0, faults=[down]) as venue, caller(venue) as plain:
        assert await plain.closed() == 1006
        with pytest.raises(aiohttp.ClientError):
            async with caller(venue):
                pass


@pytest.mark.parametrize(
    ("frame", "code", "identity"),
    [
        ("{", -1135, None),
        ("[1]", -1135, None),
        ("[" * 5000, -1135, None),
        ('{"id":7}', -1135, None),
        ('{"id":7,"method":"order.place","params":[1]}', -1135, None),
        ('{"id":7,"method":"nothing"}', -5000, 7),
        ('{"id":"a","method":"depth"}', -1102, "a"),
        ('{"id":null,"method":"depth","params":{"symbol":"NOPE"}}', -1121, None),
        ('{"id":1,"method":"depth","params":{"symbol":{"a":1}}}', -1130, None),
    ],
)
async def test_a_frame_that_cannot_be_used_is_answered_and_the_socket_lives_on(
    frame: str, code: int, identity: Any
) -> None:
    async with host(speed=0) as venue, caller(venue) as plain:
        await plain.socket.send_str(frame)
        reply = await plain.next()
        assert (reply["error"]["code"], reply["id"]) == (code, identity)
        assert (await plain.call("ticker.price", symbol=BTC))["status"] == 200
