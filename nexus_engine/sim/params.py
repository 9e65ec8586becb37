"""A request's parameters as the venue reads them: text that may be missing or malformed."""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import TypeVar

from nexus_engine.sim.rules import VenueError

Row = TypeVar("Row")


class Params:
    """A request's parameters by name; a missing or malformed one is refused as the venue refuses it."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    @property
    def values(self) -> Mapping[str, str]:
        return self._values

    def text(self, name: str) -> str | None:
        return self._values.get(name) or None

    def need(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            raise VenueError(-1102, name)
        return value

    def integer(self, name: str) -> int | None:
        value = self.text(name)
        if value is None:
            return None
        try:
            return int(value)
        except ValueError as error:
            raise VenueError(-1130, name) from error

    def number(self, name: str) -> Decimal | None:
        value = self.text(name)
        if value is None:
            return None
        try:
            number = Decimal(value)
        except InvalidOperation as error:
            raise VenueError(-1130, name) from error
        if not number.is_finite():
            raise VenueError(-1130, name)
        return number

    def flag(self, name: str) -> bool:
        return (self.text(name) or "false").lower() == "true"

    def limit(self, default: int, most: int) -> int:
        value = self.integer("limit")
        if value is not None and value < 1:
            raise VenueError(-1130, "limit")
        return min(value or default, most)


def within(at_ms: int, start_ms: int | None, end_ms: int | None) -> bool:
    return (start_ms is None or at_ms >= start_ms) and (end_ms is None or at_ms <= end_ms)


def page(
    p: Params,
    rows: Iterable[Row],
    default: int,
    identity: Callable[[Row], int],
    at_ms: Callable[[Row], int],
    first_name: str = "",
) -> list[Row]:
    """Rows of a time window from an id on: the first of them when a start is given, else the newest."""
    first = p.integer(first_name) if first_name else None
    start, end = p.integer("startTime"), p.integer("endTime")
    chosen = [row for row in rows if (first is None or identity(row) >= first) and within(at_ms(row), start, end)]
    limit = p.limit(default, 1000)
    return chosen[-limit:] if first is None and start is None else chosen[:limit]
