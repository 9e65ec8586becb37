"""`nexus doctor`: what is wrong is found, named, and comes with what to do; offline it says what it could not ask."""

import argparse
import json
import resource
import sqlite3
from collections import namedtuple
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from venue_host import KEY, SECRET, Host, host

from nexus_engine import doctor
from nexus_engine.model.config import Directive
from nexus_engine.model.facts import LatchSet, RunStarted
from nexus_engine.model.findings import Finding, Grade
from nexus_engine.model.secret import Secret
from nexus_engine.model.words import AccountKind, Latch
from nexus_engine.runtime import checkup
from nexus_engine.runtime.clock import SystemClock
from nexus_engine.sim.faults import Fault
from nexus_engine.store.lock import AccountLock
from nexus_engine.store.sqlite import SqliteJournal
from nexus_engine.uplink.binance.settings import urls
from nexus_engine.vault import ApiKey

NOWHERE = "http://127.0.0.1:9"


def grades(found: Iterable[Finding]) -> dict[str, Grade]:
    return {one.check: one.grade for one in found}


def not_ok(found: Iterable[Finding]) -> dict[str, Finding]:
    return {one.check: one for one in found if one.grade is not Grade.OK}


def directive(venue: Host) -> Directive:
    return Directive.model_validate(
        {"binance": {"rest_url": venue.rest, "ws_url": venue.ws, "sapi_url": venue.rest, "symbols": ["BTCUSDT"]}}
    )


async def asked(venue: Host, key: ApiKey | None) -> tuple[Finding, ...]:
    told = directive(venue)
    return await doctor.venue(urls(AccountKind.LIVE, told.binance), told, key, private=key is not None)


def key() -> ApiKey:
    return ApiKey(name="real", kind=AccountKind.LIVE, api_key=Secret(KEY), secret=Secret(SECRET))


# ---- the venue -------------------------------------------------------------------------------------------------------


async def test_a_venue_that_delivers_everything_is_well() -> None:
    async with host() as venue:
        found = await asked(venue, key())
    assert not not_ok(found)
    assert {"venue", "clock", "position mode", "withdrawals", "stream public", "stream market", "stream user"} <= set(
        grades(found)
    )
    async with host() as venue:
        assert set(grades(await asked(venue, None))) == {"venue", "clock", "stream public", "stream market"}


async def test_a_stream_that_is_mute_is_named_and_the_others_are_well() -> None:
    async with host(faults=[Fault(on="stream /market", kind="mute", count=0)]) as venue:
        assert list(not_ok(await asked(venue, key()))) == ["stream market"]


async def test_a_clock_that_is_far_off_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(SystemClock):
        def utc_ns(self) -> int:
            return super().utc_ns() - 7_000_000_000

    monkeypatch.setattr(doctor, "SystemClock", Late)
    async with host() as venue:
        found = not_ok(await asked(venue, None))
    assert (
        list(found) == ["clock"] and "ms off the venue" in found["clock"].text and "timedatectl" in found["clock"].todo
    )


def test_offline_everything_else_is_looked_at_and_what_was_not_asked_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "nexus.toml"
    config.write_text(f'[binance]\nrest_url = "{NOWHERE}"\n')
    code = doctor.main(["--paper", "--json", "--state", str(tmp_path / "state"), "--config", str(config)])
    answer = json.loads(capsys.readouterr().out)
    assert code == 1 and answer["ok"] is False
    found = {row["check"]: row for row in answer["findings"]}
    assert found["venue"]["grade"] == "bad" and found["venue"]["todo"]
    assert found["not asked"]["text"] == "clock, streams: the venue does not answer"
    assert {"Python", "packages", "state folder", "disk", "open files", "memory", "config"} <= set(found)


