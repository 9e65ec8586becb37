"""The venue's REST endpoints: one table of routes, each a function of the request's parameters."""

import copy
from collections.abc import Callable, Iterable
from decimal import Decimal
from secrets import token_hex
from typing import Any

from nexus_engine.sim import rest_batch, rest_margin, wire_account, wire_market
from nexus_engine.sim.account import MAKER_FEE, TAKER_FEE
from nexus_engine.sim.bars import INTERVALS
from nexus_engine.sim.ledger import SymbolMargin
from nexus_engine.sim.orders import CONDITIONAL_TYPES, POSITION_SIDES, Algo, NewAlgo, NewOrder, Order
from nexus_engine.sim.params import Params, page, within
from nexus_engine.sim.rules import VenueError
from nexus_engine.sim.venue import Venue
from nexus_engine.sim.wire import MS, Json, Scale

OPEN, KEY, SIGNED = "open", "key", "signed"  # what a route asks of its caller
DONE: Json = {"code": 200, "msg": "success"}
ALL_CANCELLED: Json = {"code": 200, "msg": "The operation of cancel all open order is done."}


class Rest:
    """The endpoints over one venue. `now_ms` is the server's clock, the account's time."""

    def __init__(self, venue: Venue, now_ms: Callable[[], int]) -> None:
        self.venue = venue
        self.account = venue.account
        self.now_ms = now_ms
        self.restrictions: dict[str, bool] = {
            "ipRestrict": True,
            "enableReading": True,
            "enableFutures": True,
            "enableSpotAndMarginTrading": False,
            "enableWithdrawals": False,
            "enableInternalTransfer": False,
            "permitsUniversalTransfer": False,
        }
        """What the account's key may do."""

    def scale(self, p: Params, name: str = "symbol") -> Scale:
        scale = self.venue.scales.get(p.need(name))
        if scale is None:
            raise VenueError(-1121)
        return scale

    def scales(self, p: Params) -> list[Scale]:
        """The symbol asked for, or all of them."""
        return [self.scale(p)] if p.text("symbol") else list(self.venue.scales.values())

    def each(self, p: Params, write: Callable[[Scale], Json]) -> Json | list[Json]:
        """One object for a symbol, a list without."""
        rows = [write(scale) for scale in self.scales(p)]
        return rows[0] if p.text("symbol") else rows

    def api_restrictions(self, p: Params) -> Json:
        return {"createTime": 0, **self.restrictions}

    # -- market -------------------------------------------------------------------------------------------------------

    def ping(self, p: Params) -> Json:
        return {}

    def time(self, p: Params) -> Json:
        return {"serverTime": self.now_ms()}

    def exchange_info(self, p: Params) -> Json:
        return wire_market.exchange_info(self.venue.scales.values(), self.now_ms(), self.account.halted)

    def depth(self, p: Params) -> Json:
        scale, limit = self.scale(p), p.integer("limit") or 500
        if limit not in DEPTH_WEIGHTS:
            raise VenueError(-1130, "limit")
        update_id, book = self.venue.depth(scale.spec.symbol, limit)
        return wire_market.depth(scale, update_id, book.bids, book.asks, self.venue.market.now_ns)

    def klines(self, p: Params) -> list[list[int | str]]:
        return self._klines(self.scale(p), p)

    def continuous_klines(self, p: Params) -> list[list[int | str]]:
        if p.need("contractType") != "PERPETUAL":
            return []
        return self._klines(self.scale(p, "pair"), p)

    def _klines(self, scale: Scale, p: Params) -> list[list[int | str]]:
        interval = p.need("interval")
        if interval not in INTERVALS:
            raise VenueError(-1120)
        start_ms, end_ms = p.integer("startTime"), p.integer("endTime")
        bars = self.venue.market.bars(
            scale.spec.symbol,
            interval,
            start_ns=None if start_ms is None else start_ms * MS,
            end_ns=None if end_ms is None else end_ms * MS,
            limit=p.limit(500, 1500),
        )
        return [wire_market.kline_row(scale, bar) for bar in bars]

    def agg_trades(self, p: Params) -> list[Json]:
        scale = self.scale(p)
        rows = self.venue.aggregates(scale.spec.symbol)
        first, start, end = p.integer("fromId"), p.integer("startTime"), p.integer("endTime")
        chosen = [
            row for row in rows if (first is None or row.trade_id >= first) and within(row.at_ns // MS, start, end)
        ]
        limit = p.limit(500, 1000)
        newest = first is None and start is None
        return [wire_market.agg_trade_row(scale, row) for row in (chosen[-limit:] if newest else chosen[:limit])]

    def trades(self, p: Params) -> list[Json]:
        scale = self.scale(p)
        rows = list(self.venue.trades(scale.spec.symbol))
        return [wire_market.trade_row(scale, row) for row in rows[-p.limit(500, 1000) :]]

    def historical_trades(self, p: Params) -> list[Json]:
        """As far back as the venue remembers, which is not far."""
        scale, first = self.scale(p), p.integer("fromId")
        rows = [row for row in self.venue.trades(scale.spec.symbol) if first is None or row.trade_id >= first]
        limit = p.limit(500, 500)
        return [wire_market.trade_row(scale, row) for row in (rows[-limit:] if first is None else rows[:limit])]

    def price_klines(self, p: Params) -> list[list[int | str]]:
        """Bars of mark or index: the contract's own prices, which they follow closely, without volumes."""
        scale = self.scale(p, "symbol" if p.text("symbol") else "pair")
        return [[*row[:5], "0", row[6], "0", row[8], "0", "0", "0"] for row in self._klines(scale, p)]

    def premium_index(self, p: Params) -> Json | list[Json]:
        market = self.venue.market

        def write(scale: Scale) -> Json:
            symbol = scale.spec.symbol
            return wire_market.premium_index(
                symbol, market.mark(symbol), market.index(symbol), market.funding_rate(symbol),
                market.next_funding_ns(), market.now_ns,
            )  # fmt: skip

        return self.each(p, write)

    def funding_rate(self, p: Params) -> list[Json]:
        symbol, start, end = p.text("symbol"), p.integer("startTime"), p.integer("endTime")
        rows = [
            row
            for row in self.venue.funding_paid
            if symbol in (None, row.symbol) and within(row.at_ns // MS, start, end)
        ]
        limit = p.limit(100, 1000)
        return [wire_market.funding_rate(row) for row in (rows[-limit:] if start is None else rows[:limit])]

    def funding_info(self, p: Params) -> list[Json]:
        return [wire_market.funding_info(symbol) for symbol in self.venue.scales]

    def ticker_24h(self, p: Params) -> Json | list[Json]:
        return self.each(p, lambda scale: wire_market.ticker_24h(scale, self.venue.market.ticker(scale.spec.symbol)))

    def ticker_price(self, p: Params) -> Json | list[Json]:
        market = self.venue.market
        return self.each(p, lambda scale: wire_market.price_row(scale, market.last(scale.spec.symbol), market.now_ns))

    def book_ticker(self, p: Params) -> Json | list[Json]:
        market = self.venue.market

        def write(scale: Scale) -> Json:
            book = market.book(scale.spec.symbol, 1)
            last_id = self.venue.last_update_id(scale.spec.symbol)
            return wire_market.book_ticker_row(scale, last_id, book.bids[0], book.asks[0], market.now_ns)

        return self.each(p, write)

    def open_interest(self, p: Params) -> Json:
        """A third of the day's volume: nobody holds the generated contracts, but clients want a number."""
        scale = self.scale(p)
        volume = self.venue.market.ticker(scale.spec.symbol)["volume"]
        return wire_market.open_interest(scale, volume / 3, self.venue.market.now_ns)

    def nothing(self, p: Params) -> list[Json]:
        """A list of the spot venue that some clients read before they begin."""
        return []

    # -- orders -------------------------------------------------------------------------------------------------------

    def order_request(self, p: Params) -> NewOrder:
        scale = self.scale(p)
        kind = p.need("type")
        if kind == "LIMIT":
            p.need("timeInForce")
        return NewOrder(
            symbol=scale.spec.symbol, side=p.need("side"), type=kind, quantity=p.number("quantity"),
            price=p.number("price"), tif=p.text("timeInForce") or "GTC", good_till_ms=p.integer("goodTillDate"),
            reduce_only=p.flag("reduceOnly"), client_id=p.text("newClientOrderId") or token_hex(11),
            position_side=p.text("positionSide") or "BOTH",
        )  # fmt: skip

    def new_order(self, p: Params) -> Json:
        scale, request = self.scale(p), self.order_request(p)
        order = self.account.place(request, self.now_ms(), self.venue)
        if p.text("newOrderRespType") != "RESULT":
            # the usual reply is an acknowledgement, written before the order meets the book
            order = copy.copy(order)
            order.status, order.filled_lots, order.quote = "NEW", 0, Decimal(0)
        return wire_account.order_row(scale, order)

    def _order(self, p: Params) -> tuple[Scale, Order]:
        scale = self.scale(p)
        return scale, self.account.find(scale.spec.symbol, p.integer("orderId"), p.text("origClientOrderId"))

    def get_order(self, p: Params) -> Json:
        return wire_account.order_row(*self._order(p))

    def get_open_order(self, p: Params) -> Json:
        scale, order = self._order(p)
        if not order.is_open:
            raise VenueError(-2013)
        return wire_account.order_row(scale, order)

    def amend_order(self, p: Params) -> Json:
        scale, order = self._order(p)
        self.account.amend(order, p.number("quantity"), p.number("price"), self.now_ms(), self.venue)
        return wire_account.order_row(scale, order)

    def cancel_order(self, p: Params) -> Json:
        scale = self.scale(p)
        order = self.account.cancel(scale.spec.symbol, p.integer("orderId"), p.text("origClientOrderId"), self.now_ms())
        return wire_account.order_row(scale, order)

    def _order_rows(self, p: Params, orders: Iterable[Order]) -> list[Json]:
        symbols = {scale.spec.symbol for scale in self.scales(p)}
        return [wire_account.order_row(self.venue.scales[o.symbol], o) for o in orders if o.symbol in symbols]

    def open_orders(self, p: Params) -> list[Json]:
        return self._order_rows(p, self.account.resting.values())

    def all_orders(self, p: Params) -> list[Json]:
        orders = self.account.ledger.orders.values()
        rows = page(p, orders, 500, lambda o: o.order_id, lambda o: o.created_ms, "orderId")
        return self._order_rows(p, rows)

    def cancel_open_orders(self, p: Params) -> Json:
        self.account.cancel_all(self.scale(p).spec.symbol, self.now_ms())
        return ALL_CANCELLED

    # -- conditional orders -------------------------------------------------------------------------------------------

    def new_algo(self, p: Params) -> Json:
        scale = self.scale(p)
        if p.need("algoType") != "CONDITIONAL":
            raise VenueError(-1130, "algoType")
        kind = p.need("type")
        if kind not in CONDITIONAL_TYPES:
            raise VenueError(-1116)
        request = NewAlgo(
            symbol=scale.spec.symbol, side=p.need("side"), type=kind, quantity=p.number("quantity"),
            price=p.number("price"), trigger_price=p.number("triggerPrice"), activate_price=p.number("activatePrice"),
            callback_pct=p.number("callbackRate"), tif=p.text("timeInForce") or "GTC",
            good_till_ms=p.integer("goodTillDate"),
            working_type=p.text("workingType") or "CONTRACT_PRICE", reduce_only=p.flag("reduceOnly"),
            close_position=p.flag("closePosition"), client_id=p.text("clientAlgoId") or token_hex(11),
            position_side=p.text("positionSide") or "BOTH",
        )  # fmt: skip
        return wire_account.algo_placed(scale, self.account.conditionals.place(request, self.now_ms(), self.venue))

    def get_algo(self, p: Params) -> Json:
        algo = self.account.conditionals.find(p.integer("algoId"), p.text("clientAlgoId"))
        return wire_account.algo_row(self.venue.scales[algo.symbol], algo)

    def cancel_algo(self, p: Params) -> Json:
        conditionals = self.account.conditionals
        return wire_account.algo_cancelled(
            conditionals.cancel(p.integer("algoId"), p.text("clientAlgoId"), self.now_ms())
        )

    def _algo_rows(self, p: Params, algos: Iterable[Algo]) -> list[Json]:
        symbols = {scale.spec.symbol for scale in self.scales(p)}
        return [wire_account.algo_row(self.venue.scales[a.symbol], a) for a in algos if a.symbol in symbols]

    def open_algos(self, p: Params) -> list[Json]:
        return self._algo_rows(p, self.account.conditionals.open.values())

    def all_algos(self, p: Params) -> list[Json]:
        algos = self.account.ledger.algos.values()
        return self._algo_rows(p, page(p, algos, 500, lambda a: a.algo_id, lambda a: a.created_ms, "algoId"))

    def cancel_open_algos(self, p: Params) -> Json:
        self.account.conditionals.cancel_all(self.scale(p).spec.symbol, self.now_ms())
        return ALL_CANCELLED

    # -- account ------------------------------------------------------------------------------------------------------

    def user_trades(self, p: Params) -> list[Json]:
        scale, order_id = self.scale(p), p.integer("orderId")
        fills = [
            fill
            for fill in self.account.ledger.fills
            if fill.symbol == scale.spec.symbol and order_id in (None, fill.order_id)
        ]
        rows = page(p, fills, 500, lambda fill: fill.trade_id, lambda fill: fill.at_ms, "fromId")
        return [wire_account.user_trade(scale, fill) for fill in rows]

    def income(self, p: Params) -> list[Json]:
        symbol, kind = p.text("symbol"), p.text("incomeType")
        incomes = [
            row for row in self.account.ledger.incomes if symbol in (None, row.symbol) and kind in (None, row.kind)
        ]
        return [wire_account.income_row(row) for row in page(p, incomes, 100, lambda r: r.tran_id, lambda r: r.at_ms)]

    def set_leverage(self, p: Params) -> Json:
        symbol, leverage = self.scale(p).spec.symbol, p.integer("leverage")
        if leverage is None:
            raise VenueError(-1102, "leverage")
        self.account.set_leverage(symbol, leverage, self.now_ms())
        return wire_account.leverage_changed(self.account.spec(symbol), leverage)

    def set_margin_type(self, p: Params) -> Json:
        kind = p.need("marginType")
        if kind not in {"ISOLATED", "CROSSED"}:
            raise VenueError(-1130, "marginType")
        symbol, account = self.scale(p).spec.symbol, self.account
        account.set_margin_type(symbol, kind == "ISOLATED")
        for side in POSITION_SIDES[account.ledger.hedge]:
            account.tell_account("MARGIN_TYPE_CHANGE", symbol, self.now_ms(), self.venue, side=side)
        return DONE

    def position_mode(self, p: Params) -> Json:
        return {"dualSidePosition": self.account.ledger.hedge}

    def set_position_mode(self, p: Params) -> Json:
        p.need("dualSidePosition")
        self.account.set_hedge(p.flag("dualSidePosition"))
        return DONE

    def multi_assets(self, p: Params) -> Json:
        return {"multiAssetsMargin": False}

    def leverage_bracket(self, p: Params) -> list[Json]:
        return [wire_account.leverage_bracket(scale.spec) for scale in self.scales(p)]

    def commission_rate(self, p: Params) -> Json:
        return wire_account.commission_rate(self.scale(p).spec.symbol, MAKER_FEE, TAKER_FEE)

    def symbol_config(self, p: Params) -> list[Json]:
        ledger = self.account.ledger
        specs = [scale.spec for scale in self.scales(p)]
        return [
            wire_account.symbol_config(spec, spec.symbol in ledger.isolated, self.account.leverage(spec.symbol))
            for spec in specs
        ]

    def account_config(self, p: Params) -> Json:
        return wire_account.account_config(self.account.ledger.hedge)

    def order_limits(self, p: Params) -> list[Json]:
        info = wire_market.exchange_info((), 0)
        return [row for row in info["rateLimits"] if row["rateLimitType"] == "ORDERS"]

    def account_v2(self, p: Params) -> Json:
        return wire_account.account(self.account.margins(self.venue), 2, self.now_ms(), self.account.ledger.hedge)

    def account_v3(self, p: Params) -> Json:
        return wire_account.account(self.account.margins(self.venue), 3, self.now_ms(), self.account.ledger.hedge)

    def balance(self, p: Params) -> list[Json]:
        return wire_account.balance(self.account.margins(self.venue), self.now_ms())

    def _position_rows(self, p: Params) -> list[SymbolMargin]:
        symbols = {scale.spec.symbol for scale in self.scales(p)}
        return [row for row in self.account.margins(self.venue).symbols.values() if row.symbol in symbols]

    def position_risk_v2(self, p: Params) -> list[Json]:
        return [wire_account.position_risk(row, 2) for row in self._position_rows(p)]

    def position_risk_v3(self, p: Params) -> list[Json]:
        """As v2, but only what has a position or an order that may open one."""
        rows = [row for row in self._position_rows(p) if row.lots or row.order_initial]
        return [wire_account.position_risk(row, 3) for row in rows]


DEPTH_WEIGHTS = {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1000: 20}


def depth_weight(p: Params) -> int:
    return DEPTH_WEIGHTS.get(p.integer("limit") or 500, 20)


def kline_weight(p: Params) -> int:
    limit = p.integer("limit") or 500
    return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10


def single(one: int, every: int) -> Callable[[Params], int]:
    return lambda p: one if p.text("symbol") else every


Weight = int | Callable[[Params], int]
# (method, path) -> (endpoint, security, request weight, orders counted)
ROUTES: dict[tuple[str, str], tuple[Callable[[Rest, Params], Any], str, Weight, int]] = {
    ("GET", "/api/v3/ping"): (Rest.ping, OPEN, 1, 0),
    ("GET", "/api/v3/time"): (Rest.time, OPEN, 1, 0),
    ("GET", "/fapi/v1/ping"): (Rest.ping, OPEN, 1, 0),
    ("GET", "/sapi/v1/capital/config/getall"): (Rest.nothing, SIGNED, 0, 0),
    ("GET", "/sapi/v1/margin/allPairs"): (Rest.nothing, KEY, 0, 0),
    ("GET", "/fapi/v1/historicalTrades"): (Rest.historical_trades, KEY, 200, 0),
    ("GET", "/fapi/v1/markPriceKlines"): (Rest.price_klines, OPEN, kline_weight, 0),
    ("GET", "/fapi/v1/indexPriceKlines"): (Rest.price_klines, OPEN, kline_weight, 0),
    ("GET", "/fapi/v1/time"): (Rest.time, OPEN, 1, 0),
    ("GET", "/fapi/v1/exchangeInfo"): (Rest.exchange_info, OPEN, 1, 0),
    ("GET", "/fapi/v1/depth"): (Rest.depth, OPEN, depth_weight, 0),
    ("GET", "/fapi/v1/klines"): (Rest.klines, OPEN, kline_weight, 0),
    ("GET", "/fapi/v1/continuousKlines"): (Rest.continuous_klines, OPEN, kline_weight, 0),
    ("GET", "/fapi/v1/aggTrades"): (Rest.agg_trades, OPEN, 20, 0),
    ("GET", "/fapi/v1/trades"): (Rest.trades, OPEN, 5, 0),
    ("GET", "/fapi/v1/premiumIndex"): (Rest.premium_index, OPEN, single(1, 10), 0),
    ("GET", "/fapi/v1/fundingRate"): (Rest.funding_rate, OPEN, 0, 0),
    ("GET", "/fapi/v1/fundingInfo"): (Rest.funding_info, OPEN, 0, 0),
    ("GET", "/fapi/v1/ticker/24hr"): (Rest.ticker_24h, OPEN, single(1, 40), 0),
    ("GET", "/fapi/v1/ticker/price"): (Rest.ticker_price, OPEN, single(1, 2), 0),
    ("GET", "/fapi/v2/ticker/price"): (Rest.ticker_price, OPEN, single(1, 2), 0),
    ("GET", "/fapi/v1/ticker/bookTicker"): (Rest.book_ticker, OPEN, single(2, 5), 0),
    ("GET", "/fapi/v1/openInterest"): (Rest.open_interest, OPEN, 1, 0),
    ("POST", "/fapi/v1/order"): (Rest.new_order, SIGNED, 0, 1),
    ("PUT", "/fapi/v1/order"): (Rest.amend_order, SIGNED, 0, 1),
    ("GET", "/fapi/v1/order"): (Rest.get_order, SIGNED, 1, 0),
    ("DELETE", "/fapi/v1/order"): (Rest.cancel_order, SIGNED, 1, 0),
    ("GET", "/fapi/v1/openOrder"): (Rest.get_open_order, SIGNED, 1, 0),
    ("GET", "/fapi/v1/openOrders"): (Rest.open_orders, SIGNED, single(1, 40), 0),
    ("GET", "/fapi/v1/allOrders"): (Rest.all_orders, SIGNED, 5, 0),
    ("DELETE", "/fapi/v1/allOpenOrders"): (Rest.cancel_open_orders, SIGNED, 1, 0),
    ("POST", "/fapi/v1/algoOrder"): (Rest.new_algo, SIGNED, 0, 1),
    ("GET", "/fapi/v1/algoOrder"): (Rest.get_algo, SIGNED, 1, 0),
    ("DELETE", "/fapi/v1/algoOrder"): (Rest.cancel_algo, SIGNED, 1, 0),
    ("GET", "/fapi/v1/openAlgoOrders"): (Rest.open_algos, SIGNED, single(1, 40), 0),
    ("GET", "/fapi/v1/allAlgoOrders"): (Rest.all_algos, SIGNED, 5, 0),
    ("DELETE", "/fapi/v1/algoOpenOrders"): (Rest.cancel_open_algos, SIGNED, 1, 0),
    ("POST", "/fapi/v1/order/test"): (rest_batch.test, SIGNED, 0, 0),
    ("POST", "/fapi/v1/batchOrders"): (rest_batch.place, SIGNED, 5, 5),
    ("PUT", "/fapi/v1/batchOrders"): (rest_batch.amend, SIGNED, 5, 5),
    ("DELETE", "/fapi/v1/batchOrders"): (rest_batch.cancel, SIGNED, 1, 0),
    ("POST", "/fapi/v1/countdownCancelAll"): (rest_batch.count_down, SIGNED, 10, 0),
    ("POST", "/fapi/v1/positionMargin"): (rest_margin.move, SIGNED, 1, 0),
    ("GET", "/fapi/v1/positionMargin/history"): (rest_margin.history, SIGNED, 1, 0),
    ("POST", "/fapi/v1/multiAssetsMargin"): (rest_margin.set_multi_assets, SIGNED, 1, 0),
    ("GET", "/fapi/v1/forceOrders"): (rest_margin.force_orders, SIGNED, single(20, 50), 0),
    ("GET", "/fapi/v1/adlQuantile"): (rest_margin.adl_quantile, SIGNED, 5, 0),
    ("GET", "/fapi/v1/userTrades"): (Rest.user_trades, SIGNED, 5, 0),
    ("GET", "/fapi/v1/income"): (Rest.income, SIGNED, 30, 0),
    ("POST", "/fapi/v1/leverage"): (Rest.set_leverage, SIGNED, 1, 0),
    ("POST", "/fapi/v1/marginType"): (Rest.set_margin_type, SIGNED, 1, 0),
    ("GET", "/fapi/v1/positionSide/dual"): (Rest.position_mode, SIGNED, 30, 0),
    ("POST", "/fapi/v1/positionSide/dual"): (Rest.set_position_mode, SIGNED, 1, 0),
    ("GET", "/fapi/v1/multiAssetsMargin"): (Rest.multi_assets, SIGNED, 30, 0),
    ("GET", "/fapi/v1/leverageBracket"): (Rest.leverage_bracket, SIGNED, 1, 0),
    ("GET", "/fapi/v1/commissionRate"): (Rest.commission_rate, SIGNED, 20, 0),
    ("GET", "/fapi/v1/symbolConfig"): (Rest.symbol_config, SIGNED, 5, 0),
    ("GET", "/fapi/v1/accountConfig"): (Rest.account_config, SIGNED, 5, 0),
    ("GET", "/fapi/v1/rateLimit/order"): (Rest.order_limits, SIGNED, 1, 0),
    ("GET", "/sapi/v1/account/apiRestrictions"): (Rest.api_restrictions, SIGNED, 1, 0),
    ("GET", "/fapi/v2/account"): (Rest.account_v2, SIGNED, 5, 0),
    ("GET", "/fapi/v3/account"): (Rest.account_v3, SIGNED, 5, 0),
    ("GET", "/fapi/v2/balance"): (Rest.balance, SIGNED, 5, 0),
    ("GET", "/fapi/v3/balance"): (Rest.balance, SIGNED, 5, 0),
    ("GET", "/fapi/v2/positionRisk"): (Rest.position_risk_v2, SIGNED, 5, 0),
    ("GET", "/fapi/v3/positionRisk"): (Rest.position_risk_v3, SIGNED, 5, 0),
}
