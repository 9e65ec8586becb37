"""What a market message costs, from bytes to the top 20 of a book: ours beside the libraries one would take instead.

Two messages, generated and the same for all: an aggTrade, and a depth diff that changes 40 + 40 levels of a book of
1000 + 1000. CPU µs a message, one pinned core, each case in a process of its own, the cases interleaved; medians.

- in memory: the bytes are there. ours: decoder, book procedure, event, book, top 20.
  python-binance: its socket's `_handle_message`, then DepthCacheManager. order-book (C) behind msgspec with floats.
  nautilus_trader: its Binance adapter's structs and deltas into its OrderBook
- loopback: the same, received from a local server as fast as it sends. ours: the feeds as they run (aiohttp).
  websockets: the same handlers as ours behind that library

order-book and nautilus_trader are found in the environment that `make conformance` makes; without it they are left out.
Prints a table, the goals that were missed, and a JSON line. Goals: the whole path from loopback to book 5 times cheaper
than python-binance's; a depth diff from bytes to the top 20 in 35 µs.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
CHILD = str(Path(__file__).with_name("_uplink.py"))
PEERS = ROOT / ".conformance" / "nautilus" / "bin" / "python"
RUNS, TRADES, DIFFS = 5, 20_000, 2_000
LEVELS, CHANGED, REACH, REMOVED = 1_000, 40, 200, 0.15
TIMES_CHEAPER, DEPTH_US = 5.0, 35.0


class Case(NamedTuple):
    name: str
    case: str
    receives: bool = False
    peer: bool = False


CASES = (
    Case("ours", "ours"),
    Case("python-binance", "python_binance"),
    Case("order-book (C)", "order_book", peer=True),
    Case("nautilus_trader", "nautilus", peer=True),
    Case("loopback: ours", "receive_ours", receives=True),
    Case("loopback: python-binance", "receive_python_binance", receives=True),
    Case("loopback: websockets + ours", "receive_websockets", receives=True),
)


def price(ticks: int) -> str:
    return f"{ticks / 10:.1f}"


def trades(rng: random.Random) -> Iterator[str]:
    ticks, at_ms = 1_000_000, 1_795_337_955_000
    for number in range(TRADES):
        ticks += rng.randint(-3, 3)
        at_ms += 3
        qty = f"{rng.uniform(0.001, 2):.3f}"
        yield (
            f'{{"stream":"btcusdt@aggTrade","data":{{"e":"aggTrade","E":{at_ms},"s":"BTCUSDT","a":{number + 1},'
            f'"p":"{price(ticks)}","q":"{qty}","nq":"{qty}","f":{number},"l":{number},"T":{at_ms},'
            f'"m":{"true" if rng.random() < 0.5 else "false"},"st":1}}}}'
        )


def diffs(rng: random.Random) -> tuple[str, list[str]]:
    """(snapshot, diffs). Ids are consecutive and a zero has eight digits: DepthCacheManager was made for spot."""
    mid, number = 1_000_000, 1_000_000
    held = [{mid + sign * i: rng.uniform(0.01, 9) for i in range(1, LEVELS + 1)} for sign in (-1, 1)]
    bids, asks = ([[price(ticks), f"{qty:.3f}"] for ticks, qty in side.items()] for side in held)
    snapshot = json.dumps({"lastUpdateId": number, "E": 1, "T": 1, "bids": bids, "asks": asks})
    rows = []
    for _ in range(DIFFS):
        parts = []
        for side, sign in zip(held, (-1, 1), strict=True):
            chosen = rng.sample(range(1, REACH), CHANGED)
            changed = []
            for offset in sorted(chosen):
                ticks = mid + sign * offset
                gone = ticks in side and offset > 1 and rng.random() < REMOVED
                if gone:
                    del side[ticks]
                else:
                    side[ticks] = rng.uniform(0.01, 9)
                changed.append(f'["{price(ticks)}","{"0.00000000" if gone else f"{side[ticks]:.3f}"}"]')
            parts.append(",".join(changed))
        at_ms = 1_795_337_955_000 + number
        rows.append(
            f'{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":{at_ms},"T":{at_ms},"s":"BTCUSDT",'
            f'"U":{number + 1},"u":{number + 80},"pu":{number},"b":[{parts[0]}],"a":[{parts[1]}],'
            f'"ps":"BTCUSDT","st":1}}}}'
        )
        number += 80
    return snapshot, rows


def child(python: str, case: str, folder: str, *words: str) -> dict[str, float]:
    ran = subprocess.run(
        [python, "-W", "ignore", CHILD, case, folder, *words], capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, preexec_fn=lambda: os.sched_setaffinity(0, {0}),
    )  # fmt: skip
    if ran.returncode:
        raise RuntimeError(f"{case}: {ran.stderr.strip().splitlines()[-1:]}")
    found: dict[str, float] = json.loads(ran.stdout.splitlines()[0])
    return found


def measure(runs: int) -> dict[str, dict[str, float]]:
    rng = random.Random(7)
    cases = [case for case in CASES if not case.peer or PEERS.exists()]
    taken: dict[str, dict[str, list[float]]] = {case.name: {} for case in cases}
    with tempfile.TemporaryDirectory() as folder:
        snapshot, depth = diffs(rng)
        for name, text in (("agg", "\n".join(trades(rng))), ("depth", "\n".join(depth)), ("snapshot", snapshot)):
            (Path(folder) / name).write_text(text)
        server = subprocess.Popen(
            [sys.executable, CHILD, "serve", folder], stdout=subprocess.PIPE, text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {(os.cpu_count() or 1) - 1}),
        )  # fmt: skip
        try:
            assert server.stdout is not None
            port = server.stdout.readline().strip()
            for _ in range(runs):
                for case in cases:
                    python = str(PEERS) if case.peer else sys.executable
                    for kind, us in child(python, case.case, folder, *([port] if case.receives else [])).items():
                        taken[case.name].setdefault(kind, []).append(us)
        finally:
            server.terminate()
            server.wait(10)
    return {
        name: {kind: statistics.median(values) for kind, values in kinds.items()} for name, kinds in taken.items()
    }  # fmt: skip


def missed(found: dict[str, dict[str, float]]) -> list[str]:
    words = []
    own, other = found["loopback: ours"], found["loopback: python-binance"]
    for kind in own:
        if (times := other[kind] / own[kind]) < TIMES_CHEAPER:
            words.append(f"loopback, {kind}: {times:.1f} times cheaper than python-binance, goal {TIMES_CHEAPER:g}")
    if found["ours"]["depth"] > DEPTH_US:
        words.append(f"ours, depth: {found['ours']['depth']:.1f} µs, goal {DEPTH_US:g}")
    return words


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS)
    given = parser.parse_args()
    found = measure(given.runs)
    print(
        f"{f'CPU µs a message, median of {given.runs}':36}{'aggTrade':>12}{'depth 40+40':>14}{'x ours':>9}{'x ours':>9}"
    )
    for case in CASES:
        if case.name not in found:
            print(f"{case.name:36}left out: `make conformance` installs it")
            continue
        row, own = found[case.name], found["loopback: ours" if case.receives else "ours"]
        cells = [
            f"{row[kind]:{width}.2f}" if kind in row else f"{'-':>{width}}"
            for kind, width in (("agg", 12), ("depth", 14))
        ]
        times = [f"{row[kind] / own[kind]:9.1f}" if kind in row else f"{'-':>9}" for kind in ("agg", "depth")]
        print(f"{case.name:36}" + "".join(cells + times))
    for line in missed(found):
        print(f"missed: {line}")
    print(json.dumps({name: {kind: round(us, 2) for kind, us in kinds.items()} for name, kinds in found.items()}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
