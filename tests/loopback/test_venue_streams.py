"""Streams of the practice venue, heard through plain aiohttp sockets."""

import asyncio
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
from venue_host import Ears, Hands, Host, host

from nexus_engine.sim import hub
from nexus_engine.sim.faults import Fault

BTC = "BTCUSDT"


class LocalBook:
    """The futures order book procedure as the venue documents it, kept in strings."""

    def __init__(self, snapshot: dict[str, Any]) -> None:
        self.first_after = self.last_id = snapshot["lastUpdateId"]
        self.sides = {side: dict(snapshot[side]) for side in ("bids", "asks")}
        self.started = False

    def apply(self, diff: dict[str, Any]) -> None:
        if diff["u"] < self.first_after:
            return
        if self.started:
            assert diff["pu"] == self.last_id
        else:
            assert diff["U"] <= self.first_after <= diff["u"]
            self.started = True
        self.last_id = diff["u"]
        for side, levels in (("bids", diff["b"]), ("asks", diff["a"])):
            for price, qty in levels:
                if float(qty):
                    self.sides[side][price] = qty
                else:
                    self.sides[side].pop(price, None)

    def top(self, side: str, depth: int) -> list[list[str]]:
        rows = sorted(self.sides[side].items(), key=lambda row: float(row[0]), reverse=side == "bids")
        return [list(row) for row in rows[:depth]]


async def snapshot(venue: Host) -> dict[str, Any]:
    found: dict[str, Any] = await venue.ok("GET", "/fapi/v1/depth", signed=False, symbol=BTC, limit=1000)
    return found


@pytest.mark.parametrize(("suffix", "count"), [("@100ms", 25), ("@0ms", 5), ("", 6), ("@500ms", 3)])
async def test_diffs_chain_without_a_gap_and_rebuild_the_venues_book(suffix: str, count: int) -> None:
    async with host(speed=20) as venue, venue.stream(f"/public/ws/btcusdt@depth{suffix}") as ears:
        await ears.next()
        book = LocalBook(await snapshot(venue))
        diffs = [await ears.next() for _ in range(count)]
        assert all(diff["U"] != diff["pu"] + 1 for diff in diffs)
        # a snapshot's book is that of all diffs before its id
        later = await snapshot(venue)
        while diffs[-1]["u"] < later["lastUpdateId"]:
            diffs.append(await ears.next())
        for diff in diffs:
            if diff["u"] < later["lastUpdateId"]:
                book.apply(diff)
        if suffix in {"", "@500ms"}:
            return  # the slower streams publish later than the snapshot was taken
        for side in ("bids", "asks"):
            assert book.top(side, 1000) == later[side][:1000]


async def test_the_book_stays_right_while_clients_take_from_it() -> None:
    async with host(speed=5) as venue, venue.stream("/public/ws/btcusdt@depth@100ms") as ears:
        book = LocalBook(await snapshot(venue))
        for i in range(20):
            side = "BUY" if i % 2 else "SELL"
            await venue.ok("POST", "/fapi/v1/order", symbol=BTC, side=side, type="MARKET", quantity="1.5")
            await snapshot(venue)
            book.apply(await ears.next())
        later = await snapshot(venue)
        while book.last_id < later["lastUpdateId"]:
            before = {side: book.top(side, 1000) for side in book.sides}
            book.apply(await ears.next())
        assert before == {side: later[side] for side in book.sides}


async def test_the_book_ticker_of_an_update_id_is_the_top_of_that_diff() -> None:
    async with host(speed=20) as venue, venue.stream("/public/stream") as ears:
        await ears.ask("SUBSCRIBE", "btcusdt@depth@100ms", "btcusdt@bookTicker")
        book = LocalBook(await snapshot(venue))
        tops: dict[int, tuple[Any, ...]] = {}
        tickers: dict[int, tuple[Any, ...]] = {}
        while len(tickers.keys() & tops.keys()) < 15:
            data = (await ears.next())["data"]
            if data["e"] == "depthUpdate":
                book.apply(data)
                tops[data["u"]] = (*book.top("bids", 1)[0], *book.top("asks", 1)[0])
            else:
                tickers[data["u"]] = (data["b"], data["B"], data["a"], data["A"])
        for update_id in tickers.keys() & tops.keys():
            assert tickers[update_id] == tops[update_id]


