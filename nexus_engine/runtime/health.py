"""How the engine's thread is doing."""

import asyncio
import contextlib
import os
import time
from collections import deque
from pathlib import Path
from typing import Final

from nexus_engine.model.verdicts import Reading

_PULSE_S: Final = 0.1
_LATE_MS: Final = 250.0
_WINDOW: Final = 100
"""Pulses that the worst lag is taken over: ten seconds."""
_MEMORY_EVERY: Final = 50
"""Pulses between two looks at the memory: to open the kernel's file takes a third as long as to build a View."""
_PAGE_MB: Final = os.sysconf("SC_PAGE_SIZE") / 1e6
_STATM: Final = Path("/proc/self/statm")


class Pulse:
    """Feels ten times a second how late the loop is. `count` is the events so far."""

    def __init__(self) -> None:
        self._lags: deque[float] = deque([0.0], maxlen=_WINDOW)
        self._counts: deque[tuple[float, int]] = deque(maxlen=_WINDOW)
        self.started_s = time.monotonic()
        self.worst_ms = 0.0
        """Since the start."""
        self._ended_s: float | None = None
        self._beats = 0
        self._memory_mb = 0.0
        self._weigh()

    async def beat(self, count: int) -> None:
        """Sleep one pulse and take the measure, of what was done since the last one too."""
        before = time.monotonic() if self._ended_s is None else self._ended_s
        await asyncio.sleep(_PULSE_S)
        self._ended_s = now = time.monotonic()
        lag_ms = max(0.0, (now - before - _PULSE_S) * 1e3)
        self._lags.append(lag_ms)
        self._counts.append((now, count))
        self.worst_ms = max(self.worst_ms, lag_ms)
        self._beats += 1
        if self._beats % _MEMORY_EVERY == 0:
            self._weigh()

    def _weigh(self) -> None:
        with contextlib.suppress(OSError):  # no file descriptor is left: what it was will do
            self._memory_mb = memory_mb()

    @property
    def lag_ms(self) -> float:
        """The worst of the last ten seconds."""
        return max(self._lags)

    @property
    def rate(self) -> float:
        """Events a second over the last ten seconds."""
        if len(self._counts) < 2:
            return 0.0
        (then, old), (now, new) = self._counts[0], self._counts[-1]
        return (new - old) / (now - then)

    @property
    def problem(self) -> str:
        return f"the engine was {self.lag_ms:.0f} ms late" if self.lag_ms > _LATE_MS else ""

    def readings(self) -> tuple[Reading, ...]:
        """For the screen's `ok`."""
        return (
            Reading("loop lag", self.lag_ms, _LATE_MS, "ms"),
            Reading("events", self.rate, None, "/s"),
            Reading("memory", self._memory_mb, None, "MB"),
        )


def memory_mb() -> float:
    """Resident memory of this process."""
    return int(_STATM.read_text().split()[1]) * _PAGE_MB
