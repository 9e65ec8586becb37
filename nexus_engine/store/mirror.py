"""The journal's mirror on a PostgreSQL server, and the account's lock there: one thread that nobody waits for.

It holds no queue. It reads from SQLite what the server does not have yet, so an outage of any length costs no memory,
and after it the server's own last row says where to go on: nothing is lost, nothing is there twice.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from nexus_engine.model.secret import Secret
from nexus_engine.store.rows import COLUMNS, Row, Tail

if TYPE_CHECKING:  # psycopg is imported where a server is configured
    from nexus_engine.store.postgres import Entry, Owner, Session

log = logging.getLogger(__name__)

BATCH: Final = 500
LOOK_S: Final = 0.2
ALIVE_S: Final = 1.0
_BACKOFF_S: Final = (0.5, 5.0)
_SILENT_S: Final = 2.0
"""A server that takes longer for an answer is said to."""
_HANGS_S: Final = 15.0
"""Longer than its own deadline for a statement: the session is cut, as nothing else ends such a wait."""
_SOON_S: Final = 1.0
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
    """Start it when the journal is open. `owner` is whose journal it is; `dsn` as libpq has it; `last` the journal's
    last durable row, asked from any thread."""

    def __init__(
        self,
        path: Path,
        owner: "Owner",
        dsn: str,
        last: Callable[[], int],
        *,
        lock: bool = True,
        password: Secret | None = None,
    ) -> None:
        self._told = Standing()
        self._last = last
        self._session: Session | None = None
        self._asked_s = float("inf")
        """When the server was asked what it has not answered."""
        self._path = path
        self._owner = owner
        self._dsn = dsn
        self._password = password
        self._wants_lock = lock
        self._seq = -1
        """How far the server has it; -1 while that is not known."""
        self._epoch = 0
        self._held = self._up = False
        self._ghost_since_s: float | None = None
        self._lost = self._forked = self._waiting = ""
        self._answered = threading.Event()
        self._end = threading.Event()
        self._end_by_s = float("inf")
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)

    def start(self) -> None:
        """Begin; a server that is not there is tried again for ever."""
        self._thread.start()

    @property
    def standing(self) -> Standing:
        """How it is at this moment."""
        told = self._told
        waits_s = time.monotonic() - self._asked_s
        problem = f"PostgreSQL: no answer for {waits_s:.0f} s" if waits_s > _SILENT_S else told.problem
        return told._replace(problem=problem, behind=max(0, self._last() - max(self._seq, 0)))

    def look(self) -> None:
        """End a session that hangs. Never blocks; call it now and then."""
        session = self._session
        if session is not None and time.monotonic() - self._asked_s > _HANGS_S:
            session.cut()

    def first(self, within_s: float) -> int:
        """Wait until the server has answered or failed for the first time; the epoch that it gave, or 0."""
        self._answered.wait(within_s)
        return self._told.epoch

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
                with connect(self._dsn, name, self._password) as conn:
                    self._session = Session(conn, self._owner, self._asks)
                    self._serve(self._session)
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
            self._tell()
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
                    if self._wants_lock and not self._told.holds:
                        self._enrol(session, local)
                    else:
                        session.alive()
                self._tell()
                if not moved:
                    self._end.wait(LOOK_S)
        finally:
            local.close()

    def _enrol(self, session: "Session", local: sqlite3.Connection) -> None:
        """Take the lock, or see who has it; and be in the list of writers."""
        if not self._wants_lock:
            return
        got, holder = session.lock(), session.holder()
        soon_s = time.monotonic() + _SOON_S
        # a session that has just ended takes the server a moment to notice
        while not got and holder is not None and self._is_self(holder) and time.monotonic() < soon_s:
            time.sleep(LOOK_S / 4)
            got, holder = session.lock(), session.holder()
        self._waiting = ""
        (own,) = local.execute("SELECT epoch FROM meta").fetchone()
        if got:
            overtaken = self._held and holder is not None and holder.epoch > self._epoch
            if overtaken:
                self._lost = f"{_who(holder)} has written on this account while its lock was lost"
            if overtaken or not self._held:
                self._epoch = session.enrol(own if self._answered.is_set() else own + 1, holds=True)
            self._held, self._ghost_since_s = True, None
            self._set(holds=True, epoch=self._epoch, hindrance="", latch=False)
            return
        if not self._epoch:
            self._epoch = session.enrol(own + 1, holds=False)
        problem, latch = self._kept_out(holder)
        self._set(holds=False, epoch=self._epoch, hindrance=problem, latch=latch)

    def _kept_out(self, holder: "Entry | None") -> tuple[str, bool]:
        """Why the lock is not ours, empty where entries need not stay away for it; and whether a person must judge."""
        ghost = "waiting for the account's lock: an earlier session of ours still has it"
        if self._held and holder is not None and holder.epoch == self._epoch:
            self._waiting = ghost  # of this very run, so nobody can have come between
            return "", False
        now_s = time.monotonic()
        if holder is None or self._is_self(holder):
            self._ghost_since_s = self._ghost_since_s or now_s
            if now_s - self._ghost_since_s < _GHOST_S:
                return ghost, False
        copied = holder is not None and holder.instance == self._owner.instance
        return f"another machine has this account: {_who(holder)}" + ", with a copy of this journal" * copied, True

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

    def _tell(self) -> None:
        self._set(lost=self._lost, problem=self._told.hindrance or self._waiting or self._forked)

    def _down(self, reason: str) -> None:
        self._session, self._asked_s = None, float("inf")
        lock = "the account's lock is lost" if self._held else "the account's lock is not taken"
        self._set(problem=f"PostgreSQL: {reason}" + (f"; {lock}" if self._wants_lock else ""), holds=False)

    def _asks(self, asking: bool) -> None:
        self._asked_s = time.monotonic() if asking else float("inf")

    def _set(self, **changes: object) -> None:
        self._told = self._told._replace(**changes)  # type: ignore[arg-type]


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
