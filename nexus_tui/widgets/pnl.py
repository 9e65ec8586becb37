"""Today in money: what is realised, what is open, and how it came about."""

import asyncio
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

from nexus_engine.model.view import Moment, View
from nexus_tui import format as fmt
from nexus_tui.widgets.header import signed
from nexus_tui.widgets.raster import columns, sparkline
from nexus_tui.widgets.rows import EMPTY, Pane, Row, Span, row

_CENTS: Final = 34
_PLOT_WIDTH, _PLOT_HEIGHT = 40, 8
"""From this size on plotext draws both curves; below it columns of eighths say more in less room."""
_WHOLE: Final = 10
"""From here on an amount of the day needs no cents where there is little room."""
_CENT: Final = 0.01
_UNIT: Final = 1.0
_DOT: Final = "•"
_SECOND: Final = 1_000_000_000

Face = tuple[tuple[Moment, ...], int, int]
"""What a plot is made of: the points, width and height."""


class Pnl(Pane):
    """A plot is made in a thread, at most once a second, and never before the first frame is out."""

    def __init__(self, **names: Any) -> None:
        super().__init__(**names)
        self._plotted: tuple[Face, list[Row]] | None = None
        self._plotting = False
        self._drawn: tuple[object, list[Row]] = ((), [])

    @property
    def plotted(self) -> bool:
        """Plotext has drawn what is shown."""
        return self._plotted is not None

    def waiting(self) -> Row:
        return row("PnL today", "title")

    def build(self, view: View, width: int, height: int) -> tuple[Row, list[Row]]:
        account = view.account
        if not account.known:
            return row("PnL today", "title"), [row(" not known yet", "quiet")]
        cents = width >= _CENTS
        title: Row = (("PnL today ", "title"), signed(account.day_pnl))
        room = height - 2
        large = width >= _PLOT_WIDTH and room >= _PLOT_HEIGHT
        now: Row = (
            *((" ▀" if large else "", "good"), (" realised ", "quiet"), _amount(account.day_realised, cents=cents)),
            *(("  •" if large else " ", "title"), (" open ", "quiet"), _amount(account.open_pnl, cents=cents)),
        )
        totals = [each.realised + each.open for each in view.curve]
        lowest = min(totals, default=0.0)
        dip = f"worst dip {_levels(lowest)[0]}" if lowest <= -_CENT / 2 else ""
        counts = (dip, f"trades {account.day_trades}", f"fees {fmt.amount(account.day_fees)}")
        feet = [now, row(f" {fmt.joined([each for each in counts if each], '  ', width - 1)}", "quiet")]
        if len(totals) < 2 or room < 1:
            return title, feet
        if room < 3:
            kind = "good" if totals[-1] > 0 else "bad" if totals[-1] < 0 else ""
            return title, [row(f" {sparkline(over_time(view.curve, width - 2), width - 2)}", kind), *feet]
        return title, [*self._curve(view.curve, totals, width, room, large=large), *feet]

    def _curve(
        self, curve: tuple[Moment, ...], totals: list[float], width: int, height: int, *, large: bool
    ) -> list[Row]:
        if large:
            self._want((curve, width, height))
            if self._plotted is not None and self._plotted[0][1:] == (width, height):
                return self._plotted[1]
        # Columns follow the open profit, which moves with every picture; once a second is often enough to look at.
        face = (len(curve), round(totals[-1], _decimals(totals)), width, height)
        if face != self._drawn[0]:
            self._drawn = (face, bars(curve, width, height))
        return self._drawn[1]

    def _want(self, face: Face) -> None:
        """Have a plot made unless it is there or on its way."""
        if self._plotting or (self._plotted is not None and self._plotted[0] == face):
            return
        self._plotting = True
        self.run_worker(self._plot(face), exit_on_error=False)

    async def _plot(self, face: Face) -> None:
        try:
            rows = await asyncio.to_thread(plot, *face)
            self._plotted = (face, rows)
            self.put(self.view)
            await asyncio.sleep(1)
        finally:
            self._plotting = False


