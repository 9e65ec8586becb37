"""When the interpreter looks for garbage in cycles.

Everything stands still while it does, the engine's ticks too, whichever thread had it look. Left to Python it looks
when something is made, which is in the middle of a tick or of a picture, and spends a third of a millisecond on objects
in use: a View, a frame of the screen. So the young are looked at with the engine's beat, and only once more of them are
left than those: a dialog that comes and goes leaves 860 in cycles, and it is freeing them that takes the time. One that
is open just then is not young afterwards: those are looked at every few passes, or they would fill megabytes until all
objects are, which is seldom, and when nothing is under way. After that the C library gives back what it keeps between
objects, some milliseconds at most: by itself it does so only at the end of its heap, where something always lives.
"""

import ctypes
import gc
import time
from collections.abc import Callable
from typing import Final

_YOUNG: Final = 4_000
"""Objects more than at the last pass: 5 ms where all of them are garbage, 1 where none is."""
_PASSES: Final = 10
"""Over the young, until what outlived one of them is looked at: at each, it would outlive that as well."""
_EVERY_S: Final = 60.0
_AT_LEAST_S: Final = 300.0
"""A pass over all does not wait longer for a quiet moment: an account can have something under way for hours."""
_BY_ITSELF: Final = (200_000, 10, 1 << 30)
"""Python looks after so many: the engine does not beat."""
_PYTHONS: Final = gc.get_threshold()
_give_back: Final[Callable[[int], int] | None] = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""glibc's only."""


def look_at_all() -> None:
    """Make a pass over all objects that are not settled, and give their room back."""
    gc.collect()
    if _give_back is not None:
        _give_back(0)


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
        """Make the pass that is due, over the young or over all. `quiet`: nothing is under way that it would delay."""
        if not self._settled:
            return
        since_s = time.monotonic() - self._looked_s
        if since_s < _AT_LEAST_S and not (since_s >= _EVERY_S and quiet()):
            if gc.get_count()[0] >= _YOUNG:
                gc.collect(1 if gc.get_count()[1] >= _PASSES else 0)
        elif self._face:
            look_at_all()
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
