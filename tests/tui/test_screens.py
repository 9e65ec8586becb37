"""The cockpit drawn: golden text, to be read in a diff. NEXUS_GOLDEN=write draws the files anew."""

import asyncio
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from textual import events
from textual.geometry import Region, Size
from tui_driving import Driven, cockpit
from tui_views import POSITIONS, account, halted, position, view

from nexus_engine.model.commands import Halt
from nexus_engine.model.view import FeedView, View
from nexus_engine.model.words import AccountKind, Mode, Sentinel, Side
from nexus_tui.comfort import Comfort
from nexus_tui.screens.dialogs import Confirm, Dialog
from nexus_tui.themes import BY_NAME, THEMES
from nexus_tui.widgets.pnl import Pnl
from nexus_tui.widgets.rows import Pane, Row, Rows, row

GOLDEN = Path(__file__).parent / "golden"
SIZES = ((80, 24), (120, 40), (200, 50))


def compare(name: str, text: str) -> None:
    path = GOLDEN / f"{name}.txt"
    drawn = "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
    if os.environ.get("NEXUS_GOLDEN") == "write":
        path.write_text(drawn, encoding="utf-8")
    assert drawn == path.read_text(encoding="utf-8")


async def plotted(driven: Driven) -> None:
    """Until plotext has drawn, on the size that it draws on."""
    while driven.app.size.width >= 200 and not driven.cockpit.query_one(Pnl).plotted:
        await driven.pilot.pause(0.01)


def in_trouble() -> View:
    naked = position("ETHUSDT", Side.BUY, "1.25", "3400.10", 3_412.9, digits=2, state="NAKED", stop=None, naked_ms=800)
    return view(
        positions=(*POSITIONS, naked), foreign=(("XRPUSDT", Decimal(50)),), unknown_orders=1, proposals=(),
        sentinel=Sentinel.BLIND, feeds=(FeedView(name="BINANCE public", up=False, age_ms=4_100),),
    )  # fmt: skip


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_the_sketch(size: tuple[int, int]) -> None:
    async with cockpit(size=size) as driven:
        await driven.arm()
        await plotted(driven)
        compare(f"cockpit-{size[0]}x{size[1]}", driven.text)


@pytest.mark.parametrize(
    ("name", "picture"),
    [("halted", halted()), ("trouble", in_trouble()), ("empty", view(proposals=(), positions=(), events=()))],
)
async def test_other_pictures(name: str, picture: View) -> None:
    async with cockpit(picture) as driven:
        await driven.arm()
        compare(f"{name}-80x24", driven.text)


@pytest.mark.parametrize(("name", "key"), [("leave", "q"), ("keys", "question_mark"), ("flatten", "F"), ("mode", "m")])
async def test_dialogs(name: str, key: str) -> None:
    async with cockpit() as driven:
        await driven.press(key)
        compare(f"{name}-80x24", driven.text)


async def test_every_row_is_exactly_as_wide_as_the_terminal() -> None:
    for width, height in ((80, 24), (91, 31), (111, 40), (112, 36), (140, 44), (189, 50), (190, 60)):
        async with cockpit(size=(width, height)) as driven:
            rows = driven.text.splitlines()
            assert len(rows) == height
            assert {len(row) for row in rows} == {width}
            assert "┬" in driven.row(3)


async def test_before_the_first_picture_the_header_says_what_happens() -> None:
    async with cockpit(waiting=True) as driven:
        assert "demo venue starting" in driven.row(1)
        assert "HALT" in driven.row(-1)
        driven.link.show(view())
        await driven.pass_ms(0)
        assert "LIVE main" in driven.row(1)


async def test_a_start_that_waits_for_its_venue_says_so_beside_the_first_picture() -> None:
    waits = "trying again: the venue is not ready: no connection (connection refused)"
    async with cockpit(waiting=True) as driven:
        driven.link.said = waits
        await driven.show(replace(view(), outcome=None))
        assert "LIVE main" in driven.row(1)
        assert waits in driven.row(-2)
        await driven.show(view())
        assert waits not in driven.row(-2)
        assert "filled 0.8120" in driven.row(-2)


async def test_an_engine_that_could_not_start_says_why() -> None:
    async with cockpit(waiting=True) as driven:
        driven.link.said, driven.link.alive = "the state folder cannot be written", False
        await driven.pass_ms(300)
        assert "the state folder cannot be written" in driven.row(1)
        assert "the state folder cannot be written" in driven.row(-2)


