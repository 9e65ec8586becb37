"""Recorded bars: read and checked, and played as ticks on a grid of one second."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

SECOND_NS: Final = 1_000_000_000
LONGEST_NS: Final = 300 * SECOND_NS
COLUMNS: Final = ("open_time", "open", "high", "low", "close", "volume")
_MAGIC: Final = b"PAR1"
_UNITS: Final = ((1e11, "s"), (1e14, "ms"), (1e17, "us"))
"""Epochs as whole numbers, by their size."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class BarsError(ValueError):
    """The file cannot be played; the message is one line: which file, what is wrong, where."""


class Bars(msgspec.Struct, frozen=True):
    """`open_ns` rises strictly; `ohlc` has a row a bar. The step is the shortest distance of two bars."""

    open_ns: Ints
    ohlc: Floats
    volume: Floats
    step_ns: int

    def __len__(self) -> int:
        return len(self.open_ns)

    @property
    def per_bar(self) -> int:
        """Ticks that a bar is played with."""
        return max(1, self.step_ns // SECOND_NS)

    def cut(self, start_ns: int, end_ns: int) -> "Bars":
        """The bars that open in [start_ns, end_ns)."""
        low, high = np.searchsorted(self.open_ns, (start_ns, end_ns))
        return Bars(self.open_ns[low:high], self.ohlc[low:high], self.volume[low:high], self.step_ns)

    def ticks(self, low: int, high: int) -> tuple[Ints, Floats]:
        """Bars `low` to `high` as (market ns, price): of the two extremes the one nearer the open comes first."""
        count = self.per_bar
        rows = self.ohlc[low:high]
        opens, highs, lows, closes = rows.T
        up_first = highs - opens < opens - lows
        # As near to both: a bar that rises was down first.
        up_first |= (highs - opens == opens - lows) & (closes < opens)
        corners = np.stack((opens, np.where(up_first, highs, lows), np.where(up_first, lows, highs), closes), axis=1)
        prices = corners @ _weights(count).T
        times = self.open_ns[low:high, None] + np.arange(count, dtype=np.int64) * SECOND_NS
        return times.ravel(), prices.ravel()


def _weights(count: int) -> Floats:
    """How much of each corner a tick is: straight lines between them. Fewer ticks than corners lose the first ones."""
    if count < 4:
        return np.eye(4)[4 - count :]
    at = np.arange(count)
    places = np.round(np.array([0, 1, 2, 3]) * (count - 1) / 3)
    return np.stack([np.interp(at, places, row) for row in np.eye(4)], axis=1)


def load(path: Path) -> Bars:
    """Read parquet or CSV. Raises BarsError."""
    frame = table(path)
    if not len(frame):
        raise BarsError(f"{path}: holds no bars")
    return _checked(path, times(path, frame["open_time"]), frame)


def table(path: Path, columns: Sequence[str] = COLUMNS) -> pl.DataFrame:
    """The file as it is, with all the columns that are needed. Raises BarsError."""
    if not path.is_file():
        raise BarsError(f"{path}: {'is not a file' if path.exists() else 'there is no such file'}")
    try:
        with path.open("rb") as file:
            packed = file.read(4) == _MAGIC
        if not packed and path.suffix == ".parquet":
            raise BarsError(f"{path}: is not parquet")
        frame = pl.read_parquet(path, glob=False) if packed else pl.read_csv(path, infer_schema_length=None, glob=False)
    except OSError as error:
        raise BarsError(f"{path}: cannot be read ({error.strerror or error})") from error
    # The reader is native code over bytes of anybody: besides its own errors it panics, which is no Exception.
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = str(error).strip().partition("\n")[0]
        raise BarsError(f"{path}: is neither parquet nor CSV with a header ({reason})") from error
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise BarsError(f"{path}: has no column {', '.join(missing)}; needed are {', '.join(columns)}")
    return frame


def of_symbol(path: Path, frame: pl.DataFrame, symbol: str, what: str) -> pl.DataFrame:
    """The rows of a symbol; all of them where no column `symbol` says whose they are. Raises BarsError for none."""
    if not len(frame):
        raise BarsError(f"{path}: holds no {what}")
    if "symbol" not in frame.columns:
        return frame
    try:
        names = frame["symbol"].cast(pl.String)
    except pl.exceptions.PolarsError as error:
        raise BarsError(f"{path}: symbol is no column of names") from error
    found = frame.filter(names == symbol)
    if not len(found):
        known = ", ".join(sorted(name for name in names.unique().drop_nulls())[:8]) or "no symbol"
        raise BarsError(f"{path}: holds no {what} of {symbol}; it holds {known}")
    return found


def times(path: Path, column: pl.Series) -> Ints:
    """A column of times, as dates or as seconds, milli-, micro- or nanoseconds since 1970, in ns. Raises BarsError."""
    try:
        if column.dtype == pl.String:
            column = column.str.strip_suffix("Z").str.to_datetime(strict=True)
        if isinstance(column.dtype, pl.Datetime):
            column = column.dt.epoch("ns")
        elif column.dtype.is_numeric() and column.null_count() < len(column):
            largest = float(column.cast(pl.Float64).max() or 0)  # type: ignore[arg-type]
            unit = next((name for limit, name in _UNITS if largest < limit), "ns")
            column = column.cast(pl.Int64) * {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[unit]
        else:
            raise BarsError(f"{path}: open_time is neither a time nor a number of (milli)seconds")
    except pl.exceptions.PolarsError as error:
        raise BarsError(f"{path}: open_time cannot be read as times") from error
    if column.null_count():
        raise BarsError(f"{path}, row {_first(column.is_null().to_numpy())}: open_time is missing")
    return column.to_numpy().astype(np.int64)


def _checked(path: Path, open_ns: Ints, frame: pl.DataFrame) -> Bars:
    try:
        values = frame.select(pl.col(COLUMNS[1:]).cast(pl.Float64, strict=True)).to_numpy().astype(np.float64)
    except pl.exceptions.PolarsError as error:
        raise BarsError(f"{path}: a price or volume is not a number") from error
    prices = np.ascontiguousarray(values[:, :4])
    wrong = np.asarray((~np.isfinite(prices) | (prices <= 0)).any(axis=1), dtype=np.bool_)
    if wrong.any():
        raise BarsError(f"{path}, row {_first(wrong)}: a price is missing, NaN or not above 0")
    opens, highs, lows, closes = prices.T
    odd = (highs < np.maximum(opens, closes)) | (lows > np.minimum(opens, closes))
    if odd.any():
        raise BarsError(f"{path}, row {_first(odd)}: open and close are not between low and high")
    steps = np.diff(open_ns)
    if len(steps) and steps.min() <= 0:
        raise BarsError(f"{path}, row {_first(np.append(False, steps <= 0))}: open_time does not rise")
    step_ns = int(steps.min()) if len(steps) else 60 * SECOND_NS
    if not SECOND_NS <= step_ns <= LONGEST_NS:
        raise BarsError(f"{path}: bars of {step_ns / SECOND_NS:g} s; allowed are 1 s to 5 min")
    return Bars(open_ns, prices, np.nan_to_num(values[:, 4]), step_ns)


def _first(where: npt.NDArray[np.bool_]) -> int:
    """The number of the first row, counted from 1."""
    return int(np.argmax(where)) + 1


def rolling_max(values: Floats, size: int) -> Floats:
    """The maximum of the newest `size` values at each place (van Herk: two running maxima over blocks)."""
    padded = np.concatenate([np.full(size - 1, -np.inf), values])
    blocks = np.concatenate([padded, np.full(-len(padded) % size, -np.inf)]).reshape(-1, size)
    left = np.maximum.accumulate(blocks, axis=1).ravel()
    right = np.maximum.accumulate(blocks[:, ::-1], axis=1)[:, ::-1].ravel()
    ends = np.arange(size - 1, size - 1 + len(values))
    return np.asarray(np.maximum(left[ends], right[ends - size + 1]))


def utc(at_ns: int) -> str:
    """For people and JSON, to the millisecond."""
    return datetime.fromtimestamp(at_ns / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def blocks(low: int, high: int, size: int = 64) -> Iterator[tuple[int, int]]:
    """[low, high) in pieces."""
    for at in range(low, high, size):
        yield at, min(high, at + size)
