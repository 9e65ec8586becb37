"""One supervised web socket: connects for ever, notices silence, never dies of what it is sent."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, Literal, NoReturn

import aiohttp

from nexus_engine.model.ports import Clock
from nexus_engine.uplink.counts import Counts
from nexus_engine.uplink.lost import lost
from nexus_engine.uplink.unreadable import UNREADABLE

CONNECT_S: Final = 5.0
FIRST_S: Final = 0.2
LONGEST_S: Final = 15.0
STEADY_S: Final = 5.0
"""A connection that has lived this long was a good one: the next attempt waits the shortest time."""
FRAME_BYTES: Final = 1 << 20
"""No message that we use is near this; a longer one is skipped unread."""
SOCKET_BYTES: Final = 16 << 20
HEARTBEAT_S: Final = 5.0
GOODBYE_S: Final = 0.3
BACKLOG_BYTES: Final = 1 << 16
BACKLOGS: Final = 3
"""So many runs in a row began with that much unread: whoever listens does not keep up, it was no burst."""
SLICE_NS: Final = 2_000_000
"""A reader gives way after so long, however much is there: an exit takes several turns of the loop to leave, and waits
that long at each of them."""
LOOKS: Final = 10
"""Looks at the clock in the time that counts as silence."""
_DATA: Final = (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY)

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

    Messages that are there already are read in one run, in slices between which the loop does everything else. When
    runs stay long, the listener is `behind`: it may then hold back and join what it hears, and is told `passed` after
    each run to let go of it.
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
        self._socket: aiohttp.ClientWebSocketResponse[Literal[False]] | None = None
        self._run_bytes = 0
        self._backlogs = 0
        self._cut = False
        """The reader gave way in the middle of a run."""
        self.behind = False
        self._clock = clock
        self._stale_s = stale_s
        self._backoff = Backoff(rng)
        self._deadline: asyncio.Timeout | None = None
        self._end_reason = ""
        self._opened_mono: int | None = None
        self._last_mono = 0
        self.received = 0

    @property
    def skipped(self) -> int:
        """Messages that could not be used: malformed, too long, binary, of an unknown kind, or with absurd numbers."""
        return self._counts.skipped

    async def run(self) -> None:
        """Connect, read, and connect again."""
        async with aiohttp.ClientSession() as session:
            while True:
                self._opened_mono = None
                wait_s = 0.0
                try:
                    await self._live(session)
                except StreamDown as down:
                    reason, wait_s = str(down), down.wait_s
                except (aiohttp.ClientError, OSError) as error:
                    reason = lost(error)
                if self._steady():
                    self._backoff.reset()
                self._tell_down(reason)
                await asyncio.sleep(max(wait_s, self._backoff.next_s()))

    def restart(self, reason: str) -> None:
        """End the connection, if there is one; a new one follows."""
        deadline, self._deadline = self._deadline, None
        if deadline is not None:
            self._end_reason = reason
            deadline.reschedule(0)

    async def send(self, text: str) -> None:
        """Say something on the connection, if there is one."""
        socket = self._socket
        if socket is None or socket.closed:
            return
        try:
            await socket.send_str(text)
        except (ConnectionError, RuntimeError, aiohttp.ClientError):
            return  # it is about to end, and a new one begins from nothing

    def _steady(self) -> bool:
        opened = self._opened_mono
        return opened is not None and self._clock.mono_ns() - opened >= STEADY_S * 1e9

    async def _live(self, session: aiohttp.ClientSession) -> NoReturn:
        """One connection, from the address to its end."""
        url = await self._url()
        try:
            async with asyncio.timeout(CONNECT_S):
                socket = await session.ws_connect(
                    url,
                    decode_text=False,
                    max_msg_size=SOCKET_BYTES,
                    heartbeat=HEARTBEAT_S,
                    timeout=aiohttp.ClientWSTimeout(ws_close=GOODBYE_S),
                )
        except TimeoutError:
            raise StreamDown(f"no connection within {CONNECT_S:.0f} s") from None
        try:
            async with asyncio.timeout(None) as self._deadline:
                self._socket = socket
                await self._read(socket)
        except TimeoutError:
            raise StreamDown(self._end_reason) from None
        finally:
            self._deadline = self._socket = None
            await socket.close()

    async def _read(self, socket: aiohttp.ClientWebSocketResponse[Literal[False]]) -> NoReturn:
        receive, frame, utc_ns, mono_ns = socket.receive, self._frame, self._clock.utc_ns, self._clock.mono_ns
        self._opened_mono = self._last_mono = mono_ns()
        self._run_bytes = self._backlogs = 0
        self.behind = self._cut = is_up = False
        later, slice_ns = asyncio.get_running_loop().call_soon, 0
        if self._stale_s is not None:
            self._watch(self._deadline, self._stale_s)
        self._tell_opened()
        while True:
            message = await receive()
            if message.type is aiohttp.WSMsgType.TEXT and len(message.data) <= FRAME_BYTES:
                now = mono_ns()
                if not self._run_bytes:
                    later(self._pass)
                    slice_ns = now
                elif now - slice_ns > SLICE_NS:
                    self._cut = True
                    await asyncio.sleep(0)
                    slice_ns = now = mono_ns()
                    if not self._run_bytes:
                        later(self._pass)
                self._run_bytes += len(message.data) + 1
                try:
                    frame(message.data, utc_ns(), now)
                except UNREADABLE:
                    self._counts.skipped += 1
                    continue
                self.received += 1
                self._last_mono = now
                if not is_up:
                    is_up = True
                    self._tell_up()
            elif message.type in _DATA:
                self._counts.skipped += 1
            else:
                raise StreamDown(f"closed by the venue ({socket.close_code})")

    def _pass(self) -> None:
        """The reader has read all that was there, and the loop had its turn. A run that was only cut goes on."""
        if self._cut:
            self._cut = False
            if self._run_bytes < BACKLOG_BYTES:
                asyncio.get_running_loop().call_soon(self._pass)
                return
        self._backlogs = self._backlogs + 1 if self._run_bytes >= BACKLOG_BYTES else 0
        self.behind = self._backlogs >= BACKLOGS
        self._run_bytes = 0
        self._tell_passed()

    def _watch(self, deadline: asyncio.Timeout | None, stale_s: float) -> None:
        """Look again and again whether messages still come. Ends with the connection of that deadline."""
        if deadline is not self._deadline:
            return
        if self._clock.mono_ns() - self._last_mono > stale_s * 1e9:
            self.restart(f"silent for {stale_s:g} s")
        else:
            asyncio.get_running_loop().call_later(stale_s / LOOKS, self._watch, deadline, stale_s)
