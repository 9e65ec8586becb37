"""A practice account as a Broker: orders in, reports and user events out, each of them a little later."""

import asyncio
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final, Protocol

from msgspec.structs import replace

from nexus_engine.model.effects import Cancel, Query
from nexus_engine.model.events import (
    AccountUpdate,
    CancelResult,
    OrderUpdate,
    QueryResult,
    SubmitResult,
    VenueSnapshot,
)
from nexus_engine.model.orders import ZERO, Fill, Order, OrderReport, PositionReport, Transfer
from nexus_engine.model.ports import Clock, Sink
from nexus_engine.model.words import OrderStatus, Outcome, Side, Venue
from nexus_engine.sim import orders as own
from nexus_engine.sim.account import TRANSFER, TRANSFERS, Account
from nexus_engine.sim.rules import VenueError

NS_PER_MS: Final = 1_000_000
FILLS: Final = 500
"""Of the newest fills, as many are in a snapshot."""
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


class Practice(own.Liquidity, Protocol):
    """An account and the market that it trades in."""

    @property
    def account(self) -> Account: ...

    def take_events(self) -> list[own.UserEvent]: ...


class Answers:
    """What the account answers, at once: it happens when it is asked, and is stamped with the clock's time then."""

    venue: Final = Venue.BINANCE

    def __init__(self, practice: Practice, clock: Clock) -> None:
        self.practice = practice
        self._clock = clock

    def submitted(self, order: Order) -> SubmitResult:
        """Place it."""
        account, now_ms = self.practice.account, self._now_ms()
        at, mono = self._clock.utc_ns(), self._clock.mono_ns()
        try:
            if order.conditional:
                algo = account.conditionals.place(
                    own.NewAlgo(
                        symbol=order.symbol,
                        side=order.side.value,
                        type=order.kind.value,
                        quantity=order.qty,
                        trigger_price=order.trigger,
                        price=order.price,
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
                at_ns=at,
                mono_ns=mono,
                client_id=order.client_id,
                outcome=Outcome.REFUSED,
                code=error.code,
                text=str(error),
            )
        return SubmitResult(at_ns=at, mono_ns=mono, client_id=order.client_id, outcome=Outcome.DONE, report=report)

    def cancelled(self, cancel: Cancel) -> CancelResult:
        """Take it back."""
        account, outcome, code, text = self.practice.account, Outcome.DONE, 0, ""
        try:
            if cancel.conditional:
                self._cancel_algo(cancel)
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

    def _cancel_algo(self, cancel: Cancel) -> None:
        account = self.practice.account
        algo = account.conditionals.find(None, cancel.client_id, missing=-2011)
        if algo.status == "TRIGGERED":
            account.cancel(cancel.symbol, algo.order_id, None, self._now_ms())
        else:
            account.conditionals.cancel(algo.algo_id, None, self._now_ms())

    def found(self, query: Query) -> QueryResult:
        """What became of an order."""
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

    def listed(self) -> VenueSnapshot:
        """The whole account."""
        account = self.practice.account
        ledger = account.ledger
        margins = account.margins(self.practice)
        positions = [account.position_state(symbol, self.practice) for symbol in account.specs]
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
                replace(_position(state), liquidation=margins.symbols[state.symbol].liquidation or None)
                for state in positions
                if state.lots
            ),
            fills=tuple(
                self._fill(fill, ledger.orders[fill.order_id])
                for fill in ledger.fills[-FILLS:]
                if fill.order_id in ledger.orders  # a kept account forgets old orders
            ),
            transfers=tuple(
                Transfer(id=str(row.tran_id), amount=row.amount, at_ns=row.at_ms * NS_PER_MS)
                for row in ledger.incomes
                if row.kind == TRANSFER
            ),
        )

    def told(self, events: Iterable[own.UserEvent]) -> Iterator[OrderUpdate | AccountUpdate]:
        """The account's events as the engine hears of them."""
        at, mono = self._clock.utc_ns(), self._clock.mono_ns()
        for event in events:
            if isinstance(event, own.OrderEvent):
                fill = None if event.fill is None else self._fill(event.fill, event.order)
                yield OrderUpdate(at_ns=at, mono_ns=mono, report=self._report(event.order), fill=fill)
            elif isinstance(event, own.AlgoEvent):
                yield OrderUpdate(at_ns=at, mono_ns=mono, report=self._algo_report(event.algo))
            elif isinstance(event, own.AccountEvent):
                state = event.position
                yield AccountUpdate(
                    at_ns=at,
                    mono_ns=mono,
                    wallet=event.wallet,
                    positions=() if state is None else (_position(state),),
                    venue_ns=event.at_ms * NS_PER_MS,
                    transfer=event.change if event.reason in TRANSFERS else ZERO,
                )

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _now_ms(self) -> int:
        return self._clock.utc_ns() // NS_PER_MS

    def _price(self, symbol: str, ticks: int) -> Decimal | None:
        return self.practice.account.specs[symbol].tick * ticks if ticks else None

    def _qty(self, symbol: str, lots: int) -> Decimal:
        return self.practice.account.specs[symbol].step * lots

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
            price=self.practice.account.specs[fill.symbol].tick * fill.price_ticks,
            qty=self._qty(fill.symbol, fill.lots),
            fee=fill.fee,
            realised=fill.realised,
            maker=fill.maker,
            venue_ns=fill.at_ms * NS_PER_MS,
        )


def _position(state: own.PositionState) -> PositionReport:
    return PositionReport(symbol=state.symbol, qty=state.amount, entry=state.entry)


class PracticeBroker(Answers):
    """Implements Broker on an account of ours. Requests take `latency_ms` on the way there and again on the way back.

    Everything happens on the clock and the loop that are passed in.
    """

    def __init__(self, practice: Practice, clock: Clock, latency_ms: int) -> None:
        super().__init__(practice, clock)
        self._latency_s = latency_ms / 1_000
        self._late: list[asyncio.Task[None]] = []

    def _tell_user(self, sink: Sink) -> None:
        events = self.practice.take_events()
        if not events:
            return
        self._late = [task for task in self._late if not task.done()]
        self._late.append(asyncio.get_running_loop().create_task(self._later(sink, events)))

    async def _later(self, sink: Sink, events: list[own.UserEvent]) -> None:
        await asyncio.sleep(self._latency_s)
        for event in self.told(events):
            sink(event)

    async def submit(self, order: Order) -> SubmitResult:
        await asyncio.sleep(self._latency_s)
        result = self.submitted(order)
        if result.outcome is Outcome.DONE:
            await asyncio.sleep(self._latency_s)
        return replace(result, at_ns=self._clock.utc_ns(), mono_ns=self._clock.mono_ns())

    async def cancel(self, cancel: Cancel) -> CancelResult:
        await asyncio.sleep(self._latency_s)
        return self.cancelled(cancel)

    async def query(self, query: Query) -> QueryResult:
        await asyncio.sleep(self._latency_s)
        return self.found(query)

    async def snapshot(self) -> VenueSnapshot:
        await asyncio.sleep(self._latency_s)
        return self.listed()
