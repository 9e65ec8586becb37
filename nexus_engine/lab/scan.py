"""Recorded bars shown to the Shield, as ticks: where the black swan trips.

A file of years is mostly calm. Only stretches in which a bar's low lies a rung's fall under a high of its window are
shown tick by tick, each from before the longest window on; elsewhere nothing can trip, and nothing is shown.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final

import msgspec
import numpy as np

from nexus_engine.lab.bars import Bars, blocks, rolling_max, utc
from nexus_engine.model.config import RiskConfig, ShieldConfig
from nexus_engine.model.effects import Record
from nexus_engine.model.facts import SWAN_LOCK, GuardTripped
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.turn import Turn
from nexus_engine.shield.blackswan import MINUTE_NS
from nexus_engine.shield.manager import REARM_NS, Shield

LEAD_NS: Final = 3 * MINUTE_NS
"""Before the longest window: the filter is warm when it begins."""


class Trip(msgspec.Struct, frozen=True, kw_only=True):
    """`price` is the confirmed low and `reference` the confirmed high; `window_s` 0 is a further fall while locked."""

    at_ns: int
    window_s: int
    drop_pct: float
    price: float
    reference: float
    evidence: tuple[tuple[int, float], ...] = ()

    def told(self) -> dict[str, object]:
        return {
            "at": utc(self.at_ns),
            "window_s": self.window_s,
            "drop_pct": round(self.drop_pct, 3),
            "price": self.price,
            "reference": self.reference,
        }


def trip_of(fact: GuardTripped, at_ns: int) -> Trip:
    """What the guard wrote down, in the words of a drill."""
    inputs = {reading.name: reading.value for reading in fact.verdict.inputs}
    return Trip(
        at_ns=at_ns,
        window_s=int(inputs["window"] * 60),
        drop_pct=inputs["fall"],
        price=inputs["low"],
        reference=inputs["high"],
        evidence=fact.evidence,
    )


def scan(bars: Bars, config: ShieldConfig | None = None, *, whole: bool = False) -> list[Trip]:
    """Every trip and every further fall under its lock, oldest first. `whole` leaves no calm out."""
    config = config or ShieldConfig()
    found: list[Trip] = []
    waiting = deque([(0, len(bars))] if whole else stretches(bars, config))
    while waiting:
        found += _shown(bars, config, waiting)
    return found


def stretches(bars: Bars, config: ShieldConfig) -> Iterator[tuple[int, int]]:
    """The bars that must be shown, as index ranges that do not overlap."""
    rungs = [(config.swan_drop_pct, minutes) for minutes in config.swan_windows_min] + list(config.swan_extreme)
    lows, highs = bars.ohlc[:, 2], bars.ohlc[:, 1]
    low_enough = np.zeros(len(bars), dtype=bool)
    for pct, minutes in rungs:
        # A bar more at each end: a window begins inside one.
        size = minutes * MINUTE_NS // bars.step_ns + 2
        low_enough |= lows <= rolling_max(highs, size) * (1.0 - pct / 100.0)
    # A bar's last ticks are confirmed in the next one.
    low_enough[1:] |= low_enough[:-1].copy()
    places = np.flatnonzero(low_enough)
    longest_ns = max(minutes for _, minutes in rungs) * MINUTE_NS + LEAD_NS
    after_ns = config.swan_lock_min * MINUTE_NS + longest_ns
    begin = end = -1
    for place in places.tolist():
        low = int(np.searchsorted(bars.open_ns, bars.open_ns[place] - longest_ns))
        if low > end and begin >= 0:
            yield begin, end
            begin = -1
        begin = low if begin < 0 else begin
        end = int(np.searchsorted(bars.open_ns, bars.open_ns[place] + after_ns))
    if begin >= 0:
        yield begin, end


def lasting_ns(config: ShieldConfig) -> int:
    """How long after a stretch an alert or a lock of its last moment may hold."""
    return config.swan_alert_min * MINUTE_NS + 2 * REARM_NS


def _shown(bars: Bars, config: ShieldConfig, waiting: deque[tuple[int, int]]) -> list[Trip]:
    """Show the first stretch, and go on while a trip's lock holds, into the next ones where it reaches them."""
    shield, ledger, symbol = Shield(config, RiskConfig()), Ledger(), config.swan_symbol
    turn = Turn(ledger, at_ns=0, mono_ns=0, market_ns=0)
    found: list[Trip] = []
    low, high = waiting.popleft()
    for first, last in blocks(low, len(bars)):
        while waiting and waiting[0][0] <= last:
            high = waiting.popleft()[1]
        if first >= high:
            lock = ledger.locks.get(SWAN_LOCK)
            if lock is None or lock.until_ns <= turn.market_ns:
                break
        times, prices = bars.ticks(first, last)
        for at_ns, price in zip(times.tolist(), prices.tolist(), strict=True):
            # Only the market's clock runs. The file is the one source there is, so the mark says what it says.
            turn.at_ns = turn.market_ns = at_ns
            shield.price(turn, symbol, "mark", price, at_ns)
            if shield.price(turn, symbol, "trade", price, at_ns):
                facts = (effect.fact for effect in reversed(turn.effects) if isinstance(effect, Record))
                found.append(trip_of(next(fact for fact in facts if isinstance(fact, GuardTripped)), at_ns))
                turn.effects.clear()
    return found
