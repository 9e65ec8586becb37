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
