"""Is the journal whole, and does it give the trading state that was sealed into it?"""

import sqlite3
from pathlib import Path

import msgspec

from nexus_engine.model.facts import Sealed
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.ports import JournalError
from nexus_engine.store.rows import Tail, decode_fact, follows, genesis, instance_of, reading, rows


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. `state_digest` is of the state after the last fact; `problems` has the first of each kind."""

    ok: bool
    facts: int
    commits: int
    epoch: int
    chain_ok: bool
    first_bad_seq: int | None
    digests_checked: int
    state_digest: str
    problems: tuple[str, ...]
    latches: tuple[str, ...] = ()
    """Those that hold after the last fact."""


def verify(path: Path) -> Report:
    """Check every row and every seal of a journal, beside a live writer too. Raises JournalError when there is none."""
    check = _Check()
    with reading(path) as conn:
        try:
            (found,) = conn.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                check.problems.setdefault("file", f"the file is damaged: {found.splitlines()[-1]}")
            check.read(conn)
        except sqlite3.DatabaseError as error:
            check.problems.setdefault("file", f"the file is damaged after row {check.tail.seq}: {error}")
    return check.report()


class _Check:
    def __init__(self) -> None:
        self.tail = Tail(0, b"")
        self.ledger = Ledger()
        self.problems: dict[str, str] = {}
        self.first_bad_seq: int | None = None
        self.facts = self.commits = self.epoch = self.seals = 0

    def read(self, conn: sqlite3.Connection) -> None:
        turn, self.tail = 0, genesis(instance_of(conn))
        for row in rows(conn):
            if not follows(row, self.tail):
                self.first_bad_seq = self.first_bad_seq or row.seq
                self.problems.setdefault(
                    "chain", f"row {row.seq} ({row.kind}) does not follow row {self.tail.seq}: something was changed"
                )
            if row.epoch < self.epoch:
                self.problems.setdefault("epoch", f"row {row.seq} is of writer {row.epoch}, after writer {self.epoch}")
            self.facts += 1
            self.commits += row.turn != turn
            turn, self.tail, self.epoch = row.turn, row.tail, max(row.epoch, self.epoch)
            try:
                fact = decode_fact(row)
                self.ledger.apply(fact)
            except JournalError as error:
                self.problems.setdefault("body", str(error))
                continue
            except (LookupError, ArithmeticError) as error:
                # Only facts that were tampered with lead to what cannot be, such as a fill of no order.
                self.problems.setdefault("fold", f"row {row.seq} ({row.kind}) does not fit what came before: {error!r}")
                continue
            if isinstance(fact, Sealed):
                self.seals += 1
                if fact.digest != self.ledger.digest():
                    self.problems.setdefault("seal", f"row {row.seq} seals another trading state than the rows give")

    def report(self) -> Report:
        return Report(
            ok=not self.problems,
            facts=self.facts,
            commits=self.commits,
            epoch=self.epoch,
            chain_ok="chain" not in self.problems,
            first_bad_seq=self.first_bad_seq,
            digests_checked=self.seals,
            state_digest=self.ledger.digest(),
            problems=tuple(self.problems.values()),
            latches=tuple(self.ledger.latches),
        )
