"""What a person likes: colours, keys, when the bell rings; and what the terminal's title says."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from nexus_engine.model.view import View
from nexus_engine.model.words import Level
from nexus_tui.bindings import KEYS, Key
from nexus_tui.safe import plain

BELL_NS: Final = 2_000_000_000
"""The bell rings at most once in this time."""
_RINGS: Final[dict[str, frozenset[Level]]] = {
    "off": frozenset(),
    "alarm": frozenset({Level.ALARM}),
    "all": frozenset({Level.ALARM, Level.WARN, Level.GOOD}),
}


class Comfort(NamedTuple):
    """[ui] and [keys] of nexus.toml. `theme` is dark, light, cvd or none, `bell` off, alarm or all."""

    theme: str = "dark"
    bell: str = "alarm"
    confirm_pct: float = 0.5
    """Above this worst case, % of equity, an approval with real money asks twice."""
    keys: Sequence[Key] = KEYS
    file: Path | None = None
    """The nexus.toml itself, for what runs beside the cockpit."""


class Ringer:
    """Decides when the bell rings: for events of its levels and, with `all`, for new cards."""

    def __init__(self, bell: str) -> None:
        self._levels = _RINGS[bell]
        self._cards = bell == "all"
        self._newest_ns: int | None = None
        self._newest_card = 0
        self._last_ns: int | None = None

    def rings(self, view: View, now_ns: int) -> bool:
        """Something worth a bell has happened since the View before. What was there at the start is old."""
        newest = max((each.at_ns for each in view.events), default=0)
        card = max((each.proposal.id for each in view.proposals), default=0)
        first = self._newest_ns is None
        loud = not first and (
            any(each.at_ns > (self._newest_ns or 0) and each.level in self._levels for each in view.events)
            or (self._cards and card > self._newest_card)
        )
        self._newest_ns = max(newest, self._newest_ns or 0)
        self._newest_card = max(card, self._newest_card)
        if not loud or (self._last_ns is not None and now_ns - self._last_ns < BELL_NS):
            return False
        self._last_ns = now_ns
        return True


def heading(view: View, silent: str = "") -> str:
    """`nexus LIVE main ACTIVE +214`, or `nexus LIVE main NO ENGINE`: an old state is not told as the state."""
    account = view.account
    now = silent or f"{account.state} {account.day_pnl:+z,.0f}"
    return f"nexus {account.kind} {plain(account.name, 31)} {now}"
