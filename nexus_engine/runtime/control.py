"""The control socket of an account: JSON lines, one answer per line, for this user alone.

{"op": "status"} · {"op": "view", "request": {…}, "by": …} · {"op": "send", "command": {"type": …}, "by": …} ·
{"op": "halt", "by": …} · {"op": "release", "latch": …, "word": …, "by": …} · {"op": "stop", "how": …, "by": …}.
An answer is {"status": …}, {"view": …}, {"ok": true} or {"error": "one line"}.

`by` is who asks; `you`, or nothing, is the system's user. Whoever reaches the socket is that user already: a name keeps
people who share a login apart, and slips from happening; it does not keep out who wants to be somebody else.
"""

import asyncio
import logging
import os
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Protocol

import msgspec
from msgspec.structs import replace

from nexus_engine.model.commands import AnyCommand, Halt, Release
from nexus_engine.model.view import StressView, View, ViewRequest
from nexus_engine.model.words import AccountKind, Latch
from nexus_engine.runtime.options import StartError

log = logging.getLogger(__name__)

_LINE_BYTES: Final = 64 * 1024
_BUFFER_BYTES: Final = 1 << 20
_LINKS: Final = 16
_ANSWER_S: Final = 2.0
_HALT_S: Final = 0.8
VIEW_S: Final = 0.1
"""At most one View per link in this time."""


Name = Annotated[str, msgspec.Meta(max_length=64)]


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """One line for a status bar. Money in quote currency; the counts are of positions and orders."""

    account: str
    kind: AccountKind
    pid: int
    progress: str
    problem: str
    mode: str = ""
    state: str = ""
    sentinel: str = ""
    equity: float = 0.0
    day_pnl: float = 0.0
    positions: int = 0
    naked: int = 0
    unknown: int = 0
    foreign: int = 0
    proposals: int = 0
    blocked: str = ""
    """Why no entry may leave now; empty when one may."""
    health: dict[str, float] = {}
    """What the machine and its venue count, by name."""
    stress: StressView = StressView()
    """What is at stake."""


def shown(status: Status, view: View) -> Status:
    """The same with what a picture shows."""
    account = view.account
    return replace(
        status,
        problem=view.problem,
        mode=account.mode,
        state=account.state,
        sentinel=view.sentinel,
        equity=account.equity,
        day_pnl=account.day_pnl,
        positions=len(view.positions),
        naked=sum(position.naked_ms is not None for position in view.positions),
        unknown=view.unknown_orders,
        foreign=len(view.foreign),
        proposals=len(view.proposals),
        blocked=account.blocked,
        health={reading.name: round(reading.value, 1) for reading in view.health},
        stress=view.stress,
    )


class _Status(msgspec.Struct, frozen=True, tag_field="op", tag="status"):
    pass


class _View(msgspec.Struct, frozen=True, tag_field="op", tag="view"):
    request: ViewRequest = ViewRequest()
    by: Name = "you"


class _Send(msgspec.Struct, frozen=True, tag_field="op", tag="send"):
    command: AnyCommand
    by: Name = "you"


class _Halt(msgspec.Struct, frozen=True, tag_field="op", tag="halt"):
    by: Name = "nexus kill"


class _Release(msgspec.Struct, frozen=True, tag_field="op", tag="release"):
    latch: Latch
    word: str
    by: Name = "you"


class _Stop(msgspec.Struct, frozen=True, tag_field="op", tag="stop"):
    how: Literal["quit", "flatten"] = "quit"
    by: Name = "you"


_Request = _Status | _View | _Send | _Halt | _Release | _Stop
_decoder: Final[msgspec.json.Decoder[_Request]] = msgspec.json.Decoder(_Request)
_encoder: Final = msgspec.json.Encoder()


class Served(Protocol):
    """The account behind the socket. All of it is called on the engine's loop."""

    def status(self) -> Status: ...

    async def view(self, request: ViewRequest, *, by: str) -> View | None: ...

    def command(self, command: AnyCommand, *, by: str, surface: str) -> str:
        """Returns why it is not taken; empty when it is."""

    async def recorded(self, within_s: float) -> bool: ...

    def stop(self, how: str, *, by: str) -> str:
        """Returns why not; empty when it leaves."""


