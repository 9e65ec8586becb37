"""The two rows that never move: whose money, who decides, what may leave, and what could hurt next."""

from typing import Final

from nexus_engine.model.verdicts import Gauge
from nexus_engine.model.view import FeedView, LatchView, PositionView, View
from nexus_engine.model.words import AccountKind, Macro, Sentinel, TradingState
from nexus_tui import format as fmt
from nexus_tui.safe import plain
from nexus_tui.widgets.rows import Row, Rows, Span, length

_KIND: Final = {
    AccountKind.LIVE: "alarm", AccountKind.TESTNET: "badge", AccountKind.PAPER: "badge", AccountKind.DEMO: "badge",
}  # fmt: skip
_STATE: Final = {TradingState.ACTIVE: "good", TradingState.REDUCING: "warn", TradingState.HALTED: "alarm"}
_SENTINEL: Final = {
    Sentinel.CALM: "good", Sentinel.SHARK: "warn", Sentinel.BLIND: "alarm", Sentinel.BLACK_SWAN: "alarm",
}  # fmt: skip
_BAR: Final[Span] = ("│", "line")
_STALE_MS: Final = 3_000
_ROOMY: Final = 150


class Header(Rows):
    """Rows 1 and 2. `silent` says that the engine shows nothing new, empty when it does."""

    def put(self, view: View | None, *, progress: str = "", silent: str = "", read_only: bool = False) -> None:
        width = self.size.width
        if not width:
            return
        if view is None:
            self.show([((" NEXUS ", "badge"), (" " + plain(progress or "starting…"), "strong")), ()])
            return
        self.draw(
            lambda: [
                first(view, width, stale=bool(silent), read_only=read_only),
                second(view, width, silent, read_only=read_only),
            ]
        )


def first(view: View, width: int, *, stale: bool = False, read_only: bool = False) -> Row:
    """` LIVE main │ COPILOT │ ACTIVE  today …`: fields give way from the right when the row is narrow."""
    account = view.account
    state: list[Span] = [
        (
            f" {account.state} " if account.state is not TradingState.ACTIVE else "ACTIVE",
            _as_of(_STATE[account.state], stale),
        )
    ]
    looks: list[Span] = [(" READ-ONLY ", "badge"), (" ", ""), _BAR] if read_only else []
    fixed: list[Span] = [
        (f" {account.kind}", _KIND[account.kind]), (f" {plain(account.name, 14)} ", "strong"), _BAR,
        *looks, (f" {account.mode} ", "strong"), _BAR, (" ", ""), *state,
    ]  # fmt: skip
    gap = "   " if width >= 112 else "  "
    loss = "loss left"
    fields: list[tuple[int, Row]] = [
        (9, ((f"{gap if width >= 112 else ' '}today ", "quiet"), signed(account.day_pnl))),
        (8, ((f"{gap}{loss} ", "quiet"), (fmt.amount(account.loss_left), "warn" if account.loss_left <= 0 else ""))),
        (5, ((f"{gap}at risk ", "quiet"), (fmt.amount(account.at_risk), ""))),
        (6, ((f"{gap}equity ", "quiet"), (fmt.amount(account.equity), ""))),
        (4, ((f"{gap}open ", "quiet"), signed(account.open_pnl))),
    ]
    if account.lease_ms is not None:
        left: Span = (fmt.age(account.lease_ms), "") if account.lease_ms else ("LOCKED", "warn")
        fields.append((10, ((f"{gap}lease ", "quiet"), left)))
    now = fmt.clock(view.at_ns)
    clock: Row = ((f"as of {now} ", "warn"),) if stale else ((f"{now} UTC ", "quiet"),)
    room = width - length(tuple(fixed)) - length(clock) - 2
    return spaced(tuple(fixed), fields, room, clock, width)


def second(view: View, width: int, silent: str, *, read_only: bool = False) -> Row:
    """` Sentinel …`, then what must be seen, then the nearest guards, then the feed."""
    fixed: list[Span] = [
        (" Sentinel ", "quiet"),
        (f"{view.sentinel}".replace("_", " "), _as_of(_SENTINEL[view.sentinel], bool(silent))),
    ]
    gap = "   " if width >= 112 else "  "
    tail: Row = (("feed ?", "warn"),) if silent else feed(view)
    room = width - length(tuple(fixed)) - length(tail) - 2
    fields: list[tuple[int, Row]] = []
    left = room
    for rank, text in enumerate(alarms(view, silent)):
        shown = text if len(text) + 3 <= left else fmt.fit(text, left - 3)
        fields.append((90 - rank, ((" ", ""), (f" {shown} ", "alarm"))))
        left -= len(shown) + 3
    if view.account.latches:
        if not read_only:
            fields.append((9, ((f"{gap}r releases", "quiet"),)))
    elif view.account.blocked:
        fields.append((9, ((f"{gap}{plain(view.account.blocked, 60)}", "warn"),)))
    elif view.sentinel_reason and _SENTINEL[view.sentinel] == "alarm":
        fields.append((9, ((f"{gap}{plain(view.sentinel_reason, 60)}", "warn"),)))
    nearest = sorted((gauge for gauge in view.gauges if gauge.label != "exposure"), key=lambda gauge: -gauge.used)
    for rank, each in enumerate(nearest[: 2 if width < _ROOMY else 4]):
        fields.append((7 - rank, ((f"{gap}{plain(each.label, 16)} ", "quiet"), (reading(each), heat(each.used)))))
    account = view.account
    limit = f" of {account.exposure_limit_pct:.0f}%" if width >= 112 else "%"
    fields.append((5, ((f"{gap}exposure ", "quiet"), (f"{account.exposure_pct:.0f}{limit}", ""))))
    if width >= 112:
        age_ms = view.macro_view.age_ms if width >= _ROOMY else None
        age = "" if age_ms is None else f" {fmt.age(age_ms)}"
        state: Span = (f"{view.macro}", "warn" if view.macro is Macro.SHARK else "")
        fields.append((2, ((f"{gap}macro ", "quiet"), state, (age, "quiet"))))
    covered = sum(1 for each in view.positions if each.stop_state == "ok")
    if view.positions and width >= 112:
        fields.append((3, ((f"{gap}stops ", "quiet"), (f"{covered}/{len(view.positions)}", ""))))
    return spaced(tuple(fixed), fields, room, tail, width)


