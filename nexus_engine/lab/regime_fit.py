"""Fitting the regime model: forest (or boosted trees) and its logistic rival, calibrated, turned into plain arrays."""

import warnings
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from nexus_engine.cortex.regime_features import MARKET, NAMES, OWN, Floats
from nexus_engine.cortex.regime_model import DECILES, KNOTS, places, scored
from nexus_engine.lab.regime_data import DataError
from nexus_engine.lab.regime_samples import Samples, known, purge_h

CALIBRATED: Final = 0.10
"""The part of the time at its end that calibration keeps to itself."""
TRAIN_EVERY_H: Final = 12
ALONE: Final = 0.2
"""The part of rows that are learned from as if no other symbol were watched."""
FEWEST: Final = 400
"""Rows of each class without which nothing is fitted."""
FOREST: Final = {"n_estimators": 60, "max_depth": 7, "min_samples_leaf": 100, "max_features": 0.4}
BOOST: Final = {"n_estimators": 120, "max_depth": 3, "learning_rate": 0.05, "subsample": 0.7, "colsample_bytree": 0.5}
LOGISTIC: Final = {"C": 0.05}
_EDGE: Final = 1e-6

Bools = npt.NDArray[np.bool_]


class Trees(NamedTuple):
    """Flat trees of one head; a leaf is its own child."""

    feature: npt.NDArray[np.int16]
    threshold: npt.NDArray[np.float32]
    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    value: npt.NDArray[np.float32]
    roots: npt.NDArray[np.int32]


Arrays = dict[str, np.ndarray[Any, Any]]


def fit(found: Samples, family: str, seed: int, params: dict[str, Any] | None = None) -> Arrays:
    """The arrays of a model over all of `found`. Raises DataError with too little of either class."""
    first_h, end_h = float(found.close_h.min()), float(found.close_h.max()) + 1
    cut_h = end_h - CALIBRATED * (end_h - first_h)
    base = found.between(first_h, cut_h - purge_h()).thinned()
    late = found.between(cut_h, end_h)
    for head in (0, 1):
        came = base.labels[:, head]
        if min(came.sum(), (~came).sum()) < FEWEST or len(np.unique(late.labels[:, head])) < 2:
            raise DataError(
                f"{len(base)} rows are too few to learn from, or all of one kind; needed are {FEWEST} of each"
            )
    center, scale, precision, furthest = _usual(base.rows)
    rng = np.random.default_rng(seed)
    rows = _filled(base.rows, center, rng.random(len(base)) < ALONE)
    late_rows = _filled(late.rows, center, np.zeros(len(late), dtype=np.bool_))
    knots = np.quantile(rows, places(), axis=0).T
    scores = _scores()
    arrays: dict[str, Any] = {
        "knots": knots.astype(np.float32), "center": center, "scale": scale,
        "precision": precision.astype(np.float32), "furthest": np.array([furthest]),
        "deciles": np.quantile(rows, np.arange(1, DECILES + 1) / 10, axis=0).T.astype(np.float32),
        "psi_limit": np.ones(len(NAMES)),
    }  # fmt: skip
    heads, prior, platt, rival_platt, coef, intercept, baselines = [], [], [], [], [], [], []
    knots32 = arrays["knots"].astype(np.float64)
    for head in (0, 1):
        came, late_came = base.labels[:, head], late.labels[:, head]
        grow = _forest if family == "forest" else _boost
        trees, said = grow(rows, came, seed + head, params or {})
        heads.append(trees)
        rate = float(came.mean())
        prior.append(rate)
        shift = np.log(rate / (1 - rate))
        platt.append(_platt(said(late_rows) + shift, late_came))
        weights, bias = _logistic(scored(rows, knots32, scores), came)
        coef.append(weights)
        intercept.append(bias + shift)
        rival_platt.append(_platt(scored(late_rows, knots32, scores) @ weights + bias + shift, late_came))
        baselines.append([rate, *_rates(base.persistence[:, head], came), *_rates(base.adx[:, head], came)])
    offset = len(heads[0].feature)
    both: list[Any] = [np.concatenate((heads[0][at], heads[1][at])) for at in range(5)]
    for at in (2, 3):
        both[at][offset:] += offset
    arrays |= dict(zip(("feature", "threshold", "left", "right", "value"), both, strict=True))
    arrays["roots"] = np.concatenate((heads[0].roots, heads[1].roots + offset)).astype(np.int32)
    arrays["trees"] = np.array([len(heads[0].roots), len(heads[1].roots)], dtype=np.int32)
    arrays |= {
        "prior": np.array(prior), "platt": np.array(platt), "rival_platt": np.array(rival_platt),
        "coef": np.array(coef), "intercept": np.array(intercept), "baselines": np.array(baselines),
    }  # fmt: skip
    return arrays


# ---- ensembles -------------------------------------------------------------------------------------------------------

Said = Callable[[Floats], Floats]


def _forest(rows: Floats, came: Bools, seed: int, params: dict[str, Any]) -> tuple[Trees, Said]:
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(**(FOREST | params), class_weight="balanced", n_jobs=1, random_state=seed)
    forest.fit(rows, came)

    def said(others: Floats) -> Floats:
        mean = np.clip(forest.predict_proba(others)[:, 1], _EDGE, 1 - _EDGE)
        return np.asarray(np.log(mean / (1 - mean)))

    return flat_forest(forest), said


