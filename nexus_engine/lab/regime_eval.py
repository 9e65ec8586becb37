"""How good a regime model is on bars that it has not seen: against plain rules, and in what it is worth to a trade."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from nexus_engine.cortex.regime_features import HORIZON_H
from nexus_engine.cortex.regime_model import HEADS, STALE_DAYS, TREND, RegimeModel
from nexus_engine.cortex.regime_switch import SMOOTH, Switch
from nexus_engine.lab.regime_data import DataError, Found, Panel
from nexus_engine.lab.regime_gating import Trades, coarser, gating, trend_trades
from nexus_engine.lab.regime_metrics import Floats, entropy, measured
from nexus_engine.lab.regime_samples import Samples, known, purge_h, samples

GOALS: Final = {"trend24h": 0.58, "highvol24h": 0.72}
"""AUC."""
HOUR_NS: Final = 3_600_000_000_000
CAP_R: Final = 10.0
FEWEST: Final = 200
"""Rows under which nothing is measured."""

Told = Callable[[str], None]


def evaluate(
    model: RegimeModel,
    found: Found,
    first_h: float = -math.inf,
    end_h: float = math.inf,
    told: Told = lambda text: None,
) -> dict[str, Any]:
    """The report as plain data. Rows that the model was fitted to are left out. Raises DataError when none is left."""
    ceiling_h = hour_of(model.manifest.train_from) - purge_h()
    floor_h = model.manifest.data_end_ns / HOUR_NS + purge_h()
    steps: dict[str, Any] = {}
    left_out = 0
    for panel in found.panels:
        whole = samples(panel, told)
        inside = whole.between(first_h, end_h)
        fresh = inside.where((inside.close_h < ceiling_h) | (inside.close_h >= floor_h))
        left_out += len(inside) - len(fresh)
        if len(fresh) >= FEWEST:
            told(f"measuring {panel.step_h} h bars")
            steps[f"{panel.step_h}h"] = _panel(model, panel, fresh)
    if not steps:
        span = f"{utc(ceiling_h)[:10]} to {utc(floor_h)[:10]}"
        raise DataError(
            f"fewer than {FEWEST} rows to measure on; {left_out} are of {span}, which {model.name} was fitted to"
        )
    main = next(iter(steps.values()))
    goals = [goal for step, each in steps.items() for goal in _goals(step, each)]
    return {
        "model": {
            "name": model.name, "family": model.manifest.family, "train_from": model.manifest.train_from,
            "train_to": model.manifest.train_to, "symbols": list(model.manifest.symbols),
            "promoted": model.manifest.promoted,
        },
        "data": {"sha256": found.sha256, "notes": list(found.notes), "in_sample_rows_left_out": left_out},
        **main,
        "other_steps": dict(list(steps.items())[1:]),
        "goals": goals,
        "reached": all(goal["met"] for goal in goals),
        "verdict": verdict(goals),
    }  # fmt: skip


def spoken(model: RegimeModel, rows: Floats) -> tuple[Floats, Floats, Floats]:
    """(probabilities of both heads, those of the logistic rival, strangeness) at rows of features."""
    filled = model.filled(rows)
    said = model.many(filled)
    return said[:, :2], model.rival(filled), said[:, 2]


def against(said: Floats, rival: Floats, baselines: Floats, at: Samples) -> dict[str, Any]:
    """Every measure of model and baselines on `at`, by task. `baselines`: see the model's array of that name."""
    tasks = {}
    for head, name in enumerate(HEADS):
        came = at.labels[:, head]
        rate, *rates = (float(one) for one in baselines[head])
        constant = np.full(len(at), rate)
        persistence = np.where(at.persistence[:, head], rates[1], rates[0])
        adx = np.where(at.adx[:, head], rates[3], rates[2])
        rows = {"model": said[:, head], "logistic": rival[:, head]}
        told = {kind: measured(column, came, rate) for kind, column in rows.items()}
        told["majority"] = measured(constant, came, 0.5)
        # a rule's own answer decides its class; its probabilities are how often it was right where the model learned
        for kind, column, yes in (("persistence", persistence, at.persistence), ("adx_rule", adx, at.adx)):
            told[kind] = measured(column, came, math.inf) | {
                key: value for key, value in measured(yes[:, head].astype(np.float64), came, 0.5).items()
                if key in ("balanced_accuracy", "macro_f1", "auc")
            }  # fmt: skip
        base = float(came.mean())
        tasks[name] = {
            "rows": len(at),
            "base_rate": base,
            "climatology_log_loss": entropy(base),
            "train_rate_log_loss": told["majority"]["log_loss"],
            **told,
        }
    return tasks


def worth(panel: Panel, at: Samples, trend: Floats) -> dict[str, Any]:
    """The gating value of P(trend) for trend trades on the panel's own bars and on 4 h ones, together and each."""
    trades = {f"{panel.step_h}h": trend_trades(panel)}
    if panel.step_h < 4:
        trades["4h"] = trend_trades(coarser(panel, 4))
    return valued(trades, at, trend)


