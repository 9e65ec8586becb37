"""Flatten: what would be sent, listed, then the typed word."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input

from nexus_engine.model.commands import Flatten
from nexus_engine.model.view import View
from nexus_engine.model.words import Side
from nexus_tui import format as fmt
from nexus_tui.safe import plain
from nexus_tui.screens.dialogs import Dialog, Word
from nexus_tui.slip import estimate
from nexus_tui.widgets.rows import Row, row

_LISTED = 8
_SCOPES = ("flatten ours", "exit longs")


class FlattenPage(Dialog[Flatten]):
    """All of ours, or the longs alone; each order with the slippage to expect, as far as its book is shown."""

    AUTO_FOCUS: ClassVar[str | None] = "Word"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("tab,shift+tab,up,down", "scope", "longs or all", show=False)]

    def __init__(self, view: View | None, *, leave: bool) -> None:
        super().__init__("Flatten and quit" if leave else "Flatten", ())
        self._view = view
        self._longs = False

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as box:
            box.border_title = self._heading
            yield self._text
            yield Word(max_length=20, compact=True, select_on_focus=False)

    def put(self, view: View) -> None:
        self._view = view
        self.redraw()

    def rows(self) -> list[Row]:
        scopes: list[Row] = [
            (
                (f" {'▶' if here else ' '} {name}", "strong" if here else ""),
                ("   tab changes it" if not here else "", "quiet"),
            )
            for index, name in enumerate(_SCOPES)
            for here in (bool(index) == self._longs,)
        ]
        ask: Row = ((" type ", "quiet"), ("flat", "key"), (" and Enter; Esc or an empty line cancels", "quiet"))
        return [
            *scopes,
            (),
            *self._orders(),
            (),
            row(" at market, reduce-only; cards and working entries go", "quiet"),
            ask,
        ]

    def _orders(self) -> list[Row]:
        view = self._view
        positions = [] if view is None else [p for p in view.positions if not self._longs or p.side is Side.BUY]
        if view is None or not positions:
            return [row(f" no {'long' if self._longs else 'position'} of ours is open")]
        rows = [
            row(
                f" {p.side.opposite:<4} {fmt.right(fmt.quantity(p.qty), 10)} {fmt.fit(plain(p.symbol), 12)}"
                f" PnL {fmt.right(fmt.money(p.pnl), 10)}  {estimate(view, p.symbol, p.side.opposite, p.qty)}"
            )
            for p in positions[:_LISTED]
        ]
        if len(positions) > _LISTED:
            rows.append(row(f" and {len(positions) - _LISTED} more"))
        if view.foreign:
            rows.append(row(f" {len(view.foreign)} foreign stay: the menu has `reconcile` for them", "warn"))
        return rows

    def action_scope(self) -> None:
        self._longs = not self._longs
        self.redraw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        typed = event.value.strip().lower() == "flat"
        self.dismiss(Flatten(word="flat", longs_only=self._longs) if typed else None)
