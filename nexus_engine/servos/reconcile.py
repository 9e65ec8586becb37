"""Journal against venue: at every start, after every outage, and whenever they disagree."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from nexus_engine.model.effects import Cancel
from nexus_engine.model.events import VenueSnapshot
from nexus_engine.model.facts import ForeignSeen, LatchSet, PositionLost, Reconciled, WalletSeen
from nexus_engine.model.orders import ZERO, OrderReport, PositionReport, is_ours
from nexus_engine.model.turn import Turn
from nexus_engine.model.words import Latch, Level, OrderStatus, Venue
from nexus_engine.servos.manager import Manager

TIMER: Final = "reconcile"
ROUND_MS: Final = 500
FAILED_MS: Final = 2_000
ROUNDS: Final = 20
"""Rounds that may differ before the account goes PROTECT-ONLY: a reconcile that cannot finish is said, not retried for
ever in silence."""
REGULAR_MS: Final = 60_000


class Reconciler:
    """Compares, adopts what the venue proves, asks for what it does not, and only then lets entries out."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._asked_mono = 0
        self._rounds = 0
        self._restored: frozenset[str] = frozenset()
        """Orders of an earlier run: their monotonic stamps mean nothing."""
        self._told: frozenset[str] = frozenset()
        self.done = False
        """The last comparison ended without an open question."""

    def resume(self, turn: Turn) -> None:
        """A run begins."""
        self._restored = frozenset(order.client_id for order in turn.ledger.alive())
        self._manager.protection.resume(turn)

    def ask(self, turn: Turn) -> None:
        """Have the account read."""
        self._asked_mono = turn.mono_ns
        turn.snapshot(Venue.BINANCE)

    def distrust(self, turn: Turn) -> None:
        """Something may have been missed (a stream was down): no entries until compared again."""
        self.done = False
        self._rounds = 0
        self.ask(turn)

    def snapshot(self, turn: Turn, event: VenueSnapshot, marks: Mapping[str, Decimal]) -> None:
        """The venue's account arrived. `marks` value what someone else has closed."""
        if not event.ok:
            self._again(turn, FAILED_MS, f"the account cannot be read: {event.reason}")
            return
        ledger = turn.ledger
        if event.wallet != ledger.wallet:
            turn.record(WalletSeen(at_ns=turn.at_ns, wallet=event.wallet))
        differences = [*self._orders(turn, event)]
        # before anything else is settled, what we hold gets its stop
        for symbol in list(ledger.positions):
            self._manager.protection.protect(turn, symbol)
        if self._manager.asker.busy or any(order.status is OrderStatus.UNKNOWN for order in ledger.alive()):
            self._again(turn, ROUND_MS, "orders of ours are still being asked for")
            return
        differences += self._positions(turn, {report.symbol: report for report in event.positions}, marks)
        for symbol in {*ledger.positions, *(order.symbol for order in ledger.alive())}:
            self._manager.protection.protect(turn, symbol)
        self._finish(turn, tuple(differences))

    def timer(self, turn: Turn) -> None:
        """Time to look (again)."""
        self.ask(turn)

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _orders(self, turn: Turn, event: VenueSnapshot) -> list[str]:
        ledger, manager = turn.ledger, self._manager
        differences = []
        for fill in sorted(event.fills, key=lambda fill: (fill.venue_ns, fill.trade_id)):
            if fill.client_id in ledger.orders and not ledger.has_trade(fill):
                differences.append(f"{fill.symbol}: a fill of {fill.client_id} that we had not seen")
                manager.filled(turn, fill)
        listed = {report.client_id: report for report in event.orders}
        for order in list(ledger.alive()):
            report = listed.get(order.client_id)
            if report is not None:
                manager.reported(turn, report)
            elif order.client_id in self._restored or order.changed_mono_ns <= self._asked_mono:
                if order.status.resting and order.status is not OrderStatus.PENDING_CANCEL:
                    differences.append(f"{order.symbol}: {order.client_id} is not at the venue any more")
                    turn.change(order, OrderStatus.UNKNOWN, reason="not in the venue's lists")
                manager.asker.ask(turn, ledger.orders[order.client_id])
        for report in listed.values():
            if report.client_id not in ledger.orders:
                differences.extend(self._unknown(turn, report))
        return differences

    def _unknown(self, turn: Turn, report: OrderReport) -> list[str]:
        if is_ours(report.client_id, turn.ledger.instance):
            turn.effects.append(
                Cancel(client_id=report.client_id, symbol=report.symbol, conditional=report.conditional)
            )
            return [f"{report.symbol}: cancelled {report.client_id}, ours but not in the journal"]
        self._manager.stranger(turn, report.client_id, report.symbol)
        return []

    def _positions(self, turn: Turn, venue: Mapping[str, PositionReport], marks: Mapping[str, Decimal]) -> list[str]:
        ledger = turn.ledger
        differences = []
        for symbol in sorted({*venue, *ledger.positions, *ledger.foreign}):
            report = venue.get(symbol)
            held = ZERO if report is None else report.qty
            self._manager.venue_qty[symbol] = held
            self._manager.liquidation[symbol] = None if report is None else report.liquidation
            position = ledger.positions.get(symbol)
            ours = ZERO if position is None else position.qty
            if position is not None and not _holds(held, ours):
                left = held if held * ours > 0 else ZERO
                price = marks.get(symbol, position.entry)
                differences.append(f"{symbol}: the venue holds {held}, we had {ours}: closed by someone else")
                turn.record(PositionLost(at_ns=turn.at_ns, symbol=symbol, qty=left, price=price))
                ours = left
            foreign = held - ours
            if foreign != ledger.foreign.get(symbol, ZERO):
                turn.record(ForeignSeen(at_ns=turn.at_ns, symbol=symbol, qty=foreign))
                if foreign:
                    differences.append(f"{symbol}: {foreign} that is not ours; counted, not touched")
        return differences

    def _finish(self, turn: Turn, differences: tuple[str, ...]) -> None:
        told = frozenset(differences)
        if not self.done or told - self._told:
            turn.record(Reconciled(at_ns=turn.at_ns, ok=True, differences=differences))
            for line in differences:
                turn.note(Level.WARN, "account", line, "reconcile")
            if not self.done:
                turn.note(
                    Level.GOOD, "account", "reconciled" if differences else "reconciled: no difference", "reconcile"
                )
        self._told = told
        self.done = True
        self._rounds = 0
        turn.timer(TIMER, REGULAR_MS)

    def _again(self, turn: Turn, after_ms: int, reason: str) -> None:
        self._rounds += 1
        if self._rounds >= ROUNDS and Latch.PROTECT_ONLY not in turn.ledger.latches:
            self.done = False
            reason = f"cannot reconcile with the venue: {reason}"
            turn.record(LatchSet(at_ns=turn.at_ns, latch=Latch.PROTECT_ONLY, on=True, by="bot", reason=reason))
            turn.note(Level.ALARM, "account", reason, "reconcile")
        turn.timer(TIMER, after_ms)


def _holds(venue: Decimal, ours: Decimal) -> bool:
    """The venue's quantity contains ours: same side and at least as much."""
    return venue * ours > 0 and abs(venue) >= abs(ours)
