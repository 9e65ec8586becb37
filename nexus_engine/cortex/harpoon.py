"""HARPOON: buys a dislocation once it turns.

A plain touch of the Bollinger band loses money after costs at every timeframe measured. What paid, before costs, were
rare dislocations: a 5m close far under the band without a flood of volume (ClucMay), or one straight fall through the
40-bar band that closes near its low (BinHV45). The entry waits for the first close back up.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

import msgspec

from nexus_engine.cortex.features import MeanVolume
from nexus_engine.cortex.indicators import ATR, EMA, Bollinger, Candle
from nexus_engine.cortex.strategy import Param, Params, interval_ns
from nexus_engine.model.events import Bar, BarRow
from nexus_engine.model.signals import Quote, RegimeView, Signal
from nexus_engine.model.verdicts import Reading
from nexus_engine.model.words import Side

_BAR_NS = interval_ns("5m")
_REPLAYED = 24
"""Last bars of a history that are gone through for a pattern in progress; far more than a pattern lasts."""
_SPREADS = 10
"""A stop must be this many spreads away, or the spread alone is a tenth of the risk."""

_CLUC = "ClucMay72018"
_BINHV = "BinHV45"
_SPEC = "own spec: quant study 2017-2026"


class _Pattern(msgspec.Struct, frozen=True):
    """A dislocation that waits for its close back. `extreme` is the worst price since, `began` its bar's number."""

    side: Side
    close: float
    extreme: float
    began: int
    reason: str
    readings: tuple[Reading, ...]


class _Track:
    """What Harpoon knows of a symbol."""

    __slots__ = ("atr", "bands", "bars", "close", "ema", "pattern", "volume", "wide")

    def __init__(self) -> None:
        self.ema = EMA(50)
        self.bands = Bollinger(20)
        self.wide = Bollinger(40)
        self.atr = ATR(14)
        self.volume = MeanVolume(20)
        self.bars = 0
        self.close = 0.0
        self.pattern: _Pattern | None = None

    def warm(self, rows: Sequence[BarRow]) -> None:
        for feature in (self.ema, self.bands, self.wide, self.atr, self.volume):
            feature.warm(rows)
        if rows:
            self.close = rows[-1].close

    @property
    def ready(self) -> bool:
        """The EMA needs the longest."""
        return self.ema.ready


