"""Why something was decided: what the strategies and the guards said lately, with what became of it."""

import re
import zlib
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, TypeVar

import msgspec

from nexus_engine.core.notebook import Notebook
from nexus_engine.model.effects import AnyEffect, Record
from nexus_engine.model.facts import AnyFact, GuardTripped, Leaving, SignalSeen
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.orders import Order
from nexus_engine.model.signals import Signal
from nexus_engine.model.told import price, quantity
from nexus_engine.model.view import EventRow, Why

KEPT: Final = 200
_EXPLAINS: Final = frozenset({SignalSeen, GuardTripped, Leaving})
NOTES: Final = 40
_TRADE: Final = re.compile(r"\bP(\d{1,18})\b")
K = TypeVar("K")


class _Packed(NamedTuple):
    """A signal with its seventy readings is 15 kB as objects, and 2 so; hardly one of them is ever asked for."""

    kind: type[SignalSeen | GuardTripped | Leaving]
    number: int
    """Of the trade; 0 where none came of it."""
    at_ns: int
    body: bytes


def _packed(fact: SignalSeen | GuardTripped | Leaving) -> _Packed:
    number = fact.proposal if isinstance(fact, SignalSeen) else fact.intent if isinstance(fact, Leaving) else 0
    return _Packed(type(fact), number, fact.at_ns, zlib.compress(msgspec.msgpack.encode(fact), 1))


def _unpacked(one: _Packed, kind: type[K]) -> K:
    return msgspec.msgpack.decode(zlib.decompress(one.body), type=kind)


class Reasons:
    """The last signals and trips, from the journal at a start and from each turn since."""

    def __init__(self) -> None:
        self._seen: deque[_Packed] = deque(maxlen=KEPT)

    def recall(self, fact: AnyFact) -> None:
        """Remember a fact that explains something."""
        if isinstance(fact, SignalSeen | GuardTripped) or (isinstance(fact, Leaving) and fact.leave is not None):
            self._seen.append(_packed(fact))

    def listen(self, effects: Iterable[AnyEffect]) -> None:
        for effect in effects:
            if type(effect) is Record and type(effect.fact) in _EXPLAINS:
                self.recall(effect.fact)

    def explain(self, wanted: str, ledger: Ledger, notebook: Notebook) -> Why | None:
        """What `ViewRequest.why` asks for; None for anything else. What is not remembered any more is said to be so."""
        number, _, line = wanted[1:].partition(" ")
        if not (number.isascii() and number.isdecimal() and len(number) <= 20):
            return None
        if wanted.startswith("P"):
            return self._trade(int(number), ledger, notebook)
        return self._line(int(number), line, ledger, notebook) if wanted.startswith("@") else None

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _newest(self, kind: type[K], number: int) -> K | None:
        found = next((one for one in reversed(self._seen) if one.kind is kind and one.number == number), None)
        return None if found is None else _unpacked(found, kind)

    def _trade(self, number: int, ledger: Ledger, notebook: Notebook) -> Why:
        orders = tuple(order for order in ledger.orders.values() if order.intent == number)
        card = ledger.proposals.get(number)
        told, left = self._newest(SignalSeen, number), self._newest(Leaving, number)
        signal = card.signal if card is not None else None if told is None else told.signal
        symbol = signal.symbol if signal is not None else orders[0].symbol if orders else _held(ledger, number)
        word = re.compile(rf"\bP{number}\b")
        began_ns = card.made_ns if card is not None else 0 if told is None else told.at_ns
        notes = tuple(
            row
            for row in notebook.rows
            if row.at_ns >= began_ns and (word.search(row.text) or (row.subject == symbol and _lived(row, orders)))
        )
        return Why(
            title=f"P{number} {_title(signal) if signal is not None else symbol}".rstrip(),
            signal=signal,
            verdicts=card.verdicts if card is not None else () if told is None else told.verdicts,
            outcome=_outcome(number, ledger),
            leave=None if left is None else left.leave,
            orders=orders,
            notes=notes[-NOTES:],
        )

    def _line(self, at_ns: int, line: str, ledger: Ledger, notebook: Notebook) -> Why:
        """A row leads to the decision that it tells of, else to the trade that it names or whose symbol it is on."""
        found = [_unpacked(one, one.kind) for one in self._seen if one.at_ns == at_ns]
        row = next((row for row in notebook.rows if row.at_ns == at_ns and f"{row.subject} {row.text}" == line), None)
        if row is not None and not (told := [fact for fact in found if _tells(row, fact)]):
            named = _TRADE.search(line)
            number = int(named[1]) if named else _living(row, ledger)
            if number:
                return self._trade(number, ledger, notebook)
        elif row is not None:
            found = told
        return self._moment(at_ns, found, notebook)

    def _moment(self, at_ns: int, found: Sequence[SignalSeen | GuardTripped | Leaving], notebook: Notebook) -> Why:
        notes = tuple(row for row in notebook.rows if row.at_ns == at_ns)[-NOTES:]
        fact = next((one for one in found if isinstance(one, SignalSeen) and not one.proposal), None) or (
            found[-1] if found else None
        )
        if isinstance(fact, SignalSeen):
            signal = fact.signal
            return Why(title=_title(signal), signal=signal, verdicts=fact.verdicts, outcome=fact.outcome, notes=notes)
        if isinstance(fact, GuardTripped):
            verdict = fact.verdict
            title = f"{verdict.guard} tripped"
            return Why(title=title, signal=None, verdicts=(verdict,), outcome=verdict.reason, notes=notes)
        if isinstance(fact, Leaving):
            title = f"P{fact.intent} {fact.symbol}"
            return Why(title=title, signal=None, verdicts=(), outcome="leaving", leave=fact.leave, notes=notes)
        title = notes[0].subject if notes else "that moment"
        return Why(
            title=title, signal=None, verdicts=(), outcome="no decision of ours is remembered there", notes=notes
        )


