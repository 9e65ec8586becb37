"""Dominance and cap over real HTTP: the practice venue as CoinMarketCap and CoinGecko, and all that can go wrong."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from venue_host import KEY, START_NS, host

from nexus_engine.core.engine import Engine
from nexus_engine.model.config import Directive
from nexus_engine.model.events import MacroSample
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.secret import Secret
from nexus_engine.model.view import ViewRequest
from nexus_engine.model.words import Macro
from nexus_engine.runtime.clock import SystemClock
from nexus_engine.sim.faults import Fault
from nexus_engine.sim.macro import GLOBAL, HISTORICAL, LATEST
from nexus_engine.uplink.cmc import CMC, GECKO, MacroFeed

NAN = '{"data": {"btc_dominance": NaN, "quote": {"USD": {"total_market_cap": 1}}}}'
SECRET = "cmc-key-that-nobody-may-see"


class Standing:
    """A clock that stands at the practice market's start."""

    def utc_ns(self) -> int:
        return START_NS

    def mono_ns(self) -> int:
        return 1


@contextlib.asynccontextmanager
async def told(
    url: str, source: str = CMC, key: str = KEY, **more: Any
) -> AsyncIterator[tuple[MacroFeed, list[MacroSample]]]:
    """A feed that runs, and what it has posted so far."""
    clock = more.pop("clock", SystemClock())
    feed = MacroFeed(source, clock, url=url, key=Secret(key), **({"poll_s": 0.05, "deadline_s": 2.0} | more))
    heard: list[MacroSample] = []
    task = asyncio.create_task(feed.run(heard.append))  # type: ignore[arg-type]
    try:
        yield feed, heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(done: Callable[[], object], within_s: float = 10.0) -> None:
    async with asyncio.timeout(within_s):
        while not done():  # noqa: ASYNC110 - a list tells nobody that it grew
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def answering(handler: Callable[[web.Request], Any]) -> AsyncIterator[str]:
    """A server that says whatever a test wants."""

    async def handle(request: web.Request) -> web.StreamResponse:
        answer: web.StreamResponse = handler(request)
        return answer

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_with_a_key_four_days_come_first_and_then_a_sample_each_poll() -> None:
    async with host(scenario="sangria", speed=0) as venue, told(venue.rest) as (feed, heard):
        await until(lambda: len(heard) == 2)
        past, now = heard
        assert past.source == now.source == CMC
        assert len(past.rows) > 570 and [row.venue_ns for row in past.rows] == sorted(row.venue_ns for row in past.rows)
        assert past.rows[-1].venue_ns <= START_NS == now.rows[0].venue_ns
        venue.venue.advance(60_000_000_000, 0)
        await until(lambda: len(heard) == 3)
        assert heard[2].rows[0].venue_ns == START_NS + 60_000_000_000
        assert feed.problem == ""


async def test_coingecko_needs_no_key_and_tells_a_sample_once() -> None:
    async with host(speed=0) as venue, told(venue.rest, GECKO, "") as (feed, heard):
        await until(lambda: heard)
        await asyncio.sleep(0.3)
        assert [len(sample.rows) for sample in heard] == [1]
        row = heard[0].rows[0]
        expected = venue.venue.market.macro()[-1]  # type: ignore[attr-defined]
        assert (row.dominance, row.cap) == pytest.approx(expected[1:])
        assert feed.problem == ""


async def test_what_the_journal_has_is_not_asked_for_again() -> None:
    clock = Standing()
    async with host(speed=0) as venue, told(venue.rest, known_ns=START_NS - 1, clock=clock) as (_, heard):
        await until(lambda: heard)
        assert [len(sample.rows) for sample in heard] == [1]


async def test_the_sangria_of_the_practice_market_makes_the_engine_shark() -> None:
    engine = Engine(Directive(), Ledger())
    async with host(scenario="sangria", speed=0) as venue, told(venue.rest) as (_, heard):
        await until(lambda: len(heard) == 2)
    for sample in heard:
        engine.on(sample)
    view = engine.view(ViewRequest(), at_ns=heard[-1].at_ns, mono_ns=heard[-1].mono_ns)
    assert view.macro is Macro.SHARK
    told_of = view.macro_view
    assert (told_of.source, told_of.age_ms) == (CMC, 0)
    assert told_of.dominance_pt is not None and told_of.dominance_pt > 0.5
    assert told_of.cap_pct is not None and told_of.cap_pct < -1.0
    assert any(row.subject == "macro" and "UNKNOWN -> SHARK" in row.text for row in view.events)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"kind": "html"}, "CoinMarketCap: answered with a web page (403) instead of data"),
        ({"kind": "html", "status": 200}, "CoinMarketCap: answered with a web page (200) instead of data"),
        ({"kind": "refuse", "status": 429, "retry_after_s": 1}, "too many requests (429); asked to wait 1 s"),
        ({"kind": "refuse", "status": 500}, "CoinMarketCap: refused with 500"),
        ({"kind": "hang_before"}, "CoinMarketCap: no answer within 0.3 s"),
        ({"kind": "drop_before"}, "CoinMarketCap: connection lost (closed by the other side)"),
        ({"kind": "truncate"}, "CoinMarketCap: connection lost (cut short)"),
        ({"kind": "garbage", "body": NAN}, "CoinMarketCap: its answer is not of the form that is known"),
        ({"kind": "edit", "edit": {"data.btc_dominance": 0}}, "CoinMarketCap: its numbers cannot be"),
    ],
)
async def test_what_goes_wrong_is_said_in_one_line_and_passes(fault: dict[str, Any], says: str) -> None:
    faults = [Fault(on=f"GET {LATEST}", after=1, count=6, **fault)]
    async with host(speed=0, faults=faults) as venue, told(venue.rest, deadline_s=0.3) as (feed, heard):
        await until(lambda: len(heard) >= 2)
        await until(lambda: feed.problem)
        assert says in feed.problem and "\n" not in feed.problem
        told_before = len(heard)
        await until(lambda: not feed.problem)
        venue.venue.advance(60_000_000_000, 0)
        await until(lambda: len(heard) > told_before)


