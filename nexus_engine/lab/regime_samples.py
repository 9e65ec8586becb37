"""Rows to learn from and to be measured on: features, what came of them, and what simple rules said."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import talib

from nexus_engine.cortex.regime_features import (
    CADENCE_H,
    DAY,
    HORIZON_H,
    Columns,
    Floats,
    Ints,
    joined,
    market,
    own,
    trend_label,
    volatility_label,
)
from nexus_engine.cortex.regime_model import market_known
from nexus_engine.lab.regime_data import Panel

TREND_Z: Final = 1.0
ADX_TREND: Final = 25.0

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Samples:
    """One row a symbol and mark, by time. `labels`: (trend, high volatility) within the next 24 h.

    Own features are all finite; the market's may be NaN. `persistence` and `adx` are what those rules say of both.
    """

    close_h: Ints
    symbol: Ints
    rows: Floats
    labels: Bools
    persistence: Bools
    adx: Bools
    names: tuple[str, ...]

    @property
    def columns(self) -> tuple[npt.NDArray[Any], ...]:
        return self.close_h, self.symbol, self.rows, self.labels, self.persistence, self.adx

    def where(self, keep: Bools) -> "Samples":
        return _made([column[keep] for column in self.columns], self.names)

    def between(self, first_h: float, end_h: float) -> "Samples":
        """Those whose mark lies in [first_h, end_h)."""
        return self.where((self.close_h >= first_h) & (self.close_h < end_h))

    def thinned(self) -> "Samples":
        """Every second mark, of one day the even and of the next the odd ones: all hours of a day stay."""
        return self.where((self.close_h // CADENCE_H + self.close_h // DAY) % 2 == 0)

    def __len__(self) -> int:
        return len(self.close_h)


def marks(panel: Panel) -> Ints:
    """Places of the grid at which the model speaks."""
    return np.flatnonzero(panel.close_h % CADENCE_H == 0).astype(np.int64)


def samples(panel: Panel, told: Callable[[str], None] = lambda text: None, *, labelled: bool = True) -> Samples:
    """Every mark of every symbol whose own features are known; `labelled`: and what came of it."""
    rows = marks(panel)
    told("features of the market")
    around, leader = market(panel.market, rows)
    parts = []
    for number, (symbol, bars) in enumerate(panel.columns.items()):
        told(f"features of {symbol}")
        mine = own(bars, rows)
        z = trend_label(bars, rows)
        ahead, now = volatility_label(bars, rows)
        keep = np.isfinite(mine).all(axis=1) & np.isfinite(now)
        if labelled:
            keep &= np.isfinite(z) & np.isfinite(ahead)
        at = rows[keep]
        with np.errstate(invalid="ignore"):
            labels = np.stack((np.abs(z[keep]) >= TREND_Z, ahead[keep] > 1), axis=1)
        both = joined(mine[keep], around[keep], leader[keep])
        both[~np.isfinite(both)] = np.nan
        past = np.abs(mine[keep, _MOVE24]) >= TREND_Z
        strength = _adx(bars)[at]
        parts.append(
            Samples(
                panel.close_h[at],
                np.full(len(at), number, dtype=np.int64),
                both,
                labels,
                np.stack((past, now[keep] > 1), axis=1),
                np.stack((strength > ADX_TREND, mine[keep, _RANK] > 0.5), axis=1),
                tuple(panel.columns),
            )
        )
    return joint(parts, tuple(panel.columns))


def joint(parts: list[Samples], names: tuple[str, ...]) -> Samples:
    """All in one, by time."""
    columns = [np.concatenate(columns) for columns in zip(*(part.columns for part in parts), strict=True)]
    order = np.argsort(columns[0], kind="stable")
    return _made([column[order] for column in columns], names)


def _made(columns: list[Any], names: tuple[str, ...]) -> Samples:
    given: list[Any] = [*columns, names]
    return Samples(*given)


def known(found: Samples) -> Bools:
    """Which rows have a market around them."""
    return np.asarray(market_known(found.rows))


def purge_h() -> int:
    """Between what is learned from and what it is measured on: the labels' horizon, and as much again."""
    return 2 * HORIZON_H


_MOVE24: Final = 8
_RANK: Final = 4


def _adx(bars: Columns) -> Floats:
    """ADX(14) of the bars; NaN from the first hole of a stretch until it is warm again."""
    found = np.full(len(bars.close), np.nan)
    whole = np.isfinite(bars.close)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], whole.astype(np.int8), [0]))))
    for first, end in edges.reshape(-1, 2).tolist():
        if end - first > 60:
            found[first:end] = talib.ADX(bars.high[first:end], bars.low[first:end], bars.close[first:end], 14)
    return np.asarray(np.nan_to_num(found))