def valued(trades: dict[str, Trades], at: Samples, trend: Floats) -> dict[str, Any]:
    """`gating` by the smoothed probability, which is what strategies are shown, of all trades; "by_bars" of those of
    each kind; by the probability as it is said; and with no trade counted for more than `CAP_R`, since one of 100 R
    makes a table.
    """
    whole = Trades(*(np.concatenate(column) for column in zip(*trades.values(), strict=True)))
    shown = smoothed(at, trend)
    capped = whole._replace(r=np.minimum(whole.r, CAP_R))
    return gating(whole, at.close_h, at.symbol, shown) | {
        "by_bars": {name: gating(one, at.close_h, at.symbol, shown) for name, one in trades.items()},
        "unsmoothed": gating(whole, at.close_h, at.symbol, trend),
        "capped": gating(capped, at.close_h, at.symbol, shown) | {"cap_r": CAP_R},
    }


def smoothed(at: Samples, trend: Floats) -> Floats:
    """Each symbol's probabilities as its switch averages them; a hole of a day begins anew."""
    found = trend.copy()
    for number in np.unique(at.symbol).tolist():
        last_h, last = -HORIZON_H * 2, 0.0
        for place in np.flatnonzero(at.symbol == number).tolist():
            hour, said = int(at.close_h[place]), float(trend[place])
            last = said if hour - last_h > HORIZON_H else last + SMOOTH * (said - last)
            found[place], last_h = last, hour
    return found


def switches(at: Samples, trend: Floats) -> float:
    """How often a day and symbol the trend state changes, with hysteresis and minimum dwell."""
    changes = days = 0.0
    for number in np.unique(at.symbol).tolist():
        mine = at.symbol == number
        switch, last = Switch(), False
        for probability in trend[mine].tolist():
            switch.hear(probability)
            changes += switch.on != last
            last = switch.on
        hours = at.close_h[mine]
        days += float(hours[-1] - hours[0]) / 24
    return changes / days if days else math.nan


def _panel(model: RegimeModel, panel: Panel, at: Samples) -> dict[str, Any]:
    said, rival, strange = spoken(model, at.rows)
    baselines = model.arrays["baselines"]
    years = (at.close_h * 3600).astype("datetime64[s]").astype("datetime64[Y]").astype(int) + 1970
    by_year = {}
    for year in np.unique(years).tolist():
        mine = years == year
        if mine.sum() >= FEWEST:
            tasks = against(said[mine], rival[mine], baselines, at.where(mine))
            by_year[str(year)] = {
                name: {"rows": task["rows"], "auc": task["model"]["auc"], "log_loss": task["model"]["log_loss"],
                       "climatology_log_loss": task["climatology_log_loss"]}
                for name, task in tasks.items()
            }  # fmt: skip
    age_h = at.close_h - model.manifest.data_end_ns / HOUR_NS
    used = [panel_symbol for number, panel_symbol in enumerate(at.names) if (at.symbol == number).any()]
    return {
        "span": {"from": utc(float(at.close_h[0])), "to": utc(float(at.close_h[-1])), "step_h": panel.step_h,
                 "symbols": used},
        "tasks": against(said, rival, baselines, at),
        "by_year": by_year,
        "gating": worth(panel, at, said[:, TREND]),
        "switches_per_day": switches(at, said[:, TREND]),
        "coverage": {
            "in_distribution": float((strange <= 1).mean()),
            "with_a_market": float(known(at).mean()),
            "within_45_days": float(((age_h >= 0) & (age_h <= STALE_DAYS * 24)).mean()),
        },
    }  # fmt: skip


def _goals(step: str, measured: dict[str, Any]) -> list[dict[str, Any]]:
    """Of bars of one step. What is worth something only where it is smoothed is not worth enough."""
    goals = []
    for name, least in GOALS.items():
        task = measured["tasks"][name]
        goals.append(_goal(f"{step} bars, {name} AUC >= {least}", task["model"]["auc"], task["model"]["auc"] >= least))
        gain = task["climatology_log_loss"] - task["model"]["log_loss"]
        goals.append(_goal(f"{step} bars, {name} log-loss below climatology, by", gain, gain > 0))
    worth = measured["gating"]
    for name, lower in (("gating value", worth["lower"]), ("gating value unsmoothed", worth["unsmoothed"]["lower"])):
        goals.append(_goal(f"{step} bars, {name}, lower bound > 0", lower, lower > 0))
    return goals


def verdict(goals: list[dict[str, Any]]) -> str:
    """A model that misses a goal on what it has not seen is not switched on by default."""
    missed = [f"{goal['goal']} ({goal['value']:.3f})" for goal in goals if not goal["met"]]
    if not missed:
        return f"misses none of {len(goals)} goals on these bars: may ship on"
    return f"misses {len(missed)} of {len(goals)} goals, {'; '.join(missed)}: ships off"


def _goal(name: str, value: float, met: bool) -> dict[str, Any]:
    return {"goal": name, "value": value, "met": bool(met)}


def utc(hour: float) -> str:
    """An hour since 1970 for people and JSON."""
    return f"{datetime.fromtimestamp(hour * 3600, UTC):%Y-%m-%dT%H:%MZ}"


def hour_of(text: str) -> float:
    """The hour that `utc` wrote. Raises DataError."""
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() / 3600
    except (ValueError, OverflowError):
        raise DataError(f"{text[:30]!r} of the model's manifest is no time") from None
