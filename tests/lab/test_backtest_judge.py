"""The judge of `benchmarks/backtest.py` is judged: its averages against TA-Lib, its fills against bars made by hand."""

import sys
from pathlib import Path

import numpy as np
import pytest
import talib

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
import backtest
from _backtest_bars import generate
from _backtest_reference import ema, rsi, signals, simulate
from _backtest_rules import FAST, FEE, RSI, RSI_BELOW, SLOW, TICK, WARMUP, Bars, Trade, stop_of, target_of

ENTRY = 40_000.0
STOP, TARGET = 39_800.0, 40_400.0


def bars(*rows: tuple[float, float, float, float]) -> Bars:
    opened, high, low, close = np.array(rows).T
    return Bars("S", opened, high, low, close, np.ones(len(rows)))


def calm(price: float) -> tuple[float, float, float, float]:
    return price, price + 10, price - 10, price


def played(*rows: tuple[float, float, float, float], enter: tuple[int, ...] = (0,)) -> list[Trade]:
    """What becomes of signals at the closes of those bars."""
    return simulate(bars(*rows), [at in enter for at in range(len(rows))])


def test_a_signal_is_filled_at_the_next_open_and_a_touched_target_at_its_price_with_a_fee_on_either_side():
    (trade,) = played(calm(39_990), calm(ENTRY), calm(40_100), (40_200, TARGET, 40_190, 40_300))
    assert trade[:5] == (0, 1, 3, ENTRY, TARGET)
    assert trade.net == pytest.approx(400 - FEE * (ENTRY + TARGET), abs=1e-9)


def test_a_low_that_touches_the_stop_fills_at_the_stop():
    (trade,) = played(calm(39_990), calm(ENTRY), (39_900, 39_950, STOP, 39_900), calm(39_900))
    assert trade[:5] == (0, 1, 2, ENTRY, STOP)


def test_a_tick_before_the_stop_and_the_target_nothing_happens():
    assert played(calm(39_990), calm(ENTRY), (39_900, TARGET - TICK, STOP + TICK, 39_900), calm(39_900)) == []


def test_a_bar_that_opens_beyond_the_stop_fills_at_its_open():
    (trade,) = played(calm(39_990), calm(ENTRY), (39_500, 39_900, 39_400, 39_850), calm(39_850))
    assert trade[:5] == (0, 1, 2, ENTRY, 39_500.0)


def test_a_bar_that_opens_beyond_the_target_fills_at_its_open_whatever_it_touches_later():
    (trade,) = played(calm(39_990), calm(ENTRY), (40_500, 40_600, 39_000, 39_100), calm(39_100))
    assert trade[:5] == (0, 1, 2, ENTRY, 40_500.0)


def test_a_bar_that_touches_both_met_the_stop():
    (trade,) = played(calm(39_990), calm(ENTRY), (ENTRY, 40_500, 39_700, 40_100))
    assert trade[:5] == (0, 1, 2, ENTRY, STOP)


def test_stop_and_target_hold_in_the_bar_of_the_entry():
    for row, price in (((ENTRY, 40_010, 39_700, 39_750), STOP), ((ENTRY, 40_500, 39_990, 40_400), TARGET)):
        (trade,) = played(calm(39_990), row, calm(40_000))
        assert trade[:5] == (0, 1, 1, ENTRY, price)


def test_they_hang_on_the_entry_and_not_on_the_signals_close():
    (trade,) = played(calm(41_000), calm(ENTRY), (39_900, 39_950, 39_790, 39_900))
    assert trade.exit == STOP


def test_a_signal_while_something_is_held_is_nothing_and_one_of_the_bar_in_which_it_ended_counts():
    rows = (calm(39_990), calm(ENTRY), (39_900, 39_950, 39_700, 39_900), calm(ENTRY), (39_900, 39_950, 39_700, 39_900))
    assert [trade[1:3] for trade in played(*rows, enter=(0, 1))] == [(1, 2)]
    assert [trade[1:3] for trade in played(*rows, enter=(0, 2))] == [(1, 2), (3, 4)]


def test_what_is_open_after_the_last_bar_does_not_count():
    assert played(calm(39_990), calm(ENTRY), calm(40_100)) == []


def test_stop_and_target_are_rounded_to_the_tick_towards_the_entry():
    assert stop_of(40_000.0) == 39_800.0
    assert stop_of(40_000.1) == 39_800.1  # 39800.0995
    assert stop_of(40_019.9) == 39_819.9  # 39819.8005
    assert target_of(40_000.0) == 40_400.0
    assert target_of(40_009.9) == 40_409.9  # 40409.999


def test_averages_agree_with_talib_once_their_seeds_are_gone():
    close = generate(2_000, 3).close
    for own, theirs in (
        (ema(close.tolist(), FAST), talib.EMA(close, FAST)),
        (ema(close.tolist(), SLOW), talib.EMA(close, SLOW)),
        (rsi(close.tolist(), RSI), talib.RSI(close, RSI)),
    ):
        assert np.allclose(own[WARMUP:], theirs[WARMUP:], rtol=1e-12, atol=0)


def test_signals_are_crosses_and_the_filter_and_the_warm_up_hold_some_of_them_back():
    close = generate(20_000, 3).close
    enter = np.array(signals(close))
    above = talib.EMA(close, FAST) > talib.EMA(close, SLOW)
    crossed = np.flatnonzero(np.diff(above.astype(int)) == 1) + 1
    crossed = crossed[crossed >= WARMUP]
    strong = talib.RSI(close, RSI)[crossed] >= RSI_BELOW
    assert np.flatnonzero(enter).tolist() == crossed[~strong].tolist() and 0 < strong.sum() < len(crossed)


def test_generated_bars_are_the_same_for_a_seed_whole_in_ticks_and_make_every_way_out():
    made, again = generate(60_000, 1), generate(60_000, 1)
    assert all(np.array_equal(one, other) for one, other in zip(made[1:], again[1:], strict=True))
    for column in made[1:5]:
        assert np.allclose(column / TICK, np.rint(column / TICK), rtol=0, atol=1e-6)
    assert np.all(made.high >= np.maximum(made.open, made.close)) and np.all(
        made.low <= np.minimum(made.open, made.close)
    )
    assert np.mean(made.open[1:] != made.close[:-1]) > 0.5
    ways = set()
    for trade in simulate(made, signals(made.close)):
        low, high = stop_of(trade.entry), target_of(trade.entry)
        ways.add("stop" if trade.exit == low else "target" if trade.exit == high else "open")
        assert low < trade.exit < high or trade.exit in (low, high) or made.open[trade.exit_bar] == trade.exit
    assert ways == {"stop", "target", "open"}


def test_trades_agree_by_their_bars_and_then_by_their_prices_and_their_net():
    judged = np.array([(0, 10, 20, ENTRY, STOP, -239.9), (0, 30, 40, ENTRY, TARGET, 359.8), (1, 10, 20, 7.0, 8.0, 1.0)])
    assert backtest.same(judged, judged) == (3, 3)
    other = judged.copy()
    other[0, 4] += TICK
    other[1, 5] -= 0.01
    other[2, 2] = 21
    assert backtest.same(other, judged) == (2, 0)
    assert backtest.same(judged[1:], judged) == (2, 2)
