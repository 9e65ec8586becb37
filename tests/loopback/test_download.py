"""`nexus download` against a venue: what is on disk is what the venue has, however often it was stopped on the way."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from venue_host import START_NS, Host, host

from nexus_engine.lab import download, parts
from nexus_engine.lab.download import Done, Pages, fetch
from nexus_engine.lab.parts import AGG_TRADES, FUNDING, KLINES, Gap, Series
from nexus_engine.model.secret import Secret
from nexus_engine.runtime.clock import SystemClock
from nexus_engine.sim.faults import Fault
from nexus_engine.sim.wire import FundingPaid
from nexus_engine.uplink.binance.rest import BinanceRest
from nexus_engine.uplink.binance.settings import BinanceSettings

START_MS = START_NS // 1_000_000
DAY = 86_400_000
MINUTE = 60_000
NOW_MS = START_MS + DAY
SYMBOL = "BTCUSDT"


class Killed(BaseException):
    """The process is gone."""


def nothing(*_: object) -> None:
    """Nobody looks at the progress."""


class Client:
    def __init__(self, venue: Host, limits: tuple[int, int, int]) -> None:
        none = Secret("")
        settings = BinanceSettings(
            rest_url=venue.rest, ws_url="", api_key=none, api_secret=none, symbols=(SYMBOL,), intervals=(),
            warmup_bars=1, leverage=1,
        )  # fmt: skip
        self.rest = BinanceRest(settings, SystemClock())
        self.notes: list[str] = []
        self.pages = Pages(self.rest, self.notes.append, Random(1), limits)

    async def __aenter__(self) -> "Client":
        await self.rest.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.rest.close()

    async def get(self, series: Series, start_ms: int, end_ms: int, now_ms: int = NOW_MS) -> Done:
        return await fetch(series, self.pages, start_ms, end_ms, now_ms, nothing)


def stored(root: Path, kind: parts.Kind, interval: str = "") -> pl.DataFrame:
    return pl.read_parquet(root / kind.name / SYMBOL / interval / "*.parquet").sort(kind.key)


async def klines(venue: Host, start_ms: int, end_ms: int, interval: str = "1m") -> list[list[Any]]:
    rows: list[list[Any]] = await venue.ok(
        "GET", "/fapi/v1/klines", signed=False, symbol=SYMBOL, interval=interval, startTime=start_ms,
        endTime=end_ms - 1, limit=1500,
    )  # fmt: skip
    return rows


async def test_candles_are_what_the_venue_has_closed_ones_only_and_a_second_run_asks_nothing(tmp_path: Path) -> None:
    start = START_MS - 20 * 3_600_000
    async with host(speed=0) as venue, Client(venue, (100, 100, 100)) as client:
        now = START_MS + 30_000  # half a minute into a candle
        done = await client.get(Series(tmp_path, KLINES, SYMBOL, "1m"), start, NOW_MS, now)
        asked = client.pages.requests
        told = await klines(venue, start, NOW_MS)
        again = await client.get(Series(tmp_path, KLINES, SYMBOL, "1m"), start, NOW_MS, now)
        assert client.pages.requests == asked and asked > 10
    frame = stored(tmp_path, KLINES, "1m")
    closed = [row for row in told if row[0] + MINUTE <= now]
    assert len(closed) < len(told)
    assert frame["open_time"].cast(pl.Int64).to_list() == [row[0] for row in closed]
    for column, index in (("open", 1), ("high", 2), ("low", 3), ("close", 4), ("volume", 5), ("quote_volume", 7)):
        assert frame[column].to_list() == [float(row[index]) for row in closed]
    assert (done.rows, done.fetched, done.gaps) == (frame.height, frame.height, 0)
    assert (again.rows, again.fetched, again.gaps) == (frame.height, 0, 0)


async def test_what_has_happened_since_is_added_and_nothing_is_asked_twice(tmp_path: Path) -> None:
    start = START_MS - 3_600_000
    async with host(speed=0) as venue, Client(venue, (1500, 1000, 1000)) as client:
        first = await client.get(Series(tmp_path, KLINES, SYMBOL, "1m"), start, NOW_MS, START_MS - 1_800_000)
        second = await client.get(Series(tmp_path, KLINES, SYMBOL, "1m"), start, NOW_MS, START_MS)
        earlier = await client.get(Series(tmp_path, KLINES, SYMBOL, "1m"), start - 600_000, NOW_MS, START_MS)
    assert first.rows + second.fetched == second.rows and second.fetched
    assert earlier.rows == earlier.fetched == second.rows + 10
    assert stored(tmp_path, KLINES, "1m").height == earlier.rows


@pytest.mark.parametrize("kind", [KLINES, FUNDING], ids=lambda kind: kind.name)
async def test_what_lies_between_two_ranges_is_never_taken_for_there(tmp_path: Path, kind: parts.Kind) -> None:
    day = START_MS // DAY * DAY - 12 * DAY  # all of it in one month, and in one year
    interval = "1h" if kind is KLINES else ""
    async with host(speed=0) as venue, Client(venue, (1500, 1000, 1000)) as client:
        venue.venue.funding_paid.extend(
            FundingPaid(SYMBOL, 1e-4, 9e4, (day + i * 8 * 3_600_000) * 1_000_000) for i in range(-24, 0)
        )
        series = Series(tmp_path, kind, SYMBOL, interval)
        await client.get(series, day - 8 * DAY, day - 6 * DAY)
        await client.get(series, day - 3 * DAY, day - DAY)
        await client.get(series, day - 8 * DAY, day - DAY)
        whole = await client.get(Series(tmp_path / "at once", kind, SYMBOL, interval), day - 8 * DAY, day - DAY)
    assert whole.rows == 7 * (24 if kind is KLINES else 3)
    assert stored(tmp_path, kind, interval).equals(stored(tmp_path / "at once", kind, interval))


@pytest.mark.parametrize("kind", [KLINES, AGG_TRADES, FUNDING], ids=lambda kind: kind.name)
async def test_a_venue_that_gives_less_a_page_than_was_asked_for_has_told_its_rows_all_the_same(
    tmp_path: Path, kind: parts.Kind
) -> None:
    """Mirrors cap a page as they like; only a page without rows, or one that reaches the end, is the last."""
    interval = "1m" if kind is KLINES else ""
    async with host(speed=0) as venue, Client(venue, (100, 100, 100)) as client:
        for _ in range(15):
            venue.venue.advance(1_000_000_000, time.time_ns())
            venue.venue.publish(SYMBOL)
        first = venue.venue.aggregates(SYMBOL)[0].at_ns // 1_000_000
        venue.venue.funding_paid.extend(
            FundingPaid(SYMBOL, 1e-4, 9e4, START_NS + i * 28_800_000_000_000) for i in range(-30, 0)
        )
        start = {KLINES.name: START_MS - 10 * 3_600_000, AGG_TRADES.name: first, FUNDING.name: START_MS - 12 * DAY}
        whole = await client.get(Series(tmp_path / "whole", kind, SYMBOL, interval), start[kind.name], NOW_MS)
        ask = client.pages.ask

        async def capped(endpoint: Any, params: dict[str, Any]) -> Any:
            return (await ask(endpoint, params))[:7]

        client.pages.ask = capped  # type: ignore[assignment,method-assign]
        done = await client.get(Series(tmp_path / "capped", kind, SYMBOL, interval), start[kind.name], NOW_MS)
    assert done.rows == whole.rows > 20
    assert stored(tmp_path / "capped", kind, interval).equals(stored(tmp_path / "whole", kind, interval))


@pytest.mark.parametrize("kind", [KLINES, AGG_TRADES, FUNDING], ids=lambda kind: kind.name)
async def test_what_the_venue_lists_late_is_asked_for_again(tmp_path: Path, kind: parts.Kind) -> None:
    """A closed candle, trades and a funding can take the venue minutes to list: its end is not believed at once."""
    interval = "1m" if kind is KLINES else ""
    async with host(speed=0) as venue, Client(venue, (1500, 1000, 1000)) as client:
        for _ in range(90):
            venue.venue.advance(1_000_000_000, time.time_ns())
            venue.venue.publish(SYMBOL)
        now = venue.venue.market.now_ns // 1_000_000
        venue.venue.funding_paid.extend(
            FundingPaid(SYMBOL, 1e-4, 9e4, at_ms * 1_000_000) for at_ms in (now - 8 * 3_600_000, now - 30_000)
        )
        start = now - DAY if kind is FUNDING else now - 3_600_000 // 2
        real, hidden = client.pages.of, now - 60_000

        async def late(series: Series, start_ms: int, end_ms: int) -> AsyncIterator[download.Rows]:
            key = 1 if kind is AGG_TRADES else 0
            async for page in real(series, start_ms, end_ms):
                yield [row for row in page if row[key] + (MINUTE if kind is KLINES else 0) <= hidden]

        client.pages.of = late  # type: ignore[assignment,method-assign]
        first = await client.get(Series(tmp_path, kind, SYMBOL, interval), start, now, now)
        client.pages.of = real  # type: ignore[method-assign]
        second = await client.get(Series(tmp_path, kind, SYMBOL, interval), start, now, now)
        assert first.rows < second.rows
        later = now + 2 * download.SETTLED_MS
        await client.get(Series(tmp_path, kind, SYMBOL, interval), start, now, later)
        asked = client.pages.requests
        await client.get(Series(tmp_path, kind, SYMBOL, interval), start, now, later)
        assert client.pages.requests == asked  # by now it is settled, and nobody asks any more
        await client.get(Series(tmp_path / "at once", kind, SYMBOL, interval), start, now, later)
    assert stored(tmp_path, kind, interval).equals(stored(tmp_path / "at once", kind, interval))


def test_a_candle_is_left_until_no_trade_of_it_can_come_to_light(tmp_path: Path) -> None:
    series = Series(tmp_path, KLINES, SYMBOL, "1m")
    minute = START_MS // MINUTE * MINUTE
    assert download.closed_until(series, NOW_MS, minute + 1) == minute - MINUTE
    assert download.closed_until(series, NOW_MS, minute + download.LATE_MS) == minute


async def test_trades_follow_their_ids_without_a_hole_and_funding_comes_with_its_mark(tmp_path: Path) -> None:
    async with host(speed=0) as venue, Client(venue, (100, 50, 2)) as client:
        for _ in range(120):
            venue.venue.advance(1_000_000_000, time.time_ns())
            venue.venue.publish(SYMBOL)
        told = list(venue.venue.aggregates(SYMBOL))
        start = told[0].at_ns // 1_000_000
        done = await client.get(Series(tmp_path, AGG_TRADES, SYMBOL), start, NOW_MS)
        assert client.pages.requests > 7
        paid = [FundingPaid(SYMBOL, 1e-4 * i, 9e4 + i, START_NS + i * 28_800_000_000_000) for i in range(3)]
        venue.venue.funding_paid.extend(paid)
        await client.get(Series(tmp_path, FUNDING, SYMBOL), START_MS, NOW_MS)
    frame = stored(tmp_path, AGG_TRADES)
    assert frame["id"].to_list() == [row.trade_id for row in told]
    assert frame["time"].cast(pl.Int64).to_list() == [row.at_ns // 1_000_000 for row in told]
    assert done.gaps == 0 and done.rows == len(told)
    funding = stored(tmp_path, FUNDING)
    assert funding["rate"].to_list() == [round(row.rate, 8) for row in paid]
    assert funding["mark_price"].to_list() == pytest.approx([row.mark for row in paid])


# ---- kills -----------------------------------------------------------------------------------------------------------


async def test_killed_at_any_write_the_next_run_ends_with_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, end = START_MS - 9 * 3_600_000, START_MS
    monkeypatch.setattr(
        parts, "KLINES", parts.msgspec.structs.replace(KLINES, period=parts.AGG_TRADES.period)
    )  # many small parts
    kind = parts.KLINES
    async with host(speed=0) as venue, Client(venue, (50, 50, 50)) as client:
        await client.get(Series(tmp_path / "whole", kind, SYMBOL, "1m"), start, end)
        whole = stored(tmp_path / "whole", kind, "1m")
        for kill_at in range(2, 40, 5):
            root = tmp_path / str(kill_at)
            with monkeypatch.context() as broken:
                _kill_at(broken, kill_at)
                with pytest.raises(Killed):
                    await client.get(Series(root, kind, SYMBOL, "1m"), start, end)
            done = await client.get(Series(root, kind, SYMBOL, "1m"), start, end)
            assert stored(root, kind, "1m").equals(whole)
            assert not list(root.rglob("*.new"))
            if kill_at > 12:  # the first part is empty
                assert done.fetched < done.rows  # it went on, and did not begin again


def _kill_at(patch: pytest.MonkeyPatch, number: int) -> None:
    """The process ends at its n-th step on the disk: before a sync, or before or after a rename."""
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        if steps == number:
            raise Killed

    def wrapped(real: Callable[..., Any], *, after: bool) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            step()
            answer = real(*args, **kwargs)
            if after:
                step()
            return answer

        return call

    patch.setattr(os, "fsync", wrapped(os.fsync, after=False))
    patch.setattr(Path, "replace", wrapped(Path.replace, after=True))


async def test_a_process_that_is_killed_for_real_goes_on_where_it_was(tmp_path: Path) -> None:
    slow = Fault(on="GET /fapi/v1/klines", kind="delay", delay_ms=150, count=0)
    start = START_MS - 20 * DAY
    words = [
        *("download", "klines", "--symbols", SYMBOL, "--intervals", "5m,15m,30m,1h", "--json"),
        *("--from", _iso(start), "--to", _iso(START_MS - DAY), "--out", str(tmp_path)),
    ]
    async with host(faults=[slow]) as venue:
        command = (sys.executable, "-m", "nexus_engine.cli", *words, "--url", venue.rest)
        pipe = asyncio.subprocess.PIPE
        first = await asyncio.create_subprocess_exec(*command, stderr=pipe, stdout=pipe)
        assert first.stderr is not None
        async with asyncio.timeout(30):
            while b'"done"' not in await first.stderr.readline():
                assert first.returncode is None
        first.send_signal(signal.SIGKILL)
        await first.wait()
        second = await asyncio.create_subprocess_exec(*command, stderr=pipe, stdout=pipe)
        out, err = await second.communicate()
        told = await klines(venue, START_MS - 3 * DAY, START_MS - DAY, "15m")
    assert second.returncode == 0, err
    done = json.loads(out)["series"]
    assert [one["interval"] for one in done] == ["5m", "15m", "30m", "1h"]
    assert done[0]["fetched"] == 0 and sum(one["fetched"] for one in done) > 0
    frame = stored(tmp_path, KLINES, "15m")
    assert frame["open_time"].cast(pl.Int64).to_list()[-len(told) :] == [row[0] for row in told]


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1e3, UTC).strftime("%Y-%m-%dT%H:%M:%S")


# ---- the venue's moods -----------------------------------------------------------------------------------------------


async def test_the_venues_limits_are_waited_for_and_its_stumbles_are_asked_again(tmp_path: Path) -> None:
    where = "GET /fapi/v1/klines"
    faults = [
        Fault(on=where, kind="too_many", after=1, retry_after_s=1),
        Fault(on=where, kind="internal", after=2),
        Fault(on=where, kind="drop_before", after=3),
        Fault(on=where, kind="truncate", after=4),
    ]
    async with host(speed=0, faults=faults) as venue, Client(venue, (100, 100, 100)) as client:
        loop = asyncio.get_running_loop()
        began = loop.time()
        done = await client.get(Series(tmp_path, KLINES, SYMBOL, "1m"), START_MS - 12 * 3_600_000, START_MS)
        assert loop.time() - began >= 1.0
    assert (done.rows, done.gaps) == (720, 0)
    assert any("-1003" in note and "again in 1 s" in note for note in client.notes)
    assert len(client.notes) >= 3  # aiohttp itself asks once more after a drop


async def test_a_venue_that_stays_away_ends_it_with_one_line_and_what_there_was_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download.Backoff, "next_s", lambda self: 0.0)
    fault = Fault(on="GET /fapi/v1/klines", kind="internal", after=7, count=0)
    start = START_MS - 40 * DAY
    async with host(speed=0, faults=[fault]) as venue, Client(venue, (100, 100, 100)) as client:
        with pytest.raises(download.DownloadError, match="the same command goes on"):
            await client.get(Series(tmp_path, KLINES, SYMBOL, "1h"), start, START_MS)
        asked = client.pages.requests
    assert asked == 7 + download.TRIES
    assert stored(tmp_path, KLINES, "1h").height > 0


async def test_what_the_venue_does_not_have_is_reported(tmp_path: Path) -> None:
    start = START_MS - 6 * 3_600_000
    first_ms = -(-start // MINUTE) * MINUTE
    series = Series(tmp_path, KLINES, SYMBOL, "1m")

    async def holes(series: Series, start_ms: int, end_ms: int) -> AsyncIterator[download.Rows]:
        async for page in real(series, start_ms, end_ms):
            yield [row for row in page if (row[0] - first_ms) // MINUTE not in (0, 1, 100, 200, 201, 202, 358)]

    async with host(speed=0) as venue, Client(venue, (100, 100, 100)) as client:
        real = client.pages.of
        client.pages.of = holes  # type: ignore[assignment,method-assign]
        done = await client.get(series, first_ms, first_ms + 360 * MINUTE, START_MS)
    assert (done.gaps, done.missing) == (4, 7)
    gaps = series.gaps(first_ms, first_ms + 360 * MINUTE)
    assert gaps[1] == Gap(first_ms + 99 * MINUTE, first_ms + 101 * MINUTE, 1)


async def test_rows_that_come_twice_are_stored_once(tmp_path: Path) -> None:
    start = START_MS - 6 * 3_600_000

    async def twice(series: Series, start_ms: int, end_ms: int) -> AsyncIterator[download.Rows]:
        async for page in real(series, start_ms, end_ms):
            yield page
            yield page[-10:]

    async with host(speed=0) as venue, Client(venue, (100, 100, 100)) as client:
        real = client.pages.of
        client.pages.of = twice  # type: ignore[assignment,method-assign]
        done = await client.get(Series(tmp_path, KLINES, SYMBOL, "1m"), start, START_MS)
    frame = stored(tmp_path, KLINES, "1m")
    assert frame["open_time"].is_unique().all() and frame["open_time"].is_sorted()
    assert (done.rows, done.gaps) == (frame.height, 0)


@pytest.mark.parametrize("harm", ["torn", "gone", "shorter", "index"])
async def test_what_was_damaged_on_the_disk_is_fetched_again(tmp_path: Path, harm: str) -> None:
    start = START_MS - 6 * 3_600_000
    async with host(speed=0) as venue, Client(venue, (500, 100, 100)) as client:
        first = await client.get(Series(tmp_path, KLINES, SYMBOL, "1m"), start, START_MS)
        whole = stored(tmp_path, KLINES, "1m")
        damage(tmp_path / "klines" / SYMBOL / "1m", harm)
        again = await client.get(Series(tmp_path, KLINES, SYMBOL, "1m"), start, START_MS)
    assert again.fetched == first.rows and stored(tmp_path, KLINES, "1m").equals(whole)


def damage(folder: Path, harm: str) -> None:
    (file,) = folder.glob("*.parquet")
    if harm == "torn":
        file.write_bytes(file.read_bytes()[:-100])
    elif harm == "gone":
        file.unlink()
    elif harm == "shorter":
        pl.read_parquet(file).head(10).write_parquet(file)
    else:
        (folder / "index.json").write_text("{")


# ---- the command -----------------------------------------------------------------------------------------------------


async def test_the_command_says_what_is_wrong_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["--from", "2026-11-20", "--out", str(tmp_path)]
    async with host(speed=0) as venue:
        url = ["--url", venue.rest]
        for words, code, told in (
            ([*base, *url, "candles"], 2, "'candles': is none of klines, aggTrades, funding"),
            ([*base, *url, "--intervals", "7m"], 2, "--intervals 7m: is none of 1m, 3m"),
            ([*base, *url, "--symbols", "FOOUSDT"], 2, "the venue does not list FOOUSDT"),
            ([*base, *url, "--symbols", "BTCUSDT,FOOUSDT"], 2, "the venue does not list FOOUSDT"),
            ([*base, "--url", "127.0.0.1"], 2, "begins with http://"),
            ([*base, *url, "--to", "2026-11-19"], 2, "--to is not after --from"),
            (["--from", "yesterday", *url], 2, "'yesterday' is no date like 2024-01-31"),
            (["--from", "0001-01-01", *url], 2, "before the venue's first day"),
            (["--from", "9999-12-31", "--out", str(tmp_path), *url], 2, "--from is not in the past"),
            ([*base, *url, "--out", "/proc/nowhere"], 2, "cannot be written"),
        ):
            assert await asyncio.to_thread(download.main, words) == code
            captured = capsys.readouterr()
            assert told in captured.err and captured.err.count("\n") == 1 and captured.out == "", captured.err


async def test_two_downloads_into_one_folder_are_one_too_many(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = download._only_one(tmp_path)
    assert await asyncio.to_thread(download.main, ["--from", "2026-11-20", "--out", str(tmp_path)]) == 2
    assert "another download is writing there" in capsys.readouterr().err
    os.close(held)
