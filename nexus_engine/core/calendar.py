"""Whether the machine's wall clock may open a trading day: one that has just leapt may not."""

from typing import Final

from nexus_engine.model.ledger import day_of
from nexus_engine.model.turn import Turn

LEAP_NS: Final = 60_000_000_000
"""The wall clock is set by small steps all the time; this far apart from the monotonic one it was set wrong, or the
machine slept."""
TRUST_NS: Final = 600_000_000_000
"""A clock that has leapt is believed again after this long, on the monotonic one: who set it wrong sets it back."""


class Calendar:
    """Looks at both clocks at every pulse. A budget of losses must not begin anew because a clock was set."""

    def __init__(self) -> None:
        self._seen = (0, 0)
        """Wall and monotonic ns of the last look; zeros before the first."""
        self._doubted_until = 0

    def turns(self, turn: Turn) -> bool:
        """Another trading day begins. A start believes the clock that it finds.

        The day goes forward only, so that a clock that goes back opens none twice; but a day that lies further ahead
        than a clock is wrong by a time zone was never here.
        """
        wall, mono = self._seen
        self._seen = (turn.at_ns, turn.mono_ns)
        if mono and abs((turn.at_ns - wall) - (turn.mono_ns - mono)) > LEAP_NS:
            self._doubted_until = turn.mono_ns + TRUST_NS
        if turn.mono_ns < self._doubted_until:
            return False
        day, known = day_of(turn.at_ns), turn.ledger.day
        return day > known or day < known - 1
