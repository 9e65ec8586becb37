"""How much is at stake, counted with everything that is in flight, unknown or foreign."""

from collections.abc import Collection, Mapping
from decimal import ROUND_FLOOR, Decimal
from typing import Final

import msgspec

from nexus_engine.model.config import RiskConfig, percent_of
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.orders import ZERO, OrderReport
from nexus_engine.model.verdicts import Reading, Verdict, allow, refuse
from nexus_engine.model.words import Ruling

NOTHING: Final[Mapping[str, Decimal]] = {}
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


def measure(
    ledger: Ledger,
    marks: Mapping[str, Decimal],
    venue_qty: Mapping[str, Decimal] = NOTHING,
    strangers: Collection[OrderReport] = (),
) -> Exposure:
    """Positions, foreign quantities and what alive entries may still fill, each as large as it can become.

    `venue_qty` is what the venue said last that it holds, in all, by symbol: it counts where it is more than what is
    known. `strangers` are orders at the venue that are not in the ledger and may open something. `marks` are finite and
    above zero. Longs and shorts add up: nothing is netted. An order counts at the dearer of its
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

    for symbol in sorted({*ledger.positions, *ledger.foreign, *venue_qty}):
        position = ledger.positions.get(symbol)
        known = abs(ledger.foreign.get(symbol, ZERO)) + (abs(position.qty) if position else ZERO)
        qty = max(abs(venue_qty.get(symbol, ZERO)), known)
        if qty:
            add(symbol, qty, None if position is None or marks.get(symbol) else position.entry)
        if position is not None:
            risk += abs(position.qty) * position.risk_per_unit
    for report in strangers:
        if leaves := report.qty - report.filled:
            add(report.symbol, leaves, max(report.price or ZERO, report.trigger or ZERO))
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
