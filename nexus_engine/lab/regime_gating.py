"""What a regime is worth: the net result of plain trend trades, by what the model said when they began.

Three textbook systems, always in the market's way and never chosen by what they earn: EMA 20/50 cross, Donchian 20/10
and Donchian 55/20; 2 ATR stop; 16 bp for the round trip; R is the net result by the stop's distance.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import talib

from nexus_engine.cortex.regime_features import Columns, Floats, Ints
from nexus_engine.lab.regime_data import Panel
from nexus_engine.lab.regime_metrics import week_bootstrap

COST: Final = 0.0016
STOP_ATR: Final = 2.0
FRESH_H: Final = 12
"""What the model said longer ago than this says nothing of a trade."""
MONTH_ROWS: Final = 30
"""Fewest things said in the month before that make its quantiles."""

Bools = npt.NDArray[np.bool_]


class Trades(NamedTuple):
    """One row a trade; `close_h` is when its signal's bar closed, `symbol` the place in the panel."""

    close_h: Ints
    symbol: Ints
    r: Floats


def trend_trades(panel: Panel) -> Trades:
    """All trades of the three systems on the panel's bars."""
    times: list[Ints] = []
    owners: list[Ints] = []
    results: list[Floats] = []
    for number, bars in enumerate(panel.columns.values()):
        for first, end in _stretches(bars):
            part = Columns._make((*(column[first:end] for column in bars[:5]), bars.step_h))
            for at, r in _systems(part):
                times.append(part.close_h[at])
                owners.append(np.full(len(at), number, dtype=np.int64))
                results.append(r)
    if not times:
        return Trades(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    return Trades(np.concatenate(times), np.concatenate(owners), np.concatenate(results))


def gating(trades: Trades, close_h: Ints, symbol: Ints, said: Floats, seed: int = 7) -> dict[str, Any]:
    """Mean R by the third of P(trend) that a trade began in; thirds by the quantiles of the symbol's month before.

    `close_h`, `symbol` and `said` are what the model said, when and of whom. "value" is high less low, with the 95 %
    interval of a weekly block bootstrap.
    """
    third = np.full(len(trades.r), -1, dtype=np.int64)
    for number in np.unique(trades.symbol).tolist():
        mine, spoken = np.flatnonzero(trades.symbol == number), symbol == number
        if spoken.any():
            third[mine] = _thirds(trades.close_h[mine], close_h[spoken], said[spoken])
    weeks = (trades.close_h + 72) // 168
    groups = {name: third == at for at, name in enumerate(("low", "mid", "high"))}
    value, lower, upper = week_bootstrap(trades.r, groups["high"], groups["low"], weeks, seed=seed)
    return {
        "trades": int((third >= 0).sum()),
        "r": {name: _mean(trades.r[group]) for name, group in groups.items()},
        "n": {name: int(group.sum()) for name, group in groups.items()},
        "r_all": _mean(trades.r[third >= 0]),
        "value": value,
        "lower": lower,
        "upper": upper,
    }


def coarser(panel: Panel, step_h: int) -> Panel:
    """The panel on bars of `step_h`; a bar with a hole in it is one."""
    times = step_h // panel.step_h
    first = int(np.argmax(panel.close_h % step_h == panel.step_h % step_h)) if times > 1 else 0
    count = (len(panel.close_h) - first) // times
    inside = slice(first, first + count * times)
    close_h = panel.close_h[inside].reshape(count, times)[:, -1]
    columns = {}
    for symbol, bars in panel.columns.items():
        high, low, close, volume = (column[inside].reshape(count, times) for column in bars[1:5])
        columns[symbol] = Columns(
            close_h, high.max(axis=1), low.min(axis=1), close[:, -1] + 0 * close.sum(axis=1), volume.sum(axis=1), step_h
        )
    return Panel(step_h, close_h, columns)


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _thirds(when: Ints, close_h: Ints, said: Floats) -> Ints:
    months = _month(close_h)
    edges = {}
    for month in np.unique(months).tolist():
        before = said[months == month]
        if len(before) >= MONTH_ROWS:
            edges[month + 1] = np.quantile(before, (1 / 3, 2 / 3))
    place = np.searchsorted(close_h, when, side="right") - 1
    found = np.full(len(when), -1, dtype=np.int64)
    for at, (row, month) in enumerate(zip(place.tolist(), _month(when).tolist(), strict=True)):
        if row >= 0 and when[at] - close_h[row] <= FRESH_H and month in edges:
            found[at] = int((said[row] > edges[month]).sum())
    return found


def _month(close_h: Ints) -> Ints:
    return np.asarray((close_h * 3600).astype("datetime64[s]").astype("datetime64[M]").astype(np.int64))


def _stretches(bars: Columns) -> list[tuple[int, int]]:
    whole = np.isfinite(bars.close)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], whole.astype(np.int8), [0])))).reshape(-1, 2)
    return [(first, end) for first, end in edges.tolist() if end - first > 120]


def _systems(bars: Columns) -> list[tuple[Ints, Floats]]:
    high, low, close = bars.high, bars.low, bars.close
    atr = talib.ATR(high, low, close, 14)
    fast, slow = talib.EMA(close, 20), talib.EMA(close, 50)
    found = []
    with np.errstate(invalid="ignore"):
        above = fast > slow
        ready = np.isfinite(slow) & np.isfinite(_before(slow, 1))
        up, down = above & ~_was(above) & ready, ~above & _was(above) & ready
        found.append(_played(bars, atr, up, down, down, up))
        for entry, leave in ((20, 10), (55, 20)):
            tops, bottoms = _before(talib.MAX(high, entry), 1), _before(talib.MIN(low, entry), 1)
            floor, ceiling = _before(talib.MIN(low, leave), 1), _before(talib.MAX(high, leave), 1)
            found.append(_played(bars, atr, close > tops, close < bottoms, close < floor, close > ceiling))
    return found


def _played(
    bars: Columns, atr: Floats, up: Bools, down: Bools, leave_long: Bools, leave_short: Bools
) -> tuple[Ints, Floats]:
    """One position at a time, entered and left at the close of the signal's bar; a stop is met inside a bar."""
    high, low, close = bars.high, bars.low, bars.close
    signals = np.flatnonzero((up | down) & np.isfinite(atr) & (atr > 0))
    leaves = {1: np.flatnonzero(leave_long), -1: np.flatnonzero(leave_short)}
    entries: list[int] = []
    results: list[float] = []
    busy = -1
    for at in signals.tolist():
        if at < busy:
            continue
        side = 1 if up[at] else -1
        exits = leaves[side]
        place = int(np.searchsorted(exits, at, side="right"))
        if place == len(exits):
            continue
        end = int(exits[place])
        entry, distance = close[at], STOP_ATR * atr[at]
        stop = entry - side * distance
        inside = slice(at + 1, end + 1)
        hit = low[inside] <= stop if side > 0 else high[inside] >= stop
        price = close[end]
        if hit.any():
            end = at + 1 + int(np.argmax(hit))
            price = stop
        entries.append(at)
        results.append((side * (price - entry) - COST * entry) / distance)
        busy = end
    return np.array(entries, dtype=np.int64), np.array(results, dtype=np.float64)


def _before(series: Floats, bars: int) -> Floats:
    return np.concatenate((np.full(bars, np.nan), series[:-bars]))


def _was(flags: Bools) -> Bools:
    return np.concatenate((np.zeros(1, dtype=np.bool_), flags[:-1]))
