"""The values of the practice venue's account: orders, conditional orders, fills, incomes, and the events of them.

Quantities are integer lots (of the symbol's step) and prices integer ticks inside; Decimal outside.
"""

from decimal import Decimal
from typing import Protocol

import msgspec

ZERO = Decimal(0)
CENT = Decimal("0.00000001")  # the venue books money with eight decimals

PLAIN_TYPES = frozenset({"LIMIT", "MARKET"})
# conditional type -> (True for a stop, False for a take-profit; type of the order it makes when it triggers)
CONDITIONAL_TYPES: dict[str, tuple[bool, str]] = {
    "STOP_MARKET": (True, "MARKET"),
    "STOP": (True, "LIMIT"),
    "TAKE_PROFIT_MARKET": (False, "MARKET"),
    "TAKE_PROFIT": (False, "LIMIT"),
    "TRAILING_STOP_MARKET": (True, "MARKET"),
}
POSITION_SIDES = {False: ("BOTH",), True: ("LONG", "SHORT")}  # of a one-way and of a hedged account
OPEN_ORDER = frozenset({"NEW", "PARTIALLY_FILLED"})
OPEN_ALGO = frozenset({"NEW", "TRIGGERING", "TRIGGERED"})


def held(symbol: str, position_side: str) -> str:
    """The name of a position: the symbol, and in a hedged account its side."""
    return symbol if position_side == "BOTH" else f"{symbol}:{position_side}"


def closes(position_side: str, side_buy: bool) -> bool:
    return position_side == ("SHORT" if side_buy else "LONG")


class Liquidity(Protocol):
    """What an account trades against: a generated market, or any book and mark."""

    def consume(self, symbol: str, side_buy: bool, qty_lots: int, limit_ticks: int | None) -> list[tuple[int, int]]: ...

    def touch(self, symbol: str) -> tuple[int, int]:
        """Best bid and best ask in ticks."""
        ...

    def available(self, symbol: str, side_buy: bool, limit_ticks: int) -> int:
        """Lots that a taker could have at `limit_ticks` or better."""
        ...

    def mark(self, symbol: str) -> float: ...

    def last(self, symbol: str) -> float: ...


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    symbol: str
    side: str
    type: str
    quantity: Decimal | None = None
    price: Decimal | None = None
    tif: str = "GTC"
    good_till_ms: int | None = None
    reduce_only: bool = False
    client_id: str = ""
    position_side: str = "BOTH"


class NewAlgo(msgspec.Struct, frozen=True, kw_only=True):
    symbol: str
    side: str
    type: str
    quantity: Decimal | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    activate_price: Decimal | None = None
    callback_pct: Decimal | None = None
    tif: str = "GTC"
    good_till_ms: int | None = None
    working_type: str = "CONTRACT_PRICE"
    reduce_only: bool = False
    close_position: bool = False
    client_id: str = ""
    position_side: str = "BOTH"


class Order(msgspec.Struct, kw_only=True):
    """A plain order's life. `quote` is the money traded so far; `good_till_ms` when it expires, 0 for never."""

    order_id: int
    client_id: str
    symbol: str
    side_buy: bool
    type: str
    tif: str
    qty_lots: int
    position_side: str = "BOTH"
    price_ticks: int = 0
    reduce_only: bool = False
    close_position: bool = False
    status: str = "NEW"
    filled_lots: int = 0
    quote: Decimal = ZERO
    algo_id: int = 0
    good_till_ms: int = 0
    created_ms: int = 0
    updated_ms: int = 0

    @property
    def held(self) -> str:
        """The position it trades."""
        return held(self.symbol, self.position_side)

    @property
    def reduces(self) -> bool:
        """It can only make its position smaller: said so, or sells a LONG or buys a SHORT of a hedged account."""
        return self.reduce_only or closes(self.position_side, self.side_buy)

    @property
    def left_lots(self) -> int:
        return self.qty_lots - self.filled_lots

    @property
    def is_open(self) -> bool:
        return self.status in OPEN_ORDER


