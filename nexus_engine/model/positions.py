"""A position of ours and what it has earned."""

from decimal import Decimal

import msgspec

from nexus_engine.model.orders import ZERO, ExitPlan
from nexus_engine.model.words import Side


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """What our own fills have built on one symbol. `qty` is signed; `entry` the average price, fees not included."""

    symbol: str
    intent: int
    qty: Decimal
    entry: Decimal
    strategy: str
    """Empty for one that a person has brought along."""
    by: str
    plan: ExitPlan
    first_stop: Decimal
    """The stop that it began with: R is measured by it, wherever the stop has been moved since."""
    leverage: int = 1
    opened_ns: int
    opened_market_ns: int = 0
    peak_qty: Decimal = ZERO
    """The largest size it ever had, in absolute value: the risk that was taken."""
    realised: Decimal = ZERO
    """Of closed parts, before fees."""
    fees: Decimal = ZERO
    naked_since_ns: int | None = None
    """UTC: since when no confirmed stop of the right side and size has covered it. Survives restarts."""
    stop_attempts: int = 0
    leaving: str = ""
    """Who wants all of it closed at market; empty while nobody does."""

    @property
    def side(self) -> Side:
        return Side.BUY if self.qty > 0 else Side.SELL

    @property
    def risk_per_unit(self) -> Decimal:
        """What a unit still loses from its entry when the planned stop fills; 0 once the stop has passed the entry."""
        return max(ZERO, (self.entry - self.plan.stop) * self.side.sign)

    @property
    def first_risk_per_unit(self) -> Decimal:
        """The distance from entry to the stop that it began with."""
        return abs(self.entry - self.first_stop)

    def pnl(self, price: Decimal) -> Decimal:
        """Open profit at `price`, before fees."""
        return (price - self.entry) * self.qty


class ClosedTrade(msgspec.Struct, frozen=True, kw_only=True):
    """A position from first fill to flat. `pnl` in quote currency net of fees; `r` the multiple of the risk taken."""

    symbol: str
    intent: int
    strategy: str
    by: str
    pnl: Decimal
    r: float
    closed_ns: int
