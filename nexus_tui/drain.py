"""What of the painted frames the terminal has really taken: the pace of the screen and the trust in a key."""

from typing import Final

STALL_NS: Final = 1_000_000_000
"""A frame that is not taken for this long is a stall, or for twice as long as the way there and back takes of late."""
QUIET_NS: Final = 1_000_000_000
"""After a stall keys are not believed for this long: they were pressed at an old picture."""
LOST_NS: Final = 2_000_000_000
"""After this long without an answer one more frame may try: the answer itself may have been lost."""
SHARE_NS: Final = 60_000_000
"""A frame holds what a slow link takes in this long: a key's answer waits behind no more than that."""
LEAST: Final = 400
"""Cells of a frame at least, however slow the link."""
EVERYTHING: Final = 1 << 30
_WORTH: Final = 200
"""Cells from which on a frame says something about the link."""
_FAST_NS: Final = 10_000_000


class Drain:
    """Numbers the frames. At most one is on its way; what it says is in nanoseconds of the monotonic clock."""

    def __init__(self) -> None:
        self.sent = 0
        self.drained = 0
        self.sent_ns = 0
        self.drained_ns = 0
        self.quiet_until_ns = 0
        self._cells = 0
        self._way_ns = 0
        self._cell_ns = 0.0

    def begin(self, now_ns: int, cells: int = 0) -> int:
        """A frame of so many cells leaves. Returns its number."""
        if self.drained == self.sent:
            self.sent_ns, self._cells = now_ns, 0
        self._cells += cells
        self.sent += 1
        return self.sent

    def done(self, frame: int, now_ns: int) -> bool:
        """The terminal has taken `frame`. Returns True when a stall ends with it."""
        if frame <= self.drained:
            return False
        stalled = self.stalled(now_ns)
        self._measure(now_ns - self.sent_ns)
        self.drained = min(frame, self.sent)
        self.drained_ns = now_ns
        self.sent_ns = now_ns
        if stalled:
            self.quiet_until_ns = now_ns + QUIET_NS
        return stalled

    def _measure(self, took_ns: int) -> None:
        """Learn how long a cell takes beyond the way there and back, which is the shortest answer of late."""
        self._way_ns = min(took_ns, self._way_ns + self._way_ns // 64 + 1) if self._way_ns else took_ns
        if self._cells >= _WORTH:
            beyond_ns = took_ns - self._way_ns
            now = beyond_ns / self._cells if beyond_ns > _FAST_NS else 0.0
            self._cell_ns += (now - self._cell_ns) / 4

    def share(self) -> int:
        """How many cells the next frame may hold, by how fast the last ones were taken."""
        return max(LEAST, int(SHARE_NS / self._cell_ns)) if self._cell_ns > 1 else EVERYTHING

    @property
    def busy(self) -> bool:
        return self.drained < self.sent

    def stalled(self, now_ns: int) -> bool:
        """A frame has been on its way for too long."""
        return self.busy and now_ns - self.sent_ns > max(STALL_NS, min(2 * self._way_ns, LOST_NS))

    def quiet(self, now_ns: int) -> bool:
        """Keys cannot be trusted: the picture they answer to is not the newest."""
        return self.stalled(now_ns) or now_ns < self.quiet_until_ns
