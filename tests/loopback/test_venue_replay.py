"""A recording played by the practice venue: the recorded frames arrive as they were, and REST follows them."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest
from venue_host import host

from nexus_engine.sim.replay import RecordingError, ReplayMarket, load

START_MS = 1_700_000_000_000


def generate(path: Path, count: int, seed: int = 5) -> list[dict[str, Any]]:
    """Write a recording of `count` diffs, each with a book ticker and a trade; returns the stream messages."""
    rng = random.Random(seed)
    book = {"b": {60_000 - i: rng.randint(1, 5_000) for i in range(200)}}
    book["a"] = {60_001 + i: rng.randint(1, 5_000) for i in range(200)}
    messages: list[dict[str, Any]] = []
    lines: list[str] = []
    last_id = 1_000

    def level(ticks: int, lots: int) -> list[str]:
        return [f"{ticks / 10:.2f}", f"{lots / 1000:.3f}"]

    def add(stream: str, data: dict[str, Any]) -> None:
        message = {"stream": stream, "data": data}
        messages.append(message)
        lines.append(f"{(START_MS + len(lines) * 20) * 1_000_000} {json.dumps(message, separators=(',', ':'))}")

    for i in range(count):
        at_ms = START_MS + i * 100
        changes: dict[str, list[list[str]]] = {"b": [], "a": []}
        for side in changes:
            for _ in range(20):
                ticks = rng.choice(list(book[side]))
                best = max(book["b"]) if side == "b" else min(book["a"])
                lots = rng.randint(1, 9_999) if ticks == best or rng.random() < 0.8 else 0
                changes[side] = [row for row in changes[side] if row[0] != level(ticks, 0)[0]] + [level(ticks, lots)]
                book[side][ticks] = lots
            book[side] = {ticks: lots for ticks, lots in book[side].items() if lots}
        first_id, previous_id, last_id = last_id + 7, last_id, last_id + 50
        symbol = {"s": "BTCUSDT", "E": at_ms, "T": at_ms}
        diff = {"e": "depthUpdate", **symbol, "U": first_id, "u": last_id, "pu": previous_id, **changes}
        add("btcusdt@depth@0ms", diff)
        best_bid, best_ask = max(book["b"]), min(book["a"])
        bid, bid_qty = level(best_bid, book["b"][best_bid])
        ask, ask_qty = level(best_ask, book["a"][best_ask])
        top = {"b": bid, "B": bid_qty, "a": ask, "A": ask_qty}
        add("btcusdt@bookTicker", {"e": "bookTicker", "u": last_id, **symbol, **top})
        trade = {"t": 9_000 + i, "p": ask, "q": "0.100", "X": "MARKET", "m": False}
        add("btcusdt@trade", {"e": "trade", **symbol, **trade})
        if i == 3:
            sides = {
                "bids": [level(t, book["b"][t]) for t in sorted(book["b"], reverse=True)],
                "asks": [level(t, book["a"][t]) for t in sorted(book["a"])],
            }
            snapshot = {"lastUpdateId": last_id, "E": at_ms, "T": at_ms, **sides}
            lines.append(f"{(START_MS + len(lines) * 20) * 1_000_000} {json.dumps(snapshot, separators=(',', ':'))}")
    text = "\n".join(lines) + "\n"
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return messages


@pytest.mark.parametrize("name", ["tape.gz", "tape.txt"])
async def test_every_frame_arrives_as_it_was_recorded_and_none_is_lost(tmp_path: Path, name: str) -> None:
    recorded = generate(tmp_path / name, 2_000)
    streams = "btcusdt@depth@100ms/btcusdt@bookTicker/btcusdt@trade/btcusdt@aggTrade"
    async with host(replay=ReplayMarket(load(tmp_path / name))) as venue:
        before = await venue.ok("GET", "/fapi/v1/depth", signed=False, symbol="BTCUSDT", limit=1000)
        async with venue.stream(f"/stream?streams={streams}") as ears:
            heard: dict[str, list[Any]] = {stream: [] for stream in streams.split("/")}
            for _ in range(4 * 2_000):
                message = await ears.next()
                heard[message["stream"]].append(message["data"])
        for stream in ("depth", "bookTicker", "trade"):
            wanted = [message["data"] for message in recorded if message["stream"].split("@")[1] == stream]
            assert heard["btcusdt@depth@100ms" if stream == "depth" else f"btcusdt@{stream}"] == wanted
        assert [row["a"] for row in heard["btcusdt@aggTrade"]] == [row["t"] for row in heard["btcusdt@trade"]]

        diffs = heard["btcusdt@depth@100ms"]
        assert before["lastUpdateId"] == diffs[3]["u"]  # before it plays, REST has the recorded snapshot
        after = await venue.ok("GET", "/fapi/v1/depth", signed=False, symbol="BTCUSDT", limit=1000)
        assert after["lastUpdateId"] == diffs[-1]["u"]
        top = heard["btcusdt@bookTicker"][-1]
        assert after["bids"][0] == [top["b"], top["B"]]
        assert after["asks"][0] == [top["a"], top["A"]]
        book = {side: dict(before[side]) for side in ("bids", "asks")}
        for diff in diffs[4:]:
            for side, levels in (("bids", diff["b"]), ("asks", diff["a"])):
                book[side].update(levels)
        for side in book:
            left = {price: qty for price, qty in book[side].items() if float(qty)}
            assert left == dict(after[side])


async def test_the_recording_waits_for_a_depth_stream_and_keeps_its_own_pace(tmp_path: Path) -> None:
    generate(tmp_path / "tape", 40)
    replay = ReplayMarket(load(tmp_path / "tape"))
    async with host(replay=replay, replay_speed=4.0) as venue, venue.stream("/public/stream") as ears:
        await ears.ask("SUBSCRIBE", "btcusdt@bookTicker")
        assert await ears.silent(0.4)
        await ears.ask("SUBSCRIBE", "btcusdt@depth@100ms")
        for _ in range(60):
            await ears.next()
        assert 0 < replay.update_id < 1_000 + 40 * 50  # still under way: 121 lines of 20 ms, played four times as fast


async def test_orders_trade_on_the_recorded_book_and_exchange_info_knows_the_symbol(tmp_path: Path) -> None:
    generate(tmp_path / "tape", 50)
    async with host(replay=ReplayMarket(load(tmp_path / "tape"))) as venue:
        info = await venue.ok("GET", "/fapi/v1/exchangeInfo", signed=False)
        (symbol,) = info["symbols"]
        assert (symbol["symbol"], symbol["filters"][0]["tickSize"]) == ("BTCUSDT", "0.1")
        depth = await venue.ok("GET", "/fapi/v1/depth", signed=False, symbol="BTCUSDT", limit=5)
        order = await venue.ok(
            "POST", "/fapi/v1/order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.1",
            newOrderRespType="RESULT",
        )  # fmt: skip
        assert order["status"] == "FILLED"
        assert float(order["avgPrice"]) >= float(depth["asks"][0][0])
        for path in ("klines?interval=1m&symbol=BTCUSDT", "ticker/24hr", "premiumIndex", "trades?symbol=BTCUSDT"):
            async with venue.http.get(f"{venue.rest}/fapi/v1/{path}") as reply:
                assert reply.status == 200


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello\n",
        '1 {"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate"}}\n',
        '1 {"lastUpdateId":1,"E":1,"T":1,"bids":[["1","1"]],"asks":[["2","1"]]}\n',
        '1 {"lastUpdateId":"x"}\n',
        "1 [1,2]\n",
    ],
)
def test_what_is_no_recording_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "tape").write_text(text)
    with pytest.raises(RecordingError) as error:
        load(tmp_path / "tape")
    assert "\n" not in str(error.value)


def test_a_recording_that_is_missing_or_cut_off_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError):
        load(tmp_path / "missing")
    generate(tmp_path / "tape.gz", 20)
    whole = (tmp_path / "tape.gz").read_bytes()
    (tmp_path / "cut.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RecordingError):
        load(tmp_path / "cut.gz")
