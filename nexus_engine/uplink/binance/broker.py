"""Order entry at Binance USD-M futures, by REST only, and never the same order twice."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any, Final

from msgspec.structs import replace

from nexus_engine.model.effects import Cancel, Query
from nexus_engine.model.events import CancelResult, Instruments, QueryResult, SubmitResult, VenueSnapshot
from nexus_engine.model.instruments import Instrument
from nexus_engine.model.orders import PREFIX, ZERO, Fill, Order, OrderReport, Transfer
from nexus_engine.model.ports import Sink
from nexus_engine.model.words import Leg, OrderKind, OrderStatus, Outcome, Venue
from nexus_engine.uplink.binance import replies, rest
from nexus_engine.uplink.binance.limits import Urgency
from nexus_engine.uplink.binance.outcomes import (
    ABSENT_ORDER,
    ALREADY_SO,
    DUPLICATE_ID,
    KEY_REFUSED,
    POSITION_MODE_DIFFERS,
    RULES_CHANGED,
    UNKNOWN_ORDER,
    RestError,
)
from nexus_engine.uplink.binance.rest import BinanceRest
from nexus_engine.uplink.binance.settings import AccountRefused, UplinkError
from nexus_engine.uplink.binance.wire import (
    ALGO_STATUS,
    MS,
    ORDER_STATUS,
    QUOTE,
    STUCK,
    TRIGGERED,
    TRIGGERING,
    TRIGGERING_S,
    exact,
)

AT_ONCE: Final = 4
FILLS_OF: Final = 10
"""Symbols whose recent fills a snapshot reads at most."""
RECENT: Final = 100
TRANSFERS_MS: Final = 30 * 86_400_000
"""How far back a snapshot looks for money that was paid in or out. The venue remembers three months."""


class BinanceBroker:
    """See `Broker`. The rest client must be open."""

    venue: Final = Venue.BINANCE

    def __init__(self, client: BinanceRest) -> None:
        self._rest = client
        self._settings = client.settings
        self._clock = client.clock

    # ---- before trading ----------------------------------------------------------------------------------------------

    async def introduce(self, sink: Sink) -> tuple[str, ...]:
        """Deliver Instruments, none of which may be traded before `prepare`: enough to protect what is held.

        Returns the symbols that the venue does not list. Raises like `prepare`.
        """
        instruments = await self._asked(self._listed())
        self._deliver(sink, tuple(replace(instrument, trading=False) for instrument in instruments))
        return self._rest.unlisted

    async def prepare(self, sink: Sink) -> None:
        """Set isolated margin and the leverage, and deliver Instruments with the account's fees.

        A symbol that the venue will not set so is delivered as not trading. Raises AccountRefused when a person has to
        change something (hedge mode, a key that is not accepted), UplinkError when the venue could not be asked.
        """
        self._rest.prepared = prepared = await self._asked(self._prepared())
        self._deliver(sink, prepared)

    async def _asked(self, work: Awaitable[tuple[Instrument, ...]]) -> tuple[Instrument, ...]:
        try:
            return await work
        except RestError as error:
            refused = AccountRefused if error.code in KEY_REFUSED else UplinkError
            raise refused(f"the venue is not ready: {error}") from None

    def _deliver(self, sink: Sink, instruments: tuple[Instrument, ...]) -> None:
        sink(Instruments(at_ns=self._clock.utc_ns(), mono_ns=self._clock.mono_ns(), instruments=instruments))

    async def _listed(self) -> tuple[Instrument, ...]:
        await self._rest.sync_clock()
        mode, instruments = await _all(
            self._rest.call(rest.POSITION_MODE, urgency=Urgency.QUERY), self._rest.instruments()
        )
        if mode.dual_side_position:
            raise AccountRefused("the account is in hedge mode; set its position mode to one-way")
        found: tuple[Instrument, ...] = instruments
        return found

    async def _prepared(self) -> tuple[Instrument, ...]:
        call = self._rest.call
        instruments = await self._listed()
        configs, fees = await _all(
            call(rest.SYMBOL_CONFIG, urgency=Urgency.QUERY),
            call(rest.COMMISSION, {"symbol": instruments[0].symbol}, Urgency.QUERY),
        )
        known = {config.symbol: config for config in configs}
        slots = asyncio.Semaphore(AT_ONCE)

        async def ready(instrument: Instrument) -> Instrument:
            async with slots:
                usable = await self._set_up(instrument.symbol, known.get(instrument.symbol))
            return replace(
                instrument,
                maker_fee=fees.maker_commission_rate,
                taker_fee=fees.taker_commission_rate,
                trading=instrument.trading and usable,
            )

        return tuple(await _all(*(ready(instrument) for instrument in instruments)))

    async def _set_up(self, symbol: str, config: replies.SymbolConfig | None) -> bool:
        """Isolated margin and our leverage, where they are not so already. False: the venue refuses."""
        steps: list[tuple[rest.Endpoint[replies.Anything], dict[str, Any]]] = []
        if config is None or config.margin_type != "ISOLATED":
            steps.append((rest.SET_MARGIN_TYPE, {"symbol": symbol, "marginType": "ISOLATED"}))
        if config is None or config.leverage != self._settings.leverage:
            steps.append((rest.SET_LEVERAGE, {"symbol": symbol, "leverage": self._settings.leverage}))
        for endpoint, params in steps:
            try:
                await self._rest.call(endpoint, params, Urgency.QUERY)
            except RestError as error:
                if error.code in ALREADY_SO:
                    continue
                if error.outcome is Outcome.UNKNOWN or error.retry_after_s or error.code in KEY_REFUSED:
                    raise
                return False
        return True

    # ---- orders ------------------------------------------------------------------------------------------------------

    async def submit(self, order: Order) -> SubmitResult:
        """Send it once. UNKNOWN when the venue may have it."""
        outcome, code, text = Outcome.DONE, 0, ""
        report: OrderReport | None = None
        urgency = Urgency.NORMAL if order.leg is Leg.ENTRY else Urgency.EXIT
        try:
            if order.conditional:
                algo = await self._rest.call(rest.PLACE_ALGO, _algo_params(order), urgency)
                report = _about(self._algo(algo), order.client_id)
            else:
                plain = await self._rest.call(rest.PLACE, _plain_params(order), urgency)
                report = _about(self._plain(plain), order.client_id)
                self._rest.order_ids.learn(report.venue_id, order.client_id)
        except RestError as error:
            outcome, code, text = error.outcome, error.code, str(error)
            if code == DUPLICATE_ID:
                # the venue holds an order of this id, and only this order ever had it: ask
                outcome = Outcome.UNKNOWN
            if code in RULES_CHANGED or code == POSITION_MODE_DIFFERS:
                self._rest.look_again.set()
        return SubmitResult(
            at_ns=self._clock.utc_ns(),
            mono_ns=self._clock.mono_ns(),
            client_id=order.client_id,
            outcome=outcome,
            code=code,
            text=text,
            report=report,
        )

    async def cancel(self, cancel: Cancel) -> CancelResult:
        """Ask for its end. The stream, or a query, tells when it has come."""
        outcome, code, text = Outcome.DONE, 0, ""
        try:
            if cancel.conditional:
                await self._cancel_algo(cancel)
            else:
                params = {"symbol": cancel.symbol, "origClientOrderId": cancel.client_id}
                await self._rest.call(rest.CANCEL, params, Urgency.EXIT)
        except RestError as error:
            outcome, code, text = error.outcome, error.code, str(error)
        return CancelResult(
            at_ns=self._clock.utc_ns(),
            mono_ns=self._clock.mono_ns(),
            client_id=cancel.client_id,
            outcome=outcome,
            code=code,
            text=text,
        )

    async def _cancel_algo(self, cancel: Cancel) -> None:
        """One that has triggered is no conditional order any more: what it made is cancelled."""
        try:
            await self._rest.call(rest.CANCEL_ALGO, {"clientAlgoId": cancel.client_id}, Urgency.EXIT)
        except RestError as error:
            if error.code != UNKNOWN_ORDER:
                raise
            row = await self._rest.call(rest.GET_ALGO, {"clientAlgoId": cancel.client_id}, Urgency.QUERY)
            if row.algo_status != TRIGGERED or row.actual_order_id in ("", "0"):
                raise
            params = {"symbol": cancel.symbol, "orderId": row.actual_order_id}
            await self._rest.call(rest.CANCEL, params, Urgency.EXIT)

    async def query(self, query: Query) -> QueryResult:
        """What became of an order, with all its fills; UNKNOWN when any of that could not be read."""
        outcome = Outcome.DONE
        report: OrderReport | None = None
        fills: tuple[Fill, ...] = ()
        try:
            find = self._find_algo if query.conditional else self._find_plain
            report, fills = await find(query)
        except RestError as error:
            outcome = Outcome.ABSENT if error.code == ABSENT_ORDER else Outcome.UNKNOWN
        if report is not None and sum((fill.qty for fill in fills), ZERO) != report.filled:
            # the list of trades runs a moment behind the order
            outcome, report, fills = Outcome.UNKNOWN, None, ()
        return QueryResult(
            at_ns=self._clock.utc_ns(),
            mono_ns=self._clock.mono_ns(),
            client_id=query.client_id,
            outcome=outcome,
            report=report,
            fills=fills,
        )

    async def _find_plain(self, query: Query) -> tuple[OrderReport, tuple[Fill, ...]]:
        params = {"symbol": query.symbol, "origClientOrderId": query.client_id}
        row = await self._rest.call(rest.GET_ORDER, params, Urgency.QUERY)
        report = _about(self._plain(row), query.client_id)
        self._rest.order_ids.learn(str(row.order_id), query.client_id)
        return await self._with_fills(report, row.order_id)

    async def _find_algo(self, query: Query) -> tuple[OrderReport, tuple[Fill, ...]]:
        row = await self._rest.call(rest.GET_ALGO, {"clientAlgoId": query.client_id}, Urgency.QUERY)
        report = _about(self._algo(row), query.client_id)
        if row.actual_order_id in ("", "0"):
            return report, ()
        # it has triggered: the order that it made tells the rest
        self._rest.order_ids.learn_child(row.actual_order_id, query.client_id)
        params = {"symbol": query.symbol, "orderId": row.actual_order_id}
        try:
            made = await self._rest.call(rest.GET_ORDER, params, Urgency.QUERY)
        except RestError as error:
            # the conditional order is there; an order of its own that is not (yet) does not make it absent
            raise RestError(Outcome.UNKNOWN, text=f"the order that it made cannot be read: {error}") from None
        if str(made.order_id) != row.actual_order_id:
            raise RestError(Outcome.UNKNOWN, text="the reply is about another order")
        child = self._plain(made)
        report = replace(report, status=child.status, filled=child.filled, venue_ns=child.venue_ns)
        return await self._with_fills(report, made.order_id)

    async def _with_fills(self, report: OrderReport, order_id: int) -> tuple[OrderReport, tuple[Fill, ...]]:
        if not report.filled:
            return report, ()
        params = {"symbol": report.symbol, "orderId": order_id, "limit": 1_000}
        trades = await self._rest.call(rest.TRADES, params, Urgency.QUERY)
        return report, tuple(replies.trade_fill(row, report.client_id) for row in trades)

    def _plain(self, row: replies.OrderRow) -> OrderReport:
        if row.status not in ORDER_STATUS:
            self._rest.counts.word("an order", row.status)
        return replies.plain_report(row)

    def _algo(self, row: replies.AlgoRow) -> OrderReport:
        """What triggers for longer than a moment is no longer known to protect."""
        if row.algo_status not in ALGO_STATUS:
            self._rest.counts.word("a conditional order", row.algo_status)
        report = replies.algo_report(row)
        if row.algo_status == TRIGGERING and self._rest.venue_ns - report.venue_ns > TRIGGERING_S * 1e9:
            return replace(report, status=OrderStatus.UNKNOWN, reason=STUCK)
        return report

    # ---- the whole account -------------------------------------------------------------------------------------------

    async def snapshot(self) -> VenueSnapshot:
        """Both order lists, positions, balance, and the recent fills of symbols where we are."""
        at_ns, mono_ns = self._clock.utc_ns(), self._clock.mono_ns()
        try:
            found = await self._read_account()
        except (RestError, UplinkError) as error:
            found = VenueSnapshot(at_ns=at_ns, mono_ns=mono_ns, venue=Venue.BINANCE, ok=False, reason=str(error))
        return replace(found, at_ns=self._clock.utc_ns(), mono_ns=self._clock.mono_ns())

    async def _read_account(self) -> VenueSnapshot:
        call, wallet_ns = self._rest.call, self._clock.utc_ns()
        plain, algos, risks, balances, transfers = await _all(
            call(rest.OPEN_ORDERS, urgency=Urgency.QUERY),
            call(rest.OPEN_ALGOS, urgency=Urgency.QUERY),
            call(rest.POSITIONS, urgency=Urgency.QUERY),
            call(rest.BALANCE, urgency=Urgency.QUERY),
            self._transfers(),
        )
        if any(row.position_side != "BOTH" and exact(row.position_amt) for row in risks):
            raise AccountRefused("the account is in hedge mode")
        for row in plain:
            self._rest.order_ids.learn(str(row.order_id), row.client_order_id)
        orders = (*map(self._plain, plain), *map(self._algo, algos))
        held = [replies.position_report(row, self._settings.leverage) for row in risks]
        positions = tuple(report for report in held if report.qty)
        ours = {report.symbol for report in orders if report.client_id.startswith(PREFIX)}
        in_position = {report.symbol for report in positions}
        # positions first: where the places do not reach, it is resting orders that wait for their own news
        symbols = sorted((s for s in self._rest.symbols if s in ours | in_position), key=lambda s: s not in in_position)
        fills = await _all(*(self._recent_fills(symbol) for symbol in symbols[:FILLS_OF]))
        usdt = next((row for row in balances if row.asset == QUOTE), None)
        return VenueSnapshot(
            at_ns=self._clock.utc_ns(),
            mono_ns=self._clock.mono_ns(),
            venue=Venue.BINANCE,
            ok=True,
            wallet=ZERO if usdt is None else exact(usdt.balance),
            available=ZERO if usdt is None else exact(usdt.available_balance),
            orders=orders,
            positions=positions,
            fills=tuple(fill for some in fills for fill in some),
            wallet_ns=wallet_ns,
            transfers=transfers,
        )

    async def _transfers(self) -> tuple[Transfer, ...]:
        """What was paid in and out of late. None where that cannot be read: it stands in the next list too."""
        since_ms = self._rest.venue_ns // MS - TRANSFERS_MS
        params = {"incomeType": "TRANSFER", "startTime": since_ms, "limit": 1_000}
        try:
            rows = await self._rest.call(rest.INCOME, params, Urgency.QUERY)
        except RestError:
            return ()
        ahead_ns = self._rest.clock_skew_ns()
        return tuple(
            Transfer(id=str(row.tran_id), amount=exact(row.income), at_ns=row.time * MS - ahead_ns)
            for row in rows
            if row.asset == QUOTE
        )

    async def _recent_fills(self, symbol: str) -> list[Fill]:
        """Fills of our orders. The venue's list of trades names orders by number alone."""
        params = {"symbol": symbol, "limit": RECENT}
        trades = await self._rest.call(rest.TRADES, params, Urgency.QUERY)
        ids = self._rest.order_ids
        if any(ids.client_id(str(row.order_id)) is None for row in trades):
            plain, algos = await _all(
                self._rest.call(rest.ALL_ORDERS, params, Urgency.QUERY),
                self._rest.call(rest.ALL_ALGOS, params, Urgency.QUERY),
            )
            for row in plain:
                ids.learn(str(row.order_id), row.client_order_id)
            for row in algos:
                if row.actual_order_id not in ("", "0"):
                    ids.learn_child(row.actual_order_id, row.client_algo_id)
        return [replies.trade_fill(row, ids.client_id(str(row.order_id)) or "") for row in trades]


