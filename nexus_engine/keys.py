"""`nexus keys add | list | check | remove | passphrase`: the vault from the command line.

No secret is ever an argument.
"""

import argparse
import asyncio
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from nexus_engine.credentials import CREDENTIAL, ask_terminal, ed25519_pem, passphrase, passphrase_of, typed
from nexus_engine.model.config import BinanceConfig, ConfigError, load
from nexus_engine.model.findings import Finding, bad, lines, warn, worst
from nexus_engine.model.paths import ACCOUNT_NAME, StateError, state_root
from nexus_engine.model.secret import Secret
from nexus_engine.model.words import AccountKind, Venue
from nexus_engine.runtime.clock import SystemClock
from nexus_engine.uplink.binance.checks import (
    Unreachable,
    account_findings,
    asking,
    permission_findings,
    reachable,
)
from nexus_engine.uplink.binance.settings import urls
from nexus_engine.vault import ApiKey, Scheme, Vault, VaultError, WrongPassphrase, locked, vault_path

_SHOWN: Final = re.compile(r"^[\x21-\x7e]{8,256}$")
_PASSWORD: Final = re.compile(r"^[^\x00-\x1f\x7f]{1,256}$")
_MOST_BYTES: Final = 16_384
_OTHERS: Final = {
    Venue.COINMARKETCAP: "tells dominance and cap; has no secret",
    Venue.POSTGRES: "the password of the journal's mirror",
}

