"""Some of the simulated worlds that `make dst` tells by the thousand, and whether they can be told twice."""

import asyncio
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest
from books import Audit, doubled, impatient, orphans, positions, unequal, unwritten
from checker import Checker
from disk import TornJournal
from dst import one
from kept import KEPT
from loop import KillingLoop, run_killing
from world import SOL, World, virtual

from nexus_engine.model.facts import Crashed, LatchSet, Noted, RunStarted, Sealed
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.words import AccountKind, Latch, Level, Side

DST = Path(__file__).resolve().parent
EACH = 20


@pytest.mark.parametrize("first", range(0, 8 * EACH, EACH))
def test_whatever_goes_wrong_nothing_happens_that_must_never_happen(first: int) -> None:
    results = [one(seed) for seed in range(first, first + EACH)]
    assert [(result.seed, line) for result in results for line in result.found] == []
    assert sum(result.entries for result in results) > EACH // 2
    assert sum(result.kills for result in results) > EACH // 2
    assert any(result.torn for result in results)


@pytest.mark.parametrize("seed", KEPT)
def test_a_seed_that_once_found_something_finds_nothing(seed: int) -> None:
    assert one(seed).found == [], KEPT[seed]


def test_a_seed_is_the_same_world_in_any_process() -> None:
    words = [sys.executable, str(DST / "dst.py"), "--hashes", "3", "4"]
    env = os.environ | {"PYTHONHASHSEED": "77"}
    other = subprocess.run(words, env=env, capture_output=True, text=True, check=True, timeout=120).stdout.split()
    assert other == [one(3).hash, one(4).hash] == [one(3).hash, one(4).hash]
    assert other[0] != other[1]


def test_a_life_can_end_before_any_callback() -> None:
    ended_at = []

    async def story() -> None:
        loop = KillingLoop.current()
        loop.on_kill = lambda: ended_at.append(loop.steps)
        loop.kill_at = loop.steps + 3
        for _ in range(5):
            await asyncio.sleep(0)

    run_killing(story())
    assert len(ended_at) == 1


def test_a_torn_journal_keeps_what_was_acknowledged_and_perhaps_more() -> None:
    note = Noted(at_ns=0, level=Level.INFO, subject="x", by="bot", text="")
    kept = set()

    async def story(seed: int) -> None:
        journal = TornJournal(Random(seed))
        await journal.append((note,))
        journal.append((note,))
        journal.append((note,))
        gone = journal.crash()
        assert len(journal.turns) + gone == 3
        assert journal.whole
        kept.add(len(journal.turns))

    for seed in range(30):
        run_killing(story(seed))
    assert kept == {1, 2, 3}


# ---- the eyes themselves -----------------------------------------------------------------------------------------


def test_two_entries_of_one_intent_are_seen() -> None:
    assert list(doubled(["nxtest-1-4e1", "nxtest-1-4s1", "nxtest-2-5e1", "web_1"])) == []
    assert list(doubled(["nxtest-1-4e1", "nxtest-2-4e1"])) == ["P4 was entered 2 times"]
    assert list(doubled(["nxtest-1-4s1", "nxtest-1-4s1"])) == ["nxtest-1-4s1 was placed 2 times"]


def test_an_order_that_nobody_wrote_down_is_seen() -> None:
    assert list(unwritten(["nxtest-1-4e1", "web_1"], ())) == ["nxtest-1-4e1 was placed and is not in the journal"]
    assert list(unwritten(["nxtest-1-4x1"], (), excused={"nxtest-1-4x1"})) == []


def test_an_exit_is_excused_for_what_the_disk_kept_it_waiting_and_an_entry_never() -> None:
    def began(epoch: int, at_s: float) -> RunStarted:
        return RunStarted(
            at_ns=int(at_s * 1e9), account="main", kind=AccountKind.DEMO, instance="test", epoch=epoch, version="0"
        )

    facts = (
        began(1, 1.0),
        Noted(at_ns=2_000_000_000, level=Level.INFO, subject="x", by="bot", text=""),
        Crashed(at_ns=9_000_000_000),
        began(2, 9.0),
    )
    late = {"nxtest-1-4s1": 2_250, "nxtest-1-4e1": 2_900, "web_1": 2_900, "nxtest-3-4s1": 9_900}
    assert impatient(late, facts) == {"nxtest-1-4s1"}
    assert impatient({"nxtest-1-4s1": 2_240}, facts) == set()
    assert impatient({"nxtest-2-4x1": 9_100}, facts) == set()


@virtual
async def test_an_entry_onto_the_position_of_another_is_seen_and_one_after_its_end_is_none() -> None:
    world = World()
    checker = Checker(world)
    for number in (1, 2):  # both between two looks
        world.by_hand(SOL, Side.BUY, "2", f"nxtest-1-{number}e1")
        world.by_hand(SOL, Side.SELL, "2", "web_1")
    world.by_hand(SOL, Side.BUY, "2", "nxtest-1-3e1")
    checker.look()
    assert not [line for line in checker.found if "adds to" in line]
    world.by_hand(SOL, Side.BUY, "2", "nxtest-1-4e1")
    checker.look()
    assert [line.partition(": ")[2] for line in checker.found] == ["nxtest-1-4e1 adds to the position of P3"]


def test_an_orphan_and_a_position_that_nobody_knows_are_seen() -> None:
    assert list(orphans(["nxtest-1-4s1", "web_1"], Ledger())) == [
        "nxtest-1-4s1 rests at the venue and belongs to nothing"
    ]
    assert list(positions({"SOLUSDT": Decimal(3)}, Ledger())) == ["SOLUSDT: the venue holds 3, we know 0 and foreign 0"]


def test_an_execution_that_the_journal_lacks_is_seen() -> None:
    fill = ("SOLUSDT", "7", "nxtest-1-4e1", Decimal(2))
    assert len(list(unequal([fill, ("SOLUSDT", "8", "web_1", Decimal(2))], ()))) == 1
    assert list(unequal([fill], (), excused={"nxtest-1-4e1"})) == []


def test_a_seal_that_does_not_fit_and_a_latch_that_let_go_by_itself_are_seen() -> None:
    facts = (
        Sealed(at_ns=0, digest=Ledger().digest()),
        LatchSet(at_ns=1, latch=Latch.HALT, on=True, by="you"),
        LatchSet(at_ns=2, latch=Latch.HALT, on=False, by="bot"),
        Sealed(at_ns=3, digest="of something else"),
    )
    assert [line[:5] for line in Audit().walk(facts)] == ["[I8] ", "[I12]"]
