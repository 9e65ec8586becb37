"""What TA-Lib lacks, one closed bar at a time: same interface as the indicators, exact over their window.

The short windows are summed anew for each bar: at these lengths that costs about a microsecond, a running sum drifts,
and the exactly rounded sum is the same on every Python.
"""

import math
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nexus_engine.cortex._talib import batch
from nexus_engine.cortex.columns import Columns, Floats, Mask
from nexus_engine.cortex.indicators import ATR, Candle

DAY_NS = 86_400_000_000_000
_HOUR_NS = 3_600_000_000_000


class _Windowed:
    """Base: warming is updating, and what `span` bars left is all that it remembers."""

    __slots__ = ("span",)
    span: int

    def warm(self, bars: Sequence[Candle]) -> None:
        for bar in bars:
            self.update(bar)

    def update(self, bar: Candle) -> None:
        raise NotImplementedError

    def clear(self) -> None:
        raise NotImplementedError

    def seek(self, columns: Columns, upto: int) -> None:
        self.clear()
        self.warm(columns.rows(max(0, upto - self.span), upto))


class Donchian(_Windowed):
    """(highest high, lowest low) of the last `period` bars, this one included; two monotonic deques, O(1) a bar."""

    __slots__ = ("_highs", "_lows", "_period", "_seen")

    def __init__(self, period: int = 20) -> None:
        self.span = self._period = period
        self.clear()

    def clear(self) -> None:
        self._seen = 0
        self._highs: deque[tuple[int, float]] = deque()
        self._lows: deque[tuple[int, float]] = deque()

    def over(self, columns: Columns) -> tuple[Floats, Floats]:
        """(highest highs, lowest lows) after each bar of whole columns; NaN before `period` bars."""
        period = self._period
        if period == 1:
            return columns.high, columns.low
        return columns.kept(
            ("donchian", period), lambda: (batch.MAX(columns.high, period), batch.MIN(columns.low, period))
        )

    @property
    def value(self) -> tuple[float, float]:
        return (self._highs[0][1], self._lows[0][1]) if self._seen else (math.nan, math.nan)

    @property
    def ready(self) -> bool:
        return self._seen >= self._period

    def update(self, bar: Candle) -> None:
        self._seen += 1
        highs, lows, oldest = self._highs, self._lows, self._seen - self._period
        while highs and highs[-1][1] <= bar.high:
            highs.pop()
        while lows and lows[-1][1] >= bar.low:
            lows.pop()
        highs.append((self._seen, bar.high))
        lows.append((self._seen, bar.low))
        if highs[0][0] <= oldest:
            highs.popleft()
        if lows[0][0] <= oldest:
            lows.popleft()


class EfficiencyRatio(_Windowed):
    """Kaufman's efficiency ratio: net change over `period` bars by the length of the way there, 0..1.

    Source: P. Kaufman, Trading Systems and Methods. 0 where the price did not move at all.
    """

    __slots__ = ("_closes", "_steps", "value")

    def __init__(self, period: int = 24) -> None:
        self.span = period + 1
        self._closes: deque[float] = deque(maxlen=period + 1)
        self._steps: deque[float] = deque(maxlen=period)
        self.clear()

    def clear(self) -> None:
        self._closes.clear()
        self._steps.clear()
        self.value = math.nan

    @property
    def ready(self) -> bool:
        return len(self._steps) == self._steps.maxlen

    def update(self, bar: Candle) -> None:
        closes, steps = self._closes, self._steps
        if closes:
            steps.append(abs(bar.close - closes[-1]))
        closes.append(bar.close)
        way = math.fsum(steps)
        # The net change may come out an ulp longer than the way.
        self.value = min(1.0, abs(closes[-1] - closes[0]) / way) if way else 0.0


class RealisedVolatility(_Windowed):
    """Root mean square of the last `period` log returns, per bar (a fraction; the mean return is taken as 0)."""

    __slots__ = ("_close", "_squares")

    def __init__(self, period: int = 24) -> None:
        self.span = period + 1
        self._squares: deque[float] = deque(maxlen=period)
        self.clear()

    def clear(self) -> None:
        self._close = 0.0
        self._squares.clear()

    @property
    def value(self) -> float:
        """Summed when it is asked for: it is asked for after few bars."""
        squares = self._squares
        return math.sqrt(math.fsum(squares) / len(squares)) if squares else math.nan

    @property
    def ready(self) -> bool:
        return len(self._squares) == self._squares.maxlen

    def update(self, bar: Candle) -> None:
        if self._close:
            change = math.log(bar.close / self._close)
            self._squares.append(change * change)
        self._close = bar.close


class Turnover(_Windowed):
    """What was traded in the last `period` bars, in quote currency: volume by close, summed."""

    __slots__ = ("_traded",)

    def __init__(self, period: int = 24) -> None:
        self.span = period
        self._traded: deque[float] = deque(maxlen=period)

    def clear(self) -> None:
        self._traded.clear()

    @property
    def value(self) -> float:
        """Summed when it is asked for: it is asked for after few bars."""
        return math.fsum(self._traded) if self._traded else math.nan

    @property
    def ready(self) -> bool:
        return len(self._traded) == self._traded.maxlen

    def update(self, bar: Candle) -> None:
        self._traded.append(bar.volume * bar.close)


