"""Which strategies a backtest runs: the shipped ones, and the user's own by the name or the file of each."""

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from nexus_engine.cortex.factory import NO_OWN, STRATEGIES, Own
from nexus_engine.cortex.strategy import Strategy, checked, interval_ns
from nexus_engine.lab.bars import SECOND_NS, Bars, BarsError
from nexus_engine.model.config import ConfigError, Directive
from nexus_engine.model.usage import UsageError
from nexus_engine.runtime.own import load_file, load_own

AUTO: Final = "auto"
NAMES: Final = tuple(kind.name for kind in STRATEGIES)


class Chosen(msgspec.Struct, frozen=True):
    """A strategy's name, or `auto`, and the user's own that are known beside the shipped ones."""

    name: str
    own: Own = NO_OWN

    @property
    def kind(self) -> type[Strategy]:
        """Its class; not for `auto`."""
        return next(kind for kind in (*STRATEGIES, *self.own.kinds) if kind.name == self.name)

    @property
    def code(self) -> str:
        """A digest of the file of a user's own; empty for a shipped one. Not for `auto`."""
        if self.kind in STRATEGIES:
            return ""
        file = sys.modules[self.kind.__module__].__file__
        return hashlib.blake2b(Path(str(file)).read_bytes(), digest_size=8).hexdigest()


def find(wanted: str, directive: Directive) -> Chosen:
    """The strategy of that name, `auto` for all that the directive has on, or the one in a file that ends with `.py`.

    Runs the user's own files, as a start of the account does. Raises UsageError, which tells what there is.
    """
    own = load_own(directive.account.own_strategies)
    if wanted.endswith(".py"):
        return _in_file(Path(wanted), own)
    if wanted == AUTO or wanted in NAMES:
        return Chosen(wanted, own)
    if wanted in own.problems:
        raise UsageError(f"--strategy {wanted}: {wanted}.py: {own.problems[wanted]}")
    if wanted not in (kind.name for kind in own.kinds):
        known = ", ".join((*NAMES, *(kind.name for kind in own.kinds)))
        broken = "".join(f"; {name}.py cannot be used: {text}" for name, text in own.problems.items())
        where = "" if directive.account.own_strategies else "; your own: --config FILE with account.own_strategies"
        raise UsageError(f"--strategy {wanted}: there is none of that name; there are {known}{broken or where}")
    return Chosen(wanted, own)


def _in_file(path: Path, own: Own) -> Chosen:
    """The one of a file, in the place of one of its name."""
    found = load_file(path)
    if found.problems:
        raise UsageError(f"--strategy {path}: {next(iter(found.problems.values()))}")
    if len(found.kinds) > 1:
        raise UsageError(f"--strategy {path}: holds {', '.join(kind.name for kind in found.kinds)}; leave one in it")
    (kind,) = found.kinds
    others = (each for each in own.kinds if each.name != kind.name)
    return Chosen(kind.name, Own((kind, *others), own.problems))


def switched(
    chosen: Chosen, given: Mapping[str, Mapping[str, Any]], bars: Bars, where: Path, notes: list[str]
) -> tuple[dict[str, dict[str, Any]], Own]:
    """The directive's `strategies` and the user's own, with what does not run switched off or left out. With `auto`
    those that the bars are too coarse for do not run, and `notes` tell it.

    Raises BarsError where none is left, ConfigError for a user's own that cannot be made.
    """
    tables: dict[str, dict[str, Any]] = {}
    kept: list[type[Strategy]] = []
    running = 0
    kinds = (*STRATEGIES, *chosen.own.kinds)
    known = [kind.name for kind in kinds]
    for name in given:
        if name not in known and name not in chosen.own.problems:
            raise ConfigError(f"unknown strategy strategies.{name}; known: {', '.join(known)}")
    if chosen.name == AUTO:
        notes.extend(f"{name}.py is left out: {text}" for name, text in chosen.own.problems.items())
    for kind in kinds:
        name, shipped = kind.name, kind in STRATEGIES
        table = dict(given.get(name, {}))
        params = checked(kind, table)
        wanted = bool(params.get("enabled", True)) if chosen.name == AUTO else chosen.name == name
        for interval in _intervals(kind, params) if wanted else ():
            if interval_ns(interval) % bars.step_ns:
                lacks = f"{name} needs {interval} bars, which {bars.step_ns / SECOND_NS:g} s bars do not make"
                if chosen.name != AUTO:
                    raise BarsError(f"{where}: {lacks}")
                notes.append(lacks)
                wanted = False
                break
        running += wanted
        if shipped or wanted:
            tables[name] = table | ({"enabled": wanted} if "enabled" in kind.PARAMS else {})
        if wanted and not shipped:
            kept.append(kind)
    if not running:
        raise BarsError(f"{where}: no strategy can run on it: {'; '.join(notes) or 'none is enabled'}")
    return tables, Own(tuple(kept))


def _intervals(kind: type[Strategy], params: Mapping[str, Any]) -> tuple[str, ...]:
    if kind in STRATEGIES:
        return (str(params["interval"]),)
    try:
        intervals = tuple(kind(params).intervals)
        for interval in intervals:
            interval_ns(interval)
    except (Exception, SystemExit) as error:  # a user's own code may do anything
        text = " ".join(str(error).split())
        raise ConfigError(f"strategy {kind.name} cannot be made: {type(error).__name__}: {text}"[:300]) from error
    return intervals
