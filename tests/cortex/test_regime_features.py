"""One set of formulas: a window says what whole columns say, and nothing of what comes after reaches back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from regimes import SYMBOLS, panel

from nexus_engine.cortex.regime_features import (
    CADENCE_H,
    MARKET,
    NAMES,
    NEED_H,
    OWN,
    Columns,
    Market,
    joined,
    market,
    own,
    trend_label,
    volatility_label,
)
from nexus_engine.lab.regime_data import Panel
from nexus_engine.lab.regime_gating import coarser

HOURS = 2_600


def rows_of(bars: Panel, rows: np.ndarray, symbol: str = "ETHUSDT") -> np.ndarray:
    around, leader = market(bars.market, rows)
    return joined(own(bars.columns[symbol], rows), around, leader)


def cut(bars: Panel, first: int, end: int) -> Panel:
    columns = {
        symbol: Columns._make((*(column[first:end] for column in one[:5]), one.step_h))
        for symbol, one in bars.columns.items()
    }
    return Panel(bars.step_h, bars.close_h[first:end], columns)


def test_every_feature_has_a_name() -> None:
    found = rows_of(panel(HOURS), np.array([HOURS - 1]))
    assert found.shape == (1, len(NAMES)) and len(set(NAMES)) == len(NAMES)
    assert np.isfinite(found).all()


@given(at=st.integers(NEED_H - 1, HOURS - 1))
@settings(max_examples=40, deadline=None)
def test_a_window_says_what_the_whole_column_says(at: int) -> None:
    whole = rows_of(panel(HOURS), np.array([at]))
    window = rows_of(cut(panel(HOURS), at - NEED_H + 1, at + 1), np.array([NEED_H - 1]))
    np.testing.assert_allclose(window, whole, rtol=1e-9, atol=1e-12)


@given(at=st.integers(NEED_H - 1, HOURS - 30), seed=st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_a_shuffled_future_leaves_the_past_as_it_was(at: int, seed: int) -> None:
    bars = panel(HOURS)
    order = np.arange(HOURS)
    np.random.default_rng(seed).shuffle(order[at + 1 :])
    columns = {
        symbol: Columns._make((one.close_h, *(column[order] for column in one[1:5]), 1))
        for symbol, one in bars.columns.items()
    }
    rows = np.arange(NEED_H - 1, at + 1, 97)
    shuffled = rows_of(Panel(1, bars.close_h, columns), rows)
    np.testing.assert_array_equal(shuffled, rows_of(bars, rows))


def test_the_market_of_a_row_ends_a_bar_before_it() -> None:
    """Else what a symbol knows at the close of an hour hangs on whose bar came first."""
    bars = panel(HOURS)
    last = np.array([HOURS - 1])
    seen = bars.market
    closes = seen.closes.copy()
    closes[:, -1] = np.nan
    around, leader = market(seen._replace(closes=closes), last)
    np.testing.assert_array_equal(around, market(seen, last)[0])
    assert np.isfinite(leader).all()


def test_labels_look_ahead_and_nothing_else_does() -> None:
    bars = panel(HOURS).columns["BTCUSDT"]
    rows = np.array([NEED_H, HOURS - 25, HOURS - 24])
    z, (ahead, now) = trend_label(bars, rows), volatility_label(bars, rows)
    assert np.isfinite(z).tolist() == np.isfinite(ahead).tolist() == [True, True, False]
    assert np.isfinite(now).all()
    at = NEED_H
    r = np.diff(np.log(bars.close))
    sigma = np.sqrt(np.mean(r[at - 168 : at] ** 2))
    assert z[0] == pytest.approx(np.log(bars.close[at + 24] / bars.close[at]) / (sigma * np.sqrt(24)))
    rv = np.sqrt(np.convolve(r**2, np.ones(24) / 24, "valid"))  # rv[k] ends at bar k + 24
    assert ahead[0] == pytest.approx(rv[at] / np.median(rv[at - 24 - 719 : at - 24 + 1]))


def test_a_hole_silences_every_row_that_looks_over_it() -> None:
    bars = panel(HOURS).columns["BTCUSDT"]
    close = bars.close.copy()
    close[1_000] = np.nan
    holed = bars._replace(close=close)
    found = np.isfinite(own(holed, np.arange(HOURS))).all(axis=1)
    assert not found[1_000 : 1_000 + 744].any()
    assert found[1_000 + NEED_H :].all() and found[NEED_H:1_000].all()


@pytest.mark.parametrize("symbols", [("ETHUSDT",), ("BTCUSDT",), ("BTCUSDT", "ETHUSDT")])
def test_without_a_market_its_features_are_missing_and_the_symbols_own_are_not(symbols: tuple[str, ...]) -> None:
    bars = panel(HOURS)
    alone = Market(bars.close_h, np.stack([bars.columns[one].close for one in symbols]), symbols, 1)
    around, leader = market(alone, np.array([HOURS - 1]))
    row = joined(own(bars.columns[symbols[-1]], np.array([HOURS - 1])), around, leader)[0]
    assert np.isfinite(row[: len(OWN)]).all()
    assert not np.isfinite(row[NAMES.index("dispersion24")])
    assert np.isfinite(row[NAMES.index("btc move24")]) == ("BTCUSDT" in symbols)
    assert len(MARKET) == len(row) - len(OWN)


def test_bars_of_two_hours_say_nearly_the_same() -> None:
    fine, slow = panel(HOURS), coarser(panel(HOURS), 2)
    rows = np.flatnonzero((slow.close_h % CADENCE_H == 0) & (np.arange(len(slow.close_h)) > NEED_H // 2))
    there = np.searchsorted(fine.close_h, slow.close_h[rows])
    one, two = rows_of(fine, there), rows_of(slow, rows)
    together = [np.corrcoef(one[:, at], two[:, at])[0, 1] for at in range(len(NAMES))]
    assert min(together) > 0.3 and np.median(together) > 0.95, dict(zip(NAMES, together, strict=True))


def test_the_test_market_has_what_the_tests_ask_of_it() -> None:
    assert panel(HOURS).market.symbols == SYMBOLS
