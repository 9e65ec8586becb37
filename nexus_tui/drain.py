"""What of the painted frames the terminal has really taken: the pace of the screen and the trust in a key."""

from typing import Final

STALL_NS: Final = 1_000_000_000
"""A frame that is not taken for this long is a stall."""
QUIET_NS: Final = 1_000_000_000
"""After a stall keys are not believed for this long: they were pressed at an old picture."""
LOST_NS: Final = 2_000_000_000
"""After this long without an answer one more frame may try: the answer itself may have been lost."""


class Drain:
    """Numbers the frames. At most one is on its way; what it says is in nanoseconds of the monotonic clock."""

    def __init__(self) -> None:
        self.sent = 0
        self.drained = 0
        self.sent_ns = 0
        self.drained_ns = 0
        self.quiet_until_ns = 0

    def begin(self, now_ns: int) -> int:
        """A frame leaves. Returns its number."""
        if self.drained == self.sent:
            self.sent_ns = now_ns
        self.sent += 1
        return self.sent

    def done(self, frame: int, now_ns: int) -> bool:
        """The terminal has taken `frame`. Returns True when a stall ends with it."""
        if frame <= self.drained:
            return False
        stalled = self.stalled(now_ns)
        self.drained = min(frame, self.sent)
        self.drained_ns = now_ns
        self.sent_ns = now_ns
        if stalled:
            self.quiet_until_ns = now_ns + QUIET_NS
        return stalled

    @property
    def busy(self) -> bool:
        return self.drained < self.sent

    def stalled(self, now_ns: int) -> bool:
        """A frame has been on its way for too long."""
        return self.busy and now_ns - self.sent_ns > STALL_NS

    def quiet(self, now_ns: int) -> bool:
        """Keys cannot be trusted: the picture they answer to is not the newest."""
        return self.stalled(now_ns) or now_ns < self.quiet_until_ns
