"""The search for parameters: what it searches, what it is judged on, and workers that share it."""

import math
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from postgres_server import Server

from nexus_engine.cortex.factory import STRATEGIES
from nexus_engine.cortex.flow import Flow
from nexus_engine.cortex.strategy import Value
from nexus_engine.lab.study import Plan, SweepError, opened, studies
from nexus_engine.lab.sweep import (
    KEPT_BACK,
    LEAST_TRADES,
    ONCE,
    Tried,
    finished,
    folds,
    judged,
    main,
    space,
    told,
    work,
)  # fmt: skip

DAY_NS = 86_400_000_000_000


def plan(**given: Any) -> Plan:
    usual: dict[str, Any] = {
        "strategy": "flow", "symbol": "BTCUSDT", "data": "d", "metric": "sqn", "trials": 12,
        "folds": folds(0, 400 * DAY_NS, 3),
        "space": {"channel": (20, 55), "stop_atr": (1.5, 3.0), "adx_rising": (False, True)},
    }  # fmt: skip
    return Plan(**usual | given)


class Hill:
    """A score with one best place, of which later bars know less."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []
        self.tried: list[Tried] = []

    def __call__(
        self, params: Mapping[str, Value], from_ns: int, to_ns: int, tried: Tried = ONCE, /
    ) -> dict[str, float]:
        self.asked.append((from_ns, to_ns))
        self.tried.append(tried)
        channel, stop = float(params["channel"]), float(params["stop_atr"])
        height = 3 - abs(channel - 40) / 20 - abs(stop - 2) - (0.5 if from_ns else 0)
        return {"sqn": height, "sharpe": height / 2, "trades": 20.0 if channel < 22 else 99.0, "calmar": math.nan}


# ---- what is searched and where -----------------------------------------------------------------------------------


@given(st.integers(0, 10**18), st.integers(1, 10**18), st.integers(1, 20))
def test_no_fold_is_judged_on_what_it_was_searched_in(begin: int, length: int, count: int) -> None:
    found = folds(begin, begin + length, count)
    assert len(found) == count
    assert all(one.from_ns == begin and one.from_ns <= one.until_ns <= one.to_ns for one in found)
    assert [one.until_ns for one in found[1:]] == [one.to_ns for one in found[:-1]]
    assert found[-1].to_ns == begin + length


@pytest.mark.parametrize("kind", STRATEGIES)
def test_every_strategy_has_something_to_search_and_no_more_than_it_declares(kind: Any) -> None:
    found = space(kind)
    assert found
    assert not found.keys() & KEPT_BACK
    for name, ends in found.items():
        param = kind.PARAMS[name]
        assert ends == ((False, True) if isinstance(param.default, bool) else param.choices or (param.low, param.high))


def test_what_is_named_is_searched_within_its_range() -> None:
    assert space(Flow, ["channel=20:30", "stop_atr", "risk_pct=0.3:0.5"]) == {
        "channel": (20, 30), "stop_atr": (1.5, 3.0), "risk_pct": (0.3, 0.5),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("chanel", "no such parameter"),
        ("channel=5:30", "must lie within 20:55"),
        ("channel=30:20", "must lie within"),
        ("channel=x", "must be like channel=20:55"),
        ("channel=1:2:3", "must be like"),
        ("short=0:1", "no number"),
        ("interval=1:4", "one of 1h, 4h, 1d"),
    ],
)
def test_a_wish_that_cannot_be_is_one_clear_line(word: str, says: str) -> None:
    with pytest.raises(SweepError, match=says) as caught:
        space(Flow, [word])
    assert "\n" not in str(caught.value)


# ---- a study ------------------------------------------------------------------------------------------------------


def test_it_climbs_is_judged_once_and_says_both(tmp_path: Path) -> None:
    ours, score = plan(), Hill()
    storage = opened(f"sqlite:///{tmp_path}/s.db")
    found = studies(storage, "one", ours, seed=3)
    work(found, ours, score, lambda text, share: None)
    assert [finished(study) for study in found] == [12, 12, 12]
    assert set(score.asked) == {(fold.from_ns, fold.until_ns) for fold in ours.folds}

    result = judged(found, ours, score)
    assert score.asked[-3:] == [(fold.until_ns, fold.to_ns) for fold in ours.folds]
    assert all(tried.count == 12 and tried.variance is not None for tried in score.tried[-3:])
    assert result["in_sample"] - result["out_of_sample"] == pytest.approx(0.5)
    for row in result["folds"]:
        assert row["out_of_sample"]["calmar"] is None
        assert row["params"]["channel"] >= 22, "of too few trades nothing is said"
    asked = len(score.asked)
    assert judged(found, ours, score) == result
    assert len(score.asked) == asked
    assert "Only the second says anything" in "\n".join(told(result))


def test_a_study_goes_on_where_it_was_and_only_with_what_it_was_begun_with(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    few, score = plan(trials=4), Hill()
    work(studies(opened(url), "one", few, None), few, score, lambda text, share: None)
    before = len(score.asked)
    work(studies(opened(url), "one", few, None), few, score, lambda text, share: None)
    assert len(score.asked) == before
    for other, word in ((plan(trials=4, data="e"), "data"), (plan(trials=5), "trials"), (plan(symbol="X"), "symbol")):
        with pytest.raises(SweepError, match=f"other .*{word}"):
            studies(opened(url), "one", other, None)


def test_where_every_trial_had_too_few_trades_it_says_so(tmp_path: Path) -> None:
    ours = plan(trials=3, space={"channel": (20, 21)}, given={"stop_atr": 2.0})
    found = studies(opened(f"sqlite:///{tmp_path}/s.db"), "one", ours, None)
    work(found, ours, Hill(), lambda text, share: None)
    result = judged(found, ours, Hill())
    assert result["in_sample"] is None
    assert f"no trial had {LEAST_TRADES} trades" in "\n".join(told(result))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "must be like"),
        ("mysql://u@h/d", "must be sqlite or postgresql"),
        ("sqlite:////nowhere/at/all/s.db", "unable to open"),
        ("postgresql://nexus:hunter2@127.0.0.1:1/d", "."),
    ],
)
def test_a_storage_that_cannot_be_is_one_line_without_its_password(url: str, says: str) -> None:
    with pytest.raises(SweepError, match=says) as caught:
        opened(url)
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


# ---- the command --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A year of hours in trends that an hourly breakout finds."""
    rng = np.random.default_rng(3)
    count = 24 * 365
    change = np.repeat(rng.normal(0, 0.0012, count // 48 + 1), 48)[:count] + rng.normal(0, 0.006, count)
    close = 20_000 * np.exp(np.cumsum(change))
    before = np.concatenate(([20_000.0], close[:-1]))
    high, low = np.maximum(before, close) * 1.001, np.minimum(before, close) * 0.999
    start = datetime(2022, 1, 1)  # noqa: DTZ001 as the files on record: naive UTC
    times = [start + timedelta(hours=at) for at in range(count)]
    frame = pl.DataFrame(
        {"open_time": times, "open": before, "high": high, "low": low, "close": close, "volume": np.full(count, 900.0)}
    )
    path = tmp_path_factory.mktemp("bars") / "BTCUSDT_1h.parquet"
    frame.with_columns(pl.col("open_time").cast(pl.Datetime("ms"))).write_parquet(path)
    (path.parent / "nexus.toml").write_text('[strategies.flow]\ninterval = "1h"\n')
    return path


def words(bars: Path, storage: str, *more: str) -> list[str]:
    return [
        "--data", str(bars), "--symbol", "BTCUSDT", "--strategy", "flow", "--config", str(bars.parent / "nexus.toml"),
        "--folds", "1", "--search", "channel=20:30", "stop_atr", "--storage", storage, *more,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--trials", "0"), "--trials 0: must be from 1"),
        (("--from", "2023-06-01", "--to", "2023-01-01"), "--from must lie before --to"),
        (("--search", "nothing"), "no such parameter"),
        (("--from", "yesterday"), "--from 'yesterday'"),
    ],
)
def test_bad_usage_is_one_line(
    bars: Path, more: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(bars, "sqlite://", *more)) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server().start()
    yield server
    server.remove()


def test_two_workers_finish_a_study_and_one_that_is_killed_loses_only_its_trial(server: Server, bars: Path) -> None:
    url = f"postgresql://nexus@/postgres?host={server.folder}"
    command = [sys.executable, "-m", "nexus_engine.cli", "sweep", *words(bars, url, "--trials", "6", "--study", "two")]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    try:
        mine, other = workers
        deadline_s = time.monotonic() + 120

        def states() -> list[str]:
            try:
                return [str(row[0]) for row in server.rows("SELECT state FROM trials ORDER BY trial_id")]
            except Exception:  # noqa: BLE001 the tables are not there yet
                return []

        while states().count("COMPLETE") < 2 or "RUNNING" not in states():
            assert time.monotonic() < deadline_s, states()
            assert all(each.poll() is None for each in workers), [each.communicate() for each in workers]
            time.sleep(0.02)
        mine.kill()
        mine.communicate()
        before = states().count("COMPLETE")
        out, error = other.communicate(timeout=240)
        assert other.returncode == 0, error
    finally:
        for each in workers:
            each.kill()
            each.communicate()
    after = states()
    assert b"Only the second says anything" in out
    assert after.count("COMPLETE") + after.count("PRUNED") >= 6 > before
    assert len(after) - after.count("COMPLETE") - after.count("PRUNED") <= 1, after
