"""The eyes of `watch.py` for an engine that is told things by hand: whoever may keep every word from it for ever is
judged by what it has been told, and by what it decides in the same breath.
"""

from collections.abc import Sequence
from decimal import Decimal

from books import Audit
from stepwise import Asked, Stepwise
from watch import LEEWAY, OURS, Watch, leg

from nexus_engine.model.config import percent_of
from nexus_engine.model.effects import AnyEffect, Record, Submit
from nexus_engine.model.events import AnyEvent, OrderUpdate, QueryResult, SubmitResult, VenueSnapshot
from nexus_engine.model.facts import SWAN_LOCK, Filled, GuardTripped, OrderIntended
from nexus_engine.model.orders import ZERO, Fill, Order, OrderReport
from nexus_engine.model.positions import Position
from nexus_engine.model.words import Leg, OrderKind, OrderStatus, Outcome, Side

SLACK_S = 0.45
"""A pulse, and the step of the clock that a timer is seen with."""
PURSUIT_S = 6.5
"""An exit that was refused is tried again after five seconds at the latest, when the next pulse comes."""


class Knowing(Watch):
    def __init__(self, house: Stepwise) -> None:
        super().__init__(house)  # type: ignore[arg-type]
        self._house = house
        self.audit = Audit()
        self._walked = 0
        """Turns of the journal."""
        self._said = 0
        self._entered: set[int] = set()
        self._sent: set[str] = set()
        self._told_fills: dict[str, Fill] = {}
        """By trade: executions of ours that the engine was told of."""
        self._standing: dict[str, tuple[OrderReport, float]] = {}
        """Stops of ours that it was told to stand, by client id, and when."""
        self._ended: set[str] = set()
        self._naked_since: dict[str, float] = {}
        self._exits: dict[str, float] = {}
        """When the last exit of a symbol was decided."""
        house.on_heard, house.on_turn, house.on_life = self.heard, self.turned, self.born

    # ---- what it was told --------------------------------------------------------------------------------------------

    def heard(self, event: AnyEvent, asked: Asked | None) -> None:
        fills: Sequence[Fill] = ()
        reports: Sequence[OrderReport] = ()
        if isinstance(event, OrderUpdate):
            fills, reports = (event.fill,) if event.fill else (), (event.report,)
        elif isinstance(event, QueryResult):
            fills, reports = event.fills, (event.report,) if event.report else ()
        elif isinstance(event, SubmitResult):
            reports = (event.report,) if event.report and event.outcome is Outcome.DONE else ()
        elif isinstance(event, VenueSnapshot) and event.ok:
            fills, reports = event.fills, event.orders
            listed = {report.client_id for report in reports}
            gone = [c for c, (_, at_s) in self._standing.items() if c not in listed and asked and at_s <= asked.at_s]
            for cid in gone:
                del self._standing[cid]
        for fill in fills:
            if fill.client_id.startswith(OURS):
                self._told_fills.setdefault(fill.trade_id, fill)
        for report in reports:
            cid = report.client_id
            if leg(cid) is not Leg.STOP or cid in self._ended:
                continue
            if report.status.terminal:
                self._ended.add(cid)
                self._standing.pop(cid, None)
            elif report.status in (OrderStatus.OPEN, OrderStatus.PARTIAL):
                self._standing.setdefault(cid, (report, self._sim.s))

    def born(self) -> None:
        """A run begins: what it knows is what the journal kept."""
        facts = tuple(self._sim.journal.facts())
        self.audit = Audit()
        self.audit.walk(facts)
        self._walked, self._said = len(self._sim.journal.turns), len(self.audit.found)
        kept = [fact.fill for fact in facts if type(fact) is Filled]
        self._told_fills = {fill.trade_id: fill for fill in kept}
        # an intent that did not stand may be given again: its entry has never left
        orders = [fact.order for fact in facts if type(fact) is OrderIntended]
        self._entered = {order.intent for order in orders if order.leg is Leg.ENTRY}
        self._naked_since.clear()

    def stood_still(self, seconds: float) -> None:
        """The process did not run for so long."""
        for times in (self._naked_since, self._exits):
            for symbol in times:
                times[symbol] += seconds

    # ---- as it is decided --------------------------------------------------------------------------------------------

    def turned(self, event: AnyEvent, effects: Sequence[AnyEffect]) -> None:
        sim = self._sim
        self.look()
        for effect in effects:
            if type(effect) is Submit:
                self._decided(effect.order)
        for turn in sim.journal.turns[self._walked :]:
            self.audit.walk(turn)
        self._walked = len(sim.journal.turns)
        for line in self.audit.found[self._said :]:
            self._say(line)
        self._said = len(self.audit.found)
        if any(type(effect) is Record and type(effect.fact) is GuardTripped for effect in effects):
            self._tripped()
        self._counted()
        self._known_naked()
        self._late_longs()

    def _decided(self, order: Order) -> None:
        sim, cid, symbol = self._sim, order.client_id, order.symbol
        if cid in self._sent:
            self._say(f"[I3] {cid} is sent twice")
        self._sent.add(cid)
        if order.leg is Leg.EXIT:
            self._exits[symbol] = sim.s
            self._of_a_short(order)
        if order.leg is not Leg.ENTRY:
            return
        if order.intent in self._entered:
            self._say(f"[I3] P{order.intent} is entered again")
        self._entered.add(order.intent)
        coming = self._coming(cid)
        if symbol in coming:
            self._say(f"[I2] entry {cid} beside one that may still fill")
        if self._ours[symbol] and self.alone:
            self._say(f"[I2] entry {cid} onto a position")
        coming[symbol] = coming.get(symbol, ZERO) + order.qty
        self._fits(order, coming)

    def _coming(self, but: str) -> dict[str, Decimal]:
        """By symbol what entries of ours may still fill that rest at the venue, or may still get there."""
        house = self._house
        found: dict[str, Decimal] = {}
        for asked in (*house.asked_for, *house.late):
            order = asked.order
            if order is not None and order.leg is Leg.ENTRY and order.client_id != but:
                found[order.symbol] = found.get(order.symbol, ZERO) + order.qty
        for resting in self._account.resting.values():
            if leg(resting.client_id) is Leg.ENTRY:
                left = resting.left_lots * house.tape.specs[resting.symbol].step
                found[resting.symbol] = found.get(resting.symbol, ZERO) + left
        return found

    def _fits(self, order: Order, coming: dict[str, Decimal]) -> None:
        """[I1] With all that is there and all that may come, as the venue has it, it is within its limits."""
        house, risk = self._house, self._sim.directive.risk
        wallet = self._account.ledger.wallet
        total = ZERO
        for symbol in self._symbols:
            price = Decimal(repr(house.tape.price(symbol)))
            held = abs(self._ours[symbol]) * house.tape.specs[symbol].step
            here = (held + coming.get(symbol, ZERO)) * price
            total += here
            if symbol == order.symbol and here > percent_of(risk.symbol_exposure_pct, wallet) * LEEWAY:
                self._say(f"[I1] {symbol}: exposure {here:.0f} with {order.client_id}")
        if total > percent_of(risk.account_exposure_pct, wallet) * LEEWAY:
            self._say(f"[I1] exposure {total:.0f} with {order.client_id}")

    def _of_a_short(self, order: Order) -> None:
        """[I7] In the black swan a short goes by its stop, its target, a person, or because it has no stop."""
        position = self._sim.ledger.positions.get(order.symbol)
        if self._swans() and order.side is Side.BUY and order.by == "bot" and position is not None:
            stop_limit = any(
                stop.kind is OrderKind.STOP_LIMIT for stop in self._sim.ledger.alive(order.symbol, Leg.STOP)
            )
            if position.naked_since_ns is None and not stop_limit and position.leaving != "you":
                self._say(f"[I7] the machine closes a short in the black swan: {order.client_id}")

    def _swans(self) -> bool:
        lock = self._sim.ledger.locks.get(SWAN_LOCK)
        return lock is not None and lock.until_ns > self._sim.engine.market.now_ns

    def _tripped(self) -> None:
        """[I7] In the turn of the trip every long is on its way out, and no entry of a long stays."""
        ledger = self._sim.ledger
        if not self._swans():
            return
        for order in ledger.alive(leg=Leg.ENTRY):
            if order.side is Side.BUY and order.status is not OrderStatus.PENDING_CANCEL:
                self._say(f"[I7] long entry {order.client_id} stays in the black swan")
        for position in ledger.positions.values():
            if position.qty > 0 and not any(ledger.alive(position.symbol, Leg.EXIT)):
                self._say(f"[I7] {position.symbol}: no exit of a long on the black swan")

    def _late_longs(self) -> None:
        if self._swans():
            for position in self._sim.ledger.positions.values():
                if position.qty > 0 and not position.leaving and position.strategy:
                    self._say(f"[I7] {position.symbol}: a long stays in the black swan")

    def _counted(self) -> None:
        """[I10] Every execution that was told counts once, and none else."""
        sums: dict[str, Decimal] = {}
        for fill in self._told_fills.values():
            sums[fill.client_id] = sums.get(fill.client_id, ZERO) + fill.qty
        for cid, order in self._sim.ledger.orders.items():
            if order.filled != sums.get(cid, ZERO):
                self._say(f"[I10] {cid} has filled {order.filled}, told were {sums.get(cid, ZERO)}")

    def same(self) -> None:
        """[I12] Folding the journal gives the state that the engine is in."""
        if self.audit.ledger.digest() != self._sim.ledger.digest():
            self._say("[I12] the journal does not give the state that the engine is in")

    # ---- naked, as far as it knows -----------------------------------------------------------------------------------

    def _covered_as_told(self, position: Position) -> bool:
        ledger = self._sim.ledger
        for cid, (report, _) in self._standing.items():
            order = ledger.orders.get(cid)
            right = report.symbol == position.symbol and report.side is not position.side and report.reduce_only
            if order is not None and right and order.qty - order.filled >= abs(position.qty):
                return True
        return False

    def _known_naked(self) -> None:
        """[I5] A position that it knows of, and no stop that it was told to stand: after its time, out."""
        sim, ledger = self._sim, self._sim.ledger
        for symbol in self._symbols:
            position = ledger.positions.get(symbol)
            if position is None or self._covered_as_told(position):
                self._naked_since.pop(symbol, None)
                continue
            since_s = self._naked_since.setdefault(symbol, sim.s)
            limit_s = max(sim.directive.risk.naked_ms, 3_000 if sim.kills else 0) / 1_000 + SLACK_S
            limit_s += self._held_s(symbol)
            out = any(ledger.alive(symbol, Leg.EXIT)) or self._exits.get(symbol, -1e9) >= since_s
            if sim.s - since_s > limit_s and not out and not position.leaving:
                self._say(f"[I5] {symbol} known to be naked for {sim.s - since_s:.2f} s, and no exit")
            if position.leaving and not any(ledger.alive(symbol, Leg.EXIT)):
                waited_s = sim.s - max(since_s, self._exits.get(symbol, -1e9))
                if waited_s > PURSUIT_S:
                    self._say(f"[I27] {symbol} is leaving, and no exit was tried for {waited_s:.1f} s")

    # ---- what only time tells, and nobody here owes any -----------------------------------------------------------

    def _naked(self, symbol: str) -> None: ...

    def _halted(self) -> None: ...

    def _swan(self, symbol: str) -> None: ...
