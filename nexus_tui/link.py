"""The one seam to an engine: pull a View, send a Command; in-process or over the control socket."""

import socket
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

import msgspec

from nexus_engine.model.commands import AnyCommand
from nexus_engine.model.view import View, ViewRequest

_DEADLINE_S: Final = 5.0
_COMMANDS: Final = 64


class Link(Protocol):
    """What the cockpit knows of an engine. No method blocks."""

    @property
    def alive(self) -> bool:
        """False when no engine will ever answer again."""

    def pull(self, request: ViewRequest) -> View | None:
        """The newest View, None before the first; asks for a fresh one of what is on the screen."""

    def send(self, command: AnyCommand) -> None: ...

    def progress(self) -> str:
        """What start-up is doing, or why it failed; empty when all is well."""

    def close(self) -> None: ...


class Host(Protocol):
    """What the link needs of nexus_engine.runtime.Runtime."""

    @property
    def progress(self) -> str: ...

    @property
    def failed(self) -> str: ...

    def pull(self, request: ViewRequest) -> View | None: ...

    def send(self, command: AnyCommand, by: str = "you", surface: str = "cockpit") -> None: ...


class LocalLink:
    """The engine of this process."""

    def __init__(self, runtime: Host) -> None:
        self._runtime = runtime

    @property
    def alive(self) -> bool:
        return not self._runtime.failed

    def pull(self, request: ViewRequest) -> View | None:
        return self._runtime.pull(request)

    def send(self, command: AnyCommand) -> None:
        self._runtime.send(command)

    def progress(self) -> str:
        return self._runtime.failed or self._runtime.progress

    def close(self) -> None:
        """The runtime's life is its owner's business."""


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    op: str
    request: ViewRequest | None = None
    command: AnyCommand | None = None
    by: str | None = None


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    view: View | None = None
    ok: bool = False
    error: str = ""


class SocketLink:
    """The engine of another process, over its control socket: JSON lines, one answer a line, in order.

    A thread asks and reads, so that a slow engine never blocks the screen. When the socket ends, `alive` is False
    for good. Raises OSError when nobody listens at `path`.
    """

    def __init__(self, path: Path, *, by: str = "you") -> None:
        self._by = by
        self._view: View | None = None
        self._said = ""
        self._open = True
        self._commands: deque[AnyCommand] = deque(maxlen=_COMMANDS)
        self._request: ViewRequest | None = None
        self._wake = threading.Condition()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_DEADLINE_S)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        self._thread = threading.Thread(target=self._run, name="nexus-link", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._open

    def pull(self, request: ViewRequest) -> View | None:
        with self._wake:
            self._request = request
            self._wake.notify()
        return self._view

    def send(self, command: AnyCommand) -> None:
        with self._wake:
            self._commands.append(command)
            self._wake.notify()

    def progress(self) -> str:
        return self._said

    def close(self) -> None:
        with self._wake:
            self._open = False
            self._wake.notify()
        with suppress(OSError):  # the other end may have gone first
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(_DEADLINE_S)
        self._socket.close()

    def _next(self) -> _Asked | None:
        with self._wake:
            while self._open and not self._commands and self._request is None:
                self._wake.wait()
            if self._commands:
                return _Asked(op="send", command=self._commands.popleft(), by=self._by)
            if not self._open:
                return None
            request, self._request = self._request, None
            return _Asked(op="view", request=request)

    def _run(self) -> None:
        encode = msgspec.json.Encoder().encode
        decode = msgspec.json.Decoder(_Answer).decode
        try:
            with self._socket.makefile("rb") as lines:
                while (asked := self._next()) is not None:
                    self._socket.sendall(encode(asked) + b"\n")
                    line = lines.readline()
                    if not line:
                        self._said = "the engine has ended"
                        return
                    answer = decode(line)
                    self._said = answer.error
                    if answer.view is not None:
                        self._view = answer.view
        except ConnectionError:
            self._said = "the engine has ended"
        except OSError as error:
            self._said = f"the engine does not answer ({error.strerror or error})"
        except msgspec.MsgspecError:
            self._said = "the engine speaks another version: use the nexus that started it"
        finally:
            self._open = False
