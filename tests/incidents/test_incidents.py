"""What has gone wrong elsewhere, in public, as a test of what happens here. One line an incident, its source first.

Not applicable: alpaca-py re-POSTs an order on a 504, four times, unless told otherwise. No account here trades Alpaca
yet; its broker has to send with retries off and find an order by its client id.
"""

from collections import Counter
from decimal import Decimal

import pytest
from checker import Checker
from drills import DRILLS, run
from faulty import LOST_AFTER, LOST_BEFORE, REFUSED, SLOW, Fault
from msgspec.structs import replace
from wire_world import WireWorld, warped
from world import BTC, SOL, World, virtual

from nexus_engine.model.commands import ClosePosition, Halt, MoveStop
from nexus_engine.model.effects import Query
from nexus_engine.model.events import AnyEvent, Instruments, QueryResult, Stopping
from nexus_engine.model.facts import OrderIntended
from nexus_engine.model.words import Latch, Leg, OrderKind, OrderStatus, Outcome, Side

ALGO_ONLY = (-4120, "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.")
GONE_S = 3.5
BY_NAME = {drill.name: drill for drill in DRILLS}


async def again(world: World, after_s: float = 0.5) -> None:
    """Killed, and started some time later."""
    await world.kill()
    await world.run(after_s)
    world.start()


async def holding(world: World, **more: object) -> Decimal:
    await world.start().ready()
    await world.enter(**more)
    await world.run(2.0)
    return world.held()


def ids(world: World) -> Counter[str]:
    """Every order that the venue ever took, by client id."""
    ledger = world.venue.account.ledger
    plain = [order.client_id for order in ledger.orders.values() if not order.algo_id]
    return Counter([*plain, *(algo.client_id for algo in ledger.algos.values())])


# ---- restarts --------------------------------------------------------------------------------------------------------


@virtual
async def test_a_restart_with_a_position_of_ten_days() -> None:
    """nautilus_trader #3104: a restart with a position that was ten days old failed."""
    world = World()
    held = await holding(world, target_pct=None)
    await again(world, 10 * 86_400.0)
    await world.ready()
    await world.run(5.0)
    assert world.held() == world.ours() == held
    assert world.protected() and world.converged()
    assert not world.ledger.latches and not world.ledger.foreign


@virtual
async def test_restarts_place_nothing_anew() -> None:
    """nautilus_trader #3176: every restart placed the orders once more."""
    world = World()
    await holding(world)
    placed = ids(world)
    for _ in range(8):
        await again(world)
        await world.ready()
        await world.run(6.0)
    assert ids(world) == placed
    assert len(world.resting()) == len(world.stops()) == 1


@virtual
async def test_a_warm_restart_leaves_what_is_held() -> None:
    """nautilus_trader #4736: a restart over its own state flattened the position."""
    world = World()
    held = await holding(world)
    await again(world)
    await world.run(70.0)
    assert world.held() == world.ours() == held
    assert not world.sent(leg=Leg.EXIT)


@virtual
async def test_a_fill_before_its_instrument_is_known() -> None:
    """nautilus_trader #3775: a fill whose instrument was not loaded yet was dropped, and a phantom position stayed."""
    world = await World().start().ready()
    world.wish(limit_pct=-0.02, target_pct=None)
    await world.until(world.resting)
    await world.kill()
    world.tape.move(SOL, 149.5)
    world.venue.advance(200_000_000, world.clock.utc_ns())
    world.venue.take_events()
    assert world.held()
    world._build()
    post = world.carrier.post

    def without(event: AnyEvent) -> None:
        if not isinstance(event, Instruments):
            post(event)

    world.carrier.post = without  # type: ignore[method-assign]
    world.start()
    await world.until(lambda: world.ours() == world.held() and world.protected(), 3.0)
    await world.run(3.0)
    assert world.converged()


@virtual
async def test_a_comparison_that_never_ends_is_bounded_and_said() -> None:
    """nautilus_trader #3622: reconciliation went round and never converged."""
    world = World()
    await holding(world, target_pct=None)
    world.wire.faults.append(Fault(call="query", kind=LOST_BEFORE, count=0))
    world.wire.faults.append(Fault(call="submit", kind=LOST_BEFORE, leg=Leg.ENTRY))
    world.wish(BTC)
    await world.run(2.0)
    world.ask_account()
    begun = len(world.sent("snapshot"))
    await world.until(lambda: Latch.PROTECT_ONLY in world.ledger.latches, 40.0)
    assert world.said("cannot reconcile with the venue")
    assert len(world.sent("snapshot")) - begun < 20
    assert world.protected()


