"""How much of their bars a run's orders took, and what came of those that no one bar could fill."""

from typing import Any

import msgspec

from nexus_engine.lab.venue import BarVenue
from nexus_engine.sim.orders import Fill, OrderEvent


class _Parts(msgspec.Struct):
    """An order on its way: the bars that gave something, and what the first of them and the others gave, in lots and in
    lots times ticks."""

    sign: int
    bar: int
    bars: int = 1
    first: int = 0
    first_ticks: int = 0
    later: int = 0
    later_ticks: int = 0


class Participation:
    """Listens to the account's executions as they happen, at each one's bar."""

    def __init__(self, venue: BarVenue) -> None:
        self._venue = venue
        self._open: dict[int, _Parts] = {}
        self._in_bar, self._bar = 0, 0
        self.orders = 0
        """That were filled, whole or in part."""
        self.in_parts = 0
        """Of those: that no one bar filled."""
        self.given_up = 0
        """Of those: entries that were over before they were whole."""
        self.most_bars = 0
        self.cost = 0.0
        """What the parts of later bars cost above the price of the first bar's; negative: less."""
        self.largest = 0.0
        """The largest part of a bar's volume that was taken."""

    def told(self, event: OrderEvent) -> None:
        """What happened to an order. Liquidations are whole at once, and count for nothing here."""
        order = event.order
        if event.execution == "CALCULATED":
            return
        if event.fill is not None:
            self._filled(order.order_id, event.fill)
        if not order.is_open and (parts := self._open.pop(order.order_id, None)) is not None:
            self._over(parts, short=order.left_lots > 0 and not order.reduces)

    def figures(self, *, known: bool) -> dict[str, Any]:
        """For the report; what is under way at the end counts as it is. `known`: bars have volumes."""
        for parts in self._open.values():
            self._over(parts, short=False)
        self._open.clear()
        return {
            "share_pct": self._venue.costs.share * 100 if known else None,
            "orders": self.orders,
            "in_parts": self.in_parts,
            "given_up": self.given_up,
            "most_bars": self.most_bars,
            "cost": self.cost,
            "largest_pct": self.largest * 100 if known else None,
        }

    def _filled(self, order_id: int, fill: Fill) -> None:
        bar, ticks = self._venue.bars, fill.lots * fill.price_ticks
        parts = self._open.get(order_id)
        if parts is None:
            parts = self._open[order_id] = _Parts(sign=1 if fill.side_buy else -1, bar=bar)
        elif bar != parts.bar:
            parts.bar, parts.bars = bar, parts.bars + 1
        if parts.bars == 1:
            parts.first += fill.lots
            parts.first_ticks += ticks
        else:
            parts.later += fill.lots
            parts.later_ticks += ticks
        if bar != self._bar:
            self._bar, self._in_bar = bar, 0
        self._in_bar += fill.lots
        if volume := self._venue.volume:
            self.largest = max(self.largest, self._in_bar * self._venue.step / volume)

    def _over(self, parts: _Parts, *, short: bool) -> None:
        self.orders += 1
        self.given_up += short
        self.in_parts += short or parts.bars > 1
        self.most_bars = max(self.most_bars, parts.bars)
        if parts.later:
            above = parts.later_ticks - parts.later * parts.first_ticks / parts.first
            self.cost += parts.sign * above * self._venue.tick * self._venue.step
