"""Recorded bars of one symbol, out of any files: put in order, mended where that is honest, and added up to intervals.

What is mended is counted and said; what cannot be is refused with one line.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import polars as pl

from nexus_engine.cortex.strategy import interval_ns
from nexus_engine.lab.bars import COLUMNS, SECOND_NS, Bars, BarsError, Floats, Ints, of_symbol, table, times, utc
from nexus_engine.model.events import BarRow

HOUR_NS: Final = 3600 * SECOND_NS
MOST: Final = 1e12
"""Of a price. A price is money to the cent all the way through, which 28 digits carry."""
MOST_VOLUME: Final = 1e18


class Mended(msgspec.Struct, frozen=True, kw_only=True):
    """What a file had wrong. `gaps` are places where bars are missing, `missing` is how many bars."""

    unsorted: bool = False
    duplicates: int = 0
    not_numbers: int = 0
    unknown: int = 0
    """Bars without a volume, where others have one."""
    gaps: int = 0
    missing: int = 0

    def said(self) -> tuple[str, ...]:
        """One line for each thing."""
        lines = []
        if self.unsorted:
            lines.append("the rows were not in the order of time; they are now")
        if self.duplicates:
            lines.append(f"{self.duplicates} rows repeat a time; the last of each counts")
        if self.not_numbers:
            lines.append(
                f"{self.not_numbers} rows hold a missing price or one that is not a number; they were left out"
            )
        if self.unknown:
            lines.append(f"{self.unknown} bars hold no volume: as if nothing traded, so no order is filled in them")
        if self.gaps:
            lines.append(f"{self.missing} bars are missing in {self.gaps} gaps; strategies warm up anew after each")
        return tuple(lines)


def gather(paths: Sequence[Path], symbol: str) -> tuple[Bars, Mended]:
    """All bars of a symbol in some files. A file with a `symbol` column gives that symbol's rows, another all of its.

    Raises BarsError.
    """
    parts: list[tuple[Path, Ints, Floats]] = []
    for path in paths:
        frame = of_symbol(path, table(path), symbol, "bars")
        parts.append((path, times(path, frame["open_time"]), _values(path, frame)))
    where = parts[0][0]
    open_ns = parts[0][1] if len(parts) == 1 else np.concatenate([part[1] for part in parts])
    values = parts[0][2] if len(parts) == 1 else np.concatenate([part[2] for part in parts])
    steps = {step for path, part, _ in parts if (step := _step_of(path, part))}
    if len(steps) > 1:
        told = " and ".join(f"{step / SECOND_NS:g} s" for step in sorted(steps))
        raise BarsError(f"{where}: the files hold bars of {told}; give those of one length")

    # most files need none of this, and a copy of each column is most of what reading costs
    broken = ~np.isfinite(values[:, :4].sum(axis=1))
    if broken.any():
        open_ns, values = open_ns[~broken], values[~broken]
    if not len(open_ns):
        raise BarsError(f"{where}: holds no bar of numbers")
    unsorted = bool((open_ns[1:] < open_ns[:-1]).any())
    if unsorted:
        order = np.argsort(open_ns, kind="stable")
        open_ns, values = open_ns[order], values[order]
    last = np.append(open_ns[1:] != open_ns[:-1], True)
    duplicates = int(len(last) - last.sum())
    if duplicates:
        open_ns, values = open_ns[last], values[last]
    _check(where, open_ns, values)
    step_ns = steps.pop() if steps else 60 * SECOND_NS
    _check_grid(where, open_ns, step_ns)
    holes = np.diff(open_ns) // step_ns - 1
    unknown = int(np.isnan(values[:, 4]).sum())
    mended = Mended(
        unsorted=unsorted,
        duplicates=duplicates,
        not_numbers=int(broken.sum()),
        unknown=unknown if unknown < len(values) else 0,
        gaps=int((holes > 0).sum()),
        missing=int(holes.sum()),
    )
    ohlc = np.ascontiguousarray(values[:, :4])
    return Bars(open_ns, ohlc, np.nan_to_num(values[:, 4]), step_ns), mended


def _values(path: Path, frame: pl.DataFrame) -> Floats:
    try:
        return frame.select(pl.col(COLUMNS[1:]).cast(pl.Float64, strict=True)).to_numpy()
    except pl.exceptions.PolarsError as error:
        raise BarsError(f"{path}: a price or volume is not a number") from error


def _step_of(path: Path, open_ns: Ints) -> int:
    """The shortest distance of two bars; 0 where there are no two."""
    apart = np.diff(open_ns)
    if len(apart) and apart.min() < 0:
        apart = np.diff(np.sort(open_ns))
    apart = apart[apart > 0]
    if not len(apart):
        return 0
    step_ns = int(apart.min())
    if not SECOND_NS <= step_ns <= HOUR_NS:
        raise BarsError(f"{path}: bars of {step_ns / SECOND_NS:g} s; allowed are 1 s to 1 h")
    return step_ns


def _check(path: Path, open_ns: Ints, values: Floats) -> None:
    opens, highs, lows, closes, volumes = values.T
    wrongs = (
        ((values[:, :4] <= 0).any(axis=1), "a price is not above 0"),
        ((values[:, :4] >= MOST).any(axis=1), f"a price is not below {MOST:g}"),
        ((highs < np.maximum(opens, closes)) | (lows > np.minimum(opens, closes)), "open and close are not within"),
        (volumes < 0, "the volume is below 0"),
        (volumes >= MOST_VOLUME, f"the volume is not below {MOST_VOLUME:g}"),
    )
    for wrong, what in wrongs:
        if wrong.any():
            raise BarsError(f"{path}, the bar of {utc(int(open_ns[int(np.argmax(wrong))]))}: {what}")


def _check_grid(path: Path, open_ns: Ints, step_ns: int) -> None:
    off = (open_ns - open_ns[0]) % step_ns != 0
    if off.any():
        at = utc(int(open_ns[int(np.argmax(off))]))
        raise BarsError(f"{path}, the bar of {at}: does not lie on the grid of {step_ns / SECOND_NS:g} s bars")
    if open_ns[0] % step_ns:
        raise BarsError(
            f"{path}, the bar of {utc(int(open_ns[0]))}: does not open on a whole {step_ns / SECOND_NS:g} s"
        )


class Series(msgspec.Struct, frozen=True):
    """The bars of one interval, with the place of the last base bar in each. The newest one may not be whole."""

    interval: str
    step_ns: int
    open_ns: Ints
    ohlcv: Floats
    last: Ints
    """Index of the last base bar that is in it."""
    whole: int
    """How many of them, from the first, have closed for certain when the base bars end."""

    def row(self, at: int) -> BarRow:
        return BarRow(int(self.open_ns[at]), *self.ohlcv[at].tolist())

    def rows(self, low: int, high: int) -> tuple[BarRow, ...]:
        """The bars [low, high)."""
        times_ = self.open_ns[low:high].tolist()
        return tuple(BarRow(at, *row) for at, row in zip(times_, self.ohlcv[low:high].tolist(), strict=True))


def added_up(bars: Bars, interval: str) -> Series:
    """Bars of an interval made of finer ones. Raises BarsError where the bars are coarser or do not add up to it."""
    step_ns = interval_ns(interval)
    if step_ns % bars.step_ns:
        base = f"{bars.step_ns / SECOND_NS:g} s"
        what = "are coarser than" if bars.step_ns > step_ns else "do not add up to"
        raise BarsError(f"bars of {base} {what} the {interval} that are needed; give finer ones")
    bucket = bars.open_ns // step_ns
    first = np.flatnonzero(np.append(True, bucket[1:] != bucket[:-1]))
    last = np.append(first[1:], len(bars)) - 1
    ohlcv = np.column_stack(
        (
            bars.ohlc[first, 0],
            np.maximum.reduceat(bars.ohlc[:, 1], first),
            np.minimum.reduceat(bars.ohlc[:, 2], first),
            bars.ohlc[last, 3],
            np.add.reduceat(bars.volume, first),
        )
    )
    open_ns = bucket[first] * step_ns
    closed = int(bars.open_ns[-1]) + bars.step_ns >= int(open_ns[-1]) + step_ns
    return Series(interval, step_ns, open_ns, ohlcv, last, len(open_ns) - (not closed))


def funding(path: Path, symbol: str) -> Mapping[int, float]:
    """Funding rates by their time in ns: columns `funding_time` and `rate`, and perhaps `symbol`. Raises BarsError."""
    frame = of_symbol(path, table(path, ("funding_time", "rate")), symbol, "funding")
    at_ns = times(path, frame["funding_time"])
    try:
        rates = frame["rate"].cast(pl.Float64, strict=True).to_numpy()
    except pl.exceptions.PolarsError as error:
        raise BarsError(f"{path}: a rate is missing or not a number") from error
    if not (np.abs(rates) < 1).all():
        raise BarsError(f"{path}: a rate is missing, or not a number between -1 and 1")
    # A venue stamps its settlements some milliseconds late.
    return dict(zip(((at_ns + SECOND_NS // 2) // SECOND_NS * SECOND_NS).tolist(), rates.tolist(), strict=True))
