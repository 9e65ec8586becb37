"""How good probabilities are, in numbers that have a name. All take plain columns and make no draw of their own."""

from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_EDGE: Final = 1e-6
BINS: Final = 10


def measured(said: Floats, came: Bools, threshold: float) -> dict[str, float]:
    """Balanced accuracy and macro-F1 of `said >= threshold`, ROC AUC, log-loss (nats), expected calibration error."""
    yes = said >= threshold
    return {
        "balanced_accuracy": balanced_accuracy(yes, came),
        "macro_f1": macro_f1(yes, came),
        "auc": auc(said, came),
        "log_loss": log_loss(said, came),
        "ece": ece(said, came),
    }


def balanced_accuracy(yes: Bools, came: Bools) -> float:
    """Mean of the recalls of both classes; NaN with only one of them."""
    if came.all() or not came.any():
        return float("nan")
    return float((yes[came].mean() + (~yes[~came]).mean()) / 2)


def macro_f1(yes: Bools, came: Bools) -> float:
    """Mean of the F1 of both classes; a class that is never said nor comes counts 0."""
    scores = []
    for one in (True, False):
        hits = int(((yes == one) & (came == one)).sum())
        total = int((yes == one).sum() + (came == one).sum())
        scores.append(2 * hits / total if total else 0.0)
    return sum(scores) / 2


def auc(said: Floats, came: Bools) -> float:
    """Area under the ROC curve by Mann-Whitney's U, ties count half; NaN with only one class."""
    positives, negatives = int(came.sum()), int((~came).sum())
    if not positives or not negatives:
        return float("nan")
    _, where, counts = np.unique(said, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    total = float(ranks[where][came].sum())
    return (total - positives * (positives + 1) / 2) / (positives * negatives)


def log_loss(said: Floats, came: Bools) -> float:
    """Mean negative log likelihood in nats."""
    sure = np.clip(said, _EDGE, 1 - _EDGE)
    return float(-np.log(np.where(came, sure, 1 - sure)).mean()) if len(sure) else float("nan")


def entropy(rate: float) -> float:
    """Log-loss of the best constant: what none that knows nothing but the rate itself can beat."""
    sure = min(1 - _EDGE, max(_EDGE, rate))
    return float(-(rate * np.log(sure) + (1 - rate) * np.log(1 - sure)))


def ece(said: Floats, came: Bools, bins: int = BINS) -> float:
    """Expected calibration error over bins of equal mass (Naeini et al. 2015, with quantile bins)."""
    if not len(said):
        return float("nan")
    order = np.argsort(said, kind="stable")
    parts = np.array_split(order, bins)
    return float(sum(len(part) * abs(said[part].mean() - came[part].mean()) for part in parts if len(part)) / len(said))


def week_bootstrap(
    value: Floats, high: Bools, low: Bools, week: npt.NDArray[np.int64], draws: int = 2_000, seed: int = 7
) -> tuple[float, float, float]:
    """mean(value of `high`) - mean(value of `low`), and its 95 % interval with whole weeks drawn again (block
    bootstrap: what happens in a week is not independent, across symbols and within them). NaN without either.
    """
    if not high.any() or not low.any():
        return float("nan"), float("nan"), float("nan")
    _, place = np.unique(week, return_inverse=True)
    weeks = int(place.max()) + 1
    sums = np.stack([np.bincount(place, np.where(group, value, 0.0), weeks) for group in (high, low)])
    counts = np.stack([np.bincount(place, group, weeks) for group in (high, low)])
    times = np.random.default_rng(seed).multinomial(weeks, np.full(weeks, 1 / weeks), size=draws)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (times @ sums.T) / (times @ counts.T)
    differences = means[:, 0] - means[:, 1]
    lower, upper = np.nanquantile(differences, (0.025, 0.975))
    return float(value[high].mean() - value[low].mean()), float(lower), float(upper)
