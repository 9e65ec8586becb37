"""From a strategy's wish to its Signal: the parameters that all share, the session, the price, the cost gate."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Generic, TypeVar

import msgspec
import numpy as np
from msgspec import UNSET

from nexus_engine.cortex.columns import Columns, Floats, Mask
from nexus_engine.cortex.indicators import Candle, Indicator
from nexus_engine.cortex.strategy import Context, Param, Params, interval_ns
from nexus_engine.model.events import Bar, BarRow
from nexus_engine.model.signals import Quote, RegimeView, Signal
from nexus_engine.model.verdicts import Reading
from nexus_engine.model.words import Side

SPEC: Final = "own spec: quant study 2017-2026"
SLIPPAGE: Final = 0.0003
"""What a market fill is expected to lose beyond the touch, each way, as a fraction of the price."""
_SPREADS: Final = 10
"""A stop must be this many spreads away, or the spread alone is a tenth of the risk."""
_HOUR_NS: Final = 3_600_000_000_000


def shared(*, risk_pct: float, leverage: int, most: int, hours: tuple[int, int] = (0, 24), weekends: bool = True,
           min_reach: float = 4.0) -> dict[str, Param]:  # fmt: skip
    """The parameters of every strategy, with a strategy's own defaults."""
    return {
        "enabled": Param(default=True, low=False, high=True, doc="trade it at all", source=SPEC),
        "min_costs": Param(
            default=min_reach, low=4.0, high=50.0,
            doc="expected move by round-trip costs (fees, spread, slippage) at least", source=SPEC,
        ),
        "limit_pct": Param(
            default=10.0, low=0.0, high=30.0, doc="how far the limit may follow, % of the stop distance", source=SPEC
        ),
        "from_hour": Param(default=hours[0], low=0, high=23, doc="no entry before this hour, UTC", source=SPEC),
        "to_hour": Param(
            default=hours[1], low=1, high=24, doc="no entry from this hour on, UTC; before from_hour: overnight",
            source=SPEC,
        ),
        "weekends": Param(
            default=weekends, low=False, high=True, doc="also on Saturdays and Sundays, UTC: their range is 0.62-0.75x",
            source=SPEC,
        ),
        "risk_pct": Param(default=risk_pct, low=0.05, high=1.0, doc="risk a trade, % of equity", source=SPEC),
        "leverage": Param(default=leverage, low=1, high=most, doc="leverage at most", source=SPEC),
    }  # fmt: skip


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a closed bar asks for, before any quote. Distances > 0 in quote currency; `target` is a price."""

    side: Side
    stop_distance: float
    target: float | None = None
    reach: float = 0.0
    """The move that the cost gate counts on where there is no target."""
    reasons: tuple[str, ...]
    readings: tuple[Reading, ...]
    partials: tuple[tuple[float, float], ...] = ()
    trail_distance: float = 0.0
    trail_from_r: float = 0.0
    time_stop_bars: int = 0
    maker: bool = False
    """Enter post-only at the own side's touch."""


class Track:
    """What a strategy knows of a symbol: indicators that move together."""

    __slots__ = ("parts",)
    parts: tuple[Indicator[Any], ...]

    def warm(self, rows: Sequence[BarRow]) -> None:
        for part in self.parts:
            part.warm(rows)

    def update(self, bar: Candle) -> None:
        for part in self.parts:
            part.update(bar)

    def seek(self, columns: Columns, upto: int) -> None:
        for part in self.parts:
            part.seek(columns, upto)

    @property
    def ready(self) -> bool:
        return all(part.ready for part in self.parts)


T = TypeVar("T", bound=Track)


class Patterned(Generic[T]):
    """Base: a strategy whose memory of a symbol is its indicators, and whose entry one closed bar decides."""

    name: ClassVar[str]
    PARAMS: ClassVar[Mapping[str, Param]]

    def __init__(self, params: Params) -> None:
        self.p: Final = params
        self.intervals: tuple[str, ...] = (str(params["interval"]),)
        self.counters: Counter[str] = Counter()
        self._step = interval_ns(self.intervals[0])
        self._tracks: dict[str, T] = {}

    def _track(self) -> T:
        raise NotImplementedError

    def _look(self, track: T, bar: Bar, regime: RegimeView, context: Context) -> Wish | None:
        """Take the next bar, and say what it asks for."""
        raise NotImplementedError

    def warm(self, symbol: str, interval: str, rows: Sequence[BarRow]) -> None:
        track = self._tracks[symbol] = self._track()
        track.warm(rows[:-1])
        # as one bar, since a strategy may be asked whether it leaves at it
        for row in rows[-1:]:
            track.update(row)

    def warm_columns(self, symbol: str, columns: Columns, upto: int) -> None:
        track = self._tracks[symbol] = self._track()
        track.seek(columns, upto)

    def on_bar(self, bar: Bar, quote: Quote, regime: RegimeView, context: Context) -> Signal | None:
        self.counters["bars"] += 1
        wish = self._look(self._tracks[bar.symbol], bar, regime, context)
        if wish is None:
            return None
        self.counters["patterns"] += 1
        self.counters["turned"] += 1
        return enter(self, bar, self._step, wish, quote, regime)


