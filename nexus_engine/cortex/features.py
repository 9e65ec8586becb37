"""What TA-Lib lacks, one closed bar at a time: same interface as the indicators, exact over their window.

The short windows are summed anew for each bar: at these lengths that costs under a microsecond, and a running sum
drifts.
"""

import math
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Sequence

from nexus_engine.cortex.indicators import Candle


class _Windowed:
    """Base: warming is updating."""

    __slots__ = ()

    def warm(self, bars: Sequence[Candle]) -> None:
        for bar in bars:
            self.update(bar)

    def update(self, bar: Candle) -> None:
        raise NotImplementedError


class Donchian(_Windowed):
    """(highest high, lowest low) of the last `period` bars, this one included; two monotonic deques, O(1) a bar."""

    __slots__ = ("_highs", "_lows", "_period", "_seen")

    def __init__(self, period: int = 20) -> None:
        self._period = period
        self._seen = 0
        self._highs: deque[tuple[int, float]] = deque()
        self._lows: deque[tuple[int, float]] = deque()

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
        self._closes: deque[float] = deque(maxlen=period + 1)
        self._steps: deque[float] = deque(maxlen=period)
        self.value = math.nan

    @property
    def ready(self) -> bool:
        return len(self._steps) == self._steps.maxlen

    def update(self, bar: Candle) -> None:
        closes, steps = self._closes, self._steps
        if closes:
            steps.append(abs(bar.close - closes[-1]))
        closes.append(bar.close)
        way = sum(steps)
        # The net change may come out an ulp longer than the way.
        self.value = min(1.0, abs(closes[-1] - closes[0]) / way) if way else 0.0


class RealisedVolatility(_Windowed):
    """Root mean square of the last `period` log returns, per bar (a fraction; the mean return is taken as 0)."""

    __slots__ = ("_close", "_squares", "value")

    def __init__(self, period: int = 24) -> None:
        self._close = 0.0
        self._squares: deque[float] = deque(maxlen=period)
        self.value = math.nan

    @property
    def ready(self) -> bool:
        return len(self._squares) == self._squares.maxlen

    def update(self, bar: Candle) -> None:
        squares = self._squares
        if self._close:
            change = math.log(bar.close / self._close)
            squares.append(change * change)
            self.value = math.sqrt(sum(squares) / len(squares))
        self._close = bar.close


class MeanVolume(_Windowed):
    """Mean volume of the last `period` bars, in base units."""

    __slots__ = ("_volumes", "value")

    def __init__(self, period: int = 20) -> None:
        self._volumes: deque[float] = deque(maxlen=period)
        self.value = math.nan

    @property
    def ready(self) -> bool:
        return len(self._volumes) == self._volumes.maxlen

    def update(self, bar: Candle) -> None:
        self._volumes.append(bar.volume)
        self.value = sum(self._volumes) / len(self._volumes)


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
