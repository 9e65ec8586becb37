"""What an equity curve and a list of trades are worth: the usual figures, each by its published definition.

Returns are those of whole UTC days, marked to the market with fees and funding; a year has 365 of them (crypto does not
rest). A figure that cannot be had of so little is NaN, never a guess. freqtrade's figures of the same names are made of
closed trades, so they cannot be compared.
"""

from collections.abc import Sequence
from math import e, exp, isfinite, log, nan, sqrt
from random import Random
from statistics import NormalDist
from typing import Final

import numpy as np

from nexus_engine.lab.bars import Floats, Ints

DAYS: Final = 365
DAY_NS: Final = 86_400_000_000_000
EULER: Final = 0.5772156649015329
NORMAL: Final = NormalDist()
SQN_TRADES: Final = 100
DRAWS: Final = 1_000


def daily(at_ns: Ints, equity: Floats) -> Floats:
    """Returns of UTC days out of an equity curve whose times rise: the first from the first point, the last to the
    last; a day without a point returns 0."""
    if not len(at_ns):
        return np.empty(0)
    first, last = int(at_ns[0]) // DAY_NS, int(at_ns[-1]) // DAY_NS
    ends = (np.arange(first, last + 1) + 1) * DAY_NS
    # what is at midnight belongs to the day that ends
    closes = equity[np.searchsorted(at_ns, ends, side="right") - 1]
    before = np.concatenate(([equity[0]], closes[:-1]))
    return np.asarray(closes / before - 1.0)


def sharpe(returns: Floats) -> float:
    """Mean by standard deviation (ddof 1), a year (Sharpe 1994); the risk-free rate is taken as 0."""
    deviation = float(returns.std(ddof=1)) if len(returns) > 1 else 0.0
    return float(returns.mean()) / deviation * sqrt(DAYS) if deviation else nan


def sortino(returns: Floats) -> float:
    """Mean by the root mean square of what is below 0, a year (Sortino and Price 1994)."""
    down = sqrt(float((np.minimum(returns, 0.0) ** 2).mean())) if len(returns) else 0.0
    return float(returns.mean()) / down * sqrt(DAYS) if down else nan


def drawdown(equity: Floats) -> float:
    """The largest fall from a peak, as a fraction that is 0 or negative."""
    if not len(equity):
        return nan
    return float((equity / np.maximum.accumulate(equity) - 1.0).min())


def growth(returns: Floats) -> float:
    """Compound growth a year, as a fraction; -1 once all is lost."""
    if not len(returns):
        return nan
    left = float(np.prod(1.0 + returns))
    return -1.0 if left <= 0 else exp(log(left) * DAYS / len(returns)) - 1.0


def calmar(returns: Floats, fall: float) -> float:
    """Growth a year by the largest drawdown (Young 1991)."""
    return growth(returns) / abs(fall) if fall else nan


def profit_factor(results: Floats) -> float:
    """What was won by what was lost."""
    lost = -float(results[results < 0].sum())
    return float(results[results > 0].sum()) / lost if lost else nan


def sqn(r: Floats) -> float:
    """Van Tharp's system quality number: root of the number of trades (100 at most), times mean by deviation of R."""
    deviation = float(r.std(ddof=1)) if len(r) > 1 else 0.0
    return sqrt(min(len(r), SQN_TRADES)) * float(r.mean()) / deviation if deviation else nan


def wilson(wins: int, count: int, level: float = 0.95) -> tuple[float, float]:
    """The interval of a share of wins (Wilson 1927)."""
    if not count:
        return nan, nan
    z = NORMAL.inv_cdf(0.5 + level / 2)
    share, more = wins / count, z * z / count
    middle = (share + more / 2) / (1 + more)
    reach = z * sqrt(share * (1 - share) / count + more / (4 * count)) / (1 + more)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def bootstrap(r: Floats, level: float = 0.90) -> tuple[float, float]:
    """The interval of the mean, drawn with replacement; the same draws each time."""
    if len(r) < 2:
        return nan, nan
    places = (drawn(f"bootstrap:{len(r)}", DRAWS * min(len(r), 500)) * len(r)).astype(np.int64)
    means = np.sort(r[places].reshape(DRAWS, -1).mean(axis=1))
    edge = int((1 - level) / 2 * DRAWS)
    return float(means[edge]), float(means[-edge - 1])


