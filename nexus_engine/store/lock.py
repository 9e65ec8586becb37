"""One writer per account."""

import fcntl
import os
from pathlib import Path

from nexus_engine.model.paths import StateError


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
        """Take the lock, or raise AccountBusy at once. Raises StateError when the file cannot be written."""
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StateError(f"{path}: cannot be opened ({error.strerror})") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            text = os.read(fd, 20)
            os.close(fd)
            if not isinstance(error, BlockingIOError):
                raise StateError(f"{path}: cannot be locked ({error.strerror})") from error
            raise AccountBusy(int(text) if text.strip().isdigit() else 0) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        return cls(fd)

    def release(self) -> None:
        """Let the next one in. Idempotent."""
        if self._fd >= 0:
            # Closing alone is not enough: a child that is just being started holds a copy until it runs.
            fcntl.flock(self._fd, fcntl.LOCK_UN)
            os.close(self._fd)
            self._fd = -1
