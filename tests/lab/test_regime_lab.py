"""`nexus regime`: any folder of bars is read or named, what is measured is measured right, and the report is honest."""

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from regimes import FIRST_H, SMALL, SYMBOLS, frame, learned, model, panel, write

from nexus_engine.lab import regime as command
from nexus_engine.lab import regime_eval, regime_fit, regime_train
from nexus_engine.lab.regime_data import DataError, Found, read
from nexus_engine.lab.regime_eval import evaluate, verdict
from nexus_engine.lab.regime_gating import Trades, coarser, gating, trend_trades
from nexus_engine.lab.regime_metrics import auc, balanced_accuracy, ece, entropy, log_loss, macro_f1, week_bootstrap
from nexus_engine.lab.regime_samples import purge_h, samples
from nexus_engine.model.config import Directive
from nexus_engine.runtime.regime import current_path, load_model, models_dir, save_model, shipped_path

SPLIT = 6_000


@pytest.fixture
def told(tmp_path: Path) -> Path:
    save_model(model(), tmp_path / "model" / "small.json")
    return tmp_path / "model" / "small.json"


def ran(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = command.main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


# ---- reading ---------------------------------------------------------------------------------------------------------


def test_a_folder_of_anything_is_read_and_what_is_no_bars_is_named(tmp_path: Path) -> None:
    one = panel().columns["BTCUSDT"]
    bars = frame(one)
    (tmp_path / "deep").mkdir()
    bars.write_csv(tmp_path / "deep" / "ETH_USDT-1h.csv")
    bars.with_columns(pl.lit("SOL/USDT:USDT").alias("symbol")).write_parquet(tmp_path / "stacked.parquet")
    bars.with_columns(pl.col("open_time").dt.epoch("s")).write_parquet(tmp_path / "xrpusdt.parquet")
    (tmp_path / "BTCUSDT").mkdir()
    bars.sample(fraction=1, shuffle=True, seed=1).write_parquet(tmp_path / "BTCUSDT" / "2020-01.parquet")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "noise.csv").write_bytes(bytes(range(256)))
    bars.select("open_time", "close").write_parquet(tmp_path / "narrow.parquet")
    bars.write_parquet(tmp_path / "lower_case.parquet")
    bars.head(1).write_parquet(tmp_path / "ADAUSDT.parquet")
    bars.with_columns(pl.lit(None, dtype=pl.Float64).alias("close")).write_parquet(tmp_path / "DOTUSDT.parquet")
    bars.write_csv(tmp_path / "BNBUSDT_[1h].csv")
    os.mkfifo(tmp_path / "LTCUSDT.csv")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "\x1b[2J\n.csv").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no bars")
    found = read(tmp_path)
    assert list(found.panels[0].columns) == ["BNBUSDT", "BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"]
    for columns in found.panels[0].columns.values():
        np.testing.assert_allclose(columns.close, one.close)
        np.testing.assert_array_equal(columns.close_h, one.close_h)
    for name in ("torn", "empty", "noise", "narrow", "lower_case", "ADAUSDT", "DOTUSDT"):
        assert sum(name in note for note in found.notes) >= 1, name
    assert all(note.isprintable() for note in found.notes)


def test_finer_bars_become_hours_and_coarser_ones_stay(tmp_path: Path) -> None:
    one = panel().columns["BTCUSDT"]
    quarter = pl.concat(
        [frame(one).with_columns(pl.col("open_time") + pl.duration(minutes=15 * part)) for part in range(4)]
    ).sort("open_time")
    quarter.write_parquet(tmp_path / "BTCUSDT_15m.parquet")
    for step in (2, 4):
        frame(coarser(panel(), step).columns["BTCUSDT"]).write_parquet(tmp_path / f"BTCUSDT_{step}h.parquet")
    frame(coarser(panel(), 12).columns["BTCUSDT"]).write_parquet(tmp_path / "BTCUSDT_12h.parquet")
    found = read(tmp_path)
    assert [bars.step_h for bars in found.panels] == [1, 2, 4]
    np.testing.assert_allclose(found.panels[0].columns["BTCUSDT"].close, one.close)
    np.testing.assert_allclose(found.panels[0].columns["BTCUSDT"].volume, one.volume * 4)
    assert any("12h" in note and "usable" in note for note in found.notes)


def test_short_holes_stand_still_and_long_ones_stay_holes(tmp_path: Path) -> None:
    bars = frame(panel().columns["BTCUSDT"])
    kept = [at for at in range(len(bars)) if not (1_000 <= at < 1_010 or 3_000 <= at < 3_100)]
    bars[kept].write_parquet(tmp_path / "BTCUSDT.parquet")
    one = read(tmp_path).panels[0].columns["BTCUSDT"]
    assert (one.close[1_000:1_010] == one.close[999]).all() and (one.volume[1_000:1_010] == 0).all()
    assert np.isnan(one.close[3_000:3_100]).all()


