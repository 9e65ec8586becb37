"""Numbers as a person reads them, in lines and on the screen: the same everywhere."""

from decimal import Decimal


def quantity(value: Decimal) -> str:
    """A size as it is, without trailing zeros: 12.4, 4,100."""
    text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def price(value: Decimal, grid: Decimal | None = None) -> str:
    """A price with its digits, and with those of `grid`, another price of its symbol, where that has more: a venue
    tells 149.00 as 149."""
    digits = max(-int(each.as_tuple().exponent) for each in (value, value if grid is None else grid))
    return f"{value:z,.{max(0, digits)}f}"