def _tells(row: EventRow, fact: SignalSeen | GuardTripped | Leaving) -> bool:
    """A refusal or a trip is what this row tells of, whichever trade it may name."""
    if isinstance(fact, SignalSeen):
        return not fact.proposal and fact.signal.symbol == row.subject and row.text.endswith(fact.outcome)
    return isinstance(fact, GuardTripped) and bool(fact.verdict.reason) and fact.verdict.reason in row.text


def _living(row: EventRow, ledger: Ledger) -> int:
    """The newest trade that lived on the row's symbol then; 0 for none."""
    orders = [order for order in ledger.orders.values() if order.symbol == row.subject and order.intent]
    trades = {order.intent for order in orders}
    return max((one for one in trades if _lived(row, [each for each in orders if each.intent == one])), default=0)


def _title(signal: Signal) -> str:
    return f"{signal.side} {signal.symbol} {signal.strategy}"


def _held(ledger: Ledger, number: int) -> str:
    return next((position.symbol for position in ledger.positions.values() if position.intent == number), "")


def _lived(row: EventRow, orders: Iterable[Order]) -> bool:
    """The line was written between the first order of the trade and the last change of one."""
    return any(order.created_ns <= row.at_ns for order in orders) and any(
        row.at_ns <= order.changed_ns for order in orders
    )


def _outcome(number: int, ledger: Ledger) -> str:
    """What became of it, the latest first."""
    trade = next((trade for trade in reversed(ledger.closed) if trade.intent == number), None)
    if trade is not None:
        return f"closed: {trade.pnl:+.2f} ({trade.r:+.1f} R)"
    position = next((position for position in ledger.positions.values() if position.intent == number), None)
    if position is not None:
        held = f"{position.side} {quantity(abs(position.qty))} from {float(position.entry):,.8g}"
        return f"open: {held}, stop {price(position.plan.stop)}"
    card = ledger.proposals.get(number)
    if card is None:
        return "not remembered any more"
    by = f" by {card.by}" if card.by else ""
    return f"{card.status}{by}" + (f": {card.reason}" if card.reason else "")
