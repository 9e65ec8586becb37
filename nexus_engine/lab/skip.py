"""Which closed bars a strategy could speak at, over whole columns; and the cortex put where it would be by then."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from nexus_engine.cortex.columns import Columns, Mask
from nexus_engine.cortex.factory import Cortex
from nexus_engine.cortex.regime import INTERVAL as REGIME_INTERVAL
from nexus_engine.cortex.strategy import Skipping
from nexus_engine.lab.history import Series
from nexus_engine.model.config import ConfigError
from nexus_engine.model.events import Bar
from nexus_engine.model.signals import Quote

_BLIND: Final = Quote(symbol="", bid=0.0, ask=0.0, mark=0.0, last=0.0, funding_rate=0.0, age_ms=None, valid=False)


class Skipper:
    """Serves a Drive. Bars of a frame are gapless stretches, and a strategy begins anew with each of them."""

    def __init__(
        self, cortex: Cortex, symbol: str, frames: Sequence[Series], *, start_ns: int, warmup: int,
        whole: frozenset[str] = frozenset(),
    ) -> None:  # fmt: skip
        """`whole`: intervals whose every bar must be told, since the core's market is asked about them."""
        self._whole = whole
        self._cortex, self._symbol, self._frames = cortex, symbol, frames
        self._regime = next(at for at, frame in enumerate(frames) if frame.interval == REGIME_INTERVAL)
        self._upto = []
        self._begins: list[list[int]] = []
        """By frame: where its gapless stretches begin, and its end."""
        self._columns: dict[tuple[int, int], Columns] = {}
        closes = [frame.open_ns[: frame.whole] + frame.step_ns for frame in frames]
        self._hour_closes: list[int] = closes[self._regime].tolist()
        for frame, close_ns in zip(frames, closes, strict=True):
            known = int(np.searchsorted(close_ns, start_ns, side="right"))
            self._upto.append(known)
            gaps = np.flatnonzero(np.diff(frame.open_ns[: frame.whole]) != frame.step_ns) + 1
            begins = {max(0, known - warmup), *gaps[gaps > known - warmup].tolist()}
            self._begins.append([*sorted(begins), frame.whole])

    def wanted(self, frame: int) -> Mask:
        """Rows of a frame at which a strategy of its interval could give a signal."""
        series = self._frames[frame]
        found = np.zeros(series.whole, bool)
        strategies = self._cortex.skipping(series.interval)
        if strategies is None or series.interval in self._whole:
            return ~found
        if not strategies:
            return found
        for begin, end in pairwise(self._begins[frame]):
            columns = self._of(frame, begin, end)
            for strategy in strategies:
                found[begin:end] |= _candidates(strategy, columns)
        return found

    def prepare(self, frame: int, row: int, close_ns: int) -> None:
        """Before a row is told: the regime is that of all hours before, and the strategies have seen the rows before
        it."""
        hours = self._regime
        # at the same instant the shorter bar is told first
        closed = bisect_left if frame < hours else bisect_right
        self._hours(row if frame == hours else closed(self._hour_closes, close_ns))
        if frame != hours and self._upto[frame] != row:
            begins = self._begins[frame]
            after = bisect_right(begins, row)
            begin, end = begins[after - 1], begins[after]
            self._cortex.skip(self._symbol, self._frames[frame].interval, self._of(frame, begin, end), row - begin)
        self._upto[frame] = row + 1

    def rest(self) -> None:
        """The regime to the end of the bars."""
        self._hours(self._frames[self._regime].whole)

    def _hours(self, upto: int) -> None:
        frame = self._frames[self._regime]
        for row in range(self._upto[self._regime], upto):
            at = frame.row(row)
            if row == 0 or frame.open_ns[row] != frame.open_ns[row - 1] + frame.step_ns:
                self._cortex.history(self._symbol, REGIME_INTERVAL, (at,))
                continue
            bar = Bar(
                at_ns=0, mono_ns=0, symbol=self._symbol, interval=REGIME_INTERVAL, open_ns=at.open_ns, open=at.open,
                high=at.high, low=at.low, close=at.close, volume=at.volume, trades=0, closed=True, venue_ns=0,
            )  # fmt: skip
            self._cortex.bar(bar, _BLIND)
        self._upto[self._regime] = max(self._upto[self._regime], upto)

    def _of(self, frame: int, begin: int, end: int) -> Columns:
        if (frame, begin) not in self._columns:
            series = self._frames[frame]
            part = np.ascontiguousarray(series.ohlcv[begin:end].T)
            self._columns[frame, begin] = Columns(
                open_ns=series.open_ns[begin:end], open=part[0], high=part[1], low=part[2], close=part[3],
                volume=part[4],
            )  # fmt: skip
        return self._columns[frame, begin]


def _candidates(strategy: Skipping, columns: Columns) -> Mask:
    """Raises ConfigError for a user's own that fails, or answers something else."""
    try:
        found = np.asarray(strategy.candidates(columns))
        if found.dtype != bool or found.shape != columns.close.shape:
            raise ValueError(f"{found.dtype} of {found.shape}: must be one bool a bar, {columns.close.shape}")
    except (Exception, SystemExit) as error:  # a user's own code may do anything
        text = " ".join(str(error).split())
        raise ConfigError(f"strategy {strategy.name}: candidates: {type(error).__name__}: {text}"[:300]) from error
    return found
