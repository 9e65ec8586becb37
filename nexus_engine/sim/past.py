"""The past of a generated market: one path, finer towards now, from which the bars of every interval are added up.

Around a symbol's mean the log price is an Ornstein-Uhlenbeck process, the same the tape goes on with; the mean
itself stood still for the last ten days and wandered before. The path is drawn backwards from the opening price
(the process is reversible), so that the last close is exactly where the tape begins.
"""

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from nexus_engine.sim.bars import (
    CLOSE,
    COLUMNS,
    COUNT,
    HIGH,
    INTERVALS,
    KEPT,
    LOTS,
    LOW,
    MINUTE_NS,
    OPEN,
    QUOTE,
    TAKER_LOTS,
    TAKER_QUOTE,
    Row,
    Rows,
)
from nexus_engine.sim.scenarios import BAND_BARS, BAR_NS, Plan, fall
from nexus_engine.sim.specs import CHARACTERS, SPECS
from nexus_engine.sim.tide import Tide

REVERSION_NS = 90 * MINUTE_NS  # time constant of the way back to the mean
DAY_NS = INTERVALS["1d"]

# Resolution, and how many days before today it reaches. Every border is a midnight UTC, so each interval adds up
# whole bars; the spans leave 1,500 bars of every interval that the resolution divides.
_SEGMENTS = (("1d", 1501), ("4h", 751), ("2h", 376), ("1h", 63), ("30m", 32), ("15m", 16), ("5m", 6), ("1m", 4))

_STILL_NS = 10 * DAY_NS
_WANDER_DAY = 0.025  # daily volatility of the mean before that, of a symbol as volatile as BTC
_WANDER_NS = 150 * DAY_NS
_BLOCK = 256
_USUAL_VOL = 0.0019  # 5-minute volatility of an alt that follows the tide one to one

MACRO_NS = 10 * MINUTE_NS
MACRO_SAMPLES = 96 * 6 + 1
_BTC_SUPPLY = 19_800_000.0
_ALTS_CAP_USD = 1.43e12

Floats = npt.NDArray[np.float64]
Macro = tuple[int, float, float]


class Past(msgspec.Struct, frozen=True):
    """What happened before the tape, for each symbol in the order asked for.

    `rows[interval]` has shape (symbols, bars, columns), oldest first, closed at `minute_ns` at the latest;
    `partial[interval]` holds a row a symbol of the minutes already inside the bar in progress, or None.
    `means` are the levels the paths revert to, `lows` the close of the first fall: logs relative to the opening.
    """

    minute_ns: int
    rows: dict[str, Rows]
    partial: dict[str, list[Row] | None]
    means: list[float]
    low: float
    macro: list[Macro]


def response(symbol: str) -> float | None:
    """How much larger than the usual alt's a symbol's moves are; None for Bitcoin."""
    return None if symbol == "BTCUSDT" else CHARACTERS[symbol].vol_5m / _USUAL_VOL


def alts_grown(prices: Mapping[str, float]) -> float:
    """Mean log change of the alts' prices against their usual ones: a market that goes on from other prices goes on
    with its cap too."""
    grown = [math.log(prices[symbol] / CHARACTERS[symbol].opening) for symbol in prices if symbol != "BTCUSDT"]
    return sum(grown) / len(grown)


def macro_sample(at_ns: int, btc_price: float, alt_change: float) -> Macro:
    """(time, BTC dominance in %, total cap in USD); `alt_change` is the mean log change of the alts."""
    btc_cap = btc_price * _BTC_SUPPLY
    total = btc_cap + _ALTS_CAP_USD * math.exp(alt_change)
    return at_ns, 100.0 * btc_cap / total, total


