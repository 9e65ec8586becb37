"""Stream messages of Binance USD-M futures, decoded straight into Structs, and what they become.

Market numbers arrive as strings and are read as floats within sane bounds: NaN, infinity, zero and negative prices
fail the decoding. Numbers of the account become Decimal, and only plain decimal notation gets that far.
Fields that are not named here are skipped.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec

from nexus_engine.model.events import AccountUpdate, Bar, Mark, Trade
from nexus_engine.model.orders import ZERO, Fill, OrderReport, PositionReport
from nexus_engine.model.words import OrderStatus, Side

MS: Final = 1_000_000
QUOTE: Final = "USDT"
FEE_IF_UNTOLD: Final = Decimal("0.0005")
"""A fee paid in another asset (BNB) is booked as the undiscounted taker fee, which is never too little."""

Price = Annotated[float, msgspec.Meta(gt=0, lt=1e12)]
Qty = Annotated[float, msgspec.Meta(ge=0, lt=1e15)]
Rate = Annotated[float, msgspec.Meta(gt=-1, lt=1)]
Ms = Annotated[int, msgspec.Meta(ge=0, lt=2**63 // MS)]
"""Milliseconds that are 64 bits in nanoseconds too."""
Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A counter of the venue: 64 bits, as the journal keeps it, and never so long that it cannot be written out."""
Level = tuple[Price, Qty]

Number = Annotated[str, msgspec.Meta(pattern=r"^(-?[0-9]{1,24}(\.[0-9]{1,24})?(E-[0-9]{1,2})?)?\Z")]
"""A number of the account: plain ASCII decimal notation, or nothing. What has this type is safe for `exact`."""
Amount = Annotated[str, msgspec.Meta(pattern=r"^([0-9]{1,24}(\.[0-9]{1,24})?(E-[0-9]{1,2})?)?\Z")]
"""The same where nothing below zero makes sense: the price or the quantity of an order, of a fill."""


def exact(number: str | None) -> Decimal:
    """The number that the venue wrote, less the zeros it fills up with; nothing written is zero."""
    if not number:
        return ZERO
    return Decimal(number.rstrip("0").rstrip(".") if "." in number else number)


def optional(number: str | None) -> Decimal | None:
    """The same, where the venue writes zero for "none"."""
    return exact(number) or None


# ---- market ----------------------------------------------------------------------------------------------------------


class DepthUpdate(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="depthUpdate"):
    """Changed levels of update ids above `pu` and up to `u`. On futures `U` is not `pu` + 1."""

    s: str
    T: Ms
    U: Id
    u: Id
    pu: Id
    b: list[Level]
    a: list[Level]


class AggTrade(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="aggTrade"):
    s: str
    p: Price
    q: Qty
    T: Ms
    m: bool
    E: Ms


class MarkPrice(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="markPriceUpdate"):
    s: str
    p: Price
    i: Qty
    r: Rate
    T: Ms
    E: Ms


class Candle(msgspec.Struct, frozen=True, gc=False):
    t: Ms
    i: str
    o: Price
    h: Price
    l: Price  # noqa: E741  the venue's letter
    c: Price
    v: Qty
    n: Id
    x: bool


class Kline(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="kline"):
    s: str
    E: Ms
    k: Candle


class PublicFrame(msgspec.Struct, frozen=True, gc=False):
    """A message of a combined stream of the category "public"."""

    data: DepthUpdate


class MarketFrame(msgspec.Struct, frozen=True, gc=False):
    """A message of a combined stream of the category "market"."""

    data: AggTrade | MarkPrice | Kline


def trade_event(msg: AggTrade, at_ns: int, mono_ns: int) -> Trade:
    return Trade(
        at_ns=at_ns, mono_ns=mono_ns, symbol=msg.s, price=msg.p, qty=msg.q, buyer_is_maker=msg.m, venue_ns=msg.T * MS
    )


def mark_event(msg: MarkPrice, at_ns: int, mono_ns: int) -> Mark:
    return Mark(
        at_ns=at_ns,
        mono_ns=mono_ns,
        symbol=msg.s,
        mark=msg.p,
        index=msg.i,
        funding_rate=msg.r,
        next_funding_ns=msg.T * MS,
        venue_ns=msg.E * MS,
    )


