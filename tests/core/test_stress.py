"""What is at stake: milder is never worse, nothing is nothing, and no number is lost."""

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_engine.core.stress import stress
from nexus_engine.model.facts import OrderIntended, WalletSeen
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.orders import ExitPlan, Order
from nexus_engine.model.positions import Position
from nexus_engine.model.view import StressView
from nexus_engine.model.words import Leg, OrderKind, Side

SYMBOL = "BTCUSDT"
QTY = st.decimals("-50", "50", places=3, allow_nan=False)
PRICE = st.decimals("0.01", "100000", places=2, allow_nan=False)


def ledger(wallet: Decimal | None = None) -> Ledger:
    found = Ledger()
    if wallet is not None:
        found.apply(WalletSeen(at_ns=1, wallet=wallet))
    return found


def test_an_empty_account_stakes_nothing() -> None:
    found = stress(ledger(), {}, {}, lambda _: 1.0, {})
    assert [each.money for each in found.lines] == [0.0] * 4
    assert {each.pct for each in found.lines} == {None}
    assert found.liquidation_pct is None


@given(qty=QTY, mark=PRICE, rate=st.floats(), beta=st.floats(0.0, 3.0))
def test_a_foreign_short_gains_in_a_fall_and_no_number_is_lost(
    qty: Decimal, mark: Decimal, rate: float, beta: float
) -> None:
    held = ledger(Decimal(1_000))
    held.foreign[SYMBOL] = qty
    found = stress(held, {SYMBOL: mark}, {}, lambda _: beta, {SYMBOL: rate if abs(rate) < 1 else math.nan})
    stops, gap, fall, _ = (each.money for each in found.lines)
    assert all(math.isfinite(each.money) and each.pct is not None for each in found.lines)
    assert gap <= stops <= 0
    assert fall * float(qty) <= 0
    assert math.isclose(fall, -float(qty * mark) * beta * 0.1, rel_tol=1e-6, abs_tol=1e-9)
    assert found.foreign == 1


def test_what_has_no_price_is_named() -> None:
    held = ledger(Decimal(1_000))
    held.foreign[SYMBOL] = Decimal(1)
    assert stress(held, {}, {SYMBOL: Decimal(5)}, lambda _: 1.0, {}).unpriced == (SYMBOL,)


# ---- what is ours ----------------------------------------------------------------------------------------------------

MARK = Decimal(1_000)
SIZE = st.decimals("0.001", "50", places=3)
SIDE = st.sampled_from((1, -1))
AWAY = st.decimals("0.001", "0.9", places=3)
"""Of the mark."""


def held(ledger: Ledger, symbol: str, qty: Decimal, stop: Decimal, entry: Decimal = MARK) -> Ledger:
    ledger.positions[symbol] = Position(
        symbol=symbol, intent=len(ledger.positions) + 1, qty=qty, entry=entry, strategy="flow", by="bot",
        plan=ExitPlan(stop=stop), first_stop=stop, opened_ns=1, peak_qty=abs(qty),
    )  # fmt: skip
    return ledger


def stressed(
    held: Ledger, liquidation: dict[str, Decimal | None] | None = None, beta: float = 1.0, rate: float = 0.0
) -> tuple[float, float, float, float]:
    """The four results; every symbol stands at MARK."""
    found = whole(held, liquidation, beta, rate)
    stops, gap, fall, funding = (each.money for each in found.lines)
    return stops, gap, fall, funding


def whole(held: Ledger, liquidation: dict[str, Decimal | None] | None, beta: float, rate: float) -> StressView:
    symbols = [*held.positions, *held.foreign, *(order.symbol for order in held.alive())]
    return stress(held, dict.fromkeys(symbols, MARK), liquidation or {}, lambda _: beta, dict.fromkeys(symbols, rate))


@given(size=SIZE, sign=SIDE, near=AWAY, far=AWAY)
def test_a_nearer_stop_never_stakes_more_and_a_gap_stakes_twice(
    size: Decimal, sign: int, near: Decimal, far: Decimal
) -> None:
    near, far = min(near, far), max(near, far)
    stops = []
    for away in (near, far):
        at_stop, gapped, *_ = stressed(held(ledger(Decimal(1_000)), SYMBOL, sign * size, MARK * (1 - sign * away)))
        assert math.isclose(at_stop, -float(size * MARK * away), rel_tol=1e-9)
        assert math.isclose(gapped, 2 * at_stop, rel_tol=1e-12)
        stops.append(at_stop)
    assert stops[1] <= stops[0] < 0


@given(size=SIZE, sign=SIDE, away=AWAY)
def test_a_stop_that_has_locked_a_profit_in_stakes_only_what_is_given_back(
    size: Decimal, sign: int, away: Decimal
) -> None:
    """From the mark on, not from the entry; and a stop on the wrong side of the mark is no gain."""
    entry = MARK * (1 - sign * Decimal("0.95"))
    behind = held(ledger(Decimal(1_000)), SYMBOL, sign * size, MARK * (1 - sign * away), entry)
    passed = held(ledger(Decimal(1_000)), SYMBOL, sign * size, MARK * (1 + sign * away), entry)
    assert math.isclose(stressed(behind)[0], -float(size * MARK * away), rel_tol=1e-9)
    assert stressed(passed)[:2] == (0.0, 0.0)


