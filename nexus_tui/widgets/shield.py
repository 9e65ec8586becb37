"""The panes of screen 2: every guard, the way from a wish to an order, the audit of stops, and the last trip."""

from typing import Final

from nexus_engine.model.view import GuardView, PositionView, TripView, View
from nexus_tui import format as fmt
from nexus_tui.safe import plain
from nexus_tui.widgets.header import heat, kept, reading, short, worst_first
from nexus_tui.widgets.raster import sparkline
from nexus_tui.widgets.rows import Pane, Row, Span, length, row
from nexus_tui.widgets.stake import packed, shocks

_STATE: Final = {
    "ok": "good", "WARN": "warn", "TRIPPED": "alarm", "LOCKED": "alarm", "LATCHED": "alarm", "BLIND": "alarm",
}  # fmt: skip
_HELD: Final = ("LOCKED", "LATCHED")
_NAME: Final = 16
_WORD: Final = 8
_BAR: Final = 8
_DISTANCE: Final = 60
"""Under this width a guard's distance gives way: it is what lies between the two numbers before it."""
_TICKS: Final = 40
_UNTOLD: Final = "not known: no engine has told of it here yet"
"""A picture that was not asked for this page has none of it: that is not nothing."""


class Guards(Pane):
    """Input, limit, distance, age and state of each guard, in the order of the ladder."""

    def waiting(self) -> Row:
        return row("Guards", "title")

    def build(self, view: View, width: int, height: int) -> tuple[Row, list[Row]]:
        # What does not fit is what rests; what acts or is blind is always there.
        kept = sorted(range(len(view.guards)), key=lambda at: (view.guards[at].state == "ok", -view.guards[at].used))
        hidden = len(view.guards) - height
        shown = sorted(kept[: height - 1 if hidden > 0 else height])
        rows = [_guard(view.guards[at], width) for at in shown]
        if hidden > 0:
            rows.append(row(f" and {hidden + 1} more at rest: z shows all", "quiet"))
        distance = "distance, " if width >= _DISTANCE else ""
        return (("Guards", "title"), (f"   input, limit, {distance}age, state", "quiet")), rows


def _guard(each: GuardView, width: int) -> Row:
    kind = _STATE.get(each.state, "")
    name: Span = (f" {fmt.fit(plain(each.name), _NAME)}", "strong" if each.state != "ok" else "")
    state: Span = (fmt.right(each.state, _WORD), kind)
    room = width - _NAME - 1 - _WORD
    if not each.limit:
        left = f"{each.value:.0f} min left" if each.until_ns else ""
        text = "  ".join(filter(None, (left, plain(each.reason))))
        return name, (fmt.fit(f" {fmt.words(text, room - 2)}", room), ""), state
    away = f"{short(max(0.0, each.limit - each.value))} away" if each.used < 1.0 else "at limit"
    age = "" if each.age_ms is None else fmt.age(each.age_ms)
    bar = (f"  {fmt.gauge(min(1.0, each.used), _BAR)}", heat(each.used) or "quiet")
    cells = kept(
        [
            (4, ((fmt.right(reading(each), 16), heat(each.used)),)),
            (1, (bar,)),
            (2, ((f"  {fmt.fit(away, 10)}", "quiet"),)),
            (3, ((fmt.right(age, 7), "quiet"),)),
        ],
        room,
    )
    return name, *cells, (" " * (room - length(cells)), ""), state


