"""REST of the practice venue on the wire: who may call, what is counted, how refusals look."""

import hmac
import json
import time
from urllib.parse import urlencode

import pytest
from venue_host import KEY, SECRET, Hands, Host, host

from nexus_engine.sim.limits import Limits
from nexus_engine.sim.rules import VenueError

LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": 95_000}


def signed(params: dict[str, object], secret: str = SECRET) -> str:
    raw = urlencode(params)
    return f"{raw}&signature={hmac.new(secret.encode(), raw.encode(), 'sha256').hexdigest()}"


def now_ms() -> int:
    return int(time.time() * 1000)


@pytest.mark.parametrize(
    ("key", "secret", "offset_ms", "status", "code"),
    [
        ("", SECRET, 0, 401, -2014),
        ("wrong", SECRET, 0, 401, -2015),
        (KEY, "wrong", 0, 400, -1022),
        (KEY, SECRET, -6_000, 400, -1021),
        (KEY, SECRET, 2_000, 400, -1021),
        (KEY, SECRET, 0, 200, None),
    ],
)
async def test_who_calls_is_checked(key: str, secret: str, offset_ms: int, status: int, code: int | None) -> None:
    async with host(speed=0) as venue:
        query = signed({"timestamp": now_ms() + offset_ms}, secret)
        headers = {"X-MBX-APIKEY": key} if key else {}
        async with venue.http.get(f"{venue.rest}/fapi/v3/balance?{query}", headers=headers) as reply:
            body = await reply.json()
        assert reply.status == status
        assert code is None or body["code"] == code


async def test_parameters_come_in_the_query_or_the_body_or_both_and_the_query_wins() -> None:
    async with host(speed=0) as venue:

        async def post(query: str, body: str) -> dict[str, object]:
            headers = {"X-MBX-APIKEY": KEY, "Content-Type": "application/x-www-form-urlencoded"}
            async with venue.http.post(f"{venue.rest}/fapi/v1/order?{query}", data=body, headers=headers) as reply:
                found: dict[str, object] = await reply.json()
                return found

        stamp = {"timestamp": now_ms()}
        assert (await post(signed(LIMIT | stamp), ""))["origQty"] == "0.010"
        assert (await post("", signed(LIMIT | stamp)))["origQty"] == "0.010"
        query, body = urlencode({"quantity": "0.02"}), urlencode(LIMIT | stamp)
        signature = hmac.new(SECRET.encode(), (query + body).encode(), "sha256").hexdigest()
        assert (await post(query, f"{body}&signature={signature}"))["origQty"] == "0.020"


