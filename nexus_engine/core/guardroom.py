"""Every guard as a person wants to see it: its input, its limit, how far that is, how old, and its state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nexus_engine.model.facts import SWAN_ALERT, SWAN_LOCK
from nexus_engine.model.signals import Quote
from nexus_engine.model.verdicts import Gauge
from nexus_engine.model.view import GuardView
from nexus_engine.shield.blackswan import ALERT
from nexus_engine.shield.case import held
from nexus_engine.shield.sentinel import rung_name
from nexus_engine.shield.staleness import unseen

if TYPE_CHECKING:
    from nexus_engine.core.engine import Engine

OK, WARN, TRIPPED, LOCKED, BLIND, LATCHED = "ok", "WARN", "TRIPPED", "LOCKED", "BLIND", "LATCHED"
NEAR: Final = 0.6
"""From this share of its limit on a guard is worth a look."""


def guards(
    engine: Engine, gauges: tuple[Gauge, ...], swan: Quote | None, worst_age_ms: int | None
) -> tuple[GuardView, ...]:
    """The ladder of the black swan, sight, the other gauges, then what is locked or latched."""
    rows = [*_ladder(engine, swan), _sight(engine, worst_age_ms)]
    rows += [
        GuardView(
            name=gauge.label, value=gauge.value, limit=gauge.limit, unit=gauge.unit, used=gauge.used, age_ms=None,
            state=TRIPPED if gauge.used >= 1.0 else WARN if gauge.used >= NEAR else OK,
        )
        for gauge in gauges
        if gauge.guard != "swan"
    ]  # fmt: skip
    return (*rows, *_locks(engine))


def _ladder(engine: Engine, swan: Quote | None) -> list[GuardView]:
    shield, now_ns = engine.directive.shield, engine.market.now_ns
    blind = bool(unseen(shield.swan_symbol, swan, shield.stale_ms))
    locked, alerted = (held(engine.ledger, name, now_ns) is not None for name in (SWAN_LOCK, SWAN_ALERT))
    rows = []
    for rung, drop in engine.shield.ladder(now_ns):
        limit = rung.drop * 100.0
        tripped = locked if rung.name != ALERT else alerted
        near = WARN if drop / limit >= NEAR else OK
        rows.append(
            GuardView(
                name=rung_name(shield, rung), value=drop, limit=limit, unit="%",
                used=min(1.0, drop / limit), age_ms=None if swan is None else swan.age_ms,
                state=BLIND if blind else LOCKED if tripped else near,
            )
        )  # fmt: skip
    return rows


def _sight(engine: Engine, worst_age_ms: int | None) -> GuardView:
    limit = float(engine.directive.shield.stale_ms)
    age = limit if worst_age_ms is None else float(worst_age_ms)
    state = BLIND if worst_age_ms is None or age > limit else OK
    return GuardView(
        name="market data", value=age, limit=limit, unit="ms", used=min(1.0, age / limit), age_ms=worst_age_ms,
        state=state, reason="a market feed has not spoken yet" if worst_age_ms is None else "",
    )  # fmt: skip


def _locks(engine: Engine) -> list[GuardView]:
    """What holds, with how long it still does; a latch holds until a person releases it."""
    now_ns, ledger = engine.market.now_ns, engine.ledger
    rows = [
        GuardView(
            name=name, value=(lock.until_ns - now_ns) / 60e9, limit=0.0, unit="min", used=1.0, age_ms=None,
            state=LOCKED, reason=lock.reason, until_ns=lock.until_ns,
        )
        for name, lock in sorted(ledger.locks.items())
        if lock.until_ns > now_ns
    ]  # fmt: skip
    rows += [
        GuardView(
            name=fact.latch.value, value=0.0, limit=0.0, unit="", used=1.0, age_ms=None, state=LATCHED,
            reason=f"by {fact.by}" + (f": {fact.reason}" if fact.reason else ""),
        )
        for fact in ledger.latches.values()
    ]  # fmt: skip
    return rows