class Funnel(Pane):
    """Why no trade: how many wishes came through each stage, and what stopped the last one there."""

    def waiting(self) -> Row:
        return row("Why no trade?", "title")

    def build(self, view: View, width: int, height: int) -> tuple[Row, list[Row]]:
        rows: list[Row] = []
        stages = view.stages
        if not stages:
            rows.append(row(f" {_UNTOLD}", "quiet"))
        elif not any(each.passed or each.stopped for each in stages):
            rows.append(row(" nothing has wanted a trade since the engine started", "quiet"))
        elif height < len(stages):
            # On two lines the counts alone; the reason is that of the stage that stopped last.
            counts = [f"{plain(each.name)} {each.stopped}" for each in stages]
            rows.append(row(fmt.joined(["stopped by", *counts], "  ", width - 1).join((" ", "")), ""))
            last = max(stages, key=lambda each: each.at_ns, default=None)
            if last is not None and last.reason:
                rows.append(row(fmt.words(f" last: {plain(last.name)}: {plain(last.reason)}", width), "quiet"))
            through = stages[-1].passed if stages else 0
            rows.append(row(f" became orders or cards: {through}", "quiet"))
        else:
            if height > len(stages):
                rows.append(row(f" {'':<9}{'on':>6}{'ended':>6}  the last of them", "quiet"))
            for each in stages:
                when = f"{fmt.minute(each.at_ns)} " if each.at_ns else ""
                head = f" {plain(each.name):<9}{each.passed:>6,}{each.stopped:>6,}  "
                rows.append(((head, ""), (fmt.words(f"{when}{plain(each.reason)}", width - len(head)), "quiet")))
        words = "   what went on, what ended, and why"
        return (("Why no trade?", "title"), (words, "quiet")), rows


class Audit(Pane):
    """Position by position: is its stop at the venue, of its size, and how lately was that seen."""

    def waiting(self) -> Row:
        return row("Protection", "title")

    def build(self, view: View, width: int, height: int) -> tuple[Row, list[Row]]:
        positions = sorted(worst_first(view.positions), key=_sound)
        told = _stressed(view, width) if positions or view.foreign or view.stress.in_flight else []
        if len(positions) > 1 and len(positions) + len(told) > height and all(map(_sound, positions)):
            # nothing is wrong with any of them: what they stake is more news than which they are
            told = told[: height - 1]
            oldest_ms = max((each.stop_seen_ms or 0 for each in positions), default=0)
            said = f" {len(positions)} positions, each stop at the venue in its size, seen {fmt.age(oldest_ms)} ago"
            rows = [row(fmt.words(f"{said}: z lists", width))]
            return self._titled([*rows, *told])
        told = told[: max(0, height - max(1, len(positions)))]
        height -= len(told)
        rows = [_audited(each, width) for each in positions[:height]]
        if not rows:
            rows = [row(" nothing is held", "quiet")]
        if len(positions) > height:
            more = positions[height - 1 :]
            fine = all(map(_sound, more))
            rows[-1] = row(f" and {len(more)} more, {'all ok' if fine else 'NOT ALL OK'}", "" if fine else "alarm")
        return self._titled([*rows, *told])

    @staticmethod
    def _titled(rows: list[Row]) -> tuple[Row, list[Row]]:
        return (("Protection", "title"), ("   stop at venue, size, seen; r re-arms", "quiet")), rows


def _sound(each: PositionView) -> bool:
    return each.stop_state == "ok" and each.stop_qty in (None, each.qty)


def _stressed(view: View, width: int) -> list[Row]:
    """What is at stake, and what is not in it."""
    stress = view.stress
    left = [f"{stress.in_flight} in flight: stops only"] if stress.in_flight else []
    left += [f"{stress.foreign} foreign: no stop known"] if stress.foreign else []
    left += [f"no price: {plain(', '.join(stress.unpriced))}"] if stress.unpriced else []
    rows = [row(line, "quiet") for line in packed(shocks(stress), width)]
    if left:
        rows.insert(0, row(fmt.words(f" {'; '.join(left)}", width), "warn"))
    return rows


