"""Paper trading never does better than the live book would have done, and its money adds up."""

import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_engine.model.events import BookDelta, BookInvalid, BookSnapshot, Mark, Trade
from nexus_engine.model.instruments import Instrument
from nexus_engine.sim.orders import NewAlgo, NewOrder
from nexus_engine.sim.paper import INTERNAL, Kept, PaperError, PaperVenue, keep_account, open_account
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
        self.saved = 0
        self.venue = PaperVenue(self.kept, self.clock, self._store)
        self.venue.begin([GRID], 3)
        self.account = self.venue.account

    def _store(self, kept: Kept) -> None:
        self.saved += 1

    def stamp(self) -> dict[str, Any]:
        return {"at_ns": self.clock.now, "mono_ns": self.clock.now, "symbol": SYMBOL}

    def book(self) -> "Desk":
        bids = tuple((899_999 - i, 1.0) for i in range(10))
        asks = tuple((900_000 + i, 1.0) for i in range(10))
        self.venue.hear(BookSnapshot(**self.stamp(), update_id=1, bids=bids, asks=asks, venue_ns=self.clock.now))
        return self

    def delta(self, bids: tuple[tuple[int, float], ...] = (), asks: tuple[tuple[int, float], ...] = ()) -> None:
        self.venue.hear(BookDelta(**self.stamp(), update_id=2, bids=bids, asks=asks, venue_ns=self.clock.now))

    def mark(self, price: float, rate: float = 1e-4, next_ns: int = START + H) -> "Desk":
        self.venue.hear(
            Mark(**self.stamp(), mark=price, index=price, funding_rate=rate, next_funding_ns=next_ns,
                 venue_ns=self.clock.now)
        )  # fmt: skip
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


def test_funding_is_paid_once_at_the_rate_that_was_told_also_over_a_restart(tmp_path: Path) -> None:
    desk = Desk().book().mark(90_000.0, rate=1e-4)
    desk.order("BUY", "1")
    for _ in range(3):
        desk.clock.now += H // 2
        desk.mark(90_000.0, rate=5e-4, next_ns=START + (H if desk.clock.now < START + H else 9 * H))
    assert desk.account.ledger.funding == Decimal("-45.00000000")  # 90,000 at 5 bp, once
    desk.venue.take_events()
    keep_account(tmp_path, desk.kept)
    again = Desk(open_account(tmp_path, Decimal(1)))
    again.clock.now = START + 10 * H
    again.book().mark(90_000.0, rate=1e-4, next_ns=START + 17 * H)
    assert again.account.ledger.funding == Decimal("-90.00000000")
    assert again.lots == 1000 and again.adds_up


def test_a_kept_account_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    desk = Desk().book().mark(90_000.0)
    desk.order("BUY", "1")
    keep_account(tmp_path, desk.kept)
    assert (tmp_path / "paper.json").stat().st_mode & 0o777 == 0o600
    kept = open_account(tmp_path, Decimal(1))
    with pytest.raises(PaperError, match="holds BTCUSDT: add it to binance"):
        PaperVenue(kept, Clock(), lambda kept: None).begin([], 3)
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