def flat_forest(forest: Any) -> Trees:
    """A fitted RandomForestClassifier of two classes as flat arrays; same answers."""
    parts = []
    for one in forest.estimators_:
        tree = one.tree_
        inner = tree.children_left >= 0
        here = np.arange(tree.node_count)
        share = tree.value[:, 0, 1] / tree.value[:, 0, :].sum(axis=1)
        parts.append(
            (
                np.where(inner, tree.feature, 0),
                _floor32(np.where(inner, tree.threshold, 0.0)),
                np.where(inner, tree.children_left, here),
                np.where(inner, tree.children_right, here),
                np.clip(share, 0, 1),
            )
        )
    return _flat(parts)


def _boost(rows: Floats, came: Bools, seed: int, params: dict[str, Any]) -> tuple[Trees, Said]:
    try:
        import xgboost
    except ImportError:
        raise DataError("family boost needs the extra: pip install 'nexus-tui[xgboost]'") from None
    heavier = float((~came).sum() / came.sum())
    booster = xgboost.XGBClassifier(
        **(BOOST | params), scale_pos_weight=heavier, n_jobs=1, random_state=seed, base_score=0.5, tree_method="hist"
    )
    booster.fit(rows, came)

    def said(others: Floats) -> Floats:
        return np.asarray(booster.predict(others, output_margin=True), dtype=np.float64)

    return flat_boost(booster), said


def flat_boost(booster: Any) -> Trees:
    """A fitted XGBClassifier with base score 0.5 as flat arrays of log odds; same answers on finite rows."""
    import json

    model = json.loads(bytes(booster.get_booster().save_raw("json")))
    parts = []
    for tree in model["learner"]["gradient_booster"]["model"]["trees"]:
        left, right = np.array(tree["left_children"]), np.array(tree["right_children"])
        inner, here = left >= 0, np.arange(len(left))
        conditions = np.array(tree["split_conditions"], dtype=np.float32)
        # it goes left below the threshold, ours at or below: the next smaller float is the same question
        below = np.nextafter(conditions, np.float32(-np.inf), dtype=np.float32)
        feature = np.where(inner, np.array(tree["split_indices"]), 0)
        parts.append((feature, np.where(inner, below, np.float32(0)), np.where(inner, left, here),
                      np.where(inner, right, here), np.where(inner, np.float32(0), conditions)))  # fmt: skip
    return _flat(parts)


def _flat(parts: list[tuple[Any, ...]]) -> Trees:
    sizes = np.array([len(part[0]) for part in parts])
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    return Trees(
        np.concatenate([part[0] for part in parts]).astype(np.int16),
        np.concatenate([part[1] for part in parts]).astype(np.float32),
        np.concatenate([part[2] + start for part, start in zip(parts, starts, strict=True)]).astype(np.int32),
        np.concatenate([part[3] + start for part, start in zip(parts, starts, strict=True)]).astype(np.int32),
        np.concatenate([part[4] for part in parts]).astype(np.float32),
        starts.astype(np.int32),
    )


def _floor32(threshold: Floats) -> npt.NDArray[np.float32]:
    """The largest float32 that is not above: for a float32 x, x <= threshold is the same question."""
    near = threshold.astype(np.float32)
    return np.where(near > threshold, np.nextafter(near, np.float32(-np.inf), dtype=np.float32), near)


# ---- calibration, rival, what is usual -------------------------------------------------------------------------------


def _platt(logits: Floats, came: Bools) -> tuple[float, float]:
    """Slope and offset that fit `came` best. Source: Platt 1999."""
    from sklearn.linear_model import LogisticRegression

    found = LogisticRegression(C=1.0).fit(np.clip(logits, -30, 30)[:, None], came)
    return max(0.05, float(found.coef_[0, 0])), float(found.intercept_[0])


def _logistic(rows: Floats, came: Bools) -> tuple[Floats, float]:
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = LogisticRegression(**LOGISTIC, class_weight="balanced", max_iter=500).fit(rows, came)
    return np.asarray(found.coef_[0], dtype=np.float64), float(found.intercept_[0])


def _rates(said: Bools, came: Bools) -> tuple[float, float]:
    """How often it came where a rule said no, and yes."""
    return tuple(float((came[said == yes].sum() + 1) / ((said == yes).sum() + 2)) for yes in (False, True))  # type: ignore[return-value]


def _usual(rows: Floats) -> tuple[Floats, Floats, Floats, float]:
    """Center, scale, precision and the furthest 1 % (Mahalanobis, over robust deviations clipped at ten)."""
    center = np.nan_to_num(np.nanmedian(rows, axis=0)) if len(rows) else np.zeros(len(NAMES))
    quarter = np.nan_to_num(np.nanquantile(rows, 0.75, axis=0) - np.nanquantile(rows, 0.25, axis=0))
    scale = np.where(quarter > 1e-9, quarter / 1.349, 1.0)
    away = np.clip((_filled(rows, center, np.zeros(len(rows), dtype=np.bool_)) - center) / scale, -10, 10)
    precision = np.linalg.inv(away.T @ away / len(away) + 1e-3 * np.eye(len(NAMES)))
    distance = np.sqrt(np.maximum(0, np.einsum("ij,jk,ik->i", away, precision, away)))
    return np.asarray(center), np.asarray(scale), np.asarray(precision), float(np.quantile(distance, 0.99))


def _filled(rows: Floats, center: Floats, alone: Bools) -> Floats:
    found = rows.copy()
    found[alone, len(OWN) :] = np.nan
    hole = ~np.isfinite(found)
    found[hole] = np.broadcast_to(center, found.shape)[hole]
    return found


def _scores() -> Floats:
    from statistics import NormalDist

    return np.array([NormalDist().inv_cdf(place) for place in places()])


__all__ = ["BOOST", "FOREST", "KNOTS", "MARKET", "fit", "flat_boost", "flat_forest", "known"]
