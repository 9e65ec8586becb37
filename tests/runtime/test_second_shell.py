"""What a second shell is told of accounts that do not answer, or do not exist."""

from pathlib import Path

import pytest

from nexus_engine.model.paths import account_dir, latch_path, lock_path
from nexus_engine.model.words import AccountKind
from nexus_engine.runtime.commands import _line, kill, status
from nexus_engine.store.lock import AccountLock


def test_an_engine_that_hangs_is_not_reported_as_absent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = AccountLock.acquire(lock_path(account_dir(tmp_path, "main", AccountKind.DEMO)))
    try:
        assert status(["--state", str(tmp_path)]) == 1
        assert "main-demo  does not answer" in capsys.readouterr().out
    finally:
        lock.release()
    assert status(["--state", str(tmp_path)]) == 1
    assert capsys.readouterr().out == "no account runs\n"


def test_kill_of_an_account_that_is_not_there_says_so_and_halts_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = account_dir(tmp_path, "main", AccountKind.DEMO)
    assert kill(["--state", str(tmp_path), "--account", "nope"]) == 2
    assert "there is no account nope; known: main-demo" in capsys.readouterr().err
    assert not latch_path(folder).exists()


@pytest.mark.parametrize(
    ("blocked", "problem", "told"),
    [
        ("", "", "ok"),
        ("LIVE entries are locked", "", "LIVE entries are locked"),
        ("", "the engine was 334 ms late", "the engine was 334 ms late"),
        ("LIVE entries are locked", "disk full", "LIVE entries are locked; disk full"),
    ],
)
def test_what_blocks_entries_and_what_is_wrong_are_both_told(blocked: str, problem: str, told: str) -> None:
    one = {
        "kind": "LIVE", "account": "main", "mode": "COPILOT", "state": "ACTIVE", "sentinel": "CALM", "progress": "",
        "day_pnl": 0.0, "positions": 0, "proposals": 0, "naked": 0, "unknown": 0, "foreign": 0,
        "blocked": blocked, "problem": problem,
    }  # fmt: skip
    assert _line(one).endswith(f"proposals 0  {told}")
