"""A damaged or missing journal never keeps an account from being protected, and nothing of it is thrown away."""

import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_data import Life, flat, note

from nexus_engine.model.facts import AnyFact, LatchSet, Noted
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.ports import JournalError
from nexus_engine.model.words import AccountKind, Latch
from nexus_engine.store import sqlite as sqlite_module
from nexus_engine.store.rebuild import open_whole
from nexus_engine.store.rescue import Rescue, rescue_path
from nexus_engine.store.rows import FACTS, INSERT, Row, Tail, link, reading, rows
from nexus_engine.store.sqlite import SqliteJournal
from nexus_engine.store.verify import verify

Written = tuple[Path, Life]
PAGE = 4096


def copied(written: Written, folder: Path) -> Path:
    path = folder / "journal.db"
    shutil.copy(written[0], path)
    path.with_suffix(".reserve").touch()
    return path


def broken(path: Path, page: int) -> None:
    body = bytearray(path.read_bytes())
    body[page * PAGE : page * PAGE + 64] = b"\xff" * 64
    path.write_bytes(body)


def spelled(facts: Iterable[AnyFact]) -> list[bytes]:
    return [FACTS.encode(fact) for fact in facts]


def asides(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.endswith(".aside"))


def test_a_journal_that_is_whole_is_only_opened(written: Written, tmp_path: Path) -> None:
    path = copied(written, tmp_path)
    opened = open_whole(path)
    assert (opened.lost, opened.told, len(opened.facts)) == ("", "", len(flat(written[1].turns)))
    assert opened.ledger.digest() == written[1].ledger.digest()
    assert opened.journal.instance == written[1].instance
    opened.journal.close()
    assert asides(tmp_path) == []


