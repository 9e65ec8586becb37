"""Fixtures that every part of the suite may use."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_server import Server


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The recorded market data beside the repository; what needs it skips where it is absent."""
    folder = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no recorded market data beside the repository")
    return folder


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Server]:
    """A PostgreSQL server of our own; skips where there is none."""
    server = Server().start()
    yield server
    server.remove()


@pytest.fixture
def postgres(postgres_cluster: Server) -> Server:
    """The same server, running and empty."""
    postgres_cluster.start_again()
    return postgres_cluster


NICE = 10


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A real terminal is a person at the keys, who would not wait behind other workers' sums: those give way. The
    worker that has the terminals runs them first."""
    if "PYTEST_XDIST_WORKER" in os.environ and not item.get_closest_marker("terminal") and os.nice(0) < NICE:
        os.nice(NICE - os.nice(0))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One real terminal at a time, however many workers run the suite: two would wait for each other's cores."""
    for item in items:
        if item.get_closest_marker("terminal"):
            item.add_marker(pytest.mark.xdist_group("terminal"))
