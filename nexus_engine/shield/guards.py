"""The guards that judge a signal, one function each, and the table of them."""

from collections.abc import Callable
from typing import Final

import msgspec

from nexus_engine.model.config import RiskConfig, ShieldConfig
from nexus_engine.model.facts import SWAN_ALERT, SWAN_LOCK, LockSet
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.signals import Quote, Signal
from nexus_engine.model.verdicts import Reading, Verdict, allow, refuse
from nexus_engine.model.words import Latch, Leg, Side, TradingState
from nexus_engine.shield import lease
from nexus_engine.shield.staleness import unseen
from nexus_engine.shield.streak import LOCK as STREAK_LOCK
from nexus_engine.shield.streak import day_loss


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What a guard may look at."""

    ledger: Ledger
    market_ns: int
    at_ns: int
    mono_ns: int
    lock: lease.Lock
    shield: ShieldConfig
    risk: RiskConfig
    signal: Signal
    quote: Quote
    swan_quote: Quote | None
    falls: tuple[Reading, ...]


def held(ledger: Ledger, name: str, market_ns: int) -> LockSet | None:
    """The lock of that name while it holds."""
    lock = ledger.locks.get(name)
    return lock if lock is not None and lock.until_ns > market_ns else None


def cooldown(ledger: Ledger, market_ns: int, scope: frozenset[str]) -> LockSet | None:
    """The longest lock that covers this scope (symbols, strategies), of those that no guard of their own looks at."""
    covering = (
        lock
        for name, lock in ledger.locks.items()
        if lock.until_ns > market_ns
        and name not in (SWAN_LOCK, SWAN_ALERT)
        and not name.startswith(STREAK_LOCK)
        and scope.issuperset(name.split(":")[1:])
    )
    return max(covering, key=lambda lock: lock.until_ns, default=None)


def latched(ledger: Ledger) -> str:
    """Which latches hold, in words; empty when none does."""
    set_now = [ledger.latches[latch] for latch in Latch if latch in ledger.latches]
    return "; ".join(f"{fact.latch} by {fact.by}" + (f": {fact.reason}" if fact.reason else "") for fact in set_now)


def _latch(case: Case) -> Verdict:
    if case.ledger.state is TradingState.ACTIVE:
        return allow("latch")
    return refuse("latch", latched(case.ledger))


def _lease(case: Case) -> Verdict:
    return lease.judge(case.ledger, case.lock, case.at_ns, case.mono_ns)


def _swan(case: Case) -> Verdict:
    lock = held(case.ledger, SWAN_LOCK, case.market_ns) or held(case.ledger, SWAN_ALERT, case.market_ns)
    if lock is None or case.signal.side is not Side.BUY:
        return allow("swan", *case.falls)
    return refuse("swan", lock.reason, *case.falls, side=Side.BUY, until_ns=lock.until_ns)


def _blind(case: Case) -> Verdict:
    limit_ms = case.shield.stale_ms
    reasons = [
        unseen(case.signal.symbol, case.quote, limit_ms),
        unseen(case.shield.swan_symbol, case.swan_quote, limit_ms),
    ]
    ages = tuple(
        Reading(f"age {quote.symbol}", quote.age_ms, limit_ms, "ms")
        for quote in (case.quote, case.swan_quote)
        if quote is not None and quote.age_ms is not None
    )
    reason = next(filter(None, reasons), "")
    return refuse("blind", reason, *ages) if reason else allow("blind", *ages)


def _spread(case: Case) -> Verdict:
    spread, limit = case.quote.spread_bp, case.shield.max_spread_bp
    reading = Reading("spread", spread, limit, "bp")
    if spread <= limit:
        return allow("spread", reading)
    return refuse("spread", f"spread {spread:.1f} bp over {limit:g}", reading)


def _streak(case: Case) -> Verdict:
    losses = case.ledger.streaks.get(case.signal.strategy, 0)
    reading = Reading("losses in row", losses, case.shield.loss_streak)
    lock = held(case.ledger, f"{STREAK_LOCK}{case.signal.strategy}", case.market_ns)
    if lock is None:
        return allow("streak", reading)
    return refuse("streak", lock.reason, reading, until_ns=lock.until_ns)


def _cooldown(case: Case) -> Verdict:
    lock = cooldown(case.ledger, case.market_ns, frozenset((case.signal.symbol, case.signal.strategy)))
    return allow("cooldown") if lock is None else refuse("cooldown", lock.reason, until_ns=lock.until_ns)


def _symbol(case: Case) -> Verdict:
    ledger, symbol = case.ledger, case.signal.symbol
    if symbol in ledger.positions:
        return refuse("symbol", f"{symbol}: P{ledger.positions[symbol].intent} is open")
    if symbol in ledger.foreign:
        return refuse("symbol", f"{symbol}: {ledger.foreign[symbol]} that is not ours")
    if any(order.leg is not Leg.ENTRY for order in ledger.alive(symbol)):
        # reduce-only, but what it reduces is whatever is held when it arrives
        return refuse("symbol", f"{symbol}: an exit is still under way")
    entry = next(ledger.alive(symbol, Leg.ENTRY), None)
    return allow("symbol") if entry is None else refuse("symbol", f"{symbol}: P{entry.intent} is on its way")


def _proposal(case: Case) -> Verdict:
    # A card is judged again when it is approved; it does not stand in its own way.
    for proposal in case.ledger.proposals.values():
        if proposal.status.open and proposal.symbol == case.signal.symbol and proposal.signal != case.signal:
            return refuse("proposal", f"{proposal.symbol}: {proposal.handle} waits for an answer")
    return allow("proposal")


def _day_loss(case: Case) -> Verdict:
    return day_loss(case.ledger, case.risk)


SIGNAL_GUARDS: Final[tuple[Callable[[Case], Verdict], ...]] = (
    _latch,
    _lease,
    _swan,
    _blind,
    _spread,
    _streak,
    _cooldown,
    _symbol,
    _proposal,
    _day_loss,
)
