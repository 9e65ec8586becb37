"""freqtrade: its Backtesting over frames in memory, TA-Lib as its users have it, `stoploss` and `minimal_roi` to leave.

It would ask an exchange for its markets first; it is told of them instead, since nothing here reaches one.
"""

import logging
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import talib.abstract as ta
from _backtest_rules import (
    CASH,
    FAST,
    FEE,
    MINUTE_S,
    QTY,
    RSI,
    RSI_BELOW,
    SLOW,
    START_S,
    STOP,
    TARGET,
    TICK,
    WARMUP,
    Bars,
    Trade,
)
from freqtrade.configuration import TimeRange
from freqtrade.data.btanalysis.historic_precision import get_tick_size_over_time
from freqtrade.enums import RunMode
from freqtrade.optimize.backtesting import Backtesting
from freqtrade.resolvers import ExchangeResolver
from freqtrade.strategy import IStrategy

logging.disable(logging.WARNING)


class Rules(IStrategy):
    INTERFACE_VERSION = 3
    timeframe = "1m"
    stoploss = -STOP
    # a return after both fees, as which it wants its targets
    minimal_roi = {"0": (1 + TARGET) * (1 - FEE) / (1 + FEE) - 1}  # noqa: RUF012

    def populate_indicators(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:
        dataframe["fast"] = ta.EMA(dataframe, timeperiod=FAST)
        dataframe["slow"] = ta.EMA(dataframe, timeperiod=SLOW)
        dataframe["strength"] = ta.RSI(dataframe, timeperiod=RSI)
        return dataframe

    def populate_entry_trend(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:
        above = dataframe["fast"] > dataframe["slow"]
        crossed = above & ~above.shift(1, fill_value=False)
        dataframe.loc[crossed & (dataframe["strength"] < RSI_BELOW) & (dataframe.index >= WARMUP), "enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:
        return dataframe

    def custom_stake_amount(self, pair: str, current_time: Any, current_rate: float, *rest: Any, **more: Any) -> float:
        return QTY * current_rate


class Given(NamedTuple):
    backtesting: Backtesting
    frames: dict[str, pd.DataFrame]


def market(symbol: str) -> dict[str, Any]:
    free = {"min": None, "max": None}
    return {
        "id": f"{symbol}USDT", "symbol": f"{symbol}/USDT", "base": symbol, "quote": "USDT", "active": True,
        "type": "spot", "spot": True, "margin": False, "swap": False, "future": False, "contract": False,
        "contractSize": None, "taker": FEE, "maker": FEE, "precision": {"amount": 1e-3, "price": TICK},
        "limits": {"amount": free, "price": free, "cost": free, "leverage": free}, "info": {},
    }  # fmt: skip


def prepare(bars: list[Bars], _variant: str) -> Given:
    folder = Path(mkdtemp())
    # its resolver takes classes that the file itself defines
    (folder / "common.py").write_text("from _backtest_freqtrade import Rules\n\n\nclass Common(Rules): ...\n")
    pairs = [f"{each.symbol}/USDT" for each in bars]
    config: dict[str, Any] = {
        "runmode": RunMode.BACKTEST, "dry_run": True, "strategy": "Common", "strategy_path": str(folder),
        "user_data_dir": folder, "datadir": folder, "timeframe": "1m", "stake_currency": "USDT",
        "stake_amount": "unlimited", "dry_run_wallet": CASH, "tradable_balance_ratio": 1.0,
        "max_open_trades": len(bars), "fee": FEE, "dataformat_ohlcv": "feather", "export": "none",
        "trading_mode": "spot", "margin_mode": "", "pairlists": [{"method": "StaticPairList"}],
        "entry_pricing": {"price_side": "same", "use_order_book": False},
        "exit_pricing": {"price_side": "same", "use_order_book": False},
        "exchange": {"name": "binance", "pair_whitelist": pairs, "pair_blacklist": []},
    }  # fmt: skip
    exchange = ExchangeResolver.load_exchange(config, validate=False)
    exchange._markets = {f"{each.symbol}/USDT": market(each.symbol) for each in bars}
    backtesting = Backtesting(config, exchange)
    frames = {}
    for pair, each in zip(pairs, bars, strict=True):
        frames[pair] = pd.DataFrame(
            {"date": pd.to_datetime(each.open_s, unit="s", utc=True)}
            | {name: getattr(each, name) for name in Bars._fields[1:]}
        )
        backtesting.price_pair_prec[pair] = get_tick_size_over_time(frames[pair])
        backtesting.available_pairs.append(pair)
    return Given(backtesting, frames)


def run(given: Given) -> Any:
    given.backtesting.backtest_one_strategy(given.backtesting.strategylist[0], given.frames, TimeRange())
    return given.backtesting.all_bt_content["Common"]["results"]


def trades(raw: pd.DataFrame, given: Given) -> list[Trade]:
    numbers = {pair: number for number, pair in enumerate(given.frames)}
    closed = raw[raw["exit_reason"] != "force_exit"]

    def bar_of(name: str) -> np.ndarray:
        return (closed[name].map(pd.Timestamp.timestamp).to_numpy() - START_S) // MINUTE_S

    columns = (
        closed["pair"].map(numbers), bar_of("open_date"), bar_of("close_date"), closed["open_rate"],
        closed["close_rate"], closed["profit_abs"],
    )  # fmt: skip
    return [Trade(*row) for row in zip(*(np.asarray(column).tolist() for column in columns), strict=True)]
