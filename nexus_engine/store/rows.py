"""The journal's rows: how they are chained, and how they are read beside a live writer.

    hash = blake2b-16(prev + "seq|turn|epoch|at_ns|kind|" in ASCII decimals + body in UTF-8)
    prev = the hash of the row before it; of row 1: blake2b-16("nexus journal " + instance)

The chain shows what was changed, removed, inserted or moved. Rows cut off at the end leave a valid journal of an
earlier moment. It is no signature: who can write the file can also chain it anew.
"""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from nexus_engine.model.facts import AnyFact
from nexus_engine.model.ports import JournalError
from nexus_engine.store.codec import Codec
from nexus_engine.store.schema import check_schema


class JournalDamaged(JournalError):
    """The file is ours, and is not as it was written."""


def is_damage(error: Exception) -> bool:
    """SQLite says that the file is broken, rather than that it cannot be had now."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Tail(NamedTuple):
    """Where the chain ends."""

    seq: int
    hash: bytes


class Row(NamedTuple):
    """One fact as it is stored. `turn` is the seq of the first fact of the same commit."""

    seq: int
    turn: int
    epoch: int
    at_ns: int
    kind: str
    body: str
    prev: bytes
    hash: bytes

    @property
    def tail(self) -> Tail:
        return Tail(self.seq, self.hash)


COLUMNS: Final = ", ".join(Row._fields)
INSERT: Final = f"INSERT INTO journal ({COLUMNS}) VALUES ({', '.join('?' * len(Row._fields))})"
FACTS: Final[Codec[AnyFact]] = Codec(AnyFact)


def genesis(instance: str) -> Tail:
    """What the first row of a journal follows."""
    return Tail(0, hashlib.blake2b(f"nexus journal {instance}".encode(), digest_size=16).digest())


def link(prev: bytes, seq: int, turn: int, epoch: int, at_ns: int, kind: str, body: str) -> bytes:
    """A row's hash."""
    text = f"{seq}|{turn}|{epoch}|{at_ns}|{kind}|{body}"
    return hashlib.blake2b(prev + text.encode(), digest_size=16).digest()


def follows(row: Row, tail: Tail) -> bool:
    """The row is whole and comes right after `tail`."""
    return row.seq == tail.seq + 1 and row.prev == tail.hash and row.hash == link(row.prev, *row[:6])


def decode_fact(row: Row) -> AnyFact:
    """The row's fact. Raises JournalError."""
    try:
        return FACTS.decode(row.body)
    except msgspec.DecodeError as error:
        raise JournalError(f"row {row.seq} ({row.kind}) cannot be read: {error}") from error


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection that sees one moment of the journal, whoever writes. Every failure is a JournalError."""
    try:
        if not path.is_file():
            raise JournalError(f"{path}: there is no journal here")
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)) as conn:
            conn.execute("BEGIN")
            check_schema(conn, path)
            yield conn
    except sqlite3.Error as error:
        raise JournalError(f"{path}: cannot be read ({error})") from error


def instance_of(conn: sqlite3.Connection) -> str:
    """The name that the journal was given when it was made. Raises JournalError when somebody took it away."""
    found = conn.execute("SELECT instance FROM meta").fetchone()
    if found is None:
        raise JournalError("the journal has lost its name: its table meta is empty")
    return str(found[0])


def rows(conn: sqlite3.Connection) -> Iterator[Row]:
    """All rows in order."""
    return map(Row._make, conn.execute(f"SELECT {COLUMNS} FROM journal ORDER BY seq"))


def read_tail(conn: sqlite3.Connection) -> Tail:
    """Where the chain of a journal ends."""
    found = conn.execute("SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1").fetchone()
    return Tail(*found) if found else genesis(instance_of(conn))
