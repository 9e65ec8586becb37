"""A user's own strategies: every Python file of a folder, and every entry point of the group `nexus.strategies`.

They are code that the user runs on their own machine with their own rights; nothing is fenced off but their mistakes. A
file that cannot be used is one line, and all else lives.
"""

import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from nexus_engine.cortex.factory import OWN_GATE, STRATEGIES, Own
from nexus_engine.cortex.strategy import Gate, Param

GROUP: Final = "nexus.strategies"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,30}")
_METHODS: Final = ("warm", "on_bar")


def load_own(folder: str, check: Callable[[Path], str] = lambda file: "") -> Own:
    """What is there to run; an empty `folder` leaves the entry points. `check` says why a file must not be run."""
    kinds: dict[str, type[Any]] = {}
    problems: dict[str, str] = {}

    def take(source: str, find: Callable[[], Iterable[type[Any]]]) -> None:
        try:
            for kind in find():
                if problem := _problem(kind, kinds):
                    problems[source] = problem
                else:
                    kinds[kind.name] = kind
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a file of somebody else's may do anything
            problems[source] = _line(error)

    if folder:
        path = Path(folder).expanduser()
        if not path.is_dir():
            problems[path.name] = f"{path} is not a folder; correct account.own_strategies"
        for file in sorted(path.glob("[!_]*.py")):
            if problem := check(file):
                problems[file.stem] = problem
            else:
                take(file.stem, lambda file=file: _in_file(file))  # type: ignore[misc]
    for point in sorted(entry_points(group=GROUP)):
        take(point.name, lambda point=point: (point.load(),))  # type: ignore[misc]
    return Own(tuple(kinds.values()), problems)


def load_file(file: Path) -> Own:
    """The strategies of one file alone."""
    if not file.is_file():
        return Own((), {file.stem: "no such file"})
    kinds: dict[str, type[Any]] = {}
    try:
        for kind in _in_file(file):
            if problem := _problem(kind, kinds):
                return Own((), {file.stem: problem})
            kinds[kind.name] = kind
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a file of somebody else's may do anything
        return Own((), {file.stem: _line(error)})
    return Own(tuple(kinds.values()))


def files_of(own: Own) -> frozenset[str]:
    """The files that strategies are written in, as Python names them in a stack."""
    return frozenset(getattr(sys.modules.get(kind.__module__), "__file__", None) or "" for kind in own.kinds)


def _in_file(file: Path) -> list[type[Any]]:
    """The classes of a file that are strategies. Raises whatever the file does."""
    name = f"nexus_own_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    found = _strategies(module)
    if not found:
        raise ValueError(f"no class with name, PARAMS, {' and '.join(_METHODS)} is in it")
    return found


def _strategies(module: ModuleType) -> list[type[Any]]:
    return [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type)
        and kind.__module__ == module.__name__
        and all(hasattr(kind, each) for each in ("name", "PARAMS", *_METHODS))
    ]


def _problem(kind: Any, known: dict[str, type[Any]]) -> str:
    """Why a class is no strategy; empty when it is."""
    name = getattr(kind, "name", None)
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        return f"name {name!r}: must be 1 to 31 of a-z, 0-9 and _, beginning with a letter"
    if name in known or name in {each.name for each in STRATEGIES}:
        return f"there is a strategy {name} already; give it another name"
    for key, param in kind.PARAMS.items():
        if not isinstance(param, Param):
            return f"PARAMS[{key!r}] is no Param"
    for key in ("risk_pct", "leverage"):
        if key not in kind.PARAMS:
            return f"PARAMS has no {key}: every strategy declares what it risks"
    leverage = kind.PARAMS["leverage"]
    if not (type(leverage.default) is int and min(leverage.default, leverage.low) >= 1):
        return "PARAMS['leverage'] must be a whole number above 0"
    if not isinstance(getattr(kind, "GATE", OWN_GATE), Gate):
        return "GATE is no Gate"
    return ""


def _line(error: BaseException) -> str:
    """What went wrong and where, in one line."""
    where = next((frame.lineno for frame in reversed(traceback.extract_tb(error.__traceback__))), None)
    line = error.lineno if isinstance(error, SyntaxError) else where
    text = " ".join(str(error).split())
    return f"line {line}: {type(error).__name__}: {text}"[:200]
