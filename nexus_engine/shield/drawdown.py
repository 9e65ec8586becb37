"""The drawdown breaker: how far equity, open profit included, is under the day's first and under its peak."""

from collections import deque
from decimal import Decimal
from typing import Final

from nexus_engine.model.config import RiskConfig, percent_of
from nexus_engine.model.facts import GuardTripped, LatchSet, PeakSeen
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.turn import Turn
from nexus_engine.model.verdicts import Reading, refuse
from nexus_engine.model.words import Latch, Level

LOOKS: Final = 12
"""Looks in a row that a height or a fall must last, four a second: one bad mark is neither."""
PEAK_STEP: Final = Decimal("1.001")
"""A peak is written down when it is this much above the last one: the journal does not grow with every tick."""
WARN_AT: Final = 0.6
CALM_AT: Final = 0.4


class Drawdown:
    """Latches DRAWDOWN. What it measures against is in the ledger; a person who releases the latch begins a new peak,
    and the day counts from there."""

    def __init__(self, risk: RiskConfig) -> None:
        self._risk = risk
        self._seen: deque[Decimal] = deque(maxlen=LOOKS)
        self._warned: set[str] = set()

    def look(self, turn: Turn, equity: Decimal) -> None:
        """Show it the equity; 0 or less while nobody knows it."""
        ledger = turn.ledger
        if ledger.wallet is None:
            return
        self._seen.append(equity)
        if len(self._seen) < LOOKS:
            return
        lasting_low, lasting_high = min(self._seen), max(self._seen)
        if lasting_low > ledger.peak * PEAK_STEP:
            turn.record(PeakSeen(at_ns=turn.at_ns, equity=lasting_low))
        for name, fall_pct, limit_pct in falls(ledger, self._risk, lasting_high):
            self._judge(turn, name, fall_pct, limit_pct)

    def calm(self, ledger: Ledger) -> tuple[float, float]:
        """Strictly between these equities a look changes nothing: no new peak, and no fall that is told of, latches or
        is over. For a ledger that knows a peak."""
        low, high = 0.0, float(ledger.peak * PEAK_STEP)
        for name, base, limit_pct in _bases(ledger, self._risk):
            first = float(base)
            if name in self._warned:
                low = max(low, first * (1 - limit_pct / 100))
                high = min(high, first * (1 - CALM_AT * limit_pct / 100))
            else:
                low = max(low, first * (1 - WARN_AT * limit_pct / 100))
        return low, high

    def rest(self, equity: Decimal, looks: int) -> None:
        """So many looks were left out, all of them calm, and the last at this equity."""
        self._seen.extend([equity] * min(looks, LOOKS))

    def _judge(self, turn: Turn, name: str, fall_pct: float, limit_pct: float) -> None:
        used = fall_pct / limit_pct
        if used < WARN_AT:
            if used < CALM_AT:
                self._warned.discard(name)
            return
        text = f"equity is {fall_pct:.1f} % under {_FROM[name]}, limit {limit_pct:g} %"
        if used >= 1.0 and Latch.DRAWDOWN not in turn.ledger.latches:
            verdict = refuse("drawdown", text, Reading(name, fall_pct, limit_pct, "%"))
            turn.record(GuardTripped(at_ns=turn.at_ns, verdict=verdict))
            turn.record(LatchSet(at_ns=turn.at_ns, latch=Latch.DRAWDOWN, on=True, by="shield", reason=text))
            turn.note(Level.ALARM, "account", f"{Latch.DRAWDOWN}: {text}", "shield")
        elif used < 1.0 and name not in self._warned:
            turn.note(Level.WARN, "account", text, "shield")
        self._warned.add(name)


_FROM: Final = {"day drawdown": "the day's first", "drawdown": "its peak"}


def falls(ledger: Ledger, risk: RiskConfig, equity: Decimal) -> tuple[tuple[str, float, float], ...]:
    """(name, fall in percent, limit) of both measures, each at least 0."""
    return tuple(
        (name, max(0.0, float(1 - equity / base) * 100.0) if base > 0 else 0.0, limit)
        for name, base, limit in _bases(ledger, risk)
    )


def room(ledger: Ledger, risk: RiskConfig, equity: Decimal) -> tuple[Decimal, ...]:
    """How much money equity may still fall until each measure is at its limit; negative beyond it."""
    return tuple(equity - base + percent_of(limit_pct, base) for _, base, limit_pct in _bases(ledger, risk) if base > 0)


def _bases(ledger: Ledger, risk: RiskConfig) -> tuple[tuple[str, Decimal, float], ...]:
    return (
        ("day drawdown", ledger.day_from or ledger.peak, risk.day_drawdown_pct),
        ("drawdown", ledger.peak, risk.peak_drawdown_pct),
    )
