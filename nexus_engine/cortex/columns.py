"""A symbol's closed bars as whole columns: what a backtest computes over at once."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from nexus_engine.model.events import BarRow

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
T = TypeVar("T")


class Columns(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """Closed bars of one symbol and interval, oldest first, without a gap: float64, and int64 nanoseconds of each
    opening. What was computed over them is kept with them, so that strategies share it; never write into the arrays.
    """

    open_ns: NDArray[np.int64]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    memo: dict[Hashable, Any] = msgspec.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.close)

    @classmethod
    def of(cls, rows: Sequence[BarRow]) -> "Columns":
        """The same bars as columns."""
        return cls(
            open_ns=np.fromiter((row.open_ns for row in rows), np.int64, len(rows)),
            open=np.fromiter((row.open for row in rows), np.float64, len(rows)),
            high=np.fromiter((row.high for row in rows), np.float64, len(rows)),
            low=np.fromiter((row.low for row in rows), np.float64, len(rows)),
            close=np.fromiter((row.close for row in rows), np.float64, len(rows)),
            volume=np.fromiter((row.volume for row in rows), np.float64, len(rows)),
        )

    def row(self, at: int) -> BarRow:
        """One bar; it does not say how many trades made it."""
        return BarRow(
            int(self.open_ns[at]), float(self.open[at]), float(self.high[at]), float(self.low[at]),
            float(self.close[at]), float(self.volume[at]), 0,
        )  # fmt: skip

    def rows(self, start: int, end: int) -> list[BarRow]:
        """The bars from `start` to before `end`."""
        return [self.row(at) for at in range(start, end)]

    def kept(self, key: Hashable, compute: Callable[[], T]) -> T:
        """What `compute` gives, computed once."""
        if key not in self.memo:
            self.memo[key] = compute()
        return cast("T", self.memo[key])
