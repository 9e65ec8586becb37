"""Why: everything that a decision was based on, with the numbers."""

from typing import ClassVar, Final

from textual.binding import Binding, BindingType

from nexus_engine.model.orders import Order
from nexus_engine.model.signals import Signal
from nexus_engine.model.verdicts import Reading, Verdict
from nexus_engine.model.view import View, Why
from nexus_engine.model.words import ProposalStatus, Regime, Ruling
from nexus_tui import format as fmt
from nexus_tui.safe import plain
from nexus_tui.screens.dialogs import Dialog
from nexus_tui.widgets.rows import Row

_FRESH: Final = 2
"""The first View after asking may have been built before: the second cannot."""
_ROOM: Final = 7
"""Rows of the screen that are not the page's: the headers, the outcome, the keys, the frame."""
_RULING: Final = {
    Ruling.ALLOW: ("ok     ", "good"),
    Ruling.REDUCE: ("reduces", "warn"),
    Ruling.REFUSE: ("refuses", "bad"),
}
_WAITS: Final[dict[str, str]] = {
    ProposalStatus.PENDING: "waits for an answer",
    ProposalStatus.STALE: "waits for an answer; its numbers have moved since it came",
}
_WIDTH: Final = 70


class WhyPage(Dialog[None]):
    """Shows `View.why` once the engine has answered. j, k, page keys and home scroll; Enter or Esc closes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "scroll_by(1)", "down", show=False),
        Binding("k,up", "scroll_by(-1)", "up", show=False),
        Binding("pagedown,space", "scroll_by(10)", "page down", show=False),
        Binding("pageup", "scroll_by(-10)", "page up", show=False),
        Binding("home", "scroll_by(-10000)", "top", show=False),
        Binding("end", "scroll_by(10000)", "bottom", show=False),
        Binding("enter,q", "dismiss", "close", show=False),
    ]

    def __init__(self, asked: str, seq: int) -> None:
        super().__init__("Why", ())
        self._asked = asked
        self._seq = seq
        self._why: Why | None = None
        self._waiting = True
        self._top = 0

    def put(self, view: View) -> None:
        if view.seq < self._seq + _FRESH:
            return
        if self._waiting or (view.why is not None and view.why != self._why):
            self._waiting = False
            self._why = view.why
            self.redraw()

    def on_resize(self) -> None:
        self.redraw()

    def rows(self) -> list[Row]:
        if self._why is None:
            handle = self._asked if self._asked.startswith("P") else "this line"
            return [((f" asking about {handle}…" if self._waiting else f" nothing more is kept of {handle}", "quiet"),)]
        whole = page(self._why)
        height = max(3, self.app.size.height - _ROOM)
        self._top = max(0, min(self._top, len(whole) - height))
        rows = whole[self._top : self._top + height]
        below = len(whole) - self._top - len(rows)
        more = f"{below} more below: j, page down" if below else "that is all" if self._top else ""
        return [*rows, ((f" {fmt.fit(more, _WIDTH - 12)}", "quiet"), ("esc", "key"), (" closes", "quiet"))]

    def action_scroll_by(self, rows: int) -> None:
        self._top = max(0, self._top + rows)
        self.redraw()


def page(why: Why) -> list[Row]:
    """All rows of an explanation."""
    rows: list[Row] = [((f" {plain(why.title, _WIDTH)}", "strong"),)]
    if why.outcome:
        rows += _text(_WAITS.get(why.outcome, why.outcome), "")
    if why.signal is not None:
        rows += _signal(why.signal)
    if why.leave is not None:
        rows += [_head("left by its strategy"), *(line for each in why.leave.reasons for line in _text(each, ""))]
        rows += [_reading(each) for each in why.leave.readings]
    if why.verdicts:
        rows += [_head("guards"), *(line for each in why.verdicts for line in _verdict(each))]
    if why.orders:
        rows += [_head("orders"), *(line for each in why.orders for line in _order(each))]
    if why.notes:
        rows.append(_head("what happened"))
        for note in why.notes:
            rows += _text(f"{fmt.clock(note.at_ns)} {plain(note.by, 10)}: {plain(note.text)}", "")
    return rows


def _head(title: str) -> Row:
    return ((f" {title}", "title"),)


def _text(text: str, kind: str) -> list[Row]:
    """A text on as many rows as it needs, at most four."""
    return [((f"   {line}", kind),) for line in fmt.folded(plain(text), _WIDTH - 2)[:4] if line]


def _signal(signal: Signal) -> list[Row]:
    regime = signal.regime
    sure = f" {regime.confidence:.0%}" if regime.regime is not Regime.UNKNOWN else ""
    rows: list[Row] = [_head(f"signal of {plain(signal.strategy, 20)}: {signal.side} {plain(signal.symbol, 20)}")]
    for reason in signal.reasons:
        rows += _text(reason, "")
    rows += [_reading(each) for each in signal.readings]
    by = "" if regime.source == "rule" else f" by {plain(regime.source, 40)}"
    rows += [_head(f"regime {regime.regime}{sure}{by}"), *(_reading(each) for each in regime.readings)]
    return rows


def _reading(each: Reading, lead: str = "   ", by: str = "vs") -> Row:
    """A feature stands against its limit, on either side of it; a guard uses so much `of` its own."""
    limit = "" if each.limit is None else f" {by} {_number(each.limit)}"
    unit = f" {plain(each.unit, 8)}" if each.unit else ""
    return ((fmt.fit(f"{lead}{plain(each.name, 28)}", 34), "quiet"), (f" {_number(each.value)}{limit}{unit}", ""))


def _number(value: float) -> str:
    """As many digits as tell something: 96,480, 148.21, 0.0061."""
    if abs(value) >= 1000:
        return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
    return f"{value:.4g}"


def _verdict(verdict: Verdict) -> list[Row]:
    word, kind = _RULING[verdict.ruling]
    scale = f" to {verdict.scale:.0%}" if verdict.ruling is Ruling.REDUCE else ""
    rows: list[Row] = [((f"   {word}", kind), (f" {plain(verdict.guard, 20)}{scale}", "strong"))]
    if verdict.reason:
        rows += [((f"        {text[0][0].strip()}", ""),) for text in _text(verdict.reason, "")]
    rows += [_reading(each, "        ", "of") for each in verdict.inputs]
    return rows


def _order(order: Order) -> list[Row]:
    price = order.trigger if order.conditional else order.price
    at = "at market" if price is None else f"at {price:,f}"
    text = f"{order.leg.name.lower()} {order.side} {fmt.quantity(order.qty)} {at}: {order.status.lower()}"
    filled = f", {fmt.quantity(order.filled)} filled" if order.filled else ""
    reason = f" ({plain(order.reason, 80)})" if order.reason else ""
    return _text(f"{text}{filled}, {plain(order.by, 10)}{reason}", "")
