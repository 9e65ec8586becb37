"""A venue that runs for months, or under a fault that never ends, keeps no more in memory than it lists."""

import asyncio
import time
from decimal import Decimal
from typing import cast

from venue_host import host

from nexus_engine.sim.contract import Print
from nexus_engine.sim.faults import Fault, Faults
from nexus_engine.sim.hub import SLOW_BYTES, Connection, Hub
from nexus_engine.sim.market import Market
from nexus_engine.sim.orders import NewOrder
from nexus_engine.sim.streams import home
from nexus_engine.sim.venue import FRESH_TRADES, LISTED_ROWS, Venue

START_NS = 1_795_337_955_000_000_000
BTC = "BTCUSDT"


class Pipe:
    """A transport that nobody reads."""

    def __init__(self) -> None:
        self.largest = self.held = 0
        self.ended = False

    def write(self, data: bytes) -> None:
        self.largest = max(self.largest, len(data))
        self.held += len(data)

    def is_closing(self) -> bool:
        return self.ended

    def get_write_buffer_size(self) -> int:
        return self.held

    def close(self) -> None:
        self.ended = True

    abort = close


async def test_a_message_sent_a_hundred_thousand_times_fills_no_memory() -> None:
    fault, pipe = Fault(on="stream", kind="duplicate", copies=100_000, count=0), Pipe()
    hub = Hub(Faults([fault]), home, lambda struck: None)
    connection = Connection(cast("asyncio.Transport", pipe), "", True)
    hub.add(connection, ["btcusdt@trade", "ethusdt@trade"])
    for stream in ("btcusdt@trade", "ethusdt@trade"):
        hub.publish(stream, {"n": "x" * 1_000})
    assert not connection.open and not connection._waiting
    assert pipe.held < 2 * SLOW_BYTES and pipe.largest < 2 * SLOW_BYTES
    hub.flush()


def test_a_tape_that_nobody_publishes_forgets_its_oldest_trades() -> None:
    venue = Venue(Market(seed=1, scenario="calm", start_ns=START_NS))
    for i in range(3):
        venue._record(BTC, [Print(i, 1, False, START_NS)] * (FRESH_TRADES // 2))
    update = venue.publish(BTC)
    assert len(update.trades) == FRESH_TRADES and update.trades[0].price_ticks == 1
    assert not venue.publish(BTC).trades


def test_an_account_that_trades_for_long_lists_its_newest_rows_and_its_totals_hold_all() -> None:
    venue = Venue(Market(seed=1, scenario="calm", start_ns=START_NS))
    account, fees, most = venue.account, Decimal(0), 0
    for i in range(4 * LISTED_ROWS):
        order = NewOrder(
            symbol="SOLUSDT", side="SELL" if i % 2 else "BUY", type="MARKET", quantity=Decimal(1), client_id=f"c{i}"
        )
        account.place(order, i, venue)
        fees += sum((event.fill.fee for event in venue.take_events() if getattr(event, "fill", None)), Decimal(0))
        ledger = account.ledger
        rows = len(ledger.orders) + len(ledger.fills) + len(ledger.incomes)
        most = max(most, rows)
        if i % 100 == 0:
            venue.advance(500_000_000, time.time_ns())
    assert most <= 10 * LISTED_ROWS + 10 and len(ledger.fills) < 4 * LISTED_ROWS
    assert ledger.fees == fees and ledger.wallet == ledger.start + ledger.realised - ledger.fees + ledger.funding


async def test_paths_that_there_are_not_are_not_remembered() -> None:
    async with host(speed=0) as venue:
        await venue.call("GET", "/fapi/v1/time", signed=False)
        for i in range(50):
            assert (await venue.call("GET", f"/fapi/v1/no{i}", signed=False))[0] == 404
        assert list(venue.server._last) == [("GET", "/fapi/v1/time")]
