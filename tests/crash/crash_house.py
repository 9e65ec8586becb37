"""The processes of `make crash`: a venue that tells what it is asked, engines, and where they come from."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from nexus_engine.model.config import Directive

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ENV = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
WAIT_S = 10.0
LOOSE = {
    "crash_boots": 1_000,
    "day_loss_pct": 20,
    "day_loss_r": 50,
    "week_loss_r": 100,
    "day_drawdown_pct": 50,
    "peak_drawdown_pct": 80,
    "kelly_part": 0,
    "volatility_pct": 0,
    "loss_streak": 50,
    "swan_drop_pct": 15,
    "max_spread_bp": 100,
    "max_funding_bp": 100,
    "funding_quiet_s": 0,
    "orders_a_minute": 200,
    "orders_a_day": 100_000,
    "rejects_in_row": 50,
    "exit_pause_min": 0,
    "stops_window_min": 0,
    "low_trades": 0,
}
"""Keys of whatever section that would end the trading of an engine that wants something every second, or is killed.
A key that is new and does so too shows as a run with too few entries, which is red."""


def directive(ready: Path, more: str = "", **instead: float) -> str:
    """A nexus.toml for such an engine on the venue of that ready line; `instead` of what is loose."""
    loose = LOOSE | instead
    lines = [
        f"{name}.{key} = {loose[key]}"
        for name, section in Directive.model_fields.items()
        for key in getattr(section.annotation, "model_fields", {})
        if key in loose
    ]
    return "\n".join((f'demo.venue = "{ready}"', *lines, more))


class Exchange:
    """The venue's process. What it is asked comes as words, what we ask it as JSON."""

    def __init__(self, folder: Path, seed: int, scenario: str = "range", speed: int = 40) -> None:
        self._log = (folder / "venue.log").open("wb")
        command = [sys.executable, str(HERE / "crash_venue.py"), "--scenario", scenario, "--speed", str(speed)]
        self._process = subprocess.Popen(
            [*command, "--seed", str(seed)],
            env=ENV,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        assert self._process.stdout is not None
        self._fd = self._process.stdout.fileno()
        self._rest = b""
        line = self._line(WAIT_S * 3)
        assert line, "the venue did not start"
        (folder / "ready.json").write_text(line)

    def tell(self, word: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n".encode())
        self._process.stdin.flush()
        deadline_s = time.monotonic() + WAIT_S
        while time.monotonic() < deadline_s:
            line = self._line(WAIT_S)
            if line.startswith("= "):
                answer: dict[str, Any] = json.loads(line[2:])
                return answer
        raise AssertionError("the venue does not answer")

    def hears(self, word: str, within_s: float) -> bool:
        """Wait for a request of that kind."""
        deadline_s = time.monotonic() + within_s
        while (left_s := deadline_s - time.monotonic()) > 0:
            if self._line(left_s) == word:
                return True
        return False

    def forget(self) -> None:
        """What was asked until now is of no interest."""
        while self._line(0.0):
            pass

    def _line(self, within_s: float) -> str:
        deadline_s = time.monotonic() + within_s
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self._fd], [], [], max(0.0, deadline_s - time.monotonic()))
            if not ready:
                return ""
            chunk = os.read(self._fd, 1 << 16)
            if not chunk:
                raise AssertionError(f"the venue ended with {self._process.wait()}")
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def close(self) -> None:
        self._process.terminate()
        self._process.communicate(timeout=WAIT_S)
        self._log.close()


class Life:
    """One engine's process. Its end is seen on its descriptor, whoever's child it is."""

    def __init__(self, pid: int, *, cold: bool) -> None:
        self.pid, self.cold = pid, cold
        self.began_s = time.monotonic()
        self._fd = os.pidfd_open(pid)

    @property
    def over(self) -> bool:
        return bool(select.select([self._fd], [], [], 0.0)[0])

    @property
    def starved_s(self) -> float:
        """How long the thread that waited most could have run and had no core: a busy machine is not our start."""
        waited = [int(path.read_text().split()[1]) for path in Path(f"/proc/{self.pid}/task").glob("*/schedstat")]
        return max(waited, default=0) / 1e9

    def kill(self) -> None:
        signal.pidfd_send_signal(self._fd, signal.SIGKILL)
        self.wait(WAIT_S)

    def wait(self, within_s: float) -> None:
        assert select.select([self._fd], [], [], within_s)[0], f"process {self.pid} did not end"
        os.close(self._fd)


class Forge:
    """Where lives come from."""

    def __init__(self, words: list[str], log: Path) -> None:
        self._words = words
        self._cold: list[subprocess.Popen[bytes]] = []
        self._log = log.open("ab")
        self._forge = self._open("--forge", stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def _open(self, how: str, **more: Any) -> "subprocess.Popen[bytes]":
        command = [sys.executable, str(HERE / "crash_engine.py"), how, *self._words]
        return subprocess.Popen(command, env=ENV, stderr=self._log, **more)

    def start(self, *, cold: bool) -> Life:
        if cold:
            self._cold.append(self._open("--hasty", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL))
            return Life(self._cold[-1].pid, cold=True)
        assert self._forge.stdin is not None and self._forge.stdout is not None
        self._forge.stdin.write(b"start\n")
        self._forge.stdin.flush()
        return Life(int(self._forge.stdout.readline()), cold=False)

    def close(self) -> None:
        self._forge.communicate(timeout=WAIT_S)
        for process in self._cold:
            process.wait(WAIT_S)
        self._log.close()
