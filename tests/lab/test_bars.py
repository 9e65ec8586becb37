"""Recorded bars: what is read, what is refused, and the ticks they are played as."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_engine.lab.bars import SECOND_NS, Bars, BarsError, load, rolling_max

START_NS = 1_600_000_020 * SECOND_NS


def frame(count: int = 5, step_s: int = 60) -> pl.DataFrame:
    opened = [START_NS // 10**6 + at * step_s * 1_000 for at in range(count)]
    rows = {"open_time": opened, "open": [100.0] * count, "high": [103.0] * count, "low": [98.0] * count}
    return pl.DataFrame(rows | {"close": [101.0] * count, "volume": [1.0] * count})


def bars(*rows: tuple[float, float, float, float], step_s: int = 60) -> Bars:
    opened = START_NS + np.arange(len(rows), dtype=np.int64) * step_s * SECOND_NS
    return Bars(opened, np.array(rows, dtype=float), np.ones(len(rows)), step_s * SECOND_NS)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("how", ["ms", "s", "us", "datetime", "text"])
def test_times_are_read_in_every_form_that_is_about(tmp_path: Path, suffix: str, how: str) -> None:
    made, path = frame(), tmp_path / f"bars{suffix}"
    column = pl.col("open_time")
    made = made.with_columns(
        {
            "ms": column,
            "s": column // 1_000,
            "us": column * 1_000,
            "datetime": pl.from_epoch(column, time_unit="ms"),
            "text": pl.from_epoch(column, time_unit="ms").dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }[how].alias("open_time")
    )
    made.write_parquet(path) if suffix == ".parquet" else made.write_csv(path)
    found = load(path)
    assert found.open_ns.tolist() == [START_NS + at * 60 * SECOND_NS for at in range(5)]
    assert found.step_ns == 60 * SECOND_NS
    assert found.ohlc[0].tolist() == [100.0, 103.0, 98.0, 101.0]


def spoiled(what: str) -> pl.DataFrame:
    made = frame()
    return {
        "column": lambda: made.drop("close"),
        "unsorted": lambda: made.reverse(),
        "twice": lambda: pl.concat([made, made.tail(1)]),
        "empty": lambda: made.clear(),
        "nan": lambda: made.with_columns(high=pl.Series([103.0, 103.0, float("nan"), 103.0, 103.0])),
        "null": lambda: made.with_columns(low=pl.Series([98.0, None, 98.0, 98.0, 98.0])),
        "zero": lambda: made.with_columns(low=pl.Series([98.0, 0.0, 98.0, 98.0, 98.0])),
        "odd": lambda: made.with_columns(high=pl.Series([103.0, 99.0, 103.0, 103.0, 103.0])),
        "words": lambda: made.with_columns(close=pl.lit("much")),
        "hours": lambda: frame(step_s=3_600),
        "no time": lambda: made.with_columns(open_time=pl.lit("noon")),
    }[what]()


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("column", "has no column close"),
        ("unsorted", "row 2: open_time does not rise"),
        ("twice", "row 6: open_time does not rise"),
        ("empty", "holds no bars"),
        ("nan", "row 3: a price is missing, NaN"),
        ("null", "row 2: a price is missing, NaN"),
        ("zero", "row 2: a price is missing, NaN or not above 0"),
        ("odd", "row 2: open and close are not between low and high"),
        ("words", "a price or volume is not a number"),
        ("hours", "bars of 3600 s; allowed are 1 s to 5 min"),
        ("no time", "open_time cannot be read as times"),
    ],
)
@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_what_cannot_be_played_is_one_clear_line(tmp_path: Path, what: str, told: str, suffix: str) -> None:
    path = tmp_path / f"bars{suffix}"
    made = spoiled(what)
    made.write_parquet(path) if suffix == ".parquet" else made.write_csv(path)
    with pytest.raises(BarsError) as refused:
        load(path)
    assert told in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_is_no_file_of_bars_is_told_too(tmp_path: Path) -> None:
    text, torn = tmp_path / "text.parquet", tmp_path / "torn.parquet"
    text.write_text("no parquet at all\n")
    frame().write_parquet(torn)
    torn.write_bytes(torn.read_bytes()[:-20])
    nothing = tmp_path / "nothing.csv"
    nothing.write_bytes(b"")
    for path in (tmp_path, tmp_path / "absent", text, torn, nothing):
        with pytest.raises(BarsError, match=str(path)):
            load(path)


def test_the_extreme_nearer_the_open_comes_first() -> None:
    found = bars((100, 101, 95, 97), (100, 106, 99, 104), (100, 102, 98, 101), (100, 102, 98, 99))
    for at, first in enumerate((101, 99, 98, 102)):
        times, prices = found.ticks(at, at + 1)
        assert len(prices) == 60
        assert times[0] == found.open_ns[at]
        assert set(np.diff(times)) == {SECOND_NS}
        opened, high, low, close = found.ohlc[at]
        assert prices[0] == opened
        assert prices[-1] == pytest.approx(close)
        assert prices.max() == pytest.approx(high)
        assert prices.min() == pytest.approx(low)
        assert bool(prices.argmax() < prices.argmin()) is bool(first == high)


@pytest.mark.parametrize(("step_s", "wanted"), [(1, [97]), (2, [95, 97]), (3, [101, 95, 97]), (4, [100, 101, 95, 97])])
def test_bars_of_few_seconds_keep_what_comes_last(step_s: int, wanted: list[float]) -> None:
    assert bars((100, 101, 95, 97), step_s=step_s).ticks(0, 1)[1].tolist() == wanted


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=40), st.integers(1, 12))
def test_the_rolling_maximum_is_the_maximum(values: list[int], size: int) -> None:
    found = rolling_max(np.array(values, dtype=float), size).tolist()
    assert found == [max(values[max(0, at - size + 1) : at + 1]) for at in range(len(values))]


def test_a_cut_holds_what_opens_inside(tmp_path: Path) -> None:
    found = bars(*[(100.0, 101.0, 99.0, 100.0)] * 10)
    part = found.cut(START_NS + 60 * SECOND_NS, START_NS + 240 * SECOND_NS)
    assert len(part) == 3
    assert datetime.fromtimestamp(part.open_ns[0] / 1e9, UTC).second == 0
