"""REST replies of Binance USD-M futures, as much of them as is used, and what they become."""

from decimal import Decimal

import msgspec

from nexus_engine.model.events import BarRow
from nexus_engine.model.instruments import Instrument
from nexus_engine.model.orders import Fill, OrderReport, PositionReport
from nexus_engine.model.words import Side
from nexus_engine.uplink.binance.wire import (
    MS,
    Amount,
    Id,
    Level,
    Ms,
    Number,
    Price,
    Qty,
    algo_status,
    exact,
    fee_of,
    optional,
    order_status,
)


class Refusal(msgspec.Struct, frozen=True):
    """The body of an error."""

    code: int = 0
    msg: str = ""


class ServerTime(msgspec.Struct, frozen=True, rename="camel"):
    server_time: Ms


class AccountConfig(msgspec.Struct, frozen=True, rename="camel"):
    """What the futures account is set to."""

    can_trade: bool
    dual_side_position: bool


class IncomeRow(msgspec.Struct, frozen=True, rename="camel"):
    """One change of the account's money."""

    income: Number
    asset: str
    time: Ms
    tran_id: Id


class ApiRestrictions(msgspec.Struct, frozen=True, rename="camel"):
    """What a key may do. What a venue leaves out counts as allowed where that is the worse."""

    ip_restrict: bool = False
    enable_futures: bool = False
    enable_withdrawals: bool = True
    enable_internal_transfer: bool = False
    permits_universal_transfer: bool = False


class DepthReply(msgspec.Struct, frozen=True, rename="camel", gc=False):
    last_update_id: Id
    bids: list[Level]
    asks: list[Level]
    T: Ms = msgspec.field(name="T", default=0)


class RateLimit(msgspec.Struct, frozen=True, rename="camel"):
    rate_limit_type: str
    interval: str
    interval_num: Id
    limit: Id


class Filter(msgspec.Struct, frozen=True, rename="camel"):
    """One rule of a symbol; which fields it has depends on its type."""

    filter_type: str
    tick_size: Amount = ""
    step_size: Amount = ""
    min_qty: Amount = ""
    max_qty: Amount = ""
    notional: Amount = ""


class SymbolRow(msgspec.Struct, frozen=True, rename="camel"):
    symbol: str
    status: str
    base_asset: str
    quote_asset: str
    filters: list[Filter]


class ExchangeInfo(msgspec.Struct, frozen=True, rename="camel"):
    rate_limits: list[RateLimit]
    symbols: list[SymbolRow]


class KlineRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    open_ms: Ms
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Qty
    close_ms: Ms
    quote_volume: Qty
    trades: Id


class PositionMode(msgspec.Struct, frozen=True, rename="camel"):
    dual_side_position: bool


class SymbolConfig(msgspec.Struct, frozen=True, rename="camel"):
    symbol: str
    margin_type: str
    leverage: Id


class Commission(msgspec.Struct, frozen=True, rename="camel"):
    maker_commission_rate: Qty
    taker_commission_rate: Qty


class ListenKey(msgspec.Struct, frozen=True, rename="camel"):
    listen_key: str


class Anything(msgspec.Struct, frozen=True):
    """A reply that says nothing but yes."""


class OrderRow(msgspec.Struct, frozen=True, rename="camel"):
    order_id: Id
    symbol: str
    side: Side
    status: str
    client_order_id: str
    orig_qty: Amount
    executed_qty: Amount
    type: str
    price: Amount = "0"
    reduce_only: bool = False
    update_time: Ms = 0


class AlgoRow(msgspec.Struct, frozen=True, rename="camel"):
    algo_id: Id
    client_algo_id: str
    symbol: str
    side: Side
    algo_status: str
    quantity: Amount = "0"
    trigger_price: Amount = "0"
    reduce_only: bool = False
    actual_order_id: str = ""
    update_time: Ms = 0


class TradeRow(msgspec.Struct, frozen=True, rename="camel"):
    symbol: str
    id: Id
    order_id: Id
    side: Side
    price: Amount
    qty: Amount
    commission: Number
    commission_asset: str
    realized_pnl: Number
    maker: bool
    time: Ms


class PositionRisk(msgspec.Struct, frozen=True, rename="camel"):
    symbol: str
    position_amt: Number
    entry_price: Amount
    liquidation_price: Number = "0"
    position_side: str = "BOTH"


class AssetBalance(msgspec.Struct, frozen=True, rename="camel"):
    asset: str
    balance: Number
    available_balance: Number


