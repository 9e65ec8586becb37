"""Is the second memory fit: does the server answer, who holds the account there, how far behind is the copy?"""

import socket
from pathlib import Path
from typing import Final, NamedTuple

from nexus_engine.model.config import PostgresConfig
from nexus_engine.model.findings import Finding, bad, good, warn
from nexus_engine.model.paths import journal_path
from nexus_engine.model.ports import JournalError
from nexus_engine.model.secret import Secret
from nexus_engine.model.words import AccountKind
from nexus_engine.store.rows import Tail, genesis, instance_of, read_tail, reading

CHECK: Final = "PostgreSQL"
_WHOLE: Final = "the journal is whole without it; `[postgres]` and docs/memory.md say how to reach it"


class Local(NamedTuple):
    """What the journal here is called, and where it ends."""

    instance: str
    tail: Tail


def server(
    config: PostgresConfig, folder: Path, account: str, kind: AccountKind, password: Secret | None = None
) -> tuple[Finding, ...]:
    """Ask it, with its own deadlines, and change nothing there. Nothing where none is configured."""
    if not config.dsn:
        return ()
    from psycopg import Error

    from nexus_engine.store.postgres import Owner, inspect

    machine = f"{socket.gethostname()}:{folder.resolve()}"
    before = _local(folder)
    owner = Owner(account, kind.value, "" if before is None else before.instance, machine)
    try:
        found = inspect(config.dsn, owner, password)
    except Error as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return (bad(CHECK, lines[0], _WHOLE),)
    reached = good(CHECK, f"answers, version {found.version}")
    if not found.tables:
        return (reached, good("mirror", "the first start makes its tables"))
    # read after it: an engine that runs writes here first
    return (
        reached,
        _copy(_local(folder), found.last),
        *((_lock(found.held, found.holder, machine),) if config.lock else ()),
    )


def _local(folder: Path) -> Local | None:
    try:
        with reading(journal_path(folder)) as conn:
            return Local(instance_of(conn), read_tail(conn))
    except JournalError:  # the check of the journal itself says what is wrong with it
        return None


def _copy(local: Local | None, last: Tail | None) -> Finding:
    if local is None:
        return good("mirror", "no journal here yet")
    here, there = local.tail.seq, 0 if last is None else last.seq
    if there > here or (there == here and last not in (None, local.tail)):
        text = f"the server has {there:,} facts of this journal, here are {here:,}, and not the same"
        return bad("mirror", text, "it was cut off, or is a copy: the next start goes PROTECT-ONLY; see docs/memory.md")
    if there < here and local.tail != genesis(local.instance):
        return warn("mirror", f"{here - there:,} of {here:,} facts behind", "a running engine brings them over")
    return good("mirror", f"has all {here:,} facts")


def _lock(held: bool, holder: str, machine: str) -> Finding:
    if not held:
        return good("account lock", "free on the server")
    if holder == machine:
        return good("account lock", "held on the server by this machine")
    todo = "a start here protects and does not trade until that one ends"
    return warn("account lock", f"held on the server by {holder or 'another session'}", todo)
