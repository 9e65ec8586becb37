"""A journal that is damaged or gone: set aside, never deleted, and what can be read of it goes on in a new one.

The new journal has a new name in client ids. What the old one wrote after its last readable fact is then a stranger's
to the reconciliation: it is shown, counted, latches PROTECT-ONLY, and is not touched.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from nexus_engine.model.facts import AnyFact, LatchSet, Noted, RunStarted
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.ports import JournalError
from nexus_engine.store.rescue import after, aside_of, lines, rescue_path, set_aside
from nexus_engine.store.rows import (
    COLUMNS,
    INSERT,
    JournalDamaged,
    Row,
    Tail,
    decode_fact,
    follows,
    genesis,
    instance_of,
    link,
)
from nexus_engine.store.sqlite import SqliteJournal

_SIDE_FILES: Final = ("-wal", "-shm")
_PAGE: Final = 200
_SMALLEST: Final = 512
"""SQLite takes a file that is shorter than its smallest page for an empty one."""


class Opened(NamedTuple):
    """A journal that can be claimed, its facts, and the trading state that they give."""

    journal: SqliteJournal
    facts: tuple[AnyFact, ...]
    ledger: Ledger
    lost: str
    """What was damaged and what came back, in one line; empty when nothing was."""
    told: str
    """What else a person should know of it; empty mostly."""


def open_whole(path: Path) -> Opened:
    """Open and fold a journal; one that is damaged or gone is set aside and rebuilt first.

    The account's lock must be held. Raises JournalError for what is no damage: a newer Nexus, another program's
    database, a locked or unwritable file.
    """
    try:
        fresh = _rebuilt_path(path)
        if path.exists():
            fresh.unlink(missing_ok=True)
        elif fresh.exists():  # killed between the two renames
            for suffix in _SIDE_FILES:
                side = path.with_name(path.name + suffix)
                if side.exists():  # of the damaged one: SQLite would write it into the new one
                    set_aside(side)
            fresh.rename(path)
        lost = _gone(path)
        try:
            journal = SqliteJournal.open(path)
            try:
                return _opened(path, journal, lost)
            except JournalError:
                journal.close()
                raise
        except JournalDamaged as damage:
            lost = _rebuild(path, str(damage))
        return _opened(path, SqliteJournal.open(path), lost)
    except OSError as error:
        raise JournalError(f"{path}: cannot be rebuilt ({error.strerror})") from error


def _opened(path: Path, journal: SqliteJournal, lost: str) -> Opened:
    facts = tuple(journal.facts())
    note = lost_path(path)
    if not lost and note.exists():
        lost = note.read_text("utf-8", errors="replace")
        if _said(facts, lost):
            note.unlink()
            lost = ""
    return Opened(journal, facts, Ledger().fold(facts), lost, journal.rescued)


def lost_path(path: Path) -> Path:
    """Where it is written what was lost, until the new journal says it: whatever dies in between, a person hears it."""
    return path.with_suffix(".lost")


def _said(facts: Iterable[AnyFact], lost: str) -> bool:
    return any(
        (isinstance(fact, LatchSet) and fact.reason == lost) or (isinstance(fact, Noted) and fact.text.endswith(lost))
        for fact in facts
    )


def _note(path: Path, lost: str) -> str:
    with lost_path(path).open("w", encoding="utf-8") as file:
        file.write(lost)
        file.flush()
        os.fsync(file.fileno())
    return lost


def _gone(path: Path) -> str:
    """The account had a journal and has none: what its last moments left is set aside, as it belongs to no other."""
    size = path.stat().st_size if path.exists() else 0
    if size >= _SMALLEST:
        return ""
    traces = [path.with_name(path.name + suffix) for suffix in _SIDE_FILES] + [rescue_path(path)]
    traces += [path] * bool(size)
    found = [set_aside(trace).name for trace in traces if trace.exists()]
    if not found and not path.with_suffix(".reserve").exists():
        return ""
    kept = f"; its last writes are in {', '.join(found)}" if found else ""
    return _note(path, f"{path.name} is gone: a new one begins, all that it held is lost{kept}")


def _rebuild(path: Path, damage: str) -> str:
    whole, tail = _salvage(path)
    rescued = list(after(tail, lines(path)))
    fresh = _rebuilt_path(path)
    fresh.unlink(missing_ok=True)
    _write(fresh, whole + rescued)
    aside = aside_of(path)
    lost = _note(
        path,
        f"{damage}; moved to {aside.name}, {len(whole)} facts read back and {len(rescued)} from the last resort; "
        "what came after them is lost",
    )
    path.rename(aside)
    for suffix in _SIDE_FILES:
        side = path.with_name(path.name + suffix)
        if side.exists():
            side.rename(aside.with_name(aside.name + suffix))
    if rescue_path(path).exists():
        set_aside(rescue_path(path))
    fresh.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return lost


def _rebuilt_path(path: Path) -> Path:
    return path.with_suffix(".rebuilt")


def _salvage(path: Path) -> tuple[list[Row], Tail]:
    """The longest beginning of a damaged journal that can be read and whose chain holds."""
    found: list[Row] = []
    tail = Tail(0, b"")
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as conn:
            try:
                tail = genesis(instance_of(conn))
            except (sqlite3.Error, JournalError):
                tail = Tail(0, b"")  # nameless: the first row says what it follows
            for row in _readable(conn):
                if not found and not tail.hash:
                    tail = Tail(0, row.prev)
                if not follows(row, tail) or not _decodes(row):
                    break
                tail = row.tail
                found.append(row)
    except sqlite3.Error:
        pass  # so far and no further
    return found, tail


def _readable(conn: sqlite3.Connection) -> Iterator[Row]:
    """Rows in order, in small pages: a page that cannot be read costs no row before it."""
    last, size = 0, _PAGE
    while True:
        try:
            page = conn.execute(f"SELECT {COLUMNS} FROM journal WHERE seq > ? ORDER BY seq LIMIT {size}", (last,))
            rows = [Row._make(row) for row in page.fetchall()]
        except sqlite3.Error:
            if size == 1:
                return
            size = 1
            continue
        if not rows:
            return
        yield from rows
        last = rows[-1].seq


def _decodes(row: Row) -> bool:
    try:
        decode_fact(row)
    except JournalError:
        return False
    return True


def _write(path: Path, rows: Iterable[Row]) -> None:
    """A new journal with these facts, chained anew under its own name."""
    SqliteJournal.open(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("PRAGMA synchronous = FULL")
        prev = genesis(instance_of(conn)).hash
        chained = []
        owner: RunStarted | None = None
        for row in rows:
            fact = decode_fact(row)
            owner = fact if isinstance(fact, RunStarted) else owner
            row_hash = link(prev, *row[:6])
            chained.append(row._replace(prev=prev, hash=row_hash))
            prev = row_hash
        conn.execute("BEGIN IMMEDIATE")
        conn.executemany(INSERT, chained)
        if owner is not None:
            conn.execute(
                "UPDATE meta SET epoch = ?, account = ?, kind = ?", (chained[-1].epoch, owner.account, owner.kind)
            )
        conn.execute("COMMIT")
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        conn.execute("PRAGMA journal_mode = DELETE")  # one file, so that one rename moves it
