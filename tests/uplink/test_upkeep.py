"""What is changed at the venue while we trade keeps entries away, and is said in one line."""

import asyncio
import random
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from scripted import Answer, Ear, Scripted, rest_of, scripted

from nexus_engine.model.events import Instruments
from nexus_engine.model.instruments import Instrument
from nexus_engine.uplink.binance import upkeep
from nexus_engine.uplink.binance.rest import BinanceRest
from nexus_engine.uplink.binance.upkeep import Upkeep

RULES = "GET /fapi/v1/exchangeInfo"
DUAL, CONFIG = "GET /fapi/v1/positionSide/dual", "GET /fapi/v1/symbolConfig"


def rules(tick: str = "0.1", step: str = "0.001", status: str = "TRADING") -> Answer:
    filters = [
        {"filterType": "PRICE_FILTER", "tickSize": tick},
        {"filterType": "LOT_SIZE", "stepSize": step, "minQty": step, "maxQty": "1000"},
        {"filterType": "MARKET_LOT_SIZE", "stepSize": step, "minQty": step, "maxQty": "100"},
        {"filterType": "MIN_NOTIONAL", "notional": "5"},
    ]
    symbol = {"symbol": "BTCUSDT", "status": status, "baseAsset": "BTC", "quoteAsset": "USDT", "filters": filters}
    return Answer({"rateLimits": [], "symbols": [symbol]})


def config(**changes: Any) -> Answer:
    return Answer([{"symbol": "BTCUSDT", "marginType": "ISOLATED", "leverage": 3} | changes])


class Kept:
    """An upkeep that looks when it is told to."""

    def __init__(self, rest: BinanceRest) -> None:
        self.rest = rest
        self.ear = Ear()
        self.regridded: list[Instrument] = []
        self.upkeep = Upkeep(rest, self.ear, random.Random(1), self.regridded.extend)

    async def look(self) -> list[Instruments]:
        before = len(self.ear.events)
        await self.upkeep._look(rules=True)
        return self.ear.of(Instruments)[before:]


@pytest.fixture
async def venue() -> AsyncIterator[Scripted]:
    async with scripted() as venue:
        venue.answers |= {RULES: rules(), CONFIG: config(), DUAL: Answer({"dualSidePosition": False})}
        yield venue


@pytest.fixture
async def kept(venue: Scripted) -> AsyncIterator[Kept]:
    async with rest_of(venue) as rest:
        (found,) = await rest.instruments()
        rest.prepared = (found,)
        yield Kept(rest)


async def test_nothing_changed_is_nothing_said(kept: Kept) -> None:
    assert await kept.look() == [] and kept.upkeep.problem == ""


@pytest.mark.parametrize(
    ("name", "answer", "line"),
    [
        (CONFIG, config(leverage=20), "BTCUSDT takes no entries: leverage is 20x, ours is 3x, changed outside"),
        (
            CONFIG,
            config(marginType="CROSSED"),
            "BTCUSDT takes no entries: margin is crossed, ours is isolated, changed outside",
        ),
        (
            DUAL,
            Answer({"dualSidePosition": True}),
            "no entries, changed outside: the account is in hedge mode; set its position mode to one-way",
        ),
    ],
)
async def test_what_a_person_changed_keeps_entries_away_until_it_is_changed_back(
    venue: Scripted, kept: Kept, name: str, answer: Answer, line: str
) -> None:
    right, venue.answers[name] = venue.answers[name], answer
    (event,) = await kept.look()
    assert [one.trading for one in event.instruments] == [False]
    assert kept.upkeep.problem == line
    assert await kept.look() == []
    venue.answers[name] = right
    (event,) = await kept.look()
    assert [one.trading for one in event.instruments] == [True] and kept.upkeep.problem == ""


def test_the_symbols_that_are_kept_out_are_named_first_and_together_where_the_same_is_wrong() -> None:
    wrong = {"ETHUSDT": "leverage is 20x, ours is 3x", "BTCUSDT": "margin is crossed, ours is isolated"}
    assert upkeep._kept_out(wrong | {"SOLUSDT": wrong["ETHUSDT"]}) == [
        "ETHUSDT, SOLUSDT take no entries: leverage is 20x, ours is 3x, changed outside",
        "BTCUSDT takes no entries: margin is crossed, ours is isolated, changed outside",
    ]
    assert upkeep._kept_out({}) == []


async def test_new_rules_are_taken_and_a_new_price_step_begins_the_book_anew(venue: Scripted, kept: Kept) -> None:
    venue.answers[RULES] = rules(tick="0.5", step="0.01")
    (event,) = await kept.look()
    (now,) = event.instruments
    assert (now.tick, now.step, now.min_qty, now.trading) == (Decimal("0.5"), Decimal("0.01"), Decimal("0.01"), True)
    assert kept.regridded == [now]


@pytest.mark.parametrize("gone", [rules(status="BREAK"), Answer({"rateLimits": [], "symbols": []})])
async def test_a_symbol_that_is_closed_or_gone_takes_no_entries(venue: Scripted, kept: Kept, gone: Answer) -> None:
    venue.answers[RULES] = gone
    (event,) = await kept.look()
    assert [(one.symbol, one.trading) for one in event.instruments] == [("BTCUSDT", False)]
    await kept.upkeep._look(rules=False)
    assert len(kept.ear.of(Instruments)) == 1


async def test_a_venue_that_does_not_answer_changes_nothing_and_is_asked_again(venue: Scripted, kept: Kept) -> None:
    venue.answers[CONFIG] = Answer("down", 502)
    assert await kept.look() == []
    assert kept.rest.look_again.is_set()


async def test_a_hint_is_followed_at_once(venue: Scripted, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "SPACING_S", 0.0)
    task = asyncio.create_task(kept.upkeep.run())
    venue.answers[CONFIG] = config(leverage=20)
    kept.rest.look_again.set()
    await kept.ear.until(lambda: bool(kept.ear.of(Instruments)))
    task.cancel()
    await asyncio.wait((task,))
