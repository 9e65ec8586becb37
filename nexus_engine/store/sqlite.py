"""The journal in SQLite: WAL, synchronous FULL, chained by hash, written by its own thread."""

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Iterator, Sequence
from pathlib import Path
from typing import Final

from nexus_engine.model.facts import AnyFact
from nexus_engine.model.ports import JournalError
from nexus_engine.model.words import AccountKind
from nexus_engine.store.rescue import absorb
from nexus_engine.store.rows import JournalDamaged, decode_fact, follows, genesis, instance_of, is_damage, reading, rows
from nexus_engine.store.schema import prepare
from nexus_engine.store.thread import Batch, Writer, settle

MAX_WAITING: Final = 20_000
"""Facts that may wait for the disk: about 20 MB."""
_BUSY_S: Final = 2.0
_CLOSED: Final = "the journal is closed"


class SqliteJournal:
    """Open it, fold its facts, claim it, append. That nobody else writes is the lock's business (`lock.py`)."""

    def __init__(self, path: Path, conn: sqlite3.Connection) -> None:
        self.instance = instance_of(conn)
        """Four letters or digits that name this journal in every client id."""
        self.epoch = 0
        self.rescued = ""
        """What the last resort gave back when it was opened, in one line; empty when there was nothing."""
        self._path = path
        self._conn = conn
        self._writer = Writer(path, conn, lambda: _connect(path))

    @classmethod
    def open(cls, path: Path) -> "SqliteJournal":
        """Open a journal, created or migrated where needed. Raises JournalError with one clear line."""
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            os.fchmod(fd, 0o600)
            os.close(fd)
            conn = _connect(path)
        except (OSError, sqlite3.Error) as error:
            kind = JournalDamaged if is_damage(error) else JournalError
            raise kind(f"{path}: cannot be opened ({getattr(error, 'strerror', error)})") from error
        try:
            prepare(conn, path)
            (found,) = conn.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise JournalDamaged(f"{path}: is damaged ({found.splitlines()[-1]})")
            rescued = absorb(conn, path)
            journal = cls(path, conn)
            journal.rescued = rescued
            return journal
        except sqlite3.Error as error:
            conn.close()
            kind = JournalDamaged if is_damage(error) else JournalError
            raise kind(f"{path}: cannot be used ({error})") from error
        except JournalError:
            conn.close()
            raise

    @property
    def failure(self) -> str:
        """Why nothing can be made durable right now; empty when all is well."""
        return self._writer.failure

    @property
    def seq(self) -> int:
        """The last durable row."""
        return self._writer.seq

    def facts(self) -> Iterator[AnyFact]:
        """All facts in order. Raises JournalError at the first that cannot be read or does not follow its chain."""
        with reading(self._path) as conn:
            tail = genesis(self.instance)
            for row in rows(conn):
                if not follows(row, tail):
                    raise JournalDamaged(f"{self._path}: was changed at row {row.seq}; see `nexus journal verify`")
                tail = row.tail
                yield decode_fact(row)

    def claim(self, account: str, kind: AccountKind, at_least: int = 0) -> int:
        """Become the next writer; the new epoch, durable and not below `at_least`. Before it nothing can be appended.

        Raises JournalError when the journal is another account's, or cannot be written.
        """
        conn = self._conn
        try:
            conn.execute("BEGIN IMMEDIATE")
            epoch, *owner = conn.execute("SELECT epoch, account, kind FROM meta").fetchone()
            if epoch and owner != [account, kind]:
                conn.execute("ROLLBACK")
                raise JournalError(f"{self._path}: belongs to {' '.join(owner)}, not to {account} {kind}")
            epoch = max(epoch + 1, at_least)
            conn.execute("UPDATE meta SET epoch = ?, account = ?, kind = ?", (epoch, account, kind))
            conn.execute("COMMIT")
        except sqlite3.Error as error:
            raise JournalError(f"{self._path}: cannot be written ({error})") from error
        self.epoch = epoch
        self._writer.start(self.epoch)
        return self.epoch

    def append(self, facts: Sequence[AnyFact]) -> Awaitable[None]:
        """Hand the facts of one event to the writer and return at once with a future of the running loop.

        It ends when they are durable, or with JournalError: the disk refuses (they are kept and tried again), or more
        than MAX_WAITING wait (they are turned away, and the journal takes nothing more until a restart).
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        writer = self._writer
        if not writer.shut_by and writer.waiting + len(facts) > MAX_WAITING:
            writer.shut(f"{self._path}: more than {MAX_WAITING} facts wait for the disk; restart to reconcile")
        if failure := writer.failure:
            settle(future, JournalError(failure))
        if not writer.shut_by:
            writer.put(Batch(facts, None if failure else future))
        return future

    def close(self) -> None:
        """Write what waits and end. Raises JournalError when facts could not be written. Idempotent."""
        writer = self._writer
        writer.close()
        lost = "" if writer.shut_by == _CLOSED or not writer.waiting else writer.failure
        writer.shut_by = _CLOSED
        if lost:
            raise JournalError(f"{writer.waiting} facts were not written: {lost}")


def _connect(path: Path) -> sqlite3.Connection:
    """A writing connection; the file must be there."""
    uri = f"{path.resolve().as_uri()}?mode=rw"
    conn = sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        conn.execute("PRAGMA synchronous = FULL")
        # a journal only grows at its end: sqlite would fill 2 MB with pages that nobody reads again, over hours
        conn.execute("PRAGMA cache_size = -128")
    except sqlite3.Error:
        conn.close()
        raise
    return conn
