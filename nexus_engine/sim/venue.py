"""The practice venue: a market and one account, glued. Pure: both clocks are passed in, what happened is drained.

Two clocks: the market's own (tape, bars, marks, funding; `market.now_ns`) and the account's (`now_ms`, real time on the
server), so a market may run faster than the clients' deadlines.
"""

from collections import deque
from collections.abc import Mapping
from typing import Protocol

import msgspec

from nexus_engine.sim.account import Account
from nexus_engine.sim.bars import Bar
from nexus_engine.sim.book import Book
from nexus_engine.sim.contract import Print
from nexus_engine.sim.ledger import Ledger
from nexus_engine.sim.orders import UserEvent
from nexus_engine.sim.specs import SymbolSpec
from nexus_engine.sim.wire import MS, Diff, FundingPaid, Scale, Trade

KEPT_TRADES = 1000
FRESH_TRADES = 20_000  # of a symbol that nobody publishes; older ones are forgotten
LISTED_ROWS = 1000
"""Of what is closed, as many stay listed while the venue runs: as many as its longest page has."""
LONGEST_STEP_NS = 2_000_000_000
USUAL_STEP_NS = 500_000_000
USUAL_STEPS = 8


class Tape(Protocol):
    """A market as the venue uses it: the generated one, or a recording played back."""

    now_ns: int

    @property
    def symbols(self) -> tuple[str, ...]: ...
    @property
    def specs(self) -> Mapping[str, SymbolSpec]: ...
    def step(self, dt_ns: int) -> None: ...
    def prints(self, symbol: str) -> list[Print]: ...
    def book(self, symbol: str, depth: int | None = None) -> Book: ...
    def diff(self, symbol: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]: ...
    def mark(self, symbol: str) -> float: ...
    def index(self, symbol: str) -> float: ...
    def last(self, symbol: str) -> float: ...
    def funding_rate(self, symbol: str) -> float: ...
    def next_funding_ns(self) -> int: ...
    def consume(self, symbol: str, side_buy: bool, qty_lots: int, limit_ticks: int | None) -> list[tuple[int, int]]: ...
    def bars(
        self, symbol: str, interval: str, *, end_ns: int | None = None, start_ns: int | None = None, limit: int = 500
    ) -> list[Bar]: ...
    def forming(self, symbol: str, interval: str) -> Bar: ...
    def ticker(self, symbol: str) -> dict[str, float]: ...
    def prices(self) -> dict[str, float]: ...


class Update(msgspec.Struct, frozen=True):
    """What the public sees of one symbol since the last publication."""

    diff: Diff | None
    trades: list[Trade]
    aggregates: list[Trade]


class _Line:
    """One symbol's running numbers: update ids, trade ids, the trades kept for REST."""

    __slots__ = ("aggregates", "fresh", "last_id", "next_agg", "next_trade", "touched", "trades")

    def __init__(self, first_id: int) -> None:
        self.last_id = first_id
        self.touched = 0  # times a client took liquidity since the last diff
        self.next_trade = first_id // 10
        self.next_agg = first_id // 20
        self.fresh: deque[Trade] = deque(maxlen=FRESH_TRADES)
        self.trades: deque[Trade] = deque(maxlen=KEPT_TRADES)
        self.aggregates: deque[Trade] = deque(maxlen=KEPT_TRADES)

    def next_first_id(self) -> int:
        """U of the next diff. As on the futures venue it is not pu + 1: other symbols' updates lie between."""
        return self.last_id + 13 + self.last_id % 97


