"""A cortex that wants what a test wants."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from nexus_engine.model.events import Bar, BarRow
from nexus_engine.model.signals import Holding, Leave, Quote, RegimeView, Signal
from nexus_engine.model.verdicts import Reading
from nexus_engine.model.words import Regime, Side

_REGIME = RegimeView(regime=Regime.RANGE, confidence=1.0)


class Wishes:
    """Stands where the cortex is: says what a test wants, at the next bar of its symbol."""

    intervals = ("1m",)
    warmup_bars = 1
    leverage: int | None = None
    names: tuple[str, ...] = ("wish",)
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self.queue: list[tuple[str, Side, dict[str, Any]]] = []
        self.out: set[str] = set()
        """Symbols that it wants to be out of, at every close from now on."""

    def bar(self, bar: Bar, quote: Quote, context: object = None) -> tuple[Signal, ...]:
        mine = [wish for wish in self.queue if wish[0] == bar.symbol]
        self.queue = [wish for wish in self.queue if wish[0] != bar.symbol]
        return tuple(_signal(symbol, side, quote, bar.venue_ns, **more) for symbol, side, more in mine)

    def leaver(self, name: str, interval: str) -> bool:
        return name == "wish"

    def leave(self, name: str, interval: str, bar: Bar | BarRow, held: Holding) -> Leave | None:
        if name != "wish" or held.symbol not in self.out:
            return None
        return Leave(reasons=("a test wants out",), readings=(Reading("close", bar.close, held.entry),))

    def history(self, symbol: str, interval: str, rows: Sequence[BarRow]) -> None: ...

    def regime(self, symbol: str) -> RegimeView:
        return _REGIME

    def use(self, model: object) -> None: ...

    def needs_history(self) -> list[tuple[str, str]]:
        return []


def _signal(
    symbol: str,
    side: Side,
    quote: Quote,
    market_ns: int,
    *,
    stop_pct: float = 1.0,
    target_pct: float | None = 2.0,
    limit_pct: float = 0.1,
    time_stop_ns: int = 0,
    risk_pct: float = 0.3,
    **exits: Any,
) -> Signal:
    price = quote.ask if side is Side.BUY else quote.bid
    return Signal(
        symbol=symbol,
        strategy="wish",
        side=side,
        price=price,
        limit=price * (1 + side.sign * limit_pct / 100),
        stop_distance=price * stop_pct / 100,
        target=None if target_pct is None else price * (1 + side.sign * target_pct / 100),
        time_stop_ns=time_stop_ns,
        reasons=("a test wants it",),
        regime=_REGIME,
        risk_pct=risk_pct,
        leverage=3,
        market_ns=market_ns,
        **exits,
    )
