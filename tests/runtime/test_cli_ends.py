"""However a command ends, a terminal shows one line or none, and no traceback."""

import subprocess
import sys
from types import ModuleType

import pytest

from nexus_engine import cli


def test_who_reads_only_the_head_sees_no_traceback() -> None:
    words = [sys.executable, "-m", "nexus_engine.cli", "config", "--explain"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stderr is not None
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait() == 1


def test_a_command_that_is_stopped_while_it_starts_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(argv: object) -> int:
        raise KeyboardInterrupt

    module = ModuleType("nexus_stopped")
    module.main = stopped  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "nexus_stopped", module)
    monkeypatch.setitem(cli.COMMANDS, "doctor", ("nexus_stopped:main", ""))
    assert cli.run(["doctor"]) == 130
