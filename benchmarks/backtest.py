"""Bars through a backtest: ours beside nautilus_trader, freqtrade, backtrader, vectorbt and backtesting.py, in one run.

All run the strategy of `_backtest_rules.py` (EMA cross, RSI filter, stop) on the same generated one-minute bars. A
plain loop (`_backtest_reference.py`) says what the trades are, and each one's are held against them: the same bars in
and out (`same bars`), prices within a thousandth of a tick and the net of every trade within NET_TOLERANCE (`exact`).
What a library cannot express is told under the table; it may not move more than a twentieth of them to other bars.

Each case in a process of its own on one pinned core. `bars/s`: CPU of its run alone, after a first one over 3,000 bars;
`cold`: with that first one, which holds compilers and caches, on the clock. `memory`: the process's peak. Reading the
bars into the library's own form is shown as `prepare`, except where the library knows no such form.

Libraries are installed, by their pinned names, under --folder on the first run; ours needs none. Prints a table, the
goals that were missed, and a JSON line. Goals: our skipping run as fast as vectorbt, our step-by-step run as fast as
nautilus_trader and ten times as fast as freqtrade. Ends with 1 when trades differ and nothing here says why.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from _backtest_bars import write
from _backtest_rules import TICK
from _peers import Missing, environment

ROOT = Path(__file__).resolve().parent.parent
CHILD = str(Path(__file__).with_name("_backtest_child.py"))
BARS, SYMBOLS = 500_000, (1, 10)
NET_TOLERANCE = 1e-4  # in quote currency, of a trade of one unit at some 40,000
SAME_BARS = 0.95  # the share of the trades that what a library cannot express may not touch
CASE_S = 3_600.0
NAUTILUS = (ROOT / "tests" / "conformance" / "nautilus.txt").read_text()


class Library(NamedTuple):
    name: str
    requirements: str
    python: tuple[int, int] = (3, 11)


VECTORBT = Library("vectorbt", "vectorbt==1.2.0\nTA-Lib==0.8.2")
NAUTILUS_TRADER = Library("nautilus", NAUTILUS, (3, 12))
BACKTESTING = Library("backtesting", "backtesting==0.6.6\nTA-Lib==0.8.2")
FREQTRADE = Library("freqtrade", "freqtrade==2026.9")
BACKTRADER = Library("backtrader", "backtrader==1.9.78.123\npandas==2.3.3")


class Case(NamedTuple):
    name: str
    module: str
    variant: str = "-"
    library: Library | None = None
    differs: str = ""  # what it cannot express
    twin: str = ""  # the case whose trades must be its own, to the last digit
    judged: bool = True  # it runs the common strategy


JUDGE = Case("the judge: a plain loop", "reference")
OURS, OURS_SKIPPING = "nexus, step by step", "nexus, skipping"
OURS_DIFFER = (
    "takes a tick of spread and one of slip; a target rests: it is filled when traded through, for a maker's fee; "
    "stop and target hang on the signal's quote; sized by risk, so nets are told for one unit"
)
NAUTILUS_DIFFERS = "inside a bar the high comes before the low; a target that a bar opens beyond fills at its own price"


def shipped(name: str) -> tuple[Case, Case]:
    step, skip = f"nexus {name}, step by step", f"nexus {name}, skipping"
    return (
        Case(step, "nexus", f"{name}:step", judged=False),
        Case(skip, "nexus", f"{name}:skip", judged=False, twin=step),
    )


CASES = (
    JUDGE,
    Case("vectorbt", "vectorbt", library=VECTORBT,
         differs="one order a bar: a signal at the close of a bar in which a position ended is lost"),
    Case("nautilus_trader, bars", "nautilus", "bars", NAUTILUS_TRADER,
         f"an entry fills when the bar closes, not at the next open; stop and target hang on it; {NAUTILUS_DIFFERS}"),
    Case("nautilus_trader, bars and opens", "nautilus", "opens", NAUTILUS_TRADER, NAUTILUS_DIFFERS),
    Case("backtesting.py", "backtesting", library=BACKTESTING,
         differs="in the bar of the entry stop and target hang on the signal's close: no open is known with the order"),
    Case("freqtrade", "freqtrade", library=FREQTRADE,
         differs="a stop or target that a bar opens beyond fills at its own price, or at the bar's nearest; a target "
         "is not rounded to the tick"),
    Case(OURS_SKIPPING, "nexus", "common:skip", differs=OURS_DIFFER),
    Case(OURS, "nexus", "common:step", differs=OURS_DIFFER, twin=OURS_SKIPPING),
    *(case for name in ("scalping", "flow", "harpoon", "shark") for case in shipped(name)),
    Case("backtrader", "backtrader", library=BACKTRADER),
)  # fmt: skip
TIMES_FREQTRADE = 10.0


class Row(NamedTuple):
    bars_s: float
    cold_bars_s: float
    first_s: float
    prepare_s: float
    peak_mb: float
    wall_s: float
    trades: int
    same_bars: int
    same: int
    net: float
    net_off: float


def child(python: str, case: Case, folder: Path, symbols: int) -> tuple[dict[str, float], np.ndarray]:
    with tempfile.TemporaryDirectory() as made:
        out = Path(made) / "trades.npy"
        ran = subprocess.run(
            [python, "-W", "ignore", CHILD, case.module, case.variant, str(folder), str(symbols), str(out)],
            capture_output=True, text=True, check=False, cwd=made, timeout=CASE_S,
            # a compiler's cache of its own: a cold run is cold every time
            env=os.environ | {"PYTHONPATH": "" if case.library else str(ROOT), "NUMBA_CACHE_DIR": made, "HOME": made},
            preexec_fn=lambda: os.sched_setaffinity(0, {0}),
        )  # fmt: skip
        if ran.returncode:
            raise Missing(f"fails: {(ran.stderr.strip().splitlines() or ['it said nothing of it'])[-1][:300]}")
        found: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
        return found, np.load(out)


def same(trades: np.ndarray, judged: np.ndarray) -> tuple[int, int]:
    """How many of the judge's trades are there by their bars, and how many of those by their prices and net too."""
    theirs = {tuple(row[:3]): row for row in trades}
    found = [(own, theirs[key]) for own in judged if (key := tuple(own[:3])) in theirs]
    exact = (
        np.all(np.abs(row[3:5] - own[3:5]) < TICK / 1_000) and abs(row[5] - own[5]) < NET_TOLERANCE
        for own, row in found
    )  # fmt: skip
    return len(found), sum(map(bool, exact))


