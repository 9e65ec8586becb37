"""`nexus download`: candles, trades and funding of the past as parquet. The same command again goes on, or is done."""

import argparse
import asyncio
import fcntl
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Final, TypeVar

import msgspec
import polars as pl

from nexus_engine.lab.parts import AGG_TRADES, FUNDING, HOUR, KINDS, KLINES, STEPS_MS, Series
from nexus_engine.model.config import BinanceConfig
from nexus_engine.model.secret import Secret
from nexus_engine.model.usage import Parser, UsageError
from nexus_engine.model.words import AccountKind, Outcome
from nexus_engine.runtime.clock import SystemClock
from nexus_engine.uplink.binance.outcomes import RATE_LIMIT, RestError
from nexus_engine.uplink.binance.replies import AggTradeRow, FullKline
from nexus_engine.uplink.binance.rest import FUNDING_RATES, BinanceRest, Endpoint
from nexus_engine.uplink.binance.settings import BinanceSettings, UplinkError, urls
from nexus_engine.uplink.stream import Backoff

TRIES: Final = 8
"""Of one page that brings no answer; what the venue's rate limit asks for does not count."""
SHARE: Final = 0.5
"""Of the address's request weight: an engine may run on the same address."""
LATE_MS: Final = 5_000
"""Trades may come to light this late, also those of a candle."""
SETTLED_MS: Final = 600_000
"""What the venue has not listed after this long is not there. What is younger and missing is asked for again."""
EARLIEST_MS: Final = 1_567_296_000_000
_MS: Final = 1_000_000
_PROGRESS_S: Final = 0.5

_Klines: Final = Endpoint("get", "klines", list[FullKline], weight=10, signed=False)
_Aggs: Final = Endpoint("get", "aggTrades", list[AggTradeRow], weight=20, signed=False)

T = TypeVar("T")
Rows = list[tuple[Any, ...]]


