"""Take-profits: which should rest for a position. All reduce-only, and together never more than it."""

from decimal import Decimal
from typing import Final

import msgspec

from nexus_engine.model.instruments import Instrument
from nexus_engine.model.ledger import Ledger, exit_side
from nexus_engine.model.orders import ZERO
from nexus_engine.model.positions import Position
from nexus_engine.model.turn import Turn
from nexus_engine.model.words import Leg, OrderKind, OrderStatus

Wanted = dict[Decimal, Decimal]
"""Quantity by price, nearest first."""
NONE: Final[Wanted] = {}


def wanted(ledger: Ledger, position: Position, instrument: Instrument | None) -> Wanted:
    """What should rest. Parts are of the largest size that it had; the last target takes what they leave.

    Without a grid no part can be cut, and the last target takes all.
    """
    plan, left = position.plan, abs(position.qty)
    found: Wanted = {}
    parts = () if plan.partials is msgspec.UNSET or instrument is None else plan.partials
    for part in parts:
        assert instrument is not None
        taken = sum(
            (
                order.filled
                for order in ledger.orders.values()
                if order.intent == position.intent and order.leg is Leg.TARGET and order.price == part.price
            ),
            ZERO,
        )
        qty = min(left, instrument.quantity(position.peak_qty * Decimal(repr(part.part))) - taken)
        if qty > 0:
            found[part.price] = qty
            left -= qty
    if plan.target is not None and left > 0:
        found[plan.target] = found.get(plan.target, ZERO) + left
    return found


def aim(turn: Turn, position: Position, instrument: Instrument | None) -> None:
    """Bring what rests to what should. What is too much at a price goes before its like comes."""
    goals = wanted(turn.ledger, position, instrument)
    resting = list(turn.ledger.alive(position.symbol, Leg.TARGET))
    kept: set[Decimal] = set()
    for order in resting:
        price = order.price or ZERO
        if order.leaves == goals.get(price) and order.status is not OrderStatus.PENDING_CANCEL and price not in kept:
            kept.add(price)
        else:
            turn.cancel(order)
    if len(kept) < len(resting):
        # what is going may still fill: together they would be more than is held
        return
    for price, qty in goals.items():
        if price in kept or _refused(turn, position, price, qty):
            continue
        turn.submit(
            leg=Leg.TARGET,
            symbol=position.symbol,
            side=exit_side(position),
            kind=OrderKind.LIMIT,
            qty=qty,
            price=price,
            intent=position.intent,
            strategy=position.strategy,
        )


def _refused(turn: Turn, position: Position, price: Decimal, qty: Decimal) -> bool:
    """A refused target is not tried again: the stop protects, and a person sees the note."""
    return turn.ledger.sent(position.intent, Leg.TARGET) > 0 and any(
        order.leg is Leg.TARGET and order.status is OrderStatus.REJECTED and (order.qty, order.price) == (qty, price)
        for order in turn.ledger.orders.values()
        if order.intent == position.intent
    )