@pytest.mark.parametrize(
    ("method", "path", "params", "status", "code"),
    [
        ("GET", "/fapi/v1/nothing", {}, 404, -5000),
        ("GET", "/fapi/v1/depth", {}, 400, -1102),
        ("GET", "/fapi/v1/depth", {"symbol": "NOPE"}, 400, -1121),
        ("GET", "/fapi/v1/depth", {"symbol": "BTCUSDT", "limit": "7"}, 400, -1130),
        ("GET", "/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "7m"}, 400, -1120),
        ("POST", "/fapi/v1/order", LIMIT | {"quantity": "many"}, 400, -1130),
        ("POST", "/fapi/v1/order", {**LIMIT, "type": "STOP_MARKET"}, 400, -4120),
        ("POST", "/fapi/v1/order", LIMIT | {"positionSide": "LONG"}, 400, -4061),
        ("POST", "/fapi/v1/positionSide/dual", {"dualSidePosition": "false"}, 400, -4059),
        ("PUT", "/fapi/v1/listenKey", {}, 400, -1125),
    ],
)
async def test_refusals_carry_the_venues_code(
    method: str, path: str, params: dict[str, object], status: int, code: int
) -> None:
    async with host(speed=0) as venue:
        assert (await venue.call(method, path, **params))[0] == status
        assert (await venue.call(method, path, **params))[1]["code"] == code
        assert not venue.venue.account.ledger.orders


async def test_reduce_only_is_read_in_capitals_too() -> None:
    async with host(speed=0) as venue:
        await venue.ok("POST", "/fapi/v1/order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01")
        closing = {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.05", "reduceOnly": "True"}
        reply = await venue.ok("POST", "/fapi/v1/order", newOrderRespType="RESULT", positionSide="BOTH", **closing)
        assert (reply["status"], reply["executedQty"]) == ("EXPIRED", "0.010")


async def used(venue: Host, path: str) -> dict[str, str]:
    async with venue.http.get(venue.rest + path) as reply:
        return {name.lower(): value for name, value in reply.headers.items()}


async def test_weight_and_orders_are_counted_in_their_windows() -> None:
    clock = Hands(6_001.0)
    async with host(speed=0, clock=clock) as venue:
        assert (await used(venue, "/fapi/v1/depth?symbol=BTCUSDT&limit=1000"))["x-mbx-used-weight-1m"] == "20"
        await venue.ok("POST", "/fapi/v1/order", **LIMIT)
        counts = []
        for clock.now_s in (6_001.0, 6_010.0, 6_060.0):
            headers = await used(venue, "/fapi/v1/ping")
            counts.append(tuple(headers[f"x-mbx-{name}"] for name in (
                "used-weight-1m", "order-count-10s", "order-count-1m"
            )))  # fmt: skip
        assert counts == [("21", "1", "1"), ("22", "0", "1"), ("1", "0", "0")]


async def test_who_is_over_the_limit_waits_and_who_goes_on_is_banned() -> None:
    clock = Hands(6_030.0)
    async with host(speed=0, clock=clock) as venue:

        async def ask() -> tuple[int, str | None]:
            async with venue.http.get(venue.rest + "/fapi/v1/ticker/24hr") as reply:
                return reply.status, reply.headers.get("Retry-After")

        assert [await ask() for _ in range(61)][-2:] == [(200, None), (429, "30")]
        assert [await ask() for _ in range(20)][-2:] == [(429, "30"), (418, "120")]
        clock.now_s = 6_149.5
        assert await ask() == (418, "1")
        clock.now_s = 6_150.0
        assert await ask() == (200, None)
        assert [await ask() for _ in range(80)][-1] == (418, "240")


async def test_too_many_orders_are_turned_away_until_the_window_ends() -> None:
    limits = Limits(Hands(6_003.0))
    for _ in range(300):
        limits.count(0, 1)
    with pytest.raises(VenueError) as error:
        limits.count(0, 1)
    assert (error.value.code, error.value.http_status, error.value.retry_after_s) == (-1015, 429, 7)


async def test_funding_rates_have_a_limit_of_their_own() -> None:
    limits = Limits(Hands(6_100.0))
    for _ in range(500):
        limits.count_funding()
    with pytest.raises(VenueError) as error:
        limits.count_funding()
    assert (error.value.http_status, error.value.retry_after_s) == (429, 200)
    async with host(speed=0, clock=Hands()) as venue:
        headers = await used(venue, "/fapi/v1/fundingRate?symbol=BTCUSDT")
        assert headers["x-mbx-used-weight-1m"] == "0"
        assert venue.server.limits._funding.used == 1


async def test_the_account_is_stored_before_its_reply_leaves() -> None:
    async with host(speed=0) as venue:
        await venue.ok("POST", "/fapi/v1/order", **LIMIT)
        assert venue.stored == 1
        await venue.ok("GET", "/fapi/v1/openOrders")
        assert venue.stored == 1


async def test_a_batch_places_amends_and_cancels_each_for_itself() -> None:
    async with host(speed=0) as venue:
        bad = LIMIT | {"price": "95000.05"}
        rows = json.dumps([LIMIT | {"newClientOrderId": "a", "price": "95000"}, bad, LIMIT | {"reduceOnly": True}])
        first, second, third = await venue.ok("POST", "/fapi/v1/batchOrders", batchOrders=rows)
        assert (first["clientOrderId"], second["code"], third["code"]) == ("a", -4014, -2022)
        change = [{"symbol": "BTCUSDT", "side": "BUY", "origClientOrderId": "a", "quantity": 0.02, "price": 95_001}]
        (moved,) = await venue.ok("PUT", "/fapi/v1/batchOrders", batchOrders=json.dumps(change))
        assert (moved["price"], moved["origQty"]) == ("95001.00", "0.020")
        gone = await venue.ok("DELETE", "/fapi/v1/batchOrders", symbol="BTCUSDT", origClientOrderIdList='["a","b"]')
        assert (gone[0]["status"], gone[1]["code"]) == ("CANCELED", -2011)
        for wrong, code in (("[]", -4082), (json.dumps([LIMIT] * 6), -4082), ("{", -1130), ("{}", -1130)):
            assert (await venue.call("POST", "/fapi/v1/batchOrders", batchOrders=wrong))[1]["code"] == code


async def test_an_order_that_is_only_tested_is_checked_and_not_placed() -> None:
    async with host(speed=0) as venue:
        assert (await venue.ok("POST", "/fapi/v1/order/test", **LIMIT))["status"] == "NEW"
        assert (await venue.call("POST", "/fapi/v1/order/test", **LIMIT | {"quantity": "50"}))[1]["code"] == -2019
        assert not venue.venue.account.ledger.orders


async def test_a_dead_mans_switch_cancels_unless_it_hears_again() -> None:
    async with host(speed=0) as venue, venue.user() as ears:
        await venue.ok("POST", "/fapi/v1/order", **LIMIT)
        await venue.ok("POST", "/fapi/v1/countdownCancelAll", symbol="BTCUSDT", countdownTime=60_000)
        await venue.ok("POST", "/fapi/v1/countdownCancelAll", symbol="BTCUSDT", countdownTime=0)
        venue.venue.settle(time.time_ns() + 61_000_000_000)
        assert len(venue.venue.account.resting) == 1
        await venue.ok("POST", "/fapi/v1/countdownCancelAll", symbol="BTCUSDT", countdownTime=200)
        event = await ears.until(lambda event: event.get("o", {}).get("X") == "CANCELED")
        assert event["o"]["x"] == "CANCELED" and not venue.venue.account.resting


async def test_a_hedged_account_by_rest() -> None:
    async with host(speed=0) as venue:
        assert await venue.ok("GET", "/fapi/v1/positionSide/dual") == {"dualSidePosition": False}
        await venue.ok("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")
        assert (await venue.call("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true"))[1]["code"] == -4059
        buy = {"symbol": "BTCUSDT", "type": "MARKET", "quantity": "0.01"}
        await venue.ok("POST", "/fapi/v1/order", side="BUY", positionSide="LONG", **buy)
        await venue.ok("POST", "/fapi/v1/order", side="SELL", positionSide="SHORT", **buy)
        rows = await venue.ok("GET", "/fapi/v3/positionRisk")
        assert [(row["positionSide"], row["positionAmt"]) for row in rows] == [("LONG", "0.010"), ("SHORT", "-0.010")]
        rows = await venue.ok("GET", "/fapi/v2/positionRisk", symbol="BTCUSDT")
        assert [row["positionSide"] for row in rows] == ["LONG", "SHORT"]
        trades = await venue.ok("GET", "/fapi/v1/userTrades", symbol="BTCUSDT")
        assert {row["positionSide"] for row in trades} == {"LONG", "SHORT"}
        assert (await venue.ok("GET", "/fapi/v1/accountConfig"))["dualSidePosition"] is True


async def test_the_user_stream_tells_of_another_margin_type() -> None:
    async with host(speed=0) as venue, venue.user() as ears:
        await venue.ok("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")
        event = (await ears.next())["a"]
        assert (event["m"], event["P"][0]["s"], event["P"][0]["mt"]) == ("MARGIN_TYPE_CHANGE", "BTCUSDT", "isolated")


async def test_margin_by_hand_and_forced_orders_by_rest() -> None:
    async with host(speed=0) as venue:
        await venue.ok("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")
        await venue.ok("POST", "/fapi/v1/order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01")
        for kind, amount in ((1, 25), (2, 20)):
            await venue.ok("POST", "/fapi/v1/positionMargin", symbol="BTCUSDT", amount=amount, type=kind)
        rows = await venue.ok("GET", "/fapi/v1/positionMargin/history", symbol="BTCUSDT")
        assert [(row["type"], row["amount"]) for row in rows] == [(1, "25.00000000"), (2, "-20.00000000")]
        assert await venue.ok("GET", "/fapi/v1/forceOrders") == []
        venue.venue.account.liquidation.close("BTCUSDT", "BOTH", 1, venue.venue)
        (row,) = await venue.ok("GET", "/fapi/v1/forceOrders", autoCloseType="LIQUIDATION")
        assert row["clientOrderId"].startswith("autoclose-") and row["type"] == "LIMIT"
        assert await venue.ok("GET", "/fapi/v1/forceOrders", autoCloseType="ADL") == []


async def test_the_brackets_say_what_the_leverage_allows() -> None:
    async with host(speed=0) as venue:
        (row,) = await venue.ok("GET", "/fapi/v1/leverageBracket", symbol="BTCUSDT")
        assert len(row["brackets"]) == 12 and row["brackets"][0]["initialLeverage"] == 125
        changed = await venue.ok("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=60)
        assert changed["maxNotionalValue"] == str(row["brackets"][2]["notionalCap"])
        (config,) = await venue.ok("GET", "/fapi/v1/symbolConfig", symbol="BTCUSDT")
        assert config["maxNotionalValue"] == changed["maxNotionalValue"]


async def test_trades_of_the_tape_can_be_read_back() -> None:
    async with host(speed=20) as venue:
        async with venue.stream("/market/ws/btcusdt@aggTrade") as ears:
            first, second = await ears.next(), await ears.next()
        rows = await venue.ok("GET", "/fapi/v1/aggTrades", signed=False, symbol="BTCUSDT", fromId=first["a"])
        assert [row["a"] for row in rows[:2]] == [first["a"], second["a"]]
        assert rows[0]["p"] == first["p"]
        assert await venue.ok("GET", "/fapi/v1/trades", signed=False, symbol="BTCUSDT", limit=5)
        trades = await venue.ok("GET", "/fapi/v1/historicalTrades", symbol="BTCUSDT", fromId=first["f"], limit=3)
        assert [row["id"] for row in trades] == [first["f"], first["f"] + 1, first["f"] + 2]


async def test_an_order_good_till_a_date_is_placed_listed_and_ended_by_the_venues_clock() -> None:
    async with host(speed=0) as venue:
        gtd = LIMIT | {"timeInForce": "GTD", "newClientOrderId": "nx-gtd"}
        info = await venue.ok("GET", "/fapi/v1/exchangeInfo", signed=False)
        assert "GTD" in info["symbols"][0]["timeInForce"]
        for date_ms, code in ((None, -1102), (now_ms() + 590_000, -5040), ("soon", -1130)):
            dated = {} if date_ms is None else {"goodTillDate": date_ms}
            status, body = await venue.call("POST", "/fapi/v1/order", **gtd, **dated)
            assert (status, body["code"]) == (400, code)
        date_ms = now_ms() + 700_000
        checked = await venue.ok("POST", "/fapi/v1/order/test", **gtd, goodTillDate=date_ms)
        assert checked["goodTillDate"] == date_ms // 1000 * 1000
        await venue.ok("POST", "/fapi/v1/order", **gtd, goodTillDate=date_ms)
        async with venue.user() as ears:
            venue.venue.settle(date_ms * 1_000_000)
            ended = await ears.until(lambda message: message["e"] == "ORDER_TRADE_UPDATE")
        assert (ended["o"]["X"], ended["o"]["gtd"]) == ("EXPIRED", date_ms // 1000 * 1000)
        row = await venue.ok("GET", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="nx-gtd")
        assert (row["status"], row["timeInForce"], row["goodTillDate"]) == ("EXPIRED", "GTD", date_ms // 1000 * 1000)
