"""The one table of keys: it drives dispatch, footer, help, the menu, and what may be remapped."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from textual.binding import Binding
from textual.keys import _character_to_key

from nexus_tui.safe import plain


class Key(NamedTuple):
    """`keys` in Textual's names, empty for what only the menu offers; `face` is how a person reads them.

    `foot` is the footer's word, empty for none.
    """

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
ALWAYS_HALT: Final = ("ctrl+x", "f10")
"""They are HALT whatever else is."""

OF_CARDS: Final = frozenset({"approve", "reject", "edit", "snooze"})
"""They need the selected card on the screen."""
HOME: Final = "cockpit"

KEYS: Final = (
    Key("approve", "a", "a", "approve", "approve it, once READY", ACT, "approve", 9),
    Key("reject", "x", "x", "reject", "reject it", ACT, "reject", 8),
    Key("why", "enter", "⏎", "why", "why, with every number", LOOK, "why", 5),
    Key("edit", "e", "e", "edit", "edit size, stop, limit", ACT, "edit", 5),
    Key("snooze", "full_stop", ".", "snooze", "hide the card for 30 s", ACT),
    Key("close", "c", "c", "close(False)", "close the position (asks)", ACT, "close", 6),
    Key("half", "C", "C", "close(True)", "close half of it (asks)", ACT),
    Key("stop", "s", "s", "stop", "move its stop, only closer", ACT, "stop", 3),
    Key("release", "r", "r", "release", "re-arm NAKED, or unlatch", ACT),
    Key("hold", "h", "h", "hold", "hold a NAKED exit, once", ACT),
    Key("find", "slash", "/", "find", "find a symbol", LOOK, "symbol", 2),
    Key("mode", "m", "m", "mode", "mode: down, or up (typed)", ACT, "mode", 2),
    Key("pause", "p", "p", "pause", "pause entries", ACT, "pause", 2),
    Key("flatten", "F,f9", "F F9", "flatten", "flatten ours, typed", EMERGENCY, "flatten", 7),
    Key(
        "halt",
        "exclamation_mark,ctrl+x,f10",
        "! ^x F10",
        "app.halt",
        "HALT at once, anywhere",
        EMERGENCY,
        "HALT",
        10,
        True,
    ),
    Key("down", "j,down", "j ↓", "move(1)", "next row", LOOK),
    Key("up", "k,up", "k ↑", "move(-1)", "row before", LOOK),
    Key("pane", "tab", "tab", "pane(1)", "next pane", LOOK),
    Key("pane-back", "shift+tab", "⇧tab", "pane(-1)", "pane before", LOOK),
    Key("symbol", "right", "→", "symbol(1)", "next symbol", LOOK),
    Key("symbol-back", "left", "←", "symbol(-1)", "symbol before", LOOK),
    Key("shorter", "left_square_bracket", "[", "timeframe(-1)", "shorter candles", LOOK),
    Key("longer", "right_square_bracket", "]", "timeframe(1)", "longer candles", LOOK),
    Key("zoom", "z", "z", "zoom", "zoom a pane, tab for more", LOOK),
    Key("freeze", "space", "space", "freeze", "hold still, to copy", LOOK),
    Key(HOME, "1", "1", "home", "the whole cockpit again", LOOK),
    Key("shield", "2", "2", "shield", "the Shield: guards, trips", LOOK),
    Key("lab", "5", "5", "lab", "the Lab: backtests", LOOK),
    Key("redraw", "ctrl+l", "^l", "app.redraw", "paint everything again", EMERGENCY, priority=True),
    Key("picture", "ctrl+g", "^g", "app.picture", "save a picture (SVG)", LOOK, priority=True),
    Key("palette", "colon,ctrl+p", ": ^p", "menu", "menu of all actions", LOOK, "menu", 4),
    Key("keys", "question_mark", "?", "keys", "this page", LOOK, "keys", 6),
    Key("quit", "q,ctrl+q", "q ^q", "app.leave", "leave; asks how", LEAVE, "quit", 1),
    Key("detach", "ctrl+z", "^z", "app.detach", "leave, the engine goes on", LEAVE, priority=True),
    Key("reconcile", "", "", "reconcile", "foreign positions: adopt, ignore or close", ACT),
    Key("unlock", "", "", "unlock", "unlock LIVE entries, typed", ACT),
    Key("rearm", "", "", "rearm_swan", "let longs in again after a black swan, typed", ACT),
    Key("strategies", "", "", "strategies", "switch a strategy off, or on again", ACT),
    Key("history", "", "", "history", "what followed past black swans", LOOK),
    Key("drill", "", "", "drill", "rehearse a crash beside this account", LOOK),
    Key("resume", "", "", "resume", "resume after a pause, typed", ACT),
)

NAMED: Final = {key.id: key for key in KEYS}


class KeyProblem(ValueError):
    """The [keys] of a directive cannot be used; the message is one line."""


def remap(changes: Mapping[str, str]) -> tuple[Key, ...]:
    """The table with other keys, as [keys] of nexus.toml names them: `approve = "y"`. Raises KeyProblem.

    ctrl+x and F10 are HALT in any case.
    """
    for name in changes:
        if not (known := NAMED.get(name)) or not known.keys:
            raise KeyProblem(
                f"unknown action {plain(name, 30)}; known here: {', '.join(key.id for key in KEYS if key.keys)}"
            )
    table = tuple(_moved(key, changes[key.id]) if key.id in changes else key for key in KEYS)
    taken: dict[str, str] = {}
    for key in table:
        for each in filter(None, key.keys.split(",")):
            if taken.setdefault(each, key.id) != key.id:
                raise KeyProblem(f"{key.id} and {taken[each]} are both on {each}")
    return table


def _moved(key: Key, wanted: str) -> Key:
    words = wanted.split()
    if not words:
        raise KeyProblem(
            f"{key.id} cannot be without a key" + (": HALT is always one away" if key.id == "halt" else "")
        )
    names = [_name(key.id, word) for word in words]
    if key.id == "halt":
        names = [*dict.fromkeys((*names, *ALWAYS_HALT))]
        words = [*dict.fromkeys((*words, *ALWAYS_HALT))]
    return key._replace(keys=",".join(names), face=" ".join(map(_face, words)))


def _face(word: str) -> str:
    if word.startswith("ctrl+"):
        return f"^{word[-1]}"
    return word.upper() if word in _SPECIAL and word[1:].isdecimal() else word


_SPECIAL: Final = frozenset(
    {"enter", "space", "tab", "shift+tab", "backspace", "delete", "home", "end", "pageup", "pagedown", "insert"}
    | {"up", "down", "left", "right"}
    | {f"f{number}" for number in range(1, 13)}
    | {f"ctrl+{letter}" for letter in "abdefghklnoprstuvwxyz"}
)
"""Keys with names. Esc is the way out of every dialog; ctrl+c, ctrl+i, ctrl+j and ctrl+m are the terminal's own."""


