"""The two rows that never move: what stays in them when there is little room."""

from typing import Any

import pytest
from msgspec.structs import replace
from tui_views import GAUGES, NOW, POSITIONS, account, guard, view

from nexus_engine.model.verdicts import Gauge
from nexus_engine.model.view import AccountView, LatchView
from nexus_engine.model.words import AccountKind, Latch, Sentinel, TradingState
from nexus_tui.widgets.header import first, second
from nexus_tui.widgets.panes import Gauges
from nexus_tui.widgets.rows import Row, length
from nexus_tui.widgets.shield import _guard

LIVE = {"kind": AccountKind.LIVE, "lease_ms": 1_260_000}
LONG = "a-long-name-14"
LATE = "the engine was 381 ms late at 15:02:51"


def said(row: Row) -> str:
    return "".join(text for text, _ in row)


@pytest.mark.parametrize(
    ("changes", "read_only", "saw"),
    [
        (LIVE, False, ("main", "lease 21m", "15:03")),
        (LIVE | {"lease_ms": 0, "day_pnl": -1_214.10}, False, ("main", "lease LOCKED")),
        (LIVE | {"name": LONG}, False, ("a-long-", "lease 21m")),
        (LIVE, True, ("main",)),
        (LIVE | {"state": TradingState.HALTED, "name": LONG}, True, ("a-l",)),
        (LIVE | {"state": TradingState.REDUCING, "day_pnl": -456.78, "loss_left": 456.78}, True, ()),
        ({"kind": AccountKind.TESTNET, "name": LONG}, False, (LONG,)),
        ({"kind": AccountKind.PAPER}, True, ("main",)),
    ],
)
@pytest.mark.parametrize("stale", [False, True])
def test_day_pnl_and_loss_left_stand_in_row_one_at_80_whatever_else_is_there(
    changes: dict[str, Any], read_only: bool, saw: tuple[str, ...], stale: bool
) -> None:
    picture = account(**changes)
    row = first(view(account=picture), 80, read_only=read_only, stale=stale)
    text = said(row)
    assert length(row) == 80
    for part in (str(picture.kind), str(picture.mode), str(picture.state)):
        assert part in text
    for part in saw if not stale else ():
        assert part in text
    assert f"today {picture.day_pnl:+,.2f}" in text and f"loss left {picture.loss_left:,.2f}" in text
    assert ("READ-ONLY" in text) is read_only


@pytest.mark.parametrize("width", [80, 120, 200])
def test_what_the_venue_has_not_told_yet_is_no_number_and_no_calm_word(width: int) -> None:
    none = account(known=False, day_pnl=0.0, loss_left=0.0, at_risk=0.0, equity=0.0, open_pnl=0.0, exposure_pct=0.0)
    picture = view(account=none, gauges=tuple(replace(each, value=0, used=0.0) for each in GAUGES))
    top = first(picture, width)
    assert "today -  " in said(top) and "loss left -  " in said(top) and "0.00" not in said(top)
    assert "ACTIVE" not in said(top) and ("STARTING", "warn") in top
    assert "exposure" not in said(second(picture, width, "")) and "day loss" not in said(second(picture, width, ""))
    halted = replace(picture, account=replace(none, state=TradingState.HALTED))
    assert "HALTED" in said(first(halted, width))


def test_amounts_give_up_their_cents_before_they_leave_row_one() -> None:
    rich = account(**LIVE, state=TradingState.REDUCING, day_pnl=-123_456.78, loss_left=123_456.78)
    text = said(first(view(account=rich), 80, read_only=True))
    assert "today -123,457  loss left 123,457" in text
    assert len(text) == 80


def test_row_one_fills_no_gap_with_what_weighs_less() -> None:
    for width in range(80, 161):
        text = said(first(view(), width))
        shown = [part in text for part in ("today", "loss left", "equity", "at risk", "open ")]
        assert shown == sorted(shown, reverse=True)


