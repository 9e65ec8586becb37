"""Is this machine, and what an account keeps on it, fit to trade? Asks no network."""

import os
import resource
import shutil
import stat
from pathlib import Path
from typing import Final

from nexus_engine.model.findings import Finding, bad, good, warn
from nexus_engine.model.paths import StateError, journal_path, latch_path, lock_path
from nexus_engine.model.ports import JournalError
from nexus_engine.runtime.client import NoAnswer, ask, asked
from nexus_engine.store.lock import AccountLock
from nexus_engine.store.verify import verify
from nexus_engine.vault import VaultError, check_file, vault_path

_MB: Final = 1_000_000
DISK_BAD_MB, DISK_WARN_MB = 100, 1_000
FILES_BAD, FILES_WARN = 128, 1_024
MEMORY_BAD_MB, MEMORY_WARN_MB = 100, 400
_MEMINFO: Final = Path("/proc/meminfo")


def machine(root: Path) -> tuple[Finding, ...]:
    """State folder, disk, file descriptors, memory."""
    return (_folder(root), _disk(root), _files(), *_memory())


def _folder(root: Path) -> Finding:
    check = "state folder"
    there = root
    while not there.exists() and there != there.parent:
        there = there.parent
    if not os.access(there, os.W_OK | os.X_OK):
        return bad(check, f"{there} cannot be written", "check its owner and permissions, or choose another: --state")
    if there != root:
        return good(check, f"{root} will be made at the first start")
    found = root.stat()
    if found.st_uid != os.getuid():
        return bad(check, f"{root} belongs to another user", "choose another: --state")
    if found.st_mode & 0o022:
        return bad(check, f"{root} can be changed by others ({stat.S_IMODE(found.st_mode):04o})", f"chmod 700 {root}")
    if found.st_mode & 0o055:
        return warn(check, f"{root} can be read by others ({stat.S_IMODE(found.st_mode):04o})", f"chmod 700 {root}")
    return good(check, f"{root} is ours alone")


def _disk(root: Path) -> Finding:
    there = root
    while not there.exists() and there != there.parent:
        there = there.parent
    free_mb = shutil.disk_usage(there).free // _MB
    text, todo = f"{free_mb:,} MB free", "make room: without it the journal stops, and entries with it"
    if free_mb < DISK_BAD_MB:
        return bad("disk", text, todo)
    return warn("disk", text, todo) if free_mb < DISK_WARN_MB else good("disk", text)


def _files() -> Finding:
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    text, todo = f"{soft:,} at a time", f"ulimit -n {FILES_WARN}, or LimitNOFILE={FILES_WARN} in the unit"
    if soft == resource.RLIM_INFINITY or soft >= FILES_WARN:
        return good("open files", "no limit" if soft == resource.RLIM_INFINITY else text)
    return bad("open files", text, todo) if soft < FILES_BAD else warn("open files", text, todo)


def _memory() -> tuple[Finding, ...]:
    try:
        rows = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
        free_mb = int(rows["MemAvailable"].split()[0]) * 1024 // _MB
        swap_mb = int(rows["SwapTotal"].split()[0]) * 1024 // _MB
    except (OSError, KeyError, ValueError):
        return (warn("memory", "not asked: this system does not tell"),)
    text, todo = f"{free_mb:,} MB available", "Nexus and its cockpit take about 250 MB: stop something else"
    swap = (
        good("swap", f"{swap_mb:,} MB" if swap_mb else "none, with memory to spare")
        if swap_mb or free_mb >= MEMORY_WARN_MB
        else warn("swap", "none", "add a swap file: without one the kernel ends a process when memory is short")
    )
    if free_mb < MEMORY_BAD_MB:
        return bad("memory", text, todo), swap
    return (warn("memory", text, todo) if free_mb < MEMORY_WARN_MB else good("memory", text)), swap


# ---- the account -----------------------------------------------------------------------------------------------------


def account(folder: Path, *, ours: bool = False) -> tuple[Finding, ...]:
    """Journal, lock and latches of the account in `folder`. `ours`: we run it, and hold its lock."""
    if not folder.exists():
        return (good("account", f"{folder.name} is new"),)
    held = () if ours else _held(folder)
    return (*held, *_journal(folder), *_latch(folder, running=ours or any("process" in one.text for one in held)))


def _held(folder: Path) -> tuple[Finding, ...]:
    try:
        pid = AccountLock.look(lock_path(folder))
    except StateError as error:
        return (bad("engine", str(error), "check owner and permissions of the account's folder"),)
    if pid is None:
        return (good("engine", "does not run, the account is free"),)
    try:
        status = ask(folder, {"op": "status"})["status"]
    except NoAnswer as silence:
        todo = "`nexus kill` halts it; look at its nexus.log"
        return (bad("engine", f"process {pid or 'unknown'} holds the account and does not answer ({silence})", todo),)
    problem = status["problem"]
    text = f"process {pid or 'unknown'} runs it: {problem or status['progress'] or status['state'] or 'starting'}"
    return (warn("engine", text, "see `nexus attach`") if problem else good("engine", text),)


def _journal(folder: Path) -> tuple[Finding, ...]:
    path = journal_path(folder)
    if not path.exists():
        return (good("journal", "none yet"),)
    mode = path.stat().st_mode
    open_to = (
        (bad("journal", f"{path} is open to others ({stat.S_IMODE(mode):04o})", f"chmod 600 {path}"),)
        if mode & 0o077
        else ()
    )
    try:
        report = verify(path)
    except JournalError as error:
        return (
            *open_to,
            bad(
                "journal",
                str(error),
                "put a copy of it back; a start sets a damaged one aside and goes on from what can be read",
            ),
        )
    if not report.ok:
        todo = "`nexus journal verify` tells more; do not trade on it"
        return (*open_to, bad("journal", report.problems[0], todo))
    latches = (
        (warn("latches", f"{', '.join(report.latches)}: no new entries", "released in the cockpit, key r"),)
        if report.latches
        else ()
    )
    return (*open_to, good("journal", f"{report.facts:,} facts, chain and seals whole"), *latches)


def _latch(folder: Path, *, running: bool) -> tuple[Finding, ...]:
    if running or not latch_path(folder).exists():
        return ()
    by, how = asked(latch_path(folder))
    text = f"HALT {how if by in how else f'by {by}, {how}'}: the next start is HALTED"
    return (warn("kill latch", text, f"meant so: nothing to do; else rm {latch_path(folder)}"),)


def keys_file(root: Path) -> tuple[Finding, ...]:
    """The vault's file, as far as it can be told without its passphrase."""
    path = vault_path(root)
    if not path.exists():
        return ()
    try:
        check_file(path)
    except VaultError as error:
        return (bad("vault", str(error), "keys are read from a whole file that is ours alone"),)
    return (good("vault", f"{path} is whole and ours alone"),)
