"""The looks without a picture: what is written can be read, what is cut says so, keys that are named work."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from test_dialogs import DIALOGS
from test_screens import GOLDEN
from textual.color import Color
from textual.theme import Theme
from tui_driving import cockpit
from tui_views import EVENTS, card, event, view

from nexus_engine.model.words import Sentinel
from nexus_tui.themes import THEMES
from nexus_tui.widgets.header import second
from nexus_tui.widgets.ladder import Ladder
from nexus_tui.widgets.panes import Events
from nexus_tui.widgets.rows import Row, length

READABLE = 4.5
"""WCAG 2.2, 1.4.3: text against its ground."""
SEEN = 2.0
"""A bar says again, as a picture, what the number beside it says."""


def test_the_page_on_the_screens_shows_them_as_they_are() -> None:
    page = (Path(__file__).parents[2] / "docs" / "screens.md").read_text(encoding="utf-8")
    for size in ("80x24", "120x40"):
        drawn = (GOLDEN / f"cockpit-{size}.txt").read_text(encoding="utf-8")
        assert f"## {size}\n\n```\n{drawn}```\n" in page


def ratio(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4
                 for each in Color.parse(colour).normalized]  # fmt: skip
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_every_text_of_every_theme_can_be_read_on_every_ground(theme: Theme) -> None:
    more = theme.variables
    texts = [theme.foreground, theme.primary, theme.accent, theme.success, theme.warning, theme.error,
             more["quiet"], more["bid"], more["ask"]]  # fmt: skip
    assert theme.background is not None and theme.panel is not None
    for ground in (theme.background, theme.panel, more["pick"]):
        for text in texts:
            assert text is not None
            assert ratio(text, ground) >= READABLE, f"{theme.name}: {text} on {ground}"
    for bar in ("bid-bar", "ask-bar"):
        assert ratio(more[bar], theme.background) >= SEEN, f"{theme.name}: {bar}"


def said(row: Row) -> str:
    return "".join(text for text, _ in row)


def test_an_event_that_has_one_line_left_says_that_it_goes_on() -> None:
    long = event(100, "SOLUSDT", "bot", "harpoon BUY refused: the venue does not take orders on it at our leverage")
    for width in (51, 83, 119):
        for height in range(1, 8):
            rows = Events().build(view(events=(*EVENTS, long)), width, height)[1][:height]
            told: list[str] = []
            for line in map(said, rows):
                if line[1].isdigit():
                    told.append(line)
                else:
                    told[-1] = f"{told[-1]} {line.strip()}"
            for line in told:
                assert line.endswith("…") or any(line.endswith(each.text) for each in (*EVENTS, long)), line


def test_row_two_says_what_the_sentinel_saw_when_it_acts() -> None:
    saw = "BTCUSDT fell 4.2 % under its 15 min high"
    assert saw in said(second(view(sentinel=Sentinel.BLACK_SWAN, sentinel_reason=saw), 80, ""))
    assert saw not in said(second(view(sentinel=Sentinel.SHARK, sentinel_reason=saw), 80, ""))


async def test_a_card_without_a_target_has_no_multiple_of_its_risk() -> None:
    for target, shown in (("144.40", True), (None, False)):
        async with cockpit(view(proposals=(card(target=target),))) as driven:
            assert ("2.0 R" in driven.text) is shown
            assert ("no target" in driven.text) is not shown


@pytest.mark.parametrize("width", range(80, 201))
def test_a_part_of_row_two_never_stands_without_what_it_belongs_to(width: int) -> None:
    row = second(view(), width, "")
    assert length(row) == width
    text = said(row)
    assert ("4m" not in text) or ("macro SHARK 4m" in text)


def test_the_spread_stands_in_one_column_whether_the_middle_is_between_two_ticks_or_on_one() -> None:
    columns = set()
    for ask in (14_822, 14_823):
        picture = view()
        moved = replace(picture.books[0], asks=((ask, 9.0),))
        rows = Ladder().build(view(books=(moved,)), 28, 12)[1]
        columns |= {said(row).index("spread") for row in rows if "spread" in said(row)}
    assert len(columns) == 1


FROM_MENU = (view(), ("colon", *"history", "enter"))


@pytest.mark.parametrize("name", ["flatten", "why", "edit", "menu", "confirm", "from menu"])
async def test_a_dialog_names_only_keys_that_work_in_it(name: str) -> None:
    picture, keys = DIALOGS.get(name, FROM_MENU)
    async with cockpit(picture) as driven:
        await driven.arm()
        before = driven.row(-1)
        await driven.press(*keys)
        await driven.show(picture)
        assert driven.row(-1).strip() == "esc back  ! HALT"
        await driven.press("escape")
        await driven.pass_ms(200)
        assert driven.row(-1) == before


async def test_at_eighty_columns_nothing_of_the_panes_shows_beside_a_dialog() -> None:
    async with cockpit() as driven:
        await driven.press("question_mark")
        top = next(at for at, line in enumerate(driven.text.splitlines()) if line.startswith("╭"))
        for line in driven.text.splitlines()[top + 1 : -3]:
            assert line.startswith("│") and line.endswith("│")
