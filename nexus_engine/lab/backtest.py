"""`nexus backtest`: the core that trades live, on recorded bars, against a venue that fills as bars allow.

The same engine, strategies, shield and servos; only the clock is virtual and the venue simulated. Signals come of
closed bars and are filled after them, taking the spread and slipping; a stop that a gap jumped over fills at the open;
a bar that touches stop and target met the stop; funding is paid at 0, 8 and 16 UTC. The same input gives the same
decisions.
"""

import argparse
import json
import logging
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from nexus_engine.core.engine import Engine
from nexus_engine.cortex.factory import STRATEGIES
from nexus_engine.cortex.shark import Shark
from nexus_engine.cortex.strategy import interval_ns
from nexus_engine.lab import beside, history, metrics, report
from nexus_engine.lab.bars import SECOND_NS, Bars, BarsError, utc
from nexus_engine.lab.drive import Drive, Mask
from nexus_engine.lab.progress import Progress
from nexus_engine.lab.record import Curve, Trade
from nexus_engine.lab.scan import lasting_ns, stretches
from nexus_engine.lab.skip import Skipper
from nexus_engine.lab.venue import BarVenue, Costs
from nexus_engine.lab.wire import THERE_NS, Clock
from nexus_engine.model.config import ConfigError, Directive
from nexus_engine.model.config import load as load_config
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.usage import Parser, UsageError, harmless
from nexus_engine.sim.account import MAKER_FEE, TAKER_FEE
from nexus_engine.sim.played import FUNDING_RATE

AUTO: Final = "auto"
NAMES: Final = tuple(kind.name for kind in STRATEGIES)
SENTINEL_NS: Final = 300 * SECOND_NS
"""Bars up to this length let the Sentinel see a crash."""

Share = Callable[[float], None]


class BacktestOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What to run. `since` and `until` are UTC ns, 0 for the data's own ends; what is before `since` warms up.

    `trials`: how many variants were tried before this one, and `trial_variance` that of their Sharpe ratios a day.
    """

    data: tuple[Path, ...]
    symbol: str
    strategy: str = AUTO
    since: int = 0
    until: int = 0
    funding: Path | None = None
    directive: Directive = Directive()
    costs: Costs | None = None
    skipping: bool = True
    trials: int = 1
    trial_variance: float | None = None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. `metrics` holds `net` and `gross`, each with the figures of the curve and of the trades."""

    data: tuple[str, ...]
    symbol: str
    strategy: str
    since: str
    until: str
    bars: int
    step_s: float
    trades: tuple[Trade, ...]
    metrics: Mapping[str, Any]
    costs: Mapping[str, Any]
    regimes: Mapping[str, Any]
    benchmarks: Mapping[str, Any]
    signals: Mapping[str, int]
    notes: tuple[str, ...]
    decisions_hash: str
    wall_s: float
    curve: Curve


class _Unsealed(Ledger):
    """A backtest has no journal that anybody would check against it."""

    def digest(self) -> str:
        """Nothing."""
        return ""


def run(order: BacktestOrder, progress: Share = lambda share: None) -> Result:
    """Run it. Raises BarsError, ConfigError."""
    begun_s = time.monotonic()
    bars, mended = history.gather(order.data, order.symbol)
    if order.until:
        bars = bars.cut(0, order.until)
    start = int(np.searchsorted(bars.open_ns, order.since))
    if start >= len(bars):
        raise BarsError(f"{order.data[0]}: holds no bar of {order.symbol} between --from and --to")
    rates = None if order.funding is None else history.funding(order.funding, order.symbol)
    notes = list(mended.said())
    directive = _directive(order, bars, notes)
    engine = Engine(directive, _Unsealed())
    frames = [history.added_up(bars, interval) for interval in engine.cortex.intervals]
    clock = Clock(int(bars.open_ns[start]))
    venue = BarVenue(
        order.symbol,
        float(bars.ohlc[start, 0]),
        wallet=Decimal(repr(directive.paper.wallet)),
        leverage=engine.directive.risk.leverage,
        costs=order.costs or Costs.of(order.symbol),
        funding=rates,
    )
    watched = _watched(bars, order, directive, notes)
    skip = None
    if order.skipping:
        skip = Skipper(engine.cortex, order.symbol, frames, start_ns=clock.now_ns, warmup=engine.warmup_bars)
    drive = Drive(
        engine, venue, bars, frames, start=start, clock=clock, watched=watched,
        locked=lasting_ns(directive.shield) // bars.step_ns + 1, skip=skip, progress=progress,
    )  # fmt: skip
    drive.run()
    progress(1.0)
    return _result(order, bars, start, drive, notes, time.monotonic() - begun_s)


