"""The trading manager: what the venue says of our orders, and what follows from it."""

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from nexus_engine.model.config import RiskConfig
from nexus_engine.model.effects import Cancel
from nexus_engine.model.events import AccountUpdate, CancelResult, QueryResult, SubmitResult
from nexus_engine.model.facts import SWAN_LOCK, Filled, LatchSet, ProposalChanged, WalletSeen
from nexus_engine.model.instruments import Instrument
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.orders import ZERO, ExitPlan, Fill, Order, OrderReport, is_foreign_nexus, is_newer
from nexus_engine.model.positions import Position
from nexus_engine.model.proposals import Proposal
from nexus_engine.model.signals import Leave
from nexus_engine.model.told import price, quantity
from nexus_engine.model.turn import Turn
from nexus_engine.model.words import (
    Latch,
    Leg,
    Level,
    OrderKind,
    OrderStatus,
    Outcome,
    ProposalStatus,
    Side,
    TimeInForce,
    Venue,
)
from nexus_engine.servos.asking import TIMER as ASK_TIMER
from nexus_engine.servos.asking import Asker
from nexus_engine.servos.ladder import TIMER as DEADLINE_TIMER
from nexus_engine.servos.protection import (
    EXIT_TIMER,
    NOTHING_TO_REDUCE,
    PAUSE_NS,
    REDUCE_ONLY_MS,
    RETRY_TIMER,
    Protection,
)

ENTRY_TIMER: Final = "entry:"
DRIFT_TIMER: Final = "drift:"
DRIFT_MS: Final = 1_500
"""How long venue and ledger may disagree on a position before the account is read again: the two streams race."""
LOOK_TIMER: Final = "look:"
LOOK_MS: Final = 1_000
"""How long after an entry's first fill, and after its end, the account is read: only a reading tells the liquidation
price. What opens meanwhile is in the same reading."""
NO_SUCH_ORDER: Final = -2011
POLL_NS: Final = {leg: 1_000_000_000 if leg in (Leg.ENTRY, Leg.EXIT) else 4_000_000_000 for leg in Leg}
"""An order without news for this long is asked for: user events get lost."""

_UNANSWERED: Final = (OrderStatus.INTENT, OrderStatus.SUBMITTED, OrderStatus.UNKNOWN)


