"""The factory: which strategies run, on which bars, in which regimes. One closed bar in, signals out."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
from msgspec import UNSET

from nexus_engine.cortex.columns import Columns
from nexus_engine.cortex.features import RealisedVolatility, Turnover
from nexus_engine.cortex.flow import Flow
from nexus_engine.cortex.harpoon import Harpoon
from nexus_engine.cortex.indicators import Candle
from nexus_engine.cortex.regime import ENTER, UNKNOWN, RegimeRule
from nexus_engine.cortex.regime import INTERVAL as REGIME_INTERVAL
from nexus_engine.cortex.regime_book import RegimeBook
from nexus_engine.cortex.regime_model import RegimeModel
from nexus_engine.cortex.scalping import Scalping
from nexus_engine.cortex.shark import LeaderTrend, Shark
from nexus_engine.cortex.strategy import (
    INTERVALS,
    NO_CONTEXT,
    Context,
    Gate,
    Leaver,
    Skipping,
    Strategy,
    checked,
    interval_ns,
)
from nexus_engine.model.config import ConfigError
from nexus_engine.model.events import Bar, BarRow
from nexus_engine.model.signals import Holding, Leave, Quote, RegimeView, Signal
from nexus_engine.model.verdicts import Reading
from nexus_engine.model.words import Regime

T = TypeVar("T")

STRATEGIES: Final[Mapping[type[Skipping], Gate]] = {
    Harpoon: Gate(trending=False, blind=True),
    Scalping: Gate(trending=False, trend_below=0.33, volatile_below=0.5),
    Flow: Gate(trending=True),
    Shark: Gate(blind=True),
}
"""Every strategy and when it may trade. Mean reversion lost least in the lowest third of P(trend), following a trend
won in the highest only; the Shark goes by the macro state."""
OWN_GATE: Final = Gate(blind=True)
"""That of a user's own strategy that names none as its `GATE`."""

SILENT: Final = "model silent"
"""How a reading begins that tells why the rule speaks where there is a model."""
_UNKNOWN_SCALE = 0.5
_INFINITY = float("inf")
_VOLATILITY_BARS = 168
_DAY_BARS = 24
_YEAR_BARS = 365 * 24


def _plain(name: str, bars: int, work: Callable[[], Any]) -> Any:
    return work()


class Own(msgspec.Struct, frozen=True):
    """A user's own strategies, and what is wrong with those that could not be loaded, by the name of their file.

    `call` calls one: its name, how many bars it is given, and the work; what it raises puts the strategy off.
    """

    kinds: tuple[type[Strategy], ...] = ()
    problems: Mapping[str, str] = {}
    call: Callable[[str, int, Callable[[], Any]], Any] = _plain


NO_OWN: Final = Own()


