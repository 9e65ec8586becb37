"""What a strategy says. It names side, reasons, stop distance and exit plan; the servos size it."""

import msgspec

from nexus_engine.model.verdicts import Reading
from nexus_engine.model.words import Regime, Side


class RegimeView(msgspec.Struct, frozen=True, kw_only=True):
    """A symbol's regime and how sure the classifier is (0..1).

    The ranks are those of P(trend) and P(high volatility) among the symbol's own last month (0..1), None while they are
    not known; strategies gate on them and on `trending`, which has hysteresis, never on the likeliest regime.
    """

    regime: Regime
    confidence: float = 0.0
    readings: tuple[Reading, ...] = ()
    trend_rank: float | None = None
    volatile_rank: float | None = None
    trending: bool = False
    source: str = "rule"
    """Who says so: `rule`, or the model by its name."""


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """A wish to open. Prices are floats off the grid; `stop_distance` > 0 in quote currency a unit.

    `limit` is the worst price at which the entry still makes sense, `time_stop_ns` market time.
    """

    symbol: str
    strategy: str
    side: Side
    price: float
    limit: float
    stop_distance: float
    target: float | None
    time_stop_ns: int = 0
    partials: tuple[tuple[float, float], ...] | msgspec.UnsetType = msgspec.UNSET
    """Take-profits before the target, nearest first: (multiple of the stop distance, part of the size)."""
    trail_distance: float | msgspec.UnsetType = msgspec.UNSET
    """The stop follows the mark this far behind, e.g. 3 average true ranges."""
    break_even_r: float | msgspec.UnsetType = msgspec.UNSET
    """The stop goes to the entry once the profit is so many R."""
    trail_from_r: float | msgspec.UnsetType = msgspec.UNSET
    """It follows only once the profit is so many R; unset: at once."""
    post_only: bool | msgspec.UnsetType = msgspec.UNSET
    """Enter as a maker or not at all: `price` and `limit` are then the own side's touch."""
    volatility: float | msgspec.UnsetType = msgspec.UNSET
    """Realised in the last week, as a fraction of the price in a year; unset: not known."""
    turnover: float | msgspec.UnsetType = msgspec.UNSET
    """Traded in the last 24 hours, in quote currency; unset: not known."""
    reasons: tuple[str, ...] = ()
    readings: tuple[Reading, ...] = ()
    regime: RegimeView
    risk_pct: float
    """Percent of equity that the strategy wants to risk, before guards and caps."""
    leverage: int = 1
    market_ns: int


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """A position as the strategy that opened it sees it: prices in quote currency, `stop` where it stands now."""

    symbol: str
    side: Side
    entry: float
    """The average price of its fills."""
    stop: float
    since_ns: int
    """Market time of the first fill."""


class Leave(msgspec.Struct, frozen=True, kw_only=True):
    """A wish to close all of a position, and what it was made of."""

    reasons: tuple[str, ...]
    readings: tuple[Reading, ...] = ()


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a symbol's price right now. `valid` False: the book is being rebuilt or nothing came yet.

    `age_ms` is that of the older of book and mark, None before the first of either.
    """

    symbol: str
    bid: float
    ask: float
    mark: float
    last: float
    funding_rate: float
    age_ms: int | None
    valid: bool
    taker_fee: float = 0.0005
    maker_fee: float = 0.0002
    next_funding_ns: int = 0
    """Market time; 0 while it is not known."""
    funding_h: float = 8.0
    """Hours from one settlement to the next, which `funding_rate` is for."""

    @property
    def mid(self) -> float:
        return (self.bid + self.ask) / 2

    @property
    def spread_bp(self) -> float:
        """Spread in basis points of the mid; infinite without a market."""
        return (self.ask - self.bid) / self.mid * 1e4 if self.valid and self.mid else float("inf")
