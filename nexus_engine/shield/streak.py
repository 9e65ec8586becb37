"""Guards on losses: in a row by strategy, and in a day or a week by account."""

from decimal import Decimal

from nexus_engine.model.config import RiskConfig, ShieldConfig, percent_of
from nexus_engine.model.facts import GuardTripped, LatchSet, LockSet, StreakTripped
from nexus_engine.model.ledger import DAY_NS, STREAK_LOCK, Ledger, Tally, day_of, week_of
from nexus_engine.model.turn import Turn
from nexus_engine.model.verdicts import Reading, Verdict, allow, refuse
from nexus_engine.model.words import Latch, Level
from nexus_engine.shield.blackswan import MINUTE_NS


def limit_of(config: ShieldConfig, strategy: str) -> int:
    """How many losses in a row a strategy may have. A run of that many within 100 trades is rarer than 1 in 20 for a
    healthy one: 8 at 40 % of losses, 10 at 50 %, 15 for trends."""
    return config.loss_streaks.get(strategy, config.loss_streak)


def pause(turn: Turn, strategy: str, config: ShieldConfig) -> None:
    """Lock a strategy out that has lost too often in a row: once for each further losing trade, also across restarts,
    since the lock in the ledger names the trade that set it.

    A loss while it pauses (of a trade that was open by then) only prolongs the pause. The second pause of a UTC day,
    of whatever strategy, latches BREAKER.
    """
    ledger = turn.ledger
    losses, limit = ledger.streaks.get(strategy, 0), limit_of(config, strategy)
    if losses < limit:
        return
    last = next(trade.intent for trade in reversed(ledger.closed) if trade.strategy == strategy)
    name, reason = f"{STREAK_LOCK}{strategy}", f"{losses} losses in a row, the last was P{last}"
    lock = ledger.locks.get(name)
    if lock is not None and lock.reason == reason:
        return
    pausing = lock is not None and lock.until_ns > turn.market_ns
    until_ns = turn.market_ns + config.loss_pause_min * MINUTE_NS
    verdict = refuse("streak", reason, Reading("losses in row", losses, limit), until_ns=until_ns)
    turn.record(GuardTripped(at_ns=turn.at_ns, verdict=verdict))
    turn.record(LockSet(at_ns=turn.at_ns, name=name, until_ns=until_ns, reason=reason))
    turn.note(Level.WARN, strategy, f"{strategy} pauses for {config.loss_pause_min} min: {reason}")
    if pausing:
        return
    turn.record(StreakTripped(at_ns=turn.at_ns, strategy=strategy, losses=losses))
    trips = int(ledger.trips.of(day_of(turn.at_ns)))
    if trips >= 2 and Latch.BREAKER not in ledger.latches:
        why = f"{strategy}: {reason}; trip {trips} of the day"
        turn.record(LatchSet(at_ns=turn.at_ns, latch=Latch.BREAKER, on=True, by="shield", reason=why))
        turn.note(Level.ALARM, "account", f"{Latch.BREAKER}: {why}", "shield")


def day_loss(ledger: Ledger, risk: RiskConfig, day_pnl: Decimal) -> Verdict:
    """What the day has lost, by the change of equity that the header and the gauge tell."""
    lost = -day_pnl
    limit = percent_of(risk.day_loss_pct, ledger.day_equity)
    reading = Reading("day loss", float(lost), float(limit))
    if lost > 0 and lost >= limit:
        return refuse("day loss", f"the day has lost {lost:.2f}, limit {limit:.2f}", reading)
    return allow("day loss", reading)


def day_r(ledger: Ledger, risk: RiskConfig, at_ns: int, market_ns: int) -> Verdict:
    """R of the trades that closed since 00:00 UTC."""
    day = day_of(at_ns)
    left_ns = (day + 1) * DAY_NS - at_ns
    return _spent("day R", ledger.day_r, day, risk.day_loss_r, "day", "00:00", market_ns + left_ns)


def week_r(ledger: Ledger, risk: RiskConfig, at_ns: int, market_ns: int) -> Verdict:
    """R of the trades that closed since Monday, 00:00 UTC."""
    week = week_of(day_of(at_ns))
    left_ns = ((week + 1) * 7 - 3) * DAY_NS - at_ns
    return _spent("week R", ledger.week_r, week, risk.week_loss_r, "week", "Monday", market_ns + left_ns)


def _spent(guard: str, tally: Tally, period: int, limit: float, what: str, ends: str, until_ns: int) -> Verdict:
    lost = max(0.0, -tally.of(period))
    reading = Reading(f"{what} loss", lost, limit, "R")
    if lost < limit:
        return allow(guard, reading)
    reason = f"the {what} has lost {lost:.1f} R, limit {limit:g} R, until {ends} UTC"
    return refuse(guard, reason, reading, until_ns=until_ns)
