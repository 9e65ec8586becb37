"""A demo account as a person has it: a state folder, cockpits in real ptys, an engine, and the venue's own ledger."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from pty_terminal import Terminal
from venue_ledger import Ledger, listening_port

from nexus_engine.runtime.client import NoAnswer, ask

ROOT = Path(__file__).resolve().parents[2]
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "ADAUSDT", "DOGEUSDT", "XRPUSDT", "LINKUSDT", "AVAXUSDT")
QUIET = ("--scenario", "calm", "--seed", "7")
# TMUX: a developer's own SSH session must not put its note on the screens.
# Bytecode is kept, as at a user's: without it every start compiles for a second, and starts are timed here.
_ENV = {"PYTHONPATH": str(ROOT), "TMUX": "none", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": ""}
Found = TypeVar("Found")


def wait_until(find: Callable[[], Found], within_s: float = 10.0, every_s: float = 0.05) -> Found:
    """Wait until `find` gives something true, and return it."""
    deadline_s = time.monotonic() + within_s
    while not (found := find()):
        assert time.monotonic() < deadline_s, f"not within {within_s} s"
        time.sleep(every_s)
    return found


def nexus(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run a command that ends by itself, without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "nexus_tui", *map(str, words)],
        env=os.environ | _ENV,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )


def processes(mark: str) -> list[int]:
    """Living processes whose command line holds `mark`."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if (
                entry.name.isdigit()
                and int(entry.name) != os.getpid()
                and mark in entry.joinpath("cmdline").read_text("utf-8", "replace")
                and "Z" not in entry.joinpath("stat").read_text().rpartition(")")[2].split()[0]
            ):
                found.append(int(entry.name))
    return found


class Exchange:
    """A `nexus exchange` that lives on its own; `ready` is the file with its line."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.ready = folder / "ready.json"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "nexus_tui", "exchange", *words],
            env=os.environ | _ENV,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self.ready.write_text(line, encoding="utf-8")
        told = json.loads(line)
        self.ledger = Ledger(told["rest"], told["api_key"], told["api_secret"])
        self.ws_url: str = told["ws"]

    def close(self) -> None:
        self._process.terminate()
        assert self._process.wait(10) == 0
        assert self._process.stdout is not None
        self._process.stdout.close()


class House:
    """Use it as a context: at its end everything that it started must be gone, and is killed if it is not."""

    def __init__(self, folder: Path, *, words: Sequence[str] = QUIET, config: str = "") -> None:
        self.state = folder / "state"
        self.folder = self.state / "main-demo"
        self.words = ["--demo", "--state", str(self.state), *words]
        if config:
            directive = folder / "nexus.toml"
            directive.write_text(config, encoding="utf-8")
            self.words += ["--config", str(directive)]
        self.terminals: list[Terminal] = []

    def __enter__(self) -> "House":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for terminal in self.terminals:
            terminal.close()
        try:
            wait_until(lambda: not self.processes(), 5.0)
        except AssertionError:
            left = self.processes()
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if kind is None:
                raise AssertionError(f"left behind: {left}") from None

    def cockpit(self, *more: str, **options: Any) -> Terminal:
        """`nexus` on this account in a new terminal."""
        return self._open([*self.words, *more], options)

    def attach(self, **options: Any) -> Terminal:
        """`nexus attach` in a new terminal."""
        return self._open(["attach", "--demo", "--state", str(self.state)], options)

    def headless(self, *more: str) -> Terminal:
        """`nexus --headless` on this account; the terminal only holds it."""
        return self._open([*self.words, "--headless", *more], {})

    def _open(self, words: list[str], options: dict[str, Any]) -> Terminal:
        terminal = Terminal([sys.executable, "-m", "nexus_tui", *words], env=_ENV, **options)
        self.terminals.append(terminal)
        return terminal

    def processes(self) -> list[int]:
        """Cockpits, engines and venues of this state folder, however they came to be."""
        return processes(str(self.state))

    def venue_pid(self) -> int:
        """The demo's own venue, 0 when there is none."""
        return next(iter(processes(f"{self.folder}/venue")), 0)

    def status(self, within_s: float = 2.0) -> dict[str, Any]:
        """What the engine says of itself; empty when nobody answers."""
        try:
            status: dict[str, Any] = ask(self.folder, {"op": "status"}, within_s)["status"]
        except NoAnswer:
            return {}
        return status

    def view(self) -> dict[str, Any]:
        """The engine's picture, as the control socket gives it."""
        view: dict[str, Any] = ask(self.folder, {"op": "view", "request": {"events": 50}}, 2.0)["view"]
        return view

    def end(self) -> None:
        """Ask an engine without a cockpit to leave, stops resting."""
        pid = self.status()["pid"]
        ask(self.folder, {"op": "stop", "how": "quit"}, 2.0)
        wait_until(lambda: pid not in self.processes(), 15.0)

    def ledger(self) -> Ledger:
        """The books of the demo's own venue."""
        kept = json.loads((self.folder / "venue" / "venue.json").read_text())
        port = listening_port(self.venue_pid())
        return Ledger(f"http://127.0.0.1:{port}", kept["api_key"], kept["api_secret"])


# ---- what a person does at the keys ----------------------------------------------------------------------------------


def quit_resting(terminal: Terminal) -> int:
    """`q`, then quit with stops resting; the exit code."""
    terminal.press("q")
    terminal.wait_for("Leave Nexus")
    terminal.press("r")
    return terminal.process.wait(15)


def next_card(terminal: Terminal, after: int = 0, within_s: float = 60.0) -> tuple[int, str]:
    """Wait for a proposal younger than P`after`, select it, wait until it is READY. Returns (number, symbol)."""

    def newest(text: str) -> bool:
        return any(number > after for number, _ in _cards(text))

    terminal.wait_for(newest, within_s)
    number, symbol = max(_cards(terminal.text))
    deadline_s = time.monotonic() + 10.0
    while f"▶P{number} " not in terminal.text:
        assert time.monotonic() < deadline_s, terminal.text
        terminal.press("j")
        with contextlib.suppress(AssertionError):
            terminal.wait_for(f"▶P{number} ", 0.6)
    terminal.wait_for(lambda text: re.search(rf"^▶P{number} .*READY", text, re.MULTILINE) is not None)
    return number, symbol


def approve(terminal: Terminal, after: int = 0, within_s: float = 60.0) -> tuple[int, str]:
    """Approve the next card and see it become a position whose stop the venue confirmed: (number, symbol)."""
    number, symbol = next_card(terminal, after, within_s)
    terminal.press("a")
    terminal.wait_for(lambda text: "ok" in held(text, symbol), 10.0)
    return number, symbol


def held(text: str, symbol: str) -> list[str]:
    """A position's row on the screen, in words; empty when it is not there."""
    rows = (line[:51].split() for line in text.split("\n") if re.match(r"[LS][ ▶]", line))
    return next((row for row in rows if len(row) > 1 and symbol.startswith(row[1].removesuffix("USDT"))), [])


def _cards(text: str) -> list[tuple[int, str]]:
    return [
        (int(found[1]), found[2])
        for line in text.split("\n")
        if (found := re.match(r"[▶▷ ]P(\d+) +(?:BUY|SELL) +\S+ (\S+)", line))
    ]
