"""SHARK: sells alts while the whole market bleeds into Bitcoin, and Bitcoin falls itself.

It has no edge that could be shown. Measured on 32 alts in 2018-2026, the hours after such a state began were wild and
not negative on average, and selling the weakest was the worst choice. Of all variants only one was positive in both
halves: the slow state, a breakdown of 24 hours, a stop of 2 ATR and a trail of 3 (+0.079 and +0.073 R, t 0.9 and 0.7).
That one is the default, and a person decides its entries.
"""

from collections.abc import Mapping
from typing import ClassVar, Final

import numpy as np

from nexus_engine.cortex.columns import Columns, Mask
from nexus_engine.cortex.entry import SPEC, Patterned, Track, Wish, before, ready, shared
from nexus_engine.cortex.features import Donchian
from nexus_engine.cortex.indicators import ATR, EMA, Candle
from nexus_engine.cortex.strategy import Context, Leader, Param, Params, ParamSet, interval_ns, which_set
from nexus_engine.model.events import Bar
from nexus_engine.model.signals import RegimeView
from nexus_engine.model.verdicts import Reading
from nexus_engine.model.words import Macro, Side

QUIET: Final = "quiet"
"""What the squeeze rule says when shorts are not in danger."""
_LEADER_NS = interval_ns("1h")


class _Track(Track):
    __slots__ = ("atr", "channel", "ema")

    def __init__(self, p: Params) -> None:
        self.channel = Donchian(int(p["breakdown_bars"]))
        self.ema = EMA(20)
        self.atr = ATR(14)
        self.parts = (self.channel, self.ema, self.atr)


