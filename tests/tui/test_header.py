"""The two rows that never move: what stays in them when there is little room."""

from typing import Any

import pytest
from msgspec.structs import replace
from tui_views import GAUGES, account, view

from nexus_engine.model.words import AccountKind, TradingState
from nexus_tui.widgets.header import first, second
from nexus_tui.widgets.rows import Row, length

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


def test_exposure_that_is_not_near_stands_after_the_nearest_where_there_is_room() -> None:
    low = replace(GAUGES[0], value=3, used=0.03)
    quiet = view(gauges=(*GAUGES[1:4], low), account=account(exposure_pct=3.0))
    assert "exposure 3 of 100%" in said(second(quiet, 150, ""))
    assert "exposure" not in said(second(quiet, 80, ""))


def test_why_nothing_may_enter_is_cut_not_left_out_and_leaves_the_nearest_guard() -> None:
    reason = "LIVE entries are locked; `unlock` in the menu opens them"
    text = said(second(view(account=account(blocked=reason)), 80, ""))
    assert "LIVE entries are locked" in text and "exposure 38 of 100%" in text


def test_what_is_wrong_is_told_as_far_as_row_two_has_room() -> None:
    for width, whole in ((80, LATE[:23]), (120, LATE)):
        row = second(view(gauges=GAUGES[2:3], positions=(), problem=LATE), width, "")
        assert length(row) == width
        assert whole in said(row)