@pytest.mark.parametrize(
    ("path", "hears"),
    [
        ("/public/ws/btcusdt@depth@100ms", True),
        ("/market/ws/btcusdt@depth@100ms", False),
        ("/market/stream?streams=btcusdt@markPrice@1s", True),
        ("/public/stream?streams=btcusdt@markPrice@1s", False),
        ("/private/ws/btcusdt@depth@100ms", False),
        ("/ws/btcusdt@depth@100ms", True),
        ("/stream?streams=btcusdt@depth@100ms/btcusdt@markPrice@1s", True),
        ("/public/ws/nopeusdt@depth@100ms", False),
        ("/market/ws/btcusdt@kline_7m", False),
    ],
)
async def test_a_stream_on_the_wrong_path_opens_and_stays_mute(path: str, hears: bool) -> None:
    async with host() as venue, venue.stream(path) as ears:
        if hears:
            await ears.next()
        else:
            assert await ears.silent(0.5)


async def test_live_subscriptions_are_added_listed_and_removed() -> None:
    async with host() as venue, venue.stream("/market/stream") as ears:
        assert await ears.ask("SUBSCRIBE", "btcusdt@markPrice@1s", "btcusdt@depth") == {"result": None, "id": 1}
        listed = await ears.ask("LIST_SUBSCRIPTIONS")
        assert listed["result"] == ["btcusdt@depth", "btcusdt@markPrice@1s"]
        assert (await ears.next())["stream"] == "btcusdt@markPrice@1s"
        await ears.ask("UNSUBSCRIBE", "btcusdt@markPrice@1s")
        assert await ears.silent(1.2)
        assert "error" in await ears.ask("DANCE")
        await ears.socket.send_str("not json")
        assert "error" in await ears.next()


ALL = {
    "btcusdt@depth10@100ms": "depthUpdate",
    "btcusdt@rpiDepth@500ms": "depthUpdate",
    "btcusdt@trade": "trade",
    "btcusdt@aggTrade": "aggTrade",
    "btcusdt@kline_1m": "kline",
    "btcusdt_perpetual@continuousKline_5m": "continuous_kline",
    "btcusdt@markPrice": "markPriceUpdate",
    "btcusdt@ticker": "24hrTicker",
    "btcusdt@miniTicker": "24hrMiniTicker",
    "!markPrice@arr@1s": "markPriceUpdate",
    "!ticker@arr": "24hrTicker",
    "!miniTicker@arr": "24hrMiniTicker",
    "!bookTicker": "bookTicker",
}


async def test_every_stream_speaks_and_what_it_says_agrees() -> None:
    async with host(speed=20) as venue, venue.stream("/stream?streams=" + "/".join(ALL)) as ears:
        heard: dict[str, Any] = {}
        async with asyncio.timeout(8):
            while heard.keys() != ALL.keys():
                message = await ears.next()
                heard[message["stream"]] = message["data"]
        for name, event in ALL.items():
            data = heard[name]
            rows = data if isinstance(data, list) else [data]
            assert {row["e"] for row in rows} == {event}
            assert len(rows) == (8 if name.endswith(("@arr", "@arr@1s")) else 1)
        partial = heard["btcusdt@depth10@100ms"]
        assert (len(partial["b"]), len(partial["a"])) == (10, 10)
        assert float(partial["b"][0][0]) < float(partial["a"][0][0])


async def test_trades_are_put_together_by_price_and_side() -> None:
    streams = "btcusdt@trade/btcusdt@aggTrade"
    async with host(speed=20) as venue, venue.stream(f"/stream?streams={streams}") as ears:
        trades: dict[int, Any] = {}
        groups: list[Any] = []
        while len(groups) < 30:
            data = (await ears.next())["data"]
            if data["e"] == "trade":
                trades[data["t"]] = data
            else:
                groups.append(data)
        whole = [group for group in groups if group["f"] in trades and group["l"] in trades]
        assert any(group["l"] > group["f"] for group in whole)
        assert [later["a"] - earlier["a"] for earlier, later in pairwise(groups)] == [1] * 29
        for group in whole:
            mine = [t for t in trades.values() if group["f"] <= t["t"] <= group["l"]]
            same = [t for t in mine if (t["p"], t["m"]) == (group["p"], group["m"])]
            assert sum(float(t["q"]) for t in same) == pytest.approx(float(group["q"]))


