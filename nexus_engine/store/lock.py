"""One writer per account."""

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from nexus_engine.model.paths import StateError

_LOOKS: Final = 5
_LOOK_S: Final = 0.01


class AccountBusy(Exception):
    """Another process holds the account. `pid` is 0 where it has not said who it is."""

    def __init__(self, pid: int) -> None:
        super().__init__(f"this account already runs (process {pid or 'unknown'})")
        self.pid = pid


class AccountLock:
    """A lock that the kernel drops with the process, however it ends. The file stays and names the last holder."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @classmethod
    def acquire(cls, path: Path) -> "AccountLock":
        """Take the lock, or raise AccountBusy. Raises StateError when the file cannot be written."""
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StateError(f"{path}: cannot be opened ({error.strerror})") from error
        try:
            _lock(fd)
        except OSError as error:
            pid = _pid(fd)
            os.close(fd)
            if not isinstance(error, BlockingIOError):
                raise StateError(f"{path}: cannot be locked ({error.strerror})") from error
            raise AccountBusy(pid) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        return cls(fd)

    @staticmethod
    def look(path: Path) -> int | None:
        """The process that has the lock, 0 when it has not said who it is; None when nobody has. Changes nothing.
        Raises StateError when nobody could take it."""
        try:
            fd = os.open(path, os.O_RDWR)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and os.access(path.parent, os.W_OK | os.X_OK):
                return None
            raise StateError(f"{path}: cannot be opened ({error.strerror})") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _pid(fd)
        except OSError as error:
            raise StateError(f"{path}: cannot be locked ({error.strerror})") from error
        finally:
            os.close(fd)
        return None

    def release(self) -> None:
        """Let the next one in. Idempotent."""
        if self._fd >= 0:
            # Closing alone is not enough: a child that is just being started holds a copy until it runs.
            fcntl.flock(self._fd, fcntl.LOCK_UN)
            os.close(self._fd)
            self._fd = -1


def _lock(fd: int) -> None:
    """Somebody who only looks holds it for a moment."""
    for looks_left in reversed(range(_LOOKS)):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not looks_left:
                raise
            time.sleep(_LOOK_S)


def _pid(fd: int) -> int:
    text = os.pread(fd, 20, 0).strip()
    return int(text) if text.isdigit() else 0
