"""The venue of a stage, in a process of its own: what it does takes no core from the engine that is watched.

Both ends speak over a pipe, and count time by the machine's monotonic clock, which they share.
"""

import asyncio
import contextlib
import multiprocessing
import signal
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any, Final

import msgspec
from aiohttp import web

from nexus_engine.sim.faults import Fault, Faults
from nexus_engine.sim.played import PlayedMarket, Ticks
from nexus_engine.sim.server import Server
from nexus_engine.sim.venue import Venue

HOST: Final = "127.0.0.1"
TICK_NS: Final = 1_000_000_000
"""Market time of a tick of the venue's clock: the grid of the tape."""
_READY_S: Final = 30.0
_END_S: Final = 2.0


class Bill(msgspec.Struct, frozen=True):
    """What is played. Faults count from `begin`."""

    tape: dict[str, Ticks]
    start_ns: int
    faults: tuple[Fault, ...]
    key: str
    secret: str


class House:
    """The parent's end. `posted` is told (client id, monotonic seconds) of each POST that reaches the venue."""

    def __init__(self, bill: Bill, posted: Callable[[str, float], None]) -> None:
        self._bill, self._posted = bill, posted
        self.port = 0
        self.now_ns = bill.start_ns
        self.struck = 0
        """How often the venue did wrong as it was asked to."""
        self._ready = asyncio.Event()
        self._told = ""

    async def open(self, speed: float) -> None:
        """Start it, and wait until it serves."""
        context = multiprocessing.get_context("spawn")
        self._pipe, far = context.Pipe()
        self._child = context.Process(target=_main, args=(far, self._bill, TICK_NS / 1e9 / speed), daemon=True)
        await asyncio.to_thread(self._child.start)
        far.close()
        asyncio.get_running_loop().add_reader(self._pipe.fileno(), self._hear)
        async with asyncio.timeout(_READY_S):
            await self._ready.wait()
        self.check()

    def pace(self, speed: float) -> None:
        """Market seconds a second, from now on."""
        self._say("pace", TICK_NS / 1e9 / speed)

    def begin(self) -> None:
        """The tape proper begins."""
        self._say("begin", 0.0)

    def check(self) -> None:
        """Raises RuntimeError once the venue is gone."""
        if self._told or not self._child.is_alive():
            raise RuntimeError(f"the venue of the stage has ended: {self._told or self._child.exitcode}")

    async def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pipe.fileno())
        self._pipe.close()
        await asyncio.to_thread(self._child.join, _END_S)
        if self._child.is_alive():
            self._child.kill()
            await asyncio.to_thread(self._child.join)

    def _say(self, what: str, value: float) -> None:
        with contextlib.suppress(OSError):  # it has ended: `check` says so
            self._pipe.send((what, value))

    def _hear(self) -> None:
        try:
            while self._pipe.poll():
                what, *values = self._pipe.recv()
                if what == "now":
                    self.now_ns, self.struck = values
                elif what == "post":
                    self._posted(*values)
                else:
                    self.port = values[0]
                    self._ready.set()
        except (EOFError, OSError):
            self._told = "its pipe was closed"
            self._ready.set()
            asyncio.get_running_loop().remove_reader(self._pipe.fileno())


# ---- the child's end -------------------------------------------------------------------------------------------------


def _main(pipe: Connection, bill: Bill, tick_s: float) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's end closes the pipe
    asyncio.run(_serve(pipe, bill, tick_s))


async def _serve(pipe: Connection, bill: Bill, tick_s: float) -> None:
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    began_s = 0.0
    market = PlayedMarket(bill.tape, bill.start_ns)
    venue = Venue(market)
    faults = Faults(bill.faults, lambda: time.monotonic() - began_s if began_s else 0.0)
    asked = faults.request

    def request(method: str, path: str, fields: Mapping[str, Any]) -> Any:
        if method == "POST" and "newClientOrderId" in fields:
            pipe.send(("post", str(fields["newClientOrderId"]), time.monotonic()))
        return asked(method, path, fields)

    def drive() -> None:
        venue.step(TICK_NS, time.time_ns())
        pipe.send(("now", market.now_ns, sum(hits for _, hits in faults.seen())))

    def hear() -> None:
        nonlocal began_s
        try:
            while pipe.poll():
                what, value = pipe.recv()
                if what == "pace":
                    server.tick_s = value
                else:
                    began_s = time.monotonic()
        except (EOFError, OSError):
            over.set()

    faults.request = request  # type: ignore[method-assign]
    server = Server(
        venue,
        api_key=bill.key,
        api_secret=bill.secret,
        drive=drive,
        store=lambda: None,
        faults=faults,
        tick_s=tick_s,
        tick_ms=TICK_NS // 1_000_000,
    )
    runner = web.AppRunner(server.app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    loop.add_reader(pipe.fileno(), hear)
    pipe.send(("ready", runner.addresses[0][1]))
    clock = asyncio.create_task(server.run_clock())
    ended = asyncio.create_task(over.wait())
    await asyncio.wait((clock, ended), return_when=asyncio.FIRST_COMPLETED)
    failed = clock.done()
    loop.remove_reader(pipe.fileno())
    for task in (clock, ended):
        task.cancel()
    await asyncio.gather(clock, ended, return_exceptions=True)
    server.hub.close_all()
    await runner.cleanup()
    if failed:
        # A pipe that the parent has closed is the usual end.
        with contextlib.suppress(OSError):
            clock.result()
