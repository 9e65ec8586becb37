"""Journal against venue: what is ours, what is not, and what to do when nobody can say."""

import asyncio
from decimal import Decimal

from faulty import LOST, LOST_BEFORE, REFUSED, STALE, Fault, Rates
from msgspec.structs import replace
from virtual_loop import START_NS, VirtualClock
from world import BTC, SOL, World, virtual

from nexus_engine.core import accounting
from nexus_engine.model.commands import ClosePosition, Release
from nexus_engine.model.facts import OrderChanged, Reconciled
from nexus_engine.model.words import Latch, Leg, Level, OrderStatus, Side, TradingState


@virtual
async def test_a_foreign_position_is_counted_and_never_touched() -> None:
    world = await World().start().ready()
    world.by_hand(SOL, Side.BUY, "5")
    await world.until(lambda: world.ledger.foreign.get(SOL) == Decimal(5), 5.0)
    assert accounting.exposure(world.ledger, world.engine.market.marks()) > 700
    world.wish()
    await world.run(5.0)
    assert world.said("that is not ours")
    assert not world.sent()
    assert world.held() == 5
    world.by_hand(SOL, Side.SELL, "5", "web_2")
    await world.until(lambda: not world.ledger.foreign, 5.0)
    await world.enter()


@virtual
async def test_no_entry_leaves_on_a_foreign_quantity_that_was_only_just_told() -> None:
    world = await World().start().ready()
    world.by_hand(SOL, Side.BUY, "5")
    world.wish()
    await world.run(1.4)
    assert not world.sent()


@virtual
async def test_a_position_closed_by_hand_is_lost_to_us_and_its_orders_go() -> None:
    world = await World().start().ready()
    position = await world.enter()
    world.by_hand(SOL, Side.SELL, str(position.qty))
    await world.until(lambda: not world.ours(), 6.0)
    await world.until(lambda: not world.resting() and not world.stops(), 3.0)
    await world.until(world.converged, 1.0)
    assert len(world.ledger.closed) == 1
    told = [line for fact in world.journal.facts() if isinstance(fact, Reconciled) for line in fact.differences]
    assert any("closed by someone else" in line for line in told)


@virtual
async def test_a_person_taking_part_of_it_leaves_the_rest_protected() -> None:
    world = await World().start().ready()
    position = await world.enter()
    world.by_hand(SOL, Side.SELL, "1")
    await world.until(lambda: world.ours() == position.qty - 1, 6.0)
    await world.until(lambda: world.stop_qty() == [position.qty - 1], 3.0)
    await world.run(2.0)
    assert world.converged()


@virtual
async def test_an_order_of_another_nexus_stops_our_entries() -> None:
    world = await World().start().ready()
    await world.enter()
    world.by_hand("BTCUSDT", Side.BUY, "0.01", "nxother-1-1e1", price="90000")
    await world.until(lambda: Latch.PROTECT_ONLY in world.ledger.latches, 3.0)
    assert world.ledger.state is TradingState.REDUCING
    assert world.resting("BTCUSDT")
    assert world.protected()


@virtual
async def test_a_release_is_told_of_the_latch_that_comes_back_and_why() -> None:
    world = await World().start().ready()
    world.by_hand("BTCUSDT", Side.BUY, "0.01", "nxother-1-1e1", price="90000")
    await world.until(lambda: Latch.PROTECT_ONLY in world.ledger.latches, 3.0)
    told = world.command(Release(latch=Latch.PROTECT_ONLY, word="protect_only"))
    assert told == "PROTECT_ONLY released; entries again once reconciled"
    await world.until(lambda: Latch.PROTECT_ONLY in world.ledger.latches, 3.0)
    outcome = world.engine.notebook.outcome
    assert outcome is not None and outcome.level is Level.ALARM
    assert outcome.text == f"{told}  PROTECT_ONLY: another Nexus writes on this account: order nxother-1-1e1 on BTCUSDT"


@virtual
async def test_a_later_writer_of_our_own_journal_is_another_nexus() -> None:
    world = await World().start().ready()
    world.by_hand("BTCUSDT", Side.BUY, "0.01", "nxtest-9-1e1", price="90000")
    await world.until(lambda: Latch.PROTECT_ONLY in world.ledger.latches, 3.0)
    await world.run(70.0)
    assert world.resting("BTCUSDT")


@virtual
async def test_an_order_of_ours_that_the_journal_does_not_know_is_cancelled() -> None:
    world = await World().start().ready()
    world.by_hand("BTCUSDT", Side.BUY, "0.01", "nxtest-1-77e1", price="90000")
    world.ask_account()
    await world.until(lambda: not world.resting("BTCUSDT"), 3.0)


