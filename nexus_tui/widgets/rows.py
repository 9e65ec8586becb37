"""The one widget that everything on the cockpit is painted with: rows of styled text, repainted one by one."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from nexus_engine.model.view import View
from nexus_tui.breath import Breath
from nexus_tui.format import clock, words

if TYPE_CHECKING:
    from nexus_tui.app import NexusApp

Span = tuple[str, str]
"""(text, kind): kinds are the component classes of the app; `bid+pick` lays one over the other."""
Row = tuple[Span, ...]

KINDS: Final = (
    "quiet",
    "strong",
    "good",
    "bad",
    "warn",
    "alarm",
    "badge",
    "bid",
    "ask",
    "mark",
    "line",
    "title",
    "key",
    "pick",
    "care",
    "bid-bar",
    "ask-bar",
)
CLASSES: Final = frozenset(f"rows--{kind}" for kind in KINDS)
"""Component classes of the app, once for all rows: textual makes a node for each of them and each widget that has them,
which was most of what opening a dialog made."""
EMPTY: Final[Row] = ()
BREATH: Final = Breath()
"""Of the thread that paints."""
_LOUD: Final = ("alarm", "warn", "line", "title")


def row(text: str, kind: str = "") -> Row:
    return ((text, kind),)


def spread(left: Row, right: Row, width: int) -> Row:
    """Two ends of a row; the left end gives way, whole words at a time."""
    tail = length(right)
    room = max(0, width - tail)
    cut: list[Span] = []
    for text, kind in left:
        if cell_len(text) > room:
            if not cut or " " in text[:room].strip():
                cut.append((words(text, room), kind))
                room -= length(tuple(cut[-1:]))
            break
        cut.append((text, kind))
        room -= cell_len(text)
    return (*cut, (" " * room, ""), *right)


def whole(spans: Row, width: int) -> Row:
    """The spans that fit, none of them cut; the name of what does not fit goes with it, the first stays in any case."""
    kept = list(spans)
    while len(kept) > 1 and length(tuple(kept)) > width:
        kept.pop()
        while len(kept) > 1 and kept[-1][0].endswith(" "):
            kept.pop()
    return tuple(kept)


def length(spans: Row) -> int:
    """Cells that the spans take."""
    return sum(cell_len(text) for text, _ in spans)


def _dimmed(spans: Row) -> Row:
    return tuple((text, kind if kind in _LOUD else "quiet") for text, kind in spans)


class Rows(Widget):
    """Give it rows with `show`; it repaints those that differ."""

    def __init__(self, **names: Any) -> None:
        super().__init__(**names)
        self._rows: list[Row] = []
        self._kinds: dict[str, Style] = {}
        self._strips: dict[int, Strip] = {}

    def show(self, rows: Sequence[Row]) -> None:
        """Replace the rows. Rows that are missing are blank."""
        old, new = self._rows, list(rows)
        width = self.size.width
        blank: list[Row] = [EMPTY] * abs(len(old) - len(new))
        changed = [
            y for y, (before, after) in enumerate(zip(old + blank, new + blank, strict=False)) if before != after
        ]
        self._rows = new
        for y in changed:
            self._strips.pop(y, None)
        if changed and width:
            self.refresh(*(Region(0, y, width, 1) for y in changed))

    def draw(self, build: Callable[[], Sequence[Row]]) -> None:
        """Show what `build` gives; what it fails at stays inside these rows."""
        BREATH.take()
        try:
            rows = build()
        # One broken picture must not take the other panes, the keys and the way out with it.
        except Exception as error:  # noqa: BLE001
            name = getattr(build, "__qualname__", "")  # a dialog's rows are all of one class
            cast("NexusApp", self.app).not_shown(f"{type(self).__name__} {name}", error)
            rows = [self.head(), row(f" cannot be shown: {type(error).__name__}", "alarm")]
        self.show(rows)

    def head(self) -> Row:
        """The first row of a picture that could not be built."""
        return EMPTY

    @property
    def count(self) -> int:
        """How many rows are shown."""
        return len(self._rows)

    @property
    def text(self) -> str:
        """What is shown, for tests and for copying."""
        return "\n".join("".join(text for text, _ in spans).rstrip() for spans in self._rows)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._kinds.clear()
        self._strips.clear()

    def on_resize(self) -> None:
        self._strips.clear()

    def _style(self, kind: str) -> Style:
        """`rich_style` walks every ancestor, so each kind is resolved once a theme."""
        style = self._kinds.get(kind)
        if style is None:
            style = self.rich_style
            for part in filter(None, kind.split("+")):
                style += self.app.get_component_styles(f"rows--{part}").partial_rich_style
            self._kinds[kind] = style
        return style

    def render_line(self, y: int) -> Strip:
        strip = self._strips.get(y)
        if strip is None:
            BREATH.take()
            width = self.size.width
            spans = self._rows[y] if y < len(self._rows) else EMPTY
            last = spans[-1][1] if spans else ""
            fill = "pick" if last.endswith("pick") else ""
            segments = [Segment(text, self._style(kind)) for text, kind in spans if text]
            strip = Strip(segments).adjust_cell_length(width, self._style(fill)).simplify()
            self._strips[y] = strip
        return strip


class Pane(Rows):
    """Rows under a title line. A subclass says `build`; what it fails at stays inside its own pane."""

    def __init__(self, **names: Any) -> None:
        super().__init__(**names)
        self.view: View | None = None
        self.ticks: Mapping[int, str] = {}
        """Junctions on the title line, by column."""
        self.stale = False
        """The engine is silent: what is shown was so, and is not known to be so still."""

    def build(self, view: View, width: int, height: int) -> tuple[Row, list[Row]]:
        """The title's spans and the rows under it, for `height` rows of `width` cells."""
        raise NotImplementedError

    def waiting(self) -> Row:
        """The title before the first View."""
        return EMPTY

    def put(self, view: View | None) -> None:
        """Show a View."""
        self.view = view
        width, height = self.size
        if not width or not height:
            return
        if view is None:
            self.show([self.head()])
            return

        def whole() -> list[Row]:
            title, rows = self.build(view, width, height - 1)
            if self.stale:
                return [self._stale_title(title, view, width), *(_dimmed(each) for each in rows[: height - 1])]
            return [self._title(title, width), *rows[: height - 1]]

        self.draw(whole)

    def head(self) -> Row:
        return self._title(self.waiting(), self.size.width)

    def tick(self, ticks: Mapping[int, str]) -> None:
        """Set the junctions of the title line."""
        if ticks != self.ticks:
            self.ticks = dict(ticks)
            self.put(self.view)

    def on_resize(self) -> None:
        self.put(self.view)

    def _stale_title(self, title: Row, view: View, width: int) -> Row:
        since: Row = ((f" as of {clock(view.at_ns)} ", "warn"),)
        return (*self._title(_dimmed(title), width - length(since)), *since)

    def title_room(self, width: int) -> int:
        """Cells of the title row for what a pane tells in it."""
        return width - len(" as of 15:03:07 ") if self.stale else width

    def _title(self, title: Row, width: int) -> Row:
        lead: Row = (("─ ", "line"), *whole(title, width - 3), (" ", "")) if title else ()
        line = "".join(self.ticks.get(x, "─") for x in range(width))
        used = length(lead)
        if used > width:
            return spread(lead, (), width)
        return (*lead, (line[used:], "line"))
