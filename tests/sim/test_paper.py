"""Paper trading never does better than the live book would have done, and its money adds up."""

import asyncio
import math
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_engine.model.events import (
    AccountUpdate,
    BookDelta,
    BookInvalid,
    BookSnapshot,
    Mark,
    OrderUpdate,
    Trade,
)
from nexus_engine.model.instruments import Instrument
from nexus_engine.model.orders import Order
from nexus_engine.model.words import Leg, OrderKind, Outcome, Side
from nexus_engine.sim.orders import NewAlgo, NewOrder
from nexus_engine.sim.paper import INTERNAL, PaperBroker, PaperVenue
from nexus_engine.sim.paper_file import Keeper, Kept, Owed, PaperError, Settled, open_account
from nexus_engine.sim.rules import VenueError

SYMBOL, TICK = "BTCUSDT", 0.1
H = 3_600_000_000_000
START = 1_795_000_000_000_000_000
GRID = Instrument(
    symbol=SYMBOL, base="BTC", tick=Decimal("0.1"), step=Decimal("0.001"), min_qty=Decimal("0.001"),
    max_qty=Decimal(1000), market_max_qty=Decimal(120), min_notional=Decimal(100),
)  # fmt: skip


class Clock:
    def __init__(self) -> None:
        self.now = START

    def utc_ns(self) -> int:
        return self.now

    def mono_ns(self) -> int:
        return self.now


class Desk:
    """A paper account before a market of our own: 1 BTC at each of 90,000.0 … 90,000.9 and 89,999.9 … 89,999.0."""

    def __init__(self, kept: Kept | None = None) -> None:
        self.clock = Clock()
        self.kept = kept or open_account(Path("/nonexistent"), Decimal(1_000_000))
        self.venue = PaperVenue(self.kept, self.clock)
        self.venue.begin([GRID], 3)
        self.account = self.venue.account

    def stamp(self) -> dict[str, Any]:
        return {"at_ns": self.clock.now, "mono_ns": self.clock.now, "symbol": SYMBOL}

    def book(self) -> "Desk":
        bids = tuple((899_999 - i, 1.0) for i in range(10))
        asks = tuple((900_000 + i, 1.0) for i in range(10))
        self.venue.hear(BookSnapshot(**self.stamp(), update_id=1, bids=bids, asks=asks, venue_ns=self.clock.now))
        return self

    def delta(self, bids: tuple[tuple[int, float], ...] = (), asks: tuple[tuple[int, float], ...] = ()) -> None:
        self.venue.hear(BookDelta(**self.stamp(), update_id=2, bids=bids, asks=asks, venue_ns=self.clock.now))

    def marked(self, price: float, rate: float = 1e-4, next_ns: int = START + H) -> Mark:
        return Mark(
            **self.stamp(), mark=price, index=price, funding_rate=rate, next_funding_ns=next_ns,
            venue_ns=self.clock.now,
        )  # fmt: skip

    def mark(self, price: float, rate: float = 1e-4, next_ns: int = START + H) -> "Desk":
        self.venue.hear(self.marked(price, rate, next_ns))
        return self

    def trade(self, price: float, qty: float, *, sold: bool) -> None:
        self.venue.hear(Trade(**self.stamp(), price=price, qty=qty, buyer_is_maker=sold, venue_ns=self.clock.now))

    def order(self, side: str, qty: str, price: str | None = None, *, reduce: bool = False) -> Any:
        kind = "MARKET" if price is None else "LIMIT"
        return self.account.place(
            NewOrder(
                symbol=SYMBOL, side=side, type=kind, quantity=Decimal(qty), reduce_only=reduce,
                price=None if price is None else Decimal(price), client_id=f"c{self.account.ledger.last_id}",
            ),
            self.clock.now // 1_000_000,
            self.venue,
        )  # fmt: skip

    @property
    def lots(self) -> int:
        return self.account.position(SYMBOL).lots

    @property
    def adds_up(self) -> bool:
        ledger = self.account.ledger
        return ledger.wallet == ledger.start + ledger.realised - ledger.fees + ledger.funding + ledger.insurance


