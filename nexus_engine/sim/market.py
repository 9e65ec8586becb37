"""A generated market of perpetuals: seeded, deterministic, without clock, socket or file.

The same seed and the same calls give the same market, to the last lot. The price path does not depend on who looks
at the books: those are re-formed when asked for, from random numbers of their own.
"""

import math
from collections import deque
from collections.abc import Mapping
from random import Random

import numpy as np

from nexus_engine.sim.bars import CLOSE, COUNT, HIGH, INTERVALS, LOTS, LOW, MINUTE_NS, OPEN, QUOTE, Bar
from nexus_engine.sim.book import Book, Levels
from nexus_engine.sim.contract import Contract, Print, Step
from nexus_engine.sim.past import (
    MACRO_NS,
    MACRO_SAMPLES,
    REVERSION_NS,
    Macro,
    alts_grown,
    build,
    macro_sample,
    response,
)
from nexus_engine.sim.scenarios import BAR_NS, Director, aftermath, draw_plan, scenario_named
from nexus_engine.sim.specs import CHARACTERS, SPECS, SymbolSpec
from nexus_engine.sim.tide import Tide

__all__ = ["INTERVALS", "SPECS", "Bar", "Book", "Market", "Print", "SymbolSpec"]

FUNDING_NS = 8 * INTERVALS["1h"]
_CALMING_NS = 20 * MINUTE_NS  # time constant of the common volatility, which wanders around 1
_HEAT_SPREAD = 0.3


