"""The manager and the ledger under any order of answers, fills and restarts: hypothesis looks for the one that breaks.

NEXUS_STATEFUL=n looks n times longer.
"""

import os
from decimal import Decimal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from nexus_engine.model.config import RiskConfig
from nexus_engine.model.effects import Record, Submit
from nexus_engine.model.events import SubmitResult
from nexus_engine.model.facts import AnyFact, RunStarted
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.orders import ZERO, ExitPlan, Fill, Order
from nexus_engine.model.orders import OrderReport as Report
from nexus_engine.model.turn import Turn
from nexus_engine.model.words import AccountKind, Leg, OrderKind, OrderStatus, Outcome, Side
from nexus_engine.servos.manager import Manager

SYMBOL = "SOLUSDT"
START_NS = 1_750_000_000_000_000_000
PART = Decimal(1)


class Trading(RuleBasedStateMachine):
    """The venue executes at once or in parts, and tells of it late, twice, in any order, or to the next run only."""

    def __init__(self) -> None:
        super().__init__()
        self.facts: list[AnyFact] = []
        self.sent: dict[str, Order] = {}
        self.fills: list[Fill] = []
        self.told: set[str] = set()
        self.held = ZERO
        self.now_ns = 0
        self.epoch = 0
        self.restart()

    def turn(self) -> Turn:
        self.now_ns += 50_000_000
        return Turn(self.ledger, at_ns=START_NS + self.now_ns, mono_ns=self.now_ns, market_ns=START_NS + self.now_ns)

    def done(self, turn: Turn) -> None:
        for effect in turn.seal():
            if isinstance(effect, Record):
                self.facts.append(effect.fact)
            elif isinstance(effect, Submit):
                assert effect.order.client_id not in self.sent
                self.sent[effect.order.client_id] = effect.order

    @rule()
    def restart(self) -> None:
        self.epoch += 1
        self.ledger, self.manager = Ledger().fold(self.facts), Manager(RiskConfig())
        turn = self.turn()
        turn.record(
            RunStarted(
                at_ns=turn.at_ns, account="main", kind=AccountKind.DEMO, instance="t", epoch=self.epoch, version="0"
            )
        )
        self.manager.protection.resume(turn, 0)
        self.done(turn)

    @rule(side=st.sampled_from(Side), parts=st.integers(1, 4))
    def enter(self, side: Side, parts: int) -> None:
        if self.ledger.positions or any(self.ledger.alive()) or self.held:
            return
        turn = self.turn()
        plan = ExitPlan(stop=Decimal(100 - 10 * side.sign), target=Decimal(100 + 10 * side.sign))
        turn.submit(leg=Leg.ENTRY, symbol=SYMBOL, side=side, kind=OrderKind.MARKET, qty=PART * parts,
                    intent=self.ledger.next_intent, plan=plan)  # fmt: skip
        self.done(turn)

    @rule(data=st.data())
    def execute(self, data: st.DataObject) -> None:
        """The venue executes one part of an order; what only reduces never does more."""
        able = [
            order
            for order in self.sent.values()
            if self.executed(order) < order.qty and (not order.reduce_only or self.held * order.side.sign < 0)
        ]
        if able:
            order = data.draw(st.sampled_from(able))
            self.held += PART * order.side.sign
            self.fills.append(
                Fill(symbol=SYMBOL, trade_id=str(len(self.fills)), client_id=order.client_id, side=order.side,
                     price=Decimal(100), qty=PART, venue_ns=START_NS + self.now_ns)
            )  # fmt: skip

    @rule(data=st.data())
    def tell(self, data: st.DataObject) -> None:
        """A fill's event arrives: the first time, or again."""
        if self.fills:
            fill = data.draw(st.sampled_from(self.fills))
            self.told.add(fill.trade_id)
            turn = self.turn()
            self.manager.filled(turn, fill)
            self.done(turn)

    @rule(data=st.data(), outcome=st.sampled_from([Outcome.DONE, Outcome.UNKNOWN, Outcome.REFUSED]))
    def answer(self, data: st.DataObject, outcome: Outcome) -> None:
        waiting = [order for order in self.ledger.alive() if order.status is OrderStatus.INTENT]
        if not waiting:
            return
        order = data.draw(st.sampled_from(waiting))
        if outcome is Outcome.REFUSED and self.executed(order):
            return
        if outcome is Outcome.REFUSED:
            del self.sent[order.client_id]
        turn = self.turn()
        report = Report(client_id=order.client_id, symbol=SYMBOL, side=order.side, status=OrderStatus.OPEN,
                        qty=order.qty, venue_id="1")  # fmt: skip
        self.manager.submitted(
            turn,
            SubmitResult(at_ns=turn.at_ns, mono_ns=turn.mono_ns, client_id=order.client_id, outcome=outcome,
                         report=report if outcome is Outcome.DONE else None),
        )  # fmt: skip
        self.done(turn)

    @rule()
    def leave(self) -> None:
        turn = self.turn()
        self.manager.exit_all(turn, "you")
        self.done(turn)

    def executed(self, order: Order) -> Decimal:
        return sum((fill.qty for fill in self.fills if fill.client_id == order.client_id), ZERO)

    @invariant()
    def every_fill_counts_once(self) -> None:
        for order in self.ledger.orders.values():
            told = [f.qty for f in self.fills if f.client_id == order.client_id and f.trade_id in self.told]
            assert order.filled == sum(told, ZERO)
        if len(self.told) == len(self.fills):
            position = self.ledger.positions.get(SYMBOL)
            assert (ZERO if position is None else position.qty) == self.held

    @invariant()
    def one_entry_at_a_time_and_what_leaves_only_reduces(self) -> None:
        assert sum(1 for _ in self.ledger.alive(leg=Leg.ENTRY)) <= 1
        assert all(order.reduce_only for order in self.sent.values() if order.leg is not Leg.ENTRY)

    @invariant()
    def the_journal_gives_the_same_state(self) -> None:
        assert Ledger().fold(self.facts).digest() == self.ledger.digest()


TestTrading = Trading.TestCase
TestTrading.settings = settings(
    max_examples=25 * int(os.environ.get("NEXUS_STATEFUL", "1")),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
