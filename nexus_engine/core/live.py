"""The lock on real money: a typed phrase opens a LIVE account's entries for some hours, a check that fails closes them.

The judgement is the Shield's (`shield/lease.py`); here is what changes it.
"""

from nexus_engine.model.commands import live_phrase
from nexus_engine.model.facts import Leased
from nexus_engine.model.turn import Turn
from nexus_engine.model.words import AccountKind, Level
from nexus_engine.shield.lease import HOUR_NS
from nexus_engine.shield.manager import Shield


def unlock(turn: Turn, shield: Shield, word: str, hours: float, by: str) -> str:
    """A person typed the phrase; returns what to tell them."""
    if turn.ledger.kind is not AccountKind.LIVE:
        return "only the entries of a LIVE account are locked"
    phrase = live_phrase(turn.ledger.account)
    if word != phrase:
        return f"entries stay locked: type {phrase}"
    turn.record(Leased(at_ns=turn.at_ns, until_ns=turn.at_ns + round(hours * HOUR_NS), by=by))
    turn.note(Level.WARN, "account", f"LIVE entries unlocked for {hours:g} h", by)
    return f"entries unlocked for {hours:g} h" + (f"; still locked: {shield.unfit}" if shield.unfit else "")


def expire(turn: Turn) -> None:
    """Say it when the lease has run out."""
    if 0 < turn.ledger.lease_until_ns <= turn.at_ns:
        turn.record(Leased(at_ns=turn.at_ns, until_ns=0, by="bot"))
        turn.note(Level.WARN, "account", "the lease has ended: LIVE entries are locked again")


def checked(turn: Turn, shield: Shield, problem: str) -> None:
    """Account and key were looked at."""
    was, shield.unfit = shield.unfit, problem
    if problem and problem != was:
        turn.note(Level.ALARM, "account", f"LIVE entries are locked: {problem}", "doctor")
    elif was and not problem:
        turn.note(Level.GOOD, "account", "account and key are fit for real money", "doctor")
