"""Real money: entries need a person's typed phrase, for some hours, and an account that was found fit."""

from typing import Final

from nexus_engine.model.ledger import Ledger
from nexus_engine.model.verdicts import Reading, Verdict, allow, refuse
from nexus_engine.model.words import AccountKind, Ruling

GUARD: Final = "lease"
UNCHECKED: Final = "the account has not been checked yet"
LOCKED: Final = "LIVE entries are locked; `unlock` in the menu opens them"
HOUR_NS: Final = 3_600_000_000_000


def judge(ledger: Ledger, at_ns: int, unfit: str) -> Verdict:
    """`unfit` says what the last check of account and key found; empty when nothing. `at_ns` is UTC."""
    if ledger.kind is not AccountKind.LIVE:
        return allow(GUARD)
    if unfit:
        return refuse(GUARD, f"LIVE entries are locked: {unfit}")
    left_ns = ledger.lease_until_ns - at_ns
    if left_ns <= 0:
        return refuse(GUARD, LOCKED)
    left = Reading("lease left", left_ns / HOUR_NS, unit="h")
    return Verdict(guard=GUARD, ruling=Ruling.ALLOW, inputs=(left,), until_ns=ledger.lease_until_ns)
