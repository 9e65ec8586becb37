"""The vault: API keys in one file of the state folder, sealed with a passphrase (scrypt and AES-256-GCM).

The file is JSON, mode 0600, replaced whole. Its header is authenticated with what it holds; a checksum over all of it
tells a damaged file from a wrong passphrase. scrypt's parameters are stored, so that they can grow.
"""

import contextlib
import fcntl
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from nexus_engine.model.secret import Secret
from nexus_engine.model.words import AccountKind, Venue

FILE: Final = "vault"
WORK: Final = 1 << 17
"""scrypt's n: 128 MB, about half a second."""
MOST_WORK: Final = 1 << 20
SHORTEST: Final = 10
_R, _P, _KEY_BYTES, _SALT_BYTES, _NONCE_BYTES = 8, 1, 32, 16, 12
_VERSION: Final = 1
_NO_FOLLOW: Final = os.O_NOFOLLOW | os.O_CLOEXEC


class VaultError(Exception):
    """The vault or a key cannot be used; the message is one line and holds no secret."""


class WrongPassphrase(VaultError):
    """The vault is whole, and does not open."""


class Scheme(StrEnum):
    """How requests are signed."""

    HMAC = "HMAC"
    ED25519 = "ED25519"


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key of one venue. `secret` is the HMAC secret, or the Ed25519 private key as PEM (PKCS 8)."""

    name: str
    venue: Venue = Venue.BINANCE
    kind: AccountKind
    scheme: Scheme = Scheme.HMAC
    api_key: Secret
    secret: Secret

    @property
    def fingerprint(self) -> str:
        """Tells keys apart without showing them: eight bytes of a hash of the public half, empty where none is."""
        if not self.api_key:
            return ""
        digest = hashlib.sha256(self.api_key.reveal().encode()).hexdigest()
        return ":".join(digest[i : i + 4] for i in range(0, 16, 4))

    @property
    def api_secret(self) -> Secret:
        """What HMAC signs with; empty for another scheme."""
        return self.secret if self.scheme is Scheme.HMAC else Secret("")

    @property
    def private_key(self) -> Secret:
        """What Ed25519 signs with; empty for another scheme."""
        return self.secret if self.scheme is Scheme.ED25519 else Secret("")


class _Row(msgspec.Struct, frozen=True):
    """A key as the sealed text has it."""

    name: str
    venue: Venue
    kind: AccountKind
    scheme: Scheme
    api_key: str
    secret: str


class _File(msgspec.Struct, frozen=True):
    version: int
    n: int
    r: int
    p: int
    salt: bytes
    nonce: bytes
    sealed: bytes
    sum: str

    @property
    def header(self) -> bytes:
        return b"nexus vault %d %d %d %d " % (self.version, self.n, self.r, self.p) + self.salt + self.nonce

    @property
    def checksum(self) -> str:
        return hashlib.blake2b(self.header + self.sealed, digest_size=16).hexdigest()


def vault_path(root: Path) -> Path:
    """The vault of the state folder `root`."""
    return root / FILE


class Vault:
    """Opened with a passphrase. `keys` in the order in which they were added."""

    def __init__(self, path: Path, passphrase: Secret, keys: tuple[ApiKey, ...], work: int) -> None:
        self._path = path
        self._passphrase = passphrase
        self._work = work
        self.keys = keys

    @classmethod
    def create(cls, path: Path, passphrase: Secret, *, work: int = WORK) -> "Vault":
        """A new, empty one; nothing is written yet. Raises VaultError for a passphrase that is too short."""
        _long_enough(passphrase)
        return cls(path, passphrase, (), work)

    @classmethod
    def open(cls, path: Path, passphrase: Secret) -> "Vault":
        """Read it. Raises VaultError: missing, open to others, damaged, or another passphrase."""
        found = _read(path)
        text = _unseal(found, passphrase)
        if text is None:
            raise WrongPassphrase(f"{path}: wrong passphrase")
        try:
            rows = msgspec.json.decode(text, type=list[_Row])
        except msgspec.MsgspecError:
            rows = None
        if rows is None:  # raised outside of the handler: the traceback must not carry the text
            raise VaultError(f"{path}: holds what this version cannot read")
        keys = tuple(
            ApiKey(
                name=row.name,
                venue=row.venue,
                kind=row.kind,
                scheme=row.scheme,
                api_key=Secret(row.api_key),
                secret=Secret(row.secret),
            )
            for row in rows
        )
        return cls(path, passphrase, keys, found.n)

    def get(self, name: str) -> ApiKey:
        """Raises VaultError when there is none of that name."""
        for key in self.keys:
            if key.name == name:
                return key
        known = ", ".join(key.name for key in self.keys) or "none"
        raise VaultError(f"the vault has no key {name!r}; known: {known}")

    def add(self, key: ApiKey) -> None:
        """Add and store. Raises VaultError when the name is taken, or the file cannot be written."""
        if any(known.name == key.name for known in self.keys):
            raise VaultError(f"the vault has a key {key.name!r} already; `nexus keys remove {key.name}` first")
        self._store((*self.keys, key))

    def remove(self, name: str) -> ApiKey:
        """Remove and store. Raises VaultError."""
        gone = self.get(name)
        self._store(tuple(key for key in self.keys if key is not gone))
        return gone

    def seal_with(self, passphrase: Secret) -> None:
        """Store under another passphrase, at no less work than a new vault's. Raises VaultError, and is as it was."""
        _long_enough(passphrase)
        if passphrase == self._passphrase:
            raise VaultError("the new passphrase is the old one; nothing was changed")
        before = self._passphrase, self._work
        self._passphrase, self._work = passphrase, max(self._work, WORK)
        try:
            self._store(self.keys)
        except VaultError:
            self._passphrase, self._work = before
            raise

    def _store(self, keys: tuple[ApiKey, ...]) -> None:
        rows = [
            _Row(key.name, key.venue, key.kind, key.scheme, key.api_key.reveal(), key.secret.reveal()) for key in keys
        ]
        sealed = _seal(msgspec.json.encode(rows), self._passphrase, self._work)
        try:
            _write(self._path, msgspec.json.encode(sealed))
        except OSError as error:
            raise VaultError(f"{self._path}: cannot be written ({error.strerror})") from error
        self.keys = keys


