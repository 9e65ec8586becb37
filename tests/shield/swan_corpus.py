"""Seeded tapes with everything that has ever fooled a crash detector, and the clean price behind each."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nexus_engine.model.config import RiskConfig, ShieldConfig
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.turn import Turn
from nexus_engine.shield.manager import Shield

SYMBOL = "BTCUSDT"
SECOND_NS = 1_000_000_000
START_NS = 1_760_000_000 * SECOND_NS
SIGMA_S = 1.1e-4
"""Volatility of a second: about 60 % a year."""
GARBAGE = (0.01, 10.0, 100.0, 0.0, -1.0, float("nan"), float("inf"), 0.45, 0.93, 1.07, 2.5)
Array = NDArray[np.float64]


class Desk:
    """A Shield with its ledger and a clock, to show prices to."""

    def __init__(self, shield: ShieldConfig | None = None, risk: RiskConfig | None = None) -> None:
        self.ledger = Ledger()
        self.shield = Shield(shield or ShieldConfig(), risk or RiskConfig())
        self.effects: list[Any] = []

    def turn(self, venue_ns: int, mono_ns: int | None = None) -> Turn:
        turn = Turn(self.ledger, at_ns=venue_ns, mono_ns=venue_ns if mono_ns is None else mono_ns, market_ns=venue_ns)
        turn.effects = self.effects
        return turn

    def show(self, source: str, price: float, venue_ns: int, mono_ns: int | None = None) -> bool:
        return self.shield.price(self.turn(venue_ns, mono_ns), SYMBOL, source, price, venue_ns)

    def trips(self, tape: Iterable[tuple[int, str, float]]) -> list[int]:
        """The venue times at which a tape trips."""
        turn, price = self.turn(START_NS), self.shield.price
        found = []
        for venue_ns, source, value in tape:
            turn.at_ns = turn.mono_ns = turn.market_ns = venue_ns
            if price(turn, SYMBOL, source, value, venue_ns):
                found.append(venue_ns)
        return found


@dataclass(frozen=True)
class Tape:
    """Trades at `rate` a second and a mark each second. `clean` is the true price at each trade."""

    rate: int
    clean: Array
    trades: Array
    marks: Array
    heard: NDArray[np.bool_]
    """False where the feed was silent."""

    def __iter__(self) -> Iterator[tuple[int, str, float]]:
        step_ns = SECOND_NS // self.rate
        trades, marks, heard = self.trades.tolist(), self.marks.tolist(), self.heard.tolist()
        for at, price in enumerate(trades):
            if not heard[at]:
                continue
            venue_ns = START_NS + at * step_ns
            if at % self.rate == 0:
                yield venue_ns, "mark", marks[at // self.rate]
            yield venue_ns, "trade", price

    def true_drop_pct(self, window_min: int = 15) -> Array:
        """How far the clean price is under its high of the window, at each trade."""
        size = window_min * 60 * self.rate
        padded = np.concatenate([np.full(size - 1, -np.inf), self.clean])
        # Highest of blocks, from the left and from the right: the maximum of any window is the higher of two of them.
        blocks = np.concatenate([padded, np.full(-len(padded) % size, -np.inf)]).reshape(-1, size)
        left = np.maximum.accumulate(blocks, axis=1).ravel()
        right = np.maximum.accumulate(blocks[:, ::-1], axis=1)[:, ::-1].ravel()
        ends = np.arange(size - 1, size - 1 + len(self.clean))
        highs = np.maximum(left[ends], right[ends - size + 1])
        return (1.0 - self.clean / highs) * 100.0

    def truth_ns(self, drop_pct: float = 4.0) -> int:
        """When the clean price was first that far under its high."""
        return START_NS + int(np.argmax(self.true_drop_pct() >= drop_pct)) * SECOND_NS // self.rate


def quiet(seed: int, rate: int = 2, hours: float = 1.0) -> Tape:
    """No crash, but everything that looks like one: garbage, wicks, spikes and returns, gaps, a slow bleed."""
    rng = np.random.default_rng(seed)
    bleed_per_s = rng.choice([0.0, -0.05 / 10_800, -0.06 / 7_200])
    path = _walk(rng, int(hours * 3600 * rate), rate, bleed_per_s)
    return _soil(rng, path, rate, dips=6, gaps=2)


def crash(seed: int, rate: int = 2) -> Tape:
    """Twenty minutes, then a true fall of 5 to 12 % within 30 s to 5 min, then a bounce; garbage all over it."""
    rng = np.random.default_rng(seed)
    path = _walk(rng, 40 * 60 * rate, rate, 0.0)
    depth, length_s, at_s = rng.uniform(0.05, 0.12), rng.uniform(30, 300), rng.uniform(1_150, 1_250)
    seconds = np.arange(len(path)) / rate
    fall = np.interp(seconds, [at_s, at_s + length_s, at_s + length_s + 900], [0.0, depth, depth * 0.6])
    return _soil(rng, path * (1.0 - fall), rate, dips=0, gaps=0)


def _walk(rng: np.random.Generator, ticks: int, rate: int, drift_per_s: float) -> Array:
    calm = np.repeat(rng.uniform(0.4, 1.6, ticks // (60 * rate) + 1), 60 * rate)[:ticks]
    steps = rng.normal(drift_per_s / rate, SIGMA_S / np.sqrt(rate), ticks) * calm
    return np.asarray(60_000.0 * np.exp(np.cumsum(steps)))


def _soil(rng: np.random.Generator, clean: Array, rate: int, *, dips: int, gaps: int) -> Tape:
    trades = clean * (1.0 + rng.normal(0, 2e-5, len(clean)))
    marks = clean[::rate] * (1.0 + rng.normal(0, 5e-5, len(clean[::rate])))
    heard = np.ones(len(clean), dtype=bool)
    for _ in range(dips):
        # One venue's wick or spike: the mark knows nothing of it. As long as forty ticks, twice the whole protocol.
        at, length = int(rng.integers(0, len(clean) - 50)), int(rng.integers(2, 41))
        trades[at : at + length] *= 1.0 + rng.choice([-1.0, 1.0]) * rng.uniform(0.045, 0.09)
    for _ in range(gaps):
        at, length = int(rng.integers(0, len(clean) - 120 * rate)), int(rng.integers(4, 60)) * rate
        heard[at : at + length] = False
    for prices, singles in ((trades, 40), (marks, 4)):
        for at in rng.integers(0, len(prices) - 3, singles):
            _spoil(rng, prices, int(at))
    return Tape(rate=rate, clean=clean, trades=trades, marks=marks, heard=heard)


def _spoil(rng: np.random.Generator, prices: Array, at: int) -> None:
    length = 1 if rng.random() < 0.8 else 3
    prices[at : at + length] = 60_000.0 * GARBAGE[int(rng.integers(len(GARBAGE)))]


def disordered(tape: Tape, seed: int) -> Iterator[tuple[int, str, float]]:
    """The same with another symbol's prices under this name, duplicates, and neighbours that have changed places."""
    rng = np.random.default_rng((seed, 1))
    held: tuple[int, str, float] | None = None
    chances = iter(rng.random(len(tape.trades) * 2 + 2).tolist())
    for event in tape:
        chance = next(chances)
        if chance < 0.01:
            yield event[0], event[1], event[2] / 28.0
        if chance > 0.99:
            yield event
        if held is not None:
            yield event
            yield held
            held = None
        elif 0.5 < chance < 0.51:
            held = event
        else:
            yield event
    if held is not None:
        yield held


def naive_trips(tape: Tape) -> bool:
    """The rule that everybody writes first: the last tick against the highest tick of five minutes."""
    window = 5 * 60 * tape.rate
    prices = np.where(np.isfinite(tape.trades), tape.trades, tape.clean)
    return any(prices[at] <= prices[max(0, at - window) : at + 1].max() * 0.96 for at in range(len(prices)))


def flat(
    desk: Desk, source: str, price: Callable[[int], float], ticks: int, since: int = 0, rate: int = 10
) -> list[int]:
    """Show `ticks` prices at `rate` a second, from tick number `since` on. Returns the numbers of the trips."""
    step_ns = SECOND_NS // rate
    return [at for at in range(since, since + ticks) if desk.show(source, price(at), START_NS + at * step_ns)]
