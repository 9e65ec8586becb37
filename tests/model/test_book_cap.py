"""A book that follows a market for days keeps what is near the touch and lets go of what is far."""

from collections.abc import Iterator
from random import Random
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_engine.model import book as module
from nexus_engine.model.book import BookLevel, OrderBook

Delta = tuple[list[BookLevel], list[BookLevel]]
KEPT, TOP, REACH = 500, 200, 300
"""So few here that a short walk goes beyond them; what is asked for; and how far from its touch a venue keeps busy."""

seeds = st.integers(0, 2**32)
drifts = st.sampled_from((-40, -15, 0, 15, 40))


def walk(seed: int, drift: int, count: int) -> Iterator[Delta]:
    """Diffs around a touch that wanders by `drift` ticks each and 60 at random, and turns back half way. Near it every
    level is set or taken away; what it ran through goes; now and then something is set far from it."""
    rng, mid = Random(seed), 1_000_000
    for number in range(count):
        mid += (drift if 2 * number < count else -drift) + rng.randint(-60, 60)
        bids, asks = (
            [(mid + sign * away, 0.0 if rng.random() < 0.1 else rng.uniform(0.1, 9)) for away in range(1, REACH)]
            for sign in (-1, 1)
        )
        through = [(mid + away, 0.0) for away in range(REACH)], [(mid - away, 0.0) for away in range(REACH)]
        far = [[(mid + sign * rng.randint(REACH, 20 * REACH), 1.0) for _ in range(20)] for sign in (-1, 1)]
        yield [*through[0], *bids, *far[0]], [*through[1], *asks, *far[1]]


class Uncapped:
    """The same without an end: two dicts."""

    def __init__(self) -> None:
        self.bids: dict[int, float] = {}
        self.asks: dict[int, float] = {}

    def delta(self, bids: list[BookLevel], asks: list[BookLevel]) -> None:
        for held, levels in ((self.bids, bids), (self.asks, asks)):
            for ticks, qty in levels:
                if qty:
                    held[ticks] = qty
                else:
                    held.pop(ticks, None)

    def best(self) -> Delta:
        return sorted(self.bids.items(), reverse=True), sorted(self.asks.items())


@settings(max_examples=15, deadline=None)
@given(seeds, drifts)
def test_wherever_a_market_wanders_the_top_of_its_book_is_what_it_would_be_without_an_end(
    seed: int, drift: int
) -> None:
    plain, book = Uncapped(), OrderBook()
    with patch.object(module, "KEPT", KEPT):
        book.snapshot((), (), 0)
        for number, (bids, asks) in enumerate(walk(seed, drift, 80)):
            plain.delta(bids, asks)
            book.delta(bids, asks, number)
            for all_of_it, top, kept in zip(
                plain.best(), (book.bids(TOP), book.asks(TOP)), (book.bids(10**6), book.asks(10**6)), strict=True
            ):
                assert top == all_of_it[:TOP]
                assert len(kept) <= 2 * KEPT


levels = st.lists(st.tuples(st.integers(1, 400), st.sampled_from((0.0, 0.5, 1.0))), max_size=60)


@settings(deadline=None)
@given(st.lists(st.tuples(levels, levels), max_size=25), st.integers(5, 40))
def test_what_goes_had_as_many_as_are_kept_before_it_and_nothing_else_changes(changes: list[Delta], kept: int) -> None:
    plain, book = Uncapped(), OrderBook()
    gone: tuple[set[int], set[int]] = (set(), set())
    with patch.object(module, "KEPT", kept):
        book.snapshot((), (), 0)
        for number, (bids, asks) in enumerate(changes):
            plain.delta(bids, asks)
            book.delta(bids, asks, number)
            for side, told, whole, here in zip(
                gone, (bids, asks), plain.best(), (book.bids(10**6), book.asks(10**6)), strict=True
            ):
                side -= {ticks for ticks, _ in told}
                have = dict(here)
                place = {ticks: at for at, (ticks, _) in enumerate(whole)}
                dropped = place.keys() - have.keys() - side
                assert all(place[ticks] >= kept for ticks in dropped)
                side |= dropped
                assert here == [level for level in whole if level[0] in have]
                assert len(here) <= 2 * kept