def test_the_demo_needs_no_network_and_bad_usage_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.main(["--state", str(tmp_path)]) == 0
    assert "the demo brings its own" in capsys.readouterr().out
    assert doctor.main(["--state"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert doctor.main(["--state", str(tmp_path), "--account", "../x"]) == 2


def test_a_directive_that_cannot_be_used_and_a_key_that_is_missing_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    config = tmp_path / "nexus.toml"
    config.write_text(f'[binance]\nrest_url = "{NOWHERE}"\nwrong = 1\n')
    given = argparse.Namespace(kind=AccountKind.LIVE, account=None, config=config, state=tmp_path, passphrase_fd=None)
    monkeypatch.setattr(doctor, "urls", lambda *_: urls(AccountKind.LIVE, Directive().binance)._replace(rest=NOWHERE))
    found = not_ok(doctor.examine(given))
    assert found["config"].grade is Grade.BAD and "unknown key binance.wrong" in found["config"].text
    assert "nexus keys add NAME --live" in found["key"].text


# ---- the machine -----------------------------------------------------------------------------------------------------


def test_a_state_folder_that_others_may_change_is_bad_and_one_they_may_read_is_worth_a_word(tmp_path: Path) -> None:
    for mode, grade in ((0o700, Grade.OK), (0o755, Grade.WARN), (0o770, Grade.BAD)):
        tmp_path.chmod(mode)
        assert grades(checkup.machine(tmp_path))["state folder"] is grade
    tmp_path.chmod(0o700)


def test_disk_descriptors_and_memory_are_judged_by_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    for free_mb, grade in ((50, Grade.BAD), (500, Grade.WARN), (5_000, Grade.OK)):
        monkeypatch.setattr(checkup.shutil, "disk_usage", lambda _, mb=free_mb: usage(1, 1, mb * 1_000_000))
        assert grades(checkup.machine(tmp_path))["disk"] is grade
    for soft, grade in ((64, Grade.BAD), (256, Grade.WARN), (4_096, Grade.OK), (resource.RLIM_INFINITY, Grade.OK)):
        monkeypatch.setattr(checkup.resource, "getrlimit", lambda _, soft=soft: (soft, soft))
        assert grades(checkup.machine(tmp_path))["open files"] is grade
    meminfo = tmp_path / "meminfo"
    monkeypatch.setattr(checkup, "_MEMINFO", meminfo)
    for free_kb, swap_kb, memory, swap in (
        (50_000, 0, Grade.BAD, Grade.WARN),
        (200_000, 1_000_000, Grade.WARN, Grade.OK),
        (900_000, 0, Grade.OK, Grade.OK),
    ):
        meminfo.write_text(f"MemAvailable: {free_kb} kB\nSwapTotal: {swap_kb} kB\n")
        found = grades(checkup.machine(tmp_path))
        assert (found["memory"], found["swap"]) == (memory, swap)


async def journal(folder: Path, *latches: Latch) -> None:
    kept = SqliteJournal.open(folder / "journal.db")
    kept.claim("main", AccountKind.LIVE)
    await kept.append(
        [
            RunStarted(at_ns=1, account="main", kind=AccountKind.LIVE, instance=kept.instance, epoch=1, version="0"),
            *(LatchSet(at_ns=1, latch=latch, on=True, by="you") for latch in latches),
        ]
    )
    kept.close()


async def test_a_journal_that_was_changed_and_latches_that_hold_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "main-live"
    assert grades(checkup.account(folder)) == {"account": Grade.OK}
    folder.mkdir()
    await journal(folder, Latch.HALT)
    (folder / "halt").touch()
    found = checkup.account(folder)
    assert grades(found)["journal"] is Grade.OK
    assert list(not_ok(found)) == ["latches", "kill latch"] and "HALT" in not_ok(found)["latches"].text
    (folder / "journal.db").chmod(0o644)
    assert not_ok(checkup.account(folder))["journal"].todo == f"chmod 600 {folder / 'journal.db'}"
    (folder / "journal.db").chmod(0o600)
    with sqlite3.connect(folder / "journal.db") as conn:
        for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            conn.execute(f"DROP TRIGGER {name}")
        conn.execute("UPDATE journal SET body = replace(body, 'HALT', 'PAUSE')")
    assert not_ok(checkup.account(folder))["journal"].grade is Grade.BAD


def test_an_engine_that_holds_the_account_and_says_nothing_is_bad(tmp_path: Path) -> None:
    folder = tmp_path / "main-live"
    folder.mkdir()
    lock = AccountLock.acquire(folder / "lock")
    found = not_ok(checkup.account(folder))
    lock.release()
    assert "does not answer" in found["engine"].text and "nexus kill" in found["engine"].todo
    (folder / "lock").write_text("77\n")
    assert not not_ok(checkup.account(folder))
    assert (folder / "lock").read_text() == "77\n"


def test_an_account_that_nobody_could_take_is_bad(tmp_path: Path) -> None:
    folder = tmp_path / "main-live"
    (folder / "lock").mkdir(parents=True)
    assert "cannot be opened" in not_ok(checkup.account(folder))["engine"].text


# ---- the terminal ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "size", "wrong"),
    [
        ({"TERM": "xterm-256color"}, (120, 40), {}),
        ({"TERM": "xterm", "COLORTERM": "truecolor", "SSH_CONNECTION": "x", "TMUX": "y"}, (80, 24), {}),
        ({"TERM": "xterm", "NO_COLOR": "1"}, (80, 24), {}),
        ({"TERM": "dumb"}, (80, 24), {"terminal": Grade.BAD, "colours": Grade.WARN}),
        ({"TERM": "vt100"}, (79, 24), {"size": Grade.WARN, "colours": Grade.WARN}),
        ({"TERM": "xterm-256color", "SSH_CONNECTION": "x"}, (80, 24), {"SSH": Grade.WARN}),
    ],
)
def test_a_terminal_is_judged_by_what_a_cockpit_needs(
    environment: dict[str, str], size: tuple[int, int], wrong: dict[str, Any]
) -> None:
    found = doctor.terminal(environment, size, True)
    assert {name: one.grade for name, one in not_ok(found).items()} == wrong


def test_packages_that_are_not_as_pinned_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("textual==0.0.1 \\\n    --hash=sha256:1\ncolorama==1 ; sys_platform == 'win32' \\\n")
    monkeypatch.setattr(doctor, "_LOCK", lock)
    assert "textual" in not_ok(doctor.program())["packages"].text
    lock.write_text("no-such-package-here==1\n")
    assert not_ok(doctor.program())["packages"].grade is Grade.BAD
