"""HARPOON: buys a dislocation once it turns.

A plain touch of the Bollinger band loses money after costs at every timeframe measured. What paid, before costs, were
rare dislocations: a 5m close far under the band without a flood of volume (ClucMay), or one straight fall through the
40-bar band that closes near its low (BinHV45). The entry waits for the first close back up.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

import msgspec
import numpy as np

from nexus_engine.cortex.columns import Columns, Mask
from nexus_engine.cortex.entry import SPEC, Track, Wish, before, enter, ready, shared
from nexus_engine.cortex.features import MeanVolume
from nexus_engine.cortex.indicators import ATR, EMA, RSI, Bollinger, Candle
from nexus_engine.cortex.strategy import Context, Param, Params, ParamSet, interval_ns, which_set
from nexus_engine.model.events import Bar, BarRow
from nexus_engine.model.signals import Quote, RegimeView, Signal
from nexus_engine.model.verdicts import Reading
from nexus_engine.model.words import Side

_REPLAYED = 24
"""Last bars of a history that are gone through for a pattern in progress; far more than a pattern lasts."""
_SLACK = 1e-9
"""What a mean over whole columns may differ from the exact one, and more."""

_CLUC = "ClucMay72018"
_BINHV = "BinHV45"
_BANDRSI = "BbandRsi"
_OVERSOLD = 30.0


class _Pattern(msgspec.Struct, frozen=True):
    """A dislocation that waits for its close back. `extreme` is the worst price since, `began` its bar's number."""

    side: Side
    close: float
    extreme: float
    began: int
    reason: str
    readings: tuple[Reading, ...]


class _Track(Track):
    """What Harpoon knows of a symbol."""

    __slots__ = ("atr", "bands", "bars", "close", "ema", "pattern", "rsi", "volume", "wide")

    def __init__(self) -> None:
        self.ema = EMA(50)
        self.bands = Bollinger(20)
        self.wide = Bollinger(40)
        self.rsi = RSI(14)
        self.atr = ATR(14)
        self.volume = MeanVolume(20)
        self.parts = (self.ema, self.bands, self.wide, self.rsi, self.atr, self.volume)
        self.bars = 0
        self.close = 0.0
        self.pattern: _Pattern | None = None

    def warm(self, rows: Sequence[BarRow]) -> None:
        super().warm(rows)
        if rows:
            self.close = rows[-1].close

    def seek(self, columns: Columns, upto: int) -> None:
        super().seek(columns, upto)
        if upto:
            self.close = columns.close.item(upto - 1)

    @property
    def ready(self) -> bool:
        """The EMA needs the longest."""
        return self.ema.ready


