"""When the interpreter looks for garbage in cycles.

Everything stands still while it does, the engine's ticks too, whichever thread had it look. Left to Python it looks
when something is made, which is in the middle of a tick or of a picture, and spends a third of a millisecond on objects
in use: a View, a frame of the screen. Next to nothing of what dies here dies in a cycle. So there are no passes over
the young, and the one over all, some 5 ms, comes seldom and when nothing is under way.
"""

import gc
import time
from collections.abc import Callable
from typing import Final

_WORTH: Final = 10_000
"""Objects more than at the last pass, which are garbage in cycles or in use."""
_EVERY_S: Final = 10.0
_SELDOM_S: Final = 60.0
"""A pass is due by then, however few there seem to be: older ones that were freed hide as many that are garbage."""
_FULL: Final = 100_000
"""So many do not wait for a quiet moment: what is not looked at costs memory, and the longer a pass."""
_BY_ITSELF: Final = (200_000, 10, 1 << 30)
"""Python looks after so many: the engine does not beat."""
_PYTHONS: Final = gc.get_threshold()


class Garbage:
    """Of this process. `settle` it once what lives by then mostly lives on; then call `look` now and then."""

    def __init__(self) -> None:
        self._looked_s = 0.0
        self._settled = False
        self._face = False
        """What a cockpit made for its first pictures is out of the passes too."""

    def settle(self) -> None:
        """Leave what there is out of all passes from here on."""
        self._settled = True
        gc.set_threshold(*_BY_ITSELF)
        gc.collect()
        gc.freeze()
        self._looked_s = time.monotonic()

    def look(self, quiet: Callable[[], bool]) -> None:
        """Make a pass over all that came since, where one is due. `quiet`: nothing is under way that it would delay."""
        if not self._settled:
            return
        more, since_s = gc.get_count()[0], time.monotonic() - self._looked_s
        due = since_s >= (_EVERY_S if more >= _WORTH else _SELDOM_S) and quiet()
        if not due and more < _FULL:
            return
        if self._face:
            gc.collect()
            self._looked_s = time.monotonic()
        else:
            self._face = True
            self.settle()

    def close(self) -> None:
        """As Python would have it."""
        if self._settled:
            gc.set_threshold(*_PYTHONS)
            gc.unfreeze()
            self._settled = False
