"""Harpoon's pattern: when it fires, what it says, and what it refuses."""

import msgspec
import pytest
from cortex_data import RANGE_HOURS, START_NS, event, only, quiet, quote_at, rows_of
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_engine.cortex.factory import Cortex
from nexus_engine.cortex.strategy import interval_ns
from nexus_engine.model.words import Regime, Side

STEP = interval_ns("5m")
BASE = quiet(700, 1)
"""Closes around 100."""
FALL, UP = 96.2, 96.7
"""Far under the band; the close back up."""


def cortex_on(rows, params=None):
    cortex = Cortex(only("harpoon", params))
    cortex.history("SOLUSDT", "1h", RANGE_HOURS)
    cortex.history("SOLUSDT", "5m", rows)
    return cortex


def play(cortex, rows, **quote):
    """Signals of each bar, with a quote at its close."""
    return [cortex.bar(event(row), quote_at(row.close, **quote)) for row in rows]


def after_base(*closes, volumes=None):
    base = rows_of(BASE)
    return base, rows_of(closes, after=base, volumes=volumes)


def test_the_first_close_back_up_after_a_dislocation_buys_once():
    base, tail = after_base(FALL, UP, 96.9, 97.2, 97.5)
    fired = play(cortex_on(base), tail)
    assert [len(signals) for signals in fired] == [0, 1, 0, 0, 0]
    signal = fired[1][0]
    assert (signal.symbol, signal.strategy, signal.side) == ("SOLUSDT", "harpoon", Side.BUY)
    assert signal.market_ns == tail[1].open_ns + STEP
    assert signal.regime.regime is Regime.RANGE
    assert signal.risk_pct == 0.25
    assert signal.leverage == 2
    assert signal.time_stop_ns == 72 * STEP


def test_its_prices_are_the_touch_the_middle_band_and_a_limit_a_tenth_of_the_stop_away():
    base, tail = after_base(FALL, UP)
    quote = quote_at(UP)
    cortex = cortex_on(base)
    play(cortex, tail[:1])
    (signal,) = cortex.bar(event(tail[1]), quote)
    closes = [*BASE, FALL, UP][-20:]
    assert signal.price == quote.ask
    assert signal.target == pytest.approx(sum(closes) / 20, rel=1e-9)
    assert signal.limit == pytest.approx(signal.price + 0.1 * signal.stop_distance)
    assert signal.target - signal.price >= signal.stop_distance
    assert signal.stop_distance <= 0.05 * signal.price
    assert signal.price - signal.stop_distance <= min(row.low for row in tail)


def test_its_reasons_read_as_a_trader_speaks_and_its_readings_carry_limits():
    base, tail = after_base(FALL, UP)
    (signal,) = play(cortex_on(base), tail)[1]
    assert signal.reasons[0].startswith("close ")
    assert signal.reasons[0].endswith("% under the lower band")
    assert signal.reasons[1] == "first close back up"
    assert signal.reasons[2].endswith("x the costs")
    assert signal.reasons[-1].startswith("regime RANGE ")
    limits = {reading.name: (reading.value, reading.limit) for reading in signal.readings}
    assert limits["beyond band(20)"][0] > limits["beyond band(20)"][1] == 1.5
    assert limits["target by costs"][0] > limits["target by costs"][1] == 4.0
    assert limits["target by stop"][0] >= limits["target by stop"][1] == 1.0


def test_forming_bars_never_fire_and_change_nothing():
    base, tail = after_base(FALL, UP)
    cortex = cortex_on(base)
    fired = []
    for row in tail:
        for _ in range(3):
            assert cortex.bar(event(row, closed=False), quote_at(row.close)) == ()
        fired.append(cortex.bar(event(row), quote_at(row.close)))
    assert fired == play(cortex_on(base), tail)
    assert fired[1]


def test_the_second_bar_may_still_turn_the_third_may_not():
    base, tail = after_base(FALL, 96.1, UP)
    assert [len(signals) for signals in play(cortex_on(base), tail)] == [0, 0, 1]
    base, tail = after_base(FALL, 96.1, 96.1, UP)
    assert not any(play(cortex_on(base), tail))


def test_the_stop_lies_beyond_the_lowest_price_of_the_pattern_but_at_most_five_percent_away():
    base, tail = after_base(FALL, 96.1, UP)
    for low, stop in ((93.5, 93.5), (80.0, 0.95 * quote_at(UP).ask)):
        deep = [tail[0], msgspec.structs.replace(tail[1], low=low), tail[2]]
        (signal,) = play(cortex_on(base, {"min_reward": 0.5}), deep)[2]
        assert signal.price - signal.stop_distance == pytest.approx(stop)


def test_a_calm_market_gives_nothing():
    rows = rows_of(quiet(3000, 8))
    cortex = cortex_on(rows[:600])
    assert not any(play(cortex, rows[600:]))
    assert cortex.counters["patterns"] == 0
    assert cortex.counters["bars"] == 2400


