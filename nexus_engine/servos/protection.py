"""A position has a venue-confirmed stop of its side and size, or a clock is running."""

from decimal import Decimal
from typing import Final

from nexus_engine.model.config import RiskConfig
from nexus_engine.model.facts import Leaving, Naked, StopTried
from nexus_engine.model.ledger import exit_side
from nexus_engine.model.orders import ZERO, Order
from nexus_engine.model.positions import Position
from nexus_engine.model.signals import Leave
from nexus_engine.model.told import price
from nexus_engine.model.turn import Turn
from nexus_engine.model.words import Leg, Level, OrderKind, OrderStatus, Rung, TimeInForce
from nexus_engine.servos import targets
from nexus_engine.servos.asking import Asker, Backoff
from nexus_engine.servos.ladder import Ladder
from nexus_engine.servos.trailing import Trailer

RETRY_TIMER: Final = "protect:"
RETRY_MS: Final = 200
REDUCE_ONLY_MS: Final = 1_000
"""After the venue said that there is nothing to reduce: the account is read again first."""
PATIENCE_NS: Final = 700_000_000
"""How long a stop that was sent may stay unanswered before another is tried: it is reduce-only, one too many is
harmless."""
RESUME_MS: Final = 750
"""How long a start waits for the account's snapshot before it looks at what is held without one: longer than the
patience with a stop of the run before."""
RESTART_MS: Final = 3_000
"""What a position found naked at a start has, instead of the configured limit."""
CRASHING_MS: Final = 1_000
"""What it has when it was naked through the whole run before this one too: crashing must not buy it time."""
EXIT_TIMER: Final = "exit:"
EXIT_RETRY_MS: Final = 300
EXIT_AGAIN_MS: Final = 50
"""After an exit that took what an empty book had: at the pace of its answers the next ones would eat the venue's limit
of orders, and the stop's with it."""
EXIT_PATIENCE_MS: Final = 2_000
"""How long an exit at market may stay unfilled before another is sent: both are reduce-only, nothing can flip."""
CHASE_NS: Final = 1_000_000_000
"""How long the mark may be beyond a stop that has not closed its position: a stop-limit is left behind then, one at
market is asked after."""
PAUSE_NS: Final = 1_000_000_000
"""A stop that must fill at market and has had no part for this long stands still, and is asked after. No book makes it
wait: it takes what is there, and ends."""
STALLED_NS: Final = 1_000_000_000
"""How long it may go on so once that was noticed."""


