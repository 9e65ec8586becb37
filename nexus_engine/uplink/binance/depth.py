"""The order book procedure of Binance futures, for one symbol. Pure: diffs and snapshots in, book events out.

Source: "How to manage a local order book correctly" (USD-M): buffer diffs; take a snapshot; drop diffs older than it;
the first diff applied must reach over the snapshot; from then on each diff's `pu` is the `u` before it, or all begins
anew.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

from nexus_engine.model.book import BookLevel
from nexus_engine.model.events import BookDelta, BookInvalid, BookSnapshot
from nexus_engine.model.instruments import Instrument
from nexus_engine.uplink.binance.replies import DepthReply
from nexus_engine.uplink.binance.wire import MS, DepthUpdate

BUFFERED: Final = 4_096
"""Diffs kept while a snapshot is awaited: minutes of them. Losing the oldest only asks for a younger snapshot."""

_NOWHERE: Final = -1

BookEvent = BookSnapshot | BookDelta | BookInvalid


class DepthBook:
    """Where one symbol stands in the procedure."""

    __slots__ = ("_buffer", "_inv_tick", "_last", "_snapshot", "symbol", "wants_snapshot")

    def __init__(self, instrument: Instrument) -> None:
        self.symbol = instrument.symbol
        self._inv_tick = float(1 / instrument.tick)
        self._last = _NOWHERE
        """`u` of the last diff applied."""
        self._buffer: deque[DepthUpdate] = deque(maxlen=BUFFERED)
        self._snapshot: DepthReply | None = None
        """A snapshot that no diff has reached yet."""
        self.wants_snapshot = False

    def begin(self) -> None:
        """The stream is open: a snapshot taken from now on can be reached by its diffs."""
        self.wants_snapshot = True

    def lost(self, reason: str, at_ns: int, mono_ns: int) -> BookInvalid | None:
        """The stream broke: nothing that was buffered connects to what will come."""
        self._buffer.clear()
        self._snapshot = None
        self.wants_snapshot = False
        if self._last == _NOWHERE:
            return None
        self._last = _NOWHERE
        return BookInvalid(at_ns=at_ns, mono_ns=mono_ns, symbol=self.symbol, reason=reason)

    def diff(self, msg: DepthUpdate, at_ns: int, mono_ns: int) -> Sequence[BookEvent]:
        """Take the next diff of the stream."""
        if msg.pu == self._last:
            return (self._delta(msg, at_ns, mono_ns),)
        if self._last != _NOWHERE:
            reason = f"a diff is missing: {msg.pu} does not follow {self._last}"
            invalid = self.lost(reason, at_ns, mono_ns)
            self._keep(msg)
            return (invalid,) if invalid is not None else ()
        self._keep(msg)
        return self._join(at_ns, mono_ns) if self._snapshot is not None else ()

    def snapshot(self, reply: DepthReply, at_ns: int, mono_ns: int) -> Sequence[BookEvent]:
        """Take a snapshot that was asked for. Ignored when the book has found its place meanwhile."""
        if self._last != _NOWHERE:
            return ()
        self._snapshot = reply
        self.wants_snapshot = False
        return self._join(at_ns, mono_ns)

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _keep(self, msg: DepthUpdate) -> None:
        buffer = self._buffer
        if buffer and msg.pu != buffer[-1].u:
            buffer.clear()
            self._snapshot = None
        buffer.append(msg)
        self.wants_snapshot = self._snapshot is None

    def _join(self, at_ns: int, mono_ns: int) -> Sequence[BookEvent]:
        """Begin the book, if the buffered diffs reach over the snapshot."""
        reply, buffer = self._snapshot, self._buffer
        if reply is None:
            return ()
        while buffer and buffer[0].u < reply.last_update_id:
            buffer.popleft()
        if not buffer:
            return ()
        # A diff holds every change after `pu`, so one that starts there reaches over the snapshot even where its `U`,
        # the id of its first change, is a later one. The venue's own wording (U <= lastUpdateId) is the narrower case.
        if buffer[0].pu > reply.last_update_id:
            self._snapshot = None
            self.wants_snapshot = True
            return ()
        events: list[BookEvent] = [
            BookSnapshot(
                at_ns=at_ns,
                mono_ns=mono_ns,
                symbol=self.symbol,
                update_id=reply.last_update_id,
                bids=self._ticks(reply.bids),
                asks=self._ticks(reply.asks),
                venue_ns=reply.T * MS,
            )
        ]
        events.extend(self._delta(msg, at_ns, mono_ns) for msg in buffer)
        buffer.clear()
        self._snapshot = None
        return events

    def _delta(self, msg: DepthUpdate, at_ns: int, mono_ns: int) -> BookDelta:
        self._last = msg.u
        return BookDelta(
            at_ns=at_ns,
            mono_ns=mono_ns,
            symbol=self.symbol,
            update_id=msg.u,
            bids=self._ticks(msg.b),
            asks=self._ticks(msg.a),
            venue_ns=msg.T * MS,
        )

    def _ticks(self, levels: list[tuple[float, float]]) -> tuple[BookLevel, ...]:
        inv = self._inv_tick
        return tuple([(round(price * inv), qty) for price, qty in levels])
