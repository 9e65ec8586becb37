"""Letting the engine in between the parts of a picture."""

import time
from collections.abc import Callable
from typing import Final

HELD_NS: Final = 1_000_000
SLEEP_S: Final = 20e-6


class Breath:
    """For a thread that has much to do at a time: `take` one between its parts.

    The kernel looks who else wants the core when a thread sleeps, and else by its own clock, every 4 ms. An engine that
    has just used up its share is not let in before, however soon it wakes.
    """

    def __init__(
        self, now_ns: Callable[[], int] = time.monotonic_ns, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._now_ns = now_ns
        self._sleep = sleep
        self._taken_ns = 0

    def take(self) -> None:
        """Sleep for a moment, a tenth of a millisecond by the kernel's usual timers, when the last one is a millisecond
        ago."""
        if self._now_ns() - self._taken_ns > HELD_NS:
            self._sleep(SLEEP_S)
            self._taken_ns = self._now_ns()
