"""One question to an account that runs, from another process."""

import os
import socket
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from nexus_engine.model.paths import StateError, latch_path, socket_path
from nexus_engine.model.usage import harmless

_CHUNK: Final = 1 << 16
_LOOK_S: Final = 0.05
UNANSWERED: Final = "latch left: halts now if it runs, else at its start"
"""What comes of it stands first: a narrow row cuts the end."""
KILL: Final = "nexus kill"
_WORDS: Final = 64


class NoAnswer(Exception):
    """Nobody listens at the account's socket, or nobody answers in time; the message is one line."""


def ask(folder: Path, request: dict[str, Any], within_s: float = 1.0) -> dict[str, Any]:
    """Send one request of the control protocol and return its answer. Raises NoAnswer."""
    line = bytearray()
    try:
        address = str(socket_path(folder))
    except StateError as error:
        raise NoAnswer(str(error)) from error
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(within_s)
        try:
            link.connect(address)
            link.sendall(msgspec.json.encode(request) + b"\n")
            while not line.endswith(b"\n"):
                chunk = link.recv(_CHUNK)
                if not chunk:
                    raise NoAnswer("the engine hung up")
                line += chunk
            return msgspec.json.decode(line, type=dict[str, Any])
        except TimeoutError as error:
            raise NoAnswer(f"no answer in {within_s:g} s") from error
        except (OSError, msgspec.DecodeError) as error:
            raise NoAnswer(f"{getattr(error, 'strerror', error)}") from error


def halt(folder: Path, by: str, how: str = "asked in a cockpit that no engine answered") -> str:
    """HALT, over the socket or by the latch file that an engine polls; `how` it was asked for is said of that. What
    became of it, in a line that begins with `halted` when the engine has taken it, and with UNANSWERED when the latch
    was left. Raises OSError when the latch cannot be written.
    """
    try:
        answer = ask(folder, {"op": "halt", "by": by})
    except NoAnswer as silence:
        # Written beside and moved, so that an engine never finds a latch and removes it while we still write.
        latch = latch_path(folder)
        fresh = latch.with_name(f"{latch.name}.{os.getpid()}")
        try:
            fresh.write_text(f"{by}\n{how}\n", encoding="utf-8", errors="replace")
            fresh.replace(latch)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
        return f"{UNANSWERED} ({silence})"
    if "error" in answer:
        return f"refused: {answer['error']}"
    return "halted" + (f"; {answer['warning']}" if "warning" in answer else "")


def asked(latch: Path) -> tuple[str, str]:
    """Who left the latch, and how it was asked for. It is `nexus kill` where it does not say."""
    try:
        lines = latch.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    by, how, *_ = (*(harmless(line[:_WORDS]) for line in lines), "", "")
    by = by or KILL
    return by, how or f"asked by {by}"


def taken(folder: Path, until_s: float) -> bool:
    """Wait until then (monotonic s) for an engine to take the latch: it removes it when its journal has the HALT."""
    latch = latch_path(folder)
    while latch.exists():
        if time.monotonic() > until_s:
            return False
        time.sleep(_LOOK_S)
    return folder.is_dir()
