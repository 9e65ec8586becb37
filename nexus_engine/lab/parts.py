"""A series of the past on disk: one parquet file a period, and an index of what each of them covers.

A file is replaced whole and then entered into the index, so a process that is killed leaves what it had finished, and
what it had begun is fetched again. All times are milliseconds UTC; an end is exclusive.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl

INDEX: Final = "index.json"
_NEW: Final = ".new"
MOST_GAPS: Final = 1_000
_TIME: Final = pl.Datetime("ms")

HOUR: Final = 3_600_000


class Gap(msgspec.Struct, frozen=True):
    """Rows that the venue does not have, between two that it has: by open time of candles, by id of trades."""

    after: int
    before: int
    missing: int


class Part(msgspec.Struct, frozen=True):
    """What a file covers and holds. `first`, `last` are keys, None without rows."""

    start_ms: int
    end_ms: int
    rows: int
    first: int | None
    last: int | None
    gaps: tuple[Gap, ...] = ()


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of series. `key` rises by `step` from row to row (None: by any amount); `period` names the part that a
    time falls into."""

    name: str
    schema: dict[str, Any]
    key: str
    period: Callable[[int], tuple[str, int, int]]
    step: Callable[[str], int | None]
    keyed_by_time: bool = True


def _month(at_ms: int) -> tuple[str, int, int]:
    at = datetime.fromtimestamp(at_ms / 1e3, UTC)
    following = datetime(at.year + at.month // 12, at.month % 12 + 1, 1, tzinfo=UTC)
    return f"{at:%Y-%m}", _ms(datetime(at.year, at.month, 1, tzinfo=UTC)), _ms(following)


def _year(at_ms: int) -> tuple[str, int, int]:
    year = datetime.fromtimestamp(at_ms / 1e3, UTC).year
    return str(year), _ms(datetime(year, 1, 1, tzinfo=UTC)), _ms(datetime(year + 1, 1, 1, tzinfo=UTC))


def _hour(at_ms: int) -> tuple[str, int, int]:
    start = at_ms // HOUR * HOUR
    return f"{datetime.fromtimestamp(start / 1e3, UTC):%Y-%m-%dT%H}", start, start + HOUR


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1e3)


_PRICES: Final = dict.fromkeys(("open", "high", "low", "close", "volume", "quote_volume"), pl.Float64)
STEPS_MS: Final = {
    f"{count}{unit}": count * size
    for unit, size, counts in (
        ("m", 60_000, (1, 3, 5, 15, 30)),
        ("h", HOUR, (1, 2, 4, 6, 8, 12)),
        ("d", 24 * HOUR, (1,)),
    )
    for count in counts
}
KLINES: Final = Kind(
    name="klines",
    schema={"open_time": _TIME, **_PRICES, "trades": pl.Int64, "taker_buy_volume": pl.Float64,
            "taker_buy_quote_volume": pl.Float64},
    key="open_time",
    period=_month,
    step=lambda interval: STEPS_MS[interval],
)  # fmt: skip
AGG_TRADES: Final = Kind(
    name="aggTrades",
    schema={"id": pl.Int64, "time": _TIME, "price": pl.Float64, "qty": pl.Float64, "first_id": pl.Int64,
            "last_id": pl.Int64, "buyer_is_maker": pl.Boolean},
    key="id",
    period=_hour,
    step=lambda interval: 1,
    keyed_by_time=False,
)  # fmt: skip
FUNDING: Final = Kind(
    name="funding",
    schema={"time": _TIME, "rate": pl.Float64, "mark_price": pl.Float64},
    key="time",
    period=_year,
    step=lambda interval: None,
)
KINDS: Final = {kind.name: kind for kind in (KLINES, AGG_TRADES, FUNDING)}


