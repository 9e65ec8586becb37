"""The regime model as data: arrays that are checked before they are believed, and evaluated without what fitted them.

Two heads, P(trend within 24 h) and P(high volatility within 24 h). Each is an ensemble of binary trees that lie flat in
one set of arrays, and beside it a logistic regression on normal scores, the challenger. What a head says is calibrated
(Platt's sigmoid on the log odds) on the end of the time that it was fitted to.
"""

import math
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

import msgspec
import numpy as np

from nexus_engine.cortex.regime_features import HORIZON_H, MARKET, NAMES, OWN, Floats

SCHEMA: Final = 1
TREND, VOLATILE = 0, 1
HEADS: Final = ("trend24h", "highvol24h")
STALE_DAYS: Final = 45
"""A model whose data ends earlier is not asked any more."""
KNOTS: Final = 33
LEVELS: Final = 101
DECILES: Final = 9
MOST_NODES: Final = 200_000
MOST_TREES: Final = 2_000
MOST_DEPTH: Final = 24
_EDGE: Final = 1e-6
_CHUNK: Final = 1024
_FURTHEST: Final = 10.0
"""In robust deviations: what lies further out is as strange as this."""


class ModelError(ValueError):
    """The model cannot be used; the message is one line."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What lies beside the arrays, as JSON. Times are ISO dates in UTC."""

    schema: int
    name: str
    family: Literal["forest", "boost"]
    """How a head's trees are put together: the mean of probabilities, or the sum of log odds."""
    features: tuple[str, ...]
    formulas: str
    """Hash of the formulas that the features were made with."""
    timeframe: str
    horizon_h: int
    symbols: tuple[str, ...]
    train_from: str
    train_to: str
    data_end_ns: int
    """Close of the last bar that anything of it was fitted to."""
    params: dict[str, Any]
    versions: dict[str, str]
    metrics: dict[str, Any]
    promoted: bool
    """It passed the gate; a model that did not is never switched on by itself."""
    quantiles: dict[str, tuple[float, ...]]
    """Of each head's smoothed probability over the time it was fitted to: q33, q50, q67."""
    data_sha256: str
    npz_sha256: str


class Prediction(NamedTuple):
    """Probabilities of the heads, and how strange the row is: 1 is the strangest 1 % of what it was fitted to."""

    trend: float
    volatile: float
    strangeness: float


_SHAPES: Final[Mapping[str, tuple[str, tuple[int | None, ...]]]] = {
    "feature": ("i", (None,)), "threshold": ("f", (None,)), "left": ("i", (None,)), "right": ("i", (None,)),
    "value": ("f", (None,)), "roots": ("i", (None,)), "trees": ("i", (2,)),
    "prior": ("f", (2,)), "platt": ("f", (2, 2)), "rival_platt": ("f", (2, 2)),
    "knots": ("f", (len(NAMES), KNOTS)), "coef": ("f", (2, len(NAMES))), "intercept": ("f", (2,)),
    "center": ("f", (len(NAMES),)), "scale": ("f", (len(NAMES),)), "precision": ("f", (len(NAMES), len(NAMES))),
    "furthest": ("f", (1,)), "deciles": ("f", (len(NAMES), DECILES)), "psi_limit": ("f", (len(NAMES),)),
    "baselines": ("f", (2, 5)),
}  # fmt: skip
"""Kind and shape of every array. `baselines` a head: base rate, and the rate where persistence and the ADX rule say
no and yes."""


