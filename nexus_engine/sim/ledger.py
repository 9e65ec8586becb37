"""The books of one practice account: wallet, positions, every order, fill and income; and the margin they need."""

import itertools
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal

import msgspec

from nexus_engine.sim.orders import (
    CENT,
    OPEN_ALGO,
    OPEN_ORDER,
    POSITION_SIDES,
    ZERO,
    Algo,
    Fill,
    Income,
    Liquidity,
    MarginMove,
    Order,
    held,
)
from nexus_engine.sim.specs import Bracket, SymbolSpec

START_WALLET = Decimal(25_000)
DEFAULT_LEVERAGE = 20


def money(value: Decimal) -> Decimal:
    return value.quantize(CENT)


def decimal_price(value: float) -> Decimal:
    return Decimal(f"{value:.8f}")


class Position(msgspec.Struct):
    """A position; a SHORT's lots are negative. `cost` is the signed money the open part was bought (or sold) for;
    `break_cost` adds fees and takes off what was realised since the position was last flat."""

    lots: int = 0
    cost: Decimal = ZERO
    break_cost: Decimal = ZERO
    realised: Decimal = ZERO
    isolated_wallet: Decimal = ZERO
    updated_ms: int = 0

    def apply(self, lots: int, price: Decimal, step: Decimal, fee: Decimal) -> Decimal:
        """Book a fill of signed `lots`; returns the realised profit.

        The rounding of a partial close stays in the cost of the rest, so the sum of all realised profits plus the open
        cost is exactly the money that changed hands.
        """
        realised = ZERO
        closing = min(abs(lots), abs(self.lots)) if lots * self.lots < 0 else 0
        if closing:
            released = self.cost if closing == abs(self.lots) else money(self.cost * closing / abs(self.lots))
            signed = closing if lots > 0 else -closing
            realised = -(signed * step * price) - released
            self.cost -= released
            self.lots += signed
            self.break_cost += signed * step * price
            lots -= signed
        if self.lots == 0:
            self.break_cost = ZERO
        if lots:
            self.cost += lots * step * price
            self.break_cost += lots * step * price
            self.lots += lots
        if self.lots:
            self.break_cost += fee
        self.realised += realised
        return realised

    def entry(self, step: Decimal) -> Decimal:
        return money(self.cost / (self.lots * step)) if self.lots else ZERO

    def break_even(self, step: Decimal) -> Decimal:
        return money(self.break_cost / (self.lots * step)) if self.lots else ZERO


class Ledger(msgspec.Struct, kw_only=True):
    """Everything the account ever did, and what it has. The totals hold also what a trimmed ledger no longer lists:
    wallet == start + realised - fees + funding + insurance + transfers, always."""

    start: Decimal = START_WALLET
    wallet: Decimal = START_WALLET
    realised: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    insurance: Decimal = ZERO
    transfers: Decimal = ZERO
    positions: dict[str, Position] = {}  # by `orders.held`
    hedge: bool = False
    leverage: dict[str, int] = {}
    isolated: set[str] = set()
    orders: dict[int, Order] = {}
    algos: dict[int, Algo] = {}
    fills: list[Fill] = []
    incomes: list[Income] = []
    margin_moves: list[MarginMove] = []
    last_id: int = 8_000_000_000

    def next_id(self) -> int:
        self.last_id += 1
        return self.last_id

    def trimmed(self, keep: int) -> "Ledger":
        """A copy to persist: everything open and the newest `keep` of what is closed."""
        closed = set([i for i, order in self.orders.items() if order.status not in OPEN_ORDER][:-keep])
        ended = set([i for i, algo in self.algos.items() if algo.status not in OPEN_ALGO][:-keep])
        return msgspec.structs.replace(
            self,
            orders={i: order for i, order in self.orders.items() if i not in closed},
            algos={i: algo for i, algo in self.algos.items() if i not in ended},
            fills=self.fills[-keep:],
            incomes=self.incomes[-keep:],
            margin_moves=self.margin_moves[-keep:],
        )

    def shorten(self, keep: int) -> None:
        """Forget what `trimmed` leaves out, once there is far more of it: an account may live for months."""
        rows = len(self.orders) + len(self.algos) + len(self.fills) + len(self.incomes) + len(self.margin_moves)
        if rows > 10 * keep:
            less = self.trimmed(keep)
            self.orders, self.algos, self.fills = less.orders, less.algos, less.fills
            self.incomes, self.margin_moves = less.incomes, less.margin_moves


class SymbolMargin(msgspec.Struct, frozen=True, kw_only=True):
    """Margin of one position in USDT, on the mark price. `notional` is signed."""

    symbol: str
    position_side: str
    spec: SymbolSpec
    lots: int
    amount: Decimal
    entry: Decimal
    break_even: Decimal
    mark: Decimal
    notional: Decimal
    unrealised: Decimal
    initial: Decimal
    order_initial: Decimal
    maintenance: Decimal
    bid_notional: Decimal
    ask_notional: Decimal
    leverage: int
    isolated: bool
    isolated_wallet: Decimal
    liquidation: Decimal
    updated_ms: int

    @property
    def max_notional(self) -> int:
        """The most it may be worth at this leverage."""
        return self.spec.max_notional(self.leverage)