@virtual
async def test_a_comparison_that_cannot_finish_is_protect_only_and_said() -> None:
    world = World()
    world.wire.faults.append(Fault(call="snapshot", kind=REFUSED, count=0))
    world.start()
    await world.run(20.0)
    assert world.blocked == "not reconciled with the venue yet"
    await world.until(lambda: Latch.PROTECT_ONLY in world.ledger.latches, 30.0)
    assert world.said("cannot reconcile with the venue")
    world.wire.faults.clear()
    world.command(Release(latch=Latch.PROTECT_ONLY, word="protect_only"))
    await world.ready()
    await world.enter()


@virtual
async def test_a_second_look_emits_nothing() -> None:
    world = await World().start().ready()
    await world.enter()
    await world.run(2.0)
    commits = len(world.journal.turns)
    world.ask_account()
    await world.run(0.5)
    assert len(world.journal.turns) == commits


@virtual
async def test_a_position_that_ended_while_nobody_told_is_not_held_against_its_symbol() -> None:
    world = await World().start().ready()
    await world.enter(target_pct=None)
    await world.run(2.0)
    world.wire.faults.append(Fault(call="user", kind="lost", count=0))
    world.tape.move(SOL, 148.0)
    await world.until(lambda: not world.ours(), 10.0)
    assert world.engine.manager.venue_qty[SOL]
    world.ask_account()
    await world.run(1.0)
    assert world.engine.manager.venue_qty[SOL] == 0
    world.wire.faults.clear()
    await world.enter(target_pct=None)


@virtual
async def test_a_liquidation_is_booked_and_the_rest_goes() -> None:
    world = await World().start().ready()
    position = await world.enter()
    world.by_hand(SOL, Side.SELL, str(position.qty), "autoclose-1")
    await world.until(lambda: not world.ours(), 6.0)
    assert world.said("closed by someone else")
    await world.until(world.converged, 3.0)


@virtual
async def test_a_run_that_begins_beside_foreign_orders_leaves_them_alone() -> None:
    world = World()
    world.by_hand("BTCUSDT", Side.BUY, "0.01", "web_7", price="90000")
    await world.start().ready()
    await world.enter()
    await world.run(5.0)
    assert [order.client_id for order in world.resting("BTCUSDT")] == ["web_7"]
    assert Latch.PROTECT_ONLY not in world.ledger.latches
    assert "web_7" not in world.sent("cancel")
    assert not world.sent(leg=Leg.EXIT)


@virtual
async def test_a_position_that_is_not_there_ends_soon_and_without_a_storm() -> None:
    world = await World().start().ready()
    position = await world.enter()
    world.wire.rates = Rates(calls=0.2)
    world.wire.faults.append(Fault(call="user", kind="lost", count=0))
    before = len(world.calls)
    world.by_hand(SOL, Side.SELL, str(position.qty))
    world.command(ClosePosition(symbol=SOL))
    await world.until(lambda: not world.ours(), 12.0)
    assert len(world.calls) - before < 100


@virtual
async def test_a_symbol_with_an_open_question_does_not_hold_up_the_others() -> None:
    world = await World().start().ready()
    position = await world.enter()
    world.wire.faults.append(Fault(call="submit", leg=Leg.ENTRY, kind=LOST_BEFORE, delay_s=0.1))
    world.wire.faults.append(Fault(call="query", kind=LOST_BEFORE, count=0, delay_s=0.1))
    world.wish(BTC, risk_pct=0.1)
    await world.until(lambda: any(o.status is OrderStatus.UNKNOWN for o in world.ledger.alive(BTC)))
    world.by_hand(SOL, Side.SELL, str(position.qty))
    await world.until(lambda: not world.ours(SOL), 6.0)


@virtual
async def test_a_reading_that_was_overtaken_by_the_close_does_not_leave_a_symbol_barred() -> None:
    world = await World().start().ready()
    position = await world.enter()
    overtaken = await world.wire.snapshot()
    world.command(ClosePosition(symbol=SOL))
    await world.until(lambda: not world.ours() and not world.held(), 5.0)
    await world.run(3.0)
    world.ask_account()
    world.carrier.post(overtaken)
    assert world.engine.manager.venue_qty[SOL] == position.qty
    await world.run(3.0)
    assert world.engine.manager.venue_qty[SOL] == 0
    await world.enter()


async def beside_a_stranger() -> World:
    """An entry of ours rests, and a person bought 0.15 of the same."""
    world = await World().start().ready()
    world.wish(limit_pct=-0.1)
    await world.until(world.resting, 5.0)
    world.by_hand(SOL, Side.BUY, "0.15")
    return world


async def nothing_of_ours_was_lost(world: World) -> None:
    await world.until(lambda: world.ledger.foreign.get(SOL) == Decimal("0.15"), 10.0)
    (entry,) = world.orders(Leg.ENTRY)
    assert not world.said("closed by someone else")
    assert world.ours() == entry.filled == entry.qty
    assert world.stop_qty() == [entry.qty]


