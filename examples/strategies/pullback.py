"""PULLBACK, an example of a strategy of your own: buys a dip to the fast average while the slow one rises.

Put this file into a folder, name the folder in the directive (`[account] own_strategies = "strategies"`), and its
parameters become `[strategies.pullback]`. It passes the same guards, sizing, stops and modes as the shipped ones. It
has no edge that anybody has measured: it shows how one is written.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from nexus_engine.cortex.indicators import ATR, EMA, Candle
from nexus_engine.cortex.strategy import Context, Gate, Param, interval_ns
from nexus_engine.model.events import Bar, BarRow
from nexus_engine.model.signals import Holding, Leave, Quote, RegimeView, Signal
from nexus_engine.model.verdicts import Reading
from nexus_engine.model.words import Side


class Pullback:
    name: ClassVar[str] = "pullback"
    GATE: ClassVar[Gate] = Gate(trending=True)
    """Only while the trend holds; leave it out, and it may trade in any regime."""
    PARAMS: ClassVar[Mapping[str, Param]] = {
        "enabled": Param(default=True, low=False, high=True, doc="trade it at all", source="example"),
        "fast": Param(default=20, low=5, high=50, doc="bars of the fast EMA", source="example"),
        "slow": Param(default=50, low=20, high=100, doc="bars of the slow EMA", source="example"),
        "stop_atr": Param(default=2.0, low=1.0, high=5.0, doc="stop distance, in ATR(14)", source="example"),
        "risk_pct": Param(default=0.1, low=0.01, high=0.5, doc="risk a trade, % of equity", source="example"),
        "leverage": Param(default=2, low=1, high=3, doc="leverage at most", source="example"),
    }
    intervals = ("1h",)

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = params
        self.counters: Counter[str] = Counter()
        self.averages: dict[str, tuple[EMA, EMA, ATR]] = {}

    def warm(self, symbol: str, interval: str, rows: Sequence[BarRow]) -> None:
        """Begin a symbol with its past."""
        parts = self.averages[symbol] = EMA(self.params["fast"]), EMA(self.params["slow"]), ATR(14)
        for part in parts:
            part.warm(rows)

    def leave(self, bar: Candle, held: Holding) -> Leave | None:
        """Asked at each close while it holds something, after `on_bar`. None: it stays. Leave the method out,
        and only stop, target, trail and time close what it opened."""
        fast, slow, _ = self.averages[held.symbol]
        if fast.value >= slow.value:
            return None
        return Leave(
            reasons=("the fast average is under the slow one",),
            readings=(Reading("fast over slow", (fast.value / slow.value - 1) * 100, 0.0, "%"),),
        )

    def on_bar(self, bar: Bar, quote: Quote, regime: RegimeView, context: Context) -> Signal | None:
        """One closed bar. None: nothing to say."""
        fast, slow, atr = parts = self.averages[bar.symbol]
        slow_before = slow.value
        for part in parts:
            part.update(bar)
        dipped = bar.low < fast.value < bar.close
        if not (all(part.ready for part in parts) and quote.valid and dipped and slow_before < slow.value < fast.value):
            return None
        distance = self.params["stop_atr"] * atr.value
        return Signal(
            symbol=bar.symbol,
            strategy=self.name,
            side=Side.BUY,
            price=quote.ask,
            limit=quote.ask + 0.1 * distance,
            stop_distance=distance,
            target=quote.ask + 2 * distance,
            reasons=("dip to the fast average", "the slow one rises"),
            readings=(Reading("fast over slow", (fast.value / slow.value - 1) * 100, 0.0, "%"),),
            regime=regime,
            risk_pct=self.params["risk_pct"],
            leverage=self.params["leverage"],
            market_ns=bar.open_ns + interval_ns("1h"),
        )
