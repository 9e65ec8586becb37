"""Our positions and the state of their stops; foreign ones are counted, never touched."""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from rich.cells import cell_len

from nexus_engine.model.view import EntryView, PositionView, View
from nexus_engine.model.words import OrderStatus, Side
from nexus_tui import format as fmt
from nexus_tui.safe import plain
from nexus_tui.widgets.header import signed, worst_first
from nexus_tui.widgets.rows import Pane, Row, Span, length, row, spread
from nexus_tui.widgets.stake import shocks

_WIDE: Final = 76
_FEW: Final = 3
"""With so few rows our own positions come before a line on foreign ones."""
_LINE: Final = 4
"""Of the title row: the line around it."""
_FRAME: Final = _LINE + 4
"""And the gap before what is added."""
_TROUBLE: Final = ("NAKED", "UNKNOWN")
_STATES: Final = {OrderStatus.PENDING_CANCEL: "being cancelled", OrderStatus.UNKNOWN: "UNKNOWN, being asked for"}
"""Of an entry that does not simply stand at the venue."""


class Column(NamedTuple):
    head: str
    width: int
    cell: Callable[[PositionView, int], Span]
    right: bool = True


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
    if each.held_by:
        return f" HELD {fmt.age(each.exit_ms)} ".ljust(width)[:width], "alarm"
    if each.stop_state in _TROUBLE:
        return f" {each.stop_state} {fmt.age(each.naked_ms)} ".ljust(width)[:width], "alarm"
    price = "none" if each.stop is None else fmt.short_price(each.stop, each.price_digits, 7)
    if each.stop_state == "wait":
        return f" {price:<7} {fmt.age(each.naked_ms)}"[:width], "warn"
    if each.stop_state == "unseen":
        return " not seen", "warn"
    return f" {price:<7} ok", ""


def _stop_wide(each: PositionView, width: int) -> Span:
    if each.stop_state == "NAKED" and each.exit_ms is not None and not each.held_by:
        return f" NAKED out {fmt.age(each.exit_ms)} ".ljust(width)[:width], "alarm"
    if each.held_by or each.stop_state in _TROUBLE:
        return _stop(each, width)
    waits = each.stop_state in ("wait", "unseen")
    seen = "" if each.stop_seen_ms is None else f" {fmt.age(each.stop_seen_ms // 1000 * 1000).replace('.0', '')}"
    state = f" ok{seen}"
    if waits:
        state = " unseen" if each.stop_state == "unseen" else f" wait {fmt.age(each.naked_ms)}"
    price = "none" if each.stop is None else fmt.short_price(each.stop, each.price_digits, width - 2 - len(state))
    return f"  {price}{state}", "warn" if waits else ""


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
_MIDDLE: Final = (
    Column("", 9, _symbol, right=False),
    Column("size", 8, _size),
    Column("entry", 9, lambda p, w: _price(float(p.entry), p, w)),
    Column("now", 9, lambda p, w: _price(p.price, p, w)),
    Column("PnL", 9, lambda p, w: _money(p.pnl, w)),
    Column("  stop at venue", 15, _stop_wide, right=False),
)
_FULL: Final = (
    Column("", 8, _symbol, right=False),
    Column("size", 8, _size),
    Column("entry", 9, lambda p, w: _price(float(p.entry), p, w)),
    Column("now", 9, lambda p, w: _price(p.price, p, w)),
    Column("PnL", 9, lambda p, w: _money(p.pnl, w)),
    Column("R", 5, lambda p, w: (f"{p.r:+z.1f}".replace("+0.0", "0.0"), "")),
    Column("  stop at venue", 16, _stop_wide, right=False),
    Column("liq.", 7, lambda p, w: _liquidation(p, w)),
    Column("held", 6, lambda p, w: (fmt.held(p.held_ms), "quiet")),
    Column(" by", 4, lambda p, w: (f" {plain(p.by, 3)}", "quiet"), right=False),
)
"""From 83 cells on."""
_SIZE: Final = 1
_GIVING: Final = (0, 2, 3)
"""Symbol, entry and now: what is in them is as long all the time."""


def _liquidation(each: PositionView, width: int) -> Span:
    if each.liquidation is None:
        return ("-", "quiet") if each.liquidation_known else ("?", "warn")
    return fmt.short_price(each.liquidation, each.price_digits, width - 1), ""


