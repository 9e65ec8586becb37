"""The own incremental classes against naive numpy."""

import math

import numpy as np
import pytest
from cortex_data import rows_of
from hypothesis import given
from hypothesis import strategies as st

from nexus_engine.cortex.features import (
    Donchian,
    EfficiencyRatio,
    MeanVolume,
    RealisedVolatility,
    RollingRank,
    Turnover,
)

prices = st.lists(st.floats(1e-4, 1e6), min_size=1, max_size=80)
periods = st.integers(1, 30)


@given(prices, periods)
def test_donchian_is_the_extremes_of_the_window(closes, period):
    rows, channel = rows_of(closes), Donchian(period)
    for index, row in enumerate(rows):
        channel.update(row)
        window = rows[max(0, index + 1 - period) : index + 1]
        assert channel.value == (max(bar.high for bar in window), min(bar.low for bar in window))
        assert channel.ready == (index + 1 >= period)


@given(prices, periods)
def test_turnover_is_volume_by_close_over_the_window(closes, period):
    rows, traded = rows_of(closes), Turnover(period)
    for index, row in enumerate(rows):
        traded.update(row)
        window = rows[max(0, index + 1 - period) : index + 1]
        assert traded.value == pytest.approx(sum(bar.volume * bar.close for bar in window))
        assert traded.ready == (index + 1 >= period)


@given(prices, periods)
def test_efficiency_ratio_is_net_change_by_way(closes, period):
    ratio = EfficiencyRatio(period)
    for index, row in enumerate(rows_of(closes)):
        ratio.update(row)
        window = np.array(closes[max(0, index - period) : index + 1])
        way = np.abs(np.diff(window)).sum()
        assert ratio.value == pytest.approx(abs(window[-1] - window[0]) / way if way else 0.0, abs=1e-9)
        assert 0.0 <= ratio.value <= 1.0
        assert ratio.ready == (index >= period)


@given(prices, periods)
def test_realised_volatility_is_the_rms_of_log_returns(closes, period):
    volatility = RealisedVolatility(period)
    for index, row in enumerate(rows_of(closes)):
        volatility.update(row)
        returns = np.diff(np.log(closes[max(0, index - period) : index + 1]))
        if index == 0:
            assert math.isnan(volatility.value)
        else:
            assert volatility.value == pytest.approx(math.sqrt(np.mean(returns**2)), rel=1e-6, abs=1e-12)
        assert volatility.ready == (index >= period)


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=80), periods)
def test_mean_volume_is_the_mean_of_the_window(volumes, period):
    mean = MeanVolume(period)
    for index, row in enumerate(rows_of([100.0] * len(volumes), volumes=volumes)):
        mean.update(row)
        window = volumes[max(0, index + 1 - period) : index + 1]
        assert mean.value == pytest.approx(np.mean(window), rel=1e-12)
        assert mean.ready == (index + 1 >= period)


@given(st.lists(st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0])), min_size=1, max_size=80), periods)
def test_rolling_rank_counts_those_below_and_half_of_the_equal(numbers, window):
    rank = RollingRank(window)
    for index, number in enumerate(numbers):
        rank.update(number)
        seen = np.array(numbers[max(0, index + 1 - window) : index + 1])
        expected = ((seen < number).sum() + (seen <= number).sum()) / 2 / len(seen)
        assert rank.value == pytest.approx(expected)


@pytest.mark.parametrize("make", [Donchian, EfficiencyRatio, RealisedVolatility, MeanVolume])
def test_warming_is_updating(make):
    rows = rows_of([100 + index % 7 for index in range(60)])
    warmed, updated = make(), make()
    warmed.warm(rows)
    for row in rows:
        updated.update(row)
    assert warmed.value == updated.value
    assert warmed.ready
