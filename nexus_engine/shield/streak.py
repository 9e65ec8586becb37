"""Guards on losses: in a row by strategy, and in a day by account."""

from decimal import Decimal
from typing import Final

from nexus_engine.model.config import RiskConfig, ShieldConfig, percent_of
from nexus_engine.model.facts import GuardTripped, LockSet
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.turn import Turn
from nexus_engine.model.verdicts import Reading, Verdict, allow, refuse
from nexus_engine.model.words import Level
from nexus_engine.shield.blackswan import MINUTE_NS

LOCK: Final = "streak:"


def pause(turn: Turn, strategy: str, config: ShieldConfig) -> None:
    """Lock a strategy out that has lost too often in a row: once for each further losing trade, also across restarts,
    since the lock in the ledger names the trade that set it."""
    losses = turn.ledger.streaks.get(strategy, 0)
    if losses < config.loss_streak:
        return
    last = next(trade.intent for trade in reversed(turn.ledger.closed) if trade.strategy == strategy)
    name, reason = f"{LOCK}{strategy}", f"{losses} losses in a row, the last was P{last}"
    lock = turn.ledger.locks.get(name)
    if lock is not None and lock.reason == reason:
        return
    until_ns = turn.market_ns + config.loss_pause_min * MINUTE_NS
    verdict = refuse("streak", reason, Reading("losses in row", losses, config.loss_streak), until_ns=until_ns)
    turn.record(GuardTripped(at_ns=turn.at_ns, verdict=verdict))
    turn.record(LockSet(at_ns=turn.at_ns, name=name, until_ns=until_ns, reason=reason))
    turn.note(Level.WARN, strategy, f"{strategy} pauses for {config.loss_pause_min} min: {reason}")


def day_loss(ledger: Ledger, risk: RiskConfig, open_pnl: Decimal = Decimal(0)) -> Verdict:
    """What the day has lost: realised, fees included, and `open_pnl` where the caller knows it."""
    lost = ledger.day_fees - ledger.day_realised - open_pnl
    limit = percent_of(risk.day_loss_pct, ledger.day_equity)
    reading = Reading("day loss", float(lost), float(limit))
    if lost > 0 and lost >= limit:
        return refuse("day loss", f"the day has lost {lost:.2f}, limit {limit:.2f}", reading)
    return allow("day loss", reading)
