"""Today's profit over time. It is there to be looked at: nothing is decided on it. After a restart it has the day's
closed trades again; what was open between them was not kept."""

from bisect import bisect
from itertools import accumulate
from typing import Final

from nexus_engine.core import accounting
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.view import Moment

KEPT: Final = 240
STEP_NS: Final = 60_000_000_000


class Curve:
    """A point a minute and one at each closed trade. When it is full, every other one goes and the step doubles; the
    lowest stays, also where it lay between two."""

    def __init__(self) -> None:
        self._points: list[Moment] = []
        self._lowest = Moment(0, 0.0, 0.0)
        self._step_ns = STEP_NS
        self._day = -1
        self._trades = 0

    def sample(self, ledger: Ledger, marks: accounting.Marks, at_ns: int) -> None:
        """Look once; keeps a point where it is time for one."""
        if ledger.day < 0:
            return
        now = moment(ledger, marks, at_ns)
        if ledger.day != self._day:
            self._points, self._step_ns, self._day, self._trades = steps(ledger), STEP_NS, ledger.day, ledger.day_trades
            self._lowest = min((*self._points, now), key=_total)
        else:
            self._lowest = min(self._lowest, now, key=_total)
            if ledger.day_trades == self._trades and at_ns - self._points[-1].at_ns < self._step_ns:
                return
        self._trades = ledger.day_trades
        self._points.append(now)
        if len(self._points) == KEPT - 1:
            del self._points[1::2]
            self._step_ns *= 2

    def points(self, ledger: Ledger, marks: accounting.Marks, at_ns: int) -> tuple[Moment, ...]:
        """What was kept of the day, and this moment."""
        if not self._points:
            return ()
        kept = list(self._points)
        if self._lowest not in kept:
            kept.insert(bisect(kept, self._lowest.at_ns, key=lambda each: each.at_ns), self._lowest)
        return (*kept, moment(ledger, marks, at_ns))


def _total(each: Moment) -> float:
    return each.realised + each.open


def steps(ledger: Ledger) -> list[Moment]:
    """What each closed trade of the day left realised; none where not all of them are remembered."""
    trades = ledger.closed[-ledger.day_trades :] if 0 < ledger.day_trades <= len(ledger.closed) else []
    totals = accumulate(trade.pnl for trade in trades)
    return [Moment(trade.closed_ns, float(total), 0.0) for trade, total in zip(trades, totals, strict=True)]


def moment(ledger: Ledger, marks: accounting.Marks, at_ns: int) -> Moment:
    realised = float(ledger.day_realised - ledger.day_fees)
    return Moment(at_ns, realised, float(accounting.open_pnl(ledger, marks)))
