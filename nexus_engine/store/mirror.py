"""The journal's mirror on a PostgreSQL server, and the account's lock there: one thread that nobody waits for.

It holds no queue. It reads from SQLite what the server does not have yet, so an outage of any length costs no memory,
and after it the server's own last row says where to go on: nothing is lost, nothing is there twice.
"""

import logging
import sqlite3
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from nexus_engine.store.rows import COLUMNS, Row, Tail

if TYPE_CHECKING:  # psycopg is imported where a server is configured
    from nexus_engine.store.postgres import Entry, Owner, Session

log = logging.getLogger(__name__)

BATCH: Final = 500
LOOK_S: Final = 0.2
ALIVE_S: Final = 1.0
_BACKOFF_S: Final = (0.5, 5.0)
_GHOST_S: Final = 30.0
"""How long the server may take our own old session for alive, before whoever has the lock is taken for a copy of us."""


class Standing(NamedTuple):
    """What the thread knows, whole at any moment."""

    problem: str = ""
    """What is wrong, for the screen; empty when all is well."""
    hindrance: str = ""
    """Why entries must stay away; empty when they need not."""
    latch: bool = False
    """The hindrance is another writer, which is for a person to judge."""
    lost: str = ""
    """The server knows more of this journal than the journal itself, or something else in its place."""
    epoch: int = 0
    """The fence; 0 before the server gave one."""
    holds: bool = False
    behind: int = 0
    """Facts that the server does not have yet."""


