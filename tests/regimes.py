"""A market whose volatility comes in waves, a small model of it, and both on disk."""

from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from nexus_engine.cortex.regime_features import Columns
from nexus_engine.cortex.regime_model import RegimeModel
from nexus_engine.lab import regime_fit, regime_train
from nexus_engine.lab.regime_data import Panel
from nexus_engine.lab.regime_samples import Samples, samples
from nexus_engine.runtime.regime import formula_hash

FIRST_H = 420_000
"""2017-11-30: Thursday."""
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
SMALL = {"n_estimators": 12, "max_depth": 4, "min_samples_leaf": 40}


@cache
def panel(hours: int = 9_000, seed: int = 3, symbols: tuple[str, ...] = SYMBOLS) -> Panel:
    """Hourly bars of a random walk whose log volatility wanders back to its mean, in part with everybody's."""
    rng = np.random.default_rng(seed)
    close_h = np.arange(FIRST_H, FIRST_H + hours, dtype=np.int64)
    together = _wander(rng, hours)
    columns = {}
    for number, symbol in enumerate(symbols):
        sigma = 0.006 * np.exp(0.6 * together + 0.4 * _wander(rng, hours)) * (1 + 0.2 * number)
        moves = rng.normal(size=(hours, 4)) * sigma[:, None] / 2
        path = np.cumsum(moves.ravel()).reshape(hours, 4)
        opened = np.concatenate(([0.0], path[:-1, 3]))
        around = np.concatenate((opened[:, None], path), axis=1)
        volume = np.exp(rng.normal(size=hours) * 0.3) * sigma
        columns[symbol] = Columns(
            close_h,
            100 * np.exp(around.max(axis=1)),
            100 * np.exp(around.min(axis=1)),
            100 * np.exp(path[:, 3]),
            volume,
            1,
        )
    return Panel(1, close_h, columns)


def _wander(rng: np.random.Generator, hours: int) -> np.ndarray:
    steps, found, last = rng.normal(size=hours), np.empty(hours), 0.0
    for at in range(hours):
        last = 0.985 * last + 0.17 * steps[at]
        found[at] = last
    return found


@cache
def learned() -> Samples:
    return samples(panel())


@cache
def model(name: str = "small") -> RegimeModel:
    """A small forest of the first two thirds of `panel()`."""
    found = learned().between(0, FIRST_H + 6_000)
    arrays = regime_fit.fit(found, "forest", 5, SMALL)
    formulas = formula_hash()
    made = regime_train.modelled(arrays, found, formulas, family="forest", seed=5, name=name, data_sha256="")
    return regime_train.finished(made, found, formulas)


def write(folder: Path, bars: Panel, first: int = 0, end: int | None = None) -> Path:
    """The panel as a file a symbol, in the columns of the recorded data."""
    folder.mkdir(parents=True, exist_ok=True)
    for symbol, one in bars.columns.items():
        frame(one, first, end).write_parquet(folder / f"{symbol}_spot_1h.parquet")
    return folder


def frame(one: Columns, first: int = 0, end: int | None = None) -> pl.DataFrame:
    part = slice(first, end)
    opens = np.concatenate((one.close[:1], one.close[:-1]))[part]
    times = pl.Series(((one.close_h - one.step_h) * 3_600_000)[part]).cast(pl.Datetime("ms"))
    return pl.DataFrame(
        {
            "open_time": times, "open": np.clip(opens, one.low[part], one.high[part]), "high": one.high[part],
            "low": one.low[part], "close": one.close[part], "volume": one.volume[part],
        }
    )  # fmt: skip
