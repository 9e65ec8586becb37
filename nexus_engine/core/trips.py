"""What the black swan has done lately: each trip with what it saw, what was sent, and when that was confirmed."""

from collections import deque
from collections.abc import Iterable
from typing import Final

import msgspec

from nexus_engine.model.effects import AnyEffect, Record
from nexus_engine.model.facts import SENTINEL, SWAN_ALERT, SWAN_LOCK, AnyFact, Filled, GuardTripped, OrderIntended
from nexus_engine.model.view import ExitView, TripView
from nexus_engine.model.words import Leg

KEPT: Final = 8
_TOLD: Final = frozenset({GuardTripped, OrderIntended, Filled})
_WITHIN_NS: Final = 3_600_000_000_000
"""Exits that leave later than this are not this trip's."""


class _Exit(msgspec.Struct):
    symbol: str
    qty: str
    since_ns: int
    sent_ms: int
    attempts: int = 1
    confirmed_ms: int | None = None
    price: str = ""


class _Trip(msgspec.Struct):
    fact: GuardTripped
    since_ns: int
    """When it tripped last: exits of a fall that went on are timed from there."""
    further: list[tuple[int, float]] = []
    exits: dict[str, _Exit] = {}


class Trips:
    """The last trips and alerts, from the journal at a start and from each turn since."""

    def __init__(self) -> None:
        self._trips: deque[_Trip] = deque(maxlen=KEPT)
        self._orders: dict[str, tuple[_Trip, str]] = {}

    def recall(self, fact: AnyFact) -> None:
        """Take in a fact of ours; all others are none of its business."""
        if isinstance(fact, GuardTripped):
            if fact.verdict.guard in (SWAN_LOCK, SWAN_ALERT):
                self._tripped(fact)
        elif isinstance(fact, OrderIntended):
            self._intended(fact)
        elif isinstance(fact, Filled):
            self._filled(fact)

    def listen(self, effects: Iterable[AnyEffect]) -> None:
        for effect in effects:
            if type(effect) is Record and type(effect.fact) in _TOLD:
                self.recall(effect.fact)

    def shown(self) -> tuple[TripView, ...]:
        """The newest first."""
        return tuple(
            TripView(
                at_ns=trip.fact.at_ns,
                alert=trip.fact.verdict.guard == SWAN_ALERT,
                reason=trip.fact.verdict.reason,
                readings=trip.fact.verdict.inputs,
                ticks=trip.fact.evidence,
                further=tuple(trip.further),
                exits=tuple(
                    ExitView(
                        symbol=each.symbol,
                        qty=each.qty,
                        sent_ms=each.sent_ms,
                        attempts=each.attempts,
                        confirmed_ms=each.confirmed_ms,
                        price=each.price,
                    )
                    for each in trip.exits.values()
                ),
            )
            for trip in reversed(self._trips)
        )

    def _tripped(self, fact: GuardTripped) -> None:
        read = {reading.name: reading.value for reading in fact.verdict.inputs}
        began, low = self._last(), read.get("low")
        if began is None or low is None or read.get("window") or fact.verdict.guard == SWAN_ALERT:
            self._trips.append(_Trip(fact, fact.at_ns))
        else:  # no window: it fell on from where it had tripped
            began.since_ns = fact.at_ns
            began.further.append((fact.at_ns, low))

    def _last(self) -> _Trip | None:
        return next((trip for trip in reversed(self._trips) if trip.fact.verdict.guard == SWAN_LOCK), None)

    def _intended(self, fact: OrderIntended) -> None:
        order = fact.order
        if order.leg is not Leg.EXIT or order.by != SENTINEL:
            return
        trip = self._last()
        if trip is None or fact.at_ns - trip.since_ns > _WITHIN_NS:
            return
        known = trip.exits.get(order.symbol)
        if known is None:
            sent_ms = (fact.at_ns - trip.since_ns) // 1_000_000
            trip.exits[order.symbol] = _Exit(order.symbol, f"{order.qty:f}", trip.since_ns, sent_ms)
        else:
            known.attempts += 1
        self._orders = {cid: kept for cid, kept in self._orders.items() if kept[0] in self._trips}
        self._orders[order.client_id] = trip, order.symbol

    def _filled(self, fact: Filled) -> None:
        found = self._orders.get(fact.fill.client_id)
        if found is not None:
            trip, symbol = found
            done = trip.exits[symbol]
            done.confirmed_ms = (fact.at_ns - done.since_ns) // 1_000_000
            done.price = f"{fact.fill.price:f}"
