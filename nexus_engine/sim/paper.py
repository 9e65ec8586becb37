"""Paper trading: a practice account on a live market, which it hears of as the engine does.

A taker walks the live book, and what it took is gone until the venue tells that level anew. A resting order fills when
the market trades through its price, never at its price: who stands before us in the queue is not known. Conditional
orders watch the mark; funding is paid by the venue's rates at the venue's times, those that nobody heard of included.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from decimal import Decimal
from typing import Final, TypeVar

from nexus_engine.model.book import OrderBook
from nexus_engine.model.effects import Cancel
from nexus_engine.model.events import (
    AnyEvent,
    BookDelta,
    BookInvalid,
    BookSnapshot,
    CancelResult,
    FeedStatus,
    Mark,
    SubmitResult,
    Trade,
)
from nexus_engine.model.instruments import Instrument
from nexus_engine.model.orders import Order
from nexus_engine.model.ports import Clock, Feed, Sink
from nexus_engine.model.verdicts import Reading
from nexus_engine.sim import orders as own
from nexus_engine.sim.account import Account
from nexus_engine.sim.broker import NS_PER_MS, PracticeBroker
from nexus_engine.sim.contract import Print
from nexus_engine.sim.paper_file import FILE, KEPT_ROWS, Funding, Kept, Owed, PaperError, Settled
from nexus_engine.sim.rules import VenueError
from nexus_engine.sim.specs import SPECS, SymbolSpec, ladder

WHOLE_BOOK: Final = 5_000
LESSER: Final = ladder(20, Decimal("0.05"))
"""Brackets of a contract whose own are not known: they are told to a key alone."""
INTERNAL: Final = -1001
LATE_NS: Final = 60_000_000_000
"""A mark that comes this long after a funding was not there when it was paid: its rate is asked for."""
HOUR_NS: Final = 3_600_000_000_000
AGAIN_S: Final = 30.0


R = TypeVar("R")


class _Side:
    """What we took of one side of a book and the venue has not told anew: lots by price in ticks."""

    def __init__(self) -> None:
        self.taken: dict[int, int] = {}

    def told(self, levels: Iterable[tuple[int, float]]) -> None:
        if self.taken:
            for ticks, _ in levels:
                self.taken.pop(ticks, None)


class _Market:
    """One symbol as we have heard of it."""

    def __init__(self, spec: SymbolSpec) -> None:
        self.spec = spec
        self.tick, self.step = float(spec.tick), float(spec.step)
        self.book = OrderBook()
        self.bids, self.asks = _Side(), _Side()
        self.mark = self.last = 0.0

    def levels(self, side_buy: bool) -> Iterable[tuple[int, int]]:
        """(ticks, lots) that a taker finds, best first."""
        levels = self.book.asks(WHOLE_BOOK) if side_buy else self.book.bids(WHOLE_BOOK)
        taken = (self.asks if side_buy else self.bids).taken
        for ticks, qty in levels:
            lots = math.floor(qty / self.step + 1e-6) - taken.get(ticks, 0)
            if lots > 0:
                yield ticks, lots


class PaperVenue:
    """The account and its live market."""

    def __init__(self, kept: Kept, clock: Clock) -> None:
        self._kept = kept
        self._clock = clock
        self.heard_ns = 0
        """The venue's clock, as last heard."""
        self._specs: dict[str, SymbolSpec] = {}
        self._markets: dict[str, _Market] = {}
        self.account = Account(self._specs, kept.ledger)

    def begin(self, instruments: Iterable[Instrument], leverage: int) -> None:
        """Take the contracts, isolated and at `leverage`. Raises PaperError when the account holds another one."""
        for instrument in instruments:
            spec = _spec(instrument)
            self._specs[spec.symbol] = spec
            self._markets.setdefault(spec.symbol, _Market(spec)).spec = spec
        ledger = self.account.ledger
        lost = [symbol for symbol, held in ledger.positions.items() if held.lots and symbol not in self._specs]
        if lost:
            raise PaperError(
                f"the paper account holds {', '.join(lost)}: add it to binance.symbols, or move {FILE} away"
            )
        for symbol in self._specs:
            if not self.account.position(symbol).lots:
                ledger.isolated.add(symbol)
                ledger.leverage[symbol] = min(leverage, self._specs[symbol].max_leverage)

    def take_events(self) -> list[own.UserEvent]:
        """What happened on the account since the last call."""
        events, self.account.events = self.account.events, []
        if events:
            self.account.ledger.shorten(KEPT_ROWS)
        return events

    # ---- the market is told ------------------------------------------------------------------------------------------

    def hear(self, event: AnyEvent) -> None:
        """Take an event of the feed; the account meets it."""
        market = self._markets.get(getattr(event, "symbol", ""))
        if market is None:
            return
        symbol, now_ms = market.spec.symbol, self._clock.utc_ns() // NS_PER_MS
        self.heard_ns = getattr(event, "venue_ns", self.heard_ns)
        self._sleep_through(symbol)
        if isinstance(event, BookDelta):
            if market.book.valid:
                market.book.delta(event.bids, event.asks, event.update_id)
                market.bids.told(event.bids)
                market.asks.told(event.asks)
                if market.book.crossed:
                    market.book.invalidate()  # as the engine does; the feed reads it anew
                elif self.account.resting:
                    self.account.match(symbol, [], now_ms, self)
        elif isinstance(event, BookSnapshot):
            market.book.snapshot(event.bids, event.asks, event.update_id)
            market.bids.taken.clear()
            market.asks.taken.clear()
            if market.book.crossed:
                market.book.invalidate()
        elif isinstance(event, BookInvalid):
            market.book.invalidate()
        elif isinstance(event, Trade):
            self._trade(market, event, now_ms)
        elif isinstance(event, Mark):
            self._mark(market, event, now_ms)

    def _trade(self, market: _Market, event: Trade, now_ms: int) -> None:
        market.last = event.price
        if not self.account.resting:
            return
        # one tick short of where it was: only a trade beyond an order's price then reaches it
        ticks = round(event.price / market.tick) + (1 if event.buyer_is_maker else -1)
        lots = math.floor(event.qty / market.step + 1e-6)
        if lots:
            public = Print(ticks, lots, event.buyer_is_maker, event.venue_ns)
            self.account.match(market.spec.symbol, [public], now_ms, self)

    def _mark(self, market: _Market, event: Mark, now_ms: int) -> None:
        symbol, account = market.spec.symbol, self.account
        market.mark = event.mark
        account.expire(now_ms)
        due = self._kept.funding.get(symbol)
        if due is not None and event.next_funding_ns > due.next_ns and event.venue_ns >= due.next_ns:
            account.fund(symbol, due.rate, now_ms, self)
        self._kept.funding[symbol] = Funding(event.funding_rate, event.next_funding_ns)
        for owed in self._kept.owed:
            if owed.symbol == symbol and not owed.until_ns:
                owed.until_ns = event.next_funding_ns
        if not market.book.valid:
            return  # there is nothing that a stop could be filled from
        last = self.last(symbol) / market.tick
        account.conditionals.trigger(symbol, last, last, now_ms, self)
        held = [name for name, position in account.ledger.positions.items() if position.lots]
        if all(self._markets[name].mark and self._markets[name].book.valid for name in held):
            account.liquidation.check(now_ms, self)

    # ---- fundings that nobody heard of -------------------------------------------------------------------------------

    def _sleep_through(self, symbol: str) -> None:
        """Whoever was away when a funding was due does not know its rate, nor how many there were."""
        due = self._kept.funding.get(symbol)
        if due is None or self.heard_ns <= due.next_ns + LATE_NS:
            return
        del self._kept.funding[symbol]
        if lots := self.account.position(symbol).lots:
            self._kept.owed.append(Owed(symbol=symbol, lots=lots, since_ns=due.next_ns))

    @property
    def owed(self) -> Owed | None:
        """Fundings to be asked for, None when all are paid that can be: a symbol may have left the directive."""
        return next((owed for owed in self._kept.owed if owed.until_ns and owed.symbol in self._specs), None)

    def settle(self, owed: Owed, fundings: Iterable[Settled]) -> None:
        """Pay what was owed, each at its own rate and mark, for what was held."""
        now_ms = self._clock.utc_ns() // NS_PER_MS
        for one in fundings:
            if owed.since_ns <= one.at_ns < owed.until_ns:
                mark = one.mark or self.mark(owed.symbol)
                self.account.charge(owed.symbol, owed.lots, mark, one.rate, now_ms, self)
        self._kept.owed.remove(owed)

    # ---- liquidity for the account -----------------------------------------------------------------------------------

    def consume(self, symbol: str, side_buy: bool, qty_lots: int, limit_ticks: int | None) -> list[tuple[int, int]]:
        market = self._markets[symbol]
        taken = (market.asks if side_buy else market.bids).taken
        found: list[tuple[int, int]] = []
        for ticks, lots in market.levels(side_buy):
            if not qty_lots or (limit_ticks is not None and (ticks > limit_ticks if side_buy else ticks < limit_ticks)):
                break
            part = min(lots, qty_lots)
            qty_lots -= part
            taken[ticks] = taken.get(ticks, 0) + part
            found.append((ticks, part))
        return found

    def touch(self, symbol: str) -> tuple[int, int]:
        book = self._markets[symbol].book
        bid, ask = book.best_bid, book.best_ask
        if bid is None or ask is None:
            raise VenueError(INTERNAL)
        return bid[0], ask[0]

    def available(self, symbol: str, side_buy: bool, limit_ticks: int) -> int:
        levels = self._markets[symbol].levels(side_buy)
        return sum(lots for ticks, lots in levels if (ticks <= limit_ticks if side_buy else ticks >= limit_ticks))

    def mark(self, symbol: str) -> float:
        """The venue's; before it has told one, the nearest that there is."""
        market = self._markets[symbol]
        return market.mark or self.last(symbol)

    def last(self, symbol: str) -> float:
        market = self._markets[symbol]
        bid = market.book.best_bid
        return market.last or market.mark or (bid[0] * market.tick if bid else self._entry(symbol))

    def _entry(self, symbol: str) -> float:
        return float(self.account.position(symbol).entry(self._specs[symbol].step))