class ControlServer:
    """Listens at `path`, mode 0600. A slow, dead or garbled client costs itself its link and nobody else anything."""

    def __init__(self, served: Served, path: Path) -> None:
        self._served = served
        self._path = path
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.StreamWriter] = set()
        self._answers: Final[dict[type, Callable[[Any], Awaitable[dict[str, Any]]]]] = {
            _Status: self._status,
            _View: self._view,
            _Send: self._send,
            _Halt: self._halt,
            _Release: self._release,
            _Stop: self._stop,
        }

    async def start(self) -> None:
        """Begin to listen. Raises StartError. A socket left by a dead process is ours to replace: we hold the lock."""
        try:
            self._path.unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(os.fspath(self._path))
            # Nobody can connect before listen(), so there is no moment at which others may.
            self._path.chmod(0o600)
            self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=_LINE_BYTES)
        except OSError as error:
            raise StartError(f"{self._path}: no control socket ({error.strerror})") from error

    async def close(self) -> None:
        """Hang up on everybody."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)
        for writer in self._links:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.set_write_buffer_limits(high=_BUFFER_BYTES)
        if _peer_uid(writer) != os.getuid() or len(self._links) >= _LINKS:
            writer.transport.abort()
            return
        self._links.add(writer)
        next_view_s = 0.0
        try:
            while line := await reader.readline():
                try:
                    request = _decoder.decode(line)
                except msgspec.DecodeError as error:
                    answer: dict[str, Any] = {"error": str(error)}
                else:
                    if isinstance(request, _View):
                        await asyncio.sleep(max(0.0, next_view_s - time.monotonic()))
                        next_view_s = time.monotonic() + VIEW_S
                    answer = await self._answer(request)
                writer.write(_encoder.encode(answer) + b"\n")
                async with asyncio.timeout(_ANSWER_S):
                    await writer.drain()
        except ValueError:
            writer.write(b'{"error":"a line is at most 64 KiB"}\n')
        except (OSError, TimeoutError):
            writer.transport.abort()  # it went, or it does not read what it asked for: nothing is kept for it
        finally:
            self._links.discard(writer)
            writer.close()

    async def _answer(self, request: Any) -> dict[str, Any]:
        try:
            return await self._answers[type(request)](request)
        # Supervision boundary: who asks is told, on the link that they have.
        except Exception as error:
            log.exception("a request was not answered")
            return {"error": f"not answered: {type(error).__name__}; see the log"}

    async def _status(self, request: _Status) -> dict[str, Any]:
        return {"status": self._served.status()}

    async def _view(self, request: _View) -> dict[str, Any]:
        view = await self._served.view(request.request, by=request.by)
        return {"view": view} if view is not None else {"error": self._served.status().progress or "no view yet"}

    async def _send(self, request: _Send) -> dict[str, Any]:
        return self._command(request.command, request.by)

    async def _halt(self, request: _Halt) -> dict[str, Any]:
        answer = self._command(Halt(reason=f"asked by {request.by}"), request.by)
        if "ok" in answer and not await self._served.recorded(_HALT_S):
            answer["warning"] = "the journal has not recorded it"
        return answer

    async def _release(self, request: _Release) -> dict[str, Any]:
        return self._command(Release(latch=request.latch, word=request.word), request.by)

    async def _stop(self, request: _Stop) -> dict[str, Any]:
        refusal = self._served.stop(request.how, by=request.by)
        return {"error": refusal} if refusal else {"ok": True}

    def _command(self, command: AnyCommand, by: str) -> dict[str, Any]:
        refusal = self._served.command(command, by=by, surface="socket")
        return {"error": refusal} if refusal else {"ok": True}


def _peer_uid(writer: asyncio.StreamWriter) -> int:
    peer: socket.socket = writer.get_extra_info("socket")
    _pid, uid, _gid = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)
