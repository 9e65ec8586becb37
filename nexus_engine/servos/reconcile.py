"""Journal against venue: at every start, after every outage, and whenever they disagree."""

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Final

from nexus_engine.model.effects import Cancel
from nexus_engine.model.events import VenueSnapshot
from nexus_engine.model.facts import ForeignSeen, LatchSet, PositionLost, Reconciled, WalletSeen
from nexus_engine.model.orders import ZERO, PositionReport, is_newer, is_ours
from nexus_engine.model.turn import Turn
from nexus_engine.model.words import Latch, Level, OrderStatus, Venue
from nexus_engine.servos.asking import Backoff
from nexus_engine.servos.manager import Manager

TIMER: Final = "reconcile"
ROUND_MS: Final = 500
FAILED_MS: Final = 2_000
PATIENCE_NS: Final = 30_000_000_000
"""How long a comparison may stay open before the account goes PROTECT-ONLY: one that cannot finish is said, not retried
for ever in silence. Longer than the two looks that prove an order absent."""
REGULAR_MS: Final = 60_000


class Reconciler:
    """Compares, adopts what the venue proves, asks for what it does not, and only then lets entries out."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._asked_mono = 0
        self._awaited = False
        self._wanted = False
        self._open_since: int | None = None
        self._doubts: dict[str, tuple[Decimal, Decimal]] = {}
        """What the venue held at the last look and what we did, by symbol, where these do not fit."""
        self._differences: list[str] = []
        manager.compare = self.ask
        self._restored: frozenset[str] = frozenset()
        """Orders of an earlier run: their monotonic stamps mean nothing."""
        self._told: frozenset[str] = frozenset()
        self._backoff = Backoff()
        self._question = ""
        self.done = False
        """The last comparison ended without an open question."""
        self._said = False
        self._read = False
        self.known = False
        """The venue was read in this run, and again where that left a question open."""

    def resume(self, turn: Turn, earlier_ns: int) -> None:
        """A run begins. Entries of an earlier one are taken back: what was seen when they were decided is gone."""
        self._restored = frozenset(order.client_id for order in turn.ledger.alive())
        self._manager.cancel_entries(turn)
        self._manager.protection.resume(turn, earlier_ns)

    def ask(self, turn: Turn) -> None:
        """Have the account read; one reading at a time, so that an answer's age is known."""
        if self._awaited:
            self._wanted = True
            return
        self._awaited, self._wanted = True, False
        self._asked_mono = turn.mono_ns
        turn.snapshot(Venue.BINANCE)

    def distrust(self, turn: Turn) -> None:
        """Something may have been missed (a stream was down): no entries until compared again."""
        self.done = False
        self._open_since = None
        self.ask(turn)

    def snapshot(self, turn: Turn, event: VenueSnapshot, marks: Mapping[str, Decimal], *, heard: bool) -> None:
        """The venue's account arrived. `marks` value what someone else has closed. `heard`: the account's stream is up,
        so that the venue is there; without it an unreadable account is an outage, and patience begins when it ends."""
        self._awaited = False
        if not heard:
            self._open_since = None
        # before anything may break; what the comparison finds shortens it
        turn.timer(TIMER, REGULAR_MS)
        self._compare(turn, event, marks)
        if self._wanted:
            self.ask(turn)

    def timer(self, turn: Turn) -> None:
        """Time to look (again)."""
        turn.timer(TIMER, REGULAR_MS)
        self.ask(turn)

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _compare(self, turn: Turn, event: VenueSnapshot, marks: Mapping[str, Decimal]) -> None:
        if not event.ok:
            self._manager.protection.unseen(turn)
            self._again(turn, FAILED_MS, f"the account cannot be read: {event.reason}")
            return
        ledger = turn.ledger
        if event.wallet != ledger.wallet or ledger.untold:
            # the list has no time of the venue's clock: it is as young as the last execution in it
            last_ns = max((fill.venue_ns for fill in event.fills), default=0)
            turn.record(WalletSeen(at_ns=turn.at_ns, wallet=event.wallet, as_of_ns=event.wallet_ns, venue_ns=last_ns))
        self._orders(turn, event)
        # before anything else is settled, what we hold gets its stop
        for symbol in list(ledger.positions):
            self._manager.protection.protect(turn, symbol)
        self._manager.strangers = tuple(
            report for report in event.orders if report.client_id not in ledger.orders and not report.reduce_only
        )
        orphans = self._orphans(turn, event)
        asked = {order.symbol for order in ledger.alive() if self._manager.asker.open(order)}
        self._positions(turn, {report.symbol: report for report in event.positions}, marks, asked)
        for symbol in sorted({*ledger.positions, *(order.symbol for order in ledger.alive())}):
            self._manager.protection.protect(turn, symbol)
        questions = bool(asked or self._doubts or orphans)
        self.known = self.known or self._read or not questions
        self._read = True
        if questions:
            what = sorted({*asked, *self._doubts, *orphans})
            self._again(turn, ROUND_MS, f"open questions on {', '.join(what)}")
        else:
            self._finish(turn)

    def _orders(self, turn: Turn, event: VenueSnapshot) -> None:
        ledger, manager, differences = turn.ledger, self._manager, self._differences
        for fill in sorted(event.fills, key=lambda fill: (fill.venue_ns, len(fill.trade_id), fill.trade_id)):
            if fill.client_id in ledger.orders and not ledger.has_trade(fill):
                differences.append(f"{fill.symbol}: a fill of {fill.client_id} that we had not seen")
                manager.filled(turn, fill)
        listed = {report.client_id for report in event.orders}
        for report in event.orders:
            if report.client_id in ledger.orders:
                manager.reported(turn, report)
        for order in list(ledger.alive()):
            if order.client_id in listed:
                continue
            if order.client_id in self._restored or order.changed_mono_ns <= self._asked_mono:
                if order.status.resting and order.status is not OrderStatus.PENDING_CANCEL:
                    differences.append(f"{order.symbol}: {order.client_id} is not at the venue any more")
                    turn.change(order, OrderStatus.UNKNOWN, reason="not in the venue's lists")
                manager.asker.ask(turn, ledger.orders[order.client_id])

    def _orphans(self, turn: Turn, event: VenueSnapshot) -> set[str]:
        """Orders that the journal does not know: ours go, once what we hold has its own stop on the way. Returns the
        symbols of those: a cancel may be lost, so they are looked at again."""
        ledger, symbols = turn.ledger, set()
        for report in event.orders:
            cid, symbol = report.client_id, report.symbol
            if cid in ledger.orders:
                continue
            mine = is_ours(cid, ledger.instance) and not is_newer(cid, ledger.instance, ledger.epoch)
            if mine and not self._manager.fenced:
                turn.effects.append(Cancel(client_id=cid, symbol=symbol, conditional=report.conditional))
                self._differences.append(f"{symbol}: cancelled {cid}, ours but not in the journal")
                symbols.add(symbol)
            else:
                self._manager.stranger(turn, cid, symbol)
        return symbols

    def _positions(
        self, turn: Turn, venue: Mapping[str, PositionReport], marks: Mapping[str, Decimal], asked: Collection[str]
    ) -> None:
        """Adopt what the venue holds, where two looks in a row find the same, with the venue and with us: a reading
        races with the fills' events, and what we have heard of since it was asked for is not in it. Symbols with orders
        that are `asked` for wait."""
        ledger, differences = turn.ledger, self._differences
        doubts, self._doubts = self._doubts, {}
        # what was heard of before and is in no list now is flat at the venue: that is news too
        for symbol in sorted({*venue, *ledger.positions, *ledger.foreign, *self._manager.venue_qty}):
            report = venue.get(symbol)
            held = ZERO if report is None else report.qty
            self._manager.venue_qty[symbol] = held
            self._manager.venue_entry[symbol] = ZERO if report is None else report.entry
            self._manager.liquidation.pop(symbol, None)
            if report is not None and held:
                self._manager.liquidation[symbol] = report.liquidation
            position = ledger.positions.get(symbol)
            ours = ZERO if position is None else position.qty
            # one symbol, one net quantity: what is foreign on the other side has closed as much of ours
            if held == ours + ledger.foreign.get(symbol, ZERO) and (position is None or _holds(held, ours)):
                continue
            if symbol in asked or doubts.get(symbol) != (held, ours):
                self._doubts[symbol] = held, ours
                continue
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

    def _finish(self, turn: Turn) -> None:
        differences = tuple(dict.fromkeys(self._differences))
        self._differences.clear()
        told = frozenset(differences)
        if not self.done or told - self._told:
            turn.record(Reconciled(at_ns=turn.at_ns, ok=True, differences=differences))
            for line in differences:
                turn.note(Level.WARN, "account", line)
            if differences or not self._said:
                text = "reconciled" if differences else "reconciled: no difference"
                turn.note(Level.GOOD, "account", text)
                self._said = True
        self._told = told
        self.done = True
        self._open_since = None
        self._question = ""

    def _again(self, turn: Turn, after_ms: int, reason: str) -> None:
        if self._open_since is None:
            self._open_since = turn.mono_ns
        if turn.mono_ns - self._open_since >= PATIENCE_NS and Latch.PROTECT_ONLY not in turn.ledger.latches:
            self.done = False
            reason = f"cannot reconcile with the venue: {reason}"
            turn.record(LatchSet(at_ns=turn.at_ns, latch=Latch.PROTECT_ONLY, on=True, by="bot", reason=reason))
            turn.note(Level.ALARM, "account", f"{Latch.PROTECT_ONLY}: {reason}")
        if reason != self._question:
            self._backoff.reset(TIMER)
            self._question = reason
        turn.timer(TIMER, self._backoff.next(TIMER, after_ms))


def _holds(venue: Decimal, ours: Decimal) -> bool:
    """The venue's quantity contains ours: same side and at least as much."""
    return venue * ours > 0 and abs(venue) >= abs(ours)
