"""Our positions and the state of their stops; foreign ones are counted, never touched."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from nexus_engine.model.view import PositionView, View
from nexus_engine.model.words import Side
from nexus_tui import format as fmt
from nexus_tui.safe import plain
from nexus_tui.widgets.header import worst_first
from nexus_tui.widgets.rows import Pane, Row, Span, row, spread

_WIDE: Final = 70
_TROUBLE: Final = ("NAKED", "UNKNOWN")


class Column(NamedTuple):
    head: str
    width: int
    cell: Callable[[PositionView, int], Span]
    right: bool = True
    weight: int = 9
    """The lightest goes first, whole, where a row has no room for all."""


def _symbol(each: PositionView, width: int) -> Span:
    return plain(each.symbol if len(each.symbol) <= width else each.symbol.removesuffix("USDT"), width), "strong"


def _size(each: PositionView, width: int) -> Span:
    return fmt.short_quantity(each.qty, width - 1), ""


def _money(value: float, width: int) -> Span:
    kind = "good" if value > 0 else "bad" if value < 0 else ""
    text = fmt.money(value)
    return text if len(text) < width else fmt.short_money(value, width - 1), kind


def _stop(each: PositionView, width: int) -> Span:
    """The stop and whether the venue holds it; trouble takes the whole cell."""
    if each.stop_state in _TROUBLE:
        return f" {each.stop_state} {fmt.age(each.naked_ms)} ".ljust(width)[:width], "alarm"
    price = "none" if each.stop is None else fmt.short_price(each.stop, each.price_digits, 7)
    if each.stop_state == "wait":
        return f" {price:<7} {fmt.age(each.naked_ms)}"[:width], "warn"
    return f" {price:<7} ok", ""


def _stop_wide(each: PositionView, width: int) -> Span:
    if each.stop_state in _TROUBLE:
        return _stop(each, width)
    price = "none" if each.stop is None else fmt.price(each.stop, each.price_digits)
    if each.stop_state == "wait":
        texts, kind = [f"  {price} wait {fmt.age(each.naked_ms)}", f"  {price} wait"], "warn"
    else:
        seen = "" if each.stop_seen_ms is None else f" {fmt.age(each.stop_seen_ms // 1000 * 1000).replace('.0', '')}"
        texts, kind = [f"  {price} ok{seen}", f"  {price} ok"], ""
    return next((text for text in texts if len(text) <= width), texts[-1]), kind


def _price(value: float, each: PositionView, width: int) -> Span:
    return fmt.short_price(value, each.price_digits, width - 1), ""


_NARROW: Final = (
    Column("", 8, _symbol, right=False),
    Column("size", 6, _size),
    Column("entry", 8, lambda p, w: _price(float(p.entry), p, w)),
    Column("now", 8, lambda p, w: _price(p.price, p, w)),
    Column("PnL", 8, lambda p, w: _money(p.pnl, w)),
    Column(" stop", 11, _stop, right=False),
)
_FULL: Final = (
    Column("", 9, _symbol, right=False),
    Column("size", 9, _size),
    Column("entry", 11, lambda p, w: _price(float(p.entry), p, w)),
    Column("now", 11, lambda p, w: _price(p.price, p, w)),
    Column("PnL", 9, lambda p, w: _money(p.pnl, w)),
    Column("R", 6, lambda p, w: (f"{p.r:+z.1f}", ""), weight=3),
    Column("  stop at venue", 17, _stop_wide, right=False),
    Column("held", 5, lambda p, w: (fmt.held(p.held_ms), "quiet"), weight=2),
    Column(" by", 4, lambda p, w: (f" {plain(p.by, 3)}", "quiet"), right=False, weight=1),
)


class Positions(Pane):
    """`selected` is a symbol; `active` says whether the moving keys are here."""

    def __init__(self, **names: Any) -> None:
        super().__init__(**names)
        self.selected = ""
        self.active = False

    def waiting(self) -> Row:
        return row("Positions", "title")

    def build(self, view: View, width: int, height: int) -> tuple[Row, list[Row]]:
        wide = width >= _WIDE
        columns = fitting(_FULL if wide else _NARROW, width)
        positions = worst_first(view.positions)
        foreign = [self._foreign(view)] if view.foreign else []
        room = height - 1 - len(foreign)
        if not positions:
            return heading(view), [row(" none open", "quiet"), *foreign]
        shown = positions if len(positions) <= room else positions[: room - 1]
        head = "  " + "".join(each.head.rjust(each.width) if each.right else each.head.ljust(each.width)
                              for each in columns)  # fmt: skip
        rows: list[Row] = [row(head, "quiet")]
        rows += [self._row(each, columns, width) for each in shown]
        if len(shown) < len(positions):
            rest = positions[len(shown) :]
            bad = sum(1 for each in rest if each.stop_state != "ok")
            rows.append(row(f"  and {len(rest)} more, {f'{bad} NOT ok' if bad else 'all ok'}", "alarm" if bad else ""))
        return heading(view), rows + foreign

    def _row(self, each: PositionView, columns: tuple[Column, ...], width: int) -> Row:
        chosen = self.active and each.symbol == self.selected
        over = "+pick" if chosen else ""
        long = each.side is Side.BUY
        spans: list[Span] = [
            ("L" if long else "S", ("bid" if long else "ask") + over),
            ("▶" if chosen else " ", f"strong{over}"),
        ]
        for column in columns:
            text, kind = column.cell(each, column.width)
            text = fmt.right(text, column.width) if column.right else fmt.fit(text, column.width)
            spans.append((text, (kind + over).removeprefix("+") if kind != "alarm" else kind))
        return spread(tuple(spans), (("", over.removeprefix("+")),), width)

    def _foreign(self, view: View) -> Row:
        held = ", ".join(f"{plain(symbol, 14)} {fmt.quantity(qty)}" for symbol, qty in view.foreign[:3])
        return row(f"  {len(view.foreign)} foreign, not touched: {held}", "warn")


def fitting(columns: tuple[Column, ...], width: int) -> tuple[Column, ...]:
    """The weightiest columns that `width` cells have room for, after the two of side and marker."""
    while len(columns) > 1 and 2 + sum(each.width for each in columns) > width:
        columns = tuple(each for each in columns if each is not min(columns, key=lambda one: one.weight))
    return columns


def heading(view: View) -> Row:
    """How many, what they risk, and whether every stop is at the venue."""
    count = len(view.positions)
    title: Row = (("Positions", "title"), (f" {count}", "strong"))
    if not count:
        return title
    open_stops = sum(1 for each in view.positions if each.stop_state != "ok")
    state: Span = ("all stops at venue", "good") if not open_stops else (f"{open_stops} WITHOUT a stop", "alarm")
    return (*title, (f"   risk {fmt.amount(view.account.at_risk)}   ", "quiet"), state)
