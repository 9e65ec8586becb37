"""The regime of every symbol by the model, from their closed 1h bars; the rule's wherever the model has to be silent.

It speaks at the closes of 0, 6, 12 and 18 h UTC. It is silent, and says why in the readings: with less than a month of
bars, a hole in them, a row stranger than 99 % of what it was fitted to, a market before the end of what it was fitted
to (it knows how that went) or more than 45 days after it, and while it drifts. Without bitcoin or with fewer than three
symbols it speaks of the symbol alone, with what is usual of a market in the place of the one that it does not see.
"""

import math
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from nexus_engine.cortex.regime import PLACE, SLOPE, TREND_READING, VOLATILE_READING
from nexus_engine.cortex.regime_drift import Drift
from nexus_engine.cortex.regime_features import (
    CADENCE_H,
    HORIZON_H,
    NEED_H,
    Columns,
    Floats,
    Ints,
    Market,
    joined,
    market,
    own,
    trend_label,
    volatility_label,
)
from nexus_engine.cortex.regime_model import STALE_DAYS, TREND, VOLATILE, Prediction, RegimeModel, market_known
from nexus_engine.cortex.regime_switch import DWELL, ENTER, FEWEST, SAID, Switch
from nexus_engine.model.events import Bar, BarRow
from nexus_engine.model.signals import RegimeView
from nexus_engine.model.verdicts import Reading
from nexus_engine.model.words import Regime

HOUR_NS: Final = 3_600_000_000_000
DAY_NS: Final = 24 * HOUR_NS
KEPT: Final = NEED_H + SAID * CADENCE_H
HEARD_DAYS: Final = 2 * SAID * CADENCE_H / 24
"""So long before its data ends a model begins to be heard: by then what is said has ranks, as after a start."""
TREND_Z: Final = 1.0
_TRENDS: Final = (Regime.TREND_UP, Regime.TREND_DOWN)

_Row = tuple[int, float, float, float, float]


