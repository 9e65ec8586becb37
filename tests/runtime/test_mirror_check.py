"""What `nexus doctor` says of the second memory, on a real server: whether it answers, who holds the account, how far
behind the copy is. It changes nothing there."""

import socket
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from postgres_server import Server

from nexus_engine import doctor
from nexus_engine.model.config import PostgresConfig
from nexus_engine.model.facts import Noted
from nexus_engine.model.findings import Finding, Grade
from nexus_engine.model.paths import journal_path
from nexus_engine.model.secret import Secret
from nexus_engine.model.words import AccountKind, Level, Venue
from nexus_engine.runtime import Options, StartError, mirror_check, with_key
from nexus_engine.store.mirror import Mirror
from nexus_engine.store.postgres import Owner
from nexus_engine.store.sqlite import SqliteJournal
from nexus_engine.vault import ApiKey, Vault


def told(server: Server, folder: Path) -> dict[str, Finding]:
    config = PostgresConfig(dsn=server.dsn)
    return {one.check: one for one in mirror_check.server(config, folder, "main", AccountKind.DEMO)}


def until(true: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


class Machine:
    """A state folder whose journal is mirrored."""

    def __init__(self, folder: Path, server: Server, machine: str) -> None:
        folder.mkdir()
        self.journal = SqliteJournal.open(journal_path(folder))
        owner = Owner("main", "DEMO", self.journal.instance, machine)
        self.mirror = Mirror(journal_path(folder), owner, server.dsn, lambda: self.journal.seq)
        self.mirror.start()
        self.journal.claim("main", AccountKind.DEMO, self.mirror.first(10.0))

    async def write(self, count: int) -> None:
        note = Noted(at_ns=1, level=Level.INFO, subject="x", by="bot", text="y")
        await self.journal.append([note] * count)

    def close(self) -> None:
        self.mirror.close()
        self.journal.close()


async def test_a_copy_that_is_whole_and_one_that_is_behind(tmp_path: Path, postgres: Server) -> None:
    folder = tmp_path / "main"
    assert told(postgres, folder)["mirror"].text == "the first start makes its tables"
    machine = Machine(folder, postgres, f"{socket.gethostname()}:{folder.resolve()}")
    await machine.write(10)
    until(lambda: machine.mirror.standing.behind == 0)
    found = told(postgres, folder)
    assert {one.grade for one in found.values()} == {Grade.OK}
    assert found["mirror"].text == "has all 10 facts" and "by this machine" in found["account lock"].text
    machine.mirror.close()
    await machine.write(5)
    found = told(postgres, folder)
    assert (found["mirror"].grade, found["mirror"].text) == (Grade.WARN, "5 of 15 facts behind")
    assert found["account lock"].text == "free on the server"
    machine.close()


async def test_an_account_that_another_machine_holds_and_a_journal_that_was_cut_off(
    tmp_path: Path, postgres: Server
) -> None:
    machine = Machine(tmp_path / "main", postgres, "elsewhere:/nexus/main")
    await machine.write(4)
    until(lambda: machine.mirror.standing.behind == 0)
    held = told(postgres, tmp_path / "main")["account lock"]
    assert held.grade is Grade.WARN and "held on the server by elsewhere:/nexus/main" in held.text
    machine.close()
    with sqlite3.connect(journal_path(tmp_path / "main")) as conn:
        conn.execute("DELETE FROM journal WHERE seq > 2")
    conn.close()
    cut = told(postgres, tmp_path / "main")["mirror"]
    assert cut.grade is Grade.BAD and "not the same" in cut.text


def test_a_server_that_is_not_there_is_bad_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "nexus.toml"
    path.write_text('[postgres]\ndsn = "host=/nowhere user=nexus"\n')
    assert doctor.main(["--state", str(tmp_path / "state"), "--config", str(path)]) == 1
    [line] = [line for line in capsys.readouterr().out.splitlines() if "PostgreSQL" in line]
    assert line.startswith("bad") and "the journal is whole without it" in line


def test_nothing_is_said_where_none_is_configured(tmp_path: Path) -> None:
    assert mirror_check.server(PostgresConfig(), tmp_path, "main", AccountKind.DEMO) == ()


PHRASE = Secret("correct horse battery")


def test_a_start_takes_the_password_out_of_the_vault_also_for_a_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "nexus.toml"
    path.write_text('[postgres]\ndsn = "host=/nowhere user=nexus"\nkey = "mirror"\n')
    options = Options(state=tmp_path, config=path)
    with pytest.raises(StartError, match="passphrase"):
        with_key(options, ask=False)
    row = ApiKey(name="mirror", venue=Venue.POSTGRES, kind=AccountKind.PAPER, api_key=Secret(""), secret=Secret("pw"))
    Vault.create(tmp_path / "vault", PHRASE, work=2).add(row)
    (tmp_path / "nexus-vault").write_text(PHRASE.reveal())
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    found = with_key(options, ask=False)
    assert found.password == Secret("pw") and "pw" not in repr(found.password)
    assert with_key(found, ask=False) is found