class Harpoon:
    """Dislocation reversal on 5m bars. Long; the mirrored short exists and is off by default."""

    name: ClassVar[str] = "harpoon"
    intervals: ClassVar[tuple[str, ...]] = ("5m",)
    PARAMS: ClassVar[Mapping[str, Param]] = {
        "enabled": Param(default=True, low=False, high=True, doc="trade it at all", source=_SPEC),
        "short": Param(default=False, low=False, high=True, doc="also sell rises above the band", source=_SPEC),
        "under_band_pct": Param(
            default=1.5, low=0.5, high=10.0, doc="close at least this far under the lower band (20, 2)", source=_CLUC
        ),
        "volume_factor": Param(
            default=20.0, low=1.0, high=100.0, doc="volume below this many times the mean of 20 bars", source=_CLUC
        ),
        "band_pct": Param(
            default=0.8, low=0.1, high=5.0, doc="middle to lower band (40, 2) at least, % of the close", source=_BINHV
        ),
        "fall_pct": Param(
            default=1.75, low=0.5, high=10.0, doc="close to close fall at least, % of the close", source=_BINHV
        ),
        "tail_pct": Param(
            default=25.0, low=0.0, high=100.0, doc="close to low at most, % of middle to lower band", source=_BINHV
        ),
        "turn_bars": Param(default=2, low=1, high=6, doc="bars within which it must close back up", source=_SPEC),
        "stop_atr": Param(default=4.0, low=2.0, high=8.0, doc="stop distance at least, in ATR(14)", source=_SPEC),
        "stop_max_pct": Param(
            default=5.0, low=1.0, high=10.0, doc="stop distance at most, % of the price", source=_CLUC
        ),
        "min_reward": Param(default=1.0, low=0.5, high=5.0, doc="target by stop distance at least", source=_SPEC),
        "min_costs": Param(
            default=4.0, low=4.0, high=50.0, doc="target by round-trip costs at least", source=_SPEC
        ),
        "limit_pct": Param(
            default=10.0, low=0.0, high=30.0, doc="how far the limit may follow, % of the stop distance", source=_SPEC
        ),
        "time_stop_bars": Param(default=72, low=6, high=288, doc="close after so many bars", source=_SPEC),
        "risk_pct": Param(default=0.25, low=0.05, high=1.0, doc="risk a trade, % of equity", source=_SPEC),
        "leverage": Param(default=2, low=1, high=2, doc="leverage at most", source=_SPEC),
    }  # fmt: skip

    def __init__(self, params: Params) -> None:
        self.counters: Counter[str] = Counter()
        self._p: Final = params
        self._sides = (Side.BUY, Side.SELL) if params["short"] else (Side.BUY,)
        self._tracks: dict[str, _Track] = {}

    def warm(self, symbol: str, interval: str, rows: Sequence[BarRow]) -> None:
        """Begin a symbol anew. A pattern whose falling bar lies in the history stays alive; one that turned in it is
        over: its price is gone.
        """
        track = self._tracks[symbol] = _Track()
        track.warm(rows[:-_REPLAYED])
        for row in rows[-_REPLAYED:]:
            self._follow(track, row)

    def on_bar(self, bar: Bar, quote: Quote, regime: RegimeView) -> Signal | None:
        track = self._tracks[bar.symbol]
        self.counters["bars"] += 1
        turned = self._follow(track, bar)
        if track.pattern is not None and track.pattern.began == track.bars:
            self.counters["patterns"] += 1
        if turned is None:
            return None
        self.counters["turned"] += 1
        return self._signal(bar, track, turned, quote, regime)

    def _follow(self, track: _Track, bar: Candle) -> _Pattern | None:
        """Take a closed bar; returns the pattern that this close completes."""
        close_before, wide_before, volume_before = track.close, track.wide.value, track.volume.value
        for feature in (track.ema, track.bands, track.wide, track.atr, track.volume):
            feature.update(bar)
        track.close = bar.close
        track.bars += 1

        waiting = track.pattern
        if waiting is not None:
            sign = waiting.side.sign
            worst = min(bar.low, waiting.extreme) if sign > 0 else max(bar.high, waiting.extreme)
            waiting = msgspec.structs.replace(waiting, extreme=worst)
            if sign * (bar.close - waiting.close) > 0:
                track.pattern = None
                return waiting
            track.pattern = waiting if track.bars < waiting.began + self._p["turn_bars"] else None
        if track.ready:
            for side in self._sides:
                found = self._dislocation(track, bar, side, close_before, wide_before, volume_before)
                track.pattern = found or track.pattern
        return None

    def _dislocation(
        self, track: _Track, bar: Candle, side: Side, close_before: float, wide_before: tuple[float, float, float],
        volume_before: float,
    ) -> _Pattern | None:  # fmt: skip
        """The pattern that begins with this bar. The mean volume is that of the 20 bars before it: including its own
        it could never exceed 20 times the mean.
        """
        p, sign, close = self._p, side.sign, bar.close
        upper, _, lower = track.bands.value
        band, word = (lower, "under the lower") if sign > 0 else (upper, "over the upper")
        under_pct = sign * (band - close) / band * 100
        beyond_ema = sign * (track.ema.value - close) > 0
        volume = bar.volume / volume_before if volume_before else 0.0

        wide_upper, middle, wide_lower = track.wide.value
        band_pct = (middle - wide_lower if sign > 0 else wide_upper - middle) / close * 100
        fall_pct = sign * (close_before - close) / close * 100
        tail_pct = abs(close - (bar.low if sign > 0 else bar.high)) / close * 100
        through = sign * ((wide_before[2] if sign > 0 else wide_before[0]) - close) > 0

        if under_pct > p["under_band_pct"] and beyond_ema and volume < p["volume_factor"]:
            reason = f"close {under_pct:.1f}% {word} band"
        elif (
            through
            and band_pct > p["band_pct"]
            and fall_pct > p["fall_pct"]
            and tail_pct < p["tail_pct"] / 100 * band_pct
        ):
            reason = f"{'fell' if sign > 0 else 'rose'} {fall_pct:.1f}% in one bar, through the 40-bar band"
        else:
            return None
        readings = (
            Reading("beyond band(20)", under_pct, p["under_band_pct"], "%"),
            Reading("EMA50", track.ema.value),
            Reading("volume", volume, p["volume_factor"], "x mean"),
            Reading("band(40) width", band_pct, p["band_pct"], "%"),
            Reading("bar change", fall_pct, p["fall_pct"], "%"),
            Reading("bar tail", tail_pct, p["tail_pct"] / 100 * band_pct, "%"),
        )
        extreme = bar.low if sign > 0 else bar.high
        return _Pattern(side, close, extreme, track.bars, reason, readings)

    def _signal(self, bar: Bar, track: _Track, turned: _Pattern, quote: Quote, regime: RegimeView) -> Signal | None:
        """The entry at the touch, if what it may win is worth what it costs and risks."""
        if not quote.valid:
            self.counters["no quote"] += 1
            return None
        p, side, sign = self._p, turned.side, turned.side.sign
        price = quote.ask if sign > 0 else quote.bid
        spread = quote.ask - quote.bid
        atr = track.atr.value
        target = track.bands.value[1]
        target_distance = sign * (target - price)
        stop_distance = min(
            max(p["stop_atr"] * atr, sign * (price - turned.extreme), _SPREADS * spread),
            p["stop_max_pct"] / 100 * price,
        )
        costs = target_distance / (2 * quote.taker_fee * price + spread)
        reward = target_distance / stop_distance
        if costs < p["min_costs"]:
            self.counters["costs"] += 1
            return None
        if reward < p["min_reward"]:
            self.counters["reward"] += 1
            return None
        return Signal(
            symbol=bar.symbol,
            strategy=self.name,
            side=side,
            price=price,
            limit=price + sign * p["limit_pct"] / 100 * stop_distance,
            stop_distance=stop_distance,
            target=target,
            time_stop_ns=int(p["time_stop_bars"]) * _BAR_NS,
            reasons=(
                turned.reason,
                f"first close back {'up' if sign > 0 else 'down'}",
                f"target {costs:.1f}x the costs",
                f"target {reward:.1f}x the stop",
            ),
            readings=(
                *turned.readings,
                Reading("close back", sign * (bar.close / turned.close - 1) * 100, 0.0, "%"),
                Reading("ATR14", atr / price * 100, None, "%"),
                Reading("stop distance", stop_distance / price * 100, p["stop_max_pct"], "%"),
                Reading("target distance", target_distance / price * 100, None, "%"),
                Reading("target by costs", costs, p["min_costs"], "x"),
                Reading("target by stop", reward, p["min_reward"], "x"),
                Reading("spread", quote.spread_bp, None, "bp"),
            ),
            regime=regime,
            risk_pct=p["risk_pct"],
            leverage=int(p["leverage"]),
            market_ns=bar.open_ns + _BAR_NS,
        )
