"""What a backtest hears beside its symbol's bars, once it is known: the leader's hours, and dominance and cap by day.

A day's figure is told an hour after the day has ended and holds until the next is due. It comes as a source's samples
do: rows twelve hours apart, the newest of the moment at which the day ended, so that the state is judged once a day.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import polars as pl
from msgspec.structs import replace

from nexus_engine.core.market import HOURLY
from nexus_engine.cortex.strategy import interval_ns
from nexus_engine.cortex.targets import SQUEEZE_BARS, SQUEEZE_INTERVAL
from nexus_engine.lab.bars import SECOND_NS, Bars, BarsError, Floats, Ints, table, times
from nexus_engine.lab.history import HOUR_NS, Series, added_up
from nexus_engine.model.events import AnyEvent, Bar, BarRow, History, Instruments, MacroSample, Trade
from nexus_engine.model.instruments import Instrument
from nexus_engine.model.ledger import DAY_NS
from nexus_engine.model.macro import KEPT_NS, MacroPast, MacroRow
from nexus_engine.shield.macro import MacroWatch

SOURCE: Final = "recorded"
COLUMNS: Final = ("date", "btc_dominance", "total_cap_usd")
KNOWN_NS: Final = HOUR_NS
"""A day's figure is known so long after its end."""
HALF_NS: Final = DAY_NS // 2
EARLY_NS: Final = 5 * SECOND_NS
"""What is known at the start is told so long before it, when the run has begun."""
_PART_NS: Final = interval_ns(SQUEEZE_INTERVAL)
_PARTS: Final = HOUR_NS // _PART_NS

Timed = tuple[int, AnyEvent]
"""UTC ns at which the core hears it, and what."""


class Figures(NamedTuple):
    """One row a day, in order: the end of the day (UTC ns), Bitcoin's dominance in percent, the whole cap in USD."""

    end_ns: Ints
    dominance: Floats
    cap: Floats


class Daily(MacroWatch):
    """Knows that its source speaks once a day."""

    def age_ns(self, past: MacroPast, at_ns: int, mono_ns: int) -> int:
        """How long the next figure is overdue."""
        due_ns = past.rows[-1].venue_ns + DAY_NS + KNOWN_NS if past.rows else 0
        return max(0, at_ns - due_ns)


