"""A venue on loopback that answers what the test wrote, well or badly."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import aiohttp
import msgspec
from aiohttp import web
from uplink_data import settings

from nexus_engine.model.events import AnyEvent
from nexus_engine.uplink.binance.rest import BinanceRest

PATIENCE_S = 10.0
T = TypeVar("T")


class RealClock:
    def utc_ns(self) -> int:
        return time.time_ns()

    def mono_ns(self) -> int:
        return time.monotonic_ns()


class Answer(msgspec.Struct):
    """`body` goes out as JSON unless it is text or bytes. `hang` seconds before it; `cut` instead of it."""

    body: Any = msgspec.field(default_factory=dict)
    status: int = 200
    headers: dict[str, str] = {}
    hang: float = 0.0
    cut: bool = False


class Scripted:
    """`answers` maps "GET /fapi/v1/time" to an Answer, or to something that makes one of the parameters."""

    def __init__(self) -> None:
        self.port = 0
        self.answers: dict[str, Answer | Callable[[dict[str, str]], Answer]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.connections = 0
        self.told: list[Any] = []
        """What clients said on their sockets."""
        self._changed = asyncio.Event()

    @property
    def rest_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def count(self, name: str) -> int:
        return sum(1 for asked, _ in self.asked if asked == name)

    async def until(self, done: Callable[[], bool]) -> None:
        """Wait until a request or a connection has made it so."""
        async with asyncio.timeout(PATIENCE_S):
            while not done():
                self._changed.clear()
                await self._changed.wait()

    async def say(self, *frames: str | bytes) -> None:
        for frame in frames:
            for socket in self.sockets:
                await (socket.send_str(frame) if isinstance(frame, str) else socket.send_bytes(frame))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._socket(request)
        params = dict(request.query) | dict(await request.post())
        name = f"{request.method} {request.path}"
        self.asked.append((name, {key: str(value) for key, value in params.items()}))
        self._changed.set()
        found = self.answers.get(name, Answer({"serverTime": time.time_ns() // 1_000_000}))
        answer = found if isinstance(found, Answer) else found(self.asked[-1][1])
        await asyncio.sleep(answer.hang)
        if answer.cut:
            assert request.transport is not None
            request.transport.abort()
        body = answer.body.encode() if isinstance(answer.body, str) else answer.body
        body = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return web.Response(body=body, status=answer.status, headers=answer.headers)

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        self.connections += 1
        self._changed.set()
        async for message in socket:
            self.told.append(msgspec.json.decode(message.data))
            self._changed.set()
        self.sockets.remove(socket)
        self._changed.set()
        return socket


@contextlib.asynccontextmanager
async def scripted() -> AsyncIterator[Scripted]:
    venue = Scripted()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", venue.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    venue.port = runner.addresses[0][1]
    try:
        yield venue
    finally:
        for socket in list(venue.sockets):
            await socket.close(code=aiohttp.WSCloseCode.GOING_AWAY)
        await runner.cleanup()


@contextlib.asynccontextmanager
async def rest_of(venue: Scripted, **changes: Any) -> AsyncIterator[BinanceRest]:
    rest = BinanceRest(settings(venue.rest_url, venue.ws_url, **changes), RealClock())
    await rest.open()
    try:
        yield rest
    finally:
        await rest.close()


class Ear:
    """A sink that can be waited on."""

    def __init__(self) -> None:
        self.events: list[AnyEvent] = []
        self._changed = asyncio.Event()

    def __call__(self, event: AnyEvent) -> None:
        self.events.append(event)
        self._changed.set()

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, done: Callable[[], bool], within_s: float = PATIENCE_S) -> None:
        async with asyncio.timeout(within_s):
            while not done():
                self._changed.clear()
                await self._changed.wait()
