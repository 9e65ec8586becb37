"""What the regime model sees: one set of formulas, over whole columns for training and over a window of them live.

Everything is of closed bars. A row's own features look at the bars up to its own, the market's (bitcoin, dispersion,
breadth) at the bars up to the one before: at the close of an hour not every symbol's bar has come yet, and what is
known must not depend on their order. Windows are in hours and volatility is per hour, so that bars of 1, 2 and 4 h say
the same within their noise. A hole in a window gives NaN. Nothing looks further back than `NEED_H`.
"""

import math
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DAY: Final = 24
WEEK: Final = 168
MONTH: Final = 720
NEED_H: Final = MONTH + 2 * DAY + 8
"""Hours of bars that a row needs: a month of daily figures, and the market's a bar earlier (a bar has 8 h at most)."""
CADENCE_H: Final = 6
"""The model speaks at the closes of these hours of UTC."""
HORIZON_H: Final = 24
FORMULAS: Final = 1
"""Counted up with every change of a formula: a model that was fitted to others does not load."""

OWN: Final = (
    "range24/sigma", "rv8/rv24", "rv24/rv168", "rv168/rv720", "rv24 rank", "sigma",
    "volume8/168", "volume24/720", "move24", "move72", "move168", "drift24", "drift168",
    "straight24", "straight72", "width24 rank", "place168", "under the month's high", "over the month's low",
    "jump24", "down share24", "weekend ahead", "hour sin", "hour cos",
)  # fmt: skip
MARKET: Final = (
    "sigma/btc", "btc rv24 rank", "btc rv24/rv168", "btc rv168/rv720", "btc sigma", "btc move24", "btc move168",
    "dispersion24", "dispersion rank", "breadth24", "market rv24/rv168",
)  # fmt: skip
NAMES: Final = OWN + MARKET
LEADER: Final = "BTCUSDT"
FEWEST: Final = 3
"""Symbols from which on there is a market; with fewer its features are NaN."""


class Columns(NamedTuple):
    """Bars of one symbol on an unbroken grid, NaN where one is missing. `close_h` is the hour of the close, since 1970.

    All are of one length; `step_h` is the hours of a bar.
    """

    close_h: Ints
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    step_h: int

    def tail(self, bars: int) -> "Columns":
        return Columns._make((*(column[-bars:] for column in self[:5]), self.step_h))


