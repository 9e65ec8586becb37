"""A calm hand at the demo's cockpit: it looks at the screen, and does what a trader does."""

import random
import re
import time
from collections.abc import Callable
from decimal import Decimal

from pty_terminal import Terminal

_TYPED = re.compile(r"type (protect only|\w+) and enter")
_FREE = "no latch holds"
_HELD_BY_LATCH = "r releases"
_READY = re.compile(r"^▶P\d+ .*READY", re.MULTILINE)
_CARD = re.compile(r"^[▶▷ ]P\d+ +(?:BUY|SELL) ", re.MULTILINE)
_HELD = re.compile(r"^[LS][ ▶][A-Z0-9]+ ", re.MULTILINE)
_STOP = re.compile(r"now ([\d,.]+).*?stop ([\d,.]+),", re.DOTALL)
_OFF = re.compile(r"(\d) \w+ +OFF ")
_MENU = re.compile("─ Menu ")
_STRATEGIES = re.compile("Strategies   takes")
_MODES = re.compile("Mode   down at once")
_PATIENCE_S = 5.0
"""For what must come. A machine that is busy with other things is late."""
_MOST = 6
"""Latches that can hold at a time, and strategies that can be off."""


class Hand:
    """`terminal` gives the one that is open now, `press` sends keys to it."""

    def __init__(self, terminal: Callable[[], Terminal], press: Callable[[str], None], rng: random.Random) -> None:
        self._terminal = terminal
        self._press_now = press
        self._rng = rng
        self.slowest_s = 0.0
        """The longest that an answer to a key was waited for."""

    # ---- back to a cockpit that trades -------------------------------------------------------------------------------

    def heal(self, mode: str) -> bool:
        """No dialog, no latch, every strategy on, and `mode`. False when something still holds.

        Only what is asked for is typed, and only once the screen is of now: where nothing asks, a word is as many keys,
        and the `p` of `pause` is PAUSE.
        """
        self.clear()
        if not (self._release_all() and self._switch_on()):
            return False
        self._set_mode(mode)
        return self._answers() and self._shows(mode) and _HELD_BY_LATCH not in self._text

    def leave(self) -> None:
        """As a user does, stops resting; and wait for the end."""
        self.clear()
        self._press("q")
        if self._see(re.compile("─ Leave Nexus "), _PATIENCE_S) is not None:
            self._press("r")
            self._until(lambda: self._terminal().process.poll() is not None, 2 * _PATIENCE_S)

    def clear(self) -> None:
        """The whole cockpit, nothing over it, the moving keys at the cards."""
        for keys in ("\x1b", "\x1b", "\x1b", "1"):
            self._press(keys)

    def _release_all(self) -> bool:
        """Release what holds; True once nothing does."""
        for _ in range(_MOST):
            if not self._answers():
                return False
            self._press("r")
            found = self._see(re.compile(rf"{_TYPED.pattern}|{_FREE}|asked for again"), _PATIENCE_S)
            if found is None or found[0] == _FREE:
                return found is not None
            if found[1] and not self._type(found[1]):
                return False
        return False

    def _answers(self) -> bool:
        """The menu, asked for last, comes and goes: all that was pressed before has been dealt with."""
        if not self._until(lambda: _MENU.search(self._text) is None, _PATIENCE_S):
            return False
        began_s = time.monotonic()
        self._press_now(":")
        if self._see(_MENU, _PATIENCE_S) is None:
            return False
        self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)
        self._press("\x1b")
        return self._until(lambda: _MENU.search(self._text) is None, _PATIENCE_S)

    def _switch_on(self) -> bool:
        """Every strategy; True once the page shows none that is off."""
        for _ in range(_MOST + 1):
            self._press(":")
            if self._see(_MENU, _PATIENCE_S) is None:
                return False
            self._press("strategies")
            self._press("\r")
            if self._see(_STRATEGIES, _PATIENCE_S) is None:
                return False
            off = _OFF.search(self._text)
            for key in (off[1], "y") if off else ("\x1b",):
                self._press(key)
            if not off:
                return True
            if not self._answers():
                return False
        return False

    def _set_mode(self, mode: str) -> None:
        if self._shows(mode):
            return
        self._press("m")
        if self._see(_MODES, _PATIENCE_S) is not None:
            self._press(mode[0].lower())
            if (asked := self._see(_TYPED)) is not None:
                self._type(asked[1])

    def _shows(self, mode: str) -> bool:
        return f" {mode} " in self._text.split("\n", 1)[0]

    # ---- a trade -----------------------------------------------------------------------------------------------------

    def trade(self) -> None:
        """Decide a card if there is one; else now and then do something with a position."""
        if _READY.search(self._text):
            self._press("a")
            return
        self.clear()
        if self.sees_card():
            self._approve()
        elif (held := len(_HELD.findall(self._text))) and self._rng.random() < 0.07:
            self._press("\t")
            for _ in range(self._rng.randrange(held)):
                self._press("j")
            self._rng.choice((self._move_stop, self._move_stop, self._close, self._half, self._half, self._flatten))()

    def sees_card(self) -> bool:
        return _CARD.search(self._text) is not None

    def _approve(self) -> None:
        if "▶P" not in self._text or self._rng.random() < 0.3:
            self._press("j")
        if self._see(_READY, 2.5) is not None:
            self._press("a")

    def _move_stop(self) -> None:
        """A part of the way to the price."""
        self._press("s")
        if (found := self._see(_STOP)) is None:
            return
        price, stop = (Decimal(each.replace(",", "")) for each in found.groups())
        wanted = (stop + (price - stop) * Decimal(self._rng.choice(("0.2", "0.4", "0.7")))).quantize(stop)
        self._press(f"{wanted:f}")
        self._press("\r")

    def _close(self) -> None:
        self._sure("c", "Close ")

    def _half(self) -> None:
        self._sure("C", "Close half of ")

    def _sure(self, key: str, title: str) -> None:
        self._press(key)
        if self._see(re.compile(f"─ {title}")) is not None:
            self._press("y")

    def _flatten(self) -> None:
        self._press("F")
        if (asked := self._see(_TYPED)) is not None:
            if self._rng.random() < 0.3:
                self._press("\t")
            self._type(asked[1])

    # ---- keys and screen ---------------------------------------------------------------------------------------------

    @property
    def _text(self) -> str:
        return self._terminal().text

    def _press(self, keys: str) -> None:
        """And give the cockpit the time to show what it did."""
        self._press_now(keys)
        time.sleep(0.25)

    def _type(self, word: str) -> bool:
        """Answer a question; False when it does not go."""
        self._press(word)
        self._press("\r")  # with the word it would be taken for pasted
        return self._until(lambda: _TYPED.search(self._text) is None, _PATIENCE_S)

    def _until(self, done: Callable[[], bool], within_s: float) -> bool:
        deadline_s = time.monotonic() + within_s
        while not (over := done()) and time.monotonic() < deadline_s:
            time.sleep(0.05)
        return over

    def _see(self, what: re.Pattern[str], within_s: float = 1.0) -> re.Match[str] | None:
        """What is found on the screen; None when it does not come, or nobody is there any more."""
        deadline_s = time.monotonic() + within_s
        while (found := what.search(self._text)) is None:
            if time.monotonic() > deadline_s or self._terminal().process.poll() is not None:
                return None
            time.sleep(0.05)
        return found
