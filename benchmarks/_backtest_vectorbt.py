"""vectorbt: signals over whole columns, `Portfolio.from_signals`.

A signal stands at the bar that gave it, with the next open as its price: so the stop is looked at from the next bar on,
which is the bar of the entry.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import vectorbt as vbt
from _backtest_rules import (
    CASH,
    FAST,
    FEE,
    QTY,
    RSI,
    RSI_BELOW,
    SLOW,
    STOP_PARTS,
    TICK,
    WARMUP,
    Bars,
    Trade,
    stop_of,
)

EMA_RUN, RSI_RUN = vbt.talib("EMA").run, vbt.talib("RSI").run


class Given(NamedTuple):
    open: pd.DataFrame
    high: pd.DataFrame
    low: pd.DataFrame
    close: pd.DataFrame


def prepare(bars: list[Bars], _variant: str) -> Given:
    index = pd.to_datetime(bars[0].open_s, unit="s")
    return Given(*(
        pd.DataFrame({each.symbol: getattr(each, name) for each in bars}, index=index) for name in Given._fields
    ))  # fmt: skip


def run(given: Given) -> Any:
    close = given.close
    fast = EMA_RUN(close, timeperiod=FAST).real.to_numpy()
    slow = EMA_RUN(close, timeperiod=SLOW).real.to_numpy()
    strength = RSI_RUN(close, timeperiod=RSI).real.to_numpy()
    above = fast > slow
    before = np.vstack([above[:1], above[:-1]])
    enter = above & ~before & (strength < RSI_BELOW)
    enter[:WARMUP] = False
    leave = before & ~above
    price = np.vstack([given.open.to_numpy()[1:], close.to_numpy()[-1:]])
    ticks = np.rint(price / TICK)
    stop = np.round((ticks - ticks // STOP_PARTS) * TICK, 1)
    part = 1 - stop / price
    part = np.where(price * (1 - part) < stop, np.nextafter(part, 0), part)  # a low at the stop touches it
    return vbt.Portfolio.from_signals(
        close, enter, leave, size=QTY, price=price, fees=FEE, sl_stop=part, stop_entry_price="fillprice",
        stop_exit_price="stoplimit", open=given.open, high=given.high, low=given.low, init_cash=CASH, freq="1min",
    ).trades.closed  # fmt: skip


def trades(raw: Any, given: Given) -> list[Trade]:
    rows, lows = [], given.low.to_numpy()
    for row in raw.values:
        symbol, entry, leave = int(row["col"]), float(row["entry_price"]), float(row["exit_price"])
        stopped = lows[row["exit_idx"], symbol] <= stop_of(entry) and row["exit_idx"] > row["entry_idx"]
        exit_bar = int(row["exit_idx"]) + (not stopped)
        rows.append(Trade(symbol, int(row["entry_idx"]) + 1, exit_bar, entry, leave, float(row["pnl"])))
    return rows
