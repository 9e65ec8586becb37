"""What the cockpit costs, and what it costs the engine: against goals, and against the usual widgets on the same work.

The program runs in a real pty, all of its threads on one core; the practice venue (8 symbols, ten book updates a second
each) and the terminal share the other. Rows:

- kB/s: what it writes while four books move
- UI %: CPU of the UI's threads (loop, writer, input) of one core, at four frames a second
- key ms: from a key to its answer in the outcome row, on a terminal that drains freely; PRESSES at random moments
- dialog ms, kB: from a key to its dialog, and what was written until it was there
- tick ms: from the venue's write of a depth frame to the engine's decision on it, through socket, decoder and book,
  while books move and keys are pressed; beside_ms: the same while a dialog comes or goes every half a second
- turn ms: of the first, the engine's own turn
- 64 kB/s: the same behind a pty that is drained at 64 kB/s

`table` and `rich` are the same engine and link under textual's DataTable (update_cell) and under Static with rich
tables, with the stock driver and fewer panes. `headless` is the engine alone. `bare wire` is a protocol that is handed
the bytes and does nothing with them: what waking an idle core costs on this machine, which no program is under.
Prints a table and a JSON line.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from _terminal import PYTHON, ROOT, Terminal, environment
from start import start

CHILD = str(Path(__file__).with_name("_child.py"))
SETTLE_S, WINDOW_S, PRESSES = 6.0, 15.0, 60
PATIENCE_S, GIVE_UP = 10.0, 3
"""A press that shows nothing by then counts as that long; after so many of them a face has shown what it can."""
SLOW_B = 64_000
SHOWN = {"a": "proposal to approve", "x": "proposal to reject", "?": "esc closes"}
"""Nothing is proposed in a calm market."""
OURS, THEIRS = (pick(os.sched_getaffinity(0)) for pick in (min, max))
"""Cores: of the program, and of the venue and the terminal."""
UI_THREADS = ("MainThread", "nexus-screen", "textual-input")


class Case(NamedTuple):
    name: str
    face: str
    columns: int
    rows: int
    rate: int = 0


CASES = (
    Case("cockpit 200x50", "rows", 200, 50),
    Case("cockpit 80x24", "rows", 80, 24),
    Case("headless", "headless", 0, 0),
    Case("bare wire", "bare", 0, 0),
    Case("DataTable 200x50", "table", 200, 50),
    Case("rich 200x50", "rich", 200, 50),
    Case("cockpit 200x50 64 kB/s", "rows", 200, 50, SLOW_B),
    Case("cockpit 80x24 64 kB/s", "rows", 80, 24, SLOW_B),
    Case("DataTable 200x50 64 kB/s", "table", 200, 50, SLOW_B),
    Case("rich 200x50 64 kB/s", "rich", 200, 50, SLOW_B),
)
GOALS = {
    "cockpit 200x50": {"kB_s": 150.0, "ui_pct": 15.0, "key_p99_ms": 100.0, "tick_p99_ms": 0.6},
    "cockpit 80x24": {"kB_s": 20.0, "ui_pct": 15.0, "key_p99_ms": 100.0, "tick_p99_ms": 0.6},
    "cockpit 200x50 64 kB/s": {"key_p99_ms": 250.0, "dialog_p99_ms": 250.0},
    "cockpit 80x24 64 kB/s": {"key_p99_ms": 250.0, "dialog_p99_ms": 250.0},
}


def p(values: list[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else float("nan")


def ui_cpu_s(threads: dict[str, str], pid: int) -> float:
    """CPU of the UI's threads so far. Those that are made later (input) are small and have no name here."""
    total = 0.0
    for tid, name in threads.items():
        if name.startswith(UI_THREADS) or "input" in name:
            total += int(Path(f"/proc/{pid}/task/{tid}/schedstat").read_text().split()[0]) / 1e9
    return total


