"""SANGRIA: dominance up while the cap falls. It does not flap, it does not guess, and it survives a restart."""

import math
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from shield_words import MINUTE_NS, quote, signal
from swan_corpus import Desk

from nexus_engine.model.effects import Record
from nexus_engine.model.events import MacroSample
from nexus_engine.model.facts import MacroChanged
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.macro import HOUR_NS, KEPT_NS, MacroPast, MacroRow
from nexus_engine.model.verdicts import Verdict
from nexus_engine.model.words import Macro, Sentinel
from nexus_engine.shield.macro import DWELL_NS, POLL_NS, STALE_NS, judge, trend
from nexus_engine.sim.market import Market

T0 = 1_764_000_000_000_000_000
BTC = quote("BTCUSDT", 60_000.0, 60_000.1)


def walk(hours: float, seed: int = 1, dominance: float = 0.0, cap: float = 0.0, begin: int = T0) -> list[MacroRow]:
    """A sample each ten minutes: noise, and a drift of so many points and log percent a day."""
    rng, level, total, rows = Random(seed), 56.0, math.log(3e12), []
    for at in range(int(hours * 6) + 1):
        rows.append(MacroRow(begin + at * POLL_NS, level, math.exp(total)))
        level += rng.gauss(dominance / 144, 0.02)
        total += rng.gauss(cap / 14_400, 0.0015)
    return rows


def tell(desk: Desk, rows: list[MacroRow], source: str = "cmc", at_ns: int = 0) -> list[MacroChanged]:
    """The desk hears samples at their own time, or at `at_ns`; what the Shield made of it."""
    at_ns = at_ns or rows[-1].venue_ns
    before = len(desk.effects)
    event = MacroSample(at_ns=at_ns, mono_ns=at_ns, source=source, rows=tuple(rows))
    desk.shield.macro.sample(desk.turn(at_ns), event)
    return changes(desk, before)


def changes(desk: Desk, since: int = 0) -> list[MacroChanged]:
    facts = [effect.fact for effect in desk.effects[since:] if isinstance(effect, Record)]
    return [fact for fact in facts if isinstance(fact, MacroChanged)]


BLEEDING = {"dominance": 0.8, "cap": -4.0}


def bleeding() -> Desk:
    desk = Desk()
    tell(desk, walk(96, **BLEEDING))
    assert desk.ledger.macro.macro is Macro.SHARK
    return desk


def shown(desk: Desk, at_ns: int) -> Macro:
    return desk.shield.macro.state(desk.ledger.macro, at_ns, at_ns)


@pytest.mark.parametrize(
    ("drift", "macro"),
    [
        (BLEEDING, Macro.SHARK),
        ({"dominance": 0.8, "cap": 4.0}, Macro.NEUTRAL),
        ({"dominance": -0.8, "cap": -4.0}, Macro.NEUTRAL),
        ({}, Macro.NEUTRAL),
    ],
)
def test_only_a_rising_dominance_over_a_falling_cap_is_shark(drift: dict[str, float], macro: Macro) -> None:
    desk = Desk()
    (change,) = tell(desk, walk(96, **drift))
    assert change.macro is macro
    assert {reading.name for reading in change.readings} >= {"dominance 72h", "cap 72h", "dominance 24h", "cap 24h"}


def test_the_change_is_that_of_the_smoothed_values_over_the_window() -> None:
    rows = [MacroRow(T0 + at * POLL_NS, 50.0 + at * 0.01, 1e12 * math.exp(-at * 0.0001)) for at in range(97 * 6)]
    slow = trend(rows, 72)
    assert slow is not None
    assert slow.dominance == pytest.approx(72 * 6 * 0.01)
    assert slow.cap == pytest.approx((math.exp(-72 * 6 * 0.0001) - 1) * 100)
    # a straight line's usual hour is its own: over 72 of them it moves as 72 / sqrt(72) usual ones
    assert slow.dominance_z == pytest.approx(math.sqrt(72))


def test_a_single_wild_poll_hardly_moves_it() -> None:
    rows = walk(96)
    calm = trend(rows, 72)
    last = rows[-1]
    wild = trend([*rows[:-1], MacroRow(last.venue_ns, last.dominance + 1.4, last.cap)], 72)
    assert calm is not None and wild is not None
    assert abs(wild.dominance - calm.dominance) == pytest.approx(1.4 * 2 / 7)


def test_without_three_days_of_history_it_is_unknown_and_says_how_far_it_reaches() -> None:
    desk = Desk()
    assert tell(desk, walk(71, **BLEEDING)) == []
    assert judge(desk.ledger.macro).reason == "the history of cmc reaches 71 of 72 h"
    assert shown(desk, T0 + 71 * HOUR_NS) is Macro.UNKNOWN


