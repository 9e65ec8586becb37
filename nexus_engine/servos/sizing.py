"""How much: fixed-fractional risk, costs included, on the venue's grid."""

from decimal import Decimal
from typing import Final

import msgspec

from nexus_engine.model.config import RiskConfig, percent_of
from nexus_engine.model.instruments import Instrument
from nexus_engine.model.orders import ExitPlan, Partial, Trail
from nexus_engine.model.signals import Signal
from nexus_engine.model.words import Side

_LEAST_SCALE: Final = 0.25
_MOST_SCALE: Final = 1.5
STOP_SLIPPAGE: Final = 0.0005
"""What a triggered stop is expected to lose beyond its trigger, as a fraction of price."""


class Sized(msgspec.Struct, frozen=True, kw_only=True):
    """An order that could be placed. `worst` > 0 in quote currency: the loss when the stop fills, costs included."""

    qty: Decimal
    limit: Decimal
    plan: ExitPlan
    worst: Decimal
    worst_pct: float
    r_multiple: float
    leverage: int


def size(
    signal: Signal,
    *,
    limit: float,
    equity: Decimal,
    instrument: Instrument,
    risk: RiskConfig,
    stop: Decimal | None = None,
    most: Decimal | None = None,
    kelly_pct: float | None = None,
) -> Sized | str:
    """Size a signal so that its worst case is the risk it may take; a string says why it cannot be sized.

    qty = risk money / (|limit - stop| + fees + slippage), rounded down to the step (Van Tharp's fixed-fractional
    sizing). `limit` is the worst entry price, `most` what others have left of the quantity, `stop` that of a card
    that has one already, and `kelly_pct` what the strategy's own record allows, None where it cannot say.
    """
    side = signal.side
    limit_price = instrument.limit(limit, side)
    stop_price = stop
    if stop_price is None:
        stop_price = instrument.stop(signal.price - signal.stop_distance * side.sign, side.opposite)
    distance = (limit_price - stop_price) * side.sign
    if stop_price <= 0 or distance <= 0:
        return f"stop {stop_price} is not behind the entry {limit_price}"
    target = None if signal.target is None else instrument.limit(signal.target, side.opposite)
    fee = Decimal(repr(instrument.taker_fee))
    per_unit = distance + (limit_price + stop_price) * fee + stop_price * Decimal(repr(STOP_SLIPPAGE))
    if kelly_pct == 0:
        return f"{signal.strategy} has lost over its last trades: by Kelly it may risk nothing"
    wanted = min(signal.risk_pct * volatility_scale(signal, risk), risk.trade_risk_pct)
    budget = percent_of(wanted if kelly_pct is None else min(wanted, kelly_pct), equity)
    fits = min(budget / per_unit, instrument.market_max_qty)
    qty = instrument.quantity(fits if most is None else min(fits, most))
    if qty < instrument.min_qty or qty * limit_price < instrument.min_notional:
        return f"{budget:.2f} of risk buys less than the smallest order ({qty * limit_price:.2f})"
    worst = qty * per_unit
    reward = Decimal(0) if target is None else (target - limit_price) * side.sign
    return Sized(
        qty=qty,
        limit=limit_price,
        plan=ExitPlan(
            stop=stop_price,
            target=target,
            time_stop_ns=signal.time_stop_ns,
            partials=_partials(signal, instrument, limit_price, distance),
            trail=_trail(signal),
        ),
        worst=worst,
        worst_pct=float(worst / equity * 100),
        r_multiple=float(reward / distance),
        leverage=min(signal.leverage, risk.leverage),
    )


def _partials(
    signal: Signal, instrument: Instrument, limit: Decimal, distance: Decimal
) -> tuple[Partial, ...] | msgspec.UnsetType:
    if signal.partials is msgspec.UNSET:
        return msgspec.UNSET
    sign = signal.side.sign
    return tuple(
        Partial(instrument.limit(float(limit) + r * float(distance) * sign, signal.side.opposite), part)
        for r, part in signal.partials
    )


def _trail(signal: Signal) -> Trail | msgspec.UnsetType:
    distance = 0.0 if signal.trail_distance is msgspec.UNSET else signal.trail_distance
    break_even_r = 0.0 if signal.break_even_r is msgspec.UNSET else signal.break_even_r
    if not distance and not break_even_r:
        return msgspec.UNSET
    return Trail(break_even_r=break_even_r, distance=Decimal(repr(distance)), from_r=signal.trail_from_r)


def volatility_scale(signal: Signal, risk: RiskConfig) -> float:
    """What the risk is multiplied by so that a wild symbol weighs as much as a calm one: the volatility that is aimed
    at by the realised one, from a quarter to one and a half (Moskowitz, Ooi and Pedersen 2012 scale so)."""
    if signal.volatility is msgspec.UNSET or not signal.volatility or not risk.volatility_pct:
        return 1.0
    return min(max(risk.volatility_pct / 100 / signal.volatility, _LEAST_SCALE), _MOST_SCALE)


def runs_away(signal: Signal, price: float) -> float:
    """How far price has left the signal's, as a part of the stop distance; positive is against the entry's side
    (a buy that got dearer), negative towards the stop."""
    return (price - signal.price) * signal.side.sign / signal.stop_distance


def entry_price(side: Side, bid: float, ask: float, *, maker: bool = False) -> float:
    """The touch that an entry would take; that of its own side where it may only make."""
    return ask if (side is Side.BUY) is not maker else bid
