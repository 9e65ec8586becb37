"""What traders learn to leave alone: a symbol that was just left, one that keeps stopping out or earns nothing, and
funding that eats the trade. What a closed trade leads to is set here as a lock; each lock has a guard that reads it."""

from collections import Counter
from itertools import islice
from math import isfinite
from typing import Final

from nexus_engine.model.config import ShieldConfig
from nexus_engine.model.facts import GuardTripped, LockSet
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.positions import ClosedTrade
from nexus_engine.model.turn import Turn
from nexus_engine.model.verdicts import Reading, Verdict, allow, refuse
from nexus_engine.model.words import Leg, Level, Side
from nexus_engine.shield.blackswan import MINUTE_NS, SECOND_NS
from nexus_engine.shield.case import Case

EXIT_LOCK: Final = "cooldown"
STOPS_LOCK: Final = "stops"
LOW_LOCK: Final = "low"
OWN: Final = (STOPS_LOCK, LOW_LOCK)
"""Locks, by the word before the colon, that a guard of their own looks at."""


# ---- what a closed trade leads to ------------------------------------------------------------------------------------


def closed(turn: Turn, trade: ClosedTrade, config: ShieldConfig) -> None:
    """Call once for each trade that closed."""
    if config.exit_pause_min:
        until_ns = turn.market_ns + config.exit_pause_min * MINUTE_NS
        reason = f"{trade.symbol}: P{trade.intent} has just been closed"
        turn.record(LockSet(at_ns=turn.at_ns, name=f"{EXIT_LOCK}:{trade.symbol}", until_ns=until_ns, reason=reason))
    side = _stopped(turn.ledger, trade)
    if side is not None:
        _count_stops(turn, trade, side, config)
    _look_at_profit(turn, trade.symbol, config)


def _count_stops(turn: Turn, trade: ClosedTrade, side: Side, config: ShieldConfig) -> None:
    counts = stop_outs(turn.ledger, turn.at_ns, config)
    for scope, what, limit in _stop_limits(trade.symbol, side, config):
        if counts[scope] >= limit:
            name = f"{STOPS_LOCK}:{scope}" if scope else STOPS_LOCK
            reason = (
                f"{counts[scope]} stops of {what} within {config.stops_window_min} min, the last was P{trade.intent}"
            )
            readings = (Reading(f"stops {what}", counts[scope], limit),)
            _pause(turn, name, what, reason, readings, config.stops_pause_min)


def _look_at_profit(turn: Turn, symbol: str, config: ShieldConfig) -> None:
    count, made = last_trades(turn.ledger, symbol, config)
    if config.low_trades and count >= config.low_trades and made < config.low_r:
        reason = f"{symbol}: its last {count} trades made {made:+.1f} R, limit {config.low_r:+g} R"
        readings = (Reading(f"last {count} trades", made, config.low_r, "R"),)
        _pause(turn, f"{LOW_LOCK}:{symbol}", symbol, reason, readings, config.low_pause_min)


def _pause(turn: Turn, name: str, what: str, reason: str, readings: tuple[Reading, ...], minutes: int) -> None:
    until_ns = turn.market_ns + minutes * MINUTE_NS
    verdict = refuse(name.partition(":")[0], reason, *readings, until_ns=until_ns)
    turn.record(GuardTripped(at_ns=turn.at_ns, verdict=verdict))
    turn.record(LockSet(at_ns=turn.at_ns, name=name, until_ns=until_ns, reason=reason))
    turn.note(Level.WARN, what, f"{what}: no entries for {minutes} min: {reason}", "shield")


def _stop_limits(symbol: str, side: Side, config: ShieldConfig) -> tuple[tuple[str, str, int], ...]:
    """(scope of the lock, in words, limit)."""
    sides = "longs" if side is Side.BUY else "shorts"
    return (
        (symbol, symbol, config.stops_symbol),
        (side.value, sides, config.stops_side),
        ("", "the account", config.stops_account),
    )


