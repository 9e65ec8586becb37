"""A small life of an account, as turns of facts with true seals."""

import os
from collections.abc import Iterable
from decimal import Decimal as D
from pathlib import Path

from nexus_engine.model.effects import Record
from nexus_engine.model.facts import (
    AnyFact,
    DayOpened,
    Filled,
    LatchSet,
    Naked,
    Noted,
    ProposalChanged,
    ProposalMade,
    RunStarted,
    SignalSeen,
    WalletSeen,
)
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.orders import ExitPlan, Fill, Order
from nexus_engine.model.proposals import Proposal
from nexus_engine.model.signals import RegimeView, Signal
from nexus_engine.model.turn import Turn
from nexus_engine.model.verdicts import Reading, allow, refuse
from nexus_engine.model.words import (
    AccountKind,
    Latch,
    Leg,
    Level,
    OrderKind,
    OrderStatus,
    ProposalStatus,
    Regime,
    Side,
)

START_NS = 1_760_000_000_000_000_000
STEP_NS = 1_000_000_000
CHILD_ENV = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
"""For processes that tests start: the packages as they are here."""


def note(number: int) -> Noted:
    return Noted(at_ns=START_NS + number, level=Level.INFO, subject="ENGINE", by="bot", text=str(number))


class Life:
    """Records turns as the engine would."""

    def __init__(self, instance: str) -> None:
        self.ledger = Ledger()
        self.turns: list[list[AnyFact]] = []
        self.instance = instance
        self.now_ns = START_NS

    def turn(self) -> Turn:
        self.now_ns += STEP_NS
        return Turn(self.ledger, at_ns=self.now_ns, mono_ns=self.now_ns, market_ns=self.now_ns)

    def end(self, turn: Turn) -> None:
        self.turns.append([effect.fact for effect in turn.seal() if isinstance(effect, Record)])

    def record(self, *facts: AnyFact) -> None:
        turn = self.turn()
        for fact in facts:
            turn.record(fact)
        self.end(turn)

    def start(self, epoch: int = 1) -> None:
        at_ns = self.now_ns
        self.record(
            RunStarted(
                at_ns=at_ns, account="main", kind=AccountKind.DEMO, instance=self.instance, epoch=epoch, version="1"
            )
        )
        self.record(WalletSeen(at_ns=at_ns, wallet=D(10_000)), DayOpened(at_ns=at_ns, day=20_000, equity=D(10_000)))

    def trade(self, symbol: str = "BTCUSDT", exit_price: D = D("64500.5")) -> int:
        """Signal, proposal, approval, entry in two fills, stop, exit. Returns the intent."""
        intent = self.ledger.next_intent
        plan = ExitPlan(stop=D(63000), target=D(65000))
        signal = Signal(
            symbol=symbol,
            strategy="harpoon",
            side=Side.BUY,
            price=64000.0,
            limit=64050.0,
            stop_distance=1000.0,
            target=65000.0,
            reasons=("washed out", "turning up"),
            readings=(Reading("rsi", 24.5, 30.0), Reading("never", float("inf"), float("nan"))),
            regime=RegimeView(regime=Regime.RANGE, confidence=0.8),
            risk_pct=0.5,
            market_ns=self.now_ns,
        )
        verdicts = (
            allow("black_swan", Reading("drop", 0.3, 4.0, "%")),
            refuse("spread", "a \x1b[31mwide\x1b[0m spread", Reading("spread", 9.0, 8.0, "bp")),
        )
        proposal = Proposal(
            id=intent,
            symbol=symbol,
            side=Side.BUY,
            strategy="harpoon",
            qty=D("0.030"),
            limit=D("64050.0"),
            plan=plan,
            leverage=3,
            worst=D("31.9"),
            worst_pct=0.32,
            r_multiple=1.0,
            signal=signal,
            verdicts=verdicts,
            made_ns=self.now_ns,
            expires_ns=self.now_ns,
            expires_mono_ns=self.now_ns,
        )
        turn = self.turn()
        turn.record(ProposalMade(at_ns=turn.at_ns, proposal=proposal))
        turn.record(SignalSeen(at_ns=turn.at_ns, signal=signal, verdicts=verdicts, outcome="proposed", proposal=intent))
        turn.note(Level.INFO, symbol, f"P{intent}")
        self.end(turn)

        turn = self.turn()
        turn.record(
            ProposalChanged(at_ns=turn.at_ns, proposal=intent, status=ProposalStatus.APPROVED, by="you", reason="key a")
        )
        entry = turn.submit(
            leg=Leg.ENTRY,
            symbol=symbol,
            side=Side.BUY,
            kind=OrderKind.LIMIT,
            qty=D("0.030"),
            intent=intent,
            price=D("64050.0"),
            strategy="harpoon",
            by="you",
            plan=plan,
        )
        self.end(turn)
        self.fill(entry, D("0.010"), D("64000.0"), f"{intent}1")
        self.fill(entry, D("0.020"), D("64010.0"), f"{intent}2")
        turn = self.turn()
        stop = turn.submit(
            leg=Leg.STOP,
            symbol=symbol,
            side=Side.SELL,
            kind=OrderKind.STOP_MARKET,
            qty=D("0.030"),
            intent=intent,
            trigger=D("63000"),
        )
        turn.change(stop, OrderStatus.OPEN, venue_id="77")
        turn.record(Naked(at_ns=turn.at_ns, symbol=symbol, since_ns=None))
        self.end(turn)
        turn = self.turn()
        leave = turn.submit(
            leg=Leg.EXIT, symbol=symbol, side=Side.SELL, kind=OrderKind.MARKET, qty=D("0.030"), intent=intent
        )
        turn.change(self.ledger.orders[stop.client_id], OrderStatus.CANCELED, reason="flat")
        self.end(turn)
        self.fill(leave, D("0.030"), exit_price, f"{intent}3")
        return intent

    def fill(self, order: Order, qty: D, price: D, trade_id: str) -> None:
        turn = self.turn()
        fill = Fill(
            symbol=order.symbol,
            trade_id=trade_id,
            client_id=order.client_id,
            side=order.side,
            price=price,
            qty=qty,
            fee=qty * price * D("0.0004"),
            venue_ns=turn.at_ns,
        )
        turn.record(Filled(at_ns=turn.at_ns, fill=fill, market_ns=turn.at_ns))
        self.end(turn)

    def halt(self) -> None:
        self.record(LatchSet(at_ns=self.now_ns, latch=Latch.HALT, on=True, by="you", reason="enough"))


def a_life(instance: str) -> Life:
    """Two trades, one that won and one that lost, and a latch at the end."""
    life = Life(instance)
    life.start()
    life.trade()
    life.trade("ETHUSDT", D("63500"))
    life.halt()
    return life


def flat(turns: Iterable[Iterable[AnyFact]]) -> list[AnyFact]:
    return [fact for turn in turns for fact in turn]
