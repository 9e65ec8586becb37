"""What a PostgreSQL server is asked: rows of the mirror, the lock of an account, the list of its writers.

Both tables are only ever added to, so SELECT and INSERT are all the rights that are needed once they are there.
`epoch` in nexus_writers is the fence: it goes up with every writer that any machine has started on the account, and
the epoch in client ids is never below it.
"""

import contextlib
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import psycopg

from nexus_engine.model.secret import Secret
from nexus_engine.store.rows import Row, Tail

TABLES: Final = {
    "nexus_journal": """
        CREATE TABLE nexus_journal (
            account text NOT NULL, kind text NOT NULL, instance text NOT NULL, epoch bigint NOT NULL,
            seq bigint NOT NULL, turn bigint NOT NULL, at_ns bigint NOT NULL, fact text NOT NULL, body text NOT NULL,
            prev bytea NOT NULL, hash bytea NOT NULL,
            PRIMARY KEY (account, kind, instance, epoch, seq))""",
    "nexus_writers": """
        CREATE TABLE nexus_writers (
            account text NOT NULL, kind text NOT NULL, epoch bigint NOT NULL, instance text NOT NULL,
            machine text NOT NULL, holds boolean NOT NULL, at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (account, kind, epoch))""",
}
CONNECT_S: Final = 3
STATEMENT_S: Final = 10
_SESSION: Final = (
    f"SET statement_timeout = '{STATEMENT_S}s'",
    # a machine that vanished must not hold the lock for two hours
    "SET tcp_keepalives_idle = 5",
    "SET tcp_keepalives_interval = 2",
    "SET tcp_keepalives_count = 3",
)
_MINE: Final = "account = %(account)s AND kind = %(kind)s"
_MY_ROWS: Final = f"{_MINE} AND instance = %(instance)s"
_INSERT: Final = """
    INSERT INTO nexus_journal (account, kind, instance, seq, turn, epoch, at_ns, fact, body, prev, hash)
    SELECT %(account)s, %(kind)s, %(instance)s, * FROM unnest(
        %(seq)s::bigint[], %(turn)s::bigint[], %(epoch)s::bigint[], %(at_ns)s::bigint[],
        %(fact)s::text[], %(body)s::text[], %(prev)s::bytea[], %(hash)s::bytea[])
    ON CONFLICT DO NOTHING"""
_SAME: Final = f"""
    SELECT count(*) FROM nexus_journal JOIN unnest(%(epoch)s::bigint[], %(seq)s::bigint[], %(hash)s::bytea[])
        AS given (epoch, seq, hash) USING (epoch, seq, hash) WHERE {_MY_ROWS}"""


class Owner(NamedTuple):
    """Whose journal it is, and where it lies. `machine` tells one state folder from its copy elsewhere."""

    account: str
    kind: str
    instance: str
    machine: str


class Entry(NamedTuple):
    """One line of the list of writers."""

    epoch: int
    instance: str
    machine: str


class Inspected(NamedTuple):
    """What a server knows of an account. `held`: some session has its lock; `holder`: the machine that had it last."""

    version: str
    tables: bool
    last: Tail | None = None
    held: bool = False
    holder: str = ""


class Forked(Exception):
    """The server has other rows in the place of ours: somebody else wrote this journal. The message is one line."""


def connect(dsn: str, name: str, password: Secret | None = None) -> psycopg.Connection:
    """A session with deadlines on both ends, and the tables made where they are not. Raises psycopg.Error."""
    conn = open_session(dsn, name, password)
    try:
        for table, sql in TABLES.items():
            # asked first: where the tables are, the right to create is not needed
            if conn.execute("SELECT to_regclass(%s)", (table,)).fetchone() == (None,):
                conn.execute(sql)
    except psycopg.Error:
        conn.close()
        raise
    return conn


def open_session(dsn: str, name: str, password: Secret | None = None) -> psycopg.Connection:
    """A session with deadlines on both ends. Without a password it is libpq's to find one. Raises psycopg.Error."""
    given = {} if password is None else {"password": password.reveal()}
    conn = psycopg.connect(
        dsn,
        **given,  # type: ignore[arg-type]
        autocommit=True,
        connect_timeout=CONNECT_S,
        application_name=name,
        client_encoding="UTF8",
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=STATEMENT_S * 1000,
    )
    try:
        for setting in _SESSION:
            conn.execute(setting)
    except psycopg.Error:
        conn.close()
        raise
    return conn


