"""A recording, played by the venue over loopback, through the real adapter into a book: it is the recorded book.

After each depth message whose last update id has a recorded bookTicker, best bid and ask, price and size, equal it.
"""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import StartVenue
from uplink_client import Client, connected

from nexus_engine.model.events import AnyEvent, BookDelta, BookInvalid
from nexus_engine.sim.market import Market
from nexus_engine.uplink import stream

TICK_NS = 100_000_000
START_NS = 1_795_337_955_000_000_000
Top = tuple[int, float, int, float]


def read(path: Path) -> tuple[dict[int, Top], int, int]:
    """The recorded best levels by update id, how many depth messages end at one of them, and the last update id."""
    tops: dict[int, Top] = {}
    diffs: list[int] = []
    with gzip.open(path, "rt") as lines:
        for line in lines:
            data = json.loads(line.split(" ", 1)[1]).get("data", {})
            if data.get("e") == "bookTicker":
                bid, ask = round(float(data["b"]) * 10), round(float(data["a"]) * 10)
                tops[data["u"]] = (bid, float(data["B"]), ask, float(data["A"]))
            elif data.get("e") == "depthUpdate":
                diffs.append(data["u"])
    return tops, sum(update_id in tops for update_id in diffs), diffs[-1]


async def matches(start_venue: StartVenue, path: Path) -> tuple[int, int]:
    """(depth messages after which the book's best levels were the recorded ones, those after which they should be)"""
    tops, expected, last = read(path)
    venue = start_venue("--port", 0, "--replay", path, "--speed", "max")
    ready = venue.ready
    client = Client(venue.rest, venue.ws, ready["api_key"], ready["api_secret"], symbols=("BTCUSDT",))
    equal = 0

    def compare(event: AnyEvent) -> None:
        nonlocal equal
        if isinstance(event, BookDelta) and event.update_id in tops:
            book = client.books["BTCUSDT"]
            bid, ask = book.best_bid, book.best_ask
            assert bid is not None and ask is not None
            assert (*bid, *ask) == tops[event.update_id]
            equal += 1

    client.watch = compare
    async with connected(client):
        await client.until(lambda: "BTCUSDT" in client.books and client.books["BTCUSDT"].update_id >= last, within_s=60)
    assert not client.of(BookInvalid)
    return equal, expected


@pytest.fixture(autouse=True)
def never_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recording comes as fast as it can be sent, and here every single state of the book is compared."""
    monkeypatch.setattr(stream, "BACKLOGS", 1 << 60)


def generate(path: Path, ticks: int) -> None:
    """Record a generated market: a diff each 100 ms, and the best levels after every second one."""
    market = Market(seed=11, scenario="range", start_ns=START_NS)
    name, last_id = "BTCUSDT", 1_000
    market.diff(name)
    book = market.book(name)
    lines: list[Any] = []

    def levels(side: Any) -> list[list[str]]:
        return [[f"{ticks / 10:.2f}", f"{lots / 1000:.3f}"] for ticks, lots in side]

    snapshot = {"lastUpdateId": last_id + 25, "E": 1, "T": 1, "bids": levels(book.bids), "asks": levels(book.asks)}
    for number in range(ticks):
        market.step(TICK_NS)
        bids, asks = market.diff(name)
        first_id, previous_id, last_id = last_id + 20, last_id, last_id + 50
        stamp = {"s": name, "E": number, "T": number}
        diff = {"e": "depthUpdate", **stamp, "U": first_id, "u": last_id, "pu": previous_id}
        lines.append({"stream": "btcusdt@depth@0ms", "data": diff | {"b": levels(bids), "a": levels(asks)}})
        if number == 0:
            lines.append(snapshot)
        if number % 2:
            top = market.book(name, 1)
            (bid, bid_qty), (ask, ask_qty) = levels([*top.bids, *top.asks])
            ticker = {"e": "bookTicker", "u": last_id, **stamp, "b": bid, "B": bid_qty, "a": ask, "A": ask_qty}
            lines.append({"stream": "btcusdt@bookTicker", "data": ticker})
    text = "".join(
        f"{START_NS + index * TICK_NS} {json.dumps(line, separators=(',', ':'))}\n" for index, line in enumerate(lines)
    )
    path.write_bytes(gzip.compress(text.encode()))


async def test_a_generated_recording_comes_out_as_it_went_in(start_venue: StartVenue, tmp_path: Path) -> None:
    generate(tmp_path / "generated.gz", 600)
    assert await matches(start_venue, tmp_path / "generated.gz") == (300, 300)


@pytest.mark.timeout(120)
async def test_the_recorded_market_of_2024_08_08_comes_out_as_it_was_recorded(
    start_venue: StartVenue, data_dir: Path
) -> None:
    assert await matches(start_venue, data_dir / "l2" / "btcusdt_usdm_20240808.gz") == (629, 629)
