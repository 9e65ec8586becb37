"""Closing one position, or half of it: what would be sent, and what it would cost."""

from nexus_engine.model.view import PositionView, View
from nexus_tui import format as fmt
from nexus_tui.safe import plain
from nexus_tui.screens.dialogs import Confirm
from nexus_tui.slip import estimate
from nexus_tui.widgets.rows import Row


class ClosePage(Confirm):
    """PnL and slippage follow the market while it asks."""

    def __init__(self, title: str, view: View, chosen: PositionView, *, half: bool) -> None:
        super().__init__(title, ())
        self._view = view
        self._chosen = chosen
        self._half = half

    def books(self) -> list[str]:
        return [self._chosen.symbol]

    def put(self, view: View) -> None:
        self._view = view
        self._chosen = next((each for each in view.positions if each.symbol == self._chosen.symbol), self._chosen)
        self.redraw()

    def possible(self) -> bool:
        return not (self._half and self._chosen.no_half)

    def rows(self) -> list[Row]:
        chosen = self._chosen
        held = f"{fmt.stance(chosen.side)} {fmt.quantity(chosen.qty)} {chosen.symbol}, PnL {fmt.money(chosen.pnl)}"
        self._lines = [plain(held, 100), self._sent(chosen)]
        return super().rows()

    def _sent(self, chosen: PositionView) -> str:
        qty, about = chosen.qty, ""
        if not self.possible():
            return f"nothing would be closed: {plain(chosen.no_half, 70)}"
        if self._half:
            qty, about = (chosen.qty / 2, "about ") if chosen.half is None else (chosen.half, "")
        slip = estimate(self._view, chosen.symbol, chosen.side.opposite, qty)
        return f"{chosen.side.opposite} {about}{fmt.quantity(qty)} at market, reduce-only; {slip}"