Keep = Callable[[], Awaitable[None]]
"""Returns when the account, as it is at the call or later, is kept."""
Ask = Callable[[Owed], Awaitable[Sequence[Settled] | None]]
"""The fundings of a symbol from a time on; None when the venue cannot be asked now."""


class PaperBroker(PracticeBroker):
    """Feed and Broker: the live feed's events go to the account first; what happens there follows when it is kept."""

    practice: PaperVenue

    def __init__(
        self, practice: PaperVenue, feed: Feed, clock: Clock, latency_ms: int, *, keep: Keep, ask: Ask
    ) -> None:
        super().__init__(practice, clock, latency_ms)
        self._feed = feed
        self._keep = keep
        self._ask = ask
        self._owing = asyncio.Event()
        self._sink: Sink | None = None

    async def run(self, sink: Sink) -> None:
        """Deliver until cancelled."""
        self._sink = sink
        hear = self.practice.hear

        def heard(event: AnyEvent) -> None:
            hear(event)
            sink(event)
            self._tell_user(sink)
            if self.practice.owed is not None:
                self._owing.set()

        sink(
            FeedStatus(
                at_ns=self._clock.utc_ns(), mono_ns=self._clock.mono_ns(), venue=self.venue, feed="user", up=True
            )
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pay_late(sink))
                await self._feed.run(heard)
        finally:
            for task in self._late:
                task.cancel()
            await asyncio.gather(*self._late, return_exceptions=True)

    async def submit(self, order: Order) -> SubmitResult:
        """Fills follow as the account's own events."""
        return await self._told(await super().submit(order))

    async def cancel(self, cancel: Cancel) -> CancelResult:
        return await self._told(await super().cancel(cancel))

    async def _told(self, result: R) -> R:
        if self._sink is not None:
            self._tell_user(self._sink)
        await self._keep()
        return result

    async def _later(self, sink: Sink, events: list[own.UserEvent]) -> None:
        await self._keep()
        await super()._later(sink, events)

    async def _pay_late(self, sink: Sink) -> None:
        """Ask for the fundings that were slept through, until the venue has told them all."""
        while True:
            await self._owing.wait()
            while (owed := self.practice.owed) is not None:
                # fundings are on the hour, and listed some seconds later
                young_ns = LATE_NS - self.practice.heard_ns % HOUR_NS
                found = await self._ask(owed) if young_ns <= 0 else None
                if found is None:
                    await asyncio.sleep(AGAIN_S)
                else:
                    self.practice.settle(owed, found)
                    self._tell_user(sink)
            self._owing.clear()

    # ---- what else a feed is asked -----------------------------------------------------------------------------------

    def resync(self, symbol: str, reason: str) -> None:
        """See Feed."""
        self._feed.resync(symbol, reason)

    @property
    def problem(self) -> str:
        """See Feed."""
        return self._feed.problem

    def readings(self) -> tuple[Reading, ...]:
        """See Feed."""
        return self._feed.readings()


def _spec(instrument: Instrument) -> SymbolSpec:
    known = SPECS.get(instrument.symbol)
    return SymbolSpec(
        symbol=instrument.symbol,
        base=instrument.base,
        tick=instrument.tick,
        step=instrument.step,
        price_precision=instrument.price_digits,
        qty_precision=instrument.qty_digits,
        min_qty=instrument.min_qty,
        max_qty=instrument.max_qty,
        market_max_qty=instrument.market_max_qty,
        min_notional=instrument.min_notional,
        brackets=LESSER if known is None else known.brackets,
    )
