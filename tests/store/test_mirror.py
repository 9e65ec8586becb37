"""The mirror on a real server: nothing lost, nothing doubled, whatever becomes of the server; and nobody waits."""

import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from journal_data import a_life, note
from postgres_server import Server

from nexus_engine.model.secret import Secret
from nexus_engine.model.words import AccountKind
from nexus_engine.store import mirror as mirror_module
from nexus_engine.store.mirror import Mirror
from nexus_engine.store.postgres import Owner
from nexus_engine.store.sqlite import SqliteJournal
from nexus_engine.store.verify import verify

ROWS = "SELECT epoch, seq, turn, at_ns, {} AS fact, body, prev, hash FROM {} ORDER BY epoch, seq"


def until(true: Callable[[], object], within_s: float = 20.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def here(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as conn:
        return conn.execute(ROWS.format("kind", "journal")).fetchall()


def there(server: Server) -> list[tuple[object, ...]]:
    return server.rows(ROWS.format("fact", "nexus_journal"))


class Machine:
    """A state folder with a journal and its mirror."""

    def __init__(self, folder: Path, server: Server, name: str = "one", *, lock: bool = True) -> None:
        folder.mkdir(exist_ok=True)
        self.path = folder / "journal.db"
        self.journal = SqliteJournal.open(self.path)
        owner = Owner("main", "DEMO", self.journal.instance, name)
        self.mirror = Mirror(self.path, owner, server.dsn, lambda: self.journal.seq, lock=lock)
        self.mirror.start()
        self.epoch = self.journal.claim("main", AccountKind.DEMO, self.mirror.first(10.0))

    def write(self, first: int, last: int) -> None:
        async def write() -> None:
            for number in range(first, last, 2):
                await self.journal.append([note(number), note(number + 1)])

        asyncio.run(write())

    def close(self) -> None:
        self.journal.close()
        self.mirror.close()

    def caught_up(self) -> bool:
        return self.mirror.standing.behind == 0 and self.mirror.standing.problem == ""


@pytest.fixture
def machine(tmp_path: Path, postgres: Server) -> Iterator[Machine]:
    one = Machine(tmp_path / "one", postgres)
    yield one
    one.close()


def test_every_fact_reaches_the_server_as_it_is_in_the_journal(tmp_path: Path, postgres: Server) -> None:
    one = Machine(tmp_path, postgres)
    life = a_life(one.journal.instance)

    async def write() -> None:
        for turn in life.turns:
            await one.journal.append(turn)

    asyncio.run(write())
    one.close()  # what is left is brought over on the way out
    assert there(postgres) == here(one.path)
    assert postgres.rows("SELECT DISTINCT account, kind, instance FROM nexus_journal") == [
        ("main", "DEMO", one.journal.instance)
    ]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL], ids=["fast", "immediate", "killed"])
def test_a_server_that_goes_while_facts_are_written_gets_each_of_them_once_when_it_is_back(
    machine: Machine, postgres: Server, how: signal.Signals
) -> None:
    machine.write(0, 600)
    until(lambda: machine.mirror.standing.behind < 600)  # in the middle of it
    postgres.stop(how)
    machine.write(600, 800)
    until(lambda: "PostgreSQL: " in machine.mirror.standing.problem and machine.mirror.standing.behind >= 200)
    assert "the account's lock is lost" in machine.mirror.standing.problem
    assert machine.mirror.standing.hindrance == ""  # the journal is whole without it: trading goes on
    postgres.start()
    machine.write(800, 900)
    until(machine.caught_up)
    assert there(postgres) == here(machine.path)
    assert machine.mirror.standing.holds


def test_a_server_that_is_not_there_at_the_start_gets_everything_later(tmp_path: Path, postgres: Server) -> None:
    postgres.stop()
    began_s = time.monotonic()
    one = Machine(tmp_path / "one", postgres)
    assert time.monotonic() - began_s < 8.0
    assert (one.epoch, one.mirror.standing.epoch) == (1, 0)
    one.write(0, 200)
    postgres.start()
    until(one.caught_up)
    assert (there(postgres), one.mirror.standing.holds) == (here(one.path), True)
    one.close()


def test_a_restart_goes_on_where_the_server_is(tmp_path: Path, postgres: Server) -> None:
    for start in range(3):
        one = Machine(tmp_path / "one", postgres)
        assert one.epoch == start + 1
        one.write(start * 100, start * 100 + 100)
        one.close()
    assert there(postgres) == here(one.path)
    assert postgres.rows("SELECT epoch, holds FROM nexus_writers ORDER BY epoch") == [(1, True), (2, True), (3, True)]


