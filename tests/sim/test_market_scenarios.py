"""The pattern of `range` against a reference computed with TA-Lib, and its absence from `calm`."""

import itertools
import math

import numpy as np
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st

from nexus_engine.sim.market import Bar, Market
from nexus_engine.sim.scenarios import SCENARIOS, aligned_start, band_limit

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
BAR = 5 * MINUTE
START = aligned_start(1_760_000_000 * SECOND)
BOUNDARY = START + 45 * SECOND


def falls(bars: list[Bar]) -> list[int]:
    """Indices of bars that close 1.5 % under the lower band and under EMA50, on no wild volume."""
    closes = np.array([bar.close for bar in bars])
    volumes = np.array([bar.volume for bar in bars])
    lower = talib.BBANDS(closes, 20, 2, 2)[2]
    fell = (closes < 0.985 * lower) & (closes < talib.EMA(closes, 50)) & (volumes < 20 * talib.SMA(volumes, 20))
    return [int(index) for index in np.flatnonzero(fell)]


def long_signals(bars: list[Bar]) -> list[int]:
    """Close times of the first bar, of the two after a fall, that closes above it."""
    out = []
    for index in falls(bars):
        later = [bar for bar in bars[index + 1 : index + 3] if bar.close > bars[index].close]
        if later:
            out.append(later[0].close_ns + 1_000_000)
    return out


def closed(market: Market, symbol: str) -> list[Bar]:
    return market.bars(symbol, "5m", limit=1500)[:-1]


def run(market: Market, until_ns: int, step_ns: int) -> None:
    while market.now_ns < until_ns:
        market.step(min(step_ns, until_ns - market.now_ns))


@pytest.mark.parametrize("seed", range(1, 21))
def test_range_signals_at_45_seconds_and_then_on_schedule_for_two_hours(seed: int) -> None:
    market = Market(seed=seed, scenario="range", start_ns=START)
    run(market, BOUNDARY, 500_000_000)
    assert long_signals(closed(market, "SOLUSDT"))[-1] == BOUNDARY == market.now_ns

    run(market, START + 120 * MINUTE, 10 * SECOND)
    found = sorted((at_ns, symbol) for symbol in market.symbols for at_ns in long_signals(closed(market, symbol)))
    cycle_ns = SCENARIOS["range"].cycle_min * MINUTE
    scripted = [
        (BOUNDARY + lap * cycle_ns + minute * MINUTE, symbol)
        for lap in range(2)
        for minute, symbol in SCENARIOS["range"].dislocations
        if lap * cycle_ns + minute * MINUTE + 45 * SECOND <= 120 * MINUTE
    ]
    assert found == scripted
    gaps = [(after[0] - before[0]) // MINUTE for before, after in itertools.pairwise(found)]
    assert gaps[:3] == [10, 10, 10] and max(gaps) <= 20


@pytest.mark.parametrize("seed", range(1, 6))
def test_calm_shows_no_fall_in_a_day(seed: int) -> None:
    market = Market(seed=seed, scenario="calm", start_ns=START)
    run(market, START + 24 * 60 * MINUTE, 20 * SECOND)
    assert not any(falls(closed(market, symbol)) for symbol in market.symbols)


@pytest.fixture(scope="module")
def after_two_hours() -> list[Market]:
    markets = [Market(seed=seed, scenario="range", start_ns=START) for seed in range(1, 13)]
    for market in markets:
        run(market, START + 150 * MINUTE, 20 * SECOND)
    return markets


def test_a_fall_rebounds_goes_sideways_and_mostly_recovers(after_two_hours: list[Market]) -> None:
    recovered = stayed = 0
    for market in after_two_hours:
        for symbol in market.symbols[1:]:
            bars = closed(market, symbol)
            closes = np.array([bar.close for bar in bars])
            middle = talib.BBANDS(closes, 20, 2, 2)[1]
            for index in falls(bars):
                after = closes[index : index + 9] / closes[index]
                if len(after) < 9:
                    continue
                assert 1.0025 < after[1] < 1.0065
                assert abs(after[2] / after[1] - 1) < 0.0015
                if (closes[index + 3 : index + 9] >= middle[index + 3 : index + 9]).any():
                    recovered += 1
                else:
                    stayed += 1
                    assert 0.978 < after[8] / after[2] < 0.992
    assert 0.6 < recovered / (recovered + stayed) < 0.92


def test_btc_stays_out_of_it(after_two_hours: list[Market]) -> None:
    for market in after_two_hours:
        bars = market.bars("BTCUSDT", "1m", limit=1500)
        highs, closes = [bar.high for bar in bars], [bar.close for bar in bars]
        assert all(closes[i] > 0.99 * max(highs[i - 15 : i + 1]) for i in range(15, len(bars)))


def test_range_stays_a_range_for_days() -> None:
    market = Market(seed=2, scenario="range", start_ns=START)
    opening = market.prices()
    for _ in range(48):
        run(market, market.now_ns + 60 * MINUTE, MINUTE)
        assert all(-0.20 < math.log(price / opening[symbol]) < 0.06 for symbol, price in market.prices().items())


def test_a_price_that_was_kept_low_finds_home_over_several_starts() -> None:
    prices = {"ADAUSDT": 0.75}
    for seed in range(4):
        market = Market(seed=seed, scenario="calm", start_ns=START, opening=prices)
        run(market, START + 10 * 60 * MINUTE, MINUTE)
        prices = market.prices()
    assert prices["ADAUSDT"] == pytest.approx(0.81, rel=0.04)


@given(st.lists(st.floats(0.98, 1.02), min_size=19, max_size=19), st.floats(1e-3, 1e5))
def test_the_band_limit_is_where_talib_puts_it(shape: list[float], price: float) -> None:
    closes = [value * price for value in shape]
    limit = band_limit(closes)

    def fell(close: float) -> bool:
        lower = talib.BBANDS(np.array([*closes, close]) / price, 20, 2, 2)[2][-1]
        return bool(close / price < 0.985 * lower)

    assert fell(limit * 0.9999) and not fell(limit * 1.0001)


@given(st.integers(1_700_000_000 * SECOND, 1_900_000_000 * SECOND))
def test_an_aligned_start_is_the_latest_instant_45_s_before_a_boundary(now_ns: int) -> None:
    start_ns = aligned_start(now_ns)
    assert (start_ns + 45 * SECOND) % BAR == 0
    assert 0 <= now_ns - start_ns < BAR


@pytest.mark.parametrize("offset_s", [0, 1, 59, 60, 150, 299])
def test_the_first_pattern_completes_wherever_the_market_starts(offset_s: int) -> None:
    market = Market(seed=8, scenario="range", start_ns=BOUNDARY + offset_s * SECOND)
    boundary_ns = (market.now_ns // BAR + 1) * BAR
    run(market, boundary_ns, SECOND)
    assert long_signals(closed(market, "SOLUSDT")) == [boundary_ns]
