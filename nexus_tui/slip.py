"""What a market order would lose against the book that is shown."""

from decimal import Decimal

from nexus_engine.model.view import BookView, View
from nexus_engine.model.words import Side
from nexus_tui import format as fmt


def slippage(book: BookView, side: Side, qty: Decimal) -> tuple[float, float] | None:
    """(money, basis points) against the middle of the book; None when the levels shown do not hold `qty`."""
    if not (book.valid and book.bids and book.asks):
        return None
    left, ticks, filled = float(qty), 0.0, 0.0
    for price, size in book.asks if side is Side.BUY else book.bids:
        take = min(left, size)
        ticks += price * take
        filled += take
        left -= take
        if left <= 0:
            break
    if left > 0 or not filled:
        return None
    middle = (book.bids[0][0] + book.asks[0][0]) / 2
    lost = (ticks / filled - middle) * side.sign
    return lost * filled * float(book.tick), lost / middle * 1e4


def estimate(view: View, symbol: str, side: Side, qty: Decimal) -> str:
    """`slip about -1.20, 1.3 bp`, or that it is not known."""
    book = next((each for each in view.books if each.symbol == symbol), None)
    found = None if book is None else slippage(book, side, qty)
    return "slip unknown" if found is None else f"slip {fmt.money(-abs(found[0]))}, {found[1]:.1f} bp"
