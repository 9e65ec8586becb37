"""Money: equity, today's result, what is exposed and what is at risk."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from nexus_engine.model.facts import DayOpened
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.orders import ZERO
from nexus_engine.model.turn import Turn

DAY_NS: Final = 86_400_000_000_000

Marks = Mapping[str, Decimal]


def open_pnl(ledger: Ledger, marks: Marks) -> Decimal:
    """Profit of open positions at the mark, before fees. A symbol without a mark counts at entry."""
    return sum((p.pnl(marks.get(p.symbol, p.entry)) for p in ledger.positions.values()), ZERO)


def equity(ledger: Ledger, marks: Marks) -> Decimal:
    """Wallet balance plus open profit; 0 before the venue told the wallet."""
    return ZERO if ledger.wallet is None else ledger.wallet + open_pnl(ledger, marks)


def day_pnl(ledger: Ledger, marks: Marks) -> Decimal:
    """Change of equity since the UTC day opened, fees and funding included."""
    return ZERO if ledger.day < 0 else equity(ledger, marks) - ledger.day_equity


def exposure(ledger: Ledger, marks: Marks) -> Decimal:
    """Notional of positions, of everything that may still open one, and of what is foreign."""
    held = sum((abs(p.qty) * marks.get(p.symbol, p.entry) for p in ledger.positions.values()), ZERO)
    coming = sum((o.leaves * (o.price or marks.get(o.symbol, ZERO)) for o in ledger.alive() if not o.reduce_only), ZERO)
    foreign = sum((abs(qty) * marks.get(symbol, ZERO) for symbol, qty in ledger.foreign.items()), ZERO)
    return held + coming + foreign


def at_risk(ledger: Ledger, marks: Marks) -> Decimal:
    """What is lost from here if every planned stop fills at its price."""
    return sum(
        (max(ZERO, (marks.get(p.symbol, p.entry) - p.plan.stop) * p.qty) for p in ledger.positions.values()), ZERO
    )


def open_day(turn: Turn, marks: Marks) -> None:
    """At the first known equity of a UTC day, note it: the loss limit counts from there."""
    day = turn.at_ns // DAY_NS
    if day != turn.ledger.day and turn.ledger.wallet is not None:
        turn.record(DayOpened(at_ns=turn.at_ns, day=day, equity=equity(turn.ledger, marks)))
