"""Passes come when nothing is under way, and come in any case before there is too much."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from nexus_engine.runtime import garbage
from nexus_engine.runtime.garbage import Garbage


class Round:
    """A dead cycle."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[Garbage]:
    monkeypatch.setattr(garbage, "_EVERY_S", 0.0)
    before = gc.get_threshold()
    kept = Garbage()
    kept.settle()
    yield kept
    kept.close()
    assert gc.get_threshold() == before and not gc.get_freeze_count()


def rubbish_and(objects: int) -> tuple["weakref.ref[Round]", list[list[None]]]:
    """A dead cycle, and so many objects that are new and live."""
    return weakref.ref(Round()), [[] for _ in range(objects)]


def look(kept: Garbage, *, quiet: bool) -> None:
    kept.look(lambda: quiet)


def test_no_pass_comes_by_itself(kept: Garbage) -> None:
    rubbish, _held = rubbish_and(garbage._FULL)
    assert rubbish() is not None


def test_a_pass_that_is_worth_it_waits_for_a_quiet_moment(kept: Garbage) -> None:
    rubbish, _held = rubbish_and(garbage._WORTH)
    look(kept, quiet=False)
    assert rubbish() is not None
    look(kept, quiet=True)
    assert rubbish() is None


def test_too_much_does_not_wait(kept: Garbage) -> None:
    rubbish, _held = rubbish_and(garbage._FULL)
    look(kept, quiet=False)
    assert rubbish() is None


def test_little_is_left_alone_and_not_for_ever(kept: Garbage, monkeypatch: pytest.MonkeyPatch) -> None:
    rubbish, _held = rubbish_and(garbage._WORTH // 2)
    look(kept, quiet=True)
    assert rubbish() is not None
    monkeypatch.setattr(garbage, "_SELDOM_S", 0.0)
    look(kept, quiet=False)
    assert rubbish() is not None
    look(kept, quiet=True)
    assert rubbish() is None


def test_passes_keep_their_distance(kept: Garbage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "_EVERY_S", 3600.0)
    rubbish, _held = rubbish_and(garbage._WORTH)
    look(kept, quiet=True)
    assert rubbish() is not None


def test_an_engine_that_does_not_beat_leaves_it_to_python(kept: Garbage) -> None:
    rubbish, _held = rubbish_and(garbage._BY_ITSELF[0] + 1)
    assert rubbish() is None


def test_what_the_first_pictures_left_is_out_of_later_passes_and_later_garbage_is_not(kept: Garbage) -> None:
    before = gc.get_freeze_count()
    _first, pictures = rubbish_and(garbage._WORTH)
    look(kept, quiet=True)
    assert gc.get_freeze_count() >= before + len(pictures)
    frozen = gc.get_freeze_count()
    rubbish, _held = rubbish_and(garbage._WORTH)
    look(kept, quiet=True)
    assert rubbish() is None and gc.get_freeze_count() <= frozen


def test_one_that_was_never_settled_leaves_python_as_it_is() -> None:
    before = gc.get_threshold()
    idle = Garbage()
    idle.look(lambda: True)
    idle.close()
    assert gc.get_threshold() == before


def test_two_lives_that_overlap_leave_python_as_it_is() -> None:
    before = gc.get_threshold()
    one, other = Garbage(), Garbage()
    one.settle()
    other.settle()
    one.close()
    other.close()
    assert gc.get_threshold() == before and not gc.get_freeze_count()