def enter(
    strategy: Any, bar: Bar, step_ns: int, wish: Wish, quote: Quote, regime: RegimeView, *, min_reward: float = 0.0,
    stop_max: float = 1.0,
) -> Signal | None:  # fmt: skip
    """The entry at the touch, if the session is open and what it may win is worth what it costs and risks. What is
    refused is counted under its reason in the strategy's `counters`. `stop_max` is a part of the price.
    """
    p: Params = strategy.p
    market_ns = bar.open_ns + step_ns
    counted: Counter[str] = strategy.counters
    if not in_session(p, market_ns):
        counted["session"] += 1
        return None
    if not quote.valid:
        counted["no quote"] += 1
        return None
    side, sign = wish.side, wish.side.sign
    price = quote.ask if (sign > 0) is not wish.maker else quote.bid
    spread = quote.ask - quote.bid
    # a maker's way in costs its fee alone; the way out may be the stop's, so it is reckoned as a taker's
    way_in = quote.maker_fee * price if wish.maker else (quote.taker_fee + SLIPPAGE) * price + spread
    stop_distance = min(max(wish.stop_distance, _SPREADS * spread), stop_max * price)
    reach = wish.reach if wish.target is None else sign * (wish.target - price)
    costs = reach / (way_in + (quote.taker_fee + SLIPPAGE) * price)
    if costs < p["min_costs"]:
        counted["costs"] += 1
        return None
    reward = reach / stop_distance
    if reward < min_reward:
        counted["reward"] += 1
        return None
    word = "target" if wish.target is not None else "expected move"
    reasons = [*wish.reasons, f"{word} {costs:.1f}x the costs"]
    readings = [
        *wish.readings,
        Reading("stop distance", stop_distance / price * 100, None if stop_max >= 1 else stop_max * 100, "%"),
        Reading(f"{word} distance", reach / price * 100, None, "%"),
        Reading(f"{word} by costs", costs, p["min_costs"], "x"),
    ]
    if wish.target is not None:
        reasons.append(f"target {reward:.1f}x the stop")
        readings.append(Reading("target by stop", reward, min_reward or None, "x"))
    chosen = getattr(strategy, "SETS", {}).get(p.get("set", ""))
    if chosen is not None:
        reasons.append(f"set {p['set']}: {chosen.warning}")
    return Signal(
        symbol=bar.symbol,
        strategy=strategy.name,
        side=side,
        price=price,
        limit=price if wish.maker else price + sign * p["limit_pct"] / 100 * stop_distance,
        stop_distance=stop_distance,
        target=wish.target,
        time_stop_ns=wish.time_stop_bars * step_ns,
        partials=wish.partials or UNSET,
        trail_distance=wish.trail_distance or UNSET,
        trail_from_r=wish.trail_from_r or UNSET,
        post_only=wish.maker or UNSET,
        reasons=tuple(reasons),
        readings=(*readings, Reading("spread", quote.spread_bp, None, "bp")),
        regime=regime,
        risk_pct=p["risk_pct"],
        leverage=int(p["leverage"]),
        market_ns=market_ns,
    )


def in_session(p: Params, market_ns: int) -> bool:
    """Whether a strategy enters at this time of the UTC week. 1970-01-01 was a Thursday."""
    hours = market_ns // _HOUR_NS
    hour, weekday = hours % 24, (hours // 24 + 3) % 7
    begin, end = p["from_hour"], p["to_hour"]
    open_now = begin <= hour < end if begin < end else hour >= begin or hour < end
    return open_now and (p["weekends"] or weekday < 5)


def ready(columns: Columns, track: Track) -> Mask:
    """Where every indicator of a fresh track is ready, were it fed from the first bar on. Only for those whose
    readiness is a count of bars."""
    needs = max(getattr(part, "needs", getattr(part, "span", 0)) for part in track.parts)
    found: Mask = columns.close == columns.close
    found[: needs - 1] = False
    return found


def before(values: Floats) -> Floats:
    """Each bar's value as it was one bar earlier; NaN at the first."""
    return np.concatenate(([np.nan], values[:-1]))
