"""backtrader: its own indicators; orders are placed at the open (`cheat_on_open`), where their prices are known.

Reading a feed is part of its run.
"""

from typing import Any

import backtrader as bt
import pandas as pd
from _backtest_rules import CASH, FAST, FEE, QTY, RSI, RSI_BELOW, SLOW, WARMUP, Bars, Trade, stop_of, target_of


class Common(bt.Strategy):
    def __init__(self) -> None:
        self.rows: list[Trade] = []
        self.numbers = {data: number for number, data in enumerate(self.datas)}
        self.fast = [bt.ind.EMA(data.close, period=FAST) for data in self.datas]
        self.slow = [bt.ind.EMA(data.close, period=SLOW) for data in self.datas]
        self.strength = [bt.ind.RSI(data.close, period=RSI) for data in self.datas]
        self.above = [False for _ in self.datas]
        self.wanted: list[Any] = []

    def next(self) -> None:
        for number, data in enumerate(self.datas):
            above = self.fast[number][0] > self.slow[number][0]
            if above != self.above[number]:
                self.above[number] = above
                wanted = above and self.strength[number][0] < RSI_BELOW and len(data) > WARMUP
                if wanted and not self.getposition(data).size:
                    self.wanted.append(data)

    def next_open(self) -> None:
        for data in self.wanted:
            entry = data.open[0]
            self.buy(data, size=QTY)
            stop = self.sell(data, size=QTY, exectype=bt.Order.Stop, price=stop_of(entry))
            self.sell(data, size=QTY, exectype=bt.Order.Limit, price=target_of(entry), oco=stop)
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
