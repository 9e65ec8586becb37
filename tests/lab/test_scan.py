"""Bars shown to the Shield: what is left out changes nothing, and crashes of the record are caught."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_engine.lab.bars import SECOND_NS, Bars
from nexus_engine.lab.scan import scan, stretches
from nexus_engine.model.config import ShieldConfig

START_NS = 1_600_000_020 * SECOND_NS


def walk(seed: int, count: int, step_s: int, falls: list[tuple[int, float, int]]) -> Bars:
    """Bars of a quiet walk with falls in it: (bar, depth, bars that it takes)."""
    rng = np.random.default_rng(seed)
    path = np.cumsum(rng.normal(0, 1e-4 * np.sqrt(step_s), count + 1))
    for at, depth, length in falls:
        path -= np.interp(np.arange(count + 1), [at, at + length, at + length + 200], [0, depth, depth / 3])
    closes = 30_000 * np.exp(path)
    opens, closes = closes[:-1], closes[1:]
    wicks = np.abs(rng.normal(0, 2e-4 * np.sqrt(step_s), (2, count)))
    highs, lows = np.maximum(opens, closes) * (1 + wicks[0]), np.minimum(opens, closes) * (1 - wicks[1])
    opened = START_NS + np.arange(count, dtype=np.int64) * step_s * SECOND_NS
    return Bars(opened, np.stack([opens, highs, lows, closes], axis=1), np.ones(count), step_s * SECOND_NS)


@settings(max_examples=4, deadline=None)
@given(
    st.integers(0, 1_000),
    st.sampled_from([60, 120]),
    st.lists(st.tuples(st.integers(100, 300), st.floats(0.02, 0.12), st.integers(1, 14)), min_size=1, max_size=3),
)
def test_what_a_scan_leaves_out_trips_nothing(seed: int, step_s: int, falls: list[tuple[int, float, int]]) -> None:
    bars = walk(seed, 330, step_s, falls)
    assert [trip.told() for trip in scan(bars)] == [trip.told() for trip in scan(bars, whole=True)]


def test_a_fall_is_told_with_its_numbers_and_a_calm_file_is_not_even_shown() -> None:
    (trip, *more) = scan(walk(3, 300, 60, [(150, 0.055, 3)]))
    assert trip.window_s in (300, 900)
    assert trip.drop_pct >= 4.0
    assert trip.price == pytest.approx(trip.reference * (1 - trip.drop_pct / 100))
    assert abs(trip.at_ns - START_NS - 152 * 60 * SECOND_NS) < 120 * SECOND_NS
    assert trip.evidence
    assert not [one for one in more if one.window_s]
    calm = walk(4, 2_000, 60, [])
    assert list(stretches(calm, ShieldConfig())) == []
    assert scan(calm) == []


def test_the_lock_holds_until_the_market_has_settled() -> None:
    # Down, an hour of rest, and down again just before the lock would run out: it is one trip and a further fall.
    found = scan(walk(5, 500, 60, [(120, 0.06, 3), (178, 0.025, 8)]))
    assert len([trip for trip in found if trip.window_s]) == 1