def test_a_taker_walks_the_book_and_what_it_took_is_gone_until_the_venue_tells_it_anew() -> None:
    desk = Desk().book().mark(90_000.0)
    desk.order("BUY", "2.5")
    fills = [(fill.price_ticks, fill.lots) for fill in desk.account.ledger.fills]
    assert fills == [(900_000, 1000), (900_001, 1000), (900_002, 500)]
    desk.order("BUY", "1")
    assert [(fill.price_ticks, fill.lots) for fill in desk.account.ledger.fills[3:]] == [(900_002, 500), (900_003, 500)]
    desk.delta(asks=((900_000, 0.3),))
    desk.order("BUY", "0.4")
    assert [(fill.price_ticks, fill.lots) for fill in desk.account.ledger.fills[5:]] == [(900_000, 300), (900_003, 100)]
    assert desk.adds_up and desk.account.ledger.fees > 0


def test_a_resting_order_fills_when_the_market_trades_through_it_and_not_at_it() -> None:
    desk = Desk().book().mark(90_000.0)
    order = desk.order("BUY", "0.5", "89999.5")
    desk.trade(89_999.5, 50.0, sold=True)
    desk.trade(89_999.4, 50.0, sold=False)
    assert order.filled_lots == 0
    desk.trade(89_999.4, 0.2, sold=True)
    assert order.filled_lots == 200
    desk.delta(asks=((899_995, 1.0),), bids=tuple((899_999 - i, 0.0) for i in range(5)))
    assert order.status == "FILLED" and {fill.price_ticks for fill in desk.account.ledger.fills} == {899_995}
    assert all(fill.maker for fill in desk.account.ledger.fills)


def test_a_stop_watches_the_mark_waits_for_a_book_and_leaves_at_its_prices() -> None:
    desk = Desk().book().mark(90_000.0)
    desk.order("BUY", "1")
    stop = desk.account.conditionals.place(
        NewAlgo(
            symbol=SYMBOL, side="SELL", type="STOP_MARKET", quantity=Decimal(1), trigger_price=Decimal(89_000),
            working_type="MARK_PRICE", reduce_only=True, client_id="s",
        ),
        desk.clock.now // 1_000_000,
        desk.venue,
    )  # fmt: skip
    desk.trade(88_000.0, 5.0, sold=True)
    assert stop.status == "NEW"
    desk.venue.hear(BookInvalid(**desk.stamp(), reason="gap"))
    desk.mark(88_900.0)
    assert stop.status == "NEW" and desk.lots == 1000
    with pytest.raises(VenueError) as refused:
        desk.order("SELL", "1", reduce=True)
    assert refused.value.code == INTERNAL
    desk.book().mark(88_900.0)
    assert desk.lots == 0 and desk.account.ledger.algos[stop.algo_id].status == "FINISHED"
    assert desk.adds_up


def test_funding_is_paid_once_at_the_rate_that_was_told() -> None:
    desk = Desk().book().mark(90_000.0, rate=1e-4)
    desk.order("BUY", "1")
    for _ in range(3):
        desk.clock.now += H // 2
        desk.mark(90_000.0, rate=5e-4, next_ns=START + (H if desk.clock.now < START + H else 9 * H))
    assert desk.account.ledger.funding == Decimal("-45.00000000")  # 90,000 at 5 bp, once
    assert desk.venue.owed is None


# ---- fundings that were slept through --------------------------------------------------------------------------------

PAST = [Settled(START + hours * H + 7_000_000, rate, mark) for hours, rate, mark in (
    (-7, 9e-4, 90_000.0), (1, 1e-4, 90_000.0), (9, -2e-4, 80_000.0), (17, 3e-4, 0.0), (25, 9e-4, 90_000.0),
)]  # fmt: skip
"""What the venue lists: one before, three while we slept, and one that is not due yet."""


async def kept(desk: Desk, folder: Path) -> Desk:
    """The same account after a restart."""
    await Keeper(folder, desk.kept, lambda error: None).keep()
    return Desk(open_account(folder, Decimal(1)))


async def test_fundings_slept_through_are_paid_each_at_its_own_rate_for_what_was_held_then(tmp_path: Path) -> None:
    desk = Desk().book().mark(90_000.0, rate=5e-4)
    desk.order("BUY", "1")
    again = await kept(desk, tmp_path)
    again.clock.now = START + 20 * H
    again.book()
    assert again.venue.owed is None  # how far it reaches is not known before the venue has told its next one
    again.mark(80_000.0, rate=1e-4, next_ns=START + 25 * H)
    assert again.account.ledger.funding == 0
    again.order("SELL", "0.6", reduce=True)
    again = await kept(again, tmp_path)  # it may take another start until the venue answers
    again.clock.now = START + 21 * H
    again.book().mark(80_000.0, next_ns=START + 25 * H)
    owed = again.venue.owed
    assert owed == Owed(symbol=SYMBOL, lots=1000, since_ns=START + H, until_ns=START + 25 * H)
    again.venue.settle(owed, PAST)
    # 9.00 and -16.00 at their marks; the one without a mark at today's: 24.00
    assert again.account.ledger.funding == Decimal("-17.00000000")
    assert again.venue.owed is None and again.adds_up and again.lots == 400
    again.clock.now = START + 25 * H
    again.mark(80_000.0, rate=1e-4, next_ns=START + 33 * H)
    assert again.account.ledger.funding == Decimal("-20.20000000")  # the next one, heard


