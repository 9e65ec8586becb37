"""When the interpreter looks for garbage in cycles.

Everything stands still while it does, the engine's ticks too, whichever thread had it look: beside a cockpit whose
dialogs come and go a pass over all objects took 25 to 50 ms, every two seconds. So passes over the young ones are made
small, and the one over all comes when the engine has nothing under way.
"""

import gc
import time
from collections.abc import Callable
from typing import Final

_PASSES: Final = (700, 2, 1 << 30)
"""Over the youngest, then over the young: 0.2 ms each. Over all: never by itself."""
_PYTHONS: Final = gc.get_threshold()
_WORTH: Final = 12
"""Passes over the young since the last over all: some 25,000 objects that may be garbage."""
_FULL: Final = 150
"""So many of them do not wait for a quiet moment: what is not looked at costs memory, and the longer a pass."""
_EVERY_S: Final = 10.0


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
        gc.set_threshold(*_PASSES)
        gc.collect()
        gc.freeze()
        self._looked_s = time.monotonic()

    def look(self, quiet: Callable[[], bool]) -> None:
        """Make a pass over all that came since, where one is due. `quiet`: nothing is under way that it would delay."""
        passes = gc.get_count()[2]
        due = passes >= _WORTH and time.monotonic() - self._looked_s >= _EVERY_S and quiet()
        if not self._settled or not (due or passes >= _FULL):
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
