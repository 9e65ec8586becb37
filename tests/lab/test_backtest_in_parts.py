"""Orders that no one bar can fill: they get its share, and what is left of them its part of the next bars."""

from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from books import Audit, doubled, orphans, positions, unequal, unwritten
from hypothesis import given, settings
from hypothesis import strategies as st
from past import MINUTE_NS, PLAIN, SOL, Row, bars_of, flat, walk, wishful, written

from nexus_engine.core.engine import Engine
from nexus_engine.lab import report
from nexus_engine.lab.backtest import BacktestOrder, run
from nexus_engine.lab.bars import Bars
from nexus_engine.lab.drive import Drive
from nexus_engine.lab.record import OPEN, Record
from nexus_engine.lab.result import Result
from nexus_engine.lab.venue import BarVenue
from nexus_engine.model.config import Directive, PaperConfig, RiskConfig, ShieldConfig
from nexus_engine.model.words import Leg, Side
from nexus_engine.sim.bar_share import SHARE
from nexus_engine.sim.orders import ZERO, NewAlgo, NewOrder, Order, OrderEvent
from nexus_engine.sim.rules import VenueError

FAST = Directive(
    shield=ShieldConfig(max_spread_bp=50, exit_pause_min=0, stops_window_min=0, low_trades=0, min_day_volume=0),
    strategies={"flow": {"interval": "1h"}, "harpoon": {"interval": "1h", "set": "classic"}},
)


def thin(bars: Bars, volume: float | Sequence[float]) -> Bars:
    """The same prices on so little volume a bar."""
    return Bars(bars.open_ns, bars.ohlc, np.broadcast_to(np.asarray(volume, float), len(bars)).copy(), bars.step_ns)


def wanting(rows: Sequence[Row], volume: float | Sequence[float], **wish: Any) -> Drive:
    """A long of some 30 SOL, which risks 30 of 10,000 at a stop a percent away."""
    return wishful(thin(bars_of(rows), volume), [{"side": Side.BUY, "target_pct": None} | wish])


def fills(drive: Drive) -> list[tuple[int, int, float, Decimal]]:
    """Bar, sign, price and quantity of each execution."""
    venue, begin_ms = drive.venue, int(drive._bars.open_ns[0]) // 1_000_000
    return [
        (
            (fill.at_ms - begin_ms) // 60_000, 1 if fill.side_buy else -1,
            round(fill.price_ticks * venue.tick, 4), fill.lots * venue.spec.step,
        )
        for fill in venue.account.ledger.fills
    ]  # fmt: skip


# ---- what becomes of each kind of order ------------------------------------------------------------------------------


def test_an_entry_gets_its_first_bars_share_and_the_stop_guards_just_that() -> None:
    drive = wanting(flat(100.0, 6), 120.0)
    assert fills(drive) == [(1, 1, 100.02, Decimal(12))]
    (stop,) = drive.venue.account.conditionals.open.values()
    assert stop.qty_lots * drive.venue.spec.step == Decimal(12)
    trade = drive.record.left_open(0, 100.0)
    assert trade is not None
    assert trade.qty == Decimal(12)
    taken = drive.record.participation.figures(known=True)
    assert (taken["in_parts"], taken["given_up"], taken["most_bars"]) == (1, 1, 1)
    assert not drive.venue.account.resting


@pytest.mark.parametrize(("entry_s", "bars"), [(20, [1]), (150, [1, 2, 3])])
def test_an_entry_takes_its_part_of_each_bar_that_begins_before_it_is_cancelled(entry_s: int, bars: list[int]) -> None:
    def patient(engine: Engine) -> None:
        engine.manager._risk = RiskConfig(entry_ms=entry_s * 1_000)

    drive = wishful(thin(bars_of(flat(100.0, 8)), 60.0), [{"side": Side.BUY, "target_pct": None}], wrap=patient)
    assert [(bar, qty) for bar, _, _, qty in fills(drive)] == [(bar, Decimal(6)) for bar in bars]
    (stop,) = drive.venue.account.conditionals.open.values()
    assert stop.qty_lots * drive.venue.spec.step == 6 * len(bars)
    assert drive.record.participation.figures(known=True)["given_up"] == 1