class Manager:
    """Orders from intent to end, and the positions that they build."""

    def __init__(self, risk: RiskConfig) -> None:
        self._risk = risk
        self.asker = Asker()
        self.protection = Protection(risk, self.asker)
        self.venue_qty: dict[str, Decimal] = {}
        self.venue_entry: dict[str, Decimal] = {}
        self.strangers: tuple[OrderReport, ...] = ()
        """Orders at the venue that are not in the ledger and may open something, by the last snapshot."""
        self.fenced = False
        """Another machine has the account: orders with our prefix that we do not know may be its own."""
        self.liquidation: dict[str, Decimal | None] = {}
        """Of what is held at the venue: None where it has none, nothing where that was not told yet."""
        self.compare: Callable[[Turn], None] = lambda turn: turn.snapshot(Venue.BINANCE)
        """Have the whole account read; the reconciler puts itself here."""
        self._timers: Final[dict[str, Callable[[Turn, str], None]]] = {
            ASK_TIMER: self._ask,
            ENTRY_TIMER: self._entry_over,
            EXIT_TIMER: self.protection.pursue,
            DRIFT_TIMER: self._still_drifting,
            LOOK_TIMER: lambda turn, _: self.compare(turn),
            RETRY_TIMER: self.protection.protect,
            DEADLINE_TIMER: self.protection.deadline,
        }

    # ---- what people and strategies want -----------------------------------------------------------------------------

    def enter(self, turn: Turn, proposal: Proposal, by: str) -> Order:
        """Send the entry of an approved proposal. Its plan travels with it, so a fill always knows its stop."""
        order = turn.submit(
            leg=Leg.ENTRY,
            symbol=proposal.symbol,
            side=proposal.side,
            kind=OrderKind.MARKET if proposal.market else OrderKind.LIMIT,
            qty=proposal.qty,
            price=None if proposal.market else proposal.limit,
            tif=TimeInForce.GTX if proposal.signal.post_only is True and not proposal.market else TimeInForce.GTC,
            intent=proposal.id,
            strategy=proposal.strategy,
            by=by,
            leverage=proposal.leverage,
            plan=proposal.plan,
        )
        turn.timer(f"{ENTRY_TIMER}{order.client_id}", self._risk.entry_ms)
        return order

    def close(self, turn: Turn, symbol: str, instrument: Instrument | None, *, half: bool, by: str) -> str:
        """Close our position, or half of it. Returns what to tell the person."""
        position = turn.ledger.positions.get(symbol)
        if position is None:
            return f"{symbol}: we hold nothing"
        qty = abs(position.qty)
        if half:
            qty, hindrance = half_of(turn.ledger, position, instrument)
            if hindrance:
                return f"{symbol}: nothing closed: {hindrance}"
        self.protection.leave(turn, position, qty, by)
        turn.note(Level.INFO, symbol, f"closing {'half' if half else 'all'} of it at market: {quantity(qty)}", by)
        return f"{symbol}: closing {quantity(qty)} at market"

    def leave(self, turn: Turn, position: Position, leave: Leave | None = None) -> None:
        """The plan's time is over, or its strategy wants out: close all of it, unless somebody does so already."""
        # nothing of the machine's touches a short in a black swan but its stop and its target
        if position.leaving or (position.qty < 0 and _swan(turn)):
            return
        if leave is not None:
            text = f"P{position.intent}: {position.strategy} leaves: {'; '.join(leave.reasons)}"
            turn.note(Level.INFO, position.symbol, text)
        self.protection.leave(turn, position, abs(position.qty), leave=leave)

    def exit_all(self, turn: Turn, by: str, *, longs_only: bool = False) -> int:
        """Cancel working entries and close our positions at market. Shorts stay when `longs_only`. Returns how many."""
        for order in list(turn.ledger.alive(leg=Leg.ENTRY)):
            if not longs_only or order.side is Side.BUY:
                self.protection.abandon(turn, order.symbol, by)
        self.cancel_entries(turn, longs_only=longs_only)
        count = 0
        for position in list(turn.ledger.positions.values()):
            if not longs_only or position.qty > 0:
                self.protection.leave(turn, position, abs(position.qty), by)
                count += 1
        return count

    def cancel_entries(self, turn: Turn, *, longs_only: bool = False) -> int:
        """Cancel entries that may still fill. Returns how many."""
        entries = [order for order in turn.ledger.alive(leg=Leg.ENTRY) if not longs_only or order.side is Side.BUY]
        for order in entries:
            turn.cancel(order)
        return len(entries)

    # ---- what the venue says -----------------------------------------------------------------------------------------

    def reported(self, turn: Turn, report: OrderReport, fills: tuple[Fill, ...] = (), *, asked: bool = False) -> None:
        """A stream, a reply or a list told of an order, with the executions it told of. `asked`: it answers a Query."""
        order = turn.ledger.orders.get(report.client_id)
        if order is None:
            self.stranger(turn, report.client_id, report.symbol)
            return
        self.asker.found(order.client_id, turn.mono_ns)
        for fill in fills:
            self._fill(turn, fill)
        self._settle(turn, turn.ledger.orders[order.client_id], report, asked=asked)
        self._after(turn, turn.ledger.orders[order.client_id], was_alive=order.alive)

    def _settle(self, turn: Turn, order: Order, report: OrderReport, *, asked: bool) -> None:
        """Bring an order to where the report says it is; what cannot be believed yet is asked for."""
        status = report.status
        if report.filled > order.filled:
            # its executions come first: an order that ended without them would be nobody's exposure
            if order.status in _UNANSWERED:
                # the venue has it: from here on its silence is noticed, also should the question hang
                turn.change(order, OrderStatus.OPEN, venue_id=report.venue_id)
            if asked:
                self.asker.later(turn, order)
            else:
                self.asker.ask(turn, order)
        elif order.status.terminal:
            if status.resting:
                self._risen(turn, order, asked=asked)
        elif status is OrderStatus.FILLED:
            # a conditional order is finished also when what it made was not filled
            if asked:
                turn.change(order, OrderStatus.EXPIRED, reason=report.reason or "ended without being filled")
            else:
                self.asker.ask(turn, order)
        elif status is OrderStatus.UNKNOWN:
            self._doubted(turn, order, report.reason)
        elif not status.standing:
            turn.change(order, status, venue_id=report.venue_id, reason=report.reason)
        elif order.status in _UNANSWERED:
            # executions alone make an order partial: a status without them only says that the venue has it
            turn.change(order, OrderStatus.OPEN, venue_id=report.venue_id)
        elif asked and order.status is OrderStatus.PENDING_CANCEL:
            turn.change(order, status)
            turn.cancel(turn.ledger.orders[order.client_id])

    def _doubted(self, turn: Turn, order: Order, reason: str) -> None:
        """The venue holds it, and nobody can say that it will do what it is for. It stays ours until it has ended."""
        if order.status in (OrderStatus.UNKNOWN, OrderStatus.PENDING_CANCEL):
            return
        turn.change(order, OrderStatus.UNKNOWN, reason=reason)
        turn.note(Level.ALARM, order.symbol, f"{order.leg.word} is not to be relied on: {reason}")
        self.protection.doubted.add(order.client_id)

    def _risen(self, turn: Turn, order: Order, *, asked: bool) -> None:
        """An order that is over for us stands at the venue: old news, or it must go."""
        if not asked:
            self.asker.ask(turn, order)
            return
        turn.effects.append(Cancel(client_id=order.client_id, symbol=order.symbol, conditional=order.conditional))
        self.asker.later(turn, order)

    def _after(self, turn: Turn, order: Order, *, was_alive: bool = True) -> None:
        """What an order's new state calls for; its end calls once, however often it is told."""
        if order.leg is Leg.ENTRY and order.status.terminal:
            self._entry_ended(turn, order)
        if order.status.terminal:
            self.asker.forget(order.client_id)
            self.protection.forget(order.client_id)
            if order.leg is Leg.EXIT and was_alive:
                self.protection.exit_ended(turn, order)
            if order.leg is Leg.FOREIGN:
                self.compare(turn)
        self.protection.protect(turn, order.symbol)

    def filled(self, turn: Turn, fill: Fill) -> None:
        """An execution that came without a report, from a list of the venue's trades."""
        was_alive = turn.ledger.orders[fill.client_id].alive
        self._fill(turn, fill)
        self._after(turn, turn.ledger.orders[fill.client_id], was_alive=was_alive)

    def _fill(self, turn: Turn, fill: Fill) -> None:
        ledger = turn.ledger
        order = ledger.orders.get(fill.client_id)
        if order is None or ledger.has_trade(fill):
            return
        before = ledger.positions.get(fill.symbol)
        turn.record(Filled(at_ns=turn.at_ns, fill=fill, market_ns=turn.market_ns))
        after = ledger.positions.get(fill.symbol)
        if order.leg is Leg.ENTRY:
            verb = "filled" if ledger.orders[fill.client_id].filled >= order.qty else "partly filled"
            plan = after.plan if after is not None else order.plan
            turn.note(Level.GOOD, fill.symbol, f"P{order.intent} {verb} {_told(fill, plan)}", order.by)
            if before is None:
                turn.timer(LOOK_TIMER, LOOK_MS)
            late = _swan(turn) and after is not None and after.qty > 0
            if late and before is None:
                turn.note(Level.ALARM, fill.symbol, "a long filled after the black swan: closing it at once")
            if late and after is not None and not after.leaving:
                self.protection.leave(turn, after, abs(after.qty))
            else:
                self.protection.pursue(turn, fill.symbol)
        elif before is not None or order.leg is Leg.FOREIGN:
            at = _told(fill, None if before is None else before.plan)
            text = f"{order.leg.word} of P{order.intent}: {fill.side} {at}"
            turn.note(Level.INFO, fill.symbol, text, order.by)
            self.protection.moved(turn, order)
        if before is not None and after is None:
            if fill.symbol not in ledger.foreign:
                self.liquidation.pop(fill.symbol, None)
            trade = ledger.closed[-1]
            level = Level.GOOD if trade.pnl >= 0 else Level.WARN
            turn.note(level, trade.symbol, f"P{trade.intent} closed: {trade.pnl:+.2f} ({trade.r:+.1f} R)", order.by)

    def _entry_ended(self, turn: Turn, order: Order) -> None:
        proposal = turn.ledger.proposals.get(order.intent)
        if proposal is None or proposal.status is not ProposalStatus.APPROVED:
            return
        status = ProposalStatus.EXECUTED if order.filled else ProposalStatus.FAILED
        turn.record(
            ProposalChanged(at_ns=turn.at_ns, proposal=order.intent, status=status, by=proposal.by, reason=order.reason)
        )
        if order.filled:
            turn.timer(LOOK_TIMER, LOOK_MS)
        else:
            turn.note(
                Level.WARN, order.symbol, f"{proposal.handle} came to nothing: {order.reason or order.status.lower()}"
            )

    def submitted(self, turn: Turn, result: SubmitResult) -> None:
        """The answer to a Submit. A stream may have been quicker, so it only ever adds."""
        order = turn.ledger.orders[result.client_id]
        if result.outcome is Outcome.DONE:
            if result.report is None:
                self.asker.ask(turn, order)
            else:
                self.reported(turn, result.report)
        elif result.outcome is Outcome.UNKNOWN:
            if order.status in (OrderStatus.INTENT, OrderStatus.SUBMITTED):
                turn.change(order, OrderStatus.UNKNOWN, reason=result.text)
                turn.note(Level.WARN, order.symbol, f"{order.leg.word}: outcome unknown, asking the venue")
            self.asker.later(turn, order)
            self.protection.protect(turn, order.symbol)
        elif not order.status.terminal and not order.venue_id:
            turn.change(order, OrderStatus.REJECTED, reason=result.text or str(result.code))
            self._refused(turn, order, result.code, result.text)

    def _refused(self, turn: Turn, order: Order, code: int, text: str) -> None:
        if code == NOTHING_TO_REDUCE:
            self.compare(turn)
        if order.leg is Leg.STOP:
            self.protection.stop_refused(turn, order, code, text)
            return
        turn.note(Level.WARN, order.symbol, f"{order.leg.word} refused: {text or code}")
        self._after(turn, turn.ledger.orders[order.client_id])
        if code == NOTHING_TO_REDUCE and order.leg is Leg.EXIT:
            self.protection.exit_later(turn, order.symbol, REDUCE_ONLY_MS)

    def cancelled(self, turn: Turn, result: CancelResult) -> None:
        """The answer to a Cancel. Whatever it is, the order's end is asked for: a fill may have come first."""
        order = turn.ledger.orders.get(result.client_id)
        if order is None or order.status.terminal:
            return
        if result.outcome is Outcome.DONE:
            self.asker.ask(turn, order)
        elif result.code == NO_SUCH_ORDER:
            self.asker.uncancelled(turn, order)
        else:
            self.asker.later(turn, order)

    def answered(self, turn: Turn, result: QueryResult) -> None:
        """The answer to a Query."""
        order = turn.ledger.orders.get(result.client_id)
        if order is not None and result.outcome is Outcome.UNKNOWN and not order.status.terminal:
            self.asker.failed(turn, order)
            return
        self.asker.answered(result.client_id)
        if order is None:
            return
        if result.outcome is Outcome.DONE and result.report is not None:
            self.reported(turn, result.report, result.fills, asked=True)
        elif order.status.terminal:
            return
        elif result.outcome is Outcome.ABSENT:
            if self.asker.absent(turn, order):
                self.asker.never_placed(turn, order)
                self._after(turn, turn.ledger.orders[order.client_id])
            else:
                self.protection.protect(turn, order.symbol)
                self.protection.pursue(turn, order.symbol)
        else:
            self.asker.later(turn, order, 1_000)

    def stranger(self, turn: Turn, cid: str, symbol: str) -> None:
        """An order that the journal does not know. Another Nexus on the account stops every entry of ours."""
        ledger = turn.ledger
        foreign = is_foreign_nexus(cid, ledger.instance) or is_newer(cid, ledger.instance, ledger.epoch)
        if foreign and Latch.PROTECT_ONLY not in ledger.latches:
            reason = f"another Nexus writes on this account: order {cid} on {symbol}"
            turn.record(LatchSet(at_ns=turn.at_ns, latch=Latch.PROTECT_ONLY, on=True, by="bot", reason=reason))
            turn.note(Level.ALARM, "account", f"{Latch.PROTECT_ONLY}: {reason}")

    def account(self, turn: Turn, event: AccountUpdate) -> None:
        """Wallet and positions as the venue sees them; a lasting difference has the whole account read again."""
        if event.wallet is not None and (event.wallet != turn.ledger.wallet or turn.ledger.untold):
            turn.record(WalletSeen(at_ns=turn.at_ns, wallet=event.wallet, venue_ns=event.venue_ns))
        for report in event.positions:
            self.venue_qty[report.symbol] = report.qty
            self.venue_entry[report.symbol] = report.entry
            # a stream tells no liquidation price: the last list's stands until the next, or until it is flat
            if not report.qty:
                self.liquidation.pop(report.symbol, None)
            elif report.liquidation is not None:
                self.liquidation[report.symbol] = report.liquidation
            if self.drifts(turn, report.symbol):
                turn.timer(f"{DRIFT_TIMER}{report.symbol}", DRIFT_MS)

    def drifts(self, turn: Turn, symbol: str) -> bool:
        """Venue and ledger disagree on what is held, by the last that each of them heard."""
        position = turn.ledger.positions.get(symbol)
        ours = 0 if position is None else position.qty
        return self.venue_qty.get(symbol, 0) != ours + turn.ledger.foreign.get(symbol, 0)

    # ---- time --------------------------------------------------------------------------------------------------------

    def timer(self, turn: Turn, key: str) -> bool:
        """A timer of ours came due; False when it is not ours."""
        head, colon, tail = key.partition(":")
        handler = self._timers.get(head + colon)
        if handler is not None:
            handler(turn, tail)
        return handler is not None

    def pulse(self, turn: Turn) -> None:
        """Four times a second: ask for silent orders, and leave positions whose time is over."""
        for order in list(turn.ledger.alive()):
            if order.status is OrderStatus.INTENT:
                continue
            takes = self.protection.takes(turn, order)
            self.asker.poll(turn, order, PAUSE_NS if takes else POLL_NS[order.leg])
            if takes:
                self.protection.watch(turn, order)
        for position in list(turn.ledger.positions.values()):
            self.protection.chase(turn, position)
            self.protection.doubt(turn, position)
            self.protection.trail(turn, position)
            if position.plan.time_stop_ns and _held_ns(turn, position) >= position.plan.time_stop_ns:
                self.leave(turn, position)

    def _ask(self, turn: Turn, cid: str) -> None:
        order = turn.ledger.orders.get(cid)
        if order is not None:
            self.asker.ask(turn, order)

    def _entry_over(self, turn: Turn, cid: str) -> None:
        order = turn.ledger.orders.get(cid)
        if order is not None and order.alive:
            turn.note(Level.INFO, order.symbol, f"P{order.intent}: entry not filled in time, cancelling the rest")
            turn.cancel(order)

    def _still_drifting(self, turn: Turn, symbol: str) -> None:
        if self.drifts(turn, symbol):
            self.compare(turn)


def _told(fill: Fill, plan: ExitPlan | None) -> str:
    """`4,819 at 0.7990`: the stop of its position has the digits of the symbol."""
    return f"{quantity(fill.qty)} at {price(fill.price, None if plan is None else plan.stop)}"


def half_of(ledger: Ledger, position: Position, instrument: Instrument | None) -> tuple[Decimal, str]:
    """What closing half of it would send, by the venue's step, and why it would send nothing; one of the two."""
    if position.leaving or any(ledger.alive(position.symbol, Leg.EXIT)):
        return ZERO, "an exit is under way already"
    if instrument is None:
        return ZERO, "its order step is not known yet"
    qty = instrument.quantity(abs(position.qty) / 2)
    return qty, "" if qty else f"half of {abs(position.qty)} is less than the smallest step"


def _held_ns(turn: Turn, position: Position) -> int:
    """Market time since the position began; real time where it began before this process knew the market's."""
    if position.opened_market_ns:
        return turn.market_ns - position.opened_market_ns
    return turn.at_ns - position.opened_ns


def _swan(turn: Turn) -> bool:
    lock = turn.ledger.locks.get(SWAN_LOCK)
    return lock is not None and lock.until_ns > turn.market_ns
