"""The judge: the strategy of `_backtest_rules.py` as a plain loop: it says what the trades are."""

from typing import Any

import numpy as np
from _backtest_rules import FAST, RSI, RSI_BELOW, SLOW, WARMUP, Bars, Trade, net_of, stop_of, target_of


def ema(closes: list[float], period: int) -> list[float]:
    """Seeded with the first close."""
    alpha, value, out = 2.0 / (period + 1), closes[0], []
    for close in closes:
        value += alpha * (close - value)
        out.append(value)
    return out


def rsi(closes: list[float], period: int) -> list[float]:
    """Wilder, New Concepts in Technical Trading Systems (1978), with averages that begin at nothing."""
    up = down = 0.0
    before, out = closes[0], []
    for close in closes:
        change, before = close - before, close
        up += (max(change, 0.0) - up) / period
        down += (max(-change, 0.0) - down) / period
        out.append(100.0 * up / (up + down) if up + down else 50.0)
    return out


def signals(close: np.ndarray) -> list[bool]:
    """By closed bar: whether to enter at the next open."""
    closes = close.tolist()
    fast, slow, strength = ema(closes, FAST), ema(closes, SLOW), rsi(closes, RSI)
    enter = [False]
    for at in range(1, len(closes)):
        above, was_above = fast[at] > slow[at], fast[at - 1] > slow[at - 1]
        enter.append(above and not was_above and strength[at] < RSI_BELOW and at >= WARMUP)
    return enter


def simulate(bars: Bars, enter: list[bool], symbol: int = 0) -> list[Trade]:
    trades: list[Trade] = []
    opens, highs, lows = bars.open.tolist(), bars.high.tolist(), bars.low.tolist()
    held, entry_bar, entry, stop, target = False, 0, 0.0, 0.0, 0.0
    for at in range(1, len(opens)):
        if not held:
            if not enter[at - 1]:
                continue
            held, entry_bar, entry = True, at, opens[at]
            stop, target = stop_of(entry), target_of(entry)
        if lows[at] <= stop and opens[at] < target:
            price = min(opens[at], stop)
        elif highs[at] >= target:
            price = max(opens[at], target)
        else:
            continue
        trades.append(Trade(symbol, entry_bar, at, entry, price, net_of(entry, price)))
        held = False
    return trades


# -- as a case of the benchmark ----------------------------------------------------------------------------------------


def prepare(bars: list[Bars], _variant: str) -> list[Bars]:
    return bars


def run(given: list[Bars]) -> list[Trade]:
    return [
        trade for number, bars in enumerate(given) for trade in simulate(bars, signals(bars.close), number)
    ]  # fmt: skip


def trades(raw: Any, _given: Any) -> list[Trade]:
    return raw
