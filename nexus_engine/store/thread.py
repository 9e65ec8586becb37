"""The thread that writes the journal: everything that waits goes into one transaction."""

import asyncio
import errno
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from nexus_engine.model.facts import AnyFact
from nexus_engine.model.ports import JournalError
from nexus_engine.store.rescue import Rescue
from nexus_engine.store.rows import FACTS, INSERT, Row, Tail, link, read_tail

RETRY_S: Final = 1.0
RESERVE_BYTES: Final = 1 << 20
"""Room that a full disk leaves us: the last exits and the reason are recorded in it."""

Future = asyncio.Future[None]


class Batch(NamedTuple):
    """The facts of one event, and who waits for them; nobody does once the journal has failed."""

    facts: Sequence[AnyFact]
    future: Future | None


class Writer:
    """Owns the connection and the end of the chain.

    After a failure the facts are kept, here and in JSON lines beside the journal (`rescue.py`), every append is told,
    and the writer tries again about once a second with a fresh connection. `failure` is cleared when all is written and
    the reserve stands again. Facts that had to be turned away leave the trading state ahead of the journal, so then it
    stays failed until a restart reconciles.
    """

    def __init__(self, path: Path, conn: sqlite3.Connection, connect: Callable[[], sqlite3.Connection]) -> None:
        self.shut_by = ""
        """Why nothing more is taken; empty while it is."""
        self._failure = ""
        self._path = path
        self._conn: sqlite3.Connection | None = conn
        self._connect = connect
        self._file = _identity(path)
        self._tail = read_tail(conn)
        self._tried: tuple[Tail, int] | None = None
        """Where the chain ends, should the last failed transaction have reached the disk after all; its batches."""
        self._epoch = 0
        self._queue: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._backlog: list[Batch] = []
        self._next_try_s = 0.0
        self._reserve = path.with_suffix(".reserve")
        self._rescue = Rescue(path)
        self._put = self._written = 0
        """Facts. Each has one thread that counts it up, so the difference needs no lock."""
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    def start(self, epoch: int) -> None:
        """Begin to write."""
        self._epoch = epoch
        try:
            self._fill_reserve()
        except OSError as error:
            self._failure = f"{self._path}: {error.strerror}"
        self._thread.start()

    @property
    def failure(self) -> str:
        """Why nothing can be made durable right now; empty when all is well."""
        return self.shut_by or self._failure

    @property
    def seq(self) -> int:
        """The last durable row."""
        return self._tail.seq

    @property
    def waiting(self) -> int:
        """Facts that are not durable yet."""
        return self._put - self._written

    def put(self, batch: Batch) -> None:
        """Hand over; never blocks."""
        self._put += len(batch.facts)
        self._queue.put(batch)

    def shut(self, reason: str) -> None:
        """Write what is here, take no more."""
        self.shut_by = self.shut_by or reason

    def close(self) -> None:
        """Write what waits, once more where it failed, and end. Blocks as long as the disk does."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    # ---- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            closing = False
            while not closing:
                closing = self._collect()
                if closing or time.monotonic() >= self._next_try_s:
                    self._attempt()
        except BaseException as error:
            # Whatever it was, whoever waits must be told: a writer that is gone in silence would hold every entry.
            self.shut(f"{self._path}: the writer ended ({error!r})")
            self._collect()
            self._fail(self.failure)
            raise

    def _collect(self) -> bool:
        """Take all that waits, or wait for it. True when this is the end."""
        try:
            item = self._queue.get(timeout=RETRY_S if self.failure else None)
            while item is not None:
                self._backlog.append(item)
                item = self._queue.get_nowait()
        except queue.Empty:
            return False
        return True

    def _attempt(self) -> None:
        try:
            self._commit()
            self._rescue.clear()
            if self.failure:
                self._fill_reserve()
        except (sqlite3.Error, OSError, JournalError) as error:
            self._fail(str(error) if isinstance(error, JournalError) else f"{self._path}: {error}")
            if _no_room(error) and self._reserve.exists():
                self._reserve.unlink()
                self._attempt()
            else:
                self._rescue.keep(self._chain())
                self._next_try_s = time.monotonic() + RETRY_S
        else:
            self._failure = ""

    def _commit(self) -> None:
        conn = self._conn or self._reconnect()
        if not self._backlog:
            return
        if _identity(self._path) != self._file:
            raise JournalError(f"{self._path}: was moved or deleted while it was written")
        rows = self._chain()
        self._tried = rows[-1].tail if rows else self._tail, len(self._backlog)
        conn.execute("BEGIN IMMEDIATE")
        conn.executemany(INSERT, rows)
        conn.execute("COMMIT")
        self._landed()

    def _landed(self) -> None:
        """The transaction that was tried last is durable."""
        if self._tried is None:
            return
        self._tail, count = self._tried
        self._tried = None
        done, self._backlog = self._backlog[:count], self._backlog[count:]
        self._written += sum(len(batch.facts) for batch in done)
        _tell([batch.future for batch in done if batch.future], None)

    def _chain(self) -> list[Row]:
        rows: list[Row] = []
        seq, prev = self._tail
        for batch in self._backlog:
            turn = seq + 1
            for fact in batch.facts:
                seq += 1
                kind, body = type(fact).__name__, FACTS.encode(fact).decode()
                row_hash = link(prev, seq, turn, self._epoch, fact.at_ns, kind, body)
                rows.append(Row(seq, turn, self._epoch, fact.at_ns, kind, body, prev, row_hash))
                prev = row_hash
        return rows

    def _reconnect(self) -> sqlite3.Connection:
        conn = self._conn = self._connect()
        found = read_tail(conn)
        if self._tried is not None and found == self._tried[0]:
            self._landed()
        elif found != self._tail:
            raise JournalError(f"{self._path}: was changed by another program while it was written")
        self._file = _identity(self._path)
        return conn

    def _fail(self, reason: str) -> None:
        self._failure = reason
        if self._conn is not None:
            # Closing rolls back, and a fresh connection has no memory of the error.
            self._conn.close()
            self._conn = None
        waiting = [batch.future for batch in self._backlog if batch.future]
        self._backlog = [Batch(batch.facts, None) for batch in self._backlog]
        _tell(waiting, JournalError(self.failure))

    def _fill_reserve(self) -> None:
        if self._reserve.exists():
            return
        # Twice the room, or what the reserve gave back would make a full disk look well for a moment.
        space = os.statvfs(self._path.parent)
        if space.f_bavail * space.f_frsize < 2 * RESERVE_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fd = os.open(self._reserve, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(fd, 0, RESERVE_BYTES)
        except OSError:
            self._reserve.unlink()
            raise
        finally:
            os.close(fd)


def _no_room(error: Exception) -> bool:
    # A file size limit shows as an input/output error. Errors of the sqlite3 module's own making have no code.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _tell(futures: Sequence[Future], error: JournalError | None) -> None:
    """Resolve futures on their own loops, with one wake-up for each loop."""
    loops: dict[asyncio.AbstractEventLoop, list[Future]] = {}
    for future in futures:
        loops.setdefault(future.get_loop(), []).append(future)
    for loop, mine in loops.items():
        try:
            loop.call_soon_threadsafe(_resolve, mine, error)
        except RuntimeError:
            # The loop is closed: nobody waits any more.
            continue


def _resolve(futures: Sequence[Future], error: JournalError | None) -> None:
    for future in futures:
        if not future.done():
            settle(future, error)


def settle(future: Future, error: JournalError | None) -> None:
    """Give a future its end. An error counts as seen: whoever does not need to know need not await."""
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
        future.exception()