class _Spoken:
    """What was said of a symbol so far."""

    __slots__ = ("alone", "held", "pending", "regime", "said", "silent", "switches")

    def __init__(self) -> None:
        self.switches = (Switch(), Switch())
        self.said: Prediction | None = None
        self.silent: Reading | None = None
        """Why the model says nothing now."""
        self.alone = False
        self.regime = Regime.UNKNOWN
        self.held = 0
        self.pending: deque[tuple[int, Prediction]] = deque(maxlen=HORIZON_H // CADENCE_H + 1)


class RegimeBook:
    """Bars of all symbols in, a view of each out. Same bars in the same order, same views."""

    def __init__(self, model: RegimeModel) -> None:
        self.model = model
        self.drift = Drift(model)
        self._bars: dict[str, deque[_Row]] = {}
        self._spoken: dict[str, _Spoken] = {}
        self._views: dict[str, RegimeView] = {}
        self._unread: dict[str, None] = {}
        self._market: tuple[int, Floats, Floats] | None = None

    def history(self, symbol: str, rows: Sequence[BarRow]) -> None:
        """Closed bars without a hole, oldest first; they replace what was known of the symbol."""
        self._bars[symbol] = deque(map(_row, rows), maxlen=KEPT)
        self._market = None
        # what was said of others without this one is said again with it
        self._unread = dict.fromkeys(self._bars)

    def adopt(self, other: "RegimeBook") -> None:
        """Take over the bars that another model was told of."""
        self._bars = other._bars
        self._unread = dict.fromkeys(self._bars)

    def lose(self, symbol: str) -> None:
        """A bar is missing: nothing is known until its history comes."""
        known: tuple[dict[str, Any], ...] = (self._bars, self._spoken, self._views, self._unread)
        for of in known:
            of.pop(symbol, None)

    def bar(self, bar: Bar, rule: RegimeView) -> None:
        """The next closed bar of a symbol whose history is known, and what the rule says with it."""
        symbol = bar.symbol
        spoken = self._known(symbol, rule)
        rows = self._bars[symbol]
        rows.append(_row(bar))
        if rows[-1][0] % CADENCE_H == 0:
            self._speak(symbol, spoken)
        self._views[symbol] = self._composed(spoken, rule)

    def view(self, symbol: str, rule: RegimeView) -> RegimeView:
        """The regime of a symbol, given what the rule says of it."""
        if symbol not in self._bars:
            return rule
        self._known(symbol, rule)
        return self._views[symbol]

    def _known(self, symbol: str, rule: RegimeView) -> _Spoken:
        if symbol in self._unread:
            del self._unread[symbol]
            self._spoken[symbol] = self._read(symbol)
            self._views[symbol] = self._composed(self._spoken[symbol], rule)
        return self._spoken[symbol]

    def _composed(self, spoken: _Spoken, rule: RegimeView) -> RegimeView:
        trend, volatile = spoken.switches
        if rule.regime is Regime.UNKNOWN:
            return rule
        if spoken.silent is not None:
            return _with(rule, spoken.silent)
        if self.drift.alert:
            return _with(rule, Reading("model silent: features drifted", self.drift.beyond * 100, None, "%"))
        if spoken.said is None or math.isnan(trend.rank):
            return _with(rule, Reading("model silent: said so far", float(trend.count), float(FEWEST)))
        measured = {one.name: one.value for one in rule.readings}
        slope, place = measured.get(SLOPE, 0.0), measured.get(PLACE, 0.5)
        _decide(spoken, slope)
        if spoken.regime in _TRENDS:
            confidence = trend.rank
        else:
            confidence = volatile.rank if spoken.regime is Regime.VOLATILE else 1 - max(trend.rank, volatile.rank)
        readings = (
            Reading(TREND_READING, spoken.said.trend, trend.upper),
            Reading("rank of it, 30 d", trend.rank, ENTER),
            Reading(VOLATILE_READING, spoken.said.volatile, volatile.upper),
            Reading("rank of that, 30 d", volatile.rank, ENTER),
            Reading("strangeness", spoken.said.strangeness, 1.0),
            Reading(SLOPE, slope, 0.0, "%"),
            Reading(PLACE, place, 0.5),
        )
        return RegimeView(
            regime=spoken.regime,
            confidence=confidence,
            readings=readings + ((Reading("no market around it", 1.0),) if spoken.alone else ()),
            trend_rank=trend.rank,
            volatile_rank=volatile.rank,
            trending=trend.on,
            source=self.model.name,
        )

    # ---- speaking ----------------------------------------------------------------------------------------------------

    def _read(self, symbol: str) -> _Spoken:
        """Say again all that can be said of the bars that are known."""
        spoken = _Spoken()
        bars = self._columns(symbol, KEPT)
        places = np.flatnonzero(bars.close_h % CADENCE_H == 0)
        places = places[places >= NEED_H - 1]
        if not len(places):
            spoken.silent = Reading("model silent: bars", float(len(bars.close_h)), float(NEED_H))
            return spoken
        around, leader = market(self._around(bars.close_h), places)
        rows = joined(own(bars, places), around, leader)
        for close_h, row in zip(bars.close_h[places].tolist(), rows, strict=True):
            self._say(spoken, close_h, row, live=False)
        return spoken

    def _speak(self, symbol: str, spoken: _Spoken) -> None:
        rows = self._bars[symbol]
        close_h = rows[-1][0]
        if len(rows) < NEED_H:
            spoken.silent = Reading("model silent: bars", float(len(rows)), float(NEED_H))
            return
        age_days = self._age_days(close_h)
        if not -HEARD_DAYS <= age_days <= STALE_DAYS:
            # nobody hears it, and nothing that it would say is remembered when it is heard
            spoken.silent, spoken.said = _out_of_its_time(age_days), None
            return
        bars = self._columns(symbol, NEED_H)
        last = np.array([len(bars.close_h) - 1])
        if self._market is None or self._market[0] != close_h:
            self._market = (close_h, *market(self._around(bars.close_h), last))
        _, around, leader = self._market
        self._say(spoken, close_h, joined(own(bars, last), around, leader)[0], live=True)
        self._answered(spoken, bars, close_h)
        spoken.held += 1

    def _say(self, spoken: _Spoken, close_h: int, row: Floats, *, live: bool) -> None:
        spoken.silent = spoken.said = None
        spoken.alone = not market_known(row[None])[0]
        row = self.model.filled(row[None])[0]
        if not np.isfinite(row).all():
            spoken.silent = Reading("model silent: features missing", float((~np.isfinite(row)).sum()), 0.0)
            return
        age_days = self._age_days(close_h)
        said = self.model.one(row)
        if said.strangeness <= 1:
            for switch, probability in zip(spoken.switches, said[:2], strict=True):
                switch.hear(probability)
        if not 0 <= age_days <= STALE_DAYS:
            spoken.silent = _out_of_its_time(age_days)
        elif said.strangeness > 1:
            spoken.silent = Reading("model silent: strangeness", said.strangeness, 1.0)
        if live and 0 <= age_days <= STALE_DAYS:
            self.drift.row(close_h, row)
            spoken.pending.append((close_h, said))
        spoken.said = said

    def _age_days(self, close_h: int) -> float:
        return (close_h * HOUR_NS - self.model.manifest.data_end_ns) / DAY_NS

    def _answered(self, spoken: _Spoken, bars: Columns, close_h: int) -> None:
        """What came of the probabilities of a day ago."""
        while spoken.pending and spoken.pending[0][0] <= close_h - HORIZON_H:
            then_h, said = spoken.pending.popleft()
            place = np.array([len(bars.close_h) - 1 - (close_h - then_h)])
            z, (ahead, _) = trend_label(bars, place)[0], volatility_label(bars, place)
            if np.isfinite(z) and np.isfinite(ahead[0]):
                self.drift.answer(close_h, TREND, said.trend, bool(abs(z) >= TREND_Z))
                self.drift.answer(close_h, VOLATILE, said.volatile, bool(ahead[0] > 1))

    def _columns(self, symbol: str, most: int) -> Columns:
        rows = self._bars[symbol]
        skipped = max(0, len(rows) - most)
        table = np.array([rows[at] for at in range(skipped, len(rows))], dtype=np.float64).reshape(-1, 5)
        return Columns._make(
            (table[:, 0].astype(np.int64), *(np.ascontiguousarray(table[:, at]) for at in range(1, 5)), 1)
        )

    def _around(self, close_h: Ints) -> Market:
        """Closes of all symbols on the hours given, NaN where there is none."""
        closes = np.full((len(self._bars), len(close_h)), np.nan)
        first, last = int(close_h[0]), int(close_h[-1])
        for number, rows in enumerate(self._bars.values()):
            inside = [(row[0] - first, row[3]) for row in rows if first <= row[0] <= last]
            if inside:
                places, values = zip(*inside, strict=True)
                closes[number, list(places)] = values
        return Market(close_h, closes, tuple(self._bars), 1)


def _decide(spoken: _Spoken, slope: float) -> None:
    """The regime, from what is on and the side of the averages; held for the minimum time."""
    trend, volatile = spoken.switches
    if trend.on and slope:
        said = Regime.TREND_UP if slope > 0 else Regime.TREND_DOWN
    else:
        said = Regime.VOLATILE if volatile.on else Regime.RANGE
    if spoken.regime is Regime.UNKNOWN or (said is not spoken.regime and spoken.held >= DWELL):
        spoken.regime, spoken.held = said, 0


def _out_of_its_time(age_days: float) -> Reading:
    """Of a model for a time that it knows, or that it knows nothing of any more."""
    if age_days < 0:
        return Reading("model silent: days before its end", -age_days, 0.0)
    return Reading("model silent: stale, days", age_days, float(STALE_DAYS))


def _with(rule: RegimeView, why: Reading) -> RegimeView:
    return RegimeView(
        regime=rule.regime, confidence=rule.confidence, readings=(*rule.readings, why), trend_rank=rule.trend_rank,
        volatile_rank=rule.volatile_rank, trending=rule.trending, source=rule.source,
    )  # fmt: skip


def _row(bar: Bar | BarRow) -> _Row:
    return (bar.open_ns // HOUR_NS + 1, bar.high, bar.low, bar.close, bar.volume)
