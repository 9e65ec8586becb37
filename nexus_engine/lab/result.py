"""What came of a backtest: the figures of its curve and of its trades, what they cost, and who told the regime."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from nexus_engine.cortex.factory import SILENT
from nexus_engine.cortex.regime_model import RegimeModel
from nexus_engine.lab import beside, metrics
from nexus_engine.lab.bars import SECOND_NS, Bars, utc
from nexus_engine.lab.drive import Drive
from nexus_engine.lab.record import Curve, Trade
from nexus_engine.lab.wire import THERE_NS
from nexus_engine.model.words import Regime
from nexus_engine.sim.account import MAKER_FEE, TAKER_FEE
from nexus_engine.sim.played import FUNDING_RATE

if TYPE_CHECKING:
    from nexus_engine.lab.backtest import BacktestOrder


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
    """By regime: its `hours`, in how many of them the model said it (`by_model`), and the trades entered in it."""
    regime_model: Mapping[str, Any]
    """Its `name`, in how many hours it `answered`, and in how many it was `silent`, by reason."""
    sangria: tuple[tuple[str, str], ...]
    """From and to, UTC, where the macro state let the Shark hunt."""
    benchmarks: Mapping[str, Any]
    signals: Mapping[str, int]
    notes: tuple[str, ...]
    decisions_hash: str
    wall_s: float
    curve: Curve


def made(order: "BacktestOrder", bars: Bars, start: int, drive: Drive, notes: list[str], wall_s: float) -> Result:
    """All that a run says of itself."""
    record, curve = drive.record, drive.record.curve
    end_ns = int(bars.open_ns[-1]) + bars.step_ns
    played = bars.cut(int(bars.open_ns[start]), end_ns)
    trades = record.trades
    left = record.left_open(end_ns, drive.venue.price)
    for at_ns, latch, reason in record.latches:
        notes.append(f"{utc(at_ns)} {latch} latched: {reason}; a person released it on the next day")
    if approved := record.outcomes["approved by you"]:
        notes.append(f"{approved} cards that a strategy may not play itself were approved at once, as by a person")
    for name, text in drive.engine.cortex.broken.items():
        notes.append(f"strategy {name} failed on its way and said nothing more: {text}")
    if left is not None:
        notes.append("a position is open at the end; it is valued at the last close and is in no statistics of trades")
    taken = record.participation.figures(known=bool(bars.volume.any()))
    if taken["share_pct"] is None:
        notes.append("no bar has a volume: every order is filled whole, however large")
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
        costs=_costs(drive, trades, curve, order, net) | {"participation": taken},
        regimes=_regimes(trades, drive.engine.cortex.hours, order.model),
        regime_model=_told_by(drive.engine.cortex.hours, order.model),
        sangria=tuple(
            (utc(max(begin, int(played.open_ns[0]))), utc(end or end_ns))
            for begin, end in record.sangria
            if not end or end > played.open_ns[0]
        ),
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


def _figures(curve: Curve, trades: Sequence[Trade], order: "BacktestOrder", times: float) -> dict[str, Any]:
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
    drive: Drive, trades: Sequence[Trade], curve: Curve, order: "BacktestOrder", net: Mapping[str, Any]
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


def _regimes(
    trades: Sequence[Trade], hours: Mapping[tuple[Regime, str], int], model: RegimeModel | None
) -> dict[str, Any]:
    """The hours of each regime, and the trades that were entered in it."""
    found: dict[str, Any] = {}
    for name in sorted({trade.regime for trade in trades} | {regime.value for regime, _ in hours}):
        of = [trade for trade in trades if trade.regime == name]
        money, r = np.array([trade.net for trade in of]), np.array([trade.r for trade in of])
        figures = metrics.of_trades(money, r)
        by_model = 0 if model is None else sum(hours[key] for key in hours if key == (name, model.name))
        found[name] = {"hours": sum(count for (regime, _), count in hours.items() if regime == name)}
        found[name] |= {"by_model": by_model}
        found[name] |= {
            key: figures[key] for key in ("trades", "profit", "win_rate", "profit_factor", "expectancy_r", "sqn")
        }
    return found


def _told_by(hours: Mapping[tuple[Regime, str], int], model: RegimeModel | None) -> dict[str, Any]:
    if model is None:
        return {"name": None, "answered": 0, "silent": {}}
    silent: Counter[str] = Counter()
    for (regime, teller), count in hours.items():
        if teller != model.name:
            known = teller.removeprefix(SILENT).strip(": ") if teller.startswith(SILENT) else "the rule knows nothing"
            silent["regime unknown" if regime is Regime.UNKNOWN else known] += count
    answered = sum(count for (_, teller), count in hours.items() if teller == model.name)
    return {"name": model.name, "answered": answered, "silent": dict(sorted(silent.items()))}


def _counted(words: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items()))


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers) if numbers else float("nan")