def _audited(each: PositionView, width: int) -> Row:
    side = fmt.stance(each.side)[0].upper()
    held = f" {side} {fmt.fit(plain(each.symbol), 9)} {fmt.right(fmt.short_quantity(each.qty, 9), 9)}"
    if each.stop_state == "ok" and each.stop is not None:
        equal = each.stop_qty is None or each.stop_qty == each.qty
        price = fmt.short_price(each.stop, each.price_digits, 8)
        seen = "" if each.stop_seen_ms is None else f", {fmt.age(each.stop_seen_ms)}"
        text = f"  {price} at venue, same size{seen}"
        if not equal:  # what is wrong comes first: the pane may be narrow
            text = f"  stop closes {fmt.short_quantity(each.stop_qty or each.qty, 9)} at {price}{seen}"
        return (held, ""), (fmt.words(text, width - len(held)), "" if equal else "warn")
    if each.stop_state == "unseen" and each.stop is not None:
        text = f"  {fmt.short_price(each.stop, each.price_digits, 8)} by the journal, not seen at the venue yet"
        return (held, ""), (fmt.words(text, width - len(held)), "warn")
    told = f"  {each.stop_state} {fmt.age(each.naked_ms)}, r re-arms it"
    return (held, "strong"), (fmt.words(told, width - len(held)), "warn" if each.stop_state == "wait" else "alarm")


class LastTrip(Pane):
    """The last trip of the black swan with what it saw and what was sent; else the last alert."""

    def waiting(self) -> Row:
        return row("Black swan", "title")

    def build(self, view: View, width: int, height: int) -> tuple[Row, list[Row]]:
        trip = next((each for each in view.trips if not each.alert), None) or next(iter(view.trips), None)
        if trip is None:
            none = "it has not tripped and not alerted"
            rows = [row(f" {none if view.guards else _UNTOLD}", "quiet")]
            told = " menu: drill rehearses one, history tells what followed past ones"
            rows.append(row(fmt.words(told, width), "quiet"))
            return row("Black swan", "title"), rows
        title: Row = (("Black swan", "title"), (f"   last {'alert' if trip.alert else 'trip'}", "quiet"))
        return title, _trip(trip, width, height)


def _trip(trip: TripView, width: int, height: int) -> list[Row]:
    kind = "warn" if trip.alert else "bad"
    rows: list[Row] = [((f" {fmt.clock(trip.at_ns)} ", "quiet"), (fmt.words(plain(trip.reason), width - 10), kind))]
    high = next((each.value for each in trip.readings if each.name == "high"), 0.0)
    if trip.further and high:
        at_ns, low = trip.further[-1]
        told = f" it went on: {(1 - low / high) * 100:.1f} % under that high at {fmt.clock(at_ns)}"
        rows.append(row(fmt.words(told, width), kind))
    confirmed = [each for each in trip.exits if each.confirmed_ms is not None]
    if trip.exits:
        slowest = max((each.confirmed_ms or 0 for each in confirmed), default=0)
        told = f" longs closed {len(confirmed)} of {len(trip.exits)}, the last after {slowest} ms"
        rows.append(row(fmt.words(told, width), "" if len(confirmed) == len(trip.exits) else "alarm"))
    elif not trip.alert:
        rows.append(row(" no long was held", "quiet"))
    numbers = [f"{plain(each.name)} {short(each.value)}{plain(each.unit, 4)}" for each in trip.readings]
    while numbers and len(rows) < height:
        line = numbers.pop(0)
        while numbers and len(line) + len(numbers[0]) + 3 < width:
            line += f"  {numbers.pop(0)}"
        rows.append(row(fmt.words(f" {line}", width), "quiet"))
    if trip.ticks and len(rows) < height:
        prices = [price for _, price in trip.ticks][-min(_TICKS, width - 30) :]
        rows.append(((f" ticks {prices[0]:,.8g} ", "quiet"), (sparkline(prices, len(prices)), ""),
                     (f" {prices[-1]:,.8g}", "quiet")))  # fmt: skip
    for each in trip.exits[: height - len(rows)]:
        done = (
            "not confirmed"
            if each.confirmed_ms is None
            else f"closed {plain(each.price, 12)} in {each.confirmed_ms} ms"
        )
        tries = [] if each.attempts == 1 else [f"{each.attempts} attempts"]
        head = f" {plain(each.symbol, 12):<10} {plain(each.qty, 12):>10}"
        text = fmt.joined([head, done, f"sent +{each.sent_ms} ms", *tries], "  ", width)
        rows.append(row(text, "alarm" if each.confirmed_ms is None else ""))
    return rows
