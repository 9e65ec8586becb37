"""A recorded market played back: the recording's own frames go out as they are, and a book follows them for REST.

A recording is text, plain or gzip, one message a line: `<recv_ns> <combined stream message>` of one USD-M symbol, with
one REST depth snapshot (`{"lastUpdateId": ...}`) among them.
"""

import asyncio
import gzip
import time
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, TypeVar, cast

import msgspec
import numpy as np

from nexus_engine.sim.bars import COLUMNS, INTERVALS, MINUTE_NS, Bar, Candles
from nexus_engine.sim.book import Book, walked
from nexus_engine.sim.contract import Print
from nexus_engine.sim.hub import Hub
from nexus_engine.sim.ledger import Ledger
from nexus_engine.sim.specs import SPECS, SymbolSpec, ladder
from nexus_engine.sim.streams import parse
from nexus_engine.sim.venue import Venue
from nexus_engine.sim.wire import MS

FUNDING_NS = INTERVALS["8h"]
FUNDING_RATE = 0.0001
START_GRACE_S = 0.2  # from the first depth subscription: a client's other sockets follow within it
BATCH_BYTES = 64 << 10
DRAIN_BYTES = 256 << 10
PATIENCE_S = 10.0  # a client that reads nothing for so long no longer holds the replay up

RawLevels = list[tuple[str, str]]
T = TypeVar("T")


class RecordingError(ValueError):
    """The recording cannot be played; the message is one line that says why."""


class _Depth(msgspec.Struct):
    s: str
    E: int
    u: int
    b: RawLevels
    a: RawLevels


class _Trade(msgspec.Struct):
    E: int
    T: int
    s: str
    t: int
    p: str
    q: str
    m: bool


class _Snapshot(msgspec.Struct):
    last_update_id: int = msgspec.field(name="lastUpdateId")
    at_ms: int = msgspec.field(name="E")
    bids: RawLevels
    asks: RawLevels


class Frame(msgspec.Struct, frozen=True, gc=False):
    """A recorded stream message. `kind`: depth, bookTicker or trade; `data` is the inner message as it came."""

    recv_ns: int
    kind: str
    data: bytes


class Recording(msgspec.Struct, frozen=True):
    spec: SymbolSpec
    snapshot: _Snapshot
    frames: list[Frame]


_depth = msgspec.json.Decoder(_Depth)
_trade = msgspec.json.Decoder(_Trade)
_snapshot = msgspec.json.Decoder(_Snapshot)


