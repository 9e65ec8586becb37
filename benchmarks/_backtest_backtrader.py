"""backtrader: its own indicators; orders are placed at the open, with `cheat_on_open`, where the stop's price is known.

Reading a feed is part of its run.
"""

from typing import Any

import backtrader as bt
import pandas as pd
from _backtest_rules import CASH, FAST, FEE, QTY, RSI, RSI_BELOW, SLOW, WARMUP, Bars, Trade, stop_of


class Common(bt.Strategy):
    def __init__(self) -> None:
        self.rows: list[Trade] = []
        self.numbers = {data: number for number, data in enumerate(self.datas)}
        self.fast = [bt.ind.EMA(data.close, period=FAST) for data in self.datas]
        self.slow = [bt.ind.EMA(data.close, period=SLOW) for data in self.datas]
        self.strength = [bt.ind.RSI(data.close, period=RSI) for data in self.datas]
        self.above = [False for _ in self.datas]
        self.wanted: list[tuple[int, bool]] = []
        self.stops: dict[int, Any] = {}

    def next(self) -> None:
        for number, data in enumerate(self.datas):
            above = self.fast[number][0] > self.slow[number][0]
            if above != self.above[number]:
                self.above[number] = above
                if self.getposition(data).size:
                    if not above:
                        self.wanted.append((number, False))
                elif above and self.strength[number][0] < RSI_BELOW and len(data) > WARMUP:
                    self.wanted.append((number, True))

    def next_open(self) -> None:
        for number, enter in self.wanted:
            data = self.datas[number]
            if enter:
                self.buy(data, size=QTY)
                self.stops[number] = self.sell(data, size=QTY, exectype=bt.Order.Stop, price=stop_of(data.open[0]))
            else:
                self.cancel(self.stops.pop(number))
                self.sell(data, size=QTY)
        self.wanted.clear()

    def notify_trade(self, trade: Any) -> None:
        if trade.isclosed:
            self.rows.append(Trade(
                self.numbers[trade.data], trade.baropen - 1, trade.barclose - 1, trade.price,
                trade.price + trade.pnl / QTY, trade.pnlcomm,
            ))  # fmt: skip


def prepare(bars: list[Bars], _variant: str) -> Any:
    engine = bt.Cerebro(stdstats=False, cheat_on_open=True)
    for each in bars:
        frame = pd.DataFrame(
            {name: getattr(each, name) for name in Bars._fields[1:]}, index=pd.to_datetime(each.open_s, unit="s")
        )
        engine.adddata(bt.feeds.PandasData(dataname=frame, openinterest=None), name=each.symbol)
    engine.addstrategy(Common)
    engine.broker.setcash(CASH)
    engine.broker.setcommission(commission=FEE)
    return engine


def run(given: Any) -> Any:
    return given.run()[0]


def trades(raw: Any, _given: Any) -> list[Trade]:
    return raw.rows
