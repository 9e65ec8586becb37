"""The cockpit's driver in a real pty: a link that stalls, a terminal that is mute, one that goes away."""

import json
import os
import re
import signal
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pty_terminal import Terminal

pytestmark = pytest.mark.terminal
_TESTS = Path(__file__).resolve().parents[1]
Start = Callable[..., Terminal]


@pytest.fixture
def report(tmp_path: Path) -> Path:
    return tmp_path / "report.json"


@pytest.fixture
def start(report: Path) -> Iterator[Start]:
    begun: list[Terminal] = []

    def run(*, env: dict[str, str] | None = None, **options: Any) -> Terminal:
        env = {"PYTHONPATH": os.pathsep.join((str(_TESTS.parent), str(_TESTS / "tui"))), **(env or {})}
        terminal = Terminal(
            [sys.executable, str(_TESTS / "terminal" / "cockpit_program.py"), str(report)], env=env, **options
        )
        begun.append(terminal)
        return terminal

    yield run
    for terminal in begun:
        terminal.close()


def shown_clock(text: str) -> int:
    """Seconds of the day on the screen's own clock, -1 without one."""
    found = re.search(r"(\d\d):(\d\d):(\d\d) UTC", text)
    return int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3]) if found else -1


def is_now(text: str) -> bool:
    return 0 <= int(time.time()) % 86_400 - shown_clock(text) <= 1


def press_until(terminal: Terminal, key: str, done: Callable[[], bool]) -> None:
    """Press a key again and again, as a person does whose key was dropped."""
    deadline_s = time.monotonic() + 20.0
    while not done():
        assert time.monotonic() < deadline_s, terminal.text
        terminal.press(key)
        looked_s = time.monotonic() + 1.0
        while not done() and time.monotonic() < looked_s:
            time.sleep(0.02)


def test_a_stalled_terminal_never_stops_the_loop_and_is_repainted_whole(start: Start, report: Path) -> None:
    terminal = start()
    terminal.wait_for("READY")
    terminal.stalled = True
    time.sleep(5)  # the stall itself
    terminal.stalled = False
    terminal.wait_for(is_now, 3)
    text = terminal.wait_for(lambda text: "P41 SELL" in text and "Sentinel SHARK" in text and "spread" in text)
    assert len(text.splitlines()[0]) == 80
    time.sleep(1.2)  # the second in which keys are not believed
    terminal.press("q")
    terminal.wait_for("Leave Nexus")
    terminal.press("r")
    assert terminal.process.wait(5) == 0
    seen = json.loads(report.read_text())
    assert seen["result"] == "quit"
    assert seen["lag_ms"] < 500


def test_a_process_that_stood_still_takes_its_terminal_back(start: Start) -> None:
    terminal = start()
    terminal.wait_for("READY")
    os.kill(terminal.process.pid, signal.SIGSTOP)
    # what a shell does with the terminal of a job that has stopped
    cooked = termios.tcgetattr(terminal.master)
    cooked[3] |= termios.ECHO | termios.ICANON | termios.ISIG
    termios.tcsetattr(terminal.master, termios.TCSANOW, cooked)
    with terminal.drawing():
        terminal.screen.reset()
    os.kill(terminal.process.pid, signal.SIGCONT)
    terminal.wait_for(lambda text: "P41 SELL" in text and is_now(text) and "spread" in text)
    assert not termios.tcgetattr(terminal.master)[3] & (termios.ECHO | termios.ICANON | termios.ISIG)


def test_keys_pressed_in_a_stall_are_dropped_and_halt_is_not(start: Start, report: Path) -> None:
    terminal = start()
    terminal.wait_for("READY")
    terminal.stalled = True
    time.sleep(2.5)
    terminal.press("a!")
    time.sleep(0.3)
    terminal.stalled = False
    terminal.press("a")
    terminal.wait_for(is_now, 3)
    time.sleep(1.2)
    terminal.press("q")
    terminal.wait_for("Leave Nexus")
    terminal.press("d")
    assert terminal.process.wait(5) == 0
    seen = json.loads(report.read_text())
    assert seen["sent"] == ["Halt"]
    assert seen["result"] == "detach"


