"""While a terminal is resized a pane may have any size for a moment: it draws what fits, and fails at none."""

import pytest
from tui_driving import cockpit
from tui_views import view

from nexus_tui.widgets.rows import Pane


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_every_pane_draws_at_every_size(size: tuple[int, int]) -> None:
    picture = view()
    async with cockpit(picture, size=size) as driven:
        failed = []
        for pane in driven.cockpit.query(Pane):
            for width in range(1, 60, 3):
                for height in range(9):
                    try:
                        pane.build(picture, width, height)
                    # whatever it is, all of them are told at once
                    except Exception as error:  # noqa: BLE001
                        failed.append(f"{type(pane).__name__} {width}x{height}: {type(error).__name__}: {error}")
    assert not failed