def measured(found: dict[str, float], bars: int, trades: np.ndarray, judged: np.ndarray) -> Row:
    same_bars, exact = same(trades, judged)
    return Row(
        bars_s=bars / found["run_s"], cold_bars_s=bars / (found["run_s"] + found["first_s"]),
        first_s=found["first_s"], prepare_s=found["prepare_s"], peak_mb=found["peak_mb"], wall_s=found["wall_s"],
        trades=len(trades), same_bars=same_bars, same=exact, net=float(trades[:, 5].sum()),
        net_off=float(trades[:, 5].sum() - judged[:, 5].sum()),
    )  # fmt: skip


def versions(python: str, library: Library) -> str:
    pins = [line for line in library.requirements.splitlines() if "==" in line]
    ran = subprocess.run([python, "-V"], capture_output=True, text=True, check=True)
    return f"{', '.join(pins)}, {ran.stdout.strip()}"


HEAD = (
    f"{'':34}{'bars/s':>12}{'cold':>12}{'first s':>9}{'prepare s':>11}{'memory MB':>11}{'trades':>8}"
    f"{'same bars':>11}{'exact':>8}{'net off':>12}"
)


def show(case: Case, row: Row) -> str:
    agrees = f"{row.same_bars:11,}{row.same:8,}{row.net_off:12,.2f}" if case.judged else f"{'-':>11}{'-':>8}{'-':>12}"
    return (
        f"{case.name:34}{row.bars_s:12,.0f}{row.cold_bars_s:12,.0f}{row.first_s:9.2f}{row.prepare_s:11.2f}"
        f"{row.peak_mb:11,.0f}{row.trades:8,}{agrees}"
    )


