"""The rungs beside the trip: the alert, the extreme, the lock that waits until the market has settled, the re-arm."""

import pytest
from swan_corpus import SECOND_NS, START_NS, SYMBOL, Desk
from test_blackswan import CALM, MINUTE_NS, calm, facts, go_on

from nexus_engine.model.config import ShieldConfig
from nexus_engine.model.facts import SWAN_ALERT, SWAN_LOCK, GuardTripped, LockSet
from nexus_engine.model.words import Side
from nexus_engine.shield.blackswan import EXTREME, FROZEN_NS
from nexus_engine.shield.guards import held

PER_MIN = 600
"""Ticks."""


def locks(desk: Desk, name: str) -> list[LockSet]:
    return [fact for fact in facts(desk) if isinstance(fact, LockSet) and fact.name == name]


def now_ns(tick: int) -> int:
    return START_NS + tick * SECOND_NS // 10


def slide(desk: Desk, since: int, minutes: int, per_min: float, *, mark: bool = True) -> tuple[list[int], float]:
    """A minute a step, each that much lower. The trips, and where the price is."""
    found, price = [], CALM
    for at in range(minutes):
        price *= 1 - per_min
        found += go_on(desk, price, price if mark else None, PER_MIN, since + at * PER_MIN)
    return found, price


def test_an_alert_locks_longs_for_a_while_and_closes_nothing() -> None:
    desk = Desk()
    since = calm(desk)
    assert go_on(desk, 97.9, 97.9, 100, since) == []
    (lock,) = locks(desk, SWAN_ALERT)
    assert SWAN_LOCK not in desk.ledger.locks
    tripped = next(fact for fact in facts(desk) if isinstance(fact, GuardTripped))
    assert tripped.verdict.guard == SWAN_ALERT
    assert tripped.verdict.side is Side.BUY
    assert tripped.verdict.reason == "BTCUSDT fell 2.1 % under its 5 min high"
    assert lock.until_ns == tripped.verdict.until_ns
    assert lock.until_ns - tripped.at_ns == 10 * MINUTE_NS


def test_an_alert_is_renewed_while_the_fall_lasts_and_runs_out_after_it() -> None:
    desk = Desk(ShieldConfig(swan_alert=((2.0, 30),)))
    since = calm(desk)
    go_on(desk, 97.5, 97.5, 20 * PER_MIN, since)
    found = locks(desk, SWAN_ALERT)
    assert 3 <= len(found) <= 5, "every five minutes, not with every tick"
    go_on(desk, 99.9, 99.9, 11 * PER_MIN, since + 20 * PER_MIN)
    assert len(locks(desk, SWAN_ALERT)) == len(found)
    assert held(desk.ledger, SWAN_ALERT, now_ns(since + 31 * PER_MIN)) is None


def test_without_rungs_there_is_no_alert_and_no_extreme() -> None:
    desk = Desk(ShieldConfig(swan_alert=(), swan_extreme=()))
    since = calm(desk)
    assert slide(desk, since, 40, 0.0025)[0] == []
    assert desk.effects == []


@pytest.mark.parametrize("mark", [True, False])
def test_a_fall_too_slow_for_the_trip_is_extreme_over_an_hour(mark: bool) -> None:
    desk = Desk()
    since = calm(desk, mark=mark)
    found, _ = slide(desk, since, 50, 0.00245, mark=mark)
    first, *further = [fact.reason for fact in locks(desk, SWAN_LOCK)]
    assert first == "BTCUSDT fell 7.1 % under its 30 min high"
    assert len(found) == 1 + len(further)
    assert all(reason.endswith("under where the black swan tripped") for reason in further)


def test_an_extreme_fall_must_last_five_seconds() -> None:
    desk = Desk(ShieldConfig(swan_drop_pct=15.0))
    since = calm(desk)
    assert go_on(desk, 92.5, 92.5, 55, since) == []
    assert go_on(desk, CALM, CALM, 30, since + 55) == []
    assert len(go_on(desk, 92.5, 92.5, 80, since + 85)) == 1


