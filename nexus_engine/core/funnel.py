"""Why no trade: how many wishes came how far, and what stopped the last one at each stage."""

from collections import Counter
from collections.abc import Mapping, Sequence

from nexus_engine.cortex.factory import REFUSED
from nexus_engine.model.verdicts import Verdict
from nexus_engine.model.view import StageView
from nexus_engine.shield.guards import SIGNAL_GUARDS

REGIME, SIGNAL, SHIELD, SIZING, EXPOSURE, MODE = "regime", "signal", "shield", "sizing", "exposure", "mode"


class Funnel:
    """Counts since the start of this process."""

    def __init__(self) -> None:
        self.stopped: Counter[str] = Counter()
        self.seen = 0
        self._last: dict[str, tuple[int, str]] = {}

    def stop(self, at_ns: int, stage: str, symbol: str, reason: str) -> None:
        """A wish has ended here."""
        self.stopped[stage] += 1
        self._last[stage] = at_ns, reason if reason.startswith(symbol) else f"{symbol} {reason}"

    def shown(self, counters: Mapping[str, int]) -> tuple[StageView, ...]:
        """Every stage in order. `counters` are the cortex's own: what ended there was never said to the desk."""
        gated, patterns = counters.get("regime", 0), sum(counters.get(name, 0) for name in REFUSED)
        stopped = {REGIME: gated, SIGNAL: patterns} | {
            stage: self.stopped[stage] for stage in (SHIELD, SIZING, EXPOSURE, MODE)
        }
        left = self.seen + gated + patterns
        rows = []
        for stage, count in stopped.items():
            at_ns, reason = self._last.get(stage, (0, ""))
            left -= count
            rows.append(StageView(name=stage, passed=left, stopped=count, reason=reason, at_ns=at_ns))
        return tuple(rows)


def stage_of(verdicts: Sequence[Verdict]) -> str:
    """Where a refused wish ended: the guards of signals come first among the verdicts, those of sizes follow."""
    if not verdicts:
        return SHIELD
    at = next((place for place, verdict in enumerate(verdicts) if verdict.refuses), None)
    if at is None:
        return SIZING
    return SHIELD if at < len(SIGNAL_GUARDS) else EXPOSURE
