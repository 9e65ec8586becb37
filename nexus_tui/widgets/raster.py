"""Pictures made of half cells and eighths. Pure: numbers in, text out."""

from collections.abc import Sequence
from math import ceil, floor, log10
from typing import Final

from nexus_engine.model.events import BarRow

_NONE, _WICK, _BODY = 0, 1, 2
# (upper half, lower half) -> glyph; beside a body a wick's half cell is left out, a body's never.
_HALVES: Final = (" ╷▄", "╵│▄", "▀▀█")
_EIGHTHS: Final = " ▁▂▃▄▅▆▇█"
_HANGING: Final = (" ", "▔", "▀", "█")
_STROKES: Final = ("⠉", "⠒", "⠤", "⣀")
"""A horizontal stroke at each quarter of a cell's height."""


class Scale:
    """Prices to rows: `top` is the upper edge of row 0, `bottom` the lower edge of the last of `rows`."""

    __slots__ = ("bottom", "rows", "top")

    def __init__(self, top: float, bottom: float, rows: int) -> None:
        pad = (top - bottom) or abs(top) * 1e-3 or 1.0
        self.top = top if top > bottom else top + pad / 2
        self.bottom = bottom if top > bottom else bottom - pad / 2
        self.rows = rows

    def at(self, value: float) -> float:
        """How many rows `value` lies below the upper edge."""
        return (self.top - value) / (self.top - self.bottom) * self.rows

    def row(self, value: float) -> int:
        """The row that holds `value`, the nearest one when it lies outside."""
        return max(0, min(self.rows - 1, floor(self.at(value))))

    def middle(self, row: int) -> float:
        """The price in the middle of a row."""
        return self.top - (row + 0.5) * (self.top - self.bottom) / self.rows

    def digits(self, most: int) -> int:
        """Decimals that tell two neighbouring rows apart, `most` at the highest."""
        step = (self.top - self.bottom) / max(1, self.rows)
        return max(0, min(most, ceil(-log10(step)))) if step > 0 else most


def candle(bar: BarRow, scale: Scale) -> list[str]:
    """A candle as a column of `scale.rows` glyphs, two halves to a cell."""
    halves = scale.rows * 2

    def half(value: float) -> int:
        return max(0, min(halves - 1, floor(scale.at(value) * 2)))

    high, low = half(bar.high), half(bar.low)
    top, bottom = half(max(bar.open, bar.close)), half(min(bar.open, bar.close))
    cells = [_NONE] * halves
    cells[high : low + 1] = [_WICK] * (low + 1 - high)
    cells[top : bottom + 1] = [_BODY] * (bottom + 1 - top)
    return [_HALVES[cells[2 * y]][cells[2 * y + 1]] for y in range(scale.rows)]


def stroke(value: float, scale: Scale) -> tuple[int, str] | None:
    """(row, glyph) of a line's point; None where it lies outside."""
    if not scale.bottom <= value <= scale.top:
        return None
    quarter = min(scale.rows * 4 - 1, floor(scale.at(value) * 4))
    return quarter // 4, _STROKES[quarter % 4]


def sparkline(values: Sequence[float], width: int) -> str:
    """Values as one row of eighths between their extremes, the newest at the right end."""
    shown = sample(values, width)
    low, high = min(shown, default=0.0), max(shown, default=0.0)
    span = high - low
    return "".join(_EIGHTHS[1 + min(7, int((value - low) / span * 8))] if span else _EIGHTHS[4] for value in shown)


def heights(values: Sequence[float], width: int) -> str:
    """Amounts from zero as one row of eighths; what is above zero shows."""
    shown = values[-width:]
    largest = max(shown, default=0.0)
    return "".join(
        _EIGHTHS[max(1, min(8, round(value / largest * 8)))] if value > 0 and largest > 0 else " " for value in shown
    )


def sample(values: Sequence[float], width: int) -> list[float]:
    """At most `width` of the values, evenly chosen, the last one always among them."""
    count = len(values)
    if count <= width or width <= 0:
        return list(values[-width:] if width > 0 else ())
    return [values[(index + 1) * count // width - 1] for index in range(width)]


def columns(values: Sequence[float], width: int, height: int) -> tuple[list[str], int]:
    """Amounts as columns that grow up and down from zero: (rows of text, the row just below the zero line).

    What is below zero gets a row of its own as soon as there is any of it, and hangs in halves.
    """
    shown = sample(values, width)
    above, below = max(0.0, *shown, 0.0), -min(0.0, *shown, 0.0)
    down = 0
    if below and height > 1:
        down = max(1, min(height - 1, round(height * below / (above + below))))
    up = height - down
    rows = [
        "".join(_level(value / above * up - (up - 1 - y)) if above and value > 0 else " " for value in shown)
        for y in range(up)
    ]
    rows += [
        "".join(_HANGING[_thirds(-value / below * down - y)] if below and value < 0 else " " for value in shown)
        for y in range(down)
    ]
    return rows, up


def _level(cells: float) -> str:
    return _EIGHTHS[max(0, min(8, round(cells * 8)))]


def _thirds(cells: float) -> int:
    return max(0, min(3, ceil(cells * 3 - 1e-9)))
