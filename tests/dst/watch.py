"""What must never be, looked for while a simulation runs: where it is decided, as it leaves, in the venue's books.

The numbers in brackets are those of the invariants in the reference.
"""

import functools
from collections.abc import Sequence
from decimal import Decimal

from books import Audit, doubled, intent_of, leg_of, orphans, positions, unequal, unwritten
from sim import TICK_S, Sim

from nexus_engine.model.config import percent_of
from nexus_engine.model.effects import AnyEffect, Cancel, Record, Submit
from nexus_engine.model.facts import SWAN_LOCK, ProposalMade
from nexus_engine.model.orders import ZERO, Order
from nexus_engine.model.words import Latch, Leg, Mode, Side

NAKED_S = 6.0
"""Longest naked time of one life on a wire that loses a fifth of everything, while no exit is lost: 1.25 s until a
silent fill is asked for, 2 s for a question that hangs, 2 s of patience, 0.5 s for the exit at a limit, and the way."""
EXIT_S = 4.0
"""What each exit that the wire kept from the venue adds: 1.5 s until it is known to be lost, 2 s of patience with it,
and the next one's way. How many are lost one after another is the wire's chance, and no limit could be stated
without counting them."""
SWAN_S = 9.0
"""Longest that a long outlives the black swan on such a wire: an exit that hangs is sent again after two seconds."""
HALT_S = 12.0
"""Longest that an entry rests under HALT: its cancel may be lost in a hanging request, and is asked for after that."""
STALE_S = 3.0
EXIT_WAIT_S = 0.25
"""What an exit waits for its record before it leaves without."""
SETTLED_S = 8.0
"""A foreign quantity that has not changed for so long is known."""
LEEWAY = Decimal("1.05")

OURS = "nxtest-"

intent = functools.cache(intent_of)


@functools.cache
def leg(cid: str) -> Leg | None:
    """What an order of this journal is for; None for anybody else's, another Nexus included."""
    return leg_of(cid) if cid.startswith(OURS) else None