class Shark(Patterned[_Track]):
    """Breakdown or failed bounce of a ranked target, while the macro state is SHARK. Short only, never added to."""

    name: ClassVar[str] = "shark"
    SETS: ClassVar[Mapping[str, ParamSet]] = {
        "aggressive": ParamSet(
            {"stop_atr": 1.0, "target_atr": 2.0, "trail_atr": 0.0, "leverage": 8},
            "WARNING: high leverage and a tight stop lost in nearly every variant measured (-0.01 to -0.18 R a trade)",
        )
    }
    PARAMS: ClassVar[Mapping[str, Param]] = {
        **shared(risk_pct=0.35, leverage=3, most=8),
        "set": which_set(SETS),
        "interval": Param(default="1h", choices=("15m", "30m", "1h"), doc="which bars", source=SPEC),
        "breakdown": Param(default=True, low=False, high=True, doc="sell a close under the channel", source=SPEC),
        "breakdown_bars": Param(default=24, low=12, high=96, doc="bars of that channel", source=SPEC),
        "bounce": Param(
            default=True, low=False, high=True, doc="sell a bounce to EMA(20) that closes back under it", source=SPEC
        ),
        "stretch_atr": Param(
            default=2.5, low=1.0, high=5.0, doc="not further under EMA(20) than so many ATR(14)", source=SPEC
        ),
        "max_names": Param(
            default=3, low=1, high=5, doc="only the best targets, and held together at most", source=SPEC
        ),
        "stop_atr": Param(default=2.0, low=1.0, high=2.5, doc="stop distance, in ATR(14)", source=SPEC),
        "target_atr": Param(default=0.0, low=0.0, high=6.0, doc="target, in ATR(14); 0: none", source=SPEC),
        "trail_atr": Param(
            default=3.0, low=0.0, high=4.0, doc="the stop trails by so many ATR(14); 0: not", source=SPEC
        ),
        "trail_from_r": Param(
            default=1.0, low=0.0, high=3.0, doc="it trails once the profit is so many R", source=SPEC
        ),
        "time_stop_bars": Param(default=72, low=6, high=288, doc="close after so many bars", source=SPEC),
    }

    def _track(self) -> _Track:
        return _Track(self.p)

    def _look(self, track: _Track, bar: Bar, regime: RegimeView, context: Context) -> Wish | None:
        p, low, ema_before = self.p, track.channel.value[1], track.ema.value
        track.update(bar)
        if not track.ready:
            return None
        close, ema, atr = bar.close, track.ema.value, track.atr.value
        if p["breakdown"] and close < low:
            reason = f"closes under the low of {p['breakdown_bars']} bars"
        elif p["bounce"] and bar.open < ema_before and bar.high >= ema > close and close < bar.open:
            reason = "bounce to EMA20 fails"
        else:
            return None
        stretch = (ema - close) / atr
        if stretch > p["stretch_atr"]:
            return None
        if refused := self._kept_out(bar, context):
            self.counters.update(("patterns", "turned", refused))
            return None
        leader, names = context.leader, [target.symbol for target in context.targets]
        assert leader is not None
        target = context.targets[names.index(bar.symbol)]
        return Wish(
            side=Side.SELL,
            stop_distance=p["stop_atr"] * atr,
            target=close - p["target_atr"] * atr if p["target_atr"] else None,
            reach=p["stop_atr"] * atr,
            trail_distance=p["trail_atr"] * atr,
            trail_from_r=p["trail_from_r"] if p["trail_atr"] else 0.0,
            time_stop_bars=int(p["time_stop_bars"]),
            reasons=(
                f"SANGRIA; target {names.index(bar.symbol) + 1} of {len(names)}, score {target.score:.2f}",
                reason,
                "BTC under its EMA200 and falling; no squeeze",
            ),
            readings=(
                Reading("target score", target.score),
                Reading("4h against BTC", target.drop_pct, None, "%"),
                Reading("BTC over EMA200", (leader.close / leader.ema200 - 1) * 100, 0.0, "%"),
                Reading("BTC EMA20 over EMA50", (leader.ema20 / leader.ema50 - 1) * 100, 0.0, "%"),
                Reading("under the channel", (low / close - 1) * 100, 0.0, "%"),
                Reading("under EMA20", stretch, p["stretch_atr"], "ATR"),
                Reading("ATR14", atr / close * 100, None, "%"),
            ),
        )

    def _kept_out(self, bar: Bar, context: Context) -> str:
        """The name under which a pattern is counted that may not be hunted now; empty when it may."""
        leader, most = context.leader, self.p["max_names"]
        if context.macro is not Macro.SHARK:
            return "macro"
        # Bitcoin's hour may close a moment after the alt's own
        if leader is None or not leader.down or bar.open_ns - leader.open_ns > _LEADER_NS:
            return "leader"
        if context.squeeze != QUIET:
            return "squeeze"
        best = [target.symbol for target in context.targets if not target.veto][:most]
        if bar.symbol not in best or len(context.hunted) >= most:
            return "targets"
        return ""

    def candidates(self, columns: Columns) -> Mask:
        p, track = self.p, _Track(self.p)
        close, opened = columns.close, columns.open
        (ema,), (atr,), low = track.ema.over(columns), track.atr.over(columns), before(track.channel.over(columns)[1])
        found = ready(columns, track)
        broke = (close < low) if p["breakdown"] else found & False
        failed = (opened < before(ema)) & (columns.high >= ema) & (ema > close) & (close < opened)
        found &= broke | failed if p["bounce"] else broke
        # a market that stands still has no range; it breaks out of nothing either
        with np.errstate(divide="ignore", invalid="ignore"):
            found &= (ema - close) / atr <= p["stretch_atr"]
        return found


class LeaderTrend:
    """Bitcoin's averages from its closed hours; `view` is None while one of them is not ready."""

    def __init__(self) -> None:
        self._averages = EMA(20), EMA(50), EMA(200)
        self.view: Leader | None = None

    def update(self, bar: Candle) -> None:
        for average in self._averages:
            average.update(bar)
        if all(average.ready for average in self._averages):
            fast, slow, long = (average.value for average in self._averages)
            self.view = Leader(open_ns=bar.open_ns, close=bar.close, ema20=fast, ema50=slow, ema200=long)
