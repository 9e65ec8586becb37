"""Why a trade was proposed or made, from the journal alone."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from nexus_engine.model.facts import (
    SENTINEL,
    SWAN_LOCK,
    Adopted,
    AnyFact,
    Filled,
    GuardTripped,
    Leaving,
    LockSet,
    OrderChanged,
    OrderIntended,
    ProposalChanged,
    ProposalMade,
    SignalSeen,
)
from nexus_engine.model.usage import harmless
from nexus_engine.model.verdicts import Reading, Verdict
from nexus_engine.model.words import Leg
from nexus_engine.store.rows import COLUMNS, Row, decode_fact, reading, rows

_ROW: Final = re.compile(r"[Ss](\d{1,18})")
_SYMBOL: Final = re.compile(r"[A-Z0-9]{2,20}")
RECENT: Final = 10
_ID: Final = re.compile(r"[Pp]?(\d{1,18})|nx\w+-\d+-(\d{1,18})[a-z]\d+")
_INTENT_OF: Final[dict[type, Callable[[Any], int]]] = {
    SignalSeen: lambda fact: fact.proposal,
    Adopted: lambda fact: fact.intent,
    ProposalMade: lambda fact: fact.proposal.id,
    ProposalChanged: lambda fact: fact.proposal,
    OrderIntended: lambda fact: fact.order.intent,
    Leaving: lambda fact: fact.intent,
    OrderChanged: lambda fact: intent_of(fact.client_id),
    Filled: lambda fact: intent_of(fact.fill.client_id),
}


def intent_of(ref: str) -> int:
    """The intent that `41`, `P41` or a client id names; 0 for anything else."""
    found = _ID.fullmatch(ref)
    return int(found[1] or found[2]) if found else 0


def row_of(ref: str) -> int:
    """The row that `S17` names: a signal that led to no proposal has no other id; 0 for anything else."""
    found = _ROW.fullmatch(ref)
    return int(found[1]) if found else 0


def is_symbol(ref: str) -> bool:
    """The word may name a symbol."""
    return _SYMBOL.fullmatch(ref) is not None and not ref.isdecimal()


def signal_at(path: Path, seq: int) -> list[AnyFact]:
    """The signal or the tripped guard that is row `seq` of the journal, if it is one. Raises JournalError."""
    with reading(path) as conn:
        found = conn.execute(f"SELECT {COLUMNS} FROM journal WHERE seq = ?", (seq,)).fetchone()
        fact = None if found is None else decode_fact(Row._make(found))
    return [fact] if isinstance(fact, SignalSeen | GuardTripped) else []


def recent(path: Path, symbol: str) -> list[tuple[int, SignalSeen]]:
    """The last signals on a symbol with their rows, oldest first. Raises JournalError."""
    with reading(path) as conn:
        found = conn.execute(
            f"SELECT {COLUMNS} FROM journal WHERE kind = 'SignalSeen' AND json_extract(body, '$.signal.symbol') = ? "
            "ORDER BY seq DESC LIMIT ?",
            (symbol, RECENT),
        ).fetchall()
        seen = [(row.seq, fact) for row in map(Row._make, found) if isinstance(fact := decode_fact(row), SignalSeen)]
    return seen[::-1]


def recent_lines(seen: list[tuple[int, SignalSeen]]) -> Iterator[str]:
    """One line a signal, beginning with what `why` takes."""
    for seq, fact in seen:
        ref = f"P{fact.proposal}" if fact.proposal else f"S{seq}"
        at = datetime.fromtimestamp(fact.at_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")
        yield harmless(f"{ref:8} {at}  {fact.signal.strategy}: {fact.signal.side}, {fact.outcome}")


def story(path: Path, intent: int) -> list[AnyFact]:
    """The facts of one intent in order, a signal before what it led to. Raises JournalError."""
    facts: list[AnyFact] = []
    with reading(path) as conn:
        for _, turn in groupby(rows(conn), lambda row: row.turn):
            mine = [fact for fact in map(decode_fact, turn) if _INTENT_OF.get(type(fact), _no_intent)(fact) == intent]
            facts += sorted(mine, key=lambda fact: not isinstance(fact, SignalSeen))
    return facts


def swan_story(path: Path) -> list[AnyFact]:
    """The last trip of the black swan: what it saw, what was sent, and what became of that. Raises JournalError."""
    facts: list[AnyFact] = []
    ours: set[str] = set()
    with reading(path) as conn:
        for fact in map(decode_fact, rows(conn)):
            if isinstance(fact, GuardTripped) and fact.verdict.guard == SWAN_LOCK:
                if any(reading.name == "window" and reading.value for reading in fact.verdict.inputs):
                    facts, ours = [], set()
                facts.append(fact)
            elif not facts:
                continue
            elif isinstance(fact, LockSet) and fact.name == SWAN_LOCK:
                facts.append(fact)
            elif isinstance(fact, OrderIntended):
                if fact.order.leg is Leg.EXIT and fact.order.by == SENTINEL:
                    ours.add(fact.order.client_id)
                    facts.append(fact)
            elif (isinstance(fact, OrderChanged) and fact.client_id in ours) or (
                isinstance(fact, Filled) and fact.fill.client_id in ours
            ):
                facts.append(fact)
    return facts


def _no_intent(_: AnyFact) -> int:
    return 0


def lines(facts: list[AnyFact]) -> Iterator[str]:
    """The story for a person, one line each, without anything that a terminal could obey."""
    for fact in facts:
        head = datetime.fromtimestamp(fact.at_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        for line in _TOLD[type(fact)](fact):
            yield harmless(f"{head:23}  {line}")
            head = ""


def _signal(fact: SignalSeen) -> Iterator[str]:
    signal = fact.signal
    target = "none" if signal.target is None else f"{signal.target:g}"
    yield f"signal    {signal.strategy}: {signal.side} {signal.symbol} at {signal.price:g}, not beyond {signal.limit:g}"
    yield f"  plan    stop distance {signal.stop_distance:g}, target {target}, risks {signal.risk_pct:g}%"
    for reason in signal.reasons:
        yield f"  reason  {reason}"
    yield from map(_reading, signal.readings)
    by = "" if signal.regime.source == "rule" else f", by {signal.regime.source}"
    yield f"  regime  {signal.regime.regime} ({signal.regime.confidence:.0%} sure{by})"
    yield from map(_reading, signal.regime.readings)
    quote = fact.quote
    if quote is not None:
        age = "never heard" if quote.age_ms is None else f"{quote.age_ms} ms old"
        book = "" if quote.valid else ", no book"
        yield f"  market  bid {quote.bid:g}, ask {quote.ask:g}, mark {quote.mark:g}, last {quote.last:g}, {age}{book}"
        yield f"          funding {quote.funding_rate:g}, taker fee {quote.taker_fee:.4%}"
    if fact.equity is not None:
        yield f"  equity  {fact.equity}"
    yield from _verdicts(fact.verdicts)
    yield f"outcome   {fact.outcome}"


def _proposal(fact: ProposalMade) -> Iterator[str]:
    card = fact.proposal
    yield (
        f"proposal  {card.handle} {card.status}: {card.side} {card.qty} {card.symbol}, limit {card.limit}, "
        f"stop {card.plan.stop}, target {card.plan.target or 'none'}, worst {card.worst} ({card.worst_pct:.2f}%)"
    )


def _decision(fact: ProposalChanged) -> Iterator[str]:
    yield f"decision  {fact.status} by {fact.by}{_because(fact.reason)}"


def _adoption(fact: Adopted) -> Iterator[str]:
    yield f"adopted   {fact.symbol} {fact.qty} at {fact.entry}, stop {fact.plan.stop}, by {fact.by}"
    if fact.carried:
        yield f"  carried {fact.carried:+.2f} of open profit, which is no result of that day"


def _leaving(fact: Leaving) -> Iterator[str]:
    yield f"leaving   all of it at market, by {'its strategy' if fact.leave is not None else fact.by}"
    if fact.leave is not None:
        for reason in fact.leave.reasons:
            yield f"  reason  {reason}"
        yield from map(_reading, fact.leave.readings)


def _order(fact: OrderIntended) -> Iterator[str]:
    order = fact.order
    at = "".join(f" {word} {price}" for word, price in (("at", order.price), ("trigger", order.trigger)) if price)
    yield f"order     {order.client_id} {order.leg.word}: {order.side} {order.kind} {order.qty}{at}, by {order.by}"


def _change(fact: OrderChanged) -> Iterator[str]:
    yield f"order     {fact.client_id} {fact.status}{_because(fact.reason)}"


def _fill(fact: Filled) -> Iterator[str]:
    fill = fact.fill
    yield f"fill      {fill.client_id}: {fill.side} {fill.qty} at {fill.price}, fee {fill.fee} {fill.fee_asset}"


def _trip(fact: GuardTripped) -> Iterator[str]:
    yield f"trip      {fact.verdict.guard}: {fact.verdict.reason}"
    yield from map(_reading, fact.verdict.inputs)
    for at_ns, price in fact.evidence:
        yield f"  tick    {datetime.fromtimestamp(at_ns / 1e9, UTC):%H:%M:%S.%f}"[:-3] + f"  {price:.10g}"


def _lock(fact: LockSet) -> Iterator[str]:
    until = datetime.fromtimestamp(fact.until_ns / 1e9, UTC)
    yield f"lock      no longs until {until:%Y-%m-%d %H:%M:%S} of market time{_because(fact.reason)}"


_TOLD: Final[dict[type, Callable[[Any], Iterator[str]]]] = {
    SignalSeen: _signal,
    GuardTripped: _trip,
    ProposalMade: _proposal,
    ProposalChanged: _decision,
    Adopted: _adoption,
    Leaving: _leaving,
    OrderIntended: _order,
    OrderChanged: _change,
    Filled: _fill,
    LockSet: _lock,
}


def _verdicts(verdicts: tuple[Verdict, ...]) -> Iterator[str]:
    for verdict in verdicts:
        scale = f" to {verdict.scale:.0%}" if verdict.scale != 1 else ""
        yield f"  guard   {verdict.guard}: {verdict.ruling}{scale}{_because(verdict.reason)}"
        yield from map(_reading, verdict.inputs)


def _reading(reading: Reading) -> str:
    limit = "" if reading.limit is None else f" (limit {reading.limit:g}{reading.unit})"
    return f"          {reading.name} {reading.value:g}{reading.unit}{limit}"


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""
