"""How a cockpit leaves its terminal, in a real pty: the engine goes on unless it is told to end."""

import contextlib
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pty_terminal import Terminal

from nexus_engine.runtime.client import NoAnswer, ask

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.terminal


class Cockpit:
    """A demo's cockpit in a terminal of its own."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.folder = state / "main-demo"

    def open(self, *words: str) -> Terminal:
        command = [sys.executable, "-m", "nexus_tui", *(words or ("--demo",)), "--state", str(self.state)]
        terminal = Terminal(command, columns=100, lines=30, env={"PYTHONPATH": str(ROOT)})
        terminal.wait_for("spread", 40.0)
        return terminal

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = ask(self.folder, {"op": "status"}, within_s=5.0)["status"]
        return found

    def runs(self) -> bool:
        try:
            return bool(self.status()["state"])
        except NoAnswer:
            return False


@pytest.fixture
def cockpit(tmp_path: Path) -> Iterator[Cockpit]:
    made = Cockpit(tmp_path)
    yield made
    if made.runs():
        pid = made.status()["pid"]
        ask(made.folder, {"op": "stop"})
        wait_until(lambda: not alive(pid))


def wait_until(true: Callable[[], object], within_s: float = 15.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline_s, f"not within {within_s} s"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_ctrl_z_gives_the_terminal_back_and_attach_shows_the_same_engine(cockpit: Cockpit) -> None:
    terminal = cockpit.open()
    pid = cockpit.status()["pid"]
    terminal.press("\x1a")
    assert terminal.process.wait(10) == 0
    terminal.wait_for(f"goes on, process {pid}")
    wait_until(lambda: f"nexus attach --state {cockpit.state}`" in terminal.text.replace("\n", ""))
    terminal.close()
    assert cockpit.runs()
    assert os.getsid(pid) == pid  # no terminal can reach it any more

    again = cockpit.open("attach")
    assert cockpit.status()["pid"] == pid
    again.press("\x1a")
    assert again.process.wait(10) == 0
    again.close()

    plain = cockpit.open()  # the plain command attaches, too
    assert cockpit.status()["pid"] == pid
    plain.press("q")
    plain.wait_for("quit with stops resting")
    plain.press("r")
    assert plain.process.wait(10) == 0
    wait_until(lambda: not alive(pid))
    plain.close()


def test_a_detached_engine_outlives_being_stopped_and_continued(cockpit: Cockpit) -> None:
    terminal = cockpit.open()
    pid = cockpit.status()["pid"]
    terminal.press("\x1a")
    assert terminal.process.wait(10) == 0
    terminal.close()
    for number in (signal.SIGSTOP, signal.SIGCONT, signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH):
        os.kill(pid, number)
    again = cockpit.open("attach")  # a process that ends on a signal is gone long before a cockpit has opened
    assert alive(pid)
    assert cockpit.status()["pid"] == pid
    again.close()


def test_an_engine_that_is_asked_to_end_while_it_is_stopped_ends_when_it_goes_on(cockpit: Cockpit) -> None:
    terminal = cockpit.open()
    pid = cockpit.status()["pid"]
    terminal.press("\x1a")
    assert terminal.process.wait(10) == 0
    terminal.close()
    # a signal that waits for a stopped process is taken by any of its threads
    for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGCONT):
        os.kill(pid, number)
    wait_until(lambda: not alive(pid))


def test_a_suspend_from_outside_detaches_and_stops_no_engine(cockpit: Cockpit) -> None:
    terminal = cockpit.open()
    pid = cockpit.status()["pid"]
    os.kill(pid, signal.SIGTSTP)
    assert terminal.process.wait(10) == 0
    assert cockpit.status()["pid"] == pid
    terminal.close()


def test_an_attached_cockpit_that_is_asked_to_end_gives_the_terminal_back(cockpit: Cockpit) -> None:
    first = cockpit.open()
    pid = cockpit.status()["pid"]
    first.press("\x1a")
    assert first.process.wait(10) == 0
    first.close()
    terminal = cockpit.open("attach")
    assert not termios.tcgetattr(terminal.master)[3] & termios.ICANON
    terminal.process.terminate()
    assert terminal.process.wait(10) == 0
    assert termios.tcgetattr(terminal.master)[3] & termios.ICANON
    assert cockpit.status()["pid"] == pid
    terminal.close()


def test_a_terminal_that_is_gone_leaves_the_engine_headless(cockpit: Cockpit) -> None:
    terminal = cockpit.open()
    pid = cockpit.status()["pid"]
    terminal.hang_up()
    assert terminal.process.wait(10) == 0
    wait_until(lambda: os.getsid(pid) == pid)
    assert cockpit.runs()


def test_a_stalled_terminal_that_is_then_closed_costs_the_engine_nothing(cockpit: Cockpit) -> None:
    terminal = cockpit.open()
    terminal.stalled = True
    time.sleep(3.0)  # the stall itself; nothing is waited for
    assert cockpit.runs()
    terminal.hang_up()
    assert terminal.process.wait(10) == 0
    assert cockpit.status()["problem"] == ""


def test_sigterm_to_the_process_that_was_started_ends_all_in_order(cockpit: Cockpit) -> None:
    terminal = cockpit.open()
    pid = cockpit.status()["pid"]
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.process.wait(15) == 0
    assert not alive(pid)
    terminal.close()


def test_kill_9_of_the_process_that_was_started_takes_the_engine_with_it(cockpit: Cockpit) -> None:
    terminal = cockpit.open()
    pid = cockpit.status()["pid"]
    assert pid != terminal.process.pid
    terminal.process.kill()
    wait_until(lambda: not alive(pid), 5.0)
    terminal.close()


def test_an_engine_that_is_killed_leaves_a_terminal_in_order(cockpit: Cockpit) -> None:
    terminal = cockpit.open()
    os.kill(cockpit.status()["pid"], signal.SIGKILL)
    assert terminal.process.wait(10) == 128 + signal.SIGKILL
    terminal.wait_for("killed by SIGKILL")
    terminal.close()


def test_who_leaves_a_cockpit_whose_engine_was_killed_is_not_told_that_it_goes_on(cockpit: Cockpit) -> None:
    first = cockpit.open()
    pid = cockpit.status()["pid"]
    first.press("\x1a")
    assert first.process.wait(10) == 0
    first.close()
    attached = cockpit.open()
    os.kill(pid, signal.SIGKILL)
    attached.wait_for("NO ENGINE")
    attached.press("q")
    attached.wait_for("no engine runs")
    attached.press("d")
    attached.wait_for("did not run when it was left")
    assert "goes on" not in attached.text
    assert attached.process.wait(10) == 0
    attached.close()


def test_a_shell_gets_its_prompt_back_after_a_detach(cockpit: Cockpit) -> None:
    command = f"{sys.executable} -m nexus_tui --demo --state {cockpit.state}; echo left with $?"
    terminal = Terminal(["bash", "--norc", "-i"], columns=100, lines=30, env={"PYTHONPATH": str(ROOT), "PS1": "% "})
    terminal.wait_for("%")
    terminal.press(command + "\r")
    terminal.wait_for("spread", 40.0)
    terminal.press("\x1a")
    terminal.wait_for("left with 0")
    terminal.press("echo still $((40 + 2))\r")
    terminal.wait_for("still 42")
    pid = cockpit.status()["pid"]
    terminal.close()
    assert cockpit.status()["pid"] == pid


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--scenario", "riot"], "unknown scenario"),
        (["--live"], "live needs a key: `nexus keys add NAME --live`"),
        (["--testnet"], "testnet needs a key: `nexus keys add NAME --testnet`"),
        (["--config", "/no/such.toml"], "/no/such.toml"),
        (["--replay", "/no/such.gz"], "/no/such.gz"),
        (["--account", "../x"], "account"),
        (["dance"], "no command"),
        (["--frobnicate"], "unrecognized"),
        ([], "needs a terminal"),
        (["attach"], "needs a terminal"),
    ],
)
def test_bad_input_gets_one_line_and_exit_2(tmp_path: Path, words: list[str], told: str) -> None:
    headless = [] if not words or not words[0].startswith("--") else ["--headless"]
    state = [] if words == ["dance"] else ["--state", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "nexus_tui", *words, *headless, *state],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [[], ["attach"]])
def test_a_dumb_terminal_is_refused_in_one_line_before_anything_is_made(tmp_path: Path, words: list[str]) -> None:
    command = [sys.executable, "-m", "nexus_tui", *words, "--state", str(tmp_path)]
    terminal = Terminal(command, columns=100, lines=30, env={"PYTHONPATH": str(ROOT), "TERM": "dumb"})
    try:
        assert terminal.process.wait(10) == 2
        assert "TERM=dumb cannot show a cockpit" in terminal.wait_for("TERM=dumb")
        assert not list(tmp_path.iterdir())
    finally:
        terminal.close()


def test_a_plain_start_on_a_running_account_says_what_it_ignores_and_a_lost_engine_is_found_again(
    cockpit: Cockpit,
) -> None:
    first = cockpit.open()
    pid = cockpit.status()["pid"]
    first.press("\x1a")
    assert first.process.wait(10) == 0
    first.close()
    again = cockpit.open("--speed", "3", "--seed", "5")
    try:
        again.wait_for("--seed, --speed ignored: DEMO main runs already")
        os.kill(pid, signal.SIGSTOP)
        again.wait_for("ENGINE SILENT")
        again.press("!")
        again.wait_for("latch left", 5)
        again.wait_for(lambda text: "ENGINE SILENT 9" in text or "ENGINE SILENT 8" in text)
        os.kill(pid, signal.SIGCONT)
        again.wait_for(lambda text: "HALT by" in text and "SILENT" not in text)
        assert cockpit.status()["pid"] == pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
        again.close()
