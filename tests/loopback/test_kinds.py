"""Paper and live on a venue that speaks the real protocol, found by its address in the directive."""

import asyncio
import contextlib
import gc
import os
import time
import weakref
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from venue_host import KEY, SECRET, Host, host

from nexus_engine.model.commands import Unlock
from nexus_engine.model.config import Directive
from nexus_engine.model.events import AccountUpdate, AnyEvent, BookSnapshot, FeedStatus, Mark, OrderUpdate
from nexus_engine.model.orders import Order
from nexus_engine.model.secret import Secret
from nexus_engine.model.view import View, ViewRequest
from nexus_engine.model.words import AccountKind, Leg, OrderKind, OrderStatus, Outcome, Side
from nexus_engine.runtime import Options, Runtime, preflight, with_key
from nexus_engine.runtime.clock import SystemClock
from nexus_engine.runtime.paper import connect_paper
from nexus_engine.runtime.uplinks import Need, Uplink, address
from nexus_engine.sim.faults import Fault
from nexus_engine.sim.paper_file import Funding, open_account
from nexus_engine.sim.wire import FundingPaid
from nexus_engine.store.rows import reading, rows
from nexus_engine.store.verify import verify
from nexus_engine.vault import ApiKey, Vault

SYMBOL = "BTCUSDT"
READY_S = 30.0


def directive(venue: Host, kind: AccountKind, **sections: Any) -> Directive:
    return Directive.model_validate(
        {
            "account": {"kind": kind.value} | sections.pop("account", {}),
            "binance": {"rest_url": venue.rest, "ws_url": venue.ws, "sapi_url": venue.rest},
            "paper": {"latency_ms": 5},
            "macro": {"coingecko_url": venue.rest},
            **sections,
        }
    )


