"""What must be true of a venue's books and of a journal, whoever drove them. Pure: `make dst`, `make faults` and
`make crash` look through the same eyes.

Each function takes plain values and returns lines that say what is broken; none is good. The numbers in brackets are
those of the invariants in the reference.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

from nexus_engine.carrier import EXIT_WAIT_S
from nexus_engine.model.facts import (
    AnyFact,
    Crashed,
    Filled,
    LatchSet,
    ModeSet,
    OrderChanged,
    OrderIntended,
    ProposalChanged,
    ProposalMade,
    RunStarted,
    Sealed,
)
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.words import Latch, Leg, Mode, OrderStatus, ProposalStatus

Execution = tuple[str, str, str, Decimal]
"""Symbol, trade id, client id, quantity."""


def leg_of(cid: str) -> Leg | None:
    """What an order of ours is for; None for anybody else's."""
    if not cid.startswith("nx") or cid.count("-") != 2:
        return None
    return Leg(cid.rpartition("-")[2].strip("0123456789"))


def intent_of(cid: str) -> str:
    """The number of the position that an order of ours belongs to."""
    tail = cid.rpartition("-")[2]
    return tail[: len(tail) - len(tail.lstrip("0123456789"))]


def doubled(placed: Iterable[str]) -> Iterator[str]:
    """[I3] No client id is accepted twice, no intent is entered twice. `placed`: every order that the venue took."""
    ours = [cid for cid in placed if leg_of(cid) is not None]
    for cid, count in Counter(ours).items():
        if count > 1:
            yield f"{cid} was placed {count} times"
    for intent, count in Counter(intent_of(cid) for cid in set(ours) if leg_of(cid) is Leg.ENTRY).items():
        if count > 1:
            yield f"P{intent} was entered {count} times"


def intended(facts: Iterable[AnyFact]) -> set[str]:
    """Client ids of the orders that a journal knows."""
    return {fact.order.client_id for fact in facts if isinstance(fact, OrderIntended)}


def unwritten(placed: Iterable[str], facts: Iterable[AnyFact], excused: Collection[str] = ()) -> Iterator[str]:
    """[I3] What the venue took had been written down. `excused`: exits that could not wait for a disk."""
    for cid in sorted({cid for cid in placed if leg_of(cid) is not None} - intended(facts) - set(excused)):
        yield f"{cid} was placed and is not in the journal"


def impatient(created_ms: Mapping[str, int], facts: Iterable[AnyFact]) -> set[str]:
    """Exits of ours that may have left without their record, as a disk that is late is not waited for: placed that much
    later than the last thing their writer wrote. `created_ms`: when the venue took each order."""
    written_ns: dict[str, int] = {}
    epoch = ""
    for fact in facts:
        if isinstance(fact, RunStarted):
            epoch = str(fact.epoch)
        if not isinstance(fact, Crashed):  # that is the next writer's
            written_ns[epoch] = fact.at_ns
    wait_ns = int(EXIT_WAIT_S * 1e9)
    found = set()
    for cid, at_ms in created_ms.items():
        if leg_of(cid) not in (None, Leg.ENTRY):
            last_ns = written_ns.get(cid.split("-")[1])
            # the venue counts whole milliseconds
            if last_ns is not None and (at_ms + 1) * 1_000_000 - last_ns >= wait_ns:
                found.add(cid)
    return found


def orphans(resting: Iterable[str], ledger: Ledger) -> Iterator[str]:
    """[I13] Nothing of ours rests at the venue that belongs to nothing; nothing is taken for alive that is gone."""
    there = {cid for cid in resting if leg_of(cid) is not None}
    here = {order.client_id for order in ledger.alive()}
    for cid in sorted(there - here):
        yield f"{cid} rests at the venue and belongs to nothing"
    for cid in sorted(here - there):
        yield f"{cid} is taken for alive and is not at the venue"
    for cid in sorted(there & here):
        order = ledger.orders[cid]
        if order.leg not in (Leg.ENTRY, Leg.FOREIGN) and order.symbol not in ledger.positions:
            yield f"{cid} guards a position that is not there"


def unequal(there: Iterable[Execution], facts: Iterable[AnyFact], excused: Collection[str] = ()) -> Iterator[str]:
    """[I10] The journal has exactly the executions of our orders that the venue has, each once."""
    kept = Counter(
        (fact.fill.symbol, fact.fill.trade_id, fact.fill.client_id, fact.fill.qty)
        for fact in facts
        if isinstance(fact, Filled)
    )
    real = Counter(fill for fill in there if leg_of(fill[2]) is not None and fill[2] not in excused)
    for fill in sorted((real - kept).elements()):
        yield f"only the venue has the execution {fill}"
    for fill in sorted((kept - real).elements()):
        if fill[2] not in excused:
            yield f"only the journal has the execution {fill}, or has it twice"


