"""Training: walk forward through the past, fit the model that goes on, and say whether it passed the gate.

Every fold is fitted to the 36 months before it, with the labels' horizon and as much again left out in between, and
measured on the half year that follows. The gate: the model's log-loss is under persistence's in at least 60 % of the
folds, and trades that began in its upper third of P(trend) did better than those in the lower, with the lower end of
the 95 % interval above nothing.
"""

import hashlib
import math
import platform
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import numpy as np

from nexus_engine.cortex.regime_drift import PSI_ALERT, weekly_psi
from nexus_engine.cortex.regime_features import HORIZON_H, NAMES
from nexus_engine.cortex.regime_model import HEADS, SCHEMA, TREND, Manifest, RegimeModel
from nexus_engine.lab.regime_data import DataError, Found
from nexus_engine.lab.regime_eval import HOUR_NS, against, spoken, utc
from nexus_engine.lab.regime_fit import BOOST, FOREST, LOGISTIC, TRAIN_EVERY_H, Arrays, fit
from nexus_engine.lab.regime_gating import Trades, coarser, gating, trend_trades
from nexus_engine.lab.regime_metrics import Floats
from nexus_engine.lab.regime_samples import Samples, joint, purge_h, samples

WINDOW_H: Final = 1096 * 24
FOLD_H: Final = 4383
"""Half a year."""
WARM_H: Final = 365 * 24
"""Least that a fold is fitted to."""
FOLDS_BETTER: Final = 0.6

Told = Callable[[str], None]


def gathered(found: Found, first_h: float, end_h: float, told: Told) -> tuple[Samples, dict[int, Samples]]:
    """All labelled rows of panels of 1 and 2 h whose labels end before `end_h`; and panel by panel."""
    parts, names = {}, tuple(dict.fromkeys(symbol for panel in found.panels for symbol in panel.columns))
    for number, panel in enumerate(found.panels):
        if panel.step_h > 2:
            continue
        mine = samples(panel, told).between(first_h, end_h - HORIZON_H)
        place = np.array([names.index(symbol) for symbol in panel.columns], dtype=np.int64)
        if len(mine):
            parts[number] = replace(mine, symbol=place[mine.symbol], names=names)
    if not parts:
        raise DataError("no labelled rows to learn from on bars of 2 h or less")
    return joint(list(parts.values()), names), parts


def walk(
    found: Found, whole: Samples, make: Callable[[Arrays, Samples], RegimeModel], family: str, seed: int, told: Told
) -> dict[str, Any]:
    """The walk-forward report: folds, their mean and deviation for model and baselines, gating, the gate."""
    start_h, end_h = float(whole.close_h.min()), float(whole.close_h.max())
    folds: list[dict[str, Any]] = []
    tested: list[Samples] = []
    trends: list[Floats] = []
    at_h = start_h + WARM_H
    total = max(1, math.ceil((end_h - at_h) / FOLD_H))
    while at_h < end_h:
        test = whole.between(at_h, at_h + FOLD_H)
        told(f"fold {len(folds) + 1} of {total}: {utc(at_h)[:10]}")
        if len(test) > 100:
            learned = whole.between(at_h - WINDOW_H, at_h - purge_h())
            try:
                model = make(fit(learned, family, seed), learned)
            except DataError:
                at_h += FOLD_H
                continue
            said, rival, _ = spoken(model, test.rows)
            tasks = against(said, rival, model.arrays["baselines"], test)
            folds.append({"from": utc(at_h)[:10], "rows": len(test), "learned": len(learned), "tasks": tasks})
            tested.append(test)
            trends.append(said[:, TREND])
        at_h += FOLD_H
    if not folds:
        raise DataError("too short for a walk forward: it needs a year to learn from and as much again")
    better = {
        name: float(np.mean([_loss(fold, name, "model") < _loss(fold, name, "persistence") for fold in folds]))
        for name in HEADS
    }
    worth = _worth(found, whole.names, joint(tested, whole.names), np.concatenate(trends), tested)
    passed = all(share >= FOLDS_BETTER for share in better.values()) and all(
        value["lower"] > 0 for value in worth.values()
    )
    return {
        "folds": [_short(fold) for fold in folds],
        "table": _table(folds),
        "folds_better_than_persistence": better,
        "gating": worth,
        "gate_passed": passed,
    }


def _worth(found: Found, names: tuple[str, ...], at: Samples, trends: Floats, tested: list[Samples]) -> dict[str, Any]:
    """Gating over the folds' own rows, on the trades of each panel."""
    order = np.argsort(np.concatenate([part.close_h for part in tested]), kind="stable")
    trends = trends[order]
    fine: list[Trades] = []
    slow: list[Trades] = []
    for panel in found.panels:
        if panel.step_h <= 2:
            place = np.array([names.index(symbol) for symbol in panel.columns], dtype=np.int64)
            for kept, one in ((fine, panel), (slow, coarser(panel, 4))):
                trades = trend_trades(one)
                kept.append(trades._replace(symbol=place[trades.symbol]))
    return {
        name: gating(
            Trades(*(np.concatenate(column) for column in zip(*kept, strict=True))), at.close_h, at.symbol, trends
        )
        for name, kept in (("1-2h", fine), ("4h", slow))
    }


def _loss(fold: dict[str, Any], name: str, kind: str) -> float:
    return float(fold["tasks"][name][kind]["log_loss"])


def _short(fold: dict[str, Any]) -> dict[str, Any]:
    tasks = {
        name: {
            "climatology": round(task["climatology_log_loss"], 4),
            **{kind: {"auc": round(task[kind]["auc"], 4), "log_loss": round(task[kind]["log_loss"], 4)}
               for kind in ("model", "logistic", "persistence", "adx_rule")},
        }
        for name, task in fold["tasks"].items()
    }  # fmt: skip
    return {"from": fold["from"], "rows": fold["rows"], "learned": fold["learned"], "tasks": tasks}


