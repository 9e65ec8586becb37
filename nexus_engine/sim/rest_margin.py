"""Margin moved by hand, margin modes, and what the venue did by force."""

from decimal import Decimal
from typing import TYPE_CHECKING

from nexus_engine.sim import wire_account
from nexus_engine.sim.liquidation import force_type, is_forced
from nexus_engine.sim.params import Params, page, within
from nexus_engine.sim.rules import VenueError
from nexus_engine.sim.wire import Json, plain

if TYPE_CHECKING:
    from nexus_engine.sim.rest import Rest


def move(rest: "Rest", p: Params) -> Json:
    symbol, kind, amount = rest.scale(p).spec.symbol, p.integer("type"), p.number("amount")
    if kind not in {1, 2}:
        raise VenueError(-1130, "type")
    if amount is None:
        raise VenueError(-1102, "amount")
    if amount <= 0:
        raise VenueError(-4055)
    side = p.text("positionSide") or "BOTH"
    rest.account.move_margin(symbol, side, amount if kind == 1 else -amount, rest.now_ms(), rest.venue)
    return {"amount": float(amount), "code": 200, "msg": "Successfully modify position margin.", "type": kind}


def history(rest: "Rest", p: Params) -> list[Json]:
    symbol, kind = rest.scale(p).spec.symbol, p.integer("type")
    start, end = p.integer("startTime"), p.integer("endTime")
    rows = [
        row
        for row in rest.account.ledger.margin_moves
        if row.symbol == symbol and within(row.at_ms, start, end) and kind in (None, _direction(row.amount))
    ]
    return [
        {
            "symbol": row.symbol, "type": _direction(row.amount), "deltaType": "USER_ADJUST",
            "amount": plain(row.amount), "asset": "USDT", "time": row.at_ms, "positionSide": row.position_side,
        }
        for row in rows[-p.limit(500, 1000) :]
    ]  # fmt: skip


def _direction(amount: Decimal) -> int:
    return 1 if amount > 0 else 2


def set_multi_assets(rest: "Rest", p: Params) -> Json:
    """USDT is the only asset here: asking for that is the venue's usual "no need", for more a no."""
    p.need("multiAssetsMargin")
    raise VenueError(-4084 if p.flag("multiAssetsMargin") else -4171)


def force_orders(rest: "Rest", p: Params) -> list[Json]:
    symbols, kind = {scale.spec.symbol for scale in rest.scales(p)}, p.text("autoCloseType")
    orders = [
        order
        for order in rest.account.ledger.orders.values()
        if is_forced(order) and order.symbol in symbols and kind in (None, force_type(order))
    ]
    rows = page(p, orders, 50, lambda order: order.order_id, lambda order: order.created_ms)
    return [wire_account.order_row(rest.venue.scales[order.symbol], order) for order in rows]


def adl_quantile(rest: "Rest", p: Params) -> list[Json]:
    """How near each position is to being deleveraged; nobody else trades here, so all are first in the queue."""
    symbols = {scale.spec.symbol for scale in rest.scales(p)}
    ranks: dict[str, dict[str, int]] = {}
    for row in rest.account.margins(rest.venue).symbols.values():
        if row.symbol in symbols:
            ranks.setdefault(row.symbol, {})[row.position_side] = 4 if row.lots else 0
    return [{"symbol": symbol, "adlQuantile": sides} for symbol, sides in ranks.items()]
