"""Trades, marks and candles on one socket, and the candles of the past that make them whole.

A candle that closes while a socket is down is never sent again. So whenever the socket has come up, the past of every
interval is read anew; until it is there, what the stream says of that interval is held back, and what is older than it
is dropped. Whoever listens sees each closed candle once, in order, without a hole.
"""

import asyncio
import random
from collections import deque
from typing import Final

import msgspec

from nexus_engine.model.events import Bar, History
from nexus_engine.model.ports import Sink
from nexus_engine.model.words import Venue
from nexus_engine.uplink.binance.outcomes import RestError
from nexus_engine.uplink.binance.replies import bar_row
from nexus_engine.uplink.binance.rest import KLINES, BinanceRest
from nexus_engine.uplink.binance.subscriptions import Subscriptions, is_answer
from nexus_engine.uplink.binance.wire import MARKET_EVENTS, Kline, MarketFrame, MarkPrice
from nexus_engine.uplink.conflate import Conflator
from nexus_engine.uplink.status import Status
from nexus_engine.uplink.stream import Backoff, Stream
from nexus_engine.uplink.unreadable import UNREADABLE

FEED: Final = "market"
STALE_S: Final = 2.7
"""Noticed within three seconds: a stream is looked at every tenth of this."""
SWAN_INTERVAL: Final = "1m"
"""The windows of the black swan guard begin in this past, whatever the strategies look at."""
READERS: Final = 4
MOST_BARS: Final = 1_500
HELD: Final = 100

Series = tuple[str, str]
"""(symbol, interval)"""


class MarketFeed:
    """Everything but the books."""

    def __init__(self, rest: BinanceRest, sink: Sink, rng: random.Random) -> None:
        self._rest = rest
        self._clock = rest.clock
        self._settings = rest.settings
        self._status = Status(Venue.BINANCE, FEED, self._clock, sink)
        self._rng = rng
        self._symbols = frozenset(rest.symbols)
        series = [(symbol, interval) for symbol in rest.symbols for interval in self._settings.intervals]
        swan = (self._settings.swan_symbol, SWAN_INTERVAL)
        if swan[0] in self._symbols and swan not in series:
            series.append(swan)
        self._series: tuple[Series, ...] = tuple(series)
        self._held: dict[Series, deque[Bar]] = {}
        """Closed candles of the series whose past is still awaited."""
        self._wanted: dict[Series, None] = {}
        self._some_wanted = asyncio.Event()
        self._market_ms = 0
        """The market's clock by the stream: a practice market may run fast."""
        self._decode = msgspec.json.Decoder(MarketFrame, strict=False).decode
        self.stream = Stream(
            url=self._url,
            frame=self._frame,
            opened=lambda: self._subscriptions.opened(),
            up=self._up,
            down=self._down,
            passed=lambda: self._out.flush(),
            counts=rest.counts,
            clock=self._clock,
            rng=rng,
            stale_s=STALE_S,
        )
        self._out = Conflator(sink, lambda: self.stream.behind, rest.counts)
        kinds = ("aggTrade", "markPrice@1s", *(f"kline_{interval}" for interval in self._settings.intervals))
        self._subscriptions = Subscriptions(
            self.stream,
            rest.symbols,
            lambda symbol: tuple(f"{symbol.lower()}@{kind}" for kind in kinds),
            self._clock,
            self._read_again,
        )

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.stream.run(), name="binance market stream")
            tasks.create_task(self._subscriptions.run(), name="binance market subscriptions")
            for number in range(READERS):
                tasks.create_task(self._read_past(), name=f"binance history {number}")

    def request_history(self, symbol: str, interval: str) -> None:
        """Read a series' past anew. Before the stream has come up, that is about to happen anyway."""
        if self._market_ms:
            self._want((symbol, interval))

    async def _url(self) -> str:
        return f"{self._settings.ws_url.rstrip('/')}/market/stream?streams={self._subscriptions.path()}"

    def _frame(self, data: bytes, at_ns: int, mono_ns: int) -> None:
        try:
            msg = self._decode(data).data
        except UNREADABLE:
            if is_answer(data):
                return
            raise
        if msg.s not in self._symbols:
            raise msgspec.ValidationError("a symbol that was not asked for")
        self._market_ms = msg.E
        event = MARKET_EVENTS[type(msg)](msg, at_ns, mono_ns)
        if isinstance(msg, MarkPrice):
            self._subscriptions.heard(msg.s, mono_ns)
        if isinstance(msg, Kline) and isinstance(event, Bar):
            held = self._held.get((event.symbol, event.interval))
            if held is not None:
                if event.closed:
                    held.append(event)
                return
        self._out.add(event)

    def _down(self, reason: str) -> None:
        self._subscriptions.ended()
        self._out.flush()
        self._status.down(reason)

    def _read_again(self, symbol: str) -> None:
        """Its candles have a hole."""
        for series in self._series:
            if series[0] == symbol:
                self._want(series)

    def _up(self) -> None:
        self._status.up()
        for series in self._series:
            self._want(series)

    # ---- the past ----------------------------------------------------------------------------------------------------

    def _want(self, series: Series) -> None:
        self._held[series] = deque(maxlen=HELD)
        self._wanted[series] = None
        self._some_wanted.set()

    async def _read_past(self) -> None:
        backoff = Backoff(self._rng)
        while True:
            await self._some_wanted.wait()
            if not self._wanted:
                self._some_wanted.clear()
                continue
            series = next(iter(self._wanted))
            del self._wanted[series]
            held = self._held[series]
            try:
                history = await self._past(series)
            except RestError as error:
                await asyncio.sleep(max(error.retry_after_s, backoff.next_s()))
                if self._held.get(series) is held:
                    self._wanted[series] = None
                    self._some_wanted.set()
                continue
            backoff.reset()
            if self._held.get(series) is held:  # else it was wanted anew meanwhile, and that will be answered
                self._release(series, history)

    async def _past(self, series: Series) -> History:
        symbol, interval = series
        # the last row is the candle that is still open, unless none has opened: its own end tells, by the market's
        # clock as it was before we asked
        market_ms = self._market_ms
        limit = min(MOST_BARS, self._settings.warmup_bars + 1)
        rows = await self._rest.call(KLINES, {"symbol": symbol, "interval": interval, "limit": limit})
        return History(
            at_ns=self._clock.utc_ns(),
            mono_ns=self._clock.mono_ns(),
            symbol=symbol,
            interval=interval,
            bars=tuple(bar_row(row) for row in rows if row.close_ms < market_ms),
        )

    def _release(self, series: Series, history: History) -> None:
        """Deliver the past, then what closed since."""
        newest_ns = history.bars[-1].open_ns if history.bars else 0
        self._out.whole(history)
        for bar in self._held.pop(series):
            if bar.open_ns > newest_ns:
                self._out.whole(bar)
