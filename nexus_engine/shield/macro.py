"""SANGRIA or not: Bitcoin's dominance rises while the whole market's cap falls, over days.

The state is a flag of volatility, not an edge: measured on 32 alts, the hours after it are wild and not negative on
average. It lets the Shark hunt, and nothing else. Without a trend that can be seen it is UNKNOWN, and nothing hunts.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from math import expm1, isfinite, log, sqrt
from typing import Final, NamedTuple

from nexus_engine.model.events import MacroSample
from nexus_engine.model.facts import MacroChanged, MacroSeen
from nexus_engine.model.macro import HOUR_NS, MacroPast, MacroRow
from nexus_engine.model.turn import Turn
from nexus_engine.model.verdicts import Reading
from nexus_engine.model.words import Level, Macro
from nexus_engine.shield.blackswan import MINUTE_NS

POLL_NS: Final = 10 * MINUTE_NS
MISSED: Final = 3
STALE_NS: Final = MISSED * POLL_NS
"""So many polls without a new sample, and nobody knows any more."""
SMOOTHING: Final = 2.0 / (6 + 1)
"""Of an EMA over six polls; a longer gap weighs as the polls that are missing."""
SLOW_H, FAST_H = 72, 24
GAP_NS: Final = 12 * HOUR_NS
"""The value of an earlier time is taken from its neighbours when they are no further apart."""
LEAST_CHANGES: Final = 12
"""So many are needed to say how large a usual change is."""
DWELL_NS: Final = 2 * HOUR_NS
# By how many usual changes over the window SHARK begins and ends.
ON_DOMINANCE, ON_CAP = 0.25, -1.0
OFF_DOMINANCE, OFF_CAP = 0.0, -0.5
REVERSED: Final = -0.25
"""Dominance over the fast window that ends it, wherever the slow one stands."""
LEAP_DOMINANCE, LEAP_CAP = 3.0, 0.2
"""A sample this far from the last one (points; log) counts only once the next one says the same."""
HUNTERS: Final = frozenset({"shark"})
"""Strategies that only SHARK lets enter."""


class Trend(NamedTuple):
    """Change over a window: dominance in points, cap in percent, and each in usual changes of such a window."""

    hours: int
    dominance: float
    cap: float
    dominance_z: float
    cap_z: float


def trend(rows: Sequence[MacroRow], hours: int) -> Trend | None:
    """The smoothed change over the last `hours`; None while the history does not reach.

    A usual change is the root mean square of the history's changes, each divided by the square root of its hours,
    times the square root of the window's: as of a random walk, so that four days of history can say it.
    """
    if len(rows) < 2:
        return None
    times = [row.venue_ns for row in rows]
    dominance, caps = _smoothed(times, [row.dominance for row in rows]), _smoothed(times, [log(r.cap) for r in rows])
    then_ns = times[-1] - hours * HOUR_NS
    before = _at(times, dominance, then_ns), _at(times, caps, then_ns)
    usual = _usual(rows)
    if before[0] is None or before[1] is None or usual is None:
        return None
    up, grown = dominance[-1] - before[0], caps[-1] - before[1]
    span = sqrt(hours)
    return Trend(hours, up, expm1(grown) * 100.0, up / usual[0] / span, grown / usual[1] / span)


def _smoothed(times: Sequence[int], values: Sequence[float]) -> list[float]:
    smooth = [values[0]]
    for at in range(1, len(values)):
        keep = (1.0 - SMOOTHING) ** ((times[at] - times[at - 1]) / POLL_NS)
        smooth.append(values[at] + (smooth[-1] - values[at]) * keep)
    return smooth


def _at(times: Sequence[int], values: Sequence[float], at_ns: int) -> float | None:
    """The value at an earlier time, between its neighbours; None where there are none near enough."""
    right = bisect_right(times, at_ns)
    if right == 0:
        return None
    left = right - 1
    if times[left] == at_ns:
        return values[left]
    gap_ns = times[right] - times[left]
    if gap_ns > GAP_NS:
        return None
    share = (at_ns - times[left]) / gap_ns
    return values[left] + (values[right] - values[left]) * share


def _usual(rows: Sequence[MacroRow]) -> tuple[float, float] | None:
    """Root mean square change in an hour of dominance (points) and of cap (log)."""
    hourly: dict[int, MacroRow] = {row.venue_ns // HOUR_NS: row for row in rows}
    steps = list(hourly.values())
    squares, count = [0.0, 0.0], 0
    for row, following in pairwise(steps):
        hours = (following.venue_ns - row.venue_ns) / HOUR_NS
        if hours < 0.5:
            continue
        squares[0] += (following.dominance - row.dominance) ** 2 / hours
        squares[1] += log(following.cap / row.cap) ** 2 / hours
        count += 1
    if count < LEAST_CHANGES or not all(squares):
        return None
    return sqrt(squares[0] / count), sqrt(squares[1] / count)


def begins(slow: Trend, fast: Trend) -> bool:
    """Dominance up and cap down over three days, and still so over the last one."""
    return slow.dominance_z >= ON_DOMINANCE and slow.cap_z <= ON_CAP and fast.dominance > 0.0 and fast.cap < 0.0


def ends(slow: Trend, fast: Trend) -> bool:
    """One of them is over, or dominance has turned."""
    return slow.dominance_z <= OFF_DOMINANCE or slow.cap_z >= OFF_CAP or fast.dominance_z <= REVERSED


class Judged(NamedTuple):
    """A state and what speaks for it."""

    macro: Macro
    reason: str
    slow: Trend | None = None
    fast: Trend | None = None


def judge(past: MacroPast) -> Judged:
    """The state that follows from the newest sample and the state before it."""
    rows = past.rows
    slow, fast = trend(rows, SLOW_H), trend(rows, FAST_H)
    if slow is None or fast is None:
        reach_h = (rows[-1].venue_ns - rows[0].venue_ns) / HOUR_NS if rows else 0.0
        return Judged(Macro.UNKNOWN, f"the history of {past.source} reaches {reach_h:.0f} of {SLOW_H} h")
    dwelt = not past.turned_ns or rows[-1].venue_ns - past.turned_ns >= DWELL_NS
    shark = past.macro is Macro.SHARK
    if dwelt and (ends(slow, fast) if shark else begins(slow, fast)):
        shark = not shark
    reason = f"dominance {slow.dominance:+.1f} pt, cap {slow.cap:+.1f} %, over {SLOW_H} h"
    return Judged(Macro.SHARK if shark else Macro.NEUTRAL, reason, slow, fast)


class MacroWatch:
    """Takes samples in and says when the state changes. What it knows is in the ledger, but for a doubted sample and
    the clock that nobody can set."""

    def __init__(self) -> None:
        self._doubted: MacroRow | None = None
        self._heard_mono_ns = 0
        self._judged: tuple[MacroPast, Judged] | None = None

    def sample(self, turn: Turn, event: MacroSample) -> None:
        """A source told something."""
        past = turn.ledger.macro
        last = past.rows[-1] if past.source == event.source and past.rows else None
        rows = []
        for row in event.rows:
            if self._believed(row, last):
                rows.append(row)
                last = row
        if not rows:
            return
        if past.source and past.source != event.source:
            text = f"the source is {event.source} now, was {past.source}: a new history begins"
            turn.note(Level.WARN, "macro", text, "shield")
        self._heard_mono_ns = turn.mono_ns
        turn.record(MacroSeen(at_ns=turn.at_ns, source=event.source, rows=tuple(rows)))
        judged = judge(turn.ledger.macro)
        self._turn(turn, judged.macro, judged.reason, judged)

    def look(self, turn: Turn) -> None:
        """Call it often: when nothing new came for long, nobody knows any more."""
        past = turn.ledger.macro
        if past.macro is not Macro.UNKNOWN and self.state(past, turn.at_ns, turn.mono_ns) is Macro.UNKNOWN:
            self._turn(turn, Macro.UNKNOWN, stale(self.age_ns(past, turn.at_ns, turn.mono_ns)), None)

    def age_ns(self, past: MacroPast, at_ns: int, mono_ns: int) -> int:
        """Of the newest sample, by whichever clock says more."""
        by_mono_ns = mono_ns - self._heard_mono_ns if self._heard_mono_ns else 0
        return max(0, at_ns - past.received_ns, by_mono_ns)

    def state(self, past: MacroPast, at_ns: int, mono_ns: int) -> Macro:
        """What holds now."""
        return Macro.UNKNOWN if self.age_ns(past, at_ns, mono_ns) > STALE_NS else past.macro

    def judged(self, past: MacroPast) -> Judged:
        """What the samples say, for people; worked out once a sample."""
        if self._judged is None or self._judged[0] is not past:
            self._judged = past, judge(past)
        return self._judged[1]

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _believed(self, row: MacroRow, last: MacroRow | None) -> bool:
        if not (0.0 < row.dominance < 100.0 and row.cap > 0.0 and isfinite(row.cap)):
            return False
        if last is None:
            return True
        if row.venue_ns <= last.venue_ns:
            return False
        if _near(row, last) or (self._doubted is not None and _near(row, self._doubted)):
            self._doubted = None
            return True
        self._doubted = row
        return False

    def _turn(self, turn: Turn, macro: Macro, reason: str, judged: Judged | None) -> None:
        past = turn.ledger.macro
        if macro is past.macro:
            return
        turned_ns = past.turned_ns
        if Macro.SHARK in (macro, past.macro):
            turned_ns = past.rows[-1].venue_ns + max(0, turn.at_ns - past.received_ns)
        readings = () if judged is None else readings_of(judged)
        turn.record(MacroChanged(at_ns=turn.at_ns, macro=macro, reason=reason, turned_ns=turned_ns, readings=readings))
        level = Level.INFO if macro is Macro.NEUTRAL else Level.WARN
        turn.note(level, "macro", f"{past.macro} -> {macro}, {reason}", "shield")


def _near(row: MacroRow, other: MacroRow) -> bool:
    return abs(row.dominance - other.dominance) <= LEAP_DOMINANCE and abs(log(row.cap / other.cap)) <= LEAP_CAP * max(
        1.0, sqrt(abs(row.venue_ns - other.venue_ns) / (6 * HOUR_NS))
    )


def readings_of(judged: Judged) -> tuple[Reading, ...]:
    """The numbers of both windows, with what would begin SHARK."""
    return tuple(
        reading
        for each in (judged.slow, judged.fast)
        if each is not None
        for reading in (
            Reading(f"dominance {each.hours}h", each.dominance, unit="pt"),
            Reading(f"cap {each.hours}h", each.cap, unit="%"),
            Reading(f"dominance {each.hours}h, usual", each.dominance_z, ON_DOMINANCE),
            Reading(f"cap {each.hours}h, usual", each.cap_z, ON_CAP),
        )
    )


def stale(age_ns: int) -> str:
    return f"no new sample for {age_ns // MINUTE_NS} min"
