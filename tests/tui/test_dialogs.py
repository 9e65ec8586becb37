"""Every dialog and page drawn, at three sizes and in three faces: golden text, to be read in a diff."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from golden_faces import Cells, cells, described
from msgspec.structs import replace
from test_looking import XRP, explained
from test_screens import SIZES, compare, in_trouble, plotted
from textual.geometry import Region
from tui_driving import cockpit
from tui_views import NOW, POSITIONS, account, card, halted, view

from nexus_engine.model.view import LatchView, View
from nexus_engine.model.words import Latch
from nexus_tui.themes import BY_NAME
from nexus_tui.welcome import welcome

FOREIGN = view(foreign=(("XRPUSDT", Decimal(50)),))
DIFFERS = view(
    foreign=(("XRPUSDT", Decimal(50)),), differences=(XRP, replace(XRP, symbol="BNBUSDT", venue=Decimal(-2)))
)
ONE = view(positions=POSITIONS[:1])
LARGE = view(proposals=(replace(card(), proposal=replace(card().proposal, worst_pct=2.0)),))
PAUSED = view(account=account(latches=(LatchView(latch=Latch.PAUSE, by="you", reason="", since_ns=NOW),)))

DIALOGS: dict[str, tuple[View, Sequence[str]]] = {
    "leave": (view(), ("q",)),
    "flatten": (FOREIGN, ("F",)),
    "flatten-longs": (FOREIGN, ("F", "tab")),
    "flatten-foreign": (FOREIGN, ("F", "tab", "tab")),
    "flatten-leave": (view(), ("q", "f")),
    "mode": (view(), ("m",)),
    "mode-up": (view(), ("m", "p")),
    "close": (ONE, ("c",)),
    "close-half": (ONE, ("C",)),
    "stop": (ONE, ("s",)),
    "stop-judged": (ONE, ("s", *"95500")),
    "stop-refused": (ONE, ("s", *"90000")),
    "edit": (view(), ("e",)),
    "edit-half": (view(), ("e", "2")),
    "edit-stop": (view(), ("e", "s", "1")),
    "confirm": (LARGE, ("a",)),
    "why": (view(why=explained()), ("enter",)),
    "keys": (view(), ("question_mark",)),
    "find": (view(), ("slash", "s")),
    "menu": (view(), ("colon",)),
    "menu-typed": (view(), ("colon", *"stop")),
    "reconcile": (DIFFERS, ()),
    "adopt": (DIFFERS, ("a", "2")),
    "close-foreign": (DIFFERS, ("c", "x")),
    "release": (halted(), ("r",)),
    "resume": (PAUSED, ("p",)),
}


async def faces(
    picture: View, keys: Sequence[str], size: tuple[int, int], monkeypatch: pytest.MonkeyPatch, *, dialog: bool = True
) -> list[Cells]:
    """What the keys open, or all of the cockpit, in dark, light and without colour."""
    found = []
    for no_colour in (False, True):
        if no_colour:
            monkeypatch.setenv("NO_COLOR", "1")
        async with cockpit(picture, size=size) as driven:
            await driven.arm()
            await driven.press(*keys)
            await driven.show(picture)
            await driven.show(picture)
            if dialog:
                assert len(driven.app.screen_stack) > 1
                area = Region.from_union(list(driven.app.screen.boxes()))  # type: ignore[attr-defined]
            else:
                area = Region(0, 0, *size)
                await plotted(driven)
            found.append(cells(driven, area))
            if not no_colour:
                driven.app.theme = BY_NAME["light"]
                await driven.pilot.pause()
                await driven.show(picture)
                found.append(cells(driven, area))
    return found


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", DIALOGS)
async def test_each_dialog(name: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    picture, keys = DIALOGS[name]
    compare(f"dialogs/{name}-{size[0]}x{size[1]}", described(await faces(picture, keys, size, monkeypatch)))


MAIN: dict[str, View] = {"cockpit": view(), "trouble": in_trouble(), "halted": halted()}


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", MAIN)
async def test_the_look_of_the_cockpit(name: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = await faces(MAIN[name], (), size, monkeypatch, dialog=False)
    compare(f"looks/{name}-{size[0]}x{size[1]}", described(drawn))


def test_the_page_of_the_first_start() -> None:
    said: list[str] = []
    answers = iter(("2", "3", "q"))
    welcome(lambda question: said.append(question) or next(answers), said.append)  # type: ignore[func-returns-value]
    page = "".join(said)
    assert max(map(len, page.splitlines())) <= 80
    compare("welcome", page)
