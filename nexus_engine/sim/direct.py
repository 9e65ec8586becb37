"""Feed and Broker straight onto a practice venue, without a socket.

Deterministic simulation and the backtests run the same core and carrier on these ports; everything happens on the
clock and the loop that are passed in, answers and user events arrive `latency_ms` later.
"""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from nexus_engine.model.effects import Cancel, Query
from nexus_engine.model.events import (
    AccountUpdate,
    Bar,
    BarRow,
    BookDelta,
    BookSnapshot,
    CancelResult,
    FeedStatus,
    History,
    Instruments,
    Mark,
    OrderUpdate,
    QueryResult,
    SubmitResult,
    Trade,
    VenueSnapshot,
)
from nexus_engine.model.instruments import Instrument
from nexus_engine.model.orders import Fill, Order, OrderReport, PositionReport
from nexus_engine.model.ports import Clock, Sink
from nexus_engine.model.words import OrderStatus, Outcome, Side, Venue
from nexus_engine.sim import bars as candles
from nexus_engine.sim import orders as own
from nexus_engine.sim.rules import VenueError
from nexus_engine.sim.venue import Venue as PracticeVenue

TICK_MS: Final = 100
MARK_EVERY: Final = 10
FEEDS: Final = ("public", "market", "user")
NS_PER_MS: Final = 1_000_000
TRIGGERING_MS: Final = 1_000
"""As the adapter of the real venue: what triggers for longer is not known to protect."""

_STATUS: Final = {
    "NEW": OrderStatus.OPEN,
    "PARTIALLY_FILLED": OrderStatus.PARTIAL,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELED,
    "EXPIRED": OrderStatus.EXPIRED,
    "TRIGGERING": OrderStatus.OPEN,
    "TRIGGERED": OrderStatus.OPEN,
    "FINISHED": OrderStatus.FILLED,
    "REJECTED": OrderStatus.REJECTED,
}


