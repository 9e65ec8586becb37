"""Where a passphrase and a key come from: a descriptor, a systemd credential, a person, the vault, the environment."""

import getpass
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from nexus_engine.model.secret import Secret
from nexus_engine.model.words import AccountKind, Venue
from nexus_engine.vault import ApiKey, Vault, VaultError, vault_path

CREDENTIAL: Final = "nexus-vault"
"""The name of the systemd credential that holds the passphrase."""
KEY_ENV: Final = "NEXUS_BINANCE_API_KEY"
SECRET_ENV: Final = "NEXUS_BINANCE_API_SECRET"
MACRO_ENV: Final = "NEXUS_CMC_API_KEY"
"""Of CoinMarketCap."""

Prompt = Callable[[str], str]


def typed() -> bool:
    """Whether a person is at stdin; nobody is at one that was closed."""
    return sys.stdin is not None and sys.stdin.isatty()


def ask_terminal(question: str) -> str:
    """A hidden line from the terminal. Raises VaultError where there is none."""
    if not typed():
        raise VaultError(
            f"no terminal to ask for the passphrase: use --passphrase-fd, or a systemd credential {CREDENTIAL}"
        )
    try:
        return getpass.getpass(question)
    except EOFError:
        raise VaultError("nothing was typed") from None


def nobody(question: str) -> str:
    """For where no person can be asked."""
    raise VaultError("the passphrase of the vault was not given at the start")


def passphrase(fd: int | None = None, prompt: Prompt = ask_terminal) -> Secret:
    """From the descriptor, else the systemd credential, else a person. Its last line break is not part of it.

    Raises VaultError.
    """
    if fd is not None:
        return passphrase_of(fd, f"--passphrase-fd {fd}")
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder and (file_path := Path(folder) / CREDENTIAL).exists():
        try:
            return _phrase(file_path.read_bytes(), f"credential {CREDENTIAL}")
        except OSError as error:
            raise VaultError(f"{file_path}: cannot be read ({error.strerror})") from error
    return Secret(prompt("passphrase of the vault: "))


def passphrase_of(fd: int, where: str) -> Secret:
    """What the descriptor gives; `where` is how it was named. Raises VaultError."""
    try:
        with os.fdopen(fd, "rb") as file:
            return _phrase(file.read(), where)
    except OSError as error:
        raise VaultError(f"{where}: cannot be read ({error.strerror})") from error
    except (ValueError, TypeError, OverflowError):  # below 0, or too large for an int of C
        raise VaultError(f"{where}: is no descriptor") from None


def _phrase(raw: bytes, where: str) -> Secret:
    try:
        text = raw.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        text = ""
    if not text:
        raise VaultError(f"{where}: holds no passphrase")
    return Secret(text)


def from_environment(kind: AccountKind) -> ApiKey | None:
    """The key in the environment, which loses it: what is started from here must not inherit it."""
    key, secret = os.environ.pop(KEY_ENV, ""), os.environ.pop(SECRET_ENV, "")
    if not key or not secret:
        return None
    return ApiKey(name="environment", kind=kind, api_key=Secret(key), secret=Secret(secret))


def choose(keys: Sequence[ApiKey], kind: AccountKind, name: str = "") -> ApiKey | None:
    """The key of that name, or the only one of that kind; None when there is none. Raises VaultError.

    A key of another kind is never chosen: test money and real money do not share one.
    """
    keys = [key for key in keys if key.venue is Venue.BINANCE]
    if name:
        for key in keys:
            if key.name == name:
                if key.kind is not kind:
                    raise VaultError(f"binance.key = {name!r}: is a {key.kind} key, this is a {kind} account")
                return key
        raise VaultError(
            f"binance.key = {name!r}: the vault has no such key; known: {', '.join(k.name for k in keys) or 'none'}"
        )
    fitting = [key for key in keys if key.kind is kind]
    if len(fitting) > 1:
        raise VaultError(f"several {kind} keys: {', '.join(key.name for key in fitting)}; choose one with binance.key")
    return fitting[0] if fitting else None


def find_key(
    root: Path,
    kind: AccountKind,
    name: str = "",
    *,
    fd: int | None = None,
    prompt: Prompt = ask_terminal,
    vault: Vault | None = None,
) -> ApiKey:
    """What an account of that kind signs with: from the vault (opened here, unless given), else from the environment.

    Raises VaultError.
    """
    path = vault_path(root)
    spare = from_environment(kind)
    if path.exists() or name:
        found = choose((vault or Vault.open(path, passphrase(fd, prompt))).keys, kind, name)
        if found is not None:
            return found
    if spare is None:
        flag = f"--{kind.value.lower()}"
        raise VaultError(
            f"{flag[2:]} needs a key: `nexus keys add NAME {flag}`, or {KEY_ENV} and {SECRET_ENV} in the environment"
        )
    return spare


def macro_key(vault: Vault | None, name: str = "") -> Secret:
    """CoinMarketCap's key: of that name in the vault, else from the environment, which loses it; empty where there is
    none. Raises VaultError."""
    spare = Secret(os.environ.pop(MACRO_ENV, ""))
    if not name:
        return spare
    assert vault is not None
    fitting = {key.name: key for key in vault.keys if key.venue is Venue.COINMARKETCAP}
    if name not in fitting:
        known = ", ".join(fitting) or "none; `nexus keys add NAME --coinmarketcap`"
        raise VaultError(f"macro.key = {name!r}: the vault has no such key of CoinMarketCap; known: {known}")
    return fitting[name].api_key


def postgres_password(vault: Vault, name: str) -> Secret:
    """The password of that name in the vault. Raises VaultError."""
    fitting = {key.name: key for key in vault.keys if key.venue is Venue.POSTGRES}
    if name not in fitting:
        known = ", ".join(fitting) or "none; `nexus keys add NAME --postgres`"
        raise VaultError(f"postgres.key = {name!r}: the vault has no such password of PostgreSQL; known: {known}")
    return fitting[name].secret


# ---- Ed25519 ---------------------------------------------------------------------------------------------------------


def ed25519_pem(pem: bytes) -> tuple[Secret, str]:
    """(private key as PKCS 8 PEM, public key as PEM) of a private key. Raises VaultError."""
    problem, key = "", None
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError:
        problem = "the private key has a passphrase of its own; take it off first: openssl pkey -in KEY -out PLAIN"
    except (ValueError, UnsupportedAlgorithm):
        problem = "this is no private key in PEM; make one with: openssl genpkey -algorithm ed25519 -out KEY"
    if problem:
        raise VaultError(problem)
    if not isinstance(key, Ed25519PrivateKey):
        raise VaultError("the private key is not Ed25519; make one with: openssl genpkey -algorithm ed25519 -out KEY")
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Secret(private.decode().strip()), public_pem(key)


def public_pem(key: Any) -> str:
    """What the venue is given, as PEM."""
    raw: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return raw.decode()
