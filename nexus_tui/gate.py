"""Which key presses are believed."""

from typing import Final

from nexus_tui.bindings import EMERGENCY_KEYS
from nexus_tui.drain import Drain

ESCAPE_NS: Final = 150_000_000
"""A laggy link splits escape sequences: what follows a lone Esc so closely is the rest of one, not a wish."""
REPEAT_NS: Final = 300_000_000
"""A held key repeats faster than a person decides twice."""
DECIDING: Final = frozenset({"a", "x", "y", "c", "C"})


class KeyGate:
    """Judges each key press by when it came. HALT always passes."""

    def __init__(self, drain: Drain) -> None:
        self._drain = drain
        self._escape_ns = -ESCAPE_NS
        self._last: dict[str, int] = {}

    def refuses(self, key: str, printable: bool, now_ns: int) -> str:
        """Why the press is dropped, for the outcome row; empty when it is believed, a space when nobody need know."""
        if key in EMERGENCY_KEYS:
            return ""
        if self._drain.quiet(now_ns):
            return "key dropped: the link stalled, look again first"
        if key == "escape":
            self._escape_ns = now_ns
        elif printable and now_ns - self._escape_ns < ESCAPE_NS:
            return " "
        if key in DECIDING:
            before = self._last.get(key)
            self._last[key] = now_ns
            if before is not None and now_ns - before < REPEAT_NS:
                return f"{key} repeated too fast: counted once"
        return ""
