"""The real adapter on a venue that starts, stops, stalls, and loses messages."""

import time
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import StartVenue, VenueProcess
from uplink_client import Client, connected
from venue_host import KEY, SECRET, Host, host

from nexus_engine.model.events import Bar, BookInvalid, BookSnapshot, FeedStatus, History, Mark, Trade
from nexus_engine.sim.faults import Fault
from nexus_engine.uplink.binance import user
from nexus_engine.uplink.binance.rest import DEPTH


def client_of(venue: VenueProcess, **changes: object) -> Client:
    return Client(venue.rest, venue.ws, venue.ready["api_key"], venue.ready["api_secret"], **changes)


def client_at(running: Host, **changes: object) -> Client:
    return Client(running.rest, running.ws, KEY, SECRET, **changes)


Tops = tuple[list[tuple[int, float]], list[tuple[int, float]]]


async def book_is_right(client: Client, symbol: str) -> None:
    """What we hold just before a snapshot's update id is what the snapshot shows. (Nobody trades in these tests.)"""
    book, states = client.books[symbol], dict[int, Tops]()

    def keep(event: object) -> None:
        states[book.update_id] = (book.bids(1000), book.asks(1000))

    keep(None)
    client.watch = keep
    reply = await client.rest.call(DEPTH, {"symbol": symbol, "limit": 1000})
    await client.until(lambda: book.update_id > reply.last_update_id)
    client.watch = None
    tick = {"BTCUSDT": 0.1, "ETHUSDT": 0.01}[symbol]
    told = [[(round(price / tick), qty) for price, qty in side] for side in (reply.bids, reply.asks)]
    held = states[max(update_id for update_id in states if update_id <= reply.last_update_id)]
    assert list(held) == told


async def test_a_start_brings_history_books_trades_marks_candles_and_the_account(venue: VenueProcess) -> None:
    async with connected(client_of(venue)) as client:
        began = time.monotonic()
        await client.until(lambda: client.in_step and len(client.of(History)) == 4)
        assert time.monotonic() - began < 3.0
        await client.until(lambda: client.of(Trade) and client.of(Mark) and client.of(Bar))
        await book_is_right(client, "BTCUSDT")
        assert {(h.symbol, h.interval, len(h.bars)) for h in client.of(History)} == {
            (symbol, interval, 100) for symbol in ("BTCUSDT", "ETHUSDT") for interval in ("1m", "5m")
        }
        assert [client.status(feed) for feed in ("public", "market", "user")] == [[True]] * 3


async def test_history_and_the_stream_join_without_a_hole_in_a_market_that_runs_fast(start_venue: StartVenue) -> None:
    venue = start_venue("--port", 0, "--seed", 3, "--speed", 100)
    async with connected(client_of(venue, intervals=("1m",))) as client:
        await client.until(lambda: sum(bar.closed for bar in client.of(Bar)) >= 8)
        for symbol in client.settings.symbols:
            (history,) = [event for event in client.of(History) if event.symbol == symbol]
            opens = [row.open_ns for row in history.bars]
            opens += [bar.open_ns for bar in client.of(Bar) if bar.closed and bar.symbol == symbol]
            minutes = [later - sooner for sooner, later in pairwise(opens)]
            assert set(minutes) == {60_000_000_000}


async def test_a_venue_that_dies_and_comes_back_on_its_port_is_found_again_with_right_books(
    start_venue: StartVenue, tmp_path: Path
) -> None:
    first = start_venue("--port", 0, "--seed", 7, "--state", tmp_path)
    async with connected(client_of(first)) as client:
        await client.until(lambda: client.in_step and client.status("user") == [True])
        first.kill()
        await client.until(lambda: not client.books["BTCUSDT"].valid)
        await client.until(lambda: all(not client.status(feed)[-1] for feed in ("public", "market", "user")))
        second = start_venue("--port", first.port, "--seed", 7, "--state", tmp_path)
        assert second.ready["account"] == "kept"
        await client.until(lambda: client.in_step)
        await client.until(lambda: all(client.status(feed)[-1] for feed in ("public", "market", "user")))
        await book_is_right(client, "BTCUSDT")
        await book_is_right(client, "ETHUSDT")


async def test_a_venue_that_falls_silent_is_noticed_within_three_seconds_and_a_bit(venue: VenueProcess) -> None:
    async with connected(client_of(venue)) as client:
        await client.until(lambda: client.in_step)
        venue.freeze()
        began = time.monotonic()
        try:
            await client.until(lambda: client.status("public")[-1:] == [False])
            assert 2.5 < time.monotonic() - began < 4.0
            assert any("silent" in event.reason for event in client.of(FeedStatus))
            assert not client.books["BTCUSDT"].valid
        finally:
            venue.thaw()
        await client.until(lambda: client.in_step)
        await book_is_right(client, "BTCUSDT")


async def test_a_lost_diff_costs_the_book_and_a_snapshot_brings_it_back() -> None:
    lossy = [Fault(on="stream /public", kind="skip_depth", after=8, count=3)]
    async with host(faults=lossy) as running, connected(client_at(running)) as client:
        await client.until(lambda: client.of(BookInvalid))
        before = len(client.of(BookSnapshot))
        await client.until(lambda: len(client.of(BookSnapshot)) > before and client.in_step)
        assert "missing" in client.of(BookInvalid)[0].reason
        assert client.status("public") == [True]
        await book_is_right(client, "BTCUSDT")


async def test_an_expired_listen_key_is_replaced_at_once() -> None:
    async with host() as running, connected(client_at(running)) as client:
        await client.until(lambda: client.status("user") == [True])
        old = running.server.hub.listen_key
        running.server._listen_until = 0.0
        await client.until(lambda: client.status("user") == [True, False, True], within_s=2.0)
        assert running.server.hub.listen_key not in ("", old)
        (lost,) = [event for event in client.of(FeedStatus) if not event.up]
        assert "listen key" in lost.reason and old not in lost.reason


async def test_a_listen_key_that_is_found_gone_when_it_is_kept_alive_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(user, "KEEP_S", 0.2)
    gone = [Fault(on="PUT /fapi/v1/listenKey", kind="refuse", after=2, status=400, code=-1125, msg="No such key.")]
    async with host(faults=gone) as running, connected(client_at(running)) as client:
        await client.until(lambda: client.status("user") == [True, False, True], within_s=3.0)
        (lost,) = [event for event in client.of(FeedStatus) if not event.up]
        assert lost.reason == "the listen key is gone"


async def test_without_keys_there_is_market_data_and_no_account() -> None:
    async with host() as running, connected(Client(running.rest, running.ws, "", "")) as client:
        await client.until(lambda: client.in_step and client.of(Trade))
        assert client.status("user") == []
