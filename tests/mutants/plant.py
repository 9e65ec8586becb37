"""`make mutants`: plants each mutant of the table in a copy of the tree, and looks for a test that notices.

Prints mutant, invariant, what killed it and after how many seconds. A mutant that nobody notices fails the run; so does
a killer that is red on the unspoiled tree. WORDS of a name or an invariant choose some.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

from msgspec.structs import replace  # noqa: E402
from table import MUTANTS, Mutant  # noqa: E402

BATCHES = (20, 40, 80, 160, 200)
"""So many seeds at a time, until one notices."""
TIMEOUT_S = 900


class Copy:
    """The tree, less what no test of a mutant needs."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        for name in ("nexus_engine", "nexus_tui", "tests"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "terminal"))
        shutil.copy(ROOT / "pyproject.toml", folder)

    def plant(self, mutant: Mutant) -> None:
        for file, old, new in mutant.edits:
            path = self.root / file
            text = path.read_text()
            assert text.count(old) == 1, f"{mutant.name}: its text is not there once in {file}; the table is old"
            path.write_text(text.replace(old, new))

    def heal(self, mutant: Mutant) -> None:
        for file, _, _ in mutant.edits:
            shutil.copy(ROOT / file, self.root / file)

    def run(self, *words: str) -> tuple[bool, str]:
        """Whether it passed, and what it said."""
        env = os.environ | {"PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1", "NEXUS_MUTANT": "1"}
        try:
            done = subprocess.run(
                [sys.executable, *words], cwd=self.root, env=env, capture_output=True, text=True, timeout=TIMEOUT_S
            )
        except subprocess.TimeoutExpired:
            return False, "timeout"
        return done.returncode == 0, done.stdout + done.stderr

    def noticed(self, killer: str) -> str:
        """What notices that something is wrong; empty when nothing does."""
        if killer != "dst":
            passed, said = self.run("-m", "pytest", "-x", "-q", f"--basetemp={self.root / 'pt'}", *killer.split())
            failed = [line.split()[1] for line in said.splitlines() if line.startswith("FAILED")]
            return "" if passed else (failed[0] if failed else last(said))
        first = 0
        for count in BATCHES:
            words = ("--first", str(first), "--seeds", str(count), "--jobs", "1", "--stop")
            passed, said = self.run("tests/dst/dst.py", *words)
            if not passed:
                return next((line for line in said.splitlines() if line.startswith("seed ")), last(said))
            first += count
        return ""


def last(said: str) -> str:
    lines = said.strip().splitlines()
    return lines[-1] if lines else "it failed in silence"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--part", default="1/1", help="of several runs beside each other, e.g. 1/2")
    parser.add_argument("--sound", action="store_true", help="look first whether every killer passes without a mutant")
    parser.add_argument("--killer", help="ask this instead of each mutant's own, e.g. one test file")
    args = parser.parse_args()
    chosen = [
        mutant if args.killer is None else replace(mutant, killer=args.killer)
        for mutant in MUTANTS
        if not args.words or any(word in f"{mutant.name} {mutant.invariant}" for word in args.words)
    ]
    part, parts = map(int, args.part.split("/"))
    chosen = chosen[part - 1 :: parts]
    survivors = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Copy(Path(folder))
        if args.sound:
            for killer in sorted({mutant.killer for mutant in chosen} - {"dst"}):
                noticed = copy.noticed(killer)
                if noticed:
                    print(f"{killer} is red without a mutant: {noticed}")
                    return 1
        print(f"{'mutant':<46} {'breaks':<8} {'seconds':>7}  killed by")
        begun_s = time.perf_counter()
        for mutant in chosen:
            at_s = time.perf_counter()
            copy.plant(mutant)
            noticed = copy.noticed(mutant.killer)
            copy.heal(mutant)
            if not noticed:
                survivors.append(mutant.name)
            spent_s = time.perf_counter() - at_s
            print(f"{mutant.name:<46} {mutant.invariant:<8} {spent_s:>7.1f}  {noticed[:110] or 'SURVIVES'}", flush=True)
    print(
        f"{len(chosen) - len(survivors)} of {len(chosen)} killed in {time.perf_counter() - begun_s:.0f} s; survivors: "
        f"{', '.join(survivors) or 'none'}"
    )
    return int(bool(survivors))


if __name__ == "__main__":
    raise SystemExit(main())
