"""Public streams: their names, where they live, and what they carry at each tick of the venue's 100 ms clock."""

import re
from collections.abc import Callable

from nexus_engine.sim import wire, wire_notice
from nexus_engine.sim.bars import INTERVALS
from nexus_engine.sim.hub import Hub
from nexus_engine.sim.orders import Fill, Order
from nexus_engine.sim.venue import Update, Venue
from nexus_engine.sim.wire import Diff, Json

TICK_MS = 100
KLINE_MS = 250
_MARK_MS = 3000
_ARRAY_MS = 1000
_TICKER_MS = 2000
_ALL_BOOKS_MS = 5000

# pattern of the part after "<symbol>@" -> (category, kind)
_SYMBOL_STREAMS: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern), category, kind)
    for pattern, category, kind in (
        (r"depth(?:@(0|100|250|500)ms)?", "public", "depth"),
        (r"depth(5|10|20)(?:@(100|250|500)ms)?", "public", "partial"),
        (r"bookTicker", "public", "bookTicker"),
        (r"rpiDepth@(500)ms", "public", "depth"),
        (r"trade", "public", "trade"),
        (r"aggTrade", "market", "aggTrade"),
        (r"kline_(\w+)", "market", "kline"),
        (r"continuousKline_(\w+)", "market", "continuousKline"),
        (r"markPrice(?:@(1|3)s)?", "market", "markPrice"),
        (r"ticker", "market", "ticker"),
        (r"miniTicker", "market", "miniTicker"),
        (r"forceOrder", "market", "forceOrder"),
    )
)
_ALL_STREAMS = {
    "!bookTicker": ("public", _ALL_BOOKS_MS),
    "!ticker@arr": ("market", _ARRAY_MS),
    "!miniTicker@arr": ("market", _ARRAY_MS),
    "!markPrice@arr": ("market", _MARK_MS),
    "!markPrice@arr@1s": ("market", _ARRAY_MS),
    "!forceOrder@arr": ("market", _ARRAY_MS),
    "!contractInfo": ("market", _ARRAY_MS),
}
RECORDED_KINDS = frozenset({"depth", "bookTicker", "trade", "aggTrade"})


class Stream:
    """A parsed name, and what has to be remembered between its messages."""

    __slots__ = ("argument", "category", "key", "kind", "last", "merged", "name", "period_ms")

    def __init__(self, name: str, category: str, kind: str, key: str, argument: str, period_ms: int) -> None:
        self.name = name
        self.category = category
        self.kind = kind
        self.key = key  # the symbol, "" for all of them
        self.argument = argument
        self.period_ms = period_ms
        self.last: object = None
        self.merged: Diff | None = None

    def due(self, tick: int, tick_ms: int = TICK_MS) -> bool:
        """Whether a period ends between the tick before and this one."""
        return tick * tick_ms // self.period_ms != (tick - 1) * tick_ms // self.period_ms


def parse(name: str) -> Stream | None:
    """The stream of that name, None when the venue has none."""
    if name in _ALL_STREAMS:
        category, period_ms = _ALL_STREAMS[name]
        return Stream(name, category, name.split("@")[0] + "@arr" * ("@arr" in name), "", "", period_ms)
    head, _, rest = name.partition("@")
    for pattern, category, kind in _SYMBOL_STREAMS:
        match = pattern.fullmatch(rest)
        if match is None:
            continue
        groups = match.groups()
        symbol = head.removesuffix("_perpetual") if kind == "continuousKline" else head
        argument = groups[0] or "" if groups else ""
        if kind in {"kline", "continuousKline"} and argument not in INTERVALS:
            return None
        period_ms = {
            "depth": int(argument or 250) or TICK_MS if kind == "depth" else 0,
            "partial": int(groups[-1] or 250) if kind == "partial" else 0,
            "kline": KLINE_MS,
            "continuousKline": KLINE_MS,
            "markPrice": 1000 if argument == "1" else _MARK_MS,
            "ticker": _TICKER_MS,
            "miniTicker": _TICKER_MS,
        }.get(kind, TICK_MS)
        return Stream(name, category, kind, symbol.upper(), argument, period_ms)
    return None


def home(name: str) -> str | None:
    stream = parse(name)
    return stream.category if stream else None


def merge(earlier: Diff | None, later: Diff) -> Diff:
    """Two consecutive diffs as one."""
    if earlier is None:
        return later
    bids, asks = dict(earlier.bids), dict(earlier.asks)
    bids.update(later.bids)
    asks.update(later.asks)
    return Diff(
        earlier.first_id, later.last_id, earlier.previous_id, list(bids.items()), list(asks.items()), later.at_ns
    )


