"""Where the engine stands when its loop does not come round: what blocks it cannot say so itself."""

import logging
import sys
import threading
import time
import traceback
from typing import Final, Self

log = logging.getLogger(__name__)

LIMIT_S: Final = 1.0
_PARTS: Final = 4
_NAME: Final = "stall"


class StallWatch:
    """A thread beside the loop that it is made on: logs that thread's stack, without values, once for each stall of
    more than `limit_s`. A process that was stopped as a whole is no stall. Enter it, and beat more often than that."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self._limit_s = limit_s
        self._watched = threading.get_ident()
        self._beaten_s = time.monotonic()
        self._told = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=_NAME, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def beat(self) -> None:
        """The loop comes round."""
        self._beaten_s, self._told = time.monotonic(), False

    def _watch(self) -> None:
        every_s = self._limit_s / _PARTS
        looked_s = time.monotonic()
        while not self._over.wait(every_s):
            before_s, looked_s = looked_s, time.monotonic()
            if looked_s - before_s > self._limit_s:
                self._beaten_s = looked_s  # this thread stood still as well: it was the process, or its machine
            elif looked_s - self._beaten_s > self._limit_s and not self._told:
                self._told = True
                frame = sys._current_frames().get(self._watched)
                stack = "".join(traceback.format_stack(frame)) if frame is not None else "  its thread is gone\n"
                log.error("the engine's loop has stood for %.1f s:\n%s", looked_s - self._beaten_s, stack)
