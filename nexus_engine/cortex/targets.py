"""SHARK's targets: which alt would be hunted first if the whole market fell, and which must not be.

The score says who falls hardest with Bitcoin and can be left again; it is no edge. Measured on 32 alts, 2018-2026, the
hours after such a fall are volatile and not negative on average, and shorting the weakest was the worst choice: so the
weight of plain weakness is small, and one that has fallen hard already is vetoed.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from nexus_engine.model.events import BarRow
from nexus_engine.model.signals import Quote
from nexus_engine.model.view import Target

INTERVAL: Final = "1h"
WEIGHTS: Final = {"beta": 0.40, "liquidity": 0.25, "trend": 0.15, "funding": 0.10, "residual": 0.10}
MIN_FUNDING: Final = -0.0002
"""Fraction in 8 hours; below it the shorts are crowded."""
MIN_VOLUME: Final = 50e6
"""Quote currency in 24 hours."""
WORST: Final = 0.10
"""A fall over four hours that ranks below this among the symbol's own is stretched."""
SQUEEZE_INTERVAL: Final = "5m"
SQUEEZE_BARS: Final = 6
SQUEEZE_PCT: Final = 2.0

_LOOK = 168
_NEED = 200
_AT_ONCE = 4
_MINUTE_NS = 60_000_000_000

Floats = NDArray[np.float64]
_NONE: Final[Floats] = np.empty(0)


class _Measured(msgspec.Struct, frozen=True):
    """A symbol as its closed hours have it. `fell` is the return of four hours, `rank` its place among its own."""

    last_ns: int
    beta: float
    residual: float
    trend: float
    volume: float
    fell: float
    against: float
    rank: float


class Targets:
    """The table of all alts. Looking at it costs under a millisecond: what an hour closed is worked out a few symbols
    at a time, the ranks once a minute of market time."""

    def __init__(self, leader: str, max_spread_bp: float, at_once: int = _AT_ONCE) -> None:
        self._leader = leader
        self._at_once = at_once
        self._max_spread_bp = max_spread_bp
        self._measured: dict[str, _Measured] = {}
        self._ranked: tuple[int, frozenset[str]] = (-1, frozenset())
        """The minute of the ranks, and which symbols had a market then."""
        self._table: tuple[Target, ...] = ()

    def beta(self, symbol: str) -> float:
        """How much of Bitcoin's move it makes, over its last 168 hours; 1 while that is not known."""
        known = self._measured.get(symbol)
        return 1.0 if known is None else known.beta

    def table(
        self, hours: Mapping[str, Sequence[BarRow]], quotes: Mapping[str, Quote], market_ns: int
    ) -> tuple[Target, ...]:
        """Best first, the vetoed ones last. `hours` are closed 1h bars, oldest first, of the leader too."""
        leader = hours.get(self._leader)
        if not leader:
            return ()
        last_ns = leader[-1].open_ns
        stale = [symbol for symbol, rows in hours.items() if rows and self._last_ns(symbol) != last_ns]
        fresh = [symbol for symbol in stale if symbol != self._leader and hours[symbol][-1].open_ns == last_ns]
        led = _closes(leader) if fresh else _NONE
        for symbol in fresh[: self._at_once]:
            self._measured[symbol] = _measure(hours[symbol], leader, led)
        now = market_ns // _MINUTE_NS, frozenset(symbol for symbol, quote in quotes.items() if quote.valid)
        if fresh or now != self._ranked:
            self._ranked = now
            self._table = self._rank([symbol for symbol in quotes if symbol != self._leader], quotes)
        return self._table

    def _last_ns(self, symbol: str) -> int:
        known = self._measured.get(symbol)
        return 0 if known is None else known.last_ns

    def _rank(self, symbols: Sequence[str], quotes: Mapping[str, Quote]) -> tuple[Target, ...]:
        known = [symbol for symbol in symbols if self._known(symbol)]
        of = [self._measured[symbol] for symbol in known]
        volume = _ranks([one.volume for one in of])
        spread = _ranks([-quotes[symbol].spread_bp for symbol in known])
        parts = {
            "beta": _ranks([one.beta for one in of]),
            "liquidity": [(a + b) / 2 for a, b in zip(volume, spread, strict=True)],
            "trend": _ranks([one.trend for one in of]),
            "funding": _ranks([quotes[symbol].funding_rate for symbol in known]),
            "residual": _ranks([-one.residual for one in of]),
        }
        rows = [
            Target(
                symbol=symbol,
                score=math.fsum(weight * parts[name][at] for name, weight in WEIGHTS.items()),
                drop_pct=of[at].against * 100,
                veto=self._veto(of[at], quotes[symbol]),
            )
            for at, symbol in enumerate(known)
        ]
        unknown = [
            Target(symbol=symbol, score=0.0, drop_pct=0.0, veto="too little history")
            for symbol in symbols
            if not self._known(symbol)
        ]
        return tuple(sorted(rows + unknown, key=lambda row: (bool(row.veto), -row.score, row.symbol)))

    def _known(self, symbol: str) -> bool:
        return symbol in self._measured and self._measured[symbol].volume > 0

    def _veto(self, measured: _Measured, quote: Quote) -> str:
        """Why it must not be hunted, in two words and a number. A new listing shows as too little history."""
        if not quote.valid:
            return "no market"
        if quote.spread_bp > self._max_spread_bp:
            return f"spread {quote.spread_bp:.0f} bp"
        if quote.funding_rate < MIN_FUNDING:
            return f"funding {quote.funding_rate:.2%}"
        if measured.volume < MIN_VOLUME:
            return f"volume {measured.volume / 1e6:.0f}M"
        return f"fell {-measured.fell:.1%} in 4 h" if measured.rank < WORST and measured.fell < 0 else ""


