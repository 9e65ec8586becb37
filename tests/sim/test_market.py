"""The generated market as its callers see it: the same twice, never crossed, and consistent with itself."""

import hashlib
import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_engine.sim.market import INTERVALS, SPECS, Bar, Market
from nexus_engine.sim.scenarios import SCENARIOS, aligned_start

MS = 1_000_000
SECOND = 1_000 * MS
MINUTE = 60 * SECOND
START = aligned_start(1_760_000_000 * SECOND)

Side = dict[int, int]


def market(seed: int = 7, scenario: str = "calm", start_ns: int = START) -> Market:
    return Market(seed=seed, scenario=scenario, start_ns=start_ns)


def played(seed: int, scenario: str) -> str:
    """A hash over everything a market says in a quarter of an hour of uneven steps."""
    made = market(seed, scenario)
    digest = hashlib.sha256()
    for i in range(1500):
        made.step((1, 100, 500, 2000)[i % 4] * MS)
        symbol = made.symbols[i % len(made.symbols)]
        said = (made.diff(symbol), made.prints(symbol), made.mark(symbol), made.forming(symbol, "5m"))
        digest.update(repr(said).encode())
        if i % 100 == 0:
            digest.update(repr(made.consume(symbol, i % 200 == 0, 5000, None)).encode())
    for symbol in made.symbols:
        digest.update(repr((made.bars(symbol, "15m"), made.book(symbol), made.ticker(symbol))).encode())
    digest.update(repr((made.macro(), made.prices())).encode())
    return digest.hexdigest()


def apply(side: Side, changes: list[tuple[int, int]]) -> None:
    for ticks, lots in changes:
        if lots:
            side[ticks] = lots
        else:
            del side[ticks]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_same_seed_and_same_calls_give_the_same_market(scenario: str) -> None:
    assert played(3, scenario) == played(3, scenario)
    assert played(3, scenario) != played(4, scenario)


def test_looking_at_the_books_does_not_change_the_prices() -> None:
    watched, alone = market(), market()
    for _ in range(300):
        watched.step(100 * MS)
        alone.step(100 * MS)
        watched.book("BTCUSDT")
        watched.diff("SOLUSDT")
    assert watched.prices() == alone.prices()
    assert watched.prints("BTCUSDT") == alone.prints("BTCUSDT")


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    actions=st.lists(
        st.tuples(st.integers(1, 2000), st.sampled_from(["look", "skip", "buy", "sell"])), min_size=1, max_size=60
    ),
)
def test_every_diff_turns_the_last_book_into_the_present_one(seed: int, actions: list[tuple[int, str]]) -> None:
    made = market(seed, "range")
    names = ("BTCUSDT", "ADAUSDT", "SOLUSDT")
    kept = {}
    for name in names:
        made.diff(name)
        first = made.book(name)
        kept[name] = (dict(first.bids), dict(first.asks))
    for dt_ms, action in actions:
        made.step(dt_ms * MS)
        for name in names:
            if action in ("buy", "sell"):
                made.consume(name, action == "buy", dt_ms * 50, None)
            if action == "skip":
                continue
            bids, asks = made.diff(name)
            apply(kept[name][0], bids)
            apply(kept[name][1], asks)
            book = made.book(name)
            assert kept[name] == (dict(book.bids), dict(book.asks))


def test_a_diff_names_only_levels_that_changed() -> None:
    made = market()
    made.diff("ETHUSDT")
    for _ in range(50):
        before = made.book("ETHUSDT")
        made.step(100 * MS)
        bids, asks = made.diff("ETHUSDT")
        was = (dict(before.bids), dict(before.asks))
        assert all(was[0].get(ticks, 0) != lots for ticks, lots in bids)
        assert all(was[1].get(ticks, 0) != lots for ticks, lots in asks)


@pytest.mark.parametrize("dt_ms", [1, 100, 500, 2000])
def test_books_are_deep_sorted_and_never_crossed(dt_ms: int) -> None:
    made = market(11, "range")
    for i in range(400):
        made.step(dt_ms * MS)
        if i % 20:
            continue
        for symbol in made.symbols:
            book = made.book(symbol)
            bids, asks = [ticks for ticks, _ in book.bids], [ticks for ticks, _ in book.asks]
            assert bids[0] < asks[0]
            assert len(bids) >= 150 and len(asks) >= 150
            assert bids == sorted(set(bids), reverse=True)
            assert asks == sorted(set(asks))
            assert all(lots > 0 for _, lots in book.bids + book.asks)
            assert made.book(symbol, 5).bids == book.bids[:5]
            assert made.book(symbol, 5).asks == book.asks[:5]


def test_a_tenth_of_a_second_changes_a_realistic_number_of_levels_and_trades() -> None:
    made = market()
    seconds = 120
    changed = dict.fromkeys(made.symbols, 0)
    traded = dict.fromkeys(made.symbols, 0)
    for _ in range(seconds * 10):
        made.step(100 * MS)
        for symbol in made.symbols:
            changed[symbol] += sum(map(len, made.diff(symbol)))
            traded[symbol] += len(made.prints(symbol))
    for symbol in made.symbols:
        assert 10 <= changed[symbol] / seconds / 10 <= 50, symbol
        assert 0.7 <= traded[symbol] / seconds <= 12, symbol


def test_prints_follow_the_touch_in_time_order_and_drain_once() -> None:
    made = market()
    for _ in range(200):
        began = made.now_ns
        low, high = made.book("SOLUSDT", 1).bids[0][0], made.book("SOLUSDT", 1).asks[0][0]
        made.step(100 * MS)
        after = made.book("SOLUSDT", 1)
        times = []
        for trade in made.prints("SOLUSDT"):
            times.append(trade.at_ns)
            assert began <= trade.at_ns < made.now_ns
            assert min(low, after.bids[0][0]) - 2 <= trade.price_ticks <= max(high, after.asks[0][0]) + 2
            assert trade.qty_lots > 0
        assert times == sorted(times)
        assert made.prints("SOLUSDT") == []