async def until(true: Callable[[], object], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        await asyncio.sleep(0.01)


# ---- paper -----------------------------------------------------------------------------------------------------------


class Paper:
    """The ports of a paper account on a venue, without an engine."""

    def __init__(self) -> None:
        self.events: list[AnyEvent] = []
        self.uplink: Uplink

    def reports(self, client_id: str) -> list[OrderStatus]:
        return [
            event.report.status
            for event in self.events
            if isinstance(event, OrderUpdate) and event.report.client_id == client_id
        ]

    def seen(self, kind: type[AnyEvent]) -> list[Any]:
        return [event for event in self.events if type(event) is kind and getattr(event, "symbol", SYMBOL) == SYMBOL]


@contextlib.asynccontextmanager
async def paper(venue: Host, folder: Path) -> AsyncIterator[Paper]:
    told = directive(venue, AccountKind.PAPER)
    made = Paper()
    need = Need(intervals=("5m",), warmup_bars=10)
    made.uplink = await connect_paper(folder)(told, address(told, None), need, SystemClock())
    await made.uplink.introduce(made.events.append)
    feed = asyncio.create_task(made.uplink.feed.run(made.events.append))
    try:
        await until(lambda: made.seen(BookSnapshot) and made.seen(Mark))
        yield made
    finally:
        feed.cancel()
        await asyncio.gather(feed, return_exceptions=True)
        await made.uplink.close()


def order(client_id: str, side: Side, qty: str, **more: Any) -> Order:
    return Order(
        client_id=client_id, symbol=SYMBOL, side=side, qty=Decimal(qty), intent=1, created_ns=1, changed_ns=1,
        **({"kind": OrderKind.MARKET, "leg": Leg.ENTRY} | more),
    )  # fmt: skip


async def test_paper_fills_from_the_live_book_without_a_key_and_keeps_its_account(tmp_path: Path) -> None:
    async with host() as venue:
        async with paper(venue, tmp_path) as made:
            broker = made.uplink.broker
            ups = {event.feed for event in made.events if isinstance(event, FeedStatus) and event.up}
            assert ups == {"public", "market", "user"}
            done = await broker.submit(order("e1", Side.BUY, "0.050"))
            assert done.outcome is Outcome.DONE and done.report is not None
            await until(lambda: OrderStatus.FILLED in made.reports("e1"))
            (fill,) = [event.fill for event in made.events if isinstance(event, OrderUpdate) and event.fill][-1:]
            assert fill.price == Decimal(str(fill.price)).quantize(Decimal("0.1")) and fill.fee > 0
            assert abs(float(fill.price) / made.seen(Mark)[-1].mark - 1) < 0.01
            below = (fill.price * Decimal("0.98")).quantize(Decimal("0.1"))
            stop = order(
                "s1", Side.SELL, "0.050", kind=OrderKind.STOP_MARKET, leg=Leg.STOP, trigger=below, reduce_only=True
            )
            assert (await broker.submit(stop)).outcome is Outcome.DONE
            snapshot = await broker.snapshot()
            assert snapshot.ok and [each.qty for each in snapshot.positions] == [Decimal("0.050")]
            assert [each.client_id for each in snapshot.orders] == ["s1"]
        kept = open_account(tmp_path, Decimal(1)).ledger
        assert kept.positions[SYMBOL].lots == 50 and kept.start == Decimal(10_000)
        # the venue itself never heard of it
        assert not venue.venue.account.ledger.orders and not venue.venue.account.ledger.algos
        async with paper(venue, tmp_path) as again:
            snapshot = await again.uplink.broker.snapshot()
            assert [each.qty for each in snapshot.positions] == [Decimal("0.050")]
            assert [each.client_id for each in snapshot.orders] == ["s1"] and len(snapshot.fills) >= 1
            exit_order = order("x1", Side.SELL, "0.050", leg=Leg.EXIT, reduce_only=True)
            assert (await again.uplink.broker.submit(exit_order)).outcome is Outcome.DONE
            await until(lambda: OrderStatus.FILLED in again.reports("x1"))
            assert not (await again.uplink.broker.snapshot()).positions


async def test_paper_asks_the_venue_for_the_fundings_it_slept_through(tmp_path: Path) -> None:
    hour = 3_600_000_000_000
    async with host() as venue:
        async with paper(venue, tmp_path) as made:
            await made.uplink.broker.submit(order("e1", Side.BUY, "0.050"))
        kept = open_account(tmp_path, Decimal(1))
        slept_ns = kept.funding[SYMBOL].next_ns - 24 * hour
        kept.funding[SYMBOL] = Funding(5e-4, slept_ns)
        (tmp_path / "paper.json").write_bytes(msgspec.json.encode(kept))
        venue.venue.funding_paid.extend(
            FundingPaid(SYMBOL, rate, 90_000.0, slept_ns + hours * hour)
            for hours, rate in ((-8, 9e-4), (0, 1e-4), (8, -2e-4), (16, 3e-4))
        )
        venue.venue.funding_paid.append(FundingPaid("ETHUSDT", 9e-4, 3_000.0, slept_ns))
        async with paper(venue, tmp_path) as again:
            owed = Decimal(-90_000) * Decimal("0.050") * Decimal("0.0002")
            await until(lambda: any(isinstance(event, AccountUpdate) for event in again.events))
        found = open_account(tmp_path, Decimal(1))
        assert found.ledger.funding == owed and not found.owed
        assert found.funding[SYMBOL].next_ns == slept_ns + 24 * hour
        async with paper(venue, tmp_path) as third:
            assert not [event for event in third.events if isinstance(event, AccountUpdate)]
        assert open_account(tmp_path, Decimal(1)).ledger.funding == owed


@contextlib.asynccontextmanager
async def running(options: Options) -> AsyncIterator[Runtime]:
    runtime = Runtime(options)
    runtime.start()
    try:
        await until(lambda: runtime.ready.is_set() or runtime.failed, READY_S)
        yield runtime
    finally:
        runtime.stop()
        assert await asyncio.to_thread(runtime.join, 15.0)


async def seen(runtime: Runtime, holds: Callable[[View], object], within_s: float = 15.0) -> View:
    """The first View of which it is true."""
    found: list[View] = []

    def look() -> bool:
        view = runtime.pull(ViewRequest(events=200))
        if view is not None and holds(view):
            found.append(view)
        return bool(found)

    await until(look, within_s)
    return found[0]


async def test_a_paper_account_runs_on_the_venues_public_streams_and_is_found_again(tmp_path: Path) -> None:
    async with host() as venue:
        told = directive(venue, AccountKind.PAPER, paper={"wallet": 12_345.0})
        for _ in range(2):
            async with running(Options(kind=AccountKind.PAPER, state=tmp_path, directive=told)) as runtime:
                view = await seen(runtime, lambda view: not view.account.blocked and view.account.wallet)
                assert (view.account.kind, view.account.wallet) == (AccountKind.PAPER, 12_345.0)
                assert all(feed.up for feed in view.feeds)
                assert not view.problem or view.problem.startswith("the engine was")  # a busy machine
            told = directive(venue, AccountKind.PAPER, paper={"wallet": 99.0})
        assert not venue.server.hub.listen_key


class Ring:
    """Garbage that only a collection finds."""

    def __init__(self) -> None:
        self.next = self


async def test_what_was_alive_when_an_account_started_can_be_collected_after_its_end(tmp_path: Path) -> None:
    """Else a process that starts several, as a test's does, keeps all that each of them saw."""
    ring = Ring()
    seen_ring = weakref.ref(ring)
    async with host() as venue:
        told = directive(venue, AccountKind.PAPER)
        async with running(Options(kind=AccountKind.PAPER, state=tmp_path, directive=told)) as runtime:
            assert runtime.ready.is_set() and gc.get_freeze_count()
    del ring
    gc.collect()
    assert seen_ring() is None


async def test_the_pilot_trades_paper_from_the_signal_to_the_confirmed_stop_and_over_a_restart(tmp_path: Path) -> None:
    async with host(scenario="range", speed=20) as venue:
        told = directive(venue, AccountKind.PAPER, account={"mode": "PILOT"})
        options = Options(kind=AccountKind.PAPER, state=tmp_path, directive=told)
        async with running(options) as runtime:
            view = await seen(runtime, lambda view: [each for each in view.positions if each.stop_state == "ok"], 40.0)
            held = {each.symbol: each.qty for each in view.positions}
        async with running(options) as runtime:
            view = await seen(runtime, lambda view: any(row.text.startswith("reconciled") for row in view.events))
            assert not view.foreign and {each.symbol for each in view.positions} <= held.keys()
        assert not venue.venue.account.ledger.orders
    assert verify(tmp_path / "main-paper" / "journal.db").ok
    ledger = open_account(tmp_path / "main-paper", Decimal(1)).ledger
    assert ledger.wallet == ledger.start + ledger.realised - ledger.fees + ledger.funding + ledger.insurance


async def test_a_damaged_paper_account_ends_the_start_in_one_line(tmp_path: Path) -> None:
    async with host() as venue:
        told = directive(venue, AccountKind.PAPER)
        (tmp_path / "main-paper").mkdir()
        (tmp_path / "main-paper" / "paper.json").write_text("{")
        async with running(Options(kind=AccountKind.PAPER, state=tmp_path, directive=told)) as runtime:
            assert "paper.json: is damaged" in runtime.failed and "\n" not in runtime.failed


# ---- testnet ---------------------------------------------------------------------------------------------------------


async def test_a_testnet_account_takes_its_key_from_the_vault_and_from_no_other_kind(tmp_path: Path) -> None:
    phrase = Secret("correct horse battery")
    vault = Vault.create(tmp_path / "vault", phrase, work=2)
    for name, kind, api_key in (("real", AccountKind.LIVE, "other"), ("test", AccountKind.TESTNET, KEY)):
        vault.add(ApiKey(name=name, kind=kind, api_key=Secret(api_key), secret=Secret(SECRET)))
    async with host() as venue:
        told = directive(venue, AccountKind.TESTNET)
        read_fd, write_fd = os.pipe()
        os.write(write_fd, phrase.reveal().encode())
        os.close(write_fd)
        options = with_key(Options(kind=AccountKind.TESTNET, state=tmp_path, directive=told), read_fd)
        async with running(options) as runtime:
            view = await seen(runtime, lambda view: not view.account.blocked and view.account.wallet)
            assert view.account.kind is AccountKind.TESTNET and view.account.lease_ms is None


async def test_an_engine_that_was_given_no_passphrase_asks_nobody_and_says_so(tmp_path: Path) -> None:
    key = ApiKey(name="test", kind=AccountKind.TESTNET, api_key=Secret(KEY), secret=Secret(SECRET))
    Vault.create(tmp_path / "vault", Secret("correct horse battery"), work=2).add(key)
    async with running(Options(kind=AccountKind.TESTNET, state=tmp_path)) as runtime:
        assert runtime.failed == "the passphrase of the vault was not given at the start"


# ---- live ------------------------------------------------------------------------------------------------------------


def live(tmp_path: Path, venue: Host, **account: Any) -> Options:
    key = ApiKey(name="real", kind=AccountKind.LIVE, api_key=Secret(KEY), secret=Secret(SECRET))
    tmp_path.chmod(0o700)
    told = directive(venue, AccountKind.LIVE, account=account)
    return Options(kind=AccountKind.LIVE, state=tmp_path, directive=told, key=key)


def permissions(venue: Host) -> dict[str, bool]:
    return venue.server._rest.restrictions


async def test_a_live_start_reconciles_and_its_entries_stay_locked_until_the_phrase_is_typed(tmp_path: Path) -> None:
    async with host() as venue:
        async with running(live(tmp_path, venue)) as runtime:
            view = await seen(runtime, lambda view: "unlock" in view.account.blocked)
            assert view.account.lease_ms == 0 and view.account.kind is AccountKind.LIVE
            assert any(row.text.startswith("reconciled") for row in view.events)
            runtime.send(Unlock(word="live"))
            view = await seen(runtime, lambda view: view.outcome)
            assert view.outcome and view.outcome.text == "entries stay locked: type live main"
            runtime.send(Unlock(word="live main"))
            view = await seen(runtime, lambda view: view.account.lease_ms and not view.account.blocked)
            assert 7.99 < (view.account.lease_ms or 0) / 3_600_000 <= 8.0
            assert any("unlocked for 8 h" in row.text and row.by == "you" for row in view.events)
        async with running(live(tmp_path, venue)) as runtime:  # a start ends what an earlier one was given
            view = await seen(runtime, lambda view: "unlock" in view.account.blocked)
            assert view.account.lease_ms == 0
    report = verify(tmp_path / "main-live" / "journal.db")
    assert report.ok, report.problems
    with reading(tmp_path / "main-live" / "journal.db") as conn:
        kinds = [row.kind for row in rows(conn)]
    assert kinds.count("Leased") == 1 and kinds.count("RunStarted") == 2


async def test_a_phrase_typed_before_the_start_counts_once_the_account_is_found_fit(tmp_path: Path) -> None:
    async with host() as venue:
        runtime = Runtime(live(tmp_path, venue))
        runtime.start()
        runtime.send(Unlock(word="live main"), surface="start")
        await seen(runtime, lambda view: view.account.lease_ms and not view.account.blocked, READY_S)
        runtime.stop()
        assert await asyncio.to_thread(runtime.join, 15.0)


@pytest.mark.parametrize("permission", ["enableWithdrawals", "permitsUniversalTransfer", "enableInternalTransfer"])
async def test_a_key_that_can_take_money_out_is_not_used_at_all(tmp_path: Path, permission: str) -> None:
    async with host() as venue:
        permissions(venue)[permission] = True
        async with running(live(tmp_path, venue)) as runtime:
            assert runtime.failed.startswith("live: the key permits ")
            assert "may trade futures and nothing else" in runtime.failed and "\n" not in runtime.failed


async def test_a_sick_account_stays_locked_with_its_reason_and_opens_when_it_is_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "AGAIN_S", 0.1)
    async with host() as venue:
        permissions(venue)["enableFutures"] = False
        async with running(live(tmp_path, venue)) as runtime:
            await seen(runtime, lambda view: "the key may not trade futures" in view.account.blocked)
            runtime.send(Unlock(word="live main"))
            view = await seen(runtime, lambda view: view.account.lease_ms)
            assert "the key may not trade futures" in view.account.blocked
            permissions(venue)["enableFutures"] = True
            await seen(runtime, lambda view: not view.account.blocked)