class RegimeModel:
    """Checked arrays. Raises ModelError for any that are missing, of another kind or shape, not finite or that point
    outside; nothing of a file is followed before all of it was looked at.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray[Any, Any]], manifest: Manifest, formulas: str) -> None:
        _fits(manifest, formulas)
        for name, (kind, shape) in _SHAPES.items():
            _check(arrays, name, kind, shape)
        if unknown := sorted(set(arrays) - set(_SHAPES)):
            raise ModelError(f"holds an array that is none of the model's: {str(unknown[0])[:40]!r}")
        self.manifest = manifest
        self.name = manifest.name
        self.arrays = {name: np.array(arrays[name]) for name in _SHAPES}
        of = self.arrays
        nodes = len(of["feature"])
        lengths = {len(of[name]) for name in ("feature", "threshold", "left", "right", "value")}
        if nodes > MOST_NODES or len(lengths) > 1:
            raise ModelError(f"its trees have {nodes} nodes, or arrays of unequal length")
        trees = int(of["trees"].sum())
        if of["trees"].min() < 1 or trees != len(of["roots"]) or trees > MOST_TREES:
            raise ModelError("its trees and their roots are not as many")
        left, right = of["left"].astype(np.int64), of["right"].astype(np.int64)
        here = np.arange(nodes)
        leaf = left == here
        inside = (left > here) & (right > here) & (left < nodes) & (right < nodes)
        if not np.where(leaf, right == here, inside).all():
            raise ModelError("a node of a tree leads back, or outside of it")
        if (of["feature"].min() < 0) or of["feature"].max() >= len(NAMES):
            raise ModelError("a node of a tree asks for a feature that there is not")
        roots = of["roots"].astype(np.int64)
        if roots.min() < 0 or roots.max() >= nodes:
            raise ModelError("a root lies outside of the trees")
        if manifest.family == "forest" and not ((of["value"] >= 0) & (of["value"] <= 1)).all():
            raise ModelError("a leaf is no probability")
        if np.abs(of["value"]).max() > 1e3:
            raise ModelError("a leaf is beyond measure")
        if not ((of["prior"] > 0) & (of["prior"] < 1)).all():
            raise ModelError("a prior is not between 0 and 1")
        if not ((of["baselines"] >= 0) & (of["baselines"] <= 1)).all():
            raise ModelError("a baseline's rate is not between 0 and 1")
        if (np.diff(of["knots"], axis=1) < 0).any() or (np.diff(of["deciles"], axis=1) < 0).any():
            raise ModelError("the quantiles of a feature do not rise")
        if (of["scale"] <= 0).any() or of["furthest"][0] <= 0:
            raise ModelError("a scale is not above 0")
        self._depth = _depth(left, right, leaf, roots)
        self._roots = roots
        self._counts = of["trees"].tolist()
        self._split = self._counts[TREND]
        self._feature = of["feature"].astype(np.intp)
        self._threshold = of["threshold"].astype(np.float32)
        self._value = of["value"].astype(np.float64)
        self._children = np.stack((left, right), axis=1).ravel()
        self._shift = np.log(of["prior"] / (1 - of["prior"])).tolist()
        self._center, self._scale = of["center"].astype(np.float64), of["scale"].astype(np.float64)
        self._precision = of["precision"].astype(np.float64)
        self._furthest = float(of["furthest"][0])
        self._platt = of["platt"].astype(np.float64).tolist()
        self._scores = _normal_scores()

    def one(self, row: Floats) -> Prediction:
        """Of one row of finite features, shape (len(NAMES),)."""
        seen = row.astype(np.float32)
        nodes = self._roots
        feature, threshold, children = self._feature, self._threshold, self._children
        for _ in range(self._depth):
            nodes = children[2 * nodes + (seen[feature[nodes]] > threshold[nodes])]
        said = self._value[nodes]
        first, second = float(said[: self._split].sum()), float(said[self._split :].sum())
        away = np.minimum(np.maximum((row - self._center) / self._scale, -_FURTHEST), _FURTHEST)
        return Prediction(
            self._calibrated(TREND, first),
            self._calibrated(VOLATILE, second),
            math.sqrt(max(0.0, float(away @ self._precision @ away))) / self._furthest,
        )

    def many(self, rows: Floats) -> Floats:
        """`one` for each row, its three numbers side by side: (len(rows), 3)."""
        found = np.empty((len(rows), 3))
        for first in range(0, len(rows), _CHUNK):
            part = rows[first : first + _CHUNK]
            sums = self.sums(part)
            for head in (TREND, VOLATILE):
                told = [self._calibrated(head, total) for total in sums[:, head].tolist()]
                found[first : first + _CHUNK, head] = told
            away = np.clip((part - self._center) / self._scale, -_FURTHEST, _FURTHEST)
            squares = np.einsum("ij,jk,ik->i", away, self._precision, away)
            found[first : first + _CHUNK, 2] = np.sqrt(np.maximum(0.0, squares)) / self._furthest
        return found

    def sums(self, rows: Floats) -> Floats:
        """What the trees of each head say together, before prior and calibration: (len(rows), 2)."""
        seen = rows.astype(np.float32)
        nodes = np.broadcast_to(self._roots, (len(rows), len(self._roots)))
        for _ in range(self._depth):
            asked = np.take_along_axis(seen, self._feature[nodes], axis=1)
            nodes = self._children[2 * nodes + (asked > self._threshold[nodes])]
        said = self._value[nodes]
        return np.stack((said[:, : self._split].sum(axis=1), said[:, self._split :].sum(axis=1)), axis=1)

    def filled(self, rows: Floats) -> Floats:
        """Rows without a market around them, with what is usual in its place; what is the symbol's own stays."""
        found = rows.copy()
        around = found[:, len(OWN) :]
        hole = ~np.isfinite(around)
        around[hole] = np.broadcast_to(self._center[len(OWN) :], around.shape)[hole]
        return found

    def rival(self, rows: Floats) -> Floats:
        """The logistic challenger's probabilities: (len(rows), 2)."""
        of = self.arrays
        logits = scored(rows, of["knots"], self._scores) @ of["coef"].astype(np.float64).T + of["intercept"]
        platt = of["rival_platt"].astype(np.float64)
        return np.asarray(1 / (1 + np.exp(-np.clip(platt[:, 0] * logits + platt[:, 1], -30, 30))))

    def _calibrated(self, head: int, total: float) -> float:
        logit = total
        if self.manifest.family == "forest":
            mean = min(1 - _EDGE, max(_EDGE, total / self._counts[head]))
            logit = math.log(mean / (1 - mean))
        logit += self._shift[head]
        return _sigmoid(self._platt[head][0] * logit + self._platt[head][1])


