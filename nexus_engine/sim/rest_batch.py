"""Orders by the handful, orders only checked, and the dead man's switch."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nexus_engine.sim import wire_account
from nexus_engine.sim.params import Params
from nexus_engine.sim.rules import VenueError
from nexus_engine.sim.wire import Json

if TYPE_CHECKING:
    from nexus_engine.sim.rest import Rest

MOST_ORDERS, MOST_CANCELS = 5, 10


def _array(p: Params, name: str, most: int) -> list[Any]:
    try:
        rows = json.loads(p.need(name), parse_int=str, parse_float=str)
    except ValueError as error:
        raise VenueError(-1130, name) from error
    if not isinstance(rows, list):
        raise VenueError(-1130, name)
    if not 0 < len(rows) <= most:
        raise VenueError(-4082)
    return rows


def _row(values: Any) -> Params:
    if not isinstance(values, dict):
        raise VenueError(-1130, "batchOrders")
    return Params(
        {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in values.items()}
    )


def _each(rows: list[Any], act: Callable[[Any], Json]) -> list[Json]:
    """One reply a row: what was refused says so in its place, and the others go on."""
    out: list[Json] = []
    for row in rows:
        try:
            out.append(act(row))
        except VenueError as error:
            out.append({"code": error.code, "msg": error.msg})
    return out


def place(rest: "Rest", p: Params) -> list[Json]:
    return _each(_array(p, "batchOrders", MOST_ORDERS), lambda values: rest.new_order(_row(values)))


def amend(rest: "Rest", p: Params) -> list[Json]:
    return _each(_array(p, "batchOrders", MOST_ORDERS), lambda values: rest.amend_order(_row(values)))


def cancel(rest: "Rest", p: Params) -> list[Json]:
    symbol = rest.scale(p).spec.symbol
    by_id = p.text("orderIdList") is not None
    rows = _array(p, "orderIdList" if by_id else "origClientOrderIdList", MOST_CANCELS)
    name = "orderId" if by_id else "origClientOrderId"
    return _each(rows, lambda value: rest.cancel_order(Params({"symbol": symbol, name: str(value)})))


def test(rest: "Rest", p: Params) -> Json:
    """The order as it would be accepted now; nothing is placed."""
    request = rest.order_request(p)
    return wire_account.order_row(rest.scale(p), rest.account.draft(request, rest.now_ms(), rest.venue))


def count_down(rest: "Rest", p: Params) -> Json:
    symbol, span_ms = rest.scale(p).spec.symbol, p.integer("countdownTime")
    if span_ms is None:
        raise VenueError(-1102, "countdownTime")
    if span_ms < 0:
        raise VenueError(-1130, "countdownTime")
    rest.account.count_down(symbol, span_ms, rest.now_ms())
    return {"symbol": symbol, "countdownTime": str(span_ms)}
