"""The factory: parameters, histories and gaps, and who may trade in which regime."""

import math

import msgspec
import pytest
from cortex_data import RANGE_HOURS, event, only, quiet, quote_at, rows_of, walk
from msgspec.structs import replace

from nexus_engine.cortex.factory import REFUSED, STRATEGIES, Cortex
from nexus_engine.model.config import ConfigError, Directive
from nexus_engine.model.events import BarRow
from nexus_engine.model.signals import Holding
from nexus_engine.model.words import Regime, Side

BASE = rows_of(quiet(700, 1))
TAIL = rows_of([96.2, 96.7, 96.9], after=BASE)
NOISE = walk(900, 5, noise=0.004)
TREND = rows_of(NOISE + walk(40, 6, drift=-0.004, noise=0.002, price=NOISE[-1]), "1h")
SOL = ("SOLUSDT", "5m")


def cortex_in(hours=RANGE_HOURS, **params):
    cortex = Cortex(only("harpoon", params))
    cortex.history("SOLUSDT", "5m", BASE)
    if hours:
        cortex.history("SOLUSDT", "1h", hours)
    return cortex


def play(cortex, rows):
    return [signal for row in rows for signal in cortex.bar(event(row), quote_at(row.close))]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"whale": {}}, ["unknown strategy strategies.whale", "known: harpoon, scalping, flow, shark"]),
        ({"harpoon": {"rsk_pct": 1}}, ["unknown key strategies.harpoon.rsk_pct", "known here: enabled", "risk_pct"]),
        ({"harpoon": {"risk_pct": 9}}, ["strategies.harpoon.risk_pct = 9", "a number from 0.05 to 1.0"]),
        ({"harpoon": {"risk_pct": math.nan}}, ["strategies.harpoon.risk_pct = nan", "from 0.05 to 1.0"]),
        ({"harpoon": {"risk_pct": "0.5"}}, ["strategies.harpoon.risk_pct = '0.5'", "a number"]),
        ({"harpoon": {"risk_pct": True}}, ["strategies.harpoon.risk_pct = True", "a number"]),
        ({"harpoon": {"leverage": 3}}, ["strategies.harpoon.leverage = 3", "a whole number from 1 to 2"]),
        ({"harpoon": {"leverage": 1.5}}, ["strategies.harpoon.leverage = 1.5", "a whole number"]),
        ({"harpoon": {"enabled": 1}}, ["strategies.harpoon.enabled = 1", "true or false"]),
        ({"harpoon": {"min_costs": 3.9}}, ["strategies.harpoon.min_costs = 3.9", "from 4.0"]),
    ],
)
def test_a_wrong_parameter_is_one_clear_line(given, words):
    with pytest.raises(ConfigError) as caught:
        Cortex(given)
    text = str(caught.value)
    assert "\n" not in text
    assert all(word in text for word in words)


def test_the_default_directive_and_the_ends_of_every_range_are_accepted():
    Cortex(Directive().strategies)
    for kind in STRATEGIES:
        for key, param in kind.PARAMS.items():
            ends = param.choices or (param.low, param.high)
            assert param.default in param.choices if param.choices else param.low <= param.default <= param.high
            assert param.doc
            assert param.source
            for end in ends:
                Cortex({kind.name: {key: end}})


def test_a_whole_number_will_do_for_a_real_one():
    assert play(cortex_in(risk_pct=1), TAIL)[0].risk_pct == 1.0


def test_it_asks_for_the_intervals_of_what_is_enabled_and_for_hours():
    assert Cortex({}).intervals == ("5m", "1h", "4h")
    assert Cortex(only("harpoon")).intervals == ("5m", "1h")
    assert Cortex({}).warmup_bars >= 500
    off = Cortex(only("harpoon", {"enabled": False}))
    assert off.intervals == ("1h",)
    off.history("SOLUSDT", "5m", BASE)
    assert play(off, TAIL) == []


def test_a_range_trades_and_says_so():
    cortex = cortex_in()
    (signal,) = play(cortex, TAIL)
    assert signal.regime is cortex.regime("SOLUSDT")
    assert signal.regime.regime is Regime.RANGE
    assert signal.reasons[-1] == f"regime RANGE {signal.regime.confidence:.0%}"


def test_a_trend_gates_harpoon_and_counts_it():
    cortex = cortex_in(TREND)
    assert cortex.regime("SOLUSDT").regime is Regime.TREND_DOWN
    assert play(cortex, TAIL) == []
    assert cortex.counters["regime"] == 1
    assert cortex.counters["signals"] == 0


def test_without_a_regime_the_rule_is_half_the_size():
    cortex = cortex_in(None)
    (signal,) = play(cortex, TAIL)
    assert signal.regime.regime is Regime.UNKNOWN
    assert signal.risk_pct == 0.125
    assert signal.reasons[-1] == "regime UNKNOWN: half size"


def test_closed_hours_move_the_regime():
    cortex = cortex_in(TREND[:-20])
    before = cortex.regime("SOLUSDT")
    for row in TREND[-20:]:
        cortex.bar(event(row, "1h"), quote_at(row.close))
    assert cortex.regime("SOLUSDT") != before
    assert cortex.regime("SOLUSDT") == cortex_in(TREND).regime("SOLUSDT")


def test_the_funnel_is_in_order():
    cortex = cortex_in()
    play(cortex, TAIL)
    assert list(cortex.counters) == ["bars", "patterns", "turned", *REFUSED, "regime", "signals"]
    counted = {name: count for name, count in cortex.counters.items() if count}
    assert counted == {"bars": 3, "patterns": 1, "turned": 1, "signals": 1}