class Watch:
    """Put it beside a simulation before its first life."""

    def __init__(self, sim: Sim) -> None:
        self._sim = sim
        self._account = sim.venue.account
        self._bare: dict[str, tuple[float, int]] = {}
        """By symbol since when, and how many lots there were then."""
        self._lost = dict.fromkeys(sim.tape.symbols, 0)
        """Exits since then that did not reach the venue."""
        self._told: set[str] = set()
        """Symbols whose nakedness was said."""
        self._swan_long: dict[str, float] = {}
        self._halted_s: dict[int, float] = {}
        self._fills = 0
        self._orders = 0
        self._symbols = tuple(sim.tape.symbols)
        self._ours = dict.fromkeys(self._symbols, 0)
        self._net = dict.fromkeys(self._symbols, 0)
        self._built: dict[str, str] = {}
        self._strange_s = dict.fromkeys(self._symbols, -1e9)
        self._intended: dict[str, float] = {}
        self._placed_before: set[int] = set()
        self.unrecorded: set[str] = set()
        """Exits that left before their record stood."""
        self.naked_s: list[float] = []
        self.found = sim.found
        self.alone = True
        """No person trades on the account, or adopts what such a person left."""
        sim.on_tick = self.look
        sim.on_submit = self.leaves
        sim.on_lost = self.lost
        sim.trace.on_effects = self.decided

    def _say(self, text: str) -> None:
        self.found.append(f"{self._sim.s:.2f} s: {text}")

    # ---- as it is decided --------------------------------------------------------------------------------------------

    def decided(self, effects: Sequence[AnyEffect]) -> None:
        for effect in effects:
            if type(effect) is Submit:
                self._intended[effect.order.client_id] = self._sim.s
                self._order(effect.order)
            elif type(effect) is Record:
                fact = effect.fact
                if type(fact) is ProposalMade and fact.proposal.worst_pct > fact.proposal.signal.risk_pct * 1.000001:
                    self._say(f"[I20] {fact.proposal.handle} risks {fact.proposal.worst_pct} %")
            elif type(effect) is Cancel and not effect.client_id.startswith(OURS):
                self._say(f"[I14] cancels {effect.client_id}, which is not ours")

    def _order(self, order: Order) -> None:
        sim, symbol = self._sim, order.symbol
        spec = sim.tape.specs[symbol]
        if order.qty <= 0 or order.qty % spec.step:
            self._say(f"[I20] {order.client_id}: {order.qty} is not on the step of {spec.step}")
        for price in (order.price, order.trigger):
            if price is not None and (price <= 0 or price % spec.tick):
                self._say(f"[I20] {order.client_id}: {price} is not on the tick of {spec.tick}")
        if order.leg is not Leg.ENTRY:
            if order.leg is Leg.EXIT and order.side is Side.BUY and order.by == "sentinel":
                self._say(f"[I7] the sentinel touches a short: {order.client_id}")
            if not order.reduce_only:
                self._say(f"[I6] {order.client_id} could flip a position")
            return
        self._gates(order, "decided")
        book_s, mark_s = sim.wire.fresh.get(symbol, (-1e9, -1e9))
        swan_s = min(sim.wire.fresh.get(sim.directive.shield.swan_symbol, (-1e9,)))
        if sim.s - min(book_s, mark_s, swan_s) > STALE_S + 0.05:
            self._say(f"[I15] entry {order.client_id} on data of {sim.s - min(book_s, mark_s, swan_s):.1f} s ago")
        if symbol in sim.wire.broken:
            self._say(f"[I16] entry {order.client_id} on a book with a gap")
        self._worst(order)
        if order.plan is None or (order.price is not None and (order.price - order.plan.stop) * order.side.sign <= 0):
            self._say(f"[I5] entry {order.client_id} without a stop behind it")

    def _worst(self, order: Order) -> None:
        """[I20] What the stop would lose is at most what a trade may risk, however it was rounded."""
        if order.plan is None or order.price is None:
            return
        loss = abs(order.price - order.plan.stop) * order.qty
        wallet = self._sim.ledger.wallet or ZERO
        if loss > percent_of(self._sim.directive.risk.trade_risk_pct, wallet) * LEEWAY:
            self._say(f"[I20] entry {order.client_id} risks {loss:.2f} of {wallet:.0f}")

    def _gates(self, order: Order, where: str) -> None:
        sim, ledger, cid = self._sim, self._sim.engine.ledger, order.client_id
        if Latch.HALT in ledger.latches:
            self._say(f"[I8] entry {cid} {where} under HALT")
        if sim.engine.mode is Mode.WATCHER:
            self._say(f"[I9] entry {cid} {where} in WATCHER")
        lock = ledger.locks.get(SWAN_LOCK)
        if lock is not None and lock.until_ns > sim.engine.market.now_ns and order.side is Side.BUY:
            self._say(f"[I7] long entry {cid} {where} in the black swan")

    # ---- as it leaves ------------------------------------------------------------------------------------------------

    def leaves(self, order: Order) -> None:
        sim, cid = self._sim, order.client_id
        if cid in sim.journal.written:
            if order.leg is Leg.ENTRY:
                self._gates(order, "sent")
            return
        if order.leg is Leg.ENTRY:
            self._say(f"[I3] entry {cid} left before its record stood")
            return
        self.unrecorded.add(cid)
        waited_s = sim.s - self._intended.get(cid, sim.s)
        if waited_s < EXIT_WAIT_S - 0.001 and sim.s > sim.journal.full_until_s:
            self._say(f"[I3] {cid} left without its record after {waited_s * 1e3:.0f} ms")

    def lost(self, symbol: str) -> None:
        self._lost[symbol] += 1

    # ---- in the venue's books ----------------------------------------------------------------------------------------

    def look(self) -> None:
        ledger = self._account.ledger
        if len(ledger.fills) != self._fills:
            self._executions()
        if len(ledger.orders) != self._orders:
            self._placed()
        if self._account.resting or self._halted_s:
            self._halted()
        for symbol in self._symbols:
            if self._ours[symbol] or symbol in self._bare:
                self._naked(symbol)
            if self._swan_long or self._ours[symbol] > 0:
                self._swan(symbol)

    def _executions(self) -> None:
        """[I2] [I6] [I14] Entries build what nobody else builds, the others only reduce, and only what is ours."""
        ledger, sim = self._account.ledger, self._sim
        for fill in ledger.fills[self._fills :]:
            order, symbol = ledger.orders[fill.order_id], fill.symbol
            algo = ledger.algos.get(order.algo_id)
            cid = order.client_id if algo is None else algo.client_id
            kind, lots = leg(cid), fill.lots if fill.side_buy else -fill.lots
            ours = self._ours[symbol]
            if kind is Leg.ENTRY:
                owner = intent(cid)
                if ours and self._built.get(symbol, owner) != owner:
                    self._say(f"[I2] {cid} adds to the position of P{self._built[symbol]}")
                self._built[symbol] = owner
                ours += lots
            elif kind is None or kind is Leg.FOREIGN:
                self._strange_s[symbol] = sim.s
            else:
                if not order.reduce_only:
                    self._say(f"[I6] {cid} could flip")
                beyond = abs(lots) - abs(ours) if ours * lots < 0 else abs(lots)
                if beyond > 0 and self.alone and sim.s - self._strange_s[symbol] > SETTLED_S:
                    self._say(f"[I14] {cid} closed {beyond} lots that are not ours")
                ours = ours + lots if abs(lots) < abs(ours) and ours * lots < 0 else 0
                if symbol in self._bare:
                    self._bare[symbol] = (sim.s, abs(ours))  # it is on its way out, as fast as the book takes it
            self._net[symbol] += lots
            self._ours[symbol] = _within(ours, self._net[symbol])
            if not self._ours[symbol]:
                self._built.pop(symbol, None)
        self._fills = len(ledger.fills)

    def _placed(self) -> None:
        """[I1] [I2] What an entry could build, as it arrives, beside everything that is held."""
        sim, account = self._sim, self._account
        self._orders = len(account.ledger.orders)
        entries = [order for order in account.resting.values() if leg(order.client_id) is Leg.ENTRY]
        wallet, risk = account.ledger.wallet, sim.directive.risk
        total = ZERO
        fresh = [order for order in entries if order.order_id not in self._placed_before]
        self._placed_before.update(order.order_id for order in fresh)
        if not fresh:
            return
        for symbol in self._symbols:
            mine = [order for order in entries if order.symbol == symbol]
            if len(mine) > 1:
                self._say(f"[I2] {symbol}: entries side by side: {[order.client_id for order in mine]}")
            lots = abs(self._ours[symbol]) + sum(order.left_lots for order in mine)
            if sim.s - self._strange_s[symbol] > SETTLED_S:
                lots = max(lots, abs(account.position(symbol).lots) + sum(order.left_lots for order in mine))
            here = lots * sim.tape.specs[symbol].step * Decimal(repr(sim.tape.price(symbol)))
            total += here
            if any(order.symbol == symbol for order in fresh) and here > (
                percent_of(risk.symbol_exposure_pct, wallet) * LEEWAY
            ):
                self._say(f"[I1] {symbol}: exposure {here:.0f}")
        if total > percent_of(risk.account_exposure_pct, wallet) * LEEWAY:
            self._say(f"[I1] exposure {total:.0f}")

    def stop_lots(self, symbol: str, long: bool) -> int:
        """The largest stop at the venue on the side that leaves such a position."""
        return max(
            (
                algo.qty_lots
                for algo in self._account.conditionals.open.values()
                if algo.symbol == symbol and algo.status == "NEW" and algo.side_buy is not long and algo.reduce_only
            ),
            default=0,
        )

    def covered(self, symbol: str) -> bool:
        """The venue holds a stop of the right side for all that is ours."""
        need = _within(self._ours[symbol], self._account.position(symbol).lots)
        return self.stop_lots(symbol, need > 0) >= abs(need)

    def _naked(self, symbol: str) -> None:
        """[I5] A stop of the right side and size, or out: measured while a life runs that the venue can hear, from the
        oldest fill that no stop has covered yet."""
        sim = self._sim
        need = _within(self._ours[symbol], self._account.position(symbol).lots)
        lots = self.stop_lots(symbol, need > 0)
        if sim.wire.dead or sim.wire.down or sim.street.sink is None or lots >= abs(need):
            since = self._bare.pop(symbol, None)
            self._told.discard(symbol)
            if since is not None:
                self.naked_s.append(sim.s - since[0])
            return
        if symbol not in self._bare:
            self._bare[symbol], self._lost[symbol] = (sim.s, abs(need)), 0
        since_s, first = self._bare[symbol]
        limit_s = NAKED_S + EXIT_S * self._lost[symbol] + self._held_s(symbol)
        if lots >= first:
            self.naked_s.append(sim.s - since_s)
            self._bare[symbol] = (sim.s, abs(need))
        elif sim.s - since_s > limit_s and symbol not in self._told:
            self._told.add(symbol)
            self._say(f"[I5] {symbol} naked for {limit_s:g} s, {self._lost[symbol]} exits lost")

    def _held_s(self, symbol: str) -> float:
        """A person has put the exit off."""
        return self._sim.directive.risk.hold_ms / 1_000 if symbol in self._sim.ledger.holds else 0.0

    def _halted(self) -> None:
        """[I8] Under HALT working entries go."""
        sim = self._sim
        if Latch.HALT not in sim.engine.ledger.latches or sim.wire.dead or sim.wire.down or sim.street.sink is None:
            self._halted_s.clear()
            return
        for number, order in self._account.resting.items():
            if leg(order.client_id) is Leg.ENTRY:
                since_s = self._halted_s.setdefault(number, sim.s)
                if HALT_S < sim.s - since_s <= HALT_S + TICK_S:
                    self._say(f"[I8] {order.client_id} rests {HALT_S:g} s into HALT")

    def _swan(self, symbol: str) -> None:
        """[I7] In the black swan longs go."""
        sim = self._sim
        lock = sim.engine.ledger.locks.get(SWAN_LOCK)
        long = _within(self._ours[symbol], self._account.position(symbol).lots) > 0
        if (
            not long
            or lock is None
            or lock.until_ns <= sim.engine.market.now_ns
            or sim.wire.dead
            or sim.wire.down
            or sim.street.sink is None
        ):
            self._swan_long.pop(symbol, None)
            return
        since_s = self._swan_long.setdefault(symbol, sim.s)
        if SWAN_S < sim.s - since_s <= SWAN_S + TICK_S:
            self._say(f"[I7] {symbol}: still long {SWAN_S} s into the black swan")

    # ---- at the end --------------------------------------------------------------------------------------------------

    def resting(self) -> list[str]:
        """Client ids of ours that may still do something."""
        return [cid for cid in self.open_ids() if cid.startswith(OURS)]

    def open_ids(self) -> list[str]:
        account = self._account
        return [order.client_id for order in account.resting.values() if not order.algo_id] + [
            algo.client_id for algo in account.conditionals.open.values()
        ]

    def placed(self) -> list[str]:
        """Client ids of ours that the venue has ever taken."""
        ledger = self._account.ledger
        taken = [order.client_id for order in ledger.orders.values() if not order.algo_id]
        taken += [algo.client_id for algo in ledger.algos.values()]
        return [cid for cid in taken if cid.startswith(OURS)]

    def open_questions(self) -> list[str]:
        """[I13] What venue, ledger and journal do not agree on yet about what is ours, or what is not covered."""
        sim = self._sim
        # where others traded too, what is left of ours may be their doing: that is for `heard_all`
        mine = [s for s in self._symbols if self._known(s) != self._ours[s] and self._strange_s[s] < 0]
        return [
            *orphans(self.resting(), sim.ledger),
            *positions({symbol: sim.held(symbol) for symbol in mine}, sim.ledger),
            *(f"{symbol}: not covered" for symbol in self._symbols if not self.covered(symbol)),
            *(f"P{p.intent}: no stop confirmed" for p in sim.ledger.positions.values() if p.naked_since_ns is not None),
            *(() if sim.journal.whole else ("the journal is behind",)),
            *(f"{order.client_id} is asked for" for order in sim.asked()),
        ]

    def _known(self, symbol: str) -> Decimal:
        """Lots of ours by our own ledger."""
        position = self._sim.ledger.positions.get(symbol)
        return ZERO if position is None else position.qty / self._sim.tape.specs[symbol].step

    def heard_all(self) -> bool:
        """The wallet, and what others hold on the account. Where the venue's word on it was lost, the regular reading
        tells, once a minute."""
        sim = self._sim
        held = {symbol: sim.held(symbol) for symbol in self._symbols}
        locked = Latch.PROTECT_ONLY in sim.ledger.latches or not self.other_nexus()
        return self._account.ledger.wallet == sim.ledger.wallet and locked and not any(positions(held, sim.ledger))

    def other_nexus(self) -> list[str]:
        """Orders at the venue that another Nexus wrote."""
        return [cid for cid in self.open_ids() if leg_of(cid) is not None and not cid.startswith(OURS)]

    def entering(self) -> bool:
        """An entry rests and may fill at any time."""
        return any(leg(cid) is Leg.ENTRY for cid in self.resting())

    def last(self) -> None:
        """After the faults have stopped."""
        sim, ledger = self._sim, self._account.ledger
        self.look()
        facts = tuple(sim.journal.facts())
        held = {symbol: sim.held(symbol) for symbol in self._symbols}
        unsaid = {cid for cid in self.unrecorded if cid not in sim.journal.written}
        there = []
        for fill in ledger.fills:
            order = ledger.orders[fill.order_id]
            algo = ledger.algos.get(order.algo_id)
            cid = order.client_id if algo is None else algo.client_id
            if not cid.startswith(OURS):
                continue
            there.append((fill.symbol, str(fill.trade_id), cid, sim.tape.specs[fill.symbol].step * fill.lots))
        for lines in (
            doubled(self.placed()),
            unwritten(self.placed(), facts, unsaid),
            orphans(self.resting(), sim.ledger),
            positions(held, sim.ledger),
            unequal(there, facts, unsaid),
            Audit().walk(facts),
        ):
            for line in lines:
                self._say(line)
        for symbol in self._symbols:
            if not self.covered(symbol):
                self._say(f"[I5] {symbol} is left naked")
            position = sim.ledger.positions.get(symbol)
            if position is not None and sim.stop_lots(symbol, position.qty > 0) < abs(position.qty):
                self._say(f"[I5] {symbol}: no stop of the size of P{position.intent}")
        if ledger.wallet != sim.ledger.wallet:
            self._say(f"[I10] the venue's wallet is {ledger.wallet}, ours {sim.ledger.wallet}")
        strangers = self.other_nexus()
        if strangers and Latch.PROTECT_ONLY not in sim.ledger.latches:
            self._say(f"[I22] another Nexus writes here ({strangers[0]}), and entries are not locked")
        for note in sim.notes:
            if "failed on" in note or "broker failed" in note:
                self._say(note)


def _within(ours: int, held: int) -> int:
    """What of ours can still be there, when the venue holds that."""
    if ours * held <= 0:
        return 0
    return ours if abs(ours) < abs(held) else held
