"""Two state folders are two machines: one venue account, one key, and only one of them trades."""

import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from postgres_server import Server
from runtime_help import ended, started, view_of, wait_until

from nexus_engine.model.commands import Release, SetMode
from nexus_engine.model.config import Directive
from nexus_engine.model.paths import journal_path
from nexus_engine.model.words import Latch, Mode
from nexus_engine.runtime import Options, Runtime
from nexus_engine.store.verify import verify

ROOT = Path(__file__).resolve().parents[2]
ROWS = "SELECT epoch, seq, turn, at_ns, {} AS fact, body, prev, hash FROM {} WHERE {} ORDER BY epoch, seq"


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[Path]:
    """The ready line of a practice venue that belongs to nobody: as far from both as a real one is."""
    ready = tmp_path / "ready.json"
    command = [sys.executable, "-m", "nexus_engine.cli", "exchange", "--scenario", "range", "--seed", "7"]
    with (
        ready.open("wb") as line,
        subprocess.Popen([*command, "--speed", "60"], stdout=line, stderr=subprocess.DEVNULL, cwd=ROOT) as process,
    ):
        wait_until(lambda: ready.read_bytes().endswith(b"\n"), 30.0)
        yield ready
        process.terminate()
        process.wait(10)


def machine(folder: Path, venue: Path, dsn: str = "") -> Runtime:
    directive = Directive.model_validate({"demo": {"venue": str(venue)}, "postgres": {"dsn": dsn}})
    return started(Options(state=folder, directive=directive))


def latched(runtime: Runtime) -> bool:
    return any(latch.latch is Latch.PROTECT_ONLY for latch in view_of(runtime).account.latches)


def reading(runtime: Runtime, name: str) -> float:
    return next(one.value for one in view_of(runtime).health if one.name == name)


def here(runtime: Runtime) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(journal_path(runtime.folder))) as conn:
        return conn.execute(ROWS.format("kind", "journal", "true")).fetchall()


def there(server: Server, runtime: Runtime) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(journal_path(runtime.folder))) as conn:
        (instance,) = conn.execute("SELECT instance FROM meta").fetchone()
    return server.rows(ROWS.format("fact", "nexus_journal", "instance = %s"), instance)


def trades(runtime: Runtime) -> int:
    with closing(sqlite3.connect(journal_path(runtime.folder))) as conn:
        (count,) = conn.execute("SELECT count(*) FROM journal WHERE kind = 'Filled'").fetchone()
    return int(count)


def test_the_server_dies_twice_while_an_account_trades_and_a_second_machine_only_protects(
    tmp_path: Path, venue: Path, postgres: Server
) -> None:
    first = machine(tmp_path / "one", venue, postgres.dsn)
    assert not latched(first)
    first.send(SetMode(mode=Mode.PILOT, word="pilot"))

    second = machine(tmp_path / "two", venue, postgres.dsn)
    assert latched(second)
    assert "another machine has this account" in view_of(second).account.blocked
    second.send(Release(latch=Latch.PROTECT_ONLY, word="protect_only"))
    wait_until(lambda: not latched(second))
    assert "another machine has this account" in view_of(second).account.blocked  # no word opens what the other holds
    writers = postgres.rows("SELECT epoch, holds FROM nexus_writers ORDER BY epoch")
    assert writers == [(1, True), (2, False)]
    with closing(sqlite3.connect(journal_path(second.folder))) as conn:
        assert conn.execute("SELECT max(epoch) FROM journal").fetchone() == (2,)
    ended(second)

    for how in (signal.SIGQUIT, signal.SIGKILL):
        before = trades(first)
        postgres.stop(how)
        wait_until(lambda: "the account's lock is lost" in view_of(first).problem, 15.0)
        wait_until(lambda before=before: trades(first) > before, 60.0)  # it trades on
        assert view_of(first).account.blocked == ""
        wait_until(lambda: reading(first, "mirror behind") > 0)
        postgres.start()
        wait_until(lambda: reading(first, "mirror behind") == 0 and "PostgreSQL" not in view_of(first).problem, 20.0)
    ended(first)
    assert there(postgres, first) == here(first)
    assert len(there(postgres, second)) == len(here(second))
    assert verify(journal_path(first.folder)).ok


def test_a_server_that_is_away_keeps_no_account_from_starting(tmp_path: Path, venue: Path, postgres: Server) -> None:
    postgres.stop()
    began_s = time.monotonic()
    runtime = machine(tmp_path / "one", venue, postgres.dsn)
    assert time.monotonic() - began_s < 25.0
    told = re.compile("PostgreSQL: .*lock is not taken").search
    wait_until(lambda: told(view_of(runtime).problem), 20.0)
    assert not latched(runtime)
    postgres.start()
    wait_until(lambda: "PostgreSQL" not in view_of(runtime).problem, 15.0)
    wait_until(lambda: postgres.rows("SELECT to_regclass('nexus_journal')")[0][0] is not None, 20.0)
    ended(runtime)
    assert there(postgres, runtime) == here(runtime)


def test_without_a_server_the_other_machines_orders_at_the_venue_tell_of_it(tmp_path: Path, venue: Path) -> None:
    first = machine(tmp_path / "one", venue)
    first.send(SetMode(mode=Mode.PILOT, word="pilot"))
    wait_until(lambda: any(row.stop_state == "ok" for row in view_of(first).positions), 60.0)
    second = machine(tmp_path / "two", venue)
    wait_until(lambda: latched(second), 10.0)
    reasons = [latch.reason for latch in view_of(second).account.latches]
    assert any("another Nexus writes on this account: order nx" in reason for reason in reasons)
    ended(second)
    ended(first)
