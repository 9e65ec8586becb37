"""The venue's sockets: who listens to what, and how a message reaches them without one client holding up another.

A message is encoded and framed once for all its subscribers and written straight to their transports: a server frame
is not masked, so the bytes are the same for everybody, and a write to a transport never waits.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from nexus_engine.sim.faults import Faults, Struck
from nexus_engine.sim.mangle import mangled
from nexus_engine.sim.wire import Json

SLOW_BYTES = 1 << 20  # a client that has not read this much is cut off
POLICY_VIOLATION = 1008
GOING_AWAY = 1001
ABNORMAL = 1006  # never on the wire: the connection just ends
_ABORT_AFTER_S = 2.0
HELD_S = 1.0  # what waits for its stream's next message goes without one after this
_TEXT, _BINARY, _CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A
CATEGORIES = ("public", "market", "private")


def frame(payload: bytes, head: int = _TEXT) -> bytes:
    """A whole, unmasked WebSocket frame (RFC 6455, 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((head, size)) + payload
    if size < 1 << 16:
        return bytes((head, 126)) + size.to_bytes(2, "big") + payload
    return bytes((head, 127)) + size.to_bytes(8, "big") + payload


class Connection:
    """One socket. `category` is "" on the un-routed paths, where every stream is heard."""

    def __init__(self, transport: asyncio.Transport, category: str, combined: bool, now_s: float = 0.0) -> None:
        self.category = category
        self.combined = combined
        self.streams: set[str] = set()
        self.open = True
        self.born_s = self.heard_s = self.pinged_s = now_s
        self._transport = transport
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0

    def push(self, whole_frame: bytes) -> None:
        if self.open:
            self._waiting.append(whole_frame)
            self._waiting_bytes += len(whole_frame)
            if self._waiting_bytes > SLOW_BYTES:
                self.flush()  # a tick may bring more than memory holds

    def flush(self) -> None:
        """Write what was pushed; cut off a client that does not read."""
        if not self._waiting or not self.open:
            return
        data = b"".join(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        self._transport.write(data)
        if self.buffered > SLOW_BYTES:
            self.close(POLICY_VIOLATION)

    @property
    def buffered(self) -> int:
        return 0 if self._transport.is_closing() else self._transport.get_write_buffer_size()

    def close(self, code: int) -> None:
        if not self.open:
            return
        self.open = False
        self._waiting.clear()
        if code == ABNORMAL:
            self._transport.abort()
            return
        self._transport.write(frame(code.to_bytes(2, "big"), _CLOSE))
        asyncio.get_running_loop().call_later(_ABORT_AFTER_S, self._give_up)
        self._transport.close()

    def _give_up(self) -> None:
        """Whoever has not read the end by now does not get it."""
        if self._transport.get_write_buffer_size():
            self._transport.abort()


class Hub:
    """Fan-out. `home` tells the category a stream lives on, None for a name the venue does not know; `commit` does
    what a fault does to the venue itself when an event of the user's is the occasion."""

    def __init__(self, faults: Faults, home: Callable[[str], str | None], commit: Callable[[Struck], None]) -> None:
        self._faults = faults
        self._home = home
        self._commit = commit
        self._held: dict[str, bytes] = {}  # by stream: what goes out after its next message
        self.muted = False
        """Nothing is sent; the sockets stay and answer pings."""
        self._encode = msgspec.json.Encoder().encode
        self._connections: set[Connection] = set()
        self._heard: dict[str, set[Connection]] = {}
        self.listen_key = ""
        self.changed = asyncio.Event()
        """Set whenever somebody subscribes."""

    # -- who listens --------------------------------------------------------------------------------------------------

    def add(self, connection: Connection, streams: Iterable[str]) -> None:
        self._connections.add(connection)
        self.subscribe(connection, streams)

    def remove(self, connection: Connection) -> None:
        connection.open = False
        self._connections.discard(connection)
        self.unsubscribe(connection, tuple(connection.streams))

    def subscribe(self, connection: Connection, streams: Iterable[str]) -> None:
        """As on the venue, a stream asked for on the wrong path is accepted and stays mute."""
        for stream in streams:
            connection.streams.add(stream)
            if connection.category in {"", self.category(stream)}:
                self._heard.setdefault(stream, set()).add(connection)
        self.changed.set()

    def unsubscribe(self, connection: Connection, streams: Iterable[str]) -> None:
        for stream in streams:
            connection.streams.discard(stream)
            heard = self._heard.get(stream)
            if heard is not None:
                heard.discard(connection)
                if not heard:
                    del self._heard[stream]

    def category(self, stream: str) -> str | None:
        return "private" if self.listen_key and stream == self.listen_key else self._home(stream)

    def connections(self) -> tuple[Connection, ...]:
        return tuple(self._connections)

    def streams(self) -> tuple[str, ...]:
        """Streams that somebody hears now."""
        return tuple(self._heard)

    # -- messages -----------------------------------------------------------------------------------------------------

    def publish(self, stream: str, body: Json | list[Json], *, depth: bool = False) -> None:
        """Push a message to everybody who hears the stream; `flush` sends it."""
        if self._heard.get(stream) and not self._hit(stream, body, None, depth):
            self._push(stream, self._encode(body))

    def publish_raw(self, stream: str, raw: bytes, *, depth: bool = False) -> None:
        """The same with an encoded message."""
        if self._heard.get(stream) and not self._hit(stream, None, raw, depth):
            self._push(stream, raw)

    def user(self, body: Json) -> None:
        """Send a message to the account's own sockets, if no fault is in the way."""
        if self.muted or (struck := self._faults.strike("user", body)) is None:
            self.tell_user(body)
        else:
            self._spoil(self.listen_key, struck, body)
            self.flush()

    def tell_user(self, body: Json) -> None:
        """Send it whatever happens."""
        self._push(self.listen_key, self._encode(body))
        self.flush()

    def _hit(self, stream: str, body: Json | list[Json] | None, raw: bytes | None, depth: bool) -> bool:
        """Whether a fault took the message over."""
        on = f"stream /{self.category(stream)}"
        if self.muted or not self._faults.watches(on):
            return False
        body = msgspec.json.decode(raw) if raw is not None else body
        struck = self._faults.strike(on, body, depth=depth)
        if struck is not None:
            self._spoil(stream, struck, body)
        return struck is not None

    def _spoil(self, stream: str, struck: Struck, body: Any) -> None:
        fault, raw = struck.fault, self._encode(body)
        match fault.kind:
            case "mute" | "skip_depth":
                pass
            case "disconnect":
                self.close_all(fault.close_code, self.category(stream))
            case "expire_key":
                self._commit(struck)
            case "adl" | "liquidate":
                self._push(stream, raw)
                self._commit(struck)
            case "delay":
                asyncio.get_running_loop().call_later(fault.delay_ms / 1000, self._send_late, stream, raw)
            case "reorder":
                if stream in self._held:
                    self._push(stream, raw)  # it is the next message of the one before it
                else:
                    self._held[stream] = raw
                    asyncio.get_running_loop().call_later(HELD_S, self._let_go, stream, raw)
            case "duplicate":
                for _ in range(1 + fault.copies):
                    self._push(stream, raw)
            case "binary":
                self._push(stream, raw, _BINARY)
            case "oversized":
                self._push(stream, b'"' + b"x" * fault.size + b'"')
                self._push(stream, raw)
            case _:
                self._push(stream, mangled(fault, body))

    def _send_late(self, stream: str, raw: bytes) -> None:
        self._push(stream, raw)
        self.flush()

    def _let_go(self, stream: str, raw: bytes) -> None:
        if self._held.get(stream) is raw:
            self._send_late(stream, self._held.pop(stream))

    def _push(self, stream: str, raw: bytes, head: int = _TEXT) -> None:
        if self.muted:
            return
        plain = wrapped = b""
        for connection in self._heard.get(stream, ()):
            if connection.combined:
                wrapped = wrapped or frame(b'{"stream":' + self._encode(stream) + b',"data":' + raw + b"}", head)
                connection.push(wrapped)
            else:
                plain = plain or frame(raw, head)
                connection.push(plain)
        held = self._held.pop(stream, None)
        if held is not None:
            self._push(stream, held)

    def drop_listen_key(self) -> None:
        """Nothing more is heard on the key; its sockets stay open and mute, as on the venue."""
        self._heard.pop(self.listen_key, None)
        self._held.pop(self.listen_key, None)
        self.listen_key = ""

    def flush(self) -> None:
        for connection in self._connections:
            connection.flush()

    def most_buffered(self) -> int:
        """Bytes that the slowest client has not taken yet."""
        return max((connection.buffered for connection in self._connections if connection.open), default=0)

    def cut_off(self, limit_bytes: int) -> None:
        """Close the clients that have more than this unread."""
        for connection in self._connections:
            if connection.buffered > limit_bytes:
                connection.close(POLICY_VIOLATION)

    def close_all(self, code: int = GOING_AWAY, category: str | None = None) -> None:
        """Close every socket, or those that hear a category; one on an un-routed path hears them all."""
        for connection in self._connections:
            if category is None or connection.category in {"", category}:
                connection.close(code)
