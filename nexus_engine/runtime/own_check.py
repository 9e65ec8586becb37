"""`nexus strategy check FILE`: a strategy of one's own is run over generated bars, in a process of its own and within a
time limit, before an engine's thread is given to it.

An account does the same with every file that is new or changed when it starts, unless something is open and must be
protected first: one that does not come back, answers nonsense or says something else the second time is left out, with
one line. It cannot show that a strategy always comes back: while an engine runs, each call has a limit of its own.
"""

import argparse
import faulthandler
import hashlib
import json
import math
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import nexus_engine
from nexus_engine.model.usage import Parser, UsageError, harmless

if TYPE_CHECKING:
    from nexus_engine.cortex.strategy import Strategy
    from nexus_engine.model.events import BarRow

LIMIT_S: Final = 10.0
"""Of processor time, so that a busy machine refuses nothing, for the bars and for all that the file imports."""
WAITS: Final = 6
"""So many limits by the clock, for one that waits instead of working."""
BARS: Final = 2_000
WARM: Final = 1_000
SLOW_US: Final = 1_000.0
"""Of `on_bar`, on average; above it a person is told."""
_HOME: Final = Path(__file__).resolve().parents[2]
_INSIDE: Final = "inside"
_SYMBOL: Final = "CHECKUSDT"
_BEGIN_NS: Final = 1_700_000_000_000_000_000


def problem_of(file: Path, root: Path | None = None, limit_s: float = LIMIT_S) -> str:
    """Why it must not be run, in one line; empty when it may. In `root`, a state folder, what has passed is remembered
    until the file, Nexus or Python is another."""
    seal = None
    if root is not None and file.is_file():
        seal = _seal(file, root)
        if seal.exists():
            return ""
    found = checked(file, limit_s)
    problem: str = found["problem"]
    if seal is not None and not problem:
        seal.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        seal.touch(mode=0o600)
    return problem


def unknown(file: Path, root: Path) -> str:
    """Why it is not run where there is no time to find out; empty when it has passed before."""
    known = file.is_file() and _seal(file, root).exists()
    return "" if known else "new or changed: it is checked at the next start with nothing open, and runs from then on"


def _seal(file: Path, root: Path) -> Path:
    told = f"{nexus_engine.__version__} {sys.version}".encode() + file.read_bytes()
    return root / "checked" / hashlib.blake2b(told, digest_size=16).hexdigest()


def checked(file: Path, limit_s: float = LIMIT_S) -> dict[str, Any]:
    """What came of it: `problem`, empty for none, and `strategies` with what each said and took."""
    words = (sys.executable, "-m", "nexus_engine.cli", "strategy", _INSIDE, str(file.absolute()), str(limit_s))
    try:
        ran = subprocess.run(
            words, cwd=_HOME, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit_s * WAITS + 10, check=False
        )
        # whatever the file itself prints stands before it
        found = json.loads(ran.stdout.decode("utf-8", "replace").strip().rpartition("\n")[2])
    except subprocess.TimeoutExpired:
        return {"problem": _late(limit_s, ""), "strategies": {}}
    except ValueError:
        stack = ran.stderr.decode("utf-8", "replace")
        if ran.returncode == -signal.SIGXCPU or "Timeout (" in stack:
            return {"problem": _late(limit_s, _place(stack, file)), "strategies": {}}
        last = stack.strip().rpartition("\n")[2]
        return {"problem": f"its process ended with {ran.returncode}: {last}"[:200], "strategies": {}}
    return dict(found)


def _late(limit_s: float, where: str) -> str:
    return f"did not come back within {limit_s:g} s{where}: it would hang the engine"


def _place(stack: str, file: Path) -> str:
    """Where it was when its time was over, by faulthandler's words."""
    for line in stack.splitlines():
        if f'/{file.name}", line ' in line:
            number, _, function = line.rpartition(", line ")[2].partition(" in ")
            return f", it was in {function}, line {number}"
    return ""


# ---- in the process of its own ---------------------------------------------------------------------------------------


def _inside(file: Path, limit_s: float) -> dict[str, Any]:
    """Runs the file. The system ends the process when its time is over, whatever holds it, and it says where it was."""
    faulthandler.register(signal.SIGXCPU, chain=True)
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(limit_s), math.ceil(limit_s) + 5))
    faulthandler.dump_traceback_later(limit_s * WAITS, exit=True)
    from nexus_engine.runtime.own import load_file

    own = load_file(file)
    if own.problems:
        return {"problem": next(iter(own.problems.values())), "strategies": {}}
    found: dict[str, Any] = {}
    for kind in own.kinds:
        signals, mean_us, problem = _played(kind)
        if not problem and _played(kind)[0] != signals:
            problem = "the same bars gave other signals the second time: it asks a clock, or chance"
        found[kind.name] = {"signals": len(signals), "mean_us": round(mean_us, 1)}
        if problem:
            return {"problem": f"{kind.name}: {problem}", "strategies": found}
    return {"problem": "", "strategies": found}


