"""Who decides an entry, and how often."""

import pytest
from msgspec.structs import replace
from world import BTC, SOL, World, virtual

from nexus_engine.model.commands import Approve, Flatten, Halt, Reject, Release, SetMode
from nexus_engine.model.events import Commanded, Instruments
from nexus_engine.model.facts import SWAN_LOCK, LockSet
from nexus_engine.model.words import Latch, Leg, Mode, ProposalStatus, Side, TradingState


@virtual
async def test_pilot_sends_by_itself() -> None:
    world = await World(mode=Mode.PILOT).start().ready()
    await world.enter()
    [entry] = world.orders(Leg.ENTRY)
    assert entry.by == "bot"
    assert world.ledger.proposals[entry.intent].status is ProposalStatus.EXECUTED


@virtual
async def test_watcher_tells_and_sends_nothing() -> None:
    world = await World(mode=Mode.WATCHER).start().ready()
    world.wish()
    await world.until(lambda: world.said("wish: BUY"))
    await world.run(3.0)
    assert not world.sent()
    assert not world.ledger.proposals


@virtual
async def test_copilot_waits_for_a_yes() -> None:
    world = await World(mode=Mode.COPILOT).start().ready()
    card = await world.proposal()
    await world.run(2.0)
    assert not world.sent()
    assert world.approve(card) == f"{card.handle} approved"
    await world.until(lambda: world.covered(), 2.0)
    [entry] = world.orders(Leg.ENTRY)
    assert entry.by == "you"


@virtual
async def test_an_approval_executes_once_whoever_repeats_it() -> None:
    world = await World(mode=Mode.COPILOT).start().ready()
    card = await world.proposal()
    world.approve(card)
    for by in ("you", "telegram", "you"):
        world.command(Approve(proposal=card.id, shown=card.shown), by)
    world.command(Reject(proposal=card.id))
    await world.run(3.0)
    assert world.approve(card) == f"{card.handle} is already EXECUTED"
    assert len(world.sent(leg=Leg.ENTRY)) == 1


@virtual
async def test_an_approval_of_other_numbers_is_none() -> None:
    world = await World(mode=Mode.COPILOT).start().ready()
    card = await world.proposal()
    other = replace(card, qty=card.qty * 2)
    assert "look again" in world.approve(other)
    assert "no such proposal" in world.command(Approve(proposal=99, shown=card.shown))
    await world.run(1.0)
    assert not world.sent()
    assert world.open_cards() == [card]


@virtual
async def test_an_approval_after_its_time_is_none() -> None:
    world = await World(mode=Mode.COPILOT).start().ready()
    card = await world.proposal()
    await world.run(121.0)
    assert "EXPIRED" in world.approve(card)
    assert not world.sent()


@virtual
async def test_an_approval_at_the_instant_of_expiry_is_none_before_its_timer_has_fired() -> None:
    world = await World(mode=Mode.COPILOT).start().ready()
    card = await world.proposal()
    command = Approve(proposal=card.id, shown=card.shown)
    at_ns, _ = world.now()
    world.engine.on(Commanded(at_ns=at_ns, mono_ns=card.expires_mono_ns, command=command))
    assert world.engine.notebook.outcome is not None
    assert "has expired" in world.engine.notebook.outcome.text
    assert world.ledger.proposals[card.id].status is ProposalStatus.EXPIRED
    assert not any(world.ledger.alive())


@virtual
async def test_nothing_opens_on_a_symbol_that_the_venue_has_suspended() -> None:
    world = await World(mode=Mode.COPILOT).start().ready()
    card = await world.proposal()
    at_ns, mono_ns = world.now()
    suspended = tuple(replace(one, trading=one.symbol != SOL) for one in world.wire.direct.instruments())
    world.carrier.post(Instruments(at_ns=at_ns, mono_ns=mono_ns, instruments=suspended))
    assert "does not take orders" in world.approve(card)
    world.wish()
    await world.until(lambda: world.said("refused: the venue does not take orders"), 3.0)
    assert not world.sent()


@virtual
async def test_a_card_left_by_price_is_stale_and_can_be_approved_at_its_new_numbers() -> None:
    world = await World(mode=Mode.COPILOT).start().ready()
    card = await world.proposal()
    world.tape.move(SOL, 150.4)
    await world.until(lambda: world.ledger.proposals[card.id].status is ProposalStatus.STALE, 3.0)
    assert "look again" in world.approve(card)
    stale = world.ledger.proposals[card.id]
    assert stale.limit > card.limit
    assert stale.qty <= card.qty
    assert world.approve(stale) == f"{card.handle} approved"
    await world.until(lambda: world.covered(), 3.0)


