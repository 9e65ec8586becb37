"""The disk fails: everyone who waits is told, nothing is lost while it can be kept, and the loop never stands."""

import asyncio
import gc
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from journal_data import CHILD_ENV, note
from msgspec.structs import replace

from nexus_engine.model.facts import Noted
from nexus_engine.model.ports import JournalError
from nexus_engine.model.words import AccountKind
from nexus_engine.store import sqlite
from nexus_engine.store.sqlite import SqliteJournal
from nexus_engine.store.verify import verify


@contextmanager
def somebody_holds(path: Path) -> Iterator[None]:
    """A person with a transaction open in the sqlite3 shell."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the writer is a thread and knows no asyncio event
            await asyncio.sleep(0.02)


async def well_again(journal: SqliteJournal) -> None:
    await until(lambda: not journal.failure)


def texts(journal: SqliteJournal) -> list[int]:
    return [int(fact.text) for fact in journal.facts() if isinstance(fact, Noted)]


def test_a_full_disk_is_told_and_everything_is_written_when_it_has_room_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    script = Path(__file__).with_name("journal_full.py")
    command = [sys.executable, str(script), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=CHILD_ENV)
    assert (done.returncode, done.stderr) == (0, "")
    failed_at, last = map(int, done.stdout.split())
    assert failed_at < last
    journal = SqliteJournal.open(path)
    assert texts(journal) == list(range(last + 1))
    journal.close()
    assert verify(path).problems == ()


async def test_a_locked_file_delays_nobody_but_those_who_wait_and_heals(journal: SqliteJournal, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    await journal.append([note(0)])
    with somebody_holds(path):
        waiting = asyncio.ensure_future(journal.append([note(1)]))
        slowest_s = 0.0
        while not waiting.done():
            began = time.perf_counter()
            await asyncio.sleep(0.01)
            slowest_s = max(slowest_s, time.perf_counter() - began)
        assert slowest_s < 0.5
        with pytest.raises(JournalError, match="database is locked"):
            await waiting
        with pytest.raises(JournalError, match="database is locked"):
            await journal.append([note(2)])
    await well_again(journal)
    await journal.append([note(3)])
    assert texts(journal) == [0, 1, 2, 3]
    assert verify(path).problems == ()


async def test_more_than_may_wait_is_turned_away_and_the_journal_stays_a_true_prefix(
    journal: SqliteJournal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "MAX_WAITING", 10)
    path = tmp_path / "journal.db"
    with somebody_holds(path):
        kept = [journal.append([note(number)]) for number in range(10)]
        with pytest.raises(JournalError, match="more than 10 facts wait for the disk; restart to reconcile"):
            await journal.append([note(10)])
    outcomes = await asyncio.gather(*kept, return_exceptions=True)
    assert len(outcomes) == 10
    with pytest.raises(JournalError, match="restart to reconcile"):
        await journal.append([note(11)])
    journal.close()
    assert texts(journal) == list(range(10))
    assert verify(path).problems == ()


async def test_a_journal_that_is_gone_is_noticed_and_no_other_begun(journal: SqliteJournal, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    await journal.append([note(0)])
    gone = path.rename(tmp_path / "gone.db")
    with pytest.raises(JournalError, match="was moved or deleted while it was written"):
        await journal.append([note(1)])
    assert not path.exists()
    gone.rename(path)
    await well_again(journal)
    await journal.append([note(2)])
    assert texts(journal) == [0, 1, 2]


async def test_rows_that_another_program_added_are_not_written_over(journal: SqliteJournal, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    await journal.append([note(0)])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("INSERT INTO journal SELECT seq + 1, turn, epoch, at_ns, kind, body, prev, hash FROM journal")
    other.close()
    with pytest.raises(JournalError, match="UNIQUE constraint"):
        await journal.append([note(1)])
    await until(lambda: "was changed by another program" in journal.failure)
    with pytest.raises(JournalError, match="1 facts were not written"):
        journal.close()
    with pytest.raises(JournalError, match="the journal is closed"):
        await journal.append([note(2)])


async def test_a_failure_that_nobody_awaits_complains_to_nobody(
    journal: SqliteJournal, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gc.collect()  # what other tests left behind complains now
    caplog.clear()
    with somebody_holds(tmp_path / "journal.db"):
        journal.append([note(0)])
        await until(lambda: bool(journal.failure))
        journal.append([note(1)])
        await asyncio.sleep(0)
    gc.collect()
    await asyncio.sleep(0)
    assert caplog.records == []
    await well_again(journal)


def test_a_loop_that_ended_does_not_disturb_the_writer(tmp_path: Path) -> None:
    journal = SqliteJournal.open(tmp_path / "journal.db")
    journal.claim("main", AccountKind.DEMO)

    async def leave(number: int) -> None:
        journal.append([note(number)])

    for number in range(20):
        asyncio.run(leave(number))
    assert journal.failure == ""
    journal.close()
    assert texts(journal) == list(range(20))


async def test_one_who_gives_up_waiting_does_not_stop_the_record(journal: SqliteJournal, tmp_path: Path) -> None:
    with somebody_holds(tmp_path / "journal.db"), pytest.raises(TimeoutError):
        await asyncio.wait_for(journal.append([note(0)]), 0.05)
    await journal.append([note(1)])
    assert texts(journal) == [0, 1]


def test_a_journal_that_cannot_be_claimed_says_why(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = SqliteJournal.open(path)
    with somebody_holds(path), pytest.raises(JournalError, match="database is locked"):
        journal.claim("main", AccountKind.DEMO)
    journal.close()


class LiesOnce(sqlite3.Connection):
    """Its first commit reaches the disk and is reported as failed, as an fsync that fails late is."""

    lied = False

    def execute(self, sql: str, *args: object) -> sqlite3.Cursor:
        cursor = super().execute(sql, *args)  # type: ignore[arg-type]
        if sql == "COMMIT" and not self.lied:
            self.lied = True
            raise sqlite3.OperationalError("disk I/O error")
        return cursor


async def test_a_commit_that_landed_although_it_failed_is_not_written_twice(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    SqliteJournal.open(path).close()
    first = sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=LiesOnce)
    first.lied = True
    journal = SqliteJournal(path, first)
    journal.claim("main", AccountKind.DEMO)
    first.lied = False
    with pytest.raises(JournalError, match="disk I/O error"):
        await journal.append([note(0), note(1)])
    await well_again(journal)
    await journal.append([note(2)])
    journal.close()
    assert texts(journal) == [0, 1, 2]
    assert verify(path).problems == ()


async def test_a_fact_that_cannot_be_written_at_all_ends_the_writer_aloud(tmp_path: Path) -> None:
    journal = SqliteJournal.open(tmp_path / "journal.db")
    journal.claim("main", AccountKind.DEMO)
    seen: list[threading.ExceptHookArgs] = []
    hook, threading.excepthook = threading.excepthook, seen.append
    try:
        with pytest.raises(JournalError, match=r"the writer ended .UnicodeEncodeError"):
            await journal.append([replace(note(0), text="\ud800")])
        with pytest.raises(JournalError, match="the writer ended"):
            await journal.append([note(1)])
        with pytest.raises(JournalError, match="1 facts were not written"):
            journal.close()
    finally:
        threading.excepthook = hook
    assert [args.exc_type for args in seen] == [UnicodeEncodeError]
