"""Books, grids, ids and hashes: what the words promise."""

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_engine.model.book import BookLevel, OrderBook
from nexus_engine.model.config import exactly
from nexus_engine.model.instruments import Instrument
from nexus_engine.model.orders import client_id, is_foreign_nexus, is_newer, is_ours
from nexus_engine.model.proposals import shown_hash
from nexus_engine.model.words import Leg, Side

levels = st.lists(st.tuples(st.integers(1, 40), st.sampled_from((0.0, 0.5, 1.0, 7.25))), max_size=12)
updates = st.lists(st.tuples(st.booleans(), levels, levels), max_size=20)


@given(updates)
def test_the_book_is_a_dict_that_keeps_its_best_in_front(
    changes: list[tuple[bool, list[BookLevel], list[BookLevel]]],
) -> None:
    book, bids, asks = OrderBook(), {}, {}
    book.snapshot((), (), 0)
    for number, (whole, bid_levels, ask_levels) in enumerate(changes):
        if whole:
            bids, asks = dict(bid_levels), dict(ask_levels)
            book.snapshot(list(bids.items()), list(asks.items()), number)
        else:
            book.delta(bid_levels, ask_levels, number)
            bids.update(bid_levels)
            asks.update(ask_levels)
        held_bids = sorted(((t, q) for t, q in bids.items() if q), reverse=True)
        held_asks = sorted((t, q) for t, q in asks.items() if q)
        assert book.bids(99) == held_bids
        assert book.asks(99) == held_asks
        assert book.best_bid == (held_bids[0] if held_bids else None)
        assert book.best_ask == (held_asks[0] if held_asks else None)
        assert book.crossed == bool(held_bids and held_asks and held_bids[0][0] >= held_asks[0][0])


@given(asks=st.dictionaries(st.integers(1, 50), st.floats(0.1, 9), min_size=1), qty=st.floats(0.1, 100))
def test_a_sweep_pays_no_less_than_the_touch_and_finds_no_more_than_there_is(
    asks: dict[int, float], qty: float
) -> None:
    book = OrderBook()
    book.snapshot([(0, 1.0)], list(asks.items()), 1)
    average, found = book.sweep(True, qty)
    assert found <= min(qty, sum(asks.values())) + 1e-9
    assert min(asks) - 1e-9 <= average <= max(asks) + 1e-9
    turned = OrderBook()
    turned.snapshot([(100 - ticks, held) for ticks, held in asks.items()], [(200, 1.0)], 1)
    sold, also_found = turned.sweep(False, qty)
    assert (100 - sold, also_found) == (pytest.approx(average), pytest.approx(found))


near = st.dictionaries(st.integers(1, 3_000), st.floats(0.1, 9), min_size=1, max_size=30)


@given(below=near, above=near, part=st.floats(1e-5, 0.5))
def test_what_a_book_holds_near_its_middle_is_what_rests_there(
    below: dict[int, float], above: dict[int, float], part: float
) -> None:
    book = OrderBook()
    bids, asks = (
        [(5_000 - away, qty) for away, qty in below.items()],
        [(5_000 + away, qty) for away, qty in above.items()],
    )
    book.snapshot(bids, asks, 1)
    middle = (max(bids)[0] + min(asks)[0]) / 2
    assert book.within(part) == (
        pytest.approx(sum(qty for ticks, qty in bids if ticks >= middle * (1 - part))),
        pytest.approx(sum(qty for ticks, qty in asks if ticks <= middle * (1 + part))),
    )
    book.snapshot(bids, [], 2)
    assert book.within(part) is None


def test_an_invalid_book_shows_nothing() -> None:
    book = OrderBook()
    book.snapshot([(9, 1.0)], [(11, 1.0)], 1)
    book.invalidate()
    assert not book.valid
    assert book.bids(5) == book.asks(5) == []
    assert book.best_bid is None


ticks = st.sampled_from(("0.1", "0.01", "0.0001", "0.5", "1", "5")).map(Decimal)
steps = st.sampled_from(("0.001", "0.01", "1", "10")).map(Decimal)


def grid(tick: Decimal, step: Decimal) -> Instrument:
    return Instrument(
        symbol="X",
        tick=tick,
        step=step,
        min_qty=step,
        max_qty=step * 10_000,
        market_max_qty=step * 1_000,
        min_notional=Decimal(5),
    )