@pytest.mark.parametrize("width", [80, 112, 120, 150, 200])
def test_exposure_is_a_guard_like_every_other_in_row_two(width: int) -> None:
    near = replace(GAUGES[0], value=97, used=0.97)
    row = second(view(gauges=(*GAUGES[1:], near)), width, "")
    assert row[2][0].strip() == "exposure"
    assert row[3] == ("97 of 100%", "warn")
    assert said(row).count("exposure") == 1
    assert second(view(gauges=(replace(near, value=100, used=1.0),)), width, "")[3][1] == "alarm"


@pytest.mark.parametrize("width", [80, 112, 120, 150, 200])
def test_of_the_windows_of_one_fall_row_two_shows_the_nearest(width: int) -> None:
    falling = tuple(replace(each, used=each.used + 0.5) if each.guard == "swan" else each for each in GAUGES)
    text = said(second(view(gauges=falling), width, ""))
    assert "BTC alert 15m 0.9 of 2.5%" in text and "exposure" in text
    assert "BTC alert 5m" not in text


@pytest.mark.parametrize(
    ("value", "limit", "unit", "text"),
    [
        (0.7, 6.0, "R", "0.7 of 6.0 R"),
        (0.1, 10.0, "%", "0.1 of 10.0%"),
        (1.8, 2.5, "%", "1.8 of 2.5%"),
        (37.6, 100.0, "%", "38 of 100%"),
        (1.0, 8.0, "", "1 of 8"),
        (59.3, 600.0, "", "59 of 600"),
        (12.34, 45.6, "", "12.3 of 45.6"),
    ],
)
def test_a_guards_numbers_have_the_same_digits_in_the_header_and_on_the_shield(
    value: float, limit: float, unit: str, text: str
) -> None:
    one = Gauge(guard="swan", label="a guard", value=value, limit=limit, unit=unit, used=0.5)
    assert text in said(second(view(gauges=(one,)), 80, ""))
    assert text in said(Gauges().build(view(gauges=(one,)), 40, 5)[1][0])
    assert text in said(_guard(guard("a guard", value, limit, unit), 80))


def test_exposure_that_is_not_near_stands_after_the_nearest_where_there_is_room() -> None:
    low = replace(GAUGES[0], value=3, used=0.03)
    quiet = view(gauges=(*GAUGES[1:4], low), account=account(exposure_pct=3.0))
    assert "exposure 3 of 100%" in said(second(quiet, 150, ""))
    assert "exposure" not in said(second(quiet, 80, ""))


def test_why_nothing_may_enter_is_cut_not_left_out_and_leaves_the_nearest_guard() -> None:
    reason = "LIVE entries are locked; `unlock` in the menu opens them"
    text = said(second(view(account=account(blocked=reason)), 80, ""))
    assert "LIVE entries are locked" in text and "exposure 38 of 100%" in text


@pytest.mark.parametrize("width", range(80, 201))
def test_whatever_keeps_entries_away_leaves_the_nearest_guard_its_place(width: int) -> None:
    for reason in ("the day has lost 612.20, limit 600.00", "a reason that nobody has thought of yet, " * 4):
        text = said(second(view(account=account(blocked=reason)), width, ""))
        assert "exposure 38 of 100%" in text and reason[:10] in text


def test_what_is_wrong_is_told_as_far_as_row_two_has_room() -> None:
    for width, whole in ((80, "the engine was 381 ms late at…"), (120, LATE)):
        row = second(view(gauges=GAUGES[3:4], positions=(), problem=LATE), width, "")
        assert length(row) == width
        assert whole in said(row)


KEPT_OUT = "ETHUSDT takes no entries: leverage is 20x, ours is 3x, changed outside"


