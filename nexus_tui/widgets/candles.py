"""The chart: candles, the strategy's lines, our own prices across it, volume, time and the regime's odds."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import groupby, pairwise
from typing import Any, Final

from nexus_engine.model.events import BarRow
from nexus_engine.model.view import BookMark, Line, View
from nexus_engine.model.words import Regime
from nexus_tui import format as fmt
from nexus_tui.safe import plain
from nexus_tui.widgets.raster import Scale, candle, heights, sparkline, stroke
from nexus_tui.widgets.rows import Pane, Row, Span, length, row

_COMPACT: Final = 5
"""Fewer rows than this hold a sparkline."""
_NARROW: Final = 24
"""Cells under which the axis leaves no room for candles."""
_SMALL: Final = 8
_NEAR: Final = 0.5
"""A price of ours widens the chart by at most this share of its range; one farther off stands at the edge."""
_LINES: Final = ("title", "quiet", "quiet", "quiet")
_GUTTER: Final = 16
_REGIMES: Final = {Regime.TREND_DOWN: "bad", Regime.TREND_UP: "good", Regime.VOLATILE: "warn"}
_WORDS: Final = {
    Regime.TREND_DOWN: "trend down", Regime.TREND_UP: "trend up", Regime.VOLATILE: "volatile", Regime.RANGE: "range",
}  # fmt: skip
_STEPS_S: Final = (300, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400, 172_800, 604_800)
_SECOND: Final = 1_000_000_000


class Candles(Pane):
    """`symbol` and `interval` are what was asked for, so that the title can say it."""

    def __init__(self, **names: Any) -> None:
        super().__init__(**names)
        self.symbol = ""
        self.interval = ""
        self._made: tuple[object, list[Row]] = ((), [])

    @property
    def bars(self) -> int:
        """How many candles the pane can show."""
        return max(0, self.size.width - 2)

    def waiting(self) -> Row:
        return row("candles", "title")

    def build(self, view: View, width: int, height: int) -> tuple[Row, list[Row]]:
        # Bars change seldom beside the four pictures a second: what would give the same picture is kept.
        face = (view.chart, view.chart_lines, view.chart_marks, view.odds, view.chart_digits, width, height)
        if face != self._made[0]:
            self._made = (face, self._picture(view, width, height))
        return self._heading(view, width), self._made[1]

    def _heading(self, view: View, width: int) -> Row:
        symbol, speed = plain(self.symbol, 14), view.account.speed
        fast: Span = (f" x{speed:g}" if speed != 1 else "", "warn")
        if self.size.height - 1 < _COMPACT or width < 40:
            return ((f"{self.interval} candles", "title"), (f" {symbol}", "quiet"), fast)
        title: Row = ((f"{symbol} ", "title"), (self.interval, "strong"), fast)
        for index, line in enumerate(view.chart_lines):
            text = f"  {plain(line.name, 10)} {fmt.price(line.values[-1], view.chart_digits)}" if line.values else ""
            if length(title) + len(text) + 4 <= width:
                title = (*title, (text, _LINES[min(index, len(_LINES) - 1)]))
        return title

    def _picture(self, view: View, width: int, height: int) -> list[Row]:
        if not view.chart:
            return [row(" no candles yet", "quiet")]
        if height < _COMPACT or width < _NARROW:
            closes = [bar.close for bar in view.chart]
            line = sparkline(closes, width - 2)
            kind = "good" if closes[-1] >= closes[0] else "bad"
            return [row(f" {line}", kind), odds(view, width)] if height > 1 else [odds(view, width)]
        feet: list[Row] = [odds(view, width)] if view.odds else []
        under = 1 + (height >= 8)
        return [*chart(view, width, height - len(feet), under), *feet]


def odds(view: View, width: int) -> Row:
    """`odds TREND_DOWN 71%  range 18%  volatile 11%`: as many as fit. The regime that holds may be another."""
    ranked = sorted(view.odds, key=lambda each: -each[1])
    if not ranked:
        return row(" regime not known yet", "quiet")
    regime, share = ranked[0]
    lead = " regime odds " if width < 40 else "  odds "
    spans: list[Span] = [(lead, "quiet"), (f"{regime} {share:.0%}", _REGIMES.get(regime, "strong"))]
    for regime, share in ranked[1:]:
        text = f"  {_WORDS.get(regime, 'unknown')} {share:.0%}"
        if share >= 0.005 and length(tuple(spans)) + len(text) <= width:
            spans.append((text, "quiet"))
    return tuple(spans)


def chart(view: View, width: int, height: int, under: int) -> list[Row]:
    """`height` rows; the last `under` (1 or 2) of them are the time axis and, above it, the volume."""
    rows = height - under
    marks = _shown(view.chart_marks, view.chart, rows)
    gutter = min(_GUTTER, max((len(plain(mark.label, 12)) for mark in marks), default=-2) + 2, width // 3)
    for _ in range(2):
        # The axis is as wide as its prices, which depend on the candles that fit beside it.
        axis = _axis(view, marks, rows, width - gutter)
        bars = view.chart[-max(1, width - axis - gutter) :]
    scale = _scale(bars, marks, rows)
    digits = scale.digits(view.chart_digits)
    room = width - axis
    grid: list[list[Span]] = [[(" ", "")] * room for _ in range(rows)]
    left = {y: (fmt.price(scale.middle(y), digits), "quiet") for y in range(rows)}
    labels = _own(grid, left, marks, scale, view.chart_digits)
    _lines(grid, view.chart_lines, len(view.chart), len(bars), scale)
    for x, bar in enumerate(bars):
        kind = "bid" if bar.close >= bar.open else "ask"
        for y, glyph in enumerate(candle(bar, scale)):
            if glyph != " ":
                grid[y][x] = (glyph, kind)
    for y, label in labels.items():
        text = fmt.words(label, room - 1)
        start = room - len(text)
        grid[y][start:] = [(char, "mark") for char in text]
    last = bars[-1].close
    if left[scale.row(last)][1] != "mark":
        left[scale.row(last)] = (fmt.price(last, view.chart_digits), "strong")
    found: list[Row] = [((f" {fmt.right(left[y][0], axis - 2)} ", left[y][1]), *_runs(grid[y])) for y in range(rows)]
    if under > 1:
        found.append(((f" {fmt.right('vol', axis - 2)} ", "quiet"), (heights([b.volume for b in bars], room), "quiet")))
    return [*found, row(" " * axis + times(bars, room), "quiet")]


def _shown(marks: Sequence[BookMark], bars: Sequence[BarRow], rows: int) -> Sequence[BookMark]:
    """All of ours; on a small chart only those among its candles, which would otherwise be pressed flat."""
    if rows >= _SMALL:
        return marks
    high, low = max(bar.high for bar in bars), min(bar.low for bar in bars)
    return [mark for mark in marks if low <= mark.price <= high]


def _axis(view: View, marks: Sequence[BookMark], rows: int, width: int) -> int:
    bars = view.chart[-max(1, width - 8) :]
    scale = _scale(bars, marks, rows)
    digits = scale.digits(view.chart_digits)
    prices = [fmt.price(value, digits) for value in (scale.top, scale.bottom)]
    prices += [_own_price(mark.price, view.chart_digits, digits) for mark in marks]
    prices.append(fmt.price(bars[-1].close, view.chart_digits))
    return max(map(len, prices)) + 2


def _own_price(price: Decimal, most: int, digits: int) -> str:
    """A price of ours with as many decimals as the axis has, more where it would be another price."""
    for places in range(digits, most):
        if round(price, places) == price:
            return fmt.price(price, places)
    return fmt.price(price, most)


def _scale(bars: Sequence[BarRow], marks: Sequence[BookMark], rows: int) -> Scale:
    high, low = max(bar.high for bar in bars), min(bar.low for bar in bars)
    reach = (high - low) * _NEAR
    own = [float(mark.price) for mark in marks]
    top = max([high, *(price for price in own if price <= high + reach)])
    bottom = min([low, *(price for price in own if price >= low - reach)])
    # A price beyond the edge takes the outermost row, which the candles leave free.
    spare = (top - bottom) / max(1, rows - 2)
    top += spare if any(price > top for price in own) else 0.0
    bottom -= spare if any(price < bottom for price in own) else 0.0
    return Scale(top, bottom, rows)


def _own(
    grid: list[list[Span]], left: dict[int, tuple[str, str]], marks: Sequence[BookMark], scale: Scale, most: int
) -> dict[int, str]:
    """Dot our prices across the chart. Returns the labels by row; two of one row share it."""
    digits = scale.digits(most)
    labels: dict[int, str] = {}
    for mark in marks:
        y = scale.row(float(mark.price))
        label = plain(mark.label, 12)
        labels[y] = f"{labels[y]}, {label}" if y in labels else f" {label}"
        left[y] = (_own_price(mark.price, most, digits), "mark")
        grid[y][:] = [("┄", "mark")] * len(grid[y])
    return labels


def _lines(grid: list[list[Span]], lines: Sequence[Line], known: int, shown: int, scale: Scale) -> None:
    for index, line in reversed(list(enumerate(lines))):
        kind = _LINES[min(index, len(_LINES) - 1)]
        values = line.values[-known:][-shown:]
        for x, value in enumerate(values, start=shown - len(values)):
            point = stroke(value, scale)
            if point is not None:
                grid[point[0]][x] = (point[1], kind)


def _runs(cells: Sequence[Span]) -> list[Span]:
    """Neighbours of one kind as one span."""
    return [("".join(text for text, _ in run), kind) for kind, run in groupby(cells, key=lambda cell: cell[1])]


def times(bars: Sequence[BarRow], width: int) -> str:
    """A time axis: round times under their candles, far enough from each other to be read."""
    if len(bars) < 2:
        return fmt.minute(bars[0].open_ns)[:width] if bars else ""
    step_s = min(after.open_ns - before.open_ns for before, after in pairwise(bars)) // _SECOND
    every = next((each for each in _STEPS_S if each >= step_s * 9), _STEPS_S[-1])
    line = [" "] * width
    free = 0
    for x, bar in enumerate(bars):
        at_s = bar.open_ns // _SECOND
        if at_s % every or x < free:
            continue
        text = fmt.day(bar.open_ns) if every >= 86_400 else fmt.minute(bar.open_ns)
        if x + len(text) > width:
            break
        line[x : x + len(text)] = text
        free = x + len(text) + 1
    return "".join(line).rstrip()
