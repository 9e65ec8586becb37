"""Which key presses are believed."""

from typing import Final

from nexus_tui.bindings import DECIDING_KEYS, EMERGENCY_KEYS
from nexus_tui.drain import Drain

ESCAPE_NS: Final = 150_000_000
"""A laggy link splits escape sequences: what follows a lone Esc so closely is the rest of one, not a wish."""
REPEAT_NS: Final = 300_000_000
"""A held key repeats faster than a person decides twice."""
BURST_NS: Final = 30_000_000
"""No hand presses two different keys this closely: text was pasted, or a link gave up what it held back."""
CROWD: Final = 16
"""More keys than this at once are text that was pasted, and no command; fewer may be a typed word on a laggy link."""


class KeyGate:
    """Judges each key press by when it came. HALT always passes."""

    def __init__(
        self,
        drain: Drain,
        *,
        emergency: frozenset[str] = EMERGENCY_KEYS,
        deciding: frozenset[str] = DECIDING_KEYS,
    ) -> None:
        self._drain = drain
        self._emergency = emergency
        self._deciding = deciding
        self._escape_ns = -ESCAPE_NS
        self._before_ns = -BURST_NS
        self._last: dict[str, int] = {}
        self._crowd = 0
        self._sent = False
        """In a crowd: the line would have been sent, so what follows is not for it."""

    def crowd(self, now_ns: int, count: int) -> None:
        """`count` keys have come at once: not even the first of them decides anything. Many fill a line of text at
        most, up to where it would be sent.
        """
        self._before_ns = now_ns
        if count > CROWD:
            self._sent = self._sent and self._crowd > 0
            self._crowd += count

    def refuses(self, key: str, printable: bool, now_ns: int, *, typing: bool = False) -> str:
        """Why the press is dropped, for the outcome row; empty when it is believed, a space when nobody need know.

        `typing`: the key goes into a line of text, where letters may repeat and follow closely.
        """
        crowded, self._crowd = self._crowd, max(0, self._crowd - 1)
        if key in self._emergency:
            return ""
        if crowded and not (typing and printable and not self._sent):
            self._sent = True
            return " " if crowded > 1 else "a burst of keys: dropped"
        if self._drain.quiet(now_ns):
            return "key dropped: the link stalled, look again first"
        burst = now_ns - self._before_ns < BURST_NS
        self._before_ns = now_ns
        if key == "escape":
            self._escape_ns = now_ns
        elif printable and now_ns - self._escape_ns < ESCAPE_NS:
            return " "
        if key in self._deciding and not typing:
            before = self._last.get(key)
            self._last[key] = now_ns
            if before is not None and now_ns - before < REPEAT_NS:
                return f"{key} repeated too fast: counted once"
            if burst:
                return f"{key} came in a burst: dropped"
        return ""
