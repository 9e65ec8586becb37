"""What a backtest writes down: every trade as the venue settled it, the equity on its way, and a hash of what was
decided."""

import hashlib
from array import array
from collections import Counter
from decimal import Decimal
from typing import Final

import msgspec
import numpy as np

from nexus_engine.lab.bars import Floats, Ints
from nexus_engine.lab.participation import Participation
from nexus_engine.lab.venue import BarVenue
from nexus_engine.model.facts import SENTINEL, AnyFact, LatchSet, Leaving, MacroChanged, OrderIntended, SignalSeen
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.orders import Order
from nexus_engine.model.signals import Signal
from nexus_engine.model.words import Leg, Macro, Side
from nexus_engine.sim.orders import Fill, OrderEvent, UserEvent

HEARD: Final = frozenset({SignalSeen, OrderIntended, Leaving, LatchSet, MacroChanged})
OPEN: Final = "open"
"""The exit of a position that the data left open: it is valued at the last close, and is in no statistics."""


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """A position from first fill to flat. Money in quote currency, times UTC ns.

    `net` is what the wallet changed by; `gross` what it would have without fees, spread, slippage and funding.
    `r` is `net` by the risk that was taken: the distance to the first stop times the largest size. `mae_r` and `mfe_r`
    are the worst and the best that the open position was worth on the way, by that risk, before costs.
    """

    strategy: str
    side: Side
    regime: str
    opened_ns: int
    closed_ns: int
    qty: Decimal
    entry: float
    exit: float
    stop: float
    target: float | None
    net: float
    gross: float
    fees: float
    spread: float
    slippage: float
    funding: float
    """Received; negative was paid."""
    r: float
    gross_r: float
    mae_r: float
    mfe_r: float
    reason: str
    """`stop`, `trail`, `target`, `time`, `black swan`, `liquidation`, `exit`, or `open`."""
    time_stop_ns: int = 0


class Curve(msgspec.Struct, frozen=True):
    """Equity at moments that rise, and the costs (fees, spread, slippage) and funding that it holds up to there."""

    at_ns: Ints
    equity: Floats
    costs: Floats
    funding: Floats


class _Open(msgspec.Struct):
    """A trade on its way."""

    sign: int
    intent: int
    strategy: str
    regime: str
    opened_ns: int
    stop: float
    target: float | None
    time_stop_ns: int
    wallet: Decimal
    """Before it."""
    funded: float
    low: float
    high: float
    lots: int = 0
    peak: int = 0
    bought: float = 0.0
    """Lots times price of what made it larger, and of what made it smaller."""
    sold: float = 0.0
    closed: int = 0
    fees: float = 0.0
    spread: float = 0.0
    slippage: float = 0.0
    trailed: bool = False
    reason: str = ""


