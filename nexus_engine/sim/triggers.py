"""Conditional orders of a practice account: a list of their own, triggered on the mark or the contract price.

NEW -> TRIGGERING -> TRIGGERED (a plain order exists) -> FINISHED (it ended); or CANCELED, EXPIRED, REJECTED with a
reason.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec.structs import replace

from nexus_engine.sim.orders import (
    CONDITIONAL_TYPES,
    Algo,
    AlgoEvent,
    Liquidity,
    NewAlgo,
    NewOrder,
    Order,
)
from nexus_engine.sim.rules import MAX_OPEN_ALGOS, MESSAGES, VenueError, check_words, good_till, lots_of, ticks_of
from nexus_engine.sim.specs import SymbolSpec

if TYPE_CHECKING:
    from nexus_engine.sim.account import Account

CALLBACK_PCT = (Decimal("0.1"), Decimal(20))
WORKING_TYPES = frozenset({"MARK_PRICE", "CONTRACT_PRICE"})


class Conditionals:
    def __init__(self, account: "Account") -> None:
        self.account = account
        self.mishap: Callable[[Algo], tuple[str, str] | None] = lambda algo: None
        """What goes wrong with an order that triggers: the status it gets instead of its own, and the reason."""
        self.open: dict[int, Algo] = {i: algo for i, algo in account.ledger.algos.items() if algo.is_open}

    def find(self, algo_id: int | None, client_id: str | None, missing: int = -2013) -> Algo:
        """The conditional order of that id; of a client id the newest."""
        if algo_id is None and client_id is None:
            raise VenueError(-1102, "algoId")
        if algo_id is not None:
            algo = self.account.ledger.algos.get(algo_id)
            if algo is not None:
                return algo
        else:
            for algo in reversed(self.account.ledger.algos.values()):
                if algo.client_id == client_id:
                    return algo
        raise VenueError(missing)

    def place(self, request: NewAlgo, now_ms: int, market: Liquidity) -> Algo:
        algo = self._draft(request, now_ms, market)
        algo.algo_id = self.account.ledger.next_id()
        self.account.ledger.algos[algo.algo_id] = algo
        self.open[algo.algo_id] = algo
        self._tell(algo, now_ms)
        return algo

    def _draft(self, request: NewAlgo, now_ms: int, market: Liquidity) -> Algo:
        spec = self.account.spec(request.symbol)
        check_words(
            request.side, request.position_side, request.tif, request.client_id,
            hedge=self.account.ledger.hedge, reduce_only=request.reduce_only,
        )  # fmt: skip
        if request.type not in CONDITIONAL_TYPES:
            raise VenueError(-1116)
        if request.working_type not in WORKING_TYPES:
            raise VenueError(-1130, "workingType")
        if any(algo.client_id == request.client_id for algo in self.open.values()):
            raise VenueError(-4116)
        if len(self.open) >= MAX_OPEN_ALGOS:
            raise VenueError(-4045)
        trailing = request.type == "TRAILING_STOP_MARKET"
        limit = CONDITIONAL_TYPES[request.type][1] == "LIMIT"
        if request.close_position:
            if request.quantity:
                raise VenueError(-4137)
            if limit or trailing:
                raise VenueError(-1106, "closePosition")
        algo = Algo(
            algo_id=0, client_id=request.client_id, symbol=spec.symbol, side_buy=request.side == "BUY",
            type=request.type, tif=request.tif,
            qty_lots=0 if request.close_position else lots_of(spec, request.quantity, market_order=not limit),
            trigger_ticks=0 if trailing else ticks_of(spec, request.trigger_price, "triggerPrice"),
            price_ticks=ticks_of(spec, request.price, "price") if limit else 0,
            working_type=request.working_type,
            reduce_only=request.reduce_only or (request.close_position and request.position_side == "BOTH"),
            close_position=request.close_position, position_side=request.position_side,
            good_till_ms=good_till(request.tif, request.good_till_ms, now_ms), created_ms=now_ms, updated_ms=now_ms,
        )  # fmt: skip
        self._check_position(algo)
        reference = self._reference(algo, market)
        if trailing:
            low, high = CALLBACK_PCT
            if request.callback_pct is None or not low <= request.callback_pct <= high:
                raise VenueError(-2007)
            algo.callback_pct = request.callback_pct
            if request.activate_price is None:
                algo.best_ticks = reference
            else:
                algo.activate_ticks = ticks_of(spec, request.activate_price, "activatePrice")
                if algo.activate_ticks >= reference if algo.side_buy else algo.activate_ticks <= reference:
                    raise VenueError(-4135)
        elif reference >= algo.trigger_ticks if algo.fires_upwards else reference <= algo.trigger_ticks:
            raise VenueError(-2021)
        elif limit and not algo.reduces and _notional(algo, spec) < spec.min_notional:
            raise VenueError(-4164, format(spec.min_notional, "f"))
        return algo

    def _check_position(self, algo: Algo) -> None:
        if not algo.reduces:
            if algo.close_position:
                raise VenueError(-4509)
            return
        lots = self.account.position(algo.held).lots
        if lots == 0 or (lots > 0) == algo.side_buy:
            raise VenueError(-4509 if algo.close_position else -2022)
        if algo.close_position and any(
            other.close_position
            and (other.held, other.side_buy, other.is_stop) == (algo.held, algo.side_buy, algo.is_stop)
            for other in self.open.values()
        ):
            raise VenueError(-4130)

    def cancel(self, algo_id: int | None, client_id: str | None, now_ms: int) -> Algo:
        algo = self.find(algo_id, client_id, missing=-2011)
        if algo.status != "NEW":
            raise VenueError(-2011)
        self._end(algo, "CANCELED", now_ms)
        return algo

    def cancel_all(self, symbol: str, now_ms: int) -> list[Algo]:
        self.account.spec(symbol)
        gone = [algo for algo in self.open.values() if algo.symbol == symbol and algo.status == "NEW"]
        for algo in gone:
            self._end(algo, "CANCELED", now_ms)
        return gone

    def expire(self, now_ms: int) -> None:
        """End what was good till now and has not triggered."""
        for algo in [a for a in self.open.values() if a.status == "NEW" and 0 < a.good_till_ms <= now_ms]:
            self._end(algo, "EXPIRED", now_ms)

    def shed(self, name: str, lots: int, now_ms: int) -> None:
        """A close-all order lives only as long as a position it would close."""
        for algo in list(self.open.values()):
            turned = lots == 0 or (lots > 0) == algo.side_buy
            if algo.held == name and algo.close_position and algo.status == "NEW" and turned:
                self._end(algo, "EXPIRED", now_ms)

    def trigger(self, symbol: str, low_ticks: float, high_ticks: float, now_ms: int, market: Liquidity) -> None:
        """Fire what the prices reached. `low_ticks`, `high_ticks`: the contract's extremes since the last call."""
        for algo in [a for a in self.open.values() if a.symbol == symbol and a.status == "NEW"]:
            if algo.status != "NEW":  # ended by the fill of one before it
                continue
            mark = algo.working_type == "MARK_PRICE"
            now = self._reference(algo, market)
            low, high = (now, now) if mark else (min(low_ticks, now), max(high_ticks, now))
            if algo.type == "TRAILING_STOP_MARKET":
                sleeping = not algo.best_ticks
                fired = self._trail(algo, low, high)
                if sleeping and algo.best_ticks:
                    self._tell(algo, now_ms)  # NEW a second time: now it is activated
            else:
                fired = high >= algo.trigger_ticks if algo.fires_upwards else low <= algo.trigger_ticks
            if fired:
                self._fire(algo, now_ms, market)

    @staticmethod
    def _trail(algo: Algo, low: float, high: float) -> bool:
        """Follow the best price since activation; fire when the price comes back from it by the callback."""
        if not algo.best_ticks:
            reached = low <= algo.activate_ticks if algo.side_buy else high >= algo.activate_ticks
            if not reached:
                return False
            algo.best_ticks = algo.activate_ticks
        algo.best_ticks = min(algo.best_ticks, low) if algo.side_buy else max(algo.best_ticks, high)
        back = algo.best_ticks * float(algo.callback_pct) / 100
        return high >= algo.best_ticks + back if algo.side_buy else low <= algo.best_ticks - back

    def _fire(self, algo: Algo, now_ms: int, market: Liquidity) -> None:
        account = self.account
        spec = account.spec(algo.symbol)
        algo.status, algo.trigger_ms, algo.updated_ms = "TRIGGERING", now_ms, now_ms
        self._tell(algo, now_ms)
        if (mishap := self.mishap(algo)) is not None:
            status, algo.reason = mishap
            if status != algo.status:
                self._end(algo, status, now_ms)
            return
        lots = abs(account.position(algo.held).lots) if algo.close_position else algo.qty_lots
        kind = CONDITIONAL_TYPES[algo.type][1]
        request = NewOrder(
            symbol=algo.symbol, side="BUY" if algo.side_buy else "SELL", type=kind, quantity=lots * spec.step,
            price=algo.price_ticks * spec.tick if kind == "LIMIT" else None,
            tif="GTC" if algo.good_till_ms else algo.tif,  # its date was checked when it was placed
            reduce_only=algo.reduce_only, client_id=algo.client_id, position_side=algo.position_side,
        )  # fmt: skip
        try:
            order = account.draft(request, now_ms, market)
        except VenueError as error:
            algo.reason = "Reduce Only reject" if error.code == -2022 else MESSAGES[error.code]
            self._end(algo, "REJECTED", now_ms)
            return
        order.algo_id, order.close_position = algo.algo_id, algo.close_position
        if kind == "LIMIT":
            order.tif, order.good_till_ms = algo.tif, algo.good_till_ms
        algo.status = "TRIGGERED"
        algo.order_id = account.ledger.last_id + 1  # the id `enter` is about to give
        self._tell(algo, now_ms)
        account.enter(order, now_ms, market)

    def finished(self, order: Order, now_ms: int) -> None:
        """The plain order of a conditional one has ended."""
        algo = self.account.ledger.algos[order.algo_id]
        algo.filled_lots, algo.quote = order.filled_lots, order.quote
        self._end(algo, "FINISHED", now_ms)

    def _end(self, algo: Algo, status: str, now_ms: int) -> None:
        algo.status, algo.updated_ms = status, now_ms
        self.open.pop(algo.algo_id, None)
        self._tell(algo, now_ms)

    def _tell(self, algo: Algo, now_ms: int) -> None:
        self.account.events.append(AlgoEvent(replace(algo), now_ms))

    def _reference(self, algo: Algo, market: Liquidity) -> float:
        """The price it watches, in ticks; the mark is finer than a tick."""
        spec = self.account.spec(algo.symbol)
        price = market.mark(algo.symbol) if algo.working_type == "MARK_PRICE" else market.last(algo.symbol)
        return round(price / float(spec.tick), 6)


def _notional(algo: Algo, spec: SymbolSpec) -> Decimal:
    return algo.qty_lots * spec.step * algo.price_ticks * spec.tick
