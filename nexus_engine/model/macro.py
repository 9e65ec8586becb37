"""Bitcoin's dominance and the whole market's cap, as one source told them over time."""

from collections.abc import Iterable
from typing import Final

import msgspec

from nexus_engine.model.words import Macro

HOUR_NS: Final = 3_600_000_000_000
DENSE_NS: Final = 74 * HOUR_NS
"""So far back every sample is kept; before that the last one of each hour."""
KEPT_NS: Final = 14 * 24 * HOUR_NS


class MacroRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One sample: the source's own time, dominance in percent, cap in USD."""

    venue_ns: int
    dominance: float
    cap: float


class MacroPast(msgspec.Struct, frozen=True):
    """What is remembered of one source, oldest first, and what was made of it."""

    source: str = ""
    rows: tuple[MacroRow, ...] = ()
    received_ns: int = 0
    """UTC of the newest sample's arrival."""
    macro: Macro = Macro.UNKNOWN
    turned_ns: int = 0
    """The source's time at which SHARK last began or ended; 0 when it never did."""

    def with_rows(self, source: str, rows: Iterable[MacroRow], received_ns: int) -> "MacroPast":
        """With newer samples. Another source begins a new history: the levels of two sources differ."""
        if source != self.source:
            return MacroPast(source, _thinned((*rows,)), received_ns)
        return msgspec.structs.replace(self, rows=_thinned((*self.rows, *rows)), received_ns=received_ns)


def _thinned(rows: tuple[MacroRow, ...]) -> tuple[MacroRow, ...]:
    if not rows:
        return rows
    dense_ns, oldest_ns = rows[-1].venue_ns - DENSE_NS, rows[-1].venue_ns - KEPT_NS
    kept = []
    for row, following in zip(rows, (*rows[1:], None), strict=True):
        last_of_hour = following is None or following.venue_ns // HOUR_NS != row.venue_ns // HOUR_NS
        if row.venue_ns >= dense_ns or (row.venue_ns >= oldest_ns and last_of_hour):
            kept.append(row)
    return tuple(kept)
