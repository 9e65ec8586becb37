"""Exposure never passes its limits, whatever is in flight, unknown or foreign."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from shield_words import NOW_NS, entry, fill, intend
from swan_corpus import Desk

from nexus_engine.model.config import RiskConfig
from nexus_engine.model.facts import DayOpened, ForeignSeen, OrderChanged
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.orders import OrderReport
from nexus_engine.model.verdicts import Verdict
from nexus_engine.model.words import Leg, OrderStatus, Ruling, Side
from nexus_engine.shield.exposure import depth, measure

EQUITY = Decimal(10_000)
SYMBOLS = ("ADAUSDT", "DOGEUSDT", "ETHUSDT", "SOLUSDT")
MARKS = dict.fromkeys(SYMBOLS, Decimal(100))
STEP = Decimal("0.001")
ALIVE = [status for status in OrderStatus if not status.terminal]
LIMITS = RiskConfig(
    symbol_exposure_pct=50, account_exposure_pct=100, side_exposure_pct=500, open_risk_pct=3, group_risk_pct=10
)
NAMES = [
    *("stop", "symbol exposure", "account exposure", "side exposure", "leverage", "open risk", "group risk"),
    *("positions", "depth", "liquidation", "day loss"),
]


def desk(**limits: object) -> Desk:
    made = Desk(risk=RiskConfig.model_validate(LIMITS.model_dump() | limits))
    made.ledger.apply(DayOpened(at_ns=NOW_NS, day=1, equity=EQUITY))
    return made


def judge(
    on: Desk,
    qty: str | Decimal,
    symbol: str = "SOLUSDT",
    price: str = "100",
    stop: str = "99.9",
    side: Side = Side.BUY,
    equity: Decimal = EQUITY,
    day_pnl: Decimal = Decimal(0),
    marks: dict[str, Decimal] = MARKS,
) -> dict[str, Verdict]:
    verdicts = on.shield.judge_size(
        on.turn(NOW_NS),
        symbol=symbol,
        side=side,
        qty=Decimal(qty),
        price=Decimal(price),
        stop=Decimal(stop),
        equity=equity,
        day_pnl=day_pnl,
        marks=marks,
    )
    names = [verdict.guard for verdict in verdicts]
    assert names == NAMES
    return {verdict.guard: verdict for verdict in verdicts}


def what(verdicts: dict[str, Verdict]) -> dict[str, tuple[Ruling, float]]:
    """The verdicts that do not allow."""
    return {name: (v.ruling, v.scale) for name, v in verdicts.items() if v.ruling is not Ruling.ALLOW}


def test_a_size_within_every_limit_is_allowed_up_to_the_last_unit() -> None:
    assert what(judge(desk(), "50")) == {}
    assert what(judge(desk(), "3", stop="99")) == {}


def test_a_larger_size_is_reduced_to_what_fits() -> None:
    assert what(judge(desk(), "80")) == {"symbol exposure": (Ruling.REDUCE, 0.625)}
    assert what(judge(desk(), "40", stop="90")) == {"open risk": (Ruling.REDUCE, 0.75)}
    assert what(judge(desk(), "200", stop="99.99")) == {
        "symbol exposure": (Ruling.REDUCE, 0.25),
        "account exposure": (Ruling.REDUCE, 0.5),
    }


@pytest.mark.parametrize("status", ALIVE)
def test_an_entry_in_any_state_but_the_last_counts_with_what_may_still_fill(status: OrderStatus) -> None:
    on = desk()
    order = intend(on.ledger, entry(1, "ETHUSDT", "40", stop="99.9"))
    fill(on.ledger, order, "10")
    on.ledger.apply(OrderChanged(at_ns=NOW_NS, client_id=order.client_id, status=status))
    on.ledger.apply(ForeignSeen(at_ns=NOW_NS, symbol="ADAUSDT", qty=Decimal("-40")))
    held = measure(on.ledger, MARKS)
    assert held.notional == {"ETHUSDT": Decimal(4_000), "ADAUSDT": Decimal(4_000)}
    assert held.risk == Decimal(4)
    assert what(judge(on, "40")) == {"account exposure": (Ruling.REDUCE, 0.5)}


@pytest.mark.parametrize("status", [status for status in OrderStatus if status.terminal])
def test_an_entry_that_is_over_counts_no_more(status: OrderStatus) -> None:
    on = desk()
    intend(on.ledger, entry(1, "ETHUSDT", "40"), status)
    assert measure(on.ledger, MARKS).total == 0


def test_exits_make_no_room_before_they_have_filled() -> None:
    on = desk()
    fill(on.ledger, intend(on.ledger, entry(1, "SOLUSDT", "50", stop="99.9")), "50")
    intend(on.ledger, entry(1, "SOLUSDT", "50", side=Side.SELL, leg=Leg.EXIT), OrderStatus.OPEN)
    assert what(judge(on, "1"))["symbol exposure"] == (Ruling.REFUSE, 1.0)
    assert measure(on.ledger, MARKS).total == Decimal(5_000)


def test_what_is_left_is_rounded_down() -> None:
    assert what(judge(desk(), "70", stop="99.99")) == {"symbol exposure": (Ruling.REDUCE, 0.714285)}


def test_shorts_and_longs_add_up() -> None:
    on = desk()
    fill(on.ledger, intend(on.ledger, entry(1, "ETHUSDT", "50", stop="99.9")), "50")
    fill(on.ledger, intend(on.ledger, entry(2, "ADAUSDT", "50", side=Side.SELL, stop="100.1")), "50")
    assert what(judge(on, "1"))["account exposure"][0] is Ruling.REFUSE


def test_everything_is_valued_at_the_dearer_of_price_and_mark() -> None:
    dear = MARKS | {"SOLUSDT": Decimal(125)}
    assert what(judge(desk(), "50", marks=dear)) == {"symbol exposure": (Ruling.REDUCE, 0.8)}
    on = desk()
    intend(on.ledger, entry(1, "SOLUSDT", "40", stop="99.9"))
    assert measure(on.ledger, dear).total == Decimal(5_000)
    cheap = MARKS | {"SOLUSDT": Decimal(80)}
    assert measure(on.ledger, cheap).total == Decimal(4_000)


@pytest.mark.parametrize("marks", [{}, {"ADAUSDT": Decimal("NaN")}, {"ADAUSDT": Decimal(0)}])
def test_what_nobody_can_value_refuses_everything(marks: dict[str, Decimal]) -> None:
    on = desk()
    on.ledger.apply(ForeignSeen(at_ns=NOW_NS, symbol="ADAUSDT", qty=Decimal(1)))
    verdicts = judge(on, "1", marks=marks)
    assert {name for name, verdict in verdicts.items() if verdict.refuses} == set(NAMES[1:7])
    assert "ADAUSDT" in verdicts["account exposure"].reason


@pytest.mark.parametrize("equity", ["0", "-5"])
def test_without_equity_nothing_fits(equity: str) -> None:
    assert judge(desk(), "1", equity=Decimal(equity))["account exposure"].refuses


@pytest.mark.parametrize(
    ("side", "stop"), [(Side.BUY, "100"), (Side.BUY, "101"), (Side.SELL, "100"), (Side.SELL, "99")]
)
def test_a_stop_on_the_wrong_side_is_refused(side: Side, stop: str) -> None:
    assert judge(desk(), "1", side=side, stop=stop)["stop"].refuses


def test_a_size_is_refused_when_the_day_has_lost_its_limit() -> None:
    assert not judge(desk(), "1", day_pnl=Decimal("-299.99"))["day loss"].refuses
    assert judge(desk(), "1", day_pnl=Decimal("-300"))["day loss"].refuses


def counted(ledger: Ledger) -> tuple[dict[str, Decimal], Decimal]:
    """Notional by symbol and open risk, counted by the book: at a price of 100 everywhere."""
    notional = dict.fromkeys(SYMBOLS, Decimal(0))
    risk = Decimal(0)
    for symbol, position in ledger.positions.items():
        notional[symbol] += abs(position.qty) * 100
        risk += abs(position.qty) * abs(position.entry - position.plan.stop)
    for symbol, qty in ledger.foreign.items():
        notional[symbol] += abs(qty) * 100
    for order in ledger.orders.values():
        if order.status not in (
            OrderStatus.FILLED,
            OrderStatus.CANCELED,
            OrderStatus.REJECTED,
            OrderStatus.EXPIRED,
        ):
            assert order.plan is not None
            notional[order.symbol] += (order.qty - order.filled) * 100
            risk += (order.qty - order.filled) * abs(Decimal(100) - order.plan.stop)
    return notional, risk


quantities = st.decimals("0.001", "150", places=3)
steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("enter"),
            st.sampled_from(SYMBOLS),
            quantities,
            st.decimals("0.01", "20", places=2),
            st.sampled_from(list(Side)),
        ),
        st.tuples(st.just("turn"), st.integers(0, 30), st.sampled_from(list(OrderStatus))),
        st.tuples(st.just("fill"), st.integers(0, 30), st.decimals("0", "1", places=2)),
        st.tuples(st.just("foreign"), st.sampled_from(SYMBOLS), st.decimals("-20", "20", places=3)),
    ),
    max_size=25,
)


@settings(max_examples=300, deadline=None)
@given(steps)
def test_whatever_happens_to_the_orders_no_entry_passes_a_limit(happenings: list[tuple[Any, ...]]) -> None:
    on = desk()
    for number, (kind, *rest) in enumerate(happenings, start=1):
        orders = [order for order in on.ledger.alive() if order.leg is Leg.ENTRY]
        if kind == "enter":
            symbol, wanted, distance, side = rest
            stop = Decimal(100) - distance * side.sign
            verdicts = judge(on, wanted, symbol, stop=str(stop), side=side)
            sized = [verdicts[name] for name in ("symbol exposure", "account exposure", "open risk")]
            scale = min(Decimal(repr(verdict.scale)) for verdict in sized)
            qty = (wanted * scale // STEP) * STEP
            before, before_risk = counted(on.ledger)
            fits = (
                before[symbol] + wanted * 100 <= 5_000
                and sum(before.values()) + wanted * 100 <= 10_000
                and before_risk + wanted * distance <= 300
            )
            assert fits is all(verdict.ruling is Ruling.ALLOW for verdict in sized)
            if any(verdict.refuses for verdict in sized) or not qty:
                continue
            intend(on.ledger, entry(number, symbol, str(qty), stop=str(stop), side=side))
            after, after_risk = counted(on.ledger)
            assert after[symbol] <= 5_000
            assert sum(after.values()) <= 10_000
            assert after_risk <= 300
        elif kind == "turn" and orders:
            at, status = rest
            if status is not OrderStatus.FILLED:
                order = orders[at % len(orders)]
                on.ledger.apply(OrderChanged(at_ns=NOW_NS, client_id=order.client_id, status=status))
        elif kind == "fill" and orders:
            at, share = rest
            order = orders[at % len(orders)]
            qty = (order.leaves * share // STEP) * STEP
            if qty:
                fill(on.ledger, order, qty)
        elif kind == "foreign":
            symbol, qty = rest
            on.ledger.apply(ForeignSeen(at_ns=NOW_NS, symbol=symbol, qty=qty))


def test_what_the_venue_holds_counts_where_it_is_more_than_we_know() -> None:
    on = desk()
    fill(on.ledger, intend(on.ledger, entry(1, "SOLUSDT", "10", stop="99.9")), "10")
    on.ledger.apply(ForeignSeen(at_ns=NOW_NS, symbol="SOLUSDT", qty=Decimal(5)))
    for told, total in (("0", 1_500), ("15", 1_500), ("20", 2_000), ("-20", 2_000)):
        assert measure(on.ledger, MARKS, {"SOLUSDT": Decimal(told)}).total == total
    assert measure(on.ledger, MARKS, {"ETHUSDT": Decimal(-7)}).notional["ETHUSDT"] == 700


def test_orders_of_others_count_with_what_may_still_fill_at_the_dearer_price() -> None:
    order = OrderReport(
        client_id="web_1",
        symbol="ETHUSDT",
        side=Side.BUY,
        status=OrderStatus.PARTIAL,
        qty=Decimal(10),
        filled=Decimal(4),
        price=Decimal(90),
    )
    above = replace(order, price=None, trigger=Decimal(110))
    assert measure(Ledger(), MARKS, strangers=[order]).total == 600
    assert measure(Ledger(), MARKS, strangers=[above]).total == 660


# ---- by side, by group, by count, and how far the liquidation is -----------------------------------------------------


def hold(on: Desk, intent: int, symbol: str, qty: str, stop: str = "99", side: Side = Side.BUY) -> None:
    fill(on.ledger, intend(on.ledger, entry(intent, symbol, qty, stop=stop, side=side)), qty)


def test_longs_and_shorts_have_a_limit_each_and_foreign_ones_count_on_their_side() -> None:
    on = desk(side_exposure_pct=60)
    hold(on, 1, "ETHUSDT", "20", stop="99.9")
    intend(on.ledger, entry(2, "ADAUSDT", "10", stop="99.9"))
    on.ledger.apply(ForeignSeen(at_ns=NOW_NS, symbol="DOGEUSDT", qty=Decimal(20)))
    assert what(judge(on, "40")) == {"side exposure": (Ruling.REDUCE, 0.25)}
    assert what(judge(on, "40", stop="100.1", side=Side.SELL)) == {}
    on.ledger.apply(ForeignSeen(at_ns=NOW_NS, symbol="DOGEUSDT", qty=Decimal(-20)))
    assert what(judge(on, "30")) == {}
    assert what(judge(on, "50", stop="100.1", side=Side.SELL)) == {"side exposure": (Ruling.REDUCE, 0.8)}


def test_what_the_venue_holds_beyond_what_is_known_counts_on_the_side_it_names() -> None:
    ledger = Ledger()
    ledger.apply(ForeignSeen(at_ns=NOW_NS, symbol="SOLUSDT", qty=Decimal(3)))
    held = measure(ledger, MARKS, {"SOLUSDT": Decimal(-10)})
    assert held.sides == {Side.BUY: Decimal(300), Side.SELL: Decimal(700)} and held.total == 1_000


def test_the_leverage_of_the_account_is_a_limit_whatever_the_exposure_may_be() -> None:
    on = desk(symbol_exposure_pct=500, account_exposure_pct=900, side_exposure_pct=900, leverage=3)
    assert what(judge(on, "400", stop="99.99")) == {"leverage": (Ruling.REDUCE, 0.75)}


def test_stops_of_one_side_of_a_group_together_are_limited() -> None:
    on = desk(group_risk_pct=2)
    hold(on, 1, "ETHUSDT", "15", stop="90")
    assert what(judge(on, "10", stop="90")) == {"group risk": (Ruling.REDUCE, 0.5)}
    assert what(judge(on, "10", stop="110", side=Side.SELL)) == {}


def test_groups_of_your_own_keep_what_is_outside_apart() -> None:
    on = desk(group_risk_pct=2, groups={"majors": ["ETHUSDT", "SOLUSDT"], "memes": ["DOGEUSDT"]})
    hold(on, 1, "ETHUSDT", "15", stop="90")
    assert what(judge(on, "10", stop="90")) == {"group risk": (Ruling.REDUCE, 0.5)}
    for elsewhere in ("DOGEUSDT", "ADAUSDT"):
        assert what(judge(on, "10", elsewhere, stop="90")) == {}


def test_no_more_symbols_than_allowed_are_held_at_a_time() -> None:
    on = desk(max_positions=3)
    hold(on, 1, "ETHUSDT", "1")
    intend(on.ledger, entry(2, "ADAUSDT", "1"))
    assert what(judge(on, "1")) == {}
    on.ledger.apply(ForeignSeen(at_ns=NOW_NS, symbol="DOGEUSDT", qty=Decimal(-1)))
    assert judge(on, "1")["positions"].reason == "3 symbols are held or being entered, limit 3"
    assert what(judge(on, "1", "ADAUSDT")) == {}


@pytest.mark.parametrize(
    ("leverage", "stop", "refused"), [(3, "87.7", False), (3, "87.6", True), (8, "96.1", False), (8, "95.9", True)]
)
@pytest.mark.parametrize("side", list(Side))
def test_a_stop_is_well_before_the_liquidation(leverage: int, stop: str, refused: bool, side: Side) -> None:
    on = desk(leverage=leverage)
    stop = stop if side is Side.BUY else str(200 - Decimal(stop))
    assert judge(on, "1", stop=stop, side=side)["liquidation"].refuses is refused


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(SYMBOLS),
            st.sampled_from(Side),
            st.decimals(1, 60, places=1),
            st.decimals("0.1", 9, places=1),
        ),
        max_size=12,
    )
)
def test_no_order_of_entries_passes_a_side_or_a_group(wishes: list[tuple[str, Side, Decimal, Decimal]]) -> None:
    on = desk(side_exposure_pct=60, group_risk_pct=2, symbol_exposure_pct=500, account_exposure_pct=900)
    for intent, (symbol, side, wanted, distance) in enumerate(wishes, start=1):
        stop = Decimal(100) - distance * side.sign
        verdicts = judge(on, wanted, symbol, stop=str(stop), side=side)
        scale = min(Decimal(repr(verdict.scale)) for verdict in verdicts.values())
        qty = (wanted * scale // STEP) * STEP
        if any(verdict.refuses for verdict in verdicts.values()) or not qty:
            continue
        intend(on.ledger, entry(intent, symbol, str(qty), stop=str(stop), side=side))
        held = measure(on.ledger, MARKS)
        assert max(held.sides.values()) <= 6_000
        for of in Side:
            assert sum(loss for (_, one), loss in held.risks.items() if one is of) <= 200


@given(st.decimals("0.001", "1000", places=3), st.decimals("0", "5000", places=3), st.floats(1.0, 100.0))
def test_an_order_is_cut_to_what_the_book_holds_and_no_further(qty: Decimal, there: Decimal, factor: float) -> None:
    verdict = depth(qty, there, factor)
    fits = qty * Decimal(repr(verdict.scale)) * Decimal(repr(factor))
    if verdict.refuses:
        assert there / qty < factor
    else:
        assert fits <= there
        assert verdict.ruling is Ruling.ALLOW or there - fits <= there / 1_000 + qty * Decimal(repr(factor)) / 100_000
    [reading] = verdict.inputs
    assert reading.limit == factor and reading.value == pytest.approx(float(there / qty))


def test_without_a_book_or_a_factor_its_depth_is_not_judged() -> None:
    assert depth(Decimal(1), None, 20.0).ruling is Ruling.ALLOW
    assert depth(Decimal(1), Decimal(0), 0.0).ruling is Ruling.ALLOW
