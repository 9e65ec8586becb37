"""Both ends of the seam: an engine in this process, and one behind a real socket."""

import contextlib
import gc
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from tui_views import view

from nexus_engine.model.commands import AnyCommand, Approve, Halt, Reject
from nexus_engine.model.paths import latch_path, socket_path
from nexus_engine.model.view import View, ViewRequest
from nexus_tui.link import LocalLink, SocketLink

REQUEST = ViewRequest(books=("SOLUSDT",), depth=12)


class Engine:
    """Answers the control socket's lines: what the runtime says, in the words of its protocol."""

    def __init__(self, path: Path) -> None:
        self.asked: list[dict[str, object]] = []
        self.refuses = ""
        self.silent = threading.Event()
        self.slow_s = 0.0
        self._closed = threading.Event()
        self._connections: list[socket.socket] = []
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed under it
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection.makefile("rb") as lines:
            for line in lines:
                asked = msgspec.json.decode(line)
                self.asked.append(asked)
                if self.silent.is_set():
                    continue
                self._closed.wait(self.slow_s)
                if asked["op"] == "view":
                    self._say(connection, {"view": view(seq=len(self.asked))})
                else:
                    self._say(connection, {"error": self.refuses} if self.refuses else {"ok": True})

    def _say(self, connection: socket.socket, answer: dict[str, object]) -> None:
        connection.sendall(msgspec.json.encode(answer) + b"\n")

    def close(self) -> None:
        """End as a process does: every socket at once."""
        for each in (self._listener, *self._connections):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._thread.join(5)


