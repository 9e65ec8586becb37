"""`nexus accounts`: every account there is, whether it runs or not."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from nexus_engine.model.facts import LatchSet, ModeSet, RunStarted
from nexus_engine.model.paths import journal_path
from nexus_engine.model.ports import JournalError
from nexus_engine.runtime.commands import folders, holder, parser
from nexus_engine.store.rows import COLUMNS, Row, decode_fact, reading


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """One account. `pid` is None while nobody runs it; what no journal tells is empty."""

    account: str
    kind: str
    pid: int | None
    mode: str = ""
    latches: tuple[str, ...] = ()
    last_run: str = ""
    """UTC, ISO 8601."""
    version: str = ""
    problem: str = ""


def accounts(argv: Sequence[str]) -> int:
    """One line per account. Exit 0 always: having none is an answer too."""
    given = parser("accounts", "every account: kind, whether it runs, mode, last start")
    given.add_argument("--json", action="store_true", help="one JSON object instead")
    options = given.parse_args(argv)
    found = [look(folder) for folder in folders(options)]
    if options.json:
        print(json.dumps({"accounts": msgspec.to_builtins(found)}))
    else:
        width = max((len(one.account) for one in found), default=0)
        for one in found:
            print(_line(one, width))
        if not found:
            print("there is no account yet; `nexus` starts the demo")
    return 0


def look(folder: Path) -> Known:
    """What is known of the account that lives in `folder`."""
    name, _, kind = folder.name.rpartition("-")
    known = Known(account=name, kind=kind.upper(), pid=holder(folder))
    if not journal_path(folder).exists():
        return known
    try:
        told = _told(journal_path(folder))
    except JournalError as error:
        return msgspec.structs.replace(known, problem=str(error))
    return msgspec.structs.replace(known, **told)


def _told(journal: Path) -> dict[str, Any]:
    with reading(journal) as conn:
        newest = f"SELECT {COLUMNS} FROM journal WHERE kind = ? ORDER BY seq DESC LIMIT 1"
        told: dict[str, Any] = {}
        for kind in (RunStarted.__name__, ModeSet.__name__):
            row = conn.execute(newest, (kind,)).fetchone()
            fact = None if row is None else decode_fact(Row._make(row))
            if isinstance(fact, RunStarted):
                when = datetime.fromtimestamp(fact.at_ns // 1_000_000_000, UTC)
                told |= {"last_run": when.isoformat().replace("+00:00", "Z"), "version": fact.version}
            elif isinstance(fact, ModeSet):
                told["mode"] = fact.mode.value
        latched: dict[str, bool] = {}
        every = f"SELECT {COLUMNS} FROM journal WHERE kind = ? ORDER BY seq"
        for row in conn.execute(every, (LatchSet.__name__,)):
            fact = decode_fact(Row._make(row))
            if isinstance(fact, LatchSet):
                latched[fact.latch.value] = fact.on
        return told | {"latches": tuple(latch for latch, on in latched.items() if on)}


def _line(one: Known, width: int) -> str:
    runs = "stopped" if one.pid is None else f"runs, process {one.pid}"
    last = f"last start {one.last_run[:16].replace('T', ' ')} UTC" if one.last_run else "never started"
    parts = [f"{one.kind:7} {one.account:{width}}", f"{runs:20}", one.mode, *one.latches, one.problem or last]
    return "  ".join(part for part in parts if part)
