"""Breakers on our own orders: they stop entries, say why and until when, and never an exit or a stop."""

from decimal import Decimal
from typing import Any

from faulty import REFUSED, Fault
from msgspec.structs import replace
from world import BTC, SOL, World, virtual

from nexus_engine.model.commands import ClosePosition, Flatten
from nexus_engine.model.config import Directive, ShieldConfig
from nexus_engine.model.effects import Record
from nexus_engine.model.facts import SWAN_ALERT, DayOpened, GuardTripped, LockSet
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.turn import Turn
from nexus_engine.model.words import UNSENT, Leg, Mode, OrderKind, OrderStatus, Side
from nexus_engine.shield import breaker
from nexus_engine.shield.breaker import rejected_in_row


def shield(**changed: Any) -> Directive:
    return Directive(shield=ShieldConfig(exit_pause_min=0, stops_window_min=0, low_trades=0, **changed))


async def refused_entries(world: World, count: int, symbol: str = SOL) -> None:
    world.wire.faults.append(Fault(call="submit", leg=Leg.ENTRY, kind=REFUSED, count=count))
    for at in range(count):
        world.wish(symbol)
        await world.until(lambda at=at: len(world.sent(leg=Leg.ENTRY)) == at + 1, 5.0)
        await world.run(0.3)


@virtual
async def test_five_refusals_in_a_row_lock_their_symbol_and_no_other() -> None:
    world = await World().start().ready()
    await refused_entries(world, 5)
    assert world.said("alarm SOLUSDT: SOLUSDT: 5 orders refused in a row: no entries there for 60 min")
    world.wish()
    await world.run(3.0)
    assert len(world.sent(leg=Leg.ENTRY)) == 5
    assert world.said("refused: SOLUSDT: 5 orders refused in a row")
    await world.enter(BTC)
    assert not world.blocked


def test_the_rate_is_looked_at_in_the_turn_that_sends_and_in_no_other() -> None:
    config, ledger = ShieldConfig(orders_a_minute=10), Ledger()

    def turn(orders: int) -> bool:
        now = Turn(ledger, at_ns=10**18, mono_ns=1, market_ns=1)
        for _ in range(orders):
            now.submit(leg=Leg.STOP, symbol=SOL, side=Side.SELL, kind=OrderKind.STOP_MARKET, qty=Decimal(1), intent=1)
        breaker.look(now, config)
        return any(isinstance(effect, Record) and isinstance(effect.fact, LockSet) for effect in now.effects)

    assert not turn(10)
    assert turn(1)
    ledger.locks.clear()
    assert not turn(0)
    assert turn(1)


@virtual
async def test_an_order_that_the_venue_takes_ends_the_row() -> None:
    world = await World().start().ready()
    await refused_entries(world, 4)
    await world.enter()
    world.command(ClosePosition(symbol=SOL))
    await world.until(lambda: not world.held() and not list(world.ledger.alive()), 5.0)
    world.calls.clear()
    await refused_entries(world, 4)
    assert not any(name.startswith("rejects") for name in world.ledger.locks)


@virtual
async def test_the_row_is_counted_across_a_restart_and_the_lock_outlives_one() -> None:
    world = await World().start().ready()
    await refused_entries(world, 3)
    await world.kill()
    await world.start().ready()
    world.calls.clear()
    await refused_entries(world, 2)
    assert world.ledger.locks["rejects:SOLUSDT"].until_ns > world.engine.market.now_ns
    await world.kill()
    await world.start().ready()
    world.wish()
    await world.run(3.0)
    assert len(world.sent(leg=Leg.ENTRY)) == 2


