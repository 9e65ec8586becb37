"""A demo account on its own thread, trading on its own venue process: the real thing, once per module."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from runtime_help import ended, started

from nexus_engine.runtime import Options, Runtime


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    runtime = started(Options(state=tmp_path_factory.mktemp("state"), scenario="calm"))
    yield runtime
    ended(runtime)
    assert runtime.failed == ""


@pytest.fixture
def folder(demo: Runtime) -> Path:
    return demo.folder