def _about(report: OrderReport, client_id: str) -> OrderReport:
    """The report, if it is about that order: caches have answered with another's."""
    if report.client_id != client_id:
        raise RestError(Outcome.UNKNOWN, text="the reply is about another order")
    return report


def _plain_params(order: Order) -> dict[str, str]:
    params = {
        "symbol": order.symbol,
        "side": order.side.value,
        "type": order.kind.value,
        "quantity": f"{order.qty:f}",
        "newClientOrderId": order.client_id,
    }
    if order.kind is OrderKind.LIMIT:
        params |= {"price": f"{order.price:f}", "timeInForce": order.tif.value}
    return params | ({"reduceOnly": "true"} if order.reduce_only else {})


def _algo_params(order: Order) -> dict[str, str]:
    params = {
        "algoType": "CONDITIONAL",
        "symbol": order.symbol,
        "side": order.side.value,
        "type": order.kind.value,
        "quantity": f"{order.qty:f}",
        "triggerPrice": f"{order.trigger:f}",
        "workingType": "MARK_PRICE",
        "clientAlgoId": order.client_id,
    }
    if order.kind is OrderKind.STOP_LIMIT:
        params |= {"price": f"{order.price:f}", "timeInForce": order.tif.value}
    return params | ({"reduceOnly": "true"} if order.reduce_only else {})


async def _all(*calls: Any) -> Any:
    """The results of calls made at once. Waits for all of them; raises the first error there was."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    failed: Iterable[BaseException] = (result for result in results if isinstance(result, BaseException))
    for error in failed:
        raise error
    return results
