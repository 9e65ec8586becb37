"""A venue that takes no stops gets no entries: each would only be bare for a while, and then an exit at market."""

from itertools import islice
from typing import Final

from nexus_engine.model.ledger import Ledger
from nexus_engine.model.verdicts import Verdict, allow, refuse
from nexus_engine.model.words import Leg, OrderStatus

NAME: Final = "protection"
COUNT: Final = 3
WAIT_NS: Final = 600_000_000_000
"""How long after the last of so many stops in a row that never stood the next entry may try."""
_LOST: Final = (OrderStatus.REJECTED, OrderStatus.CANCELED, OrderStatus.UNKNOWN)


def judge(ledger: Ledger, at_ns: int) -> Verdict:
    """Whether the last stops that were sent came about."""
    newest = (order for order in reversed(ledger.orders.values()) if order.leg is Leg.STOP)
    lost = [order for order in islice(newest, COUNT) if order.status in _LOST and not order.venue_id]
    if len(lost) < COUNT or at_ns - lost[0].changed_ns >= WAIT_NS:
        return allow(NAME)
    return refuse(NAME, f"none of the last {COUNT} stops stood: {lost[0].reason or 'no answer'}")