class Algo(msgspec.Struct, kw_only=True):
    """A conditional order's life. `best_ticks` is the extreme a trailing stop follows, 0 while it is not activated."""

    algo_id: int
    client_id: str
    symbol: str
    side_buy: bool
    type: str
    tif: str
    qty_lots: int
    trigger_ticks: int
    price_ticks: int
    working_type: str
    reduce_only: bool
    close_position: bool
    position_side: str = "BOTH"
    activate_ticks: int = 0
    callback_pct: Decimal = ZERO
    best_ticks: float = 0.0
    status: str = "NEW"
    order_id: int = 0
    filled_lots: int = 0
    quote: Decimal = ZERO
    reason: str = ""
    good_till_ms: int = 0
    created_ms: int = 0
    updated_ms: int = 0
    trigger_ms: int = 0

    @property
    def is_open(self) -> bool:
        return self.status in OPEN_ALGO

    @property
    def held(self) -> str:
        return held(self.symbol, self.position_side)

    @property
    def reduces(self) -> bool:
        return self.reduce_only or closes(self.position_side, self.side_buy)

    @property
    def is_stop(self) -> bool:
        return CONDITIONAL_TYPES[self.type][0]

    @property
    def fires_upwards(self) -> bool:
        """A buy stop and a sell take-profit wait for a higher price; the other two for a lower one."""
        return self.side_buy == self.is_stop


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    trade_id: int
    order_id: int
    symbol: str
    side_buy: bool
    price_ticks: int
    lots: int
    notional: Decimal
    fee: Decimal
    realised: Decimal
    maker: bool
    at_ms: int
    position_side: str = "BOTH"


class Income(msgspec.Struct, frozen=True, kw_only=True):
    """One change of the wallet. `kind`: REALIZED_PNL, COMMISSION, FUNDING_FEE, INSURANCE_CLEAR or TRANSFER."""

    tran_id: int
    symbol: str
    kind: str
    amount: Decimal
    at_ms: int
    trade_id: int = 0


class MarginMove(msgspec.Struct, frozen=True):
    """Isolated margin added by hand; a negative amount was taken back."""

    symbol: str
    position_side: str
    amount: Decimal
    at_ms: int


class OrderEvent(msgspec.Struct, frozen=True):
    """`execution`: NEW, TRADE, CANCELED, EXPIRED, AMENDMENT or CALCULATED (a liquidation)."""

    order: Order
    execution: str
    at_ms: int
    fill: Fill | None = None


class PositionState(msgspec.Struct, frozen=True, kw_only=True):
    symbol: str
    lots: int
    amount: Decimal
    entry: Decimal
    break_even: Decimal
    realised: Decimal
    unrealised: Decimal
    isolated: bool
    isolated_wallet: Decimal
    position_side: str = "BOTH"


class AccountEvent(msgspec.Struct, frozen=True):
    """`reason`: ORDER, FUNDING_FEE, INSURANCE_CLEAR, MARGIN_TRANSFER, MARGIN_TYPE_CHANGE, DEPOSIT, WITHDRAW; `change`:
    what is neither PnL nor commission. A transfer names no position."""

    reason: str
    wallet: Decimal
    cross_wallet: Decimal
    change: Decimal
    position: PositionState | None
    at_ms: int


class AlgoEvent(msgspec.Struct, frozen=True):
    algo: Algo
    at_ms: int


class ConfigEvent(msgspec.Struct, frozen=True):
    symbol: str
    leverage: int
    at_ms: int


class MarginCallEvent(msgspec.Struct, frozen=True):
    """Positions whose margin is nearly used up: (state, mark, maintenance margin) each."""

    cross_wallet: Decimal
    positions: list[tuple[PositionState, Decimal, Decimal]]
    at_ms: int


UserEvent = MarginCallEvent | OrderEvent | AccountEvent | AlgoEvent | ConfigEvent
