"""Foreign text made harmless: one line of printable characters, never longer than asked for."""

import unicodedata

_CAP = 200
# C0, C1, DEL, surrogates, private use and unassigned; format characters hold the bidi controls, the zero-width ones
# and the tags; the separators are line and paragraph breaks. Combining marks stack and change a row's height.
_DROPPED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Mn", "Me"})


def plain(text: str, cap: int = _CAP) -> str:
    """Return `text` without anything that a terminal, a markup parser or an eye could be tricked by."""
    head = text[: cap * 4]
    if not head.isascii() or not head.isprintable():
        head = "".join(" " if char.isspace() else char for char in head if char.isspace() or _shown(char))
    return head if len(head) <= cap else head[: cap - 1] + "…"


def _shown(char: str) -> bool:
    return unicodedata.category(char) not in _DROPPED
