"""The black swan: a fall of the whole market within minutes, told apart from a bad tick, a wick and a spike.

Prices pass a median of `swan_median` ticks. A low counts once `swan_confirmations` filtered ticks in a row stood at or
below it; a high as far as the mark stood there too, or without a fresh mark once as many ticks stood at or above it.
The fall is measured between the two. A contract's fall that a fresh mark has not followed half the way is a wick.

Three rungs: an alert (no new longs), the trip (longs leave), and an extreme over longer windows, which must last. Where
the mark is silent or frozen it believes the contract alone, if that trades far more than is usual.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator, Sequence
from math import inf, isfinite
from statistics import median
from typing import Final, NamedTuple

import msgspec

from nexus_engine.model.config import ShieldConfig
from nexus_engine.model.events import BarRow
from nexus_engine.shield.turnover import Turnover

SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
GAP_NS: Final = 30 * SECOND_NS
"""Market time without a tick after which confirmations count anew, however fast the market runs."""
ABSURD: Final = 2.0
"""A tick more than this factor away from the last filtered price is not a price."""
MARK_MEDIAN: Final = 3
MARK_CONFIRMATIONS: Final = 5
"""Marks in a row that make a high of the mark: it comes once a second."""
MARK_SHARE: Final = 0.5
"""How much of the contract's fall the mark must show."""
EXTREME_SHARE: Final = 0.8
"""The same of an extreme one: its windows are long enough for a wick on top of a slow fall."""
ALONE_NS: Final = 5 * SECOND_NS
"""Without a fresh mark nobody contradicts: then the fall must last this long as well, in market time."""
FROZEN_NS: Final = 60 * SECOND_NS
"""A mark that has not moved at all for so long says nothing about an extreme fall."""
ESCALATION: Final = 0.02
"""While locked, a new low this fraction under the last one trips again."""
EVIDENCE: Final = 50
ALERT, TRIP, EXTREME, AGAIN = "alert", "trip", "extreme", "again"


class Rung(NamedTuple):
    """A fall of `drop` (a fraction) from the high of `minutes`; `window` is its place among a lane's windows."""

    name: str
    minutes: int
    drop: float
    window: int


class SlidingMax:
    """The maximum over the newest keys, amortised O(1): a monotonic deque. Keys never go back; equal keys share a slot,
    so it never holds more entries than the window has keys."""

    __slots__ = ("_items",)

    def __init__(self) -> None:
        self._items: deque[tuple[int, float]] = deque()

    def __iter__(self) -> Iterator[tuple[int, float]]:
        return iter(self._items)

    def push(self, key: int, value: float) -> None:
        items = self._items
        while items and items[-1][1] <= value:
            items.pop()
        if not items or items[-1][0] != key:
            items.append((key, value))

    def top(self, oldest: int) -> float:
        """The maximum over keys from `oldest` on, older ones are dropped; minus infinity when nothing is left."""
        items = self._items
        while items and items[0][0] < oldest:
            items.popleft()
        return items[0][1] if items else -inf

    def peek(self, oldest: int) -> float:
        """What `top` would answer, with nothing dropped: a look at the screen may not change a decision."""
        for key, value in self._items:
            if key >= oldest:
                return value
        return -inf

    def clear(self) -> None:
        self._items.clear()