@virtual
async def test_a_late_reading_that_our_fill_has_overtaken_closes_nothing_of_ours() -> None:
    world = await beside_a_stranger()
    world.wire.faults.append(Fault(call="snapshot", kind=STALE, after=1, delay_s=1.0))
    begun = len(world.sent("snapshot"))
    world.ask_account()
    await world.until(lambda: len(world.sent("snapshot")) == begun + 2, 2.0)
    await world.run(0.1)
    world.tape.move(SOL, 149.5)
    await world.until(world.ours, 0.5)
    await nothing_of_ours_was_lost(world)


@virtual
async def test_a_fill_between_the_two_halves_of_a_reading_closes_nothing_of_ours() -> None:
    world = await beside_a_stranger()
    world.wire.faults.append(Fault(call="user", kind=LOST, count=0))
    before = await world.wire.snapshot()
    world.carrier.post(before)
    world.tape.move(SOL, 149.5)
    await world.until(lambda: not world.resting(), 0.4)
    after = await world.wire.snapshot()
    # its positions were read before the fill, its trades after
    world.carrier.post(replace(before, fills=after.fills))
    assert world.ours()
    world.wire.faults.clear()
    await nothing_of_ours_was_lost(world)


@virtual
async def test_an_order_of_ours_that_nobody_knows_goes_although_its_cancel_is_lost() -> None:
    world = await World().start().ready()
    world.by_hand(SOL, Side.BUY, "1", "nxtest-1-77e1", "130")
    world.wire.faults.append(Fault(call="cancel", kind=LOST_BEFORE))
    world.ask_account()
    await world.until(lambda: world.sent("cancel"), 2.0)
    await world.until(lambda: not world.resting(), 6.0)
    await world.run(1.0)
    assert world.converged()


class Rebooted(VirtualClock):
    """The machine was started anew: its monotonic clock counts from here."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._since_ns = super().mono_ns()

    def mono_ns(self) -> int:
        return super().mono_ns() - self._since_ns

    def utc_ns(self) -> int:
        return START_NS + super().mono_ns()


@virtual
async def test_a_stop_of_an_earlier_boot_that_is_gone_is_missed_whatever_its_stamps() -> None:
    world = await World().start().ready()
    await world.run(30.0)
    await world.enter(target_pct=None)
    await world.kill()
    world.venue.account.conditionals.cancel_all(SOL, 0)
    world.venue.take_events()  # nobody is there to hear of it
    world.clock = Rebooted(asyncio.get_running_loop())
    world.start()
    await world.until(world.protected, 3.0)
    await world.until(lambda: not world.blocked and world.converged(), 3.0)


@virtual
async def test_what_was_placed_while_the_account_was_being_read_is_not_missed_in_the_reading() -> None:
    world = await World().start().ready()
    world.wire.faults.append(Fault(call="snapshot", kind=STALE, delay_s=3.0))
    world.ask_account()
    await world.run(0.1)
    await world.enter(target_pct=None)
    await world.run(3.0)
    assert not world.said("is not at the venue any more")
    assert not [
        fact for fact in world.journal.facts() if isinstance(fact, OrderChanged) and fact.status is OrderStatus.UNKNOWN
    ]


def looks(world: World) -> int:
    return sum(call == "snapshot" for _, call, _ in world.calls)


@virtual
async def test_the_liquidation_price_is_known_soon_after_an_entry_and_never_that_of_the_position_before() -> None:
    world = await World().start().ready()
    await world.run(2.0)
    before = looks(world)
    await world.enter(side=Side.SELL)
    assert world.engine.manager.liquidation.get(SOL) is None
    assert await world.until(lambda: world.engine.manager.liquidation.get(SOL), 5.0) < 2.0
    first = world.engine.manager.liquidation[SOL]
    await world.run(20.0)
    assert looks(world) == before + 1
    world.wire.faults.append(Fault(call="user", kind=LOST, after=1, count=0))
    world.command(ClosePosition(symbol=SOL))
    await world.until(lambda: not world.ours(), 10.0)
    assert world.engine.manager.liquidation.get(SOL) is None
    world.wire.faults.clear()
    world.tape.move(SOL, 140.0)
    await world.until(lambda: not any(world.ledger.alive()), 10.0)
    await world.enter(side=Side.SELL)
    assert world.engine.manager.liquidation.get(SOL) is None
    assert await world.until(lambda: world.engine.manager.liquidation.get(SOL), 5.0) < 2.0
    assert world.engine.manager.liquidation[SOL] != first


@virtual
async def test_an_entry_that_fills_in_parts_is_looked_at_when_it_opens_and_when_it_is_over() -> None:
    world = await World().start().ready()
    world.tape.lots[SOL] = 1
    await world.run(2.0)
    before = looks(world)
    world.wish(limit_pct=0.0, target_pct=None)
    await world.until(world.covered)
    await world.run(10.0)
    assert world.resting()
    assert looks(world) == before + 1
    world.tape.lots[SOL] = 1_000_000
    world.tape.move(SOL, 149.9)
    await world.until(lambda: not world.resting(), 20.0)
    await world.run(5.0)
    assert looks(world) == before + 2
