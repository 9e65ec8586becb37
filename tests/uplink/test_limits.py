"""Weight that is kept back, and silence that is kept."""

import pytest
from uplink_data import HandClock

from nexus_engine.uplink.binance.limits import Budget, Urgency

NORMAL, QUERY, EXIT = Urgency.NORMAL, Urgency.QUERY, Urgency.EXIT


def test_a_fifth_of_the_weight_is_kept_for_exits_and_queries() -> None:
    budget = Budget(HandClock())
    assert budget.admit(1_920, NORMAL) == 0
    assert budget.admit(1, NORMAL) > 0
    assert budget.admit(480, QUERY) == 0
    assert budget.admit(1, QUERY) > 0
    assert budget.admit(1, EXIT) == 0


def test_entries_weigh_nothing_and_still_stop_when_the_reserve_is_touched() -> None:
    budget = Budget(HandClock())
    budget.seen(1_921)
    assert budget.admit(0, NORMAL) > 0
    assert budget.admit(0, EXIT) == 0


def test_a_new_minute_of_the_venue_begins_at_nothing() -> None:
    clock = HandClock(at_ns=600_000_000_000 + 50_000_000_000)
    budget = Budget(clock)
    budget.seen(2_400)
    assert budget.admit(1, QUERY) == pytest.approx(10.0)
    clock.pass_s(10)
    assert budget.admit(1, QUERY) == 0
    assert budget.used == 1


def test_after_429_only_exits_leave_until_the_silence_is_over() -> None:
    clock = HandClock()
    budget = Budget(clock)
    budget.silence(7, banned=False)
    assert budget.admit(1, NORMAL) == pytest.approx(7)
    assert budget.admit(1, QUERY) == pytest.approx(7)
    assert budget.admit(0, EXIT) == 0
    clock.pass_s(7)
    assert budget.admit(1, NORMAL) == 0


def test_a_ban_silences_everyone() -> None:
    clock = HandClock()
    budget = Budget(clock)
    budget.silence(120, banned=True)
    assert budget.admit(0, EXIT) == pytest.approx(120)
    clock.pass_s(120)
    assert budget.admit(0, EXIT) == 0


def test_how_long_silence_is_wanted_yet_can_be_shown() -> None:
    clock = HandClock()
    budget = Budget(clock)
    assert budget.silent_s == 0
    budget.silence(7, banned=False)
    budget.silence(3, banned=True)
    clock.pass_s(2)
    assert budget.silent_s == pytest.approx(5.0)
    clock.pass_s(10)
    assert budget.silent_s == 0
