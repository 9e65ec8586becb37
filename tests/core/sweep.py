"""Many small worlds in which a fifth of everything fails. `python tests/core/sweep.py FIRST COUNT SECONDS`
hunts, with the repository on PYTHONPATH; the suite runs a few.

Prints what broke, by seed, and how fast it went.
"""

import asyncio
import sys
import time
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from checker import Checker
from faulty import Rates
from virtual_loop import run_virtual
from world import BTC, SOL, World

from nexus_engine.model.commands import ClosePosition, Flatten
from nexus_engine.model.words import Mode, Side

RATES = Rates(calls=0.2, events=0.2)
CALM_S = 16.0
"""After the last fault: two looks ten seconds apart prove an order absent."""


class Result:
    """Of one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.found: list[str] = []
        self.naked_s: list[float] = []
        self.entries = self.closed = self.lives = 0


async def one(seed: int, seconds: float, rates: Rates = RATES) -> Result:
    """A world of its own: wishes, commands, kills and a walking market by the seed."""
    rng = Random(f"{seed}:story")
    world = World(seed, mode=Mode.PILOT, swing=rng.choice((0.0003, 0.0008, 0.0015)))
    checker = Checker(world)
    world.start()
    await world.run(1.0)
    looking = asyncio.get_running_loop().create_task(checker.run())
    world.rates = world.wire.rates = rates
    world.tape.lots = {SOL: rng.choice((300, 2_000, 1_000_000)), BTC: rng.choice((20, 1_000_000))}
    until_s = world.s + seconds
    while world.s < until_s:
        await act(world, rng)
        await world.run(rng.uniform(0.2, 6.0))
        if world.crashed.is_set():
            await again(world, rng)
    world.rates = world.wire.rates = Rates()
    world.kill_at = None
    if world.wire.dead:
        await again(world, rng)
    world.tape.swing = 0.0
    world.wishes.queue.clear()
    await world.run(CALM_S)
    looking.cancel()
    result = Result(seed)
    result.found = checker.end()
    result.naked_s, result.entries = checker.naked_s, checker.entries
    result.closed, result.lives = len(world.ledger.closed), world.lives
    await world.kill()
    return result


async def act(world: World, rng: Random) -> None:
    symbol = rng.choice((SOL, BTC))
    chance = rng.random()
    if chance < 0.6:
        side = rng.choice((Side.BUY, Side.SELL))
        stop_pct = rng.uniform(0.15, 1.5)
        limit_pct = rng.choice((0.05, 0.0, -0.05))
        world.wish(symbol, side, stop_pct=stop_pct, target_pct=stop_pct * rng.uniform(0.5, 2.0), limit_pct=limit_pct)
    elif chance < 0.75:
        world.command(ClosePosition(symbol=symbol, half=rng.random() < 0.5))
    elif chance < 0.78:
        world.command(Flatten(word="flat"))
    elif chance < 0.86:
        await world.kill()
        await again(world, rng)
    elif chance < 0.9:
        what, when = rng.choice(("commit", "call")), rng.choice(("before", "after"))
        world.kill_at = (what, when, world.passed(what, when) + rng.randrange(1, 6))


async def again(world: World, rng: Random) -> None:
    """The next life, some time later."""
    if not world.wire.dead or world.crashed.is_set():
        await world.kill()
    world.kill_at = None
    await world.run(rng.uniform(0.1, 3.0))
    world.start()


def sweep(seeds: range, seconds: float, rates: Rates = RATES) -> list[Result]:
    return [run_virtual(one(seed, seconds, rates)) for seed in seeds]


def main() -> None:
    first, count, seconds = (*map(int, sys.argv[1:]), *(0, 60, 120)[len(sys.argv) - 1 :])
    begun_s = time.perf_counter()
    results = sweep(range(first, first + count), seconds)
    spent_s = time.perf_counter() - begun_s
    for result in results:
        for line in result.found:
            print(f"seed {result.seed}: {line}")
    naked_s = sorted(s for result in results for s in result.naked_s)
    broken = sum(bool(result.found) for result in results)
    print(
        f"{count} seeds of {seconds} s in {spent_s:.1f} s ({count / spent_s:.1f} seeds/s): {broken} broken; "
        f"{sum(r.entries for r in results)} entries, {sum(r.closed for r in results)} trades closed, "
        f"{sum(r.lives for r in results)} lives; naked p50 {naked_s[len(naked_s) // 2]:.2f} s, "
        f"p99 {naked_s[len(naked_s) * 99 // 100]:.2f} s, worst {naked_s[-1]:.2f} s"
    )


if __name__ == "__main__":
    main()
