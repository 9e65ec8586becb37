"""Takes an engine through recorded bars. The price goes open, then low and high, then close, in straight lines; a
position meets the side of its stop first. Everything the core hears, decides and sends is as live, in virtual time.

Stepping tells the core of every closed bar. Skipping tells it only of those at which a strategy could speak, and brings
its state up in between; while a position rests, bars that touch nothing of it are gone over at once.
"""

from collections.abc import Callable, Sequence
from math import inf
from typing import Final, Protocol

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from nexus_engine.core.engine import PULSE, Engine
from nexus_engine.lab.bars import SECOND_NS, Bars, rolling_max
from nexus_engine.lab.history import Series
from nexus_engine.lab.record import Record
from nexus_engine.lab.venue import BarVenue
from nexus_engine.lab.wire import Clock, Wire
from nexus_engine.model.commands import Approve, Release
from nexus_engine.model.events import (
    Bar,
    BookSnapshot,
    Commanded,
    FeedStatus,
    History,
    Instruments,
    Mark,
    Started,
    TimerFired,
    Trade,
)
from nexus_engine.model.ledger import DAY_NS
from nexus_engine.model.positions import Position
from nexus_engine.model.words import AccountKind, Mode, Venue
from nexus_engine.servos.trailing import SMALLEST_STEP
from nexus_engine.shield.drawdown import LOOKS, PEAK_STEP
from nexus_engine.sim.played import FUNDING_NS

DWELL_NS: Final = SECOND_NS
"""How long a bar stays at its open: an entry and its stop are placed in it. A quarter of a bar at most."""
BEFORE_NS: Final = 10 * SECOND_NS
"""The run begins so long before its first bar, so that it is reconciled by then."""
DEPTH: Final = 1e9
EARLIER_NS: Final = SECOND_NS
FEEDS: Final = ("public", "market", "user")
PERSON: Final = "you"

Mask = NDArray[np.bool_]


class Skip(Protocol):
    """Which closed bars must be told, and how the core's state is brought up to them."""

    def wanted(self, frame: int) -> Mask:
        """By row of a frame."""

    def prepare(self, frame: int, row: int, close_ns: int) -> None:
        """The core's cortex is where it would be, had it been told all rows of all frames before this one."""


