"""Personalities: a voice puts words around a line of the event log, and never touches the line.

The fact stays one piece, as it was said, and the words beside it can hold no number, symbol or side: a file that tries
is refused. Which words is settled by the line itself, so the same line always sounds the same.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from zlib import crc32

from msgspec.structs import replace

from nexus_engine.model.view import EventRow
from nexus_engine.model.words import Level

PLAIN: Final = "plain"
FACT: Final = "{fact}"
LONGEST: Final = 48
"""Characters of a voice's words."""

KINDS: Final[Mapping[str, str]] = {
    "start": r"reconciled: no difference$",
    "proposal": r"P\d+ (?:BUY|SELL) ",
    "filled": r"P\d+ (?:partly )?filled ",
    "stop": r"stop \S+ confirmed, ",
    "won": r"P\d+ closed: \+(?!0\.00 )",
    "lost": r"P\d+ closed: -(?!0\.00 )",
    "refused": r"\S+ (?:BUY|SELL) refused: ",
    "expired": r"P\d+ expired: ",
    "naked": r"NAKED: |no stop confirmed in |price is beyond the stop already: ",
    "swan": r"BLACK SWAN: ",
    "halt": r"HALT(?:: |$)",
    "released": r"[A-Z_]+ released$",
}
"""How a line of each kind begins. A line of no kind stays as it is, in every voice."""
LOUD: Final = frozenset({"naked", "swan", "halt"})
"""Here the fact comes first."""

_KIND: Final = re.compile("|".join(f"(?P<{kind}>{begins})" for kind, begins in KINDS.items()))
_BEFORE: Final = re.compile(r"[A-Z][A-Za-z ,;.'-]*[:!?] ")
_AFTER: Final = re.compile(r" — [A-Za-z][A-Za-z ,;.:!?'-]*[.!?]")
_TAKEN: Final = re.compile(
    r"zero|one|two|three|four|five|six|seven|eight|nine|ten|dozen|hundred|thousand|million|half|quarter|double|twice"
    r"|triple|first|second|third|percent|buys?|sells?|longs?|shorts?|bought|sold|[A-Z]{2,}"
)
"""Words that could be taken for a number, a side or a symbol."""


class VoiceError(Exception):
    """A voice cannot be used; the message is one line: which voice, which line, what is wrong."""


class Words(NamedTuple):
    """What is said before and after a fact."""

    before: str
    after: str


def kind_of(row: EventRow) -> str:
    """What kind of line it is; empty for one that no voice has words for."""
    found = _KIND.match(row.text)
    kind = "" if found is None else found.lastgroup or ""
    return "" if row.level is Level.ALARM and kind not in LOUD else kind


class Personality:
    """One voice: for each kind of line, the words to choose from."""

    def __init__(self, name: str, says: Mapping[str, Sequence[Words]]) -> None:
        self.name = name
        self.says = says

    def dress(self, row: EventRow) -> EventRow:
        """The row with this voice's words beside its text."""
        choice = self.says.get(kind_of(row))
        if not choice:
            return row
        words = choice[crc32(f"{row.at_ns} {row.subject} {row.text}".encode()) % len(choice)]
        return replace(row, before=words.before, after=words.after)


def parse(name: str, raw: Mapping[str, Any]) -> Personality:
    """A voice from its table: a list of lines for each kind, each with one {fact}. Raises VoiceError."""
    says: dict[str, tuple[Words, ...]] = {}
    for kind, lines in raw.items():
        where = f"voice {name}: {kind}"
        if kind not in KINDS:
            raise VoiceError(f"{where}: is no kind of line; known: {', '.join(KINDS)}")
        if not isinstance(lines, list) or not lines:
            raise VoiceError(f"{where}: must be a list of lines, at least one")
        says[kind] = tuple(_words(f"{where}[{at}]", kind, line) for at, line in enumerate(lines))
    return Personality(name, says)


def _words(where: str, kind: str, line: Any) -> Words:
    if not isinstance(line, str) or line.count(FACT) != 1:
        raise VoiceError(f"{where}: must be a text with {FACT} in it once")
    before, _, after = line.partition(FACT)
    if before and not _BEFORE.fullmatch(before):
        raise VoiceError(f"{where}: before {FACT} stands a sentence of letters that ends in ': ', '! ' or '? '")
    if before and kind in LOUD:
        raise VoiceError(f"{where}: an alarm begins with {FACT}")
    if after and not _AFTER.fullmatch(after):
        raise VoiceError(f"{where}: after {FACT} stands ' — ' and a sentence of letters that ends in '.', '!' or '?'")
    said = before + after
    if len(said) > LONGEST:
        raise VoiceError(f"{where}: is {len(said)} characters beside the fact; at most {LONGEST}")
    for word in re.findall(r"[A-Za-z]+", said):
        if _TAKEN.fullmatch(word) or _TAKEN.fullmatch(word.lower()):
            raise VoiceError(f"{where}: {word!r} could be taken for a number, a side or a symbol")
    return Words(before.strip(), after.strip())
