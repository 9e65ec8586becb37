"""Where a pulse finds nothing to do about what is held: between which marks, and until when.

Live every pulse is given. Who plays recorded prices may leave out those that lie strictly within.
"""

from math import inf
from typing import NamedTuple

from msgspec import UNSET

from nexus_engine.model.instruments import Instrument
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.positions import Position
from nexus_engine.model.words import Leg, Macro, OrderKind
from nexus_engine.servos.trailing import SMALLEST_STEP
from nexus_engine.shield.drawdown import Drawdown
from nexus_engine.shield.macro import STALE_NS

SLACK_TICKS = 2
"""Marks are rounded to the tick, and a price here is a float."""


class Calm(NamedTuple):
    """Prices above `low` and below `high`, before `until_ns` by the market's clock and the wall's."""

    low: float
    high: float
    until_ns: float


def calm(ledger: Ledger, drawdown: Drawdown, instrument: Instrument) -> Calm | None:
    """Of an account that holds nothing, or this symbol alone with its stop and its target where they belong. None:
    every pulse may do something."""
    if ledger.latches or ledger.rungs or ledger.wallet is None or not ledger.peak or any(ledger.cards()):
        return None
    worth_low, worth_high = drawdown.calm(ledger)
    wallet, held = float(ledger.wallet), ledger.positions
    if not held:
        quiet = worth_low < wallet < worth_high and not any(ledger.alive())
        return Calm(0.0, inf, _until(ledger, None)) if quiet else None
    position = held.get(instrument.symbol)
    if position is None or len(held) > 1 or position.naked_since_ns is not None or position.leaving:
        return None
    if not all(
        order.status.resting and order.leg in (Leg.STOP, Leg.TARGET) and order.kind is not OrderKind.STOP_LIMIT
        for order in ledger.alive()
    ):
        return None
    tick, qty = float(instrument.tick), float(position.qty)
    entry, slack = float(position.entry), SLACK_TICKS * tick
    at = entry + (worth_low - wallet) / qty, entry + (worth_high - wallet) / qty
    low, high = min(at) + slack, max(at) - slack
    follows = _follows_from(position, tick)
    if follows is not None:
        low, high = (low, min(high, follows - slack)) if qty > 0 else (max(low, follows + slack), high)
    return Calm(low, high, _until(ledger, position))


def _until(ledger: Ledger, position: Position | None) -> float:
    ends: list[float] = []
    if position is not None and position.plan.time_stop_ns:
        ends.append((position.opened_market_ns or position.opened_ns) + position.plan.time_stop_ns)
    if ledger.macro.macro is not Macro.UNKNOWN:
        ends.append(ledger.macro.received_ns + STALE_NS)
    if ledger.lease_until_ns:
        ends.append(ledger.lease_until_ns)
    return min(ends, default=inf)


def _follows_from(position: Position, tick: float) -> float | None:
    """The price from which the plan's trail would move the stop (`servos/trailing.py`); None where it never does."""
    plan = position.plan.trail
    if plan is UNSET:
        return None
    sign, stop, entry = position.side.sign, float(position.plan.stop), float(position.entry)
    risk = float(position.first_risk_per_unit)
    least = max(tick, risk * SMALLEST_STEP)
    found = []
    if plan.break_even_r and (entry - stop) * sign > 0:
        found.append(entry + sign * risk * plan.break_even_r)
    if plan.distance:
        from_r = 0.0 if plan.from_r is UNSET else plan.from_r
        begins = (entry + sign * risk * from_r) * sign if from_r else -inf
        found.append(max(begins, (stop + sign * (float(plan.distance) + least)) * sign) * sign)
    return min(found, key=lambda price: price * sign, default=None)
