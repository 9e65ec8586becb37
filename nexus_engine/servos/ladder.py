"""How long a position may be naked, and what is tried meanwhile.

The rungs are reached by time, never by the number of tries: its kind of stop again and again, another kind of stop
beside it, out at a limit with a cap on the slip, out at market. What was reached is in the ledger, so a restart goes
on from there.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from nexus_engine.model.config import RiskConfig
from nexus_engine.model.facts import Escalated, Held
from nexus_engine.model.instruments import Instrument
from nexus_engine.model.ledger import exit_side
from nexus_engine.model.orders import Order
from nexus_engine.model.positions import Position
from nexus_engine.model.turn import Turn
from nexus_engine.model.words import Leg, Level, OrderKind, Rung

TIMER: Final = "naked:"
THROUGH_PCT: Final = 3.0
"""How far beyond its trigger a stop-limit may fill: through any book that is not in free fall, and within the band of
prices that the venue accepts. Where it does not fill, `Protection.chase` sees it."""


class Ladder:
    """The clocks of naked positions, and the choice of what is sent."""

    def __init__(self, risk: RiskConfig) -> None:
        self._risk = risk
        self._due: dict[str, int] = {}
        """Monotonic instant at which the patience with a naked position ends, by symbol."""
        self._other: dict[str, int] = {}
        """Monotonic instant from which on another kind of stop is tried, by symbol."""
        self.priced: Callable[[str], tuple[Instrument, float] | None] = lambda symbol: None
        """The grid and the mark of a symbol, where both are known."""

    # ---- time --------------------------------------------------------------------------------------------------------

    def start(self, turn: Turn, symbol: str, limit_ms: int) -> None:
        """A position is naked: it has that long. What a person has held is left of the hold at most."""
        held = turn.ledger.holds.get(symbol)
        if held is not None:
            limit_ms = max(limit_ms, min(self._risk.hold_ms, (held.until_ns - turn.at_ns) // 1_000_000))
        self._due[symbol] = turn.mono_ns + limit_ms * 1_000_000
        self._other[symbol] = turn.mono_ns + self._risk.other_stop_ms * 1_000_000
        self._wake(turn, symbol)

    def running(self, symbol: str) -> bool:
        return symbol in self._due

    def stop(self, symbol: str) -> None:
        """Covered, or gone."""
        self._due.pop(symbol, None)
        self._other.pop(symbol, None)

    def due(self, turn: Turn, symbol: str) -> bool:
        """The patience is over; else the next rung's timer is set."""
        due = self._due.get(symbol)
        if due is None:
            return False
        if turn.mono_ns >= due:
            return True
        self._wake(turn, symbol)
        return False

    def turns_to_another(self, turn: Turn, symbol: str) -> bool:
        """True once for each time that a position is naked: from now on another kind of stop is tried too."""
        if symbol in turn.ledger.rungs or turn.mono_ns < self._other.get(symbol, turn.mono_ns + 1):
            return False
        self.climb(turn, symbol, Rung.OTHER_STOP)
        return True

    def climb(self, turn: Turn, symbol: str, rung: Rung) -> None:
        if turn.ledger.rungs.get(symbol) is not rung:
            turn.record(Escalated(at_ns=turn.at_ns, symbol=symbol, rung=rung))

    def hold(self, turn: Turn, position: Position, by: str) -> str:
        """A person puts the exit off, once. Returns what to tell them."""
        symbol, due, hold_ms = position.symbol, self._due.get(position.symbol), self._risk.hold_ms
        if position.naked_since_ns is None or due is None:
            return f"{symbol}: its stop at {position.plan.stop} is confirmed, there is no exit to hold"
        if position.leaving:
            return f"{symbol}: it is being closed already"
        if symbol in turn.ledger.holds:
            return f"{symbol}: was held once already"
        if not hold_ms:
            return f"{symbol}: not held, risk.hold_ms is 0"
        due = max(due, turn.mono_ns) + hold_ms * 1_000_000
        self._due[symbol] = due
        turn.record(Held(at_ns=turn.at_ns, symbol=symbol, by=by, until_ns=turn.at_ns + due - turn.mono_ns))
        seconds = (due - turn.mono_ns) / 1e9
        turn.note(
            Level.ALARM, symbol, f"P{position.intent} HELD without a stop: out in {seconds:.0f} s at the latest", by
        )
        self._wake(turn, symbol)
        return f"{symbol}: held for {seconds:.0f} s; its stop is tried on"

    def left_ms(self, position: Position, mono_ns: int) -> int | None:
        """Until the machine leaves; None where no clock runs."""
        due = self._due.get(position.symbol)
        return None if due is None or position.leaving else max(0, (due - mono_ns) // 1_000_000)

    def _wake(self, turn: Turn, symbol: str) -> None:
        due = self._due[symbol]
        if turn.mono_ns < self._other[symbol] < due and symbol not in turn.ledger.rungs:
            due = self._other[symbol]
        turn.timer(f"{TIMER}{symbol}", (due - turn.mono_ns) // 1_000_000 + 1)

    # ---- what is sent ------------------------------------------------------------------------------------------------

    def place_stop(self, turn: Turn, position: Position, need: Decimal) -> Order:
        """Send a stop: the market kind, and from the second rung on the limit kind in turn with it.

        A close-all stop would be a third kind, but it closes what is foreign too and cannot be replaced new before old.
        """
        side = exit_side(position)
        kind, price = OrderKind.STOP_MARKET, None
        if position.symbol in turn.ledger.rungs and _last_kind(turn, position) is OrderKind.STOP_MARKET:
            price = self._near(position, float(position.plan.stop), THROUGH_PCT)
            kind = OrderKind.STOP_MARKET if price is None else OrderKind.STOP_LIMIT
        return turn.submit(
            leg=Leg.STOP,
            symbol=position.symbol,
            side=side,
            kind=kind,
            qty=need,
            price=price,
            trigger=position.plan.stop,
            intent=position.intent,
            strategy=position.strategy,
        )

    def cap(self, position: Position) -> Decimal | None:
        """The worst price of the exit's first try; None: at market at once."""
        known = self.priced(position.symbol)
        if known is None or not self._risk.exit_limit_ms:
            return None
        return self._near(position, known[1], self._risk.exit_slip_pct)

    def _near(self, position: Position, price: float, pct: float) -> Decimal | None:
        """That far off a price, on the exit's worse side."""
        known = self.priced(position.symbol)
        side = exit_side(position)
        return None if known is None else known[0].limit(price * (1 - side.opposite.sign * pct / 100), side)


def _last_kind(turn: Turn, position: Position) -> OrderKind | None:
    stops = (order for order in turn.ledger.orders.values() if order.intent == position.intent)
    return next((order.kind for order in reversed([*stops]) if order.leg is Leg.STOP), None)