@virtual
async def test_an_order_is_written_down_before_it_is_sent() -> None:
    """freqtrade: the order went out before anything was stored, so a kill between them left an orphan."""
    world = await World().start().ready()
    unwritten: list[str] = []

    def look(when: str) -> None:
        known = {fact.order.client_id for fact in world.journal.facts() if isinstance(fact, OrderIntended)}
        unwritten.extend(cid for cid in world.sent() if cid not in known)

    world.wire.on_call = look
    await world.enter()
    world.command(ClosePosition(symbol=SOL))
    await world.until(lambda: not world.ours() and world.converged())
    await world.run(1.0)
    assert len(world.sent()) >= 4
    assert unwritten == []


@virtual
async def test_an_order_that_is_not_found_at_a_start_is_not_taken_for_cancelled() -> None:
    """freqtrade: whatever order was not found at a start counted as cancelled, whatever its age."""
    world = await World().start().ready()
    world.wire.faults.append(Fault(call="submit", kind=SLOW, leg=Leg.ENTRY, delay_s=4.0))
    world.wish(target_pct=None)
    await world.until(lambda: world.sent(leg=Leg.ENTRY))
    cid = world.sent(leg=Leg.ENTRY)[0]
    await again(world)
    await world.run(1.5)
    assert world.ledger.orders[cid].alive
    await world.run(12.0)
    assert world.converged() and world.protected()
    assert sum(ids(world)[each] for each in ids(world) if each.endswith("e1")) <= 1


@virtual
async def test_a_dead_process_leaves_its_stop_at_the_venue() -> None:
    """hummingbot: the stop loss lived in the process, so a dead process left the position bare."""
    world = World()
    await holding(world, target_pct=None)
    await world.kill()
    world.tape.move(SOL, 147.0)
    world.venue.advance(200_000_000, world.clock.utc_ns())
    assert not world.held()
    world.start()
    await world.until(lambda: not world.ours() and world.converged(), 5.0)
    assert len(world.ledger.closed) == 1


# ---- answers that are lost -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delay_s", [0.1, 3.0], ids=["#493", "#6033"])
@virtual
async def test_a_lost_answer_is_no_failure_and_no_second_order(delay_s: float) -> None:
    """hummingbot #493, #6033: a timeout, or a 503, was taken for a failure; the order filled, and another was sent."""
    world = await World().start().ready()
    world.wire.faults.append(Fault(call="submit", kind=LOST_AFTER, leg=Leg.ENTRY, delay_s=delay_s))
    world.wire.faults.append(Fault(call="user", kind="lost", count=0))
    world.wish(target_pct=None)
    for _ in range(40):
        await world.run(0.25)
        world.wishes.queue.clear()
        world.wish(target_pct=None)
    assert len(world.sent(leg=Leg.ENTRY)) == 1
    assert world.covered() and world.converged()


@virtual
async def test_a_close_that_is_answered_with_503_is_gone_on_with() -> None:
    """hummingbot #5801: a 503 on the close, and the bot went on with the leg open."""
    world = World()
    await holding(world, target_pct=None)
    world.wire.faults.append(Fault(call="submit", kind=REFUSED, leg=Leg.EXIT, count=4, code=-1001))
    world.command(ClosePosition(symbol=SOL))
    await world.until(lambda: not world.held(), 10.0)
    await world.until(world.converged, 3.0)


