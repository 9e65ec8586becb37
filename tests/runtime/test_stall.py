"""A loop that is blocked."""

import logging
import threading
import time
from types import SimpleNamespace

import pytest

from nexus_engine.runtime import stall
from nexus_engine.runtime.stall import StallWatch

LIMIT_S = 0.1


def blocked_here(told: threading.Event) -> bool:
    return told.wait(20.0)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set by each line that is logged."""
    event, error = threading.Event(), stall.log.error

    def heard(*words: object) -> None:
        error(*words)  # type: ignore[arg-type]
        event.set()

    monkeypatch.setattr(stall.log, "error", heard)
    return event


def test_a_loop_that_is_blocked_is_logged_with_where_it_stands_once(
    told: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), StallWatch(LIMIT_S) as watch:
        for count in (1, 2):
            watch.beat()
            told.clear()
            assert blocked_here(told)
            # the same stall is not told again, however often it is looked at
            beaten_s, told_of = watch._beaten_s, len(caplog.records)
            while time.monotonic() - beaten_s < 5 * LIMIT_S:
                pass
            assert told_of == len(caplog.records) == count
    for record in caplog.records:
        assert "the engine's loop has stood for" in record.message and "in blocked_here" in record.message


def test_a_process_that_was_stopped_as_a_whole_is_no_stall(
    told: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([0.0, 0.0, 60.0, 60.05, 60.09])
    done = threading.Event()

    def clock() -> float:
        now_s = next(looks, None)
        if now_s is None:
            done.set()
        return 60.09 if now_s is None else now_s

    monkeypatch.setattr(stall, "time", SimpleNamespace(monotonic=clock))
    with StallWatch(LIMIT_S):
        assert done.wait(20.0)
    assert not told.is_set()
