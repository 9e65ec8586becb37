"""`nexus drill`: bad words and files are one line, and a crash goes through the whole stack on loopback."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from nexus_engine.lab import drill
from nexus_engine.lab.crashes import CRASHES, tape
from nexus_engine.shield.blackswan import TRIP


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--scenario", "nothing"], "there is none of that name"),
        (["--data", "absent.parquet"], "there is no such file"),
        (["--data", "."], "is not a file"),
        ([], "one of the arguments --scenario --data is required"),
        (["--scenario", "alt-wick", "--speed", "0"], "--speed 0"),
        (["--scenario", "alt-wick", "--speed", "1e9"], "--speed 1e+09"),
        (["--scenario", "alt-wick", "--symbol", "btc usdt"], "--symbol 'btc usdt'"),
        (["--scenario", "alt-wick", "--data", "x"], "not allowed with"),
        (["--scenario", "alt-wick", "--config", "absent.toml"], "cannot be read"),
    ],
)
def test_bad_usage_is_one_line_and_exit_two(
    argv: list[str], told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert drill.main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("nexus drill: ")
    assert told in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", CRASHES)
def test_a_course_falls_as_far_as_its_words_say(name: str) -> None:
    crash = CRASHES[name]
    ticks, start_ns, end_ns = tape(crash, "BTCUSDT", ("SOLUSDT",))
    prices = np.array(ticks["BTCUSDT"].marks or ticks["BTCUSDT"].prices)[-(end_ns - start_ns) // 10**9 :]
    deepest = min(percent for _, percent in crash.course)
    assert prices.min() / prices[0] * 100 - 100 == pytest.approx(deepest, abs=0.4)
    assert (deepest <= -5 and name != "slow-bleed") is crash.trips
    assert TRIP == "trip"


def test_a_recorded_crash_is_played_with_longs_and_shorts_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count = 110
    minutes = np.arange(count + 1)
    closes = 20_000 * (1 - np.interp(minutes, [95, 98, 110], [0, 0.06, 0.05]))
    opens, ends = closes[:-1], closes[1:]
    path = tmp_path / "crash.csv"
    pl.DataFrame(
        {
            "open_time": 1_700_000_000_000 // 60_000 * 60_000 + minutes[:-1] * 60_000,
            "open": opens,
            "high": np.maximum(opens, ends) + 1,
            "low": np.minimum(opens, ends) - 1,
            "close": ends,
            "volume": np.ones(count),
        }
    ).write_csv(path)
    code = drill.main(["--data", str(path), "--speed", "240", "--json"])
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert code == 0, found["problems"]
    assert len(found["trips"]) == 1
    (trip,) = found["trips"]
    assert trip.keys() == {"at", "window_s", "drop_pct", "price", "reference"}
    assert (found["longs_open"], found["longs_closed"]) == (4, 4)
    assert found["shorts_touched"] == found["longs_opened_while_tripped"] == 0
    assert found["exit_ms_max"] > 0
    (evidence,) = found["evidence"]
    assert len(evidence["exits"]) == 4
    assert all(one["attempts"] >= 1 and one["confirmed_ms"] for one in evidence["exits"])
    assert len(evidence["shorts"]) == 3
    assert len(evidence["ticks"]) == 50
    assert all(json.loads(line)["share"] <= 1 for line in err.splitlines())
