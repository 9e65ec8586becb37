"""A person starts a live account in a terminal: passphrase, phrase, cockpit; the venue is one of our own."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo_house import _ENV, Exchange, nexus
from pty_terminal import Terminal

from nexus_engine.model.secret import Secret
from nexus_engine.model.words import AccountKind
from nexus_engine.vault import ApiKey, Vault

pytestmark = pytest.mark.terminal

PHRASE = "correct horse battery"


class Desk:
    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.state.mkdir(mode=0o700)
        self.exchange = Exchange(folder, "--scenario", "calm")
        ready = json.loads(self.exchange.ready.read_text())
        self.secrets = (ready["api_key"], ready["api_secret"], PHRASE)
        self.config = folder / "nexus.toml"
        self.config.write_text(
            f'[binance]\nrest_url = "{ready["rest"]}"\nws_url = "{ready["ws"]}"\nsapi_url = "{ready["rest"]}"\n'
        )
        key = ApiKey(
            name="real", kind=AccountKind.LIVE, api_key=Secret(ready["api_key"]), secret=Secret(ready["api_secret"])
        )
        Vault.create(self.state / "vault", Secret(PHRASE), work=2).add(key)
        self.terminals: list[Terminal] = []

    def cockpit(self) -> Terminal:
        words = ("--live", "--state", str(self.state), "--config", str(self.config))
        terminal = Terminal([sys.executable, "-m", "nexus_tui", *words], columns=120, lines=40, env=os.environ | _ENV)
        self.terminals.append(terminal)
        return terminal

    def close(self) -> None:
        for terminal in self.terminals:
            terminal.close()
        self.exchange.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.close()


def test_passphrase_and_phrase_are_typed_and_the_cockpit_shows_real_money_unlocked(desk: Desk) -> None:
    terminal = desk.cockpit()
    terminal.wait_for("passphrase of the vault")
    terminal.press(f"{PHRASE}\r")
    asked = terminal.wait_for("unless you type: live main")
    assert PHRASE not in asked  # what is typed is not shown
    terminal.press("live main\r")
    shown = terminal.wait_for(lambda text: "LIVE main" in text and "lease 7h" in text, 30.0)
    assert "are locked" not in shown
    done = nexus("status", "--state", desk.state)
    assert done.stdout.startswith("LIVE main") and "locked" not in done.stdout
    attached = desk.cockpit()  # the same words again: it runs, so nobody is asked for anything
    attached.wait_for(lambda text: "LIVE main" in text and "lease 7h" in text, 30.0)
    assert "passphrase" not in attached.text
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.process.wait(15) == 0
    kept = "".join(path.read_bytes().decode("latin-1") for path in desk.state.rglob("*") if path.is_file())
    assert not [secret for secret in desk.secrets if secret in kept + terminal.text]


def test_without_the_phrase_it_runs_locked_and_a_wrong_passphrase_is_one_line(desk: Desk) -> None:
    early = desk.cockpit()
    early.wait_for("passphrase of the vault")
    early.press("something else\r")
    assert early.process.wait(15) == 2 and "vault: wrong passphrase" in early.text
    assert [file.name for file in desk.state.iterdir()] == ["vault"]  # no account was begun
    terminal = desk.cockpit()
    terminal.wait_for("passphrase of the vault")
    terminal.press(f"{PHRASE}\r")
    terminal.wait_for("unless you type: live main")
    terminal.press("\r")
    terminal.wait_for(lambda text: "lease LOCKED" in text and "LIVE entries are locked;" in text, 30.0)
    assert "LIVE entries are locked" in nexus("status", "--state", desk.state).stdout
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.process.wait(15) == 0
    wrong = desk.cockpit()
    wrong.wait_for("passphrase of the vault")
    wrong.press("something else\r")
    assert wrong.process.wait(15) == 2
    assert "vault: wrong passphrase" in wrong.text
