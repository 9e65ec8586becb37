"""`nexus status` and `nexus kill`: what a second shell asks of the accounts that run."""

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from nexus_engine.model.paths import StateError, account_dir, lock_path, state_root
from nexus_engine.model.words import AccountKind
from nexus_engine.runtime.client import KILL, UNANSWERED, NoAnswer, ask, halt, taken
from nexus_engine.store.lock import AccountLock

_KINDS = tuple(kind.value.lower() for kind in AccountKind)
_TAKEN_S: Final = 3.0
"""So long an engine that holds its account and did not answer may need to take the latch: who asks wants to know."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def status(argv: Sequence[str]) -> int:
    """One line per account that runs. Exit 1 when none does."""
    given = parser("status", "one line for each account that runs")
    given.add_argument("--json", action="store_true", help="one JSON object instead")
    options = given.parse_args(argv)
    found: list[dict[str, Any]] = []
    silent: list[str] = []
    for folder in folders(options):
        try:
            found.append(ask(folder, {"op": "status"})["status"])
        except NoAnswer as silence:
            if (pid := holder(folder)) is not None:
                silent.append(f"{folder.name}  does not answer ({silence}); process {pid} holds it: see `nexus kill`")
    if options.json:
        print(json.dumps({"accounts": found, "silent": silent}))
    else:
        for one in found:
            print(_line(one))
        for text in silent:
            print(text)
        if not found and not silent:
            print("no account runs")
    return 0 if found and not silent else 1


def kill(argv: Sequence[str]) -> int:
    """HALT, over the socket or by the latch file that an engine polls. Without a choice: every account there is.

    Exit 1 when an engine that holds its account has not taken the latch in time, 2 when an account could not be asked.
    """
    options = parser("kill", "HALT: no entries, working entries cancelled, exits and stops alive").parse_args(argv)
    try:
        found = folders(options)
        if not found and options.account is not None:
            known = ", ".join(folder.name for folder in folders(_everything(options))) or "none"
            raise StateError(f"there is no account {options.account}; known: {known}")
        found = found or [_chosen(options)]
    except (StateError, OSError) as error:
        print(f"nexus kill: {error}", file=sys.stderr)
        return 2
    code = 0
    slow: list[Path] = []
    for folder in found:  # all of them, whatever becomes of one
        try:
            told = halt(folder, KILL, f"asked by {KILL}")
        except (StateError, OSError) as error:
            print(f"nexus kill: {folder.name}: {error}", file=sys.stderr)
            code = 2
            continue
        print(f"{folder.name}: {told}", flush=True)
        if told.startswith(UNANSWERED) and holder(folder) is not None:
            slow.append(folder)
    until_s = time.monotonic() + _TAKEN_S
    for folder in slow:
        if taken(folder, until_s):
            print(f"{folder.name}: halted; the engine was slow to answer and took the latch", flush=True)
        elif (pid := holder(folder)) is not None:
            hung = f"process {pid} holds the account and has not taken the latch in {_TAKEN_S:g} s"
            print(f"{folder.name}: {hung}; stops rest at the venue, kill -9 {pid} ends it", flush=True)
            code = code or 1
    return code


def parser(name: str, summary: str) -> argparse.ArgumentParser:
    """The options by which accounts are chosen."""
    made = _Parser(prog=f"nexus {name}", description=summary, allow_abbrev=False)
    made.add_argument("--account", metavar="NAME", help="this account only")
    made.add_argument("--state", metavar="DIR", type=Path, help="the state folder")
    kinds = made.add_mutually_exclusive_group()
    for kind in _KINDS:
        kinds.add_argument(f"--{kind}", dest="kind", action="store_const", const=kind, help=f"{kind} accounts only")
    return made


def folders(options: argparse.Namespace) -> list[Path]:
    """The account folders that are meant: all that match what was said."""
    try:
        root = state_root(options.state)
        found = [folder for folder in root.iterdir() if folder.is_dir()]
    except (StateError, OSError):
        return []
    kinds = (options.kind,) if options.kind else _KINDS
    return sorted(
        folder
        for folder in found
        for name, _, kind in (folder.name.rpartition("-"),)
        if kind in kinds and name and (options.account is None or name == options.account)
    )


def _everything(options: argparse.Namespace) -> argparse.Namespace:
    return argparse.Namespace(state=options.state, account=None, kind=None)


def holder(folder: Path) -> int | None:
    """The process that has the account, None when nobody has."""
    with contextlib.suppress(StateError):
        return AccountLock.look(lock_path(folder))
    return None


def _chosen(options: argparse.Namespace) -> Path:
    """The folder of an account that does not exist yet, so that a latch can wait for it."""
    kind = AccountKind((options.kind or "demo").upper())
    return account_dir(state_root(options.state), options.account or "main", kind)


def _line(one: dict[str, Any]) -> str:
    head = f"{one['kind']} {one['account']}"
    if one["progress"] or not one["state"]:
        return f"{head}  {one['progress'] or 'starting'}"
    state = "; ".join(filter(None, (one["blocked"], one["problem"]))) or "ok"
    counts = "".join(f"  {one[key]} {key.upper()}" for key in ("naked", "unknown", "foreign") if one[key])
    return (
        f"{head}  {one['mode']} {one['state']}  {one['sentinel']}  day {one['day_pnl']:+,.2f}"
        f"  positions {one['positions']}  proposals {one['proposals']}{counts}  {state}"
    )
