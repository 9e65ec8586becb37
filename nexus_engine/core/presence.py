"""Whether a person is there, and whether the machine has kept falling over: both keep entries away."""

from typing import Final

from nexus_engine.model.facts import Crashed, LatchSet
from nexus_engine.model.turn import Turn
from nexus_engine.model.words import Latch, Level

MINUTE_NS: Final = 60_000_000_000


class Presence:
    """Who was last seen. A cockpit that draws, an attached one, and any command are somebody."""

    def __init__(self, limit_min: float) -> None:
        self._limit_ns = round(limit_min * MINUTE_NS)
        self._seen_mono = 0
        self._expected = False
        self.away = False

    def begin(self, turn: Turn, *, attended: bool) -> None:
        """A run begins; `attended`: a person is expected to be there."""
        self._seen_mono = turn.mono_ns
        self._expected = attended and self._limit_ns > 0

    def seen(self, turn: Turn) -> None:
        """Somebody is there."""
        self._seen_mono = turn.mono_ns
        if self.away:
            self.away = False
            turn.note(Level.GOOD, "account", "somebody is here again: entries may leave")

    def look(self, turn: Turn) -> None:
        """Notice that nobody has been there for too long."""
        if self._expected and not self.away and turn.mono_ns - self._seen_mono >= self._limit_ns:
            self.away = True
            turn.note(Level.WARN, "account", f"{self.blocked}; stops and exits go on")

    @property
    def blocked(self) -> str:
        """Why nothing is entered; empty while somebody is there."""
        return f"unattended for {self._limit_ns / MINUTE_NS:g} min: no entries" if self.away else ""


def count_crash(turn: Turn, limit: int) -> None:
    """A run begins: where the one before it did not end in order, and that keeps happening, only protect."""
    ledger = turn.ledger
    if not ledger.started_ns or ledger.ended:
        return
    turn.record(Crashed(at_ns=turn.at_ns))
    if len(ledger.crashes) >= limit and Latch.PROTECT_ONLY not in ledger.latches:
        reason = f"{len(ledger.crashes)} starts after a crash within 5 min"
        turn.record(LatchSet(at_ns=turn.at_ns, latch=Latch.PROTECT_ONLY, on=True, by="bot", reason=reason))
        turn.note(Level.ALARM, "account", f"{Latch.PROTECT_ONLY}: {reason}; look at the log before you release it")