class Protection:
    """Places stops and targets, keeps their size equal to the position's, and closes what cannot be protected."""

    def __init__(self, risk: RiskConfig, asker: Asker) -> None:
        self._risk = risk
        self._asker = asker
        self.ladder = Ladder(risk)
        self.trailer = Trailer()
        self._beyond: dict[str, int] = {}
        """Monotonic instant since which the mark is beyond a stop, by client id."""
        self._not_before: dict[str, int] = {}
        """Monotonic instant of the next try after a refusal, by symbol: whatever happens meanwhile."""
        self._exit_not_before: dict[str, int] = {}
        """The same of the next exit, after one that did nothing."""
        self._exit_moved: dict[str, int] = {}
        """Monotonic instant of an exit's newest part, by symbol."""
        self._tried: dict[str, int] = {}
        """Monotonic instant of the last try, by symbol."""
        self._backoff = Backoff()
        self.doubted: set[str] = set()
        """Client ids of stops that the venue holds and that do not do what they are for."""
        self._taken: dict[str, int] = {}
        """Monotonic instant of the newest part of a stop, by client id."""
        self._still: dict[str, int] = {}
        """Monotonic instant at which it was noticed that a stop that must fill at market stands still, by client id."""

    def protect(self, turn: Turn, symbol: str) -> None:
        """Look at one symbol and do what is missing. Safe to call at any time."""
        position = turn.ledger.positions.get(symbol)
        if position is None:
            self._sweep(turn, symbol)
            return
        need, side = abs(position.qty), exit_side(position)
        living = list(turn.ledger.alive(symbol))
        stops = [order for order in living if order.leg is Leg.STOP and order.side is side]
        exact = [order for order in stops if order.leaves == need and order.trigger == position.plan.stop]
        confirmed = [order for order in exact if self.stands(order)]
        if confirmed:
            self._covered(turn, position, confirmed[0], stops)
            # the take-profit rests once the entry is over, and only beside a stop
            legs = {order.leg for order in living}
            if Leg.ENTRY not in legs and not (Leg.EXIT in legs and self.leaving(turn, position)):
                known = self.ladder.priced(symbol)
                targets.aim(turn, position, None if known is None else known[0])
            return
        if not any(self.stands(order) and order.leaves >= need for order in stops):
            self._count_naked(turn, position)
        if self.leaving(turn, position):
            return
        waiting = [order for order in exact if self._may_still_come(turn, order)]
        if not waiting and self._crowded(turn, stops):
            turn.timer(f"{RETRY_TIMER}{symbol}", PATIENCE_NS // 1_000_000)
        elif not waiting and turn.mono_ns >= self._not_before.get(symbol, 0):
            self._place_stop(turn, position, need)

    def rearm(self, turn: Turn, symbol: str) -> None:
        """Protect without waiting out a refusal."""
        self._not_before.pop(symbol, None)
        self.protect(turn, symbol)

    def deadline(self, turn: Turn, symbol: str) -> None:
        """A rung of a naked position's ladder is reached: another kind of stop, or out."""
        position = turn.ledger.positions.get(symbol)
        if position is None or position.naked_since_ns is None or position.leaving:
            return
        if self.ladder.due(turn, symbol):
            self._give_up(turn, position)
        elif self.ladder.turns_to_another(turn, symbol):
            turn.note(Level.WARN, symbol, "no stop confirmed yet: trying another kind too")
            self._backoff.reset(f"{RETRY_TIMER}{symbol}")
            self.rearm(turn, symbol)

    def hold(self, turn: Turn, symbol: str, by: str) -> str:
        """A person puts the machine's exit off. Returns what to tell them."""
        position = turn.ledger.positions.get(symbol)
        return f"{symbol}: we hold nothing" if position is None else self.ladder.hold(turn, position, by)

    def _give_up(self, turn: Turn, position: Position) -> None:
        """The patience is over: out at a limit that caps the slip, and what that leaves at market."""
        symbol, cap = position.symbol, self.ladder.cap(position)
        naked_s = (turn.at_ns - (position.naked_since_ns or turn.at_ns)) / 1e9
        worst = "" if cap is None else f", at first not beyond {cap}"
        turn.note(Level.ALARM, symbol, f"no stop confirmed in {naked_s:.1f} s: closing at market{worst}")
        self.ladder.climb(turn, symbol, Rung.MARKET if cap is None else Rung.LIMIT)
        self.leave(turn, position, abs(position.qty), cap=cap)

    def chase(self, turn: Turn, position: Position) -> None:
        """See which stops the mark is beyond. Where that is a stop-limit, its limit does not fill."""
        symbol, known = position.symbol, self.ladder.priced(position.symbol)
        mark = None if known is None else known[1]
        stuck = False
        for order in turn.ledger.alive(symbol, Leg.STOP):
            cid, trigger = order.client_id, order.trigger
            if mark is None or trigger is None or (mark - float(trigger)) * order.side.sign <= 0:
                self._beyond.pop(cid, None)
                if not order.filled:
                    self._still.pop(cid, None)
            elif turn.mono_ns - self._beyond.setdefault(cid, turn.mono_ns) >= CHASE_NS:
                stuck = stuck or order.kind is OrderKind.STOP_LIMIT
        if stuck and not position.leaving:
            turn.note(Level.ALARM, symbol, "price is beyond the stop and its limit does not fill: closing at market")
            self.leave(turn, position, abs(position.qty))

    def stands(self, order: Order) -> bool:
        """The venue holds it, and it may be relied on."""
        return order.status.standing and order.client_id not in self.doubted

    def takes(self, turn: Turn, order: Order) -> bool:
        """A stop at market that has begun to fill, or should have: it cannot rest."""
        if order.kind is not OrderKind.STOP_MARKET or not self.stands(order):
            return False
        return bool(order.filled) or turn.mono_ns - self._beyond.get(order.client_id, turn.mono_ns) >= CHASE_NS

    def watch(self, turn: Turn, order: Order) -> None:
        """Notice that such a one stands still, and ask. Only a part is news, whatever else is said of it."""
        cid = order.client_id
        if cid not in self._still and turn.mono_ns - self._taken.get(cid, 0) > PAUSE_NS:
            self._still[cid] = turn.mono_ns
            self._asker.ask(turn, order)

    def took(self, client_id: str, mono_ns: int) -> None:
        """A stop has had a part just now, or nobody gave it the time for one."""
        self._taken[client_id] = mono_ns

    def doubt(self, turn: Turn, position: Position) -> None:
        """A stop goes on standing still after that was noticed: it is a missing one, whatever the venue says of the
        rest of it. Where it never began, only once the venue says that it stands: else it may be done, and unheard. So
        too beside a foreign quantity, which an exit would close."""
        beside_foreign = turn.ledger.foreign.get(position.symbol, ZERO) * position.qty > 0
        for order in list(turn.ledger.alive(position.symbol, Leg.STOP)):
            cid = order.client_id
            noticed_ns = self._still.get(cid)
            if noticed_ns is None or turn.mono_ns - noticed_ns < STALLED_NS or cid in self.doubted:
                continue
            if (beside_foreign or not order.filled) and self._asker.seen.get(cid, 0) < noticed_ns:
                continue
            self.doubted.add(cid)
            why = f"{order.leaves} of it do not fill" if order.filled else "price is beyond it, and it does nothing"
            turn.note(Level.ALARM, order.symbol, f"stop is not to be relied on: {why}")
            self.protect(turn, order.symbol)

    def forget(self, client_id: str) -> None:
        """A stop is over."""
        self.doubted.discard(client_id)
        self._still.pop(client_id, None)
        self._taken.pop(client_id, None)
        self._beyond.pop(client_id, None)

    def leave(
        self, turn: Turn, position: Position, qty: Decimal, by: str = "bot", cap: Decimal | None = None,
        leave: Leave | None = None,
    ) -> None:  # fmt: skip
        """Close `qty` of a position at market, reduce-only, unless that is under way already. With a `cap` it is tried
        at that price or better, once.

        Leaving with all of it takes back what may still enter, and is pursued until nothing is held.
        """
        if qty >= abs(position.qty):
            self.abandon(turn, position.symbol, by, leave)
            for entry in list(turn.ledger.alive(position.symbol, Leg.ENTRY)):
                turn.cancel(entry)
            patience_ms = EXIT_PATIENCE_MS if cap is None else self._risk.exit_limit_ms
            turn.timer(f"{EXIT_TIMER}{position.symbol}", patience_ms)
        if self.leaving(turn, position) or self._unknowable_exit(turn, position.symbol):
            return
        turn.submit(
            leg=Leg.EXIT,
            symbol=position.symbol,
            side=exit_side(position),
            kind=OrderKind.MARKET if cap is None else OrderKind.LIMIT,
            qty=qty,
            price=cap,
            tif=TimeInForce.GTC if cap is None else TimeInForce.IOC,
            intent=position.intent,
            strategy=position.strategy,
            by=by,
        )

    def pursue(self, turn: Turn, symbol: str) -> None:
        """An exit was refused, has ended short or says nothing: send another while something is held that must go."""
        position = turn.ledger.positions.get(symbol)
        if position is None or not position.leaving:
            return
        wait_ns = self._exit_not_before.get(symbol, 0) - turn.mono_ns
        if wait_ns > 0:
            turn.timer(f"{EXIT_TIMER}{symbol}", wait_ns // 1_000_000 + 1)
            return
        turn.timer(f"{EXIT_TIMER}{symbol}", EXIT_PATIENCE_MS)
        if self._exit_under_way(turn, position) or self._unknowable_exit(turn, symbol):
            turn.timer(f"{EXIT_TIMER}{symbol}", EXIT_RETRY_MS)
        else:
            if turn.ledger.rungs.get(symbol) is Rung.LIMIT:
                self.ladder.climb(turn, symbol, Rung.MARKET)
            self.leave(turn, position, abs(position.qty), position.leaving)

    def abandon(self, turn: Turn, symbol: str, by: str, leave: Leave | None = None) -> None:
        """What is held of a symbol, and what its entries may still fill, must go."""
        ledger = turn.ledger
        intents = {order.intent for order in ledger.alive(symbol, Leg.ENTRY)}
        held = ledger.positions[symbol].intent if symbol in ledger.positions else 0
        if held:
            intents.add(held)
        if not intents <= ledger.leaving.keys():
            turn.record(Leaving(at_ns=turn.at_ns, symbol=symbol, by=by, intent=held, leave=leave))

    def exit_ended(self, turn: Turn, order: Order) -> None:
        """An exit is over: go on with what it left, more slowly each time it did nothing."""
        key = f"{EXIT_TIMER}{order.symbol}"
        if not order.filled:
            self.exit_later(turn, order.symbol, self._backoff.next(key, EXIT_RETRY_MS))
            return
        self._backoff.reset(key)
        self._exit_not_before.pop(order.symbol, None)
        if order.filled < order.qty:
            self.exit_later(turn, order.symbol, EXIT_AGAIN_MS)
        else:
            self.pursue(turn, order.symbol)

    def moved(self, turn: Turn, order: Order) -> None:
        """A part of what leaves was filled: it goes on, and is believed again. Where the mark is does not change."""
        self.doubted.discard(order.client_id)
        self._still.pop(order.client_id, None)
        if order.leg is Leg.EXIT:
            self._exit_moved[order.symbol] = turn.mono_ns
        elif order.leg is Leg.STOP:
            self.took(order.client_id, turn.mono_ns)

    def exit_later(self, turn: Turn, symbol: str, after_ms: int) -> None:
        """The next exit waits for so long at least, whatever else is heard meanwhile."""
        due = max(self._exit_not_before.get(symbol, 0), turn.mono_ns + after_ms * 1_000_000)
        self._exit_not_before[symbol] = due
        turn.timer(f"{EXIT_TIMER}{symbol}", (due - turn.mono_ns) // 1_000_000 + 1)

    def stop_refused(self, turn: Turn, order: Order, code: int, text: str) -> None:
        """The venue would not take a stop."""
        position = turn.ledger.positions.get(order.symbol)
        if position is None:
            return
        turn.note(Level.WARN, order.symbol, f"stop refused: {text or code}")
        if code == WOULD_TRIGGER and not position.leaving:
            turn.note(Level.ALARM, order.symbol, "price is beyond the stop already: closing at market")
            self.leave(turn, position, abs(position.qty))
            return
        first_ms = REDUCE_ONLY_MS if code == NOTHING_TO_REDUCE else RETRY_MS
        after_ms = self._backoff.next(f"{RETRY_TIMER}{order.symbol}", first_ms)
        self._not_before[order.symbol] = turn.mono_ns + after_ms * 1_000_000
        turn.timer(f"{RETRY_TIMER}{order.symbol}", after_ms)

    def resume(self, turn: Turn, earlier_ns: int) -> None:
        """At a start: the snapshot confirms what stood before; what is naked has its limit from now. The run before
        this one began at `earlier_ns`."""
        for position in turn.ledger.positions.values():
            if position.naked_since_ns is not None:
                crashing = position.naked_since_ns <= earlier_ns
                self.ladder.start(turn, position.symbol, CRASHING_MS if crashing else RESTART_MS)
            if position.leaving:
                turn.timer(f"{EXIT_TIMER}{position.symbol}", EXIT_RETRY_MS)
            turn.timer(f"{RETRY_TIMER}{position.symbol}", RESUME_MS)

    def unseen(self, turn: Turn) -> None:
        """The account cannot be read: ask for each stop by its own id, and place what is missing."""
        for symbol in list(turn.ledger.positions):
            for order in list(turn.ledger.alive(symbol, Leg.STOP)):
                self._asker.ask(turn, order)
            self.protect(turn, symbol)

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _covered(self, turn: Turn, position: Position, stop: Order, stops: list[Order]) -> None:
        if position.naked_since_ns is not None:
            naked_ms = (turn.at_ns - position.naked_since_ns) // 1_000_000
            turn.record(Naked(at_ns=turn.at_ns, symbol=position.symbol, since_ns=None))
            self.ladder.stop(position.symbol)
            self._backoff.reset(f"{RETRY_TIMER}{position.symbol}")
            turn.note(Level.GOOD, position.symbol, f"stop {price(stop.trigger or ZERO)} confirmed, {naked_ms} ms")
        for other in stops:
            if other is not stop:
                if other.trigger != stop.trigger and self.stands(other):
                    turn.note(
                        Level.GOOD,
                        position.symbol,
                        f"stop {price(stop.trigger or ZERO)} confirmed, {price(other.trigger or ZERO)} goes",
                    )
                turn.cancel(other)

    def trail(self, turn: Turn, position: Position) -> None:
        """Let the stop follow price, where its plan says so. One that has begun to fill is not called back."""
        stops = turn.ledger.alive(position.symbol, Leg.STOP)
        if any(order.status is OrderStatus.PARTIAL for order in stops):
            return
        known = self.ladder.priced(position.symbol)
        if known is not None and self.trailer.trail(turn, position, *known):
            self.protect(turn, position.symbol)

    def _place_stop(self, turn: Turn, position: Position, need: Decimal) -> None:
        turn.record(StopTried(at_ns=turn.at_ns, symbol=position.symbol))
        self._tried[position.symbol] = turn.mono_ns
        self.ladder.place_stop(turn, position, need)
        turn.timer(f"{RETRY_TIMER}{position.symbol}", PATIENCE_NS // 1_000_000)

    def _count_naked(self, turn: Turn, position: Position) -> None:
        if position.naked_since_ns is None:
            turn.record(Naked(at_ns=turn.at_ns, symbol=position.symbol, since_ns=turn.at_ns))
            turn.note(Level.ALARM, position.symbol, "NAKED: no confirmed stop of its size")
        if not self.ladder.running(position.symbol):
            self.ladder.start(turn, position.symbol, self._risk.naked_ms)

    def _may_still_come(self, turn: Turn, order: Order) -> bool:
        if order.status is OrderStatus.PENDING_CANCEL or order.client_id in self.doubted:
            return False
        return _fresh(turn, order, PATIENCE_NS) and not self._asker.missed(order.client_id)

    def _crowded(self, turn: Turn, stops: list[Order]) -> bool:
        """A stop of another size was sent just now and is not answered: the next one waits for it, for a while. Else
        every part of an entry would send one more."""
        return any(
            order.status in (OrderStatus.INTENT, OrderStatus.SUBMITTED, OrderStatus.UNKNOWN)
            and not self._asker.missed(order.client_id)
            and turn.mono_ns - self._tried.get(order.symbol, -PATIENCE_NS) < PATIENCE_NS
            for order in stops
        )

    def _exit_under_way(self, turn: Turn, position: Position) -> bool:
        """One for all of it may be believed, or a smaller one was sent just now."""
        return self.leaving(turn, position) or any(
            _fresh(turn, order, EXIT_RETRY_MS * 1_000_000) and not self._asker.missed(order.client_id)
            for order in turn.ledger.alive(position.symbol, Leg.EXIT)
        )

    def _patience_ns(self, exit_order: Order) -> int:
        limit = exit_order.kind is OrderKind.LIMIT
        return (self._risk.exit_limit_ms if limit else EXIT_PATIENCE_MS) * 1_000_000

    def _unknowable_exit(self, turn: Turn, symbol: str) -> bool:
        """Exits may have executed, and the venue does not say: the next waits twice as long for each of them. They are
        reduce-only, so that one too many is harmless; a pile of them is not."""
        exits = [order for order in turn.ledger.alive(symbol, Leg.EXIT) if self._asker.unknowable(order)]
        patience_ns = (EXIT_PATIENCE_MS << len(exits)) // 2 * 1_000_000
        return any(_fresh(turn, order, patience_ns) for order in exits)

    def leaving(self, turn: Turn, position: Position) -> bool:
        """An exit at market for the whole of it is under way and may be believed: it was sent just now, or has just had
        a part."""
        moved_ns = turn.mono_ns - self._exit_moved.get(position.symbol, -PATIENCE_NS)
        return any(
            order.leaves >= abs(position.qty)
            and (_fresh(turn, order, self._patience_ns(order)) or 0 <= moved_ns < PATIENCE_NS)
            and not self._asker.missed(order.client_id)
            for order in turn.ledger.alive(position.symbol, Leg.EXIT)
        )

    def _sweep(self, turn: Turn, symbol: str) -> None:
        """Nothing is held: what was there to leave it goes."""
        self.ladder.stop(symbol)
        self._not_before.pop(symbol, None)
        self._exit_not_before.pop(symbol, None)
        self._exit_moved.pop(symbol, None)
        self._tried.pop(symbol, None)
        for timer in (EXIT_TIMER, RETRY_TIMER):
            self._backoff.reset(f"{timer}{symbol}")
        for order in list(turn.ledger.alive(symbol)):
            if order.leg not in (Leg.ENTRY, Leg.FOREIGN) and not _unanswered_exit(turn, order):
                turn.cancel(order)


WOULD_TRIGGER: Final = -2021
NOTHING_TO_REDUCE: Final = -2022


def _fresh(turn: Turn, order: Order, patience_ns: int) -> bool:
    """The order changed that recently. A monotonic stamp of an earlier boot may lie in the future: not fresh."""
    return 0 <= turn.mono_ns - order.changed_mono_ns < patience_ns


def _unanswered_exit(turn: Turn, order: Order) -> bool:
    """An exit that was sent and not answered yet is not cancelled before the venue knows it."""
    return order.status in (OrderStatus.INTENT, OrderStatus.SUBMITTED) and order.leg is Leg.EXIT
