"""What a person does to what is held: moves a stop, places one again, takes a foreign quantity over, closes one.

Each returns what to tell the person.
"""

from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from nexus_engine.model.commands import Adopt, CloseForeign, Flatten
from nexus_engine.model.facts import Adopted, PlanChanged
from nexus_engine.model.instruments import Instrument
from nexus_engine.model.orders import ExitPlan
from nexus_engine.model.positions import Position
from nexus_engine.model.told import price, quantity
from nexus_engine.model.turn import Turn
from nexus_engine.model.words import Leg, Level, OrderKind, Side
from nexus_engine.servos.copilot import Copilot
from nexus_engine.servos.manager import Manager

FARTHEST: Final = 10
"""A stop at so many times the price is a slip of the hand; at some length no grid holds it either."""


def move_stop(turn: Turn, manager: Manager, instrument: Instrument, mark: float, stop: Decimal, by: str) -> str:
    """Move our position's stop, towards less risk only. The old one stays at the venue until the new one stands."""
    symbol = instrument.symbol
    position = turn.ledger.positions.get(symbol)
    objection = "we hold nothing" if position is None else _immovable(turn, manager, position, instrument, mark, stop)
    if objection or position is None:
        turn.note(Level.INFO, symbol, f"stop not moved to {stop}: {objection}", by)
        return f"{symbol}: {objection}"
    old = position.plan.stop
    turn.record(PlanChanged(at_ns=turn.at_ns, symbol=symbol, plan=replace(position.plan, stop=stop), by=by))
    to = price(stop, instrument.tick)
    turn.note(Level.INFO, symbol, f"P{position.intent} stop from {price(old, instrument.tick)} to {to}", by)
    manager.protection.protect(turn, symbol)
    return f"{symbol}: moving the stop to {to}"


def _immovable(
    turn: Turn, manager: Manager, position: Position, instrument: Instrument, mark: float, stop: Decimal
) -> str:
    """Why a stop does not go there; empty when it may."""
    old, side = position.plan.stop, position.side
    if manager.protection.leaving(turn, position):
        return "an exit is under way already"
    if objection := _misplaced(instrument, side, mark, stop, manager.liquidation.get(instrument.symbol)):
        return objection
    if stop == old:
        return f"the stop is at {old} already"
    if (stop - old) * side.sign < 0:
        return f"a stop only moves towards less risk, from {old} {'up' if side is Side.BUY else 'down'}"
    return ""


def rearm(turn: Turn, manager: Manager, symbol: str, by: str) -> str:
    """Try at once to place the stop of a naked position, whatever a refusal would have had us wait."""
    position = turn.ledger.positions.get(symbol)
    if position is None:
        return f"{symbol}: we hold nothing"
    if position.naked_since_ns is None:
        return f"{symbol}: its stop at {price(position.plan.stop)} is confirmed"
    turn.note(Level.WARN, symbol, f"P{position.intent}: placing the stop at {price(position.plan.stop)} again", by)
    manager.protection.rearm(turn, symbol)
    return f"{symbol}: placing the stop at {price(position.plan.stop)}"


def adopt(
    turn: Turn, manager: Manager, instrument: Instrument, mark: float, equity: Decimal, command: Adopt, by: str
) -> str:
    """Take a foreign quantity for ours, and protect it at once. `equity`: what is counted without it."""
    symbol, qty, stop = instrument.symbol, command.qty, command.stop
    if objection := _untouchable(turn, manager, symbol, qty):
        return f"{symbol}: {objection}"
    if symbol in turn.ledger.positions:
        return f"{symbol}: P{turn.ledger.positions[symbol].intent} of ours is open there; close one of them"
    if any(turn.ledger.alive(symbol, Leg.ENTRY)):
        return f"{symbol}: an entry of ours is on its way there"
    side = Side.BUY if qty > 0 else Side.SELL
    objection = _misplaced(instrument, side, mark, stop, manager.liquidation.get(symbol))
    if objection:
        return f"{symbol}: {objection}"
    intent = turn.ledger.next_intent
    entry = manager.venue_entry.get(symbol) or instrument.nearest(mark)
    turn.record(
        Adopted(
            at_ns=turn.at_ns,
            symbol=symbol,
            qty=qty,
            entry=entry,
            plan=ExitPlan(stop=stop),
            intent=intent,
            by=by,
            market_ns=turn.market_ns,
            carried=(instrument.nearest(mark) - entry) * qty,
            before=equity,
        )
    )
    turn.note(Level.WARN, symbol, f"P{intent} adopted: {quantity(qty)}, stop {price(stop, instrument.tick)}", by)
    manager.protection.protect(turn, symbol)
    return f"{symbol}: {quantity(qty)} is ours now, P{intent}; placing its stop at {price(stop, instrument.tick)}"


