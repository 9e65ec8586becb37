"""What is at stake: milder is never worse, nothing is nothing, and no number is lost."""

import math
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from nexus_engine.core.stress import stress
from nexus_engine.model.facts import WalletSeen
from nexus_engine.model.ledger import Ledger

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
