"""The regime of a backtest is the live one's: the model where it can tell, the rule elsewhere, and the result says how
long each did."""

from pathlib import Path
from typing import Any

import pytest
from past import walk, written
from regimes import FIRST_H, frame, model, panel

from nexus_engine.lab import backtest
from nexus_engine.lab.backtest import BacktestOrder, run
from nexus_engine.lab.report import text
from nexus_engine.lab.result import Result
from nexus_engine.model.config import Directive, ShieldConfig
from nexus_engine.runtime.regime import save_model

ETH = "ETHUSDT"
HOUR_NS = 3_600_000_000_000
FAST = Directive(
    shield=ShieldConfig(max_spread_bp=50, exit_pause_min=0, stops_window_min=0, low_trades=0, min_day_volume=0),
    strategies={"flow": {"interval": "1h"}},
)


def played(folder: Path, hours: int, **more: Any) -> Result:
    path = folder / "past.parquet"
    frame(panel().columns[ETH], 4_000, 4_000 + hours).write_parquet(path)
    since = (FIRST_H + 5_200) * HOUR_NS
    order = {"strategy": "flow", "directive": FAST, "model": model(), "since": since} | more
    return run(BacktestOrder(data=(path,), symbol=ETH, **order))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return played(tmp_path_factory.mktemp("whole"), 4_000)


def test_with_the_model_on_the_run_that_skips_is_the_run_that_steps(whole: Result, tmp_path: Path) -> None:
    stepped = played(tmp_path, 4_000, skipping=False)
    assert stepped.trades == whole.trades
    assert stepped.decisions_hash == whole.decisions_hash
    assert stepped.regimes == whole.regimes
    assert stepped.regime_model == whole.regime_model


def test_every_hour_has_a_regime_and_somebody_who_told_it(whole: Result) -> None:
    told = whole.regime_model
    assert told["name"] == "small"
    assert told["answered"] > 24 * 30
    assert set(told["silent"]) >= {"days before its end", "stale, days"}
    hours = sum(row["hours"] for row in whole.regimes.values())
    assert hours == whole.bars == told["answered"] + sum(told["silent"].values())
    assert sum(row["by_model"] for row in whole.regimes.values()) == told["answered"]
    assert f"regime model small: told {told['answered']} hours; silent: days before its end" in text(whole)


def test_the_model_decides_otherwise_than_the_rule_and_only_where_it_tells(whole: Result, tmp_path: Path) -> None:
    ruled = played(tmp_path, 4_000, model=None)
    assert ruled.regime_model == {"name": None, "answered": 0, "silent": {}}
    assert all(not row["by_model"] for row in ruled.regimes.values())
    assert ruled.signals != whole.signals
    end_ns = (FIRST_H + 6_000) * HOUR_NS
    before = [[one for one in each.trades if one.closed_ns < end_ns] for each in (ruled, whole)]
    assert before[0] == before[1] != []


def test_what_was_decided_by_the_model_on_a_part_is_decided_on_the_whole(whole: Result, tmp_path: Path) -> None:
    part = [one for one in played(tmp_path, 3_000).trades if one.reason != "open"]
    assert part and part == list(whole.trades)[: len(part)]


def test_the_command_takes_the_model_that_an_account_would_begin_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = written(walk(1, 60, 60), tmp_path / "past.parquet")
    config = tmp_path / "nexus.toml"
    seen = []

    def looked(order: BacktestOrder, progress: Any) -> Result:
        seen.append(None if order.model is None else order.model.name)
        raise KeyboardInterrupt

    monkeypatch.setattr(backtest, "run", looked)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    save_model(model("mine"), tmp_path / "mine.json")
    for said in ("shipped", "auto", "off", None, str(tmp_path / "mine.json")):
        config.write_text(f'[regime]\nmodel = "{said}"\n' if said else "")
        assert backtest.main(["--data", str(data), "--symbol", ETH, "--config", str(config)]) == 1
    assert seen[0].startswith("forest-") and seen[1:] == [None, None, None, "mine"]
    capsys.readouterr()
    (tmp_path / "mine.npz").write_bytes(b"broken")
    assert backtest.main(["--data", str(data), "--symbol", ETH, "--config", str(config)]) == 2
    assert (
        'its arrays are not those that the manifest names (sha256); `[regime] model = "off"`' in capsys.readouterr().err
    )
