"""The venue's request weight, and the silence it asks for."""

from enum import Enum
from typing import Final

from nexus_engine.model.ports import Clock

RESERVE: Final = 0.2
"""The part of the weight that only exits, cancels and queries may use."""
DEFAULT_LIMIT: Final = 2_400
_MINUTE_NS: Final = 60_000_000_000
_S: Final = 1_000_000_000


class Urgency(Enum):
    """Who goes first when weight is short."""

    NORMAL = 0
    """Entries and market data: never from the reserve."""
    QUERY = 1
    """May use the reserve; silent while the venue asks for silence."""
    EXIT = 2
    """Leaves even while the venue asks for silence; not while it bans us, when a request can only prolong that."""


class Budget:
    """Counts the weight of a minute of venue time, and holds back what would go over it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.limit = DEFAULT_LIMIT
        self.offset_ns = 0
        """Venue time less our own."""
        self._minute = -1
        self._used = 0
        self._quiet_until_mono = 0
        self._banned_until_mono = 0

    @property
    def used(self) -> int:
        """Weight of the running minute."""
        self._roll()
        return self._used

    @property
    def silent_s(self) -> float:
        """Seconds for which the venue has asked for silence yet."""
        until = max(self._quiet_until_mono, self._banned_until_mono)
        return max(0.0, (until - self._clock.mono_ns()) / _S)

    def admit(self, weight: int, urgency: Urgency) -> float:
        """Take `weight`, and return 0; or take nothing, and return the seconds until it may be tried again."""
        mono = self._clock.mono_ns()
        if mono < self._banned_until_mono:
            return (self._banned_until_mono - mono) / _S
        if urgency is not Urgency.EXIT and mono < self._quiet_until_mono:
            return (self._quiet_until_mono - mono) / _S
        into_minute = self._roll()
        share = 1.0 - RESERVE if urgency is Urgency.NORMAL else 1.0
        if self._used + weight > self.limit * share and urgency is not Urgency.EXIT:
            return (_MINUTE_NS - into_minute) / _S
        self._used += weight
        return 0.0

    def seen(self, used: int) -> None:
        """The venue told what it counted."""
        self._roll()
        self._used = max(self._used, used)

    def silence(self, seconds: float, *, banned: bool) -> None:
        """The venue asked for silence (429) or has banned the address (418)."""
        until = self._clock.mono_ns() + int(seconds * _S)
        if banned:
            self._banned_until_mono = max(self._banned_until_mono, until)
        else:
            self._quiet_until_mono = max(self._quiet_until_mono, until)

    def _roll(self) -> int:
        """Begin a new minute when there is one; return the nanoseconds into it."""
        minute, into = divmod(self._clock.utc_ns() + self.offset_ns, _MINUTE_NS)
        if minute != self._minute:
            self._minute, self._used = minute, 0
        return into
