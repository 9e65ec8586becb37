"""What the venue holds and the journal does not know: adopt it, leave it, or close it. And what was settled already."""

from collections.abc import Sequence
from decimal import Decimal
from typing import ClassVar

from msgspec.structs import replace
from textual.binding import Binding, BindingType

from nexus_engine.model.commands import Adopt, CloseForeign
from nexus_engine.model.view import Compared, Difference, View
from nexus_engine.model.words import Side
from nexus_tui import format as fmt
from nexus_tui.safe import plain
from nexus_tui.screens.dialogs import Dialog, Judged, Price, Typed
from nexus_tui.screens.stop import too_fine
from nexus_tui.widgets.rows import Row, row

_LISTED = 8
_SETTLED = 8
_WIDTH = 74


class ReconcilePage(Dialog[Adopt | CloseForeign]):
    """One row a difference. Leaving it is the default: foreign positions are counted and never touched."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "step(1)", "next", show=False),
        Binding("k,up", "step(-1)", "previous", show=False),
        Binding("a", "adopt", "adopt", show=False),
        Binding("i,enter", "dismiss", "ignore", show=False),
        Binding("c", "close", "close", show=False),
    ]

    def __init__(self, differences: Sequence[Difference], compared: Compared | None = None) -> None:
        super().__init__("Venue and journal differ" if differences else "Venue and journal agree again", ())
        self._all = list(differences)
        self._compared = compared
        self._at = 0

    def put(self, view: View) -> None:
        """The venue goes on moving; the selection stays with its symbol."""
        chosen = self._chosen
        self._all, self._compared = list(view.differences), view.compared
        self._at = next((index for index, each in enumerate(self._all) if chosen and each.symbol == chosen.symbol), 0)
        self.redraw()

    def rows(self) -> list[Row]:
        settled = [] if self._compared is None else _settled(self._compared)
        if not self._all:
            return [*settled, (), ((" esc", "key"), (" nothing is left to decide", "quiet"))]
        return [*self._foreign(), *((), *settled)] if settled else self._foreign()

    def _foreign(self) -> list[Row]:
        rows: list[Row] = [
            row(" held at the venue, but not by this journal; counted as exposure"),
            row("   symbol             venue      ours         entry           now", "quiet"),
        ]
        first = max(0, self._at - _LISTED + 1)
        for index, each in enumerate(self._all[first : first + _LISTED], first):
            here = index == self._at
            text = (
                f" {'▶' if here else ' '} {fmt.fit(plain(each.symbol), 14)} {fmt.right(signed(each.venue), 9)} "
                f"{fmt.right(signed(each.ours), 9)} {fmt.right(fmt.price(each.entry, each.price_digits), 13)} "
                f"{fmt.right(fmt.price(each.price, each.price_digits), 13)}"
            )
            rows.append(row(text, "strong" if here else ""))
        if len(self._all) > _LISTED:
            rows.append(row(f"   {len(self._all)} in all: j and k", "quiet"))
        return [
            *rows,
            (),
            (
                (" a", "key"),
                (" adopt: ours from now on, with a stop   ", "quiet"),
                ("c", "key"),
                (" close it, typed", "quiet"),
            ),
            (
                (" i", "key"),
                (" ignore, as enter and esc do: left alone   ", "quiet"),
                ("j k", "key"),
                (" move", "quiet"),
            ),
        ]

    @property
    def _chosen(self) -> Difference | None:
        return self._all[self._at] if self._all else None

    def action_step(self, step: int) -> None:
        self._at = max(0, min(len(self._all) - 1, self._at + step))
        self.redraw()

    def action_adopt(self) -> None:
        found = self._chosen
        if found is None:
            return

        def done(stop: Decimal | None) -> None:
            if stop is not None:
                self.dismiss(Adopt(symbol=found.symbol, qty=found.foreign, stop=stop))

        self.app.push_screen(AdoptPage(found), done)

    def action_close(self) -> None:
        found = self._chosen
        if found is None:
            return
        word = found.symbol.lower()
        side = Side.SELL if found.foreign > 0 else Side.BUY
        lines = (f"{side} {fmt.quantity(abs(found.foreign))} {found.symbol} at market, reduce-only", "it is not ours")

        def done(yes: bool | None) -> None:
            if yes:
                self.dismiss(CloseForeign(symbol=found.symbol, qty=found.foreign, word=word))

        self.app.push_screen(Typed(f"Close foreign {found.symbol}", lines, word), done)


class AdoptPage(Price):
    """The stop of what is adopted. Price and liquidation follow the venue; the quantity is the one that was chosen, and
    the engine refuses it when it is another by then."""

    def __init__(self, found: Difference) -> None:
        super().__init__(f"Adopt {found.symbol}", (), lambda stop: judge(self._found, self._side, stop))
        self._found = found
        self._side = Side.BUY if found.foreign > 0 else Side.SELL

    def put(self, view: View) -> None:
        now = next((each for each in view.differences if each.symbol == self._found.symbol), self._found)
        self._found = replace(self._found, price=now.price, liquidation=now.liquidation)
        self.redraw()

    def rows(self) -> list[Row]:
        found = self._found
        self._lines = [
            f"{fmt.stance(self._side)} {fmt.quantity(abs(found.foreign))} {plain(found.symbol)}, "
            f"now {fmt.price(found.price, found.price_digits)}" + _liquidated(found),
            "it becomes ours, and the stop is placed at once",
        ]
        return super().rows()


def _liquidated(found: Difference) -> str:
    return f", liquidated at {fmt.price(found.liquidation, found.price_digits)}" if found.liquidation else ""


def _settled(compared: Compared) -> list[Row]:
    """What the comparison found, in its own words; the first of them when there are many."""
    lines = [line for text in compared.lines for line in fmt.folded(plain(text, 200), _WIDTH)]
    more = len(lines) - _SETTLED
    rows = [row(f" found at {fmt.clock(compared.at_ns)}, and settled")]
    rows += [row(f"   {line}", "quiet") for line in lines[:_SETTLED]]
    return [*rows, row(f"   and {more} more lines, in the log", "quiet")] if more > 0 else rows


def judge(found: Difference, side: Side, stop: Decimal) -> Judged:
    """The stop is on the losing side of the price, and before the liquidation."""
    if objection := too_fine(stop, found.price_digits):
        return objection, False
    if (found.price - float(stop)) * side.sign <= 0:
        return f"beyond the price {fmt.price(found.price, found.price_digits)}: it would fill at once", False
    liquidation = float(found.liquidation or 0)
    if liquidation and (found.price - liquidation) * side.sign > 0 >= (float(stop) - liquidation) * side.sign:
        return f"beyond its liquidation at {fmt.price(liquidation, found.price_digits)}: it would never fill", False
    lost = abs(found.price - float(stop)) * float(abs(found.foreign))
    return f"stop {stop:,f}, {fmt.money(-lost)} from here", True


def signed(qty: Decimal) -> str:
    """A quantity with its side."""
    return f"{'-' if qty < 0 else '+' if qty > 0 else ''}{fmt.quantity(abs(qty))}"
