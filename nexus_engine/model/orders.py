"""Orders, fills and what the venue reports of them."""

from decimal import Decimal

import msgspec

from nexus_engine.model.words import CONDITIONAL, Leg, OrderKind, OrderStatus, Side, TimeInForce

PREFIX = "nx"
ZERO = Decimal(0)


def client_id(instance: str, epoch: int, intent: int, leg: Leg, attempt: int) -> str:
    """The id that an order carries at the venue: deterministic, at most 36 characters of [a-z0-9-].

    `instance` names the journal and `epoch` the writer, so an order of another writer is recognised on sight.
    """
    return f"{PREFIX}{instance}-{epoch}-{intent}{leg.value}{attempt}"


def is_ours(cid: str, instance: str) -> bool:
    """The order was written by this journal, in whatever epoch."""
    return cid.startswith(f"{PREFIX}{instance}-")


def is_foreign_nexus(cid: str, instance: str) -> bool:
    """The order was written by another Nexus on the same account."""
    return cid.startswith(PREFIX) and cid.count("-") == 2 and not is_ours(cid, instance)


def is_newer(cid: str, instance: str, epoch: int) -> bool:
    """The order was written by this journal, but by a writer that took it after us."""
    written = cid.removeprefix(f"{PREFIX}{instance}-").partition("-")[0]
    return is_ours(cid, instance) and written.isdecimal() and int(written) > epoch


class Partial(msgspec.Struct, frozen=True):
    """A take-profit of a `part` (0..1) of the largest size that the position had."""

    price: Decimal
    part: float


class Trail(msgspec.Struct, frozen=True, kw_only=True):
    """How a stop follows price. `break_even_r`: to the entry once the profit is so many R; `distance` behind the mark,
    in quote currency a unit. 0: not that way. The distance is the entry's for good: a market that grows wilder later
    does not widen it, so that the risk taken is the risk shown."""

    break_even_r: float = 0.0
    distance: Decimal = ZERO


class ExitPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How a position will be left. Prices on the tick; `time_stop_ns` is market time since the entry's first fill.

    `partials` come before `target`, which takes what they leave. Unset fields are not written, so that seals of older
    journals hold.
    """

    stop: Decimal
    target: Decimal | None = None
    time_stop_ns: int = 0
    partials: tuple[Partial, ...] | msgspec.UnsetType = msgspec.UNSET
    trail: Trail | msgspec.UnsetType = msgspec.UNSET

    @property
    def targets(self) -> tuple[Decimal, ...]:
        """Every price of a take-profit, nearest first."""
        partials = () if self.partials is msgspec.UNSET else self.partials
        return (*(one.price for one in partials), *(() if self.target is None else (self.target,)))


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """One execution. `(symbol, trade_id)` is unique at the venue; `fee` and `realised` in quote currency."""

    symbol: str
    trade_id: str
    client_id: str
    side: Side
    price: Decimal
    qty: Decimal
    fee: Decimal = ZERO
    fee_asset: str = "USDT"
    realised: Decimal = ZERO
    maker: bool = False
    venue_ns: int


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One order of ours, from intent to its end.

    `intent` numbers the position it belongs to (the P41 on the screen), `price` is a limit's, `trigger` a stop's.
    """

    client_id: str
    symbol: str
    side: Side
    kind: OrderKind
    leg: Leg
    intent: int
    qty: Decimal
    price: Decimal | None = None
    trigger: Decimal | None = None
    tif: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False
    status: OrderStatus = OrderStatus.INTENT
    filled: Decimal = ZERO
    venue_id: str = ""
    strategy: str = ""
    by: str = "bot"
    reason: str = ""
    leverage: int = 1
    plan: ExitPlan | None = None
    """An entry's: what protects it is decided before it leaves."""
    created_ns: int
    changed_ns: int
    changed_mono_ns: int = 0
    """Means nothing after a restart; then everything is asked for anyway."""

    @property
    def leaves(self) -> Decimal:
        """What may still fill."""
        return ZERO if self.status.terminal else max(ZERO, self.qty - self.filled)

    @property
    def conditional(self) -> bool:
        """It waits at the venue in the list of conditional orders, not in the book."""
        return self.kind in CONDITIONAL

    @property
    def alive(self) -> bool:
        return not self.status.terminal


class OrderReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue says of one order, from a stream, a reply or a list. `filled` is cumulative."""

    client_id: str
    symbol: str
    side: Side
    status: OrderStatus
    qty: Decimal
    filled: Decimal = ZERO
    price: Decimal | None = None
    trigger: Decimal | None = None
    reduce_only: bool = False
    conditional: bool = False
    venue_id: str = ""
    reason: str = ""
    venue_ns: int = 0


class PositionReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue says of a symbol's position, in one-way mode. `qty` is signed: negative is short."""

    symbol: str
    qty: Decimal
    entry: Decimal = ZERO
    liquidation: Decimal | None = None
    leverage: int = 1