def plain_report(row: OrderRow, client_id: str = "", conditional: bool = False) -> OrderReport:
    """Of a plain order; of one that a conditional order made under that one's `client_id`."""
    qty, filled = exact(row.orig_qty), exact(row.executed_qty)
    return OrderReport(
        client_id=client_id or row.client_order_id,
        symbol=row.symbol,
        side=row.side,
        status=order_status(row.status, qty, filled),
        qty=qty,
        filled=filled,
        price=optional(row.price),
        reduce_only=row.reduce_only,
        conditional=conditional,
        venue_id=str(row.order_id),
        venue_ns=row.update_time * MS,
    )


def algo_report(row: AlgoRow) -> OrderReport:
    """Of a conditional order by itself; what the order that it made has filled is not in here."""
    qty = exact(row.quantity)
    return OrderReport(
        client_id=row.client_algo_id,
        symbol=row.symbol,
        side=row.side,
        status=algo_status(row.algo_status, qty, Decimal(0)),
        qty=qty,
        trigger=optional(row.trigger_price),
        reduce_only=row.reduce_only,
        conditional=True,
        venue_id=str(row.algo_id),
        reason="" if row.algo_status == "NEW" else row.algo_status.lower(),
        venue_ns=row.update_time * MS,
    )


def trade_fill(row: TradeRow, client_id: str) -> Fill:
    price, qty = exact(row.price), exact(row.qty)
    return Fill(
        symbol=row.symbol,
        trade_id=str(row.id),
        client_id=client_id,
        side=row.side,
        price=price,
        qty=qty,
        fee=fee_of(row.commission_asset, exact(row.commission), price * qty),
        realised=exact(row.realized_pnl),
        maker=row.maker,
        venue_ns=row.time * MS,
    )


def position_report(row: PositionRisk, leverage: int) -> PositionReport:
    liquidation = exact(row.liquidation_price)
    return PositionReport(
        symbol=row.symbol,
        qty=exact(row.position_amt),
        entry=exact(row.entry_price),
        liquidation=liquidation if liquidation > 0 else None,
        leverage=leverage,
    )


def bar_row(row: KlineRow) -> BarRow:
    return BarRow(
        open_ns=row.open_ms * MS,
        open=row.open,
        high=row.high,
        low=row.low,
        close=row.close,
        volume=row.volume,
        trades=row.trades,
    )


def instrument(row: SymbolRow) -> Instrument:
    """The grid of a symbol, from its filters (its precisions are not its steps). Fees are not known here.

    Raises ValueError when the filters do not make a grid.
    """
    rules = {rule.filter_type: rule for rule in row.filters}
    try:
        lot, price = rules["LOT_SIZE"], rules["PRICE_FILTER"]
        made = Instrument(
            symbol=row.symbol,
            base=row.base_asset,
            quote=row.quote_asset,
            tick=_shortest(price.tick_size),
            step=_shortest(lot.step_size),
            min_qty=_shortest(lot.min_qty),
            max_qty=_shortest(lot.max_qty),
            market_max_qty=_shortest(rules["MARKET_LOT_SIZE"].max_qty),
            min_notional=_shortest(rules["MIN_NOTIONAL"].notional),
            trading=row.status == "TRADING",
        )
    except KeyError as missing:
        raise ValueError(f"{row.symbol} has no {missing.args[0]}") from None
    if made.tick <= 0 or made.step <= 0:
        raise ValueError(f"{row.symbol} has no price or quantity step")
    return made


def _shortest(text: str) -> Decimal:
    """Without trailing zeros, and never with a positive exponent (1E+1), which `quantize` would round to tens."""
    number = exact(text).normalize()
    return number.quantize(Decimal(1)) if int(number.as_tuple().exponent) > 0 else number


# ---- the past, as `nexus download` stores it -------------------------------------------------------------------------


class FullKline(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A candle with everything that the venue tells of it."""

    open_ms: Ms
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Qty
    close_ms: Ms
    quote_volume: Qty
    trades: Id
    taker_buy_volume: Qty
    taker_buy_quote_volume: Qty


class AggTradeRow(msgspec.Struct, frozen=True, gc=False):
    """Trades of one taker order at one price."""

    a: Id
    p: Price
    q: Qty
    f: int
    l: int  # noqa: E741 the venue's name
    T: Ms
    m: bool


class FundingRow(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """A funding that was settled. Early ones come without a mark price."""

    funding_time: Ms
    funding_rate: float
    mark_price: Number = ""