async def test_a_bar_closes_exactly_once_and_agrees_with_rest() -> None:
    async with host(speed=120) as venue, venue.stream("/market/ws/btcusdt@kline_1m") as ears:
        closed: dict[int, Any] = {}
        seen: list[int] = []
        while len(closed) < 6:
            bar = (await ears.next())["k"]
            seen.append(bar["t"])
            if bar["x"]:
                assert bar["t"] not in closed
                closed[bar["t"]] = bar
        assert seen == sorted(seen)
        opens = sorted(closed)
        assert [later - earlier for earlier, later in pairwise(opens)] == [60_000] * 5
        rows = await venue.ok(
            "GET", "/fapi/v1/klines", signed=False, symbol=BTC, interval="1m", startTime=opens[0], limit=6
        )
        for row in rows:
            bar = closed[row[0]]
            assert row[1:7] == [bar["o"], bar["h"], bar["l"], bar["c"], bar["v"], bar["T"]]


async def test_the_diffs_keep_their_pace_at_any_speed() -> None:
    async with host(speed=50) as venue, venue.stream("/public/ws/btcusdt@depth@100ms") as ears:
        first = await ears.next()
        began = asyncio.get_running_loop().time()
        for _ in range(10):
            last = await ears.next()
        took_s = asyncio.get_running_loop().time() - began
        assert 0.8 < took_s < 2.0
        assert last["E"] - first["E"] == 10 * 5_000


async def test_user_events_reach_every_private_path() -> None:
    async with host(speed=0) as venue:
        key = (await venue.ok("POST", "/fapi/v1/listenKey"))["listenKey"]
        assert (await venue.ok("POST", "/fapi/v1/listenKey"))["listenKey"] == key
        assert (await venue.ok("PUT", "/fapi/v1/listenKey"))["listenKey"] == key
        paths = (f"/private/ws?listenKey={key}", f"/private/ws/{key}", f"/ws/{key}", f"/private/stream?streams={key}")
        sockets = [await venue.http.ws_connect(venue.ws + path) for path in (*paths, "/private/ws/wrong")]
        *ears, stranger = [Ears(socket) for socket in sockets]
        await venue.ok("POST", "/fapi/v1/leverage", symbol=BTC, leverage=3)
        for i, ear in enumerate(ears):
            message = await ear.next()
            body = message["data"] if i == 3 else message
            assert body["ac"] == {"s": BTC, "l": 3}
        assert await stranger.silent(0.2)
        await venue.ok("DELETE", "/fapi/v1/listenKey")
        await venue.ok("POST", "/fapi/v1/leverage", symbol=BTC, leverage=4)
        assert await ears[0].silent(0.2)
        for socket in sockets:
            await socket.close()


async def test_a_listen_key_that_nobody_kept_alive_says_so_and_goes_mute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexus_engine.sim.server.LISTEN_KEY_LIFE_S", 0.2)
    async with host(speed=0) as venue, venue.user() as ears:
        assert (await ears.next())["e"] == "listenKeyExpired"
        status, body = await venue.call("PUT", "/fapi/v1/listenKey")
        assert (status, body["code"]) == (400, -1125)