class Lane:
    """One source of prices: its median filter, its runs in a row and the confirmed highs of its windows."""

    def __init__(
        self,
        ticks: int,
        confirmations: int,
        windows_min: tuple[int, ...],
        stale_ns: int,
        rungs: int = 1,
        memory_min: int = 0,
    ) -> None:
        self._size, self._confirmations, self._stale_ns = ticks, confirmations, stale_ns
        self._ticks: deque[float] = deque()
        self._sorted: list[float] = []
        self._count = 0
        self._above, self._below = SlidingMax(), SlidingMax()
        self._windows = tuple((minutes * 60, SlidingMax()) for minutes in windows_min)
        self._memory_s = (memory_min or max(windows_min)) * 60
        """Silent for so long, or among other prices, it knows no high any more."""
        self._mono_ns = 0
        self.venue_ns = 0
        self.last = 0.0
        """The newest filtered price; 0 before the first."""
        self.moved_ns = 0
        """Venue time at which the filtered price last changed."""
        self.low = inf
        """The newest confirmed low: no filtered tick of the last run was above it; infinite without a whole run."""
        self.fallen_ns = [0] * rungs
        """By rung: venue time since when the lane has been fallen without a break; 0 when it is not."""
        self.evidence: deque[tuple[int, float]] = deque(maxlen=EVIDENCE)

    def add(self, price: float, venue_ns: int, mono_ns: int, mark: float = 0.0) -> bool:
        """Take a tick. True when it moved the filtered price. `mark` is the fresh mark, 0 when there is none."""
        if venue_ns <= self.venue_ns:
            # Ticks of one matching instant are one observation, late ones are none; a clock set back starts over.
            if self.venue_ns - venue_ns <= GAP_NS:
                return False
            self.reset()
        elif venue_ns - self.venue_ns > GAP_NS or mono_ns - self._mono_ns > self._stale_ns:
            self._begin_run()
            oldest = venue_ns // SECOND_NS - self._memory_s
            for _, window in self._windows:
                if window.top(oldest) > -inf:
                    break
            else:
                self.last = 0.0
        # NaN and infinity fail the first comparison.
        if not 0.0 < price < inf or (self.last and not self.last / ABSURD < price < self.last * ABSURD):
            return False
        self.venue_ns, self._mono_ns = venue_ns, mono_ns
        self.evidence.append((venue_ns, price))
        ticks, ranked = self._ticks, self._sorted
        if len(ticks) == self._size:
            del ranked[bisect_left(ranked, ticks.popleft())]
        ticks.append(price)
        insort(ranked, price)
        if len(ticks) < self._size:
            return False
        middle = ranked[self._size // 2]
        if middle != self.last:
            self.last, self.moved_ns = middle, venue_ns
        self._count = count = self._count + 1
        self._above.push(count, middle)
        self._below.push(count, -middle)
        high = min(middle, mark) if mark else 0.0
        if count >= self._confirmations:
            oldest = count - self._confirmations + 1
            self.low = self._above.top(oldest)
            high = high or -self._below.top(oldest)
        if high > 0.0:
            slot = venue_ns // SECOND_NS
            for _, window in self._windows:
                window.push(slot, high)
        return True

    def high(self, window: int, venue_ns: int) -> float:
        """The confirmed high of a window, by its place in the directive; minus infinity when it knows none."""
        span_s, highs = self._windows[window]
        return highs.top(venue_ns // SECOND_NS - span_s)

    def fall_pct(self, window: int, market_ns: int) -> float:
        """How far the newest filtered price is under a window's confirmed high, at least 0. Changes nothing."""
        span_s, highs = self._windows[window]
        high = highs.peek(market_ns // SECOND_NS - span_s)
        return max(0.0, (1.0 - self.last / high) * 100.0) if high > 0.0 else 0.0

    def fresh(self, venue_ns: int, mono_ns: int) -> bool:
        """It has a filtered price that is young by both clocks."""
        return (
            self.last > 0.0
            and len(self._ticks) == self._size
            and mono_ns - self._mono_ns <= self._stale_ns
            and venue_ns - self.venue_ns <= GAP_NS
        )

    def seed(self, closes: Sequence[tuple[int, float]]) -> None:
        """Rebuild the highs from closes, as (market ns, price) oldest first; what ticks have shown since then stays."""
        last_slot = closes[-1][0] // SECOND_NS
        for _, window in self._windows:
            newer = [item for item in window if item[0] > last_slot]
            window.clear()
            for at_ns, close in closes:
                window.push(at_ns // SECOND_NS, close)
            for slot, high in newer:
                window.push(slot, high)
        self._begin_run()
        self.last = closes[-1][1]

    def forget(self) -> None:
        """Forget the highs; the filter goes on."""
        for _, window in self._windows:
            window.clear()

    def reset(self) -> None:
        """Forget everything."""
        self._begin_run()
        for _, window in self._windows:
            window.clear()
        self.last, self.venue_ns, self._mono_ns = 0.0, 0, 0

    def _begin_run(self) -> None:
        self._ticks.clear()
        self._sorted.clear()
        self._above.clear()
        self._below.clear()
        self._count, self.low, self.fallen_ns = 0, inf, [0] * len(self.fallen_ns)


class Fall(msgspec.Struct, frozen=True, kw_only=True):
    """What tripped. `minutes` names the window, 0 means a new low under the one of the last trip; `mark` is 0 when no
    fresh one could be asked; `held_ms` is for how long the fall had lasted where that was waited for."""

    rung: str
    source: str
    minutes: int
    high: float
    low: float
    limit_pct: float
    mark: float
    filtered: float
    held_ms: int
    volume: float
    """Of a minute, in usual ones; 0 where it was not asked for or is not known."""
    evidence: tuple[tuple[int, float], ...]

    @property
    def drop_pct(self) -> float:
        return (1.0 - self.low / self.high) * 100.0


class BlackSwan:
    """Watches one symbol. About 4 µs a tick; keeps price windows and nothing else."""

    def __init__(self, config: ShieldConfig) -> None:
        self._minutes = config.swan_windows_min
        self._drop = config.swan_drop_pct / 100.0
        wanted = [(TRIP, minutes, config.swan_drop_pct) for minutes in self._minutes]
        wanted += [(EXTREME, minutes, pct) for pct, minutes in config.swan_extreme]
        wanted += [(ALERT, minutes, pct) for pct, minutes in config.swan_alert]
        windows = tuple(dict.fromkeys(minutes for _, minutes, _ in wanted))
        self._widest = windows.index(max(self._minutes))
        self._longest, memory_min = max(windows), max(self._minutes)
        self._rungs = tuple(Rung(name, minutes, pct / 100.0, windows.index(minutes)) for name, minutes, pct in wanted)
        stale_ns = config.stale_ms * 1_000_000
        # One timer more than rungs: that of the escalation.
        self._lanes = {
            source: Lane(config.swan_median, config.swan_confirmations, windows, stale_ns, len(wanted) + 1, memory_min)
            for source in ("trade", "mid")
        }
        self._mark = Lane(MARK_MEDIAN, MARK_CONFIRMATIONS, windows, stale_ns, 1, memory_min)
        self._turnover = Turnover(self._longest)
        self._volume = config.swan_extreme_volume
        self._anchor = 0.0
        self._since_ns = 0

    @property
    def longest_min(self) -> int:
        """The longest window of all rungs."""
        return self._longest

    def tick(
        self,
        source: str,
        price: float,
        venue_ns: int,
        mono_ns: int,
        *,
        locked: bool,
        alerted: bool = True,
        qty: float = 0.0,
    ) -> Fall | None:
        """Take a price of `trade`, `mid` or `mark`, a trade's with its quantity. A Fall exactly on a trip, or on an
        escalation while `locked`; also on an alert, unless the market is `alerted` already."""
        if source == "mark":
            self._mark.add(price, venue_ns, mono_ns)
            return None
        if qty:
            self._turnover.add(qty, venue_ns)
        lane = self._lanes[source]
        mark = self._mark.last if self._mark.fresh(venue_ns, mono_ns) else 0.0
        if not lane.add(price, venue_ns, mono_ns, mark):
            return None
        if locked:
            fall = self._escalation(source, lane, venue_ns, mark)
        else:
            fall = self._fall(source, lane, venue_ns, mark, alerted=alerted)
        if fall is not None and fall.rung != ALERT:
            self._anchor = fall.low
            lane.fallen_ns = [0] * len(lane.fallen_ns)
        return fall

    def seed(self, rows: Sequence[BarRow], market_ns: int) -> None:
        """Rebuild the highs from closed 1 minute bars, oldest first."""
        self._turnover.seed([row for row in rows if row.open_ns < market_ns])
        since_ns = max(market_ns - (self._longest + 1) * MINUTE_NS, self._since_ns)
        rows = [row for row in rows if since_ns <= row.open_ns < market_ns and isfinite(row.close) and row.close > 0.0]
        if not rows:
            return
        centre = median(row.close for row in rows)
        rows = [row for row in rows if centre / ABSURD < row.close < centre * ABSURD]
        closes = []
        for at, row in enumerate(rows):
            # The median of three neighbours: one bad close is no high.
            first = min(max(0, at - 1), max(0, len(rows) - 3))
            close = median(near.close for near in rows[first : first + 3])
            closes.append((min(row.open_ns + MINUTE_NS, market_ns), close))
        for lane in (*self._lanes.values(), self._mark):
            lane.seed(closes)

    def rearm(self, market_ns: int) -> None:
        """A person takes the price of now for the new ground: what was higher before is forgotten."""
        self._since_ns, self._anchor = market_ns, 0.0
        for lane in (*self._lanes.values(), self._mark):
            lane.forget()

    def falls(self, market_ns: int) -> tuple[tuple[int, float], ...]:
        """By window of the trip: (minutes, percent that the newest filtered price is under the confirmed high)."""
        lane = self._newest
        return tuple((rung.minutes, lane.fall_pct(rung.window, market_ns)) for rung in self._rungs if rung.name == TRIP)

    def ladder(self, market_ns: int) -> tuple[tuple[Rung, float], ...]:
        """Every rung, and how far the newest filtered price is under the confirmed high of its window, in percent."""
        lane = self._newest
        return tuple((rung, lane.fall_pct(rung.window, market_ns)) for rung in self._rungs)

    def settled(self, market_ns: int) -> bool:
        """The price is less than half of the trip's fall under the high of its longest window."""
        return self._newest.fall_pct(self._widest, market_ns) < self._drop * 50.0

    @property
    def _newest(self) -> Lane:
        return max(self._lanes.values(), key=lambda lane: lane.venue_ns)

    def _fall(self, source: str, lane: Lane, venue_ns: int, mark: float, *, alerted: bool) -> Fall | None:
        low, timers = lane.low, lane.fallen_ns
        for at, rung in enumerate(self._rungs):
            high = lane.high(rung.window, venue_ns)
            if low > high * (1.0 - rung.drop):
                timers[at] = 0
            elif rung.name is ALERT and alerted:
                continue
            elif self._confirmed(lane, at, rung, venue_ns, mark):
                return self._made(rung.name, source, lane, at, rung.minutes, high, rung.drop, mark)
        return None

    def _escalation(self, source: str, lane: Lane, venue_ns: int, mark: float) -> Fall | None:
        if not self._anchor and lane.low < inf:
            # The lock is older than this process: count from where the market stands now.
            self._anchor = lane.low
        at = len(self._rungs)
        if lane.low > self._anchor * (1.0 - ESCALATION):
            lane.fallen_ns[at] = 0
        elif (
            mark <= self._anchor * (1.0 - ESCALATION * MARK_SHARE)
            if mark
            else self._lasts(lane, at, venue_ns, ALONE_NS)
        ):
            return self._made(AGAIN, source, lane, at, 0, self._anchor, ESCALATION, mark)
        return None

    def _confirmed(self, lane: Lane, at: int, rung: Rung, venue_ns: int, mark: float) -> bool:
        """A second source says so, or none can and it has lasted; an extreme fall without one needs volume as well."""
        if not mark:
            lasts = self._lasts(lane, at, venue_ns, ALONE_NS)
            return lasts and (rung.name is not EXTREME or self._busy(rung, venue_ns))
        mark_from = self._mark.high(rung.window, venue_ns)
        if rung.name is EXTREME:
            follows = mark <= mark_from * (1.0 - rung.drop * EXTREME_SHARE)
            if follows or venue_ns - self._mark.moved_ns > FROZEN_NS:
                return self._lasts(lane, at, venue_ns, ALONE_NS) and (follows or self._busy(rung, venue_ns))
        lane.fallen_ns[at] = 0
        return rung.name is not EXTREME and mark <= mark_from * (1.0 - rung.drop * MARK_SHARE)

    def _busy(self, rung: Rung, venue_ns: int) -> bool:
        """So much is traded that many believe the price. What is usual may not be known: then that is no objection."""
        times = self._turnover.times_usual(venue_ns, rung.minutes)
        return times is None or times > self._volume

    @staticmethod
    def _lasts(lane: Lane, at: int, venue_ns: int, patience_ns: int) -> bool:
        since_ns = lane.fallen_ns[at] = lane.fallen_ns[at] or venue_ns
        return venue_ns - since_ns >= patience_ns

    def _made(
        self, rung: str, source: str, lane: Lane, at: int, minutes: int, high: float, drop: float, mark: float
    ) -> Fall:
        since_ns = lane.fallen_ns[at]
        volume = self._turnover.times_usual(lane.venue_ns, minutes) if rung is EXTREME else None
        return Fall(
            rung=rung,
            source=source,
            minutes=minutes,
            high=high,
            low=lane.low,
            limit_pct=round(drop * 100.0, 6),
            mark=mark,
            filtered=lane.last,
            held_ms=(lane.venue_ns - since_ns) // 1_000_000 if since_ns else 0,
            volume=volume or 0.0,
            evidence=tuple(lane.evidence),
        )
