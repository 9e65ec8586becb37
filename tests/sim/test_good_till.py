"""Orders that are good till a date: what the venue accepts, and what becomes of them at that second."""

from decimal import Decimal as D

import pytest
from desk import BTC, Desk, refused

from nexus_engine.sim.contract import Print
from nexus_engine.sim.orders import AlgoEvent, NewOrder, OrderEvent
from nexus_engine.sim.wire import Scale
from nexus_engine.sim.wire_account import algo_row, order_row
from nexus_engine.sim.wire_user import user_events

NOW = 1_000  # of the desk's requests
SOON = NOW + 600_000
DATE = 700_000
LIMIT = {"symbol": BTC, "side": "BUY", "type": "LIMIT", "quantity": D("0.01"), "price": D("99000"), "client_id": "x"}


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize(
    ("good_till_ms", "code"),
    [
        (None, -1102),
        (0, -5040),
        (SOON, -5040),
        (SOON + 999, -5040),  # the venue keeps whole seconds
        (253_402_300_799_000, -5040),
        (10**30, -5040),
    ],
)
def test_a_date_that_is_missing_too_near_or_after_the_last_year_is_refused(
    desk: Desk, good_till_ms: int | None, code: int
) -> None:
    with refused(code):
        desk.account.place(NewOrder(**LIMIT, tif="GTD", good_till_ms=good_till_ms), NOW, desk.shelf)
    with refused(code):
        desk.algo("BUY", "STOP", "101000", "0.01", price=D("101000"), tif="GTD", good_till_ms=good_till_ms)
    assert not desk.account.ledger.orders and not desk.account.ledger.algos and not desk.account.events


def test_the_next_second_and_the_last_one_are_good_dates_and_other_orders_have_none(desk: Desk) -> None:
    first = desk.order("BUY", "0.01", "99000", tif="GTD", good_till_ms=SOON + 1_999)
    assert first.good_till_ms == SOON + 1_000
    last = desk.order("BUY", "0.01", "99000", tif="GTD", good_till_ms=253_402_300_798_999)
    assert last.good_till_ms == 253_402_300_798_000
    assert desk.order("BUY", "0.01", "99000", good_till_ms=DATE).good_till_ms == 0


def test_what_is_left_of_it_expires_at_its_second_and_not_before(desk: Desk) -> None:
    order = desk.order("BUY", "0.02", "99000", tif="GTD", good_till_ms=DATE + 500)
    stays = desk.order("BUY", "0.01", "98000")
    desk.account.match(BTC, [Print(990_000, 5, True, 0)], 2_000, desk.shelf)
    desk.account.expire(DATE - 1)
    assert order.status == "PARTIALLY_FILLED"
    desk.account.expire(DATE)
    assert (order.status, order.filled_lots, stays.status) == ("EXPIRED", 5, "NEW")
    told = desk.account.events[-1]
    assert isinstance(told, OrderEvent) and (told.execution, told.at_ms) == ("EXPIRED", DATE)
    scale = Scale(desk.account.spec(BTC))
    (update,) = user_events({BTC: scale}, told)
    assert (update["o"]["f"], update["o"]["gtd"], update["o"]["X"]) == ("GTD", DATE, "EXPIRED")
    row = order_row(scale, order)
    assert (row["timeInForce"], row["goodTillDate"]) == ("GTD", DATE)
    assert order_row(scale, stays)["goodTillDate"] == 0


def test_a_conditional_order_expires_untriggered_and_hands_its_date_on_when_it_triggers(desk: Desk) -> None:
    """The order that it makes keeps the date, however near that is by then."""
    waits = desk.algo("BUY", "STOP", "101000", "0.01", price=D("100500"), tif="GTD", good_till_ms=DATE)
    fires = desk.algo("BUY", "STOP", "100200", "0.01", price=D("99900"), tif="GTD", good_till_ms=DATE)
    desk.shelf.move(100_200.0)
    desk.account.conditionals.trigger(BTC, 1_002_000, 1_002_000, DATE - 1_000, desk.shelf)
    order = desk.account.ledger.orders[fires.order_id]
    assert (order.tif, order.good_till_ms, order.status) == ("GTD", DATE, "NEW")
    desk.account.expire(DATE)
    assert (waits.status, order.status, fires.status) == ("EXPIRED", "EXPIRED", "FINISHED")
    told = [event for event in desk.account.events if isinstance(event, AlgoEvent) and event.algo.status == "EXPIRED"]
    scale = Scale(desk.account.spec(BTC))
    (update,) = user_events({BTC: scale}, told[0])
    assert update["o"]["gtd"] == algo_row(scale, waits)["goodTillDate"] == DATE
    assert not desk.account.resting and not desk.account.conditionals.open