def test_whichever_page_is_broken_the_facts_before_it_go_on_in_a_new_journal(written: Written, tmp_path: Path) -> None:
    facts = flat(written[1].turns)
    most = 0
    for page in range(written[0].stat().st_size // PAGE):
        folder = tmp_path / str(page)
        folder.mkdir()
        path = copied(written, folder)
        broken(path, page)
        kept = path.read_bytes()
        opened = open_whole(path)
        read = len(opened.facts)
        most = max(most, read)
        if opened.lost:  # some bytes of a page are nobody's
            assert f"{read} facts read back and 0 from the last resort; what came after them is lost" in opened.lost
            assert "\n" not in opened.lost
            assert (folder / asides(folder)[0]).read_bytes() == kept
            assert opened.journal.instance != written[1].instance
        assert spelled(opened.facts) == spelled(facts[:read])
        assert opened.ledger.digest() == Ledger().fold(facts[:read]).digest()
        assert opened.journal.claim("main", AccountKind.DEMO) == (2 if read else 1)
        opened.journal.close()
        assert verify(path).problems == ()
    assert most > len(facts) // 2


@settings(max_examples=25, deadline=None)
@given(cut=st.integers(1, 120_000))
def test_a_file_cut_off_anywhere_is_a_beginning_of_itself(
    written: Written, tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = copied(written, tmp_path_factory.mktemp("cut"))
    body = path.read_bytes()
    path.write_bytes(body[: cut % len(body)])
    opened = open_whole(path)
    assert opened.lost
    assert spelled(opened.facts) == spelled(flat(written[1].turns)[: len(opened.facts)])
    opened.journal.close()
    assert verify(path).ok


def test_noise_in_the_place_of_a_journal_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"not a database " * 1000)
    opened = open_whole(path)
    assert "file is not a database" in opened.lost
    assert opened.facts == ()
    opened.journal.close()
    assert (tmp_path / asides(tmp_path)[0]).read_bytes().startswith(b"not a database")


def test_a_row_that_was_changed_ends_what_is_believed(written: Written, tmp_path: Path) -> None:
    path = copied(written, tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("UPDATE journal SET body = replace(body, '\"10000\"', '\"99999\"') WHERE seq = 3")
    opened = open_whole(path)
    assert "was changed at row 3" in opened.lost
    assert len(opened.facts) == 2
    opened.journal.close()


def test_a_journal_that_is_gone_is_said_and_its_last_writes_are_kept(written: Written, tmp_path: Path) -> None:
    path = copied(written, tmp_path)
    path.unlink()
    path.with_name("journal.db-wal").write_bytes(b"the last writes")
    opened = open_whole(path)
    assert opened.lost.startswith("journal.db is gone: a new one begins, all that it held is lost; its last writes are")
    assert opened.facts == ()
    opened.journal.close()
    assert (tmp_path / asides(tmp_path)[0]).read_bytes() == b"the last writes"
    again = open_whole(path)
    again.journal.close()
    assert again.lost == opened.lost  # until the new journal says it


def test_a_first_start_has_lost_nothing(tmp_path: Path) -> None:
    opened = open_whole(tmp_path / "journal.db")
    opened.journal.close()
    assert (opened.lost, opened.facts) == ("", ())


async def test_writes_that_were_cut_off_the_log_leave_an_earlier_moment(tmp_path: Path) -> None:
    live = tmp_path / "live"
    live.mkdir()
    journal = SqliteJournal.open(live / "journal.db")
    journal.claim("main", AccountKind.DEMO)
    for number in range(40):
        await journal.append([note(number)])
    wal = (live / "journal.db-wal").read_bytes()
    whole = (live / "journal.db").read_bytes()
    for part in range(0, len(wal), len(wal) // 7):
        folder = tmp_path / str(part)
        folder.mkdir()
        (folder / "journal.db").write_bytes(whole)
        (folder / "journal.db-wal").write_bytes(wal[:part])
        (folder / "journal.reserve").touch()
        opened = open_whole(folder / "journal.db")
        numbers = [int(fact.text) for fact in opened.facts if isinstance(fact, Noted)]
        assert numbers == list(range(len(numbers)))
        opened.journal.close()
    journal.close()


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("moves", range(5))
async def test_a_rebuilding_that_was_killed_between_its_renames_is_finished_and_its_loss_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    live = tmp_path / "live"
    live.mkdir()
    journal = SqliteJournal.open(live / "journal.db")
    journal.claim("main", AccountKind.DEMO)
    for number in range(40):
        await journal.append([note(number)])
    path = tmp_path / "journal.db"
    for suffix in ("", "-wal", "-shm"):  # as a kill leaves them: most of it is in the log
        shutil.copy(live / f"journal.db{suffix}", f"{path}{suffix}")
    journal.close()
    path.with_suffix(".reserve").touch()
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("PRAGMA wal_autocheckpoint = 0")
        conn.execute("UPDATE journal SET body = replace(body, '20', 'xx') WHERE seq = 21")
        log = Path(f"{path}-wal").read_bytes()  # noqa: ASYNC240
    Path(f"{path}-wal").write_bytes(log)  # noqa: ASYNC240
    rename, left = Path.rename, moves

    def dies(self: Path, target: Path) -> Path:
        nonlocal left
        if not left:
            raise Killed
        left -= 1
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", dies)
    with suppress(Killed):
        open_whole(path).journal.close()
    monkeypatch.setattr(Path, "rename", rename)
    opened = open_whole(path)
    assert "was changed at row 21" in opened.lost
    assert [fact.text for fact in opened.facts if isinstance(fact, Noted)] == [str(number) for number in range(20)]
    opened.journal.claim("main", AccountKind.DEMO)
    said = LatchSet(at_ns=1, latch=Latch.PROTECT_ONLY, on=True, by="bot", reason=opened.lost)
    await opened.journal.append([said])
    opened.journal.close()
    again = open_whole(path)
    again.journal.close()
    assert again.lost == ""
    assert verify(path).ok


def test_what_is_no_damage_is_refused_and_left_alone(written: Written, tmp_path: Path) -> None:
    path = copied(written, tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("PRAGMA user_version = 99")
    with pytest.raises(JournalError, match="was written by a newer Nexus"):
        open_whole(path)
    theirs = tmp_path / "theirs.db"
    with closing(sqlite3.connect(theirs, isolation_level=None)) as conn:
        conn.execute("CREATE TABLE theirs (x)")
    with pytest.raises(JournalError, match="is not a journal of Nexus"):
        open_whole(theirs)
    assert asides(tmp_path) == []


# ---- the last resort -------------------------------------------------------------------------------------------------


def test_facts_that_only_the_last_resort_has_follow_those_that_were_read(written: Written, tmp_path: Path) -> None:
    """A page breaks, the writer notices, and what it could not write stands beside the journal."""
    path = copied(written, tmp_path)
    with reading(path) as conn:
        every = list(rows(conn))
    last = every[-1]
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("DELETE FROM journal WHERE seq = ?", (last.seq,))
    Rescue(path).keep([last])
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        (root,) = conn.execute("SELECT rootpage FROM sqlite_master WHERE name = 'meta'").fetchone()
    broken(path, root - 1)  # what holds its name and its writer
    opened = open_whole(path)
    assert f"{len(every) - 1} facts read back and 1 from the last resort" in opened.lost
    assert len(opened.facts) == len(every)
    opened.journal.close()


async def test_what_could_not_be_written_is_in_the_journal_after_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_module, "_BUSY_S", 0.05)
    path = tmp_path / "journal.db"
    journal = SqliteJournal.open(path)
    journal.claim("main", AccountKind.DEMO)
    await journal.append([note(0)])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError, match="database is locked"):
            await journal.append([note(1), note(2)])
        with pytest.raises(JournalError, match="2 facts were not written"):
            journal.close()
    assert rescue_path(path).read_text().count("\n") == 2
    opened = open_whole(path)
    assert [int(fact.text) for fact in opened.facts if isinstance(fact, Noted)] == [0, 1, 2]
    assert (opened.told, opened.lost) == ("2 facts came back from journal.rescue.jsonl", "")
    opened.journal.close()
    assert not rescue_path(path).exists()
    assert verify(path).ok


def _rows(start: Tail, count: int) -> list[Row]:
    found: list[Row] = []
    prev = start.hash
    for number in range(count):
        seq = start.seq + 1 + number
        body = FACTS.encode(note(number)).decode()
        row_hash = link(prev, seq, seq, 1, note(number).at_ns, "Noted", body)
        found.append(Row(seq, seq, 1, note(number).at_ns, "Noted", body, prev, row_hash))
        prev = row_hash
    return found


@settings(max_examples=30, deadline=None)
@given(kept=st.integers(1, 12), known=st.integers(0, 12), torn=st.integers(0, 200))
def test_whatever_the_last_resort_has_is_added_once_and_in_order(
    written: Written, tmp_path_factory: pytest.TempPathFactory, kept: int, known: int, torn: int
) -> None:
    path = copied(written, tmp_path_factory.mktemp("rescue"))
    with reading(path) as conn:
        before = list(rows(conn))
    fresh = _rows(before[-1].tail, kept)
    Rescue(path).keep(fresh)
    file = rescue_path(path)
    file.write_bytes(file.read_bytes()[: -torn or None])
    whole = file.read_bytes().count(b"\n")
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.executemany(INSERT, fresh[: min(known, kept)])
    opened = open_whole(path)
    opened.journal.close()
    with reading(path) as conn:
        after = list(rows(conn))
    assert after[: len(before)] == before
    assert len(before) + max(whole, min(known, kept)) <= len(after) <= len(before) + kept
    assert verify(path).ok


def test_lines_of_another_journal_stay_in_a_file_of_their_own(written: Written, tmp_path: Path) -> None:
    path = copied(written, tmp_path)
    Rescue(path).keep(_rows(Tail(10_000, b"x" * 16), 3))
    opened = open_whole(path)
    opened.journal.close()
    assert "others do not follow what the journal has: moved to journal.rescue.jsonl." in opened.told
    assert len(asides(tmp_path)) == 1


def test_lines_behind_a_torn_one_are_not_thrown_away(written: Written, tmp_path: Path) -> None:
    path = copied(written, tmp_path)
    with reading(path) as conn:
        start = list(rows(conn))[-1].tail
    Rescue(path).keep(_rows(start, 3))
    file = rescue_path(path)
    first, second, third = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(first + second[:20] + b"\n" + third)
    opened = open_whole(path)
    opened.journal.close()
    assert opened.told.startswith("1 facts came back from journal.rescue.jsonl; others cannot be read: moved to ")
    (aside,) = asides(tmp_path)
    assert (tmp_path / aside).read_bytes().endswith(third)


def test_a_last_resort_that_cannot_be_written_leaves_no_torn_line(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copied(written, tmp_path)
    fresh = _rows(Tail(0, b"y" * 16), 4)
    rescue = Rescue(path)
    rescue.keep(fresh[:2])
    before = rescue_path(path).read_bytes()

    def fails(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fails)
    rescue.keep(fresh)
    assert rescue_path(path).read_bytes() == before
    monkeypatch.undo()
    rescue.keep(fresh)
    assert rescue_path(path).read_bytes().count(b"\n") == 4
    rescue.clear()
    assert not rescue_path(path).exists()