def test_an_approval_on_a_drained_screen_is_sent(start: Start, report: Path) -> None:
    terminal = start()
    terminal.wait_for("READY")
    terminal.press("a")
    terminal.wait_for("P41 approval sent")
    terminal.press("\x1a")
    assert terminal.process.wait(5) == 0
    assert json.loads(report.read_text())["sent"] == ["Approve"]


def test_a_terminal_that_never_answers_is_painted_too(start: Start) -> None:
    terminal = start(answers=False)
    terminal.wait_for("READY")
    first = shown_clock(terminal.text)
    terminal.wait_for(lambda text: shown_clock(text) >= first + 3, 6)
    terminal.press("a")
    terminal.wait_for("P41 approval sent")


def test_the_cockpit_leaves_when_its_terminal_is_gone(start: Start, report: Path) -> None:
    terminal = start()
    terminal.wait_for("READY")
    terminal.hang_up()
    assert terminal.process.wait(5) == 0
    seen = json.loads(report.read_text())
    assert seen["result"] == "hangup"
    assert seen["lag_ms"] < 500


def test_it_ends_at_once_on_a_stalled_terminal(start: Start, report: Path) -> None:
    terminal = start(columns=200, lines=50)
    terminal.wait_for("READY")
    terminal.stalled = True
    time.sleep(4)
    began = time.monotonic()
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.process.wait(10) == 0
    assert time.monotonic() - began < 2
    assert json.loads(report.read_text())["result"] == "terminate"


def test_it_ends_at_once_when_the_pipe_to_a_mute_terminal_is_full(start: Start, report: Path) -> None:
    terminal = start(columns=200, lines=50, answers=False)
    terminal.wait_for("READY")
    terminal.stalled = True
    time.sleep(6)  # frames fill the pty until the writer itself hangs
    began = time.monotonic()
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.process.wait(10) == 0
    assert time.monotonic() - began < 2
    seen = json.loads(report.read_text())
    assert seen["result"] == "terminate"
    assert seen["lag_ms"] < 500


def test_the_terminal_keeps_its_mouse_and_gets_its_cursor_back(start: Start) -> None:
    terminal = start()
    terminal.wait_for("READY")
    assert terminal.screen.cursor.hidden
    assert 1000 << 5 not in terminal.screen.mode  # pyte's name of the private mode
    terminal.press("\x1a")
    assert terminal.process.wait(5) == 0
    assert not terminal.screen.cursor.hidden


