"""A process whose files may not grow: what a full disk does, and what happens when it has room again."""

import asyncio
import resource
import sys
import time
from pathlib import Path

from journal_data import note

from nexus_engine.model.ports import JournalError
from nexus_engine.model.words import AccountKind
from nexus_engine.store.sqlite import SqliteJournal


async def main(path: Path) -> None:
    journal = SqliteJournal.open(path)
    journal.claim("main", AccountKind.DEMO)
    number = 0
    reserve = path.with_suffix(".reserve")
    assert reserve.stat().st_size > 0
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    failed_at = -1
    while failed_at < 0:
        try:
            await journal.append([note(number)])
        except JournalError:
            failed_at = number
        number += 1
    assert journal.failure, "an append failed and the journal calls itself well"
    while reserve.exists():  # noqa: ASYNC110 - given up right after everyone was told, by the writer's thread
        await asyncio.sleep(0.01)
    assert sum(1 for _ in journal.facts()) >= failed_at, "what was durable cannot be read"
    began = time.perf_counter()
    for _ in range(100):
        try:
            await journal.append([note(number)])
        except JournalError:
            number += 1
    assert time.perf_counter() - began < 0.5, "appends to a failed journal must fail at once"
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    while journal.failure:  # noqa: ASYNC110 - the writer is a thread and knows no asyncio event
        await asyncio.sleep(0.02)
    await journal.append([note(number)])
    assert reserve.exists()
    journal.close()
    sys.stdout.write(f"{failed_at} {number}\n")


asyncio.run(main(Path(sys.argv[1])))
