"""`make mutants GENERATED=80 SEED=1`: slips made by tool in the shield and the servos, and which test notices each.

A seeded sample of all that it can make: a comparison flipped, a condition negated, a number one more or less, a
statement removed. What nobody notices is printed; docs/mutants.md says of each why. It fails nothing.
"""

import argparse
import ast
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from random import Random
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

from plant import Copy  # noqa: E402

FOLDERS = ("nexus_engine/shield", "nexus_engine/servos")
SHIELD, SERVOS, CORE = "tests/shield/test_", "tests/servos/test_", "tests/core/test_"
FITTING = {
    "blackswan": (
        *(f"{SHIELD}blackswan{part}" for part in ("", "_ladder", "_volume")),
        f"{CORE}black_swan",
        f"{SHIELD}blackswan_corpus",
    ),
    "breaker": (f"{SERVOS}breakers", f"{SHIELD}signal_guards"),
    "drawdown": (f"{SHIELD}loss_guards", f"{CORE}latches"),
    "exposure": (f"{SHIELD}exposure_guard",),
    "guards": (f"{SHIELD}signal_guards", f"{SHIELD}protections", f"{CORE}latches"),
    "lease": (f"{SHIELD}lease", f"{CORE}real_money"),
    "macro": (f"{SHIELD}macro",),
    "protections": (f"{SHIELD}protections", f"{SHIELD}signal_guards"),
    "sentinel": (f"{SHIELD}sentinel", f"{CORE}view"),
    "staleness": (f"{SHIELD}signal_guards", f"{CORE}latches"),
    "stopless": (f"{SHIELD}signal_guards",),
    "streak": (f"{SHIELD}loss_guards", f"{SHIELD}sentinel", f"{CORE}latches"),
    "asking": (f"{SERVOS}unknown", f"{SERVOS}exits_owed", f"{SERVOS}stops"),
    "byhand": (f"{SERVOS}byhand",),
    "copilot": (f"{SERVOS}decisions", f"{SERVOS}edit", f"{SERVOS}maker"),
    "edge": (f"{SERVOS}edge",),
    "ladder": (f"{SERVOS}naked_ladder", f"{SERVOS}stops"),
    "personality": (f"{SERVOS}personality",),
    "protection": (f"{SERVOS}stops", f"{SERVOS}naked_ladder", f"{SERVOS}exits_owed"),
    "reconcile": (f"{SERVOS}reconcile", f"{SERVOS}unknown", f"{SERVOS}byhand"),
    "sizing": (f"{SERVOS}sizing", f"{SERVOS}edge", f"{SERVOS}edit", f"{SERVOS}exit_plan", f"{SERVOS}decisions"),
    "targets": (f"{SERVOS}exit_plan", f"{SERVOS}stops"),
    "trailing": (f"{SERVOS}exit_plan", f"{SERVOS}maker"),
    "turnover": (f"{SHIELD}blackswan_volume",),
    "case": (f"{SHIELD}signal_guards",),
}
"""Whose subject a file is. The managers are everybody's: their slips are looked for where most of them show."""
MANAGERS = {
    "shield": (f"{SHIELD}signal_guards", f"{SHIELD}exposure_guard", f"{SHIELD}loss_guards", f"{CORE}black_swan"),
    "servos": (
        f"{SERVOS}stops",
        f"{SERVOS}unknown",
        f"{SERVOS}exits_owed",
        f"{SERVOS}decisions",
        f"{SERVOS}naked_ladder",
        f"{CORE}engine",
    ),
}
ENGINE = "tests/dst/test_engine_stateful.py"
DST = ("tests/dst/dst.py", "--first", "0", "--seeds", "20", "--jobs", "1", "--stop")
FLIPS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


class Slip(NamedTuple):
    """`old` at a place of a file becomes `new`; the place is in bytes."""

    file: str
    line: int
    begin: int
    end: int
    old: str
    new: str