async def test_the_picture_of_an_engine_that_is_gone_is_marked() -> None:
    async with cockpit() as driven:
        driven.link.said, driven.link.alive = "the engine has ended", False
        await driven.pass_ms(250)
        assert "NO ENGINE" in driven.row(2)
        assert "the engine has ended" in driven.row(-2)


async def test_an_engine_that_shows_nothing_new_is_called_silent() -> None:
    async with cockpit() as driven:
        await driven.pass_ms(1_500)
        assert "SILENT" not in driven.row(2)
        await driven.pass_ms(1_500)
        assert "ENGINE SILENT 3.0s" in driven.row(2)
        await driven.show(view())
        assert "SILENT" not in driven.row(2)


@pytest.mark.parametrize("kind", AccountKind)
@pytest.mark.parametrize("mode", Mode)
async def test_the_first_words_are_whose_money_it_is_and_who_decides(kind: AccountKind, mode: Mode) -> None:
    async with cockpit(view(account=account(kind=kind, mode=mode))) as driven:
        assert driven.row(1).startswith(f" {kind} main │ {mode} │ ACTIVE")


async def test_a_smaller_terminal_keeps_rows_one_and_two_and_says_why() -> None:
    for size in ((79, 24), (80, 23), (40, 10)):
        async with cockpit(size=size) as driven:
            assert driven.row(1).startswith(" LIVE main")
            assert "Sentinel" in driven.row(2)
            assert "smaller than 80x24" in driven.row(3)
            assert not driven.row(4).strip()


async def test_resizing_to_tiny_and_back_draws_the_same_screen() -> None:
    async with cockpit() as driven:
        await driven.arm()
        before = driven.text
        for size in ((1, 1), (200, 50), (10, 3), (80, 24)):
            await driven.pilot.resize_terminal(*size)
            await driven.pass_ms(0)
        await driven.arm()
        await driven.show(view())
        assert driven.text == before


@pytest.mark.parametrize("small", [(1, 1), (20, 5)])
async def test_resizing_to_tiny_and_back_under_a_dialog_draws_the_same_screen(small: tuple[int, int]) -> None:
    async with cockpit(size=(120, 40)) as driven:
        await driven.arm()
        before = driven.text
        await driven.press("m")
        await driven.pilot.resize_terminal(*small)
        await driven.pilot.resize_terminal(120, 40)
        await driven.press("escape")
        await driven.arm()
        await driven.show(view())
        assert driven.text == before


async def test_a_dialog_whose_background_is_painted_meanwhile_loses_nothing_of_its_own() -> None:
    async with cockpit() as driven:
        await driven.press("colon")
        menu = driven.app.screen
        assert isinstance(menu, Dialog)
        text = menu.query_one("#dialog-text", Rows)
        text.show([row("new")])
        menu._dirty_widgets.add(text)
        menu.refresh(Region(0, 0, 80, 1))
        menu._on_timer_update()
        assert not text._repaint_regions


async def test_screens_over_each_other_do_not_undo_each_others_size_for_ever() -> None:
    async with cockpit(size=(120, 40)) as driven:
        for title in ("one", "two"):
            driven.app.push_screen(Confirm(title, ()))
            await driven.pilot.pause()
        laid_out = 0

        def counted(_: object) -> None:
            nonlocal laid_out
            laid_out += 1

        under = driven.app.screen_stack[:2]
        for screen in under:
            screen.screen_layout_refresh_signal.subscribe(driven.app, counted)
        for screen, size in zip(under, (Size(80, 24), Size(120, 40)), strict=True):
            screen.post_message(events.Resize(size, size))
        for _ in range(300):
            await asyncio.sleep(0.001)
        assert laid_out < 20
        assert {screen._compositor.size for screen in under} == {driven.app.size}


async def test_an_older_size_that_arrives_after_the_newest_does_not_stay() -> None:
    async with cockpit() as driven:
        await driven.arm()
        before = driven.text
        driven.cockpit.post_message(events.Resize(Size(12, 5), Size(12, 5)))
        await driven.pilot.pause()
        for _ in range(2):
            await driven.show(view())
        assert driven.text == before


async def test_a_pane_that_cannot_be_drawn_leaves_the_others_alive() -> None:
    picture = view(gauges=("not a gauge",))
    async with cockpit(picture) as driven:
        assert "cannot be shown: AttributeError" in driven.text
        assert "BTCUSDT" in driven.text
        await driven.press("q")
        assert "Leave Nexus" in driven.text


