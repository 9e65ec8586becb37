"""Feed and Broker straight onto a practice venue, without a socket.

Deterministic simulation and the backtests run the same core and carrier on these ports; everything happens on the
clock and the loop that are passed in, answers and user events arrive `latency_ms` later.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from nexus_engine.model.events import (
    Bar,
    BarRow,
    BookDelta,
    BookSnapshot,
    FeedStatus,
    History,
    Instruments,
    Mark,
    Trade,
)
from nexus_engine.model.instruments import Instrument
from nexus_engine.model.ports import Clock, Sink
from nexus_engine.sim import bars as candles
from nexus_engine.sim.broker import NS_PER_MS, PracticeBroker
from nexus_engine.sim.venue import Venue as PracticeVenue

TICK_MS: Final = 100
MARK_EVERY: Final = 10
FEEDS: Final = ("public", "market", "user")


class Direct(PracticeBroker):
    """One practice venue as seen by one account. Implements Feed and Broker."""

    practice: PracticeVenue

    def __init__(
        self,
        practice: PracticeVenue,
        clock: Clock,
        *,
        intervals: Sequence[str],
        warmup_bars: int,
        speed: float = 1.0,
        latency_ms: int = 20,
    ) -> None:
        super().__init__(practice, clock, latency_ms)
        self._intervals = tuple(dict.fromkeys((*intervals, "1m")))
        self._warmup_bars = warmup_bars
        self._speed = speed
        self._formed: dict[tuple[str, str], int] = {}

    # ---- feed --------------------------------------------------------------------------------------------------------

    async def run(self, sink: Sink) -> None:
        """Tell the past, then the tape: a publication every 100 ms of the clock, until cancelled."""
        self._begin(sink)
        ticks = 0
        while True:
            await asyncio.sleep(TICK_MS / 1_000)
            self.practice.advance(int(TICK_MS * NS_PER_MS * self._speed), self._clock.utc_ns())
            ticks += 1
            for symbol in self.practice.market.symbols:
                self._publish(sink, symbol, marks=ticks % MARK_EVERY == 0)
            self._tell_user(sink)

    def instruments(self) -> tuple[Instrument, ...]:
        """The grids of the practice venue's contracts."""
        return tuple(
            Instrument(
                symbol=spec.symbol,
                base=spec.base,
                tick=spec.tick,
                step=spec.step,
                min_qty=spec.min_qty,
                max_qty=spec.max_qty,
                market_max_qty=spec.market_max_qty,
                min_notional=spec.min_notional,
            )
            for spec in self.practice.market.specs.values()
        )

    def _begin(self, sink: Sink) -> None:
        at, mono = self._clock.utc_ns(), self._clock.mono_ns()
        sink(Instruments(at_ns=at, mono_ns=mono, instruments=self.instruments()))
        market = self.practice.market
        for symbol in market.symbols:
            for interval in self._intervals:
                rows = [bar for bar in market.bars(symbol, interval, limit=self._warmup_bars + 1) if bar.closed]
                history = tuple(
                    BarRow(bar.open_ns, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.trades) for bar in rows
                )
                sink(History(at_ns=at, mono_ns=mono, symbol=symbol, interval=interval, bars=history))
                self._formed[symbol, interval] = market.forming(symbol, interval).open_ns
            self.practice.publish(symbol)
            update_id, book = self.practice.depth(symbol, 1_000)
            step = float(market.specs[symbol].step)
            sink(
                BookSnapshot(
                    at_ns=at,
                    mono_ns=mono,
                    symbol=symbol,
                    update_id=update_id,
                    bids=tuple((ticks, lots * step) for ticks, lots in book.bids),
                    asks=tuple((ticks, lots * step) for ticks, lots in book.asks),
                    venue_ns=market.now_ns,
                )
            )
            self._mark(sink, symbol)
        for feed in FEEDS:
            sink(FeedStatus(at_ns=at, mono_ns=mono, venue=self.venue, feed=feed, up=True))

    def _publish(self, sink: Sink, symbol: str, *, marks: bool) -> None:
        at, mono = self._clock.utc_ns(), self._clock.mono_ns()
        market = self.practice.market
        spec = market.specs[symbol]
        tick, step = float(spec.tick), float(spec.step)
        update = self.practice.publish(symbol)
        if update.diff is not None:
            sink(
                BookDelta(
                    at_ns=at,
                    mono_ns=mono,
                    symbol=symbol,
                    update_id=update.diff.last_id,
                    bids=tuple((ticks, lots * step) for ticks, lots in update.diff.bids),
                    asks=tuple((ticks, lots * step) for ticks, lots in update.diff.asks),
                    venue_ns=update.diff.at_ns,
                )
            )
        for trade in update.aggregates:
            sink(
                Trade(
                    at_ns=at,
                    mono_ns=mono,
                    symbol=symbol,
                    price=trade.price_ticks * tick,
                    qty=trade.lots * step,
                    buyer_is_maker=trade.buyer_is_maker,
                    venue_ns=trade.at_ns,
                )
            )
        if marks:
            self._mark(sink, symbol)
        for interval in self._intervals:
            self._bars(sink, symbol, interval, at, mono, forming=marks)

    def _mark(self, sink: Sink, symbol: str) -> None:
        market = self.practice.market
        sink(
            Mark(
                at_ns=self._clock.utc_ns(),
                mono_ns=self._clock.mono_ns(),
                symbol=symbol,
                mark=market.mark(symbol),
                index=market.index(symbol),
                funding_rate=market.funding_rate(symbol),
                next_funding_ns=market.next_funding_ns(),
                venue_ns=market.now_ns,
            )
        )

    def _bars(self, sink: Sink, symbol: str, interval: str, at: int, mono: int, *, forming: bool) -> None:
        market = self.practice.market
        now = market.forming(symbol, interval)
        known = self._formed[symbol, interval]
        if now.open_ns > known:
            self._formed[symbol, interval] = now.open_ns
            for bar in market.bars(symbol, interval, start_ns=known, end_ns=now.open_ns - 1):
                sink(_bar(bar, symbol, interval, at, mono, market.now_ns))
        if forming:
            sink(_bar(now, symbol, interval, at, mono, market.now_ns))


def _bar(bar: candles.Bar, symbol: str, interval: str, at: int, mono: int, market_ns: int) -> Bar:
    return Bar(
        at_ns=at,
        mono_ns=mono,
        symbol=symbol,
        interval=interval,
        open_ns=bar.open_ns,
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        volume=bar.volume,
        trades=bar.trades,
        closed=bar.closed,
        venue_ns=market_ns,
    )