def own(bars: Columns, rows: Ints) -> Floats:
    """The symbol's own features at `rows`: (len(rows), len(OWN)). Rows with too little before them are NaN."""
    close, step = bars.close, bars.step_h
    day, week, month = DAY // step, WEEK // step, MONTH // step
    part = max(2, 8 // step)
    with np.errstate(all="ignore"):
        returns = _returns(close)
        squares = returns * returns / step
        rv24 = np.sqrt(_rolling(np.mean, squares, day))
        rv8, rv72_168 = np.sqrt(_rolling(np.mean, squares, part))[rows], np.sqrt(_at(np.mean, squares, rows, week))
        sigma = rv72_168
        month_rv = np.sqrt(_at(np.mean, squares, rows, month))
        high24, low24 = _rolling(np.max, bars.high, day), _rolling(np.min, bars.low, day)
        width24 = np.log(high24 / low24)
        high168, low168 = _at(np.max, bars.high, rows, week), _at(np.min, bars.low, rows, week)
        high720, low720 = _at(np.max, bars.high, rows, month), _at(np.min, bars.low, rows, month)
        now = close[rows]
        moves = {hours: _moved(close, rows, hours // step) / (sigma * math.sqrt(hours)) for hours in (DAY, 72, WEEK)}
        ways = {hours: _at(np.sum, np.abs(returns), rows, hours // step) for hours in (DAY, 72)}
        day_squares = _at(np.sum, squares, rows, day)
        hours = bars.close_h[rows]
        columns = (
            _at(np.mean, np.log(bars.high / bars.low), rows, day) / (sigma * math.sqrt(step)),
            np.log(rv8 / rv24[rows]),
            np.log(rv24[rows] / sigma),
            np.log(sigma / month_rv),
            _ranked(rv24, rows, month),
            np.log(sigma),
            np.log(_at(np.mean, bars.volume, rows, part) / _at(np.mean, bars.volume, rows, week)),
            np.log(_at(np.mean, bars.volume, rows, day) / _at(np.mean, bars.volume, rows, month)),
            np.abs(moves[DAY]),
            np.abs(moves[72]),
            np.abs(moves[WEEK]),
            moves[DAY],
            moves[WEEK],
            np.abs(_moved(close, rows, day)) / ways[DAY],
            np.abs(_moved(close, rows, 72 // step)) / ways[72],
            _ranked(width24, rows, month),
            (now - low168) / (high168 - low168),
            np.log(high720 / now) / (sigma * math.sqrt(MONTH)),
            np.log(now / low720) / (sigma * math.sqrt(MONTH)),
            _at(np.max, np.abs(returns), rows, day) / (rv24[rows] * math.sqrt(step)),
            _at(np.sum, np.where(returns < 0, squares, np.where(returns >= 0, 0.0, np.nan)), rows, day) / day_squares,
            _weekend(hours),
            np.sin(hours % DAY * (2 * math.pi / DAY)),
            np.cos(hours % DAY * (2 * math.pi / DAY)),
        )
    return np.stack(columns, axis=1)


class Market(NamedTuple):
    """What `market` needs of all symbols: on one grid of hours, a row a symbol of `symbols`."""

    close_h: Ints
    closes: Floats
    symbols: tuple[str, ...]
    step_h: int


def market(seen: Market, rows: Ints) -> tuple[Floats, Floats]:
    """What the market did up to the bar before each row: (len(rows), len(MARKET)) with the first column, which is the
    symbol's own, empty; and bitcoin's sigma, which that column is made with.
    """
    step = seen.step_h
    day, week, month = DAY // step, WEEK // step, MONTH // step
    before = rows - 1
    empty = np.full(len(rows), np.nan)
    with np.errstate(all="ignore"):
        if LEADER in seen.symbols:
            close = seen.closes[seen.symbols.index(LEADER)]
            squares = _returns(close) ** 2 / step
            rv24 = np.sqrt(_rolling(np.mean, squares, day))
            sigma = np.sqrt(_at(np.mean, squares, before, week))
            lead = (
                _ranked(rv24, before, month),
                np.log(_get(rv24, before) / sigma),
                np.log(sigma / np.sqrt(_at(np.mean, squares, before, month))),
                np.log(sigma),
                np.abs(_moved(close, before, day)) / (sigma * math.sqrt(DAY)),
                np.abs(_moved(close, before, week)) / (sigma * math.sqrt(WEEK)),
            )
        else:
            sigma, lead = empty, (empty,) * 6
        wide = (empty,) * 4
        if len(seen.symbols) >= FEWEST:
            moved = np.stack([_moves(close, day) for close in seen.closes])
            squares = np.stack([_returns(close) ** 2 / step for close in seen.closes])
            weekly = np.sqrt(np.stack([_rolling(np.mean, row, week) for row in squares]))
            daily = np.sqrt(np.stack([_rolling(np.mean, row, day) for row in squares]))
            mean = _mean(moved)
            count = np.isfinite(moved).sum(axis=0)
            spread = np.where(count >= FEWEST, np.sqrt(_mean((moved - mean) ** 2) * count / (count - 1)), np.nan)
            wide = (
                _get(spread / (_mean(weekly) * math.sqrt(DAY)), before),
                _ranked(spread, before, month),
                np.abs(_get(_mean(np.sign(moved)), before)),
                _get(_mean(np.log(daily / weekly)), before),
            )
    return np.stack((empty, *lead, *wide), axis=1), sigma


def joined(mine: Floats, around: Floats, leader_sigma: Floats) -> Floats:
    """A symbol's features with the market's at the same rows: (rows, len(NAMES))."""
    both = np.concatenate((mine, around), axis=1)
    both[:, len(OWN)] = mine[:, OWN.index("sigma")] - np.log(leader_sigma)
    return both


def trend_label(bars: Columns, rows: Ints) -> Floats:
    """z = ln(C[t+24h] / C[t]) / (sigma168 x sqrt(24)) at `rows`, NaN where the day after is not known."""
    ahead = HORIZON_H // bars.step_h
    with np.errstate(all="ignore"):
        squares = _returns(bars.close) ** 2 / bars.step_h
        sigma = np.sqrt(_at(np.mean, squares, rows, WEEK // bars.step_h))
        return _moved(bars.close, rows + ahead, ahead) / (sigma * math.sqrt(HORIZON_H))


def volatility_label(bars: Columns, rows: Ints) -> tuple[Floats, Floats]:
    """(volatility of the day after, of the day before), each over the median of the 30 days before `rows`."""
    day, month = DAY // bars.step_h, MONTH // bars.step_h
    with np.errstate(all="ignore"):
        rv24 = np.sqrt(_rolling(np.mean, _returns(bars.close) ** 2 / bars.step_h, day))
        usual = _at(np.median, rv24, rows, month)
        return _get(rv24, rows + HORIZON_H // bars.step_h) / usual, _get(rv24, rows) / usual


# ---- windows ---------------------------------------------------------------------------------------------------------

_CHUNK: Final = 4096

Fold = Callable[..., Floats]


def _returns(close: Floats) -> Floats:
    return np.concatenate((np.full(1, np.nan), np.diff(np.log(close))))[: len(close)]


def _get(series: Floats, rows: Ints) -> Floats:
    """The values at `rows`, NaN outside."""
    inside = (rows >= 0) & (rows < len(series))
    return np.where(inside, series[np.where(inside, rows, 0)], np.nan) if len(series) else np.full(len(rows), np.nan)


def _moved(close: Floats, rows: Ints, bars: int) -> Floats:
    return np.asarray(np.log(_get(close, rows) / _get(close, rows - bars)))


def _moves(close: Floats, bars: int) -> Floats:
    found = np.full(len(close), np.nan)
    found[bars:] = np.log(close[bars:] / close[:-bars])
    return found


def _rolling(fold: Fold, series: Floats, size: int) -> Floats:
    """`fold` over each window of `size` that ends at a place; NaN before the first whole one."""
    found = np.full(len(series), np.nan)
    if len(series) >= size:
        found[size - 1 :] = fold(sliding_window_view(series, size), axis=-1)
    return found


def _at(fold: Fold, series: Floats, rows: Ints, size: int) -> Floats:
    """`_rolling`, at `rows` alone."""
    return _gathered(lambda windows: fold(windows, axis=-1), series, rows, size)


def _ranked(series: Floats, rows: Ints, size: int) -> Floats:
    """Where the value stands among the last `size` (0..1, equals count half); NaN with a hole among them."""

    def rank(windows: Floats) -> Floats:
        newest = windows[:, -1:]
        below = (windows < newest).sum(axis=1) + 0.5 * (windows == newest).sum(axis=1)
        return np.where(np.isfinite(windows).all(axis=1), below / size, np.nan)

    return _gathered(rank, series, rows, size)


def _gathered(fold: Callable[[Floats], Floats], series: Floats, rows: Ints, size: int) -> Floats:
    found = np.full(len(rows), np.nan)
    fits = np.flatnonzero((rows >= size - 1) & (rows < len(series)))
    if len(fits):
        windows = sliding_window_view(series, size)
        for first in range(0, len(fits), _CHUNK):
            some = fits[first : first + _CHUNK]
            found[some] = fold(windows[rows[some] - (size - 1)])
    return found


def _mean(values: Floats) -> Floats:
    """Over the symbols that are known, at each place; NaN with fewer than `FEWEST`."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    return np.asarray(np.where(count >= FEWEST, np.where(known, values, 0.0).sum(axis=0) / count, np.nan))


def _weekend(close_h: Ints) -> Floats:
    """The share of the 24 h from the close on that is Saturday or Sunday, UTC. 1970-01-01 was a Thursday."""
    hour = (close_h + 3 * DAY) % WEEK  # since Monday
    saturday = 5 * DAY
    return np.asarray(np.clip(np.minimum(hour - saturday + DAY, WEEK - hour), 0, DAY) / DAY, dtype=np.float64)