def test_a_link_that_was_gone_for_hours_is_a_sleep_too_and_who_held_nothing_owes_nothing() -> None:
    flat = Desk().book().mark(90_000.0)
    flat.clock.now = START + 20 * H
    flat.mark(90_000.0, next_ns=START + 25 * H)
    assert flat.venue.owed is None and flat.account.ledger.funding == 0
    short = Desk().book().mark(90_000.0)
    short.order("SELL", "1")
    short.clock.now = START + 20 * H
    short.trade(90_000.0, 1.0, sold=True)  # whatever is heard first ends the sleep
    short.order("BUY", "1")
    short.mark(90_000.0, next_ns=START + 25 * H)
    assert short.venue.owed is not None and short.venue.owed.lots == -1000
    short.venue.settle(short.venue.owed, PAST)
    assert short.account.ledger.funding == Decimal("20.00000000") and short.adds_up  # 9 - 16 + 27
    short.clock.now += H
    short.mark(90_000.0, next_ns=START + 25 * H)
    assert short.venue.owed is None


def test_what_is_owed_for_a_symbol_that_left_the_directive_waits_until_it_is_back() -> None:
    desk = Desk()
    left = Owed(symbol="ETHUSDT", lots=1, since_ns=START, until_ns=START + H)
    desk.kept.owed.append(left)
    desk.book().mark(90_000.0)
    assert desk.venue.owed is None and desk.kept.owed == [left]


# ---- the file --------------------------------------------------------------------------------------------------------


async def until(true: Callable[[], object]) -> None:
    while not true():  # noqa: ASYNC110 nothing else says when
        await asyncio.sleep(0)


class Silent:
    """A feed that waits for what the test tells."""

    def __init__(self) -> None:
        self.sink: Any = None

    async def run(self, sink: Any) -> None:
        self.sink = sink
        await asyncio.Event().wait()


async def test_nothing_is_told_before_it_is_kept_and_the_loop_waits_for_no_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes, released, threads = threading.Semaphore(0), threading.Event(), set()

    def slow(fd: int) -> None:
        threads.add(threading.get_ident())
        writes.release()
        assert released.wait(30)

    monkeypatch.setattr("nexus_engine.sim.paper_file.os.fsync", slow)
    desk, feed, told = Desk(), Silent(), []
    keeper = Keeper(tmp_path, desk.kept, lambda error: None)

    async def ask(owed: Owed) -> list[Settled]:
        return [Settled(owed.since_ns, 1e-4, 90_000.0)]

    broker = PaperBroker(desk.venue, feed, desk.clock, 0, keep=keeper.keep, ask=ask)  # type: ignore[arg-type]
    running = asyncio.create_task(broker.run(told.append))
    await asyncio.sleep(0)
    desk.book().mark(90_000.0)
    entry = Order(
        client_id="e1", symbol=SYMBOL, side=Side.BUY, qty=Decimal(1), intent=1, created_ns=1, changed_ns=1,
        kind=OrderKind.MARKET, leg=Leg.ENTRY,
    )  # fmt: skip
    placed = asyncio.create_task(broker.submit(entry))
    await asyncio.to_thread(writes.acquire)
    for _ in range(100):
        await asyncio.sleep(0)  # the loop goes on
    assert desk.lots == 1000 and not placed.done()
    assert not [event for event in told if isinstance(event, OrderUpdate)]
    released.set()
    async with asyncio.timeout(30):
        assert (await placed).outcome is Outcome.DONE
        await until(lambda: any(isinstance(event, OrderUpdate) and event.fill for event in told))
        assert open_account(tmp_path, Decimal(1)).ledger.positions[SYMBOL].lots == 1000
        # the venue is asked for a funding that was slept through, once
        desk.clock.now = START + 2 * H + H // 2
        feed.sink(desk.marked(90_000.0, next_ns=START + 9 * H))
        await until(lambda: desk.account.ledger.funding)
        wallet = desk.account.ledger.wallet
        await until(lambda: any(isinstance(event, AccountUpdate) and event.wallet == wallet for event in told))
    assert desk.account.ledger.funding == Decimal("-9.00000000")
    assert threads and threading.get_ident() not in threads
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await keeper.keep()
    assert not open_account(tmp_path, Decimal(1)).owed


