"""Money: equity, today's result, what is exposed and what is at risk."""

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Final

from nexus_engine.model.config import RiskConfig, percent_of
from nexus_engine.model.facts import DayOpened
from nexus_engine.model.ledger import Ledger, week_of
from nexus_engine.model.orders import ZERO, OrderReport
from nexus_engine.model.turn import Turn
from nexus_engine.shield.drawdown import room
from nexus_engine.shield.exposure import NOTHING, measure

DAY_NS: Final = 86_400_000_000_000

Marks = Mapping[str, Decimal]


def open_pnl(ledger: Ledger, marks: Marks) -> Decimal:
    """Profit of open positions at the mark, before fees. A symbol without a mark counts at entry."""
    return sum((p.pnl(marks.get(p.symbol, p.entry)) for p in ledger.positions.values()), ZERO)


def equity(ledger: Ledger, marks: Marks) -> Decimal:
    """Wallet balance, what was executed since it was told, and open profit; 0 before the venue told the wallet."""
    if ledger.wallet is None:
        return ZERO
    return ledger.wallet + sum((result for _, result in ledger.untold), ZERO) + open_pnl(ledger, marks)


def day_pnl(ledger: Ledger, marks: Marks) -> Decimal:
    """Change of equity since the UTC day opened, fees and funding included."""
    return ZERO if ledger.day < 0 else equity(ledger, marks) - ledger.day_equity


def loss_left(ledger: Ledger, risk: RiskConfig, marks: Marks) -> Decimal:
    """What may still be lost until a limit of the day, of the week or on drawdown ends entries, at least 0.

    A limit in R counts what is closed, as its guard does, at the R of a trade that risks all it may.
    """
    now = equity(ledger, marks)
    r = percent_of(risk.trade_risk_pct, now)
    lefts_r = (
        risk.day_loss_r + ledger.day_r.of(ledger.day),
        risk.week_loss_r + ledger.week_r.of(week_of(ledger.day)),
    )
    by_money = percent_of(risk.day_loss_pct, ledger.day_equity) + day_pnl(ledger, marks)
    return max(ZERO, min(by_money, *room(ledger, risk, now), *(Decimal(repr(left)) * r for left in lefts_r)))


def exposure(
    ledger: Ledger, marks: Marks, venue_qty: Marks = NOTHING, strangers: Collection[OrderReport] = ()
) -> Decimal:
    """Notional of positions, of everything that may still open one, and of what is foreign, as the limits count it."""
    return measure(ledger, marks, venue_qty, strangers).total


def at_risk(ledger: Ledger, marks: Marks) -> Decimal:
    """What is lost from here if every planned stop fills at its price."""
    return sum(
        (max(ZERO, (marks.get(p.symbol, p.entry) - p.plan.stop) * p.qty) for p in ledger.positions.values()), ZERO
    )


def open_day(turn: Turn, marks: Marks) -> None:
    """A UTC day has begun (`Calendar.turns`): note its first known equity, the loss limit counts from there."""
    if turn.ledger.wallet is not None:
        turn.record(DayOpened(at_ns=turn.at_ns, day=turn.at_ns // DAY_NS, equity=equity(turn.ledger, marks)))
