"""A strategy of one's own that does not come back: it is ended and put off, and no exception of ours gets out."""

import contextlib
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from nexus_engine.runtime import own_guard
from nexus_engine.runtime.own_guard import Guard, Hung, Repeated

LIMIT_S = 0.05
Told = list[tuple[str, int, str]]


@pytest.fixture
def told() -> Told:
    return []


@pytest.fixture
def guard(told: Told) -> Iterator[Guard]:
    with contextlib.closing(Guard([__file__], lambda *words: told.append(words), LIMIT_S)) as made:
        yield made


def loops() -> None:
    while True:
        pass


def catches() -> None:
    while True:
        try:
            for number in range(1_000):
                abs(number)
        except Exception:  # noqa: BLE001
            pass


def catches_all() -> None:
    """It is ended where it catches nothing, at the loop's own step."""
    while True:
        with contextlib.suppress(BaseException):
            abs(0)


def swallows() -> str:
    """Asked to end, it answers instead."""
    try:
        loops()
    except BaseException:  # noqa: BLE001
        return "an answer"
    return ""


def turns() -> None:
    """Asked to end, it fails in its own way."""
    try:
        loops()
    except BaseException as error:
        raise RuntimeError("mine") from error


def sleeps() -> None:
    time.sleep(8 * LIMIT_S)


@pytest.mark.parametrize("work", [loops, catches, catches_all, swallows, turns, sleeps])
def test_what_does_not_come_back_is_ended_and_told_once_with_where_it_was(
    work: Callable[[], Any], guard: Guard, told: Told
) -> None:
    assert guard("mine", 1, lambda: 7) == 7
    with pytest.raises(Hung, match=r"did not come back within 0\.1 s: test_own_guard\.py, line ") as found:
        guard("mine", 1, work)
    [(name, call, why)] = told
    assert (name, call, why) == ("mine", 2, str(found.value))
    where = re.search(r"line (\d+), in (\w+);", why)
    assert where is not None
    function = work if where[2] == work.__name__ else loops
    lines = function.__code__.co_firstlineno, max(line for *_, line in function.__code__.co_lines() if line)
    assert lines[0] <= int(where[1]) <= lines[1]
    # the thread is as it was
    assert guard("mine", 1, lambda: 8) == 8
    assert len(told) == 1


def test_what_it_raises_or_answers_in_time_is_its_own(guard: Guard, told: Told) -> None:
    with pytest.raises(ZeroDivisionError):
        guard("mine", 1, lambda: 1 // 0)
    with pytest.raises(SystemExit):
        guard("mine", 1, lambda: exec("raise SystemExit(3)"))
    assert not told


def test_a_history_has_longer_with_each_of_its_bars(guard: Guard, told: Told) -> None:
    begun_s = time.monotonic()

    def long() -> str:
        while time.monotonic() - begun_s < 4 * LIMIT_S:
            pass
        return "warm"

    assert guard("mine", 1_000, long) == "warm"
    assert not told


def test_a_call_that_ends_right_at_its_limit_lets_nothing_out(told: Told) -> None:
    """Its limit is short, and its end walks over the moment at which it is ended."""
    ended = came = 0
    with contextlib.closing(Guard([__file__], lambda *words: told.append(words), 0.002)) as guard:

        def until(deadline_s: float) -> None:
            while time.monotonic() < deadline_s:
                pass

        number = 0
        while number < 400 or not (ended and came):
            deadline_s = time.monotonic() + 0.002 + number % 40 * 0.00005
            try:
                guard("mine", 0, lambda deadline_s=deadline_s: until(deadline_s))
                came += 1
            except Hung:
                ended += 1
            # what was asked for too late would be raised here, at a step back or a call
            for _ in range(200):
                abs(0)
            number += 1
    assert len(told) == ended


class Late(Guard):
    """Its watcher has just seen that the call is on when the call leaves, and asks for its end after that."""

    def __init__(self, tell: Callable[[str, int, str], None]) -> None:
        self.aimed, self.settling = threading.Event(), threading.Event()
        self.call = 0
        super().__init__([__file__], tell, LIMIT_S)

    @property
    def _inside(self) -> int:
        call = self.call
        if self._aiming and threading.get_ident() != self._guarded:
            self.aimed.set()
            assert self.settling.wait(20)
        return call

    @_inside.setter
    def _inside(self, call: int) -> None:
        self.call = call

    def _settle(self) -> None:
        self.settling.set()
        super()._settle()


def test_what_was_about_to_be_raised_when_the_call_left_is_waited_for_and_taken_back(told: Told) -> None:
    with contextlib.closing(Late(lambda *words: told.append(words))) as guard:
        with pytest.raises(Hung):
            guard("mine", 1, lambda: guard.aimed.wait(20))
        for _ in range(1_000):
            abs(0)
        assert guard("mine", 1, lambda: 8) == 8
    assert len(told) == 1


def test_what_catches_all_for_ever_is_told_once_and_asked_no_more(
    guard: Guard, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(own_guard, "_TIMES", 3)
    done, asked = threading.Event(), []
    error = own_guard.log.error

    def heard(*words: object) -> None:
        error(*words)  # type: ignore[arg-type]
        done.set()

    def waits() -> None:
        while not done.is_set():
            try:
                while not done.wait(LIMIT_S):
                    pass
            except BaseException as error:  # noqa: BLE001
                asked.append(type(error))

    monkeypatch.setattr(own_guard.log, "error", heard)
    with caplog.at_level(logging.ERROR), pytest.raises(Hung):
        guard("mine", 1, waits)
    [record] = caplog.records
    assert "in waits; mend it" in record.message and record.message.endswith("kill -9")
    assert 1 <= len(asked) <= 3


def test_a_process_that_was_stopped_as_a_whole_in_a_call_is_none_that_hangs(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 0.0
    seen = threading.Semaphore(0)

    def clock() -> float:
        seen.release()
        return now_s

    monkeypatch.setattr(own_guard, "time", SimpleNamespace(monotonic=clock, sleep=time.sleep))
    with contextlib.closing(Guard([__file__], lambda *words: told.append(words), LIMIT_S)) as guard:

        def stopped() -> str:
            nonlocal now_s
            for step_s in (LIMIT_S / 8, 3_600.0, LIMIT_S / 8, LIMIT_S / 8):
                for _ in range(2):
                    assert seen.acquire(timeout=20)
                now_s += step_s
            return "back"

        assert guard("mine", 0, stopped) == "back"
    assert not told


def test_a_replay_ends_the_same_call_without_waiting() -> None:
    repeated = Repeated({2: "did not come back"})
    assert repeated("mine", 1, lambda: 7) == 7
    with pytest.raises(Hung, match="did not come back"):
        repeated("mine", 1, loops)
    assert repeated("other", 1, lambda: 8) == 8
