"""FLOW: follows a breakout that the averages agree with, while the way has been straight, until a close on the other
side of a shorter channel.

What is known of it: the channel breakout on 4h bars made +0.07 R a trade after costs in 2022-2026 (+0.34 in 2018-2021),
on 1h bars it lost; taken only where P(trend) stood in its upper third it made +0.24 R, in the lower -0.01. An ADX over
25 selected the worse trades; a rising one does not. A trail of 3 ATR, alone or beside the channel, made less than the
channel alone in both halves of 2017-2024.
"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from nexus_engine.cortex.columns import Columns, Mask
from nexus_engine.cortex.entry import SPEC, Patterned, Track, Wish, before, ready, shared
from nexus_engine.cortex.features import Donchian
from nexus_engine.cortex.indicators import ADX, ATR, EMA, Candle
from nexus_engine.cortex.strategy import Context, Param, Params
from nexus_engine.model.events import Bar
from nexus_engine.model.signals import Holding, Leave, RegimeView
from nexus_engine.model.verdicts import Reading
from nexus_engine.model.words import Side

_TURTLE = "turtle system 1; jesse TurtleRules"
_CHANDELIER = "Le Beau's chandelier"


class _Track(Track):
    __slots__ = ("adx", "atr", "channel", "fast", "out", "slow", "way_out")

    def __init__(self, p: Params) -> None:
        self.channel = Donchian(int(p["channel"]))
        self.fast, self.slow = EMA(int(p["fast"])), EMA(int(p["slow"]))
        self.adx = ADX(14)
        self.atr = ATR(14)
        self.out = Donchian(int(p["exit_channel"] or 1))
        self.way_out = self.out.value
        """The exit's channel as it was before the last bar."""
        self.parts = (self.channel, self.fast, self.slow, self.adx, self.atr, self.out)

    def update(self, bar: Candle) -> None:
        self.way_out = self.out.value
        super().update(bar)


class Flow(Patterned[_Track]):
    """Channel breakout with the averages and a rising ADX, on 4h bars. Both sides; no target, out at a channel."""

    name: ClassVar[str] = "flow"
    PARAMS: ClassVar[Mapping[str, Param]] = {
        **shared(risk_pct=0.5, leverage=3, most=3),
        "interval": Param(default="4h", choices=("1h", "4h", "1d"), doc="which bars", source=SPEC),
        "long": Param(default=True, low=False, high=True, doc="buy breakouts upwards", source=SPEC),
        "short": Param(default=True, low=False, high=True, doc="sell breakouts downwards", source=SPEC),
        "channel": Param(default=20, low=20, high=55, doc="close beyond the extreme of so many bars", source=_TURTLE),
        "fast": Param(default=20, low=9, high=50, doc="fast EMA, bars", source=SPEC),
        "slow": Param(default=50, low=21, high=200, doc="slow EMA, bars; the fast one lies beyond it", source=SPEC),
        "adx_rising": Param(default=True, low=False, high=True, doc="ADX(14) higher than a bar ago", source=SPEC),
        "adx_min": Param(
            default=0.0, low=0.0, high=25.0, doc="ADX(14) at least; over 25 selected the worse trades", source=SPEC
        ),
        "stop_atr": Param(default=2.0, low=1.5, high=3.0, doc="stop distance, in ATR(14)", source=_TURTLE),
        "trail_atr": Param(
            default=0.0,
            low=0.0,
            high=4.0,
            doc="the stop trails by so many ATR(14), 3 is usual; 0: not",
            source=_CHANDELIER,
        ),
        "trail_from_r": Param(
            default=1.0, low=0.0, high=3.0, doc="it trails once the profit is so many R", source=SPEC
        ),
        "exit_channel": Param(
            default=10,
            low=0,
            high=55,
            doc="leave at a close beyond the other extreme of so many bars; 0: not",
            source=_TURTLE,
        ),
        "half_at_r": Param(default=0.0, low=0.0, high=5.0, doc="half is taken at so many R; 0: never", source=SPEC),
    }

    def _track(self) -> _Track:
        return _Track(self.p)

    def _look(self, track: _Track, bar: Bar, regime: RegimeView, context: Context) -> Wish | None:
        p = self.p
        (high, low), adx_before = track.channel.value, track.adx.value[0]
        track.update(bar)
        if not track.ready:
            return None
        close, fast, slow, atr = bar.close, track.fast.value, track.slow.value, track.atr.value
        adx = track.adx.value[0]
        if p["long"] and close > high and fast > slow:
            side, level, word = Side.BUY, high, "over"
        elif p["short"] and close < low and fast < slow:
            side, level, word = Side.SELL, low, "under"
        else:
            return None
        if adx < p["adx_min"] or (p["adx_rising"] and adx <= adx_before):
            return None
        half = p["half_at_r"]
        return Wish(
            side=side,
            stop_distance=p["stop_atr"] * atr,
            reach=p["stop_atr"] * atr,
            partials=((half, 0.5),) if half else (),
            trail_distance=p["trail_atr"] * atr,
            trail_from_r=p["trail_from_r"] if p["trail_atr"] else 0.0,
            reasons=(
                f"close {word} the {p['channel']}-bar channel",
                f"EMA{p['fast']} {word} EMA{p['slow']}",
                f"ADX {'rises' if adx > adx_before else 'falls'} to {adx:.0f}",
                *((f"trails {p['trail_atr']:g} ATR from {p['trail_from_r']:g} R on",) if p["trail_atr"] else ()),
                *((f"leaves at the {p['exit_channel']}-bar channel",) if p["exit_channel"] else ()),
            ),
            readings=(
                Reading("beyond the channel", side.sign * (close / level - 1) * 100, 0.0, "%"),
                Reading(f"EMA{p['fast']} over EMA{p['slow']}", (fast / slow - 1) * 100, 0.0, "%"),
                Reading("ADX14", adx, adx_before),
                Reading("ATR14", atr / close * 100, None, "%"),
            ),
        )

    def leave(self, bar: Candle, held: Holding) -> Leave | None:
        bars, track = self.p["exit_channel"], self._tracks[held.symbol]
        if not bars or not track.ready:
            return None
        (high, low), sign = track.way_out, held.side.sign
        level, word = (low, "under") if sign > 0 else (high, "over")
        if sign * (bar.close - level) >= 0:
            return None
        return Leave(
            reasons=(f"close {word} the {bars}-bar channel",),
            readings=(Reading("beyond the exit channel", sign * (level / bar.close - 1) * 100, 0.0, "%"),),
        )

    def candidates(self, columns: Columns) -> Mask:
        p, track = self.p, _Track(self.p)
        close, (high, low) = columns.close, map(before, track.channel.over(columns))
        (fast,), (slow,), adx = track.fast.over(columns), track.slow.over(columns), track.adx.over(columns)[0]
        found = np.zeros(len(columns), np.bool_)
        if p["long"]:
            found |= (close > high) & (fast > slow)
        if p["short"]:
            found |= (close < low) & (fast < slow)
        if p["adx_rising"]:
            found &= adx > before(adx)
        found &= adx >= p["adx_min"]
        return found & ready(columns, track)
