"""Flatten: what would be sent, listed, then the typed word."""

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input

from nexus_engine.model.commands import Flatten
from nexus_engine.model.view import View
from nexus_engine.model.words import Side
from nexus_tui import format as fmt
from nexus_tui.safe import plain
from nexus_tui.screens.dialogs import Dialog, Word
from nexus_tui.slip import estimate
from nexus_tui.widgets.positions import asked
from nexus_tui.widgets.rows import Row, row
from nexus_tui.widgets.stake import shocks

_LISTED = 8
_WIDTH = 74
_OURS, _LONGS, _ALL = range(3)
_SCOPES = ("flatten ours", "exit longs", "include foreign")


class FlattenPage(Dialog[Flatten]):
    """All of ours, the longs alone, or what is foreign too; each order with its slippage."""

    AUTO_FOCUS: ClassVar[str | None] = "Word"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab,down", "scope(1)", "next scope", show=False),
        Binding("shift+tab,up", "scope(-1)", "previous scope", show=False),
    ]

    def __init__(self, view: View | None, *, leave: bool) -> None:
        super().__init__("Flatten and quit" if leave else "Flatten", ())
        self._view = view
        # on the way out all of ours is closed: less than that is no choice
        self._scopes = (_OURS, _ALL) if leave else (_OURS, _LONGS, _ALL)
        self._scope = _OURS

    def below(self) -> Iterable[Widget]:
        return (Word(),)

    def put(self, view: View) -> None:
        self._view = view
        self.redraw()

    def books(self) -> list[str]:
        if self._view is None:
            return []
        return [*(each.symbol for each in self._view.positions), *(symbol for symbol, _ in self._view.foreign)]

    def rows(self) -> list[Row]:
        scopes: list[Row] = [
            (
                (f" {'▶' if each == self._scope else ' '} {_SCOPES[each]}", "strong" if each == self._scope else ""),
                ("   tab changes it" if each == self._scope else "", "quiet"),
            )
            for each in self._scopes
        ]
        ask: Row = ((" type ", "quiet"), ("flat", "key"), (" and enter; esc or an empty line cancels", "quiet"))
        return [
            *scopes,
            (),
            *self._orders(),
            self._kept(),
            row(" at market, reduce-only; cards and working entries go", "quiet"),
            ask,
        ]

    def _kept(self) -> Row:
        """What the account stakes as it stands: the other side of the choice."""
        parts = [] if self._view is None else shocks(self._view.stress, shares=False)
        if not parts or not (self._view and (self._view.positions or self._view.foreign)):
            return ()
        return row(f" kept: {fmt.joined(parts, '  ', (self._text.size.width or _WIDTH) - 7)}", "quiet")

    def _orders(self) -> list[Row]:
        view = self._view
        longs = self._scope == _LONGS
        held = [] if view is None else [each for each in view.positions if not longs or each.side is Side.BUY]
        orders = [(p.side.opposite, p.qty, p.symbol, f"PnL {fmt.right(fmt.money(p.pnl), 10)}") for p in held]
        foreign = view.foreign if view is not None else ()
        if self._scope == _ALL:
            orders += [
                (Side.SELL if qty > 0 else Side.BUY, abs(qty), symbol, f"{'foreign':14}") for symbol, qty in foreign
            ]
        rows = [
            row(
                f" {side:<4} {fmt.right(fmt.quantity(qty), 10)} {fmt.fit(plain(symbol), 12)} {what}"
                f"  {estimate(view, symbol, side, qty)}",
                "warn" if what.startswith("foreign") else "",
            )
            for side, qty, symbol, what in orders[:_LISTED]
            if view is not None
        ]
        going = () if view is None else [each for each in view.entries if not longs or each.side is Side.BUY]
        if view is None or not view.account.known:
            rows.append(row(" not known yet: the venue has not told what it holds", "warn"))
        elif not rows:
            rows = [row(f" no {'long' if longs else 'position'} of ours is open")]
        if len(orders) > _LISTED:
            rows.append(row(f" and {len(orders) - _LISTED} more"))
        rows += [
            row(
                f" {each.side:<4} {fmt.right(fmt.quantity(each.leaves), 10)} {fmt.fit(plain(each.symbol), 12)} "
                f"entry P{each.intent} at {asked(each)} is cancelled"
            )
            for each in going[:_LISTED]
        ]
        if foreign and self._scope != _ALL:
            rows.append(row(f" {len(foreign)} foreign left alone: `include foreign` closes them too", "warn"))
        return rows

    def action_scope(self, step: int) -> None:
        self._scope = self._scopes[(self._scopes.index(self._scope) + step) % len(self._scopes)]
        self.redraw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        typed = self.is_typed(event.value, "flat")
        command = Flatten(word="flat", longs_only=self._scope == _LONGS, foreign=self._scope == _ALL)
        self.dismiss(command if typed else None)
