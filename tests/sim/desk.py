"""A practice account on a shelf of liquidity that the test fills itself."""

from decimal import Decimal as D

import pytest

from nexus_engine.sim.account import Account
from nexus_engine.sim.orders import Algo, NewAlgo, NewOrder, Order
from nexus_engine.sim.rules import VenueError
from nexus_engine.sim.specs import SPECS

BTC = "BTCUSDT"


class Shelf:
    """Liquidity of one symbol: levels of (ticks, lots), best first, that a taker empties."""

    def __init__(self) -> None:
        self.bids = [(999_999 - i, 2_000) for i in range(40)]
        self.asks = [(1_000_001 + i, 2_000) for i in range(40)]
        self.price = 100_000.0

    def move(self, price: float) -> None:
        ticks = round(price * 10)
        self.bids = [(ticks - 1 - i, 2_000) for i in range(40)]
        self.asks = [(ticks + 1 + i, 2_000) for i in range(40)]
        self.price = price

    def consume(self, symbol: str, side_buy: bool, qty_lots: int, limit_ticks: int | None) -> list[tuple[int, int]]:
        side, fills = (self.asks if side_buy else self.bids), []
        while side and qty_lots:
            ticks, lots = side[0]
            if limit_ticks is not None and (ticks > limit_ticks if side_buy else ticks < limit_ticks):
                break
            part = min(lots, qty_lots)
            fills.append((ticks, part))
            qty_lots -= part
            side[0] = (ticks, lots - part)
            if part == lots:
                side.pop(0)
        return fills

    def touch(self, symbol: str) -> tuple[int, int]:
        return self.bids[0][0], self.asks[0][0]

    def available(self, symbol: str, side_buy: bool, limit_ticks: int) -> int:
        if side_buy:
            return sum(lots for ticks, lots in self.asks if ticks <= limit_ticks)
        return sum(lots for ticks, lots in self.bids if ticks >= limit_ticks)

    def mark(self, symbol: str) -> float:
        return self.price

    def last(self, symbol: str) -> float:
        return self.price


class Desk:
    def __init__(self) -> None:
        self.shelf = Shelf()
        self.account = Account(SPECS)
        self._ids = 0

    def order(self, side: str, quantity: str, price: str | None = None, **more: object) -> Order:
        self._ids += 1
        values = {"client_id": f"c{self._ids}", "type": "LIMIT" if price else "MARKET", "symbol": BTC} | more
        request = NewOrder(side=side, quantity=D(quantity), price=D(price) if price else None, **values)
        return self.account.place(request, 1_000, self.shelf)

    def algo(self, side: str, kind: str, trigger: str | None, quantity: str | None = None, **more: object) -> Algo:
        self._ids += 1
        values = {"client_id": f"a{self._ids}", "symbol": BTC, "working_type": "MARK_PRICE"} | more
        request = NewAlgo(
            side=side,
            type=kind,
            quantity=D(quantity) if quantity else None,
            trigger_price=D(trigger) if trigger else None,
            **values,
        )
        return self.account.conditionals.place(request, 1_000, self.shelf)

    def mark(self, price: float) -> None:
        self.shelf.move(price)
        self.account.conditionals.trigger(BTC, price * 10, price * 10, 2_000, self.shelf)
        self.account.liquidation.check(2_000, self.shelf)

    @property
    def lots(self) -> int:
        return self.account.position(BTC).lots


def refused(code: int) -> "pytest.RaisesExc[VenueError]":
    return pytest.raises(VenueError, match=f"^{code}: ")
