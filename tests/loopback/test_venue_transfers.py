"""Money is paid in and out at a real venue: the stream tells, the list tells, and the account notes it once."""

import time
from decimal import Decimal

from test_uplink_broker import client_at
from uplink_client import Client, connected
from venue_host import host

from nexus_engine.core import accounting
from nexus_engine.core.engine import Engine
from nexus_engine.model import events as e
from nexus_engine.model.config import Directive
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.words import AccountKind, Mode, Venue
from nexus_engine.sim.faults import Fault

PAID, TAKEN = Decimal(5_000), Decimal(-2_000)


def fault(amount: Decimal, at_s: float) -> Fault:
    return Fault(on="server", kind="transfer", amount=float(amount), at_s=at_s)


class Account:
    """An engine that hears what the adapter says, and nothing else."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.engine = Engine(Directive(), ledger)
        self.on(e.Started(**now(), account="main", kind=AccountKind.DEMO, instance="t", epoch=1, version="0",
                          mode=Mode.WATCHER))  # fmt: skip

    def on(self, event: e.AnyEvent) -> None:
        if isinstance(event, e.Instruments | e.AccountUpdate | e.VenueSnapshot | e.FeedStatus | e.Started):
            self.engine.on(event)

    @property
    def amounts(self) -> list[Decimal]:
        return [fact.amount for fact in self.ledger.transfers]


def now() -> dict[str, int]:
    return {"at_ns": time.time_ns(), "mono_ns": time.monotonic_ns()}


def moved(client: Client) -> list[Decimal]:
    return [event.transfer for event in client.of(e.AccountUpdate) if event.transfer]


async def test_the_stream_tells_of_money_in_and_out_and_the_list_of_the_same() -> None:
    async with host(faults=[fault(PAID, 1.0), fault(TAKEN, 1.5)]) as running, connected(client_at(running)) as client:
        account = Account(Ledger())
        await client.broker.prepare(client.sink)
        client.watch = account.on
        account.on(await client.broker.snapshot())
        assert not account.amounts and account.ledger.day_equity == account.ledger.wallet
        first = account.ledger.day_equity
        await client.until(lambda: moved(client) == [PAID, TAKEN])
        snapshot = await client.broker.snapshot()
        assert [row.amount for row in snapshot.transfers] == [PAID, TAKEN]
        assert snapshot.wallet == first + PAID + TAKEN
        account.on(snapshot)
        assert account.amounts == [PAID, TAKEN], "told twice, noted once"
        assert account.ledger.day_equity == snapshot.wallet
        assert accounting.day_pnl(account.ledger, {}) == 0


async def test_what_was_moved_while_nobody_listened_is_read_from_the_list() -> None:
    async with host(speed=0) as running:
        account = Account(Ledger())
        async with connected(client_at(running), feed=False) as client:
            account.on(await client.broker.snapshot())
        running.venue.account.transfer(TAKEN, time.time_ns() // 1_000_000 + 1)
        again = Account(account.ledger)
        async with connected(client_at(running), feed=False) as client:
            await client.rest.sync_clock()
            for _ in range(2):
                again.on(await client.broker.snapshot())
        assert again.amounts == [TAKEN]
        assert accounting.day_pnl(again.ledger, {}) == 0


async def test_a_list_that_cannot_be_read_stops_no_snapshot() -> None:
    broken = Fault(on="GET /fapi/v1/income", kind="unavailable", count=0)
    async with host(faults=[broken]) as running, connected(client_at(running), feed=False) as client:
        snapshot = await client.broker.snapshot()
        assert snapshot.ok and snapshot.transfers == () and snapshot.venue is Venue.BINANCE


async def test_nobody_can_take_out_what_is_not_free() -> None:
    async with host(faults=[fault(Decimal(-10_000_000), 0.0)]) as running, connected(client_at(running)) as client:
        await client.until(lambda: running.server._faults.seen()[0][1] == 1)
        assert (await client.broker.snapshot()).transfers == ()
        assert running.venue.account.ledger.wallet == running.venue.account.ledger.start