def _long_enough(passphrase: Secret) -> None:
    if len(passphrase.reveal()) < SHORTEST:
        raise VaultError(f"a passphrase has at least {SHORTEST} characters")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """One writer at a time, from reading to writing. Raises VaultError."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(path.with_name(f"{FILE}.lock"), os.O_RDWR | os.O_CREAT | _NO_FOLLOW, 0o600)
    except OSError as error:
        raise VaultError(f"{path.parent}: cannot be written ({error.strerror})") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise VaultError(f"{path}: another `nexus keys` is changing it") from None
    finally:
        os.close(fd)


# ---- the file --------------------------------------------------------------------------------------------------------


def check_file(path: Path) -> None:
    """Raises VaultError when the file is missing, open to others, or damaged. Needs no passphrase."""
    _read(path)


def _read(path: Path) -> _File:
    try:
        fd = os.open(path, os.O_RDONLY | _NO_FOLLOW)
    except FileNotFoundError:
        raise VaultError(f"{path}: there is no vault; `nexus keys add NAME` makes one") from None
    except OSError as error:
        raise VaultError(f"{path}: cannot be read ({error.strerror})") from error
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        if found.st_uid != os.getuid():
            raise VaultError(f"{path}: belongs to another user")
        if found.st_mode & 0o077:
            raise VaultError(f"{path}: is open to others (mode {stat.S_IMODE(found.st_mode):04o}); chmod 600 {path}")
        raw = file.read()
    try:
        held = msgspec.json.decode(raw, type=_File)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise VaultError(f"{path}: is damaged; put a copy back, or remove it and add the keys again") from None
    if held.version != _VERSION:
        raise VaultError(f"{path}: has version {held.version}; this program knows {_VERSION}")
    if held.sum != held.checksum or not 2 <= held.n <= MOST_WORK or held.n & (held.n - 1) or (held.r, held.p) != (8, 1):
        raise VaultError(f"{path}: is damaged; put a copy back, or remove it and add the keys again")
    return held


def _write(path: Path, data: bytes) -> None:
    fresh = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(fd)
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _key_of(passphrase: Secret, salt: bytes, n: int) -> bytes:
    return Scrypt(salt=salt, length=_KEY_BYTES, n=n, r=_R, p=_P).derive(passphrase.reveal().encode())


def _seal(text: bytes, passphrase: Secret, n: int) -> _File:
    empty = _File(_VERSION, n, _R, _P, secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES), b"", "")
    key = _key_of(passphrase, empty.salt, n)
    sealed = AESGCM(key).encrypt(empty.nonce, text, empty.header)
    whole = msgspec.structs.replace(empty, sealed=sealed)
    return msgspec.structs.replace(whole, sum=whole.checksum)


def _unseal(held: _File, passphrase: Secret) -> bytes | None:
    try:
        return AESGCM(_key_of(passphrase, held.salt, held.n)).decrypt(held.nonce, held.sealed, held.header)
    except (InvalidTag, ValueError):
        return None
