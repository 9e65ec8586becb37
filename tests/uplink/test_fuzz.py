"""Whatever the bytes: a decoder refuses them with its own error, or what comes of them is sound."""

import random

import msgspec
import pytest
from fuzz import absurd, frames, fuzz, targets
from scripted import Answer, rest_of, scripted
from uplink_data import HandClock, algo_message, order_message, settings

from nexus_engine.model.events import AnyEvent, Trade
from nexus_engine.model.words import Outcome
from nexus_engine.uplink.binance import replies, rest
from nexus_engine.uplink.binance.rest import BinanceRest
from nexus_engine.uplink.binance.user import UserFeed
from nexus_engine.uplink.stream import StreamDown
from nexus_engine.uplink.unreadable import UNREADABLE

DEEP = b'{"deep":' + b"[" * 100_000


async def test_every_good_message_is_read() -> None:
    reads = targets()
    for name, messages in frames().items():
        for message in messages:
            if b"listenKeyExpired" in message:
                continue
            for event in reads[name].read(message):
                assert not list(absurd(event)), message


async def test_spoiled_messages_are_refused_or_sound() -> None:
    found = await fuzz(20_000, 7, frames())
    assert not found.failures, found.failures[0]
    assert found.through.keys() >= {"market", "public", "user", "order", "exchangeInfo", "klines"}


def test_what_is_absurd_is_seen() -> None:
    sound = Trade(at_ns=1, mono_ns=1, symbol="X", price=1.0, qty=1.0, buyer_is_maker=True, venue_ns=1)
    assert not list(absurd(sound))
    for change in ({"price": float("nan")}, {"qty": float("inf")}, {"price": 0.0}, {"qty": -1.0}, {"at_ns": 1 << 64}):
        assert list(absurd(msgspec.structs.replace(sound, **change)))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"orderId":1,"symbol":"BTC\xffUSDT"}', id="not-utf8"),
        pytest.param(b"\xff\xfe{}", id="no-text"),
        pytest.param(DEEP, id="deep"),
    ],
)
@pytest.mark.parametrize(
    ("status", "outcome"), [(200, Outcome.UNKNOWN), (400, Outcome.REFUSED), (502, Outcome.UNKNOWN)]
)
async def test_a_reply_that_cannot_be_read_is_an_outcome_and_no_crash(
    body: bytes, status: int, outcome: Outcome
) -> None:
    async with scripted() as venue, rest_of(venue) as client:
        venue.answers["POST /fapi/v1/order"] = Answer(body, status)
        with pytest.raises(rest.RestError) as error:
            await client.call(rest.PLACE)
        assert error.value.outcome is outcome


@pytest.mark.parametrize(
    "message",
    [
        order_message().replace(b"BTCUSDT", b"BTC\xffSDT"),
        order_message(q="-0.010"),
        order_message(i=1 << 63),
        order_message(i=10**400),
        order_message(T=9_223_372_036_855),
        algo_message(q="-1"),
    ],
)
async def test_an_account_message_that_cannot_be_read_has_the_account_read_anew(message: bytes) -> None:
    heard: list[AnyEvent] = []
    feed = UserFeed(BinanceRest(settings(), HandClock()), heard.append, random.Random(1))
    with pytest.raises(StreamDown):
        feed._frame(message, 1, 1)
    assert not heard


async def test_a_message_nested_without_end_is_skipped_and_the_stream_lives() -> None:
    feed = UserFeed(BinanceRest(settings(), HandClock()), lambda _: None, random.Random(1))
    with pytest.raises(UNREADABLE):  # which is what Stream counts as skipped
        feed._frame(DEEP, 1, 1)


def test_a_liquidation_price_below_zero_is_none() -> None:
    row = replies.PositionRisk(symbol="X", position_amt="1", entry_price="5", liquidation_price="-3.5")
    assert replies.position_report(row, 3).liquidation is None