class Series:
    """The files of one symbol, and of one interval where the kind has any. Raises OSError for what a disk can do."""

    def __init__(self, root: Path, kind: Kind, symbol: str, interval: str = "") -> None:
        self.kind, self.symbol, self.interval = kind, symbol, interval
        self.folder = root / kind.name / symbol / interval
        self.folder.mkdir(parents=True, exist_ok=True)
        for left in self.folder.glob(f"*{_NEW}"):  # of a process that was killed
            left.unlink()
        self.parts = self._read_index()

    @property
    def name(self) -> str:
        return " ".join(filter(None, (self.kind.name, self.symbol, self.interval)))

    def windows(self, start_ms: int, end_ms: int) -> Iterator[tuple[str, int, int]]:
        """(part, start, end) of everything in the range, in order."""
        while start_ms < end_ms:
            name, _, part_end = self.kind.period(start_ms)
            yield name, start_ms, min(part_end, end_ms)
            start_ms = part_end

    def missing(self, name: str, start_ms: int, end_ms: int) -> tuple[int, int]:
        """What of a window has to be fetched: from where to where; equal when it is all there.

        A part only grows to the right, and from its end on where the window begins later: it has no hole. What lies
        before it means to fetch it anew, the old end included.
        """
        part = self.parts.get(name)
        if part is None or self._rows_in(name) != part.rows:
            self.parts.pop(name, None)
            return start_ms, end_ms
        if start_ms < part.start_ms:
            del self.parts[name]
            return start_ms, max(end_ms, part.end_ms)
        return part.end_ms, max(end_ms, part.end_ms)

    def store(self, name: str, start_ms: int, end_ms: int, rows: Sequence[tuple[Any, ...]]) -> None:
        """Put fetched rows, in order of their key, behind what the part has."""
        kind, old = self.kind, self.parts.get(name)
        # a venue that answers a page twice must not double a row
        frame = pl.DataFrame(list(rows), schema=kind.schema, orient="row")
        if old is not None:
            start_ms = old.start_ms
            frame = pl.concat((pl.read_parquet(self._path(name)), frame))
        frame = frame.unique(kind.key, keep="first").sort(kind.key)
        keys = frame[kind.key].cast(pl.Int64)
        self._write(self._path(name), frame)
        self.parts[name] = Part(
            start_ms, end_ms, frame.height, keys[0] if len(keys) else None, keys[-1] if len(keys) else None,
            tuple(gaps_in(keys, kind.step(self.interval))),
        )  # fmt: skip
        fresh = self.folder / (INDEX + _NEW)
        _durable(fresh, msgspec.json.encode(self.parts))
        fresh.replace(self.folder / INDEX)

    def gaps(self, start_ms: int, end_ms: int) -> list[Gap]:
        """What is missing in the range, also between parts and at its ends. Keys as `Gap` says."""
        step = self.kind.step(self.interval)
        if step is None:
            return []
        timed = self.kind.keyed_by_time
        last: int | None = -(-start_ms // step) * step - step if timed else None
        found: list[Gap] = []
        for name, _, _ in self.windows(start_ms, end_ms):
            part = self.parts.get(name)
            if part is None or part.first is None or part.last is None:
                continue
            inside = [gap for gap in part.gaps if not timed or (gap.before > start_ms and gap.after < end_ms)]
            first = part.first
            if last is not None and first - last > step:
                found.append(Gap(last, first, (first - last) // step - 1))
            found += inside
            last = part.last
        end = -(-end_ms // step) * step
        if timed and last is not None and end - last > step:
            found.append(Gap(last, end, (end - last) // step - 1))
        return found

    def rows(self, start_ms: int, end_ms: int) -> int:
        """How many the parts of the range hold."""
        return sum(self.rows_of(name) for name, _, _ in self.windows(start_ms, end_ms))

    def rows_of(self, name: str) -> int:
        """How many a part holds."""
        part = self.parts.get(name)
        return 0 if part is None else part.rows

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.parquet"

    def _rows_in(self, name: str) -> int:
        try:
            return int(pl.scan_parquet(self._path(name)).select(pl.len()).collect().item())
        except (OSError, pl.exceptions.PolarsError):
            return -1

    def _read_index(self) -> dict[str, Part]:
        try:
            return msgspec.json.decode((self.folder / INDEX).read_bytes(), type=dict[str, Part])
        except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
            return {}  # everything is fetched again

    def _write(self, path: Path, frame: pl.DataFrame) -> None:
        fresh = path.with_name(path.name + _NEW)
        frame.write_parquet(fresh, compression="zstd")
        _durable(fresh)
        fresh.replace(path)


def gaps_in(keys: pl.Series, step: int | None) -> Iterator[Gap]:
    """Where sorted keys leave a step out; the first MOST_GAPS."""
    if step is None or len(keys) < 2:
        return
    jumps = keys.diff().fill_null(step)
    for index in (jumps > step).arg_true().head(MOST_GAPS):
        before, after = int(keys[index]), int(keys[index - 1])
        yield Gap(after, before, (before - after) // step - 1)


def _durable(path: Path, data: bytes | None = None) -> None:
    """Have a file on the disk before it takes another's name."""
    if data is not None:
        path.write_bytes(data)  # all of it, or it raises
    fd = os.open(path, os.O_WRONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
