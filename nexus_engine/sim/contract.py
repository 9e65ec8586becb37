"""One contract of the generated market: its price path, its trades, its books and its bars."""

import math
from collections import deque
from random import Random

import msgspec

from nexus_engine.sim.bars import INTERVALS, MINUTE_NS, SECOND_NS, Candles
from nexus_engine.sim.book import Ladder, shape
from nexus_engine.sim.past import Past
from nexus_engine.sim.scenarios import BAND_BARS, BAR_NS, Leg, Plan, aftermath, fall
from nexus_engine.sim.specs import CHARACTERS, SPECS

_HOME_NS = 3 * INTERVALS["1h"]  # a mean that a fall has moved comes home with this time constant
_HOME_REACH = 0.04  # how far home may lie from the first mean: kept prices find back over several starts, unnoticed
_STAYED_LOW = 0.02
_PREMIUM_NS = 2 * INTERVALS["1h"]
_PREMIUM_MEAN, _PREMIUM_SPREAD = 1e-4, 2.5e-4
_BASIS_NS = 30 * SECOND_NS
_PRINTS_MAX = 24  # in one step; a long step has larger prints instead of more
_PRINTS_KEPT = 20_000  # an undrained queue forgets its oldest
_SIZES = 512  # a power of two


class Step(msgspec.Struct, frozen=True, gc=False):
    """What one step of time means to every contract."""

    start_ns: int
    end_ns: int
    dt_ns: int
    factor: float  # the common shock, standard normal
    heat: float  # factor on volatility and activity
    decay: float  # share of the distance from the mean that is left
    swing: float  # deviation of a reverting path over the step, for a 5-minute volatility of 1
    scale: float  # the same for a free path


class Print(msgspec.Struct, frozen=True, gc=False):
    """A public trade; `at_ns` is market time."""

    price_ticks: int
    qty_lots: int
    buyer_is_maker: bool
    at_ns: int


