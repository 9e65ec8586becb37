"""Nexus: `nexus backtest` as it is, the core that trades live; a run a symbol. The variant is a strategy and how its
bars are gone through: `common:step`, `flow:skip`.

The venue of the lab takes a tick of spread and a tick of slip at least, and sizes come of the risk: prices are so far
off, and nets are told for one unit. Guards that would pause the common strategy are opened as wide as they go; the
shipped ones run as they ship. Reading the file is part of its run.
"""

from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import polars as pl
from _backtest_rules import MINUTE_S, START_S, WARMUP, Bars, Trade
from _backtest_strategy import Common

from nexus_engine.lab.backtest import BacktestOrder
from nexus_engine.lab.backtest import run as run_order
from nexus_engine.lab.result import Result
from nexus_engine.lab.venue import Costs
from nexus_engine.model.config import Directive, PaperConfig, RiskConfig, ShieldConfig

SYMBOL = "BTCUSDT"  # whose tick the practice venue knows
DIRECTIVE = Directive(
    paper=PaperConfig(wallet=1e8),
    risk=RiskConfig(
        day_loss_pct=20, day_loss_r=50, week_loss_r=100, day_drawdown_pct=50, peak_drawdown_pct=80, volatility_pct=0,
        kelly_part=0,
    ),
    shield=ShieldConfig(
        swan_symbol="ETHUSDT", loss_streak=50, loss_streaks={"common": 50}, loss_pause_min=5, orders_a_minute=200,
        orders_a_day=100_000, exit_pause_min=0, stops_window_min=0, low_trades=0, max_funding_bp=100,
        funding_quiet_s=0, min_day_volume=0,
    ),
)  # fmt: skip
THIN = Directive(shield=ShieldConfig(min_day_volume=0))
"""Bars that we make trade too little for the guard of volume."""
WHOLE = Costs(spread_bp=0.0, slippage_bp=0.0, impact=0.0, share=1e6)
"""The others fill an order whole, however little its bar traded."""


def prepare(bars: list[Bars], variant: str) -> list[BacktestOrder]:
    folder = Path(mkdtemp())
    name, way = variant.split(":")
    orders = []
    for each in bars:
        path = folder / f"{each.symbol}-{len(each.close)}.parquet"
        columns = {column: getattr(each, column) for column in Bars._fields[1:]}
        pl.DataFrame({"open_time": each.open_s, **columns}).write_parquet(path)
        directive = DIRECTIVE if name == Common.name else THIN
        orders.append(
            BacktestOrder(
                data=(path,), symbol=SYMBOL, strategy=name, since=(START_S + WARMUP * MINUTE_S) * 10**9,
                directive=directive, costs=WHOLE, skipping=way == "skip",
            )
        )  # fmt: skip
    return orders


def run(orders: list[BacktestOrder]) -> list[Result]:
    return [run_order(order) for order in orders]


def trades(raw: list[Result], _given: Any) -> list[Trade]:
    def bar_of(at_ns: int) -> int:
        return (at_ns // 10**9 - START_S) // MINUTE_S

    return [
        Trade(number, bar_of(one.opened_ns), bar_of(one.closed_ns), one.entry, one.exit, one.net / float(one.qty))
        for number, result in enumerate(raw)
        for one in result.trades
        if one.reason != "open"
    ]
