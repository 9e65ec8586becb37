"""The classic indicators on TA-Lib's streaming handles: O(1) a bar, bit-identical with TA-Lib's batch functions.

Every indicator of the cortex has `warm(bars)`, `update(bar)`, `value` and `ready`, takes closed bars only and never
looks ahead. Until it is `ready` its value must not be used; before the first one it is NaN. `seek(columns, upto)` puts
it where the first `upto` bars of whole columns would have left it, to the bit; the bars that follow must be theirs.
"""

import math
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from nexus_engine.cortex._talib import InsufficientHistory, batch, stream
from nexus_engine.cortex.columns import Columns, Floats
from nexus_engine.model.events import Bar, BarRow

Candle = Bar | BarRow
V = TypeVar("V", covariant=True)

_WARMUP_BARS = 500


def recursive_warmup(period: int) -> int:
    """Bars after which the seed of a recursive (Wilder) average of `period` no longer shows.

    An exponential average of 2 n - 1 forgets as fast as Wilder's of n, so it takes half of its period here.
    """
    return max(_WARMUP_BARS, 10 * period)


class Indicator(Protocol[V]):
    """What a feature is made of."""

    @property
    def value(self) -> V: ...
    @property
    def ready(self) -> bool: ...
    def warm(self, bars: Sequence[Candle]) -> None: ...
    def update(self, bar: Candle) -> None: ...
    def seek(self, columns: Columns, upto: int) -> None: ...


class _Handle(Generic[V]):
    """One TA-Lib function over some columns of the bars. Its handle opens as soon as TA-Lib has enough history."""

    __slots__ = ("_empty", "_fields", "_name", "_of", "_options", "_pending", "_update", "needs", "seen", "value")

    def __init__(self, name: str, fields: tuple[str, ...], needs: int, empty: V, **options: float) -> None:
        self._name = name
        self._fields = fields
        read: Callable[[Candle], Any] = attrgetter(*fields)
        self._of: Callable[[Candle], tuple[float, ...]] = read if len(fields) > 1 else lambda bar: (read(bar),)
        self._options = options
        self._empty: V = empty
        self._pending: list[tuple[float, ...]] = []
        self._update: Callable[..., V] | None = None
        self.needs = needs
        self.seen = 0
        self.value: V = empty

    @property
    def ready(self) -> bool:
        return self.seen >= self.needs

    def warm(self, bars: Sequence[Candle]) -> None:
        """Take the closed bars of the past, oldest first, after those it has seen."""
        if self._update is not None:
            for bar in bars:
                self.update(bar)
            return
        self._pending.extend(map(self._of, bars))
        self.seen += len(bars)
        self._try_open()

    def update(self, bar: Candle) -> None:
        """Take the next closed bar. Raises talib's exception for a bar that is not finite."""
        self.seen += 1
        if self._update is not None:
            self.value = self._update(*self._of(bar))
        else:
            self._pending.append(self._of(bar))
            self._try_open()

    def over(self, columns: Columns) -> tuple[Floats, ...]:
        """Its value after each bar of whole columns; NaN before the first one."""

        def compute() -> tuple[Floats, ...]:
            found = getattr(batch, self._name)(*(getattr(columns, field) for field in self._fields), **self._options)
            return tuple(np.asarray(each, np.float64) for each in (found if isinstance(found, tuple) else (found,)))

        return columns.kept((self._name, *sorted(self._options.items())), compute)

    def seek(self, columns: Columns, upto: int) -> None:
        series = self.over(columns)
        single = not isinstance(self._empty, tuple)
        at = upto - 1

        def read() -> Any:
            return series[0].item(at) if single else tuple(each.item(at) for each in series)

        def step(*_: float) -> Any:
            nonlocal at
            at += 1
            return read()

        self._pending.clear()
        self._update = step
        self.seen = upto
        self.value = read() if upto else self._empty

    def _try_open(self) -> None:
        if not self._pending:
            return
        columns = [np.array(column, dtype=np.float64) for column in zip(*self._pending, strict=True)]
        try:
            handle = getattr(stream, self._name)(*columns, **self._options)
        except InsufficientHistory:
            return
        self._pending.clear()
        self._update = handle.update
        self.value = handle.value


