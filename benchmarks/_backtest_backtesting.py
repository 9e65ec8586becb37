"""backtesting.py: one run a symbol, TA-Lib behind `self.I`.

A stop and a target that are to hold in the bar of the entry must be priced with the order, when the open is not known:
they hang on the signal's close and are moved to the entry's when its bar is over.
"""

from typing import Any

import numpy as np
import pandas as pd
import talib
from _backtest_rules import CASH, FAST, FEE, RSI, RSI_BELOW, SLOW, WARMUP, Bars, Trade, stop_of, target_of
from backtesting import Backtest, Strategy


class Common(Strategy):
    def init(self) -> None:
        close = self.data.Close
        self.fast = self.I(talib.EMA, close, FAST)
        self.slow = self.I(talib.EMA, close, SLOW)
        self.strength = self.I(talib.RSI, close, RSI)
        self.above = False
        self.moved: Any = None

    def next(self) -> None:
        if self.trades and self.trades[0] is not self.moved:
            self.moved = self.trades[0]
            self.moved.sl, self.moved.tp = stop_of(self.moved.entry_price), target_of(self.moved.entry_price)
        above = self.fast[-1] > self.slow[-1]
        if above == self.above:
            return
        self.above = above
        if above and self.strength[-1] < RSI_BELOW and len(self.data) > WARMUP and not self.position:
            close = self.data.Close[-1]
            self.buy(size=1, sl=stop_of(close), tp=target_of(close))


def prepare(bars: list[Bars], _variant: str) -> list[Backtest]:
    return [
        Backtest(
            pd.DataFrame(
                {name.title(): getattr(each, name) for name in Bars._fields[1:]},
                index=pd.to_datetime(each.open_s, unit="s"),
            ),
            Common, cash=CASH, commission=FEE,
        )
        for each in bars
    ]  # fmt: skip


def run(given: list[Backtest]) -> list[Any]:
    return [each.run() for each in given]


def trades(raw: list[Any], _given: Any) -> list[Trade]:
    rows = []
    for number, stats in enumerate(raw):
        found = stats["_trades"]
        columns = (found[name].to_numpy() for name in ("EntryBar", "ExitBar", "EntryPrice", "ExitPrice", "PnL"))
        rows += [Trade(number, *row) for row in np.stack([*columns]).T.tolist()]
    return rows
