"""What holds for every sequence of orders on the generated market: money is conserved, nothing reduces past zero."""

import itertools
from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_engine.sim.ledger import Ledger
from nexus_engine.sim.market import Market
from nexus_engine.sim.orders import POSITION_SIDES, ZERO, NewAlgo, NewOrder, closes, held
from nexus_engine.sim.rules import VenueError
from nexus_engine.sim.venue import Venue

START_NS = 1_795_337_955_000_000_000
SYMBOLS = ("BTCUSDT", "SOLUSDT", "DOGEUSDT")
STEP = st.tuples(
    st.sampled_from(
        (
            "market",
            "limit",
            "reduce",
            "stop",
            "close_all",
            "cancel",
            "wait",
            "leverage",
            "isolate",
            "margin",
            "adl",
            "force",
        )
    ),
    st.sampled_from(SYMBOLS),
    st.booleans(),
    st.integers(1, 60),  # size in hundreds of USDT
    st.integers(-8, 8),  # distance of a price, in thousandths of a percent
)


class Trader:
    def __init__(self, seed: int, hedge: bool = False) -> None:
        self.hedge = hedge
        self.venue = Venue(Market(seed=seed, scenario="range", start_ns=START_NS))
        if hedge:
            self.venue.account.set_hedge(True)
        self.now_ns = START_NS
        self.count = 0

    def act(self, action: str, symbol: str, buy: bool, size: int, distance: int) -> None:
        venue, account = self.venue, self.venue.account
        spec, now_ms = venue.market.specs[symbol], self.now_ns // 1_000_000
        self.count += 1
        side, client_id = ("BUY" if buy else "SELL"), f"t{self.count}"
        last = Decimal(str(venue.last(symbol)))
        quantity = (Decimal(100 * size) / last) // spec.step * spec.step
        price = last * (100_000 + distance * 10) // 100_000 // spec.tick * spec.tick
        position_side = ("LONG" if distance % 2 else "SHORT") if self.hedge else "BOTH"
        common = {"symbol": symbol, "side": side, "client_id": client_id, "position_side": position_side}
        try:
            match action:
                case "market":
                    account.place(NewOrder(type="MARKET", quantity=quantity, **common), now_ms, venue)
                case "limit":
                    account.place(NewOrder(type="LIMIT", quantity=quantity, price=price, **common), now_ms, venue)
                case "reduce":
                    self.reduce(
                        NewOrder(type="MARKET", quantity=quantity * 3, reduce_only=not self.hedge, **common), now_ms
                    )
                case "stop" | "close_all":
                    close = action == "close_all"
                    request = NewAlgo(
                        type="STOP_MARKET", trigger_price=price, quantity=None if close else quantity,
                        reduce_only=not close and not self.hedge, close_position=close, **common,
                    )  # fmt: skip
                    account.conditionals.place(request, now_ms, venue)
                case "cancel":
                    account.cancel_all(symbol, now_ms)
                case "leverage":
                    account.set_leverage(symbol, size, now_ms)
                case "isolate":
                    account.set_margin_type(symbol, isolated=buy)
                case "margin":
                    account.move_margin(symbol, position_side, Decimal(size if buy else -size), now_ms, venue)
                case "adl":
                    account.liquidation.deleverage(symbol, position_side, now_ms, venue)
                case "force":
                    if account.position(held(symbol, position_side)).lots:
                        account.liquidation.close(symbol, position_side, now_ms, venue)
                case "wait":
                    venue.advance(size * 50_000_000, self.now_ns)
        except VenueError:
            pass  # a refusal is an answer; what matters is that it leaves the books in order
        self.now_ns += 100_000_000

    def reduce(self, request: NewOrder, now_ms: int) -> None:
        name = held(request.symbol, request.position_side)
        before = self.venue.account.position(name).lots
        self.venue.account.place(request, now_ms, self.venue)
        after = self.venue.account.position(name).lots
        assert before * after >= 0, "a reduce-only order turned the position"
        assert abs(after) <= abs(before) or not (
            request.reduce_only or closes(request.position_side, request.side == "BUY")
        )

    def check(self) -> None:
        ledger = self.venue.account.ledger
        assert ledger.wallet == ledger.start + ledger.realised - ledger.fees + ledger.funding + ledger.insurance
        assert ledger.wallet == ledger.start + sum((row.amount for row in ledger.incomes), ZERO)
        traded = sum((fill.notional if fill.side_buy else -fill.notional for fill in ledger.fills), ZERO)
        assert ledger.realised == sum((p.cost for p in ledger.positions.values()), ZERO) - traded
        for symbol, side in itertools.product(SYMBOLS, POSITION_SIDES[self.hedge]):
            mine = [fill for fill in ledger.fills if (fill.symbol, fill.position_side) == (symbol, side)]
            lots = sum(fill.lots if fill.side_buy else -fill.lots for fill in mine)
            assert lots == self.venue.account.position(held(symbol, side)).lots
            assert side == "BOTH" or lots * (1 if side == "LONG" else -1) >= 0, "a hedged position turned"
        for order in ledger.orders.values():
            filled = sum(fill.lots for fill in ledger.fills if fill.order_id == order.order_id)
            assert filled == order.filled_lots <= order.qty_lots
            assert order.is_open == (order.order_id in self.venue.account.resting)
        for order in self.venue.account.resting.values():
            lots = self.venue.account.position(order.held).lots
            assert not order.reduces or lots * (1 if order.side_buy else -1) < 0


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.booleans(), st.lists(STEP, min_size=5, max_size=40))
def test_money_is_conserved_whatever_is_traded(
    seed: int, hedge: bool, steps: list[tuple[str, str, bool, int, int]]
) -> None:
    trader = Trader(seed, hedge)
    for step in steps:
        trader.act(*step)
        trader.check()


STEPS = [
    (action, symbol, i % 3 != 0, 5 + i, i % 9 - 4)
    for i in range(12)
    for symbol in SYMBOLS
    for action in ("market", "limit", "stop", "wait", "reduce")
]


def test_the_same_seed_and_calls_give_the_same_ledger() -> None:
    ledgers: list[bytes] = []
    for _ in range(2):
        trader = Trader(7)
        for step in STEPS:
            trader.act(*step)
        ledgers.append(msgspec.json.encode(trader.venue.account.ledger))
    assert ledgers[0] == ledgers[1]
    assert len(trader.venue.account.ledger.fills) > 50
    assert msgspec.json.encode(msgspec.json.decode(ledgers[0], type=Ledger)) == ledgers[0]


def test_funding_is_paid_when_market_time_passes_eight_o_clock() -> None:
    eight_ns = (START_NS // 28_800_000_000_000 + 1) * 28_800_000_000_000
    venue = Venue(Market(seed=1, scenario="calm", start_ns=eight_ns - 1_000_000_000))
    buy = NewOrder(symbol="BTCUSDT", side="BUY", type="MARKET", quantity=Decimal("0.1"), client_id="f")
    venue.account.place(buy, 0, venue)
    rate = venue.market.funding_rate("BTCUSDT")
    venue.advance(2_000_000_000, 0)
    (row,) = [row for row in venue.account.ledger.incomes if row.kind == "FUNDING_FEE"]
    assert row.amount * Decimal(str(rate)) < 0
    assert [paid.at_ns for paid in venue.funding_paid] == [eight_ns] * len(venue.market.symbols)
    venue.advance(2_000_000_000, 0)
    assert len(venue.funding_paid) == len(venue.market.symbols)
