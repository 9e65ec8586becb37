"""The factory: which strategies run, on which bars, in which regimes. One closed bar in, signals out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from nexus_engine.cortex.harpoon import Harpoon
from nexus_engine.cortex.regime import INTERVAL as REGIME_INTERVAL
from nexus_engine.cortex.regime import UNKNOWN, RegimeRule
from nexus_engine.cortex.regime_book import RegimeBook
from nexus_engine.cortex.regime_model import RegimeModel
from nexus_engine.cortex.strategy import Strategy, checked, interval_ns
from nexus_engine.model.config import ConfigError
from nexus_engine.model.events import Bar, BarRow
from nexus_engine.model.signals import Quote, RegimeView, Signal
from nexus_engine.model.words import Regime

STRATEGIES: Final[Mapping[type[Strategy], frozenset[Regime]]] = {
    Harpoon: frozenset({Regime.RANGE, Regime.VOLATILE, Regime.UNKNOWN}),
}
"""Every strategy and the regimes that it may trade in. Without a regime it trades at half its risk."""

_UNKNOWN_SCALE = 0.5
_INFINITY = float("inf")


class Cortex:
    """The strategies of an account over all its symbols.

    `strategies` is the directive's section: parameters by strategy. Raises ConfigError for an unknown strategy or
    parameter, a wrong type and a value out of range, naming the key, the value and what is allowed.
    """

    warmup_bars: int = 1000
    """Closed bars to ask for of each interval."""

    def __init__(self, strategies: Mapping[str, Mapping[str, Any]]) -> None:
        kinds = {kind.name: kind for kind in STRATEGIES}
        for name in strategies:
            if name not in kinds:
                raise ConfigError(f"unknown strategy strategies.{name}; known: {', '.join(kinds)}")
        params = {name: checked(kind, strategies.get(name, {})) for name, kind in kinds.items()}
        self._strategies = tuple(
            (kind(params[name]), STRATEGIES[kind]) for name, kind in kinds.items() if params[name]["enabled"]
        )
        caps = [params[strategy.name]["leverage"] for strategy, _ in self._strategies]
        self.leverage: int | None = int(min(caps)) if caps else None
        """The highest that every strategy allows; None when none is on."""
        wanted = {REGIME_INTERVAL} | {interval for strategy, _ in self._strategies for interval in strategy.intervals}
        self.intervals: tuple[str, ...] = tuple(sorted(wanted, key=interval_ns))
        """The intervals that must be streamed and warmed."""
        self._steps = {interval: interval_ns(interval) for interval in self.intervals}
        self._rules: dict[str, RegimeRule] = {}
        self._book: RegimeBook | None = None
        self._closed: dict[tuple[str, str], int] = {}
        self._gaps: dict[tuple[str, str], None] = {}
        self._gated: Counter[str] = Counter()

    def history(self, symbol: str, interval: str, rows: Sequence[BarRow]) -> None:
        """Closed candles, oldest first. They replace what was known; only those after their last gap are used."""
        step = self._steps.get(interval)
        if step is None:
            return
        rows = _gapless(rows, step)
        if not rows:
            self._lose(symbol, interval)
            return
        self._closed[symbol, interval] = rows[-1].open_ns
        self._gaps.pop((symbol, interval), None)
        for strategy, _ in self._strategies:
            if interval in strategy.intervals:
                strategy.warm(symbol, interval, rows)
        if interval == REGIME_INTERVAL:
            rule = self._rules[symbol] = RegimeRule()
            rule.warm(rows)
            if self._book is not None:
                self._book.history(symbol, rows)

    def bar(self, bar: Bar, quote: Quote) -> tuple[Signal, ...]:
        """Take any bar. Only a closed one may give signals; one that is not newer than the last is ignored.

        A missing bar, seen from a later one (forming or closed), makes its symbol and interval unready until history
        comes again.
        """
        symbol, interval = key = bar.symbol, bar.interval
        step = self._steps.get(interval)
        if step is None or key in self._gaps:
            return ()
        last = self._closed.get(key)
        if last is not None and bar.open_ns <= last:
            return ()
        if last is None or bar.open_ns != last + step or not _sane(bar):
            self._lose(symbol, interval)
            return ()
        if not bar.closed:
            return ()
        self._closed[key] = bar.open_ns
        if interval == REGIME_INTERVAL:
            self._rules[symbol].update(bar)
            if self._book is not None:
                self._book.bar(bar, self._rules[symbol].view)
        regime = self.regime(symbol)
        found = (
            (strategy.on_bar(bar, quote, regime), regimes)
            for strategy, regimes in self._strategies
            if interval in strategy.intervals
        )
        return tuple(self._weighed(signal) for signal, regimes in found if signal and self._may(signal, regimes))

    def regime(self, symbol: str) -> RegimeView:
        """UNKNOWN without enough gapless history."""
        rule = self._rules.get(symbol)
        if rule is None:
            return UNKNOWN
        return rule.view if self._book is None else self._book.view(symbol, rule.view)

    def use(self, model: RegimeModel | None) -> None:
        """Have regimes told by a model, where it can tell them; None: by the rule alone."""
        if model is None:
            self._book = None
            return
        book = RegimeBook(model)
        if self._book is not None:
            book.adopt(self._book)
        else:
            for symbol in tuple(self._rules):
                self._lose(symbol, REGIME_INTERVAL)
        self._book = book

    def needs_history(self) -> list[tuple[str, str]]:
        """(symbol, interval) that lost a bar or never had one. They stay listed until history comes."""
        return list(self._gaps)

    @property
    def counters(self) -> dict[str, int]:
        """How far the patterns got since the start, in the order of the funnel; `costs`, `reward`, `no quote` and
        `regime` count those refused.
        """
        total = sum((strategy.counters for strategy, _ in self._strategies), self._gated)
        return {name: total[name] for name in _FUNNEL}

    def _may(self, signal: Signal, regimes: frozenset[Regime]) -> bool:
        may = signal.regime.regime in regimes
        self._gated["signals" if may else "regime"] += 1
        return may

    @staticmethod
    def _weighed(signal: Signal) -> Signal:
        view = signal.regime
        if view.regime is Regime.UNKNOWN:
            risk_pct, reason = signal.risk_pct * _UNKNOWN_SCALE, "regime UNKNOWN: half size"
        else:
            risk_pct, reason = signal.risk_pct, f"regime {view.regime} {view.confidence:.0%}"
        return msgspec.structs.replace(signal, risk_pct=risk_pct, reasons=(*signal.reasons, reason))

    def _lose(self, symbol: str, interval: str) -> None:
        self._gaps[symbol, interval] = None
        if interval == REGIME_INTERVAL:
            self._rules.pop(symbol, None)
            if self._book is not None:
                self._book.lose(symbol)


_FUNNEL = ("bars", "patterns", "turned", "no quote", "costs", "reward", "regime", "signals")


def _gapless(rows: Sequence[BarRow], step: int) -> Sequence[BarRow]:
    """The newest rows without a gap or a broken number among them."""
    start = len(rows)
    for row in reversed(rows):
        if not _sane(row) or (start < len(rows) and row.open_ns + step != rows[start].open_ns):
            break
        start -= 1
    return rows[start:]


def _sane(bar: Bar | BarRow) -> bool:
    """A number that is not finite would raise inside TA-Lib, a price of zero inside a logarithm."""
    return 0 < bar.low <= bar.close <= bar.high < _INFINITY and 0 <= bar.volume < _INFINITY
