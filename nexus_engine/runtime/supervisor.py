"""Tells the systemd that started us how the engine is (sd_notify(3)): a datagram to $NOTIFY_SOCKET.

The watchdog is fed by the engine's own loop and by nothing else: a loop that is stuck is a service that is dead.
"""

import logging
import os
import socket
import time
from collections.abc import Callable, MutableMapping
from typing import Final

log = logging.getLogger(__name__)

_PARTS: Final = 3
"""Beats in a watchdog's time, so that one may be late."""


class Supervisor:
    """`beat` comes from the engine's loop, the rest from any thread. Nothing here blocks or raises."""

    def __init__(
        self, address: str, watchdog_us: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._every_s = None if watchdog_us is None else watchdog_us / 1e6 / _PARTS
        self._clock = clock
        self._ready = False
        self._fed_s = 0.0
        self._status = ""
        self._deaf = False

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] | None = None) -> "Supervisor | None":
        """The one that started us; None: nobody did. What it said is taken out: no child may answer for us."""
        given = os.environ if environment is None else environment
        address = given.pop("NOTIFY_SOCKET", "")
        time_us, pid = given.pop("WATCHDOG_USEC", ""), given.pop("WATCHDOG_PID", "")
        if not address.startswith(("/", "@")):
            return None
        ours = time_us.isdigit() and int(time_us) > 0 and pid in ("", str(os.getpid()))
        return cls(address, int(time_us) if ours else None)

    def beat(self) -> None:
        """The engine's loop lives and hears commands: the first beat is READY."""
        if not self._ready:
            self._ready = True
            self._tell("READY=1")
        now_s = self._clock()
        if self._every_s is not None and now_s - self._fed_s >= self._every_s:
            self._fed_s = now_s
            self._tell("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        line = " ".join(text.split())
        if line != self._status:
            self._status = line
            self._tell(f"STATUS={line}")

    def stopping(self, problem: str = "") -> None:
        """The engine has ended, or is about to."""
        if problem:
            self.status(problem)
        self._tell("STOPPING=1")

    def _tell(self, message: str) -> None:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as link:
                link.sendto(message.encode(), self._address)
        except OSError as error:
            # What is lost here is lost on systemd's side: it restarts us where it should hear and does not.
            if not self._deaf:
                self._deaf = True
                log.warning("systemd does not hear us: %s", error)
