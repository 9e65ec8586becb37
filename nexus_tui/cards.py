"""Which proposal is selected, and whether an approval of it can be believed."""

from collections.abc import Sequence
from typing import Final

from nexus_engine.model.view import ProposalView
from nexus_engine.model.words import ProposalStatus
from nexus_tui.drain import Drain

ARM_NS: Final = 700_000_000
"""How long a card must have been on the drained screen before `a` counts."""
SNOOZE_NS: Final = 30_000_000_000
READY, STALE, ARMING, SENT = "READY", "STALE", "wait", "SENT"


class Cards:
    """The cards in the order in which they came. The selection moves by the person's hand only."""

    def __init__(self, drain: Drain) -> None:
        self._drain = drain
        self._by_id: dict[int, ProposalView] = {}
        self.selected: int | None = None
        self.on_screen = False
        """The pane is large enough to show the selected card whole."""
        self.silent = False
        """The engine shows nothing new: a card that stands there may have ended."""
        self._face: tuple[int, str] | None = None
        self._frame = 0
        self._seen_ns: int | None = None
        self._moved = False
        self._sent: set[tuple[int, str]] = set()
        self._order: list[int] = []
        self._snoozed: dict[int, int] = {}

    @property
    def all(self) -> Sequence[ProposalView]:
        return list(self._by_id.values())

    @property
    def current(self) -> ProposalView | None:
        return self._by_id.get(self.selected) if self.selected is not None else None

    def take(self, proposals: Sequence[ProposalView], now_ns: int = 0) -> None:
        """Accept what the newest View holds. A first card, which can be confused with none, is selected."""
        fresh = {each.proposal.id: each for each in proposals if each.proposal.status.open}
        were_none = not self._by_id
        self._order = [key for key in self._order if key in fresh]
        self._order += [key for key in fresh if key not in self._order]
        self._snoozed = {key: until for key, until in self._snoozed.items() if key in fresh and until > now_ns}
        self._by_id = {key: fresh[key] for key in self._order if key not in self._snoozed}
        if self.selected not in self._by_id:
            self.selected = next(iter(self._by_id)) if were_none and self._by_id else None
        self._sent = {(key, shown) for key, shown in self._sent if key in fresh}
        self._follow()

    def snooze(self, now_ns: int) -> None:
        """Hide the selected card for a while; no other takes its place."""
        if self.selected is not None and self._by_id.pop(self.selected, None) is not None:
            self._snoozed[self.selected] = now_ns + SNOOZE_NS
            self.selected = None
            self._follow()

    def snoozing(self, now_ns: int) -> tuple[int, int]:
        """How many cards are hidden, and ms until the next is back."""
        left = [until - now_ns for until in self._snoozed.values()]
        return len(left), max(0, min(left, default=0)) // 1_000_000

    def move(self, step: int) -> None:
        """Select the next or the previous card."""
        keys = list(self._by_id)
        if not keys:
            return
        if self.selected not in self._by_id:
            self.selected = keys[0 if step > 0 else -1]
        else:
            self.selected = keys[max(0, min(len(keys) - 1, keys.index(self.selected) + step))]
        self._follow()

    def _follow(self) -> None:
        """Start the arming anew when another card, or other numbers, stand there."""
        card = self.current
        face = (card.proposal.id, card.shown) if card is not None else None
        if face == self._face:
            return
        self._moved = face is not None and self._face is not None and face[0] == self._face[0]
        self._face = face
        self._frame = self._drain.sent + 1
        self._seen_ns = None

    def look_again(self, *, anew: bool = False) -> None:
        """The card was covered: only frames from now on show it. `anew`: also one that had been seen before."""
        if anew or self._seen_ns is None:
            self._frame = self._drain.sent + 1
            self._seen_ns = None

    def drained(self) -> None:
        """A frame has been taken by the terminal."""
        if self._face is not None and self._seen_ns is None and self.on_screen and self._drain.drained >= self._frame:
            self._seen_ns = self._drain.drained_ns

    def badge(self, now_ns: int) -> str:
        """READY, STALE (its numbers moved: look again), wait, SENT, or empty when there is nothing to be believed."""
        if self._face is None or self.silent:
            return ""
        if self._face in self._sent:
            return SENT
        if self.on_screen and self._seen_ns is not None and now_ns - self._seen_ns >= ARM_NS:
            return READY
        card = self.current
        return STALE if self._moved or (card and card.proposal.status is ProposalStatus.STALE) else ARMING

    @property
    def face(self) -> tuple[int, str] | None:
        """(id, hash of what is shown) of the selected card."""
        return self._face

    def answered(self) -> None:
        """An answer has come: a card that is still open was not taken, and may be approved again."""
        self._sent.clear()

    def approved(self) -> None:
        """The command for the selected card has left."""
        if self._face is not None:
            self._sent.add(self._face)
