"""What the venue says of a symbol: steps, limits, fees."""

from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from functools import lru_cache

import msgspec

from nexus_engine.model.words import Side, Venue


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """A tradable symbol and the grid its orders live on.

    `tick` is the price step, `step` the quantity step, `min_notional` in quote currency; fees are fractions
    (0.0005 = 5 bp) as the account pays them.
    """

    symbol: str
    venue: Venue = Venue.BINANCE
    base: str = ""
    quote: str = "USDT"
    tick: Decimal
    step: Decimal
    min_qty: Decimal
    max_qty: Decimal
    market_max_qty: Decimal
    min_notional: Decimal
    maker_fee: float = 0.0002
    taker_fee: float = 0.0005
    trading: bool = True

    @property
    def price_digits(self) -> int:
        """Digits behind the point of a price on the grid."""
        return max(0, -int(self.tick.normalize().as_tuple().exponent))

    @property
    def qty_digits(self) -> int:
        """Digits behind the point of a quantity on the grid."""
        return max(0, -int(self.step.normalize().as_tuple().exponent))

    def nearest(self, price: float) -> Decimal:
        """The price on the grid nearest to `price`."""
        return self._on_grid(Decimal(repr(price)), ROUND_HALF_EVEN)

    def limit(self, price: float, side: Side) -> Decimal:
        """A limit price on the grid that is never worse than `price`: a buy rounds down, a sell up."""
        return self._on_grid(Decimal(repr(price)), ROUND_FLOOR if side is Side.BUY else ROUND_CEILING)

    def stop(self, price: float, side: Side) -> Decimal:
        """A stop's trigger on the grid, rounded towards the market so that rounding never raises the risk.

        `side` is the side of the stop order itself: a sell stop protects a long and rounds up.
        """
        return self._on_grid(Decimal(repr(price)), ROUND_CEILING if side is Side.SELL else ROUND_FLOOR)

    def quantity(self, qty: float | Decimal) -> Decimal:
        """`qty` rounded down to the step; may be zero."""
        exact = qty if isinstance(qty, Decimal) else Decimal(repr(qty))
        return ((exact / self.step).to_integral_value(ROUND_DOWN) * self.step).quantize(self.step)

    def ticks(self, price: Decimal) -> int:
        """The price in integer ticks. Raises ValueError when it is off the grid."""
        ticks = price / self.tick
        if ticks != ticks.to_integral_value():
            raise ValueError(f"{self.symbol}: {price} is not a multiple of the tick {self.tick}")
        return int(ticks)

    def price(self, ticks: int) -> Decimal:
        """The price of `ticks`."""
        return (self.tick * ticks).quantize(self.tick)

    def _on_grid(self, price: Decimal, rounding: str) -> Decimal:
        if _is_power_of_ten(str(self.tick)):
            return price.quantize(self.tick, rounding)
        return ((price / self.tick).to_integral_value(rounding) * self.tick).quantize(self.tick)


@lru_cache(maxsize=256)
def _is_power_of_ten(tick: str) -> bool:
    """Of most ticks: rounding to their digits is rounding to their multiples. Not of 0.10, which equals 0.1."""
    return Decimal(tick).as_tuple().digits == (1,)