def test_what_a_slow_link_carries_before_a_keys_answer_is_a_quarter_second_of_64_kilobytes(start: Start) -> None:
    terminal = start(columns=120, lines=40, bytes_per_s=64_000)
    terminal.wait_for("READY", 20)
    carried = []
    for key, what in (("?", "Keys, esc closes"), ("m", "down at once"), ("q", "Leave Nexus")) * 2:
        before = terminal.received
        terminal.press(key)
        terminal.wait_for(what, 10)
        carried.append(terminal.received - before)
        terminal.press("\x1b")
        terminal.wait_for(lambda text, what=what: what not in text, 5)
        time.sleep(0.3)
    assert sorted(carried)[len(carried) // 2] < 16_000, carried  # frames that were queued before it would come first


def test_a_book_that_moves_everywhere_stays_within_the_byte_budget(start: Start) -> None:
    terminal = start()
    terminal.wait_for("READY")
    time.sleep(1)
    before, began = terminal.received, time.monotonic()
    time.sleep(4)
    assert (terminal.received - before) / (time.monotonic() - began) < 12_000  # four frames a second


def test_without_colour_not_one_is_sent(start: Start) -> None:
    terminal = start(env={"NO_COLOR": "1"})
    terminal.wait_for("READY")
    with terminal.drawing():
        cells = [cell for row in terminal.screen.buffer.values() for cell in row.values()]
    assert {cell.fg for cell in cells} | {cell.bg for cell in cells} == {"default"}
    assert any(cell.reverse for cell in cells)


def test_the_screen_follows_the_terminals_size(start: Start) -> None:
    terminal = start(env={"COLUMNS": "100", "LINES": "30"})  # exported by some shell, and no longer true
    terminal.wait_for("READY")
    terminal.resize(120, 40)
    terminal.wait_for("Watchlist")
    terminal.resize(60, 15)
    terminal.wait_for("smaller than 80x24")
    terminal.resize(80, 24)
    terminal.wait_for("P41 SELL")


@pytest.mark.parametrize("dialog", ["", "q", ":", "F"])
def test_a_storm_of_sizes_down_to_nothing_breaks_nothing(start: Start, report: Path, dialog: str) -> None:
    terminal = start()
    terminal.wait_for("READY")
    terminal.press(dialog)
    if dialog:
        terminal.wait_for(lambda text: "╭─" in text)
    sizes = ((200, 50), (0, 0), (1, 1), (120, 40), (80, 1), (1, 24), (300, 100), (79, 23), (0, 24), (12, 5))
    for step, (columns, lines) in enumerate(sizes * 5):
        terminal.resize(columns, lines)
        time.sleep(0.002 * (step % 7) ** 2)  # some come alone, some in a crowd
    terminal.resize(80, 24)
    terminal.wait_for("╰─" if dialog else "P41 SELL")
    terminal.wait_for(lambda text: "LIVE main" in text.splitlines()[0] and "HALT" in text.splitlines()[-1])
    assert "cannot be shown" not in terminal.text
    assert is_now(terminal.wait_for(is_now))
    assert Path(f"{report}.log").read_text(encoding="utf-8") == ""


def test_opening_and_leaving_dialogs_logs_nothing(start: Start, report: Path) -> None:
    terminal = start()
    terminal.wait_for("READY")
    for _ in range(3):
        terminal.press("q")
        terminal.wait_for("Leave Nexus")
        terminal.press("\x1b")
        terminal.wait_for(lambda text: "Leave Nexus" not in text)
        time.sleep(0.5)  # a key that comes again at once is taken for one that is held
    terminal.press("q")
    terminal.wait_for("Leave Nexus")
    terminal.press("r")
    assert terminal.process.wait(5) == 0
    assert report.with_name(f"{report.name}.log").read_text() == ""


def test_a_paste_without_brackets_fills_a_typed_dialog_and_sends_nothing(start: Start, report: Path) -> None:
    terminal = start()
    terminal.wait_for("READY")
    terminal.press("F")
    terminal.wait_for("and enter; esc")
    terminal.press("flat\r" * 1_000)
    terminal.wait_for(lambda text: re.search(r"│  flat[flat]* +│", text) is not None)
    # right after such a burst a key may be dropped, which is said
    press_until(terminal, "\x1b", lambda: "and enter; esc" not in terminal.text)
    press_until(terminal, "\x1a", lambda: terminal.process.poll() is not None)
    told = json.loads(report.read_text())
    assert (told["result"], told["sent"]) == ("detach", [])


@pytest.mark.parametrize("reads", [["flat\r"], ["fl", "at\r"]])
def test_a_word_pasted_with_its_enter_sends_nothing_until_enter_is_pressed(
    start: Start, report: Path, reads: list[str]
) -> None:
    terminal = start()
    terminal.wait_for("READY")
    terminal.press("F")
    terminal.wait_for("and enter; esc")
    for read in reads:
        terminal.send(read)
    terminal.wait_for("look, then press enter again")
    assert re.search(r"│  flat +│", terminal.text)
    terminal.press("\r")
    terminal.wait_for("flatten sent")
    press_until(terminal, "\x1a", lambda: terminal.process.poll() is not None)
    assert json.loads(report.read_text())["sent"] == ["Flatten"]


def test_a_word_typed_by_a_fast_hand_is_taken_at_once(start: Start, report: Path) -> None:
    terminal = start()
    terminal.wait_for("READY")
    terminal.press("F")
    terminal.wait_for("and enter; esc")
    for typed in ("f", "fl", "fla", "flat"):
        terminal.press(typed[-1])
        terminal.wait_for(lambda text, typed=typed: re.search(rf"│  {typed} +│", text) is not None)
    terminal.press("\r")
    terminal.wait_for("flatten sent")
    press_until(terminal, "\x1a", lambda: terminal.process.poll() is not None)
    assert json.loads(report.read_text())["sent"] == ["Flatten"]
