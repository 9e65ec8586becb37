"""What a guard may look at."""

from decimal import Decimal

import msgspec

from nexus_engine.model.config import RiskConfig, ShieldConfig
from nexus_engine.model.facts import LockSet
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.signals import Quote, Signal
from nexus_engine.model.verdicts import Reading
from nexus_engine.shield import lease
from nexus_engine.shield.macro import MacroWatch


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A signal to judge, and what is known."""

    ledger: Ledger
    market_ns: int
    at_ns: int
    mono_ns: int
    lock: lease.Lock
    shield: ShieldConfig
    risk: RiskConfig
    signal: Signal
    day_pnl: Decimal
    """Change of equity since the UTC day opened."""
    quote: Quote
    swan_quote: Quote | None
    falls: tuple[Reading, ...]
    macro: MacroWatch


def held(ledger: Ledger, name: str, market_ns: int) -> LockSet | None:
    """The lock of that name while it holds."""
    lock = ledger.locks.get(name)
    return lock if lock is not None and lock.until_ns > market_ns else None
