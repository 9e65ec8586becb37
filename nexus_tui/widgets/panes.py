"""The quieter panes: watchlist, Shield's gauges and the event log."""

from typing import Any, Final

from rich.cells import cell_len

from nexus_engine.model.view import EventRow, View
from nexus_engine.model.words import Level, Regime, Sentinel, Side
from nexus_tui import format as fmt
from nexus_tui.safe import plain
from nexus_tui.widgets.header import changed, heat, reading, signed, tightest
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
_CLOCK: Final = 76
"""From this width on, events tell the seconds."""
_ROOMY: Final = 2
"""Rows that a pane shows besides, when a voice takes one for itself."""
_SHORT: Final = {"account": "acct"}
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
        room, price = (12, 12) if wide else (8 + min(4, max(0, width - 34)), 9)
        held = {each.symbol: each for each in view.positions}
        names = [each.symbol for each in view.watch]
        start = max(0, min(names.index(self.symbol) if self.symbol in names else 0, len(names)) - height + 1)
        for each in view.watch[start : start + height]:
            here = each.symbol == self.symbol
            moved, change = changed(each.change_pct)
            regime, kind = _REGIME[each.regime]
            spans: list[Span] = [
                ("▶" if here else " ", "strong"),
                (f" {fmt.fit(name(each.symbol, room), room)}", "strong" if here else ""),
                (fmt.right(fmt.short_price(each.last, each.price_digits, price) if each.last else "-", price), ""),
                (f"{moved:>{9 if wide else 7}}", change),
                (f"{'   ' if wide else '  '}{regime:<6}", kind),
            ]
            if wide:
                sure = f"{each.confidence:>4.0%}" if each.regime is not Regime.UNKNOWN else "    "
                spans += [(f" {sure}", "quiet"), (f"{fmt.age(each.age_ms):>8}", "quiet")]
                if (ours := held.get(each.symbol)) is not None:
                    side = "L" if ours.side is Side.BUY else "S"
                    spans += [(f"   {side} {fmt.quantity(ours.qty)}", "mark"), ("  ", ""), signed(ours.pnl)]
            rows.append(tuple(spans))
        count = f"{len(rows)} of {len(names)}" if len(rows) < len(names) else f"{len(names)}"
        told = "   regime and its rank" if wide else ""
        return (("Watchlist", "title"), (f" {count}", "strong"), (told, "quiet")), rows


class Gauges(Pane):
    """How far each guard is from its trip, the tightest first."""

    def waiting(self) -> Row:
        return row("Shield", "title")

    def build(self, view: View, width: int, height: int) -> tuple[Row, list[Row]]:
        wide = width >= 34
        gauges = tightest(view)
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
        if wide and view.sentinel_reason and view.sentinel is not Sentinel.CALM:
            why.append(row(fmt.words(f" {plain(view.sentinel_reason)}", width), "warn"))
        if wide and view.funnel:
            counts = [fmt.counted(count, plain(name, 10)) for name, count in view.funnel[:2]]
            counts[0] = f" why no trade: {counts[0]}"
            why.append(row(fmt.joined(counts, ", ", width), "quiet"))
        return (("Shield", "title"), ("   tightest first", "quiet")), rows[: height - len(why)] + why


class Events(Pane):
    """What happened, the newest on top. `selected` is one of its rows; `active`: the keys are here."""

    def __init__(self, **names: Any) -> None:
        super().__init__(**names)
        self.selected: EventRow | None = None
        self.active = False

    def waiting(self) -> Row:
        return row("Events", "title")

    def build(self, view: View, width: int, height: int) -> tuple[Row, list[Row]]:
        newest = newest_first(view)
        chosen = self.selected if self.active and self.selected in newest else None
        shown: list[tuple[EventRow, list[Row]]] = []
        free, seen = height, chosen is None
        for each in newest:
            # only the newest may take a line for words alone: what happened before is worth more than they are
            roomy, one = not shown and height > _ROOMY, seen and free == 1
            shown.append((each, self._lines(each, width, chosen=each == chosen, roomy=roomy, one=one)))
            free -= len(shown[-1][1])
            seen = seen or each == chosen
            if free <= 0 and seen:
                break
        # The chosen row stays in sight: with it as the last one shown, older ones are found by going on.
        while free < 0 and shown:
            each, lines = shown.pop(0)
            free += len(lines)
            if free > 0:  # half of it was too much
                shown.insert(0, (each, self._lines(each, width, chosen=each == chosen, roomy=False, one=True)))
                break
        return row("Events", "title"), [line for _, lines in shown for line in lines]

    def _lines(self, each: EventRow, width: int, *, chosen: bool, roomy: bool, one: bool) -> list[Row]:
        """One line, or two where the text needs them and has not `one` alone. A voice's words give way to the text,
        whole."""
        wide = width >= _CLOCK
        when = fmt.clock(each.at_ns) if wide else fmt.minute(each.at_ns)
        subject = plain(each.subject, 18)
        if not wide:
            subject = _SHORT.get(subject, subject.removesuffix("USDT")).ljust(5)
        mark: Span = ("▶", "strong") if chosen else _LEVEL[each.level]
        head: Row = (
            mark,
            (f"{when} ", "quiet"),
            (f"{fmt.fit(subject, 10) if wide else subject} ", "strong"),
            (f"{fmt.fit(plain(each.by, 12), 9 if wide else 6)} ", "quiet"),
        )
        kind = _TEXT[each.level]
        room = max(8, width - length(head))
        first, rest = _told(each, room, max(8, width - 7), roomy=roomy)
        if one and rest:
            first, rest = fmt.words(plain(each.text), room), ""
        lines: list[Row] = [(*head, (first, kind))]
        if rest:
            under = length(head) if cell_len(rest) <= room else 7
            lines.append(((" " * under, ""), (rest, kind)))
        if not chosen:
            return lines
        return [tuple((text, f"{kind}+pick".removeprefix("+")) for text, kind in line) for line in lines]


def newest_first(view: View) -> list[EventRow]:
    """The rows in the order in which they are shown, each once: of one instant, what was written later is above."""
    return sorted(dict.fromkeys(reversed(view.events)), key=lambda each: -each.at_ns)


def _told(each: EventRow, first: int, second: int, *, roomy: bool) -> tuple[str, str]:
    """An event's text over at most two lines, with its voice where there is room for that beside it."""
    text, before, after = plain(each.text), plain(each.before), plain(each.after)
    voiced = " ".join(filter(None, (before, text, after)))
    if cell_len(voiced) <= first:
        return voiced, ""
    line, rest = fmt.wrap(text, first, second)
    words = f"{before.rstrip(' :')}{after.lstrip(' —')}"
    return (line, words) if roomy and not rest and cell_len(words) <= second else (line, rest)


def name(symbol: str, width: int) -> str:
    """A symbol, without its quote currency where that makes it fit."""
    clean = plain(symbol)
    return clean if len(clean) <= width else clean.removesuffix("USDT")
