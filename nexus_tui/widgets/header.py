"""The two rows that never move: whose money, who decides, what may leave, and what could hurt next."""

from typing import Final

from nexus_engine.model.verdicts import Gauge
from nexus_engine.model.view import AccountView, FeedView, GuardView, LatchView, PositionView, View
from nexus_engine.model.words import AccountKind, Macro, Sentinel, TradingState
from nexus_tui import format as fmt
from nexus_tui.layout import WIDE
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
_DAY, _LEASE = 9, 8
_SECONDS, _MINUTES = 8, 5
_GIVE_WAY: Final = (
    (14, _SECONDS, _LEASE, True), (14, _MINUTES, _LEASE, True), (14, 0, _LEASE, True), (8, _MINUTES, _LEASE, True),
    (8, 0, _LEASE, True), (8, 0, _DAY, True), (4, 0, _DAY, True), (4, 0, _DAY, False),
)  # fmt: skip
"""How row 1 becomes shorter: cells of the account's name and of the clock, the weight that must fit, and whether the
money has cents."""
_PROBLEM: Final = 24
"""Cells of what is wrong that come before why nothing may enter."""
_FIRST: Final = 9
"""Weight in row 2 under which nothing takes room from what is wrong: less than the nearest guard and what a black swan
forbids."""
_LARGE: Final = 100
"""From here on a number needs no decimals."""
_TOLD: Final = 8
_REASON: Final = 16
"""Cells under which the beginning of a reason says nothing."""


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
    """` LIVE main │ COPILOT │ ACTIVE  today …`: what a narrow row cannot hold shortens or goes, the money last."""
    for name, clock, least, cents in _GIVE_WAY:
        fixed = _whose(view.account, name, stale=stale, read_only=read_only)
        fields = _money(view.account, width, cents=cents)
        tail = _clock(view.at_ns, clock, stale=stale)
        room = width - length(fixed) - length(tail) - 1
        if sum(length(spans) for weight, spans in fields if weight >= least) <= room:
            break
    return ended((*fixed, *kept(fields, room)), tail, width)


def _whose(account: AccountView, name: int, *, stale: bool, read_only: bool) -> Row:
    active = account.state is TradingState.ACTIVE
    state: Span = ("ACTIVE" if active else f" {account.state} ", _as_of(_STATE[account.state], stale))
    if active and not account.known:
        state = ("STARTING", "warn")
    looks: Row = ((" READ-ONLY ", "badge"), _BAR) if read_only else ()
    return (
        (f" {account.kind}", _KIND[account.kind]), (f" {plain(account.name, name)} ", "strong"), _BAR,
        *looks, (f" {account.mode} ", "strong"), _BAR, (" ", ""), state,
    )  # fmt: skip


def _money(account: AccountView, width: int, *, cents: bool) -> list[tuple[int, Row]]:
    gap = "   " if width >= WIDE else "  "
    left = fmt.amount(account.loss_left) if cents else f"{account.loss_left:z,.0f}"
    day, loss = signed(account.day_pnl, cents=cents), (left, "warn" if account.loss_left <= 0 else "")
    if not account.known:
        day = loss = ("-", "quiet")
    fields: list[tuple[int, Row]] = [
        (_DAY, ((f"{gap if width >= WIDE else ' '}today ", "quiet"), day)),
        (_DAY, ((f"{gap}loss left ", "quiet"), loss)),
    ]
    if account.known:
        fields += [
            (5, ((f"{gap}at risk ", "quiet"), (fmt.amount(account.at_risk), ""))),
            (6, ((f"{gap}equity ", "quiet"), (fmt.amount(account.equity), ""))),
            (4, ((f"{gap}open ", "quiet"), signed(account.open_pnl))),
        ]
    if account.lease_ms is not None:
        lease: Span = (fmt.age(account.lease_ms), "") if account.lease_ms else ("LOCKED", "warn")
        fields.append((_LEASE, ((f"{gap}lease ", "quiet"), lease)))
    return fields


def _clock(at_ns: int, cells: int, *, stale: bool) -> Row:
    now = fmt.clock(at_ns)[:cells]
    if not now:
        return ()
    whole = len(now) > _MINUTES
    return ((f"as of {now} ", "warn"),) if stale else ((f"{now} UTC " if whole else f"{now} ", "quiet"),)


