"""One order book as a ladder: asks above, bids below, our own prices beside them, the spread in the middle."""

from typing import Any, Final

from nexus_engine.model.view import BookMark, BookView, View
from nexus_tui import format as fmt
from nexus_tui.safe import plain
from nexus_tui.widgets.header import changed
from nexus_tui.widgets.rows import EMPTY, Pane, Row, row

_ROOMY: Final = 34

Rung = tuple[int, float, str]
"""(price in ticks, quantity, label of ours); quantity 0 where only a mark of ours stands."""


def side(levels: tuple[tuple[int, float], ...], marks: dict[int, str], count: int, sign: int) -> list[Rung]:
    """The `count` rungs of a side, best first. A mark beyond what is seen keeps a rung at the far end.

    `sign` is +1 for asks (prices rise away from the middle) and -1 for bids.
    """
    if count <= 0:
        return []
    near = dict(levels[:count])
    edge = max((ticks * sign for ticks in near), default=None)
    beyond = sorted((ticks for ticks in marks if edge is not None and ticks * sign > edge), key=lambda t: t * sign)
    kept = beyond[: 1 if count < 8 else 2]
    merged = {ticks: near.get(ticks, 0.0) for ticks in (*near, *(t for t in marks if t not in beyond))}
    order = sorted(merged, key=lambda ticks: ticks * sign)
    # A mark of ours inside the book is never cut off for a level that is not ours.
    room = count - len(kept)
    while len(order) > room:
        spare = next((ticks for ticks in reversed(order) if ticks not in marks), order[-1])
        order.remove(spare)
    return [(ticks, merged[ticks], marks.get(ticks, "")) for ticks in order] + [(t, 0.0, marks[t]) for t in kept]


def labels(marks: tuple[BookMark, ...], book: BookView) -> tuple[dict[int, str], dict[int, str]]:
    """Marks by ticks, asks' side and bids' side, split at the middle."""
    middle = (book.asks[0][0] + book.bids[0][0]) / 2 if book.asks and book.bids else book.last / float(book.tick)
    above: dict[int, str] = {}
    below: dict[int, str] = {}
    for mark in marks:
        ticks = round(mark.price / book.tick)
        half = above if ticks > middle else below
        half[ticks] = f"{half[ticks]}, {plain(mark.label, 16)}" if ticks in half else plain(mark.label, 16)
    return above, below


class Ladder(Pane):
    """A ladder of the View's book number `index`."""

    def __init__(self, index: int = 0, **names: Any) -> None:
        super().__init__(**names)
        self._index = index
        self._coarsest: tuple[str, float] = ("", 0.0)
        """(symbol, largest size seen of it): sizes never switch back to more decimals while a symbol is shown."""

    def waiting(self) -> Row:
        return row("book", "quiet")

    def build(self, view: View, width: int, height: int) -> tuple[Row, list[Row]]:
        if self._index >= len(view.books):
            return self.waiting(), []
        book = view.books[self._index]
        moved, change = changed(book.change_pct)
        title: Row = (
            (plain(book.symbol, 14), "title"),
            (f" {fmt.price(book.last, book.price_digits) if book.last else '-'}", "strong"),
            (f"  {moved}", change),
        )
        if not book.valid or not book.bids or not book.asks:
            return title, [EMPTY] * (height // 2 - 1) + [row("  the book is being rebuilt".ljust(width), "warn")]
        foot = [self._funding(book)] if height >= 16 and width >= 28 else []
        rows = self._rungs(book, width, height - len(foot))
        return title, rows + foot

    def _rungs(self, book: BookView, width: int, height: int) -> list[Row]:
        above, below = labels(book.marks, book)
        asks = side(book.asks, above, (height - 1) // 2, +1)
        bids = side(book.bids, below, height - 1 - (height - 1) // 2, -1)
        largest = max((qty for _, qty, _ in (*asks, *bids)), default=1.0) or 1.0
        before = self._coarsest[1] if self._coarsest[0] == book.symbol else 0.0
        self._coarsest = (book.symbol, max(before, largest))
        scale = fmt.scale(self._coarsest[1], book.qty_digits, 6)
        highest = max((ticks for ticks, _, _ in asks), default=book.asks[0][0])
        wide = max(7, len(fmt.price(float(book.tick * max(highest, 1)), book.price_digits)))
        room = width - wide - 1 - 7 - 2

        def line(rung: Rung, kind: str) -> Row:
            ticks, qty, label = rung
            price = fmt.right(fmt.price(book.tick * ticks, book.price_digits), wide)
            if not qty:
                return ((f" {price} ", "mark"), (fmt.fit(label, width - wide - 2), "mark"))
            if width < _ROOMY:
                label = label.removeprefix("limit ")
            size = fmt.right(fmt.scaled(qty, scale), 7)
            limit = room - len(label) - 1 if label else room
            depth = fmt.bar(qty / largest, room)[: max(1, limit)]
            return ((f" {price}{size} ", kind), (depth, f"{kind}-bar"), (f" {label}" if label else "", "mark"))

        spread_ticks = book.asks[0][0] - book.bids[0][0]
        spread = book.tick * spread_ticks
        middle = (book.asks[0][0] + book.bids[0][0]) / 2
        points = f" ({spread_ticks / middle * 1e4:.1f} bp)" if middle > 0 else ""
        text = f" spread {fmt.price(spread, book.price_digits)}"
        # Between two ticks the middle needs one digit more to be itself; that digit has a column of its own.
        between = spread_ticks % 2
        mid = fmt.right(fmt.price(float(book.tick) * middle, book.price_digits + between), wide + between)
        mid += "" if between else " "
        centre: Row = (
            (f" {mid}", "strong"),
            (text + (points if len(mid) + 1 + len(text) + len(points) <= width else ""), "quiet"),
        )
        return [*(line(each, "ask") for each in reversed(asks)), centre, *(line(each, "bid") for each in bids)]

    def _funding(self, book: BookView) -> Row:
        return row(f"  funding {book.funding_pct:+z.3f}% in {fmt.countdown(book.funding_in_ms)}", "quiet")
