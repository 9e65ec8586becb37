"""Faults the practice venue commits when it is asked to, each seen from a client's side."""

import asyncio
import contextlib
import re
import time
from itertools import pairwise
from pathlib import Path

import aiohttp
import pytest
from venue_host import Hands, host

from nexus_engine.sim.fault_kinds import KINDS
from nexus_engine.sim.faults import Fault, FaultFileError, Faults, load, manual

ORDER = "POST /fapi/v1/order"
BUY = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}


async def test_a_refused_request_is_answered_and_not_executed() -> None:
    fault = Fault(on=ORDER, kind="refuse", status=503, code=-1008, msg="Request throttled by system-level protection.")
    async with host(speed=0, faults=[fault]) as venue:
        status, body = await venue.call("POST", "/fapi/v1/order", **BUY)
        assert (status, body["code"]) == (503, -1008)
        assert not venue.venue.account.ledger.orders
        await venue.ok("POST", "/fapi/v1/order", **BUY)


@pytest.mark.parametrize(("kind", "orders"), [("drop_before", 0), ("drop_after", 1)])
async def test_a_dropped_request_was_executed_or_not(kind: str, orders: int) -> None:
    async with host(speed=0, faults=[Fault(on=ORDER, kind=kind)]) as venue:
        with pytest.raises(aiohttp.ClientConnectionError):
            await venue.call("POST", "/fapi/v1/order", **BUY)
        assert len(venue.venue.account.ledger.orders) == orders


async def test_a_delayed_request_takes_its_time() -> None:
    async with host(speed=0, faults=[Fault(on=ORDER, kind="delay", delay_ms=300)]) as venue:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await venue.ok("POST", "/fapi/v1/order", **BUY)
        assert not venue.venue.account.ledger.orders


async def test_a_lost_diff_breaks_the_chain_once() -> None:
    fault = Fault(on="stream /public", kind="skip_depth", after=2)
    async with host(faults=[fault]) as venue, venue.stream("/public/ws/btcusdt@depth@100ms") as ears:
        diffs = [await ears.next() for _ in range(6)]
        fits = [later["pu"] == earlier["u"] for earlier, later in pairwise(diffs)]
        assert fits == [True, False, True, True, True]


async def test_a_mute_stream_stays_open_and_says_nothing() -> None:
    fault = Fault(on="stream /market", kind="mute", after=1, count=0)
    async with host(faults=[fault]) as venue, venue.stream("/market/ws/btcusdt@markPrice@1s") as ears:
        await ears.next()
        assert await ears.silent(1.5)
        assert not ears.socket.closed


async def test_a_disconnect_closes_the_streams_of_that_path_only() -> None:
    fault = Fault(on="stream /public", kind="disconnect", after=3)
    async with (
        host(faults=[fault]) as venue,
        venue.stream("/market/ws/btcusdt@markPrice@1s") as other,
        venue.stream("/public/ws/btcusdt@depth@100ms") as ears,
    ):
        assert await ears.closed() == 1001
        await other.next()