def slips(file: str, text: str) -> Iterator[Slip]:
    """All that can be made of a file. What is only said to people (f-strings, notes) and types are left alone."""
    raw = text.encode()
    starts = [0]
    for row in raw.splitlines(keepends=True):
        starts.append(starts[-1] + len(row))

    def slip(node: ast.expr | ast.stmt, new: str) -> Slip:
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        return Slip(file, node.lineno, begin, end, raw[begin:end].decode(), new)

    def visit(node: ast.AST) -> Iterator[Slip]:
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Expr) and _said(node.value)):
            return
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in FLIPS:
            flipped = ast.Compare(node.left, [FLIPS[type(node.ops[0])]()], node.comparators)
            yield slip(node, f"({ast.unparse(flipped)})")
        if isinstance(node, ast.BoolOp):
            other = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
            yield slip(node, f"({ast.unparse(ast.BoolOp(other, node.values))})")
        if isinstance(node, ast.If | ast.IfExp) and not isinstance(node.test, ast.Compare | ast.BoolOp):
            yield slip(node.test, f"(not ({ast.unparse(node.test)}))")
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            for step in (1, -1):
                yield slip(node, f"({node.value + step})")
        if isinstance(node, ast.Expr | ast.AugAssign | ast.Continue | ast.Break):
            yield slip(node, "pass")
        for name, child in ast.iter_fields(node):
            if name not in ("annotation", "returns"):
                for each in child if isinstance(child, list) else [child]:
                    if isinstance(each, ast.AST):
                        yield from visit(each)

    yield from visit(ast.parse(text))


def _said(value: ast.expr) -> bool:
    called = value.func if isinstance(value, ast.Call) else None
    return isinstance(value, ast.Constant) or (isinstance(called, ast.Attribute) and called.attr == "note")


def sample(count: int, seed: int) -> list[Slip]:
    """The same for the same tree and seed."""
    every = [
        slip
        for folder in FOLDERS
        for path in sorted((ROOT / folder).glob("*.py"))
        for slip in slips(str(path.relative_to(ROOT)), path.read_text())
    ]
    return Random(seed).sample(every, min(count, len(every)))


def tests_for(file: str) -> list[str]:
    """Of its own subject first, then the whole engine under hypothesis."""
    path = Path(file)
    fitting = FITTING.get(path.stem) or MANAGERS[path.parent.name]
    return [*(f"{name}.py" for name in fitting), ENGINE]


def noticed(copy: Copy, slip: Slip) -> str:
    """What notices a slip that is in the copy; empty when nothing does."""
    tests = ("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"--basetemp={copy.root / 'pt'}")
    passed, said = copy.run(*tests, *tests_for(slip.file))
    if not passed:
        red = [line.split()[1] for line in said.splitlines() if line.startswith(("FAILED tests", "ERROR tests"))]
        return red[0] if red else (said.strip().splitlines() or ["silence"])[-1]
    passed, said = copy.run(*DST)
    return "" if passed else next((line for line in said.splitlines() if line.startswith("seed ")), "a world broke")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--from", type=int, default=0, dest="first", help="leave so many of the sample out")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    chosen = sample(args.count, args.seed)[args.first :]
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies: SimpleQueue[Copy] = SimpleQueue()
        for job in range(args.jobs):
            home = Path(folder, str(job))
            home.mkdir()
            copies.put(Copy(home))

        def run(slip: Slip) -> tuple[Slip, str]:
            copy = copies.get()
            raw = (ROOT / slip.file).read_bytes()
            (copy.root / slip.file).write_bytes(raw[: slip.begin] + slip.new.encode() + raw[slip.end :])
            try:
                return slip, noticed(copy, slip)
            finally:
                (copy.root / slip.file).write_bytes(raw)
                copies.put(copy)

        with ThreadPoolExecutor(args.jobs) as pool:
            for slip, killer in pool.map(run, chosen):
                survivors += not killer
                place = f"{slip.file.removeprefix('nexus_engine/')}:{slip.line}"
                what = " ".join(f"{slip.old} -> {slip.new}".split())
                print(f"{place:<28} {what[:90]:<90} {killer[:100] or 'SURVIVES'}", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} killed, seed {args.seed}; {survivors} survive")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
