"""What the venue does to an account that cannot carry its positions: margin calls, liquidation; and deleveraging."""

from decimal import Decimal
from typing import TYPE_CHECKING

from nexus_engine.sim.ledger import Margins, SymbolMargin, decimal_price
from nexus_engine.sim.orders import Liquidity, MarginCallEvent, Order, held

if TYPE_CHECKING:
    from nexus_engine.sim.account import Account

LIQUIDATED, DELEVERAGED = "autoclose-", "adl_autoclose"  # how the client ids of the venue's own orders begin
CALL_AT = Decimal("0.8")
"""Share of the margin balance the maintenance margin has reached when the call comes."""


class Liquidation:
    def __init__(self, account: "Account") -> None:
        self._account = account
        self._called: set[str] = set()  # positions that have had their margin call

    def check(self, now_ms: int, market: Liquidity) -> None:
        """Close what no longer carries its maintenance margin: an isolated position alone, all cross ones together."""
        ledger = self._account.ledger
        if not any(position.lots for position in ledger.positions.values()):
            self._called.clear()
            return
        state = self._account.margins(market)
        for name, row in state.symbols.items():
            if row.isolated and row.lots and row.isolated_wallet + row.unrealised < row.maintenance:
                self.close(row.symbol, row.position_side, now_ms, market)
                self._called.discard(name)
        cross = [row for row in state.symbols.values() if row.lots and not row.isolated]
        if cross and state.cross_wallet + state.cross_unrealised < state.cross_maintenance:
            for row in cross:
                self.close(row.symbol, row.position_side, now_ms, market)
            if ledger.wallet < 0:
                self._insure(cross[0], -ledger.wallet, now_ms, market)
            return
        self._call(state, now_ms, market)

    def _call(self, state: Margins, now_ms: int, market: Liquidity) -> None:
        """Tell of positions whose margin is nearly gone, once until it has recovered."""
        fresh: list[SymbolMargin] = []
        crossed = state.cross_maintenance >= CALL_AT * (state.cross_wallet + state.cross_unrealised)
        for name, row in state.symbols.items():
            short = row.maintenance >= CALL_AT * (row.isolated_wallet + row.unrealised) if row.isolated else crossed
            if not row.lots or not short:
                self._called.discard(name)
            elif name not in self._called:
                self._called.add(name)
                fresh.append(row)
        if fresh:
            account = self._account
            states = [
                (account.position_state(row.symbol, market, row.position_side), row.mark, row.maintenance)
                for row in fresh
            ]
            account.events.append(MarginCallEvent(state.cross_wallet, states, now_ms))

    def close(self, symbol: str, side: str, now_ms: int, market: Liquidity) -> None:
        """The venue's own closing order. What the book cannot take, the insurance fund takes at the mark; an isolated
        position never loses more than its own margin."""
        account = self._account
        account.cancel_all(symbol, now_ms)
        before, backing = account.ledger.wallet, account.position(held(symbol, side)).isolated_wallet
        order = self._order(LIQUIDATED, symbol, side, now_ms, market)
        for price_ticks, lots in market.consume(symbol, order.side_buy, order.qty_lots, None):
            account.fill(order, price_ticks, lots, now_ms, market, maker=False, execution="CALCULATED")
        if order.left_lots:
            account.fill(order, order.price_ticks, order.left_lots, now_ms, market, maker=False, execution="CALCULATED")
        lost = before - account.ledger.wallet
        if symbol in account.ledger.isolated and lost > backing:
            row = account.margins(market).symbols[held(symbol, side)]
            self._insure(row, lost - backing, now_ms, market)

    def deleverage(self, symbol: str, side: str, now_ms: int, market: Liquidity) -> None:
        """Take a position for the bankrupt other side of somebody else's liquidation: all of it, at the mark, past
        the book; the open orders of the symbol go with it. Nothing happens without a position."""
        account = self._account
        if not account.position(held(symbol, side)).lots:
            return
        account.cancel_all(symbol, now_ms)
        order = self._order(DELEVERAGED, symbol, side, now_ms, market)
        account.fill(order, order.price_ticks, order.qty_lots, now_ms, market, maker=False, execution="CALCULATED")

    def _order(self, prefix: str, symbol: str, side: str, now_ms: int, market: Liquidity) -> Order:
        ledger, spec = self._account.ledger, self._account.spec(symbol)
        lots = self._account.position(held(symbol, side)).lots
        order_id = ledger.next_id()
        order = Order(
            order_id=order_id, client_id=f"{prefix}{now_ms}{order_id}", symbol=symbol, side_buy=lots < 0,
            type="LIMIT", tif="IOC", qty_lots=abs(lots), position_side=side,
            price_ticks=round(decimal_price(market.mark(symbol)) / spec.tick), reduce_only=side == "BOTH",
            created_ms=now_ms, updated_ms=now_ms,
        )  # fmt: skip
        ledger.orders[order_id] = order
        return order

    def _insure(self, row: SymbolMargin, amount: Decimal, now_ms: int, market: Liquidity) -> None:
        self._account.ledger.insurance += amount
        self._account.book(row.symbol, "INSURANCE_CLEAR", amount, now_ms)
        self._account.tell_account("INSURANCE_CLEAR", row.symbol, now_ms, market, change=amount, side=row.position_side)


def is_forced(order: Order) -> bool:
    """Whether it is an order of the venue's own."""
    return order.client_id.startswith((LIQUIDATED, DELEVERAGED))


def force_type(order: Order) -> str:
    """The words of `autoCloseType`."""
    return "ADL" if order.client_id.startswith(DELEVERAGED) else "LIQUIDATION"
