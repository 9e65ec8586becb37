"""What an uplink could not take as it came. A person sees these: they grow when a venue changes its words."""

import logging
from typing import Final

from nexus_engine.model.verdicts import Reading

log = logging.getLogger(__name__)

_MOST_WORDS: Final = 64
_WORD: Final = 40


class Counts:
    """`skipped` messages that could not be used, `unknown` words that we have no meaning for, `conflated` market
    messages that a later one replaced because the engine was behind."""

    def __init__(self) -> None:
        self.skipped = 0
        self.unknown = 0
        self.conflated = 0
        self._words: set[tuple[str, str]] = set()

    def word(self, where: str, word: str) -> None:
        """Count a word of the venue's that is not known; the first of each kind is logged."""
        self.unknown += 1
        told = (where, word[:_WORD])
        if told not in self._words and len(self._words) < _MOST_WORDS:
            self._words.add(told)
            log.warning("the venue says %r of %s, which is not known here", told[1], where)

    def readings(self) -> tuple[Reading, ...]:
        """For the screen; the third only says that the engine had to hurry."""
        return (
            Reading("venue skipped", self.skipped, None, ""),
            Reading("venue unknown", self.unknown, None, ""),
            Reading("conflated", self.conflated, None, ""),
        )
