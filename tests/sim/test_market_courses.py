"""The scenarios that carry the whole market: each does what its name says, for every seed, from the first minute on."""

import itertools
import math
from functools import cache
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_engine.cortex.regime import RegimeRule
from nexus_engine.model.config import ShieldConfig
from nexus_engine.model.words import Regime
from nexus_engine.shield.blackswan import BlackSwan
from nexus_engine.sim.book import Ladder, shape
from nexus_engine.sim.market import Bar, Market
from nexus_engine.sim.past import response
from nexus_engine.sim.scenarios import SCENARIOS, aligned_start
from nexus_engine.sim.specs import CHARACTERS
from nexus_engine.sim.tide import Course, Phase, Tide

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
START = aligned_start(1_760_000_000 * SECOND)
SEEDS = (1, 2, 3)
BTC = "BTCUSDT"


def run(market: Market, span_ns: int, step_ns: int = 20 * SECOND) -> None:
    until_ns = market.now_ns + span_ns
    while market.now_ns < until_ns:
        market.step(min(step_ns, until_ns - market.now_ns))


@cache
def after(scenario: str, hours: int, seed: int) -> Market:
    market = Market(seed=seed, scenario=scenario, start_ns=START)
    run(market, hours * HOUR)
    return market


def closes(market: Market, symbol: str, interval: str, count: int) -> list[float]:
    return [bar.close for bar in market.bars(symbol, interval, limit=count + 1)[:-1]]


def change(prices: list[float]) -> float:
    return math.log(prices[-1] / prices[0])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("scenario", "sign"), [("trend-up", 1), ("trend-down", -1)])
def test_a_trend_goes_its_way_before_the_start_and_after_it(scenario: str, sign: int, seed: int) -> None:
    market = after(scenario, 20, seed)
    for symbol in market.symbols:
        hourly = closes(market, symbol, "1h", 49)
        before, since = hourly[:29], hourly[29:]
        assert 0.04 < sign * change(before) < 0.16, symbol
        assert 0.03 < sign * change(since) < 0.12, symbol
        right = sum(sign * change(hourly[i : i + 6]) > 0 for i in range(len(hourly) - 5))
        assert right / (len(hourly) - 5) > 0.9, symbol
        way = sum(abs(change(hourly[i : i + 2])) for i in range(len(hourly) - 1))
        assert abs(change(hourly)) / way > 0.35, symbol


@pytest.mark.parametrize(
    ("scenario", "regime"),
    [("trend-up", Regime.TREND_UP), ("trend-down", Regime.TREND_DOWN), ("calm", Regime.RANGE)],
)
def test_the_engine_calls_a_trend_by_its_name_from_the_start(scenario: str, regime: Regime) -> None:
    market = Market(seed=2, scenario=scenario, start_ns=START)
    for symbol in market.symbols:
        rule = RegimeRule()
        rule.warm(market.bars(symbol, "1h", limit=1500)[:-1])
        assert rule.view.regime is regime, symbol


@pytest.mark.parametrize("seed", SEEDS)
def test_before_its_course_began_the_market_of_a_trend_stood_still(seed: int) -> None:
    market = Market(seed=seed, scenario="trend-up", start_ns=START)
    hourly = closes(market, BTC, "1h", 150)
    assert abs(change(hourly[:110])) < 0.02


@pytest.mark.parametrize("seed", SEEDS)
def test_a_flash_crash_is_one(seed: int) -> None:
    market = Market(seed=seed, scenario="flash-crash", start_ns=START)
    run(market, 9 * MINUTE + 30 * SECOND, SECOND)
    opening = {symbol: market.last(symbol) for symbol in market.symbols}
    deep = {symbol: sum(lots for _, lots in market.book(symbol, 50).bids) for symbol in market.symbols}
    lows, thinnest, times = dict(opening), dict(deep), {}
    start_ns = market.now_ns
    for _ in range(330):
        run(market, SECOND, SECOND)
        for symbol in market.symbols:
            if market.last(symbol) < lows[symbol]:
                lows[symbol], times[symbol] = market.last(symbol), market.now_ns
            book = market.book(symbol)
            assert book.bids[0][0] < book.asks[0][0] and len(book.bids) >= 150
            thinnest[symbol] = min(thinnest[symbol], sum(lots for _, lots in book.bids[:50]))
    assert times[BTC] - start_ns < 5 * MINUTE
    assert -0.085 < math.log(lows[BTC] / opening[BTC]) < -0.045
    for symbol in market.symbols[1:]:
        assert math.log(lows[symbol] / opening[symbol]) < 1.15 * math.log(lows[BTC] / opening[BTC]), symbol
    for symbol in market.symbols:
        assert thinnest[symbol] < 0.35 * deep[symbol], symbol
    run(market, 150 * MINUTE)
    for symbol in market.symbols:
        assert abs(math.log(market.last(symbol) / opening[symbol])) < 0.035, symbol
        assert sum(lots for _, lots in market.book(symbol, 50).bids) > 0.4 * deep[symbol], symbol


def test_a_book_thins_at_once_where_it_stands_and_the_diff_says_so() -> None:
    rng = Random(1)
    ladder = Ladder(1, 1_000, shape(CHARACTERS[BTC], 1.0, rng), rng)
    before = dict(ladder.levels())
    ladder.drain()
    ladder.depth = 0.25
    ladder.reform(1_000, SECOND, 1)
    after, changed = dict(ladder.levels()), dict(ladder.drain())
    assert after.keys() == before.keys()
    same = sum(abs(after[ticks] - before[ticks] / 4) <= 1 for ticks in before)
    assert same >= len(before) - 2  # the touch is drawn anew
    assert before | changed == after


