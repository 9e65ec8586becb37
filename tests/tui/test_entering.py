"""An order that may become a position is among the positions until it has, or is over."""

import pytest
from tui_driving import cockpit
from tui_views import POSITIONS, entering, view

from nexus_engine.model.view import EntryView, View
from nexus_engine.model.words import OrderStatus, Side
from nexus_tui.widgets.positions import Positions


def rows(picture: View, width: int = 51, height: int = 6) -> tuple[str, list[str]]:
    title, body = Positions().build(picture, width, height)
    return "".join(text for text, _ in title), ["".join(text for text, _ in each) for each in body]


def shown(each: EntryView, width: int = 51) -> str:
    return rows(view(positions=(), entries=(each,)), width)[1][1]


def test_it_is_told_with_side_size_price_and_the_time_it_has() -> None:
    title, body = rows(view(positions=(), proposals=(), entries=(entering(),)))
    assert title == "Positions 0"
    assert body == [" none open", "  LINKUSDT  P43 BUY 6 at 18.30, 0:18 left"]
    assert shown(entering(price=None, side=Side.SELL)) == "  LINKUSDT  P43 SELL 6 at market, 0:18 left"


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (OrderStatus.INTENT, "on its way"),
        (OrderStatus.PARTIAL, "0:18 left"),
        (OrderStatus.PENDING_CANCEL, "being cancelled"),
        (OrderStatus.UNKNOWN, "UNKNOWN, being asked for"),
    ],
)
def test_it_says_what_is_not_sure_of_it(status: OrderStatus, told: str) -> None:
    assert shown(entering(status=status), 80) == f"  LINKUSDT  P43 BUY 6 at 18.30, {told}"


@pytest.mark.parametrize("height", range(1, 12))
def test_what_is_held_comes_first_and_the_title_counts_what_found_no_room(height: int) -> None:
    picture = view(entries=(entering(), entering(44, "XRPUSDT")), foreign=(("XRPUSDT", POSITIONS[0].qty),))
    title, body = rows(picture, 90, height)
    told = sum("P43" in each or "P44" in each for each in body)
    assert ("entering" in title) == (told < 2) and (told == 2 or f"   +{2 - told} entering" in title)
    assert len(body) <= max(height, 4)
    if height >= 5:
        assert [each.split()[1] for each in body[1:4]] == [f"{each.symbol}" for each in POSITIONS]
        assert "foreign" in body[-1]
    if height >= 7:
        assert body[4].endswith("P43 BUY 6 at 18.30, 0:18 left")
        assert body[5].endswith("P44 BUY 6 at 18.30, 0:18 left")


async def test_leaving_and_flattening_name_it_and_where_nothing_is_held_yet_c_says_what_takes_it_back() -> None:
    going = (entering(), entering(44, "XRPUSDT", side=Side.SELL))
    async with cockpit(view(positions=(), proposals=(), entries=going)) as driven:
        await driven.press("c")
        assert driven.row(-2).strip() == "no position to close; P43, P44 may still fill: F takes them back"
        await driven.press("q")
        assert "entry         6 LINKUSDT     P43 BUY at 18.30, may still fill" in driven.text
        await driven.press("escape", "F")
        assert "BUY           6 LINKUSDT     entry P43 at 18.30 is cancelled" in driven.text
        assert "SELL          6 XRPUSDT      entry P44 at 18.30 is cancelled" in driven.text
        await driven.press("tab")
        assert "P43" in driven.text and "entry P44" not in driven.text
