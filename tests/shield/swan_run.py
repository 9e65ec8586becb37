"""`make swan`: the black swan on a thousand hours that only look like a crash, on planted crashes, and on the record.

Exit 1 when something tripped that did not fall, or a fall was missed or seen late.
"""

import argparse
import csv
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from swan_corpus import Desk, crash, disordered, quiet

from nexus_engine.lab.bars import load, utc
from nexus_engine.lab.scan import Trip, scan
from nexus_engine.model.config import ShieldConfig

RATE = 10
P99_S = 3.0
BEFORE_NS, AFTER_NS = 15 * 60 * 10**9, 5 * 60 * 10**9
"""A trip belongs to an event of the record from a window before its bar's close to a bar after it."""
LOCK_NS = 60 * 60 * 10**9


def hour(seed: int) -> list[int]:
    """The trips of an hour without a fall."""
    return Desk().trips(disordered(quiet(seed), seed))


def fall(seed: int) -> float | None:
    """Seconds from the truth to the trip; None when it was missed."""
    tape = crash(50_000 + seed, rate=RATE)
    trips = Desk().trips(disordered(tape, seed))
    return (trips[0] - tape.truth_ns()) / 1e9 if trips else None


def events(data_dir: Path, windows: tuple[int, ...], price: str = "close") -> dict[str, list[int]]:
    """By file: when the record says that a configured window saw a fall at a bar's close, or in its low. Files without
    one as well."""
    found: dict[str, set[int]] = {}
    with (data_dir / "events_btc_drop4.csv").open() as lines:
        for row in csv.DictReader(lines):
            mine = found.setdefault(row["dataset"], set())
            if int(row["window_min"]) in windows and row["price"] == price:
                opened = datetime.fromisoformat(row["trigger_bar_open"]).replace(tzinfo=UTC)
                mine.add(int(opened.timestamp()) * 10**9 + int(row["bar_min"]) * 60 * 10**9)
    return {name: sorted(times) for name, times in found.items()}


def files(data_dir: Path) -> list[Path]:
    return sorted((data_dir / "klines_1m").rglob("BTC*.parquet")) + sorted(
        (data_dir / "klines_5m").rglob("BTC*.parquet")
    )


def scanned(path: Path) -> tuple[list[Trip], int, float]:
    began_s = time.perf_counter()
    bars = load(path)
    return scan(bars), len(bars), time.perf_counter() - began_s


def caught(trips: list[Trip], at_ns: int) -> Trip | None:
    """The trip that saw an event: near it, or a lock that still held when it came."""
    firsts = [trip for trip in trips if trip.window_s]
    near = [trip for trip in firsts if -BEFORE_NS <= trip.at_ns - at_ns <= AFTER_NS]
    held = [trip for trip in trips if trip.at_ns <= at_ns <= trip.at_ns + LOCK_NS]
    return next(iter(near or held), None)


def recorded(data_dir: Path) -> Iterator[tuple[str, int, int, int, int, float]]:
    """Prints an event a line. Yields (file, bars, events, missed, trips that are no event, seconds) of each file."""
    windows = ShieldConfig().swan_windows_min
    known, lows = events(data_dir, windows), events(data_dir, windows, "low")
    for path in files(data_dir):
        name = str(path.relative_to(data_dir))
        trips, bars, took_s = scanned(path)
        wanted, missed = known.get(name, []), 0
        for at_ns in wanted:
            trip = caught(trips, at_ns)
            missed += trip is None
            told = (
                "MISSED"
                if trip is None
                else f"{(trip.at_ns - at_ns) / 1e9:+6.0f} s   {trip.drop_pct:5.2f} % of {trip.window_s // 60} min"
            )
            sys.stdout.write(f"  {utc(at_ns)[:16]}  {told}\n")
        firsts = [trip for trip in trips if trip.window_s]
        extra = [trip for trip in firsts if not any(-BEFORE_NS <= trip.at_ns - at_ns <= AFTER_NS for at_ns in wanted)]
        for trip in extra:
            inside = any(-BEFORE_NS <= trip.at_ns - at_ns <= AFTER_NS for at_ns in lows.get(name, []))
            where = ", the bar's low has it" if inside else ""
            sys.stdout.write(
                f"  {utc(trip.at_ns)[:16]}  no event   {trip.drop_pct:5.2f} % of {trip.window_s // 60} min{where}\n"
            )
        yield name, bars, len(wanted), missed, len(extra), took_s


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=int, default=1_000)
    parser.add_argument("--crashes", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    given = parser.parse_args()
    began_s = time.perf_counter()
    with multiprocessing.Pool() as pool:
        seeds = range(given.seed, given.seed + given.hours)
        false = [seed for seed, trips in zip(seeds, pool.imap(hour, seeds, 8), strict=True) if trips]
        told = pool.map(fall, range(given.seed, given.seed + given.crashes), 4)
    delays = sorted(delay for delay in told if delay is not None)
    p50, p99 = (delays[min(len(delays) - 1, round(len(delays) * share))] for share in (0.5, 0.99))
    missed = len(told) - len(delays)
    took_s = time.perf_counter() - began_s
    sys.stdout.write(
        f"{given.hours} hours without a fall: {len(false)} tripped {false or ''}\n"
        f"{given.crashes} planted falls at {RATE} ticks/s: {missed} missed, delay p50 {p50:.2f} s, p99 {p99:.2f} s, "
        f"max {delays[-1]:.2f} s, earliest {delays[0]:+.2f} s   ({took_s:.0f} s)\n"
    )
    bad = bool(false) or bool(missed) or p99 > P99_S or delays[0] < -0.5
    rows = []
    if given.data.is_dir():
        sys.stdout.write("on record: the trip after the close of the bar that made the fall true\n")
        rows = list(recorded(given.data))
        for name, bars, wanted, lost, extra, seconds in rows:
            sys.stdout.write(
                f"{name:<52} {bars:>8,} bars  events {wanted:>2}  missed {lost}  no event {extra}  {seconds:5.1f} s\n"
            )
        bad = bad or any(row[3] for row in rows)
    line = {
        "hours": given.hours, "false": len(false), "falls": given.crashes, "missed": missed, "p50_s": p50, "p99_s": p99,
        "recorded_events": sum(row[2] for row in rows), "recorded_missed": sum(row[3] for row in rows),
        "recorded_no_event": sum(row[4] for row in rows),
    }  # fmt: skip
    sys.stdout.write(json.dumps(line) + "\n")
    return int(bad)


if __name__ == "__main__":
    raise SystemExit(main())