class DownloadError(Exception):
    """It cannot go on; the message is one line."""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one series."""

    kind: str
    symbol: str
    interval: str
    rows: int
    fetched: int
    gaps: int
    missing: int
    first_gap: str
    folder: str


class Pages:
    """Asks the venue page by page, as slowly as it wants. `limit` is rows a page; a venue may give less, so only a page
    that reaches the end, or has no rows, is the last.
    """

    def __init__(
        self,
        rest: BinanceRest,
        told: Callable[[str], None],
        rng: Random,
        limits: tuple[int, int, int] = (1_500, 1_000, 1_000),
    ) -> None:
        self._rest = rest
        self._told = told
        self._rng = rng
        self._limits = dict(zip((KLINES.name, AGG_TRADES.name, FUNDING.name), limits, strict=True))
        self.requests = 0

    async def ask(self, endpoint: Endpoint[T], params: dict[str, Any]) -> T:
        """One page. Raises DownloadError when the venue refuses it, or is silent for long."""
        backoff, tries = Backoff(self._rng), 0
        while True:
            try:
                self.requests += 1
                return await self._rest.call(endpoint, params)
            except RestError as error:
                asked_to_wait = error.code == RATE_LIMIT or error.status in (418, 429)
                if error.outcome is Outcome.REFUSED and not asked_to_wait and error.status < 500:
                    raise DownloadError(f"the venue refuses {endpoint.path} of {params['symbol']}: {error}") from None
                tries += not asked_to_wait
                if tries >= TRIES:
                    raise DownloadError(f"{self._rest.settings.rest_url}: {error}; the same command goes on") from None
                wait_s = max(error.retry_after_s, backoff.next_s())
                self._told(f"{error}; again in {wait_s:.0f} s")
                await asyncio.sleep(wait_s)

    def of(self, series: Series, start_ms: int, end_ms: int) -> AsyncIterator[Rows]:
        """The pages of a window, oldest first."""
        return {KLINES.name: self._klines, AGG_TRADES.name: self._aggs, FUNDING.name: self._funding}[series.kind.name](
            series, start_ms, end_ms
        )

    async def _klines(self, series: Series, start_ms: int, end_ms: int) -> AsyncIterator[Rows]:
        limit, step = self._limits[KLINES.name], STEPS_MS[series.interval]
        while start_ms < end_ms:
            params = {"symbol": series.symbol, "interval": series.interval, "limit": limit}
            rows = await self.ask(_Klines, params | {"startTime": start_ms, "endTime": end_ms - 1})
            if not rows:
                return
            yield [
                (
                    row.open_ms, row.open, row.high, row.low, row.close, row.volume, row.quote_volume, row.trades,
                    row.taker_buy_volume, row.taker_buy_quote_volume,
                )
                for row in rows
                if start_ms <= row.open_ms < end_ms
            ]  # fmt: skip
            start_ms = _onward(start_ms, rows[-1].open_ms + step)

    async def _aggs(self, series: Series, start_ms: int, end_ms: int) -> AsyncIterator[Rows]:
        base, next_id = {"symbol": series.symbol, "limit": self._limits[AGG_TRADES.name]}, 0
        # the venue takes a window of less than an hour, and no window beside an id
        rows = await self.ask(_Aggs, base | {"startTime": start_ms, "endTime": min(end_ms, start_ms + HOUR) - 1})
        while rows:
            fitting = [row for row in rows if start_ms <= row.T < end_ms]
            yield [(row.a, row.T, row.p, row.q, row.f, row.l, row.m) for row in fitting]
            if end_ms <= rows[-1].T:
                return
            next_id = _onward(next_id, rows[-1].a + 1)
            rows = await self.ask(_Aggs, base | {"fromId": next_id})

    async def _funding(self, series: Series, start_ms: int, end_ms: int) -> AsyncIterator[Rows]:
        limit = self._limits[FUNDING.name]
        while start_ms < end_ms:
            params = {"symbol": series.symbol, "startTime": start_ms, "endTime": end_ms - 1, "limit": limit}
            rows = await self.ask(FUNDING_RATES, params)
            if not rows:
                return
            yield [
                (row.funding_time, row.funding_rate, float(row.mark_price) if row.mark_price else None)
                for row in rows
                if start_ms <= row.funding_time < end_ms
            ]
            start_ms = _onward(start_ms, rows[-1].funding_time + 1)


def _onward(asked: int, following: int) -> int:
    """Where the next page begins, by time or by id."""
    if following <= asked:
        raise DownloadError("the venue answers with rows that were not asked for; nothing more was stored")
    return following


async def fetch(
    series: Series, pages: Pages, start_ms: int, end_ms: int, now_ms: int, told: Callable[[str, int, float], None]
) -> Done:
    """Bring the range of a series up to date. `told` hears the part, rows so far, and the share that is done."""
    end_ms = closed_until(series, end_ms, now_ms)
    fetched = 0
    for name, start, end in series.windows(start_ms, end_ms):
        begin, finish = series.missing(name, start, end)
        if begin >= finish:
            continue
        rows: Rows = []
        had = series.rows_of(name)
        async for page in pages.of(series, begin, finish):
            rows += page
            told(name, fetched + len(rows), max(0, begin - start_ms) / max(1, end_ms - start_ms))
        known = known_until(series, begin, finish, rows, now_ms)
        if rows or known > begin:
            series.store(name, begin, known, rows)
        fetched += series.rows_of(name) - had
    gaps = series.gaps(start_ms, end_ms)
    return Done(
        kind=series.kind.name, symbol=series.symbol, interval=series.interval, rows=series.rows(start_ms, end_ms),
        fetched=fetched, gaps=len(gaps), missing=sum(gap.missing for gap in gaps),
        first_gap=_gap(series, gaps[0].after, gaps[0].before) if gaps else "", folder=str(series.folder),
    )  # fmt: skip


def closed_until(series: Series, end_ms: int, now_ms: int) -> int:
    """The end of what can no longer change: a candle that is still open is not stored."""
    step = series.kind.step(series.interval)
    if series.kind is KLINES and step:
        return min(end_ms, (now_ms - LATE_MS) // step * step)
    return min(end_ms, now_ms - LATE_MS)


def known_until(series: Series, start_ms: int, end_ms: int, rows: Rows, now_ms: int) -> int:
    """How far what was fetched can be believed: to the end, but of the newest minutes not past the last row."""
    if rows and series.kind is AGG_TRADES:
        last_ms = int(rows[-1][1])  # there may be more in its millisecond
    elif rows:
        last_ms = int(rows[-1][0]) + (series.kind.step(series.interval) or 1)
    else:
        last_ms = start_ms
    return min(end_ms, max(last_ms, now_ms - SETTLED_MS))


def _gap(series: Series, after: int, before: int) -> str:
    return f"{_utc(after)} to {_utc(before)}" if series.kind.keyed_by_time else f"id {after} to {before}"


# ---- the command -----------------------------------------------------------------------------------------------------


def main(argv: Sequence[str]) -> int:
    """0: all is there; 1: venue or disk ended it, and the same command goes on; 2: bad usage, one line on stderr."""
    try:
        given = _parser().parse_args(argv)
        return asyncio.run(_run(given))
    except UsageError as error:
        return _say(error, 2)
    except (DownloadError, OSError, pl.exceptions.PolarsError) as error:
        return _say(error, 1)
    except KeyboardInterrupt:
        return _say("stopped; the same command goes on", 130)
    except SystemExit as stop:
        return int(stop.code or 0)


def _say(text: object, code: int) -> int:
    sys.stderr.write(f"\nnexus download: {text}\n" if sys.stderr.isatty() else f"nexus download: {text}\n")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="nexus download", description=__doc__, allow_abbrev=False)
    parser.add_argument("what", nargs="*", metavar="KIND", help=f"{', '.join(KINDS)} (klines)")
    parser.add_argument("--symbols", type=_list, metavar="A,B", help="which (those of the default directive)")
    parser.add_argument("--intervals", type=_list, default=["1m"], metavar="1m,5m", help="of klines (1m)")
    parser.add_argument(
        "--from", dest="start", type=_time, required=True, metavar="DATE", help="2024-01-31[T15:00] UTC"
    )
    parser.add_argument("--to", dest="end", type=_time, metavar="DATE", help="up to, not including (now)")
    parser.add_argument("--out", type=Path, default=Path("data"), metavar="DIR", help="where to (data)")
    parser.add_argument("--url", default="", help="another REST address than the venue's, without a path")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, progress as JSON on stderr")
    return parser


def _list(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _time(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date like 2024-01-31 or 2024-01-31T15:00") from None
    at_ms = round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1e3)
    if at_ms < EARLIEST_MS:
        raise argparse.ArgumentTypeError(f"{text!r} lies before the venue's first day, 2019-09-01")
    return at_ms


def _checked(given: argparse.Namespace) -> None:
    for what in given.what:
        if what not in KINDS:
            raise UsageError(f"{what!r}: is none of {', '.join(KINDS)}")
    for interval in given.intervals:
        if interval not in STEPS_MS:
            raise UsageError(f"--intervals {interval}: is none of {', '.join(STEPS_MS)}")
    if given.url and not given.url.startswith(("http://", "https://")):
        raise UsageError(f"--url {given.url}: begins with http:// or https://")
    if given.end is not None and given.end <= given.start:
        raise UsageError("--to is not after --from")


async def _run(given: argparse.Namespace) -> int:
    _checked(given)
    clock = SystemClock()
    symbols = tuple(given.symbols or BinanceConfig().symbols)
    url = given.url or urls(AccountKind.PAPER, BinanceConfig()).rest
    none = Secret("")
    rest = BinanceRest(
        BinanceSettings(
            rest_url=url, ws_url="", api_key=none, api_secret=none, symbols=symbols, intervals=(), warmup_bars=1,
            leverage=1,
        ),
        clock,
    )  # fmt: skip
    lock = _only_one(given.out)
    progress = Progress(as_json=given.json)
    await rest.open()
    try:
        pages = Pages(rest, progress.note, Random())
        await _listed(rest, progress)
        now_ms = (clock.utc_ns() + rest.clock_skew_ns()) // _MS
        if given.start >= now_ms:
            raise UsageError("--from is not in the past")
        end_ms = now_ms if given.end is None else given.end
        done = []
        for kind in given.what or ["klines"]:
            for symbol in symbols:
                for interval in given.intervals if kind == KLINES.name else [""]:
                    series = Series(given.out, KINDS[kind], symbol, interval)
                    told = progress.series(series.name)
                    done.append(await fetch(series, pages, given.start, end_ms, now_ms, told))
                    progress.finished(done[-1])
    finally:
        await rest.close()
        os.close(lock)
    progress.end(done, pages.requests)
    return 0


async def _listed(rest: BinanceRest, progress: "Progress") -> None:
    """The venue answers, lists every symbol, and its clock is known. Raises DownloadError, UsageError."""
    backoff = Backoff(Random())
    for tries in range(1, TRIES + 1):
        try:
            await rest.sync_clock()
            await rest.instruments()
            break
        except RestError as error:
            if tries == TRIES:
                raise DownloadError(f"{rest.settings.rest_url}: {error}") from None
            progress.note(str(error))
            await asyncio.sleep(max(error.retry_after_s, backoff.next_s()))
        except UplinkError as error:
            raise UsageError(f"--symbols: {error}") from None
    if rest.unlisted:
        raise UsageError(f"--symbols: the venue does not list {', '.join(rest.unlisted)}")
    rest.budget.limit = int(rest.budget.limit * SHARE)


def _only_one(out: Path) -> int:
    """Two of us in one folder would write over each other. Raises UsageError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        fd = os.open(out / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be written ({error.strerror})") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise UsageError(f"--out {out}: another download is writing there") from None
    return fd


class Progress:
    """On stderr: one line that is written over on a terminal, JSON lines for a program, a line a series for a log."""

    def __init__(self, *, as_json: bool) -> None:
        self._json = as_json
        self._live = sys.stderr.isatty() and not as_json
        self._said_s = 0.0

    def series(self, name: str) -> Callable[[str, int, float], None]:
        def told(part: str, rows: int, share: float) -> None:
            if (now := time.monotonic()) - self._said_s < _PROGRESS_S:
                return
            self._said_s = now
            if self._json:
                self._put({"series": name, "part": part, "rows": rows, "share": round(share, 4)})
            elif self._live:
                sys.stderr.write(f"\r\x1b[K{name}  {part}  {rows:,} rows  {share:.0%}")
                sys.stderr.flush()

        return told

    def note(self, text: str) -> None:
        """Why it waits."""
        if self._json:
            self._put({"note": text})
        else:
            sys.stderr.write(f"\r\x1b[K{text}" if self._live else f"{text}\n")
            sys.stderr.flush()

    def finished(self, done: Done) -> None:
        if self._json:
            self._put({"done": msgspec.to_builtins(done)})
            return
        gaps = f"{done.gaps} gaps, {done.missing:,} rows missing, first {done.first_gap}" if done.gaps else "no gap"
        name = " ".join(filter(None, (done.kind, done.symbol, done.interval)))
        line = f"{name}  {done.rows:,} rows, {done.fetched:,} of them new  {gaps}"
        sys.stderr.write(f"\r\x1b[K{line}\n" if self._live else f"{line}\n")

    def end(self, done: Sequence[Done], requests: int) -> None:
        if self._json:
            sys.stdout.write(json.dumps({"series": msgspec.to_builtins(list(done)), "requests": requests}) + "\n")
        else:
            for folder in dict.fromkeys(one.folder for one in done):
                sys.stdout.write(f"{folder}\n")

    def _put(self, data: dict[str, Any]) -> None:
        sys.stderr.write(json.dumps(data) + "\n")
        sys.stderr.flush()


def _utc(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1e3, UTC):%Y-%m-%d %H:%M}"
