"""The page of keys, drawn from the one table."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Final

from nexus_tui import format as fmt
from nexus_tui.bindings import ACT, EMERGENCY, LEAVE, LOOK, Key
from nexus_tui.screens.dialogs import Dialog
from nexus_tui.widgets.rows import Row

_WIDTH: Final = 36
_FACE: Final = 10
_BACK: Final = "-back"
"""Ends the id of a key that goes the other way; it shares the row of the one that goes on."""


class Keys(Dialog[None]):
    """Every key, by group, in two columns."""

    def __init__(self, table: Sequence[Key]) -> None:
        super().__init__("Keys, esc closes", ())
        self._table = [key for key in table if key.keys]

    def rows(self) -> list[Row]:
        # what leaves says so itself: a title more would not fit 24 rows
        left = [*self._group(ACT), *self._group(EMERGENCY), *self._group(LEAVE)[1:]]
        pairs = zip_longest(left, self._group(LOOK), fillvalue=((" " * _WIDTH, ""),))
        return [(*one, (" ", ""), *two) for one, two in pairs]

    def _group(self, group: str) -> list[Row]:
        rows: list[Row] = [((fmt.fit(f" {group}", _WIDTH), "title"),)]
        ways_back = {key.id.removesuffix(_BACK): key for key in self._table if key.id.endswith(_BACK)}
        for key in self._table:
            if key.group == group and not key.id.endswith(_BACK):
                both = (key, ways_back[key.id]) if key.id in ways_back else (key,)
                face, help_ = " ".join(each.face for each in both), ", ".join(each.help for each in both)
                rows.append(((fmt.fit(f" {face}", _FACE), "key"), (fmt.fit(help_, _WIDTH - _FACE), "")))
        return rows
