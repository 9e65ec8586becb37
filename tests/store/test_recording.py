"""A recording holds what the core was given, and survives the death of whoever wrote it."""

import resource
import stat
import subprocess
import sys
from decimal import Decimal as D
from pathlib import Path

import pytest
from journal_data import CHILD_ENV, a_life, flat

from nexus_engine.model.commands import Approve
from nexus_engine.model.effects import Notify, SetTimer
from nexus_engine.model.events import AccountUpdate, AnyEvent, BookDelta, Commanded, Mark, Trade
from nexus_engine.model.words import Level
from nexus_engine.store.recording import End, Header, Recorder, RecordingError, read_recording

HEADER = Header(version="1", directive={"account": {"name": "main"}}, facts=tuple(flat(a_life("abcd").turns)))
EVENTS: list[AnyEvent] = [
    BookDelta(at_ns=1, mono_ns=1, symbol="BTCUSDT", update_id=7, bids=((11, 2.0),), asks=(), venue_ns=1),
    Mark(
        at_ns=2,
        mono_ns=2,
        symbol="BTCUSDT",
        mark=1.0,
        index=float("nan"),
        funding_rate=0.0,
        next_funding_ns=0,
        venue_ns=2,
    ),
    Trade(at_ns=3, mono_ns=3, symbol="BTCUSDT", price=float("inf"), qty=1.0, buyer_is_maker=True, venue_ns=3),
    AccountUpdate(at_ns=4, mono_ns=4, wallet=D("10.50"), venue_ns=4),
    Commanded(at_ns=5, mono_ns=5, command=Approve(proposal=1, shown="abc")),
]
EFFECTS = [Notify(level=Level.INFO, subject="a", by="b", text="c"), SetTimer(key="k", due_mono_ns=5)]


def record(path: Path, effects: list[Notify | SetTimer] = EFFECTS) -> None:
    recorder = Recorder(path, HEADER)
    for event in EVENTS:
        recorder.event(event)
        recorder.effects(effects)
    recorder.close()
    recorder.close()
    assert recorder.error == ""


def test_a_recording_gives_back_its_header_events_and_end(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    record(path)
    header, events, end = read_recording(path)
    assert (header.version, header.directive, len(header.facts)) == (
        HEADER.version,
        HEADER.directive,
        len(HEADER.facts),
    )
    assert [repr(event) for event in events] == [repr(event) for event in EVENTS]
    assert end is not None
    assert (end.events, len(end.effects_hash)) == (len(EVENTS), 32)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_hash_tells_other_decisions_apart(tmp_path: Path) -> None:
    ends: list[End | None] = []
    for number, effects in enumerate((EFFECTS, EFFECTS, EFFECTS[::-1], EFFECTS[:1])):
        record(tmp_path / str(number), list(effects))
        ends.append(read_recording(tmp_path / str(number))[2])
    assert ends[0] == ends[1]
    assert len({end.effects_hash for end in ends if end}) == 3


def test_a_torn_recording_reads_to_the_tear_wherever_it_is(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    record(whole)
    body = whole.read_bytes()
    starts = [at + 1 for at, char in enumerate(body) if char == 10]
    torn = tmp_path / "torn"
    for size in range(starts[0], len(body)):
        torn.write_bytes(body[:size])
        _, events, end = read_recording(torn)
        assert len(list(events)) == min(len(EVENTS), sum(start <= size for start in starts) - 1)
        assert end is None


def test_what_was_recorded_more_than_a_second_ago_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    code = (
        "import os, sys, signal; from pathlib import Path\n"
        "from nexus_engine.store.recording import Header, Recorder\n"
        "from nexus_engine.model.events import TimerFired\n"
        "recorder = Recorder(Path(sys.argv[1]), Header(version='1', directive={}))\n"
        "for tenth in range(100): recorder.event(TimerFired(at_ns=0, mono_ns=tenth * 10**8, key=str(tenth)))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], env=CHILD_ENV)
    _, events, end = read_recording(path)
    assert len(list(events)) >= 90
    assert end is None


def test_a_disk_that_fails_ends_the_recording_and_nothing_else(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r.jsonl", Header(version="1", directive={}))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        for second in range(100):
            recorder.event(
                Trade(at_ns=0, mono_ns=second * 10**9, symbol="B", price=1, qty=1, buyer_is_maker=True, venue_ns=0)
            )
            recorder.effects(EFFECTS)
        recorder.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "recording ended (File too large)" in recorder.error


def test_a_path_that_cannot_be_written_is_one_line_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"cannot be written .No such file or directory"):
        Recorder(tmp_path / "missing" / "r.jsonl", HEADER)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "is not a recording"),
        (b"hello\n", "is not a recording"),
        (b'{"version":"1","directive":{},"recording":9}\n', "format 9"),
    ],
)
def test_what_is_no_recording_of_ours_is_one_line(tmp_path: Path, body: bytes, said: str) -> None:
    path = tmp_path / "r"
    path.write_bytes(body)
    with pytest.raises(RecordingError, match=said) as caught:
        read_recording(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(RecordingError, match="cannot be read"):
        read_recording(tmp_path / "missing")


def test_a_line_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r"
    record(path)
    path.write_bytes(path.read_bytes().replace(b'"update_id":7', b'"update_id":x'))
    _, events, _ = read_recording(path)
    with pytest.raises(RecordingError, match="line 2 cannot be read"):
        list(events)
