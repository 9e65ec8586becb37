"""What a strategy is to the factory, and how its parameters are checked."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Protocol

import msgspec

from nexus_engine.cortex.columns import Columns, Mask
from nexus_engine.model.config import ConfigError
from nexus_engine.model.events import Bar, BarRow
from nexus_engine.model.signals import Quote, RegimeView, Signal
from nexus_engine.model.view import Target
from nexus_engine.model.words import Macro

Value = bool | int | float | str
Params = Mapping[str, Any]

_UNITS_NS = {"m": 60_000_000_000, "h": 3_600_000_000_000, "d": 86_400_000_000_000}


def interval_ns(interval: str) -> int:
    """Nanoseconds of `5m`, `1h`, `1d`."""
    return int(interval[:-1]) * _UNITS_NS[interval[-1]]


class Param(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter: its type is that of the default, its range includes both ends, `source` says whose number it is."""

    default: Value
    low: Value
    high: Value
    doc: str
    source: str


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


NO_CONTEXT: Final = Context()


class Strategy(Protocol):
    """One object serves all symbols. Bars come closed, in order and without a gap; `warm` begins a symbol anew.

    `counters` says how far its patterns got, for the funnel. Its answer depends on nothing but what it was given.
    """

    name: ClassVar[str]
    PARAMS: ClassVar[Mapping[str, Param]]
    intervals: ClassVar[tuple[str, ...]]
    counters: Counter[str]

    def __init__(self, params: Params) -> None: ...
    def warm(self, symbol: str, interval: str, rows: Sequence[BarRow]) -> None: ...
    def on_bar(self, bar: Bar, quote: Quote, regime: RegimeView, context: Context) -> Signal | None: ...


class Skipping(Strategy, Protocol):
    """A strategy that a backtest may skip through. It has one interval, and every shipped strategy is of this kind."""

    def candidates(self, columns: Columns) -> Mask:
        """Where `on_bar` could answer, whatever the quote, the regime and the context are: True at every bar for which
        a strategy that saw all bars before it gives a signal, and at few others."""

    def warm_columns(self, symbol: str, columns: Columns, upto: int) -> None:
        """Begin a symbol anew, as if it had seen the first `upto` bars one by one, to the bit. The bars that follow
        must be `columns`' own, in order; cheap at any bar, since the indicators are computed once over all of them."""


def checked(kind: type[Strategy], given: Mapping[str, Any]) -> dict[str, Value]:
    """The defaults with what the user gave instead. ConfigError names the key, the value and what is allowed."""
    values: dict[str, Value] = {key: param.default for key, param in kind.PARAMS.items()}
    for key, value in given.items():
        where = f"strategies.{kind.name}.{key}"
        param = kind.PARAMS.get(key)
        if param is None:
            raise ConfigError(f"unknown key {where}; known here: {', '.join(kind.PARAMS)}")
        if isinstance(param.default, bool):
            if not isinstance(value, bool):
                raise ConfigError(f"{where} = {value!r}: must be true or false")
        else:
            whole = isinstance(param.default, int)
            fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
            if not (fits and param.low <= value <= param.high):
                noun = "a whole number" if whole else "a number"
                raise ConfigError(f"{where} = {value!r}: must be {noun} from {param.low} to {param.high}")
        values[key] = type(param.default)(value)
    return values