def test_broken_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    bars = frame(panel().columns["BTCUSDT"])
    wrong = pl.int_range(pl.len()).is_in([5, 50, 500])
    bars.with_columns(pl.when(wrong).then(-1.0).otherwise(pl.col("low")).alias("low")).write_parquet(
        tmp_path / "BTCUSDT.parquet"
    )
    assert any("3 broken" in note for note in read(tmp_path).notes)


def test_two_files_of_a_symbol_are_one_and_the_longer_one_wins(tmp_path: Path) -> None:
    bars = frame(panel().columns["BTCUSDT"])
    bars.head(6_000).write_parquet(tmp_path / "BTCUSDT_a.parquet")
    bars.tail(3_000).write_parquet(tmp_path / "BTCUSDT_b.parquet")
    bars[100:200].with_columns(pl.col("close") * 1.0).write_parquet(tmp_path / "BTCUSDT_c.parquet")
    found = read(tmp_path)
    assert np.isfinite(found.panels[0].columns["BTCUSDT"].close).all()
    assert any("BTCUSDT_c" in note and "not used" in note for note in found.notes)


@pytest.mark.parametrize("make", [lambda path: path / "none", lambda path: path])
def test_nothing_to_read_is_one_line(tmp_path: Path, make: Any) -> None:
    with pytest.raises(DataError) as error:
        read(make(tmp_path))
    assert "\n" not in str(error.value)


# ---- metrics ---------------------------------------------------------------------------------------------------------


def test_the_metrics_are_sklearns() -> None:
    from sklearn import metrics as oracle

    rng = np.random.default_rng(3)
    said = np.round(rng.random(500), 2)
    came = rng.random(500) < said
    yes = said >= 0.5
    assert auc(said, came) == pytest.approx(oracle.roc_auc_score(came, said))
    assert log_loss(np.clip(said, 0.01, 0.99), came) == pytest.approx(oracle.log_loss(came, np.clip(said, 0.01, 0.99)))
    assert macro_f1(yes, came) == pytest.approx(oracle.f1_score(came, yes, average="macro"))
    assert balanced_accuracy(yes, came) == pytest.approx(oracle.balanced_accuracy_score(came, yes))
    assert entropy(float(came.mean())) == pytest.approx(log_loss(np.full(500, came.mean()), came))


def test_calibrated_is_nearly_nothing_and_twice_as_sure_is_not() -> None:
    rng = np.random.default_rng(4)
    said = rng.uniform(0.1, 0.9, 20_000)
    came = rng.random(20_000) < said
    assert ece(said, came) < 0.02 < 0.08 < ece(np.where(said > 0.5, 0.99, 0.01), came)


def test_one_class_gives_no_number_and_no_warning() -> None:
    said, came = np.array([0.2, 0.8]), np.array([True, True])
    assert math.isnan(auc(said, came)) and math.isnan(balanced_accuracy(said > 0.5, came))


def test_the_interval_covers_the_truth_and_knows_that_weeks_move_together() -> None:
    rng = np.random.default_rng(5)
    week = np.repeat(np.arange(200), 30)
    shock = np.repeat(rng.normal(size=200), 30)
    value = shock + rng.normal(size=6_000) * 0.1
    high = np.repeat(rng.random(200) < 0.5, 30)
    found, lower, upper, fifth = week_bootstrap(value, high, ~high, week)
    assert lower < 0 < upper and lower < fifth < found < upper
    alone = week_bootstrap(value, high, ~high, np.arange(6_000))
    assert upper - lower > 3 * (alone[2] - alone[1])


# ---- gating ----------------------------------------------------------------------------------------------------------


def test_gating_sees_what_the_probability_knew() -> None:
    """Trades that earn where P was high in its own last month, and nowhere else."""
    rng = np.random.default_rng(6)
    close_h = np.arange(FIRST_H, FIRST_H + 6 * 4_000, 6)
    said = rng.random(len(close_h))
    trades = Trades(close_h, np.zeros(len(close_h), dtype=np.int64), np.where(said > 0.66, 1.0, -0.1))
    found = gating(trades, close_h, np.zeros(len(close_h), dtype=np.int64), said)
    assert found["lower"] > 0.9 and found["r"]["low"] == pytest.approx(-0.1)
    blind = gating(trades, close_h, np.zeros(len(close_h), dtype=np.int64), rng.random(len(close_h)))
    assert blind["lower"] < 0 < blind["upper"]


def test_a_month_without_one_before_it_is_not_judged() -> None:
    close_h = np.arange(FIRST_H, FIRST_H + 6 * 40, 6)
    trades = Trades(close_h, np.zeros(40, dtype=np.int64), np.ones(40))
    assert gating(trades, close_h, np.zeros(40, dtype=np.int64), np.linspace(0, 1, 40))["trades"] == 0


