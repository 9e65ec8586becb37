"""Fixtures that every part of the suite may use."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The recorded market data beside the repository; what needs it skips where it is absent."""
    folder = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no recorded market data beside the repository")
    return folder


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One real terminal at a time, however many workers run the suite: two would wait for each other's cores."""
    for item in items:
        if item.get_closest_marker("terminal"):
            item.add_marker(pytest.mark.xdist_group("terminal"))