def test_an_exit_at_market_goes_on_at_each_bars_open_and_is_one_order_of_one_trade() -> None:
    opens = [100.0] * 4 + [99.9, 99.8, 99.7, 99.7, 99.7]
    volume = [1e4] * 3 + [100.0] * 6
    drive = wanting([(price,) * 4 for price in opens], volume, time_stop_ns=2 * MINUTE_NS)
    (entry,), exits = fills(drive)[:1], fills(drive)[1:]
    assert exits == [
        (3, -1, 99.99, Decimal(10)), (4, -1, 99.89, Decimal(10)), (5, -1, 99.79, entry[3] - 20)
    ]  # fmt: skip
    (trade,) = drive.record.trades
    weighted = sum(price * float(qty) for _, _, price, qty in exits) / float(entry[3])
    assert (trade.reason, trade.qty, trade.exit) == ("time", entry[3], pytest.approx(weighted))
    assert trade.net == pytest.approx(float(entry[3]) * (weighted - 100.02) - trade.fees)
    assert trade.r == pytest.approx(trade.net / (float(entry[3]) * (100.02 - trade.stop)))
    assert sum(order.type == "MARKET" for order in drive.venue.account.ledger.orders.values()) == 1
    taken = drive.record.participation.figures(known=True)
    assert (taken["orders"], taken["in_parts"], taken["given_up"], taken["most_bars"]) == (2, 1, 0, 3)
    assert taken["cost"] == pytest.approx(10 * 0.1 + float(entry[3] - 20) * 0.2)
    assert taken["largest_pct"] == pytest.approx(10.0)


def test_a_stop_that_triggered_goes_on_until_nothing_is_held_whatever_the_price_does() -> None:
    rows = [*flat(100.0, 4), (100.0, 100.0, 98.5, 98.6), *flat(99.5, 2), *flat(104.0, 4)]
    drive = wanting(rows, [1e4] * 4 + [100.0] * 7)
    (_, *exits), (trade,) = fills(drive), drive.record.trades
    assert [(bar, price) for bar, _, price, _ in exits] == [(4, trade.stop - 0.01), (5, 99.49), (6, 99.49)]
    assert (trade.reason, sum(qty for *_, qty in exits)) == ("stop", trade.qty)
    assert not drive.venue.lots
    assert not drive.engine.ledger.positions


def test_beside_an_exit_and_a_stop_that_work_on_no_third_order_is_tried_bar_after_bar() -> None:
    rows = [*flat(100.0, 5), (99.9, 99.9, 98.0, 98.0), *flat(97.5, 60)]
    drive = wanting(rows, [1e4] * 3 + [20.0] * 63, time_stop_ns=2 * MINUTE_NS)
    orders = list(drive.engine.ledger.orders.values())
    # when it hears that its stop has triggered the core tries one that fits what is left, once
    assert sum(order.leg is Leg.STOP for order in orders) <= 2
    assert not drive.engine.ledger.locks
    assert not drive.venue.lots and len(drive.record.trades) == 1


def test_a_stop_that_triggered_is_not_called_back_by_its_trail() -> None:
    rows = [*flat(100.0, 4), (100.0, 100.0, 98.5, 98.6), *flat(104.0, 2), *flat(105.0, 9)]
    drive = wanting(rows, [1e4] * 4 + [100.0] + [0.0] * 4 + [100.0] * 7, trail_distance=0.5)
    assert [(bar, price) for bar, sign, price, _ in fills(drive) if sign < 0] == [(4, 99.49), (9, 104.99), (10, 104.99)]
    (trade,) = drive.record.trades
    assert trade.reason == "trail"


def test_a_target_fills_bit_by_bit_and_only_while_the_price_is_through() -> None:
    up, below = (102.2,) * 4, (101.0,) * 4
    rows = [*flat(100.0, 4), up, below, below, up, up, up]
    drive = wanting(rows, [1e4] * 4 + [100.0] * 6, target_pct=2.0)
    (_, *exits), (trade,) = fills(drive), drive.record.trades
    assert [bar for bar, *_ in exits] == [4, 7, 8]
    assert {price for _, _, price, _ in exits} == {trade.target}
    assert trade.reason == "target"
    assert drive.record.participation.figures(known=True)["cost"] == 0.0


