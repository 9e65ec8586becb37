"""The scripted course of a whole market: a level that Bitcoin and the alts are carried along, phase after phase."""

from bisect import bisect_right
from collections.abc import Sequence
from random import Random

import msgspec

from nexus_engine.sim.bars import MINUTE_NS, SECOND_NS


class Phase(msgspec.Struct, frozen=True):
    """A stretch of the course. `btc` and `alts` are log changes over it, the latter of an alt of usual volatility."""

    minutes: float
    btc: float
    alts: float
    heat: float = 1.0  # factor on volatility and activity
    depth: float = 1.0  # factor on what rests in the books
    spread: int = 1  # factor on the spread


class Course(msgspec.Struct, frozen=True):
    """Phases that repeat for ever; `lead_min` of them lie before the market starts. Each round is `sway` larger or
    smaller at most, a fraction drawn from the seed; the alts trail Bitcoin by up to `lag_s`."""

    phases: tuple[Phase, ...]
    lead_min: int = 0
    sway: float = 0.0
    lag_s: float = 0.0


class _Leg(msgspec.Struct, frozen=True):
    begin_ns: int
    end_ns: int
    btc: float  # levels at the begin
    alts: float
    btc_change: float
    alts_change: float
    phase: Phase


class Tide:
    """A course from `start_ns` on, where every level is 0. Pure: what it says does not depend on who asked before."""

    def __init__(self, course: Course, start_ns: int, seed: int) -> None:
        self._course = course
        self._rng = Random(f"{seed}:tide")
        self._legs: list[_Leg] = []
        self._begins: list[int] = []
        self._next_ns = start_ns - course.lead_min * MINUTE_NS
        self._btc = self._alts = 0.0
        self._round()
        leg = self._leg(start_ns)
        share = (start_ns - leg.begin_ns) / (leg.end_ns - leg.begin_ns)
        self._zero = (leg.btc + leg.btc_change * share, leg.alts + leg.alts_change * share)

    def phase(self, at_ns: int) -> Phase:
        return self._leg(at_ns).phase

    def lag_ns(self, index: int, count: int) -> int:
        """How far the symbol at `index` of `count` trails behind; the first does not."""
        return int(self._course.lag_s * SECOND_NS * index / max(1, count - 1))

    def level(self, at_ns: int, response: float | None) -> float:
        """Log level at that time: Bitcoin's without a response, else an alt's, whose moves are that much larger."""
        leg = self._leg(at_ns)
        share = max(0.0, (at_ns - leg.begin_ns) / (leg.end_ns - leg.begin_ns))
        if response is None:
            return leg.btc + leg.btc_change * share - self._zero[0]
        return response * (leg.alts + leg.alts_change * share - self._zero[1])

    def levels(self, ends: Sequence[int], response: float | None) -> list[float]:
        return [self.level(at_ns, response) for at_ns in ends]

    def _leg(self, at_ns: int) -> _Leg:
        """The leg of that time; before the course began, its first."""
        while at_ns >= self._next_ns:
            self._round()
        return self._legs[max(0, bisect_right(self._begins, at_ns) - 1)]

    def _round(self) -> None:
        size = 1.0 + self._course.sway * self._rng.uniform(-1.0, 1.0)
        for phase in self._course.phases:
            end_ns = self._next_ns + int(phase.minutes * MINUTE_NS)
            leg = _Leg(self._next_ns, end_ns, self._btc, self._alts, size * phase.btc, size * phase.alts, phase)
            self._legs.append(leg)
            self._begins.append(leg.begin_ns)
            self._btc += leg.btc_change
            self._alts += leg.alts_change
            self._next_ns = end_ns
