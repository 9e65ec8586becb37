"""The engine as a machine: what a turn leaves behind, what blocks entries, what a view changes."""

from decimal import Decimal
from typing import Any

import pytest
from world import BTC, SOL, World, virtual

from nexus_engine.core import accounting
from nexus_engine.core.market import Market
from nexus_engine.model.events import BookDelta, BookSnapshot, FeedStatus, JournalFailed, TimerFired, Trade
from nexus_engine.model.facts import Noted
from nexus_engine.model.turn import Turn
from nexus_engine.model.view import ViewRequest
from nexus_engine.model.words import Latch, Leg, Level, Side, Venue


@virtual
async def test_what_a_failed_turn_has_done_is_recorded_with_the_next() -> None:
    world = await World().start().ready()
    at_ns, mono_ns = world.now()
    engine, hands = world.engine, world.engine.manager

    def breaks(turn: object) -> None:
        hands.protection.leave(turn, world.ledger.positions[SOL], world.ours())  # type: ignore[arg-type]
        raise ZeroDivisionError

    await world.enter()
    hands.pulse = breaks  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        engine.on(TimerFired(at_ns=at_ns, mono_ns=mono_ns, key="pulse"))
    del hands.pulse
    await world.run(1.0)
    assert all(kept == folded for kept, folded in world.sealed())
    assert world.sent(leg=Leg.EXIT)
    await world.until(lambda: not world.held(), 2.0)


@virtual
async def test_entries_wait_for_the_accounts_stream() -> None:
    world = await World().start().ready()
    at_ns, mono_ns = world.now()
    world.carrier.post(FeedStatus(at_ns=at_ns, mono_ns=mono_ns, venue=Venue.BINANCE, feed="user", up=False))
    assert world.blocked == "the account's stream is down"
    world.carrier.post(FeedStatus(at_ns=at_ns, mono_ns=mono_ns, venue=Venue.BINANCE, feed="user", up=True))
    assert world.blocked == "not reconciled with the venue yet"
    await world.ready()


@virtual
async def test_a_journal_that_fails_stops_entries_and_keeps_exits() -> None:
    world = await World().start().ready()
    await world.enter(BTC, risk_pct=0.1)
    world.journal.failing = "disk full"
    world.wish()
    await world.run(2.0)
    assert not world.held(SOL)
    assert Latch.PROTECT_ONLY in world.ledger.latches
    world.tape.move(BTC, 93_900.0)
    await world.until(lambda: not world.held(BTC), 3.0)


@virtual
async def test_a_failed_journal_is_said_once() -> None:
    world = await World().start().ready()
    for _ in range(3):
        at_ns, mono_ns = world.now()
        world.carrier.post(JournalFailed(at_ns=at_ns, mono_ns=mono_ns, reason="disk full"))
    assert sum("disk full" in note for note in world.notes) == 1


@virtual
async def test_looking_changes_nothing() -> None:
    world = await World().start().ready()
    await world.enter()
    at_ns, mono_ns = world.now()
    before = world.ledger.digest(), len(world.journal.turns)
    request = ViewRequest(books=(SOL, BTC), chart=(SOL, "1m"), bars=50)
    first = world.engine.view(request, at_ns=at_ns, mono_ns=mono_ns)
    second = world.engine.view(request, at_ns=at_ns, mono_ns=mono_ns)
    assert second.seq == first.seq + 1
    assert (world.ledger.digest(), len(world.journal.turns)) == before
    [row] = second.positions
    assert (row.stop_state, row.naked_ms, row.side) == ("ok", None, Side.BUY)


@virtual
async def test_equity_and_the_days_result_follow_the_venues_wallet() -> None:
    world = await World().start().ready()
    await world.enter()
    world.tape.move(SOL, 154.0)
    await world.until(lambda: not world.ours())
    await world.run(2.0)
    marks = world.engine.market.marks()
    wallet = world.venue.account.ledger.wallet
    assert accounting.equity(world.ledger, marks) == wallet
    earned = accounting.day_pnl(world.ledger, marks)
    [trade] = world.ledger.closed
    assert earned == trade.pnl == world.ledger.day_realised - world.ledger.day_fees


@virtual
async def test_the_loss_streak_pauses_a_strategy_once() -> None:
    world = await World().start().ready()
    for _ in range(5):
        await world.enter(stop_pct=0.3)
        world.tape.move(SOL, 149.0)
        await world.until(lambda: not world.ours() and not any(world.ledger.alive()))
        world.tape.move(SOL, 150.0)
        await world.run(1.5)
    world.wish()
    await world.run(2.0)
    assert not world.held()
    assert sum("pauses" in note for note in world.notes) == 1
    await world.kill()
    await world.start().ready()
    world.wish()
    await world.run(2.0)
    assert not world.held()


@virtual
async def test_lines_of_the_log_are_facts_too() -> None:
    world = await World().start().ready()
    await world.enter()
    said = [fact.text for fact in world.journal.facts() if isinstance(fact, Noted)]
    rows = [row.text for row in world.engine.notebook.rows]
    assert rows == said
    assert any(fact.level is Level.GOOD for fact in world.journal.facts() if isinstance(fact, Noted))