def build(
    symbols: Sequence[str],
    opening: Sequence[float],
    start_ns: int,
    rng: np.random.Generator,
    first: tuple[int, Plan] | None,
    tide: Tide | None = None,
) -> Past:
    """The past up to the minute of `start_ns`; `first` puts a fall of that symbol into its last whole bar, `tide` has
    carried the market to where it is."""
    minute_ns = start_ns // MINUTE_NS * MINUTE_NS
    spans, ends = _timeline(minute_ns)
    characters = [CHARACTERS[symbol] for symbol in symbols]
    vol = np.array([[character.vol_5m] for character in characters])
    beta = np.array([[character.beta] for character in characters])
    swing = _swing(vol, spans)

    around = _reverting(swing * _shocks(rng, beta, len(ends)), vol, spans, rng)
    means = -around[:, -1]
    wander = np.where(ends < minute_ns - _STILL_NS, _WANDER_DAY * np.sqrt(spans / DAY_NS), 0.0) * vol / vol[0]
    closes = around + means[:, None] + _walk_back(wander * _shocks(rng, beta, len(ends)), spans / _WANDER_NS)
    if tide is not None:
        closes = closes + np.array([tide.levels(ends.tolist(), response(symbol)) for symbol in symbols])
        means = means - closes[:, -1]  # the level of the last whole minute: the path still ends at 0
        closes = closes - closes[:, -1:]
    low = 0.0
    if first is not None:
        index, plan = first
        means[index], low = _insert_fall(closes[index], means[index], plan, start_ns, minute_ns)

    scale = np.array([[10.0 ** SPECS[symbol].tick_digits] for symbol in symbols])
    ticks = np.array(opening)[:, None] * scale * np.exp(closes)
    rows = _rows(symbols, ticks, swing, spans, rng)
    return Past(
        minute_ns=minute_ns,
        rows={name: _aggregate(rows, ends, spans, step_ns, minute_ns) for name, step_ns in INTERVALS.items()},
        partial={name: _unfinished(rows, step_ns, minute_ns) for name, step_ns in INTERVALS.items()},
        means=means.tolist(),
        low=low,
        macro=_macro(closes, dict(zip(symbols, opening, strict=True)), ends),
    )


