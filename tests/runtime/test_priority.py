"""Who gets the core first."""

import ctypes
import os
import platform
import threading
from collections.abc import Callable

import pytest

from nexus_engine.runtime import priority

SLACK = 30
"""PR_GET_TIMERSLACK of prctl(2)."""


def niceness(work: Callable[[], None]) -> int:
    return after(work, lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))


def after(work: Callable[[], None], asked: Callable[[], int]) -> int:
    """What a thread of its own says of itself once it has done that."""
    found: list[int] = []

    def run() -> None:
        work()
        found.append(asked())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(10.0)
    (value,) = found
    return value


def test_the_face_stands_behind_the_engine_and_only_its_own_thread() -> None:
    plain = niceness(lambda: None)
    assert niceness(priority.give_way) == min(19, plain + priority._GIVES_WAY)
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == plain


@pytest.mark.parametrize("machine", [platform.machine(), "unheard-of"])
def test_short_turns_are_a_wish_that_changes_no_niceness(machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = niceness(lambda: None)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert niceness(priority.short_turns) == plain


@pytest.mark.skipif(platform.system() != "Linux", reason="other kernels have no timer slack")
def test_the_engines_timers_are_on_time_and_only_its_own() -> None:
    def slack() -> int:
        return int(ctypes.CDLL(None).prctl(SLACK, 0, 0, 0, 0))

    plain = slack()
    assert after(priority.short_turns, slack) == priority._SLACK_NS
    assert slack() == plain > priority._SLACK_NS