@virtual
async def test_the_pulse_outlives_a_bug() -> None:
    world = await World().start().ready()
    await world.enter(target_pct=None, time_stop_ns=20 * 10**9)
    refresh, broken = world.engine.desk.refresh, []

    def once(turn: Turn) -> None:
        if not broken:
            broken.append(turn)
            raise ValueError("one bug")
        refresh(turn)

    world.engine.desk.refresh = once  # type: ignore[method-assign]
    await world.until(lambda: not world.held(), 25.0)
    assert broken


@virtual
async def test_the_regular_comparison_outlives_a_bug() -> None:
    world = await World().start().ready()
    compare, looks = world.engine.reconciler._compare, []

    def once(*args: Any) -> None:
        looks.append(args)
        if len(looks) == 1:
            raise ValueError("one bug")
        compare(*args)

    world.engine.reconciler._compare = once  # type: ignore[method-assign]
    await world.until(lambda: len(looks) == 2, 130.0)


@virtual
async def test_what_a_person_has_just_bought_or_ordered_counts_for_the_limits_and_on_the_screen() -> None:
    for price in (None, "94000"):
        world = await World().start().ready()
        assert world.ledger.wallet is not None
        qty = (world.ledger.wallet * Decimal("0.95") / 95_000).quantize(Decimal("0.001"))
        world.by_hand(BTC, Side.BUY, str(qty), price=price)
        if price is None:
            world.wish(SOL, risk_pct=0.5)
        else:
            # an order of somebody else's is known from the regular comparison
            await world.run(61.0)
            world.wish(SOL, risk_pct=0.5)
        await world.until(lambda: world.covered(SOL), 3.0)  # noqa: B023
        worth = qty * (95_000 if price is None else 94_000) + abs(world.held(SOL)) * 150
        assert worth <= world.ledger.wallet * Decimal("1.001")
        at_ns, mono_ns = world.now()
        view = world.engine.view(ViewRequest(), at_ns=at_ns, mono_ns=mono_ns)
        assert 95 < view.account.exposure_pct <= 100.1
        await world.kill()


@virtual
async def test_one_stamp_far_ahead_does_not_move_the_markets_clock() -> None:
    world = await World().start().ready()
    await world.enter(target_pct=None, time_stop_ns=3_600 * 10**9)
    before_ns = world.engine.market.now_ns
    world.tick(SOL, 150.0, 10**9)
    world.tick(SOL, 150.0, 10**9)
    await world.run(3.0)
    assert world.held()
    assert before_ns < world.engine.market.now_ns < before_ns + 4 * 10**9
    world.tick(SOL, 150.0, 72_000)
    world.tick(BTC, 95_000.0, 72_000)
    await world.until(lambda: not world.held(), 2.0)


@virtual
async def test_the_markets_clock_goes_on_from_the_journals_until_the_market_tells_the_time() -> None:
    world = await World().start().ready()
    await world.enter(target_pct=None)
    known_ns = world.ledger.market_ns
    assert 0 <= world.engine.market.now_ns - known_ns < 5 * 10**9
    await world.kill()
    world._build()
    assert world.engine.market.now_ns == known_ns
    # the journal knows a faster market than this one
    world.engine.market = Market(known_ns + 3_600 * 10**9)
    market = world.engine.market
    market.load(world.wire.direct.instruments())
    for symbol in (SOL, BTC):
        assert market.now_ns == known_ns + 3_600 * 10**9
        at_ns, mono_ns = world.now()
        market.trade(
            Trade(
                at_ns=at_ns, mono_ns=mono_ns, symbol=symbol, price=1.0, qty=1.0, buyer_is_maker=True, venue_ns=known_ns
            )
        )
    assert market.now_ns == known_ns


@virtual
async def test_a_book_whose_sides_cross_is_dropped_asked_for_anew_and_blocks_entries() -> None:
    world = await World().start().ready()
    book = world.engine.market.symbols[SOL].book
    asked: list[tuple[str, str]] = []
    world.carrier._resync_book = lambda symbol, reason: asked.append((symbol, reason))
    bid, ask = book.best_bid, book.best_ask
    assert bid is not None and ask is not None
    at_ns, mono_ns = world.now()
    for levels in (((ask[0] - 1, 1.0),), ((ask[0] + 5, 1.0),)):
        delta = BookDelta(
            at_ns=at_ns, mono_ns=mono_ns, symbol=SOL, update_id=1, bids=levels, asks=(), venue_ns=world.tape.now_ns
        )
        world.carrier.post(delta)
        assert book.valid is (levels[0][0] < ask[0])
    await world.run(0.01)
    assert asked == [(SOL, "its bids reach its asks")]
    world.wish()
    await world.until(lambda: world.said("refused"), 3.0)
    assert not world.sent()
    snapshot = BookSnapshot(
        at_ns=at_ns, mono_ns=mono_ns, symbol=SOL, update_id=2, bids=((9, 1.0),), asks=((8, 1.0),), venue_ns=1
    )
    world.carrier.post(snapshot)
    assert not book.valid
