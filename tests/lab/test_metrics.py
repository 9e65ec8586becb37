"""Figures by their definitions: beside a library that has them too, and by hand where none has."""

from math import isnan, sqrt
from random import Random
from statistics import NormalDist
from warnings import catch_warnings, simplefilter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_engine.lab import metrics

DAY = metrics.DAY_NS
RETURNS = st.lists(st.floats(-0.2, 0.25), min_size=5, max_size=60).filter(lambda row: np.std(row) > 1e-4)


@settings(max_examples=60, deadline=None)
@given(RETURNS)
def test_ratios_are_those_of_empyrical(row: list[float]) -> None:
    with catch_warnings():
        simplefilter("ignore")  # its imports are its own business
        empyrical = pytest.importorskip("empyrical")
    returns = np.array(row)
    equity = np.concatenate(([1.0], np.cumprod(1 + returns)))
    year = {"annualization": metrics.DAYS}
    assert metrics.sharpe(returns) == pytest.approx(empyrical.sharpe_ratio(returns, **year), rel=1e-12)
    assert metrics.drawdown(equity) == pytest.approx(empyrical.max_drawdown(returns), rel=1e-12, abs=1e-12)
    assert metrics.growth(returns) == pytest.approx(empyrical.annual_return(returns, **year), rel=1e-9)
    if min(row) < -1e-6:  # what is below 0 by a hair is an endless ratio there
        assert metrics.sortino(returns) == pytest.approx(empyrical.sortino_ratio(returns, **year), rel=1e-12)
        theirs = empyrical.calmar_ratio(returns, **year)
        assert metrics.calmar(returns, metrics.drawdown(equity)) == pytest.approx(theirs, rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(RETURNS)
def test_days_are_cut_at_midnight_and_give_back_their_returns(row: list[float]) -> None:
    equity = 1_000 * np.concatenate(([1.0], np.cumprod(1 + np.array(row))))
    at_ns = np.concatenate(([19_000 * DAY + 1], (19_001 + np.arange(len(row))) * DAY))
    days = metrics.daily(at_ns, equity)
    assert days[: len(row)] == pytest.approx(row, abs=1e-9)


def test_a_day_without_a_point_returns_nothing() -> None:
    at_ns = np.array([0, 10, 3 * DAY + 5, 3 * DAY + 6])
    assert metrics.daily(at_ns, np.array([100.0, 110.0, 110.0, 99.0])) == pytest.approx([0.1, 0.0, 0.0, -0.1])


def test_the_interval_of_a_win_rate_is_wilsons() -> None:
    low, high = metrics.wilson(8, 10)
    assert (low, high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert metrics.wilson(0, 5)[0] == pytest.approx(0.0)
    assert all(map(isnan, metrics.wilson(0, 0)))


def test_trades_are_counted_by_hand() -> None:
    money, r = np.array([10.0, -5.0, -5.0, 20.0, -10.0]), np.array([1.0, -0.5, -0.5, 2.0, -1.0])
    found = metrics.of_trades(money, r)
    assert found["profit"] == 10.0
    assert found["win_rate"] == 0.4
    assert found["profit_factor"] == 1.5
    assert found["payoff"] == pytest.approx(15 / (20 / 3))
    assert found["expectancy_r"] == pytest.approx(0.2)
    assert found["sqn"] == pytest.approx(sqrt(5) * 0.2 / np.std(r, ddof=1))
    assert found["longest_losing"] == 2


def test_a_probabilistic_sharpe_ratio_is_that_of_its_paper() -> None:
    returns = np.array([0.01, -0.02, 0.03, 0.015, -0.005, 0.02, 0.001, -0.01])
    ratio = returns.mean() / returns.std(ddof=1)
    z = (returns - returns.mean()) / returns.std()
    skew, kurtosis = (z**3).mean(), (z**4).mean()
    error = sqrt((1 - skew * ratio + (kurtosis - 1) / 4 * ratio**2) / (len(returns) - 1))
    assert metrics.probabilistic_sharpe(returns) == pytest.approx(NormalDist().cdf(ratio / error))


def test_the_more_was_tried_the_less_a_sharpe_ratio_is_worth() -> None:
    returns = np.random.default_rng(3).normal(0.002, 0.01, 300)
    deflated = [metrics.deflated_sharpe(returns, trials) for trials in (1, 2, 10, 1_000)]
    assert deflated[0] == metrics.probabilistic_sharpe(returns)
    assert deflated == sorted(deflated, reverse=True)
    assert deflated[0] > 0.95 > deflated[-1]
    # of many normal numbers the largest, by the same approximation: 1,000 of them have one near 3.26
    assert metrics.expected_best(1_000, 1.0) == pytest.approx(3.255, abs=0.01)


def test_what_cannot_be_known_is_not_a_number() -> None:
    nothing = np.empty(0)
    assert all(map(isnan, (metrics.sharpe(nothing), metrics.sortino(nothing), metrics.sqn(nothing))))
    assert isnan(metrics.sharpe(np.zeros(10)))
    assert isnan(metrics.profit_factor(np.array([1.0, 2.0])))
    assert metrics.growth(np.array([-1.0, 0.5])) == -1.0


def test_random_numbers_are_drawn_at_once_as_one_by_one() -> None:
    random = Random("bootstrap:7")
    assert metrics.drawn("bootstrap:7", 5_000).tolist() == [random.random() for _ in range(5_000)]