class Venue:
    def __init__(self, market: Tape, ledger: Ledger | None = None) -> None:
        self.market = market
        self.account = Account(market.specs, ledger)
        self.scales = {symbol: Scale(market.specs[symbol]) for symbol in market.symbols}
        self.funding_paid: deque[FundingPaid] = deque(maxlen=KEPT_TRADES)
        self._lines = {
            symbol: _Line(5_000_000_000_000 + 1_000_000 * i + market.now_ns // MS % 1_000_000_000)
            for i, symbol in enumerate(market.symbols)
        }

    # -- time ---------------------------------------------------------------------------------------------------------

    def advance(self, dt_ns: int, now_real_ns: int) -> None:
        """Advance by any span in steps the market can take: half a second each while eight of them suffice."""
        count = max(min(USUAL_STEPS, -(-dt_ns // USUAL_STEP_NS)), -(-dt_ns // LONGEST_STEP_NS))
        for i in range(count):
            self.step(dt_ns * (i + 1) // count - dt_ns * i // count, now_real_ns)

    def step(self, dt_ns: int, now_real_ns: int) -> None:
        """The market moves; resting orders match, conditional ones trigger on it, funding and liquidation follow."""
        market = self.market
        funding_ns = market.next_funding_ns()
        rates = {symbol: market.funding_rate(symbol) for symbol in market.symbols}
        market.step(dt_ns)
        self.settle(now_real_ns)
        if market.now_ns >= funding_ns:
            for symbol, rate in rates.items():
                self.funding_paid.append(FundingPaid(symbol, rate, market.mark(symbol), funding_ns))
                self.account.fund(symbol, rate, now_real_ns // MS, self)

    def settle(self, now_real_ns: int) -> None:
        """Let the account meet what the market did since the last call."""
        now_ms, account = now_real_ns // MS, self.account
        account.expire(now_ms)
        for symbol in self.market.symbols:
            prints = self.market.prints(symbol)
            self._record(symbol, prints)
            account.match(symbol, prints, now_ms, self)
            ticks = [public.price_ticks for public in prints]
            last = self.last(symbol) * self.scales[symbol].ticks
            account.conditionals.trigger(symbol, min(ticks, default=last), max(ticks, default=last), now_ms, self)
        account.liquidation.check(now_ms, self)

    def take_events(self) -> list[UserEvent]:
        """The account's events since the last call."""
        events, self.account.events = self.account.events, []
        if events:
            self.account.ledger.shorten(LISTED_ROWS)
        return events

    # -- the public tape ----------------------------------------------------------------------------------------------

    def _record(self, symbol: str, prints: list[Print]) -> None:
        line = self._lines[symbol]
        for public in prints:
            i = line.next_trade
            line.next_trade += 1
            line.fresh.append(Trade(i, public.price_ticks, public.qty_lots, i, i, public.buyer_is_maker, public.at_ns))

    def publish(self, symbol: str) -> Update:
        """Everything since the last publication: one diff, the trades, and the same put together by price and side."""
        line = self._lines[symbol]
        trades = list(line.fresh)
        line.fresh.clear()
        line.trades.extend(trades)
        aggregates = self._aggregate(line, trades)
        line.aggregates.extend(aggregates)
        return Update(self._next_diff(symbol, line), trades, aggregates)

    @staticmethod
    def _aggregate(line: _Line, trades: list[Trade]) -> list[Trade]:
        groups: dict[tuple[int, bool], list[Trade]] = {}
        for trade in trades:
            groups.setdefault((trade.price_ticks, trade.buyer_is_maker), []).append(trade)
        rows = []
        for (price_ticks, buyer_is_maker), group in groups.items():
            lots = sum(trade.lots for trade in group)
            first, last = group[0], group[-1]
            rows.append(
                Trade(line.next_agg, price_ticks, lots, first.trade_id, last.trade_id, buyer_is_maker, last.at_ns)
            )
            line.next_agg += 1
        return rows

    def _next_diff(self, symbol: str, line: _Line) -> Diff | None:
        bids, asks = self.market.diff(symbol)
        if not bids and not asks:
            return None
        first_id, previous_id = line.next_first_id(), line.last_id
        line.last_id = first_id + line.touched + len(bids) + len(asks)
        line.touched = 0
        return Diff(first_id, line.last_id, previous_id, bids, asks, self.market.now_ns)

    def depth(self, symbol: str, limit: int) -> tuple[int, Book]:
        """A snapshot and its update id.

        The id lies inside the next diff (U <= id <= u), so a client that began to buffer just now can go on from it;
        quantities being absolute, what the snapshot already holds of that diff does no harm.
        """
        line = self._lines[symbol]
        return line.next_first_id() + line.touched, self.market.book(symbol, limit)

    def last_update_id(self, symbol: str) -> int:
        return self._lines[symbol].last_id

    def trades(self, symbol: str) -> deque[Trade]:
        return self._lines[symbol].trades

    def aggregates(self, symbol: str) -> deque[Trade]:
        return self._lines[symbol].aggregates

    # -- liquidity for the account ------------------------------------------------------------------------------------

    def consume(self, symbol: str, side_buy: bool, qty_lots: int, limit_ticks: int | None) -> list[tuple[int, int]]:
        fills = self.market.consume(symbol, side_buy, qty_lots, limit_ticks)
        self._lines[symbol].touched += len(fills)
        # recorded at once, so that the account's own resting orders are never matched with its own trades
        self._record(symbol, self.market.prints(symbol))
        return fills

    def touch(self, symbol: str) -> tuple[int, int]:
        book = self.market.book(symbol, 1)
        return book.bids[0][0], book.asks[0][0]

    def available(self, symbol: str, side_buy: bool, limit_ticks: int) -> int:
        book = self.market.book(symbol)
        if side_buy:
            return sum(lots for ticks, lots in book.asks if ticks <= limit_ticks)
        return sum(lots for ticks, lots in book.bids if ticks >= limit_ticks)

    def mark(self, symbol: str) -> float:
        return self.market.mark(symbol)

    def last(self, symbol: str) -> float:
        return self.market.last(symbol)
