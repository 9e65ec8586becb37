"""The journal keeps what it is given, in order, and says when it is durable."""

import asyncio
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from journal_data import CHILD_ENV, Life, a_life, flat, note

from nexus_engine.model.facts import AnyFact
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.ports import Journal, JournalError
from nexus_engine.model.words import AccountKind
from nexus_engine.store.memory import MemoryJournal
from nexus_engine.store.schema import SCHEMA
from nexus_engine.store.sqlite import SqliteJournal
from nexus_engine.store.verify import verify


async def test_what_was_appended_folds_to_the_same_trading_state_after_a_restart(tmp_path: Path) -> None:
    first = SqliteJournal.open(tmp_path / "journal.db")
    assert (first.claim("main", AccountKind.DEMO), list(first.facts())) == (1, [])
    life = a_life(first.instance)
    for turn in life.turns:
        await first.append(turn)
    first.close()

    second = SqliteJournal.open(tmp_path / "journal.db")
    facts = list(second.facts())
    assert second.instance == first.instance
    assert second.claim("main", AccountKind.DEMO) == 2
    second.close()
    assert len(facts) == len(flat(life.turns))
    assert Ledger().fold(facts).digest() == life.ledger.digest()


async def test_an_awaited_append_is_there_for_another_process_at_once(journal: SqliteJournal, tmp_path: Path) -> None:
    await journal.append([note(1), note(2)])
    with closing(sqlite3.connect(tmp_path / "journal.db")) as other, other:
        assert other.execute("SELECT text FROM notes").fetchall() == [("1",), ("2",)]
    other.close()


async def test_waiting_appends_share_one_transaction_and_keep_their_order(journal: SqliteJournal) -> None:
    statements: list[str] = []
    journal._conn.set_trace_callback(statements.append)
    done: list[int] = []
    futures = []
    for number in range(500):
        future = asyncio.ensure_future(journal.append([note(number), note(number)]))
        future.add_done_callback(lambda _, number=number: done.append(number))
        futures.append(future)
    await asyncio.gather(*futures)
    assert done == list(range(500))
    assert [fact.at_ns for fact in journal.facts()] == sorted(fact.at_ns for fact in journal.facts())
    assert sum(1 for fact in journal.facts()) == 1000
    assert sum("COMMIT" in statement for statement in statements) < 100


async def test_each_append_is_a_turn_of_its_own(journal: SqliteJournal) -> None:
    await asyncio.gather(journal.append([note(1), note(2)]), journal.append([note(3)]), journal.append([]))
    turns = journal._conn.execute("SELECT seq, turn, epoch FROM journal").fetchall()
    assert turns == [(1, 1, 1), (2, 1, 1), (3, 3, 1)]


def test_close_writes_what_nobody_waited_for(tmp_path: Path) -> None:
    journal = SqliteJournal.open(tmp_path / "journal.db")
    journal.claim("main", AccountKind.DEMO)

    async def hurry() -> None:
        for number in range(200):
            journal.append([note(number)])

    asyncio.run(hurry())
    journal.close()
    journal.close()
    again = SqliteJournal.open(tmp_path / "journal.db")
    assert len(list(again.facts())) == 200
    again.close()


async def test_a_number_that_is_none_does_not_make_the_journal_unreadable(journal: SqliteJournal) -> None:
    life = Life(journal.instance)
    life.start()
    life.trade()
    for turn in life.turns:
        await journal.append(turn)
    assert Ledger().fold(journal.facts()).digest() == life.ledger.digest()


def test_the_journal_and_its_side_files_are_for_its_owner_only(journal: SqliteJournal, tmp_path: Path) -> None:
    asyncio.run(_append(journal, [note(1)]))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert "journal.db-wal" in modes
    assert set(modes.values()) == {0o600}