def _played(kind: "type[Strategy]") -> tuple[list[tuple[int, str, float, float]], float, str]:
    """(its signals, microseconds a bar, what is wrong) over the bars of each of its intervals."""
    from nexus_engine.cortex.factory import STRATEGIES, Cortex, Own
    from nexus_engine.cortex.strategy import interval_ns
    from nexus_engine.model.events import Bar
    from nexus_engine.model.signals import Quote

    cortex = Cortex({shipped.name: {"enabled": False} for shipped in STRATEGIES}, Own((kind,)))
    if kind.name not in cortex.names:
        return [], 0.0, "; ".join(cortex.problems) or "it is off by its own default"
    found, spent_ns, count = [], 0, 0
    for interval in cortex.intervals:
        rows, step_ns = _rows(interval_ns(interval)), interval_ns(interval)
        cortex.history(_SYMBOL, interval, rows[:WARM])
        for row in rows[WARM:]:
            close_ns = row.open_ns + step_ns
            bar = Bar(
                at_ns=close_ns, mono_ns=close_ns, symbol=_SYMBOL, interval=interval, open_ns=row.open_ns, open=row.open,
                high=row.high, low=row.low, close=row.close, volume=row.volume, trades=0, closed=True,
                venue_ns=close_ns,
            )  # fmt: skip
            quote = Quote(
                symbol=_SYMBOL, bid=row.close - 0.005, ask=row.close + 0.005, mark=row.close, last=row.close,
                funding_rate=0.0001, age_ms=0, valid=True,
            )  # fmt: skip
            begun_ns = time.perf_counter_ns()
            signals = cortex.bar(bar, quote)
            spent_ns, count = spent_ns + time.perf_counter_ns() - begun_ns, count + 1
            found += [(close_ns, str(one.side), one.price, one.stop_distance) for one in signals]
    problem = f"failed: {cortex.broken[kind.name]}" if kind.name in cortex.broken else ""
    return found, spent_ns / 1e3 / max(count, 1), problem


def _rows(step_ns: int) -> "list[BarRow]":
    """Bars that trend, rest, fall and turn; the same every time."""
    from nexus_engine.model.events import BarRow

    rng, price, rows = random.Random(11), 100.0, []
    for number in range(BARS):
        move = rng.gauss(0.0, 0.004) + (0.0012, 0.0, -0.0012, 0.0)[number // 125 % 4]
        move -= 0.03 if not number % 311 else 0.0
        opened, price = price, price * math.exp(move)
        up, down = (abs(rng.gauss(0.0, 0.001)) for _ in range(2))
        high, low = max(opened, price) * (1 + up), min(opened, price) * (1 - down)
        rows.append(BarRow(_BEGIN_NS // step_ns * step_ns + number * step_ns, opened, high, low, price, 1e5))
    return rows


# ---- the command -----------------------------------------------------------------------------------------------------


def main(argv: Sequence[str]) -> int:
    """0: every file may run; 1: one may not; 2: bad usage."""
    if argv and argv[0] == _INSIDE:
        sys.stdout.write(json.dumps(_inside(Path(argv[1]), float(argv[2]))) + "\n")
        return 0
    try:
        given = _parser().parse_args(argv)
    except UsageError as error:
        sys.stderr.write(f"nexus strategy: {harmless(error)}\n")
        return 2
    except SystemExit as stop:
        return int(stop.code or 0)
    found = {str(file): checked(file, given.seconds) for file in given.files}
    if given.json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        for name, each in found.items():
            sys.stdout.writelines(f"{harmless(line)}\n" for line in _lines(name, each))
    return int(any(each["problem"] for each in found.values()))


def _lines(name: str, found: Mapping[str, Any]) -> Iterator[str]:
    if found["problem"]:
        yield f"{name}: {found['problem']}"
        return
    for strategy, each in found["strategies"].items():
        slow = f"; slow: keep it under {SLOW_US / 1000:g} ms" if each["mean_us"] > SLOW_US else ""
        yield f"{name}: {strategy} may run: {each['signals']} signals, {each['mean_us']:.0f} us a bar{slow}"


def _parser() -> Parser:
    parser = Parser(prog="nexus strategy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="what", required=True)
    check = parts.add_parser("check", help="run files over generated bars, each within a time limit")
    check.add_argument("files", metavar="FILE", type=Path, nargs="+")
    check.add_argument(
        "--seconds", metavar="N", type=float, default=LIMIT_S, help=f"of processor time for each ({LIMIT_S:g})"
    )
    check.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return parser