async def test_user_events_can_be_late_lost_or_cut() -> None:
    faults = [
        Fault(on="user", kind="delay", delay_ms=200),
        Fault(on="user", kind="mute", after=1),
        Fault(on="user", kind="disconnect", after=1),
    ]
    async with host(speed=0, faults=faults) as venue, venue.user() as ears:
        await venue.ok("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=3)
        assert (await ears.next())["ac"]["l"] == 3
        await venue.ok("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=4)
        assert await ears.silent(0.3)
        await venue.ok("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=5)
        assert await ears.closed() == 1001


def test_a_fault_with_a_probability_is_drawn_from_its_seed() -> None:
    def struck(seed: int) -> list[bool]:
        faults = Faults([Fault(on="user", kind="mute", count=0, probability=0.5, seed=seed)])
        return [faults.strike("user") is not None for _ in range(200)]

    assert struck(1) == struck(1) != struck(2)
    assert 60 < sum(struck(1)) < 140


def test_a_fault_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "faults.toml"
    file.write_text('[[fault]]\non = "user"\nkind = "mute"\nafter = 1\n[[fault]]\non = "GET /x"\nkind = "refuse"\n')
    faults = load(file)
    assert faults.strike("user") is None
    struck = faults.strike("user")
    assert struck is not None and struck.fault == Fault(on="user", kind="mute", after=1)
    assert faults.request("GET", "/x", {}) is not None
    assert [hits for _, hits in faults.seen()] == [1, 1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('on = "user"\nkind = "eat"', ["kind", "'eat'", "disconnect"]),
        ('on = "moon"\nkind = "mute"', ["on", "'moon'", "stream /public"]),
        ('on = "user"\nkind = "skip_depth"', ["kind", "mute"]),
        ('on = "user"\nkind = "mute"\ncount = -1', ["count", "from 0"]),
        ('on = "user"\nkind = "mute"\nprobability = 2.0', ["probability", "0 to 1"]),
        ('on = "GET /x"\nkind = "refuse"\nstatus = 200', ["status", "400 to 599"]),
        ('on = "user"\nkind = "mute"\nwhen = 3', ["when", "keys are"]),
        ('on = "user"\nkind = "mute"\nafter = "x"', ["after"]),
        ('on = "user"', ["kind"]),
        ('on = "user"\nkind = "mute"\nskew_ms = 3', ["skew_ms", "no such key", "none"]),
        ('on = "server"\nkind = "down"', ["for_s", "seconds"]),
        ('on = "user"\nkind = "disconnect"\nclose_code = 1234', ["close_code", "1006"]),
        ('on = "GET /x"\nkind = "edit"', ["edit", "path"]),
        ('on = "user"\nkind = "oversized"\nsize = 4000000000', ["size", "up to"]),
        ('on = "user"\nkind = "duplicate"\ncopies = 4000000000', ["copies", "up to"]),
        ('on = "server"\nkind = "skew"\nfor_s = 5\nskew_ms = 99999999999999999', ["skew_ms", "up to"]),
        ('on = "GET /x"\nkind = "refuse"\ncode = 99999999999999999999', ["code", "up to"]),
        ('on = "GET /x"\nkind = "edit"\nedit = {a = 1979-05-27}', ["edit", "JSON"]),
    ],
)
def test_a_bad_fault_names_the_key_and_what_it_allows(tmp_path: Path, text: str, words: list[str]) -> None:
    file = tmp_path / "faults.toml"
    file.write_text("[[fault]]\n" + text)
    with pytest.raises(FaultFileError) as error:
        load(file)
    assert "\n" not in str(error.value)
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize("text", ["not toml", "[fault]\na = 1", "other = 1"])
def test_a_file_that_is_no_fault_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "faults.toml"
    file.write_text(text)
    with pytest.raises(FaultFileError):
        load(file)
    with pytest.raises(FaultFileError):
        load(tmp_path / "missing.toml")


def test_a_window_opens_at_its_first_hit_and_is_the_last() -> None:
    clock = Hands(50)
    faults = Faults([Fault(on="user", kind="mute", at_s=10, for_s=5, after=1)], clock)
    struck = []
    for clock.now_s in (51, 60, 61, 62, 65.5, 66, 90):
        struck.append(faults.strike("user", {}) is not None)
    assert struck == [False, False, True, True, True, False, False]


def test_retry_after_is_what_is_left_of_the_window_in_whole_seconds() -> None:
    clock = Hands(50)
    faults = Faults([Fault(on="* /fapi/*", kind="too_many", for_s=5)], clock)
    waits = []
    for clock.now_s in (50, 51.2, 54.9):
        struck = faults.request("GET", "/fapi/v1/time", {})
        waits.append(struck and struck.retry_after_s)
    assert waits == [5, 4, 1]
    clock.now_s = 55
    assert faults.request("GET", "/fapi/v1/time", {}) is None


@pytest.mark.parametrize(
    ("match", "fields", "hit"),
    [
        ({"side": "SELL"}, {"side": "SELL"}, True),
        ({"side": "SELL"}, {"side": "BUY"}, False),
        ({"side": "SELL"}, {}, False),
        ({"reduceOnly": True}, {"reduceOnly": "True"}, True),
        ({"e": "ORDER_TRADE_UPDATE", "o.X": "FILLED"}, {"e": "ORDER_TRADE_UPDATE", "o": {"X": "FILLED"}}, True),
        ({"e": "ORDER_TRADE_UPDATE", "o.X": "FILLED"}, {"e": "ORDER_TRADE_UPDATE", "o": {"X": "NEW"}}, False),
        ({"a.P.*.s": "ETHUSDT"}, {"a": {"P": [{"s": "BTCUSDT"}, {"s": "ETHUSDT"}]}}, True),
        ({"a.P.0.s": "ETHUSDT"}, {"a": {"P": [{"s": "BTCUSDT"}, {"s": "ETHUSDT"}]}}, False),
        ({"o.X": "NEW"}, {"o": "text"}, False),
    ],
)
def test_only_what_matches_is_an_occasion(match: dict[str, str], fields: dict[str, object], hit: bool) -> None:
    faults = Faults([Fault(on="user", kind="mute", match=match)])
    assert (faults.strike("user", fields) is not None) is hit


def test_the_command_explains_every_kind_and_every_key() -> None:
    text = manual()
    assert all(f"  {name} " in text for name in KINDS)
    assert all(name in text for name in Fault.__struct_fields__)


RECIPES = re.findall(r"```toml\n(.*?)```", (Path(__file__).parents[2] / "docs" / "faults.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.partition("\n")[0] for recipe in RECIPES])
def test_every_recipe_of_the_page_is_a_fault_file(tmp_path: Path, recipe: str) -> None:
    (tmp_path / "faults.toml").write_text(recipe)
    assert load(tmp_path / "faults.toml").seen()


SALE = BUY | {"side": "SELL"}
ANSWERED = [
    ("unknown_before", 503, -1000, "Unknown error", 0),
    ("unknown_after", 503, -1000, "Unknown error", 1),
    ("timeout_before", 408, -1007, "status unknown", 0),
    ("timeout_after", 408, -1007, "status unknown", 1),
    ("unavailable", 503, 0, "Service Unavailable.", 0),
    ("internal", 503, -1001, "Internal error", 0),
    ("throttled", 503, -1008, "overloaded", 0),
    ("too_many", 429, -1003, "Too many requests", 0),
    ("banned", 418, -1003, "banned", 0),
    ("skewed", 400, -1021, "recvWindow", 0),
    ("key_gone", 401, -2015, "API-key", 0),
]


@pytest.mark.parametrize(("kind", "status", "code", "words", "orders"), ANSWERED)
async def test_the_venues_own_refusals(kind: str, status: int, code: int, words: str, orders: int) -> None:
    async with host(speed=0, faults=[Fault(on=ORDER, kind=kind, match={"side": "BUY"})]) as venue:
        await venue.ok("POST", "/fapi/v1/order", **SALE)
        answered, body = await venue.call("POST", "/fapi/v1/order", **BUY)
        assert (answered, body["code"]) == (status, code) and words in body["msg"]
        assert len(venue.venue.account.ledger.orders) == 1 + orders
        await venue.ok("POST", "/fapi/v1/order", **BUY)


async def test_throttling_spares_what_only_reduces() -> None:
    async with host(speed=0, faults=[Fault(on=ORDER, kind="throttled", after=1, count=0)]) as venue:
        await venue.ok("POST", "/fapi/v1/order", **BUY)
        status, _ = await venue.call("POST", "/fapi/v1/order", **SALE)
        assert status == 503
        await venue.ok("POST", "/fapi/v1/order", **SALE, reduceOnly="true")


async def test_a_ban_says_for_how_long() -> None:
    fault = Fault(on="GET /fapi/v1/time", kind="banned", for_s=120)
    async with host(speed=0, faults=[fault]) as venue, venue.http.get(venue.rest + "/fapi/v1/time") as reply:
        assert (reply.status, reply.headers["Retry-After"]) == (418, "120")


@pytest.mark.parametrize(("kind", "status", "orders"), [("html", 403, 0), ("html_after", 502, 1)])
async def test_a_page_comes_instead_of_json(kind: str, status: int, orders: int) -> None:
    async with host(speed=0, faults=[Fault(on=ORDER, kind=kind), Fault(on="GET /*", kind="html", status=200)]) as venue:
        with pytest.raises(aiohttp.ContentTypeError) as error:
            await venue.call("POST", "/fapi/v1/order", **BUY)
        assert error.value.status == status
        assert len(venue.venue.account.ledger.orders) == orders
        async with venue.http.get(venue.rest + "/fapi/v1/time") as portal:
            assert (portal.status, portal.content_type) == (200, "text/html")


@pytest.mark.parametrize(("kind", "orders"), [("hang_before", 0), ("hang_after", 1)])
async def test_a_hung_request_was_executed_or_not(kind: str, orders: int) -> None:
    async with host(speed=0, faults=[Fault(on=ORDER, kind=kind)]) as venue:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await venue.call("POST", "/fapi/v1/order", **BUY)
        assert len(venue.venue.account.ledger.orders) == orders


async def test_a_truncated_reply_was_executed() -> None:
    async with host(speed=0, faults=[Fault(on=ORDER, kind="truncate")]) as venue:
        with pytest.raises(aiohttp.ClientPayloadError):
            await venue.call("POST", "/fapi/v1/order", **BUY)
        assert len(venue.venue.account.ledger.orders) == 1


async def test_a_stale_reply_is_the_one_of_before() -> None:
    async with host(speed=0, faults=[Fault(on="GET /fapi/v1/openOrders", kind="stale", after=1)]) as venue:
        assert await venue.ok("GET", "/fapi/v1/openOrders") == []
        await venue.ok("POST", "/fapi/v1/order", **BUY | {"type": "LIMIT", "timeInForce": "GTC", "price": 95_000})
        assert await venue.ok("GET", "/fapi/v1/openOrders") == []
        assert len(await venue.ok("GET", "/fapi/v1/openOrders")) == 1


async def test_a_body_can_have_any_value_changed() -> None:
    faults = [
        Fault(on=ORDER, kind="edit", edit={"status": "FROZEN", "brandNew": 1, "gone.deep": 2}),
        Fault(on=ORDER, kind="numbers", value=""),
        Fault(on=ORDER, kind="unknown_field"),
        Fault(on="GET /fapi/v1/time", kind="edit", edit={"serverTime": float("nan")}),
    ]
    async with host(speed=0, faults=faults) as venue:
        body = await venue.ok("POST", "/fapi/v1/order", **BUY)
        assert (body["status"], body["brandNew"], body["symbol"]) == ("FROZEN", 1, "BTCUSDT") and "gone" not in body
        body = await venue.ok("POST", "/fapi/v1/order", **BUY)
        assert (body["origQty"], body["symbol"]) == ("", "BTCUSDT") and isinstance(body["orderId"], int)
        body = await venue.ok("POST", "/fapi/v1/order", **BUY)
        assert body["xFlag"] == "MAYBE" and body["origQty"] == "0.010"
        async with venue.http.get(venue.rest + "/fapi/v1/time") as reply:
            assert await reply.text() == '{"serverTime":NaN}'


async def test_user_events_come_twice_in_disorder_or_with_words_nobody_knows() -> None:
    faults = [
        Fault(on="user", kind="duplicate", match={"ac.l": 3}, copies=2),
        Fault(on="user", kind="reorder", match={"ac.l": 4}),
        Fault(on="user", kind="edit", match={"ac.l": 6}, edit={"e": "ACCOUNT_ODDITY"}),
        Fault(on="user", kind="disconnect", match={"ac.l": 7}, close_code=1006),
    ]
    async with host(speed=0, faults=faults) as venue, venue.user() as ears:
        for leverage in (3, 4, 5, 6):
            await venue.ok("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=leverage)
        heard = [await ears.next() for _ in range(6)]
        assert [event["ac"]["l"] for event in heard] == [3, 3, 3, 5, 4, 6]
        assert heard[-1]["e"] == "ACCOUNT_ODDITY"
        await venue.ok("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=7)
        assert await ears.closed() == 1006


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1008, 1012])
async def test_the_server_closes_every_socket_with_the_code_asked_for(code: int) -> None:
    fault = Fault(on="server", kind="disconnect", at_s=0.2, close_code=code)
    async with host(speed=0, faults=[fault]) as venue, venue.stream("/market/ws/btcusdt@markPrice@1s") as ears:
        assert await ears.closed() == code


async def test_a_listen_key_can_die_in_the_middle_of_things() -> None:
    fault = Fault(on="user", kind="expire_key", match={"ac.l": 4})
    async with host(speed=0, faults=[fault]) as venue, venue.user() as ears:
        for leverage in (3, 4, 5):
            await venue.ok("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=leverage)
        assert (await ears.next())["ac"]["l"] == 3
        assert (await ears.next())["e"] == "listenKeyExpired"
        assert await ears.silent(0.2)
        assert (await venue.call("PUT", "/fapi/v1/listenKey"))[1]["code"] == -1125


@pytest.mark.parametrize(
    ("on", "match"), [("server", {}), ("user", {"e": "ORDER_TRADE_UPDATE", "o.X": "FILLED", "o.o": "MARKET"})]
)
@pytest.mark.parametrize(("kind", "prefix"), [("adl", "adl_autoclose"), ("liquidate", "autoclose-")])
async def test_the_venue_closes_a_position_of_its_own_will(
    on: str, match: dict[str, str | int | float | bool], kind: str, prefix: str
) -> None:
    fault = Fault(on=on, kind=kind, match=match, at_s=0.3 if on == "server" else 0)
    async with host(speed=0, faults=[fault]) as venue, venue.user() as ears:
        await venue.ok("POST", "/fapi/v1/order", **BUY)
        forced = await ears.until(lambda event: event.get("o", {}).get("x") == "CALCULATED")
        order = forced["o"]
        assert (order["o"], order["X"], order["S"]) == ("LIQUIDATION", "FILLED", "SELL")
        assert order["c"].startswith(prefix)
        assert not await venue.ok("GET", "/fapi/v3/positionRisk")


async def test_frames_can_be_binary_huge_or_no_json() -> None:
    faults = [
        Fault(on="stream /public", kind="binary"),
        Fault(on="stream /public", kind="oversized", size=100_000),
        Fault(on="stream /public", kind="garbage", body="{"),
    ]
    async with host(faults=faults) as venue, venue.stream("/public/ws/btcusdt@depth@100ms") as ears:
        kinds = []
        async with asyncio.timeout(5):
            for _ in range(4):
                message = await ears.socket.receive()
                kinds.append((message.type.name, len(message.data) > 100_000, message.data == "{"))
        assert kinds == [
            ("BINARY", False, False), ("TEXT", True, False), ("TEXT", False, False), ("TEXT", False, True)
        ]  # fmt: skip


async def test_a_venue_that_is_down_serves_nobody_and_comes_back() -> None:
    fault = Fault(on="server", kind="down", at_s=0.3, for_s=0.6)
    async with host(speed=0, faults=[fault]) as venue, venue.stream("/market/ws/btcusdt@markPrice@1s") as ears:
        assert await ears.closed() == 1006
        with pytest.raises(aiohttp.ClientConnectionError):
            await venue.call("GET", "/fapi/v1/time", signed=False)
        with pytest.raises(aiohttp.ClientConnectionError):
            async with venue.stream("/market/ws/btcusdt@markPrice@1s"):
                pass
        async with asyncio.timeout(5):
            while True:
                with contextlib.suppress(aiohttp.ClientConnectionError):
                    await venue.ok("GET", "/fapi/v1/time", signed=False)
                    break
                await asyncio.sleep(0.05)


async def test_a_skewed_clock_refuses_the_right_time_and_says_its_own() -> None:
    fault = Fault(on="server", kind="skew", skew_ms=-7_200_000, for_s=60)
    async with host(speed=0, faults=[fault]) as venue:
        async with asyncio.timeout(5):
            while (await venue.call("GET", "/fapi/v1/openOrder", orderId=1, symbol="BTCUSDT"))[1]["code"] == -2013:
                pass
        assert (await venue.call("GET", "/fapi/v1/openOrders"))[1]["code"] == -1021
        theirs = (await venue.ok("GET", "/fapi/v1/time", signed=False))["serverTime"]
        assert abs(theirs + 7_200_000 - time.time() * 1000) < 2000
        await venue.ok("GET", "/fapi/v1/openOrders", timestamp=theirs)


async def test_a_mute_venue_keeps_its_sockets_and_answers_pings() -> None:
    fault = Fault(on="server", kind="mute", at_s=0.3, for_s=60)
    async with host(faults=[fault]) as venue, venue.stream("/public/ws/btcusdt@depth@100ms") as ears:
        with pytest.raises(AssertionError):
            await ears.silent(0.25)
        async with asyncio.timeout(5):
            while True:
                try:
                    if await ears.silent(0.5):
                        break
                except AssertionError:
                    continue
        await ears.socket.ping()
        assert not ears.socket.closed


@pytest.mark.parametrize(
    ("fault", "states", "reason"),
    [
        (Fault(on="algo", kind="stuck"), ["TRIGGERING"], ""),
        (Fault(on="algo", kind="reject", reason="No."), ["TRIGGERING", "REJECTED"], "No."),
        (Fault(on="algo", kind="expire", match={"side": "SELL"}), ["TRIGGERING", "EXPIRED"], ""),
        (Fault(on="algo", kind="expire", match={"side": "BUY"}), ["TRIGGERING", "TRIGGERED", "FINISHED"], ""),
    ],
)
async def test_a_stop_that_triggers_can_come_to_nothing(fault: Fault, states: list[str], reason: str) -> None:
    async with host(speed=0, faults=[fault]) as venue, venue.user() as ears:
        await venue.ok("POST", "/fapi/v1/order", **BUY)
        mark = venue.venue.mark("BTCUSDT")
        algo = await venue.ok(
            "POST", "/fapi/v1/algoOrder", algoType="CONDITIONAL", symbol="BTCUSDT", side="SELL", type="STOP_MARKET",
            closePosition="true", triggerPrice=f"{mark - 1:.1f}", workingType="MARK_PRICE",
        )  # fmt: skip
        conditionals = venue.venue.account.conditionals
        venue.advance_until(lambda: conditionals.find(algo["algoId"], None).status != "NEW")
        venue.server._tell_account()
        heard = []
        while not heard or heard[-1] != states[-1]:
            event = await ears.until(lambda message: message.get("e") == "ALGO_UPDATE")
            heard.append(event["o"]["X"])
        assert heard == ["NEW", *states] and event["o"].get("rm", "") == reason
        if states == ["TRIGGERING"]:
            assert (await venue.call("DELETE", "/fapi/v1/algoOrder", algoId=algo["algoId"]))[1]["code"] == -2011