def test_a_server_that_hangs_is_waited_for_by_nobody_and_said_and_cut_off(
    machine: Machine, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror_module, "_SILENT_S", 0.3)
    monkeypatch.setattr(mirror_module, "_HANGS_S", 0.6)
    machine.write(0, 10)
    until(machine.caught_up)
    ((pid,),) = postgres.rows("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'nexus%'")
    os.kill(int(str(pid)), signal.SIGSTOP)
    try:
        machine.write(10, 400)  # durable, one by one
        until(lambda: "PostgreSQL: no answer for" in machine.mirror.standing.problem)
        assert machine.mirror.standing.behind == 390

        def cut_off() -> bool:
            machine.mirror.look()
            return "earlier session of ours" in machine.mirror.standing.problem

        until(cut_off)
        # nobody can have come between: that is no reason to keep entries away
        assert machine.mirror.standing.hindrance == ""
        until(lambda: machine.mirror.standing.behind == 0)
    finally:
        os.kill(int(str(pid)), signal.SIGCONT)
    until(lambda: machine.caught_up() and machine.mirror.standing.holds)
    assert there(postgres) == here(machine.path)
    assert len(postgres.rows("SELECT epoch FROM nexus_writers")) == 1


def test_rows_that_are_there_already_are_not_there_twice(machine: Machine, postgres: Server) -> None:
    machine.write(0, 300)
    until(machine.caught_up)
    # as if the answer to a batch had been lost: the thread begins again from the start
    machine.mirror._seq = 0
    machine.write(300, 310)
    until(lambda: machine.mirror._seq > 300)
    until(machine.caught_up)
    assert there(postgres) == here(machine.path)


# ---- two machines ----------------------------------------------------------------------------------------------------


def test_a_second_machine_has_a_higher_epoch_and_is_told_to_protect_only(
    machine: Machine, tmp_path: Path, postgres: Server
) -> None:
    second = Machine(tmp_path / "two", postgres, "two")
    standing = second.mirror.standing
    assert (standing.holds, standing.latch) == (False, True)
    assert standing.hindrance == "another machine has this account: one (writer 1)"
    assert second.epoch > machine.epoch
    writers = postgres.rows("SELECT epoch, machine, holds FROM nexus_writers ORDER BY epoch")
    assert writers == [(1, "one", True), (2, "two", False)]
    assert machine.mirror.standing.hindrance == ""
    second.write(0, 10)
    machine.write(0, 10)
    until(lambda: len(there(postgres)) == 20)  # both are kept, side by side

    machine.close()
    until(lambda: second.mirror.standing.holds)
    assert second.mirror.standing.hindrance == ""
    assert postgres.rows("SELECT machine, holds FROM nexus_writers ORDER BY epoch DESC LIMIT 1") == [("two", True)]
    second.close()


def test_a_machine_that_lost_the_lock_to_another_is_told_when_it_is_back(
    machine: Machine, tmp_path: Path, postgres: Server
) -> None:
    second = Machine(tmp_path / "two", postgres, "two")
    until(lambda: machine.mirror.standing.holds)
    ended = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
    postgres.rows(ended)
    until(lambda: second.mirror.standing.holds != machine.mirror.standing.holds)
    while machine.mirror.standing.holds:  # it was quicker: once more
        postgres.rows(ended)
        time.sleep(1.5)
    until(lambda: second.mirror.standing.holds)
    until(lambda: "another machine has this account: two" in machine.mirror.standing.hindrance)
    assert machine.mirror.standing.latch
    second.close()
    until(lambda: machine.mirror.standing.holds)
    until(lambda: "two (writer" in machine.mirror.standing.lost)  # a person has to know, whoever has the lock now
    assert machine.mirror.standing.hindrance == ""