def bar_event(msg: Kline, at_ns: int, mono_ns: int) -> Bar:
    bar = msg.k
    return Bar(
        at_ns=at_ns,
        mono_ns=mono_ns,
        symbol=msg.s,
        interval=bar.i,
        open_ns=bar.t * MS,
        open=bar.o,
        high=bar.h,
        low=bar.l,
        close=bar.c,
        volume=bar.v,
        trades=bar.n,
        closed=bar.x,
        venue_ns=msg.E * MS,
    )


MARKET_EVENTS: Final[dict[type, Callable[[Any, int, int], Trade | Mark | Bar]]] = {
    AggTrade: trade_event,
    MarkPrice: mark_event,
    Kline: bar_event,
}

# ---- the account -----------------------------------------------------------------------------------------------------


class OrderBody(msgspec.Struct, frozen=True):
    """`o` of ORDER_TRADE_UPDATE: `i` order id, `z` filled so far; `l` `L` `n` `N` `t` `rp` `m` of this execution."""

    s: str
    c: str
    S: Side
    o: str
    q: Amount
    X: str
    i: Id
    z: Amount
    T: Ms
    p: Amount | None = None
    l: Amount | None = None  # noqa: E741  the venue's letter
    L: Amount | None = None
    n: Number | None = None
    N: str | None = None
    t: Annotated[int, msgspec.Meta(ge=-1, le=2**63 - 1)] = 0
    m: bool = False
    R: bool = False
    rp: Number | None = None
    er: str | None = None


class OrderTradeUpdate(msgspec.Struct, frozen=True, tag_field="e", tag="ORDER_TRADE_UPDATE"):
    E: Ms
    o: OrderBody


class AlgoBody(msgspec.Struct, frozen=True):
    """`o` of ALGO_UPDATE: `ai` id of the plain order it made, `aq` what that filled, `rm` why it was rejected."""

    caid: str
    aid: Id
    s: str
    S: Side
    q: Amount
    X: str
    ai: str = ""
    aq: Amount | None = None
    tp: Amount | None = None
    R: bool = False
    rm: str | None = None


class AlgoUpdate(msgspec.Struct, frozen=True, tag_field="e", tag="ALGO_UPDATE"):
    E: Ms
    o: AlgoBody


class BalanceRow(msgspec.Struct, frozen=True):
    """`bc`: what changed the balance `wb` and was neither a result nor a fee."""

    a: str
    wb: Number
    bc: Number = ""


TRANSFERS: Final = frozenset({
    "DEPOSIT", "WITHDRAW", "WITHDRAW_REJECT", "ADMIN_DEPOSIT", "ADMIN_WITHDRAW", "ASSET_TRANSFER", "AUTO_EXCHANGE",
    "COIN_SWAP_DEPOSIT", "COIN_SWAP_WITHDRAW",
})  # fmt: skip
"""Reasons of an account update that move money in or out. Not MARGIN_TRANSFER, which leaves it in the wallet, and not
FUNDING_FEE or INSURANCE_CLEAR, which trading has cost."""


class PositionRow(msgspec.Struct, frozen=True):
    s: str
    pa: Number
    ep: Amount
    ps: str = "BOTH"


class AccountBody(msgspec.Struct, frozen=True):
    """`m` is why: ORDER, FUNDING_FEE, MARGIN_TYPE_CHANGE, …"""

    m: str = ""
    B: list[BalanceRow] = []
    P: list[PositionRow] = []


class AccountChange(msgspec.Struct, frozen=True, tag_field="e", tag="ACCOUNT_UPDATE"):
    T: Ms
    a: AccountBody


class ListenKeyExpired(msgspec.Struct, frozen=True, tag_field="e", tag="listenKeyExpired"):
    pass


class TradeLite(msgspec.Struct, frozen=True, tag_field="e", tag="TRADE_LITE"):
    """Says the same as ORDER_TRADE_UPDATE, with less in it."""


class ConfigChange(msgspec.Struct, frozen=True, tag_field="e", tag="ACCOUNT_CONFIG_UPDATE"):
    pass


class MarginCall(msgspec.Struct, frozen=True, tag_field="e", tag="MARGIN_CALL"):
    pass


UserMessage = OrderTradeUpdate | AlgoUpdate | AccountChange | ListenKeyExpired | TradeLite | ConfigChange | MarginCall