def test_a_mark_that_moves_and_does_not_follow_denies_an_extreme_and_a_frozen_one_does_not() -> None:
    desk = Desk(ShieldConfig(swan_drop_pct=15.0))
    since = calm(desk)
    for at in range(120):
        wobble = CALM * (1 + 1e-5 * (at % 2))
        assert go_on(desk, 92.5, wobble, 10, since + at * 10) == []
    frozen = since + 1_200
    found = go_on(desk, 92.5, CALM, FROZEN_NS // SECOND_NS * 10 + 200, frozen)
    assert len(found) == 1
    assert found[0] - frozen > FROZEN_NS // SECOND_NS * 10


def test_a_lock_holds_on_while_the_price_is_half_the_fall_under_its_high() -> None:
    desk = Desk()
    since = calm(desk)
    assert len(go_on(desk, 95.0, 95.0, 50 * PER_MIN, since)) == 1
    first = desk.ledger.locks[SWAN_LOCK].until_ns
    # Before the hour is over it falls again, by less than what trips: 2.6 % of 4.
    at = since + 50 * PER_MIN
    go_on(desk, 96.9, 96.9, 3 * PER_MIN, at)
    go_on(desk, 94.4, 94.4, 12 * PER_MIN, at + 3 * PER_MIN)
    assert desk.ledger.locks[SWAN_LOCK].until_ns > first
    assert held(desk.ledger, SWAN_LOCK, now_ns(at + 15 * PER_MIN)) is not None
    # Once the high has left the window the market has settled there.
    go_on(desk, 94.4, 94.4, 10 * PER_MIN, at + 15 * PER_MIN)
    assert held(desk.ledger, SWAN_LOCK, now_ns(at + 25 * PER_MIN)) is None


def test_a_settled_market_lets_the_lock_run_out_after_its_hour() -> None:
    desk = Desk()
    since = calm(desk)
    go_on(desk, 95.0, 95.0, 61 * PER_MIN, since)
    assert len(locks(desk, SWAN_LOCK)) == 1
    assert held(desk.ledger, SWAN_LOCK, now_ns(since + 61 * PER_MIN)) is None


def test_a_person_lets_longs_in_and_falls_count_from_there() -> None:
    desk = Desk()
    since = calm(desk)
    tripped = go_on(desk, 95.0, 95.0, 100, since)
    turn = desk.turn(now_ns(since + 100))
    assert desk.shield.rearm(turn, "you") == "re-armed: longs may be opened again"
    assert held(desk.ledger, SWAN_LOCK, turn.market_ns) is None
    assert desk.shield.rearm(turn, "you") == "longs are not locked"
    assert len(tripped) == 1
    assert go_on(desk, 94.0, 94.0, 600, since + 100) == [], "what stood before is no high any more"
    assert len(go_on(desk, 90.0, 90.0, 100, since + 700)) == 1
    assert locks(desk, SWAN_LOCK)[-1].reason == "BTCUSDT fell 5.3 % under its 5 min high"


def test_history_from_before_a_re_arm_brings_no_high_back() -> None:
    from nexus_engine.model.events import BarRow

    desk = Desk()
    since = calm(desk)
    go_on(desk, 95.0, 95.0, 100, since)
    desk.shield.rearm(desk.turn(now_ns(since + 100)), "you")
    rows = [BarRow(START_NS - at * MINUTE_NS, CALM, CALM, CALM, CALM, 1.0) for at in range(20, 0, -1)]
    desk.shield.history(SYMBOL, rows, now_ns(since + 110))
    assert go_on(desk, 95.0, 95.0, 200, since + 110) == []


def test_the_ladder_shows_every_rung_and_its_distance() -> None:
    desk = Desk()
    since = calm(desk)
    go_on(desk, 98.5, 98.5, 100, since)
    shown = {(rung.name, rung.minutes): round(drop, 2) for rung, drop in desk.shield.ladder(now_ns(since + 100))}
    assert set(shown.values()) == {1.5}
    assert {name for name, _ in shown} == {"trip", EXTREME, "alert"}
    assert len(shown) == 6