def test_our_own_session_that_the_server_still_takes_for_alive_is_waited_for(
    machine: Machine, tmp_path: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a power cut: the lock is held by a session that nobody uses any more. Longer than that it is a clone."""
    again = Mirror(machine.path, machine.mirror._owner, postgres.dsn, lambda: machine.journal.seq)
    monkeypatch.setattr(mirror_module, "_GHOST_S", 2.0)
    again.start()
    again.first(10.0)
    assert "an earlier session of ours" in again.standing.hindrance
    assert not again.standing.latch
    until(lambda: again.standing.latch)
    assert "with a copy of this journal" in again.standing.hindrance
    machine.mirror.close()
    until(lambda: again.standing.holds)
    again.close()


def test_without_the_lock_there_is_only_the_mirror(tmp_path: Path, postgres: Server) -> None:
    machines = [Machine(tmp_path / name, postgres, name, lock=False) for name in ("one", "two")]
    for one in machines:
        one.write(0, 4)
        until(one.caught_up)
        one.close()
    assert postgres.rows("SELECT * FROM nexus_writers") == []
    assert len(there(postgres)) == 8


# ---- another history -------------------------------------------------------------------------------------------------


def cut(path: Path, last: int) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("DELETE FROM journal WHERE seq > ?", (last,))


def test_a_journal_from_a_backup_is_said_and_both_histories_are_kept(tmp_path: Path, postgres: Server) -> None:
    one = Machine(tmp_path / "one", postgres)
    one.write(0, 100)
    one.close()
    whole = there(postgres)
    cut(one.path, 60)
    one = Machine(tmp_path / "one", postgres)
    assert "knows facts of this journal, up to row 100, that are not in it" in one.mirror.standing.lost
    one.write(200, 220)
    until(one.caught_up)
    one.close()
    assert verify(one.path).ok
    assert there(postgres) == whole + here(one.path)[60:]


def test_other_facts_in_our_place_are_never_written_over(tmp_path: Path, postgres: Server) -> None:
    one = Machine(tmp_path / "one", postgres, lock=False)
    one.write(0, 100)
    one.close()
    whole = there(postgres)
    cut(one.path, 60)
    with closing(sqlite3.connect(one.path, isolation_level=None)) as conn:
        conn.execute("UPDATE meta SET epoch = 0")  # the same writer's number again, with other facts
    one = Machine(tmp_path / "one", postgres, lock=False)
    one.write(500, 520)
    until(lambda: "has other facts in the place of rows" in one.mirror.standing.problem)
    assert one.mirror.standing.lost == one.mirror.standing.problem
    one.close()
    assert there(postgres) == whole


PASSWORD = "hunter2 hunter2"


def test_a_server_that_asks_for_a_password_gets_the_one_it_is_given(
    tmp_path: Path, keyed: str, caplog: pytest.LogCaptureFixture
) -> None:
    journal = SqliteJournal.open(tmp_path / "journal.db")
    owner = Owner("main", "DEMO", journal.instance, "one")
    for password, problem in ((Secret("another"), "password authentication failed"), (Secret(PASSWORD), "")):
        mirror = Mirror(tmp_path / "journal.db", owner, keyed, lambda: journal.seq, password=password)
        mirror.start()
        epoch = mirror.first(10.0)
        assert problem in mirror.standing.problem and bool(epoch) is not bool(problem)
        mirror.close()
        assert password.reveal() not in mirror.standing.problem + caplog.text
    journal.close()


@pytest.fixture
def keyed(postgres: Server) -> Iterator[str]:
    """A user that must say a password, who may write here."""
    rules = postgres.folder / "data" / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"local all keyed scram-sha-256\n{before}")
    with psycopg.connect(postgres.dsn) as conn:
        conn.execute(f"CREATE ROLE keyed LOGIN SUPERUSER PASSWORD '{PASSWORD}'")
        conn.execute("SELECT pg_reload_conf()")
    dsn = postgres.dsn.replace("user=nexus", "user=keyed")
    until(lambda: not let_in(dsn))
    yield dsn
    rules.write_text(before)
    with psycopg.connect(postgres.dsn) as conn:
        conn.execute("DROP TABLE IF EXISTS nexus_journal, nexus_writers")
        conn.execute("DROP ROLE keyed")
        conn.execute("SELECT pg_reload_conf()")


def let_in(dsn: str) -> bool:
    try:
        psycopg.connect(dsn, password="no").close()
    except psycopg.OperationalError:
        return False
    return True


def test_what_a_server_says_is_one_line_and_holds_no_password(
    tmp_path: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PGPASSWORD", "hunter2hunter2")
    journal = SqliteJournal.open(tmp_path / "journal.db")
    journal.claim("main", AccountKind.DEMO)
    owner = Owner("main", "DEMO", journal.instance, "one")
    for dsn in (postgres.dsn.replace("user=nexus", "user=nobody"), "nonsense", "host=/nowhere user=nexus"):
        mirror = Mirror(tmp_path / "journal.db", owner, dsn, lambda: journal.seq)
        mirror.start()
        mirror.first(10.0)
        assert mirror.standing.problem.startswith("PostgreSQL: ")
        assert "\n" not in mirror.standing.problem
        mirror.close()
        assert "hunter2" not in mirror.standing.problem + caplog.text
    journal.close()
