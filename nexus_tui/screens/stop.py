"""Moving a stop: what it protects, and what a typed price would mean."""

from decimal import Decimal

from nexus_engine.model.view import PositionView, View
from nexus_tui import format as fmt
from nexus_tui.safe import plain
from nexus_tui.screens.dialogs import Judged, Price
from nexus_tui.widgets.rows import Row


class StopPage(Price):
    """Price, size and stop follow the venue while one types, and it is against those that a price is judged."""

    def __init__(self, chosen: PositionView) -> None:
        super().__init__(f"Stop of {chosen.symbol}", (), lambda stop: judge_stop(self._chosen, stop))
        self._chosen = chosen

    def put(self, view: View) -> None:
        self._chosen = next((each for each in view.positions if each.symbol == self._chosen.symbol), self._chosen)
        self.redraw()

    def rows(self) -> list[Row]:
        chosen, digits = self._chosen, self._chosen.price_digits
        self._lines = [
            f"{fmt.stance(chosen.side)} {fmt.quantity(chosen.qty)} from {fmt.price(chosen.entry, digits)}, "
            f"now {fmt.price(chosen.price, digits)}",
            plain("stop none" if chosen.stop is None else f"stop {chosen.stop:,f}, {at_stop(chosen, chosen.stop)}"),
            "only towards less risk; the old one stays until the new one stands",
        ]
        return super().rows()


def at_stop(position: PositionView, stop: Decimal) -> str:
    """What a position is worth when its stop fills at its price, before fees."""
    return f"at the stop {fmt.money((stop - position.entry) * position.qty * position.side.sign)} before fees"


def too_fine(stop: Decimal, digits: int) -> str:
    """Why no grid of prices with so many decimals holds a stop; empty when one may."""
    return f"{stop:,f} has more than the {digits} decimals of a price" if stop != round(stop, digits) else ""


def judge_stop(position: PositionView, stop: Decimal) -> Judged:
    """Only towards less risk, and not beyond the price."""
    sign = position.side.sign
    if objection := too_fine(stop, position.price_digits):
        return objection, False
    if position.stop is not None and (stop - position.stop) * sign <= 0:
        return f"more risk than now: it must be {'above' if sign > 0 else 'below'} {position.stop:,f}", False
    if (float(stop) - position.price) * sign >= 0:
        return f"beyond the price {fmt.price(position.price, position.price_digits)}: it would fill at once", False
    liquidation = float(position.liquidation or 0)
    if liquidation and (position.price - liquidation) * sign > 0 >= (float(stop) - liquidation) * sign:
        return f"beyond its liquidation at {fmt.price(liquidation, position.price_digits)}: it would never fill", False
    away = abs(float(stop) / position.price - 1) * 100
    return f"stop {stop:,f}, {away:.2f}% away; {at_stop(position, stop)}", True