@virtual
async def test_an_order_that_was_not_found_and_then_is() -> None:
    """freqtrade #6392: the venue answered 404 for an order, and had it a moment later."""
    world = await World().start().ready()
    world.wire.faults.append(Fault(call="submit", kind=LOST_AFTER, leg=Leg.ENTRY))
    world.wire.faults.append(Fault(call="user", kind="lost", count=0))
    found, absent = world.wire.direct.query, 2

    async def query(query: Query) -> QueryResult:
        nonlocal absent
        absent -= 1
        answer = await found(query)
        return replace(answer, outcome=Outcome.ABSENT, report=None, fills=()) if absent >= 0 else answer

    world.wire.direct.query = query  # type: ignore[method-assign]
    world.wish(target_pct=None)
    await world.until(lambda: absent < 1)
    assert world.held() and any(world.ledger.alive(SOL, Leg.ENTRY))
    await world.until(world.covered, 3.0)
    await world.run(12.0)
    assert world.converged()
    assert len(world.sent(leg=Leg.ENTRY)) == 1


# ---- stops -----------------------------------------------------------------------------------------------------------


@virtual
async def test_stops_are_conditional_orders_and_one_that_is_never_taken_ends_the_position() -> None:
    """nautilus_trader #3287, freqtrade #12610: from 2025-12-09 the venue refused stops as orders (-4120); positions
    stayed without one."""
    world = await World().start().ready()
    code, text = ALGO_ONLY
    world.wire.faults.append(Fault(call="submit", kind=REFUSED, leg=Leg.STOP, count=0, code=code, text=text))
    world.wish(target_pct=None)
    await world.until(world.held)
    await world.until(lambda: not world.held(), GONE_S)
    await world.until(world.converged, 3.0)
    assert all(order.conditional for order in world.orders(Leg.STOP))
    for _ in range(5):
        world.wish(BTC)
        await world.run(1.0)
    assert len(world.sent(leg=Leg.ENTRY)) == 1
    assert world.said("none of the last 3 stops stood: Order type not supported")
    world.wire.faults.clear()
    await world.run(600.0)
    await world.enter(BTC)


@pytest.mark.parametrize("kind", [REFUSED, LOST_BEFORE, SLOW])
@virtual
async def test_whatever_keeps_a_stop_away_ends_the_position(kind: str) -> None:
    """freqtrade: only one kind of error led to an emergency exit, the others were logged."""
    world = await World().start().ready()
    world.wire.faults.append(Fault(call="submit", kind=kind, leg=Leg.STOP, count=0, delay_s=8.0))
    world.wish(target_pct=None)
    await world.until(world.held)
    await world.until(lambda: not world.held(), GONE_S)


@virtual
async def test_a_price_that_jumps_over_the_stop_is_left_at_market() -> None:
    """hummingbot #3277, freqtrade #12984: the stop was a limit order, the price went past it, nothing was filled."""
    world = World()
    await holding(world, target_pct=None)
    assert {order.kind for order in world.orders(Leg.STOP)} == {OrderKind.STOP_MARKET}
    assert {algo.type for algo in world.stops()} == {"STOP_MARKET"}
    world.tape.move(SOL, 140.0)
    await world.until(lambda: not world.held() and not world.ours(), 2.0)


@virtual
async def test_a_stop_that_is_moved_is_never_missing() -> None:
    """freqtrade: a trailing stop was cancelled first and placed afterwards, bare in between."""
    world = World()
    await holding(world, target_pct=None)
    stop = world.ledger.positions[SOL].plan.stop
    for step in range(1, 6):
        world.command(MoveStop(symbol=SOL, stop=stop + Decimal("0.1") * step))
        for _ in range(100):
            assert world.protected()
            await world.run(0.01)
    assert len(world.stops()) == 1


@warped
async def test_fifteen_moves_of_a_stop_all_arrive() -> None:
    """A public bot (57906978070): 15 of 15 moves of a close-all stop were refused with -4130, for eight days."""
    async with WireWorld() as world:
        await world.open()
        await world.until(lambda: not world.blocked and world.wire.rest.prepared)
        await world.enter(target_pct=None)
        stop = world.ledger.positions[SOL].plan.stop
        for step in range(1, 16):
            wanted = stop + Decimal("0.05") * step
            world.command(MoveStop(symbol=SOL, stop=wanted))
            await world.until(
                lambda wanted=wanted: (
                    [  # type: ignore[misc]
                        algo.trigger_ticks * world.tape.specs[SOL].tick for algo in world.stops()
                    ]
                    == [wanted]
                ),
                5.0,
            )
        algos = world.venue.account.ledger.algos.values()
        assert len(algos) == 16
        assert all(algo.reduce_only and algo.qty_lots and not algo.close_position for algo in algos)


