"""The Lab: backtests beside the account, seen and started from the cockpit."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from test_screens import compare
from tui_driving import cockpit

from nexus_tui import child
from nexus_tui.comfort import Comfort
from nexus_tui.screens.lab import Desk, Run, files, sparkline, symbol_of, told, work

FIGURES = {
    "trades": 41.0, "return_pct": 4.13, "max_drawdown_pct": 6.2, "sharpe": 0.42, "expectancy_r": 0.081,
    "profit_factor": 1.12, "expectancy_r_90": [-0.02, 0.18], "deflated_sharpe": 0.61,
}  # fmt: skip
FOUND: dict[str, Any] = {
    "strategy": "flow", "symbol": "BTCUSDT", "since": "2022-01-01T00:00:00.000Z", "until": "2024-12-31T23:00:00.000Z",
    "bars": 26303, "trades": [{"net": net} for net in (10.0, -4.0, 12.0, -3.0, 30.0)],
    "metrics": {"net": FIGURES, "gross": FIGURES | {"return_pct": 7.2}},
    "costs": {"x2": {"return_pct": 1.0, "sharpe": None}},
    "benchmarks": {"buy_and_hold": {"return_pct": 101.3, "max_drawdown_pct": 67.0}, "random_entries": {}},
    "regimes": {"TREND_UP": {"trades": 21, "expectancy_r": 0.12}, "RANGE": {"trades": 2, "expectancy_r": float("nan")}},
    "notes": ["12 bars are missing in 2 gaps; strategies warm up anew after each \x1b[31m"],
    "page": "backtest-flow-BTCUSDT-20261129-220000.html",
}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "symbol"),
    [
        ("klines_1h/BTCUSDT_spot_1h_2022-2024.parquet", "BTCUSDT"),
        ("data/klines/1000PEPEUSDT/1m.parquet", "1000PEPEUSDT"),
        ("data/ethusdc-5m.csv", "ETHUSDC"),
        ("data/bars.csv", ""),
    ],
)
def test_the_symbol_is_what_the_file_is_called(path: str, symbol: str) -> None:
    assert symbol_of(Path(path)) == symbol


def test_files_are_those_that_hold_bars(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.csv", "sub/a.parquet", "readme.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in files(tmp_path)] == ["b.csv", "a.parquet"]
    assert files(tmp_path / "nowhere") == []


def test_a_curve_ends_where_its_sum_does() -> None:
    assert sparkline([], 10) == "no trade"
    assert sparkline([1.0] * 20, 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([-1.0] * 20, 8) == "█▇▆▅▄▃▂▁"
    assert len(sparkline([3.0], 60)) == 60


def test_what_it_says_is_text_and_nothing_else() -> None:
    text = "\n".join("".join(part for part, _ in row) for row in told(FOUND))
    assert "\x1b" not in text
    assert "nan" not in text
    assert max(map(len, text.splitlines())) <= 76


async def test_one_runs_at_a_time_and_one_that_fails_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    under_way = 0

    async def run(words: tuple[str, ...], hear: Any, *, patient: bool = False) -> dict[str, Any]:
        nonlocal under_way
        under_way += 1
        assert under_way == 1
        assert patient
        hear(0.5)
        await asyncio.sleep(0)
        under_way -= 1
        if "flow" in words:
            raise child.ChildFailed("no such file")
        return dict(FOUND)

    monkeypatch.setattr(child, "run", run)
    desk = Desk(tmp_path)
    for strategy in ("flow", "shark", "auto"):
        desk.add(Run(tmp_path / "BTCUSDT.csv", "BTCUSDT", strategy))
    drawn: list[None] = []
    await work(desk, lambda: drawn.append(None))
    assert [(each.strategy, bool(each.found), each.failed) for each in desk.runs] == [
        ("auto", True, ""), ("shark", True, ""), ("flow", False, "no such file"),
    ]  # fmt: skip
    assert drawn


def test_what_waits_or_runs_is_never_dropped_from_the_list(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    done = [Run(tmp_path / "a.csv", "BTCUSDT", f"done{number}", found=dict(FOUND)) for number in range(12)]
    ours = [Run(tmp_path / "a.csv", "BTCUSDT", f"waits{number}") for number in range(15)]
    for run in (*done, *ours):
        desk.add(run)
    assert desk.runs == ours[::-1]
    assert desk.waiting is ours[0]
    ours[0].begun = True
    desk.add(late := Run(tmp_path / "a.csv", "BTCUSDT", "late"))
    assert desk.waiting is None
    for run in ours:
        run.failed = "no"
    assert desk.waiting is late
    desk.add(Run(tmp_path / "a.csv", "BTCUSDT", "last"))
    assert len(desk.runs) == 12


async def test_one_that_breaks_in_our_own_hands_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def run(words: tuple[str, ...], hear: Any, *, patient: bool = False) -> dict[str, Any]:
        if "flow" in words:
            raise ValueError("a line that is too long")
        return {} if "shark" in words else dict(FOUND)

    monkeypatch.setattr(child, "run", run)
    desk = Desk(tmp_path)
    for strategy in ("flow", "shark", "auto"):
        desk.add(Run(tmp_path / "BTCUSDT.csv", "BTCUSDT", strategy))
    await work(desk, lambda: None)
    assert [bool(each.failed) for each in desk.runs] == [False, True, True]


async def test_they_trade_by_the_directive_that_the_cockpit_was_started_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[tuple[str, ...]] = []

    async def run(words: tuple[str, ...], hear: Any, *, patient: bool = False) -> dict[str, Any]:
        asked.append(words)
        return dict(FOUND)

    monkeypatch.setattr(child, "run", run)
    async with cockpit(comfort=Comfort(file=tmp_path / "nexus.toml")) as driven:
        desk = driven.app.lab
        desk.add(Run(tmp_path / "BTCUSDT.csv", "BTCUSDT", "auto"))
        await work(desk, lambda: None)
    assert asked[0][7:9] == ("--config", str(tmp_path / "nexus.toml"))


def test_of_many_files_the_first_by_name_are_shown(tmp_path: Path) -> None:
    for number in range(400):
        (tmp_path / f"{(number * 7919) % 400:03}.csv").touch()
    (tmp_path / "folder.csv").mkdir()
    found = files(tmp_path)
    assert [path.name for path in found] == [f"{number:03}.csv" for number in range(300)]


async def test_a_file_is_chosen_then_a_strategy_and_what_runs_outlives_the_page(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "BTCUSDT_1h.csv").touch()
    monkeypatch.chdir(tmp_path)
    gate = asyncio.Event()
    asked: list[tuple[str, ...]] = []

    async def run(words: tuple[str, ...], hear: Any, *, patient: bool = False) -> dict[str, Any]:
        asked.append(words)
        hear(0.4)
        await gate.wait()
        return dict(FOUND)

    monkeypatch.setattr(child, "run", run)
    async with cockpit() as driven:
        await driven.press("5")
        assert "no backtest yet" in driven.text
        await driven.press("n", "enter", "2")
        await driven.pilot.pause()
        assert "40%" in driven.text
        await driven.press("escape")
        gate.set()
        await driven.app.workers.wait_for_complete()
        await driven.press("5")
        assert "41 trades" in driven.text
        await driven.press("enter")
        await driven.pilot.pause()
        # what is behind the box, and the page's name, are of the moment
        box = [line[1:77] for line in driven.text.splitlines() if line[0] == "│" and "backtest-" not in line]
        compare("lab-report-80x24", "\n".join(box[-14:]))
        await driven.press("escape", "escape")
        assert driven.sent == []
    (words,) = asked
    assert words[:7] == ("backtest", "--data", "data/BTCUSDT_1h.csv", "--symbol", "BTCUSDT", "--strategy", "flow")


async def test_the_users_own_strategies_are_in_the_list_and_none_of_them_runs_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "BTCUSDT_1h.csv").touch()
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "dip.py").write_text(
        '"""Buys a dip.\n\nOften."""\nwhile True: pass\nclass A:\n    name = "dip"\n'
    )
    (tmp_path / "own" / "typo.py").write_text("def f(:\n")
    (tmp_path / "nexus.toml").write_text('[account]\nown_strategies = "own"\n')
    monkeypatch.chdir(tmp_path)
    asked: list[tuple[str, ...]] = []

    async def run(words: tuple[str, ...], hear: Any, *, patient: bool = False) -> dict[str, Any]:
        asked.append(words)
        raise child.ChildFailed("--strategy typo: typo.py: line 1: SyntaxError: invalid syntax")

    monkeypatch.setattr(child, "run", run)
    async with cockpit(comfort=Comfort(file=tmp_path / "nexus.toml")) as driven:
        await driven.press("5", "n", "enter")
        assert "6 dip       Buys a dip." in driven.text
        assert "7 typo      cannot be used: invalid syntax" in driven.text
        await driven.press("6")
        await driven.app.workers.wait_for_complete()
        await driven.press("n", "enter", "7")
        await driven.app.workers.wait_for_complete()
        assert "typo.py: line 1: SyntaxError" in driven.text
    assert [words[6] for words in asked] == ["dip", "typo"]


async def test_the_list_is_never_longer_than_the_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    async with cockpit() as driven:
        for _ in range(12):
            driven.app.lab.add(Run(tmp_path / "a.csv", "BTCUSDT", "flow"))
        await driven.press("5", "n")
        assert "12 backtests wait already" in driven.text


async def test_without_bars_it_says_where_they_come_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    async with cockpit() as driven:
        await driven.press("5", "n")
        assert "nexus download" in driven.text