class Record:
    """Listens to the engine's facts and to the account's events."""

    def __init__(self, ledger: Ledger, venue: BarVenue) -> None:
        self._ledger = ledger
        self._venue = venue
        self._hash = hashlib.blake2b(digest_size=16)
        self.trades: list[Trade] = []
        self.outcomes: Counter[str] = Counter()
        """How many signals came to what: `proposed`, or the guard that refused them."""
        self.latches: list[tuple[int, str, str]] = []
        """(UTC ns, latch, reason) of each that closed."""
        self.sangria: list[tuple[int, int]] = []
        """(UTC ns, UTC ns) over which the macro state was SHARK; 0 where it is not over."""
        self.cards: list[int] = []
        """Proposals that were made and that nobody has looked at yet."""
        self.costs = 0.0
        """Fees, spread and slippage so far."""
        self.participation = Participation(venue)
        self._signals: dict[int, Signal] = {}
        self._orders: dict[str, Order] = {}
        self._wallet = venue.account.ledger.wallet
        self._open: _Open | None = None
        self._at, self._equity = array("q"), array("d")
        self._costs, self._funding = array("d"), array("d")

    # ---- listening ---------------------------------------------------------------------------------------------------

    def heard(self, fact: AnyFact) -> None:
        """A fact of the engine's."""
        if type(fact) not in HEARD:
            return
        if isinstance(fact, SignalSeen):
            self._signal(fact)
        elif isinstance(fact, OrderIntended):
            order = fact.order
            self._orders[order.client_id] = order
            self._decided("order", fact.at_ns, order.leg, order.side, order.kind, order.qty, order.price, order.trigger)
        elif isinstance(fact, Leaving) and fact.leave is not None:
            self._decided("leave", fact.at_ns, fact.intent, *fact.leave.reasons)
        elif isinstance(fact, LatchSet) and fact.on:
            self.latches.append((fact.at_ns, fact.latch.value, fact.reason))
        elif isinstance(fact, MacroChanged):
            if fact.macro is Macro.SHARK:
                self.sangria.append((fact.at_ns, 0))
            elif self.sangria and not self.sangria[-1][1]:
                self.sangria[-1] = (self.sangria[-1][0], fact.at_ns)

    def traded(self, events: list[UserEvent]) -> None:
        """The account's events, at the price at which they happened."""
        for event in events:
            if isinstance(event, OrderEvent):
                self.participation.told(event)
                if event.fill is not None:
                    self._fill(event, event.fill)

    def _signal(self, fact: SignalSeen) -> None:
        signal = fact.signal
        refused = next((verdict.guard for verdict in fact.verdicts if verdict.refuses), "")
        told = fact.outcome.partition(":")[0]
        outcome = told if told == "waits" else refused or told
        if fact.proposal:
            if len(self._signals) > 8:
                self._signals.clear()
            self._signals[fact.proposal] = signal
            self.cards.append(fact.proposal)
        self.outcomes[outcome] += 1
        self._decided("signal", fact.at_ns, signal.strategy, signal.side, outcome)

    def _decided(self, *words: object) -> None:
        """Only what is the same everywhere goes in: whole numbers, words, and decimals on the venue's grid."""
        told = [format(word, "f") if isinstance(word, Decimal) else str(word) for word in words]
        self._hash.update("\t".join(told).encode() + b"\n")

    @property
    def decisions_hash(self) -> str:
        """32 hex characters."""
        return self._hash.hexdigest()

    # ---- trades ------------------------------------------------------------------------------------------------------

    def _fill(self, event: OrderEvent, fill: Fill) -> None:
        at_ns, paid = event.at_ms * 1_000_000, self._venue.paid.pop(fill.trade_id)
        signed = fill.lots if fill.side_buy else -fill.lots
        price = fill.price_ticks * self._venue.tick
        self.costs += float(fill.fee) + paid.spread + paid.slippage
        self._decided("fill", at_ns, fill.side_buy, fill.price_ticks, fill.lots, fill.fee)
        order = self._orders.get(event.order.client_id)
        if self._open is None:
            self._open = self._begun(order, 1 if signed > 0 else -1, at_ns, price)
        trade = self._open
        trade.low, trade.high = min(trade.low, self._venue.price), max(trade.high, self._venue.price)
        trade.fees += float(fill.fee)
        trade.spread += paid.spread
        trade.slippage += paid.slippage
        trade.lots += signed
        if signed * trade.sign > 0:
            trade.peak = max(trade.peak, abs(trade.lots))
            trade.bought += fill.lots * price
        else:
            trade.closed += fill.lots
            trade.sold += fill.lots * price
            trade.reason = "liquidation" if event.execution == "CALCULATED" else self._reason(order, trade, at_ns)
        if not trade.lots:
            self._open = None
            self.trades.append(self._ended(trade, at_ns, self._venue.account.ledger.wallet))
            self._wallet = self._venue.account.ledger.wallet
            done = self.trades[-1]
            self._decided("trade", done.opened_ns, done.closed_ns, done.reason, self._wallet)
            self._orders.clear()

    def _begun(self, order: Order | None, sign: int, at_ns: int, price: float) -> _Open:
        plan = None if order is None else order.plan
        signal = None if order is None else self._signals.get(order.intent)
        return _Open(
            sign=sign,
            intent=0 if order is None else order.intent,
            strategy="" if order is None else order.strategy,
            regime="" if signal is None else signal.regime.regime.value,
            opened_ns=at_ns,
            stop=0.0 if plan is None else float(plan.stop),
            target=None if plan is None or plan.target is None else float(plan.target),
            time_stop_ns=0 if plan is None else plan.time_stop_ns,
            wallet=self._wallet,
            funded=self._venue.funded,
            low=price,
            high=price,
        )

    @staticmethod
    def _reason(order: Order | None, trade: _Open, at_ns: int) -> str:
        if order is None:
            return "exit"
        if order.leg is Leg.STOP:
            return "stop" if float(order.trigger or 0) == trade.stop else "trail"
        if order.leg is Leg.TARGET:
            return "target"
        if order.by == SENTINEL:
            return "black swan"
        return "time" if trade.time_stop_ns and at_ns - trade.opened_ns >= trade.time_stop_ns else "exit"

    def _ended(self, trade: _Open, at_ns: int, wallet: Decimal, last: float | None = None) -> Trade:
        """`last`: what is still held is valued at it."""
        step = self._venue.step
        entry = trade.bought / (trade.closed + abs(trade.lots))
        left = abs(trade.lots) * (last or 0.0)
        out = (trade.sold + left) / (trade.closed + abs(trade.lots))
        open_pnl = 0.0 if last is None else trade.lots * step * (last - entry)
        net = float(wallet - trade.wallet) + open_pnl
        funding = self._venue.funded - trade.funded
        gross = net + trade.fees + trade.spread + trade.slippage - funding
        distance = abs(entry - trade.stop)
        risk = distance * trade.peak * step
        worst, best = (trade.low, trade.high) if trade.sign > 0 else (trade.high, trade.low)
        return Trade(
            strategy=trade.strategy,
            side=Side.BUY if trade.sign > 0 else Side.SELL,
            regime=trade.regime,
            opened_ns=trade.opened_ns,
            closed_ns=at_ns,
            qty=trade.peak * self._venue.spec.step,
            entry=entry,
            exit=out,
            stop=trade.stop,
            target=trade.target,
            net=net,
            gross=gross,
            fees=trade.fees,
            spread=trade.spread,
            slippage=trade.slippage,
            funding=funding,
            r=net / risk if risk else 0.0,
            gross_r=gross / risk if risk else 0.0,
            mae_r=min(0.0, (worst - entry) * trade.sign / distance) if distance else 0.0,
            mfe_r=max(0.0, (best - entry) * trade.sign / distance) if distance else 0.0,
            reason=trade.reason if last is None else OPEN,
            time_stop_ns=trade.time_stop_ns,
        )

    def left_open(self, at_ns: int, price: float) -> Trade | None:
        """What the data did not see the end of."""
        if self._open is None:
            return None
        return self._ended(self._open, at_ns, self._venue.account.ledger.wallet, price)

    # ---- on the way --------------------------------------------------------------------------------------------------

    def look(self, at_ns: int) -> None:
        """A moment of the price's way: how far the open trade has been, and what the account is worth."""
        venue, trade = self._venue, self._open
        if trade is not None:
            trade.low, trade.high = min(trade.low, venue.price), max(trade.high, venue.price)
        self._point(at_ns, venue.equity(venue.price))

    def look_back(self, at_ns: Ints, prices: Floats) -> None:
        """Many moments at once, in which nothing happened but that the price moved."""
        trade = self._open
        if trade is not None:
            trade.low, trade.high = min(trade.low, float(prices.min())), max(trade.high, float(prices.max()))
        self._at.frombytes(at_ns.tobytes())
        self._equity.frombytes(self._venue.equities(prices).tobytes())
        self._costs.extend(array("d", (self.costs,)) * len(prices))
        self._funding.extend(array("d", (self._venue.funded,)) * len(prices))

    def _point(self, at_ns: int, equity: float) -> None:
        self._at.append(at_ns)
        self._equity.append(equity)
        self._costs.append(self.costs)
        self._funding.append(self._venue.funded)

    @property
    def curve(self) -> Curve:
        """Equity over time."""
        return Curve(
            np.frombuffer(self._at, np.int64).copy(),
            np.frombuffer(self._equity, np.float64).copy(),
            np.frombuffer(self._costs, np.float64).copy(),
            np.frombuffer(self._funding, np.float64).copy(),
        )
