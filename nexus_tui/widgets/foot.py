"""The last two rows: what became of the last command, and the keys."""

from typing import TYPE_CHECKING, cast

from nexus_engine.model.view import View
from nexus_engine.model.words import Level
from nexus_tui import format as fmt
from nexus_tui.bindings import HOME, OF_CARDS, acts, footer
from nexus_tui.safe import plain
from nexus_tui.widgets.rows import Row, Rows, length, row, spread

if TYPE_CHECKING:
    from nexus_tui.app import NexusApp

_LOOKS = " READ-ONLY "
_KIND = {Level.INFO: "", Level.GOOD: "good", Level.WARN: "warn", Level.ALARM: "alarm"}


class Outcome(Rows):
    """The last command's outcome as the venue told it; what the cockpit itself has to say comes before it."""

    def put(self, view: View | None, said: str) -> None:
        self.draw(lambda: [self._line(view, said, self.size.width)])

    def _line(self, view: View | None, said: str, width: int) -> Row:
        if said:
            return row(fmt.words(f" {plain(said)}", width), "strong")
        if view is None or view.outcome is None:
            return row(" no command yet", "quiet")
        last = view.outcome
        subject: Row = ((f" {plain(last.subject, 18)} ", "strong"),)
        end: Row = ((f"  {plain(last.by, 10)} {fmt.clock(last.at_ns)} ", "quiet"),)
        said = plain(last.text.removeprefix(f"{last.subject}: "))
        text = fmt.words(_newest(said, room := max(0, width - length(subject) - length(end))), room)
        return spread((*subject, (text, _KIND[last.level])), end, width)


def _newest(said: str, width: int) -> str:
    """The end of what was told step by step, where not all of it fits: what counts is how it stands now. The command's
    own words go first; what is left out of the rest leaves a mark."""
    steps = said.split("  ")
    first = 0
    while len(told := "  ".join(steps[first:])) + (2 if first > 1 else 0) > width and first < len(steps) - 1:
        first += 1
    return f"… {told}" if first > 1 else told


class Footer(Rows):
    """The keys of the table, as many as fit; under a dialog, which has keys of its own, those that work in it too.
    Where the cards are not on the screen, what leads back to them stands for the keys that need them."""

    covered = away = False

    def put(self, *, covered: bool, away: bool) -> None:
        if (covered, away) != (self.covered, self.away):
            self.covered, self.away = covered, away
            self.on_resize()

    def on_resize(self) -> None:
        app = cast("NexusApp", self.app)
        table = [key for key in app.key_table if not (app.read_only and acts(key))]
        words: list[tuple[str, str]] = []
        if self.covered:
            table, words = [key for key in table if key.priority], [("esc", "back")]
        elif self.away:
            words = [(key.face, key.id) for key in table if key.id == HOME]
            table = [key for key in table if key.id not in OF_CARDS]
        room = self.size.width - sum(len(face) + len(word) + 3 for face, word in words)
        words += footer(room, table)
        self.show([tuple(span for face, word in words for span in ((f" {face}", "key"), (f" {word} ", "quiet")))])
