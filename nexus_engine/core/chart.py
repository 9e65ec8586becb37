"""The strategy's lines over a chart."""

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final

from nexus_engine.core.market import SymbolMarket
from nexus_engine.model.events import BarRow
from nexus_engine.model.view import Line

EMAS: Final = (20, 50)
BAND: Final = 20
WIDTH: Final = 2.0
BANDED: Final = "5m"
"""Where Harpoon looks at its bands."""

_Lines = dict[str, list[float]]


class Lines:
    """EMA 20 and 50 of the closes, and on 5m the Bollinger bands 20, 2: worked out once a closed bar, and for the
    forming one each time. Averages begin as TA-Lib's do, with the mean of their first period."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[int, int, _Lines]] = {}

    def over(self, state: SymbolMarket, interval: str, rows: Sequence[BarRow]) -> tuple[Line, ...]:
        """The lines over `rows`, the newest bars of that chart, the last of which may be forming."""
        bars = state.bars.get(interval)
        if not bars or not rows:
            return ()
        key, last_ns = (state.instrument.symbol, interval), bars[-1].open_ns
        kept = self._kept.get(key)
        if kept is None or kept[:2] != (last_ns, len(bars)):
            closes = [row.close for row in bars]
            self._kept[key] = kept = (last_ns, len(bars), _closed(closes, banded=interval == BANDED))
        lines = kept[2]
        if rows[-1].open_ns > last_ns:
            lines = _and_forming(lines, rows[-1].close, [row.close for row in list(bars)[1 - BAND :]])
        return tuple(
            Line(name=name, values=tuple(values[-len(rows) :]))
            for name, values in lines.items()
            if len(values) >= len(rows)
        )


def _closed(closes: Sequence[float], *, banded: bool) -> _Lines:
    """Values from each line's first on; a line without any is left out."""
    lines = {f"EMA{period}": _ema(closes, period) for period in EMAS if len(closes) >= period}
    if banded and len(closes) >= BAND:
        lines["BB upper"], lines["BB lower"] = _bands(closes)
    return lines


def _and_forming(lines: _Lines, close: float, before: Sequence[float]) -> _Lines:
    """The lines with one more value, for the bar that forms."""
    longer = dict(lines)
    for period in EMAS:
        if (name := f"EMA{period}") in lines:
            last = lines[name][-1]
            longer[name] = [*lines[name], last + (close - last) * 2 / (period + 1)]
    if "BB upper" in lines:
        upper, lower = _bands((*before, close))
        longer["BB upper"], longer["BB lower"] = lines["BB upper"] + upper, lines["BB lower"] + lower
    return longer


def _ema(closes: Sequence[float], period: int) -> list[float]:
    alpha = 2 / (period + 1)
    steps: Iterable[float] = (sum(closes[:period]) / period, *closes[period:])
    return list(accumulate(steps, lambda value, close: value + (close - value) * alpha))


def _bands(closes: Sequence[float]) -> tuple[list[float], list[float]]:
    """Upper and lower band from the first full window on. Sums run over distances from the first close: what they lose
    in digits is far under a tick."""
    first = closes[0]
    sums = [0.0, *accumulate(close - first for close in closes)]
    squares = [0.0, *accumulate((close - first) ** 2 for close in closes)]
    upper, lower = [], []
    for begin, end, begun, ended in zip(sums, sums[BAND:], squares, squares[BAND:], strict=False):
        mean = (end - begin) / BAND
        spread = WIDTH * math.sqrt(max(0.0, (ended - begun) / BAND - mean * mean))
        upper.append(first + mean + spread)
        lower.append(first + mean - spread)
    return upper, lower
