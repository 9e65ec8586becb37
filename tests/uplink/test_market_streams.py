"""Closed candles: each once, in order, without a hole, over starts, outages and slow histories."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from scripted import Answer, Ear, Scripted, rest_of, scripted

from nexus_engine.model.events import Bar, FeedStatus, History, Trade
from nexus_engine.sim.hub import frame
from nexus_engine.uplink.binance.market import MarketFeed

MINUTE = 60_000
KLINES = "GET /fapi/v1/klines"


def kline(minute: int, *, closed: bool, at_ms: int | None = None) -> str:
    candle = {
        "t": minute * MINUTE, "T": (minute + 1) * MINUTE - 1, "i": "1m", "o": "1", "h": "1", "l": "1", "c": "1",
        "v": "1", "n": 1, "x": closed,
    }  # fmt: skip
    event = {"e": "kline", "E": at_ms or (minute + 1) * MINUTE, "s": "BTCUSDT", "k": candle}
    return msgspec.json.encode({"stream": "btcusdt@kline_1m", "data": event}).decode()


def trade(at_ms: int) -> str:
    event = {"e": "aggTrade", "E": at_ms, "s": "BTCUSDT", "p": "1", "q": "1", "T": at_ms, "m": False}
    return msgspec.json.encode({"stream": "btcusdt@aggTrade", "data": event}).decode()


def rows(*minutes: int) -> list[list[Any]]:
    return [[m * MINUTE, "1", "1", "1", "1", "1", (m + 1) * MINUTE - 1, "1", 1, "1", "1", "0"] for m in minutes]


@pytest.fixture
async def venue() -> AsyncIterator[Scripted]:
    async with scripted() as venue:
        yield venue


@pytest.fixture
async def ear(venue: Scripted) -> AsyncIterator[Ear]:
    ear = Ear()
    async with rest_of(venue) as rest:
        feed = MarketFeed(rest, ear, random.Random(1))
        task = asyncio.create_task(feed.run())
        await venue.until(lambda: bool(venue.sockets))
        yield ear
        task.cancel()
        await asyncio.wait((task,))


def candles(ear: Ear) -> list[int]:
    """The closed candles in the order of delivery, those of the past included."""
    found: list[int] = []
    for event in ear.events:
        match event:
            case History():
                found += [row.open_ns // 1_000_000 // MINUTE for row in event.bars]
            case Bar(closed=True):
                found.append(event.open_ns // 1_000_000 // MINUTE)
    return found


async def test_what_comes_faster_than_it_is_taken_is_joined_and_no_volume_is_lost(venue: Scripted) -> None:
    ear, count = Ear(), 40_000
    async with rest_of(venue) as rest:
        feed = MarketFeed(rest, ear, random.Random(1))
        task = asyncio.create_task(feed.run())
        await venue.until(lambda: bool(venue.sockets))
        (socket,) = venue.sockets
        transport = socket._req.transport  # type: ignore[union-attr]
        assert transport is not None
        transport.write(b"".join(frame(trade(at_ms).encode()) for at_ms in range(1, count + 1)))
        await ear.until(lambda: feed.stream.received == count)
        await venue.say(trade(count + 1))
        await ear.until(lambda: ear.of(Trade)[-1].venue_ns == (count + 1) * 1_000_000)
        trades = ear.of(Trade)
        assert sum(event.qty for event in trades) == count + 1
        assert 0 < rest.counts.conflated == count + 1 - len(trades)
        assert [event.venue_ns for event in trades] == sorted(event.venue_ns for event in trades)
        assert not feed.stream.behind and trades[-1].qty == 1.0
        task.cancel()
        await asyncio.wait((task,))


async def test_the_candle_that_is_still_open_is_not_history(venue: Scripted, ear: Ear) -> None:
    venue.answers[KLINES] = Answer(rows(1, 2, 3))
    await venue.say(trade(3 * MINUTE + 5_000))
    await ear.until(lambda: bool(ear.of(History)))
    assert candles(ear) == [1, 2]


async def test_history_that_ends_with_a_closed_candle_keeps_it(venue: Scripted, ear: Ear) -> None:
    venue.answers[KLINES] = Answer(rows(1, 2, 3))
    await venue.say(trade(4 * MINUTE + 1))
    await ear.until(lambda: bool(ear.of(History)))
    assert candles(ear) == [1, 2, 3]


async def test_a_candle_that_closes_while_the_past_is_being_read_is_delivered_after_it_and_once(
    venue: Scripted, ear: Ear
) -> None:
    reading = asyncio.Event()

    def slow(_: dict[str, str]) -> Answer:
        reading.set()
        return Answer(rows(1, 2, 3), hang=0.3)

    venue.answers[KLINES] = slow
    await venue.say(trade(3 * MINUTE + 59_000))
    await reading.wait()
    await venue.say(kline(2, closed=True), kline(3, closed=True), kline(4, closed=False), kline(4, closed=True))
    await ear.until(lambda: len(candles(ear)) == 4)
    assert candles(ear) == [1, 2, 3, 4]
    assert not any(not bar.closed for bar in ear.of(Bar))
    await venue.say(kline(5, closed=False), kline(5, closed=True))
    await ear.until(lambda: len(ear.of(Bar)) == 4)
    assert candles(ear) == [1, 2, 3, 4, 5]


async def test_trades_do_not_wait_for_the_past(venue: Scripted, ear: Ear) -> None:
    venue.answers[KLINES] = Answer(rows(1), hang=5)
    await venue.say(trade(1 * MINUTE), trade(1 * MINUTE + 1))
    await ear.until(lambda: len(ear.of(Trade)) == 2)
    assert not ear.of(History)


async def test_after_an_outage_the_past_is_read_again_so_that_nothing_is_missing(venue: Scripted, ear: Ear) -> None:
    venue.answers[KLINES] = Answer(rows(1, 2))
    await venue.say(trade(3 * MINUTE + 1))
    await ear.until(lambda: len(ear.of(History)) == 1)
    venue.answers[KLINES] = Answer(rows(1, 2, 3, 4, 5))
    await venue.sockets[0].close()
    await venue.until(lambda: venue.connections == 2 and bool(venue.sockets))
    await venue.say(trade(6 * MINUTE + 1))
    await ear.until(lambda: len(ear.of(History)) == 2)
    assert candles(ear)[-5:] == [1, 2, 3, 4, 5]
    assert [status.up for status in ear.of(FeedStatus)] == [True, False, True]


async def test_a_past_that_cannot_be_read_is_asked_for_until_it_can(venue: Scripted, ear: Ear) -> None:
    fails = iter([Answer("oops", 502), Answer({"code": -1003, "msg": "slow down"}, 503), Answer("[[", 200)])
    venue.answers[KLINES] = lambda _: next(fails, Answer(rows(1, 2)))
    await venue.say(trade(3 * MINUTE))
    await ear.until(lambda: bool(ear.of(History)))
    assert venue.count(KLINES) == 4 and candles(ear) == [1, 2]


async def test_a_reader_that_fails_after_an_outage_leaves_the_newer_read_alone(venue: Scripted, ear: Ear) -> None:
    """The first read hangs and fails; meanwhile the socket came back and the second one has succeeded."""
    answers = iter([Answer("oops", 502, hang=0.5), Answer(rows(1, 2))])
    venue.answers[KLINES] = lambda _: next(answers)
    await venue.say(trade(3 * MINUTE))
    await venue.until(lambda: venue.count(KLINES) == 1)
    await venue.sockets[0].close()
    await venue.until(lambda: venue.connections == 2 and bool(venue.sockets))
    await venue.say(trade(3 * MINUTE + 1))
    await ear.until(lambda: len(ear.of(History)) == 1)
    await asyncio.sleep(0.8)
    await venue.say(trade(3 * MINUTE + 2))
    await ear.until(lambda: len(ear.of(Trade)) == 3)
    assert venue.count(KLINES) == 2 and len(ear.of(History)) == 1


async def test_a_candle_of_a_symbol_that_was_not_asked_for_is_skipped(venue: Scripted, ear: Ear) -> None:
    await venue.say(trade(5).replace("BTCUSDT", "EVILUSDT"), trade(6))
    await ear.until(lambda: bool(ear.of(Trade)))
    assert {event.symbol for event in ear.of(Trade)} == {"BTCUSDT"}


async def test_the_swans_last_minutes_are_read_whoever_it_is_and_whatever_strategies_look_at(venue: Scripted) -> None:
    venue.answers[KLINES] = Answer(rows(1))
    async with rest_of(venue, symbols=("BTCUSDT", "SOLUSDT"), intervals=("5m",), swan_symbol="SOLUSDT") as rest:
        task = asyncio.create_task(MarketFeed(rest, Ear(), random.Random(1)).run())
        await venue.until(lambda: bool(venue.sockets))
        await venue.say(trade(3 * MINUTE))
        await venue.until(lambda: venue.count(KLINES) == 3)
        task.cancel()
        await asyncio.wait((task,))
    read = {(params["symbol"], params["interval"]) for name, params in venue.asked if name == KLINES}
    assert read == {("BTCUSDT", "5m"), ("SOLUSDT", "5m"), ("SOLUSDT", "1m")}