async def test_a_full_disk_is_told_once_and_ends_no_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[OSError | None] = []
    desk = Desk()
    keeper = Keeper(tmp_path, desk.kept, told.append)

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("nexus_engine.sim.paper_file.os.fsync", full)
        await keeper.keep()
        await keeper.keep()
    assert [error is not None and error.errno for error in told] == [28]
    await asyncio.gather(*(keeper.keep() for _ in range(10)))
    assert told[1:] == [None] and open_account(tmp_path, Decimal(1)).ledger == desk.account.ledger


async def test_a_kept_account_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    desk = Desk().book().mark(90_000.0)
    desk.order("BUY", "1")
    await Keeper(tmp_path, desk.kept, lambda error: None).keep()
    assert (tmp_path / "paper.json").stat().st_mode & 0o777 == 0o600
    found = open_account(tmp_path, Decimal(1))
    with pytest.raises(PaperError, match="holds BTCUSDT: add it to binance"):
        PaperVenue(found, Clock()).begin([], 3)
    (tmp_path / "paper.json").write_bytes(b"{")
    with pytest.raises(PaperError, match="is damaged; move it away"):
        open_account(tmp_path, Decimal(1))


def test_before_the_first_mark_a_stop_is_not_taken_for_one_that_would_trigger_at_once() -> None:
    desk = Desk().book().mark(90_000.0)
    desk.order("BUY", "1")
    later = Desk(desk.kept)
    later.book()
    algo = later.account.conditionals.place(
        NewAlgo(
            symbol=SYMBOL, side="SELL", type="STOP_MARKET", quantity=Decimal(1), trigger_price=Decimal(89_000),
            working_type="MARK_PRICE", reduce_only=True, client_id="s",
        ),
        1,
        later.venue,
    )  # fmt: skip
    assert algo.status == "NEW"


moves = st.lists(
    st.one_of(
        st.tuples(st.just("order"), st.sampled_from(("BUY", "SELL")), st.integers(2, 3000), st.booleans()),
        st.tuples(st.just("limit"), st.sampled_from(("BUY", "SELL")), st.integers(-8, 8), st.integers(2, 3000)),
        st.tuples(st.just("level"), st.booleans(), st.integers(0, 9), st.integers(0, 2000)),
        st.tuples(st.just("trade"), st.booleans(), st.integers(-12, 12), st.integers(1, 3000)),
        st.tuples(st.just("mark"), st.integers(-2000, 2000)),
    ),
    max_size=40,
)


@given(moves)
def test_whatever_happens_the_money_adds_up_and_no_taker_gets_more_than_the_book_showed(steps: list[Any]) -> None:
    desk = Desk().book().mark(90_000.0)
    shown = {**{(True, 900_000 + i): 1000 for i in range(10)}, **{(False, 899_999 - i): 1000 for i in range(10)}}
    since: dict[tuple[bool, int], int] = {}
    for kind, *rest in steps:
        before = len(desk.account.ledger.fills)
        try:
            if kind == "order":
                side, lots, reduce = rest
                desk.order(side, f"{lots / 1000:.3f}", reduce=reduce)
            elif kind == "limit":
                side, ticks, lots = rest
                desk.order(side, f"{lots / 1000:.3f}", f"{(900_000 + ticks) / 10:.1f}")
            elif kind == "level":
                asks, depth, lots = rest
                ticks = 900_000 + depth if asks else 899_999 - depth
                shown[asks, ticks], since[asks, ticks] = lots, 0
                level = ((ticks, lots / 1000),)
                desk.delta(asks=level) if asks else desk.delta(bids=level)
            elif kind == "trade":
                sold, ticks, lots = rest
                desk.trade((900_000 + ticks) / 10, lots / 1000, sold=sold)
            else:
                desk.mark(90_000.0 + rest[0])
        except VenueError:
            pass
        for fill in desk.account.ledger.fills[before:]:
            if not fill.maker:
                level_key = (fill.side_buy, fill.price_ticks)
                since[level_key] = since.get(level_key, 0) + fill.lots
                if level_key in shown and not any(
                    order.client_id.startswith("autoclose") and order.order_id == fill.order_id
                    for order in desk.account.ledger.orders.values()
                ):
                    assert since[level_key] <= shown[level_key]
        assert desk.adds_up
        assert math.isfinite(float(desk.account.margins(desk.venue).available))