def test_a_night_without_samples_is_bridged_and_a_day_is_not() -> None:
    rows = walk(96, **BLEEDING)
    then = rows[-1].venue_ns - 72 * HOUR_NS
    for hours, known in ((8, True), (14, False)):
        gap = hours * HOUR_NS // 2
        assert (trend([row for row in rows if abs(row.venue_ns - then) > gap], 72) is not None) == known


def test_thirty_minutes_without_a_sample_and_nobody_knows() -> None:
    desk = bleeding()
    last_ns = desk.ledger.macro.rows[-1].venue_ns
    for late_ns, macro in ((STALE_NS, Macro.SHARK), (STALE_NS + 1, Macro.UNKNOWN)):
        assert shown(desk, last_ns + late_ns) is macro
    before = len(desk.effects)
    desk.shield.macro.look(desk.turn(last_ns + STALE_NS))
    assert changes(desk, before) == []
    desk.shield.macro.look(desk.turn(last_ns + STALE_NS + 1))
    assert [change.reason for change in changes(desk, before)] == ["no new sample for 30 min"]
    desk.shield.macro.look(desk.turn(last_ns + 2 * STALE_NS))
    assert len(changes(desk, before)) == 1


def test_a_clock_set_back_makes_nothing_young() -> None:
    desk = bleeding()
    last_ns = desk.ledger.macro.rows[-1].venue_ns
    watch, past = desk.shield.macro, desk.ledger.macro
    assert watch.state(past, last_ns - HOUR_NS, last_ns + STALE_NS + 1) is Macro.UNKNOWN


def test_a_change_of_source_begins_a_new_history() -> None:
    desk = bleeding()
    rows = walk(1, begin=desk.ledger.macro.rows[-1].venue_ns + POLL_NS)
    tell(desk, rows, "coingecko")
    assert desk.ledger.macro.source == "coingecko"
    assert desk.ledger.macro.rows == tuple(rows)
    assert desk.ledger.macro.macro is Macro.UNKNOWN


@pytest.mark.parametrize(
    "row",
    [
        MacroRow(T0 + 97 * HOUR_NS, float("nan"), 3e12),
        MacroRow(T0 + 97 * HOUR_NS, 0.0, 3e12),
        MacroRow(T0 + 97 * HOUR_NS, 100.0, 3e12),
        MacroRow(T0 + 97 * HOUR_NS, 56.0, float("inf")),
        MacroRow(T0 + 97 * HOUR_NS, 56.0, -1.0),
        MacroRow(T0 + 97 * HOUR_NS, 56.0, 3e13),
        MacroRow(T0 + 97 * HOUR_NS, 5.6, 3e12),
        MacroRow(T0, 56.0, 3e12),
    ],
)
def test_what_cannot_be_believed_is_left_out(row: MacroRow) -> None:
    desk = Desk()
    tell(desk, walk(96))
    past = desk.ledger.macro
    tell(desk, [row], at_ns=T0 + 97 * HOUR_NS)
    assert desk.ledger.macro is past


def test_a_leap_that_the_next_sample_confirms_is_believed() -> None:
    desk = Desk()
    tell(desk, walk(96))
    for at in (97, 97.2):
        tell(desk, [MacroRow(T0 + int(at * HOUR_NS), 56.0, 2e12)])
    assert desk.ledger.macro.rows[-1].cap == 2e12


def test_the_history_is_kept_compactly_for_two_weeks() -> None:
    past = MacroPast()
    rows = walk(24 * 30)
    for at in range(0, len(rows), 100):
        past = past.with_rows("cmc", rows[at : at + 100], 0)
    assert past.rows[0].venue_ns >= rows[-1].venue_ns - KEPT_NS
    assert len(past.rows) < 74 * 6 + 14 * 24 + 5
    assert trend(past.rows, 72) == pytest.approx(trend(rows[-14 * 24 * 6 :], 72), rel=0.2)


def test_a_restart_forgets_nothing() -> None:
    desk = bleeding()
    again = Desk()
    again.ledger = Ledger().fold(effect.fact for effect in desk.effects if isinstance(effect, Record))
    assert again.ledger.macro == desk.ledger.macro
    assert again.ledger.digest() == desk.ledger.digest()
    last_ns = again.ledger.macro.rows[-1].venue_ns
    assert shown(again, last_ns + MINUTE_NS) is Macro.SHARK
    assert shown(again, last_ns + STALE_NS + 1) is Macro.UNKNOWN


# ---- who asks --------------------------------------------------------------------------------------------------------


def verdict(desk: Desk, at_ns: int, strategy: str = "shark") -> Verdict:
    wish = replace(signal(strategy=strategy), market_ns=at_ns)
    verdicts = desk.shield.judge_signal(desk.turn(at_ns), wish, quote(), BTC, Decimal(0))
    return next(each for each in verdicts if each.guard == "macro")


