"""The order book of a generated symbol: one ladder a side, re-formed around a touch that the price path decides.

A ladder works in depth keys, `key = sign * ticks` with sign +1 for asks and -1 for bids, so that on both sides
the best level has the smallest key and the same code serves both.
"""

import math
from collections.abc import Sequence
from random import Random

import msgspec

from nexus_engine.sim.specs import Character

REFILL_NS = (300_000_000, 1_300_000_000)  # liquidity that a client took comes back between these
_FLICKER_NS = 12_000_000  # one level of a side is re-drawn for each of these
_FLICKER_MAX = 30
_DRAWS = 1024  # size of the tables of random draws; a power of two
_SLACK = 60  # ticks the far end may lag behind, so that a price that comes and goes does not churn it

Levels = list[tuple[int, int]]


class Book(msgspec.Struct, frozen=True):
    """Levels as (price in ticks, quantity in lots), best first on both sides."""

    bids: Levels
    asks: Levels


class Shape(msgspec.Struct, frozen=True):
    """How much rests at which distance; drawn once a symbol, shared by its two sides."""

    density: float
    round_ticks: int
    span: int
    growth: list[float]  # by distance from the touch in ticks: mean lots of a level
    noise: list[float]  # lognormal factors, mean about 1
    reach: list[int]  # distances at which a level flickers, mostly near the touch


def shape(character: Character, lots_per_usd: float, rng: Random) -> Shape:
    """Depth that grows away from the touch, with two humps."""
    span = character.span
    touch = character.touch_usd * lots_per_usd
    humps = [(rng.uniform(0.08, 0.2) * span, 0.9), (rng.uniform(0.4, 0.7) * span, 1.6)]

    def mean(distance: int) -> float:
        grown = 1.0 + 2.2 * math.sqrt(distance / span)
        return touch * (grown + sum(h * math.exp(-(((distance - at) / (0.06 * span)) ** 2)) for at, h in humps))

    return Shape(
        density=character.density,
        round_ticks=character.round_ticks,
        span=span,
        growth=[mean(d) for d in range(span + _SLACK + 1)],
        noise=[rng.lognormvariate(-0.25, 0.7) for _ in range(_DRAWS)],
        reach=[min(span - 1, 1 + int(rng.expovariate(8.0 / span))) for _ in range(_DRAWS)],
    )