@virtual
async def test_an_approval_at_the_instant_price_leaves_is_refused_and_shows_the_new_numbers() -> None:
    world = await World(mode=Mode.COPILOT).start().ready()
    card = await world.proposal()
    await world.until(lambda: world.clock.mono_ns() // 1_000_000 % 100 > 80)
    world.tape.move(SOL, 150.4)
    book = world.engine.market.symbols[SOL].book
    await world.until(lambda: (book.best_ask or (0, 0))[0] > 15_030)
    told = world.approve(card)
    assert "price has moved" in told or "look again" in told
    assert not world.sent()


@virtual
async def test_a_repriced_card_never_grows_and_fits_the_limits() -> None:
    world = await World(mode=Mode.COPILOT).start().ready()
    card = await world.proposal()
    world.tape.move(SOL, 149.0)
    await world.until(lambda: world.ledger.proposals[card.id].status is not ProposalStatus.PENDING, 3.0)
    now = world.ledger.proposals[card.id]
    assert now.qty <= card.qty
    if now.status.open:
        assert world.approve(now).endswith("approved")


@virtual
async def test_a_long_is_not_approved_after_a_black_swan() -> None:
    world = await World(mode=Mode.COPILOT).start().ready()
    card = await world.proposal()
    world.record(LockSet(at_ns=0, name=SWAN_LOCK, until_ns=world.tape.now_ns + 10**12, reason="it fell"))
    assert "it fell" in world.approve(card)
    assert not world.sent()


@virtual
async def test_watcher_takes_cards_and_working_entries_back() -> None:
    world = await World(mode=Mode.COPILOT).start().ready()
    working = await world.proposal(limit_pct=0.0)
    world.approve(working)
    world.tape.move(SOL, 150.1)
    await world.until(world.resting)
    card = await world.proposal(BTC, risk_pct=0.1)
    world.command(SetMode(mode=Mode.WATCHER))
    assert "EXPIRED" in world.approve(card)
    await world.until(lambda: not world.resting(), 2.0)
    assert len(world.sent(leg=Leg.ENTRY)) == 1


@virtual
async def test_going_up_needs_the_word() -> None:
    world = await World(mode=Mode.WATCHER).start().ready()
    assert "type pilot" in world.command(SetMode(mode=Mode.PILOT))
    assert world.ledger.mode is Mode.WATCHER
    assert world.command(SetMode(mode=Mode.PILOT, word="pilot")) == "mode PILOT"
    assert world.engine.mode is Mode.PILOT


@virtual
async def test_halt_takes_entries_back_refuses_approvals_and_lets_exits_live() -> None:
    world = await World(mode=Mode.COPILOT).start().ready()
    card = await world.proposal(BTC, risk_pct=0.1)
    world.approve(card)
    await world.until(lambda: world.covered(BTC))
    working = await world.proposal(limit_pct=0.0)
    world.approve(working)
    world.tape.move(SOL, 150.1)
    await world.until(world.resting)
    world.command(Halt(reason="lunch"))
    assert world.ledger.state is TradingState.HALTED
    assert await world.until(lambda: not world.resting(), 2.0) < 1.0
    assert world.protected(BTC)
    assert world.stops(BTC)
    world.wish()
    await world.run(2.0)
    assert not world.open_cards()
    assert world.said("HALT by you: lunch")
    world.tape.move(BTC, 93_000.0)
    await world.until(lambda: not world.held(BTC), 2.0)


@virtual
async def test_halt_and_mode_survive_a_restart_and_only_the_word_releases() -> None:
    world = await World(mode=Mode.COPILOT).start().ready()
    world.command(SetMode(mode=Mode.PILOT, word="pilot"))
    world.command(Halt())
    await world.kill()
    world.start()
    await world.run(3.0)
    assert world.engine.mode is Mode.PILOT
    assert "HALT" in world.blocked
    assert "type halt" in world.command(Release(latch=Latch.HALT, word="HALT"))
    world.command(Release(latch=Latch.HALT, word="halt"))
    await world.ready()
    await world.enter()


@virtual
async def test_a_restart_expires_the_cards() -> None:
    world = await World(mode=Mode.COPILOT).start().ready()
    card = await world.proposal()
    await world.kill()
    await world.start().ready()
    assert "EXPIRED" in world.approve(card)
    assert not world.sent()


@virtual
async def test_flatten_closes_everything_of_ours_and_needs_the_word() -> None:
    world = await World().start().ready()
    await world.enter(SOL)
    await world.enter(BTC, Side.SELL, risk_pct=0.1)
    world.command(Flatten(word=""))
    await world.run(1.0)
    assert world.held(SOL)
    assert world.command(Flatten(word="flat")) == "closing 2 positions at market"
    await world.until(lambda: not world.held(SOL) and not world.held(BTC), 2.0)
    await world.run(2.0)
    assert world.converged()
    assert not list(world.ledger.alive())


@virtual
async def test_leaving_in_order_takes_entries_back_and_leaves_stops() -> None:
    world = await World().start().ready()
    await world.enter(BTC, risk_pct=0.1)
    world.wish(limit_pct=-0.4)
    await world.until(world.resting)
    await world.stop()
    assert not world.resting()
    assert world.protected(BTC)
    assert world.stops(BTC)
    assert world.blocked == "the account is being closed"


@virtual
async def test_one_position_and_one_entry_at_a_time() -> None:
    world = await World().start().ready()
    world.wish(limit_pct=-0.4)
    await world.until(world.resting)
    world.wish()
    await world.run(2.0)
    assert world.said("is on its way")
    world.tape.move(SOL, 149.3)
    await world.until(lambda: world.covered())
    world.wish(side=Side.SELL)
    await world.run(2.0)
    assert world.said("is open")
    assert len(world.sent(leg=Leg.ENTRY)) == 1


@pytest.mark.parametrize("mode", [Mode.PILOT, Mode.COPILOT])
@pytest.mark.parametrize("side", list(Side))
@virtual
async def test_a_signal_whose_stop_the_mark_has_passed_is_refused(side: Side, mode: Mode) -> None:
    world = await World(mode=mode).start().ready()
    world.wish(side=side, stop_pct=0.2)
    off = -side.sign * 0.4
    world.tape.mark = lambda symbol: world.tape.price(symbol) + off  # type: ignore[method-assign]
    await world.until(lambda: world.said("price is beyond its stop"))
    assert not world.sent() and not world.ledger.proposals
