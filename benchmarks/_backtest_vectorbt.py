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
    DIGITS,
    FAST,
    FEE,
    QTY,
    RSI,
    RSI_BELOW,
    SLOW,
    STOP_PARTS,
    TARGET_PARTS,
    TICK,
    WARMUP,
    Bars,
    Trade,
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
    price = np.vstack([given.open.to_numpy()[1:], close.to_numpy()[-1:]])
    ticks = np.rint(price / TICK)
    stop = np.round((ticks - ticks // STOP_PARTS) * TICK, DIGITS)
    target = np.round((ticks + ticks // TARGET_PARTS) * TICK, DIGITS)
    down, up = 1 - stop / price, target / price - 1
    # a price at the stop or the target touches it
    down = np.where(price * (1 - down) < stop, np.nextafter(down, 0), down)
    up = np.where(price * (1 + up) > target, np.nextafter(up, 0), up)
    return vbt.Portfolio.from_signals(
        close, enter, False, size=QTY, price=price, fees=FEE, sl_stop=down, tp_stop=up, open=given.open,
        high=given.high, low=given.low, stop_entry_price="fillprice", stop_exit_price="stoplimit", init_cash=CASH,
        freq="1min",
    ).trades.closed  # fmt: skip


def trades(raw: Any, _given: Given) -> list[Trade]:
    names = ("col", "entry_idx", "exit_idx", "entry_price", "exit_price", "pnl")
    columns = [raw.values[name].tolist() for name in names]
    return [Trade(symbol, signal + 1, *rest) for symbol, signal, *rest in zip(*columns, strict=True)]
