"""Dialogs. Enter in a dangerous one means cancel; HALT works in all of them, and rows 1 and 2 stay in sight."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from textual import events
from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ScreenResultType
from textual.widgets import Input

from nexus_tui import format as fmt
from nexus_tui.safe import plain
from nexus_tui.screens.paced import PacedModal
from nexus_tui.widgets.rows import Row, Rows, row


class Dialog(PacedModal[ScreenResultType]):
    """A titled box over the cockpit."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "cancel", show=False)]
    AUTO_FOCUS: ClassVar[str | None] = None

    def __init__(self, title: str, lines: Sequence[str]) -> None:
        super().__init__()
        self._heading = Content(plain(title, 60))
        self._lines = [plain(line, 100) for line in lines]
        self._text = Rows(id="dialog-text")
        self._left = False

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as box:
            box.border_title = self._heading
            yield self._text

    def on_mount(self) -> None:
        self.redraw()

    def dismiss(self, result: ScreenResultType | None = None) -> AwaitComplete:
        """Leave once: keys that were queued behind the one that left it mean nothing any more."""
        if self._left:
            return AwaitComplete()
        self._left = True
        return super().dismiss(result)

    def rows(self) -> list[Row]:
        """What stands under the title."""
        return [row(f" {line}") for line in self._lines]

    def redraw(self) -> None:
        rows = self.rows()
        self._text.styles.height = len(rows)
        self._text.show(rows)


class Confirm(Dialog[bool]):
    """y means yes; everything else, Enter too, means no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "yes", "yes", show=False),
        Binding("n,enter", "dismiss", "no", show=False),
    ]

    def rows(self) -> list[Row]:
        keys: Row = ((" y", "key"), (" yes   ", "quiet"), ("esc", "key"), (" no", "quiet"))
        return [*super().rows(), (), keys]

    def action_yes(self) -> None:
        self.dismiss(True)


class Word(Input):
    """Takes the typed word; `!` is HALT here too."""

    def check_consume_key(self, key: str, character: str | None) -> bool:
        return key != "exclamation_mark" and super().check_consume_key(key, character)


class Typed(Dialog[bool]):
    """Yes needs `word` typed in full, then Enter; anything else is no."""

    AUTO_FOCUS: ClassVar[str | None] = "Word"

    def __init__(self, title: str, lines: Sequence[str], word: str) -> None:
        super().__init__(title, lines)
        self._word = word

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as box:
            box.border_title = self._heading
            yield self._text
            yield Word(max_length=20, compact=True, select_on_focus=False)

    def rows(self) -> list[Row]:
        ask: Row = ((" type ", "quiet"), (self._word, "key"), (" and Enter; Esc or an empty line cancels", "quiet"))
        return [*super().rows(), (), ask]

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip().lower() == self._word)


class Choice(NamedTuple):
    name: str
    key: str
    text: str


class Pick(Dialog[str]):
    """One of a few; the first chosen one is the harmless one. Gives the name of a Choice, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "step(1)", "next", show=False),
        Binding("k,up", "step(-1)", "previous", show=False),
        Binding("enter", "take", "take", show=False),
    ]

    def __init__(self, title: str, lines: Sequence[str], choices: Sequence[Choice], *, start: str) -> None:
        super().__init__(title, lines)
        self._choices = list(choices)
        self._at = next(index for index, each in enumerate(self._choices) if each.name == start)

    def rows(self) -> list[Row]:
        rows: list[Row] = [*super().rows(), ()] if self._lines else []
        for index, each in enumerate(self._choices):
            here = index == self._at
            rows.append((
                (f"{'▶' if here else ' '}", "strong+pick" if here else ""),
                (each.key, "key+pick" if here else "key"),
                (f" {fmt.fit(each.text, 100)}", "pick" if here else ""),
            ))  # fmt: skip
        return [*rows, (), ((" Enter", "key"), (" takes it   ", "quiet"), ("esc", "key"), (" back", "quiet"))]

    def action_step(self, step: int) -> None:
        self._at = max(0, min(len(self._choices) - 1, self._at + step))
        self.redraw()

    def action_take(self) -> None:
        self.dismiss(self._choices[self._at].name)

    def on_key(self, event: events.Key) -> None:
        for each in self._choices:
            if each.key == event.key:
                self.dismiss(each.name)
                return