class Cycle:
    """Something that only a look for garbage frees."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = Engine(socket_path(tmp_path))
    yield made
    made.close()


@pytest.fixture
def link(engine: Engine, tmp_path: Path) -> Iterator[SocketLink]:
    made = SocketLink(tmp_path, by="ann")
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
    until(lambda: len(engine.asked) == 1)
    link.send(Halt(reason="key"))
    until(lambda: len(engine.asked) == 2)
    assert [asked["by"] for asked in engine.asked] == ["ann", "ann"]
    assert msgspec.convert(engine.asked[0]["command"], AnyCommand) == Approve(proposal=41, shown="abc")
    assert engine.asked[1]["op"] == "halt"


def test_a_slow_engine_never_blocks_the_screen(link: SocketLink, engine: Engine) -> None:
    engine.silent.set()
    began = time.monotonic()
    for _ in range(100):
        link.pull(REQUEST)
        link.send(Halt())
    assert time.monotonic() - began < 0.5


def test_a_refusal_is_told(link: SocketLink, engine: Engine) -> None:
    engine.refuses = "read-only"
    link.send(Reject(proposal=41))
    heard: list[str] = []
    until(lambda: bool(heard.append(link.heard()) or heard[-1]))
    assert heard[-1] == "not taken: read-only"
    assert link.alive
    link.send(Halt())
    until(lambda: link.heard() == "HALT: refused: read-only")


def test_an_engine_that_ends_is_not_alive(link: SocketLink, engine: Engine) -> None:
    until(lambda: link.pull(REQUEST) is not None)
    engine.close()
    link.pull(REQUEST)
    until(lambda: not link.alive)
    assert link.progress()


def test_an_engine_that_comes_back_is_found_again_and_is_not_sent_what_was_meant_for_the_other(
    link: SocketLink, engine: Engine, tmp_path: Path
) -> None:
    engine.silent.set()
    link.pull(REQUEST)
    until(lambda: len(engine.asked) == 1)
    link.send(Approve(proposal=41, shown="abc"))  # waits behind the picture that never comes
    engine.close()
    until(lambda: not link.alive)
    began = time.monotonic()
    second = Engine(socket_path(tmp_path))
    try:
        link.pull(REQUEST)
        until(lambda: link.pull(REQUEST) is not None and link.alive)
        assert time.monotonic() - began < 2.0
        assert {asked["op"] for asked in second.asked} == {"view"}
    finally:
        second.close()


def test_a_command_that_nobody_answered_is_told_as_one_to_look_after(link: SocketLink, engine: Engine) -> None:
    engine.silent.set()
    link.send(Approve(proposal=41, shown="abc"))
    until(lambda: len(engine.asked) == 1)
    link.send(Reject(proposal=40))  # waits behind it
    engine.close()
    heard: list[str] = []
    until(lambda: bool(heard.append(link.heard()) or heard[-1]))
    assert heard[-1] == "2 not answered: look before you send it again"


def test_an_engine_that_only_stood_still_is_shown_again(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexus_tui.link._DEADLINE_S", 0.2)
    link = SocketLink(tmp_path)
    try:
        engine.silent.set()
        link.pull(REQUEST)
        until(lambda: "does not answer" in link.progress())
        engine.silent.clear()
        until(lambda: link.pull(REQUEST) is not None)
        assert link.alive
    finally:
        link.close()


def test_a_halt_without_an_answer_leaves_the_latch_of_nexus_kill_and_says_so(
    link: SocketLink, engine: Engine, tmp_path: Path
) -> None:
    engine.silent.set()
    link.pull(REQUEST)
    began = time.monotonic()
    link.send(Halt())
    until(latch_path(tmp_path).exists)
    assert time.monotonic() - began < 1.5
    heard: list[str] = []
    until(lambda: bool(heard.append(link.heard()) or heard[-1]))
    assert "latch left" in heard[-1]
    assert link.heard() == ""


def test_a_halt_pressed_just_before_the_end_still_arrives(engine: Engine, tmp_path: Path) -> None:
    engine.close()
    with pytest.raises(OSError):
        SocketLink(tmp_path)
    again = Engine(socket_path(tmp_path))
    link = SocketLink(tmp_path)
    again.silent.set()
    link.send(Halt())
    link.close()
    again.close()
    assert latch_path(tmp_path).exists()


def test_what_was_asked_for_last_still_goes_when_the_cockpit_closes(link: SocketLink, engine: Engine) -> None:
    engine.slow_s = 0.1
    link.pull(REQUEST)
    until(lambda: len(engine.asked) == 1)
    link.send(Reject(proposal=41))  # waits behind the picture
    link.close()
    until(lambda: [asked["op"] for asked in engine.asked] == ["view", "send"])


def test_closing_waits_half_a_second_for_an_engine_that_does_not_answer(link: SocketLink, engine: Engine) -> None:
    engine.silent.set()
    link.pull(REQUEST)
    until(lambda: len(engine.asked) == 1)
    link.send(Reject(proposal=41))
    began = time.monotonic()
    link.close()
    assert time.monotonic() - began < 1.5


def test_what_the_first_pictures_left_is_out_of_the_looks_for_garbage_until_the_link_is_closed(
    link: SocketLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexus_tui.link._SETTLED", 3)
    gc.unfreeze()
    made: list[object] = []
    until(lambda: link.pull(REQUEST) is not None and gc.get_freeze_count() > 0)
    assert all(each is not made for each in gc.get_objects())
    link.close()
    assert gc.get_freeze_count() == 0


def test_what_gathers_in_cycles_goes_though_python_does_not_look(
    link: SocketLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexus_tui.link._LOOK", 5)
    monkeypatch.setattr("nexus_tui.link._SETTLED", 0)
    until(lambda: link.pull(REQUEST) is not None)
    gc.disable()
    try:
        dialog = Cycle()
        gone = weakref.ref(dialog)
        del dialog
        assert gone() is not None
        until(lambda: link.pull(REQUEST) is not None and gone() is None)
    finally:
        gc.enable()


def test_nobody_listening_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        SocketLink(tmp_path)


class Runtime:
    """The part of a runtime that a link uses."""

    progress = "demo venue starting…"
    failed = ""
    asked = ""
    over = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sent: list[tuple[AnyCommand, str, str]] = []

    def pull(self, request: ViewRequest) -> View | None:
        return None

    def send(self, command: AnyCommand, by: str = "you", surface: str = "cockpit") -> None:
        self.sent.append((command, by, surface))


def test_the_local_link_speaks_for_the_person_at_the_cockpit(tmp_path: Path) -> None:
    runtime = Runtime(tmp_path)
    link = LocalLink(runtime)
    assert link.alive
    assert link.progress() == "demo venue starting…"
    link.send(Reject(proposal=41))
    assert runtime.sent == [(Reject(proposal=41), "you", "cockpit")]
    runtime.asked = "pullback"
    assert link.asked() == "pullback"
    runtime.failed = "the port is taken"
    assert not link.alive
    assert link.progress() == "the port is taken"


@pytest.mark.parametrize("over", [False, True])
def test_a_halt_for_an_engine_of_this_process_that_hangs_or_has_ended_leaves_the_latch(
    tmp_path: Path, over: bool
) -> None:
    runtime = Runtime(tmp_path)
    link = LocalLink(runtime, by="ann")
    runtime.over = over
    assert link.alive is not over
    link.send(Halt())
    link.close()
    assert not runtime.sent
    assert latch_path(tmp_path).exists()
    assert "latch left" in link.heard()
