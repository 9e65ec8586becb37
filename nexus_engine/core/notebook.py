"""What was said lately, and what became of the last command."""

import re
from collections import deque
from collections.abc import Iterable
from typing import Final

from nexus_engine.model.effects import AnyEffect, Notify, Record
from nexus_engine.model.facts import AnyFact, Noted, ProposalMade, Reconciled, SignalSeen
from nexus_engine.model.view import Compared, EventRow
from nexus_engine.model.words import Level

KEPT: Final = 500
FOLLOWED_NS: Final = 60_000_000_000
"""How long an outcome goes on telling what the venue made of the command."""
_EXIT: Final = re.compile(r"exit of P\d{1,18}: ")
"""How a line of the manager's begins that tells of what an exit has filled."""
SUBJECTS: Final = 10
"""Of an outcome that follows everything: so many subjects, each with the last that was said of it."""
REFUSED: Final = 16
"""People whose last refusal is remembered."""
_LEVELS: Final = tuple(Level)
_WRONG: Final = frozenset({Level.WARN, Level.ALARM})


def _gravity(row: EventRow) -> int:
    return _LEVELS.index(row.level)


class Notebook:
    """The event log of the screen."""

    def __init__(self) -> None:
        self.rows: deque[EventRow] = deque(maxlen=KEPT)
        self.compared: Compared | None = None
        """The last comparison of this run that found something."""
        self._said: EventRow | None = None
        self._follows = ""
        self._refused: dict[str, EventRow] = {}
        self._then: list[EventRow] = []
        self._newer: set[str] = set()
        """Symbols with a card that came after the last command."""

    def recall(self, fact: AnyFact) -> None:
        """Put a line of an earlier run back."""
        if isinstance(fact, Noted):
            self.rows.append(
                EventRow(at_ns=fact.at_ns, level=fact.level, subject=fact.subject, by=fact.by, text=fact.text)
            )

    def add(self, note: Notify, at_ns: int) -> EventRow:
        """Keep a line."""
        row = EventRow(at_ns=at_ns, level=note.level, subject=note.subject, by=note.by, text=note.text)
        self.rows.append(row)
        return row

    def listen(self, effects: Iterable[AnyEffect], at_ns: int) -> None:
        """Keep what people are told, and let the last command's outcome go on. What a strategy wished for since is no
        outcome of it, nor what becomes of that."""
        said = self._said
        wished: set[str] = set()
        told: list[EventRow] = []
        for effect in effects:
            if type(effect) is Notify:
                told.append(self.add(effect, at_ns))
            elif type(effect) is Record:
                fact = effect.fact
                if type(fact) is SignalSeen:
                    wished.add(fact.signal.symbol)
                elif type(fact) is ProposalMade and said is not None and fact.proposal.made_ns > said.at_ns:
                    self._newer.add(fact.proposal.symbol)
                elif type(fact) is Reconciled and fact.differences:
                    self.compared = Compared(at_ns=at_ns, lines=fact.differences)
        if said is None or not 0 < at_ns - said.at_ns < FOLLOWED_NS:
            return
        wished |= self._newer
        for row in told:
            if self._follows in ("", row.subject) and not self._is_refusal(row) and row.subject not in wished:
                self._go_on(row)

    def _go_on(self, row: EventRow) -> None:
        """What was flattened beside it stays told: only of its own subject is a row the newer word. What went wrong
        stands last, and says how it is all to be taken. Of one subject the last two are told, or what went wrong
        before the last: it says why."""
        if self._follows:
            before = max(reversed(self._then), key=lambda each: each.level in _WRONG, default=None)
            self._then = [row] if before is None else [before, row]
        else:
            others = [each for each in self._then if each.subject != row.subject]
            self._then = sorted([*others, row], key=_gravity)[-SUBJECTS:]

    def refuse(self, at_ns: int, subject: str, by: str, text: str) -> None:
        """A person may not: they are told so, and everybody else goes on seeing what became of the last command."""
        self._refused.pop(by, None)
        self._refused[by] = EventRow(at_ns=at_ns, level=Level.WARN, subject=subject, by=by, text=text)
        if len(self._refused) > REFUSED:
            del self._refused[next(iter(self._refused))]

    def _is_refusal(self, row: EventRow) -> bool:
        refused = self._refused.get(row.by)
        return refused is not None and (refused.at_ns, refused.text) == (row.at_ns, row.text)

    def answer(self, at_ns: int, subject: str, by: str, text: str, *, follows: str) -> None:
        """A command was taken, or not: this is what its person is told. What is said of `follows` afterwards is added;
        empty follows everything."""
        self._follows = follows
        self._said = EventRow(at_ns=at_ns, level=Level.INFO, subject=subject, by=by, text=text)
        self._then.clear()
        self._newer.clear()

    @property
    def outcome(self) -> EventRow | None:
        """The last command, and what the venue has said of it since."""
        said = self._said
        if said is None or not self._then:
            return said
        text = "  ".join((said.text, *map(self._told, self._then)))
        return EventRow(at_ns=said.at_ns, level=self._then[-1].level, subject=said.subject, by=said.by, text=text)

    def _told(self, row: EventRow) -> str:
        """The command's person is named beside it all, and did not wish for an exit of the machine's."""
        theirs = self._said is not None and row.by == self._said.by
        return row.text if theirs or not _EXIT.match(row.text) else f"{row.by}: {row.text}"

    def outcome_of(self, by: str) -> EventRow | None:
        """The last command as this person sees it: what they were refused, where nothing was carried out since."""
        said, refused = self.outcome, self._refused.get(by)
        return said if refused is None or (said is not None and said.at_ns > refused.at_ns) else refused
