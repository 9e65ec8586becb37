"""An engine whose user's strategy never comes back from a bar: it puts it off, goes on, and replays to the same."""

from pathlib import Path

import pytest
from runtime_help import ended, started, view_of, wait_until

from nexus_engine.model.commands import SetMode
from nexus_engine.model.config import load
from nexus_engine.model.facts import Noted
from nexus_engine.model.words import Mode
from nexus_engine.runtime import Options, Runtime
from nexus_engine.runtime.replay import replay
from nexus_engine.store.sqlite import SqliteJournal

TEXT = (Path(__file__).parents[2] / "examples" / "strategies" / "pullback.py").read_text()
AT = "        slow_before = slow.value\n"
HANGS = "        while bar.symbol != 'CHECKUSDT':\n            pass\n"
RAISES = "        if bar.symbol != 'CHECKUSDT':\n            raise ValueError('mine')\n"


def told(runtime: Runtime) -> list[str]:
    return [event.text for event in view_of(runtime).events if "pullback is off" in event.text]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (RAISES, "ValueError: mine"),
        (HANGS, "Hung: did not come back within 1.5 s: pullback.py, line {line}, in on_bar; mend it, try it with "),
    ],
    ids=["raises", "hangs"],
)
def test_a_strategy_that_fails_on_a_bar_is_put_off_told_written_down_and_replayed(
    tmp_path: Path, lines: str, words: str
) -> None:
    folder, tape = tmp_path / "own", tmp_path / "tape"
    folder.mkdir()
    text = TEXT.replace('("1h",)', '("1m",)').replace('interval_ns("1h")', 'interval_ns("1m")').replace(AT, AT + lines)
    (folder / "pullback.py").write_text(text)
    (tmp_path / "nexus.toml").write_text('[account]\nown_strategies = "own"\n')
    runtime = started(
        Options(
            state=tmp_path / "state", directive=load(tmp_path / "nexus.toml"), scenario="calm", speed=60.0, record=tape
        )
    )
    assert "pullback" in [name for name, *_ in view_of(runtime).strategies]
    wait_until(lambda: told(runtime), 30.0)
    [line] = told(runtime)
    assert line.startswith("strategy pullback is off until a restart: ")
    after = text[: text.index(lines)].count("\n") + 1
    assert any(words.format(line=number) in line for number in (after, after + 1))
    # it lives, takes what a person wants and leaves in order
    assert "pullback" not in [name for name, *_ in view_of(runtime).strategies]
    runtime.send(SetMode(mode=Mode.WATCHER))
    wait_until(lambda: view_of(runtime).account.mode is Mode.WATCHER)
    assert runtime.asked == ""
    ended(runtime)
    assert runtime.failed == ""
    journal = SqliteJournal.open(runtime.folder / "journal.db")
    notes = [fact.text for fact in journal.facts() if isinstance(fact, Noted)]
    journal.close()
    assert notes.count(line) == 1
    found = replay(tape)
    assert found.ok and found.complete
