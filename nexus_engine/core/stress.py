"""What is at stake on the account as it stands, under a few shocks that a trader names."""

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from nexus_engine.core import accounting
from nexus_engine.core.shock import DROP_PCT, Shocks
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.orders import ZERO, Order
from nexus_engine.model.view import StressLine, StressView

GAP: Final = 2


def stress(
    ledger: Ledger,
    marks: accounting.Marks,
    liquidation: Mapping[str, Decimal | None],
    beta: Callable[[str], float],
    funding: Mapping[str, float],
) -> StressView:
    """Result of each shock from the marks on, in quote currency. `funding` is the next rate by symbol, a fraction.

    A stop loses the distance from mark to stop, a gapped one twice that. Entries under way count as filled at their
    price in both; the fall and the funding leave them out. What is foreign has no stop that we know of, so the stops
    leave it out, and it is named.
    """
    equity = float(accounting.equity(ledger, marks))
    held = [(p.symbol, p.qty, marks.get(p.symbol, p.entry)) for p in ledger.positions.values()]
    held += [(symbol, qty, marks[symbol]) for symbol, qty in ledger.foreign.items() if marks.get(symbol)]
    entries = [order for order in ledger.alive() if not order.reduce_only]
    stops = -float(accounting.at_risk(ledger, marks) + sum((_risk(order, marks) for order in entries), ZERO))
    paid = -sum(float(qty * mark) * rate for symbol, qty, mark in held if math.isfinite(rate := funding.get(symbol, 0)))
    fall = Shocks(ledger, marks, liquidation, beta).pnl
    named = (
        ("stops fill", stops),
        (f"stops gap x{GAP}", stops * GAP),
        (f"BTC -{DROP_PCT:g}%", fall),
        ("funding", paid),
    )
    distances = [
        (float(abs(1 - price / mark)) * 100, symbol)
        for symbol, _, mark in held
        if mark and (price := liquidation.get(symbol))
    ]
    nearest = min(distances, default=(None, ""))
    return StressView(
        lines=tuple(
            # + 0.0: nothing is no minus
            StressLine(name=name, money=money + 0.0, pct=money / equity * 100 + 0.0 if equity > 0 else None)
            for name, money in named
        ),
        liquidation_pct=nearest[0],
        liquidation_symbol=nearest[1],
        unpriced=tuple(s for s in sorted({*ledger.foreign, *ledger.positions}) if not marks.get(s)),
        foreign=len(ledger.foreign),
        in_flight=len(entries),
    )


def _risk(order: Order, marks: accounting.Marks) -> Decimal:
    """All of it without a plan."""
    price = order.price or marks.get(order.symbol, ZERO)
    return order.leaves * abs(price - (order.plan.stop if order.plan else ZERO))
