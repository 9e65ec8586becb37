"""A user's own strategies in backtests and sweeps: found by name or by file, stepped or skipped, honest if broken."""

import json
from pathlib import Path
from typing import Any

import pytest
from past import SOL, walk, written

from nexus_engine.lab import backtest, sweep
from nexus_engine.lab.backtest import BacktestOrder, run
from nexus_engine.lab.bars import Bars
from nexus_engine.lab.chosen import AUTO, find
from nexus_engine.model.config import ConfigError, Directive, load
from nexus_engine.model.usage import UsageError
from nexus_engine.runtime.own_files import listed

EXAMPLE = Path(__file__).parents[2] / "examples" / "strategies" / "pullback.py"
SKIPPED = '''
from typing import ClassVar
from nexus_engine.cortex.flow import Flow
from nexus_engine.cortex.strategy import Gate

class Mine(Flow):
    """Flow by another name: it can be skipped through, as Flow can."""
    name: ClassVar[str] = "mine"
    GATE: ClassVar[Gate] = Gate(trending=True)
'''
HEAD = """
[shield]
max_spread_bp = 50
exit_pause_min = 0
stops_window_min = 0
low_trades = 0
min_day_volume = 0
[account]
own_strategies = "own"
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "pullback.py").write_text(EXAMPLE.read_text())
    (folder / "mine.py").write_text(SKIPPED)
    (tmp_path / "nexus.toml").write_text(HEAD)
    return tmp_path


@pytest.fixture(scope="module")
def past() -> Bars:
    return walk(11, 2_400, 3_600, swing=0.006)


def ordered(home: Path, bars: Bars, name: str, **more: Any) -> BacktestOrder:
    directive = load(home / "nexus.toml")
    chosen = find(name, directive)
    path = written(bars, home / "past.parquet")
    return BacktestOrder(
        data=(path,), symbol=SOL, strategy=chosen.name, own=chosen.own, directive=directive, **more
    )  # fmt: skip


@pytest.mark.parametrize("name", ["pullback", "mine", AUTO])
def test_the_run_that_skips_is_the_run_that_steps_with_own_strategies_too(home: Path, name: str) -> None:
    bars = walk(3, 4_000, 3_600, swing=0.006)
    skipped, stepped = (run(ordered(home, bars, name, skipping=skipping)) for skipping in (True, False))
    assert skipped.trades == stepped.trades
    assert skipped.signals == stepped.signals
    assert skipped.decisions_hash == stepped.decisions_hash
    assert skipped.trades
    names = {trade.strategy for trade in skipped.trades}
    assert names == {name} if name != AUTO else names > {"pullback"}


def test_one_by_another_name_trades_what_the_shipped_one_trades(home: Path) -> None:
    bars = walk(3, 4_000, 3_600, swing=0.006)
    mine, flow = (run(ordered(home, bars, name)) for name in ("mine", "flow"))
    assert [(one.opened_ns, one.entry, one.net) for one in mine.trades] == [
        (one.opened_ns, one.entry, one.net) for one in flow.trades
    ]
    assert len(mine.trades) > 5


def test_a_file_is_taken_by_its_path_in_the_place_of_the_one_in_the_folder(home: Path, past: Bars) -> None:
    other = home / "other.py"
    other.write_text(EXAMPLE.read_text().replace("default=20, low=5", "default=10, low=5"))
    directive = load(home / "nexus.toml")
    chosen = find(str(other), directive)
    assert chosen.name == "pullback"
    assert chosen.kind.PARAMS["fast"].default == 10
    assert chosen.code != find("pullback", directive).code
    data = written(past, home / "past.parquet")
    assert find(str(EXAMPLE), Directive()).own.kinds
    assert run(BacktestOrder(data=(data,), symbol=SOL, strategy="pullback", own=chosen.own, directive=directive))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "pulback",
            ("there is none of that name", "harpoon, scalping, flow, shark", "pullback", "typo.py cannot be used"),
        ),
        ("typo", ("typo.py: line 1: SyntaxError",)),
        ("own/typo.py", ("line 1: SyntaxError",)),
        ("nowhere.py", ("no such file",)),
    ],
)
def test_what_there_is_not_is_one_line_that_tells_what_there_is(
    home: Path, past: Bars, name: str, words: tuple[str, ...], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (home / "own" / "typo.py").write_text("def f(:\n")
    monkeypatch.chdir(home)
    data = written(past, home / "past.parquet")
    common = ["--data", str(data), "--symbol", SOL, "--strategy", name, "--config", "nexus.toml"]
    for main in (backtest.main, sweep.main):
        assert main(common) == 2
        told = capsys.readouterr().err
        assert all(word in told for word in words), told
        assert told.count("\n") == 1
    with pytest.raises(UsageError):
        find(name, load(home / "nexus.toml"))


def test_with_auto_a_broken_file_is_a_note_and_the_rest_runs(home: Path, past: Bars) -> None:
    (home / "own" / "typo.py").write_text("def f(:\n")
    result = run(ordered(home, past, AUTO))
    assert any("typo.py is left out: line 1: SyntaxError" in note for note in result.notes)
    assert {trade.strategy for trade in result.trades} > {"pullback"}


def test_one_that_fails_on_its_way_is_told_and_not_taken_for_a_quiet_one(home: Path, past: Bars) -> None:
    text = EXAMPLE.read_text().replace("        slow_before = slow.value\n", "        slow_before = 1 / 0\n")
    (home / "own" / "pullback.py").write_text(text)
    result = run(ordered(home, past, "pullback"))
    assert not result.trades
    assert any("pullback failed on its way and said nothing more: ZeroDivisionError" in note for note in result.notes)


@pytest.mark.parametrize("answer", ["1 / 0", "columns.close", "columns.close[1:] > 0"])
def test_candidates_that_are_none_are_one_line(home: Path, past: Bars, answer: str) -> None:
    wrong = SKIPPED + f"    def candidates(self, columns):\n        return {answer}\n"
    (home / "own" / "mine.py").write_text(wrong)
    with pytest.raises(ConfigError, match="strategy mine: candidates: "):
        run(ordered(home, past, "mine"))


def test_parameters_of_a_strategy_that_there_is_not_are_refused_as_live(home: Path, past: Bars) -> None:
    with (home / "nexus.toml").open("a") as file:
        file.write("[strategies.pulback]\nfast = 10\n")
    with pytest.raises(ConfigError, match=r"unknown strategy strategies.pulback; known: .*pullback"):
        run(ordered(home, past, "flow"))


def test_a_sweep_searches_an_own_strategy_and_refuses_another_file_in_the_same_study(
    home: Path, past: Bars, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setattr(sweep, "LEAST_TRADES", 1)
    written(past, home / "past.parquet")
    words = ["--data", "past.parquet", "--symbol", SOL, "--strategy", "pullback", "--config", "nexus.toml"]
    words += ["--trials", "2", "--folds", "1", "--search", "fast", "--study", "s", "--seed", "1", "--json"]
    assert sweep.main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["strategy"] == "pullback"
    assert set(found["folds"][0]["params"]) == {"fast"}
    (home / "own" / "pullback.py").write_text(EXAMPLE.read_text() + "# another\n")
    assert sweep.main(words) == 2
    assert "it was begun with other code" in capsys.readouterr().err


def test_a_list_of_own_strategies_is_read_and_nothing_of_it_runs(home: Path) -> None:
    (home / "own" / "hangs.py").write_text('while True: pass\nclass A:\n    name = "forever"\n')
    (home / "own" / "typo.py").write_text("def f(:\n")
    found = dict(listed(str(home / "own")))
    assert list(found) == ["forever", "mine", "pullback", "typo"]
    assert found["pullback"].startswith("PULLBACK, an example")
    assert found["typo"].startswith("cannot be used: ")
    assert listed("") == listed(str(home / "nowhere")) == []
