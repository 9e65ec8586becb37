"""A market that a test moves by hand, or that walks by a seed: two perpetuals with a shallow book. It knows no past."""

import math
from collections.abc import Mapping
from random import Random

from nexus_engine.sim.bars import INTERVALS, Bar
from nexus_engine.sim.book import Book, Levels
from nexus_engine.sim.contract import Print
from nexus_engine.sim.specs import SPECS, SymbolSpec

LEVELS = 5
FUNDING_NS = 8 * INTERVALS["1h"]
PRICES = {"BTCUSDT": 95_000.0, "SOLUSDT": 150.0}


class HandTape:
    """The tape of `sim.venue.Venue`, one tick of spread each side of a mid price.

    `swing` is the standard deviation of a second's return; `lots` what rests at each level of a symbol.
    """

    def __init__(self, start_ns: int, *, seed: int = 0, swing: float = 0.0) -> None:
        self.now_ns = start_ns
        self.specs: Mapping[str, SymbolSpec] = {symbol: SPECS[symbol] for symbol in PRICES}
        self.swing = swing
        self.mids = {symbol: self._ticks(symbol, price) for symbol, price in PRICES.items()}
        self.lots = dict.fromkeys(PRICES, 1_000_000)
        self._left: dict[tuple[str, bool, int], int] = {}
        self._told: dict[str, tuple[dict[int, int], dict[int, int]]] = {symbol: ({}, {}) for symbol in PRICES}
        self._prints: dict[str, list[Print]] = {symbol: [] for symbol in PRICES}
        self._rng = Random(f"{seed}:tape")
        self._diffs = 0
        self.remembers = False
        """Minutes close, and a start is told of the last one."""

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(self.specs)

    def move(self, symbol: str, price: float) -> None:
        """Put the mid price there, from now on."""
        self.mids[symbol] = self._ticks(symbol, price)

    def price(self, symbol: str) -> float:
        return self.mids[symbol] * float(self.specs[symbol].tick)

    # ---- what the venue asks -----------------------------------------------------------------------------------------

    def step(self, dt_ns: int) -> None:
        self.now_ns += dt_ns
        self._left.clear()
        for symbol, mid in self.mids.items():
            if self.swing:
                move = self._rng.gauss(0.0, self.swing * math.sqrt(dt_ns / 1e9))
                self.mids[symbol] = mid = max(100, round(mid * math.exp(move)))
            self._prints[symbol].append(Print(mid, 1, self._rng.random() < 0.5, self.now_ns))

    def prints(self, symbol: str) -> list[Print]:
        out, self._prints[symbol] = self._prints[symbol], []
        return out

    def book(self, symbol: str, depth: int | None = None) -> Book:
        return Book(self._side(symbol, True)[:depth], self._side(symbol, False)[:depth])

    def diff(self, symbol: str) -> tuple[Levels, Levels]:
        self._diffs += 1
        told = self._told[symbol]
        now = dict(self._side(symbol, True)), dict(self._side(symbol, False))
        self._told[symbol] = now
        return _changes(told[0], now[0]), _changes(told[1], now[1])

    def consume(self, symbol: str, side_buy: bool, qty_lots: int, limit_ticks: int | None) -> list[tuple[int, int]]:
        """A taker's fills. The last lot of the last level stays: a venue always shows a touch."""
        fills = []
        levels = self._side(symbol, not side_buy)
        levels[-1] = (levels[-1][0], levels[-1][1] - 1)
        for ticks, lots in levels:
            beyond = limit_ticks is not None and (ticks > limit_ticks if side_buy else ticks < limit_ticks)
            if not qty_lots or beyond:
                break
            part = min(lots, qty_lots)
            qty_lots -= part
            last = ticks == levels[-1][0]
            self._left[symbol, not side_buy, ticks] = lots - part + last
            if part:
                fills.append((ticks, part))
        return fills

    def mark(self, symbol: str) -> float:
        return self.price(symbol)

    def index(self, symbol: str) -> float:
        return self.price(symbol)

    def last(self, symbol: str) -> float:
        return self.price(symbol)

    def funding_rate(self, symbol: str) -> float:
        return 0.0001

    def next_funding_ns(self) -> int:
        return (self.now_ns // FUNDING_NS + 1) * FUNDING_NS

    def bars(
        self, symbol: str, interval: str, *, end_ns: int | None = None, start_ns: int | None = None, limit: int = 500
    ) -> list[Bar]:
        if not self.remembers:
            return []
        step, price = INTERVALS[interval], self.price(symbol)
        first = self.now_ns // step * step - step if start_ns is None else start_ns
        return [
            Bar(at, at + step - 1_000_000, price, price, price, price, 1.0, price, 1, 0.5, 0.5, True)
            for at in range(first, self.now_ns // step * step, step)
        ]

    def forming(self, symbol: str, interval: str) -> Bar:
        step = INTERVALS[interval]
        open_ns = self.now_ns // step * step
        price = self.price(symbol)
        return Bar(open_ns, open_ns + step - 1_000_000, price, price, price, price, 1.0, price, 1, 0.5, 0.5, False)

    def ticker(self, symbol: str) -> dict[str, float]:
        return {}

    def prices(self) -> dict[str, float]:
        return {symbol: self.price(symbol) for symbol in self.mids}

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _ticks(self, symbol: str, price: float) -> int:
        return round(price / float(SPECS[symbol].tick))

    def _side(self, symbol: str, bids: bool) -> Levels:
        mid, lots = self.mids[symbol], self.lots[symbol]
        step = -1 if bids else 1
        prices = (mid + step * (1 + at) for at in range(LEVELS))
        # a quiet book still moves somewhere, or its silence would look like a broken feed
        levels = [
            (ticks, self._left.get((symbol, bids, ticks), lots + self._diffs // len(self.mids) % 2)) for ticks in prices
        ]
        return [level for level in levels if level[1]]


def _changes(before: dict[int, int], now: dict[int, int]) -> Levels:
    return [(ticks, now.get(ticks, 0)) for ticks in sorted({*before, *now}) if before.get(ticks) != now.get(ticks)]