def test_trades_of_a_random_walk_earn_nothing_and_pay_the_costs() -> None:
    found = trend_trades(panel())
    assert len(found.r) > 500 and found.r.min() >= -2.5
    assert abs(float(np.mean(found.r))) < 0.3  # a random walk less costs


# ---- samples and leaks -----------------------------------------------------------------------------------------------


def test_cutting_the_future_off_changes_no_row_of_the_past() -> None:
    cut = Found((panel(),), (), "")
    whole = samples(cut.panels[0])
    shorter = panel()._replace(
        close_h=panel().close_h[:5_000],
        columns={s: one._make((*(column[:5_000] for column in one[:5]), 1)) for s, one in panel().columns.items()},
    )
    past = samples(shorter)
    same = whole.between(0, FIRST_H + 5_000 - 24)
    np.testing.assert_array_equal(past.rows, same.rows)
    np.testing.assert_array_equal(past.labels, same.labels)


def test_what_is_learned_ends_before_what_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Purge and embargo: no label of a training row reaches into its fold's test."""
    seen: list[tuple[int, int]] = []

    def fit(found: Any, family: str, seed: int) -> Any:
        seen.append((int(found.close_h.min()), int(found.close_h.max())))
        raise DataError("seen")

    monkeypatch.setattr(regime_train, "fit", fit)
    monkeypatch.setattr(regime_train, "WARM_H", 3_000)
    monkeypatch.setattr(regime_train, "FOLD_H", 1_500)
    with pytest.raises(DataError, match="too short"):
        regime_train.walk(Found((panel(),), (), ""), learned(), lambda *_: model(), "forest", 1, lambda _: None)
    starts = [int(learned().close_h.min()) + 3_000 + 1_500 * at for at in range(len(seen))]
    assert len(seen) >= 3
    assert all(last <= start - purge_h() for (_, last), start in zip(seen, starts, strict=True))


def test_calibration_keeps_its_rows_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    parts: list[int] = []
    real = regime_fit._forest
    monkeypatch.setattr(
        regime_fit,
        "_forest",
        lambda rows, came, seed, params: parts.append(len(rows)) or real(rows, came, seed, params),
    )
    regime_fit.fit(learned(), "forest", 1, SMALL)
    assert parts[0] < 0.9 * len(learned()) / 2 + 10


# ---- the command -----------------------------------------------------------------------------------------------------


def test_evaluate_prints_one_object_with_every_measure(
    tmp_path: Path, told: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write(tmp_path / "data", panel())
    (data / "bad.parquet").write_bytes(b"no")
    code, out, err = ran(capsys, "evaluate", "--data", data, "--model", told, "--json")
    report = json.loads(out)
    assert code in (0, 1) and report["reached"] == (code == 0)
    assert report["verdict"] == verdict(report["goals"])
    for task in ("trend24h", "highvol24h"):
        for kind in ("model", "logistic", "majority", "persistence", "adx_rule"):
            assert {"balanced_accuracy", "macro_f1", "auc", "log_loss", "ece"} <= report["tasks"][task][kind].keys()
        assert report["tasks"][task]["climatology_log_loss"] > 0
    assert {"value", "lower", "upper", "r", "n"} <= report["gating"].keys()
    assert any("bad.parquet" in note for note in report["data"]["notes"])
    assert report["data"]["in_sample_rows_left_out"] > 1_000
    assert report["span"]["from"] > model().manifest.train_to
    assert report["tasks"]["highvol24h"]["model"]["auc"] > 0.6  # waves of volatility are there to be found
    assert "Traceback" not in err


def test_evaluate_says_it_in_words_too(tmp_path: Path, told: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write(tmp_path / "data", panel())
    _, out, _ = ran(capsys, "evaluate", "--data", data, "--model", told)
    assert "persistence" in out and "climatology" in out and "reached" in out
    assert out.splitlines()[-1].endswith(("ships off", "may ship on"))


def measures(**changes: float) -> dict[str, Any]:
    """What a step's bars gave, a goal missed where `changes` say so."""
    at = {"trend": 0.60, "high": 0.73, "loss": 0.5, "lower": 0.1, "unsmoothed": 0.1} | changes
    tasks = {
        name: {"climatology_log_loss": 0.6, "model": {"auc": at[key], "log_loss": at["loss"]}}
        for name, key in (("trend24h", "trend"), ("highvol24h", "high"))
    }
    return {"tasks": tasks, "gating": {"lower": at["lower"], "unsmoothed": {"lower": at["unsmoothed"]}}}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "misses none of 12 goals on these bars: may ship on"),
        ({"trend": 0.579}, "misses 1 of 12 goals, 4h bars, trend24h AUC >= 0.58 (0.579): ships off"),
        ({"high": 0.708}, "misses 1 of 12 goals, 4h bars, highvol24h AUC >= 0.72 (0.708): ships off"),
        ({"loss": 0.7}, "trend24h log-loss below climatology, by (-0.100); 4h bars, highvol24h log-loss"),
        ({"lower": -0.01}, "misses 1 of 12 goals, 4h bars, gating value, lower bound > 0 (-0.010): ships off"),
        ({"unsmoothed": math.nan}, "4h bars, gating value unsmoothed, lower bound > 0 (nan): ships off"),
    ],
)
def test_a_model_that_misses_a_goal_on_bars_of_any_step_ships_off(changes: dict[str, float], words: str) -> None:
    goals = [*regime_eval._goals("1h", measures()), *regime_eval._goals("4h", measures(**changes))]
    assert words in verdict(goals)


