"""A wall clock that is set wrong opens no trading day: the day's budget of losses would begin anew."""

import pytest
from world import World, virtual

from nexus_engine.core.calendar import TRUST_NS, Calendar
from nexus_engine.model.facts import DayOpened
from nexus_engine.model.ledger import DAY_NS, Ledger
from nexus_engine.model.turn import Turn

TODAY_NS = 20_000 * DAY_NS + DAY_NS // 2
S = 1_000_000_000


class Clock:
    """A calendar that looks four times a second, and opens what it says."""

    def __init__(self) -> None:
        self.ledger, self.calendar = Ledger(), Calendar()
        self.at_ns, self.mono_ns = TODAY_NS, 5 * S
        self.opened: list[int] = []

    def run(self, seconds: float) -> "Clock":
        until_ns = self.mono_ns + round(seconds * S)
        while self.mono_ns < until_ns:
            self.at_ns += S // 4
            self.mono_ns += S // 4
            if self.calendar.turns(Turn(self.ledger, at_ns=self.at_ns, mono_ns=self.mono_ns, market_ns=0)):
                self.ledger.day = self.at_ns // DAY_NS
                self.opened.append(self.ledger.day - 20_000)
        return self

    def set(self, days: float) -> "Clock":
        self.at_ns += round(days * DAY_NS)
        return self


def test_a_clock_that_jumps_a_day_ahead_and_back_opens_nothing() -> None:
    clock = Clock().run(1).set(+1).run(60).set(-1).run(700)
    assert clock.opened == [0]
    clock.at_ns = 20_001 * DAY_NS - S  # there is no leap in a night that passes
    clock.calendar = Calendar()
    assert clock.run(2).opened == [0, 1]


def test_a_clock_that_goes_back_over_midnight_opens_the_day_before_it_no_more() -> None:
    clock = Clock()
    clock.at_ns = 20_000 * DAY_NS - 30 * S
    assert clock.run(60).opened == [-1, 0]
    clock.set(-0.01).run(2_000)
    assert clock.opened == [-1, 0]


def test_a_machine_that_slept_over_midnight_opens_the_day_once_its_clock_has_stood() -> None:
    clock = Clock().run(1).set(+1).run(TRUST_NS / S - 1)
    assert clock.opened == [0]
    assert clock.run(2).opened == [0, 1]


@pytest.mark.parametrize("days", [2, 400])
def test_a_day_that_was_far_ahead_keeps_no_other_one_shut(days: int) -> None:
    clock = Clock().run(1).set(days).run(TRUST_NS / S + 1).set(-days).run(TRUST_NS / S + 1)
    assert clock.opened == [0, days, 0]


def test_small_steps_of_a_clock_are_none_of_its_business() -> None:
    clock = Clock()
    clock.at_ns = 20_001 * DAY_NS - 10 * S
    assert clock.run(1).set(20 / 86_400).run(1).opened == [0, 1]


@virtual
async def test_the_loss_of_a_day_still_counts_after_the_clock_was_set_and_set_back() -> None:
    world = await World().start().ready()
    real, off_ns = world.clock.utc_ns, [0]
    world.clock.utc_ns = lambda: real() + off_ns[0]  # type: ignore[method-assign]
    before = world.ledger.day_equity
    world.venue.account.ledger.wallet -= before / 20  # over the day's limit of 3 %
    world.ask_account()
    await world.until(lambda: "day" in world.blocked, 3.0)
    for step in (+1, -1):
        off_ns[0] += step * DAY_NS
        await world.run(5.0)
        assert "day" in world.blocked
    assert world.ledger.day_equity == before
    assert sum(isinstance(fact, DayOpened) for fact in world.journal.facts()) == 1
