"""Where an account lives on disk. Nothing here reads or writes what is in the files."""

import hashlib
import os
import re
import stat
import tempfile
from pathlib import Path
from typing import Final

from nexus_engine.model.words import AccountKind

ACCOUNT_NAME: Final = r"^[a-z0-9][a-z0-9-]{0,30}$"
_SOCKET_BYTES: Final = 100
"""sun_path holds 108 bytes on Linux and 104 elsewhere, the closing zero included."""


class StateError(Exception):
    """The state folder cannot be used; the message is one clear line."""


def state_root(override: Path | None = None) -> Path:
    """The folder of all accounts, absolute: `override`, else $XDG_STATE_HOME/nexus, else ~/.local/state/nexus."""
    if override is not None:
        return override.absolute()
    base = Path(os.environ.get("XDG_STATE_HOME", ""))
    if base.is_absolute():
        return base / "nexus"
    try:
        return Path.home() / ".local" / "state" / "nexus"
    except RuntimeError as error:
        raise StateError("this user has no home folder; name a state folder with --state") from error


def account_path(root: Path, name: str, kind: AccountKind) -> Path:
    """An account's folder, whether it exists or not. Raises StateError for a name that could not be a folder."""
    if not re.fullmatch(ACCOUNT_NAME, name):
        raise StateError(f"account {name!r}: 1 to 31 of a-z, 0-9 and -, beginning with a letter or digit")
    return root / f"{name}-{kind.value.lower()}"


def account_dir(root: Path, name: str, kind: AccountKind) -> Path:
    """An account's folder, made (0700) where it is missing. Raises StateError when it cannot be written."""
    folder = account_path(root, name, kind)
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StateError(f"{folder}: cannot be created ({error.strerror}); choose another with --state") from error
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise StateError(f"{folder}: cannot be written; check its owner and permissions, or use --state")
    return folder


def journal_path(folder: Path) -> Path:
    """The journal of the account that lives in `folder`."""
    return folder / "journal.db"


def lock_path(folder: Path) -> Path:
    """What the one writer of the account holds locked."""
    return folder / "lock"


def latch_path(folder: Path) -> Path:
    """The file that a HALT leaves when nobody answers: while it is there, the account is halted."""
    return folder / "halt"


def venue_state_dir(folder: Path) -> Path:
    """Where a demo's venue keeps its own books."""
    return folder / "venue"


def socket_path(folder: Path) -> Path:
    """The control socket. A folder too deep for a socket's address gets a hashed name in a private temporary folder.

    Not $XDG_RUNTIME_DIR: it is emptied at logout, and an engine that goes on headless must stay within reach.
    Raises StateError when that private folder is not ours alone.
    """
    path = folder.absolute() / "control.sock"
    if len(os.fsencode(path)) <= _SOCKET_BYTES:
        return path
    name = hashlib.blake2b(os.fsencode(path), digest_size=8).hexdigest() + ".sock"
    path = _private_tmp() / name
    if len(os.fsencode(path)) > _SOCKET_BYTES:
        raise StateError(f"{path}: too long for a socket; use a shorter --state or TMPDIR")
    return path


def _private_tmp() -> Path:
    folder = Path(tempfile.gettempdir()) / f"nexus-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise StateError(f"{folder}: cannot be created ({error.strerror}); use a shorter --state") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise StateError(f"{folder}: belongs to somebody else or is open to others; use a shorter --state")
    return folder