def test_the_model_of_the_package_is_off_by_default_while_its_own_card_misses_a_goal() -> None:
    assert load_model(shipped_path()).manifest.metrics["gating"]["unsmoothed"]["lower"] < 0
    assert Directive().regime.model == "off"


@pytest.mark.parametrize("symbol", ["BTCUSDT", "XRPUSDT"])
def test_evaluate_takes_one_symbol_alone(
    tmp_path: Path, told: Path, capsys: pytest.CaptureFixture[str], symbol: str
) -> None:
    (tmp_path / "one").mkdir()
    frame(panel().columns[symbol]).write_csv(tmp_path / "one" / f"{symbol}.csv")
    _, out, _ = ran(capsys, "evaluate", "--data", tmp_path / "one", "--model", told, "--json")
    report = json.loads(out)
    assert report["span"]["symbols"] == [symbol] and report["coverage"]["with_a_market"] == 0


def test_what_was_learned_from_is_not_measured_on(
    tmp_path: Path, told: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write(tmp_path / "data", panel(), end=SPLIT - 100)
    code, out, err = ran(capsys, "evaluate", "--data", data, "--model", told, "--json")
    assert code == 2 and not out and "fitted to" in err.splitlines()[-1]


@pytest.mark.parametrize(
    "words",
    [
        (), ("guess",), ("evaluate",), ("evaluate", "--data", "/none/there"),
        ("train", "--data", "x", "--from", "soon"),
        ("evaluate", "--data", ".", "--from", "2024-01-02", "--to", "2024-01-01"),
        ("evaluate", "--data", ".", "--model", "/none/there.json"),
    ],
)  # fmt: skip
def test_bad_usage_is_one_line(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    code, out, err = ran(capsys, *words)
    assert code == 2 and not out
    assert err.startswith("nexus regime: ") and err.count("\n") == 1


def test_train_walks_fits_and_takes_into_use_only_what_passed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regime_fit, "FOREST", SMALL)
    monkeypatch.setattr(regime_train, "WARM_H", 4_000)
    monkeypatch.setattr(regime_train, "FOLD_H", 2_500)
    monkeypatch.setattr(command.os, "setpriority", lambda *_: None)
    data, state = write(tmp_path / "data", panel()), tmp_path / "state"
    code, out, _ = ran(capsys, "train", "--data", data, "--state", state, "--json", "--leak-demo")
    report = json.loads(out)
    assert report["gate_passed"] == report["in_use"] == (code == 0)
    assert {"shuffled", "contiguous", "purged", "walk_forward"} == report["leak_demo"].keys()
    kept = load_model(Path(report["file"]))
    assert kept.manifest.promoted == report["gate_passed"] and kept.manifest.metrics["table"]
    assert (current_path(models_dir(state)) is not None) == report["in_use"]
    again = ran(capsys, "train", "--data", data, "--out", tmp_path / "again.json", "--json")[1]
    assert json.loads(again)["table"] == report["table"]
    assert load_model(tmp_path / "again.json").manifest.npz_sha256 == kept.manifest.npz_sha256


# ---- recorded data ---------------------------------------------------------------------------------------------------


def test_the_shipped_model_on_the_recorded_year_it_has_not_seen(data_dir: Path) -> None:
    """2024. What it does not reach is in its card; this much it does."""
    found = read(data_dir / "klines_1h")
    shipped = load_model(shipped_path())
    report = evaluate(shipped, found, 473_352, 482_136)
    assert report["span"]["from"] >= "2024-01-0" and report["span"]["to"] < "2025"
    assert report["tasks"]["trend24h"]["model"]["auc"] >= 0.58
    assert report["tasks"]["highvol24h"]["model"]["auc"] >= 0.72
    for task in report["tasks"].values():
        assert task["model"]["log_loss"] < task["climatology_log_loss"]
    assert set(SYMBOLS) <= set(report["span"]["symbols"])
    assert "gating value unsmoothed" in report["verdict"] and report["verdict"].endswith(": ships off")