def second(view: View, width: int, silent: str, *, read_only: bool = False) -> Row:
    """` Sentinel …`, then what must be seen, then the nearest guards, then the feed."""
    fixed: Row = (
        (" Sentinel ", "quiet"),
        (f"{view.sentinel}".replace("_", " "), _as_of(_SENTINEL[view.sentinel], bool(silent))),
    )
    account, wide = view.account, width >= WIDE
    gap = "   " if wide else "  "
    tail: Row = (("feed ?", "warn"),) if silent else feed(view, 0)
    left = width - length(fixed) - length(tail) - 2
    fields: list[tuple[int, Row]] = []
    for rank, text in enumerate(alarms(view, silent)):
        shown = text if len(text) + 3 <= left else fmt.fit(text, left - 3)
        fields.append((90 - rank, ((" ", ""), (f" {shown} ", "alarm"))))
        left -= len(shown) + 3
    known = tightest(view)
    swan = next((each for each in known if each.guard == "swan"), None)
    # one fall has several windows; the second nearest is worth less here than another guard
    others = [each for each in known if each.guard != "swan" or each is swan]
    nearest = others[: 5 if width >= _ROOMY else 3 if wide else 2]
    guards: list[Row] = [
        ((f"{gap}{plain(each.label, 16)} ", "quiet"), (reading(each), heat(each.used))) for each in nearest
    ]
    hint: Row = ((f"{gap}r releases", "quiet"),) if account.latches and not read_only else ()
    # the nearest guard keeps its place, and then what is wrong
    spare = left - len(gap) - length(guards[0] if guards else ()) - length(hint)
    wrong = 0 if silent else min(_PROBLEM, length(feed(view, width)) - length(tail))
    if why := _why(view, left - len(gap), spare - wrong):
        fields.append((20, ((f"{gap}{why}", "warn"),)))
        left -= len(gap) + len(why)
    fields.append((9 if guards and length(guards[0]) <= left else 11, hint))
    fields += [(10 - rank * 2, spans) for rank, spans in enumerate(guards)]
    if not silent:
        first = kept([each for each in fields if each[0] >= _FIRST], width - length(fixed) - length(tail) - 2)
        tail = feed(view, width - length(fixed) - length(first) - 2)
    if account.known and all(each.label != "exposure" for each in nearest):
        limit = f" of {account.exposure_limit_pct:.0f}%" if width >= _ROOMY else "%"
        fields.append((1, ((f"{gap}exposure ", "quiet"), (f"{account.exposure_pct:.0f}{limit}", ""))))
    if wide:
        age_ms = view.macro_view.age_ms if width >= _ROOMY else None
        age = "" if age_ms is None else f" {fmt.age(age_ms)}"
        state: Span = (f"{view.macro}", "warn" if view.macro is Macro.SHARK else "")
        fields.append((-1, ((f"{gap}macro ", "quiet"), state, (age, "quiet"))))
    covered = sum(1 for each in view.positions if each.stop_state == "ok")
    if view.positions and wide:
        fields.append((0, ((f"{gap}stops ", "quiet"), (f"{covered}/{len(view.positions)}", ""))))
    return ended((*fixed, *kept(fields, width - length(fixed) - length(tail) - 2)), tail, width)


def _why(view: View, room: int, spare: int) -> str:
    """Why nothing may enter, or not everything, as far as `spare` goes: what else stands there keeps its place. What a
    black swan forbids is told before all else, and wherever there is `room` at all."""
    account, swan = view.account, view.sentinel is Sentinel.BLACK_SWAN
    seen = plain(view.sentinel_reason) if _SENTINEL[view.sentinel] == "alarm" else ""
    blocked = "" if account.latches else plain(account.blocked)
    if swan:
        forbids, _, because = seen.partition("; ")
        why = "; ".join(filter(None, (forbids, blocked, because)))
        told = fmt.words(why, spare) if spare > len(forbids) + 1 else forbids
        return told if len(forbids) <= room else ""
    why = blocked or seen
    return fmt.words(why, spare) if len(why) <= spare or spare >= _REASON else ""


def _as_of(kind: str, stale: bool) -> str:
    """What was good some time ago is not shown as good."""
    return "quiet" if stale and kind == "good" else kind


def kept(fields: list[tuple[int, Row]], room: int) -> Row:
    """The weightiest fields up to the first that does not fit, in their order."""
    found: set[int] = set()
    for index in sorted(range(len(fields)), key=lambda index: -fields[index][0]):
        room -= length(fields[index][1])
        if room < 0:
            break
        found.add(index)
    return tuple(span for index, (_, spans) in enumerate(fields) if index in found for span in spans)


