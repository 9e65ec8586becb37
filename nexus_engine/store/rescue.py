"""The last resort: facts that SQLite does not take, as JSON lines beside the journal, until it takes them.

Each line is a row as the journal would hold it, chained to it, so the next start can add exactly what is missing.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from nexus_engine.store.rows import INSERT, Row, Tail, follows, read_tail


class _Line(msgspec.Struct, frozen=True):
    seq: int
    turn: int
    epoch: int
    at_ns: int
    kind: str
    body: str
    prev: str
    hash: str


_encoder: Final = msgspec.json.Encoder()
_decoder: Final[msgspec.json.Decoder[_Line]] = msgspec.json.Decoder(_Line)


def rescue_path(journal: Path) -> Path:
    """Where the lines are."""
    return journal.with_suffix(".rescue.jsonl")


class Rescue:
    """The writer's side. It never raises: when this fails too, the facts are in memory alone."""

    def __init__(self, journal: Path) -> None:
        self._path = rescue_path(journal)
        self._seq = 0
        """The last row that is safe there; 0: the file is not ours to add to yet."""

    def keep(self, rows: Sequence[Row]) -> None:
        """Write down, and fsync, what is not there yet of all that waits."""
        fresh = [row for row in rows if row.seq > self._seq]
        if not fresh:
            return
        lines = b"".join(_encoder.encode(_Line(*row[:6], row.prev.hex(), row.hash.hex())) + b"\n" for row in fresh)
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError:
            return
        size = os.fstat(fd).st_size
        try:
            written = 0
            while written < len(lines):
                written += os.write(fd, lines[written:])
            os.fsync(fd)
            if not size:
                _sync_folder(self._path.parent)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(fd, size)
        else:
            self._seq = fresh[-1].seq
        finally:
            os.close(fd)

    def clear(self) -> None:
        """All of it is in the journal."""
        if self._seq:
            self._path.unlink(missing_ok=True)
            self._seq = 0


def _sync_folder(folder: Path) -> None:
    """A file that is new is there after a power cut only once its folder is written too."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def lines(journal: Path) -> Iterator[Row]:
    """The rows of the last resort in order, up to the first line that is torn. Raises OSError."""
    try:
        found = rescue_path(journal).read_bytes().splitlines()
    except FileNotFoundError:
        return
    for line in found:
        try:
            one = _decoder.decode(line)
            prev, row_hash = bytes.fromhex(one.prev), bytes.fromhex(one.hash)
        except (msgspec.DecodeError, ValueError):
            return
        yield Row(one.seq, one.turn, one.epoch, one.at_ns, one.kind, one.body, prev, row_hash)


def after(tail: Tail, found: Iterator[Row]) -> Iterator[Row]:
    """Of these rows those that come right after `tail`, each chained to the one before."""
    for row in found:
        if row.seq <= tail.seq:
            continue
        if not follows(row, tail):
            return
        tail = row.tail
        yield row


def absorb(conn: sqlite3.Connection, journal: Path) -> str:
    """Put into a journal what the last resort has for it; returns one line to be told, empty when there was nothing.

    Lines that do not fit stay in a file of their own. Raises sqlite3.Error and OSError with nothing changed.
    """
    path = rescue_path(journal)
    if not path.exists():
        return ""
    rows = list(lines(journal))
    # a last line without its end was never acknowledged; whatever else cannot be read is not thrown away
    unread = path.read_bytes().count(b"\n") > len(rows)
    fitting = list(after(read_tail(conn), iter(rows)))
    conn.execute("BEGIN IMMEDIATE")
    conn.executemany(INSERT, fitting)
    conn.execute("COMMIT")
    told = f"{len(fitting)} facts came back from {path.name}"
    tail = read_tail(conn)
    stray = bool(rows) and (rows[-1].seq > tail.seq or (rows[-1].seq == tail.seq and rows[-1].hash != tail.hash))
    if stray or unread:
        aside = set_aside(path)
        told += f"; others {'do not follow what the journal has' if stray else 'cannot be read'}: moved to {aside.name}"
    else:
        path.unlink()
    return told


def set_aside(path: Path) -> Path:
    """Rename a file so that nothing takes it for itself."""
    aside = aside_of(path)
    path.rename(aside)
    return aside


def aside_of(path: Path) -> Path:
    """A name beside a file that nobody has. It says when the file was last written."""
    from datetime import UTC, datetime

    stamp = datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y%m%dT%H%M%SZ")
    number = 0
    while True:
        aside = path.with_name(f"{path.name}.{stamp}{f'-{number}' if number else ''}.aside")
        if not aside.exists():
            return aside
        number += 1