# ---- storms and ends -------------------------------------------------------------------------------------------------


@virtual
async def test_a_strategy_that_is_refused_all_day_sends_no_storm() -> None:
    """hummingbot #462: every order was refused and sent again, a hundred thousand of them in a day."""
    world = await World().start().ready()
    world.wire.faults.append(Fault(call="submit", kind=REFUSED, count=0, code=-2019, text="Margin is insufficient."))
    for _ in range(600):
        world.wishes.queue.clear()
        world.wish()
        await world.run(0.1)
    assert len(world.sent()) <= 10


@virtual
async def test_nothing_is_sent_after_a_halt_or_while_leaving() -> None:
    """hummingbot #720: orders left after the bot had been stopped."""
    world = await World().start().ready()
    world.wish(limit_pct=-0.5)
    await world.until(world.resting)
    world.command(Halt(reason="a test"))
    sent = len(world.sent())
    for _ in range(20):
        world.wish(BTC)
        await world.run(0.2)
    at_ns, mono_ns = world.now()
    world.carrier.post(Stopping(at_ns=at_ns, mono_ns=mono_ns))
    for _ in range(20):
        world.wish(BTC)
        await world.run(0.2)
    assert len(world.sent()) == sent
    assert not world.resting()


# ---- what the venue does by itself -----------------------------------------------------------------------------------


@pytest.mark.parametrize("cid", ["autoclose-1786", "adl_autoclose", "settlement_autoclose-3"])
@pytest.mark.parametrize("side", list(Side))
@virtual
async def test_what_the_venue_closes_by_force_is_booked_and_its_orders_go(cid: str, side: Side) -> None:
    """hummingbot, and 2025-10-10: liquidations and deleveraging carry ids that nobody knows, and were ignored."""
    world = World()
    held = await holding(world, side=side)
    world.by_hand(SOL, side.opposite, str(abs(held)), cid)
    await world.until(lambda: not world.ours(), 6.0)
    await world.until(world.converged, 3.0)
    assert [trade.symbol for trade in world.ledger.closed] == [SOL]
    assert not world.ledger.foreign and Latch.PROTECT_ONLY not in world.ledger.latches


# ---- streams ---------------------------------------------------------------------------------------------------------

STREAMS = {
    "python-binance: connected, silent for 40 s, nobody noticed": "books: mute for 8 s",
    "python-binance: one malformed frame ended the read loop for good": "books: garbage",
    "python-binance: a user's malformed frame did the same": "user: garbage",
    "python-binance: listenKeyExpired was not handled, blind for five minutes": "listen key: expires at the fill",
    "hummingbot: listenKeyExpired was not handled": "listen key: expires in calm",
    "python-binance: a book was replaced by its diffs, without looking at the ids": "books: a diff lost",
    "python-binance: -1007 and a cut connection looked like failures": "entry: 408 -1007, executed",
    "python-binance: an HTML 502 became code 0": "entry: HTML 502, executed",
    "python-binance: the clock's offset was read once": "venue: 5 minutes ahead for 20 s",
}


@pytest.mark.parametrize("incident", STREAMS)
def test_a_librarys_fault_is_none_of_ours(incident: str) -> None:
    """What libraries did in our measurements, against the same faults of the loopback venue."""
    outcome = run(BY_NAME[STREAMS[incident]])
    assert outcome.found == [], "\n".join(outcome.seen)


@warped
async def test_a_venue_that_is_down_for_a_minute_is_come_back_to() -> None:
    """python-binance: gave up after five tries, in 19 s, and never returned."""
    async with WireWorld() as world:
        checker = Checker(world)
        await world.open()
        await world.until(lambda: not world.blocked and world.wire.rest.prepared)
        await world.enter(target_pct=None)
        await world.go_down()
        await world.run(60.0)
        assert world.blocked
        await world.serve()
        await world.until(lambda: world.up and not world.blocked and world.converged(), 35.0)
        assert world.protected() and checker.end() == []


def test_the_words_of_an_order_have_a_place_for_what_is_not_known() -> None:
    """nautilus_trader's policy, and everybody's incidents: a timeout is neither a fill nor a failure."""
    assert not OrderStatus.UNKNOWN.terminal