class Mirror:
    """Start it when the journal is open. `owner` is whose journal it is; `dsn` as libpq has it."""

    def __init__(self, path: Path, owner: "Owner", dsn: str, *, lock: bool = True) -> None:
        self.standing = Standing()
        self._path = path
        self._owner = owner
        self._dsn = dsn
        self._wants_lock = lock
        self._seq = -1
        """How far the server has it; -1 while that is not known."""
        self._epoch = 0
        self._held = self._up = False
        self._ghost_since_s: float | None = None
        self._lost = ""
        self._forked = ""
        self._answered = threading.Event()
        self._end = threading.Event()
        self._end_by_s = float("inf")
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)

    def start(self) -> None:
        """Begin; a server that is not there is tried again for ever."""
        self._thread.start()

    def first(self, within_s: float) -> int:
        """Wait until the server has answered or failed for the first time; the epoch that it gave, or 0."""
        self._answered.wait(within_s)
        return self.standing.epoch

    def close(self, within_s: float = 2.0) -> None:
        """Bring over what is left where the server takes it in time, and end. Idempotent."""
        self._end_by_s = time.monotonic() + within_s
        self._end.set()
        if self._thread.ident is not None:
            self._thread.join(within_s + 1.0)

    # ---- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        from psycopg import Error

        from nexus_engine.store.postgres import Session, connect

        delay_s = _BACKOFF_S[0]
        name = f"nexus {self._owner.account} {self._owner.kind}"
        while not self._end.is_set():
            try:
                with connect(self._dsn, name) as conn:
                    self._serve(Session(conn, self._owner))
            except (Error, OSError, sqlite3.Error) as error:
                if self._up or not self._answered.is_set():
                    log.warning("PostgreSQL: %s", _line(error))
                    delay_s = _BACKOFF_S[0]
                self._up = False
                self._down(_line(error))
                self._answered.set()
                self._end.wait(delay_s)
                delay_s = min(delay_s * 2, _BACKOFF_S[1])
            # Supervision boundary: a mirror that fails must neither end in silence nor take anything with it.
            except Exception as error:
                log.exception("the mirror failed")
                self._down(f"the mirror failed ({type(error).__name__}); see the log")
                self._answered.set()
                self._end.wait(_BACKOFF_S[1])

    def _serve(self, session: "Session") -> None:
        local = _reader(self._path)
        try:
            self._enrol(session, local)
            self._seq = self._resume(session, local)
            self._tell(local)
            self._up = True
            self._answered.set()
            asked_s = time.monotonic()
            while True:
                ending = self._end.is_set()
                moved = self._bring(session, local)
                if ending:
                    return
                if not moved and time.monotonic() - asked_s >= ALIVE_S:
                    asked_s = time.monotonic()
                    if self._wants_lock and not self.standing.holds:
                        self._enrol(session, local)
                    else:
                        session.alive()
                self._tell(local)
                if not moved:
                    self._end.wait(LOOK_S)
        finally:
            local.close()

    def _enrol(self, session: "Session", local: sqlite3.Connection) -> None:
        """Take the lock, or see who has it; and be in the list of writers."""
        if not self._wants_lock:
            return
        got, holder, owner = session.lock(), session.holder(), self._owner
        if got:
            overtaken = self._held and holder is not None and holder.epoch > self._epoch
            if overtaken or not self._held or holder is None:
                (own,) = local.execute("SELECT epoch FROM meta").fetchone()
                least = own if self._answered.is_set() else own + 1
                self._epoch = session.enrol(least, holds=True)
            self._held, self._ghost_since_s = True, None
            if overtaken and holder is not None:
                self._lost = f"{_who(holder)} has written on this account while the lock was lost"
            self._set(holds=True, epoch=self._epoch, problem="", hindrance="", latch=False)
            return
        if not self._epoch:
            (own,) = local.execute("SELECT epoch FROM meta").fetchone()
            self._epoch = session.enrol(own + 1, holds=False)
        now_s = time.monotonic()
        ghost = holder is None or self._is_self(holder)
        if ghost and self._ghost_since_s is None:
            self._ghost_since_s = now_s
        if ghost and now_s - (self._ghost_since_s or now_s) < _GHOST_S:
            problem, latch = "waiting for the account's lock: an earlier session of ours still has it", False
        else:
            copied = holder is not None and holder.instance == owner.instance
            problem = f"another machine has this account: {_who(holder)}" + (", with a copy of this journal" * copied)
            latch = True
        self._set(holds=False, epoch=self._epoch, problem=problem, hindrance=problem, latch=latch)

    def _is_self(self, entry: "Entry") -> bool:
        return (entry.instance, entry.machine) == (self._owner.instance, self._owner.machine)

    def _resume(self, session: "Session", local: sqlite3.Connection) -> int:
        """How far the server has our rows: its last one, or the last one that is ours too where it knows others."""
        last = session.last()
        if last is None:
            return 0
        _, tail = last
        if _has(local, tail):
            return tail.seq
        self._lost = (
            f"PostgreSQL knows facts of this journal, up to row {tail.seq}, that are not in it: "
            "it was cut off, or comes from a backup"
        )
        return next((end.seq for end in session.ends() if _has(local, end)), 0)

    def _bring(self, session: "Session", local: sqlite3.Connection) -> bool:
        """Bring one batch over. True when there may be more."""
        from nexus_engine.store.postgres import Forked

        if self._forked or time.monotonic() > self._end_by_s:
            return False
        found = local.execute(
            f"SELECT {COLUMNS} FROM journal WHERE seq > ? ORDER BY seq LIMIT {BATCH}", (self._seq,)
        ).fetchall()
        if not found:
            return False
        try:
            session.put([Row._make(row) for row in found])
        except Forked as error:
            # never written over: a person has to see which of the two is right
            self._forked = self._lost = str(error)
            return False
        self._seq = found[-1][0]
        return True

    def _tell(self, local: sqlite3.Connection) -> None:
        (last,) = local.execute("SELECT coalesce(max(seq), 0) FROM journal").fetchone()
        standing = self.standing
        problem = standing.hindrance or self._forked
        self._set(behind=max(0, last - max(self._seq, 0)), lost=self._lost, problem=problem)

    def _down(self, reason: str) -> None:
        try:
            local = _reader(self._path)
        except sqlite3.Error:
            behind = self.standing.behind
        else:
            try:
                (last,) = local.execute("SELECT coalesce(max(seq), 0) FROM journal").fetchone()
                behind = max(0, last - max(self._seq, 0))
            except sqlite3.Error:
                behind = self.standing.behind
            finally:
                local.close()
        lock = ", the account's lock is lost" if self._held else ", the account's lock is not taken"
        problem = f"PostgreSQL: {reason}; {behind} facts behind{lock if self._wants_lock else ''}"
        self._set(problem=problem, holds=False, behind=behind)

    def _set(self, **changes: object) -> None:
        self.standing = self.standing._replace(**changes)  # type: ignore[arg-type]


def _reader(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=2.0, isolation_level=None)


def _has(local: sqlite3.Connection, tail: Tail) -> bool:
    found = local.execute("SELECT hash FROM journal WHERE seq = ?", (tail.seq,)).fetchone()
    return found is not None and found[0] == tail.hash


def _who(entry: "Entry | None") -> str:
    return "unknown" if entry is None else f"{entry.machine} (writer {entry.epoch})"


def _line(error: Exception) -> str:
    """The first line of what a server or a driver says."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
