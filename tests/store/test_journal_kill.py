"""kill -9, again and again, at whatever moment: nothing that was acknowledged is lost."""

import signal
import subprocess
import sys
from pathlib import Path

from journal_data import CHILD_ENV

from nexus_engine.model.facts import Noted
from nexus_engine.store.rows import decode_fact, reading, rows
from nexus_engine.store.verify import verify

KILLS = 12


def test_no_acknowledged_row_is_lost_when_the_writer_is_killed(tmp_path: Path) -> None:
    script = Path(__file__).with_name("journal_writer.py")
    acknowledged = -1
    for kill in range(KILLS):
        command = [sys.executable, str(script), str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=CHILD_ENV) as writer:
            assert writer.stdout is not None
            # Every round dies at another moment of the writer's life.
            for _ in range(1 + 13 * kill):
                acknowledged = int(writer.stdout.readline())
            writer.kill()
            heard = writer.stdout.read().split(b"\n")
            acknowledged = int(heard[-2]) if len(heard) > 1 else acknowledged
            assert writer.wait() == -signal.SIGKILL
        path = tmp_path / "journal.db"
        with reading(path) as conn:
            facts = [decode_fact(row) for row in rows(conn)]
        texts = [int(fact.text) for fact in facts if isinstance(fact, Noted)]
        assert texts == list(range(len(texts)))
        assert len(texts) > acknowledged
        assert len(texts) % 2 == 0, "half of an event was kept"
        report = verify(path)
        assert (report.problems, report.epoch) == ((), kill + 1)
