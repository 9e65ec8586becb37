"""Both ends of the seam: an engine in this process, and one behind a real socket."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from tui_views import view

from nexus_engine.model.commands import AnyCommand, Approve, Halt
from nexus_engine.model.view import View, ViewRequest
from nexus_tui.link import LocalLink, SocketLink

REQUEST = ViewRequest(books=("SOLUSDT",), depth=12)


class Engine:
    """Answers the control socket's lines: what the runtime says, in the words of its protocol."""

    def __init__(self, path: Path) -> None:
        self.asked: list[dict[str, object]] = []
        self.refuses = ""
        self.silent = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self.connection: socket.socket | None = None

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed under it
            self.connection, _ = self._listener.accept()
            self._answer(self.connection)

    def _answer(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as lines:
            for line in lines:
                asked = msgspec.json.decode(line)
                self.asked.append(asked)
                if self.silent.is_set():
                    continue
                if asked["op"] == "view":
                    self._say({"view": view(seq=len(self.asked))})
                else:
                    self._say({"error": self.refuses} if self.refuses else {"ok": True})

    def _say(self, answer: dict[str, object]) -> None:
        assert self.connection is not None
        self.connection.sendall(msgspec.json.encode(answer) + b"\n")

    def close(self) -> None:
        if self.connection is not None:
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
            self.connection.close()
        self._listener.close()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = Engine(tmp_path / "socket")
    yield made
    made.close()


@pytest.fixture
def link(engine: Engine, tmp_path: Path) -> Iterator[SocketLink]:
    made = SocketLink(tmp_path / "socket", by="ann")
    yield made
    made.close()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_a_picture_comes_over_the_socket_as_it_left(link: SocketLink, engine: Engine) -> None:
    until(lambda: link.pull(REQUEST) is not None)
    got = link.pull(REQUEST)
    assert got is not None
    assert msgspec.structs.replace(got, seq=1) == view()
    assert msgspec.convert(engine.asked[0]["request"], ViewRequest) == REQUEST


def test_a_command_comes_over_with_who_gave_it(link: SocketLink, engine: Engine) -> None:
    link.send(Approve(proposal=41, shown="abc"))
    link.send(Halt(reason="key"))
    until(lambda: len(engine.asked) == 2)
    assert [asked["by"] for asked in engine.asked] == ["ann", "ann"]
    assert [msgspec.convert(asked["command"], AnyCommand) for asked in engine.asked] == [
        Approve(proposal=41, shown="abc"),
        Halt(reason="key"),
    ]


def test_a_slow_engine_never_blocks_the_screen(link: SocketLink, engine: Engine) -> None:
    engine.silent.set()
    began = time.monotonic()
    for _ in range(100):
        link.pull(REQUEST)
        link.send(Halt())
    assert time.monotonic() - began < 0.5


def test_a_refusal_is_told(link: SocketLink, engine: Engine) -> None:
    engine.refuses = "read-only"
    link.send(Halt())
    until(lambda: link.progress() == "read-only")
    assert link.alive


def test_an_engine_that_ends_is_not_alive(link: SocketLink, engine: Engine) -> None:
    until(lambda: link.pull(REQUEST) is not None)
    engine.close()
    link.pull(REQUEST)
    until(lambda: not link.alive)
    assert link.progress()


def test_nobody_listening_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        SocketLink(tmp_path / "none")


class Runtime:
    """The part of a runtime that a link uses."""

    progress = "demo venue starting…"
    failed = ""

    def __init__(self) -> None:
        self.sent: list[tuple[AnyCommand, str, str]] = []

    def pull(self, request: ViewRequest) -> View | None:
        return None

    def send(self, command: AnyCommand, by: str = "you", surface: str = "cockpit") -> None:
        self.sent.append((command, by, surface))


def test_the_local_link_speaks_for_the_person_at_the_cockpit() -> None:
    runtime = Runtime()
    link = LocalLink(runtime)
    assert link.alive
    assert link.progress() == "demo venue starting…"
    link.send(Halt())
    assert runtime.sent == [(Halt(), "you", "cockpit")]
    runtime.failed = "the port is taken"
    assert not link.alive
    assert link.progress() == "the port is taken"
