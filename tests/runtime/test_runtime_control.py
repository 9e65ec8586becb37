"""The control socket, spoken to as a stranger would."""

import json
import os
import socket
import stat
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from runtime_help import wait_until

from nexus_engine.model.paths import socket_path
from nexus_engine.model.view import View
from nexus_engine.runtime import Runtime, account, client, control
from nexus_engine.runtime.client import NoAnswer


class Line:
    """A raw link."""

    def __init__(self, folder: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(5.0)
        self.socket.connect(str(socket_path(folder)))
        self.file = self.socket.makefile("rb")

    def say(self, line: bytes) -> dict[str, Any]:
        self.socket.sendall(line + b"\n")
        answer: dict[str, Any] = json.loads(self.file.readline())
        return answer

    def close(self) -> None:
        self.file.close()
        self.socket.close()


def ask(folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Wait for the answer as long as a busy machine may take: what blocks an engine here does so for ever."""
    return client.ask(folder, request, 10.0)


def state(folder: Path) -> str:
    return str(ask(folder, {"op": "status"})["status"]["state"])


def test_the_socket_is_the_owners_alone(folder: Path) -> None:
    assert stat.S_IMODE(socket_path(folder).stat().st_mode) == 0o600


def test_status_is_one_lines_worth(folder: Path) -> None:
    status = ask(folder, {"op": "status"})["status"]
    assert (status["account"], status["kind"], status["pid"]) == ("main", "DEMO", os.getpid())
    assert (status["mode"], status["positions"], status["progress"]) == ("COPILOT", 0, "")
    assert status["equity"] > 0
    counted = {"venue weight", "venue skipped", "venue unknown", "conflated", "loop lag"}
    assert counted <= status["health"].keys() and status["health"]["venue unknown"] == 0


def test_a_view_crosses_the_socket_whole(folder: Path) -> None:
    answer = ask(folder, {"op": "view", "request": {"books": ["BTCUSDT"], "depth": 5, "events": 3}})
    view = msgspec.convert(answer["view"], View, strict=False)
    assert [book.symbol for book in view.books] == ["BTCUSDT"]
    assert "loop lag" in {reading.name for reading in view.health}


def test_a_link_gets_at_most_ten_views_a_second(folder: Path) -> None:
    line = Line(folder)
    began_s = time.monotonic()
    for _ in range(6):
        assert "view" in line.say(b'{"op":"view"}')
    assert time.monotonic() - began_s >= 0.5
    line.close()


def test_a_command_is_carried_out_and_a_wrong_word_releases_nothing(folder: Path) -> None:
    assert ask(folder, {"op": "send", "command": {"type": "SetMode", "mode": "WATCHER"}, "by": "ann"}) == {"ok": True}
    wait_until(lambda: ask(folder, {"op": "status"})["status"]["mode"] == "WATCHER")
    assert ask(folder, {"op": "halt", "by": "ann"}) == {"ok": True}
    assert state(folder) == "HALTED"
    assert ask(folder, {"op": "release", "latch": "HALT", "word": "yes"}) == {"ok": True}
    assert state(folder) == "HALTED"
    assert ask(folder, {"op": "release", "latch": "HALT", "word": "halt"}) == {"ok": True}
    assert state(folder) == "ACTIVE"


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"hello",
        b"\x00\xff\xfe\x1b[2J",
        b"[]",
        b"{}",
        b'{"op":"dance"}',
        b'{"op":"send"}',
        b'{"op":"send","command":{"type":"Explode"}}',
        b'{"op":"view","request":{"depth":"deep"}}',
        b'{"op":"release","latch":"NOTHING","word":"x"}',
        b'{"op":"status"' * 1000,
    ],
)
def test_garbage_gets_one_line_and_the_link_lives(folder: Path, garbage: bytes) -> None:
    line = Line(folder)
    error = line.say(garbage)["error"]
    assert isinstance(error, str)
    assert error
    assert "\n" not in error
    assert "status" in line.say(b'{"op":"status"}')
    line.close()


@pytest.mark.parametrize("error", [ValueError("math domain error"), KeyError("BTCUSDT"), OSError("no")])
def test_what_fails_behind_a_request_is_told_and_the_link_lives(
    demo: Runtime, folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def fails(*_: object, **__: object) -> View:
        raise error

    line = Line(folder)
    with monkeypatch.context() as broken:
        broken.setattr(demo._account, "view", fails)
        assert line.say(b'{"op":"view"}') == {"error": f"not answered: {type(error).__name__}; see the log"}
    assert "view" in line.say(b'{"op":"view"}')
    line.close()


def test_an_endless_line_ends_its_link_and_no_other(folder: Path) -> None:
    line = Line(folder)
    line.socket.sendall(b"x" * 200_000)
    assert "64 KiB" in json.loads(line.file.readline())["error"]
    wait_until(lambda: _gone(line))
    assert state(folder)
    line.close()


class Deaf(Line):
    """A client that asks and never reads."""

    def asks(self) -> bool:
        """Whether its requests are still taken. Raises OSError once it was cut."""
        self.socket.setblocking(False)
        try:
            self.socket.send(b'{"op":"status"}\n' * 500)
        except BlockingIOError:
            return False
        return True

    def cut(self) -> bool:
        try:
            self.asks()
        except OSError:
            return True
        return False


def test_a_client_that_never_reads_blocks_nobody(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_ANSWER_S", 3600.0)  # so that it is never cut, and would block whom it can
    with closing(Deaf(folder)) as deaf:
        untaken = 0
        while untaken < 50:
            assert state(folder)
            untaken = 0 if deaf.asks() else untaken + 1
    wait_until(lambda: state(folder))


def test_a_client_that_never_reads_is_cut(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_ANSWER_S", 0.05)
    with closing(Deaf(folder)) as deaf:
        wait_until(deaf.cut, 30.0)
    assert state(folder)


def test_more_links_than_are_served_are_turned_away(folder: Path) -> None:
    lines = [Line(folder) for _ in range(16)]
    for line in lines:
        line.say(b'{"op":"status"}')
    one_more = Line(folder)
    assert _gone(one_more)
    one_more.close()
    for line in lines:
        line.close()
    wait_until(lambda: _answers(folder))


def test_the_kill_latch_is_looked_for_ten_times_a_second_halts_and_goes_once_it_is_recorded(
    demo: Runtime, folder: Path
) -> None:
    assert account._LATCH_POLL_S == 0.1
    latch = folder / "halt"
    line = Line(folder)
    assert state(folder) == "ACTIVE"
    latch.write_text("nexus kill\n")
    wait_until(lambda: line.say(b'{"op":"status"}')["status"]["state"] == "HALTED")
    wait_until(lambda: not latch.exists())
    line.say(b'{"op":"release","latch":"HALT","word":"halt"}')
    assert state(folder) == "ACTIVE"
    line.close()


def _gone(line: Line) -> bool:
    try:
        return line.socket.recv(1) == b""
    except ConnectionError:
        return True


def _answers(folder: Path) -> bool:
    try:
        return "status" in ask(folder, {"op": "status"})
    except NoAnswer:
        return False
