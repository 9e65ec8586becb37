"""Takes an engine through recorded bars. The price goes open, then low and high, then close, in straight lines; a
position meets the side of its stop first. Everything the core hears, decides and sends is as live, in virtual time.

Stepping tells the core of every closed bar. Skipping tells it only of those at which a strategy could speak, and brings
its state up in between. Either way, while a position rests, the core is shown prices only where they touch something of
it: it says itself where a look would find nothing to do (`Engine.calm`).
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from math import inf
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from nexus_engine.core.calm import Calm
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
from nexus_engine.model.words import AccountKind, Mode, Venue
from nexus_engine.shield.drawdown import LOOKS
from nexus_engine.sim.played import FUNDING_NS

DWELL_NS: Final = SECOND_NS
"""How long a bar stays at its open: an entry and its stop are placed in it. A quarter of a bar at most."""
BEFORE_NS: Final = 10 * SECOND_NS
"""The run begins so long before its first bar, so that it is reconciled by then."""
DEPTH: Final = 1e9
EARLIER_NS: Final = SECOND_NS
FEEDS: Final = ("public", "market", "user")
PERSON: Final = "you"

_LOW_FIRST: Final = np.array([0, 0, 2, 1, 3])
_HIGH_FIRST: Final = np.array([0, 0, 1, 2, 3])
"""The columns of a bar at its corners."""

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
        locked: int = 0,
        skip: Skip | None = None,
        progress: Callable[[float], None] = lambda share: None,
    ) -> None:
        """`watched`: bars whose every second the Sentinel must see; what it does in a stretch of them is over `locked`
        bars later."""
        self.engine, self.venue, self.clock = engine, venue, clock
        self.record = Record(engine.ledger, venue)
        self.wire = Wire(engine, venue, clock, self.record.heard, self.record.traded)
        self.released = 0
        self._bars, self._frames, self._start = bars, frames, start
        self._skip, self._locked, self._progress = skip, locked, progress
        self._watched = None if watched is None else watched.tobytes()
        self._step_ns = bars.step_ns
        self._dwell_ns = min(DWELL_NS, bars.step_ns // 4)
        step, dwell = self._step_ns, self._dwell_ns
        self._corners_ns = np.array([0, dwell, dwell + (step - dwell) // 3, dwell + (step - dwell) * 2 // 3, step])
        """When a bar is at its open, has dwelt there, is at its first extreme, its second, its close."""
        self._symbol = venue.symbol
        self._flat_looks = 0
        self._whole = False
        """Every look of this bar is given."""
        self._calm: Calm | None = None
        self._calm_for: tuple[object, object, object, object] | None = None
        self._quiet_for: Calm | None = None
        self._quiet_to = 0
        self._left_out = 0
        """Looks since the last one that was given; they end at the mark of `_left_at`."""
        self._left_at = (0, 0.0)
        self._rested: int | None = None
        """The first of the bars that were gone over and that nobody was told of yet; they end before `_rested_to`."""
        self._rested_to = 0
        self._updates = 0
        self._seconds = False
        """The Sentinel sees every second of this bar."""
        self._anew: list[set[int]] = []
        """By frame: the rows before which a bar is missing."""
        self._known = [0] * len(frames)
        """By frame: how many of its rows are history when the run begins."""
        ends = (bars.open_ns + bars.step_ns) // FUNDING_NS != bars.open_ns // FUNDING_NS
        self._special = ends | np.append(False, np.diff(bars.open_ns) != bars.step_ns)
        if watched is not None:
            self._special |= watched
        """Bars that are never gone over: they end with a funding or a day, follow a gap, or are watched."""
        self._specials: list[int] = np.flatnonzero(self._special).tolist()
        self._lows, self._highs = bars.ohlc[:, 2].copy(), bars.ohlc[:, 1].copy()
        self._day_volume, self._day_range = _day(bars)
        self._volume = bars.volume if bars.volume.any() else np.full(len(bars), inf)
        """Infinite where nobody knows it."""
        self._closings()

    def _closings(self) -> None:
        """Every closed bar of every frame, by the time of its close and then the shorter first."""
        start_ns = int(self._bars.open_ns[self._start])
        parts, cortex = [], self.engine.cortex
        self._leavers: set[str] = set()
        for number, frame in enumerate(self._frames):
            self._anew.append({0, *(np.flatnonzero(np.diff(frame.open_ns) != frame.step_ns) + 1).tolist()})
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
        columns = [memoryview(column).cast("B").cast("q") for column in np.ascontiguousarray(merged[:, order])]
        self._close_ns, self._close_frame, self._close_row, self._close_base, _ = columns
        at = np.arange(merged.shape[1] + 1)
        at[:-1][merged[4, order] == 0] = merged.shape[1]
        self._entry_from = np.minimum.accumulate(at[::-1])[::-1].tolist()
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
                    if (told := self._next_base()) < quiet:
                        self._glide(at, told + 1)
                        self._decide(told)
                        at = told + 1
                    else:
                        self._glide(at, quiet)
                        at = quiet
                else:
                    self._wake()
                    self._bar(at)
                    at += 1
            else:
                at = self._leap(at)
            tell += 1
            if not tell % 256:
                self._progress((at - self._start) / (count - self._start))
        self._wake()
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
        if self._flat_looks < LOOKS or self.wire.busy or self.venue.lots or self.engine.desk.due_ns < inf:
            return True
        return self._watched is not None and bool(self._watched[at]) and self._seen(at)

    def _seen(self, at: int) -> bool:
        """The Sentinel must see this stretch from here on: the core is told of a bar before the locks that it may set
        have run out."""
        assert self._watched is not None
        end = self._watched.find(0, at)
        return self._skip is None or end < 0 or self._next_base() < end + self._locked

    def _next_base(self) -> int:
        """The base bar with which the next one ends that must be told: at which a strategy could enter, or leave."""
        position = self.engine.ledger.positions.get(self._symbol)
        leaves = position is not None and position.strategy in self._leavers
        number = self._next if leaves else self._entry_from[self._next]
        return self._close_base[number] if number < len(self._close_base) else len(self._bars)

    def _leap(self, at: int) -> int:
        """Nothing is held and nothing is under way: on to the next bar that must be told. Returns the bar after it."""
        count, base = len(self._bars), self._next_base()
        while self._watched is not None and (ahead := self._watched.find(1, at, base + 1)) >= 0:
            if self._seen(ahead):
                return ahead
            at = self._watched.find(0, ahead)
        if base >= count:
            return count
        self.venue.price = self._bars.ohlc.item(base, 3)
        self._decide(base)
        return base + 1

    # ---- one bar -----------------------------------------------------------------------------------------------------

    def _bar(self, at: int) -> None:
        open_ns = self._bars.open_ns.item(at)
        open_, high, low, close = self._bars.ohlc[at].tolist()
        if open_ns > (before_ns := self.clock.now_ns):
            self.wire.market_open = False
            self._reach(open_ns)
            self._fund(before_ns)
        self.venue.day_volume, self.venue.day_range = self._day_volume.item(at), self._day_range.item(at)
        self._seconds = self._watched is not None and bool(self._watched[at])
        self._whole = bool(self._special[at])
        self.clock.now_ns = open_ns
        self.venue.price = open_
        self.venue.opens(self._volume.item(at))
        self.wire.settle()
        self.wire.knock()
        self._pulse()
        step, dwell = self._step_ns, self._dwell_ns
        self._corner(open_ns + dwell, open_)
        self.wire.drop_spent()
        # known only here: an entry that was filled at the open turns the way
        first, second = (low, high) if self._low_first(open_, high, low, close) else (high, low)
        corners = (
            (open_ns + dwell + (step - dwell) // 3, first),
            (open_ns + dwell + (step - dwell) * 2 // 3, second),
            (open_ns + step, close),
        )
        for number, corner in enumerate(corners):
            if self._rests(low, high, open_ns + step):
                self._rest(corners[number:])
                break
            self._corner(*corner)
        self._fund(open_ns)
        self._decide(at)

    def _corner(self, end_ns: int, price: float) -> None:
        self._travel(end_ns, price)
        self._pulse()

    def _rests(self, low: float, high: float, end_ns: int) -> bool:
        """Up to then nothing arrives, is touched or is due between these prices."""
        if self._whole or self.wire.speaking or self.wire.next_ns <= end_ns or (band := self._band()) is None:
            return False
        up, down = self.venue.levels()
        return down < low and high < up and band.low < low and high < band.high and end_ns < band.until_ns

    def _rest(self, corners: Sequence[tuple[int, float]]) -> None:
        """Go over what is left of such a bar."""
        for end_ns, price in corners:
            self.clock.now_ns, self.venue.price = end_ns, price
            self.record.look(end_ns)
            self._leave_out_look()

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
        clock, venue, wire, desk = self.clock, self.venue, self.wire, self.engine.desk
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
            waits_ns = desk.due_ns
            due_ns = min(wire.next_ns, waits_ns)
            if due_ns <= level_ns and due_ns <= end_ns:
                clock.now_ns = int(due_ns)
                venue.price = _between(begin_ns, begin, end_ns, price, clock.now_ns)
                if due_ns < waits_ns:
                    self._arrive()
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
            self._arrive()
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
        self._marked(self.clock.now_ns, self.venue.price)

    def _marked(self, now: int, price: float) -> None:
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
        """The core looks, unless it would find nothing."""
        if not self._calm_now():
            self._look()
            return
        self.record.look(self.clock.now_ns)
        self._leave_out_look()

    def _leave_out_look(self) -> None:
        if self.venue.lots:
            self._leave_out(1)
        else:
            self._leave_out(LOOKS)
            self._flat_looks = LOOKS

    def _look(self) -> None:
        now = self.clock.now_ns
        self.record.look(now)
        self._catch_up()
        self.engine.leap(now, now)
        self._mark()
        self.wire.post(TimerFired(at_ns=now, mono_ns=now, key=PULSE))
        self._person(now)
        self._calm_for = None
        self._flat_looks = 0 if self.venue.lots or self.wire.busy else self._flat_looks + 1

    def _calm_now(self) -> bool:
        """A look would find nothing to do."""
        if self._whole or self.wire.speaking or (band := self._band()) is None:
            return False
        return band.low < self.venue.price < band.high and self.clock.now_ns < band.until_ns

    def _band(self) -> Calm | None:
        """What is calm while no message is under way."""
        ledger = self.engine.ledger
        if ledger.latches or self.engine.desk.due_ns < inf:
            return None
        # it hangs on these, which are replaced when they change, and on what a look has seen
        position, known = ledger.positions.get(self._symbol), self._calm_for
        if not (
            known is not None
            and known[0] is position
            and known[1] is ledger.wallet
            and known[2] is ledger.peak
            and known[3] is ledger.day_from
        ):
            self._calm_for = (position, ledger.wallet, ledger.peak, ledger.day_from)
            self._calm = self.engine.calm(self._symbol)
        return self._calm

    def _leave_out(self, looks: int) -> None:
        self._left_out += looks
        self._left_at = self.clock.now_ns, self.venue.price

    def _catch_up(self) -> None:
        """Tell what was left out, before the core hears of anything else."""
        if self._left_out:
            now, price = self._left_at
            self.engine.leap(now, now)
            self._marked(now, price)
            self.engine.rest(self._left_out)
            self._left_out = 0

    def _arrive(self) -> None:
        self._catch_up()
        self.wire.arrive()

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
            close_ns = self._close_ns[self._next]
            self._morning(close_ns)
            self._reach(close_ns)
            self._quote()
            while self._next < len(self._close_ns) and self._close_ns[self._next] == close_ns:
                self._told(self._close_frame[self._next], self._close_row[self._next])
                self._next += 1

    def _morning(self, now: int) -> None:
        """The first that a new day's decision needs: its equity, and what has latched on another day."""
        if now // DAY_NS != self.engine.ledger.day and not self.venue.lots and not self.wire.busy:
            at_ns = max(self.clock.now_ns, now - EARLIER_NS, now // DAY_NS * DAY_NS)
            self._reach(at_ns)
            self._look()

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
        open_ns = frame.open_ns.item(row)
        open_, high, low, close, volume = frame.ohlcv[row].tolist()
        self.wire.post(
            Bar(
                at_ns=now, mono_ns=now, symbol=self._symbol, interval=frame.interval, open_ns=open_ns, open=open_,
                high=high, low=low, close=close, volume=volume, trades=0, closed=True, venue_ns=now,
            )
        )  # fmt: skip
        self._approve(now)
        if row in self._anew[number]:
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

    # ---- what is gone over -------------------------------------------------------------------------------------------

    def _quiet(self, at: int) -> int:
        """The first bar from here on in which something may happen to what is held; this one when it may in it."""
        if self._special[at] or self.wire.busy or not self.venue.lots or (band := self._band()) is None:
            return at
        if self.venue.waits:
            return at
        if at >= self._quiet_to or band is not self._quiet_for:
            self._quiet_for, self._quiet_to = band, self._quiet_from(at, band)
        return self._quiet_to

    def _quiet_from(self, at: int, band: Calm) -> int:
        end = len(self._bars)
        place = bisect_left(self._specials, at)
        if place < len(self._specials):
            end = self._specials[place]
        if band.until_ns < inf:
            end = min(end, int(self._bars.open_ns.searchsorted(band.until_ns)) - 1)
        up, down = self.venue.levels()
        up, down = min(up, band.high), max(down, band.low)
        size = 64
        while at < end:
            upto = min(end, at + size)
            touched = (self._lows[at:upto] <= down) | (self._highs[at:upto] >= up)
            if touched[first := int(touched.argmax())]:
                return at + first
            at, size = upto, size * 4
        return max(at, end)

    def _glide(self, at: int, end: int) -> None:
        """Go over bars that touch nothing: only the price moves."""
        if self._rested is None:
            self._rested = at
        self.venue.price = self._bars.ohlc.item(end - 1, 3)
        self.clock.now_ns = self._bars.open_ns.item(end - 1) + self._step_ns
        self._rested_to = end

    def _wake(self) -> None:
        """Write down what was gone over since something last happened, before something does."""
        if self._rested is None:
            return
        at, end, self._rested = self._rested, self._rested_to, None
        open_ns, ohlc = self._bars.open_ns[at:end], self._bars.ohlc[at:end]
        after = self._corners_ns
        self.record.look_back(
            (open_ns[:, None] + after).ravel(), ohlc[:, _LOW_FIRST if self.venue.lots > 0 else _HIGH_FIRST].ravel()
        )
        self._leave_out(len(after) * (end - at))


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