class Cortex:
    """The strategies of an account over all its symbols.

    `strategies` is the directive's section: parameters by strategy; `leader` is the symbol that the Shark follows.
    Raises ConfigError for an unknown strategy or parameter, a wrong type and a value out of range, naming the key, the
    value and what is allowed.
    """

    warmup_bars: int = 1100
    """Closed bars to ask for of each interval: the longest average, EMA(200), needs 1000."""

    def __init__(self, strategies: Mapping[str, Mapping[str, Any]], own: Own = NO_OWN, leader: str = "BTCUSDT") -> None:
        gates: dict[type[Strategy], Gate] = {**STRATEGIES} | {
            kind: getattr(kind, "GATE", OWN_GATE) for kind in own.kinds
        }
        kinds = {kind.name: kind for kind in gates}
        for name in strategies:
            if name not in kinds and name not in own.problems:
                raise ConfigError(f"unknown strategy strategies.{name}; known: {', '.join(kinds)}")
        params = {name: checked(kind, strategies.get(name, {})) for name, kind in kinds.items()}
        self._own = frozenset(kind.name for kind in own.kinds)
        self._call = own.call
        self.problems: list[str] = [f"{name}.py: {text}" for name, text in own.problems.items()]
        """One line for each own strategy that does not run; whoever tells them takes them away."""
        self.warnings: list[str] = []
        """What a person must be told of the sets that were chosen."""
        found: list[tuple[Strategy, Gate]] = []
        for name, kind in kinds.items():
            if not params[name].get("enabled", True):
                continue
            try:
                strategy = kind(params[name])
                if name in self._own:
                    _usable(strategy, name)
                found.append((strategy, gates[kind]))
            except (Exception, SystemExit) as error:
                # a user's own code may do anything; the rest lives on
                if name not in self._own:
                    raise
                self._complain(name, error)
                continue
            chosen = getattr(kind, "SETS", {}).get(params[name].get("set", ""))
            if chosen is not None:
                self.warnings.append(f"{name} set {params[name]['set']}: {chosen.warning}")
        self._strategies = tuple(found)
        caps = [params[strategy.name].get("leverage", 1) for strategy, _ in self._strategies]
        self.leverage: int | None = int(min(caps)) if caps else None
        """The highest that every strategy allows; None when none is on."""
        wanted = {REGIME_INTERVAL} | {interval for strategy, _ in self._strategies for interval in strategy.intervals}
        self.intervals: tuple[str, ...] = tuple(sorted(wanted, key=interval_ns))
        """The intervals that must be streamed and warmed."""
        self._steps = {interval: interval_ns(interval) for interval in self.intervals}
        self._rules: dict[str, RegimeRule] = {}
        self._volatility: dict[str, RealisedVolatility] = {}
        self._turnover: dict[str, Turnover] = {}
        self._leader, self._trend = leader, LeaderTrend()
        self._book: RegimeBook | None = None
        self._closed: dict[tuple[str, str], int] = {}
        self._gaps: dict[tuple[str, str], None] = {}
        self._by_interval: dict[str, list[tuple[Strategy, Gate]]] = {}
        self._skipping: dict[str, tuple[Skipping, ...]] = {}
        self._leavers: dict[tuple[str, str], Leaver | None] = {}
        self.asked = ""
        """The own strategy that is being asked at this moment, for whoever sees from another thread that it hangs."""
        self.broken: dict[str, str] = {}
        """Own strategies that failed while they ran, and how."""
        self._gated: Counter[str] = Counter()
        self.watched: frozenset[str] = frozenset()
        """Symbols that are looked at and not traded: no strategy is told of their bars."""
        self.hours: Counter[tuple[Regime, str]] = Counter()
        """Closed hours so far of what is traded, by the regime and who said it: `rule`, why the model was silent, or
        the model's name."""

    @property
    def names(self) -> tuple[str, ...]:
        """The strategies that run."""
        return tuple(strategy.name for strategy, _ in self._strategies if strategy.name not in self.broken)

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
        for strategy, _ in () if symbol in self.watched else self._on(interval):
            self._safely(strategy, partial(strategy.warm, symbol, interval, rows), len(rows))
        if interval == REGIME_INTERVAL:
            rule = self._rules[symbol] = RegimeRule()
            rule.warm(rows)
            volatility = self._volatility[symbol] = RealisedVolatility(_VOLATILITY_BARS)
            volatility.warm(rows[-volatility.span :])
            turnover = self._turnover[symbol] = Turnover(_DAY_BARS)
            turnover.warm(rows[-turnover.span :])
            if symbol == self._leader:
                self._trend = LeaderTrend()
                for row in rows:
                    self._trend.update(row)
            if self._book is not None:
                self._book.history(symbol, rows)

    def skipping(self, interval: str) -> tuple[Skipping, ...] | None:
        """Those that run on an interval; None where one of them must see every bar, with a quote: a user's own that
        cannot be skipped through, or is of the regime's interval, whose bars come one by one."""
        found = []
        for strategy, _ in self._on(interval):
            own = strategy.name in self._own
            if not isinstance(strategy, Skipping) or (own and strategy.intervals != (interval,)):
                return None
            if own and interval == REGIME_INTERVAL:
                return None
            found.append(strategy)
        return tuple(found)

    def skip(self, symbol: str, interval: str, columns: Columns, upto: int) -> None:
        """Put the strategies of an interval where the first `upto` bars of whole columns leave them; the bars that
        follow must be theirs. For those that can be skipped through, and not for the regime's own interval: its bars
        are few, and come one by one."""
        if upto:
            self._closed[symbol, interval] = int(columns.open_ns[upto - 1])
            self._gaps.pop((symbol, interval), None)
        found = self._skipping.get(interval)
        if found is None:
            asked = self._on(interval)
            found = self._skipping[interval] = tuple(each for each, _ in asked if isinstance(each, Skipping))
        for strategy in found:
            strategy.warm_columns(symbol, columns, upto)

    def bar(self, bar: Bar, quote: Quote, context: Context = NO_CONTEXT) -> tuple[Signal, ...]:
        """Take any bar. Only a closed one may give signals; one that is not newer than the last is ignored. The
        context's leader is filled in here.

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
            self._volatility[symbol].update(bar)
            self._turnover[symbol].update(bar)
            if symbol == self._leader:
                self._trend.update(bar)
            if self._book is not None:
                self._book.bar(bar, self._rules[symbol].view)
        asked = self._on(interval)
        if symbol in self.watched or not (asked or interval == REGIME_INTERVAL):
            return ()
        if interval == REGIME_INTERVAL:
            self._count(symbol)
        if not asked:
            return ()
        regime = self.regime(symbol)
        context = msgspec.structs.replace(context, leader=self._trend.view)
        found: list[Signal] = []
        for strategy, gate in asked:
            if strategy.name in self._own:
                signal = self._safely(strategy, partial(self._asked, strategy, bar, quote, regime, context))
            else:
                signal = self._asked(strategy, bar, quote, regime, context)
            if signal is not None and self._may(signal, gate):
                found.append(self._weighed(signal))
        return tuple(found)

    def _count(self, symbol: str) -> None:
        """An hour has closed."""
        if self._book is None:
            self.hours[self._rules[symbol].regime, UNKNOWN.source] += 1
        else:
            view = self.regime(symbol)
            self.hours[view.regime, _teller(view)] += 1

    def leaver(self, name: str, interval: str) -> Leaver | None:
        """The strategy of that name, where it runs on the interval and can leave what it opened."""
        key = name, interval
        if key not in self._leavers:
            found = (one for one, _ in self._on(interval) if one.name == name and isinstance(one, Leaver))
            self._leavers[key] = next(found, None)
        return self._leavers[key]

    def leave(self, name: str, interval: str, bar: Candle, held: Holding) -> Leave | None:
        """After `bar` or `history`: whether a strategy leaves what it opened, at the close of the last bar it has seen.
        A bar that is not that one, or that had closed when the position began, is none to leave at."""
        strategy, key = self.leaver(name, interval), (held.symbol, interval)
        known = key not in self._gaps and self._closed.get(key) == bar.open_ns
        if strategy is None or not known or bar.open_ns + self._steps[interval] <= held.since_ns:
            return None
        return self._safely(strategy, partial(self._answered, strategy, bar, held))

    def _answered(self, strategy: Leaver, bar: Candle, held: Holding) -> Leave | None:
        """Raises ValueError for what would only fail where it is written down."""
        leave = strategy.leave(bar, held)
        if leave is None or strategy.name not in self._own:
            return leave
        if not isinstance(leave, Leave) or not leave.reasons:
            raise ValueError(f"a {type(leave).__name__} is no Leave with a reason")
        return msgspec.convert(msgspec.to_builtins(leave, enc_hook=_bare), Leave)

    def _asked(self, strategy: Strategy, bar: Bar, quote: Quote, regime: RegimeView, context: Context) -> Signal | None:
        """A signal that an order may be made of. Raises ValueError for another."""
        signal = strategy.on_bar(bar, quote, regime, context)
        if signal is None:
            return None
        if strategy.name in self._own:
            signal = _typed(signal)
        for name in ("price", "limit", "stop_distance", "risk_pct"):
            number = getattr(signal, name)
            if not 0 < number < _INFINITY:
                raise ValueError(f"its {name} is {number!r}: must be above 0")
        if (signal.strategy, signal.symbol) != (strategy.name, bar.symbol):
            raise ValueError(f"it signs {signal.strategy!r} for {signal.symbol!r} at a bar of {bar.symbol}")
        return signal

    def _on(self, interval: str) -> list[tuple[Strategy, Gate]]:
        found = self._by_interval.get(interval)
        if found is None:
            found = self._by_interval[interval] = [
                (strategy, gate)
                for strategy, gate in self._strategies
                if interval in strategy.intervals and strategy.name not in self.broken
            ]
        return found

    def _safely(self, strategy: Strategy, work: Callable[[], T], bars: int = 1) -> T | None:
        """What a strategy answers. A user's own that fails is left out from then on, and the rest lives."""
        if strategy.name not in self._own:
            return work()
        self.asked = strategy.name
        try:
            answer: T = self._call(strategy.name, bars, work)
            return answer
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a user's own code may do anything
            self._by_interval.clear()
            self._skipping.clear()
            self._leavers.clear()
            self.broken[strategy.name] = self._complain(strategy.name, error)
            return None
        finally:
            self.asked = ""

    def _complain(self, name: str, error: BaseException) -> str:
        told = f"{type(error).__name__}: {' '.join(str(error).split())}"
        self.problems.append(f"strategy {name} is off until a restart: {told}"[:300])
        return told[:260]

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
        """How far the patterns got since the start, in the order of the funnel; all but `bars`, `patterns`, `turned`
        and `signals` count those refused.
        """
        total = sum((strategy.counters for strategy, _ in self._strategies), self._gated)
        return {name: total[name] for name in _FUNNEL}

    def _may(self, signal: Signal, gate: Gate) -> bool:
        may = not gate.refusal(signal.regime)
        self._gated["signals" if may else "regime"] += 1
        return may

    def _weighed(self, signal: Signal) -> Signal:
        view = signal.regime
        if view.regime is Regime.UNKNOWN:
            risk_pct, reason = signal.risk_pct * _UNKNOWN_SCALE, "regime UNKNOWN: half size"
        else:
            risk_pct, reason = signal.risk_pct, f"regime {view.regime} {view.confidence:.0%}"
        volatility = self._volatility.get(signal.symbol)
        yearly = UNSET if volatility is None or not volatility.ready else volatility.value * math.sqrt(_YEAR_BARS)
        turnover = self._turnover.get(signal.symbol)
        known = () if yearly is UNSET else (Reading("volatility", yearly * 100, None, "% a year"),)
        ranks = tuple(
            Reading(name, rank, limit)
            for name, rank, limit in (
                ("trend rank", view.trend_rank, ENTER), ("volatility rank", view.volatile_rank, None)
            )
            if rank is not None
        )  # fmt: skip
        return msgspec.structs.replace(
            signal,
            risk_pct=risk_pct,
            volatility=yearly,
            turnover=turnover.value if turnover is not None and turnover.ready and turnover.value else UNSET,
            reasons=(*signal.reasons, reason),
            readings=(*signal.readings, *ranks, *known),
        )

    def _lose(self, symbol: str, interval: str) -> None:
        self._gaps[symbol, interval] = None
        if interval == REGIME_INTERVAL:
            self._rules.pop(symbol, None)
            self._volatility.pop(symbol, None)
            self._turnover.pop(symbol, None)
            if symbol == self._leader:
                self._trend = LeaderTrend()
            if self._book is not None:
                self._book.lose(symbol)