def _directive(order: BacktestOrder, bars: Bars, notes: list[str]) -> Directive:
    """The directive with the strategies that run. With `auto` those that the bars are too coarse for are left out."""
    given = order.directive
    chosen: dict[str, dict[str, Any]] = {}
    probe = {name: dict(given.strategies.get(name, {})) for name in NAMES}
    for kind in STRATEGIES:
        name = kind.name
        wanted = order.strategy in (AUTO, name)
        if wanted and order.strategy == AUTO:
            wanted = probe[name].get("enabled", kind.PARAMS["enabled"].default)
        interval = str(probe[name].get("interval", kind.PARAMS["interval"].default))
        if wanted and interval_ns(interval) % bars.step_ns:
            lacks = f"{name} needs {interval} bars, which {bars.step_ns / SECOND_NS:g} s bars do not make"
            if order.strategy != AUTO:
                raise BarsError(f"{order.data[0]}: {lacks}")
            notes.append(lacks)
            wanted = False
        chosen[name] = probe[name] | {"enabled": bool(wanted)}
    if not any(one["enabled"] for one in chosen.values()):
        told = "; ".join(notes) or "none is enabled"
        raise BarsError(f"{order.data[0]}: no strategy can run on it: {told}")
    if chosen[Shark.name]["enabled"]:
        notes.append("the Shark entered nothing: a file of bars says nothing of dominance and cap")
    shield = given.shield
    if order.symbol != shield.swan_symbol:
        notes.append(f"the Sentinel was not there: it watches {shield.swan_symbol}")
        shield = shield.model_copy(update={"swan_symbol": order.symbol})
    return given.model_copy(update={"strategies": chosen, "shield": shield, "people": {}})


def _watched(bars: Bars, order: BacktestOrder, directive: Directive, notes: list[str]) -> Mask | None:
    """Bars in which the black swan may trip, if it watches this symbol and can see it in them."""
    if order.symbol != order.directive.shield.swan_symbol:
        return None
    if bars.step_ns > SENTINEL_NS:
        notes.append(f"the Sentinel was not there: bars of {bars.step_ns / SECOND_NS:g} s are too coarse for it")
        return None
    watched = np.zeros(len(bars), bool)
    for low, high in stretches(bars, directive.shield):
        watched[low:high] = True
    return watched


# ---- the result ------------------------------------------------------------------------------------------------------


def _result(order: BacktestOrder, bars: Bars, start: int, drive: Drive, notes: list[str], wall_s: float) -> Result:
    record, curve = drive.record, drive.record.curve
    end_ns = int(bars.open_ns[-1]) + bars.step_ns
    played = bars.cut(int(bars.open_ns[start]), end_ns)
    trades = record.trades
    left = record.left_open(end_ns, drive.venue.price)
    for at_ns, latch, reason in record.latches:
        notes.append(f"{utc(at_ns)} {latch} latched: {reason}; a person released it on the next day")
    if approved := record.outcomes["approved by you"]:
        notes.append(f"{approved} cards that a strategy may not play itself were approved at once, as by a person")
    if left is not None:
        notes.append("a position is open at the end; it is valued at the last close and is in no statistics of trades")
    net = _figures(curve, trades, order, 1.0)
    return Result(
        data=tuple(str(path) for path in order.data),
        symbol=order.symbol,
        strategy=order.strategy,
        since=utc(int(played.open_ns[0])),
        until=utc(end_ns),
        bars=len(played),
        step_s=bars.step_ns / SECOND_NS,
        trades=tuple(trades) + ((left,) if left is not None else ()),
        metrics={
            "net": net | _held(trades, played, curve),
            "gross": _figures(curve, trades, order, 0.0),
        },
        costs=_costs(drive, trades, curve, order, net),
        regimes=_regimes(trades),
        benchmarks={
            "buy_and_hold": beside.buy_and_hold(played, drive.venue),
            "random_entries": beside.random_entries(played, trades, drive.venue),
        },
        signals=dict(sorted(record.outcomes.items())),
        notes=tuple(notes),
        decisions_hash=record.decisions_hash,
        wall_s=wall_s,
        curve=curve,
    )