def missed(rows: dict[str, Row]) -> list[str]:
    rates = {name: row.bars_s for name, row in rows.items()}
    goals = (
        (OURS_SKIPPING, "vectorbt", rates.get("vectorbt")),
        (OURS, "nautilus_trader", max((rate for name, rate in rates.items() if "nautilus" in name), default=None)),
        (
            OURS,
            f"{TIMES_FREQTRADE:g} x freqtrade",
            rates["freqtrade"] * TIMES_FREQTRADE if "freqtrade" in rates else None,
        ),
    )
    return [
        f"{own}: {rates[own]:,.0f} bars/s, goal {goal:,.0f} ({whose})"
        for own, whose, goal in goals
        if goal is not None and own in rates and rates[own] < goal
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bars", type=int, default=BARS, help="one-minute bars a symbol")
    parser.add_argument("--symbols", type=int, nargs="+", default=SYMBOLS, help="how many at once; one table for each")
    parser.add_argument("--only", nargs="+", default=[], metavar="PART", help="parts of names; all without")
    parser.add_argument("--folder", type=Path, default=ROOT / ".conformance", help="where libraries are installed")
    given = parser.parse_args()
    cases = [case for case in CASES if case is JUDGE or not given.only or any(part in case.name for part in given.only)]
    found: dict[str, dict[str, Row]] = {}
    wrong: list[str] = []
    pythons: dict[Library, str] = {}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write(folder, given.bars, max(given.symbols))
        for symbols in given.symbols:
            size = f"{symbols} x {given.bars:,}"
            rows: dict[str, Row] = {}
            found[size] = rows
            print(f"\n{size} one-minute bars, CPU of one core; load {os.getloadavg()[0]:.1f}\n{HEAD}")
            trades: dict[str, np.ndarray] = {}
            for case in cases:
                try:
                    python = sys.executable
                    if (library := case.library) is not None:
                        python = environment(library.name, library.requirements, given.folder, library.python)
                        pythons[library] = python
                    took, own = child(python, case, folder, symbols)
                except (Missing, subprocess.TimeoutExpired) as reason:
                    print(f"{case.name:34}cannot: {reason}", flush=True)
                    continue
                trades[case.name] = own
                judged = trades.get(JUDGE.name, np.empty((0, 6))) if case.judged else own
                row = rows[case.name] = measured(took, symbols * given.bars, own, judged)
                print(show(case, row), flush=True)
                agreed, least = (row.same_bars, SAME_BARS) if case.differs else (row.same, 1.0)
                if agreed < least * max(len(judged), len(own)):
                    wrong.append(f"{size}, {case.name}: {len(judged) - agreed} of {len(judged)} trades differ")
                if case.twin in trades and not np.array_equal(own, trades[case.twin]):
                    wrong.append(f"{size}, {case.name}: other trades than {case.twin}")
            for line in missed(rows):
                print(f"missed: {line}")
    print()
    for differs in dict.fromkeys(case.differs for case in cases if case.differs):
        print(f"{' and '.join(case.name for case in cases if case.differs == differs)}: {differs}")
    for library, python in pythons.items():
        print(f"{library.name}: {versions(python, library)}")
    for line in wrong:
        print(f"WRONG: {line}")
    print(json.dumps({
        "python": platform.python_version(), "cpus": os.cpu_count(), "load": os.getloadavg()[0],
        "versions": {library.name: versions(python, library) for library, python in pythons.items()},
        "rows": {size: {name: row._asdict() for name, row in rows.items()} for size, rows in found.items()},
    }))  # fmt: skip
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())
