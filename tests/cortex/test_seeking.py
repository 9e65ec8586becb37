"""Indicators over whole columns: standing at any bar is having seen all bars before it."""

from random import Random

import numpy as np
import pytest
from cortex_data import rows_of, walk
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_engine.cortex.columns import Columns
from nexus_engine.cortex.features import (
    Chandelier,
    Donchian,
    EfficiencyRatio,
    MeanVolume,
    RealisedVolatility,
    SessionVWAP,
)
from nexus_engine.cortex.indicators import ADX, ATR, EMA, MACD, RSI, SMA, Bollinger, Percentile, Supertrend

ROWS = rows_of(walk(1200, 3), volumes=[Random(3).choice([0.0, 1.5, 9.0, 70.0]) for _ in range(1200)])
COLUMNS = Columns.of(ROWS)
KINDS = {
    "SMA": lambda: SMA(200),
    "EMA": lambda: EMA(50),
    "RSI": RSI,
    "ATR": ATR,
    "BB": Bollinger,
    "MACD": MACD,
    "ADX": ADX,
    "Supertrend": Supertrend,
    "Percentile": lambda: Percentile(30, 25.0),
    "Donchian": Donchian,
    "Chandelier": Chandelier,
    "ER": EfficiencyRatio,
    "RV": RealisedVolatility,
    "MeanVolume": MeanVolume,
    "VWAP": SessionVWAP,
}


@pytest.mark.parametrize("name", KINDS)
@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1199))
def test_standing_at_a_bar_is_having_seen_all_before_it_to_the_last_bit(name, upto):
    walked, jumped = KINDS[name](), KINDS[name]()
    for row in ROWS[:upto]:
        walked.update(row)
    jumped.seek(COLUMNS, upto)
    assert np.array_equal(np.atleast_1d(jumped.value), np.atleast_1d(walked.value), equal_nan=True)
    for row in ROWS[upto : upto + 30]:
        walked.update(row)
        jumped.update(row)
        assert np.array_equal(np.atleast_1d(jumped.value), np.atleast_1d(walked.value), equal_nan=True)
        assert jumped.ready == walked.ready


def test_columns_are_the_rows():
    assert [msg.open_ns for msg in COLUMNS.rows(0, 5)] == [row.open_ns for row in ROWS[:5]]
    assert (COLUMNS.row(7).high, COLUMNS.row(7).volume, len(COLUMNS)) == (ROWS[7].high, ROWS[7].volume, 1200)
