"""The core knows no clock, no chance, no file, no socket and no thread: those are somebody else's."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "nexus_engine"
ZONES = ("core", "cortex", "shield", "servos", "model")
FORBIDDEN_MODULES = {
    *("time", "datetime", "random", "uuid", "secrets", "os", "socket", "threading", "asyncio", "pathlib", "subprocess"),
    *("multiprocessing", "concurrent", "selectors", "signal", "select", "tempfile", "shutil", "io", "logging", "http"),
    *("sqlite3", "websockets", "aiohttp", "requests", "binance", "alpaca", "polars", "locale", "contextvars", "sys"),
}
FORBIDDEN_CALLS = {"open", "input", "print", "id", "eval", "exec", "__import__", "breakpoint"}
ALLOWED = {
    ("cortex/_talib.py", "sys"),
    ("model/paths.py", "os"),
    ("model/paths.py", "tempfile"),
    ("model/paths.py", "pathlib"),
    ("model/config.py", "pathlib"),
    ("model/usage.py", "pathlib"),
}
"""Where the state lives, the options of a command and the directive, all before an engine is made; and how TA-Lib is
imported."""

FILES = sorted(file for zone in ZONES for file in (PACKAGE / zone).rglob("*.py"))


def breaches(name: str, source: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        else:
            modules = []
            if isinstance(node, ast.For | ast.comprehension) and _is_set(node.iter):
                found.append(f"{name}:{node.iter.lineno} goes through a set, whose order is chance")
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
                found.append(f"{name}:{line} calls {node.func.id}")
            if isinstance(node, ast.AsyncFunctionDef | ast.Await):
                found.append(f"{name}:{line} is asynchronous")
        for module in modules:
            top = module.partition(".")[0]
            if top in FORBIDDEN_MODULES and (name, top) not in ALLOWED:
                found.append(f"{name}:{line} imports {module}")
    return found


def _is_set(node: ast.expr) -> bool:
    called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("set", "frozenset")
    return called or isinstance(node, ast.Set | ast.SetComp)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_zone_of_the_core_is_pure(file: Path) -> None:
    name = file.relative_to(PACKAGE).as_posix()
    found = breaches(name, file.read_text("utf-8"))
    if name == "model/ports.py":
        found = [line for line in found if not line.endswith("is asynchronous")]
    assert found == []


def test_a_breach_is_seen() -> None:
    source = "import time\nfrom datetime import datetime\nx = open('f')\nasync def f(): ...\nfor x in {*y}: ...\n"
    assert len(breaches("core/x.py", source)) == 5


def test_every_exception_is_still_needed() -> None:
    for name, module in ALLOWED:
        assert module in (PACKAGE / name).read_text("utf-8")
