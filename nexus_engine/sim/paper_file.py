"""A paper account between two starts: one JSON file in the account's folder, replaced whole, its owner's alone."""

import asyncio
import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from nexus_engine.sim.ledger import Ledger

FILE: Final = "paper.json"
KEPT_ROWS: Final = 500


class PaperError(Exception):
    """The kept account cannot be used; the message is one line."""


class Funding(msgspec.Struct, frozen=True):
    """What a symbol will be charged, and when (UTC ns)."""

    rate: float
    next_ns: int


class Settled(msgspec.Struct, frozen=True):
    """A funding of the past. `mark` is 0 where the venue does not tell it."""

    at_ns: int
    rate: float
    mark: float


class Owed(msgspec.Struct, kw_only=True):
    """Fundings of a symbol that were slept through: what was held then, from when to before when (UTC ns). The end is
    0 until the venue has told its next one.
    """

    symbol: str
    lots: int
    since_ns: int
    until_ns: int = 0


class Kept(msgspec.Struct, kw_only=True):
    version: int = 1
    ledger: Ledger
    funding: dict[str, Funding] = {}
    owed: list[Owed] = []


def open_account(folder: Path, wallet: Decimal) -> Kept:
    """The kept account of `folder`, or a new one. Raises PaperError for a file that cannot be read."""
    path = folder / FILE
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=Kept)
    except FileNotFoundError:
        return Kept(ledger=Ledger(start=wallet, wallet=wallet))
    except OSError as error:
        raise PaperError(f"{path}: cannot be read ({error.strerror})") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise PaperError(f"{path}: is damaged; move it away, and a new paper account begins") from error
    if kept.version != 1:
        raise PaperError(f"{path}: has version {kept.version}; this program knows 1")
    return kept


class Keeper:
    """Writes the account down on another thread, the newest state at a time: the loop waits for no disk.

    `told` hears of a disk that fails, and None when it works again; an account goes on without one.
    """

    def __init__(self, folder: Path, kept: Kept, told: Callable[[OSError | None], None]) -> None:
        self._folder = folder
        self._kept = kept
        self._told = told
        self._failing = False
        self._next: asyncio.Future[None] | None = None
        self._writing: asyncio.Task[None] | None = None

    async def keep(self) -> None:
        """Return when the account, as it is now or later, is on the disk, or could not be brought there."""
        loop = asyncio.get_running_loop()
        if self._next is None:
            self._next = loop.create_future()
        following = self._next
        if self._writing is None:
            self._writing = loop.create_task(self._write())
        await asyncio.shield(following)  # others wait for it too

    async def _write(self) -> None:
        try:
            while self._next is not None:
                reached, self._next = self._next, None
                try:
                    trimmed = msgspec.structs.replace(self._kept, ledger=self._kept.ledger.trimmed(KEPT_ROWS))
                    await asyncio.to_thread(_replace, self._folder, msgspec.json.encode(trimmed))
                except OSError as error:
                    if not self._failing:
                        self._told(error)
                    self._failing = True
                else:
                    if self._failing:
                        self._told(None)
                    self._failing = False
                finally:
                    reached.set_result(None)
        finally:
            self._writing = None


def _replace(folder: Path, raw: bytes) -> None:
    path, fresh = folder / FILE, folder / f"{FILE}.new"
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(fd)
    fresh.replace(path)
