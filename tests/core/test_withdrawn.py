"""An entry that was decided and has not left does not leave once it must not."""

import asyncio
from collections.abc import Awaitable, Sequence

import pytest
from faulty import LOST_BEFORE, Fault
from world import SOL, World, virtual

from nexus_engine.model.commands import AnyCommand, Halt, SetMode
from nexus_engine.model.facts import SWAN_LOCK, AnyFact, LockSet, OrderIntended
from nexus_engine.model.turn import Turn
from nexus_engine.model.words import Leg, Mode, OrderStatus


def slow_to_record_entries(world: World, disk_s: float) -> None:
    append = world.carrier._journal.append

    async def later(written: Awaitable[None]) -> None:
        await asyncio.sleep(disk_s)
        await written

    def slow(facts: Sequence[AnyFact]) -> Awaitable[None]:
        written = append(facts)
        entry = any(isinstance(fact, OrderIntended) and fact.order.leg is Leg.ENTRY for fact in facts)
        return later(written) if entry else written

    world.carrier._journal.append = slow  # type: ignore[method-assign]


async def deciding() -> World:
    """A world with an entry that waits for its record."""
    world = await World().start().ready()
    slow_to_record_entries(world, 0.8)
    world.wish()
    await world.until(lambda: world.orders(Leg.ENTRY))
    await world.run(0.05)
    return world


@virtual
async def test_what_a_halt_did_fits_beside_who_and_when_at_eighty_columns() -> None:
    world = await deciding()
    assert "no entries, cancelling 1" in (told := world.command(Halt()))
    room = 80 - len(" account ") - len("  somebody-1 14:14:51 ")
    assert len(told.replace("1", "999")) <= room


@pytest.mark.parametrize("command", [Halt(reason="x"), SetMode(mode=Mode.WATCHER)])
@virtual
async def test_an_entry_whose_record_is_slow_never_leaves_after_a_halt_or_down_to_watcher(command: AnyCommand) -> None:
    world = await deciding()
    world.command(command)
    (entry,) = world.orders(Leg.ENTRY)
    assert (entry.status, entry.reason) == (OrderStatus.REJECTED, "withdrawn")
    await world.run(3.0)
    assert not world.sent(leg=Leg.ENTRY)
    assert not world.held()
    assert world.converged()


@virtual
async def test_nor_does_one_leave_after_a_black_swan(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await deciding()
    price = world.engine.shield.price

    def trips(turn: Turn, *_: object) -> bool:
        monkeypatch.setattr(world.engine.shield, "price", price)
        until_ns = turn.market_ns + 3_600_000_000_000
        turn.record(LockSet(at_ns=turn.at_ns, name=SWAN_LOCK, until_ns=until_ns, reason="fell"))
        return True

    monkeypatch.setattr(world.engine.shield, "price", trips)
    await world.run(3.0)
    assert SWAN_LOCK in world.ledger.locks
    assert not world.sent(leg=Leg.ENTRY)
    assert not world.held()


@virtual
async def test_a_stop_that_gets_no_answer_keeps_no_entrys_cancel_waiting() -> None:
    world = await World().start().ready()
    world.tape.lots[SOL] = 40
    world.wire.faults.append(Fault(call="submit", leg=Leg.STOP, kind=LOST_BEFORE, count=0, delay_s=5.0))
    world.wish(target_pct=None, limit_pct=0.0)
    await world.until(lambda: world.held())
    await world.run(0.3)
    world.command(Halt(reason="x"))
    await world.until(lambda: not [order for order in world.resting() if not order.reduce_only], 0.2)
