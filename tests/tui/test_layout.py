"""The plan of the cockpit's panes: they tile the body at every size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tui_driving import cockpit

from nexus_tui.layout import PANES, RULES, plan
from nexus_tui.widgets.rows import Pane

sizes = st.tuples(st.integers(80, 320), st.integers(19, 120))


@given(sizes)
def test_the_regions_tile_the_body(size: tuple[int, int]) -> None:
    width, height = size
    covered = [0] * (width * height)
    for region in plan(width, height).values():
        for y in range(region.y, region.bottom):
            for x in range(region.x, region.right):
                assert 0 <= x < width and 0 <= y < height
                covered[y * width + x] += 1
    assert set(covered) == {1}


@given(sizes)
def test_every_pane_has_room_for_its_title_and_two_rows(size: tuple[int, int]) -> None:
    for name, region in plan(*size).items():
        assert name in PANES or name in {f"rule-{index}" for index in range(RULES)}
        if name in PANES:
            assert region.width >= 26 and region.height >= 3


@given(sizes)
def test_what_is_decided_is_shown_at_every_size(size: tuple[int, int]) -> None:
    found = plan(*size)
    assert found["proposals"].height >= 6
    assert found["positions"].height >= 5
    assert {"targets", "candles", "book-0", "pnl", "events"} <= set(found)


@pytest.mark.parametrize("pane", ["proposals", "candles", "pnl", "events", "watch"])
async def test_a_zoomed_pane_has_the_whole_body_and_the_others_come_back(pane: str) -> None:
    async with cockpit(size=(120, 40)) as driven:
        before = driven.text
        driven.cockpit.show_only(pane)
        await driven.pilot.pause()
        await driven.pass_ms(0)
        assert driven.cockpit.query_one(f"#{pane}", Pane).size == (120, 35)
        assert not any(other.size.area for other in driven.cockpit.query(Pane) if other.id != pane)
        assert {len(line) for line in driven.text.splitlines()} == {120}
        assert "│" not in driven.row(3)
        driven.cockpit.show_only("")
        await driven.pilot.pause()
        await driven.pass_ms(0)
        assert driven.text == before
