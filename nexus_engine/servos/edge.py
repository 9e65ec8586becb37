"""What an account's own closed trades say of a strategy: how much of the equity it may risk, and whether it has shown
that it earns anything."""

from collections.abc import Iterable
from math import fsum, sqrt
from typing import Final, NamedTuple

from nexus_engine.model.positions import ClosedTrade

ENOUGH: Final = 100
"""Closed trades before its record counts for anything."""
_ONE_SIDED: Final = 1.645
"""Standard errors that a mean of a hundred trades is above the truth by in one of twenty samples."""


class Record(NamedTuple):
    """The R of a strategy's closed trades, fees and funding included: how many, their mean and their variance."""

    trades: int
    mean: float
    variance: float

    @property
    def proven(self) -> bool:
        """Enough trades, and a mean whose lower 95 % bound is above 0."""
        return self.trades >= ENOUGH and self.mean - _ONE_SIDED * sqrt(self.variance / self.trades) > 0

    def kelly_pct(self, part: float) -> float | None:
        """`part` of the Kelly fraction mean / variance (Thorp's for small bets), in percent of equity a trade and never
        below 0; None while the record is too short to say."""
        if self.trades < ENOUGH or not part or not self.variance:
            return None
        return max(0.0, part * self.mean / self.variance) * 100


def record_of(strategy: str, closed: Iterable[ClosedTrade]) -> Record:
    """The record of one strategy among closed trades."""
    found = [trade.r for trade in closed if trade.strategy == strategy]
    if len(found) < 2:
        return Record(len(found), fsum(found), 0.0)
    mean = fsum(found) / len(found)
    return Record(len(found), mean, fsum((r - mean) ** 2 for r in found) / (len(found) - 1))