def test_a_flood_of_volume_is_no_dislocation():
    base, tail = after_base(FALL, UP, volumes=[2100.0, 100.0])
    cortex = cortex_on(base, {"fall_pct": 10.0})
    assert not any(play(cortex, tail))
    assert cortex.counters["patterns"] == 0
    base, tail = after_base(FALL, UP, volumes=[1900.0, 100.0])
    assert any(play(cortex_on(base, {"fall_pct": 10.0}), tail))


def test_one_straight_fall_through_the_wide_band_is_one_too():
    wide = rows_of([100.5 if index % 2 else 99.5 for index in range(700)])
    tail = rows_of([97.6, 97.9], after=wide, wick=0.0001)
    params = {"stop_atr": 2.0, "min_reward": 0.5}
    (signal,) = play(cortex_on(wide, params), tail)[1]
    assert signal.reasons[0].endswith("in one bar, through the 40-bar band")
    long_tail = rows_of([97.6, 97.9], after=wide, wick=0.004)
    assert not any(play(cortex_on(wide, params), long_tail))


def test_the_mirrored_short_is_off_by_default_and_mirrors():
    base, tail = after_base(200 - FALL, 200 - UP)
    assert not any(play(cortex_on(base), tail))
    (signal,) = play(cortex_on(base, {"short": True}), tail)[1]
    assert signal.side is Side.SELL
    assert signal.price == quote_at(200 - UP).bid
    assert signal.target < signal.price < signal.limit + signal.stop_distance
    assert signal.limit < signal.price
    assert "over the upper band" in signal.reasons[0]
    assert signal.reasons[1] == "first close back down"


@pytest.mark.parametrize(
    ("counter", "quote", "params"),
    [
        ("costs", {"taker_fee": 0.005}, {}),
        ("costs", {"spread_bp": 120.0}, {}),
        ("reward", {}, {"min_reward": 4.0}),
        ("no quote", {"valid": False}, {}),
    ],
)
def test_a_turn_that_is_not_worth_it_is_counted_where_it_died(counter, quote, params):
    base, tail = after_base(FALL, UP)
    cortex = cortex_on(base, params)
    assert not any(play(cortex, tail, **quote))
    expected = {"bars": 2, "patterns": 1, "turned": 1, counter: 1}
    assert {name: count for name, count in cortex.counters.items() if count} == expected


def test_history_that_ends_on_the_fall_fires_on_the_next_bar():
    base, tail = after_base(FALL, UP)
    assert len(play(cortex_on(base + tail[:1]), tail[1:])[0]) == 1


def test_history_that_ends_while_a_fall_waits_fires_on_its_last_chance():
    base, tail = after_base(FALL, 96.1, UP)
    assert len(play(cortex_on(base + tail[:2]), tail[2:])[0]) == 1


def test_a_turn_inside_the_history_is_over():
    base, tail = after_base(FALL, UP, 96.9, 97.1)
    assert not any(play(cortex_on(base + tail[:2]), tail[2:]))


def test_fewer_than_500_bars_give_nothing():
    base, tail = after_base(FALL, UP)
    assert not any(play(cortex_on(base[-498:]), tail))
    assert any(play(cortex_on(base[-499:]), tail))


def market_with_falls():
    closes, at = quiet(1500, 11), range(620, 1480, 70)
    for index in at:
        closes[index] *= 0.962
        closes[index + 1] = closes[index] * 1.004
    return rows_of(closes), at


FALLS, FALLS_AT = market_with_falls()
WHOLE = [signal for signals in play(cortex_on(FALLS[:600]), FALLS[600:]) for signal in signals]


def test_every_fall_of_a_long_market_is_found():
    assert [(signal.market_ns - START_NS) // STEP for signal in WHOLE] == [index + 2 for index in FALLS_AT]


@settings(max_examples=15, deadline=None)
@given(st.integers(600, 1499))
def test_a_restart_at_any_bar_gives_the_same_signals_after_it(until):
    """Recomputed from the 600 bars before it: nothing later is used, and where the history begins does not show."""
    restarted = cortex_on(FALLS[until - 600 : until])
    later = [signal for signals in play(restarted, FALLS[until:]) for signal in signals]
    expected = [signal for signal in WHOLE if signal.market_ns > FALLS[until - 1].open_ns + STEP]
    assert [signal.market_ns for signal in later] == [signal.market_ns for signal in expected]
    for one, other in zip(later, expected, strict=True):
        assert one.reasons == other.reasons
        assert one.target == pytest.approx(other.target, rel=1e-9)
        assert one.stop_distance == pytest.approx(other.stop_distance, rel=1e-6)


@settings(max_examples=10, deadline=None)
@given(st.integers(620, 1480), st.integers(0, 1000))
def test_another_future_changes_no_signal_of_the_past(until, seed):
    other = FALLS[:until] + rows_of(quiet(200, seed, noise=0.01), after=FALLS[:until])
    signals = [signal for found in play(cortex_on(other[:600]), other[600:]) for signal in found]
    end_ns = FALLS[until - 1].open_ns + STEP
    assert [s for s in signals if s.market_ns <= end_ns] == [s for s in WHOLE if s.market_ns <= end_ns]
