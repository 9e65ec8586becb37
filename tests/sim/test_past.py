"""The past of a market: long enough, continuous with the tape, and the same in every interval."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_engine.sim.market import INTERVALS, SPECS, Bar, Market
from nexus_engine.sim.scenarios import SCENARIOS, aligned_start

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
START = aligned_start(1_760_000_000 * SECOND)


def folded(bars: list[Bar], step_ns: int) -> list[Bar]:
    """Longer bars, added up from shorter ones by the plainest code there is."""
    groups: dict[int, list[Bar]] = {}
    for bar in bars:
        groups.setdefault(bar.open_ns // step_ns * step_ns, []).append(bar)
    return [
        Bar(
            open_ns=open_ns,
            close_ns=open_ns + step_ns - 1_000_000,
            open=group[0].open,
            high=max(bar.high for bar in group),
            low=min(bar.low for bar in group),
            close=group[-1].close,
            volume=sum(bar.volume for bar in group),
            quote_volume=sum(bar.quote_volume for bar in group),
            trades=sum(bar.trades for bar in group),
            taker_buy_volume=sum(bar.taker_buy_volume for bar in group),
            taker_buy_quote_volume=sum(bar.taker_buy_quote_volume for bar in group),
            closed=group[-1].closed and group[-1].close_ns == open_ns + step_ns - 1_000_000,
        )
        for open_ns, group in groups.items()
    ]


def same(left: Bar, right: Bar) -> bool:
    exact = ("open_ns", "close_ns", "open", "high", "low", "close", "trades", "closed")
    sums = ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume")
    return all(getattr(left, name) == getattr(right, name) for name in exact) and all(
        getattr(left, name) == pytest.approx(getattr(right, name), rel=1e-9) for name in sums
    )


@pytest.fixture(scope="module")
def lived() -> Market:
    """A market a day and some minutes after its start, so that bars lie in the past, on the tape and across."""
    made = Market(seed=9, scenario="range", start_ns=START)
    for _ in range(3 * 60 * 25 + 1):
        made.step(20 * SECOND)
    return made


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_interval_has_1500_closed_bars_without_a_gap(scenario: str) -> None:
    made = Market(seed=2, scenario=scenario, start_ns=START)
    for symbol in made.symbols:
        for interval, step_ns in INTERVALS.items():
            bars = made.bars(symbol, interval, limit=1501)
            assert len(bars) == 1501
            assert [bar.closed for bar in bars] == [True] * 1500 + [False]
            assert bars[-1].open_ns == START // step_ns * step_ns
            for bar, after in itertools.pairwise(bars):
                assert after.open_ns == bar.open_ns + step_ns
                assert after.open == bar.close
            for bar in bars:
                assert bar.open_ns % step_ns == 0
                assert bar.close_ns == bar.open_ns + step_ns - 1_000_000
                assert 0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
                assert 0 <= bar.taker_buy_volume <= bar.volume


@pytest.mark.parametrize("offset_ns", [0, 45 * SECOND, 77 * MINUTE, 13 * INTERVALS["1h"], 10 * INTERVALS["1h"] + 1])
def test_the_past_ends_where_the_tape_begins_wherever_the_start_lies(offset_ns: int) -> None:
    made = Market(seed=4, scenario="range", start_ns=START + offset_ns)
    for symbol in made.symbols:
        book = made.book(symbol, 1)
        middle = (book.bids[0][0] + book.asks[0][0]) / 2 * float(SPECS[symbol].tick)
        for interval in INTERVALS:
            bars = made.bars(symbol, interval, limit=1500)
            assert abs(bars[-1].close - middle) <= 1.001 * float(SPECS[symbol].tick)
            assert bars[-1].open_ns <= made.now_ns <= bars[-1].close_ns + 1_000_000


@settings(max_examples=40, deadline=None)
@given(
    symbol=st.sampled_from(sorted(SPECS)),
    pair=st.sampled_from(
        [
            (a, b)
            for a, fine in INTERVALS.items()
            for b, coarse in INTERVALS.items()
            if fine < coarse and coarse % fine == 0
        ]
    ),
)
def test_all_intervals_agree(lived: Market, symbol: str, pair: tuple[str, str]) -> None:
    fine, coarse = pair
    step_ns = INTERVALS[coarse]
    shorter = lived.bars(symbol, fine, limit=1500)
    whole = [bar for bar in shorter if bar.open_ns >= -(-shorter[0].open_ns // step_ns) * step_ns]
    expected = folded(whole, step_ns)
    actual = lived.bars(symbol, coarse, limit=len(expected))
    assert len(actual) == len(expected) > 0
    assert all(same(left, right) for left, right in zip(actual, expected, strict=True))
    assert lived.forming(symbol, coarse) == actual[-1]


def test_bars_hold_exactly_the_trades_that_were_printed() -> None:
    made = Market(seed=6, scenario="calm", start_ns=START)
    made.step(45 * SECOND)  # to the boundary of a 5-minute bar
    made.prints("DOGEUSDT")
    trades = []
    for _ in range(300):
        made.step(SECOND)
        trades += made.prints("DOGEUSDT")
    bar = made.bars("DOGEUSDT", "5m", limit=2)[0]
    assert bar.closed and bar.close_ns + 1_000_000 == made.now_ns
    tick = float(SPECS["DOGEUSDT"].tick)
    assert bar.trades == len(trades)
    assert bar.volume == sum(trade.qty_lots for trade in trades)
    assert bar.taker_buy_volume == sum(trade.qty_lots for trade in trades if not trade.buyer_is_maker)
    assert bar.close == pytest.approx(trades[-1].price_ticks * tick)
    assert bar.high == pytest.approx(tick * max(trade.price_ticks for trade in trades), abs=1.01 * tick)
    assert bar.quote_volume == pytest.approx(sum(trade.price_ticks * trade.qty_lots for trade in trades) * tick)


def test_klines_keep_to_start_end_and_limit(lived: Market) -> None:
    every = lived.bars("SOLUSDT", "1h", limit=1600)
    opens = [bar.open_ns for bar in every]
    hour = INTERVALS["1h"]
    newest = opens[-1]
    assert lived.bars("SOLUSDT", "1h", limit=3) == every[-3:]
    assert lived.bars("SOLUSDT", "1h", end_ns=newest - 1, limit=3) == every[-4:-1]
    assert lived.bars("SOLUSDT", "1h", end_ns=newest, limit=2) == every[-2:]
    assert lived.bars("SOLUSDT", "1h", start_ns=newest - 9 * hour, limit=4) == every[-10:-6]
    assert lived.bars("SOLUSDT", "1h", start_ns=newest - 9 * hour + 1, limit=4) == every[-9:-5]
    assert lived.bars("SOLUSDT", "1h", start_ns=newest - hour, end_ns=newest + hour) == every[-2:]
    assert lived.bars("SOLUSDT", "1h", start_ns=newest - hour, end_ns=newest - 1) == every[-2:-1]
    assert lived.bars("SOLUSDT", "1h", start_ns=newest + 1) == []
    assert lived.bars("SOLUSDT", "1h", end_ns=0) == []
    assert lived.bars("SOLUSDT", "1h", start_ns=0, limit=2) == every[:2]


def test_a_long_life_keeps_1500_bars_and_no_more_than_twice_that() -> None:
    made = Market(seed=1, scenario="calm", start_ns=START)
    for _ in range(1700):
        made.step(MINUTE)
    assert len(made.bars("BTCUSDT", "1m", limit=10**6)) <= 3201
    bars = made.bars("BTCUSDT", "1m", limit=1501)
    assert len(bars) == 1501
    assert all(after.open_ns == bar.open_ns + MINUTE for bar, after in itertools.pairwise(bars))


@pytest.mark.parametrize("seed", range(1, 6))
def test_the_recent_past_is_a_range_without_a_crash(seed: int) -> None:
    made = Market(seed=seed, scenario="calm", start_ns=START)
    ratios = []
    for symbol in made.symbols:
        closes = [bar.close for bar in made.bars(symbol, "1h", limit=26)][:-1]
        walked = sum(abs(b - a) for a, b in itertools.pairwise(closes))
        ratios.append(abs(closes[-1] - closes[0]) / walked)
        week = made.bars(symbol, "1h", limit=169)
        assert min(bar.low for bar in week) > 0.93 * max(bar.high for bar in week)
    assert sum(ratio < 0.3 for ratio in ratios) >= 7


def test_macro_history_covers_96_hours_and_goes_on_with_the_tape() -> None:
    made = Market(seed=3, scenario="calm", start_ns=START)
    ten = 10 * MINUTE
    for minutes in (0, 30):
        made.step(minutes * MINUTE + 1)
        samples = made.macro()
        times = [at_ns for at_ns, _, _ in samples]
        assert times[-1] == made.now_ns // ten * ten
        assert times == list(range(times[0], times[-1] + 1, ten))
        assert times[-1] - times[0] == 96 * INTERVALS["1h"]
        assert all(50 < dominance < 65 and 2e12 < cap < 5e12 for _, dominance, cap in samples)
