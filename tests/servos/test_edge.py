"""What a strategy's own record lets it risk, and what a symbol's volatility makes of that."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from nexus_engine.model.config import RiskConfig
from nexus_engine.model.instruments import Instrument
from nexus_engine.model.positions import ClosedTrade
from nexus_engine.model.signals import RegimeView, Signal
from nexus_engine.model.words import Regime, Side
from nexus_engine.servos.edge import ENOUGH, record_of
from nexus_engine.servos.sizing import Sized, size, volatility_scale

GRID = Instrument(
    symbol="SOLUSDT", base="SOL", tick=Decimal("0.01"), step=Decimal("0.01"), min_qty=Decimal("0.01"),
    max_qty=Decimal(10_000), market_max_qty=Decimal(10_000), min_notional=Decimal(5),
)  # fmt: skip
RISK = RiskConfig(trade_risk_pct=0.5)


def trades(*rs: float, strategy: str = "flow") -> list[ClosedTrade]:
    return [
        ClosedTrade(symbol="SOLUSDT", intent=at, strategy=strategy, by="bot", pnl=Decimal(1), r=r, closed_ns=at)
        for at, r in enumerate(rs)
    ]


def wish(volatility: object = UNSET, risk_pct: float = 0.25) -> Signal:
    return Signal(
        symbol="SOLUSDT", strategy="flow", side=Side.BUY, price=100.0, limit=100.0, stop_distance=2.0, target=None,
        regime=RegimeView(regime=Regime.RANGE), risk_pct=risk_pct, market_ns=1, volatility=volatility,  # type: ignore[arg-type]
    )  # fmt: skip


def sized(signal: Signal, kelly_pct: float | None = None) -> Sized | str:
    return size(signal, limit=100.0, equity=Decimal(10_000), instrument=GRID, risk=RISK, kelly_pct=kelly_pct)


def test_kelly_is_mean_by_variance_and_says_nothing_of_a_short_record() -> None:
    # measured: a turtle on 4h bars, mean 0.18 R and a deviation of 2.56, may risk 2.7 % by Kelly, 0.7 % by a quarter
    spread = 2.56 * (199 / 200) ** 0.5
    record = record_of("flow", trades(*[0.18 + spread, 0.18 - spread] * 100))
    assert record.kelly_pct(1.0) == pytest.approx(2.75, abs=0.05)
    assert record.kelly_pct(0.25) == pytest.approx(0.69, abs=0.02)
    assert record_of("flow", trades(*[1.0] * (ENOUGH - 1))).kelly_pct(0.25) is None
    assert record_of("flow", trades(*[1.0, -0.5] * 100, strategy="shark")).kelly_pct(0.25) is None
    assert record.kelly_pct(0.0) is None


def test_a_strategy_that_lost_over_its_last_hundred_trades_may_risk_nothing() -> None:
    losing = record_of("flow", trades(*[1.0, -1.2] * 60)).kelly_pct(0.25)
    assert losing == 0.0
    assert sized(wish(), losing) == "flow has lost over its last trades: by Kelly it may risk nothing"


@given(st.floats(0.01, 5.0))
def test_what_kelly_allows_is_a_cap_and_never_more_than_was_wanted(kelly_pct: float) -> None:
    capped, free = sized(wish(), kelly_pct), sized(wish())
    assert isinstance(capped, Sized) and isinstance(free, Sized)
    assert capped.worst_pct <= min(kelly_pct, 0.25) + 1e-9
    assert capped.qty <= free.qty


@given(st.floats(0.01, 20.0))
def test_a_wild_symbol_gets_less_and_a_calm_one_more_within_bounds(volatility: float) -> None:
    scale = volatility_scale(wish(volatility), RISK)
    assert scale == pytest.approx(min(max(0.8 / volatility, 0.25), 1.5))
    found = sized(wish(volatility))
    assert isinstance(found, Sized)
    assert found.worst_pct <= min(0.25 * scale, RISK.trade_risk_pct) + 1e-9


def test_without_a_known_volatility_nothing_is_scaled_and_the_directive_can_leave_it_be() -> None:
    assert volatility_scale(wish(), RISK) == 1.0
    assert volatility_scale(wish(3.0), RiskConfig(volatility_pct=0)) == 1.0


def test_the_scale_never_lifts_a_trade_over_the_directives_risk() -> None:
    found = sized(wish(0.2, risk_pct=0.5))
    assert isinstance(found, Sized)
    assert found.worst_pct <= 0.5