@pytest.mark.parametrize("symbol", ["ADAUSDT", "AVAXUSDT"])
def test_a_livelier_alt_is_carried_further(symbol: str) -> None:
    tide = Tide(Course((Phase(10, 0.01, 0.02),)), START, 1)
    far = {name: tide.level(START + 10 * MINUTE, response(name)) for name in (BTC, symbol)}
    assert far[BTC] == pytest.approx(0.01)
    assert far[symbol] == pytest.approx(0.02 * CHARACTERS[symbol].vol_5m / 0.0019)


def swans(scenario: str, seed: int, minutes: int, step_ns: int) -> list[float]:
    """Minutes after the start at which the engine's own detector trips on this market."""
    market, swan = Market(seed=seed, scenario=scenario, start_ns=START), BlackSwan(ShieldConfig())
    tripped = []
    while market.now_ns < START + minutes * MINUTE:
        market.step(step_ns)
        at_ns = market.now_ns
        for public in market.prints(BTC)[-12:]:
            price = public.price_ticks / 10.0
            if swan.tick("trade", price, public.at_ns, public.at_ns, locked=bool(tripped)) and not tripped:
                tripped.append((public.at_ns - START) / MINUTE)
        swan.tick("mark", market.mark(BTC), at_ns, at_ns, locked=bool(tripped))
    return tripped


@pytest.mark.parametrize("seed", range(1, 9))
def test_a_flash_crash_is_a_black_swan(seed: int) -> None:
    (minute,) = swans("flash-crash", seed, 15, SECOND)
    assert 12 < minute < 14.5


@pytest.mark.parametrize("scenario", ["calm", "range", "trend-up", "trend-down", "sangria"])
def test_no_other_market_is(scenario: str) -> None:
    assert swans(scenario, 1, 180, 2 * SECOND) == []


def test_the_marks_follow_a_crash() -> None:
    market = Market(seed=5, scenario="flash-crash", start_ns=START)
    run(market, 9 * MINUTE, SECOND)
    opening = market.mark(BTC)
    run(market, 5 * MINUTE + 15 * SECOND, SECOND)
    assert math.log(market.mark(BTC) / opening) < -0.04


@pytest.mark.parametrize("seed", SEEDS)
def test_in_a_sangria_dominance_rises_while_the_total_falls(seed: int) -> None:
    market = after("sangria", 6, seed)
    macro = [row for row in market.macro() if row[0] >= START - 4 * HOUR]
    for hours in (4, 6, 8, 10):
        part = macro[: hours * 6]
        assert part[-1][1] > part[0][1] and part[-1][2] < part[0][2], hours
    assert 0.5 < macro[-1][1] - macro[0][1] < 2.5
    assert -0.05 < math.log(macro[-1][2] / macro[0][2]) < -0.01
    bitcoin = change(closes(market, BTC, "1h", 10))
    assert abs(bitcoin) < 0.015
    for symbol in market.symbols[1:]:
        assert change(closes(market, symbol, "1h", 10)) < bitcoin - 0.02, symbol


def test_a_sangria_ends_and_the_alts_breathe() -> None:
    market = Market(seed=1, scenario="sangria", start_ns=START)
    run(market, 6 * HOUR, MINUTE)
    low = [market.last(symbol) for symbol in market.symbols[1:]]
    run(market, 6 * HOUR, MINUTE)
    assert all(market.last(symbol) > price for symbol, price in zip(market.symbols[1:], low, strict=True))


COURSED = [name for name, scenario in SCENARIOS.items() if scenario.course is not None]


@pytest.mark.parametrize("scenario", COURSED)
def test_the_past_meets_the_tape_without_a_step(scenario: str) -> None:
    market = Market(seed=4, scenario=scenario, start_ns=START)
    run(market, 2 * MINUTE, SECOND)
    for symbol in market.symbols:
        bars: list[Bar] = market.bars(symbol, "1m", limit=10)
        assert all(abs(math.log(later.open / earlier.close)) < 0.004 for earlier, later in itertools.pairwise(bars))


@pytest.mark.parametrize("scenario", COURSED)
def test_a_course_does_not_depend_on_the_steps_that_are_taken(scenario: str) -> None:
    coarse, fine = (Market(seed=4, scenario=scenario, start_ns=START) for _ in range(2))
    run(coarse, 20 * MINUTE, 5 * SECOND)
    run(fine, 20 * MINUTE, SECOND)
    for symbol in coarse.symbols:
        assert abs(math.log(coarse.prices()[symbol] / fine.prices()[symbol])) < 0.035


@given(
    st.lists(st.tuples(st.floats(0.5, 60), st.floats(-0.05, 0.05), st.floats(-0.05, 0.05)), min_size=1, max_size=5),
    st.integers(0, 600),
    st.integers(0, 10),
    st.lists(st.integers(-700, 2_000), min_size=1, max_size=20),
)
def test_a_tide_is_continuous_starts_at_zero_and_says_the_same_whoever_asks(
    rows: list[tuple[float, float, float]], lead: int, seed: int, minutes: list[int]
) -> None:
    course = Course(tuple(Phase(*row) for row in rows), lead_min=lead, sway=0.2)
    tide = Tide(course, START, seed)
    assert tide.level(START, None) == 0.0 and tide.level(START, 1.3) == 0.0
    asked = [tide.level(START + minute * MINUTE, None) for minute in minutes]
    again = Tide(course, START, seed)
    assert asked[::-1] == [again.level(START + minute * MINUTE, None) for minute in reversed(minutes)]
    steepest = max(abs(btc) / length for length, btc, _ in rows) * 1.2
    for minute in minutes:
        at_ns = START + minute * MINUTE
        step = tide.level(at_ns + SECOND, None) - tide.level(at_ns, None)
        assert abs(step) <= steepest / 60 * 1.001 + 1e-12