@pytest.mark.parametrize("width", range(80, 201))
@pytest.mark.parametrize("swan", [False, True])
def test_what_is_wrong_takes_only_what_the_nearest_guard_and_a_black_swan_leave_and_is_cut_at_a_word(
    width: int, swan: bool
) -> None:
    tight = replace(GAUGES[1], label="BTC trip 15m", value=4.1, limit=4.0, used=1.0)
    lasting = {"sentinel": Sentinel.BLACK_SWAN, "sentinel_reason": SWAN} if swan else {}
    for problem in (KEPT_OUT, LATE, "anticonstitutionally " * 9):
        row = second(view(gauges=(tight, *GAUGES[2:]), problem=problem, **lasting), width, "")
        text, (told, kind) = said(row), row[-1]
        assert length(row) == width
        assert "BTC trip 15m 4.1 of 4.0%" in text and ("no longs 118 min" in text) is swan
        assert kind == "alarm" and f"feed 0.2s {told}" in text
        whole, told = problem.strip(), told.strip()
        assert told in (whole, "!") or (
            told.endswith("…")
            and f"{whole.replace(':', '').replace(',', '')} ".startswith(
                f"{told[:-1].replace(':', '').replace(',', '')} "
            )
        )
        assert told != "!" or width < (90 if swan else 80) or problem not in (KEPT_OUT, LATE)
    both = view(gauges=(tight, *GAUGES[2:]), problem=KEPT_OUT, account=account(blocked="the day has lost 612.20"))
    assert "BTC trip 15m 4.1 of 4.0%" in said(second(both, width, ""))
    down = tuple(replace(each, up=False) for each in view().feeds)
    row = second(view(gauges=(tight, *GAUGES[2:]), feeds=down, **lasting), width, "")
    assert "BTC trip 15m 4.1 of 4.0%" in said(row) and said(row).endswith(" DOWN ")


@pytest.mark.parametrize("width", range(100, 201))
def test_how_a_latch_is_released_costs_no_guard_its_place(width: int) -> None:
    tight = replace(GAUGES[1], label="BTC trip 15m", value=4.1, limit=4.0, used=1.0)
    lasting = {"sentinel": Sentinel.BLACK_SWAN, "sentinel_reason": SWAN, "account": latched(Latch.HALT)}
    assert "BTC trip 15m 4.1 of 4.0%" in said(second(view(gauges=(tight,), problem=LATE, **lasting), width, ""))


SWAN = "no longs 118 min; BTCUSDT fell 2.4 % under where the black swan tripped"


def latched(latch: Latch) -> AccountView:
    held = LatchView(latch=latch, by="you", reason="key", since_ns=NOW)
    state = TradingState.HALTED if latch is Latch.HALT else TradingState.REDUCING
    return account(state=state, latches=(held,), blocked=latch.value)


@pytest.mark.parametrize("width", range(80, 201))
@pytest.mark.parametrize(
    "held",
    [
        account(),
        account(blocked="LIVE entries are locked; `unlock` in the menu opens them"),
        latched(Latch.HALT),
        latched(Latch.PAUSE),
        latched(Latch.PROTECT_ONLY),
    ],
)
def test_what_a_black_swan_forbids_stands_in_row_two_and_then_as_much_of_why_as_there_is_room(
    width: int, held: AccountView
) -> None:
    tight = replace(GAUGES[1], label="BTC trip 15m", value=4.1, limit=4.0, used=1.0)
    picture = view(account=held, sentinel=Sentinel.BLACK_SWAN, sentinel_reason=SWAN, gauges=(tight, *GAUGES[2:]))
    row = second(picture, width, "")
    assert length(row) == width
    text = said(row)
    assert "BLACK SWAN" in text and "no longs 118 min" in text
    assert text.count("…") <= 1 and "BTC …" not in text
    if "…" not in text:
        assert SWAN[18:] in text or "no longs 118 min  " in text
    else:
        told = text[text.index("no longs") : text.index("…")]
        assert f"{'; '.join(filter(None, (SWAN[:16], not held.latches and held.blocked, SWAN[18:])))} ".startswith(
            (f"{told} ", f"{told}; ", f"{told}, ")
        )
    if not held.latches:
        assert "BTC trip 15m 4.1 of 4.0%" in text


def test_naked_comes_before_what_a_black_swan_forbids_and_both_stand_at_eighty() -> None:
    naked = replace(POSITIONS[0], stop_state="NAKED", naked_ms=800)
    picture = view(positions=(naked,), sentinel=Sentinel.BLACK_SWAN, sentinel_reason=SWAN)
    text = said(second(picture, 80, ""))
    assert text.index("1 NAKED 0.8s") < text.index("no longs 118 min")