class Run:
    """One case. `figures` by name; `decided` is for the venue's stamps."""

    def __init__(self, case: Case, folder: Path, config: Path, rng: random.Random) -> None:
        self.case = case
        self.figures: dict[str, float] = {}
        self._report = folder / f"{case.name.replace(' ', '-').replace('/', '')}.json"
        words = ["--demo", "--config", str(config), "--state", str(folder / self._report.stem)]
        self._command = [*PYTHON, CHILD, "nexus", case.face, str(self._report), *words]
        if case.face == "headless":
            self._command.append("--headless")
        elif case.face == "bare":
            self._command = [*PYTHON, CHILD, "bare", str(self._report), str(folder / "ready.json")]
        self._rng = rng
        self._dialog_kb: list[float] = []
        self.since_ns = self.dialogs_ns = 0
        """Monotonic ns: what is measured begins; dialogs come and go from here on."""

    def run(self) -> None:
        if self.case.face in ("headless", "bare"):
            self._headless()
        else:
            self._face()

    def _headless(self) -> None:
        process = subprocess.Popen(
            self._command,
            env=environment(), stdout=subprocess.DEVNULL, preexec_fn=lambda: os.sched_setaffinity(0, {OURS}),
        )  # fmt: skip
        self._threads()
        time.sleep(SETTLE_S)
        self.since_ns = time.monotonic_ns()
        time.sleep(2 * WINDOW_S)
        process.terminate()
        process.wait(20)

    def _threads(self) -> tuple[int, dict[str, str]]:
        told = self._report.with_suffix(".threads")
        deadline_s = time.perf_counter() + 40
        while not told.exists():
            if time.perf_counter() > deadline_s:
                raise TimeoutError(f"{self.case.name}: no book has moved")
            time.sleep(0.1)
        time.sleep(0.2)
        found = json.loads(told.read_text())
        return found["pid"], found["threads"]

    def _face(self) -> None:
        case = self.case
        # it gives way to the venue on its core: what that stamps is to be sent at once
        terminal = Terminal(self._command, case.columns, case.rows, core=OURS, bytes_per_s=case.rate, behind=10)
        try:
            terminal.wait_for("spread", 40.0)
            pid, threads = self._threads()
            time.sleep(SETTLE_S)
            self.since_ns = time.monotonic_ns()
            if not case.rate:
                bytes_, cpu_s, begun_s = terminal.received, ui_cpu_s(threads, pid), time.perf_counter()
                time.sleep(WINDOW_S)
                took_s = time.perf_counter() - begun_s
                self.figures["kB_s"] = (terminal.received - bytes_) / took_s / 1e3
                self.figures["ui_pct"] = (ui_cpu_s(threads, pid) - cpu_s) / took_s * 100
            for name, keys in (("key", ("a", "x")), ("dialog", ("?",))):
                self.dialogs_ns = time.monotonic_ns()
                waits: list[float] = []
                while len(waits) < PRESSES and waits.count(PATIENCE_S * 1e3) < GIVE_UP:
                    waits.append(self._press(terminal, keys[len(waits) % len(keys)]))
                self.figures |= {f"{name}_p50_ms": p(waits, 0.5), f"{name}_p99_ms": p(waits, 0.99)}
            self.figures["dialog_kB"] = p(self._dialog_kb, 0.5)
            self._leave(terminal)
        finally:
            terminal.close()

    def _press(self, terminal: Terminal, key: str) -> float:
        """From a key to what it shows, ms; PATIENCE_S when it does not."""
        time.sleep(self._rng.uniform(0.3, 0.6))
        terminal.forget()
        before, begun_s = terminal.received, time.perf_counter()
        terminal.press(key.encode())
        try:
            shown_s = terminal.wait_for(SHOWN[key], PATIENCE_S)
        except TimeoutError:
            shown_s = begun_s + PATIENCE_S
        if key == "?":
            self._dialog_kb.append((terminal.received - before) / 1e3)
            time.sleep(0.35)
            terminal.press(b"\x1b")
            time.sleep(0.35)
        return min(shown_s - begun_s, PATIENCE_S) * 1e3

    def _leave(self, terminal: Terminal) -> None:
        time.sleep(1.0)
        terminal.press(b"q")
        time.sleep(1.5 if not self.case.rate else 4.0)
        terminal.press(b"r")
        terminal.process.wait(30)

    def join(self, sent: dict[tuple[str, int], int]) -> None:
        """Put the venue's stamps beside the engine's."""
        lags, turns, beside = [], [], []
        for symbol, number, at_ns, took_ns in json.loads(self._report.read_text()):
            if at_ns > self.since_ns and (begun := sent.get((symbol, number))) is not None:
                calm = not self.dialogs_ns or at_ns < self.dialogs_ns
                (lags if calm else beside).append((at_ns - begun) / 1e6)
                turns.append(took_ns / 1e6)
        for name, values in (("tick", lags), ("turn", turns), ("beside", beside)):
            self.figures |= {f"{name}_p50_ms": p(values, 0.5), f"{name}_p99_ms": p(values, 0.99)}
        self.figures["ticks"] = len(lags)