class Margins(msgspec.Struct, frozen=True, kw_only=True):
    wallet: Decimal
    cross_wallet: Decimal
    cross_unrealised: Decimal
    cross_maintenance: Decimal
    unrealised: Decimal
    initial: Decimal
    order_initial: Decimal
    maintenance: Decimal
    available: Decimal
    symbols: dict[str, SymbolMargin]  # by `orders.held`


def order_notionals(resting: Iterable[Order], spec: SymbolSpec, position_side: str) -> tuple[Decimal, Decimal]:
    """Money bid and asked by resting orders that may open this position."""
    sides = {True: ZERO, False: ZERO}
    for order in resting:
        if order.symbol == spec.symbol and order.position_side == position_side and not order.reduces:
            sides[order.side_buy] += order.left_lots * spec.step * order.price_ticks * spec.tick
    return sides[True], sides[False]


def initial_margin(notional: Decimal, bid: Decimal, ask: Decimal, leverage: int) -> Decimal:
    """Binance's rule for a one-way position: the larger of what all bids or all asks could make of it."""
    return max(abs(notional + bid), abs(notional - ask)) / leverage


def liquidation_price(
    lots: int, step: Decimal, cost: Decimal, bracket: Bracket, balance: Decimal, other_maintenance: Decimal
) -> Decimal:
    """Mark price at which `balance` plus this position's profit falls to its maintenance margin (Binance USD-M, in the
    bracket it is in now): balance - other_maintenance + q*p - cost = mmr*|q|*p - cum, for p. Zero when there is none.
    """
    quantity = lots * step
    divisor = bracket.mmr * abs(quantity) - quantity
    if not quantity or not divisor:
        return ZERO
    return max(ZERO, money((balance - other_maintenance + bracket.cum - cost) / divisor))


def margins(ledger: Ledger, specs: Mapping[str, SymbolSpec], market: Liquidity, resting: Collection[Order]) -> Margins:
    """The account on the current marks; `resting` are its open plain orders."""
    rows: dict[str, SymbolMargin] = {}
    bases: dict[str, tuple[Bracket, Decimal]] = {}  # position -> (bracket, cost)
    for symbol, side in itertools.product(specs, POSITION_SIDES[ledger.hedge]):
        spec, name = specs[symbol], held(symbol, side)
        position = ledger.positions.get(name) or Position()
        bid, ask = order_notionals(resting, spec, side)
        leverage = ledger.leverage.get(symbol, DEFAULT_LEVERAGE)
        mark = decimal_price(market.mark(symbol))
        amount = position.lots * spec.step
        notional = amount * mark
        bracket = spec.bracket(notional)
        bases[name] = (bracket, position.cost)
        initial = abs(notional) / leverage
        rows[name] = SymbolMargin(
            symbol=symbol, position_side=side, lots=position.lots, amount=amount, entry=position.entry(spec.step),
            break_even=position.break_even(spec.step), mark=mark, notional=money(notional),
            unrealised=money(notional - position.cost), initial=money(initial),
            order_initial=money(initial_margin(notional, bid, ask, leverage) - initial),
            maintenance=money(abs(notional) * bracket.mmr - bracket.cum), bid_notional=bid, ask_notional=ask,
            leverage=leverage, spec=spec, isolated=symbol in ledger.isolated,
            isolated_wallet=position.isolated_wallet, liquidation=ZERO, updated_ms=position.updated_ms,
        )  # fmt: skip
    cross = [row for row in rows.values() if not row.isolated]
    cross_wallet = ledger.wallet - sum((row.isolated_wallet for row in rows.values()), ZERO)
    cross_unrealised = sum((row.unrealised for row in cross), ZERO)
    cross_maintenance = sum((row.maintenance for row in cross), ZERO)
    for name, row in rows.items():
        if row.lots:
            bracket, cost = bases[name]
            others = ZERO if row.isolated else cross_maintenance - row.maintenance
            balance = row.isolated_wallet if row.isolated else cross_wallet + cross_unrealised - row.unrealised
            price = liquidation_price(row.lots, specs[row.symbol].step, cost, bracket, balance, others)
            rows[name] = msgspec.structs.replace(row, liquidation=price)
    used = sum((row.initial for row in cross), ZERO) + sum((row.order_initial for row in rows.values()), ZERO)
    return Margins(
        wallet=ledger.wallet, cross_wallet=cross_wallet, cross_unrealised=cross_unrealised,
        cross_maintenance=cross_maintenance, unrealised=sum((row.unrealised for row in rows.values()), ZERO),
        initial=sum((row.initial for row in rows.values()), ZERO),
        order_initial=sum((row.order_initial for row in rows.values()), ZERO),
        maintenance=sum((row.maintenance for row in rows.values()), ZERO),
        available=max(ZERO, cross_wallet + cross_unrealised - used), symbols=rows,
    )  # fmt: skip
