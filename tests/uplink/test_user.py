"""The account's stream: whose an order is, and that nothing of it is lost."""

import asyncio
import random

import msgspec
import pytest
from uplink_data import HandClock, algo_message, order_message, settings

from nexus_engine.model.events import AnyEvent, OrderUpdate
from nexus_engine.model.words import OrderStatus
from nexus_engine.uplink.binance import user, wire
from nexus_engine.uplink.binance.rest import BinanceRest
from nexus_engine.uplink.binance.user import UserFeed
from nexus_engine.uplink.stream import StreamDown


class Heard:
    """A user feed that is fed by hand."""

    def __init__(self) -> None:
        self.events: list[AnyEvent] = []
        self.more = asyncio.Event()
        rest = BinanceRest(settings(), HandClock())
        self.counts, self.look_again = rest.counts, rest.look_again
        self.feed = UserFeed(rest, self._take, random.Random(1))

    def _take(self, event: AnyEvent) -> None:
        self.events.append(event)
        self.more.set()

    def say(self, raw: bytes) -> None:
        self.feed._frame(raw, 1, 2)

    @property
    def orders(self) -> list[OrderUpdate]:
        return [event for event in self.events if isinstance(event, OrderUpdate)]


@pytest.fixture
async def heard() -> Heard:
    return Heard()


def child(**changes: object) -> bytes:
    return order_message(**({"c": "venue-made-it", "R": True, "S": "SELL", "i": 88, "t": 5} | changes))


async def test_an_order_of_ours_is_delivered_at_once(heard: Heard) -> None:
    heard.say(order_message())
    (event,) = heard.orders
    assert event.fill is not None and event.fill.client_id == event.report.client_id == "nxab-1-1e1"


async def test_fills_of_a_triggered_stop_count_for_the_stop(heard: Heard) -> None:
    heard.say(algo_message(X="TRIGGERED", ai="88"))
    heard.say(child())
    triggered, filled = heard.orders
    assert triggered.report.status is OrderStatus.OPEN
    assert (filled.report.client_id, filled.report.conditional) == ("nxab-1-1s1", True)
    assert filled.fill is not None and filled.fill.client_id == "nxab-1-1s1"


async def test_a_fill_that_comes_before_we_know_whose_it_is_waits_for_that(heard: Heard) -> None:
    heard.say(child(x="NEW", X="NEW", l="0", z="0", t=0))
    heard.say(child())
    assert heard.orders == []
    heard.say(algo_message(X="TRIGGERED", ai="88"))
    assert [(e.report.client_id, e.report.status) for e in heard.orders] == [
        ("nxab-1-1s1", OrderStatus.OPEN),
        ("nxab-1-1s1", OrderStatus.FILLED),
        ("nxab-1-1s1", OrderStatus.OPEN),
    ]


async def test_a_strangers_order_waits_a_moment_and_keeps_its_own_name(
    heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user, "HOLD_S", 0.0)
    heard.say(child(c="web_abc"))
    assert heard.orders == []
    await heard.more.wait()
    assert heard.orders[0].report.client_id == "web_abc"


async def test_more_held_than_may_be_held_are_delivered_rather_than_dropped(heard: Heard) -> None:
    for number in range(user.MOST_HELD + 1):
        heard.say(child(i=1000 + number, c=f"web_{number}"))
    assert len(heard.orders) == user.MOST_HELD


async def test_when_the_stream_breaks_what_was_held_is_delivered(heard: Heard) -> None:
    heard.say(child())
    heard.feed._down("gone")
    assert [type(event).__name__ for event in heard.events] == ["OrderUpdate", "FeedStatus"]


@pytest.mark.parametrize("cid", ["autoclose-123", "adl_autoclose", "settlement_autoclose-9", "delivery_autoclose-1"])
async def test_what_the_venue_closes_by_itself_comes_at_once_under_its_own_id(heard: Heard, cid: str) -> None:
    heard.say(child(c=cid, x="CALCULATED"))
    (event,) = heard.orders
    assert event.report.client_id == cid and event.fill is not None


