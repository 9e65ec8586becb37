"""HALT, the breaker, the mode, the black swan's lock and SHARK in the life after a real kill -9."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from crash_house import ENV, HERE, Exchange, Life, directive

from nexus_engine.model.facts import (
    SWAN_LOCK,
    AnyFact,
    LatchSet,
    MacroChanged,
    ModeSet,
    OrderIntended,
    Reconciled,
    RunStarted,
)
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.words import Latch, Leg, Macro, Mode
from nexus_engine.runtime.client import NoAnswer, ask
from nexus_engine.store.rows import decode_fact, reading, rows

pytestmark = pytest.mark.terminal

DIRECTIVE = """
account.mode = "PILOT"
binance.symbols = ["BTCUSDT", "SOLUSDT", "DOGEUSDT", "XRPUSDT"]
risk.entry_ms = 1000
shield.loss_pause_min = 5
shield.swan_lock_min = 1440
"""


def until(done: Callable[[], Any], what: str, within_s: float = 30.0) -> Any:
    deadline_s = time.monotonic() + within_s
    while not (found := done()):
        assert time.monotonic() < deadline_s, f"not within {within_s} s: {what}"
        time.sleep(0.05)
    return found


class Account:
    """Lives of one account."""

    def __init__(self, folder: Path) -> None:
        config = folder / "nexus.toml"
        config.write_text(directive(folder / "ready.json", DIRECTIVE, loss_streak=2, swan_drop_pct=4))
        self.folder = folder / "state" / "main-demo"
        self._words = ["--headless", "--demo", "--config", str(config), "--state", str(folder / "state")]

    @contextmanager
    def life(self) -> Iterator[Life]:
        command = [sys.executable, str(HERE / "crash_engine.py"), "--plain", *self._words]
        with subprocess.Popen(command, env=ENV, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
            life = Life(process.pid, cold=True)
            try:
                yield life
            finally:
                process.kill()

    def ask(self, **request: Any) -> dict[str, Any]:
        try:
            return ask(self.folder, request, 2.0)
        except NoAnswer:
            return {}

    def view(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ask(op="view").get("view") or {}
        return found

    def facts(self) -> list[AnyFact]:
        with reading(self.folder / "journal.db") as conn:
            return [decode_fact(row) for row in rows(conn)]

    def ledger(self) -> Ledger:
        return Ledger().fold(self.facts())


def test_every_latch_the_mode_the_trip_and_shark_survive_a_kill(tmp_path: Path) -> None:
    # the alts bleed, three hundred times as fast, until BTC is told to fall
    exchange = Exchange(tmp_path, 3, "sangria", 300)
    account = Account(tmp_path)
    try:
        with account.life() as life:
            until(lambda: account.view().get("macro") == Macro.SHARK, "SHARK")
            until(lambda: Latch.BREAKER in account.ledger().latches, "BREAKER")
            exchange.tell("fall")
            until(lambda: SWAN_LOCK in account.ledger().locks, "the trip")
            account.ask(op="send", command={"type": "SetMode", "mode": Mode.COPILOT})
            account.ask(op="halt")
            until(lambda: account.view().get("account", {}).get("state") == "HALTED", "HALT")
            until(lambda: account.ledger().mode is Mode.COPILOT, "the mode")
            life.kill()
        before = account.ledger()
        assert {Latch.HALT, Latch.BREAKER} <= before.latches.keys()
        with account.life() as life:
            view = until(account.view, "an answer")
            # the first that it says of itself, and once it has compared with the venue
            until(lambda: _compared(account), "a comparison")
            later = account.view()
            life.kill()
    finally:
        exchange.close()
    for seen in (view, later):
        assert (seen["account"]["state"], seen["account"]["mode"]) == ("HALTED", "COPILOT")
        assert (seen["macro"], seen["sentinel"]) == ("SHARK", "BLACK_SWAN")
    after = account.ledger()
    assert after.latches == before.latches and after.mode is Mode.COPILOT
    assert after.locks[SWAN_LOCK].until_ns >= before.locks[SWAN_LOCK].until_ns
    life_facts = _life(account.facts())
    set_anew = [fact for fact in life_facts if isinstance(fact, LatchSet | ModeSet | MacroChanged)]
    assert not set_anew, "what holds must be remembered, not found again"
    entered = [fact for fact in life_facts if isinstance(fact, OrderIntended) and fact.order.leg is Leg.ENTRY]
    assert not entered, "nothing is entered under any of them"


def _life(facts: list[AnyFact]) -> list[AnyFact]:
    """The facts of the newest run."""
    began = max(at for at, fact in enumerate(facts) if isinstance(fact, RunStarted))
    return facts[began:]


def _compared(account: Account) -> bool:
    return any(isinstance(fact, Reconciled) for fact in _life(account.facts()))
