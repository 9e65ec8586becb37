"""Order entry through the real adapter on the practice venue, and what becomes of it when replies get lost."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace
from uplink_client import Client, connected
from venue_host import KEY, SECRET, Host, host

from nexus_engine.model.effects import Cancel, Query
from nexus_engine.model.events import AccountUpdate, Instruments, Mark, OrderUpdate
from nexus_engine.model.orders import Fill, Order
from nexus_engine.model.words import Leg, OrderKind, OrderStatus, Outcome, Side
from nexus_engine.sim.faults import Fault
from nexus_engine.uplink.binance.settings import AccountRefused, UplinkError

PLACE, ALGO = "POST /fapi/v1/order", "POST /fapi/v1/algoOrder"
QTY = Decimal("0.010")


def client_at(running: Host, **changes: Any) -> Client:
    return Client(running.rest, running.ws, KEY, SECRET, **changes)


def an_order(leg: Leg, kind: OrderKind = OrderKind.MARKET, **changes: Any) -> Order:
    given: dict[str, Any] = {
        "client_id": f"nxtest-1-1{leg.value}1", "symbol": "BTCUSDT", "kind": kind, "leg": leg, "intent": 1, "qty": QTY,
        "side": Side.BUY if leg is Leg.ENTRY else Side.SELL, "reduce_only": leg is not Leg.ENTRY,
        "created_ns": 1, "changed_ns": 1,
    }  # fmt: skip
    return Order(**(given | changes))


def asking(order: Order) -> Query:
    return Query(client_id=order.client_id, symbol=order.symbol, conditional=order.conditional)


def fills_of(client: Client, order: Order) -> list[Fill]:
    events = [event.fill for event in client.of(OrderUpdate) if event.fill is not None]
    return [fill for fill in events if fill.client_id == order.client_id]


def total(fills: list[Fill]) -> Decimal:
    return sum((fill.qty for fill in fills), Decimal(0))


async def stop_for(client: Client, below: str = "0.995") -> Order:
    """A protective stop somewhat below the mark."""
    await client.until(lambda: any(mark.symbol == "BTCUSDT" for mark in client.of(Mark)))
    mark = [event for event in client.of(Mark) if event.symbol == "BTCUSDT"][-1].mark
    trigger = (Decimal(repr(mark)) * Decimal(below)).quantize(Decimal("0.1"))
    return an_order(Leg.STOP, OrderKind.STOP_MARKET, trigger=trigger)


async def enter(client: Client) -> Order:
    await client.until(lambda: client.status("user") == [True])
    entry = an_order(Leg.ENTRY)
    assert (await client.broker.submit(entry)).outcome is Outcome.DONE
    await client.until(lambda: total(fills_of(client, entry)) == QTY)
    return entry


async def test_an_account_is_made_ready_once_and_left_alone_the_next_time() -> None:
    async with host() as running, connected(client_at(running), feed=False) as client:
        await client.broker.prepare(client.sink)
        (event,) = client.of(Instruments)
        assert [(i.symbol, i.tick, i.trading) for i in event.instruments] == [
            ("BTCUSDT", Decimal("0.1"), True), ("ETHUSDT", Decimal("0.01"), True),
        ]  # fmt: skip
        assert (event.instruments[0].maker_fee, event.instruments[0].taker_fee) == (0.0002, 0.0005)
        config = {row["symbol"]: row for row in await running.ok("GET", "/fapi/v1/symbolConfig")}
        assert (config["ETHUSDT"]["marginType"], config["ETHUSDT"]["leverage"]) == ("ISOLATED", 3)
        running.venue.take_events()
        await client.broker.prepare(client.sink)
        assert running.venue.take_events() == []


async def test_a_key_that_the_venue_does_not_accept_is_refused_and_not_shown() -> None:
    async with host() as running:
        async with connected(Client(running.rest, running.ws, "x" * 64, SECRET), feed=False) as client:
            with pytest.raises(AccountRefused) as caught:
                await client.broker.prepare(client.sink)
        assert "x" * 64 not in str(caught.value) and "\n" not in str(caught.value)


async def test_a_symbol_that_the_venue_does_not_list_is_named() -> None:
    async with host() as running, connected(client_at(running, symbols=("NOPEUSDT",)), feed=False) as client:
        with pytest.raises(UplinkError, match="NOPEUSDT"):
            await client.rest.instruments()


async def test_an_entry_fills_its_stop_is_listed_and_both_are_in_the_snapshot() -> None:
    async with host() as running, connected(client_at(running)) as client:
        await client.broker.prepare(client.sink)
        entry = await enter(client)
        await client.until(lambda: any(p.qty == QTY for event in client.of(AccountUpdate) for p in event.positions))
        stop = await stop_for(client)
        placed = await client.broker.submit(stop)
        assert placed.outcome is Outcome.DONE and placed.report is not None
        assert placed.report.status is OrderStatus.OPEN
        await client.until(lambda: any(e.report.client_id == stop.client_id for e in client.of(OrderUpdate)))

        snapshot = await client.broker.snapshot()
        assert snapshot.ok, snapshot.reason
        assert [(p.symbol, p.qty) for p in snapshot.positions] == [("BTCUSDT", QTY)]
        assert [(o.client_id, o.conditional, o.trigger, o.reduce_only) for o in snapshot.orders] == [
            (stop.client_id, True, stop.trigger, True)
        ]
        assert {fill.trade_id for fill in snapshot.fills} == {fill.trade_id for fill in fills_of(client, entry)}
        assert {fill.client_id for fill in snapshot.fills} == {entry.client_id}
        assert snapshot.wallet < 25_000

        asked = await client.broker.query(asking(entry))
        assert asked.report is not None and asked.report.status is OrderStatus.FILLED
        assert list(asked.fills) == fills_of(client, entry)


async def test_a_stop_that_triggers_reports_its_fills_as_its_own_by_stream_query_and_snapshot() -> None:
    async with host(scenario="range") as running, connected(client_at(running)) as client:
        await client.broker.prepare(client.sink)
        await enter(client)
        stop = await stop_for(client, "0.9995")
        assert (await client.broker.submit(stop)).outcome is Outcome.DONE
        running.advance_until(lambda: running.venue.account.position("BTCUSDT").lots == 0)
        await client.until(lambda: total(fills_of(client, stop)) == QTY)
        ends = [e.report.status for e in client.of(OrderUpdate) if e.report.client_id == stop.client_id]
        assert ends[0] is OrderStatus.OPEN and OrderStatus.FILLED in ends
        assert all(e.report.conditional for e in client.of(OrderUpdate) if e.report.client_id == stop.client_id)
        asked = await client.broker.query(asking(stop))
        assert asked.outcome is Outcome.DONE and asked.report is not None
        assert (asked.report.status, asked.report.filled) == (OrderStatus.FILLED, QTY)
        assert {fill.trade_id for fill in asked.fills} == {fill.trade_id for fill in fills_of(client, stop)}
        assert {fill.client_id for fill in asked.fills} == {stop.client_id}


async def test_a_limit_stop_that_triggered_and_does_not_fill_is_cancelled_by_the_order_that_it_made() -> None:
    async with host(scenario="range") as running, connected(client_at(running)) as client:
        await client.broker.prepare(client.sink)
        await enter(client)
        market = await stop_for(client, "0.9995")
        assert market.trigger is not None
        price = (market.trigger * Decimal("1.01")).quantize(Decimal("0.1"))
        stop = replace(market, kind=OrderKind.STOP_LIMIT, price=price)
        placed = await client.broker.submit(stop)
        assert placed.report is not None and placed.report.status is OrderStatus.OPEN
        [algo] = running.venue.account.conditionals.open.values()
        assert (algo.type, algo.price_ticks) == ("STOP", int(price * 10))
        running.advance_until(lambda: algo.status == "TRIGGERED")
        asked = await client.broker.query(asking(stop))
        assert asked.report is not None and asked.report.status is OrderStatus.OPEN and asked.report.conditional
        cancel = Cancel(client_id=stop.client_id, symbol="BTCUSDT", conditional=True)
        assert (await client.broker.cancel(cancel)).outcome is Outcome.DONE
        asked = await client.broker.query(asking(stop))
        assert asked.report is not None and asked.report.status is OrderStatus.CANCELED
        again = await client.broker.cancel(cancel)
        assert (again.outcome, again.code) == (Outcome.REFUSED, -2011)


async def test_a_resting_order_can_be_cancelled_and_a_second_cancel_is_told_that_it_is_gone() -> None:
    async with host() as running, connected(client_at(running)) as client:
        await client.until(lambda: client.in_step)
        best = client.books["BTCUSDT"].best_bid
        assert best is not None
        price = (Decimal(best[0]) / 10 * Decimal("0.99")).quantize(Decimal("0.1"))
        order = an_order(Leg.ENTRY, OrderKind.LIMIT, price=price)
        assert (await client.broker.submit(order)).outcome is Outcome.DONE
        assert [o.client_id for o in (await client.broker.snapshot()).orders] == [order.client_id]
        cancel = Cancel(client_id=order.client_id, symbol="BTCUSDT", conditional=False)
        assert (await client.broker.cancel(cancel)).outcome is Outcome.DONE
        again = await client.broker.cancel(cancel)
        assert (again.outcome, again.code) == (Outcome.REFUSED, -2011)
        await client.until(lambda: any(e.report.status is OrderStatus.CANCELED for e in client.of(OrderUpdate)))
        asked = await client.broker.query(asking(order))
        assert asked.report is not None and asked.report.status is OrderStatus.CANCELED


async def test_what_the_venue_refuses_is_refused_with_its_code() -> None:
    async with host() as running, connected(client_at(running), feed=False) as client:
        refused = await client.broker.submit(an_order(Leg.EXIT))
        assert (refused.outcome, refused.code) == (Outcome.REFUSED, -2022)


async def test_an_order_that_was_never_placed_is_absent() -> None:
    async with host() as running, connected(client_at(running), feed=False) as client:
        for leg, kind in ((Leg.ENTRY, OrderKind.MARKET), (Leg.STOP, OrderKind.STOP_MARKET)):
            assert (await client.broker.query(asking(an_order(leg, kind)))).outcome is Outcome.ABSENT


@pytest.mark.parametrize(("kind", "found"), [("drop_after", Outcome.DONE), ("drop_before", Outcome.ABSENT)])
async def test_a_lost_reply_is_unknown_until_asked_and_never_a_second_order(kind: str, found: Outcome) -> None:
    async with (
        host(faults=[Fault(on=PLACE, kind=kind)]) as running,
        connected(client_at(running), feed=False) as client,
    ):
        order = an_order(Leg.ENTRY)
        assert (await client.broker.submit(order)).outcome is Outcome.UNKNOWN
        asked = await client.broker.query(asking(order))
        assert asked.outcome is found
        assert total(list(asked.fills)) == (QTY if found is Outcome.DONE else 0)
        assert len(running.venue.account.ledger.orders) == (1 if found is Outcome.DONE else 0)


async def test_a_stop_whose_reply_is_lost_is_found_among_the_conditional_orders() -> None:
    async with host(faults=[Fault(on=ALGO, kind="drop_after")]) as running, connected(client_at(running)) as client:
        await enter(client)
        stop = await stop_for(client)
        assert (await client.broker.submit(stop)).outcome is Outcome.UNKNOWN
        asked = await client.broker.query(asking(stop))
        assert asked.report is not None and asked.report.status is OrderStatus.OPEN and asked.report.conditional


async def test_lists_that_cannot_be_read_make_a_snapshot_that_proves_nothing() -> None:
    broken = [Fault(on="GET /fapi/v1/openAlgoOrders", kind="refuse", status=503)]
    async with host(faults=broken) as running, connected(client_at(running), feed=False) as client:
        first = await client.broker.snapshot()
        assert not first.ok and first.orders == () and "Unknown error" in first.reason
        assert (await client.broker.snapshot()).ok