@given(size=SIZE, away=AWAY, beta=st.floats(0.0, 3.0))
def test_a_short_of_ours_gains_in_the_fall_and_no_stop_above_it_matters(
    size: Decimal, away: Decimal, beta: float
) -> None:
    fall = stressed(held(ledger(Decimal(1_000)), SYMBOL, -size, MARK * (1 + away)), beta=beta)[2]
    assert math.isclose(fall, float(size * MARK) * beta * 0.1, rel_tol=1e-9, abs_tol=1e-9)


@given(size=SIZE, away=AWAY, liq=AWAY, beta=st.floats(0.0, 3.0))
def test_a_long_loses_the_fall_or_what_ends_it_first(size: Decimal, away: Decimal, liq: Decimal, beta: float) -> None:
    account = held(ledger(Decimal(1_000)), SYMBOL, size, MARK * (1 - away))
    found = stressed(account, {SYMBOL: MARK * (1 - liq)}, beta)[2]
    share = min(beta * 0.1, float(away), float(liq))
    assert math.isclose(found, -float(size * MARK) * share, rel_tol=1e-9, abs_tol=1e-9)


@given(size=SIZE, sign=SIDE, away=AWAY, steeper=st.tuples(st.floats(0.0, 3.0), st.floats(0.0, 3.0)))
def test_a_deeper_fall_is_never_better_for_a_long_nor_worse_for_a_short(
    size: Decimal, sign: int, away: Decimal, steeper: tuple[float, float]
) -> None:
    account = held(ledger(Decimal(1_000)), SYMBOL, sign * size, MARK * (1 - sign * away))
    mild, deep = (stressed(account, beta=beta)[2] * sign for beta in sorted(steeper))
    assert deep <= mild <= 0


@given(size=SIZE)
def test_without_a_stop_the_whole_distance_is_staked(size: Decimal) -> None:
    bare = held(ledger(Decimal(1_000)), SYMBOL, size, Decimal(0))
    assert math.isclose(stressed(bare)[0], -float(size * MARK), rel_tol=1e-12)
    flying = ledger(Decimal(1_000))
    order = Order(
        client_id="e", symbol=SYMBOL, side=Side.BUY, kind=OrderKind.LIMIT, leg=Leg.ENTRY, intent=1, qty=size,
        price=MARK, created_ns=1, changed_ns=1,
    )  # fmt: skip
    flying.apply(OrderIntended(at_ns=1, order=order))
    assert math.isclose(stressed(flying)[0], -float(size * MARK), rel_tol=1e-12)
    assert stressed(flying)[2:] == (0.0, 0.0), "what is not held neither falls nor pays"


@given(size=SIZE, sign=SIDE, rate=st.floats(-0.05, 0.05))
def test_longs_pay_a_positive_rate_and_shorts_are_paid(size: Decimal, sign: int, rate: float) -> None:
    paid = stressed(held(ledger(Decimal(1_000)), SYMBOL, sign * size, MARK * (1 - sign * Decimal("0.1"))), rate=rate)[3]
    assert math.isclose(paid, -sign * float(size * MARK) * rate, rel_tol=1e-9, abs_tol=1e-12)


@given(st.lists(st.tuples(SIZE, SIDE, AWAY, AWAY), min_size=1, max_size=6), st.floats(0.0, 3.0))
def test_an_account_stakes_the_sum_of_its_positions_and_the_nearest_liquidation_is_named(
    found: list[tuple[Decimal, int, Decimal, Decimal]], beta: float
) -> None:
    together, liquidation = ledger(Decimal(1_000)), dict[str, Decimal | None]()
    sums = [0.0] * 4
    for at, (size, sign, away, liq) in enumerate(found):
        symbol, stop = f"S{at}USDT", MARK * (1 - sign * away)
        liquidation[symbol] = MARK * (1 - sign * liq)
        held(together, symbol, sign * size, stop)
        alone = stressed(held(ledger(Decimal(1_000)), symbol, sign * size, stop), liquidation, beta, 0.001)
        sums = [one + other for one, other in zip(sums, alone, strict=True)]
    assert stressed(together, liquidation, beta, 0.001) == tuple(map(_near, sums))
    seen = whole(together, liquidation, beta, 0.0)
    nearest = min(float(liq) * 100 for _, _, _, liq in found)
    assert seen.liquidation_pct is not None and math.isclose(seen.liquidation_pct, nearest, rel_tol=1e-6)
    assert math.isclose(float(found[int(seen.liquidation_symbol[1])][3]) * 100, nearest, rel_tol=1e-6)


def _near(value: float) -> Any:
    return pytest.approx(value, rel=1e-9, abs=1e-6)
