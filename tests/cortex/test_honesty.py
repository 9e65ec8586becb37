"""No strategy sees the future, forgets its past, or is asked in vain: on bars that we make, and on recorded ones."""

from random import Random

import msgspec
import numpy as np
import pytest
from cortex_data import START_NS, event, quote_at
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_engine.cortex.columns import Columns
from nexus_engine.cortex.factory import STRATEGIES
from nexus_engine.cortex.strategy import Context, Leader, checked, interval_ns
from nexus_engine.model.events import BarRow
from nexus_engine.model.signals import Holding, RegimeView
from nexus_engine.model.view import Target
from nexus_engine.model.words import Macro, Regime, Side

SYMBOL = "SOLUSDT"
REGIME = RegimeView(regime=Regime.RANGE, confidence=1.0)
OPEN = {"from_hour": 0, "to_hour": 24, "weekends": True}
LOOSE = {
    "harpoon": OPEN | {"short": True, "under_band_pct": 0.5, "band_pct": 0.1, "fall_pct": 0.5, "stop_atr": 2.0,
                       "min_reward": 0.5, "turn_bars": 3},
    "scalping": OPEN | {"vwap_atr": 0.0, "rsi": 35.0},
    "flow": OPEN,
    "shark": OPEN,
}  # fmt: skip
"""Parameters under which a short tape holds many decisions."""
KINDS = {kind.name: kind for kind in STRATEGIES}
CASES = [
    *((name, {}) for name in KINDS),
    ("harpoon", {"set": "classic"}),
    ("shark", {"set": "aggressive"}),
    ("scalping", {"with_average": True}),
    ("flow", {"adx_rising": False}),
]
every = pytest.mark.parametrize("name", KINDS)
each_case = pytest.mark.parametrize(("name", "more"), CASES)


def made(name, more=()):
    kind = KINDS[name]
    return kind(checked(kind, LOOSE[name] | dict(more)))


def tape(seed, count, interval):
    """A wild market that returns to where it was, with sudden falls and rises, and hours without a trade."""
    rng, step, rows = Random(seed), interval_ns(interval), []
    level, away, before = 0.0, 0.0, 100.0
    for index in range(count):
        level += rng.gauss(0.0, 0.002) + 0.0015 * np.sin(index / 60 + seed)
        jump = rng.choice((-1, 1)) * rng.uniform(0.02, 0.05) if rng.random() < 0.02 else 0.0
        away = 0.6 * away + rng.gauss(0.0, 0.006) + jump
        close = 100.0 * np.exp(level + away)
        wick = abs(rng.gauss(0.0, 0.001))
        high, low = max(before, close) * (1 + wick), min(before, close) * (1 - wick)
        volume = 0.0 if rng.random() < 0.02 else rng.uniform(10, 200)
        rows.append(BarRow(START_NS + index * step, before, high, low, float(close), volume, 5))
        before = float(close)
    return rows


def context_at(row):
    """All that lets the Shark in."""
    return Context(
        macro=Macro.SHARK,
        leader=Leader(open_ns=row.open_ns, close=90.0, ema20=91.0, ema50=92.0, ema200=95.0),
        targets=(Target(symbol=SYMBOL, score=0.7, drop_pct=-1.0),),
        squeeze="quiet",
    )


def asked(strategy, row, interval):
    quote = quote_at(row.close, taker_fee=0.0)
    return strategy.on_bar(event(row, interval, symbol=SYMBOL), quote, REGIME, context_at(row))


def decisions(name, rows, more=(), warmed=0):
    """What it says at each bar after the first `warmed`, as {opening: signal}."""
    strategy = made(name, more)
    (interval,) = strategy.intervals
    strategy.warm(SYMBOL, interval, rows[:warmed])
    said = {row.open_ns: asked(strategy, row, interval) for row in rows[warmed:]}
    return {open_ns: signal for open_ns, signal in said.items() if signal is not None}


def interval_of(name, more=()):
    return made(name, more).intervals[0]