def _as_of(kind: str, stale: bool) -> str:
    """What was good some time ago is not shown as good."""
    return "quiet" if stale and kind == "good" else kind


def spaced(fixed: Row, fields: list[tuple[int, Row]], room: int, tail: Row, width: int) -> Row:
    """Keep the weightiest fields that fit, in their order; the tail ends the row."""
    kept: set[int] = set()
    for index in sorted(range(len(fields)), key=lambda index: -fields[index][0]):
        need = length(fields[index][1])
        if need <= room:
            kept.add(index)
            room -= need
    body: Row = (*fixed, *(span for index, (_, spans) in enumerate(fields) if index in kept for span in spans))
    return (*body, (" " * max(1, width - length(body) - length(tail)), ""), *tail)


def alarms(view: View, silent: str) -> list[str]:
    """What must be seen whatever else is shown."""
    found = [silent] if silent else []
    naked = [each for each in view.positions if each.stop_state == "NAKED"]
    if naked:
        found.append(f"{len(naked)} NAKED {fmt.age(max(each.naked_ms or 0 for each in naked))}")
    unknown = view.unknown_orders + sum(1 for each in view.positions if each.stop_state == "UNKNOWN")
    if unknown:
        found.append(f"{unknown} UNKNOWN")
    if view.foreign:
        found.append(f"{len(view.foreign)} FOREIGN")
    found += [banner(latch, view.working_orders, brief=bool(found)) for latch in view.account.latches]
    return found


def banner(latch: LatchView, working: int, *, brief: bool) -> str:
    """A latch, and how many orders the venue has not yet confirmed as cancelled."""
    name = latch.latch.replace("_", " ")
    if brief:
        return f"{name}, {working} working" if working else name
    left = f", {working} still working" if working else ""
    return f"{name} by {plain(latch.by, 10)} {fmt.minute(latch.since_ns)}{left}"


def feed(view: View) -> Row:
    """`feed 0.2s ok`, or which one is bad. The user stream speaks only when something happens."""
    down = [each for each in view.feeds if not each.up]
    if down:
        return (("feed ", "quiet"), (f" {plain(down[0].name.rpartition(' ')[2], 8)} DOWN ", "alarm"))
    age_ms = oldest(view.feeds)
    if view.problem:
        return ((f"feed {fmt.age(age_ms)} ", "quiet"), (f" {plain(reason(view.problem), 24)} ", "alarm"))
    late = age_ms is not None and age_ms > _STALE_MS
    word: Span = (" LATE ", "alarm") if late else ("ok", "good") if age_ms is not None else ("none yet", "warn")
    return ((f"feed {fmt.age(age_ms)} ", "quiet"), word)


def reason(text: str) -> str:
    """What is wrong before where: `/a/b/c.db: disk full` becomes `disk full: c.db`, so that a cut takes the path."""
    where, _, what = text.partition(": ")
    return f"{what}: {where.rpartition('/')[2]}" if what and where.startswith("/") else text


def oldest(feeds: tuple[FeedView, ...]) -> int | None:
    ages = [each.age_ms for each in feeds if not each.name.endswith("user")]
    known = [each for each in ages if each is not None]
    return max(known) if known else None


def reading(gauge: Gauge) -> str:
    """A gauge as `0.6 of 4.0%`, as many decimals as its limit deserves."""
    counted = not gauge.unit and gauge.value == int(gauge.value)
    digits = 0 if gauge.limit == int(gauge.limit) and (gauge.limit >= 5 or counted) else 1
    unit = gauge.unit if gauge.unit == "%" else f" {plain(gauge.unit, 6)}" if gauge.unit else ""
    return f"{fmt.plain_number(gauge.value, digits)} of {fmt.plain_number(gauge.limit, digits)}{unit}"


def heat(used: float) -> str:
    """The style of a gauge by how near it is to its trip."""
    return "alarm" if used >= 1 else "warn" if used >= 0.75 else ""


def signed(value: float, *, cents: bool = True) -> Span:
    """An amount with its sign, coloured by it."""
    return fmt.money(value) if cents else f"{value:+z,.0f}", "good" if value > 0 else "bad" if value < 0 else ""


def worst_first(positions: tuple[PositionView, ...]) -> list[PositionView]:
    """NAKED and UNKNOWN before all others; the rest keeps its order."""
    rank = {"NAKED": 0, "UNKNOWN": 1, "wait": 2, "unseen": 3}
    return sorted(positions, key=lambda each: rank.get(each.stop_state, 4))
