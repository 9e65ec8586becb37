"""The lock on real money: a typed phrase opens a LIVE account's entries for some hours, a check that fails closes them.

The judgement is the Shield's (`shield/lease.py`); here is what changes it.
"""

from nexus_engine.model.commands import live_phrase
from nexus_engine.model.facts import Leased
from nexus_engine.model.turn import Turn
from nexus_engine.model.words import AccountKind, Level
from nexus_engine.servos.manager import Manager
from nexus_engine.shield.lease import HOUR_NS, Lock


def unlock(turn: Turn, lock: Lock, word: str, hours: float, by: str) -> str:
    """A person typed the phrase; returns what to tell them."""
    if turn.ledger.kind is not AccountKind.LIVE:
        return "only the entries of a LIVE account are locked"
    phrase = live_phrase(turn.ledger.account)
    if word != phrase:
        return f"entries stay locked: type {phrase}"
    span_ns = round(hours * HOUR_NS)
    turn.record(Leased(at_ns=turn.at_ns, until_ns=turn.at_ns + span_ns, by=by))
    lock.until_mono_ns = turn.mono_ns + span_ns
    turn.note(Level.WARN, "account", f"LIVE entries unlocked for {hours:g} h", by)
    return f"entries unlocked for {hours:g} h" + (f"; still locked: {lock.unfit}" if lock.unfit else "")


def expire(turn: Turn, lock: Lock, manager: Manager) -> None:
    """When the lease has run out, end what still works under it, and say so. Exits and stops stay alive."""
    if turn.ledger.lease_until_ns and lock.left_ns(turn.ledger, turn.at_ns, turn.mono_ns) <= 0:
        turn.record(Leased(at_ns=turn.at_ns, until_ns=0, by="bot"))
        count = manager.cancel_entries(turn)
        cancelled = f"; cancelling {count} working" if count else ""
        turn.note(Level.WARN, "account", f"the lease has ended: LIVE entries are locked again{cancelled}")


def checked(turn: Turn, lock: Lock, problem: str) -> None:
    """Account and key were looked at."""
    was, lock.unfit = lock.unfit, problem
    if problem and problem != was:
        turn.note(Level.ALARM, "account", f"LIVE entries are locked: {problem}", "doctor")
    elif was and not problem:
        turn.note(Level.GOOD, "account", "account and key are fit for real money", "doctor")