def _timeline(minute_ns: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Length and end of every node of the path, oldest first."""
    midnight = minute_ns // DAY_NS * DAY_NS
    borders = [midnight - days * DAY_NS for _, days in _SEGMENTS] + [minute_ns]
    counts = [
        (stop - start) // INTERVALS[name]
        for (name, _), start, stop in zip(_SEGMENTS, borders[:-1], borders[1:], strict=True)
    ]
    spans = np.repeat(np.array([INTERVALS[name] for name, _ in _SEGMENTS], dtype=np.int64), counts)
    return spans, borders[0] + np.cumsum(spans)


def _shocks(rng: np.random.Generator, beta: Floats, count: int) -> Floats:
    """Correlated shocks of variance about 1 with fat tails, cut off at four deviations."""
    own = rng.standard_t(5, size=(len(beta), count)) / math.sqrt(5 / 3)
    mixed = beta * own[0] + np.sqrt(1.0 - beta * beta) * own
    shocks: Floats = np.clip(mixed, -4.0, 4.0)
    return shocks


def _swing(vol: Floats, spans: npt.NDArray[np.int64]) -> Floats:
    """Standard deviation of the change of the reverting path over each node."""
    variance = vol * vol * (REVERSION_NS / BAR_NS / 2.0)
    swing: Floats = np.sqrt(variance * (1.0 - np.exp(-2.0 * spans / REVERSION_NS)))
    return swing


def _reverting(steps: Floats, vol: Floats, spans: npt.NDArray[np.int64], rng: np.random.Generator) -> Floats:
    # the newest step stands for where the path is now: at most half its usual distance from the mean
    steps[:, -1] = vol[:, 0] * math.sqrt(REVERSION_NS / BAR_NS / 2.0) * 0.5 * rng.uniform(-1.0, 1.0, len(vol))
    return _walk_back(steps, spans / REVERSION_NS)


def _walk_back(steps: Floats, decays: Floats) -> Floats:
    """x[i] = exp(-decay[i]) x[i+1] + steps[i], from the newest node to the oldest.

    In blocks, because the closed form divides by the product of the decays, which must stay a normal number.
    """
    factor = np.maximum(np.exp(-decays), 0.1)
    out = np.empty_like(steps)
    value = np.zeros(len(steps))
    for stop in range(steps.shape[1], 0, -_BLOCK):
        block = slice(max(0, stop - _BLOCK), stop)
        product = np.cumprod(factor[block][::-1])
        out[:, block] = (product * (value[:, None] + np.cumsum(steps[:, block][:, ::-1] / product, axis=1)))[:, ::-1]
        value = out[:, block.start]
    return out


def _insert_fall(closes: Floats, mean: float, plan: Plan, start_ns: int, minute_ns: int) -> tuple[float, float]:
    """Write bar A, and what has passed of bar B, over the newest minutes of a path that ends at 0.

    What came before is lifted, so that the path still ends at 0. Returns the lifted mean and the level of A's close.
    """
    since = (minute_ns - start_ns // BAR_NS * BAR_NS) // MINUTE_NS  # minutes of bar B that have closed
    minutes = BAR_NS // MINUTE_NS
    bar_a = len(closes) - since - minutes
    before = closes[bar_a - 1 :: -minutes][: BAND_BARS - 1][::-1]
    target = fall(plan, np.exp(before).tolist(), 0, float(before[-1])).target
    start = float(before[-1])
    rebound = plan.rebound / minutes * np.arange(1, since + 1)
    path = np.concatenate((start + (target - start) / minutes * np.arange(1, minutes + 1), target + rebound))
    lift = -float(path[-1])
    closes[bar_a:] = path
    closes += lift
    return mean + lift, target + lift


def _rows(
    symbols: Sequence[str],
    ticks: Floats,
    swing: Floats,
    spans: npt.NDArray[np.int64],
    rng: np.random.Generator,
) -> Rows:
    """Bars of the path: each opens at the close before it; volume grows with the move."""
    rows: Rows = np.empty((*ticks.shape, COLUMNS), dtype=np.int64)
    closes = np.rint(ticks).astype(np.int64)
    opens = np.concatenate((closes[:, :1], closes[:, :-1]), axis=1)
    wick = np.abs(rng.standard_normal((2, *ticks.shape))) * 0.4 * swing * ticks
    rows[..., OPEN] = opens
    rows[..., CLOSE] = closes
    rows[..., HIGH] = np.maximum(opens, closes) + np.rint(wick[0]).astype(np.int64)
    rows[..., LOW] = np.minimum(opens, closes) - np.rint(wick[1]).astype(np.int64)

    moves = np.clip(np.log(closes / opens) / swing, -4.0, 4.0)
    seconds = spans / 1e9
    rate = np.array([[CHARACTERS[symbol].prints_per_s] for symbol in symbols])
    usd = np.array([[CHARACTERS[symbol].print_usd] for symbol in symbols])
    scales = np.array([[10.0 ** (SPECS[symbol].tick_digits + SPECS[symbol].step_digits)] for symbol in symbols])
    busy = np.exp(0.3 * rng.standard_normal(ticks.shape)) * (0.75 + 0.35 * np.abs(moves))
    lots = np.maximum(1, np.rint(rate * seconds * busy * usd * scales / ticks)).astype(np.int64)
    share = np.clip(0.5 + 0.08 * moves, 0.05, 0.95)
    taker = np.rint(lots * share).astype(np.int64)
    middle = (rows[..., HIGH] + rows[..., LOW] + 2 * closes) // 4
    rows[..., LOTS] = lots
    rows[..., QUOTE] = lots * middle
    rows[..., COUNT] = np.maximum(1, np.rint(rate * seconds * busy)).astype(np.int64)
    rows[..., TAKER_LOTS] = taker
    rows[..., TAKER_QUOTE] = taker * middle
    return rows


def _folded(rows: Rows, group: int) -> Rows:
    """Add up every `group` rows."""
    symbols, count, _ = rows.shape
    parts = rows.reshape(symbols, count // group, group, COLUMNS)
    out: Rows = parts.sum(axis=2)
    out[..., OPEN] = parts[:, :, 0, OPEN]
    out[..., CLOSE] = parts[:, :, -1, CLOSE]
    out[..., HIGH] = parts[..., HIGH].max(axis=2)
    out[..., LOW] = parts[..., LOW].min(axis=2)
    return out


def _aggregate(
    rows: Rows, ends: npt.NDArray[np.int64], spans: npt.NDArray[np.int64], step_ns: int, minute_ns: int
) -> Rows:
    """The newest KEPT closed bars of one interval."""
    last_ns = minute_ns // step_ns * step_ns
    starts = ends - spans
    parts = []
    for name, _ in _SEGMENTS:
        span_ns = INTERVALS[name]
        if step_ns % span_ns == 0:
            chosen = (spans == span_ns) & (ends <= last_ns) & (starts >= last_ns - KEPT * step_ns)
            first = int(np.argmax(chosen))
            parts.append(_folded(rows[:, first : first + int(chosen.sum())], step_ns // span_ns))
    return np.concatenate(parts, axis=1)


def _unfinished(rows: Rows, step_ns: int, minute_ns: int) -> list[Row] | None:
    minutes = minute_ns % step_ns // MINUTE_NS
    if minutes == 0:
        return None
    folded: list[Row] = _folded(rows[:, -minutes:], minutes)[:, 0].tolist()
    return folded


def _macro(closes: Floats, opening: Mapping[str, float], ends: npt.NDArray[np.int64]) -> list[Macro]:
    chosen = np.flatnonzero(ends % MACRO_NS == 0)[-MACRO_SAMPLES:]
    btc = opening["BTCUSDT"] * np.exp(closes[0, chosen])
    alts = closes[1:, chosen].mean(axis=0) + alts_grown(opening)
    return [macro_sample(*sample) for sample in zip(ends[chosen].tolist(), btc.tolist(), alts.tolist(), strict=True)]