def table(width: int) -> tuple[Column, ...]:
    """The columns for a pane of `width`; what is left over makes the numbers' columns wider, evenly."""
    columns = next((each for each in (_FULL, _MIDDLE) if needed(each) <= width), _NARROW)
    spare = min(5, (width - needed(columns)) // (len(columns) or 1))
    return columns if spare <= 0 else tuple(each._replace(width=each.width + spare) for each in columns)


def _for_sizes(columns: tuple[Column, ...], shown: Sequence[PositionView]) -> tuple[Column, ...]:
    """What the symbol and the prices leave free goes to a size that needs it."""
    widths = [each.width for each in columns]
    lacks = max(len(fmt.quantity(each.qty)) for each in shown) + 1 - widths[_SIZE]
    for at in _GIVING:
        column = columns[at]
        taken = max(len(column.head), *(cell_len(column.cell(each, column.width)[0]) for each in shown))
        given = max(0, min(lacks, column.width - taken - column.right))
        widths[at] -= given
        widths[_SIZE] += given
        lacks -= given
    return tuple(each._replace(width=width) for each, width in zip(columns, widths, strict=True))


def needed(columns: tuple[Column, ...]) -> int:
    return 2 + sum(each.width for each in columns)


class Positions(Pane):
    """`selected` is a symbol, that `c`, `C` and `s` are for; `active` says whether the moving keys are here."""

    def __init__(self, **names: Any) -> None:
        super().__init__(**names)
        self.selected = ""
        self.active = False

    def waiting(self) -> Row:
        return row("Positions", "title")

    def build(self, view: View, width: int, height: int) -> tuple[Row, list[Row]]:
        positions = worst_first(view.positions)
        foreign = [self._foreign(view, width)] if view.foreign else []
        entering = [_entering(each, width) for each in view.entries]
        unsent = self._unsent(view) if width >= _WIDE else []
        if not positions:
            rows = [row(" none open" if view.account.known else " not known yet", "quiet")]
        else:
            room = height - 1
            if len(positions) + len(foreign) > room and room <= _FEW:
                # Row 2 counts the foreign ones on every screen; our own come first where there is no room for both.
                foreign = []
            rows = self._held(positions, width, room - len(foreign))
        room = max(0, height - len(rows) - len(foreign))
        title = heading(view, self.title_room(width), len(entering[room:]))
        return title, [*rows, *[*entering, *unsent][:room], *foreign]

    def _held(self, positions: list[PositionView], width: int, room: int) -> list[Row]:
        """The head of the table and `room` rows under it."""
        shown = positions if len(positions) <= room else positions[: room - 1]
        columns = _for_sizes(table(width), shown) if shown else table(width)
        head = "  " + "".join(each.head.rjust(each.width) if each.right else each.head.ljust(each.width)
                              for each in columns)  # fmt: skip
        rows: list[Row] = [row(head, "quiet")]
        rows += [self._row(each, columns, width) for each in shown]
        if len(shown) < len(positions):
            rest = positions[len(shown) :]
            bad = sum(1 for each in rest if each.stop_state != "ok")
            rows.append(row(f"  and {len(rest)} more, {f'{bad} NOT ok' if bad else 'all ok'}", "alarm" if bad else ""))
        return rows

    def _row(self, each: PositionView, columns: tuple[Column, ...], width: int) -> Row:
        chosen = each.symbol == self.selected
        over = "+pick" if chosen and self.active else ""
        long = each.side is Side.BUY
        spans: list[Span] = [
            ("L" if long else "S", ("bid" if long else "ask") + over),
            (("▶" if self.active else "▷") if chosen else " ", f"strong{over}"),
        ]
        for column in columns:
            text, kind = column.cell(each, column.width)
            text = fmt.right(text, column.width) if column.right else fmt.fit(text, column.width)
            spans.append((text, (kind + over).removeprefix("+") if kind != "alarm" else kind))
        return spread(tuple(spans), (("", over.removeprefix("+")),), width)

    def _unsent(self, view: View) -> list[Row]:
        """What there would be if the cards were approved."""
        held = {each.symbol for each in view.positions}
        cards = [each.proposal for each in view.proposals if each.proposal.status.open]
        texts = [
            f"  {fmt.fit(plain(each.symbol), 9)} none; {'market' if each.market else 'limit'} {each.handle} not sent"
            for each in cards
            if each.symbol not in held
        ]
        return [row(text, "quiet") for text in texts]

    def _foreign(self, view: View, width: int) -> Row:
        held = ", ".join(f"{plain(symbol, 14)} {fmt.quantity(qty)}" for symbol, qty in view.foreign[:3])
        return row(fmt.words(f"  {len(view.foreign)} foreign, not touched: {held}", width), "warn")


def asked(each: EntryView) -> str:
    """The price of an entry: `149.56`, or `market`."""
    return "market" if each.price is None else fmt.price(each.price, each.price_digits)


def _entering(each: EntryView, width: int) -> Row:
    """An order that would become a position, or more of one."""
    left = f"{fmt.countdown(each.left_ms)} left" if each.status.standing else _STATES.get(each.status, "on its way")
    what = f"P{each.intent} {each.side} {fmt.quantity(each.leaves)} at {asked(each)}"
    text = f"  {fmt.fit(plain(each.symbol), 9)} {what}, {left}"
    return row(fmt.words(text, width), "warn" if each.status is OrderStatus.UNKNOWN else "")


def heading(view: View, width: int, entering: int = 0) -> Row:
    """How many, what they risk, and whether every stop is at the venue. `entering`: orders that no row tells of."""
    count, account = len(view.positions), view.account
    title: Row = (("Positions", "title"), (f" {count}", "strong"))
    if entering:
        title = (*title, (f"   +{entering} entering", ""))
    if not count:
        return title
    unseen = sum(1 for each in view.positions if each.stop_state == "unseen")
    without = sum(1 for each in view.positions if each.stop_state != "ok") - unseen
    state: Span = (f"{unseen} not seen yet", "warn") if unseen else ("all stops at venue", "good")
    if without:
        state = (f"{without} WITHOUT a stop", "alarm")
    risk = fmt.amount(account.at_risk)
    told: Row = (
        *title, ("   open ", "quiet"), signed(account.open_pnl), (f"   {risk} if every stop fills   ", "quiet"), state,
    )  # fmt: skip
    if length(told) + _LINE > width:
        short: Row = (*title, (f"   risk {risk}   ", "quiet"), state)
        return short if length(short) + _LINE <= width else (*title, ("   ", ""), state)
    # beyond the stops, as much as there is room for; the first line is the stops themselves
    more = fmt.joined(shocks(view.stress)[1:], "   ", width - length(told) - _FRAME)
    return (*told, (f"   {more}", "quiet")) if more else told
