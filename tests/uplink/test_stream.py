"""One socket, and everything that can be wrong with what comes out of it."""

import asyncio
import base64
import hashlib
import random
import time
from collections.abc import AsyncIterator

import msgspec
import pytest
from scripted import RealClock, Scripted, scripted

from nexus_engine.uplink.stream import FRAME_BYTES, LONGEST_S, Backoff, Stream, StreamDown


class Number(msgspec.Struct):
    """As the feeds' own messages: fields that are not named are skipped."""

    n: int


decode = msgspec.json.Decoder(Number).decode


class Listener:
    """A stream of numbers, and what it said."""

    def __init__(self, venue: Scripted, stale_s: float | None = None) -> None:
        self.venue = venue
        self.heard: list[int] = []
        self.said: list[str] = []
        self.stream = Stream(
            url=self.url,
            frame=self.frame,
            opened=lambda: self.tell("opened"),
            up=lambda: self.tell("up"),
            down=self.tell,
            clock=RealClock(),
            rng=random.Random(1),
            stale_s=stale_s,
        )
        self.changed = asyncio.Event()

    async def url(self) -> str:
        return f"{self.venue.ws_url}/numbers?secret=hush"

    def frame(self, data: bytes, at_ns: int, mono_ns: int) -> None:
        number = decode(data).n if data != b'"stop"' else -1
        if number < 0:
            raise StreamDown("told to stop")
        self.heard.append(number)
        self.changed.set()

    def tell(self, text: str) -> None:
        self.said.append(text)
        self.changed.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.heard) < count:
                self.changed.clear()
                await self.changed.wait()

    async def says(self, text: str) -> None:
        async with asyncio.timeout(10):
            while not any(text in said for said in self.said):
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
async def venue() -> AsyncIterator[Scripted]:
    async with scripted() as venue:
        yield venue


@pytest.fixture
async def listener(venue: Scripted) -> AsyncIterator[Listener]:
    listener = Listener(venue)
    task = asyncio.create_task(listener.stream.run())
    await venue.until(lambda: bool(venue.sockets))
    yield listener
    task.cancel()
    await asyncio.wait((task,))
    assert task.cancelled()


async def test_what_cannot_be_used_is_counted_and_skipped_and_the_stream_lives(
    venue: Scripted, listener: Listener
) -> None:
    await venue.say('{"n":1}')
    await venue.say("{", "[]", '{"n":"x"}', '{"n":NaN}', "", b"\x00\xff", "x" * (FRAME_BYTES + 1))
    await venue.say('{"more":' + "[" * 100_000)
    await venue.say('{"n":2}')
    await listener.until(2)
    assert listener.heard == [1, 2]
    assert (listener.stream.received, listener.stream.skipped) == (2, 8)
    assert (venue.connections, listener.said) == (1, ["opened", "up"])


async def test_a_closed_connection_is_opened_again_and_again(venue: Scripted, listener: Listener) -> None:
    for code in (1000, 1001, 1008):
        await venue.say(f'{{"n":{code}}}')
        await listener.until(1)
        listener.heard.clear()
        before = venue.connections
        await venue.sockets[0].close(code=code)
        await listener.says(f"closed by the venue ({code})")
        await venue.until(lambda before=before: venue.connections > before and bool(venue.sockets))
    assert listener.said.count("up") == 3


async def test_a_handler_can_have_the_connection_opened_anew(venue: Scripted, listener: Listener) -> None:
    await venue.say('"stop"')
    await listener.says("told to stop")
    await venue.until(lambda: venue.connections == 2)


async def test_a_restart_asked_for_twice_is_one_restart(venue: Scripted, listener: Listener) -> None:
    await venue.say('{"n":1}')
    await listener.until(1)
    listener.stream.restart("new key")
    listener.stream.restart("newer key")
    await venue.until(lambda: venue.connections == 2)
    assert [said for said in listener.said if "key" in said] == ["new key"]


async def test_silence_on_an_open_connection_is_noticed_and_ends_it(venue: Scripted) -> None:
    listener = Listener(venue, stale_s=0.3)
    task = asyncio.create_task(listener.stream.run())
    await venue.until(lambda: bool(venue.sockets))
    began = time.monotonic()
    while time.monotonic() - began < 0.6:
        await venue.say('{"n":1}')
        await asyncio.sleep(0.05)
    assert venue.connections == 1
    began = time.monotonic()
    await listener.says("silent for 0.3 s")
    assert time.monotonic() - began < 0.5
    task.cancel()
    await asyncio.wait((task,))


async def test_garbage_alone_is_silence(venue: Scripted) -> None:
    listener = Listener(venue, stale_s=0.2)
    task = asyncio.create_task(listener.stream.run())
    async with asyncio.timeout(5):
        while not any("silent" in said for said in listener.said):
            await venue.say("{")
            await asyncio.sleep(0.02)
    assert "up" not in listener.said
    task.cancel()
    await asyncio.wait((task,))


async def test_a_venue_that_is_not_there_is_tried_without_end_and_without_naming_the_address(venue: Scripted) -> None:
    listener = Listener(venue)
    venue.port = 1
    task = asyncio.create_task(listener.stream.run())
    async with asyncio.timeout(5):
        while len(listener.said) < 3:
            listener.changed.clear()
            await listener.changed.wait()
    task.cancel()
    await asyncio.wait((task,))
    assert set(listener.said) == {"connection lost (ClientConnectorError)"}


async def test_cancelling_is_prompt_even_when_the_other_side_never_answers_the_close() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = next(line.split(": ")[1] for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key"))
        accept = base64.b64encode(
            hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode(), usedforsecurity=False).digest()
        ).decode()
        writer.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        await gone.wait()
        writer.close()

    gone = asyncio.Event()
    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    venue = Scripted()
    venue.port = server.sockets[0].getsockname()[1]
    listener = Listener(venue)
    task = asyncio.create_task(listener.stream.run())
    await listener.says("opened")
    began = time.monotonic()
    task.cancel()
    await asyncio.wait((task,))
    assert time.monotonic() - began < 1.0
    gone.set()
    server.close()
    await server.wait_closed()


def test_waits_double_up_to_a_quarter_of_a_minute_and_jitter() -> None:
    backoff = Backoff(random.Random(3))
    waits = [backoff.next_s() for _ in range(12)]
    assert 0.1 <= waits[0] <= 0.2
    assert max(waits) <= LONGEST_S and min(waits[-3:]) >= LONGEST_S / 2
    assert len(set(waits)) == len(waits)
    backoff.reset()
    assert backoff.next_s() <= 0.2
