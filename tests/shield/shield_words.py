"""Signals, quotes, orders and positions to judge."""

from decimal import Decimal

from nexus_engine.model.facts import Filled, OrderChanged, OrderIntended
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.orders import ExitPlan, Fill, Order
from nexus_engine.model.signals import Quote, RegimeView, Signal
from nexus_engine.model.words import Leg, OrderKind, OrderStatus, Regime, Side

NOW_NS = 1_760_000_000_000_000_000
MINUTE_NS = 60_000_000_000


def signal(symbol: str = "SOLUSDT", side: Side = Side.BUY, strategy: str = "harpoon", price: float = 100.0) -> Signal:
    return Signal(
        symbol=symbol,
        strategy=strategy,
        side=side,
        price=price,
        limit=price,
        stop_distance=1.0,
        target=None,
        regime=RegimeView(regime=Regime.RANGE),
        risk_pct=0.5,
        market_ns=NOW_NS,
    )


def realised(ledger: Ledger) -> Decimal:
    """The day's result where nothing is open."""
    return ledger.day_realised - ledger.day_fees


def quote(
    symbol: str = "SOLUSDT", bid: float = 100.0, ask: float = 100.01, age_ms: int | None = 200, valid: bool = True
) -> Quote:
    return Quote(symbol=symbol, bid=bid, ask=ask, mark=bid, last=bid, funding_rate=0.0, age_ms=age_ms, valid=valid)


def entry(
    intent: int,
    symbol: str,
    qty: str,
    price: str = "100",
    stop: str = "99",
    side: Side = Side.BUY,
    strategy: str = "harpoon",
    leg: Leg = Leg.ENTRY,
) -> Order:
    return Order(
        client_id=f"nxt-1-{intent}{leg.value}1",
        symbol=symbol,
        side=side,
        kind=OrderKind.LIMIT,
        leg=leg,
        intent=intent,
        qty=Decimal(qty),
        price=Decimal(price),
        reduce_only=leg is not Leg.ENTRY,
        strategy=strategy,
        plan=ExitPlan(stop=Decimal(stop)) if leg is Leg.ENTRY else None,
        created_ns=NOW_NS,
        changed_ns=NOW_NS,
    )


def intend(ledger: Ledger, order: Order, status: OrderStatus = OrderStatus.INTENT) -> Order:
    ledger.apply(OrderIntended(at_ns=NOW_NS, order=order))
    if status is not OrderStatus.INTENT:
        ledger.apply(OrderChanged(at_ns=NOW_NS, client_id=order.client_id, status=status))
    return ledger.orders[order.client_id]


def fill(ledger: Ledger, order: Order, qty: str | Decimal, price: str | Decimal | None = None, fee: str = "0") -> None:
    at = order.price if price is None else Decimal(price)
    assert at is not None
    made = Fill(
        symbol=order.symbol,
        trade_id=f"{order.client_id}-{ledger.orders[order.client_id].filled}",
        client_id=order.client_id,
        side=order.side,
        price=at,
        qty=Decimal(qty),
        fee=Decimal(fee),
        venue_ns=NOW_NS,
    )
    ledger.apply(Filled(at_ns=NOW_NS, fill=made, market_ns=NOW_NS))


def trade(ledger: Ledger, intent: int, symbol: str, pnl: str, strategy: str = "harpoon") -> None:
    """Open and close one unit at a profit of `pnl`."""
    opening = intend(ledger, entry(intent, symbol, "1", strategy=strategy))
    fill(ledger, opening, "1")
    closing = entry(intent, symbol, "1", side=Side.SELL, leg=Leg.EXIT)
    fill(ledger, intend(ledger, closing), "1", Decimal(100) + Decimal(pnl))