_TABLES: Final = {Venue.COINMARKETCAP: "macro", Venue.POSTGRES: "postgres"}
"""Where the directive names them."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # what argparse quotes of a mistaken line could be a secret that somebody pasted there
        unknown = message.startswith("unrecognized arguments")
        told = "an argument too many; keys and secrets are asked for, never given here" if unknown else message
        raise VaultError(f"{told}; see {self.prog} --help")


def main(argv: Sequence[str]) -> int:
    """Run one command. 0: done; 1: the vault or the venue says no, or does not answer; 2: bad usage or input.

    What went wrong is one line on stderr.
    """
    try:
        given = _parser().parse_args(argv)
        return int(given.run(given, vault_path(state_root(given.state))))
    except (VaultError, StateError, ConfigError) as error:
        sys.stderr.write(f"nexus keys: {error}\n")
        return 1 if isinstance(error, WrongPassphrase) else 2
    except SystemExit as stop:
        return int(stop.code or 0)


def _parser() -> argparse.ArgumentParser:
    common = _Parser(add_help=False)
    common.add_argument("--state", type=Path, metavar="DIR", help="the state folder")
    common.add_argument("--passphrase-fd", type=int, metavar="N", help="read the passphrase from this descriptor")
    common.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser = _Parser(prog="nexus keys", description="API keys, sealed with a passphrase in the state folder.")
    commands = parser.add_subparsers(required=True, metavar="add | list | check | remove | passphrase")
    one = commands.add_parser(
        "add",
        parents=[common],
        help="seal a key",
        description="Asks for the key and its secret; without a terminal they are the first two lines of stdin.",
    )
    one.add_argument("name", help="what to call it")
    kinds = one.add_mutually_exclusive_group(required=True)
    for kind in (AccountKind.TESTNET, AccountKind.LIVE):
        kinds.add_argument(f"--{kind.lower()}", dest="kind", action="store_const", const=kind, help=f"for {kind}")
    for other, told in _OTHERS.items():
        kinds.add_argument(f"--{other.lower()}", dest="kind", action="store_const", const=other, help=told)
    one.add_argument("--ed25519", metavar="FILE", help="sign with this private key in PEM; - reads it from stdin")
    one.set_defaults(run=_add)
    one = commands.add_parser("list", parents=[common], help="names, venues, kinds and fingerprints")
    one.set_defaults(run=_list)
    one = commands.add_parser("check", parents=[common], help="ask the venue what a key may do")
    one.add_argument("name", nargs="?", help="which one (all)")
    one.add_argument("--config", type=Path, metavar="FILE", help="the directive, for its addresses")
    one.set_defaults(run=_check)
    one = commands.add_parser("remove", parents=[common], help="forget a key")
    one.add_argument("name", help="which one")
    one.set_defaults(run=_remove)
    one = commands.add_parser(
        "passphrase",
        parents=[common],
        help="seal the vault with another passphrase",
        description="Asks for the passphrase, and twice for the new one.",
    )
    one.add_argument("--new-passphrase-fd", type=int, metavar="N", help="read the new one from this descriptor")
    one.set_defaults(run=_passphrase)
    return parser


def _say(given: argparse.Namespace, data: dict[str, Any], text: str) -> None:
    sys.stdout.write((json.dumps(data) if given.json else text) + "\n")


def _row(key: ApiKey) -> dict[str, str]:
    return {
        "name": key.name,
        "venue": key.venue.value,
        "kind": key.kind.value,
        "scheme": key.scheme.value,
        "fingerprint": key.fingerprint,
    }


# ---- add -------------------------------------------------------------------------------------------------------------


def _add(given: argparse.Namespace, path: Path) -> int:
    if not re.fullmatch(ACCOUNT_NAME, given.name):
        raise VaultError("a name has 1 to 31 of a-z, 0-9 and -, beginning with a letter or digit")
    with locked(path):
        vault = _opened(given, path) if path.exists() else _created(given, path)
        key, public = _asked(given)
        vault.add(key)
    todo = f"try `nexus keys check {key.name}`"
    if key.venue in _TABLES:
        todo = f'use it with key = "{key.name}" under [{_TABLES[key.venue]}]'
    text = f"{key.name}: {key.venue} {key.kind} {key.scheme} {key.fingerprint} added; {todo}"
    _say(given, {"added": _row(key), "public_key": public}, f"{text}\n{public}".rstrip())
    return 0


def _opened(given: argparse.Namespace, path: Path) -> Vault:
    return Vault.open(path, passphrase(given.passphrase_fd))


def _created(given: argparse.Namespace, path: Path) -> Vault:
    return Vault.create(path, passphrase(given.passphrase_fd, _twice))


def _twice(question: str) -> str:
    """A new passphrase from a person."""
    first = ask_terminal(f"new {question}")
    if ask_terminal("the same again: ") != first:
        raise VaultError("the two differ; nothing was stored")
    sys.stderr.write("Write it down: without it the vault cannot be opened by anybody.\n")
    return first


def _asked(given: argparse.Namespace) -> tuple[ApiKey, str]:
    """The key, and for Ed25519 its public half in PEM."""
    piped = not typed()
    text = ""
    if piped:
        try:
            text = sys.stdin.read(_MOST_BYTES) if sys.stdin is not None else ""
        except OSError:
            raise VaultError("stdin: is closed; give the passphrase on another descriptor than the key") from None
        except UnicodeDecodeError:
            raise VaultError("stdin: is not text; its first two lines are the API key and its secret") from None
    first, _, rest = text.partition("\n")
    if given.kind in _OTHERS and given.ed25519 is not None:
        raise VaultError(f"--ed25519: {given.kind.capitalize()} knows no signatures")
    if given.kind is Venue.POSTGRES:
        password = first.removesuffix("\r") if piped else ask_terminal("password: ")
        if not _PASSWORD.match(password):
            raise VaultError("the password: is not one line of 1 to 256 letters; nothing was stored")
        return _other(given, api_key=Secret(""), secret=Secret(password)), ""
    api_key = _word(first if piped else ask_terminal("API key: "), "the API key")
    public = ""
    if given.kind is Venue.COINMARKETCAP:
        return _other(given, api_key=api_key, secret=Secret("")), public
    if given.ed25519 is None:
        second = rest.partition("\n")[0] if piped else ask_terminal("secret: ")
        scheme, secret = Scheme.HMAC, _word(second, "the secret")
    elif given.ed25519 == "-":
        if not piped:
            raise VaultError("--ed25519 -: pipe it in: first line the API key, then the PEM")
        scheme, (secret, public) = Scheme.ED25519, ed25519_pem(rest.encode())
    else:
        try:
            pem = Path(given.ed25519).expanduser().read_bytes()
        except OSError as error:
            raise VaultError(f"--ed25519 {given.ed25519}: cannot be read ({error.strerror})") from error
        scheme, (secret, public) = Scheme.ED25519, ed25519_pem(pem)
    return ApiKey(name=given.name, kind=given.kind, scheme=scheme, api_key=api_key, secret=secret), public


def _other(given: argparse.Namespace, *, api_key: Secret, secret: Secret) -> ApiKey:
    # the vault's rows have a kind each: this one is of no account
    return ApiKey(name=given.name, venue=given.kind, kind=AccountKind.PAPER, api_key=api_key, secret=secret)


def _word(text: str, what: str) -> Secret:
    word = text.strip()
    if not _SHOWN.match(word):
        raise VaultError(f"{what}: is not one word of 8 to 256 letters; nothing was stored")
    return Secret(word)


# ---- list, remove ----------------------------------------------------------------------------------------------------


def _list(given: argparse.Namespace, path: Path) -> int:
    rows = [_row(key) for key in _opened(given, path).keys]
    width = max((len(row["name"]) for row in rows), default=0)
    table = [
        f"{row['name']:{width}}  {row['venue']}  {row['kind']:7}  {row['scheme']:7}  {row['fingerprint']}"
        for row in rows
    ]
    _say(given, {"keys": rows}, "\n".join(table) or "the vault is empty")
    return 0


def _remove(given: argparse.Namespace, path: Path) -> int:
    with locked(path):
        gone = _opened(given, path).remove(given.name)
    _say(given, {"removed": _row(gone)}, f"{gone.name}: removed here; delete it at the venue too")
    return 0


# ---- passphrase ------------------------------------------------------------------------------------------------------


def _passphrase(given: argparse.Namespace, path: Path) -> int:
    fd = given.new_passphrase_fd
    if fd is None and not typed():
        raise VaultError("no terminal to ask for the new passphrase: use --new-passphrase-fd")
    with locked(path):
        vault = _opened(given, path)
        if fd is None:
            fresh = Secret(_twice("passphrase of the vault: "))
        else:
            fresh = passphrase_of(fd, f"--new-passphrase-fd {fd}")
        vault.seal_with(fresh)
    text = "the vault has its new passphrase; copies of the old file still open with the old one"
    if "CREDENTIALS_DIRECTORY" in os.environ:
        text += f", and the credential {CREDENTIAL} must be made anew"
    _say(given, {"changed": True, "keys": len(vault.keys)}, text)
    return 0


# ---- check -----------------------------------------------------------------------------------------------------------


def _check(given: argparse.Namespace, path: Path) -> int:
    config = load(given.config).binance
    vault = _opened(given, path)
    keys = (vault.get(given.name),) if given.name else vault.keys
    if not keys:
        raise VaultError("the vault is empty; `nexus keys add NAME` first")
    keys = tuple(key for key in keys if key.venue is Venue.BINANCE)
    if not keys:
        raise VaultError("only keys of BINANCE can be checked; the cockpit says when CoinMarketCap refuses one")
    found = {key.name: asyncio.run(check(key, config)) for key in keys}
    refused = any(worst(rows) for rows in found.values())
    data = {
        name: [{"check": f.check, "grade": f.grade.value, "text": f.text, "todo": f.todo} for f in rows]
        for name, rows in found.items()
    }
    texts = [
        f"{key.name}  {key.venue} {key.kind} {key.fingerprint}\n" + "\n".join(lines(found[key.name])) for key in keys
    ]
    _say(given, {"ok": not refused, "keys": data}, "\n\n".join(texts))
    return 1 if refused else 0


async def check(key: ApiKey, config: BinanceConfig) -> tuple[Finding, ...]:
    """Everything that the venue tells of a key. Never raises for what a venue or a network can do."""
    where = urls(key.kind, config)
    found: list[Finding] = []
    async with asking(
        where,
        SystemClock(),
        symbols=config.symbols,
        api_key=key.api_key,
        api_secret=key.api_secret,
        private_key=key.private_key,
    ) as rest:
        try:
            found += await reachable(rest)
            found += await account_findings(rest)
            found += await permission_findings(rest)
        except Unreachable as error:
            found.append(
                bad("venue", str(error), "is there a network? try again")
                if not found
                else warn("permissions", f"could not be asked: {error}", "try again")
            )
    return tuple(found)
