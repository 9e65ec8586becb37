"""Where each pane of the cockpit stands, from 80x24 upwards. Pure arithmetic: sizes in, regions out."""

from typing import Final

from textual.geometry import Region

LEAST: Final = (80, 24)
"""Columns and rows under which no pane, dialog or outcome can be read, and nothing is decided."""
WIDE: Final = 112
TALL: Final = 36
HUGE: Final = 190
BOOKS: Final = 4
RULES: Final = 5
"""Vertical lines that a plan may need."""
PANES: Final = (
    "watch", "targets", "candles", *(f"book-{index}" for index in range(BOOKS)),
    "proposals", "positions", "gauges", "pnl", "events",
)  # fmt: skip

Plan = dict[str, Region]
"""Pane or `rule-<n>` -> region inside the body. The regions tile the body; what is missing is not shown."""


SHIELD: Final = "shield"
"""The page of screen 2; the cockpit's own has no name."""
SHIELD_PANES: Final = ("guards", "funnel", "audit", "trip")


def plan(width: int, height: int, zoom: str = "", page: str = "") -> Plan:
    """The panes of a body of `width` x `height` cells (the terminal less its five fixed rows), or one of them alone."""
    if zoom:
        return {zoom: Region(0, 0, width, height)}
    if page == SHIELD:
        return _shield(width, height)
    if width < WIDE or height < TALL - 5:
        return _two_columns(width, height)
    return _three_columns(width, height) if width < HUGE else _four_books(width, height)


def _stack(found: Plan, x: int, y: int, width: int, panes: tuple[tuple[str, int], ...]) -> None:
    for name, height in panes:
        found[name] = Region(x, y, width, height)
        y += height


_ROWS: Final = (("guards", 8), ("funnel", 4), ("audit", 3), ("trip", 4))
_GROWS: Final = (
    ("guards", 12, False), ("audit", 5, False), ("trip", 7, False), ("funnel", 8, True), ("trip", 10, False),
    ("guards", 16, False), ("trip", 16, False),
)  # fmt: skip
"""What a row more is given to, up to how many, and whether fewer than that would be of no use: between its counts and
its whole table the funnel has nothing to show."""


def _shield(width: int, height: int) -> Plan:
    """Screen 2: the guards and the way to an order on the left, what is protected and the last trip on the right."""
    found: Plan = {}
    if width < WIDE:
        # Too narrow for two columns of sentences: all of it below each other.
        rows = dict(_ROWS)
        spare = max(0, height - sum(rows.values()))
        for name, wanted, all_or_none in _GROWS:
            more = min(spare, wanted - rows[name])
            if more > 0 and not (all_or_none and rows[name] + more < wanted):
                rows[name] += more
                spare -= more
        rows["guards"] += spare
        _stack(found, 0, 0, width, tuple(rows.items()))
        return found
    left = width // 2
    right = width - left - 1
    found["rule-0"] = Region(left, 0, 1, height)
    audit = 7 if height < 41 else 10
    _stack(found, 0, 0, left, (("guards", height - 8), ("funnel", 8)))
    _stack(found, left + 1, 0, right, (("audit", audit), ("trip", height - audit)))
    return found


def _two_columns(width: int, height: int) -> Plan:
    """80x24 and its neighbours: what is decided on the left, the market on the right."""
    spare = max(0, height - 19)
    right = 28 if width < 92 else min(60, 28 + (width - 84) // 4)
    left = width - right - 1
    proposals, positions = 6 + min(2, spare // 5), 5 + min(6, spare // 5)
    targets = 4 if spare < 14 else 8
    candles = 3 if spare < 5 else min(18, 3 + spare // 2)
    found: Plan = {"rule-0": Region(left, 0, 1, height)}
    events = height - proposals - positions - targets
    _stack(
        found,
        0,
        0,
        left,
        (("proposals", proposals), ("positions", positions), ("targets", targets), ("events", events)),
    )
    # wide but low, or high but narrow: there is room for one of the two
    between = (("watch", 5),) if width >= WIDE and spare >= 5 else (("gauges", 5),) if spare >= 12 else ()
    lower = (("candles", candles), *between, ("pnl", 4))
    book = height - sum(rows for _, rows in lower)
    _stack(found, left + 1, 0, right, (("book-0", book), *lower))
    return found


def _three_columns(width: int, height: int) -> Plan:
    """120x40: watchlist, candles and ladder above; cards and positions beside the Shield; events below."""
    spare = max(0, height - 35)
    right = min(52, 34 + (width - WIDE) // 4)
    watch = min(44, 34 + max(0, width - 120) // 6)
    left = width - right - 1
    small = height < 35
    proposals, positions, events = 7 + min(2, spare // 6), (6 if small else 7 + spare // 6), 6 - small + spare // 5
    top = height - proposals - positions - events
    targets = 6 if small else 7 + min(3, spare // 6)
    found: Plan = {"rule-0": Region(watch, 0, 1, top), "rule-1": Region(left, 0, 1, top + proposals + positions)}
    _stack(found, 0, 0, watch, (("watch", top - targets), ("targets", targets)))
    found["candles"] = Region(watch + 1, 0, left - watch - 1, top)
    _stack(found, 0, top, left, (("proposals", proposals), ("positions", positions)))
    _stack(found, left + 1, 0, right, (("book-0", top), ("gauges", proposals), ("pnl", positions)))
    found["events"] = Region(0, top + proposals + positions, width, events)
    return found


def _four_books(width: int, height: int) -> Plan:
    """200x50: four books side by side, a wide watchlist, and a chart as wide as two of the books."""
    spare = max(0, height - 45)
    right = min(200, 116 + (width - 200) * 2 // 3) if width >= 200 else 112
    left = width - right - 1
    small = height < 41
    proposals, positions, events = (7, 6, 5) if small else (10, 9 + spare // 8, 6 + spare // 5)
    middle = proposals + positions
    top = height - middle - events
    watch = min(9 + spare // 6, top // 2)
    gauges = 7 if small else 8
    side = 44 + (right - 112) // 5
    found: Plan = {
        "rule-0": Region(left, 0, 1, top + middle),
        "rule-1": Region(width - side - 1, top, 1, middle),
        "candles": Region(left + 1, top, right - side - 1, middle),
        "events": Region(0, top + middle, width, events),
    }
    lefts = (("watch", watch), ("targets", top - watch), ("proposals", proposals), ("positions", positions))
    _stack(found, 0, 0, left, lefts)
    _stack(found, width - side, top, side, (("gauges", gauges), ("pnl", middle - gauges)))
    room = right - BOOKS + 1
    x = left + 1
    for index in range(BOOKS):
        share = room * (index + 1) // BOOKS - room * index // BOOKS
        found[f"book-{index}"] = Region(x, 0, share, top)
        x += share + 1
        if index + 1 < BOOKS:
            found[f"rule-{index + 2}"] = Region(x - 1, 0, 1, top)
    return found
