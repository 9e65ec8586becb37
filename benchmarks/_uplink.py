"""One way from bytes to a book, alone in its process. `_uplink.py CASE FOLDER [PORT]`; prints CPU µs a message.

FOLDER holds the messages as they stand on the wire, one a line: `agg`, `depth`, and `snapshot`, the book before the
first diff. With PORT they are received from there: `/public/stream` and `/market/stream` send them as fast as they are
read. A case imports only what it measures, since some run in an environment that has nothing of ours.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

SYMBOL, TOP = "BTCUSDT", 20
TIMES = 3  # over the trades, which are quick
Handle = Callable[[bytes], object]


def lines(folder: Path, name: str) -> list[bytes]:
    return (folder / name).read_bytes().splitlines()


def measure(handle: Handle, messages: Iterable[bytes]) -> float:
    messages = list(messages)
    begun = time.process_time()
    for message in messages:
        handle(message)
    return (time.process_time() - begun) / len(messages) * 1e6


def depth_types() -> Any:
    """What a careful user of msgspec writes: a Struct with floats, and nothing else decoded."""
    import msgspec

    level = tuple[float, float]

    class Data(msgspec.Struct, gc=False):
        u: int
        pu: int
        b: list[level]
        a: list[level]

    class Frame(msgspec.Struct, gc=False):
        data: Data

    class Snapshot(msgspec.Struct):
        bids: list[level]
        asks: list[level]

    return (
        msgspec.json.Decoder(Frame, strict=False).decode, msgspec.json.Decoder(Snapshot, strict=False).decode
    )  # fmt: skip


# -- ours --------------------------------------------------------------------------------------------------------------


class Ours:
    """Decoder, book procedure and events, into the book the engine keeps. `handles` are by message."""

    def __init__(self, folder: Path) -> None:
        from decimal import Decimal

        import msgspec

        from nexus_engine.model.book import OrderBook
        from nexus_engine.model.events import BookDelta, BookSnapshot
        from nexus_engine.model.instruments import Instrument
        from nexus_engine.uplink.binance.depth import DepthBook
        from nexus_engine.uplink.binance.replies import DepthReply
        from nexus_engine.uplink.binance.wire import MARKET_EVENTS, MarketFrame, PublicFrame

        step = Decimal("0.001")
        self.instrument = Instrument(
            symbol=SYMBOL, tick=Decimal("0.1"), step=step, min_qty=step, max_qty=Decimal(1000),
            market_max_qty=Decimal(100), min_notional=Decimal(5),
        )  # fmt: skip
        self.book = book = OrderBook()
        self.trades = 0

        def sink(event: Any) -> None:
            if type(event) is BookDelta:
                book.delta(event.bids, event.asks, event.update_id)
                book.bids(TOP), book.asks(TOP)
            elif type(event) is BookSnapshot:
                book.snapshot(event.bids, event.asks, event.update_id)
            else:
                self.trades += 1

        def agg(message: bytes) -> None:
            msg = decode_market(message).data
            sink(MARKET_EVENTS[type(msg)](msg, 0, 0))

        def diff(message: bytes) -> None:
            for event in place.diff(decode_public(message).data, 0, 0):
                sink(event)

        decode_market = msgspec.json.Decoder(MarketFrame, strict=False).decode
        decode_public = msgspec.json.Decoder(PublicFrame, strict=False).decode
        self.snapshot = msgspec.json.decode((folder / "snapshot").read_bytes(), type=DepthReply, strict=False)
        place = DepthBook(self.instrument)
        place.begin()
        place.snapshot(self.snapshot, 0, 0)
        self.sink, self.handles = sink, {"agg": agg, "depth": diff}


def ours(folder: Path) -> dict[str, float]:
    way = Ours(folder)
    found = {
        "agg": measure(way.handles["agg"], lines(folder, "agg") * TIMES),
        "depth": measure(way.handles["depth"], lines(folder, "depth")),
    }
    assert way.book.valid and not way.book.crossed and way.trades
    return found


async def receive_ours(folder: Path, port: int) -> dict[str, float]:
    """The feeds as they run, on their own supervised sockets; only what they would ask by REST is given to them."""
    from nexus_engine.model.secret import Secret
    from nexus_engine.runtime.clock import SystemClock
    from nexus_engine.uplink.binance.market import MarketFeed
    from nexus_engine.uplink.binance.public import PublicFeed
    from nexus_engine.uplink.binance.rest import BinanceRest
    from nexus_engine.uplink.binance.settings import BinanceSettings

    way, at = Ours(folder), f"127.0.0.1:{port}"
    settings = BinanceSettings(
        rest_url=f"http://{at}", ws_url=f"ws://{at}", api_key=Secret(""), api_secret=Secret(""), symbols=(SYMBOL,),
        intervals=(), warmup_bars=1, leverage=1,
    )  # fmt: skip
    rest = BinanceRest(settings, SystemClock())
    public = PublicFeed(rest, (way.instrument,), way.sink, random.Random(7))
    market = MarketFeed(rest, way.sink, random.Random(7))
    public._books[SYMBOL].begin()
    public._books[SYMBOL].snapshot(way.snapshot, 0, 0)
    found = {}
    for name, stream in (("agg", market.stream), ("depth", public.stream)):
        clock, done = Stopwatch(len(lines(folder, name))), asyncio.Event()
        inner = stream._frame

        def frame(data: bytes, at_ns: int, mono_ns: int, of: Any = (inner, clock, done)) -> None:
            of[0](data, at_ns, mono_ns)
            if of[1].count():
                of[2].set()

        stream._frame = frame
        stream._tell_opened = stream._tell_up = lambda: None
        task = asyncio.create_task(stream.run())
        await done.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        found[name] = clock.us
    assert way.book.valid and way.trades
    return found


class Stopwatch:
    """CPU from the first message to the last one."""

    def __init__(self, total: int) -> None:
        self._total, self._seen, self._begun = total, 0, 0.0
        self.us = 0.0

    def count(self) -> bool:
        self._seen += 1
        if self._seen == 1:
            self._begun = time.process_time()
        if self._seen == self._total:
            self.us = (time.process_time() - self._begun) / (self._total - 1) * 1e6
        return self._seen >= self._total


# -- python-binance: its socket's reading of a message and its DepthCacheManager ---------------------------------------


async def cache_of(folder: Path) -> Any:
    from binance import AsyncClient
    from binance.ws.depthcache import DepthCacheManager

    class Client(AsyncClient):
        async def get_order_book(self, **_: Any) -> Any:
            return json.loads((folder / "snapshot").read_bytes())

    manager = DepthCacheManager(Client(), SYMBOL, limit=1000)
    await manager._init_cache()
    return manager


async def python_binance(folder: Path) -> dict[str, float]:
    from binance.ws.reconnecting_websocket import ReconnectingWebsocket

    read = ReconnectingWebsocket("")._handle_message
    manager = await cache_of(folder)
    found = {"agg": measure(lambda message: read(message)["data"], lines(folder, "agg") * TIMES)}
    messages = lines(folder, "depth")
    begun = time.process_time()
    for message in messages:
        cache = await manager._depth_event(read(message)["data"])
        cache.get_bids()[:TOP], cache.get_asks()[:TOP]
    found["depth"] = (time.process_time() - begun) / len(messages) * 1e6
    assert cache.get_bids()[0][0] < cache.get_asks()[0][0]
    return found


async def receive_python_binance(folder: Path, port: int) -> dict[str, float]:
    from binance import AsyncClient, BinanceSocketManager

    class Sockets(BinanceSocketManager):
        STREAM_URL = FSTREAM_URL = f"ws://127.0.0.1:{port}/"

    client = AsyncClient()
    # its own limit of 100 would end the socket as soon as the consumer is late
    sockets = Sockets(client, max_queue_size=1_000_000)
    manager = await cache_of(folder)
    found = {}
    for name, socket in (
        ("agg", sockets.aggtrade_futures_socket(SYMBOL)), ("depth", sockets.futures_depth_socket(SYMBOL, "@100ms")),
    ):  # fmt: skip
        clock = Stopwatch(len(lines(folder, name)))
        await socket.__aenter__()
        while True:
            message = (await socket.recv())["data"]
            if name == "depth":
                cache = await manager._depth_event(message)
                cache.get_bids()[:TOP], cache.get_asks()[:TOP]
            if clock.count():
                break
        found[name] = clock.us
    return found


# -- the libraries that one would build it from ------------------------------------------------------------------------


async def receive_websockets(folder: Path, port: int) -> dict[str, float]:
    """The same decoders and book as ours, behind `websockets`."""
    from websockets.asyncio.client import connect

    way = Ours(folder)
    found = {}
    for name, category, handle in (("agg", "market", way.handles["agg"]), ("depth", "public", way.handles["depth"])):
        clock = Stopwatch(len(lines(folder, name)))
        async with connect(f"ws://127.0.0.1:{port}/{category}/stream", compression=None, max_queue=1024) as socket:
            while True:
                handle(await socket.recv(decode=False))
                if clock.count():
                    break
        found[name] = clock.us
    return found


def order_book(folder: Path) -> dict[str, float]:
    from order_book import OrderBook

    decode, decode_snapshot = depth_types()
    book = OrderBook()
    bids, asks = book.bids, book.asks
    snapshot = decode_snapshot((folder / "snapshot").read_bytes())
    for side, levels in ((bids, snapshot.bids), (asks, snapshot.asks)):
        for price, qty in levels:
            side[price] = qty

    def handle(message: bytes) -> None:
        data = decode(message).data
        for side, levels in ((bids, data.b), (asks, data.a)):
            for price, qty in levels:
                if qty:
                    side[price] = qty
                elif price in side:
                    del side[price]
        for side in (bids, asks):
            _ = [side.index(i) for i in range(TOP)]

    found = {"depth": measure(handle, lines(folder, "depth"))}
    assert bids.index(0)[0] < asks.index(0)[0]
    return found


def nautilus(folder: Path) -> dict[str, float]:
    """Its Binance adapter's own decoders and deltas, into its OrderBook."""
    import msgspec
    from nautilus_trader.adapters.binance.common.schemas.market import (
        BinanceAggregatedTradeData,
        BinanceOrderBookData,
        BinanceOrderBookMsg,
    )
    from nautilus_trader.model.book import OrderBook
    from nautilus_trader.model.enums import BookType
    from nautilus_trader.model.identifiers import InstrumentId

    class AggMsg(msgspec.Struct):
        data: BinanceAggregatedTradeData

    instrument = InstrumentId.from_str("BTCUSDT-PERP.BINANCE")
    book = OrderBook(instrument, BookType.L2_MBP)
    snapshot = json.loads((folder / "snapshot").read_bytes())
    first = {"e": "depthUpdate", "E": 1, "s": SYMBOL, "U": 1, "u": 1, "b": snapshot["bids"], "a": snapshot["asks"]}
    book.apply_deltas(
        msgspec.convert(first, BinanceOrderBookData).parse_to_order_book_deltas(instrument, 1, snapshot=True)
    )
    decode, decode_agg = msgspec.json.Decoder(BinanceOrderBookMsg).decode, msgspec.json.Decoder(AggMsg).decode

    def depth(message: bytes) -> None:
        book.apply_deltas(decode(message).data.parse_to_order_book_deltas(instrument, 1))
        book.bids()[:TOP], book.asks()[:TOP]

    found = {
        "agg": measure(lambda m: decode_agg(m).data.parse_to_trade_tick(instrument, 1), lines(folder, "agg") * TIMES),
        "depth": measure(depth, lines(folder, "depth")),
    }
    assert book.best_bid_price() < book.best_ask_price()
    return found


