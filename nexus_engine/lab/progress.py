"""How far a command of the Lab is, on stderr."""

import json
import sys
import time
from typing import Final

_EVERY_S: Final = 0.25
_WIDTH: Final = 30


class Progress:
    """JSON lines for a program that reads them, one line that is written over on a terminal, nothing in a log."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._live = sys.stderr.isatty() and not as_json
        self._said_s = 0.0

    def __call__(self, text: str, share: float) -> None:
        """What is being done, and how much of all is (0..1)."""
        if (now := time.monotonic()) - self._said_s < _EVERY_S:
            return
        self._said_s = now
        if self._as_json:
            sys.stderr.write(json.dumps({"doing": text, "share": round(share, 3)}) + "\n")
        elif self._live:
            full = int(share * _WIDTH)
            sys.stderr.write(f"\r\x1b[K[{'#' * full}{'.' * (_WIDTH - full)}] {share:4.0%}  {text}")
        sys.stderr.flush()

    def wipe(self) -> None:
        """The line makes room for what follows."""
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