def _amount(value: float, *, cents: bool) -> Span:
    return signed(value, cents=cents or abs(value) < _WHOLE)


def _levels(*values: float) -> list[str]:
    """Amounts of the day that stand together: cents are told where the largest, or one of them, has little else."""
    below = _WHOLE if max(map(abs, values)) < _WHOLE else _UNIT
    return [f"{value:+z,.2f}" if _CENT / 2 <= abs(value) < below else f"{value:+z,.0f}" for value in values]


def _decimals(amounts: Sequence[float]) -> int:
    """Of the newest total: a change of less is not worth new columns."""
    return 2 if 0 < max(map(abs, amounts)) < _WHOLE else 0


def over_time(curve: Sequence[Moment], width: int) -> list[float]:
    """Realised and open together at `width` even steps of the time that the curve covers."""
    first, last = curve[0].at_ns, curve[-1].at_ns
    found, at = [], 0
    for x in range(width):
        until_ns = first + (last - first) * (x + 1) // width
        while at + 1 < len(curve) and curve[at + 1].at_ns <= until_ns:
            at += 1
        found.append(curve[at].realised + curve[at].open)
    return found


def bars(curve: Sequence[Moment], width: int, height: int) -> list[Row]:
    """Columns up and down from zero behind an axis of amounts."""
    low = min(0.0, *(each.realised + each.open for each in curve))
    high = max(0.0, *(each.realised + each.open for each in curve))
    labels = _levels(high, low)
    axis = max(map(len, labels)) + 2
    room = width - axis - 1
    if not high and not low:
        flat: Row = ((f" {fmt.right('+0', axis - 2)} ", "quiet"), ("─" * room, "line"))
        return [EMPTY] * (height // 2) + [flat] + [EMPTY] * (height - height // 2 - 1)
    body, up = columns(over_time(curve, room), room, height)
    left = {0: labels[0]} if high else {}
    if low:
        left[len(body) - 1] = labels[1]
    if up < len(body) or not low:
        left[up - 1] = labels[0] if up == 1 and high else "+0"
    return [
        ((f" {fmt.right(left.get(y, ''), axis - 2)} ", "quiet"), (text, "good" if y < up else "bad"))
        for y, text in enumerate(body)
    ]


def plot(curve: Sequence[Moment], width: int, height: int) -> list[Row]:
    """Both curves by plotext: realised as a line, with the open profit on top as dots."""
    import plotext as plt

    realised = [each.realised for each in curve]
    totals = [each.realised + each.open for each in curve]
    xs = [each.at_ns / _SECOND for each in curve]
    chosen = [curve[index * (len(curve) - 1) // 5] for index in range(1, 5)]
    plt.clear_figure()
    plt.limit_size(False, False)
    plt.plot_size(width - 2, height)
    plt.theme("clear")
    plt.frame(False)
    plt.xaxes(False, False)
    plt.yaxes(False, False)
    plt.hline(0)
    plt.plot(xs, totals, marker=_DOT)
    plt.plot(xs, realised, marker="hd")
    low, high = min(min(totals), *realised, 0.0), max(max(totals), *realised, 0.0)
    levels = [low, 0.0, high / 2, high] if low < 0 else [0.0, high / 2, high]
    plt.yticks(levels, [f"{label} " for label in _levels(*levels)])
    plt.xticks([each.at_ns / _SECOND for each in chosen], [fmt.minute(each.at_ns) for each in chosen])
    drawn = plt.uncolorize(plt.build()).splitlines()[:height]
    return [_coloured(f" {line}") for line in drawn]


def _coloured(line: str) -> Row:
    def kind(char: str) -> str:
        return "title" if char == _DOT else "quiet" if char.isascii() or char == "─" else "good"

    return tuple(("".join(run), each) for each, run in groupby(line, key=kind))