async def test_an_expired_listen_key_ends_the_connection(heard: Heard) -> None:
    with pytest.raises(StreamDown, match="listen key expired"):
        heard.say(b'{"e":"listenKeyExpired","E":1,"listenKey":"K"}')


@pytest.mark.parametrize("raw", [order_message(l="NaN"), algo_message(S="UP"), b'{"e":"ACCOUNT_UPDATE"}'])
async def test_an_unreadable_message_about_orders_makes_the_account_be_read_anew(heard: Heard, raw: bytes) -> None:
    with pytest.raises(StreamDown, match="cannot be read"):
        heard.say(raw)


@pytest.mark.parametrize("raw", [b"{", b"[]", b'{"e":"STRATEGY_UPDATE"}', b'{"e":7}', b"\xff\xfe", b"null"])
async def test_anything_else_unreadable_is_skipped(heard: Heard, raw: bytes) -> None:
    with pytest.raises((msgspec.MsgspecError, UnicodeDecodeError)):
        heard.say(raw)
    assert heard.events == []


async def test_a_state_that_we_have_no_word_for_is_counted_and_delivered(heard: Heard) -> None:
    heard.say(order_message(X="FROZEN", z="0", l="0"))
    heard.say(algo_message(X="PAUSED"))
    assert heard.counts.unknown == 2
    assert [event.report.status for event in heard.orders] == [OrderStatus.OPEN, OrderStatus.OPEN]


async def test_messages_that_say_nothing_new_are_no_events(heard: Heard) -> None:
    for kind in ("TRADE_LITE", "ACCOUNT_CONFIG_UPDATE", "MARGIN_CALL"):
        heard.say(b'{"e":"%s","E":1}' % kind.encode())
    assert heard.events == []


async def test_a_stop_that_triggers_and_makes_no_order_is_doubted_after_a_second(
    heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "TRIGGERING_S", 0.01)
    heard.say(algo_message(X="TRIGGERING"))
    heard.more.clear()
    await heard.more.wait()
    assert [event.report.status for event in heard.orders] == [OrderStatus.OPEN, OrderStatus.UNKNOWN]
    assert heard.orders[-1].report.reason == wire.STUCK


@pytest.mark.parametrize("word", ["TRIGGERED", "REJECTED", "CANCELED"])
async def test_a_stop_whose_trigger_comes_to_something_is_not_doubted(
    heard: Heard, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setattr(wire, "TRIGGERING_S", 0.0)
    heard.say(algo_message(X="TRIGGERING"))
    heard.say(algo_message(X=word, ai="88" if word == "TRIGGERED" else ""))
    await asyncio.sleep(0.01)
    assert OrderStatus.UNKNOWN not in [event.report.status for event in heard.orders]


async def test_a_change_of_the_accounts_settings_is_looked_into(heard: Heard) -> None:
    assert not heard.look_again.is_set()
    heard.say(b'{"e":"ACCOUNT_CONFIG_UPDATE","E":1,"T":1,"ac":{"s":"BTCUSDT","l":20}}')
    assert heard.look_again.is_set() and heard.events == []


async def test_a_changed_margin_type_is_looked_into(heard: Heard) -> None:
    heard.say(b'{"e":"ACCOUNT_UPDATE","E":1,"T":1,"a":{"m":"ORDER","B":[],"P":[]}}')
    assert not heard.look_again.is_set()
    heard.say(b'{"e":"ACCOUNT_UPDATE","E":1,"T":1,"a":{"m":"MARGIN_TYPE_CHANGE","B":[],"P":[]}}')
    assert heard.look_again.is_set()


async def test_an_event_of_a_kind_we_do_not_know_is_counted_by_its_name(
    heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        with pytest.raises(msgspec.MsgspecError):
            heard.say(b'{"e":"STRATEGY_UPDATE","E":1}')
    assert heard.counts.unknown == 3
    assert [record.getMessage() for record in caplog.records] == [
        "the venue says 'STRATEGY_UPDATE' of an account event, which is not known here"
    ]