REFUSED: Final = ("macro", "leader", "squeeze", "targets", "session", "no quote", "costs", "reward")
"""Why a pattern was no wish."""
_FUNNEL = ("bars", "patterns", "turned", *REFUSED, "regime", "signals")


def _teller(view: RegimeView) -> str:
    last = view.readings[-1].name if view.readings else ""
    return last if last.startswith(SILENT) else view.source


def _usable(strategy: Strategy, name: str) -> None:
    """Raises ValueError for an object of a user's own class that would break what runs beside it."""
    if strategy.name != name:
        raise ValueError(f"it calls itself {strategy.name!r}; its class is named {name}")
    intervals = tuple(getattr(strategy, "intervals", ()))
    if not intervals or not set(intervals) <= set(INTERVALS):
        raise ValueError(f"intervals {intervals}: allowed are {', '.join(INTERVALS)}")
    if not isinstance(getattr(strategy, "counters", None), Counter):
        raise ValueError("its counters must be a Counter")


def _typed(signal: Signal) -> Signal:
    """What a user's own code says, made of the types that a signal has. Raises ValueError for what would only fail
    where it is sized or written down, and the account with it."""
    if not isinstance(signal, Signal):
        raise ValueError(f"a {type(signal).__name__} is no Signal")
    signal = msgspec.convert(msgspec.to_builtins(signal, enc_hook=_bare), Signal)
    for name in ("target", "trail_distance", "break_even_r", "trail_from_r", "time_stop_ns"):
        number = getattr(signal, name)
        if number is not None and number is not UNSET and not 0 <= number < _INFINITY:
            raise ValueError(f"its {name} is {number!r}: must be 0 or above")
    partials = () if signal.partials is UNSET else signal.partials
    if not all(0 < r < _INFINITY and 0 < part <= 1 for r, part in partials):
        raise ValueError(f"its partials are {partials!r}: must be pairs of an R above 0 and a part up to 1")
    if signal.leverage < 1:
        raise ValueError(f"its leverage is {signal.leverage}: must be 1 or more")
    return signal


def _bare(value: Any) -> Any:
    """A number of numpy's as Python's own."""
    if isinstance(value, np.generic):
        return value.item()
    raise ValueError(f"a {type(value).__name__} is no part of a decision")


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
    low, high = bar.low, bar.high
    return 0 < low <= bar.open <= high < _INFINITY and low <= bar.close <= high and 0 <= bar.volume < _INFINITY
