"""Closing one position, or half of it: what would be sent, and what it would cost."""

from typing import Final

from nexus_engine.model.view import PositionView, View
from nexus_tui import format as fmt
from nexus_tui.safe import plain
from nexus_tui.screens.dialogs import Confirm
from nexus_tui.slip import estimate
from nexus_tui.widgets.rows import Row

_AGAIN_MS: Final = 400
"""So long what was not possible must have been shown as possible before a yes counts."""


class ClosePage(Confirm):
    """PnL and slippage follow the market while it asks."""

    def __init__(self, title: str, view: View, chosen: PositionView, *, half: bool) -> None:
        super().__init__(title, ())
        self._view = view
        self._chosen = chosen
        self._half = half
        self._gone = False
        self._could = False
        """There was something to say yes to when it was drawn last."""

    def books(self) -> list[str]:
        return [self._chosen.symbol]

    def put(self, view: View) -> None:
        self._view = view
        held = [each for each in view.positions if each.symbol == self._chosen.symbol]
        self._chosen, self._gone = (held[0], False) if held else (self._chosen, True)
        if self.possible() and not self._could:
            self.arm(_AGAIN_MS)
        self.redraw()

    def possible(self) -> bool:
        return not self._hindrance()

    def action_yes(self) -> None:
        if self._could:
            super().action_yes()

    def _hindrance(self) -> str:
        if not self.nexus.link.alive:
            return "there is no engine"
        if self._gone:
            return "the position is gone"
        return self._chosen.no_half if self._half else ""

    def rows(self) -> list[Row]:
        chosen, self._could = self._chosen, self.possible()
        held = f"{fmt.stance(chosen.side)} {fmt.quantity(chosen.qty)} {chosen.symbol}, PnL {fmt.money(chosen.pnl)}"
        self._lines = [plain(held, 100), self._sent(chosen)]
        return super().rows()

    def _sent(self, chosen: PositionView) -> str:
        qty, about = chosen.qty, ""
        if not self.possible():
            return f"nothing would be closed: {plain(self._hindrance(), 70)}"
        if self._half:
            qty, about = (chosen.qty / 2, "about ") if chosen.half is None else (chosen.half, "")
        slip = estimate(self._view, chosen.symbol, chosen.side.opposite, qty)
        return f"{chosen.side.opposite} {about}{fmt.quantity(qty)} at market, reduce-only; {slip}"
