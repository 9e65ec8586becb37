"""What a run leaves behind: a recording that replays, a journal that verifies and explains, and no secret."""

import shutil
import sqlite3
import time
from pathlib import Path

import pytest
from demo_house import House, approve, nexus, quit_resting

pytestmark = pytest.mark.terminal
PROPOSAL_S = 60.0
RUN_S = 20.0


def test_a_run_with_the_shipped_defaults_can_be_replayed_verified_and_explained(tmp_path: Path) -> None:
    tape = tmp_path / "tape"
    words = ("--scenario", "range", "--seed", "7", "--speed", "20", "--record", str(tape))
    with House(tmp_path, words=words) as house:
        began_s = time.monotonic()
        terminal = house.cockpit()
        number, symbol = approve(terminal, within_s=PROPOSAL_S)
        secret = house.ledger().secret
        time.sleep(max(0.0, began_s + RUN_S - time.monotonic()))  # a tape of some length
        assert secret not in terminal.text.replace("\n", "")
        assert quit_resting(terminal) == 0
    journal = ("--state", house.state)

    told = nexus("replay", tape)
    assert (told.returncode, told.stderr) == (0, "")
    assert "the same decisions" in told.stdout

    verified = nexus("journal", "verify", *journal)
    assert (verified.returncode, verified.stderr) == (0, "")

    why = nexus("journal", "why", f"P{number}", *journal)
    assert (why.returncode, why.stderr) == (0, "")
    for part in (symbol, "regime", "guard", "reason", "APPROVED", "entry", "stop", "fill"):
        assert part in why.stdout, part

    files = [path for path in house.state.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"journal.db", "nexus.log", "venue.json"}
    holders = {path.name for path in [*files, tape] if secret.encode() in path.read_bytes()}
    assert holders == {"venue.json"}

    forged = tmp_path / "forged"
    shutil.copytree(house.state, forged)
    with sqlite3.connect(forged / "main-demo" / "journal.db") as conn:
        changed = conn.execute(
            """UPDATE journal SET body = replace(body, '"by":"you"', '"by":"bot"')
            WHERE seq = (SELECT min(seq) FROM journal WHERE body LIKE '%"by":"you"%')"""
        )
        assert changed.rowcount == 1
    conn.close()
    caught = nexus("journal", "verify", "--state", forged)
    assert (caught.returncode, caught.stderr) == (1, "")
    assert "journal.db" in caught.stdout
