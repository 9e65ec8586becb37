"""An account's memory beside its loop: the journal opened whole, its mirror, the room on its disk."""

import asyncio
import os
import shutil
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nexus_engine.model.config import Directive
from nexus_engine.model.events import WRITER, Hindered
from nexus_engine.model.facts import AnyFact
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.paths import journal_path
from nexus_engine.model.ports import Clock
from nexus_engine.model.secret import Secret
from nexus_engine.model.verdicts import Reading
from nexus_engine.store.rebuild import open_whole
from nexus_engine.store.sqlite import SqliteJournal

if TYPE_CHECKING:
    from nexus_engine.store.mirror import Mirror

ROOM_MB: Final = 200
"""Below this nothing is begun: what is held must still be written down to its end."""
_WATCH_S: Final = 0.5
_DISK_EVERY: Final = 10
_FIRST_S: Final = 2.0
_DISK: Final = "disk"


class Memory:
    """Opened and closed off the loop, watched on it."""

    def __init__(self, folder: Path, directive: Directive, clock: Clock, password: Secret | None = None) -> None:
        self.facts: tuple[AnyFact, ...] = ()
        self.ledger = Ledger()
        self.lost = ""
        """What of the journal was lost before this start, in one line; empty when nothing was."""
        self.told = ""
        self._folder = folder
        self._directive = directive
        self._clock = clock
        self._password = password
        """Of the server; None leaves it to libpq."""
        self._journal: SqliteJournal | None = None
        self._mirror: Mirror | None = None
        self._opening = threading.Lock()
        self._said: dict[str, str] = {}
        self._lost_said = ""

    @property
    def journal(self) -> SqliteJournal:
        assert self._journal is not None
        return self._journal

    def open(self) -> None:
        """Open and fold the journal, start the mirror, claim. Blocks; raises JournalError."""
        with self._opening:
            self._open()

    def _open(self) -> None:
        opened = open_whole(journal_path(self._folder))
        self._journal = opened.journal
        self.facts, self.ledger, self.lost, self.told = opened[1:]
        account, config = self._directive.account, self._directive.postgres
        epoch = 0
        if config.dsn:
            from nexus_engine.store.mirror import Mirror
            from nexus_engine.store.postgres import Owner

            machine = f"{socket.gethostname()}:{self._folder.resolve()}"
            owner = Owner(account.name, account.kind.value, self.journal.instance, machine)
            journal = self.journal
            self._mirror = Mirror(
                journal_path(self._folder),
                owner,
                config.dsn,
                lambda: journal.seq,
                lock=config.lock,
                password=self._password,
            )
            self._mirror.start()
            epoch = self._mirror.first(_FIRST_S)
        self.journal.claim(account.name, account.kind, epoch)

    async def close(self) -> None:
        """Write what waits, then bring it over. Raises JournalError when facts could not be written."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        with self._opening:  # a start that was called off may still be at it
            try:
                if self._journal is not None:
                    self._journal.close()
            finally:
                if self._mirror is not None:
                    self._mirror.close()

    def hindrances(self, post: Callable[[Hindered], None], *, disk: bool = True) -> None:
        """Post what keeps entries away by now, and what no longer does."""
        if self.lost and not self._said.get("journal"):
            self._said["journal"] = self.lost
            self._post(post, self.lost, "", latch=True)
        if disk:
            self._hold(post, _DISK, self._room())
        if self._mirror is not None:
            self._mirror.look()
            standing = self._mirror.standing
            self._hold(post, WRITER, standing.hindrance, latch=standing.latch)
            if standing.lost and standing.lost != self._lost_said:
                self._lost_said = standing.lost
                self._post(post, standing.lost, "", latch=True)

    async def watch(self, post: Callable[[Hindered], None]) -> None:
        """Go on with it until cancelled."""
        beat = 0
        while True:
            self.hindrances(post, disk=beat % _DISK_EVERY == 0)
            beat += 1
            await asyncio.sleep(_WATCH_S)

    @property
    def problem(self) -> str:
        """What is wrong with the second memory, in one line; empty when all is well."""
        return "" if self._mirror is None else self._mirror.standing.problem

    def readings(self) -> tuple[Reading, ...]:
        """For the screen's health."""
        if self._mirror is None:
            return ()
        return (Reading("mirror behind", float(self._mirror.standing.behind), None, " facts"),)

    def _room(self) -> str:
        try:
            free_mb = shutil.disk_usage(self._folder).free / 1e6
        except OSError as error:
            return f"the disk of the state folder cannot be asked for its room ({os.strerror(error.errno or 0)})"
        return "" if free_mb >= ROOM_MB else f"less than {ROOM_MB} MB are free on the disk of the state folder"

    def _hold(self, post: Callable[[Hindered], None], name: str, problem: str, *, latch: bool = False) -> None:
        if problem != self._said.get(name, ""):
            self._said[name] = problem
            self._post(post, problem, name, latch=latch)

    def _post(self, post: Callable[[Hindered], None], problem: str, name: str, *, latch: bool = False) -> None:
        now = self._clock.utc_ns(), self._clock.mono_ns()
        post(Hindered(at_ns=now[0], mono_ns=now[1], problem=problem, name=name, latch=latch))
