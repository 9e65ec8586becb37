"""Some of the faults of `make faults`, one of each kind, and that the drills can fail."""

import pytest
from drills import ALGO, DRILLS, Drill, on, run

SOME = (
    "entry: executed, answer lost, nobody tells",
    "entry: 503 unknown, not executed",
    "stop: -4120 each time",
    "stop: stuck in TRIGGERING",
    "stop: REJECTED at its trigger",
    "exit: hangs, executed",
    "questions: 429 for 10 s",
    "both lists: HTML 502 for 4 s",
    "user: never anything",
    "books: crossed",
    "books: one symbol mute",
    "key: refused for 8 s",
    "leverage: changed outside",
    "restart: killed at the fill, stop refused once",
)
BY_NAME = {drill.name: drill for drill in DRILLS}


@pytest.mark.parametrize("name", SOME)
def test_a_fault_of_the_venue_breaks_no_invariant(name: str) -> None:
    outcome = run(BY_NAME[name])
    assert outcome.found == [], "\n".join(outcome.seen)


def test_every_drill_has_its_name_and_a_fault_that_the_venue_knows() -> None:
    assert len(BY_NAME) == len(DRILLS)
    for drill in DRILLS:
        drill.fault.check()


def test_a_drill_in_which_a_stop_never_stands_and_nothing_is_closed_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    from nexus_engine.servos.protection import Protection

    monkeypatch.setattr(Protection, "deadline", lambda *_: None)
    outcome = run(Drill("never protected", "", on(ALGO, "refuse", code=-4120, count=0), "stop refused"))
    assert any("naked for" in found for found in outcome.found)
