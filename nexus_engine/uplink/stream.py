"""One supervised web socket: connects for ever, notices silence, never dies of what it is sent."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

from nexus_engine.model.ports import Clock
from nexus_engine.uplink.counts import Counts
from nexus_engine.uplink.socket import Lost, Socket
from nexus_engine.uplink.unreadable import UNREADABLE

FIRST_S: Final = 0.2
LONGEST_S: Final = 15.0
STEADY_S: Final = 5.0
"""A connection that has lived this long was a good one: the next attempt waits the shortest time."""
BACKLOG_BYTES: Final = 1 << 16
BACKLOGS: Final = 3
"""So many runs in a row began with that much unread: whoever listens does not keep up, it was no burst."""
SLICE_NS: Final = 2_000_000
"""Reading gives way after so long, however much is there: an exit takes several turns of the loop to leave, and waits
that long at each of them."""
LOOKS: Final = 10
"""Looks at the clock in the time that counts as silence."""

Frame = Callable[[bytes, int, int], None]
"""(message, UTC ns, monotonic ns of its receipt). Raises one of UNREADABLE for a message that it cannot use, and
StreamDown to have the socket opened anew."""


class StreamDown(Exception):
    """This connection is of no use, or none can be had; the message says why. `wait_s`: not before so long again."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class Backoff:
    """Waiting times that double from 0.2 s to 15 s, with jitter."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._tries = 0

    def reset(self) -> None:
        self._tries = 0

    def next_s(self) -> float:
        ceiling = min(LONGEST_S, FIRST_S * 2 ** min(self._tries, 16))
        self._tries += 1
        return float(ceiling * self._rng.uniform(0.5, 1.0))


def _nothing() -> None:
    """Nobody asked."""


class Stream:
    """Runs one socket until cancelled.

    `url` is asked for an address before each attempt. Of each connection, `opened` tells the handshake, `up` the first
    message that could be used, and `down` the end or the failure, with its reason. `stale_s` is the silence that ends
    it; None where silence is normal.

    What the socket had is looked at in one run, in slices between which the loop does everything else. When runs stay
    long, the listener is `behind`: it may then hold back and join what it hears, and is told `passed` after each run to
    let go of it.
    """

    def __init__(
        self,
        *,
        url: Callable[[], Awaitable[str]],
        frame: Frame,
        down: Callable[[str], None],
        clock: Clock,
        rng: random.Random,
        opened: Callable[[], None] = _nothing,
        up: Callable[[], None] = _nothing,
        passed: Callable[[], None] = _nothing,
        counts: Counts | None = None,
        stale_s: float | None = None,
    ) -> None:
        self._url = url
        self._frame = frame
        self._tell_opened = opened
        self._tell_up = up
        self._tell_down = down
        self._tell_passed = passed
        self._counts = counts or Counts()
        self._socket: Socket | None = None
        self._ended: asyncio.Future[Exception] | None = None
        """Of the connection there is; whoever ends it says why."""
        self._held: deque[bytes] = deque()
        """Read, and not looked at yet: the slice was over. Nothing more is read until it is empty."""
        self._closed = ""
        """Why the venue hung up, once it has."""
        self._run_bytes = self._backlogs = self._slice_ns = 0
        self._is_up = False
        self.behind = False
        self._clock = clock
        self._stale_s = stale_s
        self._backoff = Backoff(rng)
        self._opened_mono: int | None = None
        self._last_mono = 0
        self.received = 0

    @property
    def skipped(self) -> int:
        """Messages that could not be used: malformed, too long, binary, of an unknown kind, or with absurd numbers."""
        return self._counts.skipped

    async def run(self) -> None:
        """Connect, read, and connect again."""
        while True:
            self._opened_mono = None
            wait_s = 0.0
            try:
                await self._live()
            except StreamDown as down:
                reason, wait_s = str(down), down.wait_s
            if self._steady():
                self._backoff.reset()
            self._tell_down(reason)
            await asyncio.sleep(max(wait_s, self._backoff.next_s()))

    def restart(self, reason: str) -> None:
        """End the connection, if there is one; a new one follows."""
        if self._socket is not None:
            self._end(StreamDown(reason))

    def send(self, text: str) -> None:
        """Say something on the connection, if there is one."""
        if self._socket is not None:
            self._socket.send(text)

    def _steady(self) -> bool:
        opened = self._opened_mono
        return opened is not None and self._clock.mono_ns() - opened >= STEADY_S * 1e9

    # ---- a connection ------------------------------------------------------------------------------------------------

    async def _live(self) -> NoReturn:
        """One connection, from the address to its end."""
        url = await self._url()
        ended = self._ended = asyncio.get_running_loop().create_future()
        self._closed = ""
        socket = Socket(opened=self._opened, text=self._text, skipped=self._skip, ended=self._hung_up)
        try:
            await socket.connect(url)
            raise await ended
        except Lost as lost:
            raise StreamDown(str(lost)) from None
        finally:
            self._socket = self._ended = None
            self._held.clear()
            await socket.close()

    def _end(self, error: Exception) -> None:
        """The connection is over, for whoever waits on it; the first reason counts."""
        ended, self._ended = self._ended, None
        self._held.clear()
        if ended is not None:
            ended.set_result(error)

    def _hung_up(self, reason: str) -> None:
        """The venue has; what it said before is looked at first."""
        self._closed = reason
        if not self._held:
            self._end(StreamDown(reason))

    def _opened(self, socket: Socket) -> None:
        self._socket = socket
        self._opened_mono = self._last_mono = self._clock.mono_ns()
        self._run_bytes = self._backlogs = 0
        self.behind = self._is_up = False
        if self._stale_s is not None:
            self._watch(socket, self._stale_s)
        try:
            self._tell_opened()
        except Exception as error:  # noqa: BLE001 - as in _take
            self._end(error)

    def _watch(self, socket: Socket, stale_s: float) -> None:
        """Look again and again whether messages still come. Ends with that connection."""
        if socket is not self._socket:
            return
        if self._clock.mono_ns() - self._last_mono > stale_s * 1e9:
            self.restart(f"silent for {stale_s:g} s")
        else:
            asyncio.get_running_loop().call_later(stale_s / LOOKS, self._watch, socket, stale_s)

    # ---- messages ----------------------------------------------------------------------------------------------------

    def _skip(self) -> None:
        self._counts.skipped += 1

    def _text(self, data: bytes) -> None:
        """A message has come."""
        if self._ended is None:
            return
        now = self._clock.mono_ns()
        if not self._run_bytes:
            self._slice_ns = now
            asyncio.get_running_loop().call_soon(self._turn)
        self._run_bytes += len(data) + 1
        if not self._held and now - self._slice_ns <= SLICE_NS:
            self._take(data, now)
            return
        if not self._held and self._socket is not None:
            self._socket.pause()
        self._held.append(data)

    def _turn(self) -> None:
        """The loop had its turn: go on with what is held, or pass the run on."""
        self._slice_ns = now = self._clock.mono_ns()
        while self._held and now - self._slice_ns <= SLICE_NS:
            self._take(self._held.popleft(), now)
            now = self._clock.mono_ns()
            if not self._held and self._socket is not None:
                self._socket.resume()
        if self._held:
            asyncio.get_running_loop().call_soon(self._turn)
            return
        if self._closed:
            self._end(StreamDown(self._closed))
        self._backlogs = self._backlogs + 1 if self._run_bytes >= BACKLOG_BYTES else 0
        self.behind = self._backlogs >= BACKLOGS
        self._run_bytes = 0
        self._tell_passed()

    def _take(self, data: bytes, now: int) -> None:
        """Have the listener look at a message. What it raises is raised by `run`, or begins a new connection: picows
        calls this, and would keep it to itself."""
        try:
            self._frame(data, self._clock.utc_ns(), now)
            self.received += 1
            self._last_mono = now
            if not self._is_up:
                self._is_up = True
                self._tell_up()
        except UNREADABLE:
            self._counts.skipped += 1
        except Exception as error:  # noqa: BLE001
            self._end(error)
