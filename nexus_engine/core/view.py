"""The picture of the engine that a cockpit asks for."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from nexus_engine.core import accounting
from nexus_engine.core.market import SymbolMarket
from nexus_engine.model.config import percent_of
from nexus_engine.model.ledger import Ledger, exit_side
from nexus_engine.model.positions import Position
from nexus_engine.model.turn import Turn
from nexus_engine.model.view import (
    AccountView,
    BookMark,
    BookView,
    FeedView,
    LatchView,
    PositionView,
    ProposalView,
    View,
    ViewRequest,
    WatchRow,
)
from nexus_engine.model.words import AccountKind, Leg, Macro, OrderStatus

if TYPE_CHECKING:
    from nexus_engine.core.engine import Engine

FEEDS: Final = ("public", "market", "user")


def build(engine: Engine, request: ViewRequest, *, at_ns: int, mono_ns: int) -> View:
    """Everything on the screen, and nothing that is not."""
    ledger, market = engine.ledger, engine.market
    marks = market.marks()
    swan = market.quote(engine.directive.shield.swan_symbol, mono_ns)
    account = _account(engine, marks, at_ns, mono_ns)
    ages = [state.quote(mono_ns).age_ms for state in market.symbols.values()]
    worst_age_ms = None if None in ages else max((age for age in ages if age is not None), default=None)
    badge, reason = engine.shield.sentinel(ledger, market.now_ns, swan, worst_age_ms)
    chart = request.chart
    return View(
        seq=engine.views,
        at_ns=at_ns,
        market_ns=market.now_ns,
        account=account,
        sentinel=badge,
        sentinel_reason=reason,
        macro=Macro.UNKNOWN,
        gauges=engine.shield.gauges(
            ledger,
            market.now_ns,
            equity=account.equity,
            exposure_pct=account.exposure_pct,
            day_pnl=account.day_pnl,
        ),
        feeds=tuple(
            FeedView(
                name=feed,
                up=engine.feeds.get(feed, False),
                age_ms=(mono_ns - engine.heard[feed]) // 1_000_000 if feed in engine.heard else None,
            )
            for feed in FEEDS
        ),
        proposals=tuple(
            ProposalView(
                proposal=proposal,
                price_digits=_digits(market.symbols.get(proposal.symbol)),
                left_ms=max(0, (proposal.expires_mono_ns - mono_ns) // 1_000_000),
                shown=proposal.shown,
            )
            for proposal in ledger.proposals.values()
            if proposal.status.open
        ),
        positions=_positions(engine, marks, at_ns, mono_ns),
        foreign=tuple(sorted(ledger.foreign.items())),
        unknown_orders=sum(order.status is OrderStatus.UNKNOWN for order in ledger.alive()),
        working_orders=sum(1 for _ in ledger.alive(leg=Leg.ENTRY)),
        books=tuple(
            _book(ledger, market.symbols[symbol], request.depth, market.now_ns)
            for symbol in request.books
            if symbol in market.symbols
        ),
        watch=tuple(_watch(engine, state, mono_ns) for state in market.symbols.values()),
        events=tuple(engine.notebook.rows)[-request.events :] if request.events else (),
        outcome=engine.notebook.outcome,
        chart=() if chart is None else market.chart(*chart, request.bars),
        chart_digits=2 if chart is None else _digits(market.symbols.get(chart[0])),
        funnel=(("signals", engine.desk.seen), ("refused", engine.desk.refused), ("proposed", engine.desk.proposed)),
    )


def _account(engine: Engine, marks: accounting.Marks, at_ns: int, mono_ns: int) -> AccountView:
    ledger, risk = engine.ledger, engine.directive.risk
    equity = accounting.equity(ledger, marks)
    pnl = accounting.day_pnl(ledger, marks)
    exposure = accounting.exposure(ledger, marks, engine.manager.venue_qty, engine.manager.strangers)
    turn = Turn(ledger, at_ns=at_ns, mono_ns=mono_ns, market_ns=engine.market.now_ns)
    return AccountView(
        name=ledger.account,
        kind=ledger.kind or AccountKind.DEMO,
        mode=engine.mode,
        state=ledger.state,
        latches=tuple(
            LatchView(latch=fact.latch, by=fact.by, reason=fact.reason, since_ns=fact.at_ns)
            for fact in ledger.latches.values()
        ),
        blocked=engine.blocked(turn),
        equity=float(equity),
        wallet=float(ledger.wallet or 0),
        day_pnl=float(pnl),
        day_realised=float(ledger.day_realised),
        day_fees=float(ledger.day_fees),
        day_trades=ledger.day_trades,
        open_pnl=float(accounting.open_pnl(ledger, marks)),
        loss_left=float(max(Decimal(0), percent_of(risk.day_loss_pct, ledger.day_equity) + pnl)),
        at_risk=float(accounting.at_risk(ledger, marks)),
        exposure_pct=float(exposure / equity * 100) if equity > 0 else 0.0,
        exposure_limit_pct=risk.account_exposure_pct,
    )


def _positions(engine: Engine, marks: accounting.Marks, at_ns: int, mono_ns: int) -> tuple[PositionView, ...]:
    rows = [_position(engine, position, marks, at_ns, mono_ns) for position in engine.ledger.positions.values()]
    return tuple(sorted(rows, key=lambda row: (row.stop_state == "ok", row.symbol)))


def _position(engine: Engine, position: Position, marks: accounting.Marks, at_ns: int, mono_ns: int) -> PositionView:
    mark = marks.get(position.symbol, position.entry)
    pnl = position.pnl(mark)
    risk = position.risk_per_unit * abs(position.qty)
    state, seen = _stop(engine, position)
    naked = None
    if state != "ok":
        since = position.naked_since_ns
        naked = 0 if since is None else max(0, (at_ns - since) // 1_000_000)
    return PositionView(
        symbol=position.symbol,
        intent=position.intent,
        side=position.side,
        qty=abs(position.qty),
        entry=position.entry,
        price=float(mark),
        price_digits=_digits(engine.market.symbols.get(position.symbol)),
        pnl=float(pnl),
        r=float(pnl / risk) if risk else 0.0,
        stop=position.plan.stop,
        target=position.plan.target,
        stop_state=state,
        stop_seen_ms=None if seen is None else (mono_ns - seen) // 1_000_000,
        naked_ms=naked,
        liquidation=engine.manager.liquidation.get(position.symbol),
        held_ms=max(0, (at_ns - position.opened_ns) // 1_000_000),
        strategy=position.strategy,
        by=position.by,
    )


def _stop(engine: Engine, position: Position) -> tuple[str, int | None]:
    """What stands behind a position: `ok` needs a confirmed stop of its side and at least its size."""
    state = "NAKED"
    for order in engine.ledger.alive(position.symbol, Leg.STOP):
        if order.side is not exit_side(position):
            continue
        if order.status in (OrderStatus.OPEN, OrderStatus.PARTIAL) and order.leaves >= abs(position.qty):
            return "ok", engine.manager.asker.seen.get(order.client_id)
        state = "UNKNOWN" if order.status is OrderStatus.UNKNOWN else "wait"
    return state, None


def _book(ledger: Ledger, state: SymbolMarket, depth: int, market_ns: int) -> BookView:
    instrument = state.instrument
    return BookView(
        symbol=instrument.symbol,
        valid=state.book.valid,
        tick=instrument.tick,
        price_digits=instrument.price_digits,
        qty_digits=instrument.qty_digits,
        bids=tuple(state.book.bids(depth)),
        asks=tuple(state.book.asks(depth)),
        last=state.last,
        change_pct=state.change_pct(),
        funding_pct=state.funding_rate * 100,
        funding_in_ms=max(0, (state.next_funding_ns - market_ns) // 1_000_000),
        marks=tuple(_book_marks(ledger, instrument.symbol)),
    )


def _book_marks(ledger: Ledger, symbol: str) -> list[BookMark]:
    """Ours at their prices: working orders, the entry, and what an open card would do."""
    marks = []
    labels = {Leg.ENTRY: "entry", Leg.STOP: "stop", Leg.TARGET: "target", Leg.EXIT: "exit"}
    for order in ledger.alive(symbol):
        price = order.trigger if order.conditional else order.price
        if price is not None:
            marks.append(BookMark(price=price, label=f"{labels[order.leg]} P{order.intent}", side=order.side))
    position = ledger.positions.get(symbol)
    if position is not None:
        marks.append(BookMark(price=position.entry, label=f"in P{position.intent}", side=position.side))
    for proposal in ledger.proposals.values():
        if proposal.symbol == symbol and proposal.status.open:
            side = proposal.side
            marks.append(BookMark(price=proposal.limit, label=f"limit {proposal.handle}", side=side))
            marks.append(BookMark(price=proposal.plan.stop, label=f"stop {proposal.handle}", side=side.opposite))
            if proposal.plan.target is not None:
                marks.append(
                    BookMark(price=proposal.plan.target, label=f"target {proposal.handle}", side=side.opposite)
                )
    return marks


def _watch(engine: Engine, state: SymbolMarket, mono_ns: int) -> WatchRow:
    regime = engine.cortex.regime(state.instrument.symbol)
    return WatchRow(
        symbol=state.instrument.symbol,
        last=state.last,
        price_digits=state.instrument.price_digits,
        change_pct=state.change_pct(),
        regime=regime.regime,
        confidence=regime.confidence,
        age_ms=state.quote(mono_ns).age_ms,
    )


def _digits(state: SymbolMarket | None) -> int:
    return 2 if state is None else state.instrument.price_digits
