"""The futures order book procedure: never a wrong book, whatever the network does to the diffs."""

import random

from hypothesis import given
from hypothesis import strategies as st
from uplink_data import instrument

from nexus_engine.model.book import OrderBook
from nexus_engine.model.events import BookDelta, BookInvalid, BookSnapshot
from nexus_engine.uplink.binance.depth import BookEvent, DepthBook
from nexus_engine.uplink.binance.replies import DepthReply
from nexus_engine.uplink.binance.wire import DepthUpdate


def diff(pu: int, first: int, last: int, bids: dict[float, float] | None = None) -> DepthUpdate:
    return DepthUpdate(s="BTCUSDT", T=last, U=first, u=last, pu=pu, b=list((bids or {}).items()), a=[])


def whole(update_id: int, bids: dict[float, float] | None = None) -> DepthReply:
    return DepthReply(last_update_id=update_id, bids=list((bids or {100.0: 1.0}).items()), asks=[(100.1, 1.0)])


def test_waits_for_a_snapshot_and_then_applies_what_it_buffered() -> None:
    book = DepthBook(instrument())
    book.begin()
    assert book.diff(diff(10, 12, 20, {99.9: 2.0}), 1, 1) == ()
    assert book.diff(diff(20, 23, 30, {99.8: 3.0}), 2, 2) == ()
    snapshot, delta = book.snapshot(whole(25), 3, 3)
    assert isinstance(snapshot, BookSnapshot) and (snapshot.update_id, snapshot.bids) == (25, ((1000, 1.0),))
    assert isinstance(delta, BookDelta) and (delta.update_id, delta.bids) == (30, ((998, 3.0),))
    assert not book.wants_snapshot
    (after,) = book.diff(diff(30, 44, 50), 4, 4)
    assert isinstance(after, BookDelta) and after.update_id == 50


def test_a_snapshot_older_than_the_first_diff_is_asked_for_again() -> None:
    book = DepthBook(instrument())
    book.diff(diff(100, 105, 110), 1, 1)
    assert book.snapshot(whole(99), 2, 2) == ()
    assert book.wants_snapshot
    assert [type(e) for e in book.snapshot(whole(108), 3, 3)] == [BookSnapshot, BookDelta]


def test_a_snapshot_younger_than_every_diff_waits_for_the_diff_that_reaches_it() -> None:
    book = DepthBook(instrument())
    book.diff(diff(1, 2, 10), 1, 1)
    assert book.snapshot(whole(15), 2, 2) == ()
    assert not book.wants_snapshot
    assert [type(e) for e in book.diff(diff(10, 12, 20), 3, 3)] == [BookSnapshot, BookDelta]


def test_a_snapshot_between_the_ids_of_two_diffs_is_reached_by_the_second() -> None:
    """Ids are the venue's own and jump: nothing of this book changed between 10 and 14."""
    book = DepthBook(instrument())
    book.diff(diff(10, 14, 20), 1, 1)
    assert [type(e) for e in book.snapshot(whole(12), 2, 2)] == [BookSnapshot, BookDelta]


def test_a_missing_diff_invalidates_the_book_and_asks_for_a_snapshot() -> None:
    book = DepthBook(instrument())
    book.diff(diff(1, 2, 10), 1, 1)
    book.snapshot(whole(5), 2, 2)
    (invalid,) = book.diff(diff(12, 13, 20), 3, 3)
    assert isinstance(invalid, BookInvalid) and "missing" in invalid.reason
    assert book.wants_snapshot
    assert [type(e) for e in book.snapshot(whole(15), 4, 4)] == [BookSnapshot, BookDelta]


def test_a_broken_stream_forgets_what_it_buffered() -> None:
    book = DepthBook(instrument())
    book.diff(diff(1, 2, 10), 1, 1)
    assert book.lost("gone", 2, 2) is None
    assert book.snapshot(whole(5), 3, 3) == ()
    assert book.diff(diff(20, 22, 30), 4, 4) == ()
    assert book.wants_snapshot


class Venue:
    """A book with ids of its own and everything that was ever sent of it."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.update_id = 1000
        self.bids = {100.0 - level / 10: 1.0 for level in range(5)}
        self.states = {self.update_id: dict(self.bids)}
        self.sent: list[DepthUpdate] = []

    def change(self) -> DepthUpdate:
        before = self.update_id
        first = before + self.rng.randint(1, 4)
        changes: dict[float, float] = {}
        for step in range(first, first + self.rng.randint(1, 4)):
            price = round(100.0 - self.rng.randint(0, 9) / 10, 1)
            changes[price] = float(self.rng.randint(0, 3))
            self.bids[price] = changes[price]
            self.update_id = step
            self.states[step] = {p: q for p, q in self.bids.items() if q}
        self.sent.append(diff(before, first, self.update_id, changes))
        return self.sent[-1]

    def snapshot(self) -> DepthReply:
        return whole(self.update_id, self.states[self.update_id])


Fate = st.sampled_from(("arrives", "arrives", "arrives", "lost", "twice", "late", "breaks"))


@given(seed=st.integers(0, 10_000), fates=st.lists(Fate, max_size=60), lag=st.integers(0, 4))
def test_a_book_that_claims_to_be_valid_is_the_venues_book(seed: int, fates: list[str], lag: int) -> None:
    venue = Venue(random.Random(seed))
    feed, book = DepthBook(instrument()), OrderBook()
    under_way: list[tuple[int, DepthReply]] = []
    late: list[DepthUpdate] = []

    def take(events: "tuple[BookEvent, ...] | list[BookEvent]") -> None:
        for event in events:
            match event:
                case BookSnapshot():
                    book.snapshot(event.bids, event.asks, event.update_id)
                case BookDelta():
                    book.delta(event.bids, event.asks, event.update_id)
                case BookInvalid():
                    book.invalidate()
            if book.valid:
                held = {round(ticks / 10, 1): qty for ticks, qty in book.bids(100)}
                assert held == venue.states[book.update_id]

    feed.begin()
    for turn, fate in enumerate(fates):
        msg = venue.change()
        arrivals = {"lost": [], "twice": [msg, msg], "late": []}.get(fate, [msg])
        if fate == "late":
            late.append(msg)
        else:
            arrivals += late
            late.clear()
        if fate == "breaks":
            lost = feed.lost("broke", turn, turn)
            take([lost] if lost is not None else [])
            feed.begin()
        for arrival in arrivals:
            take(list(feed.diff(arrival, turn, turn)))
        if feed.wants_snapshot and not under_way:
            under_way.append((turn + lag, venue.snapshot()))
        if under_way and under_way[0][0] <= turn:
            take(list(feed.snapshot(under_way.pop()[1], turn, turn)))


def test_the_property_is_not_empty_a_quiet_network_gives_a_valid_book() -> None:
    venue, feed = Venue(random.Random(1)), DepthBook(instrument())
    feed.begin()
    feed.diff(venue.change(), 0, 0)
    events = list(feed.snapshot(venue.snapshot(), 0, 0))
    for _ in range(20):
        events += feed.diff(venue.change(), 0, 0)
    assert sum(isinstance(event, BookDelta) for event in events) == 21
