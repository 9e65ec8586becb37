"""The black swan on recorded bars: it trips in the crashes that are on record, and in no ordinary month."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from swan_corpus import SECOND_NS, SYMBOL, Desk

from nexus_engine.model.events import BarRow

MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS
WINDOWS = ("5", "15")
CRASHES = (
    "klines_1m/crash_2020-06-02/BTCUSDT_spot_1m.parquet",
    "klines_1m/crash_2021-12-04/BTCUSDT_spot_1m.parquet",
    "klines_1m/crash_2023-03-03/BTCUSDT_kucoin_1m.parquet",
    "klines_1m/crash_2023-08-17/BTCUSDT_spot_3m.parquet",
    "klines_1m/crash_2024-08-05/BTCUSDT_spot_1m.parquet",
)


def bars(path: Path) -> list[BarRow]:
    frame = pl.read_parquet(path).with_columns(pl.col("open_time").dt.epoch("ns"))
    return [BarRow(*row) for row in frame.select("open_time", "open", "high", "low", "close", "volume").iter_rows()]


def events(data_dir: Path, dataset: str, price: str) -> list[int]:
    """When the record says that the fall became true: the close of its bar."""
    with (data_dir / "events_btc_drop4.csv").open() as lines:
        return sorted(
            {
                int(datetime.fromisoformat(row["trigger_bar_open"]).replace(tzinfo=UTC).timestamp()) * SECOND_NS
                + int(row["bar_min"]) * MINUTE_NS
                for row in csv.DictReader(lines)
                if row["dataset"] == dataset and row["window_min"] in WINDOWS and row["price"] == price
            }
        )


def ticks(bar: BarRow, length_ns: int, count: int) -> Iterator[tuple[int, float]]:
    """A bar as prices: open, the nearer extreme first, close, in straight lines."""
    rising = bar.close >= bar.open
    corners = (bar.open, bar.low, bar.high, bar.close) if rising else (bar.open, bar.high, bar.low, bar.close)
    for at in range(count):
        leg, part = divmod(3 * at / count, 1.0)
        here, there = corners[int(leg)], corners[int(leg) + 1]
        yield bar.open_ns + at * length_ns // count, here + (there - here) * part


def trips(desk: Desk, rows: list[BarRow], per_minute: int) -> list[int]:
    length_ns = rows[1].open_ns - rows[0].open_ns
    found = []
    for bar in rows:
        for venue_ns, price in ticks(bar, length_ns, per_minute * length_ns // MINUTE_NS):
            # Only the market's clock runs: recorded bars have no ticks between these.
            desk.show("mark", price, venue_ns, 0)
            if desk.show("trade", price, venue_ns, 0):
                found.append(venue_ns)
    return found


@pytest.mark.parametrize("dataset", CRASHES)
def test_it_trips_in_the_crashes_on_record_and_nowhere_near_else(data_dir: Path, dataset: str) -> None:
    rows = bars(data_dir / dataset)
    by_close = events(data_dir, dataset, "close")
    assert by_close
    day = [row for row in rows if any(-4 * HOUR_NS <= row.open_ns - at < 8 * HOUR_NS for at in by_close)]
    found = trips(Desk(), day, per_minute=20)
    for at in by_close:
        near = [trip for trip in found if at - 15 * MINUTE_NS <= trip <= at + 5 * MINUTE_NS]
        assert near, f"missed the fall of {datetime.fromtimestamp(at / 1e9, UTC)}"
        print(
            f"\n{datetime.fromtimestamp(near[0] / 1e9, UTC):%F %T}: {(near[0] - at) / 1e9:+.0f} s from the bar's close"
        )
    known = by_close + events(data_dir, dataset, "low")
    for trip in found:
        # The record counts a fall anew after a quiet hour; ours escalates on every further 2 %.
        assert any(-15 * MINUTE_NS <= trip - at <= 2 * HOUR_NS for at in known), datetime.fromtimestamp(trip / 1e9, UTC)


def test_an_ordinary_month_trips_nothing(data_dir: Path) -> None:
    assert trips(Desk(), bars(data_dir / "klines_1m/ordinary_2023-07/BTCUSDT_um_1m.parquet"), per_minute=8) == []


@pytest.mark.parametrize("dataset", CRASHES[:1] + CRASHES[-1:])
def test_a_restart_in_the_fall_knows_the_high_from_the_bars(data_dir: Path, dataset: str) -> None:
    rows = bars(data_dir / dataset)
    fall_ns = events(data_dir, dataset, "close")[0]
    before = [row for row in rows if row.open_ns + MINUTE_NS <= fall_ns][-60:]
    price = next(row.close for row in rows if row.open_ns + MINUTE_NS == fall_ns)
    for knows, seen in (((), False), (before, True)):
        desk = Desk()
        desk.shield.history(SYMBOL, knows, fall_ns)
        tripped = False
        for at in range(40):
            venue_ns = fall_ns + at * SECOND_NS // 2
            desk.show("mark", price, venue_ns)
            tripped |= desk.show("trade", price, venue_ns)
        assert tripped is seen
