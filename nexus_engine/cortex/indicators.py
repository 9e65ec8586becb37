"""The classic indicators on TA-Lib's streaming handles: O(1) a bar, bit-identical with TA-Lib's batch functions.

Every indicator of the cortex has `warm(bars)`, `update(bar)`, `value` and `ready`, takes closed bars only and never
looks ahead. Until it is `ready` its value must not be used; before the first one it is NaN.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from nexus_engine.cortex._talib import InsufficientHistory, stream
from nexus_engine.model.events import Bar, BarRow

Candle = Bar | BarRow
V = TypeVar("V", covariant=True)

_WARMUP_BARS = 500


def recursive_warmup(period: int) -> int:
    """Bars after which the seed of a recursive (exponential, Wilder) average of `period` no longer shows."""
    return max(_WARMUP_BARS, 10 * period)


class Indicator(Protocol[V]):
    """What a feature is made of."""

    @property
    def value(self) -> V: ...
    @property
    def ready(self) -> bool: ...
    def warm(self, bars: Sequence[Candle]) -> None: ...
    def update(self, bar: Candle) -> None: ...


class _Handle(Generic[V]):
    """One TA-Lib handle over some columns of the bars. It opens as soon as TA-Lib has enough history."""

    __slots__ = ("_columns", "_function", "_options", "_pending", "_update", "needs", "seen", "value")

    def __init__(
        self, function: Callable[..., Any], columns: Callable[[Candle], tuple[float, ...]], needs: int, empty: V,
        **options: float,
    ) -> None:  # fmt: skip
        self._function = function
        self._options = options
        self._columns = columns
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
        self._pending.extend(map(self._columns, bars))
        self.seen += len(bars)
        self._try_open()

    def update(self, bar: Candle) -> None:
        """Take the next closed bar. Raises talib's exception for a bar that is not finite."""
        self.seen += 1
        if self._update is not None:
            self.value = self._update(*self._columns(bar))
        else:
            self._pending.append(self._columns(bar))
            self._try_open()

    def _try_open(self) -> None:
        if not self._pending:
            return
        columns = [np.array(column, dtype=np.float64) for column in zip(*self._pending, strict=True)]
        try:
            handle = self._function(*columns, **self._options)
        except InsufficientHistory:
            return
        self._pending.clear()
        self._update = handle.update
        self.value = handle.value


def _close(bar: Candle) -> tuple[float, ...]:
    return (bar.close,)


def _range(bar: Candle) -> tuple[float, ...]:
    return (bar.high, bar.low, bar.close)


class EMA(_Handle[float]):
    """Exponential moving average of closes, in quote currency."""

    def __init__(self, period: int) -> None:
        super().__init__(stream.EMA, _close, recursive_warmup(period), math.nan, timeperiod=period)


class RSI(_Handle[float]):
    """Relative strength index of closes (Wilder), 0..100."""

    def __init__(self, period: int = 14) -> None:
        super().__init__(stream.RSI, _close, recursive_warmup(period), math.nan, timeperiod=period)


class ATR(_Handle[float]):
    """Average true range (Wilder), in quote currency."""

    def __init__(self, period: int = 14) -> None:
        super().__init__(stream.ATR, _range, recursive_warmup(period), math.nan, timeperiod=period)


class Bollinger(_Handle[tuple[float, float, float]]):
    """(upper, middle, lower): simple mean of `period` closes and `width` population standard deviations."""

    def __init__(self, period: int = 20, width: float = 2.0) -> None:
        super().__init__(
            stream.BBANDS, _close, period, (math.nan,) * 3, timeperiod=period, nbdevup=width, nbdevdn=width
        )


class ADX:
    """(ADX, +DI, -DI) of Wilder, each 0..100."""

    __slots__ = ("_parts",)

    def __init__(self, period: int = 14) -> None:
        needs = recursive_warmup(period)
        self._parts = tuple(
            _Handle(function, _range, needs, math.nan, timeperiod=period)
            for function in (stream.ADX, stream.PLUS_DI, stream.MINUS_DI)
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