def figures(paths: Sequence[Path]) -> Figures:
    """Of files with the columns `date`, `btc_dominance` (percent) and `total_cap_usd`; days on which one of the
    two is missing or cannot be are missing days, of a day that is told twice the last counts. Raises BarsError."""
    parts = []
    for path in paths:
        frame = table(path, COLUMNS)
        dates = frame["date"]
        try:
            if dates.dtype == pl.String:
                dates = dates.str.to_date("%Y-%m-%d", strict=True)
            days = (times(path, dates.cast(pl.Datetime("ms"))) // DAY_NS).astype(np.float64)
            values = frame.select(pl.col(COLUMNS[1:]).cast(pl.Float64, strict=True)).to_numpy()
        except pl.exceptions.PolarsError as error:
            raise BarsError(f"{path}: a date is not like 2024-01-31, or a dominance or cap not a number") from error
        dominance, cap = values.T
        known = (dominance > 0) & (dominance < 100) & (cap > 0) & (cap < np.inf)
        parts.append(np.column_stack((days[known], values[known])))
    rows = np.concatenate(parts)
    if not len(rows):
        raise BarsError(f"{paths[0]}: holds no day with dominance and cap")
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    rows = rows[np.append(rows[1:, 0] != rows[:-1, 0], True)]
    return Figures((rows[:, 0].astype(np.int64) + 1) * DAY_NS, rows[:, 1], rows[:, 2])


def told(found: Figures, start_ns: int, end_ns: int) -> Iterator[Timed]:
    """The samples of a run over [start, end): those of the two weeks before at its start."""
    rows = [MacroRow(*row) for row in zip(*(column.tolist() for column in found), strict=True)]
    before: MacroRow | None = None
    for row in rows:
        known_ns = row.venue_ns + KNOWN_NS
        if start_ns - KEPT_NS <= known_ns < end_ns:
            between = [before] if before is not None and row.venue_ns - before.venue_ns == DAY_NS else []
            between = [replace(each, venue_ns=each.venue_ns + HALF_NS) for each in between]
            at_ns = max(known_ns, start_ns - EARLY_NS)
            yield at_ns, MacroSample(at_ns=at_ns, mono_ns=at_ns, source=SOURCE, rows=(*between, row))
        before = row


# ---- the leader ------------------------------------------------------------------------------------------------------


def led(instrument: Instrument, bars: Bars, start_ns: int, warmup: int) -> Iterator[Timed]:
    """The leader's closed hours, each with the price it closed at and with its last half hour, by which a squeeze is
    seen; first of all its past. Of bars longer than that half hour's it goes in straight lines, as all bars do here."""
    symbol = instrument.symbol
    hours = added_up(bars, HOURLY)
    parts = added_up(bars, SQUEEZE_INTERVAL) if not _PART_NS % bars.step_ns else _in_parts(hours)
    close_ns = hours.open_ns[: hours.whole] + HOUR_NS
    ends = np.searchsorted(parts.open_ns, close_ns)
    first = int(np.searchsorted(close_ns, start_ns, side="right"))
    early_ns = start_ns - EARLY_NS
    at = {"at_ns": early_ns, "mono_ns": early_ns}
    yield early_ns, Instruments(**at, instruments=(instrument,))
    if first:
        past = hours.rows(max(0, first - warmup), first)
        yield early_ns, History(**at, symbol=symbol, interval=HOURLY, bars=past)
    for number, (now, end) in enumerate(zip(close_ns[first:].tolist(), ends[first:].tolist(), strict=True), first):
        row, half = hours.row(number), parts.rows(max(0, end - SQUEEZE_BARS), end)
        stamp = {"at_ns": now, "mono_ns": now, "symbol": symbol}
        yield now, Trade(**stamp, price=row.close, qty=1.0, buyer_is_maker=True, venue_ns=now)
        whole = len(half) == SQUEEZE_BARS and half[0].open_ns == now - SQUEEZE_BARS * _PART_NS
        yield now, History(**stamp, interval=SQUEEZE_INTERVAL, bars=half if whole else ())
        yield now, _bar(now, symbol, row)
        if not number or hours.open_ns[number] != hours.open_ns[number - 1] + HOUR_NS:
            # as the symbol's own: what has no past, or lost a bar, is told it anew
            yield now, History(**stamp, interval=HOURLY, bars=(row,))


def _bar(now: int, symbol: str, row: BarRow) -> Bar:
    return Bar(
        at_ns=now, mono_ns=now, symbol=symbol, interval=HOURLY, open_ns=row.open_ns, open=row.open, high=row.high,
        low=row.low, close=row.close, volume=row.volume, trades=0, closed=True, venue_ns=now,
    )  # fmt: skip


def _in_parts(hours: Series) -> Series:
    """Hours cut into the parts that the squeeze rule looks at."""
    opens, highs, lows, closes, volumes = hours.ohlcv.T
    up, down = highs - opens, opens - lows
    low_first = (down < up) | ((down == up) & (closes >= opens))
    corners = np.stack((opens, np.where(low_first, lows, highs), np.where(low_first, highs, lows), closes))
    share = np.arange(_PARTS + 1) / _PARTS * 3
    leg = np.minimum(share.astype(int), 2)
    path = corners[leg] + (corners[leg + 1] - corners[leg]) * (share - leg)[:, None]
    begin, end = path[:-1].T.ravel(), path[1:].T.ravel()
    open_ns = (hours.open_ns[:, None] + np.arange(_PARTS) * _PART_NS).ravel()
    ohlcv = np.column_stack(
        (begin, np.maximum(begin, end), np.minimum(begin, end), end, np.repeat(volumes / _PARTS, _PARTS))
    )
    return Series(SQUEEZE_INTERVAL, _PART_NS, open_ns, ohlcv, np.arange(len(open_ns)), len(open_ns))