class MeanVolume(_Windowed):
    """Mean volume of the last `period` bars, in base units."""

    __slots__ = ("_volumes", "value")

    def __init__(self, period: int = 20) -> None:
        self.span = period
        self._volumes: deque[float] = deque(maxlen=period)
        self.clear()

    def clear(self) -> None:
        self._volumes.clear()
        self.value = math.nan

    def over(self, columns: Columns) -> Floats:
        """After each bar of whole columns; NaN before `period` bars. It may differ from `value` in its last bits."""

        def compute() -> Floats:
            found = np.full(len(columns), np.nan)
            if len(columns) >= self.span:
                found[self.span - 1 :] = np.lib.stride_tricks.sliding_window_view(columns.volume, self.span).mean(1)
            return found

        return columns.kept(("mean volume", self.span), compute)

    @property
    def ready(self) -> bool:
        return len(self._volumes) == self._volumes.maxlen

    def update(self, bar: Candle) -> None:
        self._volumes.append(bar.volume)
        self.value = math.fsum(self._volumes) / len(self._volumes)


class Chandelier:
    """(stop of a long, stop of a short) in quote currency: `width` average true ranges from the extremes of the last
    `period` bars (Le Beau)."""

    __slots__ = ("_atr", "_channel", "_width")

    def __init__(self, period: int = 22, width: float = 3.0) -> None:
        self._channel = Donchian(period)
        self._atr = ATR(period)
        self._width = width

    @property
    def value(self) -> tuple[float, float]:
        high, low = self._channel.value
        away = self._width * self._atr.value
        return high - away, low + away

    @property
    def ready(self) -> bool:
        return self._channel.ready and self._atr.ready

    def warm(self, bars: Sequence[Candle]) -> None:
        self._channel.warm(bars)
        self._atr.warm(bars)

    def update(self, bar: Candle) -> None:
        self._channel.update(bar)
        self._atr.update(bar)

    def seek(self, columns: Columns, upto: int) -> None:
        self._channel.seek(columns, upto)
        self._atr.seek(columns, upto)


class SessionVWAP(_Windowed):
    """Volume-weighted mean of the typical price (high + low + close) / 3 since 00:00 UTC, in quote currency.

    The plain mean where nothing was traded. Ready after the first whole hour of a session that it saw begin: earlier it
    is little more than the last price.
    """

    __slots__ = ("_day", "_first_ns", "_plain", "_traded", "_volume", "ready", "value")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._day = -1
        self._first_ns = 0
        self._traded = self._volume = 0.0
        self._plain: list[float] = [0.0, 0.0]
        self.value = math.nan
        self.ready = False

    def update(self, bar: Candle) -> None:
        day = bar.open_ns // DAY_NS
        if day != self._day:
            self.clear()
            self._day, self._first_ns = day, bar.open_ns
        typical = (bar.high + bar.low + bar.close) / 3.0
        self._traded += typical * bar.volume
        self._volume += bar.volume
        self._plain[0] += typical
        self._plain[1] += 1.0
        self.value = self._traded / self._volume if self._volume else self._plain[0] / self._plain[1]
        self.ready = self._first_ns % DAY_NS == 0 and bar.open_ns - self._first_ns >= _HOUR_NS

    def over(self, columns: Columns) -> tuple[Floats, Mask]:
        """(value, whether it is ready) after each bar of whole columns."""
        sums = self._sums(columns)
        return sums.value, sums.ready

    def seek(self, columns: Columns, upto: int) -> None:
        self.clear()
        if upto:
            sums, at = self._sums(columns), upto - 1
            self._day, self._first_ns = int(columns.open_ns[at]) // DAY_NS, int(sums.first_ns[at])
            self._traded, self._volume = sums.traded.item(at), sums.volume.item(at)
            self._plain = [sums.typical.item(at), sums.bars.item(at)]
            self.value, self.ready = sums.value.item(at), sums.ready.item(at)

    @staticmethod
    def _sums(columns: Columns) -> "_Sums":
        return columns.kept("session vwap", lambda: _Sums.of(columns))


class _Sums(NamedTuple):
    """What a session VWAP has summed up after each bar."""

    first_ns: NDArray[np.int64]
    traded: Floats
    volume: Floats
    typical: Floats
    bars: Floats
    value: Floats
    ready: Mask

    @classmethod
    def of(cls, columns: Columns) -> "_Sums":
        day = columns.open_ns // DAY_NS
        begins = np.flatnonzero(np.diff(day, prepend=-1))
        typical = (columns.high + columns.low + columns.close) / 3.0
        first_ns = np.repeat(columns.open_ns[begins], np.diff(begins, append=len(day)))

        def summed(of: Floats) -> Floats:
            parts = np.split(of, begins[1:])
            return np.concatenate([np.cumsum(part) for part in parts])

        traded, volume = summed(typical * columns.volume), summed(columns.volume)
        plain, bars = summed(typical), summed(np.ones(len(day)))
        value = np.where(volume > 0, traded / np.where(volume > 0, volume, 1.0), plain / bars)
        ready = (first_ns % DAY_NS == 0) & (columns.open_ns - first_ns >= _HOUR_NS)
        return cls(first_ns, traded, volume, plain, bars, value, ready)


class RollingRank:
    """Where the newest of the last `window` numbers stands among them: 0..1, equals count half.

    Takes numbers, not bars. A sorted list is moved along, O(log n) to find and a memmove of 8 n bytes to insert.
    """

    __slots__ = ("_sorted", "_window", "value")

    def __init__(self, window: int) -> None:
        self._window: deque[float] = deque(maxlen=window)
        self._sorted: list[float] = []
        self.value = math.nan

    def update(self, number: float) -> None:
        ordered = self._sorted
        if len(self._window) == self._window.maxlen:
            del ordered[bisect_left(ordered, self._window[0])]
        self._window.append(number)
        insort(ordered, number)
        self.value = (bisect_left(ordered, number) + bisect_right(ordered, number)) / 2 / len(ordered)
