"""A process to kill: takes the account, goes on where the journal ends, and prints each number once it is durable."""

import asyncio
import os
import sys
from pathlib import Path

from journal_data import note

from nexus_engine.model.words import AccountKind
from nexus_engine.store.lock import AccountLock
from nexus_engine.store.sqlite import SqliteJournal


async def main(folder: Path) -> None:
    lock = AccountLock.acquire(folder / "lock")
    journal = SqliteJournal.open(folder / "journal.db")
    number = sum(1 for _ in journal.facts())
    journal.claim("main", AccountKind.DEMO)
    while lock:
        # Several events are under way at a time, so that a kill meets group commits.
        group = [
            (number + 2 * step, journal.append([note(number + 2 * step), note(number + 2 * step + 1)]))
            for step in range(5)
        ]
        number += 2 * len(group)
        for first, durable in group:
            await durable
            os.write(1, b"%d\n" % (first + 1))


asyncio.run(main(Path(sys.argv[1])))
