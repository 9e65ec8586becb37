"""Faults the practice venue commits when it is asked to, each seen from a client's side."""

import asyncio
from itertools import pairwise
from pathlib import Path

import aiohttp
import pytest
from venue_host import host

from nexus_engine.sim.faults import Fault, FaultFileError, Faults, load

ORDER = "POST /fapi/v1/order"
BUY = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}


async def test_a_refused_request_is_answered_and_not_executed() -> None:
    fault = Fault(on=ORDER, kind="refuse", status=503, code=-1008, msg="Request throttled by system-level protection.")
    async with host(speed=0, faults=[fault]) as venue:
        status, body = await venue.call("POST", "/fapi/v1/order", **BUY)
        assert (status, body["code"]) == (503, -1008)
        assert not venue.venue.account.ledger.orders
        await venue.ok("POST", "/fapi/v1/order", **BUY)


@pytest.mark.parametrize(("kind", "orders"), [("drop_before", 0), ("drop_after", 1)])
async def test_a_dropped_request_was_executed_or_not(kind: str, orders: int) -> None:
    async with host(speed=0, faults=[Fault(on=ORDER, kind=kind)]) as venue:
        with pytest.raises(aiohttp.ClientConnectionError):
            await venue.call("POST", "/fapi/v1/order", **BUY)
        assert len(venue.venue.account.ledger.orders) == orders


async def test_a_delayed_request_takes_its_time() -> None:
    async with host(speed=0, faults=[Fault(on=ORDER, kind="delay", delay_ms=300)]) as venue:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await venue.ok("POST", "/fapi/v1/order", **BUY)
        assert not venue.venue.account.ledger.orders


async def test_a_lost_diff_breaks_the_chain_once() -> None:
    fault = Fault(on="stream /public", kind="skip_depth", after=2)
    async with host(faults=[fault]) as venue, venue.stream("/public/ws/btcusdt@depth@100ms") as ears:
        diffs = [await ears.next() for _ in range(6)]
        fits = [later["pu"] == earlier["u"] for earlier, later in pairwise(diffs)]
        assert fits == [True, False, True, True, True]


async def test_a_mute_stream_stays_open_and_says_nothing() -> None:
    fault = Fault(on="stream /market", kind="mute", after=1, count=0)
    async with host(faults=[fault]) as venue, venue.stream("/market/ws/btcusdt@markPrice@1s") as ears:
        await ears.next()
        assert await ears.silent(1.5)
        assert not ears.socket.closed


async def test_a_disconnect_closes_the_streams_of_that_path_only() -> None:
    fault = Fault(on="stream /public", kind="disconnect", after=3)
    async with (
        host(faults=[fault]) as venue,
        venue.stream("/market/ws/btcusdt@markPrice@1s") as other,
        venue.stream("/public/ws/btcusdt@depth@100ms") as ears,
    ):
        assert await ears.closed() == 1001
        await other.next()


async def test_user_events_can_be_late_lost_or_cut() -> None:
    faults = [
        Fault(on="user", kind="delay", delay_ms=200),
        Fault(on="user", kind="mute", after=1),
        Fault(on="user", kind="disconnect", after=1),
    ]
    async with host(speed=0, faults=faults) as venue, venue.user() as ears:
        await venue.ok("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=3)
        assert (await ears.next())["ac"]["l"] == 3
        await venue.ok("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=4)
        assert await ears.silent(0.3)
        await venue.ok("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=5)
        assert await ears.closed() == 1001


def test_a_fault_with_a_probability_is_drawn_from_its_seed() -> None:
    def struck(seed: int) -> list[bool]:
        faults = Faults([Fault(on="user", kind="mute", count=0, probability=0.5, seed=seed)])
        return [faults.strike("user") is not None for _ in range(200)]

    assert struck(1) == struck(1) != struck(2)
    assert 60 < sum(struck(1)) < 140


def test_a_fault_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "faults.toml"
    file.write_text('[[fault]]\non = "user"\nkind = "mute"\nafter = 1\n[[fault]]\non = "GET /x"\nkind = "refuse"\n')
    faults = load(file)
    assert faults.strike("user") is None
    assert faults.strike("user") == Fault(on="user", kind="mute", after=1)
    assert faults.strike("GET /x") is not None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('on = "user"\nkind = "eat"', ["kind", "'eat'", "disconnect"]),
        ('on = "moon"\nkind = "mute"', ["on", "'moon'", "stream /public"]),
        ('on = "user"\nkind = "skip_depth"', ["kind", "mute"]),
        ('on = "user"\nkind = "mute"\ncount = -1', ["count", "from 0"]),
        ('on = "user"\nkind = "mute"\nprobability = 2.0', ["probability", "0 to 1"]),
        ('on = "GET /x"\nkind = "refuse"\nstatus = 200', ["status", "400 to 599"]),
        ('on = "user"\nkind = "mute"\nwhen = 3', ["when", "keys are"]),
        ('on = "user"\nkind = "mute"\nafter = "x"', ["after"]),
        ('on = "user"', ["kind"]),
    ],
)
def test_a_bad_fault_names_the_key_and_what_it_allows(tmp_path: Path, text: str, words: list[str]) -> None:
    file = tmp_path / "faults.toml"
    file.write_text("[[fault]]\n" + text)
    with pytest.raises(FaultFileError) as error:
        load(file)
    assert "\n" not in str(error.value)
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize("text", ["not toml", "[fault]\na = 1", "other = 1"])
def test_a_file_that_is_no_fault_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "faults.toml"
    file.write_text(text)
    with pytest.raises(FaultFileError):
        load(file)
    with pytest.raises(FaultFileError):
        load(tmp_path / "missing.toml")
