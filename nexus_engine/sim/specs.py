"""The contracts of the generated market: what the venue prints about them, and how each of them behaves."""

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

import msgspec


class Bracket(msgspec.Struct, frozen=True):
    """A step of a contract's leverage ladder. `cum` makes the maintenance margin continuous: notional * mmr - cum."""

    floor: int  # notional in USDT, from
    cap: int  # to
    leverage: int  # the most that is allowed up to `cap`
    mmr: Decimal
    cum: Decimal


# leverage, notional cap of a contract of the first size, maintenance rate; as Binance prints them for BTCUSDT
_LADDER = (
    (125, 300_000, "0.004"), (100, 800_000, "0.005"), (75, 3_000_000, "0.0065"), (50, 12_000_000, "0.01"),
    (25, 70_000_000, "0.02"), (20, 100_000_000, "0.025"), (10, 230_000_000, "0.05"), (5, 480_000_000, "0.1"),
    (4, 600_000_000, "0.125"), (3, 800_000_000, "0.15"), (2, 1_200_000_000, "0.25"), (1, 1_800_000_000, "0.5"),
)  # fmt: skip


def ladder(max_leverage: int, size: Decimal) -> tuple[Bracket, ...]:
    """The brackets of a contract that allows this leverage; `size` is how much of BTC's notional it may carry."""
    rows: list[Bracket] = []
    floor, rate, cum = 0, Decimal(0), Decimal(0)
    for leverage, cap, text in _LADDER:
        if leverage <= max_leverage:
            mmr = Decimal(text)
            cum += floor * (mmr - rate) if rows else 0
            rows.append(Bracket(floor, int(cap * size), leverage, mmr, cum))
            floor, rate = rows[-1].cap, mmr
    return tuple(rows)


class SymbolSpec(msgspec.Struct, frozen=True):
    """A perpetual as exchangeInfo describes it. Prices and quantities are USDT and base units."""

    symbol: str
    base: str
    tick: Decimal
    step: Decimal
    price_precision: int  # digits the venue prints; as on Binance it may exceed the digits of `tick`
    qty_precision: int
    min_qty: Decimal
    max_qty: Decimal
    market_max_qty: Decimal
    min_notional: Decimal
    brackets: tuple[Bracket, ...]
    max_price: Decimal = Decimal(10_000_000)

    @property
    def max_leverage(self) -> int:
        return self.brackets[0].leverage

    @property
    def mmr(self) -> float:
        """Maintenance margin rate of the smallest positions, a fraction of the notional."""
        return float(self.brackets[0].mmr)

    def bracket(self, notional: Decimal) -> Bracket:
        """The bracket a position of this value lies in; the last one has no end for it."""
        size = abs(notional)
        for row in self.brackets:
            if size <= row.cap:
                return row
        return self.brackets[-1]

    def max_notional(self, leverage: int) -> int:
        """The most a position may be worth at this leverage."""
        return max(row.cap for row in self.brackets if row.leverage >= leverage)

    @property
    def tick_digits(self) -> int:
        """Decimal places of the tick: a price of `t` ticks is `t / 10**tick_digits` (every tick is a power of ten)."""
        return _digits(self.tick)

    @property
    def step_digits(self) -> int:
        """Decimal places of the step: a quantity of `n` lots is `n / 10**step_digits`."""
        return _digits(self.step)


def _digits(unit: Decimal) -> int:
    exponent = unit.as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)


class Character(msgspec.Struct, frozen=True):
    """How a symbol trades. Volatility is the standard deviation of 5-minute log returns."""

    opening: float  # price where a new market starts
    vol_5m: float
    beta: float  # correlation of its returns with the common factor, which is BTC
    prints_per_s: float
    print_usd: float  # mean notional of a print
    touch_usd: float  # mean notional of a level at the touch
    span: int  # ticks each side of the touch that hold levels
    density: float  # share of those ticks that hold one
    round_ticks: int  # orders cluster on multiples of this
    spreads: tuple[int, ...]  # ticks, drawn uniformly


# symbol, price digits, tick, step, max qty, max qty of a market order, min notional, leverage, size of its brackets
_ROWS = (
    ("BTCUSDT", 2, "0.1", "0.001", "1000", "120", "100", 125, "1"),
    ("ETHUSDT", 2, "0.01", "0.001", "10000", "2000", "20", 100, "0.6"),
    ("SOLUSDT", 4, "0.01", "0.01", "1000000", "50000", "5", 100, "0.15"),
    ("ADAUSDT", 5, "0.0001", "1", "20000000", "3000000", "5", 75, "0.05"),
    ("DOGEUSDT", 6, "0.00001", "1", "50000000", "30000000", "5", 75, "0.05"),
    ("XRPUSDT", 4, "0.0001", "0.1", "10000000", "2000000", "5", 75, "0.05"),
    ("LINKUSDT", 3, "0.001", "0.01", "1000000", "200000", "5", 75, "0.05"),
    ("AVAXUSDT", 4, "0.001", "0.1", "500000", "100000", "5", 75, "0.05"),
)


def _spec(
    symbol: str,
    digits: int,
    tick: str,
    step: str,
    max_qty: str,
    market_max: str,
    notional: str,
    leverage: int,
    size: str,
) -> SymbolSpec:
    lot = Decimal(step)
    return SymbolSpec(
        symbol=symbol,
        base=symbol.removesuffix("USDT"),
        tick=Decimal(tick),
        step=lot,
        price_precision=digits,
        qty_precision=_digits(lot),
        min_qty=lot,
        max_qty=Decimal(max_qty),
        market_max_qty=Decimal(market_max),
        min_notional=Decimal(notional),
        brackets=ladder(leverage, Decimal(size)),
    )


SPECS: Mapping[str, SymbolSpec] = MappingProxyType({row[0]: _spec(*row) for row in _ROWS})

CHARACTERS: Mapping[str, Character] = MappingProxyType(
    {
        "BTCUSDT": Character(96_000.0, 0.0010, 1.00, 7.0, 26_000.0, 160_000.0, 480, 0.50, 100, (1, 1, 1, 1, 2)),
        "ETHUSDT": Character(3_400.0, 0.0014, 0.85, 6.0, 15_000.0, 90_000.0, 420, 0.55, 100, (1, 1, 1, 2)),
        "SOLUSDT": Character(148.0, 0.0018, 0.80, 4.5, 7_000.0, 45_000.0, 230, 0.92, 50, (1, 1, 1, 2, 2)),
        "ADAUSDT": Character(0.81, 0.0018, 0.75, 2.2, 4_500.0, 40_000.0, 190, 0.97, 10, (1, 1, 1, 2)),
        "DOGEUSDT": Character(0.162, 0.0021, 0.74, 3.0, 5_000.0, 35_000.0, 210, 0.94, 50, (1, 1, 2, 2, 3)),
        "XRPUSDT": Character(2.2, 0.0017, 0.76, 3.5, 5_500.0, 38_000.0, 220, 0.93, 50, (1, 1, 2, 2, 3)),
        "LINKUSDT": Character(17.0, 0.0020, 0.75, 2.0, 3_500.0, 18_000.0, 220, 0.92, 50, (1, 2, 2, 3)),
        "AVAXUSDT": Character(31.0, 0.0022, 0.73, 1.8, 3_200.0, 16_000.0, 240, 0.90, 50, (1, 2, 2, 3, 4)),
    }
)
