"""From the trip of the black swan to the last long's exit on the wire: 20 positions, real adapter, loopback venue.

Ten longs and ten shorts are held; then BTC falls. Three times: in quiet, beside a burst of aggTrades that fills a core,
and while a fifth of all orders fail. An exit is on the wire when its first request is at the venue,
which is a process of its own.
"""

import argparse
import asyncio
import json
import sys
from typing import Any

ROUNDS = 5
LONGS, SHORTS = 10, 10
QUIET, BURST, FAILING = "quiet", "burst", "failing"
LIMITS_MS = {QUIET: 100.0, BURST: 100.0, FAILING: 500.0}


async def one(kind: str, seed: int) -> dict[str, Any]:
    """A fall, and what became of every position."""
    from nexus_engine.lab.crashes import CRASHES, tape
    from nexus_engine.lab.stage import Stage
    from nexus_engine.model.config import ShieldConfig
    from nexus_engine.model.words import Side
    from nexus_engine.sim.faults import Fault

    alts = tuple(f"ALT{number}USDT" for number in range(LONGS + SHORTS - 1))
    sides = {"BTCUSDT": Side.BUY} | {alt: Side.BUY if at < LONGS - 1 else Side.SELL for at, alt in enumerate(alts)}
    crash = CRASHES["five-in-five"]
    ticks, start_ns, end_ns = tape(crash, "BTCUSDT", alts, seed)
    faults: tuple[Fault, ...] = ()
    if kind == FAILING:
        faults = (Fault(on="POST /fapi/v1/order", kind="unavailable", count=0, probability=0.2, seed=seed),)
    if kind == BURST:
        # Each trade of the tape a hundred times over: more than a core can take.
        faults = (
            Fault(on="stream /market", kind="duplicate", match={"e": "aggTrade"}, count=0, copies=100, seed=seed),
        )
    stage = Stage(ticks, start_ns, shield=ShieldConfig(), sides=sides, speed=60.0, faults=faults, open_s=60.0)
    async with stage:
        played = await stage.play(end_ns - 5 * 60 * 10**9)
    (act,) = played.acts
    return {
        "longs": len(act.longs),
        "shorts": len(act.shorts),
        "sent_ms": [exit_.sent_ms for exit_ in act.longs.values()],
        "closed_ms": [exit_.filled_ms for exit_ in act.longs.values()],
        "attempts": sum(exit_.attempts for exit_ in act.longs.values()),
        "shorts_touched": played.shorts_touched,
        "opened": played.longs_opened_while_tripped,
        "struck": played.struck,
    }


def share(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, round(part * (len(values) - 1)))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--kind", choices=LIMITS_MS, help="only this one")
    given = parser.parse_args()
    rounds = given.rounds
    found: dict[str, Any] = {}
    good = True
    heads = ("longs", "shorts", "p50 ms", "p99 ms", "max ms", "closed max", "attempts", "touched", "opened")
    sys.stdout.write(" " * 10 + "".join(f"{head:>11}" for head in heads) + "\n")
    for kind, limit_ms in LIMITS_MS.items():
        if given.kind not in (None, kind):
            continue
        runs = [asyncio.run(one(kind, seed)) for seed in range(rounds)]
        sent = [ms for run in runs for ms in run["sent_ms"]]
        closed = [ms for run in runs for ms in run["closed_ms"]]
        whole = None not in sent and None not in closed and all(run["longs"] == LONGS for run in runs)
        touched, opened = (sum(run[name] for run in runs) for name in ("shorts_touched", "opened"))
        if not whole:
            sys.stdout.write(f"{kind:10} not every long was held, sent and closed: {runs}\n")
            good = False
            continue
        row = {
            "longs": len(sent), "shorts": sum(run["shorts"] for run in runs), "p50_ms": share(sent, 0.5),
            "p99_ms": share(sent, 0.99), "max_ms": max(sent), "closed_max_ms": max(closed),
            "attempts": sum(run["attempts"] for run in runs), "shorts_touched": touched, "longs_opened": opened,
            "struck": sum(run["struck"] for run in runs),
        }  # fmt: skip
        told = [value for name, value in row.items() if name != "struck"]
        cells = (f"{value:>11.1f}" if isinstance(value, float) else f"{value:>11}" for value in told)
        sys.stdout.write(f"{kind:10}{''.join(cells)}\n")
        sys.stdout.flush()
        good = good and row["p99_ms"] <= limit_ms and not touched and not opened
        found[kind] = row
    sys.stdout.write(json.dumps({"benchmark": "swan", **found}) + "\n")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