class Drive:
    """One run. `start` is the first base bar that is played; what is before it is history."""

    def __init__(
        self,
        engine: Engine,
        venue: BarVenue,
        bars: Bars,
        frames: Sequence[Series],
        *,
        start: int,
        clock: Clock,
        watched: Mask | None = None,
        skip: Skip | None = None,
        progress: Callable[[float], None] = lambda share: None,
    ) -> None:
        """`watched`: bars whose every second the Sentinel must see."""
        self.engine, self.venue, self.clock = engine, venue, clock
        self.record = Record(engine.ledger, venue)
        self.wire = Wire(engine, venue, clock, self.record.heard, self.record.traded)
        self.released = 0
        self._bars, self._frames, self._start = bars, frames, start
        self._watched, self._skip, self._progress = watched, skip, progress
        self._step_ns = bars.step_ns
        self._dwell_ns = min(DWELL_NS, bars.step_ns // 4)
        self._symbol = venue.symbol
        self._flat_looks = 0
        self._updates = 0
        self._seconds = False
        """The Sentinel sees every second of this bar."""
        self._known = [0] * len(frames)
        """By frame: how many of its rows are history when the run begins."""
        ends = (bars.open_ns + bars.step_ns) // FUNDING_NS != bars.open_ns // FUNDING_NS
        self._special = ends | np.append(False, np.diff(bars.open_ns) != bars.step_ns)
        if watched is not None:
            self._special |= watched
        """Bars that are never gone over: they end with a funding or a day, follow a gap, or are watched."""
        self._specials = np.flatnonzero(self._special)
        self._day_volume, self._day_range = _day(bars)
        self._closings()

    def _closings(self) -> None:
        """Every closed bar of every frame, by the time of its close and then the shorter first."""
        start_ns = int(self._bars.open_ns[self._start])
        parts, cortex = [], self.engine.cortex
        self._leavers: set[str] = set()
        for number, frame in enumerate(self._frames):
            close_ns = frame.open_ns[: frame.whole] + frame.step_ns
            row = np.arange(frame.whole)
            known = int(np.searchsorted(close_ns, start_ns, side="right"))
            self._known[number] = known
            wanted = np.ones(frame.whole, bool) if self._skip is None else self._skip.wanted(number)[: frame.whole]
            leavers = {name for name in cortex.names if cortex.leaver(name, frame.interval)}
            self._leavers |= leavers
            keep = (row >= known) & (wanted | bool(leavers))
            base = frame.last[: frame.whole]
            parts.append(np.stack([close_ns[keep], np.full(keep.sum(), number), row[keep], base[keep], wanted[keep]]))
        merged = np.concatenate(parts, axis=1)
        order = np.lexsort((merged[1], merged[0]))
        self._close_ns, self._close_frame, self._close_row, self._close_base, entries = merged[:, order]
        at = np.append(np.where(entries, np.arange(len(entries)), len(entries)), len(entries))
        self._entry_from = np.minimum.accumulate(at[::-1])[::-1]
        """By closing: the next, itself included, at which a strategy could enter. The others are for leaving."""
        self._next = 0

    # ---- the run -----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Play it to the end of the bars."""
        self._begin()
        at, count, tell = self._start, len(self._bars), 0
        while at < count:
            if self._awake(at):
                quiet = self._quiet(at)
                if quiet > at:
                    self._glide(at, quiet)
                    at = quiet
                else:
                    self._bar(at)
                    at += 1
            else:
                at = self._leap(at)
            tell += 1
            if not tell % 256:
                self._progress((at - self._start) / (count - self._start))
        end_ns = int(self._bars.open_ns[-1]) + self._step_ns
        self.clock.now_ns = max(self.clock.now_ns, end_ns)
        self.record.look(self.clock.now_ns)

    def _begin(self) -> None:
        start_ns = int(self._bars.open_ns[self._start])
        self.clock.now_ns = now = start_ns - BEFORE_NS
        post = self.wire.post
        post(
            Started(
                at_ns=now, mono_ns=now, account="backtest", kind=AccountKind.PAPER, instance="bt", epoch=1,
                version="0", mode=Mode.PILOT,
            )
        )  # fmt: skip
        post(Instruments(at_ns=now, mono_ns=now, instruments=(self.venue.instrument,)))
        for number, frame in enumerate(self._frames):
            if known := self._known[number]:
                self._history(frame, max(0, known - self.engine.warmup_bars), known)
        for feed in FEEDS:
            post(FeedStatus(at_ns=now, mono_ns=now, venue=Venue.BINANCE, feed=feed, up=True))
        self._reach(start_ns - SECOND_NS)
        self.record.look(start_ns)

    def _awake(self, at: int) -> bool:
        """This bar must be gone through."""
        if self._watched is not None and self._watched[at]:
            return True
        return self._flat_looks < LOOKS or self.wire.busy or self.venue.lots != 0 or self.engine.desk.due_ns < inf

    def _leap(self, at: int) -> int:
        """Nothing is held and nothing is under way: on to the next bar that must be told. Returns the bar after it."""
        count = len(self._bars)
        self._next = int(self._entry_from[self._next])
        base = int(self._close_base[self._next]) if self._next < len(self._close_base) else count
        if self._watched is not None and (ahead := self._watched[at : base + 1]).any():
            return at + int(np.argmax(ahead))
        if base >= count:
            return count
        self.venue.price = float(self._bars.ohlc[base, 3])
        self._decide(base)
        return base + 1

    # ---- one bar -----------------------------------------------------------------------------------------------------

    def _bar(self, at: int) -> None:
        open_ns = int(self._bars.open_ns[at])
        open_, high, low, close = self._bars.ohlc[at].tolist()
        if open_ns > (before_ns := self.clock.now_ns):
            self.wire.market_open = False
            self._reach(open_ns)
            self._fund(before_ns)
        self.venue.day_volume, self.venue.day_range = self._day_volume.item(at), self._day_range.item(at)
        self._seconds = self._watched is not None and bool(self._watched[at])
        self.clock.now_ns = open_ns
        self.venue.price = open_
        self.wire.settle()
        self.wire.knock()
        self._pulse()
        step, dwell = self._step_ns, self._dwell_ns
        self._travel(open_ns + dwell, open_)
        self._pulse()
        first, second = (low, high) if self._low_first(open_, high, low, close) else (high, low)
        self._travel(open_ns + dwell + (step - dwell) // 3, first)
        self._pulse()
        self._travel(open_ns + dwell + (step - dwell) * 2 // 3, second)
        self._pulse()
        self._travel(open_ns + step, close)
        self._pulse()
        self._fund(open_ns)
        self._decide(at)

    def _low_first(self, open_: float, high: float, low: float, close: float) -> bool:
        """The side of the stop; without a position the extreme nearer the open, as the practice market plays bars."""
        lots = self.venue.lots
        if lots:
            return lots > 0
        up, down = high - open_, open_ - low
        return down < up or (down == up and close >= open_)

    def _travel(self, end_ns: int, price: float) -> None:
        """Move the price there in a straight line; whatever happens on the way does so where it is then."""
        begin_ns, begin = self.clock.now_ns, self.venue.price
        if self._seconds:
            for second in range(begin_ns // SECOND_NS + 1, end_ns // SECOND_NS + 1):
                self._move(second * SECOND_NS, _between(begin_ns, begin, end_ns, price, second * SECOND_NS))
                self._tick()
        self._move(end_ns, price)

    def _move(self, end_ns: int, price: float) -> None:
        clock, venue, wire = self.clock, self.venue, self.wire
        begin_ns, begin = clock.now_ns, venue.price
        while True:
            level_ns: float = inf
            level = 0.0
            if price != venue.price:
                up, down = venue.levels()
                if venue.price < up <= price:
                    level = up
                elif venue.price > down >= price:
                    level = down
                if level:
                    level_ns = begin_ns + round((level - begin) / (price - begin) * (end_ns - begin_ns))
            waits_ns = self.engine.desk.due_ns
            due_ns = min(wire.next_ns, waits_ns)
            if due_ns <= min(level_ns, end_ns):
                clock.now_ns = int(due_ns)
                venue.price = _between(begin_ns, begin, end_ns, price, clock.now_ns)
                if due_ns < waits_ns:
                    wire.arrive()
                else:
                    self._quote()
                    self._pulse()
                    self._approve(clock.now_ns)
            elif level_ns <= end_ns:
                clock.now_ns = max(clock.now_ns, int(level_ns))
                venue.price = level
                wire.settle()
                self.record.look(clock.now_ns)
            else:
                break
        clock.now_ns, venue.price = end_ns, price

    def _reach(self, end_ns: int) -> None:
        """Let time pass at the price that is."""
        while self.wire.next_ns <= end_ns:
            self.clock.now_ns = int(self.wire.next_ns)
            self.wire.arrive()
        self.clock.now_ns = max(self.clock.now_ns, end_ns)

    def _fund(self, since_ns: int) -> None:
        """The settlements after `since_ns`, up to now."""
        if not self.venue.lots:
            return
        for number in range(since_ns // FUNDING_NS + 1, self.clock.now_ns // FUNDING_NS + 1):
            self.venue.fund(number * FUNDING_NS)
            self.wire.tell()

    # ---- what the core is told ---------------------------------------------------------------------------------------

    def _mark(self) -> None:
        now, price = self.clock.now_ns, self.venue.price
        self.wire.post(
            Mark(
                at_ns=now, mono_ns=now, symbol=self._symbol, mark=price, index=price,
                funding_rate=self.venue.rate_at(now // FUNDING_NS * FUNDING_NS),
                next_funding_ns=(now // FUNDING_NS + 1) * FUNDING_NS,
                venue_ns=now,
            )
        )  # fmt: skip

    def _tick(self) -> None:
        """A second of the market, for the Sentinel. The bars are the one source: the mark says what they say."""
        now, price = self.clock.now_ns, self.venue.price
        self.engine.leap(now, now)
        self._mark()
        self.wire.post(
            Trade(
                at_ns=now, mono_ns=now, symbol=self._symbol, price=price, qty=1.0, buyer_is_maker=True, venue_ns=now
            )
        )  # fmt: skip

    def _pulse(self) -> None:
        now = self.clock.now_ns
        self.engine.leap(now, now)
        self._mark()
        self.wire.post(TimerFired(at_ns=now, mono_ns=now, key=PULSE))
        self._person(now)
        self.record.look(now)
        self._flat_looks = 0 if self.venue.lots or self.wire.busy else self._flat_looks + 1

    def _person(self, now: int) -> None:
        """Somebody looks once a day, and releases what has latched on an earlier one."""
        for latch, fact in list(self.engine.ledger.latches.items()):
            if fact.at_ns // DAY_NS < now // DAY_NS:
                self.released += 1
                command = Release(latch=latch, word=latch.lower())
                self.wire.post(Commanded(at_ns=now, mono_ns=now, command=command, by=PERSON, surface="backtest"))

    def _decide(self, base: int) -> None:
        """Tell of the bars that end with this base bar."""
        while self._next < len(self._close_ns) and self._close_base[self._next] < base:
            self._next += 1
        while self._next < len(self._close_ns) and self._close_base[self._next] == base:
            close_ns = int(self._close_ns[self._next])
            self._morning(close_ns)
            self._reach(close_ns)
            self._quote()
            while self._next < len(self._close_ns) and self._close_ns[self._next] == close_ns:
                self._told(int(self._close_frame[self._next]), int(self._close_row[self._next]))
                self._next += 1

    def _morning(self, now: int) -> None:
        """The first that a new day's decision needs: its equity, and what has latched on another day."""
        if now // DAY_NS != self.engine.ledger.day and not self.venue.lots and not self.wire.busy:
            at_ns = max(self.clock.now_ns, now - EARLIER_NS, now // DAY_NS * DAY_NS)
            self._reach(at_ns)
            self._pulse()

    def _quote(self) -> None:
        now, (bid, ask) = self.clock.now_ns, self.venue.touch(self._symbol)
        self.engine.leap(now, now)
        self._updates += 1
        self.wire.post(
            BookSnapshot(
                at_ns=now, mono_ns=now, symbol=self._symbol, update_id=self._updates, bids=((bid, DEPTH),),
                asks=((ask, DEPTH),), venue_ns=now,
            )
        )  # fmt: skip
        self._mark()

    def _told(self, number: int, row: int) -> None:
        frame, now = self._frames[number], self.clock.now_ns
        if self._skip is not None:
            self._skip.prepare(number, row, now)
        open_ns = int(frame.open_ns[row])
        open_, high, low, close, volume = frame.ohlcv[row].tolist()
        self.wire.post(
            Bar(
                at_ns=now, mono_ns=now, symbol=self._symbol, interval=frame.interval, open_ns=open_ns, open=open_,
                high=high, low=low, close=close, volume=volume, trades=0, closed=True, venue_ns=now,
            )
        )  # fmt: skip
        self._approve(now)
        if row == 0 or frame.open_ns[row] != frame.open_ns[row - 1] + frame.step_ns:
            # as live: what lost a bar is told its past anew, which begins after the gap
            self._history(frame, row, row + 1)

    def _approve(self, now: int) -> None:
        """The person says yes to every card that a strategy may not play itself, as it is shown and at once."""
        if not self.record.cards:
            return
        cards, self.record.cards = self.record.cards, []
        for card in (self.engine.ledger.proposals.get(number) for number in cards):
            if card is not None and card.status.open:
                command = Approve(proposal=card.id, shown=card.shown)
                self.wire.post(Commanded(at_ns=now, mono_ns=now, command=command, by=PERSON, surface="backtest"))
        self.record.cards.clear()

    def _history(self, frame: Series, low: int, high: int) -> None:
        now = self.clock.now_ns
        rows = frame.rows(low, high)
        self.wire.post(History(at_ns=now, mono_ns=now, symbol=self._symbol, interval=frame.interval, bars=rows))

    # ---- skipping ----------------------------------------------------------------------------------------------------

    def _quiet(self, at: int) -> int:
        """The first bar from here on in which something may happen to what is held; this one when it may in it."""
        wire, ledger, symbol = self.wire, self.engine.ledger, self._symbol
        position = ledger.positions.get(symbol)
        if self._skip is None or self._special[at] or wire.busy or position is None or not self.venue.lots:
            return at
        if position.naked_since_ns is not None or position.leaving or ledger.latches or symbol in ledger.rungs:
            return at
        end = len(self._bars)
        place = int(np.searchsorted(self._specials, at))
        if place < len(self._specials):
            end = int(self._specials[place])
        leaves = position.strategy in self._leavers
        ahead = self._next if leaves else int(self._entry_from[self._next])
        if ahead < len(self._close_base):
            end = min(end, int(self._close_base[ahead]))
        if position.plan.time_stop_ns:
            over_ns = (position.opened_market_ns or position.opened_ns) + position.plan.time_stop_ns
            end = min(end, int(np.searchsorted(self._bars.open_ns, over_ns, side="right")) - 1)
        down, up = self._band(position)
        size = 64
        while at < end:
            part = self._bars.ohlc[at : min(end, at + size)]
            touched = (part[:, 2] <= down) | (part[:, 1] >= up)
            if touched.any():
                return at + int(np.argmax(touched))
            at, size = at + len(part), size * 4
        return max(at, end)

    def _band(self, position: Position) -> tuple[float, float]:
        """Strictly between these prices neither the venue nor the core does anything about a position that rests: no
        stop, target or liquidation, no trail, no new peak of equity and no drawdown."""
        venue, ledger = self.venue, self.engine.ledger
        up, down = venue.levels()
        slack = 2 * venue.tick
        risk = self.engine.directive.risk
        if not ledger.peak:
            return inf, 0.0
        peak = float(ledger.peak)
        day = float(ledger.day_from or ledger.peak)
        least = max(peak * (1 - risk.peak_drawdown_pct / 100), day * (1 - risk.day_drawdown_pct / 100))
        worth = [venue.price_at(peak * float(PEAK_STEP)), venue.price_at(least)]
        high, low = max(worth) - slack, min(worth) + slack
        up, down = min(up, high), max(down, low)
        follows = trails_from(position, venue.tick)
        if follows is not None:
            up, down = (min(up, follows - slack), down) if venue.lots > 0 else (up, max(down, follows + slack))
        return down, up

    def _glide(self, at: int, end: int) -> None:
        """Go over bars that touch nothing: only the price has moved."""
        open_ns, ohlc = self._bars.open_ns[at:end], self._bars.ohlc[at:end]
        step, dwell = self._step_ns, self._dwell_ns
        after = np.array([0, dwell, dwell + (step - dwell) // 3, dwell + (step - dwell) * 2 // 3, step])
        order = [0, 0, 2, 1, 3] if self.venue.lots > 0 else [0, 0, 1, 2, 3]
        self.record.look_back((open_ns[:, None] + after).ravel(), ohlc[:, order].ravel())
        self.venue.price = float(ohlc[-1, 3])
        self.clock.now_ns = int(open_ns[-1]) + step


def trails_from(position: Position, tick: float) -> float | None:
    """The price from which the plan's trail would move the stop (`servos/trailing.py`); None where it never does."""
    plan = position.plan.trail
    if plan is UNSET:
        return None
    sign, stop, entry = position.side.sign, float(position.plan.stop), float(position.entry)
    risk = float(position.first_risk_per_unit)
    least = max(tick, risk * SMALLEST_STEP)
    found = []
    if plan.break_even_r and (entry - stop) * sign > 0:
        found.append(entry + sign * risk * plan.break_even_r)
    if plan.distance:
        from_r = 0.0 if plan.from_r is UNSET else plan.from_r
        begins = (entry + sign * risk * from_r) * sign if from_r else -inf
        found.append(max(begins, (stop + sign * (float(plan.distance) + least)) * sign) * sign)
    return min(found, key=lambda price: price * sign, default=None)


def _between(begin_ns: int, begin: float, end_ns: int, end: float, at_ns: int) -> float:
    return end if at_ns >= end_ns else begin + (end - begin) * ((at_ns - begin_ns) / (end_ns - begin_ns))


def _day(bars: Bars) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Before each bar: the volume of the last 24 hours, and their range from low to high."""
    size = max(1, DAY_NS // bars.step_ns)
    summed = np.concatenate(([0.0], np.cumsum(bars.volume)))
    at = np.arange(len(bars))
    volume = summed[at] - summed[np.maximum(0, at - size)]
    high, low = rolling_max(bars.ohlc[:, 1], size), -rolling_max(-bars.ohlc[:, 2], size)
    return volume, np.concatenate(([0.0], (high - low)[:-1]))
