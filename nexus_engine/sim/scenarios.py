"""What a generated market may be asked to play, as a table, and the script of a dislocation."""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from random import Random
from types import MappingProxyType

import msgspec

from nexus_engine.sim.bars import INTERVALS, MINUTE_NS, SECOND_NS

BAR_NS = INTERVALS["5m"]
_LEAD_NS = 45 * SECOND_NS  # what is left of the bar in progress when an aligned market starts

# A dislocation closes below 0.985 x the lower Bollinger band (20 bars, 2 population deviations).
BAND_BARS = 20
_BAND_WIDTH = 2.0
_BAND_FACTOR = 0.985
_RECOVERS = 0.72  # share of dislocations that return to the mean, before those that must


class Scenario(msgspec.Struct, frozen=True):
    """`dislocations`: (minute of the cycle at which the falling bar opens, symbol). Minute 0 of the first cycle is
    the last whole bar before the market starts.
    """

    summary: str
    dislocations: tuple[tuple[int, str], ...] = ()
    cycle_min: int = 0


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
