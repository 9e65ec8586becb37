"""Pasts to run through: bars that a test writes down, walks by a seed, and engines that want what a test wants."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from wishes import Wishes

from nexus_engine.core.engine import Engine
from nexus_engine.lab.bars import SECOND_NS, Bars
from nexus_engine.lab.drive import Drive
from nexus_engine.lab.history import added_up
from nexus_engine.lab.venue import BarVenue, Costs
from nexus_engine.lab.wire import Clock
from nexus_engine.model.config import Directive, RiskConfig, ShieldConfig
from nexus_engine.model.ledger import Ledger

SOL = "SOLUSDT"
MINUTE_NS = 60 * SECOND_NS
PLAIN = Costs(spread_bp=0.0, slippage_bp=0.0, impact=0.0)
"""A tick of spread, and a tick of slip."""
Row = tuple[float, float, float, float]


def at(text: str) -> int:
    """UTC ns."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND_NS


def bars_of(rows: Sequence[Row], start: str = "2024-01-01T01:00", step_s: int = 60, gap: int = 0) -> Bars:
    """Bars that follow each other; after bar `gap` (if any) ten are missing."""
    opened = at(start) + np.arange(len(rows), dtype=np.int64) * step_s * SECOND_NS
    if gap:
        opened[gap:] += 10 * step_s * SECOND_NS
    return Bars(opened, np.array(rows, float), np.full(len(rows), 1e6), step_s * SECOND_NS)


def flat(price: float, count: int) -> list[Row]:
    return [(price, price, price, price)] * count


def wishes(wanted: Sequence[dict[str, Any]]) -> Wishes:
    """A cortex that wants these at its first bar."""
    cortex = Wishes()
    cortex.problems = []  # type: ignore[assignment]
    cortex.queue = [(SOL, wish.pop("side"), wish) for wish in (dict(one) for one in wanted)]
    return cortex


def wishful(
    bars: Bars,
    wanted: Sequence[dict[str, Any]],
    *,
    costs: Costs = PLAIN,
    funding: dict[int, float] | None = None,
    wrap: Any = None,
    watched: bool = False,
) -> Drive:
    """Run an engine that wants these at the first bar, one after the other. `watched`: the Sentinel sees all of it."""
    shield = ShieldConfig(swan_symbol=SOL, exit_pause_min=0, stops_window_min=0, low_trades=0, min_day_volume=0)
    engine = Engine(Directive(shield=shield, risk=RiskConfig(volatility_pct=0)), Ledger())
    engine.cortex = wishes(wanted)  # type: ignore[assignment]
    if wrap is not None:
        wrap(engine)
    clock = Clock(int(bars.open_ns[0]))
    wallet = Decimal(10_000)
    venue = BarVenue(SOL, float(bars.ohlc[0, 0]), wallet=wallet, leverage=3, costs=costs, funding=funding)
    seen = np.ones(len(bars), bool) if watched else None
    drive = Drive(engine, venue, bars, [added_up(bars, "1m")], start=0, clock=clock, watched=seen)
    drive.run()
    return drive


def walk(seed: int, count: int, step_s: int, *, swing: float = 0.003, falls: int = 0, start: float = 100.0) -> Bars:
    """A walk that trends for a while, and with falls that turn."""
    rng = np.random.default_rng(seed)
    drift = np.repeat(rng.normal(0, swing / 6, count // 150 + 1), 150)[:count]
    moves = rng.normal(0, swing, count) + drift
    for place in rng.integers(count // 3, count - 20, falls).tolist():
        moves[place : place + 4] = (-0.03, -0.02, 0.012, 0.015)
    closes = start * np.exp(np.cumsum(moves))
    opens = np.concatenate(([start], closes[:-1]))
    wicks = np.abs(rng.normal(0, swing / 3, (2, count)))
    highs, lows = np.maximum(opens, closes) * (1 + wicks[0]), np.minimum(opens, closes) * (1 - wicks[1])
    opened = at("2023-01-01T00:00") + np.arange(count, dtype=np.int64) * step_s * SECOND_NS
    volume = rng.lognormal(9, 1, count)
    return Bars(opened, np.stack([opens, highs, lows, closes], axis=1), volume, step_s * SECOND_NS)


def frame_of(bars: Bars) -> pl.DataFrame:
    """As a file has it."""
    columns = {name: bars.ohlc[:, number] for number, name in enumerate(("open", "high", "low", "close"))}
    times = (bars.open_ns // 1_000_000).astype("datetime64[ms]")
    return pl.DataFrame({"open_time": times, **columns, "volume": bars.volume})


def written(bars: Bars, path: Path) -> Path:
    frame_of(bars).write_parquet(path)
    return path