@each_case
def test_a_long_tape_holds_decisions_on_each_side_that_it_may_take(name, more):
    """Or the properties below would hold of nothing."""
    found = decisions(name, tape(1, 5000, interval_of(name, more)), more).values()
    assert len(found) > (5 if more else 15)
    assert {str(signal.side) for signal in found} == ({"SELL"} if name == "shark" else {"BUY", "SELL"})


@each_case
@settings(deadline=None, max_examples=6)
@given(st.integers(0, 10**6))
def test_every_decision_is_at_a_candidate_and_skipping_to_them_says_the_same(name, more, seed):
    interval = interval_of(name, more)
    rows = tape(seed, 1500, interval)
    columns, walked = Columns.of(rows), decisions(name, rows, more)
    candidates = made(name, more).candidates(columns)
    assert set(walked) <= set(columns.open_ns[candidates].tolist())
    skipping, skipped = made(name, more), {}
    for at in np.flatnonzero(candidates).tolist():
        skipping.warm_columns(SYMBOL, columns, at)
        signal = asked(skipping, columns.row(at), interval)
        if signal is not None:
            skipped[rows[at].open_ns] = signal
    assert skipped == walked


@every
@settings(deadline=None, max_examples=5)
@given(st.integers(0, 10**6), st.integers(0, 150))
def test_it_goes_on_from_any_bar_as_if_it_had_walked_there(name, seed, back):
    interval = interval_of(name)
    rows = tape(seed, 1000, interval)
    columns, upto = Columns.of(rows), 1000 - back
    jumped, walked = made(name), made(name)
    jumped.warm_columns(SYMBOL, columns, upto)
    walked.warm(SYMBOL, interval, rows[:upto])
    for row in rows[upto:]:
        assert asked(jumped, row, interval) == asked(walked, row, interval)


# ---- leaving ---------------------------------------------------------------------------------------------------------


LEAVERS = [name for name, kind in KINDS.items() if hasattr(kind, "leave")]
each_leaver = pytest.mark.parametrize("name", LEAVERS)


def out_of(strategy, row):
    """What it says of a long and of a short that began a little way off."""
    return tuple(
        strategy.leave(row, Holding(symbol=SYMBOL, side=side, entry=entry, stop=entry * (1 - 0.05 * side.sign),
                                    since_ns=0))
        for side, entry in ((Side.BUY, row.close * 0.99), (Side.SELL, row.close * 1.01))
    )  # fmt: skip


def ways_out(name, rows):
    """What it says of both at each bar, by its opening."""
    strategy = made(name)
    (interval,) = strategy.intervals
    strategy.warm(SYMBOL, interval, [])
    said = {}
    for row in rows:
        asked(strategy, row, interval)
        said[row.open_ns] = out_of(strategy, row)
    return said


def test_flow_and_scalping_leave_by_a_rule_of_their_own():
    assert set(LEAVERS) == {"flow", "scalping"}


@each_leaver
def test_a_long_tape_holds_ways_out_of_each_side_with_their_numbers(name):
    said = ways_out(name, tape(1, 3000, interval_of(name))).values()
    for side in (0, 1):
        found = [each[side] for each in said if each[side] is not None]
        assert 20 < len(found) < 2500
        assert all(leave.reasons and leave.readings for leave in found)


@each_leaver
def test_to_be_asked_changes_nothing_of_what_it_decides(name):
    rows = tape(3, 1500, interval_of(name))
    strategy, quiet = made(name), decisions(name, rows)
    (interval,) = strategy.intervals
    strategy.warm(SYMBOL, interval, [])
    said = {}
    for row in rows:
        signal = asked(strategy, row, interval)
        assert out_of(strategy, row) == out_of(strategy, row)
        if signal is not None:
            said[row.open_ns] = signal
    assert said == quiet


@each_leaver
@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10**6), st.integers(600, 999), st.booleans())
def test_it_leaves_at_the_same_closes_however_it_came_there(name, seed, at, by_history):
    """Walked, skipped to, or told of the close as the last of a history, as after a start."""
    interval = interval_of(name)
    rows = tape(seed, 1000, interval)
    walked, strategy = ways_out(name, rows), made(name)
    if by_history:
        strategy.warm(SYMBOL, interval, rows[: at + 1])
    else:
        strategy.warm_columns(SYMBOL, Columns.of(rows), at)
        asked(strategy, rows[at], interval)
    assert out_of(strategy, rows[at]) == walked[rows[at].open_ns]


