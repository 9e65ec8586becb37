"""systemd's side of the line: a real datagram socket."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_engine.runtime.supervisor import Supervisor


class Manager:
    """Hears what a service tells."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        found = []
        while True:
            try:
                found.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return found


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    made = Manager(
        str(tmp_path / "notify") if request.param == "path" else f"@nexus-test-{tmp_path.name}-{id(tmp_path)}"
    )
    yield made
    made.socket.close()


class Hands:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_the_first_beat_is_ready_and_the_watchdog_is_fed_thrice_in_its_time(manager: Manager) -> None:
    clock = Hands()
    told = Supervisor(manager.address, 30_000_000, clock)
    told.status("reading the\njournal")
    assert manager.heard() == ["STATUS=reading the journal"]
    for _ in range(301):  # 30 s of beats
        told.beat()
        clock.now_s += 0.1
    heard = manager.heard()
    assert heard[:2] == ["READY=1", "WATCHDOG=1"] and heard.count("READY=1") == 1
    assert heard.count("WATCHDOG=1") in (3, 4)
    told.status("runs")
    told.status("runs")
    told.stopping()
    assert manager.heard() == ["STATUS=runs", "STOPPING=1"]
    told.stopping("the journal is damaged")
    assert manager.heard() == ["STATUS=the journal is damaged", "STOPPING=1"]


def test_without_a_watchdog_it_is_only_ready(manager: Manager) -> None:
    told = Supervisor(manager.address)
    for _ in range(5):
        told.beat()
    assert manager.heard() == ["READY=1"]


def test_what_systemd_says_is_taken_out_of_the_environment(manager: Manager) -> None:
    given = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "9000000", "WATCHDOG_PID": "1", "HOME": "/"}
    told = Supervisor.from_environment(given)
    assert told is not None and given == {"HOME": "/"}
    told.beat()
    assert manager.heard() == ["READY=1"]  # the watchdog is another process's
    for nobody in ({}, {"NOTIFY_SOCKET": "", "WATCHDOG_USEC": "x"}, {"NOTIFY_SOCKET": "vsock:2:1"}):
        assert Supervisor.from_environment(nobody) is None


def test_a_manager_that_is_gone_stops_nothing(manager: Manager, caplog: pytest.LogCaptureFixture) -> None:
    told = Supervisor(manager.address, 1_000)
    manager.socket.close()
    Path(manager.address).unlink(missing_ok=True)
    for _ in range(3):
        told.beat()
        told.status("runs")
    told.stopping()
    assert caplog.text.count("systemd does not hear us") == 1


def test_a_manager_that_does_not_read_blocks_nobody(manager: Manager) -> None:
    clock = Hands()
    told = Supervisor(manager.address, 3, clock)
    for _ in range(5_000):
        clock.now_s += 1.0
        told.beat()
    assert 0 < len(manager.heard()) < 5_000
