"""What the market looks like right now: books, marks, trades and recent bars by symbol."""

from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from nexus_engine.cortex.strategy import interval_ns
from nexus_engine.model.book import OrderBook
from nexus_engine.model.events import Bar, BarRow, BookDelta, BookInvalid, BookSnapshot, History, Mark, Trade
from nexus_engine.model.instruments import Instrument
from nexus_engine.model.signals import Quote

KEPT_BARS: Final = 500
DAY_BARS: Final = 24
NEAR: Final = 0.001
HOURLY: Final = "1h"
HOUR_NS: Final = 3_600_000_000_000
LEAP_NS: Final = 600_000_000_000
"""A stamp this far off market time moves the clock only when another symbol or source says the same."""


class SymbolMarket:
    """One symbol."""

    __slots__ = (
        "_rounded",
        "bars",
        "book",
        "book_mono_ns",
        "forming",
        "funding_h",
        "funding_rate",
        "index",
        "instrument",
        "last",
        "mark",
        "mark_mono_ns",
        "next_funding_ns",
        "tick",
    )

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.tick = float(instrument.tick)
        self.book = OrderBook()
        self.book_mono_ns = 0
        self.mark = 0.0
        self.mark_mono_ns = 0
        self.index = 0.0
        self.funding_rate = 0.0
        self.next_funding_ns = 0
        self.funding_h = 8.0
        """By the stamps that followed each other; the usual 8 until two have."""
        self.last = 0.0
        self.bars: dict[str, deque[BarRow]] = {}
        """Closed bars by interval, oldest first."""
        self.forming: dict[str, Bar] = {}
        self._rounded: tuple[float, Instrument, Decimal] | None = None

    @property
    def price(self) -> Decimal | None:
        """The mark on its tick, before the first one the last trade; None before either. Rounded once a price."""
        price, known = self.mark or self.last, self._rounded
        if not price:
            return None
        if known is None or known[0] != price or known[1] is not self.instrument:
            known = self._rounded = price, self.instrument, self.instrument.nearest(price)
        return known[2]

    def quote(self, mono_ns: int) -> Quote:
        """What guards and strategies see."""
        bid, ask = self.book.best_bid, self.book.best_ask
        oldest = min(self.book_mono_ns, self.mark_mono_ns)
        return Quote(
            symbol=self.instrument.symbol,
            bid=bid[0] * self.tick if bid else 0.0,
            ask=ask[0] * self.tick if ask else 0.0,
            mark=self.mark,
            last=self.last,
            funding_rate=self.funding_rate,
            age_ms=(mono_ns - oldest) // 1_000_000 if oldest else None,
            valid=self.book.valid and bid is not None and ask is not None and self.mark > 0,
            taker_fee=self.instrument.taker_fee,
            maker_fee=self.instrument.maker_fee,
            next_funding_ns=self.next_funding_ns,
            funding_h=self.funding_h,
        )

    def near(self) -> Decimal | None:
        """What the thinner side of the book holds within 10 bp of its middle, in base units; None without a book."""
        held = self.book.within(NEAR) if self.book.valid else None
        return None if held is None else Decimal(repr(min(held)))

    def change_pct(self) -> float | None:
        """Change of the last price over 24 hours, in percent; None while it is not known."""
        hours = self.bars.get(HOURLY)
        if not hours or len(hours) < DAY_BARS or not self.last:
            return None
        return (self.last / hours[-DAY_BARS].open - 1) * 100


