"""One practice account of a USD-M futures venue: one-way or hedged, USDT margin, cross or isolated.

Pure and deterministic: times are passed in (milliseconds of the account's clock), liquidity is a port, ids are
counted. What happens is appended to `events`; whoever steps the account drains them. Rules and codes are the venue's
(`rules.MESSAGES`).
"""

from collections.abc import Mapping
from decimal import Decimal

from msgspec.structs import replace

from nexus_engine.sim.contract import Print
from nexus_engine.sim.ledger import DEFAULT_LEVERAGE, Ledger, Margins, Position, decimal_price, margins, money
from nexus_engine.sim.liquidation import Liquidation
from nexus_engine.sim.orders import (
    CONDITIONAL_TYPES,
    PLAIN_TYPES,
    POSITION_SIDES,
    ZERO,
    AccountEvent,
    ConfigEvent,
    Fill,
    Income,
    Liquidity,
    MarginMove,
    NewOrder,
    Order,
    OrderEvent,
    PositionState,
    UserEvent,
    held,
)
from nexus_engine.sim.rules import (
    MAX_OPEN_ORDERS,
    PRICE_BAND_DOWN,
    PRICE_BAND_UP,
    TAKE_BOUND,
    VenueError,
    check_words,
    good_till,
    lots_of,
    ticks_of,
)
from nexus_engine.sim.specs import SymbolSpec
from nexus_engine.sim.triggers import Conditionals

TAKER_FEE = Decimal("0.0005")
MAKER_FEE = Decimal("0.0002")
TRANSFER = "TRANSFER"
TRANSFERS = ("DEPOSIT", "WITHDRAW")
"""Money in and money out, as the stream calls them; a list of incomes has one word for both."""


