"""What a generated market may be asked to play, as a table, and the script of a dislocation."""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from random import Random
from types import MappingProxyType

import msgspec

from nexus_engine.sim.bars import INTERVALS, MINUTE_NS, SECOND_NS
from nexus_engine.sim.tide import Course, Phase

BAR_NS = INTERVALS["5m"]
_LEAD_NS = 45 * SECOND_NS  # what is left of the bar in progress when an aligned market starts

# A dislocation closes below 0.985 x the lower Bollinger band (20 bars, 2 population deviations).
BAND_BARS = 20
_BAND_WIDTH = 2.0
_BAND_FACTOR = 0.985
_RECOVERS = 0.72  # share of dislocations that return to the mean, before those that must


class Scenario(msgspec.Struct, frozen=True):
    """`course`: where the whole market goes, None for nowhere. `dislocations`: (minute of the cycle at which the
    falling bar opens, symbol). Minute 0 of the first cycle is the last whole bar before the market starts.
    """

    summary: str
    dislocations: tuple[tuple[int, str], ...] = ()
    cycle_min: int = 0
    course: Course | None = None


# Five hours of a trend: a straight way, with a pull-back that keeps the averages in order. The lead gives the regime
# its 24 hourly bars, so that a market that starts is in its trend already.
_TREND = ((240, 0.018, 0.024), (60, -0.0035, -0.005))
_TREND_LEAD_MIN = 30 * 60

_CRASH = Course(
    (
        Phase(10, 0.0, 0.0),
        Phase(1, -0.006, -0.008, heat=1.8, depth=0.5, spread=2),
        Phase(1.5, -0.025, -0.040, heat=2.5, depth=0.2, spread=4),
        Phase(1, -0.030, -0.050, heat=3.0, depth=0.1, spread=6),
        Phase(0.5, -0.004, -0.006, heat=3.0, depth=0.15, spread=4),
        Phase(2, 0.012, 0.020, heat=2.5, depth=0.25, spread=3),
        Phase(20, 0.026, 0.038, heat=1.6, depth=0.5, spread=2),
        Phase(64, 0.017, 0.028, heat=1.2, depth=0.8),
        Phase(80, 0.010, 0.018),
    ),
    sway=0.12,
    lag_s=12.0,
)
# Ten hours in which the alts lose against a Bitcoin that holds, six in which they regain half of it: for days, and
# four hours into the next loss.
_SANGRIA = Course((Phase(600, -0.004, -0.060), Phase(360, 0.002, 0.030)), lead_min=240 + 5 * 960, sway=0.1)

SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        "calm": Scenario("quiet and mean-reverting; no pattern"),
        # A symbol needs 22 bars between two of its own: while the lows of the last one are inside the 20 bars of the
        # band, no fall of a similar size gets below it.
        "range": Scenario(
            "quiet and mean-reverting, with sudden falls of single alts that mostly recover",
            dislocations=(
                (0, "SOLUSDT"),
                (10, "ADAUSDT"),
                (20, "LINKUSDT"),
                (30, "DOGEUSDT"),
                (50, "AVAXUSDT"),
                (70, "XRPUSDT"),
                (90, "ETHUSDT"),
            ),
            cycle_min=110,
        ),
        "trend-up": Scenario(
            "a steady rise of everything with shallow pull-backs, under way for more than a day",
            course=Course(tuple(Phase(*row) for row in _TREND), lead_min=_TREND_LEAD_MIN, sway=0.1),
        ),
        "trend-down": Scenario(
            "a steady fall of everything with shallow rallies, under way for more than a day",
            course=Course(
                tuple(Phase(minutes, -btc, -alts) for minutes, btc, alts in _TREND),
                lead_min=_TREND_LEAD_MIN,
                sway=0.1,
            ),
        ),
        "flash-crash": Scenario(
            "every three hours, the first after ten minutes: BTC 6 % down in four minutes, alts more, books thin, then "
            "a slow recovery",
            course=_CRASH,
        ),
        "sangria": Scenario("BTC holds while the alts bleed for hours: dominance up, total cap down", course=_SANGRIA),
    }
)


