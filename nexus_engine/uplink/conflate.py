"""What the market said while the engine was behind, joined: the latest of each kind and symbol, and nothing lost of the
books or of the traded volume."""

from collections.abc import Callable

from msgspec.structs import replace

from nexus_engine.model.book import BookLevel
from nexus_engine.model.events import Bar, BookDelta, BookInvalid, BookSnapshot, History, Mark, Trade
from nexus_engine.model.ports import Sink
from nexus_engine.uplink.counts import Counts

Joinable = BookDelta | Trade | Mark | Bar


class Conflator:
    """Holds market events back while `behind` says so, and joins them until `flush`.

    Changes of a book become one change, trades one of each side with their summed quantity and the last price, a mark
    or an open candle its latest. What may not be joined (`whole`) goes out at once, after what was held before it.
    """

    def __init__(self, sink: Sink, behind: Callable[[], bool], counts: Counts) -> None:
        self._sink = sink
        self._behind = behind
        self._counts = counts
        self._held: dict[tuple[object, ...], list[Joinable]] = {}

    def add(self, event: Joinable) -> None:
        """Deliver, or hold."""
        if not self._behind() and not self._held:
            self._sink(event)
            return
        match event:
            case Bar(closed=True):
                self.whole(event)
            case Bar():
                self._latest((Bar, event.symbol, event.interval), event)
            case Mark():
                self._latest((Mark, event.symbol), event)
            case Trade():
                self._more((Trade, event.symbol, event.buyer_is_maker), event)
            case BookDelta():
                self._more((BookDelta, event.symbol), event)

    def whole(self, event: BookSnapshot | BookDelta | BookInvalid | Bar | History) -> None:
        """Deliver what follows from everything before it."""
        self.flush()
        self._sink(event)

    def flush(self) -> None:
        """Let go of what was held."""
        held, self._held = self._held, {}
        for events in sorted(held.values(), key=lambda events: events[-1].venue_ns):
            self._counts.conflated += len(events) - 1
            match events[-1]:
                case Trade() as trade:
                    total = sum(event.qty for event in events if isinstance(event, Trade))
                    self._sink(replace(trade, qty=total))
                case BookDelta() as delta if len(events) > 1:
                    bids: dict[int, float] = {}
                    asks: dict[int, float] = {}
                    for event in events:
                        if isinstance(event, BookDelta):
                            bids.update(event.bids)
                            asks.update(event.asks)
                    self._sink(replace(delta, bids=_levels(bids), asks=_levels(asks)))
                case latest:
                    self._sink(latest)

    def _latest(self, key: tuple[object, ...], event: Joinable) -> None:
        if key in self._held:
            self._counts.conflated += 1
        self._held[key] = [event]

    def _more(self, key: tuple[object, ...], event: Joinable) -> None:
        self._held.setdefault(key, []).append(event)


def _levels(side: dict[int, float]) -> tuple[BookLevel, ...]:
    return tuple(side.items())
