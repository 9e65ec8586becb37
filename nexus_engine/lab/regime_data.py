"""Recorded bars for the regime model: whatever a folder holds of them, on unbroken grids, a panel for each step.

Bars of an hour or less become hours; bars of 2 and 4 h stay what they are, since no formula makes two of one. A file
that cannot be used is named in one line and left out.
"""

import hashlib
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from nexus_engine.cortex.regime_features import NEED_H, Columns, Floats, Ints, Market
from nexus_engine.model.usage import harmless

STEPS_H: Final = (1, 2, 4)
LONGEST_HOLE_H: Final = 24
"""A shorter one is filled with bars that stand still, as a venue under maintenance does."""
_HOUR_MS: Final = 3_600_000
_NAMES: Final = ("open_time", "high", "low", "close", "volume")
_SYMBOL: Final = re.compile(r"(?=[A-Z0-9]*[A-Z])[A-Z0-9]{2,20}(?=$|[_.\-])")
_PAIR: Final = re.compile(r"([A-Z0-9]{2,12}?)[_\-/]?(USDT|USDC|BUSD|FDUSD|USD)(?=$|[_.\-:])")
"""btcusdt, BTC-USDT and BTC/USDT:USDT are one symbol."""
_UNITS: Final = ((1e11, 1000.0), (1e14, 1.0), (1e17, 1e-3))
_EARLIEST_H, _LATEST_H = 341_880, 1_000_000
"""Hours since 1970 between which a bar can lie: 2009 to 2084. A broken time would make a grid of a lifetime."""


class DataError(Exception):
    """There is nothing to work with; the message is one line."""


class Panel(NamedTuple):
    """Symbols on one grid of `step_h` hours."""

    step_h: int
    close_h: Ints
    columns: dict[str, Columns]

    @property
    def market(self) -> Market:
        closes = np.stack([one.close for one in self.columns.values()])
        return Market(self.close_h, closes, tuple(self.columns), self.step_h)


class Found(NamedTuple):
    """What a folder holds: panels, finest first; a line for each file left out; a hash of all that was read."""

    panels: tuple[Panel, ...]
    notes: tuple[str, ...]
    sha256: str


class _Raw(NamedTuple):
    symbol: str
    step_h: int
    bars: pl.DataFrame
    """close_h, high, low, close, volume; sorted, each hour once."""
    source: str


def read(folder: Path, told: Callable[[str], None] = lambda text: None) -> Found:
    """Read every parquet and CSV file under `folder`, or the one file that it is. Raises DataError."""
    if folder.is_file():
        files = [folder]
    elif folder.is_dir():
        files = sorted(
            path for path in folder.rglob("*") if path.suffix.lower() in (".parquet", ".csv") and path.is_file()
        )
    else:
        raise DataError(f"{folder}: there is no such folder")
    raws: list[_Raw] = []
    notes: list[str] = []
    for path in files:
        name = harmless(path.relative_to(folder) if path != folder else path.name)
        told(f"reading {name}")
        try:
            raws += _file(path, folder, notes, name)
        except _UnusableError as error:
            notes.append(f"{name}: {error}; left out")
    panels = _panels(raws, notes)
    if not panels:
        why = f" ({notes[0]})" if notes else ""
        raise DataError(f"{folder}: no file with a month of bars (open_time, open, high, low, close, volume){why}")
    digest = hashlib.sha256()
    for panel in panels:
        for symbol, one in panel.columns.items():
            digest.update(f"{symbol} {panel.step_h}".encode())
            for column in one[:5]:
                digest.update(np.ascontiguousarray(column).tobytes())
    return Found(panels, tuple(notes), digest.hexdigest())


class _UnusableError(Exception):
    """Why a file is left out."""