@every
def test_few_bars_are_candidates(name):
    kind = KINDS[name]
    strategy = kind(checked(kind, {}))
    columns = Columns.of(tape(5, 5000, strategy.intervals[0]))
    assert strategy.candidates(columns).mean() < 0.15


@every
@pytest.mark.parametrize("cut", [600, 901, 1399])
def test_decisions_on_a_part_are_those_on_the_whole(name, cut):
    rows = tape(7, 1400, interval_of(name))
    whole = decisions(name, rows)
    assert decisions(name, rows[:cut]) == {at: signal for at, signal in whole.items() if at < rows[cut].open_ns}
    part, full = (made(name).candidates(Columns.of(some)) for some in (rows[:cut], rows))
    assert np.array_equal(part, full[:cut])


@every
@settings(deadline=None, max_examples=5)
@given(st.randoms(use_true_random=False), st.integers(520, 1000))
def test_a_shuffled_future_leaves_the_past_unchanged(name, rng, now):
    rows = tape(11, 1100, interval_of(name))
    future = rows[now:]
    others = rng.sample(future, len(future))
    shuffled = rows[:now] + [
        msgspec.structs.replace(other, open_ns=row.open_ns) for row, other in zip(future, others, strict=True)
    ]
    first, second = decisions(name, rows), decisions(name, shuffled)
    end_ns = rows[now].open_ns
    assert {at: said for at, said in first.items() if at < end_ns} == {
        at: said for at, said in second.items() if at < end_ns
    }
    before, after = (made(name).candidates(Columns.of(some)) for some in (rows, shuffled))
    assert np.array_equal(before[:now], after[:now])


@every
def test_500_1000_or_2000_bars_of_warming_give_the_same_decisions(name):
    rows = tape(13, 3000, interval_of(name))
    ways = [decisions(name, rows[2000 - count :], warmed=count) for count in (500, 1000, 2000)]
    assert ways[0]
    assert ways[0].keys() == ways[1].keys() == ways[2].keys()
    for at, signal in ways[2].items():
        for other in (ways[0][at], ways[1][at]):
            assert (other.side, other.reasons) == (signal.side, signal.reasons)
            assert other.stop_distance == pytest.approx(signal.stop_distance, rel=1e-6)


RECORDED = {
    "scalping": ("klines_5m/BTCUSDT_um_5m_2023-2024.parquet", 1),
    "harpoon": ("klines_5m/BTCUSDT_um_5m_2023-2024.parquet", 1),
    "shark": ("klines_1h/SOLUSDT_spot_1h_2022-2024.parquet", 1),
    "flow": ("klines_1h/SOLUSDT_spot_1h_2022-2024.parquet", 4),
}


@every
def test_on_recorded_bars_too_every_decision_is_a_candidate_and_skipping_says_the_same(name, data_dir):
    polars = pytest.importorskip("polars")
    file, every_n = RECORDED[name]
    frame = polars.read_parquet(data_dir / file).head(8000 * every_n)
    if every_n > 1:
        frame = frame.group_by_dynamic("open_time", every=f"{every_n}h").agg(
            open=polars.col("open").first(), high=polars.col("high").max(), low=polars.col("low").min(),
            close=polars.col("close").last(), volume=polars.col("volume").sum(),
        )  # fmt: skip
    names = ("open_time", "open", "high", "low", "close", "volume")
    rows = [
        BarRow(int(at.timestamp()) * 10**9, o, h, low, c, v, 1)
        for at, o, h, low, c, v in frame.select(names).iter_rows()
    ]
    columns, walked = Columns.of(rows), decisions(name, rows)
    interval = interval_of(name)
    skipping, skipped = made(name), {}
    for at in np.flatnonzero(skipping.candidates(columns)).tolist():
        skipping.warm_columns(SYMBOL, columns, at)
        signal = asked(skipping, columns.row(at), interval)
        if signal is not None:
            skipped[rows[at].open_ns] = signal
    assert walked
    assert skipped == walked
