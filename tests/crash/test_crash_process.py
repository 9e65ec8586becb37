"""What can be done to a process beside killing it: it is stopped for a while, or has no files or memory left."""

import os
import resource
import signal
import time
from pathlib import Path
from random import Random

import pytest
from crash_house import Life
from crash_run import Chapter, Tally

from nexus_engine.model.facts import Noted, OrderIntended, Reconciled
from nexus_engine.model.words import Leg

pytestmark = [pytest.mark.terminal, pytest.mark.long]
STILL_S = 6.0
SHORT_S = 5.0


def limited(life: Life, what: int, most: int) -> None:
    """Take something away for some seconds."""
    before = resource.prlimit(life.pid, what)
    resource.prlimit(life.pid, what, (most, before[1]))
    time.sleep(SHORT_S)
    if not life.over:
        resource.prlimit(life.pid, what, before)


def no_files(life: Life) -> None:
    held = [int(entry.name) for entry in Path(f"/proc/{life.pid}/fd").iterdir()]
    limited(life, resource.RLIMIT_NOFILE, max(held) + 1)


def no_memory(life: Life) -> None:
    pages = int(Path(f"/proc/{life.pid}/statm").read_text().split()[0])
    limited(life, resource.RLIMIT_AS, pages * resource.getpagesize())


def stopped(life: Life) -> None:
    os.kill(life.pid, signal.SIGSTOP)
    time.sleep(STILL_S)
    os.kill(life.pid, signal.SIGCONT)


@pytest.mark.parametrize("fault", [no_files, no_memory])
def test_without_files_or_memory_nothing_is_lost_doubled_or_left(tmp_path: Path, fault: object) -> None:
    """F43: it may end, but what it leaves is whole."""
    tally = Tally()
    Chapter(tmp_path, Random(1), tally).suffer(fault, 3.0)  # type: ignore[arg-type]
    assert tally.found == []
    assert tally.fills


def test_after_a_stop_nothing_is_entered_before_the_venue_was_asked(tmp_path: Path) -> None:
    """F33: what lay in the sockets meanwhile is old, and looks new."""
    tally = Tally()
    chapter = Chapter(tmp_path, Random(1), tally)
    chapter.suffer(stopped, 3.0)
    assert tally.found == []
    facts = chapter.facts()
    still = next(at for at, fact in enumerate(facts) if isinstance(fact, Noted) and "stood still" in fact.text)
    asked = next(at for at, fact in enumerate(facts) if at > still and isinstance(fact, Reconciled))
    before = max(at for at, fact in enumerate(facts) if fact.at_ns < facts[still].at_ns - 1e9)
    entered = [at for at, fact in enumerate(facts) if isinstance(fact, OrderIntended) and fact.order.leg is Leg.ENTRY]
    assert [at for at in entered if at < before] and [at for at in entered if at > asked]
    assert not [at for at in entered if before < at < asked]
