"""The last two rows: what became of the last command, and the keys."""

from typing import Any

from nexus_engine.model.view import View
from nexus_engine.model.words import Level
from nexus_tui import format as fmt
from nexus_tui.bindings import footer
from nexus_tui.safe import plain
from nexus_tui.widgets.rows import Row, Rows, row, spread

_KIND = {Level.INFO: "", Level.GOOD: "good", Level.WARN: "warn", Level.ALARM: "alarm"}


class Outcome(Rows):
    """The last command's outcome as the venue told it; what the cockpit itself has to say comes before it."""

    def put(self, view: View | None, said: str) -> None:
        self.draw(lambda: [self._line(view, said, self.size.width)])

    def _line(self, view: View | None, said: str, width: int) -> Row:
        if said:
            return row(fmt.fit(f" {plain(said)}", width), "strong")
        if view is None or view.outcome is None:
            return row(" no command yet", "quiet")
        last = view.outcome
        text: Row = (
            (f" {plain(last.subject, 18)} ", "strong"),
            (plain(last.text.removeprefix(f"{last.subject}: ")), _KIND[last.level]),
        )
        return spread(text, ((f"  {plain(last.by, 10)} {fmt.clock(last.at_ns)} ", "quiet"),), width)


class Footer(Rows):
    """The keys of the table, as many as fit."""

    def __init__(self, *, read_only: bool = False, **names: Any) -> None:
        super().__init__(**names)
        self._read_only = read_only

    def on_resize(self) -> None:
        spans: list[tuple[str, str]] = []
        for face, word in footer(self.size.width, read_only=self._read_only):
            spans += [(f" {face}", "key"), (f" {word} ", "quiet")]
        self.show([tuple(spans)])
