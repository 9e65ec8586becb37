"""Dialogs. Enter in a dangerous one means cancel; HALT works in all of them, and rows 1 and 2 stay in sight."""

import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple, cast

from textual import events
from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ScreenResultType
from textual.widget import Widget
from textual.widgets import Input

from nexus_engine.model.view import View
from nexus_tui import format as fmt
from nexus_tui.safe import plain
from nexus_tui.screens.paced import PacedModal
from nexus_tui.widgets.rows import Row, Rows, row

if TYPE_CHECKING:
    from nexus_tui.app import NexusApp

_FOUND: Final = 10
_WIDTH: Final = 75
"""Cells of a row in the box, behind the blank that it begins with."""
_LINE: Final = 300
_ALONE: Final = "no engine: nothing is sent"
_PRICE: Final = re.compile(r"(\d+|\d{1,3}(,\d{3})+)(\.\d*)?|\.\d+", re.ASCII)
"""A comma parts thousands, as on the screen: where it might mean a point, it is no price."""


class Dialog(PacedModal[ScreenResultType]):
    """A titled box over the cockpit."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "cancel", show=False)]
    AUTO_FOCUS: ClassVar[str | None] = None

    def __init__(self, title: str, lines: Sequence[str]) -> None:
        super().__init__()
        self._heading = plain(title, 60)
        self._lines = [plain(line, _LINE) for line in lines]
        self._text = Rows(id="dialog-text")
        self._under = ""
        self._alone = False
        self._left = False

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as box:
            box.border_title = Content(self._heading)
            yield self._text
            yield from self.below()

    def below(self) -> Iterable[Widget]:
        """What stands under the text."""
        return ()

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
        return [row(f" {part}") for line in self._lines for part in fmt.folded(line, _WIDTH)]

    def put(self, view: View) -> None:
        """The newest View, for a dialog that shows some of it."""

    def books(self) -> Sequence[str]:
        """Symbols whose order books it needs, beside those that the cockpit shows."""
        return ()

    def entitle(self, *, alone: bool) -> None:
        """Say in the title that no engine would hear what is decided here; `alone` says whether that is so."""
        if alone is not self._alone:
            self._alone = alone
            for box in self.query("#dialog"):  # none any more while the app ends
                box.border_title = Content(f"{self._heading}   {_ALONE}" if alone else self._heading)

    def under(self, line: str) -> None:
        """What stands in the lower frame: the selected proposal, which the box may cover."""
        if line != self._under:
            self._under = line
            self.query_one("#dialog").border_subtitle = Content(line)

    def is_typed(self, typed: str, word: str) -> bool:
        """Whether the word was typed. Another one is told of: that nothing was sent cannot be seen otherwise."""
        said = _spelled(typed)
        if said not in ("", _spelled(word)):
            self.nexus.say(f"nothing sent: `{plain(typed.strip(), 40)}` is not `{plain(word, 40)}`")
        return said == _spelled(word)

    @property
    def nexus(self) -> "NexusApp":
        return cast("NexusApp", self.app)

    def redraw(self) -> None:
        self._text.draw(self.rows)
        self._text.styles.height = self._text.count


def _spelled(text: str) -> str:
    """PROTECT_ONLY is written in three ways, and means one."""
    return text.strip().lower().replace("_", " ").replace("-", " ")


class Confirm(Dialog[bool]):
    """y means yes; everything else, Enter too, means no. `arm_ms`: y counts only after it has stood that long."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "yes", "yes", show=False),
        Binding("n,enter", "dismiss", "no", show=False),
    ]

    def __init__(self, title: str, lines: Sequence[str], *, arm_ms: int = 0) -> None:
        super().__init__(title, lines)
        self._arm_ns = arm_ms * 1_000_000
        self._since_ns = 0

    def on_mount(self) -> None:
        self._since_ns = self.nexus.clock()

    def arm(self, wait_ms: int) -> None:
        """What is asked has changed: a yes on its way was meant for something else."""
        self._arm_ns, self._since_ns = wait_ms * 1_000_000, self.nexus.clock()

    def possible(self) -> bool:
        """There is something to say yes to."""
        return True

    def rows(self) -> list[Row]:
        yes: Row = ((" y", "key"), (" yes   ", "quiet"), ("esc", "key"), (" no", "quiet"))
        left: Row = ((" esc", "key"), (" back", "quiet"))
        return [*super().rows(), (), yes if self.possible() else left]

    def action_yes(self) -> None:
        if self.possible() and self.nexus.clock() - self._since_ns >= self._arm_ns:
            self.dismiss(True)


class Word(Input):
    """Takes the typed word; `!` is HALT here too."""

    def __init__(self, max_length: int = 20) -> None:
        super().__init__(max_length=max_length, compact=True, select_on_focus=False)

    def on_mount(self) -> None:
        self.cursor_blink = False  # a blink is a frame

    def check_consume_key(self, key: str, character: str | None) -> bool:
        return key not in cast("NexusApp", self.app).emergency and super().check_consume_key(key, character)