class Harpoon:
    """Dislocation reversal on 5m bars. Long; the mirrored short exists and is off by default."""

    name: ClassVar[str] = "harpoon"
    SETS: ClassVar[Mapping[str, ParamSet]] = {
        "classic": ParamSet(
            {"classic": True, "interval": "1h", "stop_atr": 2.0, "min_reward": 0.5},
            "WARNING: BB(20, 2) with RSI under 30 lost 0.12 R a trade on 1h bars, in both halves of 2018-2026",
        )
    }
    PARAMS: ClassVar[Mapping[str, Param]] = {
        **shared(risk_pct=0.25, leverage=2, most=2),
        "set": which_set(SETS),
        "interval": Param(default="5m", choices=("5m", "15m", "1h"), doc="which bars", source=SPEC),
        "short": Param(default=False, low=False, high=True, doc="also sell rises above the band", source=SPEC),
        "classic": Param(
            default=False,
            low=False,
            high=True,
            doc="a close beyond the band (20, 2) with RSI(14) under 30, or over 70",
            source=_BANDRSI,
        ),
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
        "turn_bars": Param(default=2, low=1, high=6, doc="bars within which it must close back up", source=SPEC),
        "stop_atr": Param(default=4.0, low=2.0, high=8.0, doc="stop distance at least, in ATR(14)", source=SPEC),
        "stop_max_pct": Param(
            default=5.0, low=1.0, high=10.0, doc="stop distance at most, % of the price", source=_CLUC
        ),
        "min_reward": Param(default=1.0, low=0.5, high=5.0, doc="target by stop distance at least", source=SPEC),
        "time_stop_bars": Param(default=72, low=6, high=288, doc="close after so many bars", source=SPEC),
    }

    def __init__(self, params: Params) -> None:
        self.counters: Counter[str] = Counter()
        self.p: Final = params
        self.intervals: tuple[str, ...] = (str(params["interval"]),)
        self._step = interval_ns(self.intervals[0])
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

    def warm_columns(self, symbol: str, columns: Columns, upto: int) -> None:
        track = self._tracks[symbol] = _Track()
        falls = columns.kept(("harpoon falls", *self.p.items()), lambda: self._falls(columns))
        start, quiet = upto, 0
        while start and quiet < self.p["turn_bars"]:
            start -= 1
            quiet = 0 if falls[start] else quiet + 1
        track.seek(columns, start)
        for row in columns.rows(start, upto):
            self._follow(track, row)

    def on_bar(self, bar: Bar, quote: Quote, regime: RegimeView, context: Context) -> Signal | None:
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
        track.update(bar)
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
            track.pattern = waiting if track.bars < waiting.began + self.p["turn_bars"] else None
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
        p, sign, close = self.p, side.sign, bar.close
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

        rsi = track.rsi.value if sign > 0 else 100 - track.rsi.value
        if p["classic"]:
            if under_pct <= 0 or rsi >= _OVERSOLD:
                return None
            reason = f"close {word} band with RSI14 at {track.rsi.value:.0f}"
        elif under_pct > p["under_band_pct"] and beyond_ema and volume < p["volume_factor"]:
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
        p, side, sign = self.p, turned.side, turned.side.sign
        atr = track.atr.value
        touch = quote.ask if sign > 0 else quote.bid
        wish = Wish(
            side=side,
            stop_distance=max(p["stop_atr"] * atr, sign * (touch - turned.extreme)),
            target=track.bands.value[1],
            time_stop_bars=int(p["time_stop_bars"]),
            reasons=(turned.reason, f"first close back {'up' if sign > 0 else 'down'}"),
            readings=(
                *turned.readings,
                Reading("close back", sign * (bar.close / turned.close - 1) * 100, 0.0, "%"),
                Reading("ATR14", atr / bar.close * 100, None, "%"),
            ),
        )
        return enter(
            self, bar, self._step, wish, quote, regime, min_reward=p["min_reward"], stop_max=p["stop_max_pct"] / 100
        )

    def candidates(self, columns: Columns) -> Mask:
        """The closes back within `turn_bars` of a fall."""
        falls = columns.kept(("harpoon falls", *self.p.items()), lambda: self._falls(columns))
        found = np.zeros(len(columns), np.bool_)
        for later in range(1, int(self.p["turn_bars"]) + 1):
            found[later:] |= falls[:-later]
        return found

    def _falls(self, columns: Columns) -> Mask:
        """Where a pattern begins; the same conditions as one bar at a time, a hair wider."""
        p, track, close = self.p, _Track(), columns.close
        (upper, _, lower), (wide_upper, middle, wide_lower) = track.bands.over(columns), track.wide.over(columns)
        (ema,), (rsi,) = track.ema.over(columns), track.rsi.over(columns)
        mean = before(track.volume.over(columns))
        flood = columns.volume >= p["volume_factor"] * mean * (1 + _SLACK)
        found = np.zeros(len(columns), np.bool_)
        for side in self._sides:
            sign = side.sign
            band = lower if sign > 0 else upper
            under_pct = sign * (band - close) / band * 100
            if p["classic"]:
                found |= (under_pct > 0) & ((rsi if sign > 0 else 100 - rsi) < _OVERSOLD)
                continue
            found |= (under_pct > p["under_band_pct"]) & (sign * (ema - close) > 0) & (~flood | ~(mean > 0))
            wide = wide_lower if sign > 0 else wide_upper
            band_pct = (middle - wide_lower if sign > 0 else wide_upper - middle) / close * 100
            fall_pct = sign * (before(close) - close) / close * 100
            tail_pct = np.abs(close - (columns.low if sign > 0 else columns.high)) / close * 100
            found |= (
                (sign * (before(wide) - close) > 0)
                & (band_pct > p["band_pct"])
                & (fall_pct > p["fall_pct"])
                & (tail_pct < p["tail_pct"] / 100 * band_pct)
            )
        return found & ready(columns, track)