def close_foreign(turn: Turn, manager: Manager, command: CloseForeign, by: str) -> str:
    """Close a foreign quantity at market. Nothing of ours is counted in it, and reduce-only keeps it from flipping."""
    symbol, qty = command.symbol, command.qty
    if objection := _untouchable(turn, manager, symbol, qty):
        return f"{symbol}: {objection}"
    if command.word != symbol.lower():
        return f"{symbol}: not closed; type {symbol.lower()}"
    turn.submit(
        leg=Leg.FOREIGN,
        symbol=symbol,
        side=Side.SELL if qty > 0 else Side.BUY,
        kind=OrderKind.MARKET,
        qty=abs(qty),
        intent=turn.ledger.next_intent,
        by=by,
    )
    turn.note(Level.WARN, symbol, f"closing the foreign {quantity(qty)} at market", by)
    return f"{symbol}: closing the foreign {quantity(qty)} at market"


def close_all_foreign(turn: Turn, manager: Manager, by: str) -> tuple[int, list[str]]:
    """Close every foreign quantity that can be closed. Returns how many, and of each other one why not."""
    kept = []
    foreign = sorted(turn.ledger.foreign.items())
    for symbol, qty in foreign:
        if objection := _untouchable(turn, manager, symbol, qty):
            kept.append(f"{symbol}: {objection}")
        else:
            close_foreign(turn, manager, CloseForeign(symbol=symbol, qty=qty, word=symbol.lower()), by)
    return len(foreign) - len(kept), kept


def flatten(turn: Turn, manager: Manager, copilot: Copilot, command: Flatten, by: str) -> str:
    """Close everything of ours, or every long, and what is foreign where a person says so."""
    if command.word != "flat":
        return "nothing closed: type flat"
    copilot.expire_all(turn, "flatten", longs_only=command.longs_only)
    count = manager.exit_all(turn, by, longs_only=command.longs_only)
    what = ("long" if command.longs_only else "position") + ("" if count == 1 else "s")
    told = f"closing {count} {what} at market"
    turn.note(Level.WARN, "account", f"flatten: {told}", by)
    if not command.foreign:
        return told
    closed, kept = close_all_foreign(turn, manager, by)
    return "; ".join((told, f"and {closed} foreign", *kept))


def _untouchable(turn: Turn, manager: Manager, symbol: str, seen: Decimal) -> str:
    """Why a foreign quantity cannot be dealt with now: it must be what the person saw, and beyond doubt."""
    qty = turn.ledger.foreign.get(symbol)
    if qty is None:
        return "nothing foreign is held there"
    if qty != seen:
        return f"it is {qty} by now, not {seen}: look again"
    if any(turn.ledger.alive(symbol, Leg.FOREIGN)):
        return "it is being closed already"
    if manager.drifts(turn, symbol):
        return "the venue holds something else by now; it is being read again"
    return ""


def _misplaced(instrument: Instrument, side: Side, mark: float, stop: Decimal, liquidation: Decimal | None) -> str:
    """Why a stop cannot stand there, for a position of that side."""
    if not mark:
        return "no price is known yet"
    if stop.is_finite() and stop > FARTHEST * instrument.nearest(mark):
        return f"{stop} is over {FARTHEST} times the mark of {instrument.nearest(mark)}"
    if not stop.is_finite() or stop <= 0 or stop % instrument.tick:
        return f"{stop} is not on the tick of {instrument.tick}"
    if (instrument.nearest(mark) - stop) * side.sign <= 0:
        return f"{stop} is beyond the mark of {instrument.nearest(mark)}"
    if liquidation and (stop - liquidation) * side.sign <= 0 < (instrument.nearest(mark) - liquidation) * side.sign:
        return f"{stop} is beyond its liquidation at {instrument.nearest(float(liquidation))}"
    return ""
