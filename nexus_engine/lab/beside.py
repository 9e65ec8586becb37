"""What a strategy must beat: holding the symbol, and entering at random with the same exits."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, Final

import numpy as np

from nexus_engine.lab import metrics
from nexus_engine.lab.bars import Bars, Floats, Ints
from nexus_engine.lab.record import Trade
from nexus_engine.lab.venue import BarVenue
from nexus_engine.sim.account import TAKER_FEE
from nexus_engine.sim.played import FUNDING_NS

DRAWS: Final = 200
"""Random entries for each trade."""
LONGEST: Final = 256
"""Steps that a random trade is followed for at most; longer ones are followed in coarser bars."""
TRADES: Final = 500


def taken(venue: BarVenue) -> float:
    """What a taken side costs, as a fraction of the price: fee, half the spread, slip. The impact of size is not in
    it."""
    return float(TAKER_FEE) + venue.costs.spread_bp / 2e4 + venue.costs.slippage_bp / 1e4


def buy_and_hold(played: Bars, venue: BarVenue) -> dict[str, Any]:
    """All of the wallet in the symbol from the first open to the last close: costs of both sides, and funding."""
    at_ns, equity = held_curve(played, venue)
    keys = ("return_pct", "cagr_pct", "max_drawdown_pct", "sharpe", "sortino", "calmar")
    figures = metrics.of_curve(at_ns, equity)
    return {key: figures[key] for key in keys}


def held_curve(played: Bars, venue: BarVenue) -> tuple[Ints, Floats]:
    """The equity of holding, at every close."""
    wallet, cost = float(venue.account.ledger.start), taken(venue)
    closes, end_ns = played.ohlc[:, 3], played.open_ns + played.step_ns
    entry = float(played.ohlc[0, 0]) * (1 + cost)
    qty = wallet / entry
    stamps = np.arange(int(played.open_ns[0]) // FUNDING_NS + 1, int(end_ns[-1]) // FUNDING_NS + 1) * FUNDING_NS
    paid = np.zeros(len(closes))
    if len(stamps):
        at = np.minimum(np.searchsorted(end_ns, stamps), len(closes) - 1)
        rates = np.array([venue.rate_at(stamp) for stamp in stamps.tolist()])
        np.add.at(paid, at, rates * qty * closes[at])
    equity = wallet + qty * (closes - entry) - np.cumsum(paid)
    equity[-1] -= qty * closes[-1] * cost
    return np.concatenate((played.open_ns[:1], end_ns)), np.concatenate(([wallet], equity))


def random_entries(played: Bars, trades: Sequence[Trade], venue: BarVenue) -> Mapping[str, Any]:
    """For each trade many at random moments: its side, its stop and target as far away, and no longer than it lasted.

    `beaten_by`: the share of the draws whose mean R is at least that of the strategy, a p-value of its timing. A trail
    is not followed: its stop stands. Costs are those of two taken sides.
    """
    measured = [trade for trade in trades if trade.stop and trade.stop != trade.entry][:TRADES]
    if not measured:
        return {"draws": 0, "expectancy_r": None, "beaten_by": None}
    draws = metrics.drawn(f"{venue.symbol}:{len(played)}", len(measured) * DRAWS).reshape(-1, DRAWS)
    coarse: dict[int, Floats] = {}
    cost = taken(venue)
    found = np.stack([_drawn(played, trade, cost, at, coarse) for trade, at in zip(measured, draws, strict=True)])
    means = found.mean(axis=0)
    own = sum(trade.r for trade in measured) / len(measured)
    low, high = np.quantile(means, (0.05, 0.95))
    return {
        "draws": DRAWS,
        "expectancy_r": float(means.mean()),
        "expectancy_r_90": [float(low), float(high)],
        "beaten_by": float((means >= own).mean()),
    }


def _drawn(played: Bars, trade: Trade, cost: float, at: Floats, coarse: dict[int, Floats]) -> Floats:
    """R of the random trades that are like this one; `at` is when each begins, in [0, 1) of the bars there are."""
    span = max(1, ceil((trade.closed_ns - trade.opened_ns) / played.step_ns))
    factor = ceil(span / LONGEST)
    if factor not in coarse:
        coarse[factor] = _merged(played.ohlc, factor)
    ohlc = coarse[factor]
    steps = min(ceil(span / factor), len(ohlc))
    begins = (at * (len(ohlc) - steps + 1)).astype(np.int64)
    window = ohlc[begins[:, None] + np.arange(steps)]
    entry, sign = window[:, 0, 0], trade.side.sign
    distance = abs(trade.entry - trade.stop) / trade.entry
    stop = entry * (1 - sign * distance)
    worst, best = (window[:, :, 2], window[:, :, 1]) if sign > 0 else (window[:, :, 1], window[:, :, 2])
    stopped = (worst - stop[:, None]) * sign <= 0
    never = steps
    first_stop = np.where(stopped.any(axis=1), stopped.argmax(axis=1), never)
    out = window[:, -1, 3].copy()
    if trade.target is not None:
        target = entry * (1 + (trade.target - trade.entry) / trade.entry)
        reached = (best - target[:, None]) * sign > 0
        first_target = np.where(reached.any(axis=1), reached.argmax(axis=1), never)
        out = np.where(first_target < first_stop, target, out)
    else:
        first_target = np.full(DRAWS, never)
    at_stop = (first_stop < never) & (first_stop <= first_target)
    opens = window[np.arange(DRAWS), np.minimum(first_stop, never - 1), 0]
    gapped = (opens - stop) * sign < 0
    out = np.where(at_stop, np.where(gapped, opens, stop), out)
    return np.asarray(((out - entry) * sign - cost * (entry + out)) / (entry * distance))


def _merged(ohlc: Floats, factor: int) -> Floats:
    """So many bars as one; what is left at the end is dropped."""
    if factor == 1:
        return ohlc
    parts = ohlc[: len(ohlc) // factor * factor].reshape(-1, factor, 4)
    return np.column_stack((parts[:, 0, 0], parts[:, :, 1].max(axis=1), parts[:, :, 2].min(axis=1), parts[:, -1, 3]))
