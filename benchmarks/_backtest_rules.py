"""The one strategy that every backtester of `backtest.py` runs, and what each of them is given and gives back.

Long only, one unit, no compounding, on closed one-minute bars:
- enter when EMA(20) of the closes crosses above EMA(50) while RSI(14, Wilder) is below RSI_BELOW, at the next open
- leave at a stop STOP below the price of the entry or at a target TARGET above it, rounded to the tick towards the
  entry; both are looked at in every bar from that of the entry on: a bar that opens beyond one fills at its open, one
  that touches one fills at its price, and one that touches both after opening between them met the stop
- a cross while something is held is nothing; one at the close of the bar in which it ended counts
- FEE of the traded value on either side; no slippage. A position that is open after the last bar does not count

Nothing is entered before WARMUP bars are closed: what an average was seeded with, which differs, is gone by then.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FAST, SLOW, RSI, RSI_BELOW = 20, 50, 14, 65.0
STOP_PARTS, TARGET_PARTS = 200, 100  # of the entry: 0.5 % below it, 1 % above
STOP, TARGET = 1 / STOP_PARTS, 1 / TARGET_PARTS
FEE, QTY, TICK, DIGITS, WARMUP = 0.0005, 1.0, 0.1, 1, 1_000
START_S, MINUTE_S = 1_672_531_200, 60  # 2023-01-01
CASH = 1e9

Floats = NDArray[np.float64]


class Bars(NamedTuple):
    """One-minute bars of one symbol; the first opens at START_S. Prices are multiples of TICK."""

    symbol: str
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def first(self, count: int) -> "Bars":
        return Bars(self.symbol, *(column[:count] for column in self[1:]))

    @property
    def open_s(self) -> NDArray[np.int64]:
        return START_S + MINUTE_S * np.arange(len(self.close), dtype=np.int64)


class Trade(NamedTuple):
    """A closed trade. Bars by number: the one whose open was the entry, and the one in which it ended."""

    symbol: int
    entry_bar: int
    exit_bar: int
    entry: float
    exit: float
    net: float


def stop_of(entry: float) -> float:
    """The stop's price; in whole ticks, so that no rounding is left to chance."""
    ticks = round(entry / TICK)
    return round((ticks - ticks // STOP_PARTS) * TICK, DIGITS)


def target_of(entry: float) -> float:
    ticks = round(entry / TICK)
    return round((ticks + ticks // TARGET_PARTS) * TICK, DIGITS)


def net_of(entry: float, leave: float) -> float:
    return QTY * (leave - entry - FEE * (entry + leave))


def load(folder: Path, symbols: int) -> list[Bars]:
    """The bars that `backtest.py` wrote there."""
    return [Bars(f"S{number}", *np.load(folder / f"{number}.npy")) for number in range(symbols)]