def scenario_named(name: str) -> Scenario:
    """The scenario of that name; ValueError lists the known ones."""
    if name not in SCENARIOS:
        raise ValueError(f"unknown scenario {name!r}; known: {', '.join(SCENARIOS)}")
    return SCENARIOS[name]


def aligned_start(real_now_ns: int) -> int:
    """The latest instant, not after `real_now_ns`, that lies 45 s before the end of a 5-minute bar."""
    return (real_now_ns + _LEAD_NS) // BAR_NS * BAR_NS - _LEAD_NS


class Leg(msgspec.Struct, frozen=True):
    """A stretch of a scripted path: be at `target` at `end_ns`. Levels are log prices relative to the opening."""

    end_ns: int
    target: float
    noise: float  # factor on the symbol's own volatility on the way
    activity: float  # factor on its rate of prints


def band_limit(closes: Sequence[float]) -> float:
    """The highest close that, after these 19, is still a dislocation (see the constants above).

    With c inside its own band the condition has no closed form worth reading; `c - limit(c)` grows with c, so bisect.
    """
    scale = closes[-1]
    past = [close / scale for close in closes]
    total, squares = sum(past), sum(close * close for close in past)
    low, high = 0.3, total / len(past)
    for _ in range(50):
        close = (low + high) / 2
        mean = (total + close) / BAND_BARS
        deviation = math.sqrt(max(0.0, (squares + close * close) / BAND_BARS - mean * mean))
        if close > _BAND_FACTOR * (mean - _BAND_WIDTH * deviation):
            high = close
        else:
            low = close
    return low * scale


class Plan(msgspec.Struct, frozen=True):
    """The drawn numbers of one dislocation. Changes are log returns."""

    margin: float  # how far below the limit the falling bar closes
    rebound: float  # bar B, which closes back up
    sideways: float  # bar C
    recovers: bool
    drift: float  # what it falls further when it does not recover


def draw_plan(rng: Random) -> Plan:
    return Plan(
        margin=rng.uniform(0.004, 0.007),
        rebound=rng.uniform(0.0035, 0.0055),
        sideways=rng.uniform(-0.0008, 0.0008),
        recovers=rng.random() < _RECOVERS,
        drift=rng.uniform(0.01, 0.02),
    )


def fall(plan: Plan, closes: Sequence[float], open_ns: int, level_of_last: float) -> Leg:
    """Bar A, opening at `open_ns` after these 19 closes, the last of which lies at `level_of_last`."""
    depth = math.log(band_limit(closes) / closes[-1]) - plan.margin
    return Leg(open_ns + BAR_NS, level_of_last + depth, 0.5, 2.5)


def aftermath(plan: Plan, low: float, level: float, close_ns: int) -> deque[Leg]:
    """Bars B to 9 after a fall that closed at `low` at `close_ns`, from a market whose mean was `level`."""
    up = low + plan.rebound
    side = up + plan.sideways
    legs = deque((Leg(close_ns + BAR_NS, up, 0.3, 1.6), Leg(close_ns + 2 * BAR_NS, side, 0.25, 1.0)))
    if plan.recovers:
        legs.append(Leg(close_ns + 4 * BAR_NS, side + 0.6 * (level - side), 0.5, 1.4))
        legs.append(Leg(close_ns + 8 * BAR_NS, level, 0.6, 1.1))
    else:
        legs.append(Leg(close_ns + 8 * BAR_NS, side - plan.drift, 0.6, 1.2))
    return legs


class Director:
    """Says which symbol's falling bar opens when, on the grid of 5-minute bars from the market's start.

    `first` is the symbol that fell in the last whole bar before the start, if any.
    """

    def __init__(self, scenario: Scenario, start_ns: int) -> None:
        self._at = dict(scenario.dislocations)
        self._cycle_ns = scenario.cycle_min * MINUTE_NS
        self._origin_ns = start_ns // BAR_NS * BAR_NS - BAR_NS
        self.first = self._at.get(0)

    def falling(self, open_ns: int) -> str | None:
        """The symbol whose falling bar opens at this 5-minute boundary, if any."""
        if not self._at:
            return None
        return self._at.get((open_ns - self._origin_ns) % self._cycle_ns // MINUTE_NS)
