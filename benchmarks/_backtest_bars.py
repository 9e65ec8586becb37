"""One-minute bars from a seed: a geometric walk whose volatility clusters, with gaps between the bars."""

from pathlib import Path

import numpy as np
from _backtest_rules import DIGITS, TICK, Bars

STEPS = 8  # a bar's high and low come from a walk inside it
MINUTE_VOL = 0.0008  # 58 % a year
VOL_MEMORY, VOL_OF_VOL = 0.999, 0.03
JUMPS, JUMP_VOL = 1 / 1_000, 0.01  # a bar now and then opens beyond where a stop would stand
FIRST_PRICE = 40_000.0


def generate(count: int, seed: int) -> Bars:
    """`count` bars. An open is a tick or two beside the close before it, and after a jump somewhere else."""
    rng = np.random.Generator(np.random.PCG64(seed))
    level, levels = 0.0, np.empty(count)
    for at, shock in enumerate(rng.normal(0.0, VOL_OF_VOL, count)):
        level = VOL_MEMORY * level + shock
        levels[at] = level
    vol = MINUTE_VOL * np.exp(levels)
    steps = rng.normal(0.0, 1.0, (count, STEPS)) * (vol / np.sqrt(STEPS))[:, None]
    jumps = rng.normal(0.0, JUMP_VOL, count) * (rng.random(count) < JUMPS)
    beside = rng.integers(-2, 3, count)
    inside = np.cumsum(steps, axis=1)
    ends = np.cumsum(jumps + inside[:, -1])
    begins = ends - inside[:, -1]

    def ticks(logs: np.ndarray) -> np.ndarray:
        return np.rint(FIRST_PRICE * np.exp(logs) / TICK)

    close, opened = ticks(ends), ticks(begins) + beside
    high = np.maximum(ticks(begins + np.maximum(inside.max(axis=1), 0.0)), np.maximum(opened, close))
    low = np.minimum(ticks(begins + np.minimum(inside.min(axis=1), 0.0)), np.minimum(opened, close))
    volume = np.round(rng.lognormal(2.0, 0.8, count) * (1 + vol / MINUTE_VOL), 3)
    prices = (np.round(column * TICK, DIGITS) for column in (opened, high, low, close))
    return Bars(f"S{seed}", *prices, volume)


def write(folder: Path, count: int, symbols: int) -> None:
    """What `_backtest_rules.load` reads; symbol n is made from seed n."""
    for number in range(symbols):
        np.save(folder / f"{number}.npy", np.stack(generate(count, number)[1:]))