async def test_a_permission_service_that_is_away_locks_entries_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "AGAIN_S", 0.1)
    away = Fault(on="GET /sapi/v1/account/apiRestrictions", kind="unavailable", count=30)
    async with host(faults=[away]) as venue, running(live(tmp_path, venue)) as runtime:
        view = await seen(runtime, lambda view: "could not be checked" in view.account.blocked)
        assert any(row.text.startswith("reconciled") for row in view.events)
        await seen(runtime, lambda view: "unlock" in view.account.blocked)


async def test_a_check_that_fails_by_itself_locks_entries_instead_of_leaving_the_last_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ill(root: Path) -> tuple[Any, ...]:
        raise PermissionError(13, "Permission denied")

    told: list[str] = []
    async with host() as venue:
        options = live(tmp_path, venue)
        where = address(options.resolve(), options.key)
        checks = preflight.Preflight(where, tmp_path / "main-live", SystemClock(), told.append)
        monkeypatch.setattr(preflight, "DAILY_S", 0.0)
        running_on = asyncio.create_task(checks.keep())
        await until(lambda: told)
        assert told[0] == ""
        monkeypatch.setattr(preflight.checkup, "machine", ill)
        with pytest.raises(PermissionError):
            await asyncio.wait_for(running_on, 10.0)
    assert told[-1].startswith("account and key could not be checked: PermissionError")