def _file(path: Path, root: Path, notes: list[str], name: str) -> list[_Raw]:
    try:
        if path.suffix.lower() == ".parquet":
            columns = set(pl.read_parquet_schema(path))
            _needed(columns)
            frame = pl.read_parquet(path, columns=[*_NAMES, *(["symbol"] if "symbol" in columns else [])], glob=False)
        else:
            frame = pl.read_csv(path, infer_schema_length=10_000, glob=False)
            _needed(set(frame.columns))
    except OSError as error:
        raise _UnusableError(f"cannot be read ({error.strerror or error})") from error
    # The reader is native code over bytes of anybody: besides its own errors it panics, which is no Exception.
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError) as error:
        raise _UnusableError(f"is not what its name says ({str(error).strip().partition(chr(10))[0][:80]})") from error
    try:
        frame = frame.with_columns(
            _milliseconds(frame["open_time"]).alias("open_time"), *(pl.col(one).cast(pl.Float64) for one in _NAMES[1:])
        )
    except pl.exceptions.PolarsError as error:
        raise _UnusableError("a time, price or volume in it is no number") from error
    if "symbol" not in frame.columns:
        frame = frame.with_columns(pl.lit(_symbol(path, root)).alias("symbol"))
    found = []
    for (symbol,), part in frame.group_by("symbol", maintain_order=True):
        text = str(symbol).strip().upper()
        pair = _PAIR.match(text)
        one = "".join(pair.groups()) if pair else text
        if not _SYMBOL.fullmatch(one):
            notes.append(f"{name}: {str(symbol)[:20]!r} is no symbol; its rows are left out")
            continue
        try:
            found.append(_one(one, part, name, notes))
        except _UnusableError as error:
            notes.append(f"{name}: {error}; left out")
    if not found and frame.is_empty():
        raise _UnusableError("holds no bars")
    return found


def _needed(columns: set[str]) -> None:
    if missing := [name for name in _NAMES if name not in columns]:
        raise _UnusableError(f"has no column {', '.join(missing)}")


def _milliseconds(column: pl.Series) -> pl.Series:
    if column.dtype == pl.String:
        column = column.str.strip_suffix("Z").str.to_datetime(strict=True)
    if column.dtype == pl.Date:
        column = column.cast(pl.Datetime("ms"))
    if isinstance(column.dtype, pl.Datetime):
        return column.dt.epoch("ms")
    if not column.dtype.is_numeric() or column.null_count() == len(column):
        raise _UnusableError("open_time is neither a time nor a number of (milli)seconds")
    numbers = column.cast(pl.Float64)
    largest = float(numbers.max() or 0)  # type: ignore[arg-type]
    factor = next((factor for limit, factor in _UNITS if largest < limit), 1e-6)
    return (numbers * factor).cast(pl.Int64)


def _symbol(path: Path, root: Path) -> str:
    parents = [parent.name for parent in path.parents if root in parent.parents]
    if match := _PAIR.match(path.stem.upper()):
        return "".join(match.groups())
    if match := _SYMBOL.match(path.stem):
        return match.group()
    for folder in parents:
        if (match := _SYMBOL.match(folder)) and match.group() == folder:
            return folder
    raise _UnusableError("neither its name nor its folder begins with a symbol, and it has no such column")


