"""A monkey at the keys of the demo: everything that can be pressed, pasted and resized, from a seed.

It finds: a crash, a cockpit that answers nothing or does not leave, an error pane, a traceback in the log, a journal
that does not verify, and an order that neither a key nor a rule explains. A programme too:
`python monkey.py --minutes 60 --seed 1`.
"""

import argparse
import json
import random
import re
import sys
import tempfile
import time
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import NamedTuple

from calm_hand import Hand
from demo_house import House, nexus, wait_until
from monkey_judge import LONG_S, YES, deeds, tracebacks, unexplained, unproven
from pty_terminal import Terminal

from nexus_engine.core.why import KEPT
from nexus_engine.model.facts import AnyFact, OrderIntended, ProposalMade, SignalSeen
from nexus_engine.model.ledger import KEPT_ORDERS, KEPT_PROPOSALS
from nexus_engine.runtime.client import ask
from nexus_engine.store.sqlite import SqliteJournal
from nexus_tui.bindings import KEYS

SIZES = ((80, 24), (120, 40), (200, 50), (100, 30), (112, 36), (60, 15), (20, 3))
_NAMED = {
    "exclamation_mark": "!", "colon": ":", "question_mark": "?", "full_stop": ".", "slash": "/", "space": " ",
    "left_square_bracket": "[", "right_square_bracket": "]", "enter": "\r", "tab": "\t", "shift+tab": "\x1b[Z",
    "up": "\x1b[A", "down": "\x1b[B", "right": "\x1b[C", "left": "\x1b[D", "f9": "\x1b[20~", "f10": "\x1b[21~",
}  # fmt: skip
_LEAVING = frozenset({"q", "ctrl+q", "ctrl+z"})
PAGES = "12345"
PRESSED_S = 1.5
"""A key acts within so long, on a machine that answers at once."""
STUCK_S = 60.0
"""For so long a cockpit may resist being healed."""
LEAVE_S = 30.0
PAST_S = 2700.0
"""A past takes no longer."""
DIRECTIVE = """
[risk]
day_loss_pct = 20.0
day_loss_r = 50.0
week_loss_r = 100.0
[shield]
stops_window_min = 3
"""
"""An hour is most of a day of this market: a monkey's losses must not end its trading, and what counts real minutes
counts as many of the market."""
_STOPPING = frozenset(
    name
    for key in KEYS
    if key.id in ("halt", "pause", "mode", "flatten", "snooze", "reject")
    for name in key.keys.split(",")
)
"""What keeps entries away: pressed all the time, nothing would ever be approved, and nothing be judged."""
_APART_S = 0.05
"""A word with its enter at once would be taken for pasted, and never sent."""
_WORDS = ("halt", "pause", "swan", "flat", "pilot", "copilot", "150.1", "0", "-1e9", "BTC", "approve", "reconcile", "")
_GARBAGE = "abcdefghijklmnoprstuvwxyzACFGZ0123456789.,:;/?[](){}<>@#$%&*+=-_~^|'\"\\ äß交\t\r\x7f\x01\x02\x05\x0b\x0f"


def to_bytes(name: str) -> str:
    """What a terminal sends for a key of the table. Raises KeyError for one that is not known here."""
    if len(name) == 1:
        return name
    return chr(ord(name[5:]) - 96) if re.fullmatch(r"ctrl\+[a-z]", name) else _NAMED[name]


PRESSES = {name: to_bytes(name) for key in KEYS for name in filter(None, key.keys.split(","))}
_STOPPING_LETTERS = frozenset(keys for name in _STOPPING if len(keys := PRESSES[name]) == 1)
_SAYING = frozenset(name for name, keys in PRESSES.items() if keys in YES)


class Half(NamedTuple):
    """What is done between two healings, for `seconds`: these keys of the table are not pressed, and these letters are
    not typed in anything else either."""

    seconds: float
    kept: frozenset[str]
    unsaid: Mapping[int, None] = {}


WILD = Half(15.0, _LEAVING)
CALM = Half(45.0, _LEAVING | _STOPPING)
"""Entries are let be, and a hand decides what there is to decide."""
MUTE = Half(12.0, _LEAVING | _STOPPING | _SAYING, dict.fromkeys(map(ord, _STOPPING_LETTERS | YES)))
"""Entries are let be, and nobody says yes: whatever is approved now, no key has approved."""
HALVES = (WILD, CALM, MUTE, CALM, WILD, CALM, WILD, CALM)


