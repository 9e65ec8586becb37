"""What a monkey's run left behind, judged: what was done, what nothing explains, and what proves nothing."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from nexus_engine.model.facts import (
    Adopted,
    AnyFact,
    Crashed,
    LatchSet,
    Leaving,
    ModeSet,
    Noted,
    OrderIntended,
    PlanChanged,
    ProposalChanged,
    ProposalMade,
    RunEnded,
    RunStarted,
)
from nexus_engine.model.orders import Order
from nexus_engine.model.words import Latch, Leg, Mode, ProposalStatus

Pressed = Callable[[frozenset[str], int], bool]
"""(keys, UTC ns): one of the keys was sent just before."""
SURE: Final = frozenset("y\r")
"""What ends a question that a person must answer: y, or Enter behind a typed word."""
YES: Final = SURE | {"a"}
"""What can make an approval: the key, the second key, and Enter in the menu."""
LONG_S: Final = 1800.0
"""From here on memory and what was done are judged."""
ENTRIES: Final = 10
"""What a run makes at least in so long: one in which nothing is traded says nothing of orders."""
_BY_HAND: Final = {
    "closed": re.compile("closing all of it"),
    "halved": re.compile("closing half of it"),
    "flattened": re.compile("flatten: closing [1-9]"),
}
ONCE: Final = ("stops moved", *_BY_HAND)
"""What a long run does at least once."""


def deeds(facts: Iterable[AnyFact]) -> Counter[str]:
    """What was proposed, entered, and done by hand."""
    done, made = Counter(dict.fromkeys(("proposals", "entries by you", "entries by bot", *ONCE), 0)), set[int]()
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


def unexplained(facts: Iterable[AnyFact], at_venue: Iterable[str], pressed: Pressed) -> tuple[int, list[str]]:
    """(entries, what nothing explains).

    An entry needs an approval of its own that still holds, by a person who pressed a key just then or by the bot in
    PILOT, and no latch and no WATCHER. Every other order needs a position that such an entry opened, or one that a
    person took over; a person's needs a key as well. What the venue has of ours must be in the journal, and every run
    must have ended in order.
    """
    judge = _Judge(pressed)
    for fact in facts:
        judge.see(fact)
    if judge.running:
        judge.found.append("the last run did not end in order")
    judge.found += [f"the venue has {cid!r}, the journal not" for cid in at_venue if cid not in judge.ours]
    return judge.entries, judge.found


class _Judge:
    def __init__(self, pressed: Pressed) -> None:
        self._pressed = pressed
        self._mode = Mode.COPILOT
        self._latches = set[Latch]()
        self._approved = set[int]()
        """Approvals that no entry has used, and nothing taken back."""
        self._opened = dict[int, str]()
        """The symbol of what was entered or adopted, by its intent."""
        self._leaving = set[int]()
        """What a person wants to be rid of: its exits are repeated without a key until nothing is held."""
        self.running = False
        self.ours = set[str]()
        self.entries = 0
        self.found: list[str] = []

    def see(self, fact: AnyFact) -> None:
        match fact:
            case RunStarted():
                self.running = True
            case RunEnded():
                self.running = False
            case Crashed():
                self.found.append("a run did not end in order")
            case ModeSet():
                self._mode = fact.mode
            case LatchSet(on=True):
                self._latches.add(fact.latch)
            case LatchSet():
                self._latches.discard(fact.latch)
                self._need_key(fact, f"{fact.latch} released")
            case PlanChanged():
                self._need_key(fact, f"the stop of {fact.symbol} moved")
            case Adopted():
                self._opened[fact.intent] = fact.symbol
                self._need_key(fact, f"{fact.symbol} adopted")
            case Leaving():
                self._need_key(fact, f"{fact.symbol} left")
                if fact.by == "you":
                    self._leaving |= {intent for intent, symbol in self._opened.items() if symbol == fact.symbol}
            case ProposalChanged():
                self._proposal(fact)
            case OrderIntended():
                self.ours.add(fact.order.client_id)
                self._order(fact, fact.order)

    def _need_key(
        self,
        fact: LatchSet | PlanChanged | Adopted | Leaving | ProposalChanged,
        what: str,
        keys: frozenset[str] = SURE,
    ) -> None:
        if fact.by == "you" and not self._pressed(keys, fact.at_ns):
            self.found.append(f"{what} by you, but no key was pressed")

    def _proposal(self, fact: ProposalChanged) -> None:
        if fact.status is not ProposalStatus.APPROVED:
            self._approved.discard(fact.proposal)
            return
        self._approved.add(fact.proposal)
        self._need_key(fact, f"P{fact.proposal} approved", YES)
        if fact.by != "you" and self._mode is not Mode.PILOT:
            self.found.append(f"P{fact.proposal} approved by {fact.by} in {self._mode}")

    def _order(self, fact: OrderIntended, order: Order) -> None:
        name = f"{order.leg.word} {order.client_id}"
        if order.leg is Leg.ENTRY:
            self.entries += 1
            self._opened[order.intent] = order.symbol
            if order.intent not in self._approved:
                self.found.append(f"{name} without an approval")
            self._approved.discard(order.intent)
            self.found += [f"{name} while {latch} held" for latch in sorted(self._latches)]
            if self._mode is Mode.WATCHER:
                self.found.append(f"{name} in WATCHER")
            return
        if order.leg is not Leg.FOREIGN and order.intent not in self._opened:
            self.found.append(f"{name} of nothing that was opened")
        if order.by == "you" and order.intent not in self._leaving and not self._pressed(SURE, fact.at_ns):
            self.found.append(f"{name} by you, but no key was pressed")


def unproven(seconds: float, done: Mapping[str, int], slope_mb_h: float) -> list[str]:
    """What a long run must not be: one whose memory grows, or one that proves nothing of orders."""
    if seconds < LONG_S:
        return []
    found = [] if slope_mb_h < 1.0 else [f"memory grows {slope_mb_h:.2f} MB/h"]
    entries, least = done["entries by you"] + done["entries by bot"], int(ENTRIES * seconds / LONG_S)
    if entries < least:
        found.append(f"only {entries} entries, {least} at least: a run in which nothing is traded is no proof")
    return found + [f"{name}: not once" for name in ONCE if not done[name]]


def tracebacks(folder: Path) -> list[str]:
    """What the logs of an account hold of them, the rotated ones too: the end of each log that has any."""
    texts = ((path.name, path.read_text(encoding="utf-8")) for path in sorted(folder.glob("nexus.log*")))
    return [f"a traceback in {name}:\n{text[-3_000:]}" for name, text in texts if "Traceback" in text]
