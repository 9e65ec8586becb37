"""A dialog as golden text that a change of colour changes too.

Under the text stands the same area with a letter for each cell's look, and what each letter is in dark, light and
without colour. Blank looks are left out.
"""

from collections.abc import Sequence

from rich.style import Style
from textual.geometry import Region
from tui_driving import Driven

Cells = list[list[tuple[str, str]]]
"""Rows of (character, look)."""


def look(style: Style | None) -> str:
    if style is None:
        return "-"
    colours = [
        "-" if each is None or each.is_default else (each.get_truecolor().hex if each.triplet else each.name)
        for each in (style.color, style.bgcolor)
    ]
    marks = [name for name in ("bold", "dim", "italic", "underline", "reverse") if getattr(style, name)]
    return "/".join(colours) + "".join(f" {mark}" for mark in marks)


def cells(driven: Driven, area: Region) -> Cells:
    screen, app = driven.app.screen, driven.app
    rows = []
    for strip in screen._compositor.render_strips()[area.y : area.bottom]:
        for each in app._filters:
            strip = strip.apply_filter(each, screen.background_colors[1])
        row = [(char, look(segment.style)) for segment in strip if not segment.control for char in segment.text]
        rows.append(row[area.x : area.right])
    return rows


def described(faces: Sequence[Cells]) -> str:
    """The text of the first face, and the looks of all."""
    names: dict[tuple[str, ...], str] = {}
    drawn = []
    for rows in zip(*faces, strict=True):
        line = ""
        for same in zip(*rows, strict=True):
            assert len({char for char, _ in same}) == 1, f"the faces show different words: {rows}"
            looks = tuple(each for _, each in same)
            line += names.setdefault(looks, chr(ord("a") + len(names)))
        drawn.append(line)
    text = ["".join(char for char, _ in row).rstrip() for row in faces[0]]
    legend = [f"{letter}  " + "  ".join(f"{each:30}" for each in looks).rstrip() for looks, letter in names.items()]
    return "\n".join([*text, "", *drawn, "", *legend])