class Account:
    def __init__(
        self, specs: Mapping[str, SymbolSpec], ledger: Ledger | None = None, *, market_rests: bool = False
    ) -> None:
        """`market_rests`: the liquidity is handed out a little at a time, and what a market order did not get of it
        goes on working (`work`) instead of expiring."""
        self.specs = specs
        self.market_rests = market_rests
        self.ledger = ledger or Ledger()
        self.events: list[UserEvent] = []
        self.resting: dict[int, Order] = {i: order for i, order in self.ledger.orders.items() if order.is_open}
        self.conditionals = Conditionals(self)
        self.liquidation = Liquidation(self)
        self.halted: set[str] = set()
        """Symbols whose positions can only be made smaller."""
        self._countdowns: dict[str, int] = {}  # symbol -> when its orders are cancelled unless somebody says again

    # -- what the account has -----------------------------------------------------------------------------------------

    def spec(self, symbol: str) -> SymbolSpec:
        spec = self.specs.get(symbol)
        if spec is None:
            raise VenueError(-1121)
        return spec

    def position(self, name: str) -> Position:
        """The position of that name (`orders.held`): in one-way mode the symbol."""
        return self.ledger.positions.get(name) or Position()

    def leverage(self, symbol: str) -> int:
        return self.ledger.leverage.get(symbol, DEFAULT_LEVERAGE)

    def margins(self, market: Liquidity) -> Margins:
        return margins(self.ledger, self.specs, market, self.resting.values())

    def find(self, symbol: str, order_id: int | None, client_id: str | None, missing: int = -2013) -> Order:
        """The order of that id; of a client id the newest, since a closed order's id may be used again."""
        self.spec(symbol)
        if order_id is None and client_id is None:
            raise VenueError(-1102, "orderId")
        if order_id is not None:
            order = self.ledger.orders.get(order_id)
            if order is not None and order.symbol == symbol:
                return order
        else:
            for order in reversed(self.ledger.orders.values()):
                if order.client_id == client_id and order.symbol == symbol:
                    return order
        raise VenueError(missing)

    # -- placing and cancelling ---------------------------------------------------------------------------------------

    def place(self, request: NewOrder, now_ms: int, market: Liquidity) -> Order:
        """Accept and match an order, or raise VenueError and leave no trace."""
        if request.type in CONDITIONAL_TYPES:
            raise VenueError(-4120)
        order = self.draft(request, now_ms, market)
        self.enter(order, now_ms, market)
        return order

    def draft(self, request: NewOrder, now_ms: int, market: Liquidity) -> Order:
        """The order a request describes, when the venue would accept it now."""
        spec = self.spec(request.symbol)
        check_words(
            request.side, request.position_side, request.tif, request.client_id,
            hedge=self.ledger.hedge, reduce_only=request.reduce_only,
        )  # fmt: skip
        if request.type not in PLAIN_TYPES:
            raise VenueError(-1116)
        if any(order.client_id == request.client_id for order in self.resting.values()):
            raise VenueError(-4116)
        limit = request.type == "LIMIT"
        qty_lots = lots_of(spec, request.quantity, market_order=not limit)
        mark = decimal_price(market.mark(spec.symbol))
        price_ticks = 0
        if limit:
            price_ticks = ticks_of(spec, request.price, "price")
            price = price_ticks * spec.tick
            if price > mark * PRICE_BAND_UP:
                raise VenueError(-4016, format(mark * PRICE_BAND_UP, f".{spec.price_precision}f"))
            if price < mark * PRICE_BAND_DOWN:
                raise VenueError(-4024, format(mark * PRICE_BAND_DOWN, f".{spec.price_precision}f"))
        order = Order(
            order_id=0, client_id=request.client_id, symbol=spec.symbol, side_buy=request.side == "BUY",
            type=request.type, tif=request.tif if limit else "GTC", qty_lots=qty_lots, price_ticks=price_ticks,
            reduce_only=request.reduce_only, position_side=request.position_side, created_ms=now_ms, updated_ms=now_ms,
            good_till_ms=good_till(request.tif, request.good_till_ms, now_ms) if limit else 0,
        )  # fmt: skip
        self._check_room(order, spec, price_ticks * spec.tick if limit else mark, market)
        bid, ask = market.touch(spec.symbol)
        crosses = limit and (price_ticks >= ask if order.side_buy else price_ticks <= bid)
        if not limit:
            best = decimal_price((ask if order.side_buy else bid) * float(spec.tick))
            if not mark * PRICE_BAND_DOWN <= best <= mark * PRICE_BAND_UP:
                raise VenueError(-4131)
        if order.tif == "GTX" and crosses:
            raise VenueError(-5022)
        if order.tif == "FOK" and market.available(spec.symbol, order.side_buy, price_ticks) < qty_lots:
            raise VenueError(-5021)
        return order

    def _check_room(self, order: Order, spec: SymbolSpec, price: Decimal, market: Liquidity) -> None:
        position = self.position(order.held)
        if order.reduces:
            if position.lots == 0 or (position.lots > 0) == order.side_buy:
                raise VenueError(-2022)
            if self.ledger.hedge and order.qty_lots > abs(position.lots):
                raise VenueError(-2022)
            return
        if order.symbol in self.halted:
            raise VenueError(-4140)
        if order.qty_lots * spec.step * price < spec.min_notional:
            raise VenueError(-4164, format(spec.min_notional, "f"))
        if sum(resting.symbol == order.symbol for resting in self.resting.values()) >= MAX_OPEN_ORDERS:
            raise VenueError(-2025)
        now = self.margins(market)
        row = now.symbols[order.held]
        added = order.qty_lots * spec.step * price
        bid = row.bid_notional + (added if order.side_buy else ZERO)
        ask = row.ask_notional + (ZERO if order.side_buy else added)
        largest = max(abs(row.notional + bid), abs(row.notional - ask))
        if largest > row.max_notional and largest > abs(row.notional):
            raise VenueError(-2027)
        needed = largest / row.leverage
        if needed - row.initial - row.order_initial > now.available:
            raise VenueError(-2019)

    def enter(self, order: Order, now_ms: int, market: Liquidity) -> None:
        """Put a drafted order into the book: what crosses trades at once, what is left rests or expires."""
        order.order_id = self.ledger.next_id()
        self.ledger.orders[order.order_id] = order
        self.resting[order.order_id] = order
        self._tell(order, "NEW", now_ms)
        self._take(order, now_ms, market, maker=False)
        lapses = not self.market_rests if order.type == "MARKET" else order.tif in {"IOC", "FOK"}
        if order.is_open and lapses:
            self._finish(order, "EXPIRED", now_ms)

    def amend(
        self, order: Order, quantity: Decimal | None, price: Decimal | None, now_ms: int, market: Liquidity
    ) -> Order:
        """Change price and quantity of a resting limit order."""
        if not order.is_open:
            raise VenueError(-2013)
        spec = self.spec(order.symbol)
        qty_lots, price_ticks = lots_of(spec, quantity, market_order=False), ticks_of(spec, price, "price")
        if (qty_lots, price_ticks) == (order.qty_lots, order.price_ticks):
            raise VenueError(-5027)
        if qty_lots <= order.filled_lots:
            self._finish(order, "CANCELED", now_ms)
            return order
        order.qty_lots, order.price_ticks, order.updated_ms = qty_lots, price_ticks, now_ms
        self._tell(order, "AMENDMENT", now_ms)
        self._take(order, now_ms, market, maker=False)
        return order

    def cancel(self, symbol: str, order_id: int | None, client_id: str | None, now_ms: int) -> Order:
        order = self.find(symbol, order_id, client_id, missing=-2011)
        if not order.is_open:
            raise VenueError(-2011)
        self._finish(order, "CANCELED", now_ms)
        return order

    def cancel_all(self, symbol: str, now_ms: int) -> list[Order]:
        self.spec(symbol)
        gone = [order for order in self.resting.values() if order.symbol == symbol]
        for order in gone:
            self._finish(order, "CANCELED", now_ms)
        return gone

    def count_down(self, symbol: str, span_ms: int, now_ms: int) -> None:
        """Cancel the symbol's plain orders in `span_ms`, unless called again before; 0 calls it off."""
        self.spec(symbol)
        self._countdowns.pop(symbol, None)
        if span_ms:
            self._countdowns[symbol] = now_ms + span_ms

    def expire(self, now_ms: int) -> None:
        """Cancel what was left to a countdown that has run out; end what was good till now. How the venue calls such
        an end is in none of its documents: here it is EXPIRED, as it is for every other time in force.
        """
        for symbol in [symbol for symbol, due_ms in self._countdowns.items() if now_ms >= due_ms]:
            del self._countdowns[symbol]
            self.cancel_all(symbol, now_ms)
        for order in [order for order in self.resting.values() if 0 < order.good_till_ms <= now_ms]:
            self._finish(order, "EXPIRED", now_ms)
        self.conditionals.expire(now_ms)

    def set_leverage(self, symbol: str, leverage: int, now_ms: int) -> None:
        spec = self.spec(symbol)
        if not 1 <= leverage <= spec.max_leverage:
            raise VenueError(-4028, str(leverage))
        held_now = [self.position(held(symbol, side)) for side in POSITION_SIDES[self.ledger.hedge]]
        if any(abs(position.cost) > spec.max_notional(leverage) for position in held_now):
            raise VenueError(-2027)
        if symbol in self.ledger.isolated and any(p.lots for p in held_now) and leverage < self.leverage(symbol):
            raise VenueError(-4161)
        self.ledger.leverage[symbol] = leverage
        self.events.append(ConfigEvent(symbol, leverage, now_ms))

    def set_margin_type(self, symbol: str, isolated: bool) -> None:
        self.spec(symbol)
        if isolated == (symbol in self.ledger.isolated):
            raise VenueError(-4046)
        if any(order.symbol == symbol for order in self.resting.values()):
            raise VenueError(-4047)
        if any(self.position(held(symbol, side)).lots for side in POSITION_SIDES[self.ledger.hedge]):
            raise VenueError(-4048)
        (self.ledger.isolated.add if isolated else self.ledger.isolated.discard)(symbol)

    def set_hedge(self, hedge: bool) -> None:
        """Change the position mode, which only an empty account may."""
        if hedge == self.ledger.hedge:
            raise VenueError(-4059)
        if self.resting or self.conditionals.open:
            raise VenueError(-4067)
        if any(position.lots for position in self.ledger.positions.values()):
            raise VenueError(-4068)
        self.ledger.hedge = hedge

    def move_margin(self, symbol: str, side: str, amount: Decimal, now_ms: int, market: Liquidity) -> None:
        """Add margin to an isolated position, or with a negative amount take what is more than its initial margin."""
        self.spec(symbol)
        if side not in POSITION_SIDES[self.ledger.hedge]:
            raise VenueError(-4061)
        if symbol not in self.ledger.isolated:
            raise VenueError(-4049)
        state = self.margins(market)
        row, position = state.symbols[held(symbol, side)], self.position(held(symbol, side))
        if not position.lots:
            raise VenueError(-4054)
        if amount > state.available:
            raise VenueError(-4050)
        if row.isolated_wallet + min(row.unrealised, ZERO) + amount < row.initial and amount < 0:
            raise VenueError(-4051)
        position.isolated_wallet += amount
        self.ledger.margin_moves.append(MarginMove(symbol, side, amount, now_ms))
        self.tell_account("MARGIN_TRANSFER", symbol, now_ms, market, side=side)

    # -- the market moves ---------------------------------------------------------------------------------------------

    def match(self, symbol: str, prints: list[Print], now_ms: int, market: Liquidity) -> None:
        """Fill resting orders: a public trade at or through their price takes them, so does a book that crossed it."""
        mine = [order for order in self.resting.values() if order.symbol == symbol and order.price_ticks]
        if not mine:
            return
        mine.sort(key=lambda order: (-order.price_ticks if order.side_buy else order.price_ticks, order.order_id))
        for public in prints:
            left = public.qty_lots
            for order in mine:
                beyond = public.price_ticks - order.price_ticks
                reached = beyond <= 0 if order.side_buy else beyond >= 0
                # a print with a buying maker was sold into the bids, where a resting buy stands
                if left and order.is_open and reached and order.side_buy == public.buyer_is_maker:
                    lots = min(left, order.left_lots, self._room(order))
                    left -= lots
                    self.fill(order, order.price_ticks, lots, now_ms, market, maker=True)
        for order in mine:
            if order.is_open:
                self._take(order, now_ms, market, maker=True)

    def work(self, now_ms: int, market: Liquidity) -> None:
        """Market orders go on taking, the oldest first."""
        for order in [order for order in self.resting.values() if order.type == "MARKET"]:
            if order.is_open:
                self._take(order, now_ms, market, maker=False)

    def fund(self, symbol: str, rate: float, now_ms: int, market: Liquidity) -> None:
        """Pay or receive funding: position value on the mark times the rate; longs pay a positive one."""
        for side in POSITION_SIDES[self.ledger.hedge]:
            position = self.position(held(symbol, side))
            if position.lots:
                self.charge(symbol, position.lots, market.mark(symbol), rate, now_ms, market, side=side)

    def charge(
        self, symbol: str, lots: int, mark: float, rate: float, now_ms: int, market: Liquidity, *, side: str = "BOTH"
    ) -> None:
        """Book the funding of a position of so many lots when the mark was this, which may be long ago."""
        position = self.position(held(symbol, side))
        paid = money(lots * self.spec(symbol).step * decimal_price(mark) * decimal_price(rate))
        self.ledger.funding -= paid
        if symbol in self.ledger.isolated and position.lots:
            position.isolated_wallet -= paid
        self.book(symbol, "FUNDING_FEE", -paid, now_ms)
        self.tell_account("FUNDING_FEE", symbol, now_ms, market, change=-paid, side=side)

    # -- fills --------------------------------------------------------------------------------------------------------

    def _room(self, order: Order) -> int:
        """Lots an order may still trade: a reduce-only one never more than the position it reduces."""
        if not order.reduces:
            return order.left_lots
        lots = self.position(order.held).lots
        return min(order.left_lots, max(0, -lots if order.side_buy else lots))

    def _take(self, order: Order, now_ms: int, market: Liquidity, *, maker: bool) -> None:
        limit = order.price_ticks or self._bound(order, market)
        room = self._room(order)
        if room <= 0:
            return
        for price_ticks, lots in market.consume(order.symbol, order.side_buy, room, limit):
            self.fill(order, order.price_ticks if maker else price_ticks, lots, now_ms, market, maker=maker)

    def _bound(self, order: Order, market: Liquidity) -> int:
        """The price at which a market order gives up."""
        mark, tick = decimal_price(market.mark(order.symbol)), self.spec(order.symbol).tick
        return int(mark * (1 + TAKE_BOUND if order.side_buy else 1 - TAKE_BOUND) / tick)

    def fill(
        self,
        order: Order,
        price_ticks: int,
        lots: int,
        now_ms: int,
        market: Liquidity,
        *,
        maker: bool,
        execution: str = "TRADE",
    ) -> None:
        if lots <= 0:
            return
        spec = self.spec(order.symbol)
        price = price_ticks * spec.tick
        notional = lots * spec.step * price
        fee = money(notional * (MAKER_FEE if maker else TAKER_FEE))
        position = self.ledger.positions.setdefault(order.held, Position())
        before = position.lots
        realised = position.apply(lots if order.side_buy else -lots, price, spec.step, fee)
        position.updated_ms = now_ms
        if order.symbol in self.ledger.isolated:
            self._move_isolated_margin(position, before, price * spec.step, self.leverage(order.symbol))
        order.filled_lots += lots
        order.quote += notional
        order.updated_ms = now_ms
        order.status = "PARTIALLY_FILLED" if order.left_lots else "FILLED"
        fill = Fill(
            trade_id=self.ledger.next_id(), order_id=order.order_id, symbol=order.symbol, side_buy=order.side_buy,
            price_ticks=price_ticks, lots=lots, notional=notional, fee=fee, realised=realised, maker=maker,
            at_ms=now_ms, position_side=order.position_side,
        )  # fmt: skip
        self.ledger.fills.append(fill)
        self.ledger.realised += realised
        self.ledger.fees += fee
        if realised:
            self.book(order.symbol, "REALIZED_PNL", realised, now_ms, fill.trade_id)
        self.book(order.symbol, "COMMISSION", -fee, now_ms, fill.trade_id)
        self.tell_account("ORDER", order.symbol, now_ms, market, side=order.position_side)
        self._tell(order, execution, now_ms, fill)
        if not order.is_open:
            self._close(order, now_ms)
        if position.lots == 0 or before * position.lots < 0:
            self._shed(order.held, now_ms)

    @staticmethod
    def _move_isolated_margin(position: Position, before: int, lot_value: Decimal, leverage: int) -> None:
        """Opening locks the initial margin, closing releases it in proportion."""
        kept = min(abs(before), abs(position.lots)) if before * position.lots > 0 else 0
        locked = position.isolated_wallet * kept / abs(before) if before else ZERO
        added = abs(position.lots) - kept
        position.isolated_wallet = money(locked + added * lot_value / leverage)

    def _shed(self, name: str, now_ms: int) -> None:
        """The position is gone or turned: orders that could only have reduced it expire with it."""
        lots = self.position(name).lots
        for order in list(self.resting.values()):
            if order.held == name and order.reduces and (lots == 0 or (lots > 0) == order.side_buy):
                self._finish(order, "EXPIRED", now_ms)
        self.conditionals.shed(name, lots, now_ms)

    def _finish(self, order: Order, status: str, now_ms: int) -> None:
        order.status, order.updated_ms = status, now_ms
        self._tell(order, status, now_ms)
        self._close(order, now_ms)

    def _close(self, order: Order, now_ms: int) -> None:
        self.resting.pop(order.order_id, None)
        if order.algo_id:
            self.conditionals.finished(order, now_ms)

    # -- telling ------------------------------------------------------------------------------------------------------

    def book(self, symbol: str, kind: str, amount: Decimal, now_ms: int, trade_id: int = 0) -> None:
        self.ledger.wallet += amount
        self.ledger.incomes.append(
            Income(
                tran_id=self.ledger.next_id(), symbol=symbol, kind=kind, amount=amount, at_ms=now_ms, trade_id=trade_id
            )
        )

    def transfer(self, amount: Decimal, now_ms: int) -> None:
        """Money comes into the account, or leaves it (negative)."""
        self.ledger.transfers += amount
        self.book("", TRANSFER, amount, now_ms)
        self._tell_wallet(TRANSFERS[amount < 0], amount, None, now_ms)

    def _tell(self, order: Order, execution: str, now_ms: int, fill: Fill | None = None) -> None:
        self.events.append(OrderEvent(replace(order), execution, now_ms, fill))

    def tell_account(
        self, reason: str, symbol: str, now_ms: int, market: Liquidity, change: Decimal = ZERO, side: str = "BOTH"
    ) -> None:
        self._tell_wallet(reason, change, self.position_state(symbol, market, side), now_ms)

    def _tell_wallet(self, reason: str, change: Decimal, state: PositionState | None, now_ms: int) -> None:
        ledger = self.ledger
        cross_wallet = ledger.wallet - sum((p.isolated_wallet for p in ledger.positions.values()), ZERO)
        self.events.append(AccountEvent(reason, ledger.wallet, cross_wallet, change, state, now_ms))

    def position_state(self, symbol: str, market: Liquidity, side: str = "BOTH") -> PositionState:
        spec, position = self.spec(symbol), self.position(held(symbol, side))
        amount = position.lots * spec.step
        return PositionState(
            symbol=symbol, lots=position.lots, amount=amount, entry=position.entry(spec.step),
            break_even=position.break_even(spec.step), realised=position.realised,
            unrealised=money(amount * decimal_price(market.mark(symbol)) - position.cost),
            isolated=symbol in self.ledger.isolated, isolated_wallet=position.isolated_wallet,
            position_side=side,
        )  # fmt: skip
