"""The page of keys, drawn from the one table."""

from nexus_tui.bindings import ACT, EMERGENCY, KEYS, LEAVE, LOOK
from nexus_tui.screens.dialogs import Dialog
from nexus_tui.widgets.rows import Row


class Keys(Dialog[None]):
    """Every key, by group."""

    def __init__(self) -> None:
        super().__init__("Keys, esc closes", ())

    def rows(self) -> list[Row]:
        rows: list[Row] = []
        for group in (ACT, EMERGENCY, LOOK, LEAVE):
            for index, key in enumerate(each for each in KEYS if each.group == group):
                head = group if not index else ""
                rows.append(((f" {head:<10}", "quiet"), (f"{key.face:<7}", "key"), (key.help, "")))
        return rows
