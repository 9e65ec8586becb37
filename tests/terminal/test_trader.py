"""A scripted trader on each size: proposal, why, edit to half, approve, move the stop, close half, flatten, quit.

What the screen asks and says is at the terminal; what became of it is asked of the engine and of the venue's own books.
"""

import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import pytest
from demo_house import _ENV, House, wait_until
from tmux_terminal import Tmux

pytestmark = pytest.mark.terminal
WORDS = ("--scenario", "range", "--seed", "7", "--speed", "20")
PROPOSAL_S = 60.0
_TRIES = 5
HAND_S = 0.35
"""A person's next key; sooner a second one of the same kind is not believed."""


class Screen(Protocol):
    @property
    def text(self) -> str: ...

    def press(self, keys: str) -> None: ...

    def wait_for(self, what: str | Callable[[str], bool], timeout_s: float = 15.0) -> str: ...


class Trader:
    """Does one thing after the other, by keys or by the menu."""

    def __init__(self, house: House, screen: Screen, *, menu: bool) -> None:
        self.house = house
        self.screen = screen
        self._menu = menu

    def do(self, action: str, key: str) -> None:
        """An action by its key, or by its name in the menu."""
        time.sleep(HAND_S)
        if not self._menu:
            self.screen.press(key)
            return
        self.screen.press(":")
        self.screen.wait_for("─ Menu ─")
        time.sleep(HAND_S)
        self.screen.press(action)
        self.screen.wait_for(lambda text: re.search(rf"▶ {action} ", text) is not None)
        time.sleep(HAND_S)
        self.screen.press("\r")

    def type(self, text: str) -> None:
        time.sleep(HAND_S)
        for letter in text:
            self.screen.press(letter)
            time.sleep(0.04)
        time.sleep(HAND_S)
        self.screen.press("\r")

    def answer(self, key: str) -> None:
        time.sleep(HAND_S)
        self.screen.press(key)

    def back(self, gone: str) -> None:
        """Esc, until `gone` has left the screen."""
        self.screen.press("\x1b")
        self.screen.wait_for(lambda text: gone not in text)

    def until(self, holds: Callable[[], object], within_s: float = 15.0) -> None:
        """Wait until `holds`. Raises with the screen otherwise."""
        try:
            wait_until(holds, within_s, 0.1)
        except AssertionError:
            raise AssertionError(f"not within {within_s} s:\n{self.screen.text}") from None

    # ---- what the engine says ----------------------------------------------------------------------------------------

    def card(self) -> dict[str, Any]:
        """The youngest open card."""
        cards = [each for each in self.house.view()["proposals"] if each["proposal"]["status"] in ("PENDING", "STALE")]
        return max(cards, key=lambda each: each["proposal"]["id"], default={})

    def position(self) -> dict[str, Any]:
        return next(iter(self.house.view()["positions"]), {})

    # ---- the steps ---------------------------------------------------------------------------------------------------

    def ready_card(self) -> tuple[str, str]:
        """Wait for a card that is selected and READY: (handle, symbol)."""
        text = self.screen.wait_for(lambda text: re.search(r"▶P\d+ .*READY", text) is not None, PROPOSAL_S)
        found = re.search(r"▶(P\d+) +(?:BUY|SELL) +\S+ (\S+).*READY", text)
        assert found is not None, text
        return found[1], found[2]

    def look_why(self, handle: str) -> None:
        self.do("why", "\r")
        text = self.screen.wait_for("esc closes")
        assert handle in text
        self.screen.wait_for(lambda text: "signal of" in text)
        self.back("esc closes")

    def halve_card(self, handle: str) -> Decimal:
        """Edit to half; the size that is left."""
        before = Decimal(self.card()["proposal"]["qty"])
        self.do("edit", "e")
        self.screen.wait_for(f"Edit {handle}")
        self.answer("2")
        self.screen.wait_for("▶half")
        self.answer("\r")
        self.screen.wait_for(lambda text: f"Edit {handle}" not in text)
        self.until(lambda: Decimal(self.card()["proposal"]["qty"]) < before)
        after = Decimal(self.card()["proposal"]["qty"])
        assert before * Decimal("0.4") < after <= before / 2
        assert self.house.view()["positions"] == []
        return after

    def approve(self, handle: str, qty: Decimal) -> None:
        """Approve the new card, and see the position whose stop the venue confirmed. The market runs twenty times as
        fast as a hand: when the numbers have moved under it, look and press again, as the cockpit says."""
        ready = re.compile(rf"▶{handle} .*READY")
        for _ in range(_TRIES):
            self.until(lambda: self.position() or ready.search(self.screen.text))
            if self.position():
                break
            self.do("approve", "a")
            time.sleep(1.5)  # an answer, or numbers that have moved
        self.until(lambda: self.position().get("stop_state") == "ok", 20.0)
        assert 0 < Decimal(self.position()["qty"]) <= qty

    def move_stop(self) -> None:
        """A third of the way to the price."""
        held = self.position()
        stop, price = Decimal(held["stop"]), Decimal(repr(held["price"]))
        wanted = (stop + (price - stop) / 3).quantize(stop)
        self.do("stop", "s")
        self.screen.wait_for(f"Stop of {held['symbol']}")
        self.type(f"{wanted:f}")
        self.until(lambda: Decimal(self.position()["stop"]) == wanted and self.position()["stop_state"] == "ok")
        (there,) = self.stops_of(held["symbol"], 1)
        assert Decimal(there["triggerPrice"]) == wanted

    def stops_of(self, symbol: str, count: int) -> list[dict[str, Any]]:
        """The stops that the venue lists, once there are `count`."""
        ledger = self.house.ledger()
        self.until(lambda: len(ledger.stops(symbol)) == count)
        return ledger.stops(symbol)

    def close_half(self) -> None:
        held = self.position()
        before = Decimal(held["qty"])
        self.do("half", "C")
        self.screen.wait_for(f"Close half of {held['symbol']}")
        self.answer("y")
        self.until(lambda: Decimal(self.position()["qty"]) < before and self.position()["stop_state"] == "ok")
        left = Decimal(self.position()["qty"])
        assert before * Decimal("0.4") <= left <= before * Decimal("0.6")
        (there,) = self.stops_of(held["symbol"], 1)
        assert Decimal(there["quantity"]) == left

    def flatten(self) -> None:
        symbol = self.position()["symbol"]
        self.do("flatten", "F")
        text = self.screen.wait_for("flatten ours")
        assert symbol in text
        self.type("flat")
        self.until(lambda: not self.position())
        assert self.house.ledger().positions() == {}
        self.stops_of(symbol, 0)

    def quit(self) -> None:
        self.do("quit", "q")
        self.screen.wait_for("Leave Nexus")
        self.answer("r")

    def trade(self) -> None:
        """The whole day."""
        handle, _ = self.ready_card()
        self.look_why(handle)
        qty = self.halve_card(handle)
        self.approve(handle, qty)
        self.move_stop()
        self.close_half()
        self.flatten()
        self.quit()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House(tmp_path, words=WORDS) as made:
        yield made


def test_a_day_at_the_keys(house: House) -> None:
    terminal = house.cockpit(columns=80, lines=24)
    Trader(house, terminal, menu=False).trade()
    assert terminal.process.wait(15) == 0


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
@pytest.mark.parametrize(
    ("columns", "lines", "menu"),
    [(80, 24, False), (120, 40, False), (200, 50, False), (120, 40, True)],
    ids=["80x24", "120x40", "200x50", "menu"],
)
def test_a_day_in_tmux(house: House, tmp_path: Path, columns: int, lines: int, menu: bool) -> None:
    command = [sys.executable, "-m", "nexus_tui", *house.words]
    environment = _ENV | {"TERM": "xterm-256color"}
    terminal = Tmux(tmp_path / "tmux", command, columns=columns, lines=lines, env=environment)
    try:
        Trader(house, terminal, menu=menu).trade()
        assert terminal.wait(15) == 0
    finally:
        terminal.close()
