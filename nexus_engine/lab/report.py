"""A backtest's result for people and programs: text, JSON, and a page that needs nothing but itself."""

import html
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from nexus_engine.lab.bars import Floats, utc
from nexus_engine.lab.record import OPEN, Trade

if TYPE_CHECKING:
    from nexus_engine.lab.result import Result

POINTS: Final = 400
"""Of the equity curve, in JSON and on the page."""
ROWS: Final = 500
"""Trades listed on the page, the newest."""


# ---- JSON ------------------------------------------------------------------------------------------------------------


def told(result: "Result") -> dict[str, Any]:
    """One JSON object; a figure that is not known is null."""
    found: dict[str, Any] = msgspec.to_builtins(msgspec.structs.asdict(result) | {"curve": None}, enc_hook=str)
    del found["curve"]
    for trade in found["trades"]:
        trade["opened"], trade["closed"] = utc(trade.pop("opened_ns")), utc(trade.pop("closed_ns"))
    at, equity, fall = _thinned(result)
    found["equity"] = [
        [int(ns) // 1_000_000, round(worth, 4), round(down, 6)]
        for ns, worth, down in zip(at, equity, fall, strict=True)
    ]
    clean: dict[str, Any] = _clean(found)
    return clean


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _clean(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(one) for one in value]
    return value if not isinstance(value, float) or isfinite(value) else None


def _thinned(result: "Result") -> tuple[list[int], list[float], list[float]]:
    """(ns, equity, drawdown as a fraction) of at most POINTS moments: of each stretch its worst one."""
    curve = result.curve
    fall = curve.equity / np.maximum.accumulate(curve.equity) - 1.0
    count = len(fall)
    edges = np.unique(np.linspace(0, count, min(POINTS, count) + 1).astype(int))
    kept = [low + int(np.argmin(fall[low:high])) for low, high in pairwise(edges)]
    kept = sorted({0, *kept, count - 1})
    return curve.at_ns[kept].tolist(), curve.equity[kept].tolist(), fall[kept].tolist()


# ---- text ------------------------------------------------------------------------------------------------------------


def text(result: "Result") -> str:
    """For a terminal of 100 columns."""
    net, gross = result.metrics["net"], result.metrics["gross"]
    lines = [
        f"{result.symbol} {result.strategy}   {result.since[:16]} to {result.until[:16]} UTC",
        f"{result.bars:,} bars of {result.step_s:g} s in {result.wall_s:.2f} s"
        f" ({result.bars / max(result.wall_s, 1e-9):,.0f} bars/s)   decisions {result.decisions_hash}",
        "",
        f"{'':<26}{'net':>14}{'gross':>14}{'costs x2':>14}{'buy & hold':>14}",
    ]
    held, twice = result.benchmarks["buy_and_hold"], result.costs["x2"]
    for key, name, unit in _ROWS:
        cells = "".join(f"{_told(source.get(key), unit):>14}" for source in (net, gross, twice, held))
        lines.append(f"{name:<26}{cells}")
    lines += ["", *_sentences(result), ""]
    if result.regimes:
        lines.append(f"{'regime':<16}{'hours':>10}" + "".join(f"{name:>14}" for name in _REGIME))
        for name, row in result.regimes.items():
            hours, *told = _of_regime(row)
            lines.append(f"{name or 'none':<16}{hours:>10}" + "".join(f"{cell:>14}" for cell in told))
        lines.append("")
    return "\n".join(lines + [f"note: {note}" for note in result.notes]).rstrip()


_REGIME: Final = ("trades in it", "won", "profit", "R a trade")


def _of_regime(row: Mapping[str, Any]) -> tuple[object, ...]:
    won, profit, r = _told(row["win_rate"], "share"), _told(row["profit"], ""), _told(row["expectancy_r"], "")
    return (f"{row['hours']:,}", row["trades"], won, profit, r)


_ROWS: Final = (
    ("return_pct", "return", "%"),
    ("cagr_pct", "return a year", "%"),
    ("max_drawdown_pct", "largest drawdown", "%"),
    ("volatility_pct", "volatility a year", "%"),
    ("sharpe", "Sharpe (365 d)", ""),
    ("sortino", "Sortino", ""),
    ("calmar", "Calmar", ""),
    ("psr", "probabilistic Sharpe", "share"),
    ("deflated_sharpe", "deflated Sharpe", "share"),
    ("trades", "trades", "count"),
    ("win_rate", "won", "share"),
    ("profit", "profit", ""),
    ("profit_factor", "profit factor", ""),
    ("payoff", "mean win by mean loss", ""),
    ("expectancy_r", "R a trade", ""),
    ("sqn", "SQN", ""),
    ("longest_losing", "losses in a row", "count"),
)


def _sentences(result: "Result") -> list[str]:
    net, costs, chance = result.metrics["net"], result.costs, result.benchmarks["random_entries"]
    low, high = net["win_rate_95"]
    first, last = net["expectancy_r_90"]
    exits = ", ".join(f"{name} {count}" for name, count in net["exits"].items())
    lines = [
        f"won {_told(low, 'share')} to {_told(high, 'share')} (95 %, Wilson); "
        f"{_told(first, '')} to {_told(last, '')} R a trade (90 %, bootstrap)",
        f"costs {costs['total']:,.2f} (fees {costs['fees']:,.2f}, spread {costs['spread']:,.2f}, slippage "
        f"{costs['slippage']:,.2f}), {_told(costs['share_of_gross_wins_pct'], '%')} of what was won; "
        f"funding {costs['funding']:+,.2f}",
        f"in the market {_told(net['exposure_pct'], '%')} of the time, {_told(net['mean_held_min'], '')} min a trade; "
        f"worst on the way {_told(net['mae_r'], '')} R, best {_told(net['mfe_r'], '')} R; exits: {exits or 'none'}",
    ]
    lines += _parted(costs["participation"])
    if chance["draws"]:
        lines.append(
            f"random entries with the same exits: {_told(chance['expectancy_r'], '')} R a trade; "
            f"{_told(chance['beaten_by'], 'share')} of {chance['draws']} draws are as good"
        )
    if (model := result.regime_model)["name"]:
        silent = ", ".join(f"{reason} {hours}" for reason, hours in model["silent"].items())
        lines.append(f"regime model {model['name']}: told {model['answered']} hours; silent: {silent or 'never'}")
    if result.sangria:
        hours = sum(_hours(*window) for window in result.sangria)
        lines.append(
            f"SANGRIA {len(result.sangria)} times, {hours:,.0f} h of {result.bars * result.step_s / 3600:,.0f}"
        )
    signals = ", ".join(f"{name} {count}" for name, count in result.signals.items())
    lines.append(f"signals: {signals or 'none'}")
    return lines


def _parted(taken: Mapping[str, Any]) -> tuple[str, ...]:
    """What came of orders that no one bar could fill."""
    if taken["share_pct"] is None:
        return ("filled whole, since no bar has a volume",)
    head = f"at most {taken['share_pct']:g} % of a bar's volume is taken: "
    if not taken["orders"]:
        return (f"{head}no order was filled",)
    if not taken["in_parts"]:
        whole = f"each of {taken['orders']:,} orders was filled by one bar"
        return (f"{head}{whole}, the largest by {_told(taken['largest_pct'], '%')} of it",)
    cost = taken["cost"]
    return (
        f"{head}{taken['in_parts']:,} of {taken['orders']:,} orders were filled in parts, over up to "
        f"{taken['most_bars']:,} bars",
        f"their later parts cost {abs(cost):,.2f} {'more' if cost >= 0 else 'less'} than at the first one's price; "
        f"{taken['given_up']:,} entries were over before they were whole",
    )


def _hours(begin: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds() / 3600


def _told(value: Any, unit: str) -> str:
    if value is None or (isinstance(value, float) and not isfinite(value)):
        return "-"
    if unit == "count":
        return f"{value:,}"
    if unit == "share":
        return f"{value:.1%}"
    return f"{value:,.2f}{' %' if unit == '%' else ''}"


# ---- the page --------------------------------------------------------------------------------------------------------

_STYLE: Final = (
    "body{font:14px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;"
    "color:#1c2430;background:#fff}"
    "h1{font-size:1.3rem}h2{font-size:1rem;margin-top:2rem}table{border-collapse:collapse;margin:.5rem 0}"
    "td,th{padding:.15rem .8rem;text-align:right;border-bottom:1px solid #e3e7ec}"
    "th:first-child,td:first-child{text-align:left}"
    "svg{width:100%;height:auto;background:#f7f9fb}.note{color:#57616e}"
    "@media(prefers-color-scheme:dark){body{color:#dde3ea;background:#12161c}svg{background:#1a2029}"
    "td,th{border-color:#2a323d}.note{color:#9aa5b1}}"
)


def page(result: "Result") -> str:
    """Self-contained HTML: no script, nothing from elsewhere, every text escaped."""
    at, equity, fall = _thinned(result)
    trades = [trade for trade in result.trades if trade.reason != OPEN]
    net, gross = result.metrics["net"], result.metrics["gross"]
    held, twice = result.benchmarks["buy_and_hold"], result.costs["x2"]
    title = f"{result.symbol} {result.strategy}"
    figures = [
        (name, *(_told(source.get(key), unit) for source in (net, gross, twice, held))) for key, name, unit in _ROWS
    ]
    regimes = [(name or "none", *_of_regime(row)) for name, row in result.regimes.items()]
    parts = [
        f"<h1>{_safe(title)}</h1><p>{_safe(result.since)} to {_safe(result.until)}; {result.bars:,} bars of "
        f"{result.step_s:g} s; decisions <code>{_safe(result.decisions_hash)}</code></p>",
        "<h2>Equity</h2>" + _line(at, equity, "#1769aa"),
        "<h2>Drawdown</h2>" + _line(at, [100 * one for one in fall], "#b3261e", unit=" %"),
        "<h2>Figures</h2>" + _table(("", "net", "gross", "costs x2", "buy & hold"), figures),
        "".join(f"<p>{_safe(line)}</p>" for line in _sentences(result)),
        "<h2>By regime at the entry</h2>" + _table(("regime", "hours", *_REGIME), regimes),
        "<h2>On the way: worst against the result, in R</h2>" + _scatter([(one.mae_r, one.r) for one in trades]),
        "<h2>On the way: best against the result, in R</h2>" + _scatter([(one.mfe_r, one.r) for one in trades]),
        f"<h2>Trades</h2>{_table(_HEADS, [_row(one) for one in reversed(result.trades[-ROWS:])])}",
        "".join(f'<p class="note">{_safe(note)}</p>' for note in result.notes),
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_safe(title)}</title>'
        f"<style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


_HEADS: Final = (
    "opened",
    "closed",
    "strategy",
    "side",
    "regime",
    "entry",
    "exit",
    "why",
    "net",
    "R",
    "worst R",
    "best R",
)


def _row(trade: Trade) -> tuple[object, ...]:
    return (
        utc(trade.opened_ns)[:19], utc(trade.closed_ns)[:19], trade.strategy, trade.side.value, trade.regime,
        f"{trade.entry:.8g}", f"{trade.exit:.8g}", trade.reason, f"{trade.net:+,.2f}", f"{trade.r:+.2f}",
        f"{trade.mae_r:.2f}", f"{trade.mfe_r:.2f}",
    )  # fmt: skip


def _safe(value: object) -> str:
    return html.escape(str(value), quote=True)


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f"<th>{_safe(one)}</th>" for one in heads)
    body = "".join("<tr>" + "".join(f"<td>{_safe(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


_WIDE, _HIGH, _EDGE = 960, 240, 60


def _line(at: Sequence[int], values: Sequence[float], colour: str, unit: str = "") -> str:
    low, high = min(values), max(values)
    across = _scaled(np.array(at, float), _EDGE, _WIDE - 10)
    down = _HIGH - _scaled(np.array(values), 20, _HIGH - 20)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True))
    labels = (
        (4, 24, f"{high:,.2f}{unit}"),
        (4, _HIGH - 16, f"{low:,.2f}{unit}"),
        (_EDGE, _HIGH - 4, utc(at[0])[:10]),
        (_WIDE - 80, _HIGH - 4, utc(at[-1])[:10]),
    )
    return _svg(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>', labels)


def _scatter(points: Sequence[tuple[float, float]]) -> str:
    if not points:
        return '<p class="note">no trades</p>'
    xs, ys = np.array([one[0] for one in points]), np.array([one[1] for one in points])
    across, down = _scaled(xs, _EDGE, _WIDE - 20), _HIGH - _scaled(ys, 20, _HIGH - 20)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{"#2e7d32" if r >= 0 else "#b3261e"}" fill-opacity="0.6"/>'
        for x, y, r in zip(across, down, ys, strict=True)
    )
    labels = (
        (4, 24, f"{ys.max():+.2f} R"),
        (4, _HIGH - 16, f"{ys.min():+.2f} R"),
        (_EDGE, _HIGH - 4, f"{xs.min():.2f} R"),
        (_WIDE - 80, _HIGH - 4, f"{xs.max():.2f} R"),
    )
    return _svg(dots, labels)


def _svg(inner: str, labels: Iterable[tuple[float, float, str]]) -> str:
    words = "".join(
        f'<text x="{x}" y="{y}" font-size="11" fill="currentColor">{_safe(word)}</text>' for x, y, word in labels
    )
    return f'<svg viewBox="0 0 {_WIDE} {_HIGH}" role="img">{inner}{words}</svg>'


def _scaled(values: Floats, low: float, high: float) -> Floats:
    span = float(values.max() - values.min())
    return (
        np.asarray(low + (values - values.min()) / span * (high - low))
        if span
        else np.full(len(values), (low + high) / 2)
    )
