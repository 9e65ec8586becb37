"""Whether the market still looks as it did to the model, and whether what the model says still comes true.

Two watches over all symbols together: the population stability index of each feature over the last seven days against
the deciles that the model was fitted to, and the log-loss of what it said over the last 14 days, once it came out,
against that of the rate it was fitted to. An alert sends the regime back to the rule; it retrains nothing by itself.
"""

import math
from collections import deque
from typing import Final

import numpy as np

from nexus_engine.cortex.regime_features import Floats, Ints
from nexus_engine.cortex.regime_model import DECILES, RegimeModel

DAYS: Final = 7
LOSS_DAYS: Final = 14
PSI_ALERT: Final = 0.25
"""The trade's convention. Slow features never spread over all deciles within a week, so that each has its own limit
besides: what one week in a hundred had in the time it was fitted to."""
SHARE: Final = 1 / 3
"""Part of the features beyond their limits that is an alert."""
WORSE: Final = 0.05
"""Nats by which the log-loss may be over that of the plain rate."""
FEWEST: Final = 50
"""Rows, and answers, under which nothing is judged."""


def psi(rows: Floats, deciles: Floats) -> Floats:
    """Population stability index of each feature's share of the ten deciles, (features,). Source: Siddiqi 2006."""
    found = np.empty(rows.shape[1])
    expected = 1 / (DECILES + 1)
    for at in range(rows.shape[1]):
        counts = np.bincount(np.searchsorted(deciles[at], rows[:, at]), minlength=DECILES + 1)
        share = np.maximum(counts / len(rows), 1e-3)
        found[at] = float(((share - expected) * np.log(share / expected)).sum())
    return found


def weekly_psi(close_h: Ints, rows: Floats, deciles: Floats) -> Floats:
    """`psi` of each week of rows, (weeks, features); weeks with too few rows are left out."""
    weeks = close_h // (24 * DAYS)
    found = [psi(rows[weeks == week], deciles) for week in np.unique(weeks) if (weeks == week).sum() >= FEWEST]
    return np.array(found).reshape(-1, rows.shape[1])


class Drift:
    """Hears every row that the model was asked with, and every answer that came out; `alert` is empty, or says why."""

    def __init__(self, model: RegimeModel) -> None:
        self._deciles = model.arrays["deciles"].astype(np.float64)
        self._limits = np.maximum(PSI_ALERT, model.arrays["psi_limit"].astype(np.float64))
        self._rates = [float(rate) for rate in model.arrays["baselines"][:, 0]]
        self._rows: deque[tuple[int, Floats]] = deque()
        self._losses: deque[tuple[int, float]] = deque()
        self._judged_h = 0
        self.alert = ""
        self.beyond = 0.0
        """Part of the features beyond their limits."""

    def row(self, close_h: int, row: Floats) -> None:
        """A row that the model was asked with. Judged once for each mark, with what was heard before it."""
        if close_h > self._judged_h:
            self._judge(close_h)
        self._rows.append((close_h, row))

    def answer(self, close_h: int, head: int, said: float, came: bool) -> None:
        """What came of a probability, known at `close_h`."""
        rate = self._rates[head]
        self._losses.append((close_h, _loss(said, came) - _loss(rate, came)))

    def _judge(self, close_h: int) -> None:
        self._judged_h = close_h
        for kept, days in ((self._rows, DAYS), (self._losses, LOSS_DAYS)):
            while kept and kept[0][0] < close_h - 24 * days:
                kept.popleft()
        reasons = []
        self.beyond = 0.0
        if len(self._rows) >= FEWEST:
            over = psi(np.array([row for _, row in self._rows]), self._deciles) > self._limits
            self.beyond = float(over.mean())
            if self.beyond > SHARE:
                reasons.append(f"{int(over.sum())} of {len(over)} features drifted")
        if len(self._losses) >= FEWEST:
            worse = sum(loss for _, loss in self._losses) / len(self._losses)
            if worse > WORSE:
                reasons.append(f"log-loss {worse:+.3f} over the plain rate's")
        self.alert = "; ".join(reasons)


def _loss(said: float, came: bool) -> float:
    sure = min(1 - 1e-6, max(1e-6, said))
    return -math.log(sure if came else 1 - sure)