def _table(folds: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation over the folds."""
    table: dict[str, Any] = {}
    for name in HEADS:
        table[name] = {"climatology_log_loss": _mean([fold["tasks"][name]["climatology_log_loss"] for fold in folds])}
        for kind in ("model", "logistic", "majority", "persistence", "adx_rule"):
            rows = [fold["tasks"][name][kind] for fold in folds]
            table[name][kind] = {key: _mean([row[key] for row in rows]) for key in rows[0]}
    return table


def _mean(values: list[float]) -> dict[str, float]:
    return {"mean": round(float(np.mean(values)), 4), "sd": round(float(np.std(values)), 4)}


# ---- the model that goes on ------------------------------------------------------------------------------------------


def modelled(
    arrays: Arrays,
    learned: Samples,
    formulas: str,
    *,
    family: str,
    seed: int,
    name: str,
    data_sha256: str,
    metrics: dict[str, Any] | None = None,
    promoted: bool = False,
) -> RegimeModel:
    """A checked model around the arrays. What is quantiles of its own answers is found here."""  # fmt: skip
    end_h = int(learned.close_h.max()) + HORIZON_H
    params: dict[str, Any] = dict(FOREST if family == "forest" else BOOST)
    manifest = Manifest(
        schema=SCHEMA, name=name, family="forest" if family == "forest" else "boost", features=NAMES,
        formulas=formulas, timeframe="1h", horizon_h=HORIZON_H,
        symbols=tuple(learned.names[number] for number in np.unique(learned.symbol).tolist()),
        train_from=utc(float(learned.close_h.min())), train_to=utc(float(end_h)), data_end_ns=end_h * HOUR_NS,
        params={"ensemble": params, "logistic": LOGISTIC, "seed": seed, "train_every_h": TRAIN_EVERY_H,
                "calibration": "Platt on the last purged 10 %", "window_days": WINDOW_H // 24},
        versions=versions(), metrics=metrics or {}, promoted=promoted,
        quantiles=dict.fromkeys(HEADS, (0.0, 0.5, 1.0)), data_sha256=data_sha256, npz_sha256="",
    )  # fmt: skip
    return RegimeModel(arrays, manifest, formulas)


def finished(model: RegimeModel, learned: Samples, formulas: str) -> RegimeModel:
    """The model with the quantiles of what it says, and with the limits of its drift."""
    rows = model.filled(learned.rows)
    said = model.many(rows)
    quantiles = {
        head: tuple(round(float(one), 6) for one in np.quantile(said[:, at], (1 / 3, 0.5, 2 / 3)))
        for at, head in enumerate(HEADS)
    }
    weekly = weekly_psi(learned.close_h, rows, model.arrays["deciles"].astype(np.float64))
    limits = np.quantile(weekly, 0.99, axis=0) if len(weekly) else np.full(len(NAMES), PSI_ALERT)
    arrays = dict(model.arrays) | {"psi_limit": np.maximum(PSI_ALERT, limits)}
    return RegimeModel(arrays, msgspec.structs.replace(model.manifest, quantiles=quantiles), formulas)


def named(learned: Samples, family: str, data_sha256: str) -> str:
    """The same data and family give the same name."""
    digest = hashlib.sha256(f"{data_sha256} {family} {learned.close_h.min()} {learned.close_h.max()}".encode())
    day = datetime.fromtimestamp(int(learned.close_h.max()) * 3600, UTC)
    return f"{family}-{day:%Y%m%d}-{digest.hexdigest()[:6]}"


def versions() -> dict[str, str]:
    """What fitted it."""
    import polars
    import sklearn

    import nexus_engine

    return {
        "nexus": nexus_engine.__version__, "python": platform.python_version(), "numpy": np.__version__,
        "scikit-learn": sklearn.__version__, "polars": polars.__version__,
    }  # fmt: skip


# ---- how a leak would look -------------------------------------------------------------------------------------------


def leak_demo(whole: Samples, seed: int, told: Told) -> dict[str, float]:
    """Balanced accuracy of P(trend) by four ways to split the same rows: what shuffling makes of nothing.

    Deep trees on every mark of the first three symbols; the four ways differ in nothing else.
    """
    from sklearn.ensemble import RandomForestClassifier

    whole = whole.where(np.isin(whole.symbol, np.unique(whole.symbol)[:3]))
    rows = np.nan_to_num(whole.rows)
    came = whole.labels[:, TREND]
    count, folds = len(rows), 5
    rng = np.random.default_rng(seed)
    shuffled = rng.integers(0, folds, count)
    contiguous = np.arange(count) * folds // count
    found: dict[str, float] = {}
    for name, part, gap in (
        ("shuffled", shuffled, 0),
        ("contiguous", contiguous, 0),
        ("purged", contiguous, purge_h()),
        ("walk_forward", contiguous, purge_h()),
    ):
        scores = []
        for fold in range(folds):
            told(f"leak demo: {name} {fold + 1} of {folds}")
            test = part == fold
            first, last = whole.close_h[test].min(), whole.close_h[test].max()
            train = ~test
            if gap:
                train &= (whole.close_h < first - gap) | (whole.close_h > last + gap)
            if name == "walk_forward":
                train &= whole.close_h < first
            if train.sum() < 500:
                continue
            forest = RandomForestClassifier(
                n_estimators=40, min_samples_leaf=5, class_weight="balanced", n_jobs=1, random_state=seed
            ).fit(rows[train], came[train])
            yes = forest.predict(rows[test])
            scores.append((yes[came[test]].mean() + (~yes[~came[test]]).mean()) / 2)
        found[name] = round(float(np.mean(scores)), 4)
    return found
