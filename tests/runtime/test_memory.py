"""An account whose disk or journal fails under it, as a whole: real files, a real full disk."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from runtime_help import ended, started, view_of, wait_until

from nexus_engine.model.commands import Pause, Release
from nexus_engine.model.facts import Noted
from nexus_engine.model.paths import journal_path
from nexus_engine.model.words import Latch
from nexus_engine.runtime import Options, Runtime
from nexus_engine.store.sqlite import SqliteJournal
from nexus_engine.store.verify import verify


def latches(runtime: Runtime) -> dict[Latch, str]:
    return {latch.latch: latch.reason for latch in view_of(runtime).account.latches}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB; skips where none may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if os.getuid() or mount is None:
        pytest.skip("mounting a small disk needs root")
    command = [mount, "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("this machine mounts no tmpfs")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_fills_up_is_protect_only_and_the_reason_is_in_the_journal(small_disk: Path) -> None:
    runtime = started(Options(state=small_disk, scenario="calm"))
    wait_until(lambda: "less than 200 MB are free" in view_of(runtime).account.blocked)
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"\0" * 4096):
            pass
    reserve = journal_path(runtime.folder).with_suffix(".reserve")
    word = "pause"

    def latched() -> bool:
        nonlocal word
        runtime.send(Pause() if word == "pause" else Release(latch=Latch.PAUSE, word="pause"))
        word = "release" if word == "pause" else "pause"
        return Latch.PROTECT_ONLY in latches(runtime)

    wait_until(latched, 20.0)
    wait_until(lambda: not reserve.exists())
    assert "the journal cannot be written" in latches(runtime)[Latch.PROTECT_ONLY]
    # the room of the reserve holds the reason, on a disk that is full
    with closing(sqlite3.connect(f"file:{journal_path(runtime.folder)}?mode=ro", uri=True)) as conn:
        count = "SELECT count(*) FROM journal WHERE kind = 'LatchSet' AND body LIKE '%the journal cannot be written%'"
        wait_until(lambda: conn.execute(count).fetchone() == (1,))
    # what the reserve gave has let a record through: with the next one that does not fit it is said again
    wait_until(lambda: latched() and "journal: " in view_of(runtime).problem)
    ballast.unlink()
    wait_until(reserve.exists)
    wait_until(lambda: latched() and "journal: " not in view_of(runtime).problem)
    ended(runtime)
    assert verify(journal_path(runtime.folder)).problems == ()


def test_less_room_than_200_mb_stops_entries_until_there_is_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 250e6
    monkeypatch.setattr("nexus_engine.runtime.memory.shutil.disk_usage", lambda folder: SimpleNamespace(free=free))
    monkeypatch.setattr("nexus_engine.runtime.memory._DISK_EVERY", 1)
    runtime = started(Options(state=tmp_path, scenario="calm"))
    wait_until(lambda: view_of(runtime).account.blocked == "")
    free = 199e6
    wait_until(lambda: "less than 200 MB are free" in view_of(runtime).account.blocked)
    assert latches(runtime) == {}
    free = 250e6
    wait_until(lambda: view_of(runtime).account.blocked == "")
    ended(runtime)


def test_a_damaged_journal_starts_protect_only_and_says_in_one_line_what_was_lost(tmp_path: Path) -> None:
    runtime = started(Options(state=tmp_path, scenario="calm"))
    ended(runtime)
    path = journal_path(runtime.folder)
    body = bytearray(path.read_bytes())
    with closing(sqlite3.connect(path)) as conn:
        (root,) = conn.execute("SELECT rootpage FROM sqlite_master WHERE name = 'meta'").fetchone()
    body[(root - 1) * 4096 : (root - 1) * 4096 + 64] = b"\xff" * 64
    path.write_bytes(body)

    again = started(Options(state=tmp_path, scenario="calm"))
    reason = latches(again)[Latch.PROTECT_ONLY]
    assert "facts read back and 0 from the last resort; what came after them is lost" in reason
    assert "\n" not in reason
    wait_until(lambda: "PROTECT_ONLY" in view_of(again).account.blocked)
    again.send(Release(latch=Latch.PROTECT_ONLY, word="protect_only"))
    wait_until(lambda: view_of(again).account.blocked == "")
    ended(again)
    assert verify(path).ok
    assert [path.name for path in again.folder.glob("journal.db.*.aside")]


def test_what_the_last_resort_gave_back_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexus_engine.store.sqlite._BUSY_S", 0.05)
    runtime = started(Options(state=tmp_path, scenario="calm"))
    path = journal_path(runtime.folder)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        runtime.send(Pause())
        wait_until(lambda: path.with_suffix(".rescue.jsonl").exists())
        runtime.stop()
        assert runtime.join(15.0)
    assert "facts were not written" in runtime.failed
    again = started(Options(state=tmp_path, scenario="calm"))
    assert latches(again)[Latch.PROTECT_ONLY].startswith("the journal cannot be written")
    assert Latch.PAUSE in latches(again)
    assert any("facts came back from journal.rescue.jsonl" in row.text for row in view_of(again).events)
    ended(again)
    journal = SqliteJournal.open(path)
    assert any(isinstance(fact, Noted) for fact in journal.facts())
    journal.close()
    assert verify(path).ok


def test_a_machine_that_was_late_hides_nothing_that_lasts(demo: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    account = demo._account
    assert account is not None
    monkeypatch.setattr(type(account.pulse), "problem", "the engine was 900 ms late")
    assert account.problem == "the engine was 900 ms late"
    monkeypatch.setattr(type(account._memory), "problem", "PostgreSQL: gone; the account's lock is lost")
    assert account.problem == "PostgreSQL: gone; the account's lock is lost"
