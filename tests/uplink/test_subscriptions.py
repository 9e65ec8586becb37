"""A stream that falls silent alone is subscribed anew on the connection that lives."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from scripted import Answer, Ear, Scripted, rest_of, scripted
from uplink_data import instrument

from nexus_engine.model.events import BookInvalid, BookSnapshot
from nexus_engine.uplink.binance import subscriptions
from nexus_engine.uplink.binance.public import PublicFeed


def diff(symbol: str, u: int, pu: int) -> str:
    body = {"e": "depthUpdate", "E": 1, "T": 1, "s": symbol, "U": pu + 1, "u": u, "pu": pu, "b": [], "a": []}
    return json.dumps({"stream": f"{symbol.lower()}@depth@100ms", "data": body})


@pytest.fixture
async def venue() -> AsyncIterator[Scripted]:
    async with scripted() as venue:
        yield venue


async def test_the_silent_symbol_alone_is_subscribed_anew_and_its_book_read_again(
    venue: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "QUIET_S", 0.4)
    monkeypatch.setattr(subscriptions, "LOOK_S", 0.05)
    ear = Ear()
    symbols = ("BTCUSDT", "ETHUSDT")
    async with rest_of(venue, symbols=symbols) as rest:
        feed = PublicFeed(rest, tuple(map(instrument, symbols)), ear, random.Random(1))
        task = asyncio.create_task(feed.run())
        await venue.until(lambda: bool(venue.sockets))
        number = 0
        levels = {"bids": [["100.0", "1"]], "asks": [["100.1", "1"]], "T": 1}
        venue.answers["GET /fapi/v1/depth"] = lambda _: Answer({"lastUpdateId": number} | levels)

        async def say(*of: str) -> None:
            nonlocal number
            number += 1
            await venue.say(*(diff(symbol, number, number - 1) for symbol in of))
            await asyncio.sleep(0.02)

        async with asyncio.timeout(5):
            while len(ear.of(BookSnapshot)) < 2:
                await say(*symbols)
            while not venue.told:
                await say("BTCUSDT")
            await venue.say('{"result":null,"id":1}')
            await venue.until(lambda: len(venue.told) == 2)
        assert venue.told == [
            {"method": method, "params": ["ethusdt@depth@100ms"], "id": number}
            for number, method in enumerate(("UNSUBSCRIBE", "SUBSCRIBE"), 1)
        ]
        (invalid,) = ear.of(BookInvalid)
        assert (invalid.symbol, invalid.reason) == ("ETHUSDT", "its stream fell silent")
        async with asyncio.timeout(5):
            while [event.symbol for event in ear.of(BookSnapshot)].count("ETHUSDT") < 2:
                await say(*symbols)
        assert venue.connections == 1 and rest.counts.skipped == 0
        task.cancel()
        await asyncio.wait((task,))


def test_who_stays_silent_is_asked_for_more_and_more_rarely() -> None:
    class Clock:
        now = 0

        def mono_ns(self) -> int:
            return self.now

        def utc_ns(self) -> int:
            return self.now

    clock: Any = Clock()
    held = subscriptions.Subscriptions(None, ("A", "B"), lambda s: (s,), clock, lambda s: None)  # type: ignore[arg-type]
    held.opened()
    asked = []
    for second in range(1, 301):
        clock.now = second * 1_000_000_000
        held.heard("A", clock.now)
        asked += [(second, symbol) for symbol in held.silent()]
    assert {symbol for _, symbol in asked} == {"B"}
    assert [second for second, _ in asked] == [6, 17, 38, 79, 140, 201, 262]
    held.ended()
    clock.now *= 2
    assert held.silent() == []