def stop_outs(ledger: Ledger, at_ns: int, config: ShieldConfig) -> Counter[str]:
    """How many losing trades a stop has ended within the window: by symbol, by side, and under "" in all."""
    found: Counter[str] = Counter()
    if not config.stops_window_min:
        return found
    for trade in reversed(ledger.closed):
        if trade.closed_ns <= at_ns - config.stops_window_min * MINUTE_NS:
            break
        side = _stopped(ledger, trade)
        if side is not None:
            found.update((trade.symbol, side.value, ""))
    return found


def _stopped(ledger: Ledger, trade: ClosedTrade) -> Side | None:
    """The side of a losing trade that a stop has ended; None for any other."""
    if trade.pnl >= 0:
        return None
    return next(
        (
            order.side.opposite
            for order in reversed(ledger.orders.values())
            if order.intent == trade.intent and order.leg is Leg.STOP and order.filled
        ),
        None,
    )


def last_trades(ledger: Ledger, symbol: str, config: ShieldConfig) -> tuple[int, float]:
    """How many of the symbol's newest trades are looked at, and what they made, in R."""
    of_it = (trade.r for trade in reversed(ledger.closed) if trade.symbol == symbol)
    made = list(islice(of_it, config.low_trades))
    return len(made), sum(made)


# ---- guards ----------------------------------------------------------------------------------------------------------


def stops(case: Case) -> Verdict:
    """Stops that filled lately, on the symbol, of the side and in all."""
    counts = stop_outs(case.ledger, case.at_ns, case.shield)
    limits = _stop_limits(case.signal.symbol, case.signal.side, case.shield)
    readings = tuple(Reading(f"stops {what}", counts[scope], limit) for scope, what, limit in limits)
    names = tuple(f"{STOPS_LOCK}:{scope}" if scope else STOPS_LOCK for scope, _, _ in limits)
    return _locked("stops", case, names, readings)


def low_profit(case: Case) -> Verdict:
    """What the symbol's last trades made."""
    count, made = last_trades(case.ledger, case.signal.symbol, case.shield)
    reading = Reading(f"last {count} trades", made, case.shield.low_r, "R")
    return _locked("low profit", case, (f"{LOW_LOCK}:{case.signal.symbol}",), (reading,))


def _locked(guard: str, case: Case, names: tuple[str, ...], readings: tuple[Reading, ...]) -> Verdict:
    locks = [lock for name in names if (lock := case.ledger.locks.get(name)) and lock.until_ns > case.market_ns]
    if not locks:
        return allow(guard, *readings)
    lock = max(locks, key=lambda lock: lock.until_ns)
    return refuse(guard, lock.reason, *readings, until_ns=lock.until_ns)


def funding(case: Case) -> Verdict:
    """What the side would pay, and how near the settlement is."""
    quote, limit, quiet_s = case.quote, case.shield.max_funding_bp, case.shield.funding_quiet_s
    pays_bp = quote.funding_rate * 1e4 * 8.0 / quote.funding_h * case.signal.side.sign
    if not isfinite(pays_bp):
        return refuse("funding", f"{quote.symbol}: its funding is not a number")
    readings = [Reading("funding in 8 h", pays_bp, limit, "bp")]
    if pays_bp > limit:
        return refuse("funding", f"{case.signal.side} pays {pays_bp:.1f} bp in 8 h, limit {limit:g}", *readings)
    if not quote.next_funding_ns:
        return allow("funding", *readings)
    # whole nanoseconds: at `until_ns` itself an entry may leave
    period_ns, quiet_ns = round(quote.funding_h * 3600) * SECOND_NS, quiet_s * SECOND_NS
    left_ns = (quote.next_funding_ns - case.market_ns) % period_ns
    near_ns = min(left_ns, period_ns - left_ns)
    near_s = near_ns / SECOND_NS
    readings.append(Reading("to the settlement", near_s, quiet_s, "s"))
    if near_ns >= quiet_ns:
        return allow("funding", *readings)
    after = left_ns > near_ns
    reason = f"funding {'was' if after else 'is'} settled {f'{near_s:.0f} s ago' if after else f'in {near_s:.0f} s'}"
    until_ns = case.market_ns + quiet_ns + (-near_ns if after else near_ns)
    return refuse("funding", reason, *readings, until_ns=until_ns)
