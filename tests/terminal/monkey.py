"""A monkey at the keys of the demo: everything that can be pressed, pasted and resized, from a seed.

It finds: a crash, an error pane, a traceback in the log, a journal that does not verify, and an order that neither a
key nor a rule explains. A programme too: `python monkey.py --minutes 60 --seed 1`.
"""

import argparse
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import combinations
from pathlib import Path
from statistics import median

from calm_hand import Hand
from demo_house import House, nexus, wait_until
from pty_terminal import Terminal

from nexus_engine.model.facts import (
    Adopted,
    AnyFact,
    ModeSet,
    Noted,
    OrderIntended,
    PlanChanged,
    ProposalChanged,
    ProposalMade,
)
from nexus_engine.model.words import Leg, Mode, ProposalStatus
from nexus_engine.store.sqlite import SqliteJournal
from nexus_tui.bindings import KEYS

SIZES = ((80, 24), (120, 40), (200, 50), (100, 30), (112, 36), (60, 15), (20, 3))
YES = frozenset("ay\r")
"""What can make an approval: the key, the second key, and Enter in the menu."""
YES_WITHIN_NS = 5_000_000_000
_NAMED = {
    "exclamation_mark": "!", "colon": ":", "question_mark": "?", "full_stop": ".", "slash": "/", "space": " ",
    "left_square_bracket": "[", "right_square_bracket": "]", "enter": "\r", "tab": "\t", "shift+tab": "\x1b[Z",
    "up": "\x1b[A", "down": "\x1b[B", "right": "\x1b[C", "left": "\x1b[D", "f9": "\x1b[20~", "f10": "\x1b[21~",
}  # fmt: skip
_LEAVING = frozenset({"q", "ctrl+q", "ctrl+z"})
PAGES = "12345"
LONG_S = 1800.0
"""From here on memory and the number of entries are judged. Who plays shorter needs no tour, and may always leave."""
ENTRIES = 10
"""What a long run makes at least: one in which nothing is traded says nothing of orders."""
WILD_S, CALM_S = 15.0, 45.0
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
_WORDS = ("halt", "pause", "swan", "flat", "pilot", "copilot", "150.1", "0", "-1e9", "BTC", "approve", "reconcile", "")
_BY_HAND = {
    "closed": re.compile("closing all of it"),
    "halved": re.compile("closing half of it"),
    "flattened": re.compile("flatten: closing [1-9]"),
}
_GARBAGE = "abcdefghijklmnoprstuvwxyzACFGZ0123456789.,:;/?[](){}<>@#$%&*+=-_~^|'\"\\ äß交\t\r\x7f\x01\x02\x05\x0b\x0f"


def to_bytes(name: str) -> str:
    """What a terminal sends for a key of the table. Raises KeyError for one that is not known here."""
    if len(name) == 1:
        return name
    return chr(ord(name[5:]) - 96) if re.fullmatch(r"ctrl\+[a-z]", name) else _NAMED[name]


PRESSES = {name: to_bytes(name) for key in KEYS for name in filter(None, key.keys.split(","))}
_STOPPING_TEXT = {ord(PRESSES[name]): None for name in _STOPPING if len(PRESSES[name]) == 1}


