"""One row through the regime model: features to probabilities, in numpy, against the forest in scikit-learn.

Also a whole symbol's turn at a mark: bars to features to a view, with eight symbols watched. Goal: 100 us a row.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
ROW_US = 100.0
ROUNDS, CALLS = 15, 200


def cpu_us(call: Callable[[], object], calls: int = CALLS) -> float:
    """The least of several rounds, in thread CPU time: a busy machine only adds."""
    call()
    found = []
    for _ in range(ROUNDS):
        start = time.thread_time_ns()
        for _ in range(calls):
            call()
        found.append((time.thread_time_ns() - start) / calls / 1e3)
    return min(found)


def main() -> int:
    from regimes import panel
    from sklearn.ensemble import RandomForestClassifier

    from nexus_engine.cortex.regime_book import HOUR_NS, RegimeBook
    from nexus_engine.cortex.regime_features import NAMES
    from nexus_engine.model.events import BarRow
    from nexus_engine.runtime.regime import load_model, shipped_path

    start = time.perf_counter()
    model = load_model(shipped_path())
    load_ms = (time.perf_counter() - start) * 1e3
    row = model.arrays["center"] + 0.3 * model.arrays["scale"]
    ours = cpu_us(lambda: model.one(row))
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(5_000, len(NAMES)))
    forest = RandomForestClassifier(
        n_estimators=int(model.arrays["trees"][0]), max_depth=7, min_samples_leaf=100, n_jobs=1, random_state=1
    ).fit(rows, rows[:, 0] > 0)
    theirs = cpu_us(lambda: forest.predict_proba(rows[:1]), 5)
    symbols = tuple(f"{name}USDT" for name in ("BTC", "ETH", "SOL", "XRP", "ADA", "LTC", "DOT", "BCH"))
    bars = panel(1_600, 3, symbols)
    book = RegimeBook(model)
    for symbol, one in bars.columns.items():
        book.history(
            symbol,
            [
                BarRow((int(hour) - 1) * HOUR_NS, close, high, low, close, volume, 1)
                for hour, high, low, close, volume in zip(*(column.tolist() for column in one[:5]), strict=True)
            ],
        )
    spoken = {symbol: book._read(symbol) for symbol in symbols}
    asked = iter(range(10**9))

    def turn() -> None:
        number = next(asked)
        symbol = symbols[number % len(symbols)]
        if number % len(symbols) == 0:
            book._market = None
        book._speak(symbol, spoken[symbol])

    mark = cpu_us(turn, len(symbols) * 2)
    table = {
        "row_us": round(ours, 1), "sklearn_row_us": round(theirs, 1), "mark_us": round(mark, 1),
        "load_ms": round(load_ms, 1), "kib": round(shipped_path().with_suffix(".npz").stat().st_size / 1024, 1),
        "trees": int(model.arrays["trees"].sum()), "nodes": len(model.arrays["feature"]),
    }  # fmt: skip
    print(f"a row through both heads       {ours:8.1f} us   goal {ROW_US:.0f}")
    print(f"one head in scikit-learn       {theirs:8.1f} us   {theirs / ours:.0f} x")
    print(f"a symbol's turn at a mark      {mark:8.1f} us   8 symbols, every 6 h")
    print(f"loading and checking the file  {load_ms:8.1f} ms")
    print(json.dumps(table))
    return 0 if ours <= ROW_US else 1


if __name__ == "__main__":
    raise SystemExit(main())
