"""Who gets the core first."""

import os
import platform
import threading
from collections.abc import Callable

import pytest

from nexus_engine.runtime import priority


def niceness(work: Callable[[], None]) -> int:
    found: list[int] = []

    def run() -> None:
        work()
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

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
