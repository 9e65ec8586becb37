"""One backtester, alone in its process: `_backtest_child.py MODULE VARIANT FOLDER SYMBOLS OUT`.

Its first run is over FIRST bars a symbol, so that imports, compilers and caches have done their work; then the whole.
Only `run` is on the clock: what comes before it gives the bars the form the library takes, what comes after reads its
trades. Writes the trades to OUT and prints what it took, in CPU seconds; memory is the process's peak.
"""

import gc
import importlib
import json
import sys
import time
from pathlib import Path

import numpy as np
from _backtest_rules import load

FIRST = 3_000


def peak_mb() -> float:
    """VmHWM is this program's own; ru_maxrss would remember the parent it was forked from."""
    found = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(found[0].split()[1]) / 1024


def main() -> int:
    module, variant, folder, symbols, out = sys.argv[1:]
    begun = time.process_time()
    peer = importlib.import_module(f"_backtest_{module}")
    imports_s = time.process_time() - begun
    bars = load(Path(folder), int(symbols))
    given = peer.prepare([each.first(FIRST) for each in bars], variant)
    begun = time.process_time()
    peer.run(given)
    first_s = time.process_time() - begun
    del given
    gc.collect()
    begun = time.process_time()
    given = peer.prepare(bars, variant)
    prepare_s = time.process_time() - begun
    begun, begun_wall = time.process_time(), time.perf_counter()
    raw = peer.run(given)
    run_s, wall_s = time.process_time() - begun, time.perf_counter() - begun_wall
    found = {
        "imports_s": imports_s, "first_s": first_s, "prepare_s": prepare_s, "run_s": run_s, "wall_s": wall_s,
        "peak_mb": peak_mb(),
    }  # fmt: skip
    trades = sorted(peer.trades(raw, given))
    np.save(out, np.array(trades, dtype=np.float64).reshape(-1, 6))
    print("\n" + json.dumps(found), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