def load(path: Path) -> Recording:
    """Read a whole recording; RecordingError says what is wrong with it."""
    try:
        with path.open("rb") as head:
            packed = head.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file:
            return _read(path.name, cast("BinaryIO", file))
    except (OSError, EOFError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise RecordingError(f"{path}: {reason}") from error


def _read(name: str, file: BinaryIO) -> Recording:
    frames: list[Frame] = []
    snapshot: _Snapshot | None = None
    symbols: set[bytes] = set()
    for number, line in enumerate(file, 1):
        stamp, _, message = line.strip().partition(b" ")
        if not stamp.isdigit() or not message.startswith(b"{"):
            raise RecordingError(f"{name}, line {number}: not '<recv_ns> <json message>'")
        if message.startswith(b'{"lastUpdateId"'):
            if snapshot is None:
                snapshot = _checked(_snapshot, message, name, f"line {number}")
            continue
        stream, found, data = message.removeprefix(b'{"stream":"').partition(b'","data":')
        if not found or not data.endswith(b"}"):
            raise RecordingError(f"{name}, line {number}: not a combined stream message")
        symbol, _, rest = stream.partition(b"@")
        kind = rest.partition(b"@")[0].decode("ascii", "replace")
        if kind in {"depth", "bookTicker", "trade"}:
            symbols.add(symbol)
            frames.append(Frame(int(stamp), kind, data[:-1]))
    if snapshot is None or not snapshot.bids or not snapshot.asks:
        raise RecordingError(f"{name}: holds no REST depth snapshot")
    depths = [frame for frame in frames if frame.kind == "depth"]
    if not depths:
        raise RecordingError(f"{name}: holds no depth messages")
    if len(symbols) > 1:
        raise RecordingError(f"{name}: holds {len(symbols)} symbols; one can be played")
    first = _checked(_depth, depths[0].data, name, "the first depth message")
    return Recording(_spec(first.s, snapshot), snapshot, frames)


def _checked(decoder: "msgspec.json.Decoder[T]", raw: bytes, name: str, where: str) -> T:
    try:
        return decoder.decode(raw)
    except msgspec.DecodeError as error:
        raise RecordingError(f"{name}, {where}: {error}") from error


def _spec(symbol: str, snapshot: _Snapshot) -> SymbolSpec:
    """The contract as the practice venue knows it, else with the tick and step that the snapshot shows."""
    known = SPECS.get(symbol)
    if known is not None:
        return known
    levels = snapshot.bids + snapshot.asks
    price_digits = max(len(price.partition(".")[2].rstrip("0")) for price, _ in levels)
    qty_digits = max(len(qty.partition(".")[2].rstrip("0")) for _, qty in levels)
    tick, step = Decimal(1).scaleb(-price_digits), Decimal(1).scaleb(-qty_digits)
    most = Decimal(10_000_000)
    base = symbol.removesuffix("USDT")
    return SymbolSpec(
        symbol, base, tick, step, price_digits, qty_digits, step, most, most, Decimal(5), ladder(50, Decimal("0.05"))
    )


class ReplayMarket:
    """The recorded market as far as it has been played. It stands still but for `apply`.

    Clients' orders walk the recorded book and leave it as it was recorded. Mark and index are the mid price.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        spec = recording.spec
        self.symbol = spec.symbol
        self.symbols: tuple[str, ...] = (spec.symbol,)
        self.specs: Mapping[str, SymbolSpec] = MappingProxyType({spec.symbol: spec})
        self._ticks, self._lots = float(10**spec.tick_digits), float(10**spec.step_digits)
        snapshot = recording.snapshot
        self.update_id = snapshot.last_update_id
        self._bids = {self._tick(price): self._lot(qty) for price, qty in snapshot.bids}
        self._asks = {self._tick(price): self._lot(qty) for price, qty in snapshot.asks}
        self._last_ticks = max(self._bids)
        self._prints: list[Print] = []
        first = next(frame for frame in recording.frames if frame.kind == "depth")
        self.now_ns = _depth.decode(first.data).E * MS
        self._candles = Candles(
            minute_ns=self.now_ns // MINUTE_NS * MINUTE_NS,
            past={name: np.empty((0, COLUMNS), dtype=np.int64) for name in INTERVALS},
            partial=dict.fromkeys(INTERVALS),
            last_ticks=self._last_ticks,
            tick_digits=spec.tick_digits,
            step_digits=spec.step_digits,
        )

    def _tick(self, price: str) -> int:
        return round(float(price) * self._ticks)

    def _lot(self, qty: str) -> int:
        return round(float(qty) * self._lots)

    def apply(self, frame: Frame) -> _Trade | None:
        """Take one frame in; the trade, if it was one."""
        if frame.kind == "depth":
            diff = _checked(_depth, frame.data, "recording", f"depth message of {frame.recv_ns}")
            self._reach(diff.E * MS)
            if diff.u > self.update_id:
                self.update_id = diff.u
                for side, levels in ((self._bids, diff.b), (self._asks, diff.a)):
                    for price, qty in levels:
                        lots = self._lot(qty)
                        if lots:
                            side[self._tick(price)] = lots
                        else:
                            side.pop(self._tick(price), None)
        elif frame.kind == "trade":
            trade = _checked(_trade, frame.data, "recording", f"trade of {frame.recv_ns}")
            self._reach(trade.E * MS)
            ticks, lots = self._tick(trade.p), self._lot(trade.q)
            self._last_ticks = ticks
            self._prints.append(Print(ticks, lots, trade.m, trade.T * MS))
            self._candles.trade(ticks, lots, not trade.m)
            return trade
        return None

    def _reach(self, at_ns: int) -> None:
        for _ in range(self.now_ns // MINUTE_NS, at_ns // MINUTE_NS):
            self._candles.close_minute()
        self.now_ns = max(self.now_ns, at_ns)

    def step(self, dt_ns: int) -> None:
        """Time comes from the recording alone."""

    def prints(self, symbol: str) -> list[Print]:
        out, self._prints = self._prints, []
        return out

    def book(self, symbol: str, depth: int | None = None) -> Book:
        bids = sorted(self._bids.items(), reverse=True) if depth != 1 else [self._best(self._bids, max(self._bids))]
        asks = sorted(self._asks.items()) if depth != 1 else [self._best(self._asks, min(self._asks))]
        return Book(bids[:depth], asks[:depth])

    @staticmethod
    def _best(side: dict[int, int], ticks: int) -> tuple[int, int]:
        return ticks, side[ticks]

    def diff(self, symbol: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Nothing: the recorded diffs are what goes out."""
        return [], []

    def mark(self, symbol: str) -> float:
        return (max(self._bids) + min(self._asks)) / 2 / self._ticks

    def index(self, symbol: str) -> float:
        return self.mark(symbol)

    def last(self, symbol: str) -> float:
        return self._last_ticks / self._ticks

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
        return self._candles.bars(interval, start_ns, end_ns, limit)

    def forming(self, symbol: str, interval: str) -> Bar:
        return self._candles.forming(interval)

    def ticker(self, symbol: str) -> dict[str, float]:
        """Of the recorded part of the day."""
        return self._candles.ticker(self.now_ns)

    def prices(self) -> dict[str, float]:
        """None to continue from: a recording begins where it began."""
        return {}


class ReplayVenue(Venue):
    """A venue whose public tape is a recording: update ids are the recorded ones."""

    def __init__(self, market: ReplayMarket, ledger: Ledger | None = None) -> None:
        super().__init__(market, ledger)
        self._played = market

    def depth(self, symbol: str, limit: int) -> tuple[int, Book]:
        return self._played.update_id, self._played.book(symbol, limit)

    def last_update_id(self, symbol: str) -> int:
        return self._played.update_id


class Player:
    """Plays a recording to the hub's clients, at `speed` times its own pace (inf: as fast as they read)."""

    def __init__(self, market: ReplayMarket, hub: Hub, speed: float) -> None:
        self._market = market
        self._hub = hub
        self._speed = speed
        self._waiting = 0  # bytes published since the last flush

    async def run(self) -> None:
        while not any(self._carries(name, "depth") for name in self._hub.streams()):
            self._hub.changed.clear()
            await self._hub.changed.wait()
        await asyncio.sleep(START_GRACE_S)
        frames = self._market.recording.frames
        began_s, first_ns = time.monotonic(), frames[0].recv_ns
        for frame in frames:
            ahead_s = (frame.recv_ns - first_ns) / 1e9 / self._speed - (time.monotonic() - began_s)
            if ahead_s > 0:
                await self._flush()
                await asyncio.sleep(ahead_s)
            self._play(frame)
            if self._waiting > BATCH_BYTES:
                await self._flush()
        await self._flush()

    def _carries(self, name: str, kind: str) -> bool:
        stream = parse(name)
        return stream is not None and stream.kind == kind and stream.key == self._market.symbol

    def _play(self, frame: Frame) -> None:
        trade = self._market.apply(frame)
        self._send(frame.kind, frame.data)
        if trade is not None:
            body = {
                "e": "aggTrade", "E": trade.E, "s": trade.s, "a": trade.t, "p": trade.p, "q": trade.q, "nq": trade.q,
                "f": trade.t, "l": trade.t, "T": trade.T, "m": trade.m, "st": 1,
            }  # fmt: skip
            self._send("aggTrade", msgspec.json.encode(body))

    def _send(self, kind: str, data: bytes) -> None:
        for name in self._hub.streams():
            if self._carries(name, kind):
                self._hub.publish_raw(name, data, depth=kind == "depth")
                self._waiting += len(data)

    async def _flush(self) -> None:
        """Send, and wait for clients that read slower than the recording is played."""
        self._waiting = 0
        self._hub.flush()
        await asyncio.sleep(0)
        held, since_s = self._hub.most_buffered(), time.monotonic()
        while held > DRAIN_BYTES:
            await asyncio.sleep(0.001)
            now = self._hub.most_buffered()
            if now < held:
                held, since_s = now, time.monotonic()
            elif time.monotonic() - since_s > PATIENCE_S:
                self._hub.cut_off(DRAIN_BYTES)
