"""The generated crashes of a drill, as a table: a course of Bitcoin, and what goes wrong with it. Their names and what
they are stand in `model.drills`."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec
import numpy as np

from nexus_engine.lab.bars import SECOND_NS, Floats
from nexus_engine.sim.faults import Fault
from nexus_engine.sim.played import Ticks

START_NS: Final = 1_767_225_600 * SECOND_NS
LEAD_S: Final = 70 * 60
"""Before the tape: longer than the longest window."""
BETA: Final = 1.3
"""Log return of an alt for one of the leader. No lag."""
SIGMA_S: Final = 6e-5
OPENING: Final[Mapping[str, float]] = MappingProxyType(
    {
        "BTCUSDT": 96_000.0, "ETHUSDT": 3_400.0, "SOLUSDT": 148.0, "ADAUSDT": 0.81, "DOGEUSDT": 0.162,
        "XRPUSDT": 2.2, "LINKUSDT": 17.0, "AVAXUSDT": 31.0,
    }
)  # fmt: skip


class Crash(msgspec.Struct, frozen=True, kw_only=True):
    """`course`: (minute, percent from the start), straight lines between. `speed`: market seconds a second, slow where
    what goes wrong lasts in real time. `faults` are given the real second at which the fall begins."""

    course: tuple[tuple[float, float], ...]
    trips: bool
    """Whether the Sentinel must trip; else it must not."""
    speed: float = 30.0
    spike: tuple[float, float, float] | None = None
    """(minute, seconds, percent) of a move of the leader's last price that its mark knows nothing of."""
    alt_wick: tuple[float, float, float] | None = None
    """The same of one alt that is held long."""
    faults: Callable[[float], tuple[Fault, ...]] = lambda fall_s: ()

    @property
    def minutes(self) -> float:
        return self.course[-1][0]


def _garbage(_: float) -> tuple[Fault, ...]:
    spoiled = ("960.0", "960000.0", "0", "NaN", "43000.0")
    prices = tuple(
        Fault(
            on="stream /market", kind="edit", match={"e": "aggTrade", "s": "BTCUSDT"}, edit={"p": price}, count=0,
            probability=0.03, seed=seed,
        )
        for seed, price in enumerate(spoiled)
    )  # fmt: skip
    return (
        *prices,
        Fault(on="stream /market", kind="edit", match={"e": "aggTrade", "s": "SOLUSDT"}, edit={"s": "BTCUSDT"}, count=0,
              probability=0.05, seed=7),
        Fault(on="stream /market", kind="duplicate", match={"e": "aggTrade"}, count=0, probability=0.05, seed=8),
        Fault(on="stream /market", kind="reorder", match={"e": "aggTrade"}, count=0, probability=0.05, seed=9),
    )  # fmt: skip


def _blind(fall_s: float) -> tuple[Fault, ...]:
    return (Fault(on="stream /market", kind="mute", at_s=fall_s + 4.0, for_s=6.0),)


def _overload(_: float) -> tuple[Fault, ...]:
    overloaded = Fault(
        on="POST /fapi/v1/order", kind="refuse", code=-1008, msg="Request throttled by system-level protection.",
        match={"reduceOnly": "true"}, count=0, probability=0.5, seed=3,
    )  # fmt: skip
    unavailable = Fault(
        on="POST /fapi/v1/order", kind="unavailable", match={"reduceOnly": "true"}, count=0, probability=0.4, seed=4
    )
    return overloaded, unavailable


_FALL: Final = ((0, 0), (5, 0), (10, -5), (16, -4.2))

CRASHES: Final[Mapping[str, Crash]] = MappingProxyType(
    {
        "slow-bleed": Crash(
            course=((0, 0), (5, 0), (95, -5), (100, -5)), trips=False, speed=120.0,
        ),
        "five-in-five": Crash(course=_FALL, trips=True),
        "fifteen-and-back": Crash(
            course=((0, 0), (5, 0), (20, -15), (24, -13), (40, -3)), trips=True, speed=60.0,
        ),
        "garbage-ticks": Crash(
            course=((0, 0), (12, -0.5)), trips=False, faults=_garbage,
        ),
        "garbage-crash": Crash(
            course=_FALL, trips=True, faults=_garbage,
        ),
        "spike-and-return": Crash(
            course=((0, 0), (15, 0)), trips=False, spike=(5, 20, 8.0),
        ),
        "blind-in-the-middle": Crash(
            course=((0, 0), (2, 0), (4, -6), (9, -6)), trips=True, speed=12.0, faults=_blind,
        ),
        "venue-overload": Crash(
            course=_FALL, trips=True,
            faults=_overload,
        ),
        "alt-wick": Crash(
            course=((0, 0), (10, 0)), trips=False, alt_wick=(5, 3, -80.0),
        ),
    }
)  # fmt: skip


def tape(crash: Crash, leader: str, alts: tuple[str, ...], seed: int = 1) -> tuple[dict[str, Ticks], int, int]:
    """The ticks of all contracts, a second apart; when the tape begins, and when it ends (market ns)."""
    count = LEAD_S + int(crash.minutes * 60)
    seconds = np.arange(count) - LEAD_S
    minutes, percents = zip(*crash.course, strict=True)
    rng = np.random.default_rng(seed)
    noise = np.cumsum(rng.normal(0, SIGMA_S, count) - 0.0)
    # What wanders comes back, so that the course is what was asked for.
    noise -= np.interp(seconds, seconds[:: max(1, count // 40)], noise[:: max(1, count // 40)])
    path = np.log1p(np.interp(seconds, np.array(minutes) * 60, np.array(percents) / 100)) + noise
    times = (START_NS + (seconds + LEAD_S) * SECOND_NS).tolist()
    found = {leader: Ticks(times, *_with(path, OPENING.get(leader, 100.0), seconds, crash.spike))}
    for place, alt in enumerate(alts):
        own = np.random.default_rng((seed, place)).normal(0, SIGMA_S, count)
        # One that is held long: the first.
        wick = crash.alt_wick if place == 0 else None
        found[alt] = Ticks(times, *_with(BETA * path + own, OPENING.get(alt, 10.0), seconds, wick))
    return found, START_NS + LEAD_S * SECOND_NS, START_NS + count * SECOND_NS


def _with(
    path: Floats, opening: float, seconds: np.ndarray, wick: tuple[float, float, float] | None
) -> tuple[list[float], list[float] | None]:
    prices = opening * np.exp(path)
    if wick is None:
        return prices.tolist(), None
    minute, length_s, percent = wick
    inside = (seconds >= minute * 60) & (seconds < minute * 60 + length_s)
    return np.where(inside, prices * (1 + percent / 100), prices).tolist(), prices.tolist()