def inspect(dsn: str, owner: Owner, password: Secret | None = None) -> Inspected:
    """Look, and change nothing. Raises psycopg.Error."""
    with open_session(dsn, "nexus doctor", password) as conn:
        version = str(conn.execute("SHOW server_version").fetchone()[0])  # type: ignore[index]
        if any(conn.execute("SELECT to_regclass(%s)", (table,)).fetchone() == (None,) for table in TABLES):
            return Inspected(version, False)
        session = Session(conn, owner, lambda asks: None)
        last, holder = session.last(), session.holder()
        return Inspected(
            version,
            True,
            None if last is None else last[1],
            session.locked(),
            "" if holder is None else holder.machine,
        )


class Session:
    """One connection, for one journal. Every method may raise psycopg.Error: then the session is over.

    `asks` is told True when the server is asked something, and False when it has answered.
    """

    def __init__(self, conn: psycopg.Connection, owner: Owner, asks: Callable[[bool], None]) -> None:
        self._conn = conn
        self._asks = asks
        self._owner = owner
        self._ids = owner._asdict()

    def cut(self) -> None:
        """From another thread: end the session under whoever waits for it."""
        with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self._conn.fileno())) as link:
            link.shutdown(socket.SHUT_RDWR)

    def _ask(self, sql: str, given: Mapping[str, Any] | Sequence[Any] = ()) -> psycopg.Cursor:
        self._asks(True)
        cursor = self._conn.execute(sql, given or None)
        self._asks(False)
        return cursor

    # ---- the lock ----------------------------------------------------------------------------------------------------

    def lock(self) -> bool:
        """Take the account's lock, which lasts as long as the session. False: another session has it."""
        found = self._ask("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (self._lock_name,)).fetchone()
        return found == (True,)

    def locked(self) -> bool:
        """Somebody has the account's lock. It is not tried for, which could keep it from who wants it just now."""
        found = self._ask(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND "
            "database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND "
            "(classid::bigint << 32) | objid::bigint = hashtextextended(%s, 0))",
            (self._lock_name,),
        ).fetchone()
        return found == (True,)

    @property
    def _lock_name(self) -> str:
        return f"nexus {self._owner.account} {self._owner.kind}"

    def holder(self) -> Entry | None:
        """Who had the lock last, whether it still has it or not."""
        found = self._ask(
            f"SELECT epoch, instance, machine FROM nexus_writers WHERE {_MINE} AND holds ORDER BY epoch DESC LIMIT 1",
            self._ids,
        ).fetchone()
        return None if found is None else Entry(*found)

    def enrol(self, at_least: int, *, holds: bool) -> int:
        """Enter the list of writers with an epoch above all that are in it, and not below `at_least`."""
        with self._conn.transaction():
            self._ask("LOCK TABLE nexus_writers IN EXCLUSIVE MODE")
            found = self._ask(
                "INSERT INTO nexus_writers (account, kind, epoch, instance, machine, holds) "
                "SELECT %(account)s, %(kind)s, greatest(coalesce(max(epoch), 0) + 1, %(least)s), %(instance)s, "
                f"%(machine)s, %(holds)s FROM nexus_writers WHERE {_MINE} RETURNING epoch",
                self._ids | {"least": at_least, "holds": holds},
            ).fetchone()
        assert found is not None
        return int(found[0])

    def alive(self) -> None:
        """Ask for nothing, to see whether the session still is."""
        self._ask("SELECT 1")

    # ---- the mirror --------------------------------------------------------------------------------------------------

    def last(self) -> tuple[int, Tail] | None:
        """The epoch and the end of what the server has of this journal."""
        found = self._ask(
            f"SELECT epoch, seq, hash FROM nexus_journal WHERE {_MY_ROWS} ORDER BY epoch DESC, seq DESC LIMIT 1",
            self._ids,
        ).fetchone()
        return None if found is None else (found[0], Tail(found[1], bytes(found[2])))

    def ends(self) -> list[Tail]:
        """Where each epoch of this journal ends on the server, the latest first."""
        found = self._ask(
            f"SELECT DISTINCT ON (epoch) seq, hash FROM nexus_journal WHERE {_MY_ROWS} ORDER BY epoch DESC, seq DESC",
            self._ids,
        )
        return [Tail(seq, bytes(row_hash)) for seq, row_hash in found]

    def put(self, rows: Sequence[Row]) -> None:
        """Add rows; those that are there already are left as they are. Raises Forked where they are others."""
        seq, turn, epoch, at_ns, fact, body, prev, row_hash = (list(column) for column in zip(*rows, strict=True))
        given = self._ids | {
            "seq": seq,
            "turn": turn,
            "epoch": epoch,
            "at_ns": at_ns,
            "fact": fact,
            "body": body,
            "prev": prev,
            "hash": row_hash,
        }
        if self._ask(_INSERT, given).rowcount == len(rows):
            return
        found = self._ask(_SAME, given).fetchone()
        if found != (len(rows),):
            raise Forked(f"PostgreSQL has other facts in the place of rows {seq[0]} to {seq[-1]} of this journal")