def _figures(curve: Curve, trades: Sequence[Trade], order: BacktestOrder, times: float) -> dict[str, Any]:
    """Everything with the costs so many times: 1 as it was, 0 without any and without funding."""
    equity = curve.equity - (times - 1.0) * curve.costs - (curve.funding if times == 0 else 0.0)
    money = np.array([_money(trade, times) for trade in trades])
    r = np.array([_money(trade, times) * (trade.r / trade.net if trade.net else 0.0) for trade in trades])
    if times == 0:
        r = np.array([trade.gross_r for trade in trades])
    return metrics.of_curve(curve.at_ns, equity, order.trials, order.trial_variance) | metrics.of_trades(money, r)


def _money(trade: Trade, times: float) -> float:
    costs = trade.fees + trade.spread + trade.slippage
    return trade.gross if times == 0 else trade.net - (times - 1.0) * costs


def _held(trades: Sequence[Trade], played: Bars, curve: Curve) -> dict[str, Any]:
    """How the trades went on the way."""
    span_ns = len(played) * played.step_ns
    held_ns = sum(trade.closed_ns - trade.opened_ns for trade in trades)
    turned = sum(float(trade.qty) * (trade.entry + trade.exit) for trade in trades)
    losers = [trade.mfe_r for trade in trades if trade.net < 0]
    mae, mfe = [-trade.mae_r for trade in trades], [trade.mfe_r for trade in trades]
    return {
        "exposure_pct": held_ns / span_ns * 100,
        "mean_held_min": held_ns / len(trades) / 60e9 if trades else float("nan"),
        "turnover": turned / float(curve.equity[0]),
        "mae_r": _mean(mae),
        "mfe_r": _mean(mfe),
        "edge_ratio": sum(mfe) / sum(mae) if sum(mae) else float("nan"),
        "losers_mfe_r": _mean(losers),
        "exits": _counted(trade.reason for trade in trades),
    }


def _costs(
    drive: Drive, trades: Sequence[Trade], curve: Curve, order: BacktestOrder, net: Mapping[str, Any]
) -> dict[str, Any]:
    """What trading cost, and what is left when it costs once (`net`) and twice as much."""
    fees, spread = sum(trade.fees for trade in trades), sum(trade.spread for trade in trades)
    slippage, funding = sum(trade.slippage for trade in trades), sum(trade.funding for trade in trades)
    total = fees + spread + slippage
    won = sum(trade.gross for trade in trades if trade.gross > 0)
    model = drive.venue.costs
    doubled = _figures(curve, trades, order, 2.0)
    return {
        "fees": fees,
        "spread": spread,
        "slippage": slippage,
        "funding": funding,
        "total": total,
        "share_of_gross_wins_pct": total / won * 100 if won else float("nan"),
        "model": {
            "taker_bp": float(TAKER_FEE) * 1e4,
            "maker_bp": float(MAKER_FEE) * 1e4,
            "spread_bp": model.spread_bp,
            "slippage_bp": model.slippage_bp,
            "impact": model.impact,
            "funding": "as given" if order.funding else f"{FUNDING_RATE:.4%} in 8 h",
            "latency_ms": THERE_NS // 1_000_000,
        },
        "x1": _short(net),
        "x2": _short(doubled),
    }


_SHORT: Final = ("profit", "return_pct", "max_drawdown_pct", "sharpe", "profit_factor", "expectancy_r", "win_rate")


def _short(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: figures[name] for name in _SHORT}


def _regimes(trades: Sequence[Trade]) -> dict[str, Any]:
    """The trades by the regime that they were entered in."""
    found: dict[str, Any] = {}
    for name in sorted({trade.regime for trade in trades}):
        of = [trade for trade in trades if trade.regime == name]
        money, r = np.array([trade.net for trade in of]), np.array([trade.r for trade in of])
        figures = metrics.of_trades(money, r)
        found[name] = {
            key: figures[key] for key in ("trades", "profit", "win_rate", "profit_factor", "expectancy_r", "sqn")
        }
    return found


