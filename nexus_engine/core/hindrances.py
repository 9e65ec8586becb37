"""What keeps entries away and is neither market nor venue: the disk, another machine, a journal that was lost."""

from nexus_engine.model.events import Hindered
from nexus_engine.model.facts import LatchSet
from nexus_engine.model.turn import Turn
from nexus_engine.model.words import Latch, Level


class Hindrances:
    """By name, until each is told to be over."""

    def __init__(self) -> None:
        self._problems: dict[str, str] = {}

    @property
    def first(self) -> str:
        """Why no entry may leave; empty when none of them holds."""
        return next(iter(self._problems.values()), "")

    def heard(self, turn: Turn, event: Hindered) -> bool:
        """One began, changed or ended. True when what works must be taken back."""
        was = self._problems.pop(event.name, "")
        if event.problem and event.name:
            self._problems[event.name] = event.problem
        if event.latch and event.problem and Latch.PROTECT_ONLY not in turn.ledger.latches:
            latch = LatchSet(at_ns=turn.at_ns, latch=Latch.PROTECT_ONLY, on=True, by="bot", reason=event.problem)
            turn.record(latch)
            turn.note(Level.ALARM, "account", f"{Latch.PROTECT_ONLY}: {event.problem}")
        elif event.problem and event.problem != was:
            turn.note(Level.ALARM, "account", f"no entries: {event.problem}")
        elif was and not event.problem:
            turn.note(Level.GOOD, "account", f"over: {was}")
        return event.latch and bool(event.problem)