# -- the other end -----------------------------------------------------------------------------------------------------


async def serve(folder: Path) -> None:
    """Print the port; send to each socket all of its category's messages, as fast as they are taken."""
    from aiohttp import web

    async def flood(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        for message in lines(folder, {"market": "agg", "public": "depth"}[request.match_info["category"]]):
            await socket.send_frame(message, 1)
        async for _ in socket:
            pass
        return socket

    app = web.Application()
    app.router.add_get("/{category:market|public}/{path:.*}", flood)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


CASES: dict[str, Callable[..., Any]] = {
    "serve": serve, "ours": ours, "python_binance": python_binance, "order_book": order_book, "nautilus": nautilus,
    "receive_ours": receive_ours, "receive_python_binance": receive_python_binance,
    "receive_websockets": receive_websockets,
}  # fmt: skip


def main() -> int:
    case, folder, *port = sys.argv[1:]
    found = CASES[case](Path(folder), *map(int, port))
    if asyncio.iscoroutine(found):
        found = asyncio.run(_whole(found))
    print(json.dumps(found), flush=True)
    return 0


async def _whole(work: Any) -> Any:
    found = await work
    if found is not None:
        print(json.dumps(found), flush=True)
        sys.stdout.flush()
        import os

        os._exit(0)  # python-binance would wait ten seconds for a message of the sockets it leaves
    return found


if __name__ == "__main__":
    raise SystemExit(main())
