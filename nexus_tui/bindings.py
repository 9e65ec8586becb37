"""The one table of keys: it drives dispatch, footer and help."""

from typing import Final, NamedTuple

from textual.binding import Binding


class Key(NamedTuple):
    """`keys` in Textual's names; `face` is how a person reads them. `foot` is the footer's word, empty for none."""

    id: str
    keys: str
    face: str
    action: str
    help: str
    group: str
    foot: str = ""
    weight: int = 0
    """The footer drops the lightest first when it runs out of room."""
    priority: bool = False


LOOK, ACT, EMERGENCY, LEAVE = "look", "act", "emergency", "leave"

KEYS: Final = (
    Key("approve", "a", "a", "approve", "approve the selected proposal, once it is READY", ACT, "approve", 9),
    Key("reject", "x", "x", "reject", "reject the selected proposal", ACT, "reject", 8),
    Key("close", "c", "c", "close(False)", "close the selected position at market (asks)", ACT, "close", 6),
    Key("half", "C", "C", "close(True)", "close half of it (asks)", ACT),
    Key("mode", "m", "m", "mode", "mode: down at once, up typed", ACT, "mode", 4),
    Key("release", "r", "r", "release", "release a latch, typed", ACT, "release", 2),
    Key(
        "flatten",
        "F,f9",
        "F",
        "flatten",
        "close all of ours at market, typed  (also F9)",
        EMERGENCY,
        "flatten",
        7,
    ),
    Key(
        "halt",
        "exclamation_mark,ctrl+x,f10",
        "!",
        "app.halt",
        "HALT at once, in dialogs too  (also ctrl+x F10)",
        EMERGENCY,
        "HALT",
        10,
        True,
    ),
    Key("down", "j,down", "j", "move(1)", "next row  (also the arrow)", LOOK, "", 3),
    Key("up", "k,up", "k", "move(-1)", "row before  (also the arrow)", LOOK),
    Key("pane", "tab,shift+tab", "tab", "pane", "other pane: proposals, positions", LOOK),
    Key("symbol", "right", "→", "symbol(1)", "next symbol in the ladder", LOOK),
    Key("symbol-back", "left", "←", "symbol(-1)", "symbol before", LOOK),
    Key("redraw", "ctrl+l", "ctrl+l", "app.redraw", "paint everything again", LOOK, priority=True),
    Key("palette", "colon,ctrl+p", ":", "app.command_palette", "menu  (also ctrl+p)", LOOK, "menu", 3),
    Key("keys", "question_mark", "?", "keys", "this page", LOOK, "keys", 5),
    Key("quit", "q,ctrl+q", "q", "app.leave", "leave: stay, detach, flatten, or with stops resting", LEAVE, "quit", 5),
    Key("detach", "ctrl+z", "ctrl+z", "app.detach", "close the cockpit, the engine goes on", LEAVE, priority=True),
)

EMERGENCY_KEYS: Final = frozenset({"exclamation_mark", "ctrl+x", "f10"})
"""HALT is believed whatever the link does."""

NAMED: Final = {key.id: key for key in KEYS}


def bindings(*, app: bool) -> list[Binding]:
    """The bindings that the app itself holds (those with priority, alive in every dialog), or the cockpit's."""
    return [
        Binding(
            key.keys,
            key.action.removeprefix("app.") if app else key.action,
            key.help,
            id=key.id,
            show=False,
            priority=key.priority,
        )
        for key in KEYS
        if key.priority is app
    ]


def acts(key: Key) -> bool:
    """Whether a cockpit that only looks leaves it out."""
    return key.group == ACT or key.id == "flatten"


def footer(width: int, *, read_only: bool = False) -> list[tuple[str, str]]:
    """(key, word) for the footer, in table order, as many as fit into `width` cells."""
    chosen = sorted((key for key in KEYS if key.foot and not (read_only and acts(key))), key=lambda key: -key.weight)
    kept: list[Key] = []
    room = width - 1
    for key in chosen:
        need = len(key.face) + len(key.foot) + 3
        if need <= room:
            kept.append(key)
            room -= need
    return [(key.face, key.foot) for key in KEYS if key in kept]