def test_the_stop_shrinks_with_what_the_target_has_taken() -> None:
    rows = [*flat(100.0, 4), (102.2,) * 4, *flat(101.0, 3)]
    drive = wanting(rows, [1e4] * 4 + [100.0] * 4, target_pct=2.0)
    (stop,) = drive.venue.account.conditionals.open.values()
    assert 0 < drive.venue.lots == stop.qty_lots


def test_bars_without_volume_fill_nothing_and_a_past_without_any_fills_everything(tmp_path: Path) -> None:
    rows = [*flat(100.0, 4), (98.0,) * 4, (97.0,) * 4, *flat(96.0, 3)]
    (trade,) = wanting(rows, [1e4] * 4 + [0.0] * 2 + [1e4] * 3).record.trades
    assert trade.exit == pytest.approx(95.99)
    (trade,) = wanting(rows, 0.0).record.trades
    assert trade.exit == pytest.approx(97.99)
    bars = walk(5, 900, 3_600, swing=0.006)
    told = played(thin(bars, 0.0), tmp_path, wallet=1e7)
    assert told.trades
    assert told.costs["participation"]["share_pct"] is None
    assert any("no bar has a volume" in note for note in told.notes)
    assert "filled whole, since no bar has a volume" in report.text(told)


class Desk:
    """A venue whose bars a test plays by hand, and whose books are checked after each."""

    def __init__(self, wallet: int = 1_000_000, leverage: int = 3) -> None:
        self.venue = BarVenue(SOL, 100.0, wallet=Decimal(wallet), leverage=leverage, costs=PLAIN)
        self.now_ns, self.count, self.forced = 0, 0, 0
        self.events: list[OrderEvent] = []
        self._looked = 0

    def bar(self, price: float, volume: float) -> None:
        self.now_ns += MINUTE_NS
        self.venue.price = price
        self.venue.opens(volume)
        self.venue.settle(self.now_ns)
        self.hear()

    def order(
        self, side: str, qty: str, price: str | None = None, tif: str = "GTC", *, reduce_only: bool = False
    ) -> Order:
        self.count += 1
        request = NewOrder(
            symbol=SOL, side=side, type="LIMIT" if price else "MARKET", quantity=Decimal(qty), tif=tif,
            price=None if price is None else Decimal(price), reduce_only=reduce_only, client_id=f"t{self.count}",
        )  # fmt: skip
        order = self.venue.account.place(request, self.now_ns // 1_000_000, self.venue)
        self.hear()
        return order

    def stop(self, side: str, qty: str, trigger: str) -> None:
        self.count += 1
        request = NewAlgo(
            symbol=SOL, side=side, type="STOP_MARKET", quantity=Decimal(qty), trigger_price=Decimal(trigger),
            working_type="MARK_PRICE", reduce_only=True, client_id=f"t{self.count}",
        )  # fmt: skip
        self.venue.account.conditionals.place(request, self.now_ns // 1_000_000, self.venue)
        self.hear()

    def hear(self) -> None:
        self.events += [event for event in self.venue.take_events() if isinstance(event, OrderEvent)]

    def filled(self, order: Order) -> Decimal:
        return order.filled_lots * self.venue.spec.step


def test_what_a_limit_did_not_get_rests_or_is_cancelled_by_its_time_in_force() -> None:
    desk = Desk()
    desk.bar(100.0, 100.0)
    rests = desk.order("BUY", "25", "100.50")
    assert (rests.status, desk.filled(rests)) == ("PARTIALLY_FILLED", 10)
    at_once = desk.order("BUY", "5", "100.50", "IOC")
    assert (at_once.status, at_once.filled_lots) == ("EXPIRED", 0)  # the bar has given what it has
    with pytest.raises(VenueError) as refused:
        desk.order("BUY", "5", "100.50", "FOK")
    assert refused.value.code == -5021
    desk.bar(101.0, 100.0)  # out of its reach
    assert desk.filled(rests) == 10
    desk.bar(100.0, 100.0)
    assert desk.filled(rests) == 20
    at_once = desk.order("BUY", "5", "100.50", "IOC")
    assert (at_once.status, at_once.filled_lots) == ("EXPIRED", 0)
    desk.bar(100.2, 100.0)
    assert rests.status == "FILLED"
    at_once = desk.order("BUY", "7", "100.50", "IOC")
    assert (at_once.status, desk.filled(at_once)) == ("EXPIRED", 5)


def test_a_reduce_only_rest_shrinks_with_the_position_and_never_turns_it() -> None:
    desk = Desk()
    desk.bar(100.0, 1_000.0)
    desk.order("BUY", "30")
    desk.bar(100.0, 100.0)
    leaves = desk.order("SELL", "30", reduce_only=True)
    assert desk.venue.lots == 20_00
    desk.bar(100.0, 50.0)
    assert desk.venue.lots == 15_00
    desk.order("SELL", "12")  # by hand, beside it: this bar has nothing left
    desk.bar(100.0, 1_000.0)
    assert not [order for order in desk.venue.account.resting.values() if order.reduce_only]
    assert leaves.status in {"FILLED", "EXPIRED"}
    assert desk.venue.lots == -12_00


def test_a_liquidation_is_whole_at_once_on_a_bar_that_has_nothing() -> None:
    desk = Desk(wallet=1_000, leverage=20)
    desk.bar(100.0, 1e4)
    desk.order("BUY", "50")
    desk.stop("SELL", "50", "99")
    desk.bar(98.5, 10.0)  # the stop takes what there is of it
    assert desk.venue.lots == 49_00
    _, down = desk.venue.levels()
    assert 95 < down < 97
    desk.bar(down, 0.0)
    assert not desk.venue.lots
    (forced,) = [event.fill for event in desk.events if event.execution == "CALCULATED" and event.fill]
    assert forced.lots == 49_00
    assert forced.price_ticks < round(down / desk.venue.tick)  # at what it costs a taker, not at the mark


def test_an_order_that_waits_for_the_next_bar_hides_none_that_lies_beyond_it() -> None:
    desk = Desk()
    desk.bar(100.0, 1e6)
    near, far = desk.order("SELL", "30", "101"), desk.order("SELL", "30", "103")
    assert desk.venue.levels()[0] == pytest.approx(101.01)
    desk.bar(102.0, 100.0)
    assert (desk.filled(near), desk.venue.waits) == (10, True)
    assert desk.venue.levels()[0] == pytest.approx(103.01)
    desk.bar(100.0, 100.0)
    assert (desk.filled(near), desk.venue.waits) == (10, False)
    assert desk.venue.levels()[0] == pytest.approx(101.01)
    desk.bar(104.0, 1e6)
    assert (desk.filled(near), desk.filled(far)) == (30, 30)


# ---- whatever happens ------------------------------------------------------------------------------------------------

ACT = st.one_of(
    st.tuples(st.just("market"), st.booleans(), st.integers(1, 60), st.just(0)),
    st.tuples(st.just("reduce"), st.booleans(), st.integers(1, 90), st.just(0)),
    st.tuples(st.sampled_from(["GTC", "IOC", "FOK"]), st.booleans(), st.integers(1, 60), st.integers(-30, 30)),
    st.tuples(st.just("stop"), st.booleans(), st.integers(1, 90), st.integers(1, 40)),
    st.tuples(st.just("cancel"), st.booleans(), st.just(0), st.just(0)),
)
BAR = st.tuples(st.integers(-60, 60), st.sampled_from([0.0, 0.05, 3.0, 40.0, 100.0, 777.7]), st.lists(ACT, max_size=3))


def act(desk: Desk, what: str, buy: bool, size: int, away: int) -> None:
    side, price = ("BUY" if buy else "SELL"), round(desk.venue.price + away / 10, 2)
    try:
        match what:
            case "market":
                desk.order(side, str(size))
            case "reduce":
                desk.order(side, str(size), reduce_only=True)
            case "stop":
                desk.stop(side, str(size), str(round(desk.venue.price + (away if buy else -away) / 10, 2)))
            case "cancel":
                limits = [order for order in desk.venue.account.resting.values() if order.price_ticks]
                for order in limits[:1]:
                    desk.venue.account.cancel(SOL, order.order_id, None, desk.now_ns // 1_000_000)
                desk.hear()
            case tif:
                desk.order(side, str(size), str(price), tif)
    except VenueError:
        pass  # a refusal leaves no trace


@settings(max_examples=150, deadline=None)
@given(st.lists(BAR, min_size=2, max_size=12))
def test_no_bar_gives_more_than_its_share_and_no_quantity_is_lost(bars: list[tuple[int, float, list[Any]]]) -> None:
    desk = Desk()
    ledger, tick = desk.venue.account.ledger, desk.venue.step
    price = 100.0
    for moved, volume, acts in bars:
        price = max(20.0, round(price + moved / 10, 2))
        seen = len(ledger.fills)
        desk.bar(price, volume)
        for one in acts:
            act(desk, *one)
        taken = sum(
            event.fill.lots for event in desk.events if event.fill in ledger.fills[seen:] and event.execution == "TRADE"
        )
        assert taken * tick <= SHARE * volume + 1e-6
        _books(desk)
        working = [order for order in desk.venue.account.resting.values() if order.type == "MARKET"]
        # what waits for the next bar has had all that this one had
        assert not working or taken == int(SHARE * volume / tick + 1e-6)
        assert bool(working) <= desk.venue.waits
    for _ in range(3):  # bars that trade enough for all: nothing at market is left, and no stop forgot its rest
        desk.bar(price, 1e6)
    _books(desk)
    assert all(order.price_ticks for order in desk.venue.account.resting.values())


def _books(desk: Desk) -> None:
    """[I6, I10] Every lot is some order's and in the position, and the money adds up."""
    account = desk.venue.account
    ledger = account.ledger
    by_order = Counter[int]()
    held = 0
    for fill in ledger.fills:
        by_order[fill.order_id] += fill.lots
        after = held + (fill.lots if fill.side_buy else -fill.lots)
        if ledger.orders[fill.order_id].reduce_only:
            assert abs(after) < abs(held), "a reduce-only order added"
            assert after * held >= 0, "a reduce-only order turned the position"
        held = after
    assert held == desk.venue.lots
    for order in ledger.orders.values():
        assert order.filled_lots == by_order[order.order_id] <= order.qty_lots
        if order.type == "MARKET" and order.status == "EXPIRED":
            assert order.reduce_only, "an order at market gave up"
        if order.tif in {"IOC", "FOK"}:
            assert not order.is_open
        if order.tif == "FOK":
            assert order.filled_lots in (0, order.qty_lots)
    incomes = sum((row.amount for row in ledger.incomes), ZERO)
    assert ledger.wallet == ledger.start + incomes
    assert ledger.wallet == ledger.start + ledger.realised - ledger.fees + ledger.funding + ledger.insurance


def played(bars: Bars, folder: Path, *, wallet: float, **more: Any) -> Result:
    directive = FAST.model_copy(update={"paper": PaperConfig(wallet=wallet)})
    order = {"symbol": SOL, "strategy": "auto", "directive": directive} | more
    return run(BacktestOrder(data=(written(bars, folder / "past.parquet"),), **order))


@pytest.mark.parametrize("seed", [2, 5])
def test_a_large_account_that_skips_is_the_one_that_steps(seed: int, tmp_path: Path) -> None:
    bars = walk(seed, 1_500, 3_600, swing=0.006, falls=8)
    silent = np.random.default_rng(seed).random(len(bars)) < 0.1
    bars = thin(bars, np.where(silent, 0.0, bars.volume))
    skipped = played(bars, tmp_path, wallet=3e6)
    stepped = played(bars, tmp_path, wallet=3e6, skipping=False)
    assert skipped.trades == stepped.trades
    assert skipped.decisions_hash == stepped.decisions_hash
    assert skipped.costs == stepped.costs
    taken = skipped.costs["participation"]
    assert taken["in_parts"] > 5
    assert taken["most_bars"] > 2
    assert taken["largest_pct"] <= 10 + 1e-6
    assert "orders were filled in parts, over up to" in report.text(skipped)
    assert "orders were filled in parts, over up to" in report.page(skipped)
    assert report.told(skipped)["costs"]["participation"] == taken


@pytest.mark.parametrize("seed", [2, 5])
def test_the_books_of_a_large_account_hold_and_the_core_knows_them(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drives, facts = [], []
    begun, heard = Drive.run, Record.heard
    monkeypatch.setattr(Drive, "run", lambda drive: (drives.append(drive), begun(drive)))
    monkeypatch.setattr(Record, "heard", lambda record, fact: (facts.append(fact), heard(record, fact)))
    monkeypatch.setattr("nexus_engine.lab.venue.KEPT_ROWS", 1 << 30)
    monkeypatch.setattr("nexus_engine.lab.backtest._Unsealed.digest", lambda ledger: "")
    bars = walk(seed, 1_500, 3_600, swing=0.006, falls=8)
    result = played(bars, tmp_path, wallet=3e6)
    (drive,) = drives
    assert result.costs["participation"]["in_parts"] > 5
    assert list(_broken(drive, facts)) == []
    # the bars' share, by the ledger's own times
    per_bar = Counter[int]()
    for fill in drive.venue.account.ledger.fills:
        per_bar[int(np.searchsorted(bars.open_ns, fill.at_ms * 1_000_000, side="right")) - 1] += fill.lots
    assert all(lots * drive.venue.step <= SHARE * bars.volume[bar] + 1e-6 for bar, lots in per_bar.items())
    closed = [trade for trade in result.trades if trade.reason != OPEN]
    assert len(closed) == len(drive.engine.ledger.closed)
    for trade, known in zip(closed, drive.engine.ledger.closed, strict=True):
        assert trade.net - trade.funding == pytest.approx(float(known.pnl), rel=1e-6, abs=0.01)


def _broken(drive: Drive, facts: Sequence[Any]) -> Iterator[str]:
    """The invariants, looked for in the venue's ledger and in what the engine wrote."""
    account, known = drive.venue.account, drive.engine.ledger
    ledger = account.ledger
    names = {
        order.order_id: ledger.algos[order.algo_id].client_id if order.algo_id else order.client_id
        for order in ledger.orders.values()
    }
    placed = [order.client_id for order in ledger.orders.values() if not order.algo_id]
    placed += [algo.client_id for algo in ledger.algos.values()]
    there = [order.client_id for order in account.resting.values() if not order.algo_id]
    there += [algo.client_id for algo in account.conditionals.open.values()]
    step = drive.venue.spec.step
    yield from doubled(placed)
    yield from unwritten(placed, facts)
    yield from orphans(there, known)
    yield from positions({SOL: drive.venue.lots * step}, known)
    yield from unequal(
        ((SOL, str(fill.trade_id), names[fill.order_id], fill.lots * step) for fill in ledger.fills), facts
    )
    yield from (line for line in Audit().walk(facts) if "[I12]" not in line)


def test_a_run_that_filled_nothing_says_so(tmp_path: Path) -> None:
    told = played(thin(walk(5, 400, 3_600, swing=0.006), 1e-9), tmp_path, wallet=1e6)
    assert not told.costs["participation"]["orders"]
    assert "at most 10 % of a bar's volume is taken: no order was filled\n" in report.text(told)


def test_a_smaller_share_of_a_bar_is_declared_with_the_costs(tmp_path: Path) -> None:
    bars = walk(5, 900, 3_600, swing=0.006)
    costs = msgspec.structs.replace(PLAIN, share=0.01)
    tenth, hundredth = played(bars, tmp_path, wallet=1e6), played(bars, tmp_path, wallet=1e6, costs=costs)
    assert hundredth.costs["participation"]["share_pct"] == 1.0
    assert 0.5 < hundredth.costs["participation"]["largest_pct"] <= 1.0 + 1e-6
    assert hundredth.costs["participation"]["in_parts"] >= tenth.costs["participation"]["in_parts"]
    assert max(trade.qty for trade in hundredth.trades) < max(trade.qty for trade in tenth.trades)