class Direct:
    """One practice venue as seen by one account. Implements Feed and Broker."""

    venue = Venue.BINANCE

    def __init__(
        self,
        practice: PracticeVenue,
        clock: Clock,
        *,
        intervals: Sequence[str],
        warmup_bars: int,
        speed: float = 1.0,
        latency_ms: int = 20,
    ) -> None:
        self.practice = practice
        self._clock = clock
        self._intervals = tuple(dict.fromkeys((*intervals, "1m")))
        self._warmup_bars = warmup_bars
        self._speed = speed
        self._latency_s = latency_ms / 1_000
        self._formed: dict[tuple[str, str], int] = {}
        self._late: list[asyncio.Task[None]] = []

    # ---- feed --------------------------------------------------------------------------------------------------------

    async def run(self, sink: Sink) -> None:
        """Tell the past, then the tape: a publication every 100 ms of the clock, until cancelled."""
        self._begin(sink)
        ticks = 0
        while True:
            await asyncio.sleep(TICK_MS / 1_000)
            self.practice.advance(int(TICK_MS * NS_PER_MS * self._speed), self._clock.utc_ns())
            ticks += 1
            for symbol in self.practice.market.symbols:
                self._publish(sink, symbol, marks=ticks % MARK_EVERY == 0)
            self._tell_user(sink)

    def instruments(self) -> tuple[Instrument, ...]:
        """The grids of the practice venue's contracts."""
        return tuple(
            Instrument(
                symbol=spec.symbol,
                base=spec.base,
                tick=spec.tick,
                step=spec.step,
                min_qty=spec.min_qty,
                max_qty=spec.max_qty,
                market_max_qty=spec.market_max_qty,
                min_notional=spec.min_notional,
            )
            for spec in self.practice.market.specs.values()
        )

    def _begin(self, sink: Sink) -> None:
        at, mono = self._clock.utc_ns(), self._clock.mono_ns()
        sink(Instruments(at_ns=at, mono_ns=mono, instruments=self.instruments()))
        market = self.practice.market
        for symbol in market.symbols:
            for interval in self._intervals:
                rows = [bar for bar in market.bars(symbol, interval, limit=self._warmup_bars + 1) if bar.closed]
                history = tuple(
                    BarRow(bar.open_ns, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.trades) for bar in rows
                )
                sink(History(at_ns=at, mono_ns=mono, symbol=symbol, interval=interval, bars=history))
                self._formed[symbol, interval] = market.forming(symbol, interval).open_ns
            self.practice.publish(symbol)
            update_id, book = self.practice.depth(symbol, 1_000)
            step = float(market.specs[symbol].step)
            sink(
                BookSnapshot(
                    at_ns=at,
                    mono_ns=mono,
                    symbol=symbol,
                    update_id=update_id,
                    bids=tuple((ticks, lots * step) for ticks, lots in book.bids),
                    asks=tuple((ticks, lots * step) for ticks, lots in book.asks),
                    venue_ns=market.now_ns,
                )
            )
            self._mark(sink, symbol)
        for feed in FEEDS:
            sink(FeedStatus(at_ns=at, mono_ns=mono, venue=self.venue, feed=feed, up=True))

    def _publish(self, sink: Sink, symbol: str, *, marks: bool) -> None:
        at, mono = self._clock.utc_ns(), self._clock.mono_ns()
        market = self.practice.market
        spec = market.specs[symbol]
        tick, step = float(spec.tick), float(spec.step)
        update = self.practice.publish(symbol)
        if update.diff is not None:
            sink(
                BookDelta(
                    at_ns=at,
                    mono_ns=mono,
                    symbol=symbol,
                    update_id=update.diff.last_id,
                    bids=tuple((ticks, lots * step) for ticks, lots in update.diff.bids),
                    asks=tuple((ticks, lots * step) for ticks, lots in update.diff.asks),
                    venue_ns=update.diff.at_ns,
                )
            )
        for trade in update.aggregates:
            sink(
                Trade(
                    at_ns=at,
                    mono_ns=mono,
                    symbol=symbol,
                    price=trade.price_ticks * tick,
                    qty=trade.lots * step,
                    buyer_is_maker=trade.buyer_is_maker,
                    venue_ns=trade.at_ns,
                )
            )
        if marks:
            self._mark(sink, symbol)
        for interval in self._intervals:
            self._bars(sink, symbol, interval, at, mono, forming=marks)

    def _mark(self, sink: Sink, symbol: str) -> None:
        market = self.practice.market
        sink(
            Mark(
                at_ns=self._clock.utc_ns(),
                mono_ns=self._clock.mono_ns(),
                symbol=symbol,
                mark=market.mark(symbol),
                index=market.index(symbol),
                funding_rate=market.funding_rate(symbol),
                next_funding_ns=market.next_funding_ns(),
                venue_ns=market.now_ns,
            )
        )

    def _bars(self, sink: Sink, symbol: str, interval: str, at: int, mono: int, *, forming: bool) -> None:
        market = self.practice.market
        now = market.forming(symbol, interval)
        known = self._formed[symbol, interval]
        if now.open_ns > known:
            self._formed[symbol, interval] = now.open_ns
            for bar in market.bars(symbol, interval, start_ns=known, end_ns=now.open_ns - 1):
                sink(_bar(bar, symbol, interval, at, mono, market.now_ns))
        if forming:
            sink(_bar(now, symbol, interval, at, mono, market.now_ns))

    def _tell_user(self, sink: Sink) -> None:
        events = self.practice.take_events()
        if not events:
            return
        self._late = [task for task in self._late if not task.done()]
        self._late.append(asyncio.get_running_loop().create_task(self._later(sink, events)))

    async def _later(self, sink: Sink, events: list[own.UserEvent]) -> None:
        await asyncio.sleep(self._latency_s)
        at, mono = self._clock.utc_ns(), self._clock.mono_ns()
        for event in events:
            if isinstance(event, own.OrderEvent):
                fill = None if event.fill is None else self._fill(event.fill, event.order)
                sink(OrderUpdate(at_ns=at, mono_ns=mono, report=self._report(event.order), fill=fill))
            elif isinstance(event, own.AlgoEvent):
                sink(OrderUpdate(at_ns=at, mono_ns=mono, report=self._algo_report(event.algo)))
            elif isinstance(event, own.AccountEvent):
                report = PositionReport(
                    symbol=event.position.symbol, qty=event.position.amount, entry=event.position.entry
                )
                sink(
                    AccountUpdate(
                        at_ns=at,
                        mono_ns=mono,
                        wallet=event.wallet,
                        positions=(report,),
                        venue_ns=event.at_ms * NS_PER_MS,
                    )
                )

    # ---- broker ------------------------------------------------------------------------------------------------------

    async def submit(self, order: Order) -> SubmitResult:
        await asyncio.sleep(self._latency_s)
        account, now_ms = self.practice.account, self._now_ms()
        try:
            if order.conditional:
                algo = account.conditionals.place(
                    own.NewAlgo(
                        symbol=order.symbol,
                        side=order.side.value,
                        type=order.kind.value,
                        quantity=order.qty,
                        trigger_price=order.trigger,
                        working_type="MARK_PRICE",
                        reduce_only=order.reduce_only,
                        client_id=order.client_id,
                    ),
                    now_ms,
                    self.practice,
                )
                report = self._algo_report(algo)
            else:
                placed = account.place(
                    own.NewOrder(
                        symbol=order.symbol,
                        side=order.side.value,
                        type=order.kind.value,
                        quantity=order.qty,
                        price=order.price,
                        tif=order.tif.value,
                        reduce_only=order.reduce_only,
                        client_id=order.client_id,
                    ),
                    now_ms,
                    self.practice,
                )
                report = self._report(placed)
        except VenueError as error:
            return SubmitResult(
                at_ns=self._clock.utc_ns(),
                mono_ns=self._clock.mono_ns(),
                client_id=order.client_id,
                outcome=Outcome.REFUSED,
                code=error.code,
                text=str(error),
            )
        await asyncio.sleep(self._latency_s)
        return SubmitResult(
            at_ns=self._clock.utc_ns(),
            mono_ns=self._clock.mono_ns(),
            client_id=order.client_id,
            outcome=Outcome.DONE,
            report=report,
        )

    async def cancel(self, cancel: Cancel) -> CancelResult:
        await asyncio.sleep(self._latency_s)
        account, outcome, code, text = self.practice.account, Outcome.DONE, 0, ""
        try:
            if cancel.conditional:
                account.conditionals.cancel(None, cancel.client_id, self._now_ms())
            else:
                account.cancel(cancel.symbol, None, cancel.client_id, self._now_ms())
        except VenueError as error:
            outcome, code, text = Outcome.REFUSED, error.code, str(error)
        return CancelResult(
            at_ns=self._clock.utc_ns(),
            mono_ns=self._clock.mono_ns(),
            client_id=cancel.client_id,
            outcome=outcome,
            code=code,
            text=text,
        )

    async def query(self, query: Query) -> QueryResult:
        await asyncio.sleep(self._latency_s)
        account = self.practice.account
        outcome, report = Outcome.DONE, None
        fills: tuple[Fill, ...] = ()
        try:
            if query.conditional:
                algo = account.conditionals.find(None, query.client_id)
                report, child = self._algo_report(algo), algo.order_id
            else:
                order = account.find(query.symbol, None, query.client_id)
                report, child = self._report(order), order.order_id
            fills = self._fills_of(child) if child else ()
        except VenueError:
            outcome = Outcome.ABSENT
        return QueryResult(
            at_ns=self._clock.utc_ns(),
            mono_ns=self._clock.mono_ns(),
            client_id=query.client_id,
            outcome=outcome,
            report=report,
            fills=fills,
        )

    async def snapshot(self) -> VenueSnapshot:
        await asyncio.sleep(self._latency_s)
        account = self.practice.account
        ledger = account.ledger
        margins = account.margins(self.practice)
        positions = [account.position_state(symbol, self.practice) for symbol in self.practice.market.symbols]
        return VenueSnapshot(
            at_ns=self._clock.utc_ns(),
            mono_ns=self._clock.mono_ns(),
            venue=self.venue,
            ok=True,
            wallet=ledger.wallet,
            available=margins.available,
            orders=(
                *(self._report(order) for order in ledger.orders.values() if order.is_open),
                *(self._algo_report(algo) for algo in ledger.algos.values() if algo.is_open),
            ),
            positions=tuple(
                PositionReport(symbol=state.symbol, qty=state.amount, entry=state.entry)
                for state in positions
                if state.lots
            ),
            fills=tuple(self._fill(fill, ledger.orders[fill.order_id]) for fill in ledger.fills[-500:]),
        )

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _now_ms(self) -> int:
        return self._clock.utc_ns() // NS_PER_MS

    def _price(self, symbol: str, ticks: int) -> Decimal | None:
        return self.practice.market.specs[symbol].tick * ticks if ticks else None

    def _qty(self, symbol: str, lots: int) -> Decimal:
        return self.practice.market.specs[symbol].step * lots

    def _report(self, order: own.Order) -> OrderReport:
        algo = self.practice.account.ledger.algos.get(order.algo_id)
        return OrderReport(
            client_id=order.client_id if algo is None else algo.client_id,
            symbol=order.symbol,
            side=Side.BUY if order.side_buy else Side.SELL,
            status=_STATUS[order.status],
            qty=self._qty(order.symbol, order.qty_lots),
            filled=self._qty(order.symbol, order.filled_lots),
            price=self._price(order.symbol, order.price_ticks),
            reduce_only=order.reduce_only,
            conditional=algo is not None,
            venue_id=str(order.order_id),
            venue_ns=order.updated_ms * NS_PER_MS,
        )

    def _algo_report(self, algo: own.Algo) -> OrderReport:
        status = _STATUS[algo.status]
        if algo.status == "TRIGGERING" and self._now_ms() - algo.updated_ms > TRIGGERING_MS:
            status = OrderStatus.UNKNOWN
        return OrderReport(
            client_id=algo.client_id,
            symbol=algo.symbol,
            side=Side.BUY if algo.side_buy else Side.SELL,
            status=status,
            qty=self._qty(algo.symbol, algo.qty_lots),
            filled=self._qty(algo.symbol, algo.filled_lots),
            trigger=self._price(algo.symbol, algo.trigger_ticks),
            reduce_only=algo.reduce_only,
            conditional=True,
            venue_id=str(algo.algo_id),
            reason=algo.reason,
            venue_ns=algo.updated_ms * NS_PER_MS,
        )

    def _fills_of(self, order_id: int) -> tuple[Fill, ...]:
        ledger = self.practice.account.ledger
        return tuple(self._fill(fill, ledger.orders[order_id]) for fill in ledger.fills if fill.order_id == order_id)

    def _fill(self, fill: own.Fill, order: own.Order) -> Fill:
        algo = self.practice.account.ledger.algos.get(order.algo_id)
        return Fill(
            symbol=fill.symbol,
            trade_id=str(fill.trade_id),
            client_id=order.client_id if algo is None else algo.client_id,
            side=Side.BUY if fill.side_buy else Side.SELL,
            price=self.practice.market.specs[fill.symbol].tick * fill.price_ticks,
            qty=self._qty(fill.symbol, fill.lots),
            fee=fill.fee,
            realised=fill.realised,
            maker=fill.maker,
            venue_ns=fill.at_ms * NS_PER_MS,
        )


def _bar(bar: candles.Bar, symbol: str, interval: str, at: int, mono: int, market_ns: int) -> Bar:
    return Bar(
        at_ns=at,
        mono_ns=mono,
        symbol=symbol,
        interval=interval,
        open_ns=bar.open_ns,
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        volume=bar.volume,
        trades=bar.trades,
        closed=bar.closed,
        venue_ns=market_ns,
    )