def test_takers_are_mostly_on_the_side_of_the_move() -> None:
    made = market()
    agrees = against = 0
    for _ in range(3000):
        before = made.last("BTCUSDT")
        made.step(500 * MS)
        trades = made.prints("BTCUSDT")
        rose = made.last("BTCUSDT") > before
        bought = sum(not trade.buyer_is_maker for trade in trades)
        agrees += bought if rose else len(trades) - bought
        against += len(trades) - bought if rose else bought
    assert agrees > 1.3 * against


@pytest.mark.parametrize("buys", [True, False])
def test_a_taker_order_walks_the_book_and_what_it_took_comes_back_within_two_seconds(buys: bool) -> None:
    made = market()
    made.step(SECOND)
    made.prints("LINKUSDT")
    before = made.book("LINKUSDT")
    side = before.asks if buys else before.bids
    wanted = sum(lots for _, lots in side[:4]) + 1
    fills = made.consume("LINKUSDT", buys, wanted, None)

    assert [ticks for ticks, _ in fills] == [ticks for ticks, _ in side[:5]]
    assert sum(lots for _, lots in fills) == wanted
    now = made.book("LINKUSDT")
    left = now.asks if buys else now.bids
    assert sum(lots for _, lots in side) - sum(lots for _, lots in left) == wanted
    assert left[0] == (side[4][0], side[4][1] - 1)
    printed = made.prints("LINKUSDT")
    assert [(trade.price_ticks, trade.qty_lots) for trade in printed] == fills
    assert all(trade.buyer_is_maker is not buys for trade in printed)
    assert made.last("LINKUSDT") == pytest.approx(fills[-1][0] * float(SPECS["LINKUSDT"].tick))

    for _ in range(20):
        made.step(100 * MS)
    again = made.book("LINKUSDT")
    touch = (again.asks if buys else again.bids)[0][0]
    other = (again.bids if buys else again.asks)[0][0]
    assert abs(touch - other) <= 3


def test_a_taker_order_stops_at_its_limit() -> None:
    made = market()
    side = made.book("ETHUSDT").asks
    limit = side[2][0]
    fills = made.consume("ETHUSDT", True, 10**12, limit)
    assert fills == side[:3]
    assert made.consume("ETHUSDT", True, 1, limit) == []
    bid = made.book("ETHUSDT").bids[0]
    assert made.consume("ETHUSDT", False, bid[1] + 5, bid[0]) == [bid]


def test_correlations_and_volatility_are_those_of_a_quiet_crypto_market() -> None:
    made = market(5)
    for _ in range(24 * 60 * 4):
        made.step(15 * SECOND)
    closes = {symbol: [bar.close for bar in made.bars(symbol, "5m", limit=289)][:-1] for symbol in made.symbols}
    returns = {s: [b / a - 1 for a, b in itertools.pairwise(c)] for s, c in closes.items()}

    def deviation(values: list[float]) -> float:
        return math.sqrt(sum(value * value for value in values) / len(values))

    assert 0.0007 < deviation(returns["BTCUSDT"]) < 0.0014
    for symbol in made.symbols[1:]:
        assert 0.0010 < deviation(returns[symbol]) < 0.0030
        together = sum(a * b for a, b in zip(returns[symbol], returns["BTCUSDT"], strict=True)) / len(returns[symbol])
        assert 0.5 < together / deviation(returns[symbol]) / deviation(returns["BTCUSDT"]) < 0.95, symbol


def test_mark_stays_by_the_last_price_and_funding_is_due_every_eight_hours() -> None:
    made = market()
    eight_hours = 8 * INTERVALS["1h"]
    for _ in range(600):
        made.step(SECOND)
        for symbol in made.symbols:
            assert made.mark(symbol) == pytest.approx(made.last(symbol), rel=0.003)
            assert made.index(symbol) == pytest.approx(made.mark(symbol), rel=0.003)
            assert abs(made.funding_rate(symbol)) < 0.002
    due = made.next_funding_ns()
    assert due % eight_hours == 0 and 0 < due - made.now_ns <= eight_hours


def test_the_day_ticker_is_the_sum_of_its_minutes() -> None:
    made = market()
    made.step(90 * SECOND)
    ticker = made.ticker("XRPUSDT")
    minutes: list[Bar] = made.bars("XRPUSDT", "1m", limit=1440)
    assert ticker["open_ns"] == minutes[0].open_ns
    assert ticker["high"] == max(bar.high for bar in minutes)
    assert ticker["low"] == min(bar.low for bar in minutes)
    assert ticker["last"] == made.last("XRPUSDT")
    assert ticker["count"] == sum(bar.trades for bar in minutes)
    assert ticker["volume"] == pytest.approx(sum(bar.volume for bar in minutes))
    assert ticker["low"] <= ticker["weighted_avg"] <= ticker["high"]


def test_a_market_goes_on_from_kept_prices() -> None:
    kept = {"BTCUSDT": 101_234.5, "ADAUSDT": 0.9}
    made = Market(seed=1, scenario="calm", start_ns=START, opening=kept)
    assert made.prices() == pytest.approx({**market(1).prices(), **kept})
    assert made.last("BTCUSDT") == kept["BTCUSDT"]


def test_an_unknown_scenario_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'sideways'.*calm, range"):
        market(scenario="sideways")
