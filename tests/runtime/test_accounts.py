"""`nexus accounts` and `nexus service`."""

import json
import os
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from nexus_engine.cli import run
from nexus_engine.model.facts import LatchSet, ModeSet, RunStarted
from nexus_engine.model.paths import account_dir, journal_path, lock_path
from nexus_engine.model.words import AccountKind, Latch, Mode
from nexus_engine.store.lock import AccountLock
from nexus_engine.store.sqlite import SqliteJournal

START_NS = 1_795_000_000_000_000_000


async def past(root: Path) -> Path:
    """A paper account that ran once, was halted, and went down to WATCHER."""
    folder = account_dir(root, "swing", AccountKind.PAPER)
    journal = SqliteJournal.open(journal_path(folder))
    epoch = journal.claim("swing", AccountKind.PAPER)
    facts = [
        RunStarted(
            at_ns=START_NS,
            account="swing",
            kind=AccountKind.PAPER,
            instance=journal.instance,
            epoch=epoch,
            version="0.9",
        ),
        *(ModeSet(at_ns=START_NS + at, mode=mode, by="you") for at, mode in enumerate(Mode)),
        ModeSet(at_ns=START_NS + 9, mode=Mode.WATCHER, by="you"),
        LatchSet(at_ns=START_NS + 10, latch=Latch.HALT, on=True, by="you"),
        LatchSet(at_ns=START_NS + 11, latch=Latch.PAUSE, on=True, by="you"),
        LatchSet(at_ns=START_NS + 12, latch=Latch.HALT, on=False, by="you"),
    ]
    await journal.append(facts)
    journal.close()
    return folder


async def test_every_account_is_listed_with_what_its_journal_last_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await past(tmp_path)
    account_dir(tmp_path, "new", AccountKind.DEMO)
    sick = account_dir(tmp_path, "sick", AccountKind.LIVE)
    journal_path(sick).write_bytes(b"not a database at all, and long enough to be read" * 50)
    (tmp_path / "no account").mkdir()
    lock = AccountLock.acquire(lock_path(account_dir(tmp_path, "busy", AccountKind.TESTNET)))
    try:
        assert run(["accounts", "--state", str(tmp_path)]) == 0
        lines = capsys.readouterr().out.splitlines()
    finally:
        lock.release()
    assert [line.split() for line in lines[:2]] == [
        ["TESTNET", "busy", "runs,", "process", str(os.getpid()), "never", "started"],
        ["DEMO", "new", "stopped", "never", "started"],
    ]
    assert lines[2].startswith("LIVE    sick   stopped") and "journal.db" in lines[2]
    assert " ".join(lines[3].split()) == "PAPER swing stopped WATCHER PAUSE last start 2026-11-18 11:06 UTC"
    assert run(["accounts", "--json", "--paper", "--state", str(tmp_path)]) == 0
    [one] = json.loads(capsys.readouterr().out)["accounts"]
    assert (one["pid"], one["mode"], one["latches"], one["version"]) == (None, "WATCHER", ["PAUSE"], "0.9")
    assert one["last_run"] == "2026-11-18T11:06:40Z"


def test_without_any_account_it_says_how_to_begin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["accounts", "--state", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "there is no account yet; `nexus` starts the demo\n"


# ---- the unit --------------------------------------------------------------------------------------------------------


def unit(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, dict[str, list[str]]]:
    assert run(["service", *words]) == 0
    text = capsys.readouterr().out
    keys: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            keys.setdefault(key, []).append(value)
    return text, keys


def test_the_unit_is_hardened_watched_and_asks_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, keys = unit(capsys, "--live", "--state", str(tmp_path))
    assert keys["Type"] == ["notify"] and keys["NoNewPrivileges"] == ["yes"] and keys["ProtectSystem"] == ["strict"]
    assert keys["ReadWritePaths"] == [str(tmp_path)]
    assert keys["LoadCredentialEncrypted"] == ["nexus-vault:%h/.config/nexus/nexus-vault.cred"]
    assert Decimal(keys["WatchdogSec"][0]) > 5 and keys["Restart"] == ["on-failure"]
    assert keys["RestartPreventExitStatus"] == ["2"] and int(keys["StartLimitBurst"][0]) > 1
    [command] = keys["ExecStart"]
    assert command == f"{sys.executable} -m nexus_tui --headless --live --account main --state {tmp_path}"
    assert "entries stay locked" in text and "nexus-main-live" in text
    text, keys = unit(capsys, "--demo", "--state", str(tmp_path))
    assert "LoadCredentialEncrypted" not in keys and "vault" not in text and "unlocks" not in text


def test_a_socket_that_lives_in_tmp_is_not_hidden_from_a_cockpit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert unit(capsys, "--state", "/var/lib/nexus")[1]["PrivateTmp"] == ["yes"]
    assert unit(capsys, "--state", str(tmp_path / ("deep" * 30)))[1]["PrivateTmp"] == ["no"]


@pytest.mark.parametrize("where", [(), ("--system",)])
def test_systemd_itself_finds_nothing_wrong_with_it(
    tmp_path: Path, where: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd on this machine")
    state = tmp_path / 'a "50%" $HOME state'
    state.mkdir()
    text, keys = unit(capsys, "--live", "--state", str(state), *where)
    assert "50%%" in keys["ReadWritePaths"][0]
    file = tmp_path / "nexus-main-live.service"
    file.write_text(text)
    (tmp_path / "run").mkdir()
    words = ["systemd-analyze", *(() if where else ("--user",)), "verify", str(file)]
    done = subprocess.run(
        words, env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path / "run")}, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_cannot_be_started_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--config", str(tmp_path / "no.toml")], ["--account", "Not Allowed"]):
        assert run(["service", "--state", str(tmp_path), *words]) == 2
        err = capsys.readouterr().err
        assert err.startswith("nexus service: ") and err.count("\n") == 1
