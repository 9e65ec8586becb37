"""Journals to look at."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from journal_data import Life, a_life

from nexus_engine.model.words import AccountKind
from nexus_engine.store.sqlite import SqliteJournal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    """An empty journal, claimed."""
    opened = SqliteJournal.open(tmp_path / "journal.db")
    opened.claim("main", AccountKind.DEMO)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Life]:
    """A journal with a small life in it, closed. Look, do not touch: copy it first."""
    path = tmp_path_factory.mktemp("main-demo") / "journal.db"
    opened = SqliteJournal.open(path)
    opened.claim("main", AccountKind.DEMO)
    life = a_life(opened.instance)

    async def write() -> None:
        for turn in life.turns:
            await opened.append(turn)

    asyncio.run(write())
    opened.close()
    return path, life
