"""The venue goes and comes back: always found again, the books right, orders reconciled before any entry leaves.

Real adapter, real sockets, virtual time.
"""

import pytest
from checker import Checker
from wire_world import WireWorld, warped
from world import SOL

from nexus_engine.model.words import Leg
from nexus_engine.sim.faults import Fault
from nexus_engine.uplink.stream import LONGEST_S

READ = ("GET openOrders", "GET openAlgoOrders", "GET positionRisk", "GET balance")


async def holding(world: WireWorld) -> None:
    await world.open()
    await world.until(lambda: not world.blocked and world.wire.rest.prepared)
    world.wish(target_pct=None)
    await world.until(world.covered)
    await world.run(2.0)


@pytest.mark.parametrize("down_s", [5.0, 60.0, pytest.param(3_600.0, marks=pytest.mark.long)])
@warped
async def test_after_an_outage_orders_are_reconciled_before_entries(down_s: float) -> None:
    async with WireWorld() as world:
        await holding(world)
        await world.go_down()
        await world.run(down_s / 2)
        assert world.blocked and not world.up
        world.tape.move(SOL, 148.0)
        world.venue.advance(200_000_000, world.clock.utc_ns())  # its stop fires while nobody hears
        world.venue.take_events()
        world.tape.move(SOL, 150.0)
        await world.run(down_s / 2)
        assert world.ours() and not world.held()
        back_s, asked = world.s, len(world.requests)
        await world.serve()
        while len(world.orders(Leg.ENTRY)) < 2:  # somebody wants in all the time
            world.wishes.queue.clear()
            world.wish(target_pct=None)
            await world.run(0.1)
            assert world.s - back_s <= LONGEST_S + 3.0
        names = [name for _, name in world.requests[asked:]]
        entered = names.index("POST order")
        assert all(name in names[:entered] for name in READ)
        await world.until(lambda: world.covered() and world.converged(), 5.0)
        assert world.book_is_right(SOL) and world.book_is_right("BTCUSDT")
        assert [trade.intent for trade in world.ledger.closed] == [1]
        assert Checker(world).end() == []


@pytest.mark.parametrize("place", ["server", "stream /market"])
@warped
async def test_a_mute_socket_is_noticed_within_three_seconds(place: str) -> None:
    async with WireWorld([Fault(on=place, kind="mute", at_s=10.0, for_s=20.0)]) as world:
        await holding(world)
        await world.until(lambda: not world.up, 15.0)
        assert world.s <= 13.0 + 0.1
        assert any("silent for" in line for line in world.said_by_feed)
        await world.until(lambda: world.up and not world.blocked, 40.0)
        assert world.book_is_right(SOL)


@warped
async def test_an_expired_listen_key_costs_less_than_two_seconds() -> None:
    async with WireWorld([Fault(on="server", kind="expire_key", at_s=10.0)]) as world:
        await holding(world)
        await world.until(lambda: world.struck() and world.blocked, 15.0)
        began_s, asked = world.s, len(world.requests)
        assert began_s <= 10.2
        await world.until(lambda: world.up and not world.blocked, 5.0)
        assert world.s - began_s <= 2.0
        assert set(READ) <= {name for _, name in world.requests[asked:]}
