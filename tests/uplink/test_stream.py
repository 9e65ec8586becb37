"""One socket, and everything that can be wrong with what comes out of it."""

import asyncio
import base64
import contextlib
import hashlib
import random
import time
from collections.abc import AsyncIterator

import msgspec
import pytest
from scripted import RealClock, Scripted, scripted

from nexus_engine.uplink import stream as streams
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

    async def until_opened(self, count: int) -> None:
        async with asyncio.timeout(10):
            while self.said.count("opened") < count:
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
    assert set(listener.said) == {"no connection (connection refused)"}


async def test_cancelling_is_prompt_even_when_the_other_side_never_answers_the_close() -> None:
    async with raw() as (venue, _):
        listener = Listener(venue)
        task = asyncio.create_task(listener.stream.run())
        await listener.says("opened")
        began = time.monotonic()
        task.cancel()
        await asyncio.wait((task,))
        assert time.monotonic() - began < 1.0


async def test_another_side_that_answers_no_ping_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.1)
    async with raw() as (venue, _):
        listener = Listener(venue)
        task = asyncio.create_task(listener.stream.run())
        await listener.says("closed by the venue (1006)")
        task.cancel()
        await asyncio.wait((task,))


TEXT, MORE, BINARY, PING = 0x1, 0x0, 0x2, 0x9


def frame(kind: int, body: bytes, last: bool = True, rsv: int = 0) -> bytes:
    """RFC 6455, section 5.2, as a server sends it."""
    size, wide = len(body), 0 if len(body) < 126 else 2 if len(body) < 1 << 16 else 8
    length = {0: b"", 2: b"\x7e", 8: b"\x7f"}[wide] + size.to_bytes(wide or 1)
    return bytes([last << 7 | rsv << 4 | kind]) + length + body


@pytest.mark.parametrize("piece", [1, 3, 10_000])
async def test_messages_in_parts_are_joined_however_they_are_cut(piece: int) -> None:
    parts = [
        frame(TEXT, b'{"n":', last=False), frame(PING, b"still there?"), frame(MORE, b"", last=False),
        frame(MORE, b"1}"),
        frame(BINARY, b"no", last=False), frame(MORE, b"pe"),
        frame(TEXT, b'{"n":"' + b"9" * FRAME_BYTES, last=False), frame(MORE, b'"}'),
        frame(TEXT, b'{"n":2}'),
    ]  # fmt: skip
    wire = b"".join(parts)
    async with raw() as (venue, writers):
        listener = Listener(venue)
        task = asyncio.create_task(listener.stream.run())
        await listener.says("opened")
        for start in range(0, 60, piece):
            writers[0].write(wire[start : min(start + piece, 60)])
            await writers[0].drain()
            await asyncio.sleep(0)
        writers[0].write(wire[60:])
        await listener.until(2)
        assert listener.heard == [1, 2] and listener.stream.skipped == 2
        task.cancel()
        await asyncio.wait((task,))


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (frame(TEXT, b'{"n":1}', rsv=4), 1002),
        (frame(MORE, b'{"n":1}'), 1002),
        (frame(TEXT, b"{", last=False) + frame(TEXT, b'{"n":1}'), 1002),
        (frame(3, b""), 1002),
        (b"\x81\x7f" + (1 << 40).to_bytes(8), 1009),
        (frame(TEXT, b"{", last=False) + frame(MORE, b"x" * (9 << 20), last=False) * 2, 1009),
        (frame(8, b""), 1006),
        (frame(8, (4001).to_bytes(2) + b"bye"), 4001),
    ],
)
async def test_what_is_no_web_socket_ends_the_connection_with_its_code(wire: bytes, code: int) -> None:
    async with raw() as (venue, writers):
        listener = Listener(venue)
        task = asyncio.create_task(listener.stream.run())
        await listener.says("opened")
        writers[0].write(wire)
        await listener.says(f"closed by the venue ({code})")
        assert listener.heard == []
        await listener.until_opened(2)
        task.cancel()
        await asyncio.wait((task,))


async def test_nothing_is_heard_of_a_connection_after_its_handler_gave_it_up() -> None:
    async with raw() as (venue, writers):
        listener = Listener(venue)
        task = asyncio.create_task(listener.stream.run())
        await listener.says("opened")
        writers[0].write(frame(TEXT, b'"stop"') + frame(TEXT, b'{"n":1}'))
        await listener.says("told to stop")
        await listener.until_opened(2)
        assert listener.heard == []
        task.cancel()
        await asyncio.wait((task,))


async def test_what_the_venue_said_before_it_hung_up_is_heard_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "SLICE_NS", 0)
    async with raw() as (venue, writers):
        listener = Listener(venue)
        task = asyncio.create_task(listener.stream.run())
        await listener.says("opened")
        texts = (frame(TEXT, b'{"n":%d}' % number) for number in range(300))
        writers[0].write(b"".join(texts) + frame(8, (4001).to_bytes(2)))
        await listener.says("closed by the venue (4001)")
        assert listener.heard == list(range(300))
        task.cancel()
        await asyncio.wait((task,))


async def test_a_fault_of_the_listener_is_nobodys_to_hide(venue: Scripted) -> None:
    def broken(data: bytes, at_ns: int, mono_ns: int) -> None:
        raise KeyError("a bug")

    listener = Listener(venue)
    listener.stream._frame = broken
    task = asyncio.create_task(listener.stream.run())
    await venue.until(lambda: bool(venue.sockets))
    await venue.say('{"n":1}')
    with pytest.raises(KeyError, match="a bug"):
        async with asyncio.timeout(10):
            await task


@contextlib.asynccontextmanager
async def raw() -> AsyncIterator[tuple[Scripted, list[asyncio.StreamWriter]]]:
    """A venue that greets as a web socket does, and then neither reads nor says anything by itself."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = next(line.split(": ")[1] for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key"))
        accept = base64.b64encode(
            hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode(), usedforsecurity=False).digest()
        ).decode()
        writer.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        writers.append(writer)
        await gone.wait()
        writer.close()

    gone = asyncio.Event()
    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    venue = Scripted()
    venue.port = server.sockets[0].getsockname()[1]
    try:
        yield venue, writers
    finally:
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