def ended(body: Row, tail: Row, width: int) -> Row:
    """A row whose tail stands at the right."""
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
    found += [banner(latch, len(view.entries), brief=bool(found)) for latch in view.account.latches]
    return found


def banner(latch: LatchView, working: int, *, brief: bool) -> str:
    """A latch, and how many orders the venue has not yet confirmed as cancelled."""
    name = latch.latch.replace("_", " ")
    if brief:
        return f"{name}, {working} working" if working else name
    left = f", {working} still working" if working else ""
    return f"{name} by {plain(latch.by, 10)} {fmt.minute(latch.since_ns)}{left}"


def feed(view: View, room: int) -> Row:
    """`feed 0.2s ok`, or which one is bad, or what else is wrong as far as `room` goes, and in any case that it is. The
    user stream speaks only when something happens."""
    down = [each for each in view.feeds if not each.up]
    if down:
        named = f" {plain(down[0].name.rpartition(' ')[2], 8)} DOWN "
        return (("feed ", "quiet"), (named if length(((named, ""),)) + 5 <= room else " DOWN ", "alarm"))
    age_ms = oldest(view.feeds)
    if view.problem:
        age = f"feed {fmt.age(age_ms)} "
        return ((age, "quiet"), (f" {_told(plain(reason(view.problem)), room - len(age) - 2)} ", "alarm"))
    late = age_ms is not None and age_ms > _STALE_MS
    state: Span = (" LATE ", "alarm") if late else ("ok", "good") if age_ms is not None else ("none yet", "warn")
    return ((f"feed {fmt.age(age_ms)} ", "quiet"), state)


def _told(text: str, room: int) -> str:
    """As many whole words as there is room for, and where those would say nothing, that there is something."""
    shown = fmt.words(text, max(0, room))
    broken = shown != text and not text[len(shown) - 1 :].startswith((" ", ",", ";", ":"))
    return "!" if broken or (shown != text and len(shown) < _TOLD) else shown


def reason(text: str) -> str:
    """What is wrong before where: `/a/b/c.db: disk full` becomes `disk full: c.db`, so that a cut takes the path."""
    where, _, what = text.partition(": ")
    return f"{what}: {where.rpartition('/')[2]}" if what and where.startswith("/") else text


def oldest(feeds: tuple[FeedView, ...]) -> int | None:
    ages = [each.age_ms for each in feeds if not each.name.endswith("user")]
    known = [each for each in ages if each is not None]
    return max(known) if known else None


def reading(gauge: Gauge | GuardView) -> str:
    """`0.6 of 4.0%`, alike wherever it is shown: large limits and counts are whole, what has a unit has one decimal."""
    digits = _whole if gauge.limit >= _LARGE else _tenths if gauge.unit else short
    unit = gauge.unit if gauge.unit == "%" else f" {plain(gauge.unit, 6)}" if gauge.unit else ""
    return f"{digits(gauge.value)} of {digits(gauge.limit)}{unit}"


def _whole(value: float) -> str:
    return f"{value:z,.0f}"


def _tenths(value: float) -> str:
    return _whole(value) if abs(value) >= _LARGE else f"{value:z.1f}"


def short(value: float) -> str:
    """With one decimal where it needs one and is not large."""
    return _whole(value) if value == int(value) else _tenths(value)


def tightest(view: View) -> list[Gauge]:
    """The guards that are known, the nearest to its trip first."""
    known = [each for each in view.gauges if view.account.known or each.guard == "swan"]
    return sorted(known, key=lambda gauge: -gauge.used)


def heat(used: float) -> str:
    """The style of a gauge by how near it is to its trip."""
    return "alarm" if used >= 1 else "warn" if used >= 0.75 else ""


def signed(value: float, *, cents: bool = True) -> Span:
    """An amount with its sign, coloured by it."""
    return fmt.money(value) if cents else f"{value:+z,.0f}", "good" if value > 0 else "bad" if value < 0 else ""


def changed(percent: float | None) -> Span:
    """A change in percent, coloured by its sign; what is not known is `-`."""
    if percent is None:
        return "-", "quiet"
    return fmt.percent(percent), "good" if percent > 0 else "bad" if percent < 0 else ""


def worst_first(positions: tuple[PositionView, ...]) -> list[PositionView]:
    """NAKED and UNKNOWN before all others; the rest keeps its order."""
    rank = {"NAKED": 0, "UNKNOWN": 1, "wait": 2, "unseen": 3}
    return sorted(positions, key=lambda each: rank.get(each.stop_state, 4))