_CLOSE = ("close",)
_RANGE = ("high", "low", "close")


class SMA(_Handle[float]):
    """Simple moving average of closes, in quote currency."""

    def __init__(self, period: int) -> None:
        super().__init__("SMA", _CLOSE, period, math.nan, timeperiod=period)


class EMA(_Handle[float]):
    """Exponential moving average of closes, in quote currency."""

    def __init__(self, period: int) -> None:
        super().__init__("EMA", _CLOSE, recursive_warmup(period // 2), math.nan, timeperiod=period)


class RSI(_Handle[float]):
    """Relative strength index of closes (Wilder), 0..100."""

    def __init__(self, period: int = 14) -> None:
        super().__init__("RSI", _CLOSE, recursive_warmup(period), math.nan, timeperiod=period)


class ATR(_Handle[float]):
    """Average true range (Wilder), in quote currency."""

    def __init__(self, period: int = 14) -> None:
        super().__init__("ATR", _RANGE, recursive_warmup(period), math.nan, timeperiod=period)


class Bollinger(_Handle[tuple[float, float, float]]):
    """(upper, middle, lower): simple mean of `period` closes and `width` population standard deviations."""

    def __init__(self, period: int = 20, width: float = 2.0) -> None:
        super().__init__("BBANDS", _CLOSE, period, (math.nan,) * 3, timeperiod=period, nbdevup=width, nbdevdn=width)


class MACD(_Handle[tuple[float, float, float]]):
    """(line, signal, histogram) in quote currency: the fast less the slow exponential average of closes, the average of
    that, and what they differ by (Appel)."""

    def __init__(self, fast: int = 12, slow: int = 26, signal: int = 9) -> None:
        super().__init__(
            "MACD", _CLOSE, recursive_warmup((slow + signal) // 2), (math.nan,) * 3,
            fastperiod=fast, slowperiod=slow, signalperiod=signal,
        )  # fmt: skip


class Supertrend(_Handle[tuple[float, float]]):
    """(line in quote currency, 1 up or -1 down): bands of `width` average true ranges that only ratchet (Seban)."""

    def __init__(self, period: int = 10, width: float = 3.0) -> None:
        needs = recursive_warmup(period)
        super().__init__("SUPERTREND", _RANGE, needs, (math.nan, 0.0), timeperiod=period, multiplier=width)


class Percentile(_Handle[float]):
    """The close below which `percent` of the last `period` closes lie (nearest rank), in quote currency."""

    def __init__(self, period: int, percent: float = 50.0) -> None:
        super().__init__("PERCENTILE", _CLOSE, period, math.nan, timeperiod=period, percentile=percent)


class ADX:
    """(ADX, +DI, -DI) of Wilder, each 0..100."""

    __slots__ = ("_parts",)

    def __init__(self, period: int = 14) -> None:
        needs = recursive_warmup(period)
        self._parts = tuple(
            _Handle(name, _RANGE, needs, math.nan, timeperiod=period) for name in ("ADX", "PLUS_DI", "MINUS_DI")
        )

    @property
    def value(self) -> tuple[float, float, float]:
        adx, plus, minus = self._parts
        return adx.value, plus.value, minus.value

    @property
    def ready(self) -> bool:
        return all(part.ready for part in self._parts)

    def warm(self, bars: Sequence[Candle]) -> None:
        for part in self._parts:
            part.warm(bars)

    def update(self, bar: Candle) -> None:
        for part in self._parts:
            part.update(bar)

    def over(self, columns: Columns) -> tuple[Floats, ...]:
        """Its value after each bar of whole columns; NaN before the first one."""
        return tuple(part.over(columns)[0] for part in self._parts)

    def seek(self, columns: Columns, upto: int) -> None:
        for part in self._parts:
            part.seek(columns, upto)
