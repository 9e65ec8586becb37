"""Which key presses are believed."""

from typing import Final, NamedTuple

from textual import events

from nexus_tui.bindings import DECIDING_KEYS, EMERGENCY_KEYS, MOVING_KEYS
from nexus_tui.drain import Drain

ESCAPE_NS: Final = 150_000_000
"""A laggy link splits escape sequences: what follows a lone Esc so closely is the rest of one, not a wish."""
REPEAT_NS: Final = 300_000_000
"""A held key repeats faster than a person decides twice."""
BURST_NS: Final = 30_000_000
"""No hand presses two different keys this closely: text was pasted, or a link gave up what it held back."""
CROWD: Final = 16
"""More keys than this at once are text that was pasted, and no command; fewer may be a typed word on a laggy link."""
_SENDS: Final = frozenset({"enter", "ctrl+j", "ctrl+m"})
AGAIN: Final = "enter came at once with other keys: look, then press enter again"


class Read(NamedTuple):
    """How a key came from the terminal: when it was read, in which run of keys without a pause, and how many that run
    had by the end of the read."""

    at_ns: int
    run: int
    keys: int


def mark(key: events.Key, read: Read) -> None:
    """What is known where a key is read travels with it: a cockpit that is busy judges it later."""
    key.__dict__["read"] = read


class Reads:
    """For the thread that reads: tells runs of keys apart."""

    def __init__(self) -> None:
        self._last = Read(-BURST_NS, 0, 0)

    def take(self, at_ns: int, keys: int) -> Read:
        """`keys` have come in one read."""
        last = self._last
        close = at_ns - last.at_ns < BURST_NS
        self._last = Read(at_ns, last.run, last.keys + keys) if close else Read(at_ns, last.run + 1, keys)
        return self._last


class KeyGate:
    """Judges each key press by when it came. HALT always passes."""

    def __init__(
        self,
        drain: Drain,
        *,
        emergency: frozenset[str] = EMERGENCY_KEYS,
        deciding: frozenset[str] = DECIDING_KEYS,
        moving: frozenset[str] = MOVING_KEYS,
    ) -> None:
        self._drain = drain
        self._emergency = emergency
        self._deciding = deciding
        self._moving = moving
        self._escape_ns = -ESCAPE_NS
        self._before_ns = -BURST_NS
        self._last: dict[str, int] = {}
        self._run = 0
        self._sent = False
        """In this run of keys: the line would have been sent, so what follows is not for it."""

    def refuses(self, event: events.Key, now_ns: int, *, typing: bool = False) -> str:
        """Why the press is dropped, for the outcome row; empty when it is believed, a space when nobody need know.

        `typing`: the key goes into a line of text, where letters may repeat and follow closely. Keys that came at once
        move a selection at most, not even the first of them does more; many fill a line, up to where it would be sent.
        """
        key, printable = event.key, event.is_printable
        read: Read = event.__dict__.get("read") or Read(now_ns, 0, 1)
        if key in self._emergency:
            return ""
        if read.run != self._run or not read.run:
            self._run, self._sent = read.run, False
        crowded = read.keys > 1
        commands = read.keys > CROWD and not (typing and printable)
        if crowded and (self._sent or commands or key in _SENDS):
            told, self._sent = not self._sent, True
            if typing and key in _SENDS:
                return AGAIN
            return "a burst of keys: dropped" if told else " "
        if crowded and not typing and key not in self._moving:
            return f"{event.character if printable else key} came in a burst: dropped"
        if self._drain.quiet(now_ns):
            return "key dropped: the link stalled, look again first"
        at_ns = read.at_ns
        burst = at_ns - self._before_ns < BURST_NS
        self._before_ns = at_ns
        if key == "escape":
            self._escape_ns = at_ns
        elif printable and at_ns - self._escape_ns < ESCAPE_NS:
            return " "
        if key in self._deciding and not typing:
            before = self._last.get(key)
            self._last[key] = at_ns
            if before is not None and at_ns - before < REPEAT_NS:
                return f"{key} repeated too fast: counted once"
            if burst:
                return f"{key} came in a burst: dropped"
        return ""