def _one(symbol: str, frame: pl.DataFrame, name: str, notes: list[str]) -> _Raw:
    high, low, close = pl.col("high"), pl.col("low"), pl.col("close")
    sane = (
        pl.all_horizontal(pl.col(one).is_finite() for one in _NAMES[1:])
        & (low > 0) & (low <= close) & (close <= high) & (pl.col("volume") >= 0)
        & pl.col("open_time").is_between(_EARLIEST_H * _HOUR_MS, _LATEST_H * _HOUR_MS)
    )  # fmt: skip
    good = frame.filter(sane).sort("open_time").unique("open_time", keep="last", maintain_order=True)
    if lost := len(frame) - len(good):
        notes.append(f"{name}: {symbol} has {lost} broken or repeated rows; they are left out")
    if len(good) < 2:
        raise _UnusableError(f"{symbol} has no two bars")
    step_ms = float(good["open_time"].diff().median() or 0)  # type: ignore[arg-type]
    if 0 < step_ms <= _HOUR_MS and _HOUR_MS % step_ms == 0:
        hours = _hours(good, round(_HOUR_MS / step_ms))
        if hours.is_empty():
            raise _UnusableError(f"{symbol} has no whole hour")
        return _Raw(symbol, 1, hours, name)
    step_h = round(step_ms / _HOUR_MS)
    if step_ms % _HOUR_MS or step_h not in STEPS_H:
        raise _UnusableError(f"bars of {step_ms / _HOUR_MS:.3g} h; usable are those that make whole hours, 2 h and 4 h")
    on_grid = good.filter(pl.col("open_time") % (step_h * _HOUR_MS) == 0)
    close_h = (pl.col("open_time") // _HOUR_MS + step_h).alias("close_h")
    if on_grid.is_empty():
        raise _UnusableError(f"{symbol} has no bar of {step_h} h that opens on one")
    return _Raw(symbol, step_h, on_grid.select(close_h, *_NAMES[1:]), name)


def _hours(good: pl.DataFrame, per_hour: int) -> pl.DataFrame:
    """Whole hours; one that lacks more than half of its bars, or its last one, is a hole."""
    hour = (pl.col("open_time") // _HOUR_MS + 1).alias("close_h")
    if per_hour == 1:
        return good.select(hour, *_NAMES[1:]).unique("close_h", keep="last", maintain_order=True)
    return (
        good.group_by(hour, maintain_order=True)
        .agg(
            pl.col("high").max(), pl.col("low").min(), pl.col("close").last(), pl.col("volume").sum(),
            pl.len().alias("bars"), (pl.col("open_time").last() % _HOUR_MS).alias("last"),
        )
        .filter((pl.col("bars") * 2 >= per_hour) & (pl.col("last") >= _HOUR_MS * (1 - 2 / per_hour)))
        .drop("bars", "last")
    )  # fmt: skip


# ---- panels ----------------------------------------------------------------------------------------------------------


def _panels(raws: Iterable[_Raw], notes: list[str]) -> tuple[Panel, ...]:
    together: dict[tuple[int, str], list[_Raw]] = {}
    for raw in raws:
        together.setdefault((raw.step_h, raw.symbol), []).append(raw)
    panels = []
    for step in STEPS_H:
        grids = {}
        for (step_h, symbol), parts in sorted(together.items()):
            if step_h == step:
                close_h, values = _filled(_stitched(parts, notes), step)
                if _longest_run(values[:, 2]) * step > NEED_H:
                    grids[symbol] = (close_h, values)
                else:
                    notes.append(f"{symbol}: no {NEED_H} h of {step} h bars without a hole; left out")
        if grids:
            panels.append(_panel(grids, step))
    return tuple(panels)


def _stitched(parts: list[_Raw], notes: list[str]) -> pl.DataFrame:
    """The longest file, and of others what lies outside of it: two venues' bars are not mixed hour by hour."""
    parts = sorted(parts, key=lambda raw: (-len(raw.bars), raw.source))
    whole = parts[0].bars
    spans = [(whole["close_h"].min(), whole["close_h"].max())]
    for part in parts[1:]:
        outside = pl.lit(value=True)
        for first, last in spans:
            outside &= ~pl.col("close_h").is_between(first, last)
        rest = part.bars.filter(outside)
        if rest.is_empty():
            notes.append(f"{part.source}: {part.symbol} is known from {parts[0].source} for all of its time; not used")
            continue
        spans.append((part.bars["close_h"].min(), part.bars["close_h"].max()))
        whole = pl.concat([whole, rest.select(whole.columns)])
    return whole.sort("close_h")


def _filled(bars: pl.DataFrame, step: int) -> tuple[Ints, Floats]:
    """On every place of the grid; a short hole stands still, a long one is NaN."""
    close_h = bars["close_h"].to_numpy().astype(np.int64)
    grid = np.arange(close_h[0], close_h[-1] + step, step, dtype=np.int64)
    values = np.full((len(grid), 4), np.nan)
    there = (close_h - close_h[0]) // step
    values[there] = bars.select(_NAMES[1:]).to_numpy()
    distance = np.diff(there)
    for at in np.flatnonzero((distance > 1) & ((distance - 1) * step <= LONGEST_HOLE_H)).tolist():
        close = values[there[at], 2]
        values[there[at] + 1 : there[at + 1]] = (close, close, close, 0.0)
    return grid, values


def _longest_run(values: Floats) -> int:
    holes = np.concatenate(([-1], np.flatnonzero(np.isnan(values)), [len(values)]))
    return int(np.diff(holes).max() - 1)


def _panel(grids: dict[str, tuple[Ints, Floats]], step: int) -> Panel:
    first = min(int(close_h[0]) for close_h, _ in grids.values())
    last = max(int(close_h[-1]) for close_h, _ in grids.values())
    grid = np.arange(first, last + step, step, dtype=np.int64)
    columns = {}
    for symbol, (close_h, values) in grids.items():
        wide: Any = np.full((len(grid), 4), np.nan)
        begin = (int(close_h[0]) - first) // step
        wide[begin : begin + len(values)] = values
        columns[symbol] = Columns._make((grid, *(np.ascontiguousarray(column) for column in wide.T), step))
    return Panel(step, grid, columns)
