"""An extreme fall that only the contract shows: believed when far more is traded than usual, and not before."""

from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from swan_corpus import SECOND_NS, START_NS, SYMBOL, Desk
from test_blackswan import CALM, facts

from nexus_engine.model.config import ShieldConfig
from nexus_engine.model.events import BarRow
from nexus_engine.model.facts import SWAN_LOCK, GuardTripped
from nexus_engine.shield.turnover import LEAST_MIN, MINUTE_NS, Turnover

SLOW = 0.00245
"""A minute: 3.6 % in fifteen, which trips nothing, and 7 % in thirty."""
USUAL = 60.0
"""Traded in a calm minute."""


def bars(minutes: int, volume: float = USUAL) -> list[BarRow]:
    began = START_NS // MINUTE_NS - minutes
    return [BarRow((began + at) * MINUTE_NS, CALM, CALM, CALM, CALM, volume) for at in range(minutes)]


def bleed(desk: Desk, volume: float, minutes: int = 40, mark: float | None = None) -> list[float]:
    """It falls at two ticks a second, and trades so much a minute. Percent under the calm at each trip."""
    found, shield = [], desk.shield
    for at in range(minutes * 120):
        at_ns = START_NS + at * SECOND_NS // 2
        price = CALM * (1 - SLOW) ** (at / 120)
        turn = desk.turn(at_ns)
        if mark is not None and at % 2 == 0:
            shield.price(turn, SYMBOL, "mark", mark, at_ns)
        if shield.price(turn, SYMBOL, "trade", price, at_ns, volume / 120):
            found.append((1 - price / CALM) * 100)
    return found


def knowing(volume: float = USUAL, config: ShieldConfig | None = None) -> Desk:
    """A desk that has seen four calm hours."""
    desk = Desk(config)
    desk.shield.history(SYMBOL, bars(240, volume), START_NS)
    return desk


@pytest.mark.parametrize("mark", [None, CALM], ids=["no mark", "a frozen mark"])
def test_the_contract_alone_is_believed_when_it_trades_ten_times_the_usual(mark: float | None) -> None:
    quiet, busy = knowing(), knowing()
    assert bleed(quiet, 9.5 * USUAL, mark=mark) == []
    assert SWAN_LOCK not in quiet.ledger.locks
    first, *_ = bleed(busy, 10.5 * USUAL, mark=mark)
    assert 7.0 <= first < 7.5
    tripped = next(f for f in facts(busy) if isinstance(f, GuardTripped) and f.verdict.guard == SWAN_LOCK)
    (volume,) = (each for each in tripped.verdict.inputs if each.name == "volume")
    assert (volume.limit, volume.unit) == (10.0, "x") and 10.0 < volume.value < 11.0


def test_a_mark_that_follows_needs_no_volume() -> None:
    desk = knowing()
    found = []
    for at in range(40 * 120):
        at_ns, price = START_NS + at * SECOND_NS // 2, CALM * (1 - SLOW) ** (at / 120)
        desk.shield.price(desk.turn(at_ns), SYMBOL, "mark", price, at_ns)
        if desk.shield.price(desk.turn(at_ns), SYMBOL, "trade", price, at_ns, USUAL / 240):
            found.append(price)
    assert found


def test_where_nobody_knows_what_is_usual_the_time_alone_decides() -> None:
    desk = Desk()
    desk.shield.history(SYMBOL, bars(LEAST_MIN - 1), START_NS)
    assert bleed(desk, USUAL)


def test_a_limit_of_nothing_asks_for_no_volume() -> None:
    assert bleed(knowing(config=ShieldConfig(swan_extreme_volume=0)), USUAL)


def test_the_fall_itself_does_not_make_its_volume_usual() -> None:
    """Twelve times the usual from its first minute on: what is usual is asked of the time before."""
    assert bleed(knowing(), 12 * USUAL)


@settings(max_examples=60, deadline=None)
@given(
    trades=st.lists(st.tuples(st.integers(0, 400 * 60), st.floats(allow_nan=True)), max_size=200),
    junk=st.lists(st.sampled_from((0.0, -1.0, nan, inf, -inf)), max_size=10),
)
def test_what_is_no_quantity_changes_nothing_and_order_neither(
    trades: list[tuple[int, float]], junk: list[float]
) -> None:
    plain, soiled = Turnover(60), Turnover(60)
    for second, qty in sorted(trades):
        plain.add(qty, second * SECOND_NS)
    for second, qty in sorted(trades):
        soiled.add(qty, second * SECOND_NS)
        for nothing in junk:
            soiled.add(nothing, second * SECOND_NS)
    assert plain.times_usual(400 * MINUTE_NS, 30) == soiled.times_usual(400 * MINUTE_NS, 30)


@given(st.lists(st.floats(0.01, 1e9), min_size=LEAST_MIN, max_size=240), st.floats(0.01, 1e9))
def test_the_busiest_of_the_newest_minutes_in_usual_ones(usual: list[float], newest: float) -> None:
    turnover = Turnover(60)
    turnover.seed([BarRow(at * MINUTE_NS, 1, 1, 1, 1, volume) for at, volume in enumerate(usual)])
    now = len(usual) + 60
    turnover.add(newest, now * MINUTE_NS)
    ranked = sorted(usual)
    middle = (ranked[(len(usual) - 1) // 2] + ranked[len(usual) // 2]) / 2
    assert turnover.times_usual(now * MINUTE_NS, 60) == pytest.approx(newest / middle)


def test_the_last_minute_counts_as_well_as_this_one_and_none_without_a_trade() -> None:
    turnover, now = Turnover(60), LEAST_MIN + 60
    turnover.seed([BarRow(at * MINUTE_NS, 1, 1, 1, 1, USUAL) for at in range(LEAST_MIN)])
    assert turnover.times_usual(now * MINUTE_NS, 60) == 0.0
    turnover.add(3 * USUAL, (now - 1) * MINUTE_NS)
    assert turnover.times_usual(now * MINUTE_NS, 60) == 3.0
    assert turnover.times_usual((now + 1) * MINUTE_NS, 60) == 0.0


def test_it_keeps_no_more_than_it_needs() -> None:
    turnover = Turnover(60)
    for minute in range(2_000):
        turnover.add(1.0, minute * MINUTE_NS)
    assert len(turnover._minutes) <= 60 + 240 + 3