def test_symbols_do_not_mix():
    cortex = cortex_in()
    cortex.history("ADAUSDT", "5m", BASE)
    for row in TAIL:
        flat = msgspec.structs.replace(row, open=100.0, high=100.1, low=99.9, close=100.0)
        assert cortex.bar(event(flat, symbol="ADAUSDT"), quote_at(100.0)) == ()
        cortex.bar(event(row), quote_at(row.close))
    assert cortex.counters["signals"] == 1


def test_a_bar_that_came_before_is_ignored():
    cortex = cortex_in()
    signals = []
    for row in TAIL:
        signals += play(cortex, [BASE[-5], BASE[-1], row, row])
    assert signals == play(cortex_in(), TAIL)
    assert cortex.needs_history() == []


@pytest.mark.parametrize("closed", [True, False])
def test_a_missing_bar_asks_for_history_and_trades_again_after_it(closed):
    cortex = cortex_in()
    assert cortex.needs_history() == []
    assert cortex.bar(event(TAIL[1], closed=closed), quote_at(96.7)) == ()
    assert cortex.needs_history() == [SOL]
    assert play(cortex, TAIL[2:]) == []
    cortex.history(*SOL, BASE + TAIL[:1])
    assert cortex.needs_history() == []
    assert len(play(cortex, TAIL[1:])) == 1


def test_a_missing_hour_makes_the_regime_unknown_until_history_comes():
    cortex = cortex_in(RANGE_HOURS[:-2])
    cortex.bar(event(RANGE_HOURS[-1], "1h"), quote_at(100))
    assert cortex.regime("SOLUSDT").regime is Regime.UNKNOWN
    assert cortex.needs_history() == [("SOLUSDT", "1h")]
    cortex.history("SOLUSDT", "1h", RANGE_HOURS)
    assert cortex.regime("SOLUSDT").regime is Regime.RANGE


def test_a_symbol_without_history_asks_for_it():
    cortex = Cortex({})
    assert play(cortex, TAIL) == []
    assert cortex.needs_history() == [SOL]
    assert cortex.regime("SOLUSDT").regime is Regime.UNKNOWN


def test_only_history_after_its_last_gap_counts():
    cortex = Cortex({})
    cortex.history(*SOL, BASE[:650] + BASE[651:])
    assert play(cortex, TAIL) == []
    cortex.history(*SOL, BASE[:100] + BASE[101:])
    assert len(play(cortex, TAIL)) == 1


def test_empty_history_asks_again():
    cortex = Cortex({})
    cortex.history(*SOL, [])
    assert cortex.needs_history() == [SOL]


@pytest.mark.parametrize("field", ["open", "high", "low", "close", "volume"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_a_broken_number_is_a_gap_and_no_crash(field, value):
    broken = msgspec.structs.replace(TAIL[0], **{field: value})
    cortex = cortex_in()
    assert cortex.bar(event(broken), quote_at(96.2)) == ()
    assert cortex.needs_history() == [SOL]
    cortex.history(*SOL, [*BASE, broken])
    assert cortex.needs_history() == [SOL]
    cortex.history(*SOL, [msgspec.structs.replace(BASE[0], **{field: value}), *BASE[1:]])
    assert len(play(cortex, TAIL)) == 1


def test_bars_of_other_intervals_are_none_of_its_business():
    cortex = cortex_in()
    assert cortex.bar(event(TAIL[0], "1m"), quote_at(96.2)) == ()
    cortex.history("SOLUSDT", "1m", BASE)
    assert cortex.needs_history() == []


# ---- leaving ---------------------------------------------------------------------------------------------------------

FALLEN = rows_of([*walk(699, 5, noise=0.004), 50.0], "1h")
"""A past whose last close is under every channel."""
HELD = Holding(symbol="SOLUSDT", side=Side.BUY, entry=100.0, stop=90.0, since_ns=0)
CLOSE_NS = FALLEN[-1].open_ns + 3_600_000_000_000


def fallen() -> Cortex:
    cortex = Cortex(only("flow", {"interval": "1h"}))
    cortex.history("SOLUSDT", "1h", FALLEN)
    return cortex


def test_a_strategy_leaves_what_it_opened_and_nothing_else() -> None:
    leave = fallen().leave("flow", "1h", FALLEN[-1], HELD)
    assert leave is not None and leave.reasons == ("close under the 10-bar channel",)
    assert leave.readings[0].value > 0 == leave.readings[0].limit
    for name, interval in (("harpoon", "1h"), ("", "1h"), ("flow", "4h")):
        assert fallen().leave(name, interval, FALLEN[-1], HELD) is None
    assert fallen().leave("flow", "1h", FALLEN[-1], replace(HELD, side=Side.SELL)) is None


@pytest.mark.parametrize(
    ("bar", "since_ns", "leaves"),
    [
        (FALLEN[-1], CLOSE_NS - 1, True),
        (FALLEN[-1], CLOSE_NS, False),
        (FALLEN[-2], 0, False),
        (replace(FALLEN[-1], open_ns=CLOSE_NS), 0, False),
    ],
    ids=["a close while it held", "the close that led to it", "not the last", "not yet seen"],
)
def test_it_leaves_at_the_last_close_and_only_if_it_held_something_then(
    bar: BarRow, since_ns: int, leaves: bool
) -> None:
    assert (fallen().leave("flow", "1h", bar, replace(HELD, since_ns=since_ns)) is not None) is leaves


def test_after_a_gap_it_leaves_nothing_until_its_past_is_told_again() -> None:
    cortex = fallen()
    cortex.bar(event(replace(FALLEN[-1], open_ns=CLOSE_NS + 3_600_000_000_000), "1h"), quote_at(50.0))
    assert cortex.leave("flow", "1h", FALLEN[-1], HELD) is None
    cortex.history("SOLUSDT", "1h", FALLEN)
    assert cortex.leave("flow", "1h", FALLEN[-1], HELD) is not None
