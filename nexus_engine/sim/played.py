"""A market that plays given prices: ticks of several contracts, with a book of its own shape around each of them.

What it was given before `start_ns` is its past; from there on `step` moves it. Nothing that a client does moves it.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import floor, log10
from types import MappingProxyType

import msgspec
import numpy as np

from nexus_engine.sim.bars import COLUMNS, INTERVALS, MINUTE_NS, Bar, Candles
from nexus_engine.sim.book import Book, walked
from nexus_engine.sim.contract import Print
from nexus_engine.sim.specs import SPECS, SymbolSpec, ladder

FUNDING_NS = INTERVALS["8h"]
FUNDING_RATE = 0.0001
LEVELS = 10
LEVEL_USD = 50_000.0
"""What rests on a level."""
PRINT_USD = 2_000.0


class Ticks(msgspec.Struct, frozen=True):
    """One contract's prices. `marks` are the index and mark at each tick, where they are others than the trades."""

    times: Sequence[int]
    prices: Sequence[float]
    marks: Sequence[float] | None = None


def spec_of(symbol: str, price: float) -> SymbolSpec:
    """The contract as the practice venue knows it, else one whose tick is about a thousandth of a percent."""
    known = SPECS.get(symbol)
    if known is not None and float(known.tick) < price * 1e-3:
        return known
    digits = max(0, 4 - floor(log10(price)))
    tick = Decimal(1).scaleb(-digits)
    step = Decimal(1).scaleb(-max(0, floor(log10(price))))
    return SymbolSpec(
        symbol, symbol.removesuffix("USDT"), tick, step, digits, max(0, floor(log10(price))), step,
        Decimal(100_000_000), Decimal(50_000_000), Decimal(5), ladder(75, Decimal("0.05")),
    )  # fmt: skip


class _Line:
    """One contract as it is now."""

    __slots__ = ("candles", "diffed", "last", "lots", "mark", "next", "prints", "spec", "ticks", "touch")

    def __init__(self, spec: SymbolSpec, ticks: Ticks, start_ns: int) -> None:
        self.spec, self.ticks = spec, ticks
        self.next = 0
        unit = 10**spec.tick_digits
        self.last = max(1, round(ticks.prices[0] * unit))
        self.mark = ticks.prices[0]
        self.prints: list[Print] = []
        self.lots: int = 10**spec.step_digits
        self.touch = self.last
        self.diffed: tuple[int, int] = (0, 0)
        self.candles = Candles(
            minute_ns=ticks.times[0] // MINUTE_NS * MINUTE_NS,
            past={name: np.empty((0, COLUMNS), dtype=np.int64) for name in INTERVALS},
            partial=dict.fromkeys(INTERVALS),
            last_ticks=self.last,
            tick_digits=spec.tick_digits,
            step_digits=spec.step_digits,
        )

    def play(self, now_ns: int, *, quiet: bool = False) -> None:
        """Take the ticks up to `now_ns`, which lie within one minute."""
        ticks, unit = self.ticks, 10**self.spec.tick_digits
        end = bisect_right(ticks.times, now_ns, lo=self.next)
        for at in range(self.next, end):
            price = ticks.prices[at]
            self.mark = price if ticks.marks is None else ticks.marks[at]
            cents = round(price * unit)
            if cents <= 0:
                continue
            lots = max(1, round(PRINT_USD / self.mark * self.lots))
            maker = cents <= self.last
            self.last = cents
            self.candles.trade(cents, lots, not maker)
            if not quiet:
                self.prints.append(Print(cents, lots, maker, ticks.times[at]))
        self.next = end
        self.touch = max(LEVELS + 1, round(self.mark * unit) if ticks.marks is not None else self.last)

    def level(self) -> int:
        return max(1, round(LEVEL_USD / self.mark * self.lots))


class PlayedMarket:
    """The Tape of these ticks. Times rise, and all contracts begin with the same minute."""

    def __init__(self, tape: Mapping[str, Ticks], start_ns: int) -> None:
        self.symbols: tuple[str, ...] = tuple(tape)
        self.specs: Mapping[str, SymbolSpec] = MappingProxyType(
            {symbol: spec_of(symbol, ticks.prices[0]) for symbol, ticks in tape.items()}
        )
        self._lines = {symbol: _Line(self.specs[symbol], ticks, start_ns) for symbol, ticks in tape.items()}
        self.now_ns = min(ticks.times[0] for ticks in tape.values()) // MINUTE_NS * MINUTE_NS
        self._advance(start_ns, quiet=True)

    def step(self, dt_ns: int) -> None:
        self._advance(self.now_ns + dt_ns, quiet=False)

    def _advance(self, end_ns: int, *, quiet: bool) -> None:
        while self.now_ns < end_ns:
            minute_ns = (self.now_ns // MINUTE_NS + 1) * MINUTE_NS
            now_ns = min(end_ns, minute_ns)
            for line in self._lines.values():
                # The tick on the minute belongs to the next candle.
                line.play(now_ns - 1 if now_ns == minute_ns else now_ns, quiet=quiet)
                if now_ns == minute_ns:
                    line.candles.close_minute()
            self.now_ns = now_ns

    def prints(self, symbol: str) -> list[Print]:
        line = self._lines[symbol]
        out, line.prints = line.prints, []
        return out

    def book(self, symbol: str, depth: int | None = None) -> Book:
        line = self._lines[symbol]
        bids, asks = self._sides(line.touch, line.level())
        return Book(bids[:depth], asks[:depth])

    @staticmethod
    def _sides(touch: int, lots: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        return [(touch - at, lots) for at in range(LEVELS)], [(touch + 1 + at, lots) for at in range(LEVELS)]

    def diff(self, symbol: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        line = self._lines[symbol]
        now = (line.touch, line.level())
        if now == line.diffed:
            return [], []
        before = self._sides(*line.diffed) if line.diffed[0] else ([], [])
        after = self._sides(*now)
        line.diffed = now
        # What left a side goes first: a price that fell through the old bids must not meet them.
        bids, asks = ({ticks: 0 for ticks, _ in side} | dict(new) for side, new in zip(before, after, strict=True))
        return list(bids.items()), list(asks.items())

    def mark(self, symbol: str) -> float:
        return self._lines[symbol].mark

    def index(self, symbol: str) -> float:
        return self._lines[symbol].mark

    def last(self, symbol: str) -> float:
        line = self._lines[symbol]
        return line.candles.price(line.last)

    def funding_rate(self, symbol: str) -> float:
        return FUNDING_RATE

    def next_funding_ns(self) -> int:
        return (self.now_ns // FUNDING_NS + 1) * FUNDING_NS

    def consume(self, symbol: str, side_buy: bool, qty_lots: int, limit_ticks: int | None) -> list[tuple[int, int]]:
        book = self.book(symbol)
        return walked(book.asks if side_buy else book.bids, side_buy, qty_lots, limit_ticks)

    def bars(
        self, symbol: str, interval: str, *, end_ns: int | None = None, start_ns: int | None = None, limit: int = 500
    ) -> list[Bar]:
        return self._lines[symbol].candles.bars(interval, start_ns, end_ns, limit)

    def forming(self, symbol: str, interval: str) -> Bar:
        return self._lines[symbol].candles.forming(interval)

    def ticker(self, symbol: str) -> dict[str, float]:
        """Of the played part of the day."""
        return self._lines[symbol].candles.ticker(self.now_ns)

    def prices(self) -> dict[str, float]:
        """None to continue from."""
        return {}