class Typed(Dialog[bool]):
    """Yes needs `word` typed in full, then Enter; anything else is no."""

    AUTO_FOCUS: ClassVar[str | None] = "Word"

    def __init__(self, title: str, lines: Sequence[str], word: str) -> None:
        super().__init__(title, lines)
        self._word = word

    def below(self) -> Iterable[Widget]:
        return (Word(max_length=max(20, len(self._word))),)

    def rows(self) -> list[Row]:
        how = " and enter; esc or an empty line cancels"
        ask: Row = ((" type ", "quiet"), (plain(self._word, 40), "key"), (how, "quiet"))
        return [*super().rows(), (), ask]

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(self.is_typed(event.value, self._word))


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
        return [*rows, (), ((" enter", "key"), (" takes it   ", "quiet"), ("esc", "key"), (" back", "quiet"))]

    def action_step(self, step: int) -> None:
        self._at = max(0, min(len(self._choices) - 1, self._at + step))
        self.redraw()

    def action_take(self) -> None:
        self.dismiss(self._choices[self._at].name)

    def on_key(self, event: events.Key) -> None:
        for each in self._choices:
            if each.key == event.key:
                event.stop()  # else it goes on to the app, and by then the cockpit is on top
                self.dismiss(each.name)
                return


Judged = tuple[str, bool]
"""(what a price would mean, in words; it may be taken)"""


class Price(Dialog[Decimal]):
    """A typed price. `judge` says what it would mean, at each key; only a good one is given back."""

    AUTO_FOCUS: ClassVar[str | None] = "Word"

    def __init__(self, title: str, lines: Sequence[str], judge: Callable[[Decimal], Judged]) -> None:
        super().__init__(title, lines)
        self._judge = judge
        self._typed = ""

    def below(self) -> Iterable[Widget]:
        return (Word(),)

    def rows(self) -> list[Row]:
        text, good = judged(self._typed, self._judge)
        ask: Row = ((" type a price and enter; esc or an empty line cancels", "quiet"),)
        return [*super().rows(), ((f" {text}", "strong" if good else "warn"),), ask]

    def on_input_changed(self, event: Input.Changed) -> None:
        self._typed = event.value
        self.redraw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if not event.value.strip():
            self.dismiss(None)
        elif judged(event.value, self._judge)[1]:
            self.dismiss(number(event.value))


def number(text: str) -> Decimal | None:
    """A typed price; None when it is none."""
    text = text.strip()
    if not _PRICE.fullmatch(text):
        return None
    return Decimal(text.replace(",", "")) or None


def judged(text: str, judge: Callable[[Decimal], Judged]) -> Judged:
    """What a typed price would mean, and whether it may be taken."""
    if not text.strip():
        return "", False
    value = number(text)
    return ("this is no price", False) if value is None else judge(value)


class Find(Dialog[str]):
    """Type part of a name; Enter takes the marked one."""

    AUTO_FOCUS: ClassVar[str | None] = "Word"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,tab", "step(1)", "next", show=False),
        Binding("up,shift+tab", "step(-1)", "previous", show=False),
    ]

    def __init__(self, title: str, names: Sequence[str]) -> None:
        super().__init__(title, ())
        self._names = list(names)
        self._typed = ""
        self._at = 0

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as box:
            box.border_title = Content(self._heading)
            yield Word()
            yield self._text

    def line(self, name: str) -> Row:
        """How an entry is shown, behind its mark."""
        return row(f" {plain(name, 30)}")

    def weighs(self, name: str, wanted: str) -> int:
        """How well a name fits what is typed; 0 is not at all."""
        return (3 if name.upper().startswith(wanted) else 2) if wanted in name.upper() else 0

    @property
    def _found(self) -> list[str]:
        wanted = self._typed.strip().upper()
        weights = {name: self.weighs(name, wanted) for name in self._names}
        return sorted((name for name in self._names if weights[name]), key=lambda name: -weights[name])

    def rows(self) -> list[Row]:
        found = self._found
        first = max(0, self._at - _FOUND + 1)
        rows: list[Row] = [
            self._marked(self.line(name), chosen=index == self._at)
            for index, name in enumerate(found[first : first + _FOUND], first)
        ]
        rows += [((" none of that name", "quiet"),)] if not found else []
        rows += [()] * (min(_FOUND, len(self._names)) - len(rows))
        more = ("   more below", "quiet") if len(found) > first + _FOUND else ("", "")
        keys: Row = ((" ↓ ↑", "key"), (" move   ", "quiet"), ("enter", "key"), (" takes it   ", "quiet"))
        return [*rows, (), (*keys, ("esc", "key"), (" back", "quiet"), more)]

    def _marked(self, line: Row, *, chosen: bool) -> Row:
        if not chosen:
            return (("  ", ""), *line)
        return (("▶".rjust(2), "strong+pick"), *((text, f"{kind}+pick".removeprefix("+")) for text, kind in line))

    def action_step(self, step: int) -> None:
        self._at = max(0, min(len(self._found) - 1, self._at + step))
        self.redraw()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._typed, self._at = event.value, 0
        self.redraw()

    def on_input_submitted(self) -> None:
        found = self._found
        self.dismiss(found[self._at] if found else None)
