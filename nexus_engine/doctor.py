"""`nexus doctor`: is everything fit, and what to do where it is not. Works offline, and says what it could not ask."""

import argparse
import asyncio
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Final

from nexus_engine.credentials import ask_terminal, find_key, nobody, passphrase, postgres_password, typed
from nexus_engine.model.config import ConfigError, Directive, load
from nexus_engine.model.findings import Finding, bad, good, lines, warn, worst
from nexus_engine.model.paths import StateError, account_path, state_root
from nexus_engine.model.secret import Secret
from nexus_engine.model.usage import Parser, UsageError, of_an_account
from nexus_engine.model.words import AccountKind
from nexus_engine.runtime import checkup, mirror_check
from nexus_engine.runtime.clock import SystemClock
from nexus_engine.uplink.binance.checks import (
    Unreachable,
    account_findings,
    asking,
    permission_findings,
    reachable,
    stream_findings,
)
from nexus_engine.uplink.binance.settings import Urls, urls
from nexus_engine.vault import ApiKey, Vault, VaultError, vault_path

_LOCK: Final = Path(__file__).resolve().parents[1] / "requirements.lock"
_PASSPHRASE: Final = "give the passphrase: a terminal, --passphrase-fd, or a credential"
_PYTHONS: Final = ((3, 11), (3, 13))
_SMALLEST: Final = (80, 24)
_SHOWN: Final = ("textual", "aiohttp", "python-binance", "polars", "TA-Lib")


def main(argv: Sequence[str]) -> int:
    """Look at everything. 0: nothing is bad; 1: something is; 2: bad usage, with one line on stderr."""
    try:
        given = _parser().parse_args(argv)
        found = examine(given)
    except (UsageError, StateError) as error:
        sys.stderr.write(f"nexus doctor: {error}\n")
        return 2
    except SystemExit as stop:
        return int(stop.code or 0)
    sick = worst(found) is not None
    if given.json:
        rows = [{"check": one.check, "grade": one.grade.value, "text": one.text, "todo": one.todo} for one in found]
        text = json.dumps({"ok": not sick, "findings": rows})
    else:
        text = "\n".join(lines(found))
    sys.stdout.write(text + "\n")
    return 1 if sick else 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="nexus doctor", description="Health, and what to do.", allow_abbrev=False)
    of_an_account(parser)
    parser.add_argument("--config", metavar="FILE", type=Path, help="the system directive")
    parser.add_argument("--passphrase-fd", metavar="N", type=int, help="read the vault's passphrase from there")
    return parser


def examine(given: argparse.Namespace) -> tuple[Finding, ...]:
    """Every line. Raises StateError for an account's name that cannot be one."""
    root = state_root(given.state)
    found = [*program(), *terminal(os.environ, _size(), sys.stdout.isatty()), *checkup.machine(root)]
    try:
        directive = load(given.config)
        found.append(good("config", str(given.config) if given.config else "the defaults"))
    except ConfigError as error:
        found.append(bad("config", str(error), "`nexus config --explain` tells every key"))
        directive = Directive()
    kind = given.kind or directive.account.kind
    name = given.account or directive.account.name
    folder = account_path(root, name, kind)
    found += checkup.account(folder)
    found += checkup.keys_file(root)
    vault, prompt = None, ask_terminal if typed() else nobody
    try:
        password = None
        if directive.postgres.key:
            vault = Vault.open(vault_path(root), passphrase(given.passphrase_fd, prompt))
            password = postgres_password(vault, directive.postgres.key)
        found += mirror_check.server(directive.postgres, folder, name, kind, password)
    except VaultError as error:
        found.append(bad(mirror_check.CHECK, f"not asked: {error}", _PASSPHRASE))
    if kind is AccountKind.DEMO:
        return (*found, good("venue", "the demo brings its own, on this machine"))
    key: ApiKey | None = None
    if kind is not AccountKind.PAPER:
        try:
            key = find_key(root, kind, directive.binance.key, fd=given.passphrase_fd, prompt=prompt, vault=vault)
            found.append(good("key", f"{key.name} {key.scheme} {key.fingerprint}"))
        except VaultError as error:
            found.append(bad("key", str(error), _PASSPHRASE))
    return (*found, *asyncio.run(venue(urls(kind, directive.binance), directive, key, private=key is not None)))


