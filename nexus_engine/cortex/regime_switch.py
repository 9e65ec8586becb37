"""When a probability is high: its rank among what was said lately, entered and left at two ranks, held for a while.

Never whether it is the likeliest: a trend is a quarter of all days, so the likeliest is nearly always none.
"""

import math
from bisect import bisect_left, bisect_right
from collections import deque
from typing import Final

SMOOTH: Final = 0.5
"""Weight of what is said now in the average of what was said."""
ENTER: Final = 0.67
"""Rank above which it is on."""
LEAVE: Final = 0.50
"""Rank below which it is off."""
SAID: Final = 120
"""What was said in 30 days of six hours."""
FEWEST: Final = 40
"""Without so much of it there is no rank."""
DWELL: Final = 2
"""Times to speak (12 h) that a state is held."""


class Switch:
    """Tell it each probability in order; `rank` (0..1, equals count half) is NaN while too little was said."""

    __slots__ = ("_held", "_said", "on", "rank", "smoothed", "upper")

    def __init__(self) -> None:
        self._said: deque[float] = deque(maxlen=SAID)
        self._held = DWELL
        self.on = False
        self.rank = math.nan
        self.smoothed = math.nan
        self.upper = math.nan
        """The smoothed probability above which it is on."""

    @property
    def count(self) -> int:
        """How much was said, of what is remembered."""
        return len(self._said)

    def hear(self, probability: float) -> None:
        last = self.smoothed
        self.smoothed = probability if math.isnan(last) else last + SMOOTH * (probability - last)
        self._said.append(self.smoothed)
        if len(self._said) < FEWEST:
            return
        ordered = sorted(self._said)
        self.rank = (bisect_left(ordered, self.smoothed) + bisect_right(ordered, self.smoothed)) / 2 / len(ordered)
        self.upper = ordered[min(len(ordered) - 1, int(ENTER * len(ordered)))]
        self._held += 1
        wanted = self.rank >= LEAVE if self.on else self.rank > ENTER
        if wanted != self.on and self._held >= DWELL:
            self.on, self._held = wanted, 0