ORDER_STATUS: Final = {
    "NEW": OrderStatus.OPEN,
    "PARTIALLY_FILLED": OrderStatus.PARTIAL,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
    "REJECTED": OrderStatus.REJECTED,
}
TRIGGERING: Final = "TRIGGERING"
TRIGGERED: Final = "TRIGGERED"
TRIGGERING_S: Final = 1.0
"""A conditional order makes its own order within milliseconds of its trigger. One that has not by now may never: the
venue was seen to leave a stop so for a day, with no order in the book and refusing to cancel it."""
STUCK: Final = "triggered, and no order came of it"

ALGO_STATUS: Final = {
    "NEW": OrderStatus.OPEN,
    "TRIGGERING": OrderStatus.OPEN,
    "TRIGGERED": OrderStatus.OPEN,
    "FINISHED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELED,
    "REJECTED": OrderStatus.REJECTED,
    "EXPIRED": OrderStatus.EXPIRED,
}


def order_status(word: str, qty: Decimal, filled: Decimal) -> OrderStatus:
    """The status of a plain order; of a word we do not know (NEW_ADL, NEW_INSURANCE, …) what the quantities say."""
    known = ORDER_STATUS.get(word)
    if known is not None:
        return known
    if filled >= qty:
        return OrderStatus.FILLED
    return OrderStatus.PARTIAL if filled else OrderStatus.OPEN


def algo_status(word: str, qty: Decimal, filled: Decimal) -> OrderStatus:
    """The status of a conditional order. It is FINISHED when the order it made is over, filled or not."""
    status = ALGO_STATUS.get(word, OrderStatus.OPEN)
    return OrderStatus.EXPIRED if status is OrderStatus.FILLED and filled < qty else status


def fee_of(asset: str | None, amount: Decimal, notional: Decimal) -> Decimal:
    """A fee in quote currency."""
    return amount if asset in (None, "", QUOTE) else notional * FEE_IF_UNTOLD


def order_report(body: OrderBody) -> OrderReport:
    qty, filled = exact(body.q), exact(body.z)
    return OrderReport(
        client_id=body.c,
        symbol=body.s,
        side=body.S,
        status=order_status(body.X, qty, filled),
        qty=qty,
        filled=filled,
        price=optional(body.p),
        reduce_only=body.R,
        venue_id=str(body.i),
        reason="" if body.er in (None, "0") else f"expiry reason {body.er}",
        venue_ns=body.T * MS,
    )


def order_fill(body: OrderBody) -> Fill | None:
    """The execution that an order update tells of, if it does."""
    qty, price = exact(body.l), exact(body.L)
    if qty <= 0 or price <= 0 or body.t <= 0:
        return None
    return Fill(
        symbol=body.s,
        trade_id=str(body.t),
        client_id=body.c,
        side=body.S,
        price=price,
        qty=qty,
        fee=fee_of(body.N, exact(body.n), price * qty),
        realised=exact(body.rp),
        maker=body.m,
        venue_ns=body.T * MS,
    )


def algo_report(msg: AlgoUpdate) -> OrderReport:
    body = msg.o
    qty, filled = exact(body.q), exact(body.aq)
    return OrderReport(
        client_id=body.caid,
        symbol=body.s,
        side=body.S,
        status=algo_status(body.X, qty, filled),
        qty=qty,
        filled=filled,
        trigger=optional(body.tp),
        reduce_only=body.R,
        conditional=True,
        venue_id=str(body.aid),
        reason=body.rm or ("" if body.X == "NEW" else body.X.lower()),
        venue_ns=msg.E * MS,
    )


def account_event(msg: AccountChange, at_ns: int, mono_ns: int, leverage: int) -> AccountUpdate:
    """Positions of one-way mode; the wallet only when it is among what changed."""
    quote = next((row for row in msg.a.B if row.a == QUOTE), None)
    return AccountUpdate(
        at_ns=at_ns,
        mono_ns=mono_ns,
        wallet=None if quote is None else exact(quote.wb),
        transfer=ZERO if quote is None or msg.a.m not in TRANSFERS else exact(quote.bc),
        positions=tuple(
            PositionReport(symbol=row.s, qty=exact(row.pa), entry=exact(row.ep), leverage=leverage)
            for row in msg.a.P
            if row.ps == "BOTH"
        ),
        venue_ns=msg.T * MS,  # of what changed it, as an execution has it: E is when that was written down
    )