class Market:
    """The market of all symbols of SPECS, from `start_ns` (integer ns UTC of market time) on.

    `opening` gives prices to continue from, in USDT; a symbol it does not name starts at its usual price.
    Raises ValueError for an unknown scenario or a negative seed. A symbol not in `symbols`, or an interval not in
    INTERVALS, is a KeyError in every method.
    """

    def __init__(self, *, seed: int, scenario: str, start_ns: int, opening: Mapping[str, float] | None = None) -> None:
        chosen = scenario_named(scenario)
        self.now_ns = start_ns
        self.specs: Mapping[str, SymbolSpec] = SPECS
        self.symbols: tuple[str, ...] = tuple(SPECS)
        prices = {symbol: CHARACTERS[symbol].opening for symbol in self.symbols} | dict(opening or {})
        self._alts_grown = alts_grown(prices)
        self._rng = Random(f"{seed}:factor")
        self._script = Random(f"{seed}:script")
        self._director = Director(chosen, start_ns)
        self._tide = None if chosen.course is None else Tide(chosen.course, start_ns, seed)
        first, plan = self._director.first, draw_plan(self._script)
        past = build(
            self.symbols,
            [prices[symbol] for symbol in self.symbols],
            start_ns,
            np.random.Generator(np.random.PCG64(seed)),
            None if first is None else (self.symbols.index(first), plan),
            self._tide,
        )
        self._of = {
            symbol: Contract(index, symbol, prices[symbol], past, start_ns, seed, drifts=self._tide is not None)
            for index, symbol in enumerate(self.symbols)
        }
        self._heat = 0.0  # log of the common factor on volatility
        self._macro: deque[Macro] = deque(past.macro, maxlen=MACRO_SAMPLES)
        if first is not None:
            state = self._of[first]
            state.legs = aftermath(plan, past.low, state.mean, start_ns // BAR_NS * BAR_NS)

    def step(self, dt_ns: int) -> None:
        """Advance market time by `dt_ns` > 0. Meant for 1 ms to 2 s; a longer step has fewer, larger prints."""
        end_ns = self.now_ns + dt_ns
        while self.now_ns < end_ns:
            minute_ns = (self.now_ns // MINUTE_NS + 1) * MINUTE_NS
            self._advance(min(end_ns, minute_ns))
            if self.now_ns == minute_ns:
                self._close_minute()

    def prints(self, symbol: str) -> list[Print]:
        """Public trades since the last call, oldest first."""
        queue = self._of[symbol].prints
        out = list(queue)
        queue.clear()
        return out

    def book(self, symbol: str, depth: int | None = None) -> Book:
        """The current book; at least 150 levels a side, or the best `depth` of them."""
        state = self._formed(symbol)
        return Book(state.bids.levels(depth), state.asks.levels(depth))

    def diff(self, symbol: str) -> tuple[Levels, Levels]:
        """Bid and ask levels whose quantity changed since the last call (0 lots = gone), in no order.

        The first call counts from the book the market was made with. Applied to the book as it was at the previous
        call they give exactly the book as it is now.
        """
        state = self._formed(symbol)
        return state.bids.drain(), state.asks.drain()

    def consume(self, symbol: str, side_buy: bool, qty_lots: int, limit_ticks: int | None) -> list[tuple[int, int]]:
        """A client's taker order: fills as (price in ticks, lots), best first.

        What it took is gone from the book and printed; it comes back over the next second or so. The fills add up
        to less than `qty_lots` when the limit or the book ends first.
        """
        state = self._formed(symbol)
        fills = (state.asks if side_buy else state.bids).take(qty_lots, limit_ticks, self.now_ns)
        for ticks, lots in fills:
            state.trade(ticks, lots, side_buy, self.now_ns)
        return fills

    def mark(self, symbol: str) -> float:
        """Mark price in USDT: the median of the index with the funding still due, the index with the mean basis of
        the last 30 s, and the last price (Binance's formula of the USD-M mark price).
        """
        state = self._of[symbol]
        index = self.index(symbol)
        due = (self.next_funding_ns() - self.now_ns) / FUNDING_NS
        by_basis = index + state.candles.price(1) * state.basis
        return sorted((index * (1.0 + self.funding_rate(symbol) * due), by_basis, self.last(symbol)))[1]

    def index(self, symbol: str) -> float:
        """Index price in USDT: what the contract is worth without its premium."""
        state = self._of[symbol]
        return state.index_ticks * state.candles.price(1)

    def last(self, symbol: str) -> float:
        """Price of the last trade in USDT."""
        state = self._of[symbol]
        return state.candles.price(state.last_ticks)

    def funding_rate(self, symbol: str) -> float:
        """Predicted rate of the next funding, a fraction: premium + clamp(0.01 % - premium, 0.05 %)."""
        premium = self._of[symbol].premium
        return round(premium + max(-5e-4, min(5e-4, 1e-4 - premium)), 8)

    def next_funding_ns(self) -> int:
        """The next 0, 8 or 16 o'clock UTC of market time, after now."""
        return (self.now_ns // FUNDING_NS + 1) * FUNDING_NS

    def bars(
        self,
        symbol: str,
        interval: str,
        *,
        end_ns: int | None = None,
        start_ns: int | None = None,
        limit: int = 500,
    ) -> list[Bar]:
        """Bars that open in [start_ns, end_ns], oldest first, the one in progress included.

        With a start the first `limit` of them, without one the last. At least 1,500 closed ones are always there.
        """
        return self._of[symbol].candles.bars(interval, start_ns, end_ns, limit)

    def forming(self, symbol: str, interval: str) -> Bar:
        """The bar in progress."""
        return self._of[symbol].candles.forming(interval)

    def ticker(self, symbol: str) -> dict[str, float]:
        """The last 24 hours of market time, from its minutes. Prices in USDT, times in ns, volume in base units."""
        state = self._of[symbol]
        candles = state.candles
        open_ns, row = candles.day()
        volume, quote = candles.volume(row[LOTS]), candles.quote(row[QUOTE])
        opening, last = candles.price(row[OPEN]), candles.price(row[CLOSE])
        return {
            "open_ns": open_ns,
            "close_ns": self.now_ns,
            "open": opening,
            "high": candles.price(row[HIGH]),
            "low": candles.price(row[LOW]),
            "last": last,
            "last_qty": candles.volume(state.last_lots),
            "change": last - opening,
            "change_pct": (last / opening - 1.0) * 100.0,
            "weighted_avg": quote / volume,
            "volume": volume,
            "quote_volume": quote,
            "count": row[COUNT],
        }

    def prices(self) -> dict[str, float]:
        """Fair prices in USDT, to be kept and given back as `opening`."""
        return {symbol: state.fair * state.candles.price(1) for symbol, state in self._of.items()}

    def macro(self) -> list[Macro]:
        """(ns, BTC dominance in %, total cap in USD) every 10 minutes of the last 96 hours, oldest first."""
        return list(self._macro)

    def macro_now(self) -> Macro:
        """The same at this moment."""
        btc, *alts = self._of.values()
        change = sum(state.path for state in alts) / len(alts) + self._alts_grown
        return macro_sample(self.now_ns, btc.fair * btc.candles.price(1), change)

    def _formed(self, symbol: str) -> Contract:
        state = self._of[symbol]
        state.form_books(self.now_ns)
        return state

    def _advance(self, end_ns: int) -> None:
        """Move every contract to `end_ns`, within one minute."""
        dt_ns = end_ns - self.now_ns
        gauss = self._rng.gauss
        cooled = math.exp(-dt_ns / _CALMING_NS)
        self._heat = self._heat * cooled + _HEAT_SPREAD * math.sqrt(1.0 - cooled * cooled) * gauss(0.0, 1.0)
        heat = math.exp(max(-0.7, min(0.7, self._heat)) - _HEAT_SPREAD**2) * _time_of_day(end_ns)
        if self._tide is not None:
            heat *= self._tide.phase(end_ns).heat
        decay = math.exp(-dt_ns / REVERSION_NS)
        step = Step(
            start_ns=self.now_ns,
            end_ns=end_ns,
            dt_ns=dt_ns,
            factor=gauss(0.0, 1.0),
            heat=heat,
            decay=decay,
            swing=math.sqrt(REVERSION_NS / BAR_NS / 2.0 * (1.0 - decay * decay)) * heat,
            scale=math.sqrt(dt_ns / BAR_NS),
        )
        if self._tide is not None:
            self._carry(self._tide, end_ns)
        for state in self._of.values():
            state.advance(step)
        self.now_ns = end_ns

    def _carry(self, tide: Tide, end_ns: int) -> None:
        """Move every contract's level along the course, and let its books follow."""
        count = len(self._of)
        for index, (symbol, state) in enumerate(self._of.items()):
            at_ns = end_ns - tide.lag_ns(index, count)
            phase = tide.phase(at_ns)
            state.carry(tide.level(at_ns, response(symbol)), phase.depth, phase.spread)

    def _close_minute(self) -> None:
        now_ns = self.now_ns
        for state in self._of.values():
            state.close_minute(now_ns)
        if now_ns % BAR_NS == 0 and (symbol := self._director.falling(now_ns)) is not None:
            self._of[symbol].begin_fall(draw_plan(self._script), now_ns)
        if now_ns % MACRO_NS == 0:
            self._macro.append(self.macro_now())


def _time_of_day(at_ns: int) -> float:
    """Busiest when New York opens, quietest twelve hours away."""
    return 1.0 + 0.2 * math.cos(2.0 * math.pi * (at_ns / INTERVALS["1d"] - 14.0 / 24.0))
