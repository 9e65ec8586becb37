"""Whether a stream is up, said when it changes."""

from nexus_engine.model.events import FeedStatus
from nexus_engine.model.ports import Clock, Sink
from nexus_engine.model.words import Venue


class Status:
    """Says FeedStatus when a stream comes, goes, or stays away for a new reason; not at each attempt."""

    def __init__(self, venue: Venue, feed: str, clock: Clock, sink: Sink) -> None:
        self._venue = venue
        self._feed = feed
        self._clock = clock
        self._sink = sink
        self._said: tuple[bool, str] | None = None

    def up(self) -> None:
        self._say(True, "")

    def down(self, reason: str) -> None:
        self._say(False, reason)

    def _say(self, up: bool, reason: str) -> None:
        if self._said == (up, reason):
            return
        self._said = (up, reason)
        at_ns, mono_ns = self._clock.utc_ns(), self._clock.mono_ns()
        self._sink(FeedStatus(at_ns=at_ns, mono_ns=mono_ns, venue=self._venue, feed=self._feed, up=up, reason=reason))