def _counted(words: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items()))


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers) if numbers else float("nan")


# ---- the command -----------------------------------------------------------------------------------------------------


def main(argv: Sequence[str]) -> int:
    """0: it ran; 1: stopped, or its page could not be written; 2: bad usage or input, with one line on stderr."""
    try:
        given = _parser().parse_args(argv)
        order = _order(given)
    except (UsageError, ConfigError) as error:
        sys.stderr.write(f"nexus backtest: {harmless(error)}\n")
        return 2
    except SystemExit as stop:
        return int(stop.code or 0)
    logging.getLogger("nexus_engine").addHandler(logging.NullHandler())
    progress = Progress(as_json=given.json)
    try:
        result = run(order, lambda share: progress("backtest", share))
    except (BarsError, ConfigError) as error:
        progress.wipe()
        sys.stderr.write(f"nexus backtest: {harmless(error)}\n")
        return 2
    except KeyboardInterrupt:
        progress.wipe()
        sys.stderr.write("nexus backtest: stopped; nothing was kept\n")
        return 1
    progress.wipe()
    sys.stdout.write((json.dumps(report.told(result)) if given.json else report.text(result)) + "\n")
    try:
        if given.html is not None:
            given.html.write_text(report.page(result), "utf-8")
    except OSError as error:
        sys.stderr.write(f"nexus backtest: {harmless(given.html)}: cannot be written ({error.strerror})\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="nexus backtest", formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
        description=__doc__, epilog="Files have the columns open_time, open, high, low, close, volume (parquet or "
        "CSV, UTC),\nbars of 1 s to 1 h; with a column symbol its rows of --symbol count. Several files are joined.",
    )  # fmt: skip
    add = parser.add_argument
    add("--data", metavar="F", type=Path, nargs="+", required=True, help="recorded bars of the symbol")
    add("--symbol", metavar="S", required=True, help="whose bars they are, e.g. BTCUSDT")
    add("--strategy", metavar="NAME", choices=(AUTO, *NAMES), default=AUTO, help=f"{AUTO}, {', '.join(NAMES)}")
    add("--from", dest="since", metavar="DATE", default="", help="play from here on (UTC); earlier bars warm up")
    add("--to", dest="until", metavar="DATE", default="", help="and up to before this")
    add("--funding", metavar="FILE", type=Path, help="rates: funding_time, rate; without it 1 bp in 8 h")
    add("--config", metavar="FILE", type=Path, help="a directive: strategies, risk, shield, paper.wallet")
    add("--trials", metavar="N", type=int, default=1, help="variants tried before this one: deflates the Sharpe ratio")
    add("--step", action="store_true", help="tell the core of every closed bar; slower, the same decisions")
    add("--html", metavar="FILE", type=Path, help="also write the report as a page")
    add("--json", action="store_true", help="one JSON object on stdout, progress on stderr")
    return parser


def _order(given: argparse.Namespace) -> BacktestOrder:
    if not re.fullmatch(r"[A-Z0-9]{2,20}", given.symbol):
        raise UsageError(f"--symbol {given.symbol!r}: allowed are 2 to 20 of A-Z and 0-9, e.g. BTCUSDT")
    if not 1 <= given.trials <= 1_000_000:
        raise UsageError(f"--trials {given.trials}: allowed are whole numbers from 1 to 1000000")
    since, until = moment("--from", given.since), moment("--to", given.until)
    page: Path | None = given.html
    if page is not None and (page.is_dir() or not page.parent.is_dir()):
        raise UsageError(f"--html {page}: cannot be written: must be a file in a folder that there is")
    if page is not None and not os.access(page if page.exists() else page.parent, os.W_OK):
        raise UsageError(f"--html {page}: cannot be written: no right to")
    if until and since >= until:
        raise UsageError(f"--to {given.until}: must be after --from")
    return BacktestOrder(
        data=tuple(given.data),
        symbol=given.symbol,
        strategy=given.strategy,
        since=since,
        until=until,
        funding=given.funding,
        directive=load_config(given.config),
        skipping=not given.step,
        trials=given.trials,
    )


def moment(option: str, text: str) -> int:
    if not text:
        return 0
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text!r}: must be a date or time, e.g. 2024-01-01 or 2024-01-01T08:00") from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()) * SECOND_NS
