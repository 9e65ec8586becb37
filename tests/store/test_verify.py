"""Whatever is done to a journal behind its writer's back, `verify` finds it."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_data import Life, flat, note

from nexus_engine.model.ports import JournalError
from nexus_engine.store.rows import Row, genesis, link, rows
from nexus_engine.store.sqlite import SqliteJournal
from nexus_engine.store.verify import verify

Written = tuple[Path, Life]
FILL = "(SELECT max(seq) FROM journal WHERE kind = 'Filled')"


def tampered(written: Written, folder: Path, *statements: str) -> Path:
    path = folder / "journal.db"
    shutil.copy(written[0], path)
    conn = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        conn.execute(statement)
    conn.close()
    return path


def test_an_untouched_journal_is_whole_and_gives_the_sealed_state(written: Written) -> None:
    path, life = written
    report = verify(path)
    assert (report.ok, report.chain_ok, report.first_bad_seq, report.problems) == (True, True, None, ())
    assert report.facts == len(flat(life.turns))
    assert report.commits == len(life.turns)
    assert report.digests_checked == len(life.turns)
    assert report.state_digest == life.ledger.digest()


@pytest.mark.parametrize(
    ("statements", "bad"),
    [
        ([f"UPDATE journal SET body = replace(body, '\"0.030\"', '\"0.300\"') WHERE seq = {FILL}"], FILL),
        (["UPDATE journal SET kind = 'Noted' WHERE seq = 2"], "2"),
        (["UPDATE journal SET epoch = 2 WHERE seq = 5"], "5"),
        (["UPDATE journal SET at_ns = at_ns + 1 WHERE seq = 5"], "5"),
        (["UPDATE journal SET turn = 1 WHERE seq = 5"], "5"),
        (["DELETE FROM journal WHERE seq = 1"], "2"),
        (["DELETE FROM journal WHERE seq = 9"], "10"),
        (["DELETE FROM journal WHERE seq = 9", "UPDATE journal SET seq = seq - 1 WHERE seq > 9"], "9"),
        (
            [
                "UPDATE journal SET seq = 1000 WHERE seq = 3",
                "UPDATE journal SET seq = 3 WHERE seq = 4",
                "UPDATE journal SET seq = 4 WHERE seq = 1000",
            ],
            "3",
        ),
        (["UPDATE journal SET seq = -seq WHERE seq > 9", "UPDATE journal SET seq = 1 - seq WHERE seq < 0"], "11"),
        (["UPDATE meta SET instance = 'zzzz'"], "1"),
    ],
)
def test_the_chain_shows_what_was_changed_removed_or_moved(
    written: Written, tmp_path: Path, statements: list[str], bad: str
) -> None:
    path = tampered(written, tmp_path)
    conn = sqlite3.connect(path)
    (first_bad,) = conn.execute(f"SELECT {bad}").fetchone()
    conn.close()
    report = verify(tampered(written, tmp_path, *statements))
    assert (report.ok, report.chain_ok, report.first_bad_seq) == (False, False, first_bad)


def test_rows_cut_off_at_the_end_leave_a_journal_of_an_earlier_moment(written: Written, tmp_path: Path) -> None:
    for last in range(len(flat(written[1].turns))):
        report = verify(tampered(written, tmp_path, f"DELETE FROM journal WHERE seq > {last}"))
        assert (report.ok, report.facts) == (True, last)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE journal SET body = replace(body, '\"0.030\"', '\"0.031\"') WHERE kind = 'Filled'", "seals another"),
        ("DELETE FROM journal WHERE kind = 'LatchSet'", "seals another"),
        ("DELETE FROM journal WHERE kind = 'OrderIntended'", "does not fit what came before"),
        ("UPDATE journal SET body = '{}' WHERE kind = 'WalletSeen'", "cannot be read"),
        ("UPDATE journal SET epoch = 0 WHERE seq > 20", "is of writer 0, after writer 1"),
    ],
)
def test_a_forger_who_chains_anew_is_caught_by_the_seals(
    written: Written, tmp_path: Path, change: str, said: str
) -> None:
    path = tampered(written, tmp_path, change)
    conn = sqlite3.connect(path, isolation_level=None)
    (instance,) = conn.execute("SELECT instance FROM meta").fetchone()
    chain_anew(conn, instance)
    conn.close()
    report = verify(path)
    assert (report.ok, report.chain_ok) == (False, True)
    assert any(said in problem for problem in report.problems)


def chain_anew(conn: sqlite3.Connection, instance: str) -> None:
    old = list(rows(conn))
    conn.execute("DELETE FROM journal")
    prev = genesis(instance).hash
    for seq, row in enumerate(old, 1):
        row_hash = link(prev, seq, row.turn, row.epoch, row.at_ns, row.kind, row.body)
        new = Row(seq, row.turn, row.epoch, row.at_ns, row.kind, row.body, prev, row_hash)
        conn.execute(f"INSERT INTO journal VALUES ({', '.join('?' * len(new))})", new)
        prev = row_hash


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_changed_character_of_any_row_is_found(
    written: Written, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tampered(written, tmp_path_factory.mktemp("changed"))
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        seq = data.draw(st.integers(1, len(flat(written[1].turns))))
        (body,) = conn.execute("SELECT body FROM journal WHERE seq = ?", (seq,)).fetchone()
        at = data.draw(st.integers(0, len(body) - 1))
        new = data.draw(st.characters(min_codepoint=32, max_codepoint=126).filter(lambda char: char != body[at]))
        conn.execute("UPDATE journal SET body = ? WHERE seq = ?", (body[:at] + new + body[at + 1 :], seq))
    report = verify(path)
    assert (report.ok, report.first_bad_seq) == (False, seq)


def test_a_broken_page_is_an_answer_and_not_a_traceback(written: Written, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    body = bytearray(written[0].read_bytes())
    for page in range(2, len(body) // 4096):
        broken = bytearray(body)
        broken[page * 4096 : page * 4096 + 64] = b"\xff" * 64
        path.write_bytes(broken)
        report = verify(path)
        assert not report.ok
        assert report.problems[0].startswith("the file is damaged")


def _nameless(path: Path) -> None:
    SqliteJournal.open(path).close()
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute("DELETE FROM meta")
    conn.close()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "there is no journal here"),
        (lambda path: path.write_bytes(b""), "is not a journal of Nexus"),
        (lambda path: path.write_bytes(b"x" * 5000), "file is not a database"),
        (_nameless, "has lost its name"),
    ],
)
def test_where_there_is_no_journal_one_line_says_so(tmp_path: Path, make: Callable[[Path], object], said: str) -> None:
    path = tmp_path / "journal.db"
    make(path)
    with pytest.raises(JournalError, match=said):
        verify(path)


def test_a_journal_is_verified_while_it_is_written(journal: SqliteJournal, tmp_path: Path) -> None:
    async def write_and_verify() -> list[int]:
        seen = []
        for round_ in range(10):
            last = [journal.append([note(round_)]) for _ in range(50)][-1]
            report = await asyncio.to_thread(verify, tmp_path / "journal.db")
            assert report.problems == ()
            seen.append(report.facts)
            await last
        return seen

    seen = asyncio.run(write_and_verify())
    assert seen == sorted(seen)
    assert verify(tmp_path / "journal.db").facts == 500
