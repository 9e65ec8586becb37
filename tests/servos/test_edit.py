"""Other numbers on a card: shown again, never larger, never over the risk of a trade, and never sent by the edit."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_loop import run_virtual
from world import BTC, SOL, World, virtual

from nexus_engine.core import accounting
from nexus_engine.model.commands import Edit, Halt
from nexus_engine.model.config import percent_of
from nexus_engine.model.facts import Noted
from nexus_engine.model.proposals import Proposal
from nexus_engine.model.told import quantity
from nexus_engine.model.words import Leg, Mode, OrderKind, ProposalStatus, Side


def now(world: World, card: Proposal) -> Proposal:
    return world.ledger.proposals[card.id]


def edit(world: World, card: Proposal, **changes: object) -> str:
    return world.command(Edit(proposal=card.id, shown=card.shown, **changes))  # type: ignore[arg-type]


async def carded(side: Side = Side.BUY, **more: object) -> tuple[World, Proposal]:
    world = await World(mode=Mode.COPILOT).start().ready()
    return world, await world.proposal(side=side, **more)


@pytest.mark.parametrize("part", [0.5, 0.25])
@virtual
async def test_a_part_is_that_part_rounded_down_and_the_card_is_looked_at_again(part: float) -> None:
    world, card = await carded()
    told = edit(world, card, part=part)
    edited = now(world, card)
    step = world.engine.market.symbols[SOL].instrument.step
    exact = card.qty * Decimal(str(part))
    assert exact - step < edited.qty <= exact
    assert (edited.status, edited.part, edited.limit, edited.plan) == (
        ProposalStatus.PENDING,
        part,
        card.limit,
        card.plan,
    )
    assert edited.worst / edited.qty == card.worst / card.qty
    assert (edited.expires_mono_ns, edited.handle) == (card.expires_mono_ns, card.handle)
    assert quantity(edited.qty) in told
    assert "look again" in world.approve(card)
    assert world.approve(edited) == f"{card.handle} approved"
    await world.until(world.covered)
    assert world.held() == edited.qty
    [fact] = [fact for fact in world.journal.facts() if isinstance(fact, Noted) and "edited" in fact.text]
    assert fact.by == "you"


@virtual
async def test_parts_of_parts_never_grow_again() -> None:
    world, card = await carded()
    edit(world, card, part=0.5)
    half = now(world, card)
    edit(world, half, part=1.0)
    assert now(world, card).qty == half.qty
    edit(world, half, part=0.5)
    assert now(world, card).part == 0.25
    for part in (0.0, -1.0, 1.5, float("nan")):
        assert "part" in edit(world, now(world, card), part=part)
    assert now(world, card).part == 0.25


@pytest.mark.parametrize("side", list(Side))
@virtual
async def test_a_nearer_stop_lowers_the_worst_case_and_keeps_the_size(side: Side) -> None:
    world, card = await carded(side)
    stop = (card.plan.stop + (card.limit - card.plan.stop) / 2).quantize(Decimal("0.01"))
    edit(world, card, stop=stop)
    edited = now(world, card)
    assert (edited.plan.stop, edited.qty) == (stop, card.qty)
    assert edited.worst < card.worst
    assert edited.r_multiple > card.r_multiple
    world.approve(edited)
    await world.until(world.covered)
    [standing] = world.stops()
    assert world.engine.market.symbols[SOL].instrument.price(standing.trigger_ticks) == stop


@virtual
async def test_a_wider_stop_shrinks_the_size_to_the_risk_of_a_trade() -> None:
    world, card = await carded()
    edit(world, card, stop=card.plan.stop - 10)
    edited = now(world, card)
    equity = accounting.equity(world.ledger, world.engine.market.marks())
    limit = percent_of(world.directive.risk.trade_risk_pct, equity)
    assert edited.qty < card.qty
    assert limit * Decimal("0.95") < edited.worst <= limit


@virtual
async def test_a_stop_that_is_not_behind_the_price_is_refused() -> None:
    world, card = await carded()
    for stop in (card.limit, card.limit + 5, Decimal(0), Decimal(-3), Decimal("NaN"), Decimal("Infinity")):
        told = edit(world, card, stop=stop)
        assert "not behind" in told, (stop, told)
    assert now(world, card) == card


@virtual
async def test_at_market_it_is_reckoned_with_what_the_book_holds_and_leaves_as_a_market_order() -> None:
    world, card = await carded()
    edit(world, card, market=True)
    edited = now(world, card)
    assert edited.market
    assert edited.shown != card.shown
    book = world.engine.market.symbols[SOL].book
    ticks, _ = book.sweep(True, float(edited.qty))
    assert float(edited.limit) >= ticks * 0.01 - 0.01
    assert edited.worst >= edited.qty * (edited.limit - edited.plan.stop)
    world.approve(edited)
    await world.until(world.covered)
    [entry] = world.orders(Leg.ENTRY)
    assert (entry.kind, entry.price, entry.filled) == (OrderKind.MARKET, None, edited.qty)
    assert world.ledger.positions[SOL].entry <= edited.limit


@virtual
async def test_back_to_a_limit() -> None:
    world, card = await carded()
    edit(world, card, market=True)
    edit(world, now(world, card), market=False)
    edited = now(world, card)
    assert not edited.market
    world.approve(edited)
    await world.until(world.covered)
    assert world.orders(Leg.ENTRY)[0].price == edited.limit


@virtual
async def test_a_book_that_does_not_hold_the_size_is_no_market() -> None:
    world, card = await carded()
    world.tape.lots[SOL] = 2
    await world.run(0.5)
    assert "the book does not hold" in edit(world, card, market=True)
    assert now(world, card) == card


@virtual
async def test_a_repriced_card_keeps_what_a_person_chose() -> None:
    world, card = await carded()
    stop = card.plan.stop + Decimal("0.30")
    edit(world, card, part=0.5, stop=stop, market=True)
    edited = now(world, card)
    world.tape.move(SOL, 150.5)
    await world.until(lambda: now(world, card).status is ProposalStatus.STALE, 3.0)
    stale = now(world, card)
    assert (stale.plan.stop, stale.market, stale.part) == (stop, True, 0.5)
    assert stale.qty <= edited.qty


@virtual
async def test_an_edit_of_what_was_not_shown_or_is_over_changes_nothing() -> None:
    world, card = await carded()
    edit(world, card, part=0.5)
    assert "look again" in edit(world, card, part=0.5)
    assert "no such proposal" in world.command(Edit(proposal=99, shown=card.shown, part=0.5))
    await world.run(121.0)
    assert "EXPIRED" in edit(world, now(world, card), part=0.5)
    assert not world.sent()


@virtual
async def test_a_halt_ends_the_card_and_a_smaller_one_than_the_venue_takes_is_none() -> None:
    world, card = await carded()
    assert "smallest order" in edit(world, card, part=0.0001)
    assert now(world, card) == card
    world.command(Halt())
    assert "EXPIRED" in edit(world, card, part=0.5)


@settings(max_examples=25, deadline=None)
@given(
    side=st.sampled_from(list(Side)),
    parts=st.lists(st.sampled_from([1.0, 0.5, 0.25]), min_size=1, max_size=3),
    stop_pct=st.one_of(st.none(), st.floats(0.05, 20.0)),
    market=st.one_of(st.none(), st.booleans()),
)
def test_whatever_is_edited_the_worst_case_fits_and_the_size_never_grows(
    side: Side, parts: list[float], stop_pct: float | None, market: bool | None
) -> None:
    async def story() -> None:
        world, card = await carded(side)
        equity = accounting.equity(world.ledger, world.engine.market.marks())
        for part in parts:
            before = now(world, card)
            stop = None
            if stop_pct is not None:
                stop = (before.limit * (1 - Decimal(stop_pct) / 100 * side.sign)).quantize(Decimal("0.01"))
            edit(world, before, part=part, stop=stop, market=market)
            after = now(world, card)
            assert after.qty <= before.qty
            assert after.worst <= percent_of(world.directive.risk.trade_risk_pct, equity)
            assert (after.limit - after.plan.stop) * side.sign > 0
        assert not world.sent()

    run_virtual(story())


@virtual
async def test_a_market_entry_in_flight_counts_as_exposure() -> None:
    world, card = await carded(risk_pct=0.1)
    edit(world, card, market=True)
    world.approve(now(world, card))
    assert accounting.exposure(world.ledger, world.engine.market.marks()) > 1_000
    assert BTC in world.engine.market.symbols


@pytest.mark.parametrize("stop", ["1e20", "1e30", "1e300", "1e400"])
@virtual
async def test_a_stop_of_an_absurd_length_is_refused_and_breaks_nothing(stop: str) -> None:
    world, card = await carded(Side.SELL)
    told = edit(world, card, stop=Decimal(stop))
    assert not world.said("the engine failed"), world.notes
    assert card.handle in told
    assert now(world, card) == card


@virtual
async def test_a_card_shows_the_leverage_that_the_venue_is_set_to() -> None:
    world, card = await carded()  # the wish asks for 3 and so does the directive, the strategy that is on allows 2
    assert card.leverage == world.engine.directive.risk.leverage == 2
    assert world.approve(card) == f"{card.handle} approved"
    await world.until(world.covered)
    assert world.ledger.positions[SOL].leverage == 2


@pytest.mark.parametrize("side", list(Side))
@virtual
async def test_a_card_ends_when_price_passes_the_stop_that_a_person_has_set(side: Side) -> None:
    world, card = await carded(side)
    edit(world, card, stop=Decimal(150) - side.sign * Decimal("0.20"))
    edited = now(world, card)
    world.tape.move(SOL, 150 - side.sign * 0.25)
    await world.until(lambda: not now(world, card).status.open, 1.0)
    assert (now(world, card).status, now(world, card).reason) == (
        ProposalStatus.EXPIRED,
        "price is beyond its stop",
    )
    assert "EXPIRED" in world.approve(edited)
    assert not world.sent()


@pytest.mark.parametrize("side", list(Side))
@virtual
async def test_an_approval_at_the_instant_price_passes_the_stop_is_refused_and_says_so(side: Side) -> None:
    world, card = await carded(side)
    edit(world, card, stop=Decimal(150) - side.sign * Decimal("0.20"))
    edited = now(world, card)
    await world.until(lambda: world.clock.mono_ns() // 1_000_000 % 250 > 20)
    tick(world, 150 - side.sign * 0.25)
    assert edited.status.open
    assert world.approve(edited) == f"{card.handle} not sent: price is beyond its stop"
    assert now(world, card).status is ProposalStatus.EXPIRED
    await world.run(1.0)
    assert not world.sent()


@virtual
async def test_a_stop_that_the_mark_is_beyond_is_beyond_the_price_whatever_the_book_shows() -> None:
    world, card = await carded()
    edit(world, card, stop=Decimal("149.80"))
    edited = now(world, card)
    state = world.engine.market.symbols[SOL]
    state.mark = 149.79
    assert "price is beyond its stop" in world.approve(edited)
    assert not world.sent()


def tick(world: World, price: float, mark_off: float = 0.0) -> None:
    """The mark and the whole book are there at once, before any pulse."""
    state = world.engine.market.symbols[SOL]
    ticks = round(price * 100)
    levels = [tuple((ticks + sign * step, 1_000_000) for step in range(1, 6)) for sign in (-1, 1)]
    state.book.snapshot(levels[0], levels[1], state.book.update_id + 1)
    state.mark = price + mark_off


@settings(max_examples=40, deadline=None)
@given(
    side=st.sampled_from(list(Side)),
    maker=st.booleans(),
    stop_ticks=st.integers(5, 120),
    price_ticks=st.integers(-130, 130),
    mark_ticks=st.integers(-3, 3),
)
def test_no_approval_is_sent_with_a_price_beyond_the_stop(
    side: Side, maker: bool, stop_ticks: int, price_ticks: int, mark_ticks: int
) -> None:
    async def story() -> None:
        world, card = await carded(side, post_only=maker)
        edit(world, card, stop=Decimal(150) - side.sign * Decimal(stop_ticks) / 100)
        edited = now(world, card)
        tick(world, 150 - side.sign * price_ticks / 100, mark_ticks / 100)
        told = world.approve(edited)
        quote = world.engine.market.symbols[SOL].quote(world.now()[1])
        touch = quote.ask if (side is Side.BUY) is not maker else quote.bid
        behind = min(touch * side.sign, quote.mark * side.sign) > float(edited.plan.stop) * side.sign
        if any(world.ledger.alive(leg=Leg.ENTRY)):
            assert behind
        if not behind:
            assert told == f"{card.handle} not sent: price is beyond its stop"
            assert now(world, card).status is ProposalStatus.EXPIRED

    run_virtual(story())
