"""The quieter panes: watchlist, Shield's gauges, PnL today and the event log."""

from typing import Any, Final

from nexus_engine.model.view import EventRow, View
from nexus_engine.model.words import Level, Regime, Side
from nexus_tui import format as fmt
from nexus_tui.safe import plain
from nexus_tui.widgets.header import heat, reading, signed
from nexus_tui.widgets.rows import Pane, Row, Span, length, row

_REGIME: Final[dict[Regime, Span]] = {
    Regime.RANGE: ("RANGE", ""),
    Regime.VOLATILE: ("VOLAT.", "warn"),
    Regime.TREND_UP: ("UP", "good"),
    Regime.TREND_DOWN: ("DOWN", "bad"),
    Regime.UNKNOWN: ("-", "quiet"),
}
_LEVEL: Final[dict[Level, Span]] = {
    Level.INFO: (" ", ""),
    Level.GOOD: (" ", ""),
    Level.WARN: ("!", "warn"),
    Level.ALARM: ("!", "alarm"),
}
_SMALLEST_BAR: Final = 3
_TEXT: Final = {Level.INFO: "", Level.GOOD: "good", Level.WARN: "care", Level.ALARM: "alarm"}


class Watchlist(Pane):
    """What is watched; the arrow stands at the ladder's symbol."""

    def __init__(self, **names: Any) -> None:
        super().__init__(**names)
        self.symbol = ""

    def waiting(self) -> Row:
        return row("Watchlist", "title")

    def build(self, view: View, width: int, height: int) -> tuple[Row, list[Row]]:
        rows: list[Row] = []
        wide = width >= 70
        held = {each.symbol: each for each in view.positions}
        names = [each.symbol for each in view.watch]
        start = max(0, min(names.index(self.symbol) if self.symbol in names else 0, len(names)) - height + 1)
        for each in view.watch[start : start + height]:
            here = each.symbol == self.symbol
            change = "good" if each.change_pct > 0 else "bad" if each.change_pct < 0 else ""
            regime, kind = _REGIME[each.regime]
            spans: list[Span] = [
                ("▶" if here else " ", "strong"),
                (f" {fmt.fit(plain(each.symbol), 12 if wide else 9)}", "strong" if here else ""),
                (f"{fmt.right(fmt.price(each.last, each.price_digits), 12 if wide else 10)}", ""),
                (f"{fmt.percent(each.change_pct):>{9 if wide else 7}}", change),
                (f"{'   ' if wide else '  '}{regime:<6}", kind),
            ]
            if wide:
                sure = f"{each.confidence:>4.0%}" if each.regime is not Regime.UNKNOWN else "    "
                spans += [(f" {sure}", "quiet"), (f"{fmt.age(each.age_ms):>8}", "quiet")]
                if (ours := held.get(each.symbol)) is not None:
                    side = "L" if ours.side is Side.BUY else "S"
                    spans += [(f"   {side} {fmt.quantity(ours.qty)}", "mark"), ("  ", ""), signed(ours.pnl)]
            rows.append(tuple(spans))
        return (("Watchlist", "title"), (f" {len(view.watch)}", "strong")), rows


class Gauges(Pane):
    """How far each guard is from its trip, the tightest first."""

    def waiting(self) -> Row:
        return row("Shield", "title")

    def build(self, view: View, width: int, height: int) -> tuple[Row, list[Row]]:
        wide = width >= 34
        gauges = sorted(view.gauges, key=lambda gauge: -gauge.used)
        texts = [reading(each) if wide else reading(each).replace(" of ", "/") for each in gauges]
        value = max(map(len, texts), default=0)
        label = min(max((len(each.label) for each in gauges), default=0), width - value - 4 - _SMALLEST_BAR)
        room = min(40, width - label - value - 4)
        rows: list[Row] = []
        for each, text in zip(gauges, texts, strict=True):
            kind = heat(each.used)
            rows.append((
                (f" {fmt.fit(plain(each.label), label)}", "quiet"),
                (f" {fmt.right(text, value)}", kind),
                (f" {fmt.gauge(min(1.0, each.used), room)}", kind or "quiet"),
            ))  # fmt: skip
        why: list[Row] = []
        if wide and view.sentinel_reason:
            why.append(row(f" {plain(view.sentinel_reason, width - 2)}", "warn"))
        if wide and view.funnel:
            counts = ", ".join(f"{count} {plain(name, 10)}" for name, count in view.funnel[:2])
            why.append(row(fmt.fit(f" why no trade: {counts}", width), "quiet"))
        return (("Shield", "title"), ("   tightest first", "quiet")), rows[: height - len(why)] + why


class Pnl(Pane):
    """Today in money."""

    def waiting(self) -> Row:
        return row("PnL today", "title")

    def build(self, view: View, width: int, height: int) -> tuple[Row, list[Row]]:
        account = view.account
        cents = width >= 34
        rows: list[Row] = [
            (
                *((" realised ", "quiet"), signed(account.day_realised, cents=cents)),
                *(("  open ", "quiet"), signed(account.open_pnl, cents=cents)),
            ),
            ((f" trades {account.day_trades}  fees {fmt.amount(account.day_fees)}", "quiet"),),
        ]
        return (("PnL today ", "title"), signed(account.day_pnl)), rows


class Events(Pane):
    """What happened, the newest on top."""

    def waiting(self) -> Row:
        return row("Events", "title")

    def build(self, view: View, width: int, height: int) -> tuple[Row, list[Row]]:
        newest = sorted(view.events, key=lambda each: each.at_ns)[::-1][:height]
        return row("Events", "title"), [line for each in newest for line in self._lines(each, width)]

    def _lines(self, each: EventRow, width: int) -> list[Row]:
        """One line, or two where the text needs them."""
        wide = width >= 70
        when = fmt.clock(each.at_ns) if wide else fmt.minute(each.at_ns)
        subject = plain(each.subject, 18)
        if not wide and len(subject) > 7:
            subject = subject.removesuffix("USDT")
        head: Row = (
            _LEVEL[each.level],
            (f"{when} ", "quiet"),
            (f"{fmt.fit(subject, 10 if wide else 7)} ", "strong"),
            (f"{fmt.fit(plain(each.by, 12), 9 if wide else 6)} ", "quiet"),
        )
        kind = _TEXT[each.level]
        first, rest = fmt.wrap(plain(each.text), width - length(head), width - 7)
        lines: list[Row] = [(*head, (first, kind))]
        if rest:
            lines.append(((" " * 7, ""), (rest, kind)))
        return lines
