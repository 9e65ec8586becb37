"""One writer per account, whatever becomes of the writer."""

import errno
import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from journal_data import CHILD_ENV

from nexus_engine.model.paths import StateError
from nexus_engine.store.lock import AccountBusy, AccountLock

HOLD = """
import sys
import threading
from pathlib import Path
from nexus_engine.store.lock import AccountLock
lock = AccountLock.acquire(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_writer_is_told_who_holds_the_account_and_a_kill_frees_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=CHILD_ENV) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(AccountBusy) as busy:
            AccountLock.acquire(path)
        assert busy.value.pid == holder.pid
        assert str(holder.pid) in str(busy.value)
        holder.kill()
        holder.wait()
        lock = AccountLock.acquire(path)
        assert path.read_text() == f"{os.getpid()}\n"
        lock.release()


def test_the_lock_can_be_taken_again_after_release(tmp_path: Path) -> None:
    first = AccountLock.acquire(tmp_path / "lock")
    with pytest.raises(AccountBusy):
        AccountLock.acquire(tmp_path / "lock")
    first.release()
    first.release()
    AccountLock.acquire(tmp_path / "lock").release()


def test_a_child_process_does_not_inherit_the_lock(tmp_path: Path) -> None:
    lock = AccountLock.acquire(tmp_path / "lock")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False) as child:
        lock.release()
        AccountLock.acquire(tmp_path / "lock").release()
        child.kill()


def test_a_lock_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="No such file or directory"):
        AccountLock.acquire(tmp_path / "missing" / "lock")


def test_a_look_at_the_lock_changes_nothing_and_is_no_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert AccountLock.look(path) is None and not path.exists()
    path.write_text("77\n")
    with path.open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)  # somebody else looks
        assert AccountLock.look(path) is None
    assert path.read_text() == "77\n"
    lock = AccountLock.acquire(path)
    assert AccountLock.look(path) == os.getpid()
    lock.release()
    assert AccountLock.look(path) is None


def test_whoever_only_looks_keeps_nobody_from_the_account(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    looking = path.open()
    fcntl.flock(looking, fcntl.LOCK_SH)
    threading.Timer(0.015, looking.close).start()
    AccountLock.acquire(path).release()


def no_locks(fd: int, how: int) -> None:
    """As on a network file system without them."""
    raise OSError(errno.ENOLCK, "No locks available")


def test_a_look_says_who_could_never_take_it_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    AccountLock.look(path)
    assert not path.exists()
    path.write_text("77\n")
    with path.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        AccountLock.look(path)
    assert path.read_text() == "77\n"
    with pytest.raises(StateError, match="cannot be opened"):
        AccountLock.look(tmp_path / "missing" / "lock")
    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(StateError, match="cannot be locked"):
        AccountLock.look(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(StateError, match="Is a directory"):
        AccountLock.look(path)
