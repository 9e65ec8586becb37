"""The guards that judge a signal, one function each, and the table of them."""

from collections.abc import Callable
from typing import Final

from msgspec import UNSET

from nexus_engine.model.facts import SWAN_ALERT, SWAN_LOCK, LockSet
from nexus_engine.model.ledger import STREAK_LOCK, Ledger
from nexus_engine.model.verdicts import Reading, Verdict, allow, refuse
from nexus_engine.model.words import Latch, Leg, Macro, Side, TradingState
from nexus_engine.shield import lease, macro, protections, stopless
from nexus_engine.shield.blackswan import MINUTE_NS
from nexus_engine.shield.breaker import day_orders
from nexus_engine.shield.case import Case, held
from nexus_engine.shield.staleness import unseen
from nexus_engine.shield.streak import day_loss, day_r, limit_of, week_r

_OWN: Final = frozenset({SWAN_LOCK, SWAN_ALERT, STREAK_LOCK.rstrip(":"), *protections.OWN})


def cooldown(ledger: Ledger, market_ns: int, scope: frozenset[str], *, others: bool = False) -> LockSet | None:
    """The longest lock that covers this scope (symbols, strategies, sides), of those that no guard of their own looks
    at, or of all but the swan's and the streaks' with `others`."""
    covering = (
        lock
        for name, lock in ledger.locks.items()
        if lock.until_ns > market_ns
        and (name.partition(":")[0] not in _OWN or (others and name in protections.OWN))
        and scope.issuperset(name.split(":")[1:])
    )
    return max(covering, key=lambda lock: lock.until_ns, default=None)


def latched(ledger: Ledger) -> str:
    """Which latches hold, in words; empty when none does."""
    if not ledger.latches:
        return ""
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


def _volume(case: Case) -> Verdict:
    traded, limit = case.signal.turnover, case.shield.min_day_volume
    if traded is UNSET:
        return allow("volume")
    reading = Reading("traded in 24 h", traded / 1e6, limit, "M")
    if traded >= limit * 1e6:
        return allow("volume", reading)
    return refuse("volume", f"traded {traded / 1e6:.0f} M in 24 h, least {limit:g}", reading)


def _streak(case: Case) -> Verdict:
    losses = case.ledger.streaks.get(case.signal.strategy, 0)
    reading = Reading("losses in row", losses, limit_of(case.shield, case.signal.strategy))
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
    for proposal in case.ledger.cards():
        if proposal.symbol == case.signal.symbol and proposal.signal != case.signal:
            return refuse("proposal", f"{proposal.symbol}: {proposal.handle} waits for an answer")
    return allow("proposal")


def _day_loss(case: Case) -> Verdict:
    return day_loss(case.ledger, case.risk, case.day_pnl)


def _day_r(case: Case) -> Verdict:
    return day_r(case.ledger, case.risk, case.at_ns, case.market_ns)


def _week_r(case: Case) -> Verdict:
    return week_r(case.ledger, case.risk, case.at_ns, case.market_ns)


def _macro(case: Case) -> Verdict:
    """Only SHARK lets a hunter enter; the others do not ask."""
    if case.signal.strategy not in macro.HUNTERS:
        return allow("macro")
    past, watch = case.ledger.macro, case.macro
    age_min = watch.age_ns(past, case.at_ns, case.mono_ns) / MINUTE_NS if past.source else 0.0
    readings = (
        Reading("age", age_min, macro.STALE_NS / MINUTE_NS, "min"),
        *macro.readings_of(watch.judged(past)),
    )
    state = watch.state(past, case.at_ns, case.mono_ns)
    if state is Macro.SHARK:
        return allow("macro", *readings)
    return refuse("macro", f"macro is {state}: no entries for {case.signal.strategy}", *readings)


def _day_orders(case: Case) -> Verdict:
    return day_orders(case.ledger, case.shield)


SIGNAL_GUARDS: Final[tuple[Callable[[Case], Verdict], ...]] = (
    _latch,
    _lease,
    _swan,
    _blind,
    _spread,
    _volume,
    protections.funding,
    _streak,
    _cooldown,
    protections.stops,
    protections.low_profit,
    _symbol,
    _proposal,
    _day_loss,
    lambda case: stopless.judge(case.ledger, case.at_ns),
    _day_r,
    _week_r,
    _macro,
    _day_orders,
)