def drawn(seed: str, count: int) -> Floats:
    """The first so many numbers of `Random(seed)`, in [0, 1): numpy's generator of the same state gives the same."""
    *key, place = Random(seed).getstate()[1]
    made = np.random.RandomState()
    made.set_state(("MT19937", np.array(key, np.uint32), place, 0, 0.0))
    return np.asarray(made.random_sample(count))


def probabilistic_sharpe(returns: Floats, above: float = 0.0) -> float:
    """The probability that the true Sharpe ratio is above one of so much a day (Bailey and López de Prado 2012)."""
    spread = _spread(returns)
    return NORMAL.cdf((_per_day(returns) - above) / spread) if spread and isfinite(spread) else nan


def deflated_sharpe(returns: Floats, trials: int, variance: float | None = None) -> float:
    """The same above what the best of so many worthless trials would show by luck (Bailey and López de Prado 2014).

    `variance` is that of the trials' Sharpe ratios a day; without it, that of the estimate itself.
    """
    spread = _spread(returns)
    if not spread or not isfinite(spread):
        return nan
    return probabilistic_sharpe(returns, expected_best(trials, spread * spread if variance is None else variance))


def expected_best(trials: int, variance: float) -> float:
    """The largest of so many Sharpe ratios that are all 0 in truth."""
    if trials < 2:
        return 0.0
    first, second = NORMAL.inv_cdf(1 - 1 / trials), NORMAL.inv_cdf(1 - 1 / (trials * e))
    return sqrt(variance) * ((1 - EULER) * first + EULER * second)


def _per_day(returns: Floats) -> float:
    return sharpe(returns) / sqrt(DAYS)


def _spread(returns: Floats) -> float:
    """The standard error of a Sharpe ratio a day, skew and tails included."""
    if len(returns) < 3 or not returns.std():
        return nan
    ratio = _per_day(returns)
    z = (returns - returns.mean()) / returns.std()
    skew, kurtosis = float((z**3).mean()), float((z**4).mean())
    inner = 1 - skew * ratio + (kurtosis - 1) / 4 * ratio * ratio
    return sqrt(inner / (len(returns) - 1)) if inner > 0 else nan


def longest_losing(results: Sequence[float]) -> int:
    """Losses in a row."""
    longest = now = 0
    for result in results:
        now = now + 1 if result < 0 else 0
        longest = max(longest, now)
    return longest


def of_curve(at_ns: Ints, equity: Floats, trials: int = 1, variance: float | None = None) -> dict[str, float]:
    """The figures of a curve."""
    returns = daily(at_ns, equity)
    fall = drawdown(equity)
    return {
        "start_equity": float(equity[0]) if len(equity) else nan,
        "end_equity": float(equity[-1]) if len(equity) else nan,
        "return_pct": (float(equity[-1] / equity[0]) - 1.0) * 100 if len(equity) else nan,
        "cagr_pct": growth(returns) * 100,
        "max_drawdown_pct": -fall * 100,
        "volatility_pct": float(returns.std(ddof=1)) * sqrt(DAYS) * 100 if len(returns) > 1 else nan,
        "sharpe": sharpe(returns),
        "sortino": sortino(returns),
        "calmar": calmar(returns, fall),
        "psr": probabilistic_sharpe(returns),
        "deflated_sharpe": deflated_sharpe(returns, trials, variance),
        "days": len(returns),
    }


def of_trades(money: Floats, r: Floats) -> dict[str, float | list[float]]:
    """The figures of a list of trades: results in quote currency and in R, in order."""
    wins, count = int((money > 0).sum()), len(money)
    lost = money[money < 0]
    won = money[money > 0]
    return {
        "trades": count,
        "profit": float(money.sum()),
        "win_rate": wins / count if count else nan,
        "win_rate_95": list(wilson(wins, count)),
        "profit_factor": profit_factor(money),
        "payoff": float(won.mean() / -lost.mean()) if len(won) and len(lost) else nan,
        "expectancy": float(money.mean()) if count else nan,
        "expectancy_r": float(r.mean()) if count else nan,
        "expectancy_r_90": list(bootstrap(r)),
        "sqn": sqn(r),
        "longest_losing": longest_losing(money.tolist()),
    }
