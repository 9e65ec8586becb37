"""Real money: entries need a person's typed phrase, for some hours, and an account that was found fit."""

from typing import Final

from nexus_engine.model.ledger import Ledger
from nexus_engine.model.verdicts import Reading, Verdict, allow, refuse
from nexus_engine.model.words import AccountKind, Ruling

GUARD: Final = "lease"
UNCHECKED: Final = "the account has not been checked yet"
LOCKED: Final = "LIVE entries are locked; `unlock` in the menu opens them"
HOUR_NS: Final = 3_600_000_000_000


class Lock:
    """What a LIVE account's entries wait for. It lives as long as a run, as a lease does."""

    def __init__(self) -> None:
        self.unfit = UNCHECKED
        """What the last check of account and key found; empty when nothing."""
        self.until_mono_ns = 0
        """The lease by the clock that nobody can set."""

    def left_ns(self, ledger: Ledger, at_ns: int, mono_ns: int) -> int:
        """What is left of the lease, by whichever clock ends it first; none is 0 or less."""
        return min(ledger.lease_until_ns - at_ns, self.until_mono_ns - mono_ns)


def judge(ledger: Ledger, lock: Lock, at_ns: int, mono_ns: int) -> Verdict:
    """Whether a LIVE account may enter; every other kind may. `at_ns` is UTC."""
    if ledger.kind is not AccountKind.LIVE:
        return allow(GUARD)
    if lock.unfit:
        return refuse(GUARD, f"LIVE entries are locked: {lock.unfit}")
    left_ns = lock.left_ns(ledger, at_ns, mono_ns)
    if left_ns <= 0:
        return refuse(GUARD, LOCKED)
    left = Reading("lease left", left_ns / HOUR_NS, unit="h")
    return Verdict(guard=GUARD, ruling=Ruling.ALLOW, inputs=(left,), until_ns=ledger.lease_until_ns)
