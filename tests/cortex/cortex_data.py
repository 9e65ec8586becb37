"""Generated candles for the cortex's tests, seeded."""

from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

from nexus_engine.cortex.factory import STRATEGIES
from nexus_engine.cortex.strategy import interval_ns
from nexus_engine.model.events import Bar, BarRow
from nexus_engine.model.signals import Quote

START_NS = 1_760_000_400_000_000_000 // interval_ns("1d") * interval_ns("1d")


def rows_of(
    closes: Iterable[float],
    interval: str = "5m",
    *,
    wick: float = 0.0004,
    volumes: Iterable[float] | None = None,
    after: Sequence[BarRow] = (),
) -> list[BarRow]:
    """Candles that close there, each opening at the close before it, following `after`."""
    step = interval_ns(interval)
    open_ns = after[-1].open_ns + step if after else START_NS
    before = after[-1].close if after else None
    rows = []
    volume = iter(volumes or ())
    for close in closes:
        opened = close if before is None else before
        high, low = max(opened, close) * (1 + wick), min(opened, close) * (1 - wick)
        rows.append(BarRow(open_ns, opened, high, low, close, next(volume, 100.0), 10))
        open_ns, before = open_ns + step, close
    return rows


def quiet(count: int, seed: int, *, price: float = 100.0, noise: float = 0.0015, pull: float = 0.1) -> list[float]:
    """Closes that swing around `price`: a mean-reverting log price, `noise` a bar."""
    rng, away, closes = Random(seed), 0.0, []
    for _ in range(count):
        away += rng.gauss(0.0, noise) - pull * away
        closes.append(price * (1 + away))
    return closes


def walk(count: int, seed: int, *, drift: float = 0.0, noise: float = 0.005, price: float = 100.0) -> list[float]:
    """Closes of a random walk with a drift a bar."""
    rng, closes = Random(seed), []
    for _ in range(count):
        price *= 1 + drift + rng.gauss(0.0, noise)
        closes.append(price)
    return closes


def event(row: BarRow, interval: str = "5m", *, symbol: str = "SOLUSDT", closed: bool = True) -> Bar:
    return Bar(
        symbol=symbol,
        interval=interval,
        open_ns=row.open_ns,
        open=row.open,
        high=row.high,
        low=row.low,
        close=row.close,
        volume=row.volume,
        trades=row.trades,
        closed=closed,
        venue_ns=row.open_ns,
        at_ns=0,
        mono_ns=0,
    )


def quote_at(price: float, *, spread_bp: float = 1.0, valid: bool = True, taker_fee: float = 0.0005) -> Quote:
    half = price * spread_bp / 2e4
    return Quote(
        symbol="SOLUSDT",
        bid=price - half,
        ask=price + half,
        mark=price,
        last=price,
        funding_rate=0.0001,
        age_ms=20,
        valid=valid,
        taker_fee=taker_fee,
    )


def only(name: str, params: dict[str, Any] | None = None) -> dict[str, dict[str, Any]]:
    """The directive's section under which one strategy runs alone."""
    return {kind.name: {"enabled": False} for kind in STRATEGIES} | {name: params or {}}


RANGE_HOURS = rows_of(quiet(700, 2, noise=0.004, pull=0.5) + quiet(50, 3, noise=0.001, pull=0.5), "1h")
"""Hours that swing, lately less: regime RANGE."""
