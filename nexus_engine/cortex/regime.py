"""The regime of one symbol from its closed 1h bars, by rule.

Trend is a question of how straight the way was, not of ADX: gating on ADX > 25 selected the *worse* trend trades over
2019-2026, and a most-likely-class rule says "quiet range" 94 % of the time. So each measure is ranked within its own
last 30 days, a state is entered above one rank and left below a lower one, and it is held for a minimum time.
"""

import math
from collections.abc import Sequence

from nexus_engine.cortex.features import Donchian, EfficiencyRatio, RealisedVolatility, RollingRank
from nexus_engine.cortex.indicators import EMA, Candle
from nexus_engine.model.signals import RegimeView
from nexus_engine.model.verdicts import Reading
from nexus_engine.model.words import Regime

INTERVAL = "1h"
ENTER = 0.67
"""Rank above which a state is entered."""
LEAVE = 0.50
"""Rank below which it is left."""
DWELL_BARS = 12
"""Bars that a regime is held before another may follow."""

_LOOK = 24
_WINDOW = 30 * 24
_SMOOTH = 0.5
_WALK = math.sqrt(_LOOK / math.pi)
"""erf(_WALK x ratio) is the share of random walks of `_LOOK` normal steps that are less straight: their net change has
sqrt(_LOOK) standard deviations, their way is expected to be _LOOK x sqrt(2 / pi).
"""
_TRENDS = {1: Regime.TREND_UP, -1: Regime.TREND_DOWN}

UNKNOWN = RegimeView(regime=Regime.UNKNOWN)

_STRAIGHT, _VOLATILE = "straightness rank", "volatility rank 30d"
SLOPE, PLACE = "EMA20 over EMA50", "place in Donchian20"
TREND_READING, VOLATILE_READING = "P(trend 24h)", "P(high volatility 24h)"
"""What a model calls its probabilities."""
_EVEN = math.log(0.5) / math.log(ENTER)


def odds(view: RegimeView) -> tuple[tuple[Regime, float], ...]:
    """How the rule's own measures lean, as four numbers that sum to 1; nothing where the regime is not known.

    They are derived from ranks and not fitted to outcomes, so they are no calibrated probabilities: a measure at the
    rank that enters its state counts as an even chance; what the trend leaves is split by the volatility; up and down
    share the trend by the averages' order and the place in the channel. The regime that holds may be another than the
    likeliest one, since it is left late and held for a minimum time.

    A model's probabilities of trend and volatility are calibrated and taken as they are; up or down stays the rule's.
    """
    measured = {reading.name: reading.value for reading in view.readings}
    if not {SLOPE, PLACE} <= measured.keys():
        return ()
    if {TREND_READING, VOLATILE_READING} <= measured.keys():
        trend, volatile = measured[TREND_READING], measured[VOLATILE_READING]
    elif {_STRAIGHT, _VOLATILE} <= measured.keys():
        trend, volatile = measured[_STRAIGHT] ** _EVEN, measured[_VOLATILE] ** _EVEN
    else:
        return ()
    up = (measured[PLACE] + (measured[SLOPE] > 0)) / 2
    return (
        (Regime.TREND_UP, trend * up),
        (Regime.TREND_DOWN, trend * (1 - up)),
        (Regime.RANGE, (1 - trend) * (1 - volatile)),
        (Regime.VOLATILE, (1 - trend) * volatile),
    )


class RegimeRule:
    """Feed it closed 1h bars in order; `view` is the regime after the last one. UNKNOWN below 500 bars.

    Same bars, same views. A way is as straight as its rank among the symbol's own last 30 days and among random
    walks, the lower of the two: in a market that only swings, the straightest day is no trend. Confidence is the rank
    by which the regime holds: of the straightness for a trend, of the volatility for VOLATILE, and for RANGE what
    both leave of 1.
    """

    __slots__ = ("_donchian", "_fast", "_held", "_place", "_regime", "_slow", "_smoothed", "_straight", "_trend",
                 "_view", "_vol_rank", "_volatility", "_way")  # fmt: skip

    def __init__(self) -> None:
        self._way = EfficiencyRatio(_LOOK)
        self._smoothed = math.nan
        self._straight = RollingRank(_WINDOW)
        self._volatility = RealisedVolatility(_LOOK)
        self._vol_rank = RollingRank(_WINDOW)
        self._fast, self._slow = EMA(20), EMA(50)
        self._donchian = Donchian(20)
        self._held = 0
        self._regime = Regime.UNKNOWN
        self._trend, self._place = 0.0, 0.5
        self._view: RegimeView | None = UNKNOWN

    def warm(self, bars: Sequence[Candle]) -> None:
        for bar in bars:
            self.update(bar)

    def update(self, bar: Candle) -> None:
        """Take the next closed bar."""
        for feature in (self._way, self._volatility, self._fast, self._slow, self._donchian):
            feature.update(bar)
        if not (self._way.ready and self._volatility.ready):
            return
        way = self._way.value
        self._smoothed = way if math.isnan(self._smoothed) else self._smoothed + _SMOOTH * (way - self._smoothed)
        self._straight.update(self._smoothed)
        self._vol_rank.update(self._volatility.value)
        if self._slow.ready:
            self._decide(bar.close)

    def _decide(self, close: float) -> None:
        trend = min(self._straight.value, math.erf(_WALK * self._smoothed))
        volatile = self._vol_rank.value
        slope = (self._fast.value > self._slow.value) - (self._fast.value < self._slow.value)
        high, low = self._donchian.value
        place = (close - low) / (high - low) if high > low else 0.5

        now = self._regime
        said = self._said(now, trend, volatile, slope, place)
        self._held += 1
        if now is Regime.UNKNOWN or (said is not now and self._held >= DWELL_BARS):
            now, self._held = said, 0
        self._regime, self._trend, self._place, self._view = now, trend, place, None

    @property
    def regime(self) -> Regime:
        """The view's, without making one."""
        return self._regime

    @property
    def view(self) -> RegimeView:
        """Made when it is asked for: a run that skips asks after few bars."""
        if self._view is None:
            self._view = self._shown()
        return self._view

    def _shown(self) -> RegimeView:
        now, trend, volatile = self._regime, self._trend, self._vol_rank.value
        if now in _TRENDS.values():
            confidence = trend
        else:
            confidence = volatile if now is Regime.VOLATILE else 1.0 - max(trend, volatile)
        return RegimeView(
            regime=now,
            confidence=confidence,
            trend_rank=trend,
            volatile_rank=volatile,
            trending=now in _TRENDS.values(),
            readings=(
                Reading("efficiency ratio 24h", self._smoothed),
                Reading(_STRAIGHT, trend, ENTER),
                Reading("volatility 24h", self._volatility.value * 100, None, "%/h"),
                Reading(_VOLATILE, volatile, ENTER),
                Reading(SLOPE, (self._fast.value / self._slow.value - 1) * 100, 0.0, "%"),
                Reading(PLACE, self._place, 0.5),
            ),
        )

    @staticmethod
    def _said(now: Regime, trend: float, volatile: float, slope: int, place: float) -> Regime:
        """What the numbers say, given the regime they would have to end."""
        if slope:
            direction = _TRENDS[slope]
            if now is direction and trend >= LEAVE:
                return direction
            if trend > ENTER and slope * (place - 0.5) > 0:
                return direction
        return Regime.VOLATILE if volatile > (LEAVE if now is Regime.VOLATILE else ENTER) else Regime.RANGE
