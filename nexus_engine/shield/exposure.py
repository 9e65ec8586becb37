"""How much is at stake, counted with everything that is in flight, unknown or foreign."""

from collections.abc import Collection, Mapping
from decimal import ROUND_FLOOR, Decimal
from typing import Final

import msgspec

from nexus_engine.model.config import RiskConfig, percent_of
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.orders import ZERO, OrderReport
from nexus_engine.model.verdicts import Reading, Verdict, allow, refuse
from nexus_engine.model.words import Ruling, Side

NOTHING: Final[Mapping[str, Decimal]] = {}
SCALE_STEP: Final = Decimal("0.000001")


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """Notional by symbol and by side, and what stops would lose, by symbol and side and in all, in quote currency.
    `unpriced` symbols are counted in none: nobody knows what they are worth."""

    notional: dict[str, Decimal]
    sides: dict[Side, Decimal]
    risks: dict[tuple[str, Side], Decimal]
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
    sides = {Side.BUY: ZERO, Side.SELL: ZERO}
    risks: dict[tuple[str, Side], Decimal] = {}
    unpriced: list[str] = []

    def add(symbol: str, side: Side, qty: Decimal, price: Decimal | None) -> None:
        worth = max(marks.get(symbol, ZERO), price or ZERO)
        if worth > 0:
            notional[symbol] = notional.get(symbol, ZERO) + qty * worth
            sides[side] += qty * worth
        elif symbol not in unpriced:
            unpriced.append(symbol)

    def risk(symbol: str, side: Side, loss: Decimal) -> None:
        risks[symbol, side] = risks.get((symbol, side), ZERO) + loss

    for symbol in sorted({*ledger.positions, *ledger.foreign, *venue_qty}):
        position, foreign = ledger.positions.get(symbol), ledger.foreign.get(symbol, ZERO)
        ours, told = position.qty if position else ZERO, venue_qty.get(symbol, ZERO)
        price = None if position is None or marks.get(symbol) else position.entry
        unknown = max(ZERO, abs(told) - abs(ours) - abs(foreign))
        for qty, sign in ((abs(ours), ours), (abs(foreign), foreign), (unknown, told)):
            if qty:
                add(symbol, Side.BUY if sign > 0 else Side.SELL, qty, price)
        if position is not None:
            risk(symbol, position.side, abs(position.qty) * position.risk_per_unit)
    for report in strangers:
        if leaves := report.qty - report.filled:
            add(report.symbol, report.side, leaves, max(report.price or ZERO, report.trigger or ZERO))
    for order in ledger.alive():
        if not order.reduce_only:
            add(order.symbol, order.side, order.leaves, order.price)
            price = order.price or marks.get(order.symbol, ZERO)
            stop = order.plan.stop if order.plan else ZERO
            risk(order.symbol, order.side, order.leaves * abs(price - stop))
    return Exposure(
        notional=notional, sides=sides, risks=risks, risk=sum(risks.values(), ZERO), unpriced=tuple(unpriced)
    )


def judge(
    held: Exposure,
    risk: RiskConfig,
    *,
    symbol: str,
    side: Side,
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
        ("side exposure", held.sides[side], worth, risk.side_exposure_pct),
        ("leverage", held.total, worth, risk.leverage * 100.0),
        ("open risk", held.risk, risk_per_unit, risk.open_risk_pct),
        ("group risk", group_risk(held, risk, symbol, side), risk_per_unit, risk.group_risk_pct),
    )
    if equity <= 0:
        return tuple(refuse(guard, "there is no equity") for guard, *_ in limits)
    if held.unpriced:
        reason = f"{', '.join(held.unpriced)}: held, but nobody knows at what price"
        return tuple(refuse(guard, reason) for guard, *_ in limits)
    return tuple(
        _judge(guard, used, unit, qty, percent_of(limit_pct, equity), equity) for guard, used, unit, limit_pct in limits
    )


def group_risk(held: Exposure, risk: RiskConfig, symbol: str, side: Side) -> Decimal:
    """What the stops of that side would lose in the groups of a symbol, in the one where it is most."""
    groups = [frozenset(members) for members in risk.groups.values() if symbol in members]
    if not risk.groups:
        groups = [frozenset(name for name, _ in held.risks)]
    losses = (
        sum((loss for (name, of), loss in held.risks.items() if of is side and name in group), ZERO) for group in groups
    )
    return max(losses, default=held.risks.get((symbol, side), ZERO))


def count(held: Exposure, risk: RiskConfig, symbol: str) -> Verdict:
    """How many symbols are held or being entered, with this one."""
    busy = len({*held.notional, *held.unpriced, symbol})
    reading = Reading("positions", busy, risk.max_positions)
    if busy <= risk.max_positions:
        return allow("positions", reading)
    return refuse("positions", f"{busy - 1} symbols are held or being entered, limit {risk.max_positions}", reading)


MAINTENANCE: Final = Decimal("0.025")
"""Share of the notional at which a position is liquidated: the small contracts' first tier; Bitcoin's is less."""


def liquidation(risk: RiskConfig, price: Decimal, stop: Decimal) -> Verdict:
    """How far an isolated position is liquidated from its entry, in stop distances."""
    distance = abs(price - stop)
    if not distance:
        return refuse("liquidation", "a stop at the entry has no distance")
    away = float(price * (1 / Decimal(risk.leverage) - MAINTENANCE) / distance)
    reading = Reading("liquidation, stop distances", away, risk.liquidation_stops)
    if away >= risk.liquidation_stops:
        return allow("liquidation", reading)
    reason = f"at {risk.leverage}x it is liquidated {away:.1f} stop distances away, least {risk.liquidation_stops:g}"
    return refuse("liquidation", reason, reading)


def depth(qty: Decimal, there: Decimal | None, factor: float) -> Verdict:
    """Cut an order down to what the book holds near its middle, by `factor`. `there` in base units; None: no book."""
    if there is None or not factor:
        return allow("depth")
    most = there / Decimal(repr(factor))
    reading = Reading("book within 10 bp", float(there / qty), factor, "x")
    if qty <= most:
        return allow("depth", reading)
    scale = (most / qty).quantize(SCALE_STEP, ROUND_FLOOR)
    reason = f"the book holds {there / qty:.1f} times the order within 10 bp, least {factor:g}"
    if scale <= 0:
        return refuse("depth", reason, reading)
    return Verdict(guard="depth", ruling=Ruling.REDUCE, reason=reason, scale=float(scale), inputs=(reading,))


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
