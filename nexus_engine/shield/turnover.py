"""How much is traded in a minute, against what is usual."""

from bisect import bisect_left
from collections.abc import Sequence
from math import inf
from statistics import median
from typing import Final

from nexus_engine.model.events import BarRow

MINUTE_NS: Final = 60_000_000_000
USUAL_MIN: Final = 240
"""What is usual is the median of so many minutes, of those that are known."""
LEAST_MIN: Final = 30
"""Fewer say nothing."""


class Turnover:
    """Volume by minute of market time, in whatever unit the trades have."""

    __slots__ = ("_kept", "_minutes", "_volumes")

    def __init__(self, longest_min: int) -> None:
        self._kept = longest_min + USUAL_MIN + 2
        self._minutes: list[int] = []
        self._volumes: list[float] = []

    def add(self, qty: float, venue_ns: int) -> None:
        """Take a trade. A quantity that is none is left out, NaN included."""
        if not 0.0 < qty < inf:
            return
        minute = venue_ns // MINUTE_NS
        if self._minutes and self._minutes[-1] == minute:
            self._volumes[-1] += qty
        else:
            self._put(minute, qty, more=True)

    def seed(self, rows: Sequence[BarRow]) -> None:
        """Closed 1 minute bars know better than the trades that were heard."""
        for row in rows:
            if 0.0 <= row.volume < inf:
                self._put(row.open_ns // MINUTE_NS, row.volume, more=False)

    def times_usual(self, venue_ns: int, before_min: int) -> float | None:
        """The busier of this minute and the last, in usual minutes of the time that ended `before_min` ago; None while
        that is not known."""
        now = venue_ns // MINUTE_NS
        first = bisect_left(self._minutes, now - before_min - USUAL_MIN)
        usual = self._volumes[first : bisect_left(self._minutes, now - before_min)]
        if len(usual) < LEAST_MIN or not (middle := median(usual)):
            return None
        newest = self._volumes[bisect_left(self._minutes, now - 1) : bisect_left(self._minutes, now + 1)]
        return max(newest, default=0.0) / middle

    def _put(self, minute: int, volume: float, *, more: bool) -> None:
        at = bisect_left(self._minutes, minute)
        if at < len(self._minutes) and self._minutes[at] == minute:
            self._volumes[at] = volume + (self._volumes[at] if more else 0.0)
            return
        self._minutes.insert(at, minute)
        self._volumes.insert(at, volume)
        old = bisect_left(self._minutes, self._minutes[-1] - self._kept)
        del self._minutes[:old], self._volumes[:old]
