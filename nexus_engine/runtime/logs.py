"""The log of an account: a file in its folder. The terminal is the cockpit's, and headless there is none."""

import logging
import logging.handlers
import os
import time
from pathlib import Path
from typing import Final

_BYTES: Final = 2_000_000
_KEPT: Final = 3


def log_path(folder: Path) -> Path:
    """Where the account in `folder` logs."""
    return folder / "nexus.log"


def log_to(folder: Path) -> None:
    """Send this process's log to the account's file, readable by its owner alone. Tracebacks there hold no values."""
    path = log_path(folder)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=_BYTES, backupCount=_KEPT, encoding="utf-8")
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.raiseExceptions = False  # a full disk must not write over the cockpit
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
