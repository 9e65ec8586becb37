"""Passes come when nothing is under way, and come in any case before there is too much."""

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from nexus_engine.model.words import OrderStatus
from nexus_engine.runtime import garbage
from nexus_engine.runtime.account import Account
from nexus_engine.runtime.garbage import Garbage


class Round:
    """A dead cycle."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def kept() -> Iterator[Garbage]:
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


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def old_rubbish() -> "weakref.ref[Round]":
    """A dead cycle that was alive when the young were looked at."""
    old = Round()
    gc.collect(0)
    return weakref.ref(old)


def test_no_pass_comes_by_itself(kept: Garbage) -> None:
    rubbish, _held = rubbish_and(10 * garbage._YOUNG)
    assert rubbish() is not None


@pytest.mark.parametrize("quiet", [True, False])
def test_the_young_are_looked_at_once_there_are_many_and_never_twice(kept: Garbage, *, quiet: bool) -> None:
    old = old_rubbish()
    rubbish, _few = rubbish_and(garbage._YOUNG // 2)
    look(kept, quiet=quiet)
    assert rubbish() is not None
    _, _many = rubbish_and(garbage._YOUNG)
    look(kept, quiet=quiet)
    assert rubbish() is None and old() is not None


def test_what_outlived_a_pass_over_the_young_does_not_wait_for_all(kept: Garbage) -> None:
    old = old_rubbish()
    held = []
    for _ in range(garbage._PASSES - 1):
        held += rubbish_and(garbage._YOUNG)[1]
        look(kept, quiet=False)
    assert old() is not None
    held += rubbish_and(garbage._YOUNG)[1]
    look(kept, quiet=False)
    assert old() is None


def test_a_pass_over_all_waits_for_its_time_and_a_quiet_moment(kept: Garbage, monkeypatch: pytest.MonkeyPatch) -> None:
    old = old_rubbish()
    look(kept, quiet=True)
    assert old() is not None
    monkeypatch.setattr(garbage, "_EVERY_S", 0.0)
    look(kept, quiet=False)
    assert old() is not None
    look(kept, quiet=True)
    assert old() is None


def test_it_does_not_wait_for_ever(kept: Garbage, monkeypatch: pytest.MonkeyPatch) -> None:
    old = old_rubbish()
    monkeypatch.setattr(garbage, "_AT_LEAST_S", 0.0)
    look(kept, quiet=False)
    assert old() is None


def test_an_engine_that_does_not_beat_leaves_it_to_python(kept: Garbage) -> None:
    rubbish, _held = rubbish_and(garbage._BY_ITSELF[0] + 1)
    assert rubbish() is None


def test_what_the_first_pictures_left_is_out_of_later_passes_and_later_garbage_is_not(
    kept: Garbage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(garbage, "_EVERY_S", 0.0)
    before = gc.get_freeze_count()
    _first, pictures = rubbish_and(5_000)
    look(kept, quiet=True)
    assert gc.get_freeze_count() >= before + len(pictures)
    frozen = gc.get_freeze_count()
    rubbish, _held = rubbish_and(5_000)
    look(kept, quiet=True)
    assert rubbish() is None and gc.get_freeze_count() <= frozen


@pytest.mark.skipif(garbage._give_back is None, reason="the C library has no malloc_trim")
def test_the_room_between_objects_is_given_back(kept: Garbage, monkeypatch: pytest.MonkeyPatch) -> None:
    look(kept, quiet=True)
    monkeypatch.setattr(garbage, "_EVERY_S", 0.0)
    look(kept, quiet=True)
    blocks = [bytes(9_000) for _ in range(4_000)]
    living = blocks[::40]
    full = resident_mb()
    del blocks
    held = resident_mb()
    look(kept, quiet=True)
    assert len(living) == 100 and held > full - 10.0 and resident_mb() < full - 20.0


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


@pytest.mark.parametrize("status", OrderStatus)
def test_quiet_is_where_every_order_stands_untouched(status: OrderStatus) -> None:
    ledger = SimpleNamespace(alive=lambda: [SimpleNamespace(status=status)], positions={})
    quiet = Account._quiet(SimpleNamespace(_ledger=ledger))  # type: ignore[arg-type]
    assert quiet is (status in {"OPEN", "PARTIAL"})


def test_a_position_without_its_stop_is_not_quiet() -> None:
    naked = SimpleNamespace(alive=list, positions={"SOLUSDT": SimpleNamespace(naked_since_ns=1)})
    assert not Account._quiet(SimpleNamespace(_ledger=naked))  # type: ignore[arg-type]
