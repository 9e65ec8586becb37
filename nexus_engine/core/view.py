"""The picture of the engine that a cockpit asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from nexus_engine.core import accounting
from nexus_engine.core.guardroom import guards
from nexus_engine.core.market import HOURLY, SymbolMarket
from nexus_engine.core.shock import Shocks
from nexus_engine.core.stress import stress
from nexus_engine.cortex.regime import odds
from nexus_engine.model.ledger import exit_side
from nexus_engine.model.orders import ZERO
from nexus_engine.model.positions import Position
from nexus_engine.model.proposals import Proposal
from nexus_engine.model.signals import Quote
from nexus_engine.model.turn import Turn
from nexus_engine.model.verdicts import Gauge
from nexus_engine.model.view import (
    AccountView,
    BookMark,
    BookView,
    Difference,
    EntryView,
    FeedView,
    LatchView,
    MacroView,
    PositionView,
    ProposalView,
    Target,
    View,
    ViewRequest,
    WatchRow,
)
from nexus_engine.model.words import AccountKind, Leg, Macro, OrderStatus
from nexus_engine.servos.manager import half_of
from nexus_engine.shield.lease import judge
from nexus_engine.shield.macro import stale

if TYPE_CHECKING:
    from nexus_engine.core.engine import Engine

FEEDS: Final = ("public", "market", "user")


def draw(engine: Engine, request: ViewRequest, *, at_ns: int, mono_ns: int) -> Iterator[View]:
    """Everything on the screen, and nothing that is not, in parts: each View is the one before it and more, the last
    one is the whole.

    The first is of one moment: all that a person decides by. The pictures of the market follow, and whoever draws may
    let the engine work before each of them.
    """
    ledger, market = engine.ledger, engine.market
    marks = market.marks()
    swan = market.quote(engine.directive.shield.swan_symbol, mono_ns)
    account = _account(engine, marks, at_ns, mono_ns)
    quotes = {symbol: state.quote(mono_ns) for symbol, state in market.symbols.items()}
    ages = [quote.age_ms for quote in quotes.values()]
    worst_age_ms = None if None in ages else max((age for age in ages if age is not None), default=None)
    macro = engine.shield.macro.state(ledger.macro, at_ns, mono_ns)
    badge, reason = engine.shield.sentinel(ledger, market.now_ns, swan, worst_age_ms, macro)
    # before the cards: their shocks need its betas
    targets = _targets(engine, quotes, macro)
    gauges = engine.shield.gauges(
        ledger,
        market.now_ns,
        equity=account.equity,
        exposure_pct=account.exposure_pct,
        day_pnl=account.day_pnl,
        strategies=[name for name in engine.cortex.names if name not in ledger.off],
    )
    view = View(
        seq=engine.views,
        at_ns=at_ns,
        account=account,
        sentinel=badge,
        sentinel_reason=reason,
        macro=macro,
        macro_view=_macro(engine, macro, at_ns, mono_ns),
        gauges=gauges,
        feeds=tuple(
            FeedView(
                name=feed,
                up=engine.feeds.get(feed, False),
                age_ms=(mono_ns - engine.heard[feed]) // 1_000_000 if feed in engine.heard else None,
            )
            for feed in FEEDS
        ),
        proposals=_proposals(engine, marks, quotes, mono_ns),
        positions=_positions(engine, marks, at_ns, mono_ns),
        foreign=tuple(sorted(ledger.foreign.items())),
        unknown_orders=sum(order.status is OrderStatus.UNKNOWN for order in ledger.alive()),
        entries=_entries(engine, at_ns),
        books=(),
        watch=(),
        events=tuple(engine.notebook.rows)[-request.events :] if request.events else (),
        outcome=engine.notebook.outcome,
        targets=targets,
        squeeze=engine.hunt.squeeze(market),
        curve=engine.curve.points(ledger, marks, at_ns),
        differences=_differences(engine, marks),
        compared=engine.notebook.compared,
        why=engine.reasons.explain(request.why, ledger, engine.notebook) if request.why else None,
        **_shield(engine, request, gauges, swan, worst_age_ms),
        stress=stress(
            ledger,
            marks,
            engine.manager.liquidation,
            engine.targets.beta,
            {symbol: state.funding_rate for symbol, state in market.symbols.items()},
        ),
        strategies=tuple((name, name not in ledger.off, engine.mode_of(name)) for name in engine.cortex.names),
        funnel=(("signals", engine.desk.seen), ("refused", engine.desk.refused), ("proposed", engine.desk.proposed)),
    )
    yield view
    view = replace(
        view,
        books=tuple(
            _book(engine, market.symbols[symbol], request.depth) for symbol in request.books if symbol in market.symbols
        ),
        watch=tuple(
            _watch(engine, state, quotes[symbol]) for symbol, state in market.symbols.items() if symbol in quotes
        ),
    )
    yield view
    symbol, interval = request.chart or ("", "")
    if (charted := market.symbols.get(symbol)) is not None:
        bars = market.chart(symbol, interval, request.bars)
        yield replace(
            view,
            chart=bars,
            chart_digits=charted.instrument.price_digits,
            chart_lines=engine.lines.over(charted, interval, bars),
            chart_marks=_marks(engine, symbol),
            odds=odds(engine.cortex.regime(symbol)),
        )


def _shield(
    engine: Engine, request: ViewRequest, gauges: tuple[Gauge, ...], swan: Quote | None, worst_age_ms: int | None
) -> dict[str, Any]:
    """What only the Shield screen shows."""
    if not request.shield:
        return {}
    return {
        "guards": guards(engine, gauges, swan, worst_age_ms),
        "trips": engine.trips.shown(),
        "stages": engine.desk.funnel.shown(engine.cortex.counters),
    }


def _account(engine: Engine, marks: accounting.Marks, at_ns: int, mono_ns: int) -> AccountView:
    ledger, risk, demo = engine.ledger, engine.directive.risk, engine.directive.demo
    equity = accounting.equity(ledger, marks)
    pnl = accounting.day_pnl(ledger, marks)
    exposure = accounting.exposure(ledger, marks, engine.manager.venue_qty, engine.manager.strangers)
    turn = Turn(ledger, at_ns=at_ns, mono_ns=mono_ns, market_ns=engine.market.now_ns)
    return AccountView(
        name=ledger.account,
        kind=ledger.kind or AccountKind.DEMO,
        mode=engine.mode,
        state=ledger.state,
        known=engine.reconciler.known,
        latches=tuple(
            LatchView(latch=fact.latch, by=fact.by, reason=fact.reason, since_ns=fact.at_ns)
            for fact in ledger.latches.values()
        ),
        blocked=engine.blocked(turn) or judge(ledger, engine.shield.lock, at_ns, mono_ns).reason,
        lease_ms=max(0, engine.shield.lock.left_ns(ledger, at_ns, mono_ns)) // 1_000_000
        if ledger.kind is AccountKind.LIVE
        else None,
        equity=float(equity),
        wallet=float(ledger.wallet or 0),
        day_pnl=float(pnl),
        day_realised=float(ledger.day_realised - ledger.day_fees),
        day_fees=float(ledger.day_fees),
        day_trades=ledger.day_trades,
        open_pnl=float(accounting.open_pnl(ledger, marks)),
        loss_left=float(accounting.loss_left(ledger, risk, marks)),
        at_risk=float(accounting.at_risk(ledger, marks)),
        exposure_pct=float(exposure / equity * 100) if equity > 0 else 0.0,
        exposure_limit_pct=risk.account_exposure_pct,
        # a venue that somebody else has started has a speed that we are not told
        speed=demo.speed if ledger.kind is AccountKind.DEMO and not demo.venue else 1.0,
    )


def _positions(engine: Engine, marks: accounting.Marks, at_ns: int, mono_ns: int) -> tuple[PositionView, ...]:
    rows = [_position(engine, position, marks, at_ns, mono_ns) for position in engine.ledger.positions.values()]
    return tuple(sorted(rows, key=lambda row: (row.stop_state == "ok", row.symbol)))


def _entries(engine: Engine, at_ns: int) -> tuple[EntryView, ...]:
    within_ms = engine.directive.risk.entry_ms
    return tuple(
        EntryView(
            symbol=order.symbol,
            intent=order.intent,
            side=order.side,
            leaves=order.leaves,
            price=order.price,
            price_digits=_digits(engine.market.symbols.get(order.symbol)),
            status=order.status,
            left_ms=max(0, within_ms - (at_ns - order.created_ns) // 1_000_000),
        )
        for order in engine.ledger.alive(leg=Leg.ENTRY)
    )


def _position(engine: Engine, position: Position, marks: accounting.Marks, at_ns: int, mono_ns: int) -> PositionView:
    mark = marks.get(position.symbol, position.entry)
    pnl = position.pnl(mark)
    state, seen = _stop(engine, position)
    since, held = position.naked_since_ns, engine.ledger.holds.get(position.symbol)
    market = engine.market.symbols.get(position.symbol)
    half, no_half = half_of(engine.ledger, position, None if market is None else market.instrument)
    naked = None if state == "ok" or since is None else max(0, (at_ns - since) // 1_000_000)
    return PositionView(
        symbol=position.symbol,
        intent=position.intent,
        side=position.side,
        qty=abs(position.qty),
        entry=position.entry,
        price=float(mark),
        price_digits=_digits(market),
        pnl=float(pnl),
        r=engine.ledger.r_of(position, pnl, abs(position.qty)),
        stop=position.plan.stop,
        stop_state=state,
        stop_seen_ms=None if seen is None else (mono_ns - seen) // 1_000_000,
        naked_ms=naked,
        liquidation=engine.manager.liquidation.get(position.symbol),
        held_ms=max(0, (at_ns - position.opened_ns) // 1_000_000),
        strategy=position.strategy,
        by=position.by,
        exit_ms=None if naked is None else engine.manager.protection.ladder.left_ms(position, mono_ns),
        held_by="" if held is None or held.until_ns <= at_ns else held.by,
        stop_qty=_stop_qty(engine, position),
        half=half,
        no_half=no_half,
        liquidation_known=position.symbol in engine.manager.liquidation,
    )


def _stop_qty(engine: Engine, position: Position) -> Decimal | None:
    """What stops that stand at the venue would close of it, the largest."""
    standing = (
        order.leaves
        for order in engine.ledger.alive(position.symbol, Leg.STOP)
        if order.side is exit_side(position) and engine.manager.protection.stands(order)
    )
    return max(standing, default=None)


def _stop(engine: Engine, position: Position) -> tuple[str, int | None]:
    """What stands behind a position: `ok` needs a confirmed stop of its side, at its price and at least its size, and
    that the venue has shown it since this start; `unseen` is one that only the journal tells of yet."""
    state = "NAKED"
    for order in engine.ledger.alive(position.symbol, Leg.STOP):
        if order.side is not exit_side(position):
            continue
        covers = engine.manager.protection.stands(order) and order.leaves >= abs(position.qty)
        if covers and order.trigger == position.plan.stop:
            seen = engine.manager.asker.seen.get(order.client_id)
            return "unseen" if seen is None else "ok", seen
        doubtful = order.status is OrderStatus.UNKNOWN or order.client_id in engine.manager.protection.doubted
        state = "UNKNOWN" if doubtful else "wait"
    return state, None


def _book(engine: Engine, state: SymbolMarket, depth: int) -> BookView:
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
        funding_in_ms=max(0, (state.next_funding_ns - engine.market.now_ns) // 1_000_000),
        marks=_marks(engine, instrument.symbol),
    )


def _marks(engine: Engine, symbol: str) -> tuple[BookMark, ...]:
    """Ours at their prices: working orders, entry and liquidation, and what an open card would do."""
    ledger, marks = engine.ledger, []
    for order in ledger.alive(symbol):
        price = order.trigger if order.conditional else order.price
        if price is not None:
            marks.append(BookMark(price=price, label=f"{order.leg.word} P{order.intent}"))
    position = ledger.positions.get(symbol)
    if position is not None:
        marks.append(BookMark(price=position.entry, label=f"in P{position.intent}"))
        liquidation = engine.manager.liquidation.get(symbol)
        if liquidation:
            marks.append(BookMark(price=liquidation, label=f"liq P{position.intent}"))
    for proposal in ledger.cards():
        if proposal.symbol == symbol:
            how = "market" if proposal.market else "limit"
            marks.append(BookMark(price=proposal.limit, label=f"{how} {proposal.handle}"))
            marks.append(BookMark(price=proposal.plan.stop, label=f"stop {proposal.handle}"))
            marks += [BookMark(price=price, label=f"target {proposal.handle}") for price in proposal.plan.targets]
    return tuple(marks)


def _proposals(
    engine: Engine, marks: accounting.Marks, quotes: Mapping[str, Quote], mono_ns: int
) -> tuple[ProposalView, ...]:
    cards = tuple(engine.ledger.cards())
    if not cards:
        return ()
    shocks = Shocks(engine.ledger, marks, engine.manager.liquidation, engine.targets.beta)
    return tuple(
        ProposalView(
            proposal=card,
            price_digits=_digits(engine.market.symbols.get(card.symbol)),
            left_ms=max(0, (card.expires_mono_ns - mono_ns) // 1_000_000),
            shown=card.shown,
            shock=shocks.with_card(card),
            margin=float(card.qty * card.limit / card.leverage),
            edge_bp=_edge_bp(card, quotes.get(card.symbol)),
        )
        for card in cards
    )


def _edge_bp(card: Proposal, quote: Quote | None) -> float:
    """What the target pays less the taker fee of both ways and the spread; 0 without a target or a market."""
    if card.plan.target is None or quote is None or not quote.valid:
        return 0.0
    distance_bp = float((card.plan.target / card.limit - 1) * 10_000) * card.side.sign
    return distance_bp - 2 * quote.taker_fee * 1e4 - quote.spread_bp


def _macro(engine: Engine, macro: Macro, at_ns: int, mono_ns: int) -> MacroView:
    past, watch = engine.ledger.macro, engine.shield.macro
    if not past.source:
        return MacroView(reason="no source of dominance and cap has spoken yet")
    judged, age_ns = watch.judged(past), watch.age_ns(past, at_ns, mono_ns)
    return MacroView(
        source=past.source,
        dominance_pt=judged.slow.dominance if judged.slow else None,
        cap_pct=judged.slow.cap if judged.slow else None,
        age_ms=age_ns // 1_000_000,
        reason=stale(age_ns) if macro is Macro.UNKNOWN and judged.slow else judged.reason,
    )


def _targets(engine: Engine, quotes: Mapping[str, Quote], macro: Macro) -> tuple[Target, ...]:
    """The hunting table, each row with what stands in its way or is under way there."""
    market, ledger = engine.market, engine.ledger
    hours = {symbol: state.bars.get(HOURLY, ()) for symbol, state in market.symbols.items()}
    busy = {card.symbol: f"{card.handle} waiting" for card in ledger.cards()}
    busy |= {order.symbol: f"P{order.intent} entering" for order in ledger.alive(leg=Leg.ENTRY)}
    busy |= {position.symbol: f"P{position.intent} open" for position in ledger.positions.values()}
    table = engine.targets.table(hours, quotes, market.now_ns)
    gate = "" if macro is Macro.SHARK else f"macro {macro.lower()}"
    return tuple(replace(row, note=busy.get(row.symbol, gate)) for row in table)


def _differences(engine: Engine, marks: accounting.Marks) -> tuple[Difference, ...]:
    ledger, manager = engine.ledger, engine.manager
    found = []
    for symbol, foreign in sorted(ledger.foreign.items()):
        position = ledger.positions.get(symbol)
        ours = ZERO if position is None else position.qty
        found.append(
            Difference(
                symbol=symbol,
                venue=manager.venue_qty.get(symbol, ours + foreign),
                ours=ours,
                entry=manager.venue_entry.get(symbol, ZERO),
                price=float(marks.get(symbol, ZERO)),
                price_digits=_digits(engine.market.symbols.get(symbol)),
                liquidation=manager.liquidation.get(symbol) or None,
            )
        )
    return tuple(found)


def _watch(engine: Engine, state: SymbolMarket, quote: Quote) -> WatchRow:
    regime = engine.cortex.regime(state.instrument.symbol)
    return WatchRow(
        symbol=state.instrument.symbol,
        last=state.last,
        price_digits=state.instrument.price_digits,
        change_pct=state.change_pct(),
        regime=regime.regime,
        confidence=regime.confidence,
        age_ms=quote.age_ms,
    )


def _digits(state: SymbolMarket | None) -> int:
    return 2 if state is None else state.instrument.price_digits