class Monkey:
    """`found` is what went wrong. `memory` holds (s, MB) of cockpit and engine together."""

    def __init__(self, house: House, seed: int) -> None:
        self._house = house
        self._rng = random.Random(seed)
        self._yes_ns: list[int] = []
        self._calm = False
        """Every other time between two healings it lets entries be, and a hand decides what there is to decide."""
        self.found: list[str] = []
        self.memory: list[tuple[float, float]] = []
        self.pressed = 0
        self.openings = 0
        self._terminal = self._open()
        self._hand = Hand(lambda: self._terminal, self._press, self._rng)

    # ---- the keys ----------------------------------------------------------------------------------------------------

    def play(self, seconds: float) -> None:
        """Press for so long. In a long run it leaves and comes back only in the first sixth, so that memory can be
        watched after; and with the last cockpit it first opens everything that there is."""
        began_s = time.monotonic()
        looked_s = healed_s = began_s
        toured = seconds < LONG_S
        while (now_s := time.monotonic()) < began_s + seconds and not self.found:
            leaving = seconds < LONG_S or now_s < began_s + seconds / 6
            if not (leaving or toured):
                toured = True
                self._tour()
            self._act(leaving=leaving)
            time.sleep(self._rng.choice((0.0, 0.01, 0.05, 0.2, 0.4)))
            if now_s - looked_s > 1.0:
                looked_s = now_s
                self._look(now_s - began_s)
            if now_s - healed_s > (CALM_S if self._calm else WILD_S):
                self._look(now_s - began_s)
                healed_s = time.monotonic() if self._heal() else healed_s

    def _act(self, *, leaving: bool) -> None:
        rng = self._rng
        dice = rng.random()
        if self._calm and dice > (0.4 if self._hand.sees_card() else 0.76):
            self._hand.trade()
        elif dice < 0.70:
            kept = _LEAVING | _STOPPING if self._calm else _LEAVING
            name = rng.choice([each for each in PRESSES if each not in kept])
            self._press(PRESSES[name])
        elif dice < 0.76:
            self._press("a")
        elif dice < 0.84:
            self._press(self._typed(rng.choice(_WORDS)) + "\r")
        elif dice < 0.88:
            self._press("\x1b")
        elif dice < 0.91:
            text = "".join(rng.choices(_GARBAGE, k=rng.randint(1, 300)))
            self._press(f"\x1b[200~{text}\x1b[201~", key=False)
        elif dice < 0.94:
            self._press(self._typed("".join(rng.choices(_GARBAGE, k=rng.randint(2, 40)))))
        elif dice < 0.97:
            self._terminal.resize(*rng.choice(SIZES))
        elif leaving:
            self._press(PRESSES[rng.choice(sorted(_LEAVING & set(PRESSES)))])
            time.sleep(0.4)
            self._press(rng.choice(("s", "d", "r", "\x1b")))

    def _typed(self, text: str) -> str:
        """Where nothing asks for a word its letters are keys."""
        return text.translate(_STOPPING_TEXT) if self._calm else text

    def _press(self, keys: str, *, key: bool = True) -> None:
        self.pressed += 1
        if key and set(keys) & YES:
            self._yes_ns.append(time.time_ns())
        self._terminal.press(keys)

    def _tour(self) -> None:
        """Every key on every page, on every size: what is loaded and laid out for the first time is no growth."""
        for columns, lines in SIZES[:3]:
            self._terminal.resize(columns, lines)
            for page in PAGES:
                for name in sorted(PRESSES.keys() - _LEAVING):
                    for keys in (page, PRESSES[name], "\x1b", "\x1b"):
                        self._press(keys)
                        time.sleep(0.1)
            self._heal()

    def _heal(self) -> bool:
        """Back to a cockpit that trades, on a screen that is large enough; now and then one that trades by itself. Then
        it is calm where it was wild."""
        self._terminal.resize(*self._rng.choice(SIZES[:3]))
        healed = self._hand.heal("PILOT" if not self._calm and self._rng.random() < 0.2 else "COPILOT")
        self._calm ^= healed
        return healed

    # ---- what it finds -----------------------------------------------------------------------------------------------

    def _open(self) -> Terminal:
        self.openings += 1
        terminal = self._house.cockpit(columns=120, lines=40)
        terminal.wait_for("Sentinel", 40.0)
        return terminal

    def _look(self, at_s: float) -> None:
        text = self._terminal.text
        if "cannot be shown" in text:
            self.found.append(f"{at_s:.0f} s: an error pane:\n{text}")
        code = self._terminal.process.poll()
        if code is not None:
            if code:
                self.found.append(f"{at_s:.0f} s: left with {code}:\n{text}")
                return
            self._terminal.close()
            self._terminal = self._open()
        venue = self._house.venue_pid()
        pids = [pid for pid in self._house.processes() if pid != venue]
        self.memory.append((at_s, sum(map(_rss_mb, pids))))

    def end(self) -> None:
        """Leave with stops resting, then read everything that is left behind."""
        if self._terminal.process.poll() is None:
            self._terminal.close()
        if self._house.processes():
            wait_until(lambda: self._house.status() or not self._house.processes(), 10.0)
            if self._house.status():
                self._house.end()
        wait_until(lambda: not self._house.processes(), 20.0)
        log = self._house.folder / "nexus.log"
        if log.exists() and "Traceback" in (text := log.read_text(encoding="utf-8")):
            self.found.append(f"a traceback in the log:\n{text[-3_000:]}")
        verified = nexus("journal", "verify", "--state", self._house.state)
        if verified.returncode:
            self.found.append(f"the journal: {verified.stdout}{verified.stderr}")
        journal = SqliteJournal.open(self._house.folder / "journal.db")
        try:
            facts = list(journal.facts())
        finally:
            journal.close()
        books = json.loads((self._house.folder / "venue" / "venue.json").read_text())["ledger"]
        there = [row["client_id"] for kind in ("orders", "algos") for row in books[kind].values()]
        self.deeds = deeds(facts)
        self.entries, found = unexplained(facts, there, self._said_yes)
        self.found += found

    def _said_yes(self, at_ns: int) -> bool:
        return any(0 <= at_ns - yes_ns < YES_WITHIN_NS for yes_ns in self._yes_ns)

    def slope_mb_h(self, after_s: float) -> float:
        """Theil and Sen's median of slopes over what was seen after `after_s`: one step of the allocator, or one page
        that is opened, is no slope."""
        points = [(at_s / 3600, mb) for at_s, mb in self.memory if at_s >= after_s]
        points = points[:: len(points) // 300 + 1]
        slopes = [(late[1] - soon[1]) / (late[0] - soon[0]) for soon, late in combinations(points, 2)]
        return median(slopes) if slopes else float("nan")


def deeds(facts: Iterable[AnyFact]) -> Counter[str]:
    """What was proposed, entered, and done by hand."""
    names = ("proposals", "entries by you", "entries by bot", "stops moved", *_BY_HAND)
    done, made = Counter(dict.fromkeys(names, 0)), set[int]()
    for fact in facts:
        if isinstance(fact, ProposalMade):
            made.add(fact.proposal.id)
        elif isinstance(fact, OrderIntended) and fact.order.leg is Leg.ENTRY:
            done[f"entries by {fact.order.by}"] += 1
        elif isinstance(fact, PlanChanged) and fact.by == "you":
            done["stops moved"] += 1
        elif isinstance(fact, Noted) and fact.by == "you":
            done.update(name for name, told in _BY_HAND.items() if told.match(fact.text))
    done["proposals"] = len(made)
    return done


def unexplained(
    facts: Iterable[AnyFact], at_venue: Iterable[str], said_yes: Callable[[int], bool]
) -> tuple[int, list[str]]:
    """(entries, orders that nothing explains).

    An entry needs a proposal that was approved: by a person who pressed a key just then, or by the bot in PILOT. Every
    other order needs a position that such an entry opened, or one that a person took over. What the venue has of ours
    must be in the journal.
    """
    mode, approved, opened, ours = Mode.COPILOT, dict[int, str](), set[int](), set[str]()
    found: list[str] = []
    entries = 0
    for fact in facts:
        if isinstance(fact, ModeSet):
            mode = fact.mode
        elif isinstance(fact, Adopted):
            opened.add(fact.intent)
        elif isinstance(fact, ProposalChanged) and fact.status is ProposalStatus.APPROVED:
            approved[fact.proposal] = fact.by
            if fact.by == "you" and not said_yes(fact.at_ns):
                found.append(f"P{fact.proposal} approved by you, but no key was pressed")
            if fact.by != "you" and mode is not Mode.PILOT:
                found.append(f"P{fact.proposal} approved by {fact.by} in {mode}")
        elif isinstance(fact, OrderIntended):
            order = fact.order
            ours.add(order.client_id)
            if order.leg is Leg.ENTRY:
                entries += 1
                opened.add(order.intent)
                if order.intent not in approved:
                    found.append(f"entry {order.client_id} without an approval")
            elif order.intent not in opened and order.by != "you":
                found.append(f"{order.leg} {order.client_id} of nothing that was opened")
    found += [f"the venue has {client_id!r}, the journal not" for client_id in at_venue if client_id not in ours]
    return entries, found


def unproven(seconds: float, entries: int, slope_mb_h: float) -> list[str]:
    """What a long run must not be: one whose memory grows, or one that proves nothing of orders."""
    if seconds < LONG_S:
        return []
    found = [] if slope_mb_h < 1.0 else [f"memory grows {slope_mb_h:.2f} MB/h"]
    if entries < ENTRIES:
        found.append(f"only {entries} entries, {ENTRIES} at least: a run in which nothing is traded is no proof")
    return found


def _rss_mb(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6
    except OSError:
        return 0.0


def run(folder: Path, seed: int, seconds: float) -> Monkey:
    """Let one play on a new account."""
    words = ("--scenario", "range", "--seed", str(seed), "--speed", "20")
    with House(folder, words=words, config=DIRECTIVE) as house:
        monkey = Monkey(house, seed)
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
        f"{monkey.pressed} presses, {monkey.openings} openings, {monkey.entries} entries "
        f"({', '.join(f'{count} {name}' for name, count in monkey.deeds.items())}), "
        f"memory {monkey.memory[-1][1]:.0f} MB, slope of the second half {slope:+.2f} MB/h"
    )
    monkey.found += unproven(seconds, monkey.entries, slope)
    for line in monkey.found:
        print(line)
    return 1 if monkey.found else 0


if __name__ == "__main__":
    sys.exit(main())
