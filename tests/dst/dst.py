"""`make dst SEEDS=10000`: simulated worlds by the thousand, one from each seed, on every core.

Prints what broke, by seed, how fast it went, and whether seeds told again, in another process with other hashes, are
the same to the last bit. `dst.py --seed N` tells one in full.
"""

import argparse
import gc
import json
import logging
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1])]

from loop import run_killing  # noqa: E402
from story import Result, tell  # noqa: E402

BATCH = 25
AGAIN = 20
"""Of the seeds, so many are told a second time in another process."""


def one(seed: int) -> Result:
    """Tell one seed. What breaks the world itself is found too."""
    try:
        return run_killing(tell(seed))
    except Exception as error:  # noqa: BLE001  whatever it is, the seed is what matters
        result = Result(seed)
        where = traceback.extract_tb(error.__traceback__)[-1]
        result.found = [f"the world broke: {error!r} at {Path(where.filename).name}:{where.lineno}"]
        return result


def batch(seeds: range) -> list[Result]:
    quiet()
    told = [one(seed) for seed in seeds]
    gc.collect()
    return told


def quiet() -> None:
    logging.disable(logging.CRITICAL)
    # a world is dropped whole; looking for its cycles while it lives costs a tenth of the time
    gc.disable()


def told(seeds: range, jobs: int) -> Iterator[Result]:
    batches = [seeds[at : at + BATCH] for at in range(0, len(seeds), BATCH)]
    if jobs == 1:
        quiet()
        for seed in seeds:
            yield one(seed)
            if not seed % BATCH:
                gc.collect()
        return
    with ProcessPoolExecutor(jobs) as pool:
        for results in pool.map(batch, batches):
            yield from results


def hashes(seeds: list[int], hash_seed: str) -> list[str]:
    """In a process of its own, whose strings hash otherwise."""
    words = [sys.executable, str(HERE / "dst.py"), "--hashes", *map(str, seeds)]
    run = subprocess.run(
        words, env=os.environ | {"PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True, timeout=600
    )
    return run.stdout.split()


def quantile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] if values else 0.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--stop", action="store_true", help="end with the first that breaks")
    parser.add_argument("--seed", type=int, help="tell this one, with its notes")
    parser.add_argument("--hashes", type=int, nargs="*", help="print the hashes of these")
    args = parser.parse_args()
    if args.hashes is not None:
        quiet()
        for seed in args.hashes:
            print(one(seed).hash)
        return 0
    if args.seed is not None:
        quiet()
        result = one(args.seed)
        print(*result.notes, json.dumps({name: v for name, v in vars(result).items() if name != "notes"}), sep="\n")
        return int(bool(result.found))
    begun_s, cpu_s = time.perf_counter(), os.times()
    broken: list[int] = []
    kept: dict[int, str] = {}
    naked_s: list[float] = []
    calm_s: list[float] = []
    totals = dict.fromkeys(("entries", "orders", "closed", "kills", "torn", "unrecorded", "events"), 0)
    virtual_s = 0.0
    for count, result in enumerate(told(range(args.first, args.first + args.seeds), args.jobs), 1):
        if result.found:
            broken.append(result.seed)
            for line in result.found[:4]:
                print(f"seed {result.seed}: {line}", flush=True)
            if args.stop:
                return 1
        if len(kept) < AGAIN:
            kept[result.seed] = result.hash
        naked_s += result.naked_s
        calm_s.append(result.calm_s)
        virtual_s += result.virtual_s
        for name in totals:
            totals[name] += getattr(result, name)
        if count % 500 == 0:
            rate = count / (time.perf_counter() - begun_s)
            print(f"{count} seeds, {len(broken)} broken, {rate:.1f} seeds/s", file=sys.stderr, flush=True)
    if args.stop:
        return 0
    spent_s, after = time.perf_counter() - begun_s, os.times()
    busy_s = sum(after[:4]) - sum(cpu_s[:4])
    same = hashes(list(kept), "1") == list(kept.values()) == hashes(list(kept), "2")
    print(
        f"{args.seeds} seeds from {args.first} on {args.jobs} processes in {spent_s:.1f} s: {args.seeds / spent_s:.1f} "
        f"seeds/s, {args.seeds / busy_s:.1f} seeds per CPU second, {virtual_s / spent_s:.0f} virtual s per wall s"
    )
    print(", ".join(f"{count} {name}" for name, count in totals.items()) + f", {virtual_s / 86_400:.1f} virtual days")
    print(
        f"naked: {len(naked_s)} times, p50 {quantile(naked_s, 0.5):.2f} s, p99 {quantile(naked_s, 0.99):.2f} s, worst "
        f"{max(naked_s, default=0.0):.2f} s; agreed again after the last fault: p50 {quantile(calm_s, 0.5):.2f} s, p99 "
        f"{quantile(calm_s, 0.99):.2f} s, worst {max(calm_s, default=0.0):.2f} s"
    )
    print(f"{len(kept)} seeds told again in two other processes: {'the same hashes' if same else 'OTHER HASHES'}")
    print(f"violations: {len(broken)} seeds {broken[:50] or ''}")
    return int(bool(broken) or not same)


if __name__ == "__main__":
    raise SystemExit(main())
