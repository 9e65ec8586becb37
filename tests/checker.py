"""What must never happen, looked for in the venue's own books while a world runs."""

import asyncio
from collections import Counter
from decimal import Decimal

from books import Audit, doubled, orphans, positions, unequal, unwritten
from world import World, leg_of

from nexus_engine.model.config import percent_of
from nexus_engine.model.orders import ZERO
from nexus_engine.model.words import Leg

NAKED_S = 6.0
"""Longest naked time on a wire that loses a fifth of everything: a second to find a silent fill, two of patience, and
the exit's own failures."""
LOOK_S = 0.05
LEEWAY = Decimal("1.05")
"""Price may move an exposure over its limit; an order may not."""


class Checker:
    """Looks at a world twenty times a second. `found` is what broke, `naked_s` every stretch without a stop."""

    def __init__(self, world: World, naked_s: float = NAKED_S) -> None:
        self._world = world
        self._limit_s = naked_s
        self._bare: dict[str, float] = {}
        self._fills = 0
        self._intents: dict[str, str] = {}
        self._lots: Counter[str] = Counter()
        """Held after the last execution that was looked at."""
        self.found: list[str] = []
        self.naked_s: list[float] = []
        self.entries = 0

    async def run(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        for symbol in self._world.tape.symbols:
            self._naked(symbol)
            self._one_entry(symbol)
        self._exposure()
        self._executions()

    def _report(self, text: str) -> None:
        self.found.append(f"{self._world.s:.2f} s: {text}")

    def _naked(self, symbol: str) -> None:
        world = self._world
        if world.wire.dead:
            self._bare.pop(symbol, None)
        elif world.protected(symbol):
            since_s = self._bare.pop(symbol, None)
            if since_s is not None:
                self.naked_s.append(world.s - since_s)
        else:
            since_s = self._bare.setdefault(symbol, world.s)
            if self._limit_s < world.s - since_s < self._limit_s + LOOK_S:
                self._report(f"{symbol} naked for {self._limit_s} s")

    def _one_entry(self, symbol: str) -> None:
        entries = [order.client_id for order in self._world.resting(symbol) if not order.reduce_only]
        if len(entries) > 1:
            self._report(f"{symbol}: entries side by side: {entries}")

    def _exposure(self) -> None:
        world, risk = self._world, self._world.directive.risk
        wallet = world.venue.account.ledger.wallet
        total = ZERO
        for symbol in world.tape.symbols:
            price = Decimal(repr(world.tape.price(symbol)))
            step = world.tape.specs[symbol].step
            coming = sum((order.left_lots * step for order in world.resting(symbol) if not order.reduce_only), ZERO)
            here = (abs(world.held(symbol)) + coming) * price
            total += here
            if here > percent_of(risk.symbol_exposure_pct, wallet) * LEEWAY:
                self._report(f"{symbol}: exposure {here:.0f}")
        if total > percent_of(risk.account_exposure_pct, wallet) * LEEWAY:
            self._report(f"exposure {total:.0f}")

    def _executions(self) -> None:
        """Each new execution in the venue's books: entries build what nobody else builds, the others only reduce."""
        account = self._world.venue.account.ledger
        for fill in account.fills[self._fills :]:
            order = account.orders[fill.order_id]
            leg = leg_of(order.client_id)
            if leg is Leg.ENTRY:
                intent = order.client_id.rpartition("-")[2].partition("e")[0]
                if self._intents.setdefault(fill.symbol, intent) != intent:
                    self._report(f"{order.client_id} adds to the position of P{self._intents[fill.symbol]}")
            elif leg is not None and not order.reduce_only:
                self._report(f"{order.client_id} could flip")
            # what is held by now may have been bought since
            self._lots[fill.symbol] += fill.lots if fill.side_buy else -fill.lots
            if not self._lots[fill.symbol]:
                self._intents.pop(fill.symbol, None)
        self._fills = len(account.fills)

    def end(self) -> list[str]:
        """After the faults have stopped: venue, ledger and journal say the same."""
        world = self._world
        if not world.converged():
            known = sorted(order.client_id + " " + order.status for order in world.ledger.alive())
            there = [order.client_id for symbol in world.tape.symbols for order in world.resting(symbol)]
            there += [algo.client_id for symbol in world.tape.symbols for algo in world.stops(symbol)]
            held = {symbol: (world.held(symbol), world.ours(symbol)) for symbol in world.tape.symbols}
            self._report(f"not converged: here {known}, there {there}, held and ours {held}")
        if world.ledger.foreign:
            self._report(f"taken for foreign: {world.ledger.foreign}")
        account = world.venue.account.ledger
        algos = account.algos
        facts = tuple(world.journal.facts())
        names = {order.order_id: order.client_id for order in account.orders.values()}
        names |= {order.order_id: algos[order.algo_id].client_id for order in account.orders.values() if order.algo_id}
        placed = [order.client_id for order in account.orders.values() if not order.algo_id]
        placed += [algo.client_id for algo in algos.values()]
        steps = {symbol: spec.step for symbol, spec in world.tape.specs.items()}
        fills = [
            (fill.symbol, str(fill.trade_id), names[fill.order_id], steps[fill.symbol] * fill.lots)
            for fill in account.fills
        ]
        there = [order.client_id for order in world.venue.account.resting.values() if not order.algo_id]
        there += [algo.client_id for algo in world.venue.account.conditionals.open.values()]
        # nobody can cancel a stop that the venue never finishes triggering: it rightly stays ours
        stuck = {algo.client_id for algo in algos.values() if algo.status == "TRIGGERING"}
        for lines in (
            doubled(placed),
            unwritten(placed, facts),
            (line for line in orphans(there, world.ledger) if line.split()[0] not in stuck),
            positions({symbol: world.held(symbol) for symbol in world.tape.symbols}, world.ledger),
            unequal(fills, facts),
            Audit().walk(facts),
        ):
            for line in lines:
                self._report(line)
        self.entries = sum(leg_of(cid) is Leg.ENTRY for cid in placed)
        return self.found
