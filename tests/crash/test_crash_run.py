"""A few of the kills that `make crash` does by the thousand."""

from pathlib import Path

import pytest
from crash_run import run

KILLS = 20


@pytest.mark.terminal
def test_an_engine_that_is_killed_again_and_again_loses_doubles_and_bares_nothing(tmp_path: Path) -> None:
    tally = run(KILLS, 1, tmp_path)
    assert tally.found == []
    assert sum(tally.kills.values()) == KILLS
    assert tally.fills