def test_a_journal_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.touch(0o644)
    SqliteJournal.open(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_account_cannot_claim_the_journal_of_another(journal: SqliteJournal, tmp_path: Path) -> None:
    other = SqliteJournal.open(tmp_path / "journal.db")
    with pytest.raises(JournalError, match="belongs to main DEMO, not to main LIVE"):
        other.claim("main", AccountKind.LIVE)
    other.close()


def test_a_second_open_does_not_pay_for_sqlite_utils(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    SqliteJournal.open(path).close()
    code = (
        "import sys; from pathlib import Path; from nexus_engine.store.sqlite import SqliteJournal\n"
        "from nexus_engine.model.words import AccountKind\n"
        f"journal = SqliteJournal.open(Path({str(path)!r}))\n"
        "list(journal.facts()); journal.claim('a', AccountKind.DEMO); journal.close(); print(*sys.modules)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=CHILD_ENV)
    assert not {"sqlite_utils", "polars", "pandas", "pydantic", "argparse"} & set(done.stdout.split())


def _newer(path: Path) -> None:
    SqliteJournal.open(path).close()
    with closing(sqlite3.connect(path)) as conn, conn:
        conn.execute("PRAGMA user_version = 99")
    conn.close()


def _foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as conn, conn:
        conn.execute("CREATE TABLE theirs (x)")
    conn.close()


def _noise(path: Path) -> None:
    path.write_bytes(b"not a database " * 1000)


def _folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_newer, "was written by a newer Nexus .schema 99"),
        (_foreign, "is not a journal of Nexus"),
        (_noise, "file is not a database"),
        (_folder, "cannot be opened .Is a directory"),
    ],
)
def test_what_is_not_our_journal_is_refused_in_one_line_and_left_alone(tmp_path: Path, make: object, said: str) -> None:
    path = tmp_path / "journal.db"
    make(path)  # type: ignore[operator]
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(JournalError, match=said) as caught:
        SqliteJournal.open(path)
    assert "\n" not in str(caught.value)
    assert (path.read_bytes() if path.is_file() else b"") == before


@pytest.mark.parametrize("schema", [1, 2])
def test_a_journal_of_an_older_nexus_is_upgraded_in_place_and_its_chain_goes_on(
    written: tuple[Path, Life], tmp_path: Path, schema: int
) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(written[0].read_bytes())
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("DELETE FROM _sqlite_migrations WHERE name > ?", (f"schema_{schema}",))
        conn.execute("DROP VIEW trades")
        conn.execute("CREATE VIEW trades AS SELECT 1 AS before")
        conn.execute(f"PRAGMA user_version = {schema}")
    journal = SqliteJournal.open(path)
    assert Ledger().fold(journal.facts()).digest() == written[1].ledger.digest()
    assert journal.claim("main", AccountKind.DEMO) == 2
    asyncio.run(_append(journal, [note(1)]))
    journal.close()
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
        columns = [column[0] for column in conn.execute("SELECT * FROM trades").description]
    assert ("pnl" in columns) is (schema == 1)  # what schema 2 brought
    report = verify(path)
    assert (report.ok, report.facts) == (True, len(flat(written[1].turns)) + 1)


def test_a_creation_that_was_killed_half_way_is_finished_by_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    SqliteJournal.open(path).close()
    whole = sqlite3.connect(path)
    steps = [sql for (sql,) in whole.execute("SELECT sql FROM sqlite_master WHERE name LIKE '!_%' ESCAPE '!'")]
    whole.close()
    half = tmp_path / "half.db"
    with closing(sqlite3.connect(half)) as conn, conn:
        conn.execute("PRAGMA application_id = 0x4e585553")
        for sql in steps:
            conn.execute(sql)
    conn.close()
    assert steps
    journal = SqliteJournal.open(half)
    assert len(journal.instance) == 4
    journal.close()


def test_a_broken_page_is_noticed_before_anything_is_decided_on_it(written: tuple[Path, Life], tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    body = bytearray(written[0].read_bytes())
    body[2 * 4096 : 2 * 4096 + 64] = b"\xff" * 64
    path.write_bytes(body)
    with pytest.raises(JournalError, match=r"is damaged|malformed"):
        SqliteJournal.open(path)


def test_a_changed_row_stops_the_fold(written: tuple[Path, Life], tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(written[0].read_bytes())
    with closing(sqlite3.connect(path)) as conn, conn:
        conn.execute("UPDATE journal SET body = replace(body, '\"10000\"', '\"99999\"') WHERE kind = 'WalletSeen'")
    conn.close()
    journal = SqliteJournal.open(path)
    with pytest.raises(JournalError, match="was changed at row 3; see `nexus journal verify`"):
        list(journal.facts())
    journal.close()


async def test_the_memory_journal_is_the_same_port(tmp_path: Path) -> None:
    memory = MemoryJournal()
    ports: list[Journal] = [memory]
    life = a_life(memory.instance)
    assert memory.claim("main", AccountKind.DEMO) == 1
    for turn in life.turns:
        await ports[0].append(turn)
    assert Ledger().fold(memory.facts()).digest() == life.ledger.digest()
    memory.failing = "disk full"
    with pytest.raises(JournalError, match="disk full"):
        await memory.append([note(1)])


async def _append(journal: SqliteJournal, facts: list[AnyFact]) -> None:
    await journal.append(facts)
