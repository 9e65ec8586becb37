"""The venue's request limits: weight and orders counted in windows, 429 for who is over, 418 for who goes on."""

from collections.abc import Callable
from typing import Any

from nexus_engine.sim.rules import VenueError

WEIGHT_LIMIT_1M = 2400
ORDER_LIMIT_10S = 300
ORDER_LIMIT_1M = 1200
FUNDING_LIMIT_5M = 500
"""Requests for funding rates and their terms, together."""
PATIENCE = 20
"""Requests answered with 429 in one minute before the next one is banned. Binance publishes no number."""
BAN_S, LONGEST_BAN_S = 120.0, 3 * 86_400.0  # the first ban, doubled with each one after it


class Window:
    """A limit counted in windows that begin at multiples of their length, as the venue's headers show it."""

    def __init__(self, limit: int, span_s: float, clock: Callable[[], float]) -> None:
        self.limit = limit
        self._span_s = span_s
        self._clock = clock
        self._index = 0
        self._used = 0

    @property
    def used(self) -> int:
        index = int(self._clock() // self._span_s)
        if index != self._index:
            self._index, self._used = index, 0
        return self._used

    def count(self, amount: int) -> bool:
        """Add to the window; False when that is more than it allows."""
        self._used = self.used + amount
        return self._used <= self.limit

    def left_s(self) -> float:
        return self._span_s - self._clock() % self._span_s


class Limits:
    """What one address and its account have used. `clock` counts seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._weight = Window(WEIGHT_LIMIT_1M, 60.0, clock)
        self._orders_10s, self._orders_1m = Window(ORDER_LIMIT_10S, 10.0, clock), Window(ORDER_LIMIT_1M, 60.0, clock)
        self._funding = Window(FUNDING_LIMIT_5M, 300.0, clock)
        self._refused = Window(PATIENCE, 60.0, clock)
        self._banned_until_s = 0.0
        self._ban_s = BAN_S

    def count(self, weight: int, orders: int) -> None:
        """Count a request, or refuse it: -1003 with 429 or 418, -1015 with 429. `orders` is what it counts in the 10 s
        window; in the minute's it counts 1 at most (a batch of five is 5 and 1)."""
        if self._clock() < self._banned_until_s:
            raise VenueError(-1003, http_status=418, retry_after_s=self._banned_until_s - self._clock())
        if not self._weight.count(weight):
            if not self._refused.count(1):
                self._banned_until_s = self._clock() + self._ban_s
                self._ban_s = min(2 * self._ban_s, LONGEST_BAN_S)
                raise VenueError(-1003, http_status=418, retry_after_s=self._banned_until_s - self._clock())
            raise VenueError(-1003, http_status=429, retry_after_s=self._weight.left_s())
        if orders:
            short, long = self._orders_10s.count(orders), self._orders_1m.count(min(orders, 1))
            if not (short and long):
                over = self._orders_1m if short else self._orders_10s
                raise VenueError(-1015, http_status=429, retry_after_s=over.left_s())

    def count_funding(self) -> None:
        """Count a request for funding rates, which have a limit of their own."""
        if not self._funding.count(1):
            raise VenueError(-1003, http_status=429, retry_after_s=self._funding.left_s())

    def rows(self, weight: int, orders: int) -> list[dict[str, Any]]:
        """The limits that a request of so much counts for, as they stand, in the WebSocket API's words."""
        windows = (
            (weight or not orders, "REQUEST_WEIGHT", "MINUTE", 1, self._weight),
            (orders, "ORDERS", "SECOND", 10, self._orders_10s),
            (orders, "ORDERS", "MINUTE", 1, self._orders_1m),
        )
        return [
            {"rateLimitType": kind, "interval": unit, "intervalNum": n, "limit": window.limit, "count": window.used}
            for counts, kind, unit, n, window in windows
            if counts
        ]

    def headers(self) -> dict[str, str]:
        return {
            "x-mbx-used-weight-1m": str(self._weight.used),
            "x-mbx-order-count-10s": str(self._orders_10s.used),
            "x-mbx-order-count-1m": str(self._orders_1m.used),
        }
