"""The trading state: what the facts of the journal have made of it.

The engine changes it only by recording a fact, so folding the journal gives the same state again, at every prefix.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from itertools import islice
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from nexus_engine.model.facts import (
    Adopted,
    AnyFact,
    Crashed,
    DayOpened,
    Escalated,
    Filled,
    ForeignSeen,
    Held,
    LatchSet,
    Leased,
    Leaving,
    LockSet,
    MacroChanged,
    MacroSeen,
    ModeSet,
    Naked,
    OrderChanged,
    OrderIntended,
    PeakSeen,
    PlanChanged,
    PositionLost,
    ProposalChanged,
    ProposalMade,
    RunEnded,
    RunStarted,
    StopTried,
    StrategySwitched,
    StreakTripped,
    Transferred,
    WalletSeen,
)
from nexus_engine.model.macro import MacroPast
from nexus_engine.model.orders import ZERO, Fill, Order
from nexus_engine.model.positions import ClosedTrade, Position
from nexus_engine.model.proposals import Proposal, Proposals
from nexus_engine.model.words import AccountKind, Latch, Leg, Mode, OrderStatus, Rung, Side, TradingState

KEPT_ORDERS: Final = 200
"""Ended orders that are remembered, for fills that arrive late and for the screen."""
KEPT_PROPOSALS: Final = 50
KEPT_TRADES: Final = 5_000
"""Trade ids that are remembered, so that a fill told twice counts once."""
KEPT_CLOSED: Final = 200
KEPT_AHEAD: Final = 20
KEPT_LEAVING: Final = 200
KEPT_TRANSFERS: Final = 200
CRASHES_NS: Final = 300_000_000_000
"""A start after a crash is remembered for this long."""

DAY_NS: Final = 86_400_000_000_000
STREAK_LOCK: Final = "streak:"
"""The lock of a strategy that lost too often in a row, before its name."""

_encoder = msgspec.msgpack.Encoder()


class Ahead(msgspec.Struct, frozen=True):
    """Executed quantity of exits, and what it was worth in quote currency."""

    qty: Decimal
    value: Decimal


class Lost(msgspec.Struct, frozen=True):
    """A quantity written off. A fill of ours from before `at_ns` that comes to light explains it, and takes nothing."""

    qty: Decimal
    at_ns: int


class Tally(msgspec.Struct, frozen=True):
    """What has come together in one period (a UTC day, or an ISO week of UTC), named by its number since 1970."""

    period: int = -1
    total: float = 0.0

    def plus(self, period: int, amount: float) -> "Tally":
        return Tally(period, self.of(period) + amount)

    def of(self, period: int) -> float:
        return self.total if self.period == period else 0.0


def day_of(at_ns: int) -> int:
    """The UTC day, since 1970."""
    return at_ns // DAY_NS


def week_of(day: int) -> int:
    """The ISO week of a UTC day: Monday begins it, and the epoch was a Thursday."""
    return (day + 3) // 7


class Ledger:
    """Orders, positions, proposals, latches, locks and counters."""

    def __init__(self) -> None:
        self.account = ""
        self.kind: AccountKind | None = None
        self.instance = ""
        self.epoch = 0
        self.started_ns = 0
        """When the last run began."""
        self.ended = False
        """The last run was ended in order."""
        self.crashes: tuple[int, ...] = ()
        """UTC: recent starts after a run that was not."""
        self.mode: Mode | None = None
        self.orders: dict[str, Order] = {}
        self.positions: dict[str, Position] = {}
        self._brought: dict[int, tuple[Decimal, Decimal]] = {}
        """By intent, of what was adopted and is open: (open profit at that moment, quantity)."""
        self.foreign: dict[str, Decimal] = {}
        self.proposals: Final = Proposals()
        self.latches: dict[Latch, LatchSet] = {}
        self.locks: dict[str, LockSet] = {}
        self.lease_until_ns = 0
        """Until when a LIVE account may enter; 0 while it may not."""
        self.streaks: dict[str, int] = {}
        """Losses in a row by strategy."""
        self.closed: list[ClosedTrade] = []
        self.wallet: Decimal | None = None
        self.wallet_ns = 0
        """UTC: what came to the account later is not in the wallet."""
        self._told_ns = 0
        """The venue's time: what was executed by then is in a wallet that its stream has told."""
        self.untold: list[tuple[int, Decimal]] = []
        """(the venue's time, result after fees) of executions that no wallet has been told after: a stream tells it in
        a moment, a list within the minute."""
        self.day = -1
        self.day_equity: Decimal = ZERO
        self.day_realised: Decimal = ZERO
        """Since the day opened, before fees."""
        self.day_fees: Decimal = ZERO
        self.day_trades = 0
        self.day_r, self.week_r = Tally(), Tally()
        """R of the trades that closed in a UTC day and in an ISO week."""
        self.trips = Tally()
        """How often a streak of losses has tripped in a UTC day."""
        self.peak: Decimal = ZERO
        """The highest equity since DRAWDOWN was last released; 0 before the first."""
        self.day_from: Decimal = ZERO
        """What the day's drawdown counts from; 0 after a release, when it counts from the new peak."""
        self.day_ns = self.peak_ns = 0
        """UTC: what came to the account later is not in the day's first equity, in the peak."""
        self.transfers: tuple[Transferred, ...] = ()
        """What was paid in and out, oldest told first."""
        self.macro = MacroPast()
        """Dominance and cap, and the state that the Shield has made of them."""
        self.off: dict[str, StrategySwitched] = {}
        """Strategies that a person has switched off."""
        self.day_orders = 0
        """Since the day opened. Not in the digest: seals of older journals were made without it."""
        self.next_intent = 1
        self.ahead: dict[int, Ahead] = {}
        """By intent: exits that we heard of before the entry's fills that they closed."""
        self.lost: dict[str, Lost] = {}
        """By symbol: what the venue was last found to hold less than our fills say."""
        self.leaving: dict[int, str] = {}
        """By intent: who wants what it has built, and still builds, closed."""
        self.rungs: dict[str, Rung] = {}
        """By symbol: how far the ladder of a naked position has come; none while its first kind of stop is tried."""
        self.holds: dict[str, Held] = {}
        """By symbol: who has held the machine's exit of the position there. One position, one hold."""
        self.market_ns = 0
        """The latest market time that a fact carries: a start goes on from there."""
        self._trades: dict[tuple[str, str], None] = {}
        self._living: dict[str, None] = {}
        """Client ids of the orders that are not over: they are few among those that are remembered."""
        self._sent: Counter[tuple[int, Leg]] = Counter()
        self._waiting: dict[int, None] = {}
        """Numbers of the proposals that nobody has decided: they too are few."""
        self._apply: Final[dict[type, Callable[[Any], None]]] = {
            RunStarted: self._run_started,
            Crashed: self._crashed,
            RunEnded: self._run_ended,
            OrderIntended: self._order_intended,
            OrderChanged: self._order_changed,
            Filled: self._filled,
            PositionLost: self._position_lost,
            ForeignSeen: self._foreign_seen,
            Naked: self._naked,
            StopTried: self._stop_tried,
            Escalated: self._escalated,
            Held: self._held,
            PlanChanged: self._plan_changed,
            Adopted: self._adopted,
            Leaving: self._leaving,
            ProposalMade: self._proposal_made,
            ProposalChanged: self._proposal_changed,
            LatchSet: self._latch_set,
            Leased: self._leased,
            ModeSet: self._mode_set,
            LockSet: self._lock_set,
            WalletSeen: self._wallet_seen,
            DayOpened: self._day_opened,
            StreakTripped: self._streak_tripped,
            PeakSeen: self._peak_seen,
            MacroSeen: self._macro_seen,
            MacroChanged: self._macro_changed,
            Transferred: self._transferred,
            StrategySwitched: self._strategy_switched,
        }

    # ---- reading -----------------------------------------------------------------------------------------------------

    @property
    def state(self) -> TradingState:
        """The strictest of what the latches ask for."""
        if Latch.HALT in self.latches:
            return TradingState.HALTED
        return TradingState.REDUCING if self.latches else TradingState.ACTIVE

    def alive(self, symbol: str | None = None, leg: Leg | None = None) -> Iterator[Order]:
        """Orders that are not over, oldest first."""
        for cid in tuple(self._living):
            if cid not in self._living:
                continue
            order = self.orders[cid]
            if (symbol is None or order.symbol == symbol) and (leg is None or order.leg is leg):
                yield order

    def sent(self, intent: int, leg: Leg) -> int:
        """How many orders of that leg of an intent are remembered."""
        return self._sent[intent, leg]

    def cards(self) -> Iterator[Proposal]:
        """Proposals that can still be decided, oldest first."""
        for number in tuple(self._waiting):
            if (proposal := self.proposals.get(number)) is not None and proposal.status.open:
                yield proposal

    def has_trade(self, fill: Fill) -> bool:
        """The fill has been counted."""
        return (fill.symbol, fill.trade_id) in self._trades

    def digest(self) -> str:
        """A hash of the whole trading state; 32 hex characters."""
        state = (
            self.account,
            self.instance,
            self.epoch,
            self.started_ns,
            self.mode,
            self.orders,
            self.positions,
            self.foreign,
            self.proposals.packed,
            self.latches,
            self.locks,
            self.streaks,
            self.closed[-20:],
            self.wallet,
            (self.day, self.day_equity, self.day_realised, self.day_fees, self.day_trades),
            self.next_intent,
            self.ahead,
            self.lost,
            self.leaving,
            self.market_ns,
            # left out while there is none, so that seals of older journals hold
            *((self.lease_until_ns,) if self.lease_until_ns else ()),
            *((self.rungs,) if self.rungs else ()),
            *((self.holds,) if self.holds else ()),
            *((self.trips,) if self.trips.total else ()),
            *((replace(macro, rows=macro.rows[-1:]), len(macro.rows)) if (macro := self.macro).source else ()),
            *((self.peak, self.day_from, self.day_r, self.week_r) if self.peak else ()),
            *((self.crashes,) if self.crashes else ()),
            *((self.ended,) if self.ended else ()),
            *((self.transfers, self.wallet_ns, self.day_ns, self.peak_ns) if self.transfers else ()),
            *((self.off,) if self.off else ()),
        )
        return hashlib.blake2b(_encoder.encode(state), digest_size=16).hexdigest()

    # ---- writing -----------------------------------------------------------------------------------------------------

    def apply(self, fact: AnyFact) -> bool:
        """Take one fact in. False for a fact that only explains, and changes nothing."""
        handler = self._apply.get(type(fact))
        if handler is None:
            return False
        handler(fact)
        return True

    def fold(self, facts: Iterable[AnyFact]) -> "Ledger":
        """Take many facts in, and return self."""
        for fact in facts:
            self.apply(fact)
        return self

    def _run_started(self, fact: RunStarted) -> None:
        self.account, self.kind = fact.account, fact.kind
        self.instance, self.epoch, self.started_ns = fact.instance, fact.epoch, fact.at_ns
        self.lease_until_ns = 0
        self.ended = False

    def _crashed(self, fact: Crashed) -> None:
        self.crashes = (*(at for at in self.crashes if fact.at_ns - at < CRASHES_NS), fact.at_ns)

    def _run_ended(self, fact: RunEnded) -> None:
        self.ended = True

    def _leased(self, fact: Leased) -> None:
        self.lease_until_ns = fact.until_ns

    def _order_intended(self, fact: OrderIntended) -> None:
        if fact.order.client_id not in self.orders:
            self._sent[fact.order.intent, fact.order.leg] += 1
        self.orders[fact.order.client_id] = fact.order
        self._living[fact.order.client_id] = None
        self.day_orders += 1
        self.next_intent = max(self.next_intent, fact.order.intent + 1)
        if len(self.orders) > KEPT_ORDERS * 2:
            self._forget_orders()

    def _forget_orders(self) -> None:
        # those of an open position stay: what they were sent for is read from them, and their ids are taken
        held = {position.intent for position in self.positions.values()}
        ended = [cid for cid, order in self.orders.items() if not order.alive and order.intent not in held]
        for cid in ended[: max(0, len(ended) - KEPT_ORDERS)]:
            order = self.orders.pop(cid)
            self._sent[order.intent, order.leg] -= 1
        self._sent = +self._sent

    def _order_changed(self, fact: OrderChanged) -> None:
        order = self.orders[fact.client_id]
        if order.status.terminal:
            return
        self.orders[order.client_id] = replace(
            order,
            status=fact.status,
            venue_id=fact.venue_id or order.venue_id,
            reason=fact.reason or order.reason,
            changed_ns=fact.at_ns,
            changed_mono_ns=fact.mono_ns,
        )
        if fact.status.terminal:
            self._living.pop(order.client_id, None)

    def _filled(self, fact: Filled) -> None:
        fill = fact.fill
        if self.has_trade(fill):
            return
        self.market_ns = max(self.market_ns, fact.market_ns)
        self._trades[fill.symbol, fill.trade_id] = None
        if len(self._trades) > KEPT_TRADES:
            del self._trades[next(iter(self._trades))]
        order = self.orders[fill.client_id]
        filled = order.filled + fill.qty
        status = order.status
        if filled >= order.qty:
            status = OrderStatus.FILLED
        elif status in (OrderStatus.INTENT, OrderStatus.SUBMITTED, OrderStatus.UNKNOWN, OrderStatus.OPEN):
            status = OrderStatus.PARTIAL
        self.orders[order.client_id] = order = replace(order, filled=filled, status=status, changed_ns=fact.at_ns)
        if status.terminal:
            self._living.pop(order.client_id, None)
        self.day_fees += fill.fee
        realised = self.day_realised
        self._move(fact, order, fill)
        if fill.venue_ns > self._told_ns:
            self.untold.append((fill.venue_ns, self.day_realised - realised - fill.fee))

    def _move(self, fact: Filled, order: Order, fill: Fill) -> None:
        if order.leg is Leg.FOREIGN:
            return
        position = self.positions.get(fill.symbol)
        if order.leg is not Leg.ENTRY:
            self._leave(position, order.intent, fill, fact.at_ns)
            return
        qty = fill.qty - self._overtaken(order.intent, fill)
        if not qty or order.plan is None:
            return
        if position is None:
            self.positions[fill.symbol] = Position(
                symbol=fill.symbol,
                intent=order.intent,
                qty=qty * fill.side.sign,
                entry=fill.price,
                strategy=order.strategy,
                by=order.by,
                plan=order.plan,
                first_stop=order.plan.stop,
                leverage=order.leverage,
                opened_ns=fact.at_ns,
                opened_market_ns=fact.market_ns,
                peak_qty=qty,
                fees=fill.fee,
                naked_since_ns=fact.at_ns,
                leaving=self.leaving.get(order.intent, ""),
            )
        elif fill.side is position.side:
            size = abs(position.qty) + qty
            self.positions[fill.symbol] = replace(
                position,
                qty=size * fill.side.sign,
                entry=(position.entry * abs(position.qty) + fill.price * qty) / size,
                peak_qty=max(position.peak_qty, size),
                fees=position.fees + fill.fee,
                naked_since_ns=position.naked_since_ns or fact.at_ns,
            )
        else:
            self._reduce(position, min(qty, abs(position.qty)), fill.price, fill.fee, fact.at_ns)

    def _leave(self, position: Position | None, intent: int, fill: Fill, at_ns: int) -> None:
        """An exit executed: of what we hold, of what was written off already, or of what we have not heard of yet."""
        qty = fill.qty
        lost = self.lost.get(fill.symbol)
        if lost is not None and fill.venue_ns <= lost.at_ns:
            explained = min(qty, lost.qty)
            qty -= explained
            self.lost[fill.symbol] = Lost(lost.qty - explained, lost.at_ns)
        if position is not None and fill.side is not position.side:
            part = min(qty, abs(position.qty))
            qty -= part
            if part:
                self._reduce(position, part, fill.price, fill.fee, at_ns)
        if qty:
            before = self.ahead.get(intent, Ahead(ZERO, ZERO))
            self.ahead[intent] = Ahead(before.qty + qty, before.value + qty * fill.price)
            if len(self.ahead) > KEPT_AHEAD:
                del self.ahead[min(self.ahead)]

    def _overtaken(self, intent: int, fill: Fill) -> Decimal:
        """How much of an entry's fill was closed before we heard of it."""
        ahead = self.ahead.pop(intent, None)
        if ahead is None:
            return ZERO
        closed = min(fill.qty, ahead.qty)
        worth = ahead.value * closed / ahead.qty
        self.day_realised += (worth - closed * fill.price) * fill.side.sign
        if ahead.qty > closed:
            self.ahead[intent] = Ahead(ahead.qty - closed, ahead.value - worth)
        return closed

    def _reduce(self, position: Position, qty: Decimal, price: Decimal, fee: Decimal, at_ns: int) -> None:
        sign = 1 if position.qty > 0 else -1
        gain = (price - position.entry) * qty * sign
        self.day_realised += gain
        position = replace(
            position, qty=position.qty - qty * sign, realised=position.realised + gain, fees=position.fees + fee
        )
        if position.qty:
            self.positions[position.symbol] = position
            return
        del self.positions[position.symbol]
        self.rungs.pop(position.symbol, None)
        self.holds.pop(position.symbol, None)
        pnl = position.realised - position.fees
        r = self.r_of(position, pnl, position.peak_qty)
        self._brought.pop(position.intent, None)
        self.closed.append(
            ClosedTrade(
                symbol=position.symbol,
                intent=position.intent,
                strategy=position.strategy,
                by=position.by,
                pnl=pnl,
                r=r,
                closed_ns=at_ns,
            )
        )
        del self.closed[:-KEPT_CLOSED]
        self.day_trades += 1
        day = day_of(at_ns)
        self.day_r, self.week_r = self.day_r.plus(day, r), self.week_r.plus(week_of(day), r)
        if position.strategy:
            self.streaks[position.strategy] = self.streaks.get(position.strategy, 0) + 1 if pnl < 0 else 0

    def r_of(self, position: Position, pnl: Decimal, qty: Decimal) -> float:
        """`pnl` of `qty` (unsigned) as a multiple of the risk that was taken with it; of what was adopted, both count
        from that moment on. 0 where there was none."""
        carried, brought = self._brought.get(position.intent, (ZERO, Decimal(1)))
        risk = abs(position.entry + carried / brought - position.first_stop) * qty
        return float((pnl - carried * qty / abs(brought)) / risk) if risk else 0.0

    def _position_lost(self, fact: PositionLost) -> None:
        position = self.positions[fact.symbol]
        lost = abs(position.qty) - abs(fact.qty)
        self.lost[fact.symbol] = Lost(lost, fact.at_ns)
        self._reduce(position, lost, fact.price, ZERO, fact.at_ns)

    def _foreign_seen(self, fact: ForeignSeen) -> None:
        if fact.qty:
            self.foreign[fact.symbol] = fact.qty
        else:
            self.foreign.pop(fact.symbol, None)

    def _naked(self, fact: Naked) -> None:
        position = self.positions[fact.symbol]
        attempts = position.stop_attempts if fact.since_ns is not None else 0
        if fact.since_ns is None:
            self.rungs.pop(fact.symbol, None)
            if fact.symbol in self.holds:
                self.holds[fact.symbol] = replace(self.holds[fact.symbol], until_ns=0)
        self.positions[fact.symbol] = replace(position, naked_since_ns=fact.since_ns, stop_attempts=attempts)

    def _leaving(self, fact: Leaving) -> None:
        for order in self.alive(fact.symbol, Leg.ENTRY):
            self.leaving[order.intent] = fact.by
        position = self.positions.get(fact.symbol)
        if position is not None:
            self.leaving[position.intent] = fact.by
            self.positions[fact.symbol] = replace(position, leaving=fact.by)
        while len(self.leaving) > KEPT_LEAVING:
            del self.leaving[min(self.leaving)]

    def _stop_tried(self, fact: StopTried) -> None:
        position = self.positions[fact.symbol]
        self.positions[fact.symbol] = replace(position, stop_attempts=position.stop_attempts + 1)

    def _escalated(self, fact: Escalated) -> None:
        self.rungs[fact.symbol] = fact.rung

    def _held(self, fact: Held) -> None:
        self.holds[fact.symbol] = fact

    def _plan_changed(self, fact: PlanChanged) -> None:
        self.positions[fact.symbol] = replace(self.positions[fact.symbol], plan=fact.plan)

    def _adopted(self, fact: Adopted) -> None:
        self.foreign.pop(fact.symbol, None)
        self.next_intent = max(self.next_intent, fact.intent + 1)
        self.positions[fact.symbol] = Position(
            symbol=fact.symbol,
            intent=fact.intent,
            qty=fact.qty,
            entry=fact.entry,
            strategy="",
            by=fact.by,
            plan=fact.plan,
            first_stop=fact.plan.stop,
            opened_ns=fact.at_ns,
            opened_market_ns=fact.market_ns,
            peak_qty=abs(fact.qty),
            naked_since_ns=fact.at_ns,
        )
        if fact.carried:
            self._brought[fact.intent] = fact.carried, fact.qty
        self._moved(fact.carried, fact.before)

    def _proposal_made(self, fact: ProposalMade) -> None:
        self._propose(fact.proposal)
        self.market_ns = max(self.market_ns, fact.proposal.signal.market_ns)
        self.next_intent = max(self.next_intent, fact.proposal.id + 1)
        over = len(self.proposals) - len(self._waiting) - KEPT_PROPOSALS
        if over > 0:
            for key in list(islice((key for key in self.proposals if key not in self._waiting), over)):
                self.proposals.drop(key)

    def _propose(self, proposal: Proposal) -> None:
        self.proposals.put(proposal)
        if proposal.status.open:
            self._waiting[proposal.id] = None
        else:
            self._waiting.pop(proposal.id, None)

    def _proposal_changed(self, fact: ProposalChanged) -> None:
        proposal = self.proposals.get(fact.proposal)
        if proposal is not None:
            self._propose(
                replace(proposal, status=fact.status, by=fact.by or proposal.by, reason=fact.reason or proposal.reason)
            )

    def _latch_set(self, fact: LatchSet) -> None:
        if fact.on:
            self.latches[fact.latch] = fact
            return
        self.latches.pop(fact.latch, None)
        if fact.latch is Latch.BREAKER:
            # whoever releases it has looked: the count begins anew
            self.streaks.clear()
            for name in [name for name in self.locks if name.startswith(STREAK_LOCK)]:
                del self.locks[name]
        elif fact.latch is Latch.DRAWDOWN:
            self.peak = self.day_from = ZERO

    def _mode_set(self, fact: ModeSet) -> None:
        self.mode = fact.mode

    def _strategy_switched(self, fact: StrategySwitched) -> None:
        self.off.pop(fact.strategy, None)
        if not fact.on:
            self.off[fact.strategy] = fact

    def _lock_set(self, fact: LockSet) -> None:
        self.locks[fact.name] = fact

    def _wallet_seen(self, fact: WalletSeen) -> None:
        self.wallet = fact.wallet
        self.wallet_ns = fact.as_of_ns or fact.at_ns
        self._told_ns = max(self._told_ns, fact.venue_ns)
        # a list without a time of the venue is younger than what was heard before it
        self.untold = [each for each in self.untold if each[0] > fact.venue_ns] if fact.venue_ns else []

    def _day_opened(self, fact: DayOpened) -> None:
        self.day, self.day_equity = fact.day, fact.equity
        self.day_ns = self.wallet_ns
        self.day_from = fact.equity
        self.day_realised = self.day_fees = ZERO
        self.day_trades = self.day_orders = 0

    def _streak_tripped(self, fact: StreakTripped) -> None:
        self.trips = self.trips.plus(day_of(fact.at_ns), 1.0)

    def _peak_seen(self, fact: PeakSeen) -> None:
        self.peak = fact.equity
        self.peak_ns = self.wallet_ns

    def _transferred(self, fact: Transferred) -> None:
        self.transfers = (*self.transfers, fact)[-KEPT_TRANSFERS:]
        moved_ns = fact.moved_ns or fact.at_ns
        self._moved(fact.amount, fact.before, day=self.day_ns < moved_ns, peak=self.peak_ns < moved_ns)

    def _moved(self, amount: Decimal, before: Decimal, *, day: bool = True, peak: bool = True) -> None:
        """Equity of `before` has changed by what is no result: in money the day's stays what it is, and in percent so
        does every drawdown. `day` and `peak`: whether it is to be added to what that counts from."""
        if not amount:  # an older journal does not tell what was carried, nor the equity before
            return
        if day and self.day >= 0:
            self.day_equity += amount
            self.day_from = _scaled(self.day_from, amount, before)
        if peak:
            self.peak = _scaled(self.peak, amount, before)

    def _macro_seen(self, fact: MacroSeen) -> None:
        self.macro = self.macro.with_rows(fact.source, fact.rows, fact.at_ns)

    def _macro_changed(self, fact: MacroChanged) -> None:
        self.macro = replace(self.macro, macro=fact.macro, turned_ns=fact.turned_ns)


def exit_side(position: Position) -> Side:
    """The side of an order that makes the position smaller."""
    return position.side.opposite


def _scaled(base: Decimal, amount: Decimal, before: Decimal) -> Decimal:
    """What a drawdown counts from, so that it is as deep after the amount came as before; 0 begins anew."""
    after = before + amount
    if after <= 0 or not base:
        return ZERO
    return base * after / before if before > 0 else base + amount
