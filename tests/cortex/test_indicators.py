"""TA-Lib's handles against its batch functions, bit for bit."""

import math
import subprocess
import sys
from random import Random

import numpy as np
import pytest
import talib
from cortex_data import rows_of, walk

from nexus_engine.cortex.indicators import (
    ADX,
    ATR,
    EMA,
    MACD,
    RSI,
    SMA,
    Bollinger,
    Percentile,
    Supertrend,
    recursive_warmup,
)

ROWS = rows_of(walk(1500, 3), volumes=[Random(3).uniform(1, 9) for _ in range(1500)])
HIGH, LOW, CLOSE = (np.array([getattr(row, name) for row in ROWS]) for name in ("high", "low", "close"))

CASES = {
    "EMA20": (lambda: EMA(20), [talib.EMA(CLOSE, 20)]),
    "EMA50": (lambda: EMA(50), [talib.EMA(CLOSE, 50)]),
    "RSI14": (lambda: RSI(14), [talib.RSI(CLOSE, 14)]),
    "ATR14": (lambda: ATR(14), [talib.ATR(HIGH, LOW, CLOSE, 14)]),
    "BB20": (lambda: Bollinger(20), talib.BBANDS(CLOSE, 20, 2.0, 2.0)),
    "BB40": (lambda: Bollinger(40, 1.5), talib.BBANDS(CLOSE, 40, 1.5, 1.5)),
    "SMA200": (lambda: SMA(200), [talib.SMA(CLOSE, 200)]),
    "MACD": (MACD, talib.MACD(CLOSE, 12, 26, 9)),
    "PERCENTILE": (lambda: Percentile(30, 25.0), [talib.PERCENTILE(CLOSE, 30, 25.0)]),
    "ADX14": (
        lambda: ADX(14),
        [f(HIGH, LOW, CLOSE, 14) for f in (talib.ADX, talib.PLUS_DI, talib.MINUS_DI)],
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("warmed", [0, 5, 700])
def test_every_bar_equals_the_batch_function_to_the_last_bit(name, warmed):
    make, batch = CASES[name]
    indicator = make()
    indicator.warm(ROWS[:warmed])
    for index in range(warmed, len(ROWS)):
        indicator.update(ROWS[index])
        expected = [column[index] for column in batch]
        assert np.array_equal(np.atleast_1d(indicator.value), expected, equal_nan=True)


@pytest.mark.parametrize(
    ("make", "needs"),
    [
        (lambda: EMA(20), 500),
        (lambda: EMA(200), 1000),
        (MACD, 500),
        (Supertrend, 500),
        (lambda: SMA(200), 200),
        (RSI, 500),
        (ATR, 500),
        (ADX, 500),
    ],
)
def test_a_recursive_average_is_not_ready_before_its_seed_has_faded(make, needs):
    indicator = make()
    indicator.warm(ROWS[: needs - 1])
    assert not indicator.ready
    indicator.update(ROWS[needs - 1])
    assert indicator.ready


def test_the_warmup_is_500_bars_or_ten_periods():
    assert [recursive_warmup(period) for period in (14, 50, 60, 200)] == [500, 500, 600, 2000]


def test_after_the_warmup_where_the_history_began_no_longer_shows():
    for make in (lambda: EMA(50), RSI, ATR):
        early, late = make(), make()
        early.warm(ROWS)
        late.warm(ROWS[-late.needs :])
        assert late.value == pytest.approx(early.value, rel=1e-7)


def test_an_indicator_without_bars_is_nan_and_not_ready():
    indicator = RSI()
    indicator.warm([])
    assert math.isnan(indicator.value)
    assert not indicator.ready


def oracle(name, *args, **options):
    """A function of pandas-ta-classic as arrays, without its TA-Lib."""
    pandas, catalogue = pytest.importorskip("pandas"), pytest.importorskip("pandas_ta_classic")
    found = getattr(catalogue, name)(*map(pandas.Series, args), **options)
    return found if isinstance(found, pandas.DataFrame) else found.to_frame()


@pytest.mark.parametrize(
    ("make", "name", "inputs", "options", "places"),
    [
        (lambda: EMA(50), "ema", (CLOSE,), {"length": 50}, [0]),
        (lambda: SMA(200), "sma", (CLOSE,), {"length": 200}, [0]),
        (RSI, "rsi", (CLOSE,), {"length": 14}, [0]),
        (ATR, "atr", (HIGH, LOW, CLOSE), {"length": 14}, [0]),
        (ADX, "adx", (HIGH, LOW, CLOSE), {"length": 14}, [0, 1, 2]),
        (Bollinger, "bbands", (CLOSE,), {"length": 20, "std": 2.0, "ddof": 0}, [2, 1, 0]),
        (MACD, "macd", (CLOSE,), {}, [0, 2, 1]),
        (Supertrend, "supertrend", (HIGH, LOW, CLOSE), {"length": 10, "multiplier": 3.0}, [None, 1]),
    ],
)
def test_once_warm_it_agrees_with_an_independent_catalogue(make, name, inputs, options, places):
    options |= {} if name == "supertrend" else {"talib": False}
    frame, indicator = oracle(name, *inputs, **options), make()
    for index, row in enumerate(ROWS):
        indicator.update(row)
        if indicator.ready:
            ours = np.atleast_1d(indicator.value)
            # they reset a Supertrend's band where it flips, TA-Lib goes on ratcheting it: the direction is the same
            theirs = [ours[at] if place is None else frame.iloc[index, place] for at, place in enumerate(places)]
            assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-9), (index, name)


def test_the_cortex_does_not_load_data_frames():
    code = (
        "import sys, nexus_engine.cortex.factory; sys.exit(any(name in sys.modules for name in ('pandas', 'polars')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_data_frames_can_still_be_imported_after_the_cortex():
    code = "import nexus_engine.cortex.factory, polars; assert polars.Series([1]).sum() == 1"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
