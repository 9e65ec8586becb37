"""What a strategy is to the factory, and how its parameters are checked."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Protocol, runtime_checkable

import msgspec

from nexus_engine.cortex.columns import Columns, Mask
from nexus_engine.cortex.indicators import Candle
from nexus_engine.model.config import ConfigError
from nexus_engine.model.events import Bar, BarRow
from nexus_engine.model.signals import Holding, Leave, Quote, RegimeView, Signal
from nexus_engine.model.view import Target
from nexus_engine.model.words import Macro, Regime

Value = bool | int | float | str
Params = Mapping[str, Any]

INTERVALS: Final = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d")
"""Of bars, as venues name them."""
_UNITS_NS = {"m": 60_000_000_000, "h": 3_600_000_000_000, "d": 86_400_000_000_000}


def interval_ns(interval: str) -> int:
    """Nanoseconds of `5m`, `1h`, `1d`."""
    return int(interval[:-1]) * _UNITS_NS[interval[-1]]


class Param(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter: its type is that of the default, its range includes both ends, `source` says whose number it is.

    A word has `choices` instead of a range.
    """

    default: Value
    low: bool | int | float = 0
    high: bool | int | float = 0
    choices: tuple[str, ...] = ()
    doc: str
    source: str


class ParamSet(msgspec.Struct, frozen=True):
    """Parameters that go together under a name. `warning` is what a person must be told before they trade it."""

    values: Mapping[str, Value]
    warning: str


PLAIN: Final = "default"
"""The set that every strategy has: its parameters' own defaults."""


class Leader(msgspec.Struct, frozen=True, kw_only=True):
    """Bitcoin's hours, as the last closed one left them. Prices are in quote currency."""

    open_ns: int
    close: float
    ema20: float
    ema50: float
    ema200: float

    @property
    def down(self) -> bool:
        """Under its long average, and the short ones in order downwards."""
        return self.close < self.ema200 and self.ema20 < self.ema50


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What is known beyond a symbol's own bars at the moment one of them closes."""

    macro: Macro = Macro.UNKNOWN
    leader: Leader | None = None
    """None while it is not known: too few gapless hours."""
    targets: tuple[Target, ...] = ()
    """Ranked, best first; the vetoed ones last."""
    squeeze: str = "unknown"
    """What the squeeze rule says: `quiet`, `unknown`, or why shorts are dangerous now."""
    hunted: frozenset[str] = frozenset()
    """Symbols that the Shark holds, is entering or has a card for."""


NO_CONTEXT: Final = Context()


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """When a strategy may trade at all, by the ranks and the hysteresis of the regime and never by its likeliest name.

    `trending`: the trend must hold, or must not; None: either. A rank must lie below its limit where there is one.
    `blind`: without a regime it may trade too, at half its risk.
    """

    trending: bool | None = None
    trend_below: float | None = None
    volatile_below: float | None = None
    blind: bool = False

    def refusal(self, view: RegimeView) -> str:
        """Why not now, in a few words; empty when it may."""
        if view.regime is Regime.UNKNOWN:
            return "" if self.blind else "the regime is not known"
        if self.trending is not None and view.trending is not self.trending:
            return "no trend" if self.trending else "a trend"
        for name, rank, below in (
            ("trend", view.trend_rank, self.trend_below),
            ("volatility", view.volatile_rank, self.volatile_below),
        ):
            if below is not None and (rank is None or rank >= below):
                return f"{name} rank {'not known' if rank is None else f'{rank:.2f}'}, below {below:g} wanted"
        return ""


class Strategy(Protocol):
    """One object serves all symbols. Bars come closed, in order and without a gap; `warm` begins a symbol anew.

    `counters` says how far its patterns got, for the funnel. Its answer depends on nothing but what it was given.
    """

    name: ClassVar[str]
    PARAMS: ClassVar[Mapping[str, Param]]
    intervals: tuple[str, ...]
    counters: Counter[str]

    def __init__(self, params: Params) -> None: ...
    def warm(self, symbol: str, interval: str, rows: Sequence[BarRow]) -> None: ...
    def on_bar(self, bar: Bar, quote: Quote, regime: RegimeView, context: Context) -> Signal | None: ...


@runtime_checkable
class Leaver(Strategy, Protocol):
    """A strategy that can leave what it opened, beside the stop, target, trail and time that its Signal gave."""

    def leave(self, bar: Candle, held: Holding) -> Leave | None:
        """Asked at the close of each of its bars while a position of its own is open on the symbol, after it has taken
        the bar (by `on_bar`, or by `warm` as the last of a history). It changes nothing."""


@runtime_checkable
class Skipping(Strategy, Protocol):
    """A strategy that a backtest may skip through. It has one interval, and every shipped strategy is of this kind."""

    def candidates(self, columns: Columns) -> Mask:
        """Where `on_bar` could answer, whatever the quote, the regime and the context are: True at every bar for which
        a strategy that saw all bars before it gives a signal, and at few others."""

    def warm_columns(self, symbol: str, columns: Columns, upto: int) -> None:
        """Begin a symbol anew, as if it had seen the first `upto` bars one by one, to the bit. The bars that follow
        must be `columns`' own, in order; cheap at any bar, since the indicators are computed once over all of them."""


def which_set(sets: Mapping[str, ParamSet]) -> Param:
    """The parameter that names a set; its text carries every set's warning."""
    told = "; ".join(f"{name}: {each.warning}" for name, each in sets.items())
    return Param(
        default=PLAIN,
        choices=(PLAIN, *sets),
        doc=f"which parameters to start from, each may still be given. {told}",
        source="own spec: quant study 2017-2026",
    )


def checked(kind: type[Strategy], given: Mapping[str, Any]) -> dict[str, Value]:
    """The defaults, over them the set that is asked for, over that what the user gave. ConfigError names the key, the
    value and what is allowed.
    """
    values: dict[str, Value] = {key: param.default for key, param in kind.PARAMS.items()}
    for key, value in given.items():
        where = f"strategies.{kind.name}.{key}"
        param = kind.PARAMS.get(key)
        if param is None:
            raise ConfigError(f"unknown key {where}; known here: {', '.join(kind.PARAMS)}")
        if wrong := _wrong(param, value):
            raise ConfigError(f"{where} = {value!r}: must be {wrong}")
    sets = getattr(kind, "SETS", {})
    chosen = sets.get(given.get("set", PLAIN))
    for key, value in {**(chosen.values if chosen else {}), **given}.items():
        values[key] = type(kind.PARAMS[key].default)(value)
    return values


def _wrong(param: Param, value: Any) -> str:
    """What it must be instead; empty when it is."""
    if isinstance(param.default, bool):
        return "" if isinstance(value, bool) else "true or false"
    if isinstance(param.default, str):
        return "" if value in param.choices else f"one of {', '.join(param.choices)}"
    whole = isinstance(param.default, int)
    fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if fits and param.low <= value <= param.high:
        return ""
    return f"{'a whole number' if whole else 'a number'} from {param.low} to {param.high}"