@virtual
async def test_refused_stops_count_and_are_tried_on_while_the_symbol_is_locked() -> None:
    world = await World().start().ready()
    world.wire.faults.append(Fault(call="submit", leg=Leg.STOP, kind=REFUSED, count=0))
    world.wish(target_pct=None)
    await world.until(lambda: "rejects:SOLUSDT" in world.ledger.locks, 5.0)
    before = len(world.sent(leg=Leg.STOP))
    await world.until(lambda: not world.held(), 5.0)
    assert len(world.sent(leg=Leg.STOP)) >= before and world.sent(leg=Leg.EXIT)


@virtual
async def test_a_lock_clears_itself_by_the_markets_clock() -> None:
    world = await World(speed=60.0, directive=shield(rejects_in_row=2, rejects_pause_min=2)).start().ready()
    await refused_entries(world, 2)
    assert "rejects:SOLUSDT" in world.ledger.locks
    await world.run(3.0)
    await world.enter()


@virtual
async def test_too_many_orders_in_a_minute_lock_all_entries_and_no_exit() -> None:
    world = await World(directive=shield(orders_a_minute=10)).start().ready()
    for _ in range(4):
        await world.enter(target_pct=None)
        world.command(ClosePosition(symbol=SOL))
        await world.until(lambda: not world.held() and not list(world.ledger.alive()), 5.0)
        if world.blocked:
            break
    assert "orders in a minute" in world.blocked
    [tripped] = [fact for fact in world.journal.facts() if isinstance(fact, GuardTripped)]
    [lock] = [fact for fact in world.journal.facts() if isinstance(fact, LockSet)]
    assert tripped.verdict.until_ns == lock.until_ns and tripped.verdict.inputs[0].value == 11


@virtual
async def test_what_is_held_when_the_breaker_trips_can_be_closed() -> None:
    world = await World(directive=shield(orders_a_day=10)).start().ready()
    await world.enter(target_pct=None)
    for _ in range(12):
        world.venue.account.conditionals.cancel_all(SOL, 0)
        await world.until(lambda: world.ledger.positions[SOL].naked_since_ns, 2.0)
        await world.until(lambda: world.covered(), 2.0)
    assert "orders since 00:00 UTC, limit 10" in world.blocked
    world.command(Flatten(word="flat"))
    await world.until(lambda: not world.held(), 2.0)
    world.wish()
    await world.until(lambda: world.said("BUY refused: 1"), 3.0)
    assert not world.held()


@virtual
async def test_the_days_orders_are_counted_across_restarts_and_a_new_day_begins_at_none() -> None:
    world = await World(mode=Mode.PILOT).start().ready()
    await world.enter()
    counted = world.ledger.day_orders
    assert counted >= 3
    await world.kill()
    world.start()
    assert world.ledger.day_orders == counted
    world.ledger.apply(DayOpened(at_ns=world.now()[0], day=world.ledger.day + 1, equity=world.ledger.day_equity))
    assert world.ledger.day_orders == 0


@virtual
async def test_what_our_own_carrier_took_back_is_no_refusal_of_the_venues() -> None:
    world = await World().start().ready()
    await refused_entries(world, 2)
    assert rejected_in_row(world.ledger, SOL) == 2
    ledger = Ledger().fold(world.journal.facts())
    refused = [order for order in ledger.orders.values() if order.status is OrderStatus.REJECTED]
    for reason in UNSENT:
        newest = refused[-1].client_id
        ledger.orders[newest] = replace(ledger.orders[newest], reason=reason)
        assert rejected_in_row(ledger, SOL) == 1


@virtual
async def test_an_alert_of_the_swan_keeps_longs_away_and_lets_shorts_in() -> None:
    world = await World().start().ready()
    until_ns = world.engine.market.now_ns + 600 * 10**9
    world.record(LockSet(at_ns=world.now()[0], name=SWAN_ALERT, until_ns=until_ns, reason="BTCUSDT fell 2.1 %"))
    world.wish()
    await world.run(3.0)
    assert not world.sent(leg=Leg.ENTRY)
    assert world.said("refused: BTCUSDT fell 2.1 %")
    await world.enter(side=Side.SELL)