async def test_a_key_that_is_refused_is_said_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with host(speed=0) as venue, told(venue.rest, key=SECRET) as (feed, heard):
        await until(lambda: feed.problem)
        assert feed.problem == "CoinMarketCap: the key is refused (401): This API Key is invalid."
        assert heard == []
    assert SECRET not in caplog.text + repr(feed.__dict__)


async def test_a_source_that_echoes_the_key_does_not_put_it_on_the_screen() -> None:
    def echo(request: web.Request) -> web.Response:
        key = request.headers["X-CMC_PRO_API_KEY"]
        body = {"status": {"error_code": 1001, "error_message": f"[b]{key}[/b]\n\x1b[31m is wrong"}}
        return web.json_response(body, status=401)

    async with answering(echo) as url, told(url, key=SECRET) as (feed, _):
        await until(lambda: feed.problem)
        assert feed.problem == "CoinMarketCap: the key is refused (401): [b]***[/b][31m is wrong"


async def test_a_redirect_does_not_take_the_key_along() -> None:
    seen: list[str] = []

    def elsewhere(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(status=302, headers={"Location": "/stolen"})

    async with answering(elsewhere) as url, told(url, key=SECRET) as (feed, _):
        await until(lambda: feed.problem)
        assert "/stolen" not in seen


def cmc(**changes: Any) -> dict[str, Any]:
    usd = {"total_market_cap": 3.1e12, "last_updated": "2026-11-29T12:00:00.999Z"}
    data = {"btc_dominance": 57.2, "last_updated": "2026-11-29T12:00:00.999Z", "quote": {"USD": usd}}
    return {"status": {"error_code": "0", "error_message": None}, "data": data | changes}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (cmc(btc_dominance=None), "$.data.btc_dominance"),
        (cmc(btc_dominance="57.2"), "$.data.btc_dominance"),
        (cmc(btc_dominance=0), "its numbers cannot be: dominance 0,"),
        (cmc(btc_dominance=157.2), "its numbers cannot be"),
        (cmc(quote={"EUR": {}}), "$.data.quote"),
        (cmc(last_updated=None), "does not say of when"),
        (cmc(last_updated="yesterday"), "$.data.last_updated"),
        ({"data": []}, "$.data"),
        ([], "not of the form that is known"),
    ],
)
async def test_another_shape_is_named_by_its_place(body: Any, says: str) -> None:
    async with answering(lambda _: web.json_response(body)) as url, told(url) as (feed, heard):
        await until(lambda: feed.problem)
        assert says in feed.problem and len(feed.problem) < 260
        assert heard == []


async def test_the_shapes_that_the_sources_have_are_read() -> None:
    gecko = {
        "data": {
            "active_cryptocurrencies": 17_000, "markets": 1_200, "total_market_cap": {"usd": 3.1e12, "eur": 2.8e12},
            "market_cap_percentage": {"btc": 57.2, "eth": 11.9}, "updated_at": 1_795_953_600, "new": {"field": 1},
        }
    }  # fmt: skip
    for source, body in ((CMC, cmc()), (GECKO, gecko)):
        async with answering(lambda _, body=body: web.json_response(body)) as url, told(url, source) as (_, heard):
            await until(lambda heard=heard: heard)
            row = heard[0].rows[-1]
            assert (row.dominance, row.cap, row.venue_ns // 10**9) == (57.2, 3.1e12, 1_795_953_600)


async def test_a_body_without_end_is_cut_off() -> None:
    huge = json.dumps(cmc(notice="x" * (5 << 20))).encode()
    response = lambda _: web.Response(body=huge, content_type="application/json")  # noqa: E731
    async with answering(response) as url, told(url) as (feed, _):
        await until(lambda: feed.problem)
        assert feed.problem == "CoinMarketCap: its answer does not end"


async def test_a_plan_without_history_is_no_problem() -> None:
    faults = [Fault(on=f"GET {HISTORICAL}", kind="refuse", status=403)]
    async with host(speed=0, faults=faults) as venue, told(venue.rest) as (feed, heard):
        await until(lambda: heard)
        assert len(heard[0].rows) == 1 and feed.problem == ""


async def test_the_venues_faults_reach_the_free_source_too() -> None:
    faults = [Fault(on=f"GET {GLOBAL}", kind="html")]
    async with host(speed=0, faults=faults) as venue, told(venue.rest, GECKO, "") as (feed, _):
        await until(lambda: feed.problem)
        assert feed.problem == "CoinGecko: answered with a web page (403) instead of data"