class Market:
    """Every symbol, and the market's own clock."""

    def __init__(self, now_ns: int = 0) -> None:
        self.symbols: dict[str, SymbolMarket] = {}
        self.now_ns = now_ns
        """Market time: the latest that any tape or mark told."""
        self._guessed = bool(now_ns)
        """The clock is the journal's, until the market itself tells the time."""
        self._leap = ("", 0)
        """Who told a stamp far off, and the stamp."""

    def load(self, instruments: Iterable[Instrument]) -> None:
        """Take the venue's grids; a symbol that is known keeps its state."""
        for instrument in instruments:
            known = self.symbols.get(instrument.symbol)
            if known is None:
                self.symbols[instrument.symbol] = SymbolMarket(instrument)
            else:
                known.instrument = instrument
                known.tick = float(instrument.tick)

    def snapshot(self, event: BookSnapshot) -> bool:
        """Take a whole book. False: its sides cross, so it was dropped."""
        state = self.symbols.get(event.symbol)
        if state is None:
            return True
        state.book.snapshot(event.bids, event.asks, event.update_id)
        state.book_mono_ns = event.mono_ns
        return self._sound(state.book)

    def delta(self, event: BookDelta) -> bool:
        """Take changes of a book. False: its sides cross now, so it was dropped."""
        state = self.symbols.get(event.symbol)
        if state is None or not state.book.valid:
            return True
        state.book.delta(event.bids, event.asks, event.update_id)
        state.book_mono_ns = event.mono_ns
        return self._sound(state.book)

    @staticmethod
    def _sound(book: OrderBook) -> bool:
        if book.crossed:
            book.invalidate()
            return False
        return True

    def invalid(self, event: BookInvalid) -> None:
        state = self.symbols.get(event.symbol)
        if state is not None:
            state.book.invalidate()

    def trade(self, event: Trade) -> None:
        state = self.symbols.get(event.symbol)
        if state is not None:
            state.last = event.price
            self._tell(f"trade {event.symbol}", event.venue_ns)

    def marked(self, event: Mark) -> None:
        state = self.symbols.get(event.symbol)
        if state is not None:
            state.mark, state.index = event.mark, event.index
            hours = (event.next_funding_ns - state.next_funding_ns) / HOUR_NS
            if state.next_funding_ns and 1.0 <= hours <= 8.0:
                state.funding_h = hours
            state.funding_rate, state.next_funding_ns = event.funding_rate, event.next_funding_ns
            state.mark_mono_ns = event.mono_ns
            self._tell(f"mark {event.symbol}", event.venue_ns)

    def bar(self, event: Bar) -> None:
        state = self.symbols.get(event.symbol)
        if state is None:
            return
        state.forming[event.interval] = event
        if not state.last:
            state.last = event.close
        bars = state.bars.get(event.interval)
        if bars is None:
            bars = state.bars[event.interval] = deque(maxlen=KEPT_BARS)
        if event.closed and (not bars or event.open_ns > bars[-1].open_ns):
            bars.append(_row(event))
        self._tell(f"bar {event.symbol}", event.venue_ns)

    def history(self, event: History) -> None:
        state = self.symbols.get(event.symbol)
        if state is not None:
            state.bars[event.interval] = deque(event.bars, maxlen=KEPT_BARS)
            if event.bars:
                state.last = state.last or event.bars[-1].close
                end_ns = event.bars[-1].open_ns + interval_ns(event.interval)
                if end_ns > self.now_ns:
                    self._tell(f"history {event.symbol}", end_ns)

    def _tell(self, source: str, venue_ns: int) -> None:
        """The market's clock as one source saw it. It goes back only where it was a guess."""
        ahead_ns = venue_ns - self.now_ns
        if self.now_ns and (ahead_ns > LEAP_NS or (self._guessed and ahead_ns < -LEAP_NS)):
            who, leap_ns = self._leap
            if who in ("", source) or abs(venue_ns - leap_ns) > LEAP_NS:
                self._leap = (source, venue_ns)
                return
            self.now_ns = venue_ns
        self.now_ns = max(self.now_ns, venue_ns)
        self._guessed = False

    def quote(self, symbol: str, mono_ns: int) -> Quote | None:
        state = self.symbols.get(symbol)
        return None if state is None else state.quote(mono_ns)

    def priced(self, symbol: str) -> tuple[Instrument, float] | None:
        """A symbol's grid and its mark price, where both are known."""
        state = self.symbols.get(symbol)
        return None if state is None or not state.mark else (state.instrument, state.mark)

    def marks(self) -> dict[str, Decimal]:
        """The mark price of each symbol on its tick; the last trade's before the first mark."""
        return {symbol: price for symbol, state in self.symbols.items() if (price := state.price) is not None}

    def chart(self, symbol: str, interval: str, count: int) -> tuple[BarRow, ...]:
        """The newest bars, the forming one last."""
        state = self.symbols.get(symbol)
        if state is None or count <= 0:
            return ()
        rows = list(state.bars.get(interval, ()))[-count:]
        forming = state.forming.get(interval)
        if forming is not None and (not rows or forming.open_ns > rows[-1].open_ns):
            rows = [*rows[-(count - 1) :], _row(forming)] if count > 1 else [_row(forming)]
        return tuple(rows)


def _row(bar: Bar) -> BarRow:
    return BarRow(bar.open_ns, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.trades)