def measure(names: list[str]) -> dict[str, dict[str, float]]:
    rng = random.Random(7)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        ready, stamps, config = folder / "ready.json", folder / "stamps.json", folder / "nexus.toml"
        venue = subprocess.Popen(
            [*PYTHON, CHILD, "exchange", str(stamps), "--scenario", "calm", "--seed", "7"],
            env=environment(), cwd=ROOT, stdout=subprocess.PIPE, text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {THEIRS}),
        )  # fmt: skip
        assert venue.stdout is not None
        ready.write_text(venue.stdout.readline())
        config.write_text(f'[demo]\nvenue = "{ready}"\n')
        runs = [Run(case, folder, config, rng) for case in CASES if not names or any(n in case.name for n in names)]
        try:
            for run in runs:
                print(f"{run.case.name} …", file=sys.stderr, flush=True)
                run.run()
        finally:
            venue.terminate()
            venue.wait(20)
        sent = {(symbol, number): at_ns for symbol, number, at_ns in json.loads(stamps.read_text())}
        for run in runs:
            run.join(sent)
        found = {run.case.name: run.figures for run in runs}
    if not names:
        with tempfile.TemporaryDirectory() as state:
            start(state)
            found["start"] = {"first_frame_s": p([start(state)[0] for _ in range(5)], 0.5)}
    return found


def missed(found: dict[str, dict[str, float]]) -> list[str]:
    """Goals that were not reached, in words."""
    words = []
    for name, goals in GOALS.items():
        for figure, goal in goals.items():
            value = found.get(name, {}).get(figure, 0.0)
            if value > goal:
                words.append(f"{name}: {figure} {value:.2f}, goal {goal:g}")
        bare, beside = (found.get(each, {}).get("tick_p99_ms", 0.0) for each in ("headless", name))
        if bare and beside > 2 * bare and "tick_p99_ms" in goals:
            words.append(f"{name}: tick_p99_ms {beside:.2f} is {beside / bare:.1f} x headless, goal 2")
    if (first := found.get("start", {}).get("first_frame_s", 0.0)) > 0.8:
        words.append(f"first frame {first:.2f} s, goal 0.8")
    return words


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help="parts of names; all without")
    cases = parser.parse_args().cases
    os.sched_setaffinity(0, {THEIRS})
    found = measure(cases)
    columns = (
        "kB_s", "ui_pct", "key_p50_ms", "key_p99_ms", "dialog_p50_ms", "dialog_p99_ms", "dialog_kB",
        "tick_p50_ms", "tick_p99_ms", "beside_p99_ms", "turn_p99_ms", "ticks",
    )  # fmt: skip
    print(f"{'one core':26}" + "".join(f"{each:>14}" for each in columns))
    for name, figures in found.items():
        if name != "start":
            cells = (f"{figures[each]:14.2f}" if each in figures else f"{'-':>14}" for each in columns)
            print(f"{name:26}" + "".join(cells))
    if "start" in found:
        print(f"first frame, warm, median of 5: {found['start']['first_frame_s']:.2f} s")
    for line in missed(found):
        print(f"missed: {line}")
    print(json.dumps({name: {k: round(v, 3) for k, v in figures.items()} for name, figures in found.items()}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
