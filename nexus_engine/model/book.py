"""An order book in integer ticks."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from typing import Final

BookLevel = tuple[int, float]
"""(price in ticks, quantity in base currency). A quantity of 0 removes the level."""
KEPT: Final = 5_000
"""Levels of a side, from the touch, that are never dropped: as many as the deepest reader asks for, and five times what
a snapshot has. Of twice as many the far half goes. Like a level beyond a snapshot it is known again once it changes."""


class _Half:
    """One side, by price in ticks; `keys` ascend, so the best ask is the first and the best bid the last."""

    __slots__ = ("keys", "qty")

    def __init__(self) -> None:
        self.keys: list[int] = []
        self.qty: dict[int, float] = {}

    def replace(self, levels: Iterable[BookLevel]) -> None:
        self.qty = {ticks: qty for ticks, qty in levels if qty}
        self.keys = sorted(self.qty)

    def apply(self, levels: Iterable[BookLevel]) -> None:
        held, keys = self.qty, self.keys
        for ticks, qty in levels:
            if qty:
                if ticks not in held:
                    insort(keys, ticks)
                held[ticks] = qty
            elif held.pop(ticks, None) is not None:
                del keys[bisect_left(keys, ticks)]

    def drop(self, far: slice) -> None:
        """Forget these of the keys."""
        keys = self.keys
        for ticks in keys[far]:
            del self.qty[ticks]
        del keys[far]

    def at(self, ticks: Sequence[int]) -> list[BookLevel]:
        held = self.qty
        return [(price, held[price]) for price in ticks]


class OrderBook:
    """Bids and asks by price. It applies what it is given; the venue's gap rules are the feed's business."""

    __slots__ = ("_asks", "_bids", "update_id", "valid")

    def __init__(self) -> None:
        self._bids = _Half()
        self._asks = _Half()
        self.update_id = 0
        self.valid = False
        """False before the first snapshot and between a gap and the next one: nothing may be decided on it."""

    def snapshot(self, bids: Sequence[BookLevel], asks: Sequence[BookLevel], update_id: int) -> None:
        """Replace everything."""
        self._bids.replace(bids)
        self._asks.replace(asks)
        self.update_id = update_id
        self.valid = True

    def delta(self, bids: Sequence[BookLevel], asks: Sequence[BookLevel], update_id: int) -> None:
        """Set absolute quantities at the given levels; removing an unknown level is normal."""
        self._bids.apply(bids)
        self._asks.apply(asks)
        self.update_id = update_id
        if len(self._bids.keys) > 2 * KEPT:
            self._bids.drop(slice(-KEPT))
        if len(self._asks.keys) > 2 * KEPT:
            self._asks.drop(slice(KEPT, None))

    def invalidate(self) -> None:
        """Drop everything: the feed lost its place."""
        self._bids.replace(())
        self._asks.replace(())
        self.valid = False

    @property
    def best_bid(self) -> BookLevel | None:
        half = self._bids
        return (half.keys[-1], half.qty[half.keys[-1]]) if half.keys else None

    @property
    def best_ask(self) -> BookLevel | None:
        half = self._asks
        return (half.keys[0], half.qty[half.keys[0]]) if half.keys else None

    def bids(self, depth: int) -> list[BookLevel]:
        """The best `depth` bids, best first."""
        return self._bids.at(self._bids.keys[: -depth - 1 : -1])

    def asks(self, depth: int) -> list[BookLevel]:
        """The best `depth` asks, best first."""
        return self._asks.at(self._asks.keys[:depth])

    @property
    def crossed(self) -> bool:
        """True when the best bid is not below the best ask, which only a broken feed shows."""
        bids, asks = self._bids.keys, self._asks.keys
        return bool(bids and asks and bids[-1] >= asks[0])

    def within(self, part: float) -> tuple[float, float] | None:
        """What bids and asks hold within `part` of the middle, in base units; None while a side is empty."""
        bids, asks = self._bids, self._asks
        if not bids.keys or not asks.keys:
            return None
        middle = (bids.keys[-1] + asks.keys[0]) / 2
        low, high = bisect_left(bids.keys, middle * (1 - part)), bisect_right(asks.keys, middle * (1 + part))
        return sum(map(bids.qty.__getitem__, bids.keys[low:])), sum(map(asks.qty.__getitem__, asks.keys[:high]))

    def sweep(self, buy: bool, qty: float) -> tuple[float, float]:
        """Walk the book with a taker order.

        Returns (average price in ticks, quantity found); the average is 0 when the side is empty.
        """
        left, cost = qty, 0.0
        half = self._asks if buy else self._bids
        for ticks in half.keys if buy else reversed(half.keys):
            take = min(left, half.qty[ticks])
            cost += take * ticks
            left -= take
            if left <= 0:
                break
        found = qty - left
        return (cost / found if found else 0.0), found