@given(tick=ticks, step=steps, price=st.floats(10, 1e6), qty=st.floats(0, 1e5))
def test_rounding_never_raises_the_risk(tick: Decimal, step: Decimal, price: float, qty: float) -> None:
    one, exact = grid(tick, step), Decimal(repr(price))
    assert one.limit(price, Side.BUY) <= exact <= one.limit(price, Side.SELL)
    assert one.stop(price, Side.BUY) <= exact <= one.stop(price, Side.SELL)
    assert one.quantity(qty) <= Decimal(repr(qty))
    assert Decimal(repr(qty)) - one.quantity(qty) < step
    assert abs(one.nearest(price) - exact) <= tick / 2
    for rounded in (one.limit(price, Side.BUY), one.stop(price, Side.SELL), one.nearest(price)):
        assert one.price(one.ticks(rounded)) == rounded
        assert rounded % tick == 0


@pytest.mark.parametrize(("first", "then"), [("0.1", "0.10"), ("0.10", "0.1"), ("0.01", "0.010"), ("1E+1", "10")])
def test_a_grid_is_its_own_however_its_like_is_written(first: str, then: str) -> None:
    for tick in (first, then):
        one = grid(Decimal(tick), Decimal("0.01"))
        for rounded in (one.stop(612.3456, Side.SELL), one.limit(612.3456, Side.BUY), one.nearest(612.3456)):
            assert rounded % Decimal(tick) == 0
            assert rounded.as_tuple().exponent == Decimal(tick).as_tuple().exponent


def test_a_number_is_made_a_decimal_as_it_was_written_whatever_came_before() -> None:
    assert [str(exactly(number)) for number in (7.0, 7, 7.0)] == ["7.0", "7", "7.0"]


@given(price=st.floats(10, 1e6), distance=st.floats(0.1, 5), side=st.sampled_from(list(Side)))
def test_a_rounded_entry_and_stop_lie_closer_together_than_wanted(price: float, distance: float, side: Side) -> None:
    one = grid(Decimal("0.01"), Decimal("0.01"))
    entry = one.limit(price, side)
    stop = one.stop(price - distance * side.sign, side.opposite)
    assert (entry - stop) * side.sign <= Decimal(repr(distance)) + Decimal("1e-6")


def test_the_digits_of_a_grid() -> None:
    one = grid(Decimal("0.10"), Decimal("1"))
    assert (one.price_digits, one.qty_digits) == (1, 0)


@given(
    instance=st.from_regex(r"[a-z0-9]{4,8}", fullmatch=True),
    epoch=st.integers(1, 99_999),
    intent=st.integers(1, 9_999_999),
    leg=st.sampled_from(list(Leg)),
    attempt=st.integers(1, 999),
)
def test_client_ids_fit_the_venue_and_name_their_writer(
    instance: str, epoch: int, intent: int, leg: Leg, attempt: int
) -> None:
    cid = client_id(instance, epoch, intent, leg, attempt)
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,36}", cid)
    assert is_ours(cid, instance)
    assert not is_foreign_nexus(cid, instance)
    assert is_foreign_nexus(cid, "zz")
    assert is_newer(cid, instance, epoch - 1)
    assert not is_newer(cid, instance, epoch)


def test_orders_of_people_are_nobodys_nexus() -> None:
    for cid in ("web_abc", "autoclose-17", "adl_autoclose", "android_x-1-2", ""):
        assert not is_foreign_nexus(cid, "test")
        assert not is_newer(cid, "test", 1)


amounts = st.decimals(min_value="0.01", max_value="99999", places=2)


@given(a=st.tuples(st.integers(1, 99), st.sampled_from(list(Side)), amounts, amounts, amounts), b=st.data())
def test_what_was_shown_binds_every_number_of_it(
    a: tuple[int, Side, Decimal, Decimal, Decimal], b: st.DataObject
) -> None:
    other = list(a)
    at = b.draw(st.integers(0, 4))
    other[at] = a[1].opposite if at == 1 else b.draw(st.integers(100, 200) if at == 0 else amounts)
    same = tuple(other) == a
    assert (shown_hash(*a) == shown_hash(*other)) == same  # type: ignore[arg-type]