def squeeze(rows: Sequence[BarRow] | None, last: float) -> str:
    """Shorts are dangerous once the leader has risen 2 % within half an hour. `rows` are its closed 5m bars."""
    if not rows or len(rows) < SQUEEZE_BARS or not last:
        return "unknown"
    low = min(rows[at].low for at in range(-SQUEEZE_BARS, 0))
    rise_pct = (last / low - 1) * 100
    return f"BTC +{rise_pct:.1f}% in 30 min" if rise_pct >= SQUEEZE_PCT else "quiet"


def _measure(rows: Sequence[BarRow], leader: Sequence[BarRow], led: Floats) -> _Measured:
    """A symbol's closed hours beside the leader's, whose closes are `led`; both end with the same hour. Without enough
    of them its volume is 0: it is not known."""
    last_ns = rows[-1].open_ns
    if min(len(rows), len(leader)) < _NEED or rows[-_NEED].open_ns != leader[-_NEED].open_ns:
        return _Measured(last_ns, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5)
    closes = _closes(rows)
    own, its = np.diff(np.log(closes[-_LOOK - 1 :])), np.diff(np.log(led[-_LOOK - 1 :]))
    varies = float(its @ its)
    beta = float(own @ its) / varies if varies else 1.0
    newest = list(rows)[-24:]
    falls = closes[4:] / closes[:-4] - 1
    fell = float(falls[-1])
    highs = [max(row.high for row in newest[:12]), max(row.high for row in newest[12:])]
    down = (closes[-1] < _ema(closes, 50), closes[-1] < _ema(closes, 200), highs[1] < highs[0])
    return _Measured(
        last_ns=last_ns,
        beta=beta,
        residual=float(own.sum() - beta * its.sum()),
        trend=sum(map(bool, down)) / len(down),
        volume=math.fsum(row.volume * row.close for row in newest),
        fell=fell,
        against=fell - float(led[-1] / led[-5] - 1),
        rank=float((falls < fell).mean()),
    )


def _closes(rows: Sequence[BarRow]) -> Floats:
    return np.fromiter((row.close for row in rows), np.float64, len(rows))


def _ema(closes: Floats, period: int) -> float:
    """The exponential average over all that is there, its weights made to sum to 1."""
    weights = (1 - 2 / (period + 1)) ** np.arange(len(closes))[::-1]
    return float(closes @ weights / weights.sum())


def _ranks(numbers: Sequence[float]) -> list[float]:
    """Each one's place among all, 0..1; equals share theirs."""
    ordered = sorted(numbers)
    return [(bisect_left(ordered, one) + bisect_right(ordered, one)) / 2 / len(ordered) for one in numbers]