def market_known(rows: Floats) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which rows have a market around them; of the others a model hears what is usual."""
    return np.asarray(np.isfinite(rows[:, len(OWN) :]).all(axis=1))


def scored(rows: Floats, knots: Floats, scores: Floats) -> Floats:
    """Normal scores: where each value stands between its feature's quantiles, clipped at their ends."""
    return np.stack([np.interp(rows[:, at], knots[at], scores) for at in range(rows.shape[1])], axis=1)


def _normal_scores() -> Floats:
    """Standard normal quantiles of the places of `KNOTS` quantiles. Source: Wichura's AS 241 by way of the library."""
    from statistics import NormalDist

    normal = NormalDist()
    return np.array([normal.inv_cdf(place) for place in places()])


def places() -> list[float]:
    """The shares of a feature's values that lie under its knots."""
    return [0.001 + 0.998 * at / (KNOTS - 1) for at in range(KNOTS)]


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-min(30.0, max(-30.0, logit))))


def _depth(left: Any, right: Any, leaf: Any, roots: Any) -> int:
    """Steps after which every tree is at a leaf: children come after their parents, so one pass from the end does."""
    below = np.zeros(len(left), dtype=np.int64)
    for node in range(len(left) - 1, -1, -1):
        if not leaf[node]:
            below[node] = 1 + max(below[left[node]], below[right[node]])
    deepest = int(below[roots].max())
    if deepest > MOST_DEPTH:
        raise ModelError(f"a tree is {deepest} deep; allowed are {MOST_DEPTH}")
    return deepest


def _fits(manifest: Manifest, formulas: str) -> None:
    if manifest.schema != SCHEMA:
        raise ModelError(f"its schema is {manifest.schema}; this version reads {SCHEMA}")
    if manifest.features != NAMES or manifest.formulas != formulas:
        raise ModelError("was fitted to other features than this version has; train it again")
    if manifest.horizon_h != HORIZON_H or manifest.timeframe != "1h":
        found = f"{manifest.horizon_h} h ahead on {manifest.timeframe[:8]} bars"
        raise ModelError(f"looks {found}; needed are {HORIZON_H} h on 1h")
    if not 0 < len(manifest.name) <= 40 or not manifest.name.isprintable():
        raise ModelError("its name is empty, too long or no plain text")
    rows = list(manifest.quantiles.values())
    rising = all(len(row) == 3 and 0 <= row[0] <= row[1] <= row[2] <= 1 for row in rows)
    if set(manifest.quantiles) != set(HEADS) or not rising:
        raise ModelError("its quantiles are not three rising probabilities a head")


def _check(arrays: Mapping[str, np.ndarray[Any, Any]], name: str, kind: str, shape: tuple[int | None, ...]) -> None:
    array = arrays.get(name)
    if array is None:
        raise ModelError(f"has no array {name}")
    if array.dtype.kind != kind or array.ndim != len(shape):
        raise ModelError(f"array {name}: is {array.dtype} with {array.ndim} axes, not what it should be")
    if any(want is not None and want != got for want, got in zip(shape, array.shape, strict=True)):
        raise ModelError(f"array {name}: has the shape {array.shape}")
    if array.size == 0 or not np.isfinite(array).all():
        raise ModelError(f"array {name}: is empty, or a number in it is not finite")


__all__ = [
    "HEADS", "KNOTS", "MARKET", "NAMES", "SCHEMA", "STALE_DAYS", "TREND", "VOLATILE", "Manifest", "ModelError",
    "Prediction", "RegimeModel", "market_known", "places", "scored",
]  # fmt: skip