async def venue(where: Urls, directive: Directive, key: ApiKey | None, *, private: bool) -> tuple[Finding, ...]:
    """What the venue answers, or that it does not."""
    none = Secret("")
    found: list[Finding] = []
    async with asking(
        where,
        SystemClock(),
        symbols=directive.binance.symbols,
        api_key=key.api_key if key else none,
        api_secret=key.api_secret if key else none,
        private_key=key.private_key if key else none,
    ) as rest:
        try:
            found += await reachable(rest)
        except Unreachable as error:
            rest_of = "clock, streams" + (", account and key permissions" if private else "")
            todo = "is there a network? `nexus` without a network: --demo"
            return bad("venue", str(error), todo), warn("not asked", f"{rest_of}: the venue does not answer")
        if private:
            for ask in (account_findings, permission_findings):
                try:
                    found += await ask(rest)
                except Unreachable as error:
                    found.append(warn("account", f"could not be asked: {error}", "try again"))
        found += await stream_findings(rest)
    return tuple(found)


# ---- the program and its terminal ------------------------------------------------------------------------------------


def program() -> tuple[Finding, ...]:
    """Python and packages."""
    version = ".".join(map(str, sys.version_info[:3]))
    fits = _PYTHONS[0] <= sys.version_info[:2] <= _PYTHONS[1]
    python = good("Python", version) if fits else bad("Python", version, "use 3.11, 3.12 or 3.13")
    missing, other = [], []
    for name, pinned in pins(_LOCK).items():
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
            continue
        if installed not in pinned:
            other.append(f"{name} {installed} ({' or '.join(pinned)})")
    todo = "./nexus --setup installs what requirements.lock says"
    if missing:
        return python, bad("packages", f"missing: {', '.join(missing)}", todo)
    if other:
        more = f" and {len(other) - 3} more" if len(other) > 3 else ""
        return python, warn("packages", f"not as pinned: {', '.join(other[:3])}{more}", todo)
    shown = ", ".join(f"{name} {metadata.version(name)}" for name in _SHOWN)
    return python, good("packages", f"as pinned: {shown}" if _LOCK.exists() else shown)


def pins(lock: Path) -> dict[str, list[str]]:
    """The versions that a lock allows, by package, without those that only other systems need."""
    try:
        text = lock.read_text("utf-8")
    except OSError:  # an installed package comes without
        return {}
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        requirement, _, marker = line.rstrip(" \\").partition(" ; ")
        name, equal, version = requirement.partition("==")
        if equal and not line.startswith((" ", "#")) and "win32" not in marker:
            found.setdefault(name, []).append(version.strip())
    return found


def terminal(environment: Mapping[str, str], size: tuple[int, int], is_terminal: bool) -> tuple[Finding, ...]:
    """What a cockpit would have to work with."""
    if not is_terminal:
        return (warn("terminal", "none here: not asked"),)
    term = environment.get("TERM", "")
    columns, rows = size
    small = columns < _SMALLEST[0] or rows < _SMALLEST[1]
    found = [
        bad("terminal", f"TERM={term or 'unset'} cannot show a cockpit", "set TERM, e.g. xterm-256color")
        if term in ("", "dumb")
        else good("terminal", f"TERM={term}"),
        warn("size", f"{columns}x{rows}", "make it 80x24 or more; 120x40 shows everything")
        if small
        else good("size", f"{columns}x{rows}"),
    ]
    deep = environment.get("COLORTERM", "") in ("truecolor", "24bit")
    if "NO_COLOR" in environment:
        found.append(good("colours", "none, as NO_COLOR asks"))
    elif deep or "256color" in term:
        found.append(good("colours", "16 million" if deep else "256"))
    else:
        found.append(warn("colours", "few", "set TERM=xterm-256color where the terminal can"))
    inside = next((name for name in ("TMUX", "STY") if name in environment), "")
    if "SSH_CONNECTION" in environment and not inside:
        found.append(warn("SSH", "without tmux: a drop closes the cockpit, the engine goes on", "start it in tmux"))
    else:
        keeper = {"TMUX": "tmux", "STY": "screen"}.get(inside, "")
        where = "over SSH" if "SSH_CONNECTION" in environment else "local"
        found.append(good("SSH", f"{where}{', in ' + keeper if keeper else ''}"))
    return tuple(found)


def _size() -> tuple[int, int]:
    found = shutil.get_terminal_size()
    return found.columns, found.lines
