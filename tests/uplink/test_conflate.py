"""An engine that is behind hears the latest, and nothing of the books or of the volume is lost."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from nexus_engine.model.book import OrderBook
from nexus_engine.model.events import AnyEvent, Bar, BookDelta, BookInvalid, Mark, Trade
from nexus_engine.uplink.conflate import Conflator, Joinable
from nexus_engine.uplink.counts import Counts


class Heard:
    def __init__(self) -> None:
        self.events: list[AnyEvent] = []
        self.behind = False
        self.counts = Counts()
        self.out = Conflator(self.events.append, lambda: self.behind, self.counts)


def trade(n: int, *, maker: bool = False, symbol: str = "BTCUSDT", qty: float = 1.0) -> Trade:
    return Trade(at_ns=n, mono_ns=n, symbol=symbol, price=100.0 + n, qty=qty, buyer_is_maker=maker, venue_ns=n)


def mark(n: int) -> Mark:
    return Mark(
        at_ns=n, mono_ns=n, symbol="BTCUSDT", mark=n, index=n, funding_rate=0.0, next_funding_ns=0, venue_ns=n
    )  # fmt: skip


def bar(n: int, *, closed: bool) -> Bar:
    return Bar(
        at_ns=n, mono_ns=n, symbol="BTCUSDT", interval="1m", open_ns=n, open=1, high=1, low=1, close=1, volume=1,
        trades=1, closed=closed, venue_ns=n,
    )  # fmt: skip


def delta(n: int, bids: dict[int, float], asks: dict[int, float]) -> BookDelta:
    levels = tuple(bids.items()), tuple(asks.items())
    return BookDelta(
        at_ns=n, mono_ns=n, symbol="BTCUSDT", update_id=n, bids=levels[0], asks=levels[1], venue_ns=n
    )  # fmt: skip


def test_an_engine_that_keeps_up_hears_every_message_as_it_was() -> None:
    heard = Heard()
    said: list[Joinable] = [trade(1), trade(2), mark(3), mark(4), bar(5, closed=False), bar(6, closed=False)]
    for event in said:
        heard.out.add(event)
    heard.out.flush()
    assert heard.events == said and heard.counts.conflated == 0


def test_behind_it_hears_the_volume_of_each_side_and_the_last_price() -> None:
    heard = Heard()
    heard.behind = True
    for n in range(1, 101):
        heard.out.add(trade(n, maker=n % 4 == 0, qty=float(n)))
    assert heard.events == []
    heard.out.flush()
    first, last = heard.events
    assert isinstance(first, Trade) and isinstance(last, Trade)
    assert last.price == 200.0 and first.qty + last.qty == sum(range(1, 101))
    assert heard.counts.conflated == 98


def test_a_closed_candle_is_never_joined_and_comes_after_what_was_before_it() -> None:
    heard = Heard()
    heard.behind = True
    for event in (trade(1), mark(2), mark(3), bar(4, closed=False), bar(5, closed=True), trade(6), bar(7, closed=True)):
        heard.out.add(event)
    assert heard.events == [trade(1), mark(3), bar(4, closed=False), bar(5, closed=True), trade(6), bar(7, closed=True)]
    assert heard.counts.conflated == 1


def test_a_lost_book_is_told_after_what_was_held_of_it() -> None:
    heard = Heard()
    heard.behind = True
    heard.out.add(delta(1, {1: 1.0}, {}))
    heard.out.whole(BookInvalid(at_ns=2, mono_ns=2, symbol="BTCUSDT", reason="gap"))
    assert [type(event).__name__ for event in heard.events] == ["BookDelta", "BookInvalid"]


def test_what_is_held_when_the_engine_has_caught_up_still_comes_first() -> None:
    heard = Heard()
    heard.behind = True
    heard.out.add(trade(1))
    heard.behind = False
    heard.out.add(trade(2))
    heard.out.flush()
    (joined,) = heard.events
    assert isinstance(joined, Trade) and (joined.price, joined.qty) == (102.0, 2.0)


sides = st.dictionaries(st.integers(1, 20), st.sampled_from([0.0, 1.0, 2.0, 3.0]), max_size=6)


@given(st.lists(st.tuples(sides, sides), max_size=30), st.integers(0, 2**32))
def test_joined_changes_of_a_book_make_the_same_book(
    changes: list[tuple[dict[int, float], dict[int, float]]], seed: int
) -> None:
    heard, rng = Heard(), Random(seed)
    plain, joined = OrderBook(), OrderBook()
    for book in (plain, joined):
        book.snapshot([(5, 1.0)], [(15, 1.0)], 0)
    for n, (bids, asks) in enumerate(changes, 1):
        heard.behind = rng.random() < 0.7
        heard.out.add(delta(n, bids, asks))
        plain.delta(list(bids.items()), list(asks.items()), n)
        if rng.random() < 0.3:
            heard.out.flush()
    heard.out.flush()
    for event in heard.events:
        assert isinstance(event, BookDelta)
        joined.delta(event.bids, event.asks, event.update_id)
    assert (joined.bids(99), joined.asks(99), joined.update_id) == (plain.bids(99), plain.asks(99), len(changes))
    assert heard.counts.conflated == len(changes) - len(heard.events)
