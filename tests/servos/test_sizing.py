"""How much, at the edge of what the venue takes."""

from decimal import Decimal

import pytest

from nexus_engine.model.config import RiskConfig
from nexus_engine.model.instruments import Instrument
from nexus_engine.model.signals import RegimeView, Signal
from nexus_engine.model.words import Regime, Side
from nexus_engine.servos.sizing import Sized, size

D = Decimal
SOL = Instrument(
    symbol="SOLUSDT",
    tick=D("0.01"),
    step=D("0.01"),
    min_qty=D("0.05"),
    max_qty=D(10_000),
    market_max_qty=D(5_000),
    min_notional=D(5),
)
WISH = Signal(
    symbol="SOLUSDT",
    strategy="wish",
    side=Side.BUY,
    price=150.0,
    limit=150.0,
    stop_distance=1.5,
    target=None,
    regime=RegimeView(regime=Regime.RANGE),
    risk_pct=0.3,
    market_ns=0,
)


def sized(most: Decimal, instrument: Instrument = SOL) -> Sized | str:
    return size(WISH, limit=150.0, equity=D(10_000), instrument=instrument, risk=RiskConfig(), most=most)


def test_the_smallest_quantity_is_taken_and_a_step_less_is_not() -> None:
    found = sized(D("0.05"))
    assert isinstance(found, Sized) and found.qty == D("0.05")
    assert "less than the smallest order" in str(sized(D("0.04")))


@pytest.mark.parametrize(("notional", "taken"), [("7.50", True), ("7.51", False)])
def test_the_smallest_notional_is_taken_and_a_cent_less_is_not(notional: str, taken: bool) -> None:
    instrument = Instrument(
        symbol="SOLUSDT", tick=SOL.tick, step=SOL.step, min_qty=SOL.min_qty, max_qty=SOL.max_qty,
        market_max_qty=SOL.market_max_qty, min_notional=D(notional),
    )  # fmt: skip
    assert isinstance(sized(D("0.05"), instrument), Sized) is taken
