"""Breakers on our own orders: too many a minute, too many a day, one refusal after another. They stop entries only."""

from typing import Final

from nexus_engine.model.config import ShieldConfig
from nexus_engine.model.effects import Record, Submit
from nexus_engine.model.facts import GuardTripped, LockSet, OrderChanged
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.turn import Turn
from nexus_engine.model.verdicts import Reading, Verdict, allow, refuse
from nexus_engine.model.words import UNSENT, Level, OrderStatus, TimeInForce
from nexus_engine.shield.blackswan import MINUTE_NS

RATE_LOCK: Final = "orders"
REJECTS_LOCK: Final = "rejects:"
"""Followed by the symbol, which is all that it locks."""


def look(turn: Turn, config: ShieldConfig) -> None:
    """Call at the end of a turn: sees what it sent and what was refused in it."""
    sent = False
    refused: set[str] = set()
    for effect in turn.effects:
        if type(effect) is Submit:
            sent = True
        elif type(effect) is Record and type(effect.fact) is OrderChanged and _refused(effect.fact):
            refused.add(turn.ledger.orders[effect.fact.client_id].symbol)
    if sent:
        _rate(turn, config)
    for symbol in sorted(refused) if refused else ():
        _rejects(turn, config, symbol)


def day_orders(ledger: Ledger, config: ShieldConfig) -> Verdict:
    """Whether the day has orders left."""
    reading = Reading("orders today", ledger.day_orders, config.orders_a_day)
    if ledger.day_orders < config.orders_a_day:
        return allow("orders", reading)
    return refuse("orders", f"{ledger.day_orders} orders since 00:00 UTC, limit {config.orders_a_day}", reading)


def rejected_in_row(ledger: Ledger, symbol: str) -> int:
    """How many of a symbol's newest orders the venue has refused, one after the other."""
    count = 0
    for order in reversed(ledger.orders.values()):
        if order.symbol != symbol:
            continue
        if order.status is OrderStatus.REJECTED and not order.venue_id:
            # a post-only order that would have taken is nobody's fault
            count += order.reason not in UNSENT and order.tif is not TimeInForce.GTX
        elif order.venue_id or order.filled:
            break
    return count


def _refused(change: OrderChanged) -> bool:
    return change.status is OrderStatus.REJECTED and change.reason not in UNSENT


def _rate(turn: Turn, config: ShieldConfig) -> None:
    count = 0
    for order in reversed(turn.ledger.orders.values()):
        age_ns = turn.at_ns - order.created_ns
        if age_ns >= MINUTE_NS:
            break
        # a clock that was set back has orders before it
        count += age_ns >= 0
    if count > config.orders_a_minute:
        reading = Reading("orders in a minute", count, config.orders_a_minute)
        _lock(turn, RATE_LOCK, "account", f"{count} orders in a minute", config.orders_pause_min, reading)


def _rejects(turn: Turn, config: ShieldConfig, symbol: str) -> None:
    count = rejected_in_row(turn.ledger, symbol)
    if count >= config.rejects_in_row:
        reading = Reading("refused in a row", count, config.rejects_in_row)
        reason = f"{symbol}: {count} orders refused in a row"
        _lock(turn, f"{REJECTS_LOCK}{symbol}", symbol, reason, config.rejects_pause_min, reading)


def _lock(turn: Turn, name: str, subject: str, reason: str, minutes: int, reading: Reading) -> None:
    lock = turn.ledger.locks.get(name)
    if lock is not None and lock.until_ns > turn.market_ns:
        return
    until_ns = turn.market_ns + minutes * MINUTE_NS
    verdict = refuse("breaker", reason, reading, until_ns=until_ns)
    turn.record(GuardTripped(at_ns=turn.at_ns, verdict=verdict))
    turn.record(LockSet(at_ns=turn.at_ns, name=name, until_ns=until_ns, reason=reason))
    turn.note(Level.ALARM, subject, f"{reason}: no entries there for {minutes} min; exits and stops go on")
