"""`nexus exchange` as a process: its one line, its end, what it keeps, and how it says no."""

import json
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nexus_engine.sim.exchange import main

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "nexus_engine.sim.exchange")


class Processes:
    def __init__(self) -> None:
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str, **more: Any) -> tuple["subprocess.Popen[bytes]", dict[str, Any]]:
        process = subprocess.Popen(
            [*COMMAND, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more
        )
        self.started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        return process, json.loads(line)


@pytest.fixture
def processes() -> Iterator[Processes]:
    running = Processes()
    yield running
    for process in running.started:
        process.kill()
        process.communicate()


def fails(*arguments: str) -> str:
    """The one line on stderr of a start that is refused."""
    done = subprocess.run([*COMMAND, *arguments], cwd=ROOT, capture_output=True, timeout=20, check=False, text=True)
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_it_says_where_it_is_in_one_line_and_ends_cleanly_when_asked(processes: Processes) -> None:
    process, ready = processes.start("--scenario", "range", "--seed", "7", "--speed", "20")
    assert ready.keys() == {
        "rest", "ws", "api_key", "api_secret", "pid", "account", "scenario", "seed", "speed",
    }  # fmt: skip
    assert (ready["pid"], ready["account"], ready["scenario"], ready["seed"], ready["speed"]) == (
        process.pid, "new", "range", 7, 20.0,
    )  # fmt: skip
    with urllib.request.urlopen(ready["rest"] + "/fapi/v1/exchangeInfo", timeout=10) as reply:
        assert len(json.load(reply)["symbols"]) == 8
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, b"", b"")


def test_it_ends_with_its_parent_however_that_one_ended(processes: Processes) -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os, subprocess, sys, time\n"
            "read, write = os.pipe()\n"
            f"command = [*{COMMAND!r}, '--parent-fd', str(read)]\n"
            "p = subprocess.Popen(command, pass_fds=(read,), stdout=subprocess.PIPE)\n"
            "print(p.stdout.readline().decode(), end='', flush=True)\n"
            "time.sleep(60)\n",
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    processes.started.append(parent)
    assert parent.stdout is not None
    child = json.loads(parent.stdout.readline())["pid"]
    handle = os.pidfd_open(child)
    parent.kill()
    try:
        ready, _, _ = select.select([handle], [], [], 10)
        assert ready, "the venue outlived its parent"
    finally:
        os.close(handle)


def test_a_kept_account_is_found_again_with_its_keys_and_its_prices(processes: Processes, tmp_path: Path) -> None:
    process, first = processes.start("--state", str(tmp_path / "state"), "--seed", "3")
    kept = tmp_path / "state" / "venue.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    process.kill()
    process.wait()
    stored = json.loads(kept.read_bytes())
    stored["ledger"]["wallet"] = "12345.5"
    stored["prices"]["BTCUSDT"] = 50_000.0
    kept.write_text(json.dumps(stored))
    process, second = processes.start("--state", str(tmp_path / "state"))
    assert (second["account"], second["api_key"], second["api_secret"]) == (
        "kept", first["api_key"], first["api_secret"],
    )  # fmt: skip
    with urllib.request.urlopen(second["rest"] + "/fapi/v1/ticker/price?symbol=BTCUSDT", timeout=10) as reply:
        assert float(json.load(reply)["price"]) == pytest.approx(50_000, rel=0.01)
    process.terminate()
    process.wait(10)
    assert json.loads(kept.read_bytes())["ledger"]["wallet"] == "12345.5"


def test_market_time_never_runs_backwards_over_a_restart(processes: Processes, tmp_path: Path) -> None:
    def market_ms(ready: dict[str, Any]) -> int:
        with urllib.request.urlopen(ready["rest"] + "/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=1") as reply:
            return int(json.load(reply)[-1][0])

    fast, ready = processes.start("--state", str(tmp_path), "--speed", "1000")
    begun = market_ms(ready)
    while market_ms(ready) < begun + 30 * 60_000:
        select.select([], [], [], 0.1)
    fast.send_signal(signal.SIGTERM)
    fast.communicate(timeout=10)
    ahead = json.loads((tmp_path / "venue.json").read_text())["market_ns"] // 1_000_000
    _, ready = processes.start("--state", str(tmp_path))
    assert ahead <= market_ms(ready) + 60_000 < ahead + 10 * 60_000


@pytest.mark.parametrize("content", ["{not json", '{"version": 99, "api_key": "a", "api_secret": "b"}', "[]"])
def test_a_state_it_cannot_read_is_put_aside_and_said(processes: Processes, tmp_path: Path, content: str) -> None:
    (tmp_path / "venue.json").write_text(content)
    process, ready = processes.start("--state", str(tmp_path))
    assert ready["account"] == "new"
    (aside,) = tmp_path.glob("venue.json.*.bad")
    assert aside.read_text() == content
    process.terminate()
    err = process.communicate(timeout=10)[1].decode()
    assert aside.name in err
    assert err.count("\n") == 1


def test_a_taken_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert str(port) in fails("--port", str(port))


def test_bad_input_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("[[fault]]\non = 'user'\nkind = 'eat'\n")
    cases = {
        ("--scenario", "party"): "calm, range",
        ("--state", str(tmp_path / "file" / "deep")): "--state",
        ("--faults", str(tmp_path / "file")): "disconnect",
        ("--replay", str(tmp_path / "none")): "--replay",
    }
    for arguments, words in cases.items():
        assert words in fails(*arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--speed", "fast"),
        ("--speed", "0"),
        ("--speed", "max"),
        ("--speed", "nan"),
        ("--port", "70000"),
        ("--seed", "x"),
        ("--wrong",),
        ("--public-key", "no-such-file.pem"),
        ("--public-key", __file__),
        ("--replay", "f", "--scenario", "calm"),
    ],
)
def test_bad_options_are_refused_before_anything_starts(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.err.startswith("nexus exchange: ")
    assert said.err.count("\n") == 1
    assert said.out == ""
