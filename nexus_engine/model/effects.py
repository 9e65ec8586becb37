"""What the engine wants done. The carrier does it, in this order, journal first."""

import msgspec

from nexus_engine.model.facts import AnyFact
from nexus_engine.model.orders import Order
from nexus_engine.model.words import Level, Venue


class Effect(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of all effects."""


class Record(Effect, frozen=True, kw_only=True):
    """Write a fact to the journal. The facts of one event are one commit."""

    fact: AnyFact


class Submit(Effect, frozen=True, kw_only=True):
    """Send an order, once its intent is durable. `exit` leaves even when it cannot be recorded, and alarms."""

    order: Order
    exit: bool


class Cancel(Effect, frozen=True, kw_only=True):
    """Cancel an order of ours."""

    client_id: str
    symbol: str
    conditional: bool


class Query(Effect, frozen=True, kw_only=True):
    """Ask the venue what became of an order of ours."""

    client_id: str
    symbol: str
    conditional: bool


class Snapshot(Effect, frozen=True, kw_only=True):
    """Ask the venue for everything it holds of the account."""

    venue: Venue


class Resync(Effect, frozen=True, kw_only=True):
    """Have a book read anew: what the feed delivered cannot be right."""

    symbol: str
    reason: str


class Notify(Effect, frozen=True, kw_only=True):
    """Tell people: the cockpit's event log, later Telegram."""

    level: Level
    subject: str
    by: str
    text: str


class SetTimer(Effect, frozen=True, kw_only=True):
    """Fire TimerFired(key) at a monotonic instant; a second one of the same key replaces the first."""

    key: str
    due_mono_ns: int


AnyEffect = Record | Submit | Cancel | Query | Snapshot | Resync | Notify | SetTimer
