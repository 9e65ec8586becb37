"""A stop that follows price, towards less risk only: to break-even after so many R, and at a distance behind the mark.

The distance is the chandelier's (Le Beau): a multiple of the average true range as it was at the entry. The best price
needs no memory: a stop that only ratchets remembers it, also across restarts.
"""

from decimal import Decimal
from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from nexus_engine.model.facts import PlanChanged
from nexus_engine.model.instruments import Instrument
from nexus_engine.model.ledger import exit_side
from nexus_engine.model.positions import Position
from nexus_engine.model.turn import Turn
from nexus_engine.model.words import Level

EVERY_NS: Final = 5_000_000_000
"""A stop moves at most so often: each move is two requests."""
SMALLEST_STEP: Final = 0.1
"""The least worth a move, as a part of the risk per unit that the position began with."""


class Trailer:
    """Decides where a stop goes. Moving it is `Protection.protect`'s: the new one stands before the old one goes."""

    def __init__(self) -> None:
        self._moved: dict[str, int] = {}
        """Monotonic instant of the last move, by symbol."""

    def trail(self, turn: Turn, position: Position, instrument: Instrument, mark: float) -> bool:
        """Move the stop of a covered position where its plan wants it; True when it did."""
        symbol, stop = position.symbol, position.plan.stop
        if position.leaving or position.naked_since_ns is not None:
            return False
        if 0 <= turn.mono_ns - self._moved.get(symbol, turn.mono_ns - EVERY_NS) < EVERY_NS:
            return False
        best = _best(position, instrument, mark)
        if best is None:
            return False
        least = max(instrument.tick, position.first_risk_per_unit * Decimal(repr(SMALLEST_STEP)))
        if (best - stop) * position.side.sign < least:
            return False
        self._moved[symbol] = turn.mono_ns
        turn.record(PlanChanged(at_ns=turn.at_ns, symbol=symbol, plan=replace(position.plan, stop=best), by="bot"))
        turn.note(Level.INFO, symbol, f"P{position.intent} stop trails from {stop} to {best}")
        return True


def _best(position: Position, instrument: Instrument, mark: float) -> Decimal | None:
    """The tightest stop that the plan allows at this mark; None: nothing to follow yet, or no room behind the mark."""
    plan, sign = position.plan.trail, position.side.sign
    if plan is UNSET or not mark:
        return None
    now = instrument.nearest(mark)
    found: list[Decimal] = []
    risk = position.first_risk_per_unit
    gain = (now - position.entry) * sign
    if plan.break_even_r and risk and gain >= risk * Decimal(repr(plan.break_even_r)):
        found.append(instrument.stop(float(position.entry), exit_side(position)))
    from_r = 0.0 if plan.from_r is UNSET else plan.from_r
    if plan.distance and (not from_r or gain >= risk * Decimal(repr(from_r))):
        found.append(instrument.stop(mark - float(plan.distance) * sign, exit_side(position)))
    behind = [stop for stop in found if (now - stop) * sign > instrument.tick and stop > 0]
    return max(behind, key=lambda stop: stop * sign, default=None)