class Publisher:
    """Turns the venue's updates into stream messages. `recorded`: kinds that a replay sends by itself; `tick_ms`: what
    a tick counts for the periods of the streams."""

    def __init__(self, venue: Venue, hub: Hub, recorded: frozenset[str] = frozenset(), tick_ms: int = TICK_MS) -> None:
        self._tick_ms = tick_ms
        self.venue = venue
        self.hub = hub
        self._recorded = recorded
        self._streams: dict[str, Stream] = {}
        self._tick = 0
        self._updates: dict[str, Update] = {}
        self._send: dict[str, Callable[[Stream], None]] = {
            "depth": self._depth,
            "partial": self._partial,
            "bookTicker": self._book_ticker,
            "trade": self._trades,
            "aggTrade": self._aggregates,
            "kline": self._kline,
            "continuousKline": self._kline,
            "markPrice": self._mark,
            "ticker": self._ticker,
            "miniTicker": self._ticker,
            "!bookTicker": self._all_books,
            "!ticker@arr": self._all_tickers,
            "!miniTicker@arr": self._all_tickers,
            "!markPrice@arr": self._all_marks,
        }

    def tick(self) -> None:
        """Publish everything that happened since the last tick."""
        self._tick += 1
        self._updates = {symbol: self.venue.publish(symbol) for symbol in self.venue.market.symbols}
        heard = self.hub.streams()
        for name in self._streams.keys() - set(heard):
            del self._streams[name]
        for name in heard:
            stream = self._streams.get(name)
            if stream is None:
                stream = parse(name)
                if stream is None or (stream.key and stream.key not in self._updates):
                    continue
                self._streams[name] = stream
            if stream.kind not in self._recorded and stream.kind in self._send:
                self._send[stream.kind](stream)
        self.hub.flush()

    def forced(self, order: Order, fill: Fill) -> None:
        """A fill of an order that the venue placed by force. The tape of other people's is not generated."""
        body = wire_notice.force_order(self.venue.scales[order.symbol], order, fill)
        for name in (f"{order.symbol.lower()}@forceOrder", "!forceOrder@arr"):
            self.hub.publish(name, body)

    def contract_changed(self, symbol: str, at_ms: int) -> None:
        status = wire_notice.SETTLING if symbol in self.venue.account.halted else wire_notice.TRADING
        self.hub.publish("!contractInfo", wire_notice.contract_info(self.venue.scales[symbol].spec, status, at_ms))

    def _depth(self, stream: Stream) -> None:
        diff = self._updates[stream.key].diff
        if diff is not None:
            stream.merged = merge(stream.merged, diff)
        if stream.merged is not None and stream.due(self._tick, self._tick_ms):
            self.hub.publish(stream.name, wire.depth_update(self.venue.scales[stream.key], stream.merged), depth=True)
            stream.merged = None

    def _partial(self, stream: Stream) -> None:
        if not stream.due(self._tick, self._tick_ms):
            return
        book = self.venue.market.book(stream.key, int(stream.argument))
        last_id = self.venue.last_update_id(stream.key)
        previous_id = stream.last if isinstance(stream.last, int) else last_id
        diff = Diff(last_id, last_id, previous_id, book.bids, book.asks, self.venue.market.now_ns)
        stream.last = last_id
        self.hub.publish(stream.name, wire.depth_update(self.venue.scales[stream.key], diff))

    def _book_ticker_body(self, symbol: str) -> Json:
        book = self.venue.market.book(symbol, 1)
        last_id, now_ns = self.venue.last_update_id(symbol), self.venue.market.now_ns
        return wire.book_ticker(self.venue.scales[symbol], last_id, book.bids[0], book.asks[0], now_ns)

    def _book_ticker(self, stream: Stream) -> None:
        book = self.venue.market.book(stream.key, 1)
        touch = (book.bids[0], book.asks[0])
        if self._updates[stream.key].diff is not None and touch != stream.last:
            stream.last = touch
            self.hub.publish(stream.name, self._book_ticker_body(stream.key))

    def _trades(self, stream: Stream) -> None:
        scale = self.venue.scales[stream.key]
        for row in self._updates[stream.key].trades:
            self.hub.publish(stream.name, wire.trade(scale, row))

    def _aggregates(self, stream: Stream) -> None:
        scale, now_ns = self.venue.scales[stream.key], self.venue.market.now_ns
        for row in self._updates[stream.key].aggregates:
            self.hub.publish(stream.name, wire.agg_trade(scale, row, now_ns))

    def _kline(self, stream: Stream) -> None:
        """The bar in progress each period; a bar that closed, once and at once."""
        market, interval = self.venue.market, stream.argument
        step_ns = INTERVALS[interval]
        open_ns = market.now_ns // step_ns * step_ns
        write = wire.kline if stream.kind == "kline" else wire.continuous_kline
        scale = self.venue.scales[stream.key]
        if isinstance(stream.last, int) and open_ns > stream.last:
            for bar in market.bars(stream.key, interval, start_ns=stream.last, end_ns=open_ns - 1, limit=1500):
                self.hub.publish(stream.name, write(scale, bar, interval, market.now_ns))
        elif not stream.due(self._tick, self._tick_ms):
            return
        stream.last = open_ns
        self.hub.publish(stream.name, write(scale, market.forming(stream.key, interval), interval, market.now_ns))

    def _mark_body(self, symbol: str) -> Json:
        market = self.venue.market
        return wire.mark_price(
            symbol, market.mark(symbol), market.index(symbol), market.funding_rate(symbol), market.next_funding_ns(),
            market.now_ns,
        )  # fmt: skip

    def _mark(self, stream: Stream) -> None:
        if stream.due(self._tick, self._tick_ms):
            self.hub.publish(stream.name, self._mark_body(stream.key))

    def _ticker_body(self, symbol: str, kind: str) -> Json:
        write = wire.ticker if kind in {"ticker", "!ticker@arr"} else wire.mini_ticker
        return write(self.venue.scales[symbol], self.venue.market.ticker(symbol))

    def _ticker(self, stream: Stream) -> None:
        if stream.due(self._tick, self._tick_ms):
            self.hub.publish(stream.name, self._ticker_body(stream.key, stream.kind))

    def _all_books(self, stream: Stream) -> None:
        if stream.due(self._tick, self._tick_ms):
            for symbol in self._updates:
                self.hub.publish(stream.name, self._book_ticker_body(symbol))

    def _all_tickers(self, stream: Stream) -> None:
        if stream.due(self._tick, self._tick_ms):
            self.hub.publish(stream.name, [self._ticker_body(symbol, stream.kind) for symbol in self._updates])

    def _all_marks(self, stream: Stream) -> None:
        if stream.due(self._tick, self._tick_ms):
            self.hub.publish(stream.name, [self._mark_body(symbol) for symbol in self._updates])
