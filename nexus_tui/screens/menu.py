"""The menu: every action by its name, with its key and what it does, then the themes."""

from collections.abc import Sequence
from typing import Final

from nexus_tui import format as fmt
from nexus_tui.bindings import Key, acts
from nexus_tui.screens.dialogs import Choice, Find
from nexus_tui.themes import BY_NAME
from nexus_tui.widgets.rows import Row

_LEFT_OUT: Final = frozenset({"down", "up", "palette"})
THEME: Final = "theme "


def entries(table: Sequence[Key], *, read_only: bool, no_colour: bool) -> list[Choice]:
    """Every action but the moving ones, then one entry a theme where there is colour to choose."""
    found = [
        Choice(key.id, key.face, key.help) for key in table if key.id not in _LEFT_OUT and not (read_only and acts(key))
    ]
    return found + [Choice(f"{THEME}{name}", "", "change the colours") for name in BY_NAME if not no_colour]


class Menu(Find):
    """Gives the name of the chosen entry."""

    def __init__(self, choices: Sequence[Choice]) -> None:
        super().__init__("Menu", [each.name for each in choices])
        self._choices = {each.name: each for each in choices}

    def line(self, name: str) -> Row:
        each = self._choices[name]
        return ((f" {fmt.fit(each.name, 14)} ", ""), (f"{fmt.fit(each.key, 10)} ", "key"), (each.text, "quiet"))

    def weighs(self, name: str, wanted: str) -> int:
        return super().weighs(name, wanted) or int(wanted in self._choices[name].text.upper())