class Contract:
    """The state of one symbol. `path`, `mean` and `home` are log prices relative to the opening."""

    __slots__ = (
        "asks",
        "basis",
        "bids",
        "candles",
        "carried",
        "change",
        "character",
        "fair",
        "formed_ns",
        "home",
        "last_lots",
        "last_ticks",
        "legs",
        "mean",
        "opening_ticks",
        "path",
        "premium",
        "prints",
        "rng",
        "sizes",
        "spread",
        "spread_factor",
        "touch",
    )

    def __init__(
        self, index: int, symbol: str, opening: float, past: Past, start_ns: int, seed: int, *, drifts: bool = False
    ) -> None:
        """`drifts`: a course carries the market, so no price has a home to go back to."""
        spec, self.character = SPECS[symbol], CHARACTERS[symbol]
        self.rng = Random(f"{seed}:{symbol}")
        self.opening_ticks = self.fair = opening * 10.0**spec.tick_digits
        self.path = 0.0
        self.mean = past.means[index]
        astray = math.log(self.character.opening / opening)
        self.home = self.mean + (0.0 if drifts else max(-_HOME_REACH, min(_HOME_REACH, astray)))
        self.carried = self.change = 0.0  # how far the course has brought it, and in this step
        self.legs: deque[Leg] = deque()
        self.premium = self.rng.gauss(_PREMIUM_MEAN, _PREMIUM_SPREAD)
        self.basis = 0.0
        self.spread = self.spread_factor = 1
        self.touch = math.floor(self.fair)  # the best bid, in ticks
        self.last_ticks, self.last_lots = round(self.fair), 1
        self.prints: deque[Print] = deque(maxlen=_PRINTS_KEPT)
        lots_per_usd = 10.0 ** (spec.tick_digits + spec.step_digits) / self.fair
        mean_lots = self.character.print_usd * lots_per_usd
        self.sizes: list[int] = [max(1, round(mean_lots * self.rng.lognormvariate(-0.72, 1.2))) for _ in range(_SIZES)]
        book_rng = Random(f"{seed}:{symbol}:book")
        form = shape(self.character, lots_per_usd, book_rng)
        self.bids = Ladder(-1, self.touch, form, book_rng)
        self.asks = Ladder(1, self.touch + 1, form, book_rng)
        self.formed_ns = start_ns
        self.candles = Candles(
            minute_ns=past.minute_ns,
            past={name: rows[index] for name, rows in past.rows.items()},
            partial={name: None if rows is None else rows[index] for name, rows in past.partial.items()},
            last_ticks=self.last_ticks,
            tick_digits=spec.tick_digits,
            step_digits=spec.step_digits,
        )

    def trade(self, ticks: int, lots: int, taker_buys: bool, at_ns: int) -> None:
        self.prints.append(Print(ticks, lots, not taker_buys, at_ns))
        self.candles.trade(ticks, lots, taker_buys)
        self.last_ticks = ticks
        self.last_lots = lots

    def carry(self, level: float, depth: float, spread_factor: int) -> None:
        """Go where the course is now, with books so deep and a spread so wide."""
        self.change = change = level - self.carried
        self.carried = level
        self.path += change
        self.mean += change
        self.home += change
        if spread_factor != self.spread_factor:
            self.spread = self.spread // self.spread_factor * spread_factor
            self.spread_factor = spread_factor
        self.bids.depth = self.asks.depth = depth

    def advance(self, step: Step) -> None:
        """Move the price over one step, within a minute, and let the trades of that time happen."""
        character, rng = self.character, self.rng
        shock = character.beta * step.factor + math.sqrt(1.0 - character.beta * character.beta) * rng.gauss(0.0, 1.0)
        noise = character.vol_5m * step.scale
        path, fair, busy = self.path - self.change, self.fair, step.heat
        if self.legs:
            busy *= self.legs[0].activity
            self._follow(step, noise * step.heat * shock)
        else:
            self.path = self.mean + (self.path - self.mean) * step.decay + character.vol_5m * step.swing * shock
        self.fair = self.opening_ticks * math.exp(self.path)
        if rng.random() * SECOND_NS < step.dt_ns:
            self.spread = rng.choice(character.spreads) * self.spread_factor
        self.touch = self._bid(self.fair)
        basis = self.touch + self.spread / 2.0 - self.index_ticks
        self.basis += (basis - self.basis) * min(1.0, step.dt_ns / _BASIS_NS)
        self._trade_through(fair, (self.path - path) / noise, busy, step)

    @property
    def index_ticks(self) -> float:
        """What the contract is worth without its premium, in ticks."""
        return self.fair * (1.0 - self.premium)

    def form_books(self, now_ns: int) -> None:
        """Bring both ladders to the present touch, once a moment."""
        dt_ns = now_ns - self.formed_ns
        if dt_ns:
            self.bids.reform(self.touch, now_ns, dt_ns)
            self.asks.reform(self.touch + self.spread, now_ns, dt_ns)
            self.formed_ns = now_ns

    def close_minute(self, end_ns: int) -> None:
        """The minute's last trade, at the price where it ended, and what moves slowly."""
        taker_buys = self.rng.random() < 0.5
        self.trade(self.touch + self.spread * taker_buys, self._size(), taker_buys, end_ns - 1)
        self.candles.close_minute()
        self.mean += (self.home - self.mean) * MINUTE_NS / _HOME_NS
        share = MINUTE_NS / _PREMIUM_NS
        self.premium += (_PREMIUM_MEAN - self.premium) * share
        self.premium += _PREMIUM_SPREAD * math.sqrt(2.0 * share) * self.rng.gauss(0.0, 1.0)

    def begin_fall(self, plan: Plan, open_ns: int) -> None:
        """Fall in the 5-minute bar that opens now, and then go on as planned; never stay low twice in a row."""
        if self.home - self.mean > _STAYED_LOW:
            plan = msgspec.structs.replace(plan, recovers=True)
        closes = self.candles.closes("5m", BAND_BARS - 1)
        level = math.log(closes[-1] / self.candles.price(1) / self.opening_ticks)
        first = fall(plan, closes, open_ns, level)
        self.legs = aftermath(plan, first.target, self.mean, open_ns + BAR_NS)
        self.legs.appendleft(first)

    def _follow(self, step: Step, noise: float) -> None:
        """A Brownian bridge to the target of the leg; after the last leg the mean is where it ended."""
        leg = self.legs[0]
        if step.end_ns >= leg.end_ns:
            self.path = leg.target
            self.legs.popleft()
            if not self.legs:
                self.mean = leg.target
        else:
            share = step.dt_ns / (leg.end_ns - step.start_ns)
            self.path += (leg.target - self.path) * share + leg.noise * noise * math.sqrt(1.0 - share)

    def _bid(self, fair: float) -> int:
        return math.floor(fair - (self.spread - 1) / 2.0)

    def _size(self) -> int:
        return self.sizes[self.rng.getrandbits(9)]

    def _trade_through(self, before: float, move: float, busy: float, step: Step) -> None:
        """Poisson trades on the way from `before` to the fair price, more and on its side when it moved far."""
        rng, dt_ns, change = self.rng, step.dt_ns, self.fair - before
        expected = self.character.prints_per_s * busy * (0.6 + 0.5 * min(4.0, abs(move))) * dt_ns / SECOND_NS
        count = min(_PRINTS_MAX, _poisson(expected, rng))
        larger = max(1.0, expected / _PRINTS_MAX)
        buys = 0.5 + 0.35 * math.tanh(move)
        for i in range(count):
            share = (i + rng.random()) / count
            taker_buys = rng.random() < buys
            ticks = self._bid(before + change * share) + self.spread * taker_buys
            self.trade(ticks, int(self._size() * larger), taker_buys, step.start_ns + int(share * (dt_ns - 1)))


def _poisson(mean: float, rng: Random) -> int:
    """A Poisson number by Knuth's product; above the most that is used, that."""
    if mean > 2 * _PRINTS_MAX:
        return _PRINTS_MAX
    floor, product, count = math.exp(-mean), rng.random(), 0
    while product > floor:
        product *= rng.random()
        count += 1
    return count
