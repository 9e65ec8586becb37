"""The regime rule: what it says, how long it holds it, and that it says the same twice."""

from itertools import pairwise

import pytest
from cortex_data import quiet, rows_of, walk
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_engine.cortex.regime import ENTER, RegimeRule
from nexus_engine.model.words import Regime


def hours(closes):
    return rows_of(closes, "1h")


def views(rows):
    rule, out = RegimeRule(), []
    for row in rows:
        rule.update(row)
        out.append(rule.view)
    return out


def test_short_history_is_unknown():
    rows = hours(quiet(500, 1))
    early = views(rows[:499])
    assert {view.regime for view in early} == {Regime.UNKNOWN}
    assert early[-1].confidence == 0.0
    assert views(rows)[-1].regime is not Regime.UNKNOWN


@pytest.mark.parametrize(("drift", "expected"), [(0.004, Regime.TREND_UP), (-0.004, Regime.TREND_DOWN)])
def test_a_straight_way_after_a_month_of_noise_is_a_trend(drift, expected):
    before = walk(900, 5, noise=0.004)
    view = views(hours(before + walk(40, 6, drift=drift, noise=0.002, price=before[-1])))[-1]
    assert view.regime is expected
    assert view.confidence > ENTER


@pytest.mark.parametrize("seed", range(6))
def test_a_market_that_only_swings_has_no_trend(seed):
    """Its straightest days rank high among its own, but not among random walks."""
    seen = {view.regime for view in views(hours(quiet(1200, seed, noise=0.004, pull=0.5)))}
    assert not seen & {Regime.TREND_UP, Regime.TREND_DOWN}
    assert Regime.RANGE in seen


def test_larger_swings_are_volatile_until_they_calm():
    rows = hours(quiet(900, 2, noise=0.002, pull=0.5) + quiet(40, 3, noise=0.02, pull=0.9) + quiet(60, 4, noise=0.001))
    regimes = [view.regime for view in views(rows)]
    assert regimes[939] is Regime.VOLATILE
    assert regimes[-1] is Regime.RANGE


def test_a_price_that_does_not_move_is_a_range():
    assert views(hours([100.0] * 600))[-1].regime is Regime.RANGE


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000))
def test_a_regime_is_held_for_twelve_hours(seed):
    regimes = [view.regime for view in views(hours(walk(1400, seed)))]
    switches = [index for index in range(1, len(regimes)) if regimes[index] is not regimes[index - 1]]
    assert len(switches) > 2
    assert all(later - earlier >= 12 for earlier, later in pairwise(switches))


@settings(max_examples=8, deadline=None)
@given(st.integers(500, 1100))
def test_the_view_of_a_bar_needs_nothing_after_it(until):
    rows = hours(walk(1100, 9))
    rule = RegimeRule()
    rule.warm(rows[:until])
    assert rule.view == views(rows)[until - 1]


def test_readings_carry_the_numbers_and_limits():
    readings = {reading.name: reading for reading in views(hours(walk(700, 4)))[-1].readings}
    assert readings["straightness rank"].limit == ENTER
    assert 0 <= readings["straightness rank"].value <= 1
    assert 0 <= readings["volatility rank 30d"].value <= 1
    assert 0 <= readings["place in Donchian20"].value <= 1
