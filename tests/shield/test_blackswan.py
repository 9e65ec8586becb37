"""The black swan's protocol, case by case."""

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from swan_corpus import SECOND_NS, START_NS, SYMBOL, Desk, flat

from nexus_engine.model.config import ShieldConfig
from nexus_engine.model.effects import Record
from nexus_engine.model.events import BarRow
from nexus_engine.model.facts import SWAN_LOCK, GuardTripped, LockSet
from nexus_engine.model.words import Side
from nexus_engine.shield.blackswan import ABSURD, Lane, SlidingMax

MINUTE_NS = 60 * SECOND_NS
CALM = 100.0
FALLEN = 95.0
PLAIN = ShieldConfig(swan_median=1, swan_confirmations=10)
"""No median, so that confirmations can be counted by hand."""


def calm(desk: Desk, seconds: int = 60, *, mark: bool = True) -> int:
    """A quiet start at ten ticks a second. Returns the number of the next tick."""
    ticks = seconds * 10
    for at in range(ticks):
        if mark and at % 10 == 0:
            flat(desk, "mark", lambda _: CALM, 1, at)
        assert not flat(desk, "trade", lambda _: CALM, 1, at)
    return ticks


def go_on(desk: Desk, price: float, mark: float | None, ticks: int, since: int) -> list[int]:
    """Ten ticks and a mark a second."""
    found = []
    for at in range(since, since + ticks):
        if mark is not None and at % 10 == 0:
            desk.show("mark", mark, START_NS + at * SECOND_NS // 10)
        found += flat(desk, "trade", lambda _: price, 1, at)
    return found


def facts(desk: Desk) -> list[object]:
    return [effect.fact for effect in desk.effects if isinstance(effect, Record)]


def test_a_fall_of_five_percent_trips_once_and_records_lock_and_evidence() -> None:
    desk = Desk()
    since = calm(desk)
    trips = go_on(desk, FALLEN, FALLEN, 100, since)
    assert len(trips) == 1
    tripped, lock = facts(desk)
    assert isinstance(tripped, GuardTripped)
    assert isinstance(lock, LockSet)
    tripped_ns = START_NS + trips[0] * SECOND_NS // 10
    assert lock.name == SWAN_LOCK
    assert lock.until_ns == tripped_ns + 60 * MINUTE_NS
    assert desk.ledger.locks[SWAN_LOCK] is lock
    assert tripped.verdict.refuses
    assert tripped.verdict.side is Side.BUY
    assert tripped.verdict.until_ns == lock.until_ns
    assert tripped.verdict.reason == "BTCUSDT fell 5.0 % under its 5 min high"
    assert len(tripped.evidence) == 50
    assert tripped.evidence[-1] == (tripped_ns, FALLEN)
    assert CALM in {price for _, price in tripped.evidence}


def test_a_fall_just_under_the_limit_trips_nothing() -> None:
    desk = Desk()
    assert go_on(desk, CALM * 0.961, CALM * 0.961, 3_000, calm(desk)) == []


def test_a_fall_slower_than_every_window_trips_nothing() -> None:
    desk, since = Desk(), 0
    for at in range(60):
        assert go_on(desk, CALM * (1 - 0.0015 * at), CALM * (1 - 0.0015 * at), 600, since + at * 600) == []


def test_the_longer_window_sees_what_the_shorter_one_cannot() -> None:
    desk = Desk()
    since = calm(desk)
    for at in range(9):
        price = CALM * (1 - 0.005 * at)
        trips = go_on(desk, price, price, 600, since + at * 600)
        assert bool(trips) is (at == 8)
    tripped = next(fact for fact in facts(desk) if isinstance(fact, GuardTripped) and fact.verdict.guard == SWAN_LOCK)
    assert tripped.verdict.reason.endswith("15 min high")


@pytest.mark.parametrize("garbage", [CALM * 0.01, CALM * 10, 0.0, -CALM, nan, inf, -inf, CALM * 0.94, CALM * 1.07])
@pytest.mark.parametrize("source", ["trade", "mid", "mark"])
def test_garbage_ticks_trip_nothing(source: str, garbage: float) -> None:
    desk = Desk()
    since = calm(desk)
    for turn in range(20):
        at = since + turn * 50
        assert flat(desk, source, lambda _: garbage, 3, at) == []
        assert go_on(desk, CALM, CALM, 45, at + 3) == []


@pytest.mark.parametrize("garbage", [0.0, nan, inf, CALM * 0.01, CALM * 10, CALM])
def test_a_crash_between_garbage_ticks_still_trips(garbage: float) -> None:
    desk = Desk()
    since = calm(desk)
    trips = []
    for at in range(since, since + 60):
        if at % 10 == 0:
            desk.show("mark", FALLEN, START_NS + at * SECOND_NS // 10)
        trips += flat(desk, "trade", lambda at: garbage if at % 3 == 0 else FALLEN, 1, at)
    assert len(trips) == 1


def test_a_venues_own_wick_trips_nothing_until_the_mark_follows() -> None:
    desk = Desk()
    since = calm(desk)
    assert go_on(desk, FALLEN, CALM * 0.99, 300, since) == []
    assert len(go_on(desk, FALLEN, CALM * 0.97, 50, since + 300)) == 1


def test_a_wick_that_the_mark_has_denied_must_last_anew_when_the_mark_goes_silent() -> None:
    desk = Desk(PLAIN)
    since = calm(desk, mark=False)
    assert go_on(desk, FALLEN, None, 20, since) == []
    assert go_on(desk, FALLEN, CALM, 60, since + 20) == []
    assert go_on(desk, FALLEN, None, 65, since + 80) == [], "three seconds until the mark is stale, then five"
    assert len(go_on(desk, FALLEN, None, 30, since + 145)) == 1


def test_three_bad_marks_do_not_vouch_for_a_wick() -> None:
    desk = Desk()
    since = calm(desk)
    assert go_on(desk, CALM, CALM * 1.07, 30, since) == []
    assert go_on(desk, CALM, CALM, 100, since + 30) == []
    assert go_on(desk, FALLEN, CALM, 100, since + 130) == []


@pytest.mark.parametrize("ticks", [3, 12, 40])
def test_a_spike_that_returns_is_not_the_high_of_a_crash(ticks: int) -> None:
    desk = Desk()
    since = calm(desk)
    assert go_on(desk, CALM * 1.08, CALM, ticks, since) == []
    assert go_on(desk, CALM, CALM, 3_000, since + ticks) == []


def test_a_short_spike_without_any_mark_is_not_the_high_of_a_crash() -> None:
    desk = Desk()
    since = calm(desk, mark=False)
    assert go_on(desk, CALM * 1.08, None, 9, since) == []
    assert go_on(desk, CALM, None, 3_000, since + 9) == []


def test_a_rise_that_the_mark_shares_is_a_high() -> None:
    desk = Desk()
    since = calm(desk)
    assert go_on(desk, CALM * 1.08, CALM * 1.08, 100, since) == []
    assert len(go_on(desk, CALM, CALM, 100, since + 100)) == 1


def test_without_a_mark_the_fall_must_last() -> None:
    desk = Desk(PLAIN)
    since = calm(desk, mark=False)
    assert go_on(desk, FALLEN, None, 59, since) == []
    assert go_on(desk, FALLEN, None, 5, since + 59) == [since + 59], "ten ticks of a run, then five seconds"


def test_a_mark_that_went_silent_cannot_hold_a_crash_back() -> None:
    desk = Desk()
    since = calm(desk)
    trips = go_on(desk, FALLEN, None, 200, since)
    assert len(trips) == 1
    assert trips[0] - since < 100


def test_the_tenth_tick_in_a_row_trips_and_one_above_the_level_starts_over() -> None:
    desk = Desk(PLAIN)
    since = calm(desk)
    trips = []
    for at, price in enumerate([FALLEN] * 9 + [CALM * 0.97] + [FALLEN] * 10):
        flat(desk, "mark", lambda _: FALLEN, 1, since + at)
        if desk.show("trade", price, START_NS + (since + at) * SECOND_NS // 10):
            trips.append(at)
    assert trips == [19]


@pytest.mark.parametrize(("real_s", "market_s"), [(3.5, 3.5), (0.1, 31.0)], ids=["stale feed", "market gap"])
def test_confirmations_count_anew_after_a_gap(real_s: float, market_s: float) -> None:
    desk = Desk(PLAIN)
    calm(desk)
    venue_ns = mono_ns = START_NS + 60 * SECOND_NS

    def falls(ticks: int) -> list[bool]:
        nonlocal venue_ns, mono_ns
        shown = []
        for _ in range(ticks):
            venue_ns, mono_ns = venue_ns + SECOND_NS // 10, mono_ns + SECOND_NS // 10
            desk.show("mark", FALLEN, venue_ns, mono_ns)
            shown.append(desk.show("trade", FALLEN, venue_ns, mono_ns))
        return shown

    assert not any(falls(9))
    venue_ns, mono_ns = venue_ns + int(market_s * SECOND_NS), mono_ns + int(real_s * SECOND_NS)
    assert not any(falls(9)), "nine before and nine after a gap are not ten in a row"
    assert falls(1) == [True], "the high from before the gap still counts"


def test_a_fast_market_is_judged_by_its_own_clock() -> None:
    desk = Desk()
    trips = []
    for at in range(1_200):
        price = CALM if at < 600 else FALLEN
        venue_ns, mono_ns = START_NS + at * 2 * SECOND_NS, START_NS + at * SECOND_NS // 10
        desk.show("mark", price, venue_ns, mono_ns)
        if desk.show("trade", price, venue_ns, mono_ns):
            trips.append(at)
    assert len(trips) == 1
    assert trips[0] < 620


def test_ticks_of_one_instant_are_one_observation_and_late_ones_none() -> None:
    desk = Desk()
    since = calm(desk)
    now_ns = START_NS + since * SECOND_NS // 10
    for _ in range(5):
        desk.show("mark", FALLEN, now_ns)
    for at in range(200):
        # A sweep of the book prints hundreds of trades in one millisecond.
        assert not desk.show("trade", FALLEN, now_ns)
        assert not desk.show("trade", FALLEN, now_ns - at * SECOND_NS // 10)


def test_a_clock_set_back_starts_over() -> None:
    desk = Desk()
    calm(desk)
    for at in range(600):
        venue_ns = START_NS - MINUTE_NS * 60 + at * SECOND_NS // 10
        desk.show("mark", FALLEN, venue_ns)
        assert not desk.show("trade", FALLEN, venue_ns)


def test_another_symbols_prices_in_the_feed_trip_nothing_however_long_they_last() -> None:
    desk = Desk()
    since = calm(desk)
    assert go_on(desk, CALM / 30, CALM / 30, 20 * 600, since) == []
    fallen = FALLEN / 30
    assert len(go_on(desk, fallen, fallen, 100, since + 20 * 600)) == 1, "by then that is the market"


def test_other_symbols_do_not_count() -> None:
    desk = Desk()
    since = calm(desk)
    turn = desk.turn(START_NS)
    for at in range(since, since + 200):
        assert not desk.shield.price(turn, "ETHUSDT", "trade", 1.0, START_NS + at * SECOND_NS // 10)
    assert desk.effects == []


def test_while_locked_it_trips_again_on_every_further_two_percent_only() -> None:
    desk = Desk()
    since = calm(desk)
    trips = []
    for at, price in enumerate((95.0, 94.0, 93.0, 93.05, 92.0, 91.0, 96.0, 91.0)):
        found = go_on(desk, price, price, 300, since + at * 300)
        trips += [price] * len(found)
    assert trips == [95.0, 93.0, 91.0]
    locks = [fact for fact in facts(desk) if isinstance(fact, LockSet)]
    assert [lock.until_ns for lock in locks] == sorted({lock.until_ns for lock in locks})
    assert "where the black swan tripped" in locks[-1].reason


def test_a_wick_while_locked_does_not_escalate() -> None:
    desk = Desk()
    since = calm(desk)
    assert len(go_on(desk, FALLEN, FALLEN, 300, since)) == 1
    assert go_on(desk, FALLEN * 0.95, FALLEN, 300, since + 300) == []


def test_after_a_restart_a_lock_of_the_journal_counts_from_where_the_market_stands() -> None:
    desk = Desk()
    lock = LockSet(at_ns=START_NS, name=SWAN_LOCK, until_ns=START_NS + 3_600 * SECOND_NS, reason="BTC fell")
    desk.ledger.apply(lock)
    assert go_on(desk, FALLEN, FALLEN, 300, 0) == []
    assert len(go_on(desk, FALLEN * 0.975, FALLEN * 0.975, 300, 300)) == 1


def test_when_the_lock_has_run_out_a_new_fall_trips_anew() -> None:
    desk = Desk(ShieldConfig(swan_lock_min=5))
    since = calm(desk)
    assert len(go_on(desk, FALLEN, FALLEN, 100, since)) == 1
    assert go_on(desk, CALM, CALM, 3_100, since + 100) == []
    assert len(go_on(desk, FALLEN, FALLEN, 100, since + 3_200)) == 1


def test_looking_at_the_gauges_changes_no_decision() -> None:
    desk = Desk()
    since = calm(desk)
    desk.shield.gauges(desk.ledger, START_NS + 60 * MINUTE_NS, equity=1.0, exposure_pct=0.0, day_pnl=0.0, strategies=())
    assert len(go_on(desk, FALLEN, FALLEN, 100, since)) == 1


def test_mids_alone_are_enough() -> None:
    desk = Desk()
    trips = 0
    for at in range(900):
        price, venue_ns = CALM if at < 600 else FALLEN, START_NS + at * SECOND_NS // 10
        desk.show("mark", price, venue_ns)
        trips += desk.show("mid", price, venue_ns)
    assert trips == 1


def row(minute: int, close: float) -> BarRow:
    return BarRow(START_NS + minute * MINUTE_NS, close, close, close, close, 1.0)


@pytest.mark.parametrize(
    ("closes", "trips"),
    [
        ([CALM] * 10, 1),
        ([FALLEN] * 10, 0),
        ([FALLEN] * 5 + [CALM] + [FALLEN] * 4, 0),
        ([FALLEN] * 9 + [CALM], 0),
        ([FALLEN] * 3 + [CALM * 3, CALM * 3, nan, 0.0, inf] + [FALLEN] * 2, 0),
        ([FALLEN] * 4 + [CALM, CALM] + [FALLEN] * 4, 1),
        ([CALM, CALM] + [FALLEN] * 8, 1),
    ],
    ids=["a fall", "no fall", "one bad close", "a bad last close", "garbage", "two good closes", "the first two"],
)
def test_the_highs_are_rebuilt_from_closes_that_a_neighbour_confirms(closes: list[float], trips: int) -> None:
    desk = Desk()
    now_ns = START_NS + 10 * MINUTE_NS
    desk.shield.history(SYMBOL, [row(minute, close) for minute, close in enumerate(closes)], now_ns)
    assert desk.effects == [], "history never trips by itself"
    assert len(go_on(desk, FALLEN, FALLEN, 100, 6_000)) == trips


def test_bars_older_than_the_windows_and_other_symbols_bars_are_no_memory() -> None:
    for symbol, minutes_ago in ((SYMBOL, 40), ("ETHUSDT", 10)):
        desk = Desk()
        rows = [row(minute, CALM) for minute in range(10)]
        desk.shield.history(symbol, rows, START_NS + minutes_ago * MINUTE_NS)
        assert go_on(desk, FALLEN, FALLEN, 100, minutes_ago * 600) == []


def test_history_that_arrives_late_keeps_what_the_ticks_have_shown_since() -> None:
    desk = Desk()
    since = calm(desk, seconds=90)
    desk.shield.history(SYMBOL, [row(minute, FALLEN) for minute in range(-10, 1)], START_NS + 90 * SECOND_NS)
    assert len(go_on(desk, FALLEN, FALLEN, 100, since)) == 1


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(1.0, 2.0)), min_size=1, max_size=200), st.integers(1, 20))
def test_the_sliding_maximum_is_the_maximum_and_never_longer_than_its_window(
    steps: list[tuple[int, float]], span: int
) -> None:
    window, key, seen = SlidingMax(), 0, []
    for step, value in steps:
        key += step
        window.push(key, value)
        seen.append((key, value))
        assert window.top(key - span) == max(value for at, value in seen if at >= key - span)
        assert len(list(window)) <= span + 1


@given(
    st.lists(st.tuples(st.integers(1, 20_000), st.floats(80.0, 120.0)), min_size=1, max_size=150),
    st.integers(1, 12),
)
def test_a_lane_measures_between_confirmed_highs_and_lows(steps: list[tuple[int, float]], run: int) -> None:
    lane = Lane(1, run, (1, 2), 10**18)
    assert ABSURD > 120 / 80
    venue_ns, prices, highs = START_NS, [], []
    for step_ms, price in steps:
        venue_ns += step_ms * 1_000_000
        lane.add(price, venue_ns, venue_ns)
        prices.append(price)
        last = prices[-run:]
        if len(last) == run:
            highs.append((venue_ns // SECOND_NS, min(last)))
            assert lane.low == max(last)
        for at, span_s in enumerate((60, 120)):
            within = [high for slot, high in highs if slot >= venue_ns // SECOND_NS - span_s]
            assert lane.high(at, venue_ns) == max(within, default=-inf)


def test_a_high_counts_for_its_window_to_the_second() -> None:
    lane = Lane(1, 1, (5, 15), 10**18)
    for second in range(902):
        at_ns = START_NS + second * SECOND_NS
        lane.add(CALM if second == 0 else FALLEN, at_ns, at_ns)
        for window, span_s in enumerate((300, 900)):
            assert lane.high(window, at_ns) == (CALM if second <= span_s else FALLEN)


@pytest.mark.parametrize(("silent_s", "believed"), [(300, False), (301, True)])
def test_after_a_silence_of_its_longest_window_any_price_is_a_beginning(silent_s: int, believed: bool) -> None:
    lane = Lane(1, 1, (1, 5), 10**18)
    assert lane.add(CALM, START_NS, START_NS)
    at_ns = START_NS + silent_s * SECOND_NS
    assert lane.add(CALM / ABSURD / 2, at_ns, at_ns) is believed


@pytest.mark.parametrize(("silent_s", "goes_on"), [(30, True), (31, False)])
def test_a_run_of_confirmations_bears_half_a_minute_of_silence(silent_s: int, goes_on: bool) -> None:
    lane = Lane(1, 2, (1,), 10**18)
    for at_ns in (START_NS, START_NS + silent_s * SECOND_NS):
        lane.add(CALM, at_ns, at_ns)
    assert (lane.low == CALM) is goes_on


def test_the_distance_of_a_symbol_of_a_few_cents_is_shown_like_any_other() -> None:
    lane = Lane(1, 1, (5,), 10**18)
    for at, price in enumerate((0.1600, 0.1520)):
        lane.add(price, START_NS + at * SECOND_NS, START_NS + at * SECOND_NS)
    assert lane.fall_pct(0, START_NS + SECOND_NS) == pytest.approx(5.0)
