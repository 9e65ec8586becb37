"""A practice venue inside the test's own loop, and the clients the tests speak to it with."""

import asyncio
import contextlib
import hmac
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec
from aiohttp import web
from binance import AsyncClient, BinanceSocketManager
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from yarl import URL

from nexus_engine.sim.faults import Fault, Faults
from nexus_engine.sim.market import Market
from nexus_engine.sim.replay import Player, ReplayMarket, ReplayVenue
from nexus_engine.sim.server import Server
from nexus_engine.sim.streams import RECORDED_KINDS
from nexus_engine.sim.venue import Venue

KEY, SECRET = "k" * 64, "s" * 64
START_NS = 1_795_337_955_000_000_000
DEADLINE_S = 10.0
decode = msgspec.json.decode


class Hands:
    """A clock that the test winds."""

    def __init__(self, now_s: float = 6_000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


class Host:
    """`speed` 0 stands still until the test calls `advance`."""

    def __init__(
        self,
        venue: Venue,
        speed: float,
        faults: Faults,
        recorded: frozenset[str],
        public_key: Ed25519PublicKey | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.venue = venue
        self.stored = 0
        self._speed = speed
        self.server = Server(
            venue,
            api_key=KEY,
            api_secret=SECRET,
            drive=self._drive,
            store=self._store,
            faults=faults,
            recorded=recorded,
            clock=clock,
            public_key=public_key,
        )
        self.port = 0
        self.http: aiohttp.ClientSession

    @property
    def rest(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def _drive(self) -> None:
        if self._speed:
            self.venue.advance(int(self._speed * 100_000_000), time.time_ns())
        else:
            self.venue.settle(time.time_ns())

    def _store(self) -> None:
        self.stored += 1

    def advance_until(self, done: Callable[[], bool]) -> None:
        """Let market time run, as far as four hours, until something has happened."""
        for _ in range(4 * 3600):
            if done():
                return
            self.venue.advance(1_000_000_000, time.time_ns())
        raise AssertionError("four hours of market time were not enough")

    async def call(self, method: str, path: str, signed: bool = True, **params: Any) -> tuple[int, Any]:
        """A request as a plain client makes it; (status, body)."""
        if signed:
            params = {"timestamp": int(time.time() * 1000)} | params
        query = urlencode(params)
        if signed:
            query += "&signature=" + hmac.new(SECRET.encode(), query.encode(), "sha256").hexdigest()
        async with self.http.request(
            method, URL(f"{self.rest}{path}?{query}", encoded=True), headers={"X-MBX-APIKEY": KEY} if signed else {}
        ) as reply:
            return reply.status, await reply.json()

    async def ok(self, method: str, path: str, signed: bool = True, **params: Any) -> Any:
        status, body = await self.call(method, path, signed, **params)
        assert status == 200, body
        return body

    @contextlib.asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator["Ears"]:
        async with self.http.ws_connect(self.ws + path, compress=0) as socket:
            yield Ears(socket)

    @contextlib.asynccontextmanager
    async def user(self) -> AsyncIterator["Ears"]:
        key = (await self.ok("POST", "/fapi/v1/listenKey"))["listenKey"]
        async with self.stream(f"/private/ws?listenKey={key}") as ears:
            yield ears


class Ears:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def next(self, timeout_s: float = DEADLINE_S) -> Any:
        async with asyncio.timeout(timeout_s):
            message = await self.socket.receive()
        assert message.type is aiohttp.WSMsgType.TEXT, message
        return decode(message.data)

    async def until(self, wanted: Callable[[Any], bool]) -> Any:
        async with asyncio.timeout(DEADLINE_S):
            while not wanted(message := await self.next()):
                pass
        return message

    async def ask(self, method: str, *streams: str) -> Any:
        await self.socket.send_json({"method": method, "params": list(streams), "id": 1})
        return await self.until(lambda message: "id" in message)

    async def silent(self, for_s: float) -> bool:
        try:
            message = await self.next(for_s)
        except TimeoutError:
            return True
        raise AssertionError(f"expected silence, heard {message}")

    async def closed(self) -> int | None:
        """Wait for the end of the socket; its close code."""
        async with asyncio.timeout(DEADLINE_S):
            async for _ in self.socket:
                pass
        return self.socket.close_code


@contextlib.asynccontextmanager
async def host(
    *,
    speed: float = 1.0,
    scenario: str = "calm",
    faults: list[Fault] | None = None,
    replay: ReplayMarket | None = None,
    replay_speed: float = float("inf"),
    clock: Callable[[], float] = time.monotonic,
    public_key: Ed25519PublicKey | None = None,
) -> AsyncIterator[Host]:
    venue = ReplayVenue(replay) if replay else Venue(Market(seed=7, scenario=scenario, start_ns=START_NS))
    recorded = RECORDED_KINDS if replay else frozenset()
    running = Host(venue, 0 if replay else speed, Faults(faults or (), clock), recorded, public_key, clock)
    runner = web.AppRunner(running.server.app(), access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    running.port = runner.addresses[0][1]
    tasks = [asyncio.create_task(running.server.run_clock())]
    if replay:
        tasks.append(asyncio.create_task(Player(replay, running.server.hub, replay_speed).run()))
    async with aiohttp.ClientSession() as running.http:
        try:
            yield running
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            running.server.hub.close_all()
            await runner.cleanup()
            failed = [e for e in ended if isinstance(e, Exception)]
            assert not failed, failed


@contextlib.asynccontextmanager
async def python_binance(running: Host) -> AsyncIterator[tuple[AsyncClient, BinanceSocketManager]]:
    class Client(AsyncClient):
        API_URL = running.rest + "/api"
        FUTURES_URL = running.rest + "/fapi"

    class Sockets(BinanceSocketManager):
        STREAM_URL = running.ws + "/"
        FSTREAM_URL = running.ws + "/"

    client = Client(KEY, SECRET)
    try:
        yield client, Sockets(client)
    finally:
        await client.close_connection()