def _name(action: str, word: str) -> str:
    if word in _SPECIAL:
        return word
    if len(word) == 1 and word.isascii() and word.isprintable():
        return _character_to_key(word)
    raise KeyProblem(
        f'{action} = "{plain(word, 20)}" is no key: one character, ctrl+<letter>, f1 to f12, enter, space, …'
    )


def emergency(table: Sequence[Key] = KEYS) -> frozenset[str]:
    """The keys that are believed whatever the link does, and typed nowhere."""
    return frozenset(next(key.keys for key in table if key.id == "halt").split(","))


def deciding(table: Sequence[Key] = KEYS) -> frozenset[str]:
    """The keys that a held key or a burst must not press twice."""
    return frozenset({"y"}.union(*(key.keys.split(",") for key in table if key.id in _DECIDING)))


def moving(table: Sequence[Key] = KEYS) -> frozenset[str]:
    """The keys that only move a selection, in a dialog too, and Esc."""
    return frozenset({"escape"}.union(*(key.keys.split(",") for key in table if key.id in _MOVING)))


_MOVING: Final = frozenset({"down", "up", "pane", "pane-back", "symbol", "symbol-back"})
_DECIDING: Final = frozenset({"approve", "reject", "close", "half"})
EMERGENCY_KEYS: Final = emergency()
DECIDING_KEYS: Final = deciding()
MOVING_KEYS: Final = moving()


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
        if key.priority is app and key.keys
    ]


def keymap(table: Sequence[Key]) -> dict[str, str]:
    """What Textual must bind differently."""
    return {key.id: key.keys for key in table if key.keys != NAMED[key.id].keys}


def acts(key: Key) -> bool:
    """Whether a cockpit that only looks leaves it out."""
    return key.group == ACT or key.id == "flatten"


def footer(width: int, table: Sequence[Key] = KEYS) -> list[tuple[str, str]]:
    """(key, word) for the footer, in table order, as many as fit into `width` cells."""
    chosen = sorted((key for key in table if key.foot), key=lambda key: -key.weight)
    kept: list[str] = []
    room = width
    for key in chosen:
        need = len(_first(key)) + len(key.foot) + 3
        if need <= room:
            kept.append(key.id)
            room -= need
    return [(_first(key), key.foot) for key in table if key.id in kept]


def _first(key: Key) -> str:
    return key.face.split()[0]
