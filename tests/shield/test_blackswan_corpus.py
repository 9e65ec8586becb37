"""The black swan on synthetic tapes: no false trip on what only looks like a crash, no true crash missed."""

import numpy as np
from swan_corpus import START_NS, Desk, crash, naive_trips, quiet

from nexus_engine.model.facts import SWAN_LOCK

QUIET_HOURS = 200
CRASHES = 100


def test_two_hundred_hours_of_garbage_wicks_spikes_gaps_and_bleeds_trip_nothing() -> None:
    false_trips = []
    for seed in range(QUIET_HOURS):
        tape = quiet(seed)
        assert tape.true_drop_pct().max() < 3.6, "the corpus itself holds a crash"
        if Desk().trips(tape):
            false_trips.append(seed)
    assert false_trips == []


def test_the_corpus_is_bad_enough_to_fool_the_rule_that_everybody_writes_first() -> None:
    assert sum(naive_trips(quiet(seed)) for seed in range(10)) == 10


def test_every_true_crash_trips_once_it_is_true_and_within_seconds() -> None:
    delays_s = []
    for seed in range(CRASHES):
        tape, desk = crash(10_000 + seed), Desk()
        trips = desk.trips(tape)
        assert trips, f"crash {seed} was missed"
        assert SWAN_LOCK in desk.ledger.locks
        delays_s.append((trips[0] - tape.truth_ns()) / 1e9)
    p50, worst = float(np.median(delays_s)), max(delays_s)
    print(f"\n{CRASHES} crashes at 2 ticks/s: delay p50 {p50:.1f} s, max {worst:.1f} s")
    assert min(delays_s) > -0.5, "nothing may trip before the fall is there"
    assert p50 < 8.0
    assert worst < 20.0


def test_at_ten_ticks_a_second_the_delay_is_a_second_or_two() -> None:
    delays_s = []
    for seed in range(8):
        tape = crash(20_000 + seed, rate=10)
        delays_s.append((Desk().trips(tape)[0] - tape.truth_ns()) / 1e9)
    p50, worst = float(np.median(delays_s)), max(delays_s)
    print(f"\n8 crashes at 10 ticks/s: delay p50 {p50:.1f} s, max {worst:.1f} s")
    assert p50 < 2.0
    assert worst < 5.0


def test_the_same_tape_trips_at_the_same_ticks() -> None:
    first, second = Desk().trips(crash(10_003)), Desk().trips(crash(10_003))
    assert first == second
    assert first[0] > START_NS