class Ladder:
    """One side of a book.

    Keys below `front` hold nothing; keys in [front, back) hold a level with the shape's density, and always at
    `front` and at round prices. Keys in `thin` were taken by a client and stay as they are until their time.
    """

    __slots__ = ("_back", "_before", "_formed_depth", "_front", "_levels", "_rng", "_shape", "_thin", "depth", "sign")

    def __init__(self, sign: int, touch_ticks: int, form: Shape, rng: Random) -> None:
        self.sign = sign
        self._shape = form
        self._rng = rng
        self._levels: dict[int, int] = {}
        self._before: dict[int, int] = {}  # quantity at the last drain, of every key touched since
        self._thin: dict[int, int] = {}
        self.depth = self._formed_depth = 1.0  # factor on what rests here, as wanted and as it is
        self._front = self._back = sign * touch_ticks
        self._reach_to(self._front)
        self._before.clear()

    def reform(self, touch_ticks: int, now_ns: int, dt_ns: int) -> None:
        """Move the touch, refill what is due, and re-draw some levels, `dt_ns` after the last time."""
        front = self.sign * touch_ticks
        if self.depth != self._formed_depth:
            self._scale(self.depth / self._formed_depth)
            self._formed_depth = self.depth
        for key in [key for key, ready_ns in self._thin.items() if ready_ns <= now_ns or key < front]:
            del self._thin[key]
            if front <= key < self._back:
                self._put(key, self._size(key, front))
        self._reach_to(front)
        reach, getrandbits = self._shape.reach, self._rng.getrandbits
        for _ in range(min(_FLICKER_MAX, int(dt_ns / _FLICKER_NS + self._rng.random()))):
            key = front + reach[getrandbits(10)]
            if key not in self._thin:
                self._put(key, self._size(key, front) if self._holds(key) else 0)

    def take(self, lots: int, limit_ticks: int | None, now_ns: int) -> Levels:
        """Remove up to `lots` at `limit_ticks` or better; returns what was taken, best first."""
        taken: Levels = []
        for key in sorted(self._levels):
            if lots == 0 or (limit_ticks is not None and key > self.sign * limit_ticks):
                break
            held = self._levels[key]
            part = min(held, lots)
            lots -= part
            taken.append((self.sign * key, part))
            self._put(key, held - part)
            self._thin[key] = now_ns + self._rng.randint(*REFILL_NS)
        return taken

    def levels(self, depth: int | None = None) -> Levels:
        """Levels best first, all of them or the best `depth`."""
        sign, levels = self.sign, self._levels
        if depth is None:
            return [(sign * key, levels[key]) for key in sorted(levels)]
        out: Levels = []
        for key in range(self._front, self._back):
            if key in levels:
                out.append((sign * key, levels[key]))
                if len(out) == depth:
                    break
        return out

    def drain(self) -> Levels:
        """Levels whose quantity differs from that at the last drain; 0 lots = gone."""
        sign, levels = self.sign, self._levels
        changed = [(sign * key, levels.get(key, 0)) for key, lots in self._before.items() if levels.get(key, 0) != lots]
        self._before.clear()
        return changed

    def _reach_to(self, front: int) -> None:
        """Keep levels exactly in [front, back), with back at least the span away and at most a slack more."""
        if abs(front - self._front) > self._shape.span:
            for key in list(self._levels):
                self._put(key, 0)
            self._thin.clear()
            self._front = self._back = front
        for key in range(self._front, front):
            self._put(key, 0)
        self._fill(front + 1, self._front, front)
        if front not in self._thin:
            self._put(front, self._size(front, front))
        self._front = front
        nearest = front + self._shape.span
        if self._back < nearest:
            self._fill(max(self._back, front + 1), nearest, front)
            self._back = nearest
        elif self._back > nearest + _SLACK:
            for key in range(nearest + _SLACK, self._back):
                self._put(key, 0)
            self._back = nearest + _SLACK

    def _fill(self, start: int, stop: int, front: int) -> None:
        for key in range(start, stop):
            if key not in self._thin and self._holds(key):
                self._put(key, self._size(key, front))

    def _holds(self, key: int) -> bool:
        return self._rng.random() < self._shape.density or key % self._shape.round_ticks == 0

    def _size(self, key: int, front: int) -> int:
        form = self._shape
        lots = form.growth[min(key - front, form.span)] * form.noise[self._rng.getrandbits(10)]
        if key % form.round_ticks == 0:
            lots *= 4.0
        return max(1, int(lots * self._formed_depth))

    def _scale(self, factor: float) -> None:
        for key, lots in list(self._levels.items()):
            if key not in self._thin:
                self._put(key, max(1, int(lots * factor)))

    def _put(self, key: int, lots: int) -> None:
        old = self._levels.get(key, 0)
        if old == lots:
            return
        self._before.setdefault(key, old)
        if lots:
            self._levels[key] = lots
        else:
            del self._levels[key]


def walked(
    levels: Sequence[tuple[int, int]], side_buy: bool, qty_lots: int, limit_ticks: int | None
) -> list[tuple[int, int]]:
    """What an order takes of levels that nobody fills up again, best first: (ticks, lots)."""
    fills: Levels = []
    for ticks, lots in levels:
        beyond = limit_ticks is not None and (ticks > limit_ticks if side_buy else ticks < limit_ticks)
        if not qty_lots or beyond:
            break
        fills.append((ticks, min(lots, qty_lots)))
        qty_lots -= fills[-1][1]
    return fills
