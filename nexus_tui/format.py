"""Numbers, times and widths as text. Pure: nothing here knows a clock or a screen."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from rich.cells import cell_len, chop_cells, set_cell_size

from nexus_engine.model.told import quantity as quantity
from nexus_engine.model.words import Side

Number = float | Decimal
_SECOND = 1_000_000_000
_UNIT = re.compile(r"(?<=\d) (?=(?:R|bp|ms|s|min|h|pt|x|USDT)\b|%)")
"""The blank between a number and its unit, where no line is broken."""


def fit(text: str, width: int) -> str:
    """`text` in exactly `width` cells: cut with an ellipsis or padded."""
    if cell_len(text) <= width:
        return text + " " * (width - cell_len(text))
    return set_cell_size(text, max(0, width - 1)) + "…" if width > 0 else ""


def wrap(text: str, first: int, second: int) -> tuple[str, str]:
    """`text` on one line of `first` cells, or broken at a word over a second one of `second` cells."""
    if cell_len(text) <= first:
        return text, ""
    text = _UNIT.sub("\u00a0", text)
    head = chop_cells(text, first)[0]
    at = head.rfind(" ") if text[len(head)] != " " else len(head)
    cut = at if at > len(head) // 2 else len(head)
    rest = text[cut:].lstrip()
    return text[:cut].rstrip().replace("\u00a0", " "), words(rest, second).replace("\u00a0", " ")


def folded(text: str, width: int) -> list[str]:
    """`text` on as many lines of `width` cells as it needs, broken at words."""
    lines: list[str] = []
    while cell_len(text) > width:
        head, _ = wrap(text, width, len(text) * 2)
        lines.append(head)
        text = text[len(head) :].lstrip()
    return [*lines, text]


def words(text: str, width: int) -> str:
    """`text` in at most `width` cells, cut after a word where it can be; the ellipsis says that it is cut."""
    if cell_len(text) <= width:
        return text
    if width <= 1:
        return fit(text, width)
    head = chop_cells(text, width - 1)[0]
    at = len(head) if text[len(head)] == " " else head.rfind(" ")
    cut = text[:at].rstrip(" ,;:") if at > 0 else ""
    return f"{cut}…" if cut.strip() else fit(text, width)


def joined(parts: Sequence[str], gap: str, width: int) -> str:
    """The parts with gaps between them; one that does not fit any more is left out whole."""
    line = ""
    for part in parts:
        longer = f"{line}{gap}{part}" if line else part
        if cell_len(longer) <= width:
            line = longer
    return line


def right(text: str, width: int) -> str:
    """`text` at the right end of `width` cells."""
    return " " * max(0, width - cell_len(text)) + text


def price(value: Number, digits: int) -> str:
    """A price with all its digits: 96,480.1."""
    return f"{value:z,.{digits}f}"


def short(value: Number, width: int, digits: int = 8) -> str:
    """A number in at most `width` characters: decimals go first, then the commas, then the thousands become k or M."""
    for places in range(digits, -1, -1):
        text = f"{value:z,.{places}f}"
        if len(text) <= width:
            return text
    if len(text := f"{value:z.0f}") <= width:
        return text
    for unit, scale in (("k", 1e3), ("M", 1e6), ("B", 1e9)):
        scaled = float(value) / scale
        for text in (f"{scaled:.1f}{unit}", f"{scaled:.0f}{unit}"):
            if len(text) <= width:
                return text
    return "#" * width


def scale(largest: float, digits: int, width: int) -> tuple[int, float, str]:
    """(decimals, divisor, unit): the finest with which every number of a column up to `largest` fits `width`."""
    for unit, divisor in (("", 1.0), ("k", 1e3), ("M", 1e6), ("B", 1e9)):
        for places in range(digits if divisor == 1.0 else min(digits + 1, 1), -1, -1):
            if len(f"{largest / divisor:,.{places}f}{unit}") <= width:
                return places, divisor, unit
    return 0, 1e9, "B"


def scaled(value: float, by: tuple[int, float, str]) -> str:
    """A number of such a column."""
    places, divisor, unit = by
    return f"{value / divisor:,.{places}f}{unit}"


def short_price(value: Number, digits: int, width: int) -> str:
    """A price in at most `width` characters; decimals are dropped before anything else."""
    return short(value, width, digits)


def short_quantity(value: Decimal, width: int) -> str:
    """A size in at most `width` characters that is never taken for another: `~` says that digits are left out."""
    exact = quantity(value)
    texts = [exact, exact.replace(",", ""), *(f"~{value:.{places}f}" for places in range(8, -1, -1))]
    for unit, scale in (("k", 1e3), ("M", 1e6), ("B", 1e9)):
        texts += [f"~{float(value) / scale:.{places}f}{unit}" for places in range(3, -1, -1)]
    return next((text for text in texts if len(text) <= width), "#" * width)


def money(value: Number) -> str:
    """A signed amount in quote currency: +214.10, -26.10."""
    return f"{value:+z,.2f}"


def short_money(value: Number, width: int) -> str:
    """A signed amount in at most `width` characters."""
    text = short(-value if value < 0 else value, width - 1, 2)
    return ("-" if value < 0 and text.strip("0.") else "+") + text


def amount(value: Number) -> str:
    """An amount without a sign of its own: 24,318.22."""
    return f"{value:z,.2f}"


def counted(count: int, name: str) -> str:
    """`9 signals`, `1 signal`, `0 refused`."""
    return f"{count} {name.removesuffix('s') if count == 1 else name}"


def percent(value: float, digits: int = 1) -> str:
    """A signed percentage: -1.2%."""
    return f"{value:+z.{digits}f}%"


def clock(at_ns: int) -> str:
    """The time of day in UTC: 15:03:07."""
    return _utc(at_ns).strftime("%H:%M:%S")


def minute(at_ns: int) -> str:
    """The time of day in UTC without seconds: 15:03."""
    return _utc(at_ns).strftime("%H:%M")


def day(at_ns: int) -> str:
    """The date in UTC: 22 Nov."""
    return _utc(at_ns).strftime("%d %b")


def _utc(at_ns: int) -> datetime:
    return datetime.fromtimestamp(at_ns // _SECOND, UTC)


def countdown(left_ms: int) -> str:
    """Time that is left: 0:38, 1:56:53."""
    seconds = max(0, -(-left_ms // 1000))
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def age(age_ms: int | None) -> str:
    """How long ago: 0.2s, 12s, 4m, 3h; a dash before the first."""
    if age_ms is None:
        return "-"
    if age_ms < 10_000:
        return f"{age_ms / 1000:.1f}s"
    seconds = age_ms // 1000
    for limit, unit, scale in ((100, "s", 1), (6_000, "m", 60), (360_000, "h", 3600)):
        if seconds < limit:
            return f"{seconds // scale}{unit}"
    return f"{seconds // 86_400}d"


def held(held_ms: int) -> str:
    """How long a position is open: 48s, 0h48, 1d18."""
    seconds = held_ms // 1000
    if seconds < 100:
        return f"{seconds}s"
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours}h{minutes:02}" if hours < 24 else f"{hours // 24}d{hours % 24:02}"


def bar(share: float, width: int) -> str:
    """A bar of `share` (0..1) of `width`; anything above zero shows at least one cell."""
    full = min(width, round(max(0.0, share) * width))
    return "▇" * (max(1, full) if share > 0 and width > 0 else full)


def gauge(share: float, width: int) -> str:
    """A bar in its trough, readable without colour."""
    full = bar(share, width)
    return full + "▁" * (width - len(full))


def stance(side: Side) -> str:
    """A position's side in words: what one holds, not what one would send."""
    return "long" if side is Side.BUY else "short"