def test_only_shark_lets_the_shark_enter_and_the_others_do_not_ask() -> None:
    desk = bleeding()
    last_ns = desk.ledger.macro.rows[-1].venue_ns
    assert not verdict(desk, last_ns).refuses
    late = verdict(desk, last_ns + STALE_NS + 1)
    assert late.refuses and late.reason == "macro is UNKNOWN: no entries for shark"
    assert late.inputs[0].name == "age"
    neutral = Desk()
    tell(neutral, walk(96))
    assert verdict(neutral, last_ns).reason == "macro is NEUTRAL: no entries for shark"
    for desk in (Desk(), neutral):
        assert not verdict(desk, last_ns, "harpoon").refuses
    assert verdict(Desk(), last_ns).refuses


def test_the_badge_shows_shark_after_the_swan_and_blindness() -> None:
    desk = bleeding()
    now_ns = desk.ledger.macro.rows[-1].venue_ns
    badge, reason = desk.shield.sentinel(desk.ledger, now_ns, BTC, 100, Macro.SHARK)
    assert badge is Sentinel.SHARK and reason.startswith("dominance +") and reason.endswith("over 72 h")
    assert desk.shield.sentinel(desk.ledger, now_ns, None, 100, Macro.SHARK)[0] is Sentinel.BLIND
    assert desk.shield.sentinel(desk.ledger, now_ns, BTC, 100, Macro.NEUTRAL)[0] is Sentinel.CALM


# ---- flapping --------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 50),
    polls=st.lists(
        st.tuples(st.floats(-0.6, 0.6), st.floats(-0.03, 0.03), st.integers(1, 6)), min_size=20, max_size=60
    ),
)
def test_however_it_flaps_shark_begins_and_ends_two_hours_apart(
    seed: int, polls: list[tuple[float, float, int]]
) -> None:
    """At the edge of both thresholds, with polls that fail: a change of mind lasts two hours, and old data is none."""
    desk = Desk()
    rows = walk(96, seed, dominance=0.1, cap=-1.5)
    tell(desk, rows)
    row, state = rows[-1], desk.ledger.macro.macro
    switches: list[int] = [row.venue_ns] if state is Macro.SHARK else []
    for up, grown, missed in polls:
        for minutes in range(1, missed * 10):
            at_ns = row.venue_ns + minutes * MINUTE_NS
            desk.shield.macro.look(desk.turn(at_ns))
            if minutes > 30:
                assert desk.ledger.macro.macro is Macro.UNKNOWN
                assert verdict(desk, at_ns).refuses
            if state is Macro.SHARK and desk.ledger.macro.macro is not Macro.SHARK:
                switches.append(at_ns)
            state = desk.ledger.macro.macro
        row = MacroRow(
            row.venue_ns + missed * POLL_NS, min(90.0, max(10.0, row.dominance + up)), row.cap * math.exp(grown)
        )
        tell(desk, [row])
        if (state is Macro.SHARK) != (desk.ledger.macro.macro is Macro.SHARK):
            switches.append(row.venue_ns)
        state = desk.ledger.macro.macro
    begins = switches[::2]
    for at, ended in enumerate(switches[1::2]):
        if at + 1 < len(begins):
            assert begins[at + 1] - ended >= DWELL_NS


# ---- markets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scenario", "macro"),
    [("sangria", Macro.SHARK), ("calm", Macro.NEUTRAL), ("trend-up", Macro.NEUTRAL), ("flash-crash", Macro.NEUTRAL)],
)
@pytest.mark.parametrize("seed", [1, 7])
def test_the_practice_market_bleeds_in_its_sangria_and_nowhere_else(scenario: str, macro: Macro, seed: int) -> None:
    market = Market(seed=seed, scenario=scenario, start_ns=T0)
    rows = [MacroRow(*row) for row in market.macro()]
    assert judge(MacroPast().with_rows("cmc", rows, 0)).macro is macro


def test_over_eleven_recorded_years_of_days(data_dir: Path) -> None:
    """No tuning to it: the thresholds are the findings' own. Daily samples, so a day is the shortest dwell."""
    polars = pytest.importorskip("polars")
    table = polars.read_parquet(data_dir / "macro" / "dominance_totalcap_daily.parquet")
    days = table.select("date", "btc_dominance", "total_cap_usd").drop_nulls().iter_rows()
    past, counts, begun = MacroPast(), dict.fromkeys(Macro, 0), 0
    for date, dominance, cap in days:
        at_ns = int(datetime(date.year, date.month, date.day, tzinfo=UTC).timestamp()) * 1_000_000_000
        past = past.with_rows("daily", (MacroRow(at_ns, dominance, cap),), at_ns)
        now = judge(past).macro
        if Macro.SHARK in (now, past.macro) and now is not past.macro:
            past = replace(past, turned_ns=at_ns)
            begun += now is Macro.SHARK
        past = replace(past, macro=now)
        counts[now] += 1
    assert counts == {Macro.NEUTRAL: 3956, Macro.SHARK: 201, Macro.UNKNOWN: 79}
    assert begun == 140