async def test_a_client_that_does_not_read_is_cut_off_and_the_others_go_on() -> None:
    async with host() as venue, venue.stream("/public/ws/btcusdt@depth@100ms") as good:
        reader, writer = await asyncio.open_connection("127.0.0.1", venue.port, limit=1 << 12)
        writer.write(
            b"GET /public/ws/ethusdt@bookTicker HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()
        hub_ = venue.server.hub
        for _ in range(60):  # 12 MB: more than the sockets' own buffers and the venue's patience hold
            hub_.publish_raw("ethusdt@bookTicker", b'"' + b"x" * 200_000 + b'"')
            hub_.flush()
            await asyncio.sleep(0)
        before = await good.next()
        while hub_.streams() != ("btcusdt@depth@100ms",):
            after = await good.next()
            assert after["pu"] == before["u"]
            before = after
        writer.close()


async def test_a_frame_of_every_size_is_a_websocket_frame() -> None:
    async with host(speed=0) as venue, venue.stream("/public/stream") as ears:
        connection = next(iter(venue.server.hub._connections))
        for size in (1, 125, 126, 65_535, 65_536, 100_000):
            connection.push(hub.frame(b'"' + b"x" * size + b'"'))
            connection.flush()
            message = await ears.socket.receive()
            assert message.type is aiohttp.WSMsgType.TEXT
            assert len(message.data) == size + 2


@pytest.mark.parametrize("name", ["btcusdt@forceOrder", "!forceOrder@arr"])
async def test_a_liquidation_is_public(name: str) -> None:
    fault = Fault(on="user", kind="liquidate", match={"e": "ORDER_TRADE_UPDATE", "o.X": "FILLED"})
    async with host(speed=0, faults=[fault]) as venue, venue.user(), venue.stream(f"/market/ws/{name}") as ears:
        await venue.ok("POST", "/fapi/v1/order", symbol=BTC, side="BUY", type="MARKET", quantity="0.01")
        event = await ears.next()
        assert (event["e"], event["o"]["S"], event["o"]["X"]) == ("forceOrder", "SELL", "FILLED")
        assert event["o"]["q"] == event["o"]["z"] == "0.010"


async def test_a_contract_that_settles_says_so_and_lets_nobody_in_but_out() -> None:
    clock = Hands()
    fault = Fault(on="server", kind="halt", symbol=BTC, at_s=60, for_s=600)
    buy: dict[str, Any] = {"symbol": BTC, "side": "BUY", "type": "MARKET", "quantity": "0.01"}
    async with host(speed=0, faults=[fault], clock=clock) as venue, venue.stream("/market/ws/!contractInfo") as ears:
        await venue.ok("POST", "/fapi/v1/order", **buy)
        clock.now_s += 61
        event = await ears.next()
        assert (event["s"], event["cs"], len(event["bks"])) == (BTC, "SETTLING", 12)
        info = await venue.ok("GET", "/fapi/v1/exchangeInfo", signed=False)
        assert [row["status"] for row in info["symbols"][:2]] == ["SETTLING", "TRADING"]
        assert (await venue.call("POST", "/fapi/v1/order", **buy))[1]["code"] == -4140
        await venue.ok("POST", "/fapi/v1/order", **buy | {"side": "SELL", "reduceOnly": "true"})
        clock.now_s += 600
        assert (await ears.next())["cs"] == "TRADING"
        await venue.ok("POST", "/fapi/v1/order", **buy)


async def test_a_socket_is_pinged_every_three_minutes_and_ends_after_a_day() -> None:
    clock = Hands()
    async with (
        host(speed=0, clock=clock) as venue,
        venue.http.ws_connect(venue.ws + "/public/stream", autoping=False) as socket,
    ):
        clock.now_s += 180.0
        pings = 0
        while (message := await asyncio.wait_for(socket.receive(), 5)).type is aiohttp.WSMsgType.PING:
            pings += 1
            await socket.pong(message.data)
            await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": pings})
            await socket.receive()  # so the pong before it was heard
            clock.now_s = 6_000.0 + (180.0 * (pings + 1) if pings < 5 else 86_400.0)
        assert (message.data, pings) == (1001, 5)


async def test_who_does_not_answer_pings_for_ten_minutes_is_closed() -> None:
    clock = Hands()
    async with (
        host(speed=0, clock=clock) as venue,
        venue.http.ws_connect(venue.ws + "/public/stream", autoping=False) as socket,
    ):
        clock.now_s += 180.0
        assert (await asyncio.wait_for(socket.receive(), 5)).type is aiohttp.WSMsgType.PING
        clock.now_s += 420.0
        assert (await asyncio.wait_for(socket.receive(), 5)).data == 1008


async def test_a_client_that_talks_too_much_is_closed() -> None:
    async with host(speed=0, clock=Hands()) as venue, venue.stream("/public/stream") as ears:
        for _ in range(11):
            await ears.socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
        assert await ears.closed() == 1008
