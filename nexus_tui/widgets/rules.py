"""The lines between panes, and where they meet."""

from collections.abc import Iterable
from typing import Any, Final

from rich.cells import cell_len
from textual.geometry import Region

from nexus_tui.widgets.rows import Rows, row

# (up, down, left, right) -> glyph
_GLYPHS: Final = {
    (True, True, False, False): "│", (True, True, True, False): "┤", (True, True, False, True): "├",
    (True, True, True, True): "┼", (False, True, True, True): "┬", (True, False, True, True): "┴",
    (False, True, True, False): "┐", (False, True, False, True): "┌", (True, False, True, False): "┘",
    (True, False, False, True): "└",
}  # fmt: skip
Crossings = dict[tuple[int, int], str]
"""(x, y) on the screen -> glyph."""


def crossings(uprights: Iterable[Region], levels: Iterable[Region]) -> Crossings:
    """Where vertical lines (one cell wide) and horizontal ones (one cell high) touch, and what to draw there."""
    up_cells = {(area.x, y) for area in uprights for y in range(area.y, area.bottom)}
    level_cells = {(x, area.y) for area in levels for x in range(area.x, area.right)}
    found: Crossings = {}
    for x, y in up_cells:
        left, right_ = (x - 1, y) in level_cells, (x + 1, y) in level_cells
        if left or right_:
            found[x, y] = _GLYPHS[True, True, left, right_]
        for edge, up, down in (((x, y - 1), False, True), ((x, y + 1), True, False)):
            if edge in level_cells:
                found[edge] = (
                    "┼"
                    if found.get(edge) in ("┴", "┬") and found[edge] != _GLYPHS[up, down, True, True]
                    else _GLYPHS[up, down, True, True]
                )
    for x, y in up_cells:
        if (x, y - 1) not in up_cells and found.get((x, y)) in ("├", "┤", "┼"):
            found[x, y] = {"├": "┌", "┤": "┐", "┼": "┬"}[found[x, y]]
    return found


class VRule(Rows):
    """A vertical line."""

    def join(self, found: Crossings) -> None:
        area = self.region
        self.show([row(found.get((area.x, y), "│"), "line") for y in range(area.y, area.bottom)])


class HRule(Rows):
    """A horizontal line, and what stands on it."""

    def __init__(self, **names: Any) -> None:
        super().__init__(**names)
        self._line = self._told = ""

    def join(self, found: Crossings) -> None:
        area = self.region
        self._line = "".join(found.get((x, area.y), "─") for x in range(area.x, area.right))
        self._draw()

    def tell(self, text: str) -> None:
        if text != self._told:
            self._told = text
            self._draw()

    def _draw(self) -> None:
        told = f" {self._told} " if self._told else ""
        end = 1 + cell_len(told)
        self.show([((self._line[:1], "line"), (told, "strong"), (self._line[end:], "line"))])