def positions(held: Mapping[str, Decimal], ledger: Ledger) -> Iterator[str]:
    """[I13] What the venue holds is what we know: ours and what is foreign."""
    for symbol, qty in sorted(held.items()):
        position = ledger.positions.get(symbol)
        ours = Decimal(0) if position is None else position.qty
        if qty != ours + ledger.foreign.get(symbol, Decimal(0)):
            yield f"{symbol}: the venue holds {qty}, we know {ours} and foreign {ledger.foreign.get(symbol, 0)}"


class Audit:
    """Walks a journal, fact by fact, and says what should never have been written."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.ledger = Ledger()
        self._decided: dict[int, ProposalStatus] = {}
        self._approved_by: dict[int, str] = {}
        self._latches: set[Latch] = set()
        """Kept apart from the ledger's, which may forget one."""

    def walk(self, facts: Sequence[AnyFact]) -> list[str]:
        for fact in facts:
            before = self._before(fact)
            self.ledger.apply(fact)
            self._after(fact, before)
        return self.found

    def _say(self, text: str) -> None:
        self.found.append(text)

    def _before(self, fact: AnyFact) -> OrderStatus | None:
        ledger = self.ledger
        kind = type(fact)
        if kind is Sealed:
            if fact.digest != ledger.digest():  # type: ignore[union-attr]
                self._say(f"[I12] the journal folds to another state than was sealed at {fact.at_ns}")
        elif kind is OrderIntended:
            self._intended(fact)  # type: ignore[arg-type]
        elif kind is ProposalChanged:
            self._decided_again(fact)  # type: ignore[arg-type]
        elif kind is ProposalMade:
            number = fact.proposal.id  # type: ignore[union-attr]
            if self._decided.get(number) is not None:
                self._say(f"[I4] P{number} is open again after it was {self._decided[number]}")
        elif kind is RunStarted and fact.epoch <= ledger.epoch:  # type: ignore[union-attr]
            self._say(f"[I22] epoch {fact.epoch} follows epoch {ledger.epoch}")  # type: ignore[union-attr]
        elif kind is OrderChanged:
            order = ledger.orders.get(fact.client_id)  # type: ignore[union-attr]
            return None if order is None else order.status
        elif kind is Filled:
            order = ledger.orders.get(fact.fill.client_id)  # type: ignore[union-attr]
            if order is None:
                self._say(f"[I10] an execution of {fact.fill.client_id}, which nobody intended")  # type: ignore[union-attr]
        return None

    def _intended(self, fact: OrderIntended) -> None:
        ledger, order = self.ledger, fact.order
        cid = order.client_id
        if cid in ledger.orders:
            self._say(f"[I3] {cid} is intended twice")
        if order.leg is not Leg.ENTRY:
            if not order.reduce_only:
                self._say(f"[I6] {cid} could flip a position")
            return
        for latch in sorted(self._latches):
            self._say(f"[I8] entry {cid} under {latch}")
        if ledger.mode is Mode.WATCHER:
            self._say(f"[I9] entry {cid} in WATCHER")
        if ledger.mode is Mode.COPILOT and self._approved_by.get(order.intent, "bot") == "bot":
            self._say(f"[I9] entry {cid} in COPILOT, and nobody approved P{order.intent}")
        if self._decided.get(order.intent) is not ProposalStatus.APPROVED:
            self._say(f"[I4] entry {cid} of a proposal that is {self._decided.get(order.intent)}")
        if order.symbol in ledger.positions or any(ledger.alive(order.symbol, Leg.ENTRY)):
            self._say(f"[I2] entry {cid} beside what is there already")
        if order.symbol in ledger.foreign:
            self._say(f"[I14] entry {cid} where something foreign is held")

    def _decided_again(self, fact: ProposalChanged) -> None:
        before = self._decided.get(fact.proposal)
        first = fact.status in (ProposalStatus.APPROVED, ProposalStatus.REJECTED, ProposalStatus.EXPIRED)
        if first and before is not None:
            self._say(f"[I4] P{fact.proposal} was {before}, and is {fact.status} now")
        if fact.status is ProposalStatus.APPROVED:
            self._approved_by[fact.proposal] = fact.by
            proposal = self.ledger.proposals.get(fact.proposal)
            if proposal is not None and not proposal.status.open:
                self._say(f"[I4] P{fact.proposal} approved when it was {proposal.status}")
        self._decided[fact.proposal] = fact.status

    def _after(self, fact: AnyFact, before: OrderStatus | None) -> None:
        if type(fact) is OrderChanged and before is not None:
            after = self.ledger.orders[fact.client_id].status
            back = after in (OrderStatus.INTENT, OrderStatus.SUBMITTED) and before is not after
            if (before.terminal and after is not before) or back:
                self._say(f"[I11] {fact.client_id} went from {before} to {after}")
        elif type(fact) is LatchSet:
            (self._latches.add if fact.on else self._latches.discard)(fact.latch)
            if not fact.on and fact.by in ("bot", "carrier", "sentinel"):
                self._say(f"[I8] {fact.latch} released by {fact.by}")
        elif type(fact) is ModeSet and fact.by == "bot" and fact.mode is Mode.PILOT and self.ledger.orders:
            self._say("[I9] the machine gave itself PILOT")
