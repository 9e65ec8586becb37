"""The practice venue as a process of its own, which is what the demo trades on."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAM = "import sys; from nexus_engine.sim.exchange import main; raise SystemExit(main(sys.argv[1:]))"
READY_S = 20.0
END_S = 10.0


class VenueProcess:
    """A running `nexus exchange`. `ready` is the line that it printed."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-c", PROGRAM, *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._process.stdout is not None and self._process.stderr is not None
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(f"the venue did not start: {self._process.stderr.read()}")
        self.ready: dict[str, Any] = json.loads(line)

    @property
    def rest(self) -> str:
        return str(self.ready["rest"])

    @property
    def ws(self) -> str:
        return str(self.ready["ws"])

    @property
    def port(self) -> int:
        return int(self.rest.rpartition(":")[2])

    def freeze(self) -> None:
        """It holds its connections and says nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """As a crash: no goodbye to anyone."""
        self._process.kill()
        self._process.communicate(timeout=END_S)


StartVenue = Callable[..., VenueProcess]


@pytest.fixture
def start_venue() -> Iterator[StartVenue]:
    """Start venues; all are gone at the end of the test. Arguments are those of `nexus exchange`."""
    started: list[VenueProcess] = []

    def start(*arguments: str | Path | int) -> VenueProcess:
        started.append(VenueProcess(*map(str, arguments)))
        return started[-1]

    yield start
    for venue in started:
        venue.kill()


@pytest.fixture
def venue(start_venue: StartVenue) -> VenueProcess:
    """A calm market at its own pace."""
    return start_venue("--port", 0, "--scenario", "calm", "--seed", 7)