@pytest.mark.parametrize("key", ["1", "2"])
async def test_whichever_pane_fails_says_so_in_its_own_place_and_comes_back(key: str) -> None:
    def fail(*_: object) -> None:
        raise LookupError

    async with cockpit(size=(200, 50)) as driven:
        await driven.press(key)
        panes = [pane for pane in driven.cockpit.query(Pane) if pane.region.height]
        assert panes
        for pane in panes:
            whole = pane.build
            pane.build = fail  # type: ignore[method-assign, assignment]
            await driven.pass_ms(250)
            assert [each for each in panes if "cannot be shown: LookupError" in each.text] == [pane]
            pane.build = whole  # type: ignore[method-assign]
        await driven.pass_ms(250)
        assert "cannot be shown" not in driven.text


async def test_a_dialog_that_fails_says_so_can_be_left_and_halt_works_in_it() -> None:
    class Broken(Dialog[None]):
        def rows(self) -> list[Row]:
            raise LookupError

    async with cockpit() as driven:
        driven.app.push_screen(Broken("Broken", ()))
        await driven.pilot.pause()
        assert "cannot be shown: LookupError" in driven.text
        await driven.press("exclamation_mark", "escape")
        assert driven.sent == [Halt(reason="key")]
        assert len(driven.app.screen_stack) == 1


@pytest.mark.parametrize(("size", "zoomed"), [((80, 24), False), ((120, 40), False), ((120, 40), True)])
async def test_what_is_not_seen_is_not_built(size: tuple[int, int], zoomed: bool) -> None:
    async with cockpit(size=size) as driven:
        if zoomed:
            await driven.press("z")
            await driven.pass_ms(0)
        built: list[str] = []
        for pane in driven.cockpit.query(Pane):

            def counted(*seen: Any, whole: Any = pane.build, name: str = pane.id or "") -> Any:
                built.append(name)
                return whole(*seen)

            pane.build = counted  # type: ignore[method-assign]
        await driven.show(view())
        assert set(built) == {each.id for each in driven.cockpit.query(Pane) if each.region.height}
        assert set(built) == {"proposals"} if zoomed else ("watch" in built) == (size[0] == 120)


async def test_without_colour_no_style_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with cockpit() as driven:
        await driven.arm()
        assert "READY" in driven.text
        colours = {
            colour.name
            for strip in driven.app.screen._compositor.render_strips()
            for segment in strip.apply_filter(driven.app._filters[-1], driven.app.screen.background_colors[1])
            if segment.style is not None
            for colour in (segment.style.color, segment.style.bgcolor)
            if colour is not None and not colour.is_default
        }
        assert colours == set()


@pytest.mark.parametrize("theme", [theme for theme, name in BY_NAME.items() if name in {each.name for each in THEMES}])
async def test_every_theme_draws_the_same_words(theme: str) -> None:
    async with cockpit(comfort=Comfort(theme=theme)) as driven:
        await driven.arm()
        compare("cockpit-80x24", driven.text)


async def test_only_changed_rows_are_painted() -> None:
    async with cockpit() as driven:
        await driven.arm()
        painted: list[int] = []
        for rows in driven.app.screen.query(Rows):
            before = rows.refresh

            def count(*regions: object, before: object = before, **options: object) -> object:
                painted.append(sum(getattr(region, "height", 99) for region in regions))
                return before(*regions, **options)  # type: ignore[operator]

            rows.refresh = count  # type: ignore[method-assign]
        await driven.pass_ms(250)
        assert painted == []
        await driven.show(view(account=account(day_pnl=1.0)))
        assert sum(painted) <= 2


async def test_a_pane_that_fails_is_written_down_once_for_each_kind_of_error(tmp_path: Path) -> None:
    log = tmp_path / "nexus.log"

    def fail(*_: object) -> None:
        raise LookupError

    def fail_else(*_: object) -> None:
        raise ArithmeticError

    async with cockpit(log_path=log) as driven:
        pane = next(pane for pane in driven.cockpit.query(Pane) if pane.region.height)
        for build in (fail, fail_else, fail):
            pane.build = build  # type: ignore[method-assign, assignment]
            for _ in range(3):
                await driven.show(view())
    told = log.read_text(encoding="utf-8")
    assert [told.count(f"\n{each}\n") for each in ("LookupError", "ArithmeticError")] == [1, 1]
    assert "raise LookupError" in told