async def test_the_lease_runs_out_and_says_so(tmp_path: Path) -> None:
    async with host() as venue, running(live(tmp_path, venue, lease_h=0.0005)) as runtime:
        await seen(runtime, lambda view: "unlock" in view.account.blocked)
        runtime.send(Unlock(word="live main"))
        await seen(runtime, lambda view: not view.account.blocked)
        view = await seen(runtime, lambda view: any("lease has ended" in row.text for row in view.events))
        assert "unlock" in view.account.blocked and view.account.lease_ms == 0


def everything_in(folder: Path) -> str:
    return "".join(path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file())


async def test_no_secret_of_a_live_account_is_in_its_folder_its_log_or_what_it_says(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    faults = [
        Fault(on="POST /fapi/v1/listenKey", kind="drop_before", count=2),
        Fault(on="GET /fapi/v1/positionSide/dual", kind="html", count=2),
        Fault(on="GET /fapi/v3/balance", kind="truncate", count=2),
        Fault(on="GET /sapi/v1/account/apiRestrictions", kind="garbage", body="?", count=2),
    ]
    async with host(faults=faults) as venue, running(live(tmp_path, venue)) as runtime:
        view = await seen(runtime, lambda view: view.events)
    said = caplog.text + repr(view) + repr(runtime.options) + runtime.failed
    said += everything_in(tmp_path)
    assert KEY not in said and SECRET not in said
