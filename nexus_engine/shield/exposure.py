"""How much is at stake, counted with everything that is in flight, unknown or foreign."""

from collections.abc import Mapping
from decimal import ROUND_FLOOR, Decimal
from typing import Final

import msgspec

from nexus_engine.model.config import RiskConfig, percent_of
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.orders import ZERO
from nexus_engine.model.verdicts import Reading, Verdict, allow, refuse
from nexus_engine.model.words import Ruling

SCALE_STEP: Final = Decimal("0.000001")


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """Notional by symbol and what all stops together would lose, in quote currency. `unpriced` symbols are counted in
    neither: nobody knows what they are worth."""

    notional: dict[str, Decimal]
    risk: Decimal
    unpriced: tuple[str, ...]

    @property
    def total(self) -> Decimal:
        return sum(self.notional.values(), ZERO)


def measure(ledger: Ledger, marks: Mapping[str, Decimal]) -> Exposure:
    """Positions, foreign quantities and what alive entries may still fill, each as large as it can become.

    `marks` are finite and above zero. Longs and shorts add up: nothing is netted. An order counts at the dearer of its
    price and the mark; one without a plan risks all of it.
    """
    notional: dict[str, Decimal] = {}
    risk = ZERO
    unpriced: list[str] = []

    def add(symbol: str, qty: Decimal, price: Decimal | None) -> None:
        worth = max(marks.get(symbol, ZERO), price or ZERO)
        if worth > 0:
            notional[symbol] = notional.get(symbol, ZERO) + abs(qty) * worth
        else:
            unpriced.append(symbol)

    for position in ledger.positions.values():
        add(position.symbol, position.qty, None if marks.get(position.symbol) else position.entry)
        risk += abs(position.qty) * position.risk_per_unit
    for symbol, qty in ledger.foreign.items():
        add(symbol, qty, None)
    for order in ledger.alive():
        if not order.reduce_only:
            add(order.symbol, order.leaves, order.price)
            price = order.price or marks.get(order.symbol, ZERO)
            risk += order.leaves * abs(price - (order.plan.stop if order.plan else ZERO))
    return Exposure(notional=notional, risk=risk, unpriced=tuple(unpriced))


def judge(
    held: Exposure,
    risk: RiskConfig,
    *,
    symbol: str,
    qty: Decimal,
    worth: Decimal,
    risk_per_unit: Decimal,
    equity: Decimal,
) -> tuple[Verdict, ...]:
    """One verdict a limit: REDUCE says what part of `qty` still fits, REFUSE that nothing does.

    `worth` is the notional of one unit.
    """
    limits = (
        ("symbol exposure", held.notional.get(symbol, ZERO), worth, risk.symbol_exposure_pct),
        ("account exposure", held.total, worth, risk.account_exposure_pct),
        ("open risk", held.risk, risk_per_unit, risk.open_risk_pct),
    )
    if equity <= 0:
        return tuple(refuse(guard, "there is no equity") for guard, *_ in limits)
    if held.unpriced:
        reason = f"{', '.join(held.unpriced)}: held, but nobody knows at what price"
        return tuple(refuse(guard, reason) for guard, *_ in limits)
    return tuple(
        _judge(guard, used, unit, qty, percent_of(limit_pct, equity), equity) for guard, used, unit, limit_pct in limits
    )


def _judge(guard: str, used: Decimal, unit: Decimal, qty: Decimal, limit: Decimal, equity: Decimal) -> Verdict:
    wanted, room = qty * unit, limit - used
    reading = Reading(guard, float((used + wanted) / equity * 100), float(limit / equity * 100), "%")
    if wanted <= room:
        return allow(guard, reading)
    scale = (room / wanted).quantize(SCALE_STEP, ROUND_FLOOR)
    if scale <= 0:
        return refuse(guard, f"{guard}: {used:.2f} of {limit:.2f} is used", reading)
    return Verdict(
        guard=guard,
        ruling=Ruling.REDUCE,
        reason=f"{guard}: room for {room:.2f} of {wanted:.2f}",
        scale=float(scale),
        inputs=(reading,),
    )
