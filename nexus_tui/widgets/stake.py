"""What is at stake, in words: the shocks of a View's `stress`, wherever they are shown."""

from collections.abc import Iterable

from nexus_engine.model.view import StressView
from nexus_tui import format as fmt
from nexus_tui.safe import plain


def shocks(stress: StressView) -> list[str]:
    """Each shock with what it costs or gains, and the nearest liquidation."""
    parts = []
    for each in stress.lines:
        share = "" if each.pct is None or abs(each.pct) < 0.05 else f" {each.pct:+.1f}%"
        parts.append(f"{each.name} {fmt.money(each.money)}{share}")
    if stress.liquidation_pct is not None:
        parts.append(f"liq. {plain(stress.liquidation_symbol, 12)} {stress.liquidation_pct:.0f}%")
    return parts


def packed(parts: Iterable[str], width: int) -> list[str]:
    """As many parts a line as fit, each line with a blank before it."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(part) + 3 < width:
            lines[-1] += f"  {part}"
        else:
            lines.append(f" {part}")
    return [fmt.words(line, width) for line in lines]