class Monkey:
    """`found` is what went wrong. `memory` holds (s, MB) of cockpit and engine together. `past`: facts from before."""

    def __init__(self, house: House, seed: int, past: int = 0) -> None:
        self._house = house
        self._past = past
        self._rng = random.Random(seed)
        self._yes: list[tuple[int, frozenset[str]]] = []
        self.healed = 0
        self._began_s = time.monotonic()
        self.found: list[str] = []
        self.memory: list[tuple[float, float]] = []
        self.pressed = 0
        self.openings = 0
        self._terminal = self._open()
        self._hand = Hand(lambda: self._terminal, self.press, self._rng)

    @property
    def half(self) -> Half:
        """Each lasts until the cockpit is healed after it."""
        return HALVES[self.healed % len(HALVES)]

    # ---- the keys ----------------------------------------------------------------------------------------------------

    def play(self, seconds: float) -> None:
        """Press for so long. In a long run it leaves and comes back only in the first sixth, so that memory can be
        watched after; and with the last cockpit it first opens everything that there is."""
        began_s = looked_s = healed_s = time.monotonic()
        failing_s: float | None = None
        toured = seconds < LONG_S
        while (now_s := time.monotonic()) < began_s + seconds and not self.found:
            leaving = seconds < LONG_S or now_s < began_s + seconds / 6
            if not (leaving or toured):
                toured, failing_s = True, None  # a tour takes minutes, and heals
                self._tour()
            self.act(leaving=leaving)
            time.sleep(self._rng.choice((0.0, 0.01, 0.05, 0.2, 0.4)))
            if now_s - looked_s > 1.0:
                looked_s = now_s
                self._look()
            if now_s - healed_s > self.half.seconds:
                self._look()
                tried_s = time.monotonic()  # a tour takes minutes
                if self._heal():
                    healed_s, failing_s = time.monotonic(), None
                    continue
                failing_s = failing_s or tried_s
                if time.monotonic() - failing_s > STUCK_S:
                    self._tell(f"could not be healed for {STUCK_S:.0f} s")

    def act(self, *, leaving: bool) -> None:
        rng, half = self._rng, self.half
        dice = rng.random()
        if half is CALM and dice > (0.4 if self._hand.sees_card() else 0.76):
            self._hand.trade()
        elif dice < 0.70:
            self.press(PRESSES[rng.choice([each for each in PRESSES if each not in half.kept])])
        elif dice < 0.76:
            self.press("a".translate(half.unsaid))
        elif dice < 0.84:
            self.press(rng.choice(_WORDS).translate(half.unsaid))
            time.sleep(_APART_S)
            self.press("\r".translate(half.unsaid))
        elif dice < 0.88:
            self.press("\x1b")
        elif dice < 0.91:
            text = "".join(rng.choices(_GARBAGE, k=rng.randint(1, 300)))
            self.press(f"\x1b[200~{text}\x1b[201~", key=False)
        elif dice < 0.94:
            self.press("".join(rng.choices(_GARBAGE, k=rng.randint(2, 40))).translate(half.unsaid))
        elif dice < 0.97:
            self._terminal.resize(*rng.choice(SIZES))
        elif leaving:
            self.press(PRESSES[rng.choice(sorted(_LEAVING & set(PRESSES)))])
            time.sleep(0.4)
            self.press(rng.choice(("s", "d", "r", "\x1b")))

    def press(self, keys: str, *, key: bool = True) -> None:
        self.pressed += 1
        if key and (yes := YES & set(keys)):
            self._yes.append((time.time_ns(), yes))
        self._terminal.send(keys)

    def _tour(self) -> None:
        """Every key on every page, on every size, and help and menu over what it opens: what is loaded and laid out for
        the first time is no growth, and neither is it to come near the most that lies on the screen at once."""
        for columns, lines in SIZES[:3]:
            self._terminal.resize(columns, lines)
            for page in PAGES:
                over = (PRESSES["question_mark"], PRESSES["ctrl+p"], "\x1b", "\x1b") if page == PAGES[0] else ()
                for name in sorted(PRESSES.keys() - _LEAVING):
                    for keys in (page, PRESSES[name], *over, "\x1b", "\x1b"):
                        self.press(keys)
                        time.sleep(0.1)
            self._heal()

    def _heal(self) -> bool:
        """Back to a cockpit that trades, on a screen that is large enough; now and then one that trades by itself. Then
        the next half begins, and nothing that was pressed before is still on its way."""
        self._terminal.resize(*self._rng.choice(SIZES[:3]))
        healed = self._hand.heal("PILOT" if self.half is not CALM and self._rng.random() < 0.2 else "COPILOT")
        self.healed += healed
        return healed

    # ---- what it finds -----------------------------------------------------------------------------------------------

    def _open(self) -> Terminal:
        self.openings += 1
        terminal = self._house.cockpit(columns=120, lines=40)
        terminal.wait_for("Sentinel", 40.0)
        return terminal

    def _tell(self, what: str) -> None:
        self.found.append(f"{time.monotonic() - self._began_s:.0f} s: {what}:\n{self._terminal.text}")

    def _look(self) -> None:
        if "cannot be shown" in self._terminal.text:
            self._tell("an error pane")
        code = self._terminal.process.poll()
        if code is not None:
            if code:
                self._tell(f"left with {code}")
                return
            self._terminal.close()
            self._terminal = self._open()
        venue = self._house.venue_pid()
        pids = [pid for pid in self._house.processes() if pid != venue]
        self.memory.append((time.monotonic() - self._began_s, sum(map(_rss_mb, pids))))

    def leave(self) -> None:
        """After a last look leave as a user does, with stops resting: so it must answer once more, in any run."""
        if not self.found:
            self._look()
        process = self._terminal.process
        if self.found and process.poll() is not None:
            return
        deadline_s = time.monotonic() + LEAVE_S
        self._terminal.resize(120, 40)
        while process.poll() is None and time.monotonic() < deadline_s:
            self._hand.leave()
        if process.poll() is None:
            self._tell(f"did not leave within {LEAVE_S:.0f} s")
            self._terminal.close()
            wait_until(lambda: self._house.status() or not self._house.processes(), 10.0)
            if self._house.status():
                self._house.end()
        elif process.poll():
            self._tell(f"left with {process.poll()}")

    def end(self) -> None:
        """Leave, then read everything that is left behind."""
        self.leave()
        try:
            wait_until(lambda: not self._house.processes(), 20.0)
        except AssertionError:
            self._tell(f"left behind: {self._house.processes()}")
        self.found += tracebacks(self._house.folder)
        verified = nexus("journal", "verify", "--state", self._house.state)
        if verified.returncode:
            self.found.append(f"the journal: {verified.stdout}{verified.stderr}")
        facts = written(self._house)
        books = json.loads((self._house.folder / "venue" / "venue.json").read_text())["ledger"]
        there = [row["client_id"] for kind in ("orders", "algos") for row in books[kind].values()]
        self.deeds = deeds(facts[self._past :])
        self.entries, found = unexplained(facts, there, self.was_pressed)
        self.found += found

    def was_pressed(self, keys: frozenset[str], at_ns: int) -> bool:
        """A machine that is slow is late with every key: as late as with the slowest answer that was seen."""
        within_ns = int((PRESSED_S + self._hand.slowest_s) * 1e9)
        return any(0 <= at_ns - sent_ns < within_ns and keys & sent for sent_ns, sent in self._yes)

    def slope_mb_h(self, after_s: float) -> float:
        """Theil and Sen's median of slopes over what was seen after `after_s`: one step of the allocator, or one page
        that is opened, is no slope."""
        points = [(at_s / 3600, mb) for at_s, mb in self.memory if at_s >= after_s]
        points = points[:: len(points) // 300 + 1]
        slopes = [(late[1] - soon[1]) / (late[0] - soon[0]) for soon, late in combinations(points, 2)]
        return median(slopes) if slopes else float("nan")


def _rss_mb(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6
    except OSError:
        return 0.0


def written(house: House) -> list[AnyFact]:
    """What the account's journal holds."""
    journal = SqliteJournal.open(house.folder / "journal.db")
    try:
        return list(journal.facts())
    finally:
        journal.close()


FULL = {ProposalMade: KEPT_PROPOSALS, SignalSeen: KEPT, OrderIntended: 2 * KEPT_ORDERS}
"""What an engine keeps a bounded number of, and each of which takes a kilobyte or more."""


def full(facts: list[AnyFact]) -> bool:
    """Whether an engine that knows these has forgotten some of each."""
    return all(sum(isinstance(fact, kind) for fact in facts) > kept for kind, kept in FULL.items())


def live(house: House) -> int:
    """Have the account trade by itself, fast, until what it remembers of its trades is full, as that of every account
    is that is not new: what fills once is no leak. Returns how many facts that made."""
    engine = house.headless("--speed", "100")
    wait_until(lambda: house.status().get("state"), 60.0)
    ask(house.folder, {"op": "send", "command": {"type": "SetMode", "mode": "PILOT", "word": "pilot"}})
    wait_until(lambda: full(written(house)), PAST_S, 5.0)
    ask(house.folder, {"op": "send", "command": {"type": "SetMode", "mode": "COPILOT"}})
    ask(house.folder, {"op": "stop"})
    engine.process.wait(60)
    engine.close()
    return len(written(house))


def run(folder: Path, seed: int, seconds: float) -> Monkey:
    """Let one play on a new account; in a long run on one with a past."""
    words = ("--scenario", "range", "--seed", str(seed), "--speed", "20")
    with House(folder, words=words, config=DIRECTIVE) as house:
        monkey = Monkey(house, seed, live(house) if seconds >= LONG_S else 0)
        monkey.play(seconds)
        monkey.end()
    return monkey


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    given = parser.parse_args()
    print(f"seed {given.seed}, {given.minutes:g} minutes", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        monkey = run(Path(folder), given.seed, given.minutes * 60)
    seconds = given.minutes * 60
    slope = monkey.slope_mb_h(seconds / 2)
    print(
        f"{monkey.pressed} presses, {monkey.openings} openings, {monkey.entries} entries with the past's "
        f"(of its own {', '.join(f'{count} {name}' for name, count in monkey.deeds.items())}), "
        f"memory {monkey.memory[-1][1]:.0f} MB, slope of the second half {slope:+.2f} MB/h"
    )
    monkey.found += unproven(seconds, monkey.deeds, slope)
    for line in monkey.found:
        print(line)
    return 1 if monkey.found else 0


if __name__ == "__main__":
    sys.exit(main())
