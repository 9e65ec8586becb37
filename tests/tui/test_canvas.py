"""What is painted, when, and how much of it: a dialog costs its own box, a slow link gets a frame in parts."""

import gc
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from textual import events
from textual._compositor import ChopsUpdate
from textual._styles_cache import StylesCache
from textual.geometry import Region, Size
from tui_driving import Driven, cockpit
from tui_views import view

from nexus_engine.model.view import Difference
from nexus_engine.model.words import TradingState
from nexus_tui.canvas import Canvas
from nexus_tui.drain import EVERYTHING, LEAST, Drain

WHOLE = Region(0, 0, 20, 10)
BOX = Region(2, 3, 8, 4)
MS = 1_000_000


def painted() -> Canvas:
    canvas = Canvas()
    canvas.stand(WHOLE, {})
    canvas.share(EVERYTHING, (), ())
    return canvas


BOXES = st.builds(Region, st.integers(0, 60), st.integers(0, 30), st.integers(1, 60), st.integers(1, 30))
STANDS = st.tuples(
    st.sampled_from((Region(0, 0, 80, 40), Region(0, 0, 20, 3))),
    st.dictionaries(st.integers(1, 3), st.sets(BOXES, max_size=3), max_size=3),
)


@given(st.lists(STANDS, min_size=1, max_size=6), st.integers(1, 2_000))
def test_nothing_is_painted_beyond_the_terminal_whatever_the_dialogs_still_believe(
    stands: list[tuple[Region, dict[int, set[Region]]]], cells: int
) -> None:
    canvas = Canvas()
    for whole, boxes in stands:
        canvas.stand(whole, boxes)
        assert all(whole.contains_region(each) for each in canvas.share(cells, (), ()))


def test_a_dialog_that_comes_or_goes_costs_its_box() -> None:
    canvas = painted()
    canvas.stand(WHOLE, {1: {BOX}})
    assert canvas.share(EVERYTHING, (), ()) == [BOX]
    canvas.stand(WHOLE, {1: {BOX}})
    assert not canvas.waiting
    canvas.stand(WHOLE, {})
    assert canvas.share(EVERYTHING, (), ()) == [BOX]


def test_a_dialog_that_shrinks_uncovers_what_it_had_covered() -> None:
    canvas = painted()
    canvas.stand(WHOLE, {1: {BOX}})
    canvas.share(EVERYTHING, (), ())
    canvas.stand(WHOLE, {1: {Region(2, 5, 8, 2)}})
    assert BOX in canvas.share(EVERYTHING, (), ())


def test_everything_waits_after_a_resize_and_when_the_terminal_was_lost() -> None:
    canvas = painted()
    canvas.stand(Region(0, 0, 30, 10), {})
    assert sum(each.area for each in canvas.share(EVERYTHING, (), ())) == 300
    canvas.lost()
    assert canvas.awaits(Region(5, 5, 1, 1))
    canvas.stand(Region(0, 0, 30, 10), {})
    assert sum(each.area for each in canvas.share(EVERYTHING, (), ())) == 300


def test_a_share_takes_what_is_urgent_first_and_the_market_last_and_loses_nothing() -> None:
    canvas = painted()
    market, answer, other = Region(0, 0, 10, 1), Region(3, 4, 5, 1), Region(10, 9, 10, 1)
    canvas.add([market, other, answer])
    assert canvas.share(5, (BOX,), (Region(0, 0, 10, 2),)) == [answer]
    assert canvas.awaits(other)
    assert canvas.share(10, (BOX,), (Region(0, 0, 10, 2),)) == [other]
    assert canvas.share(1, (BOX,), (Region(0, 0, 10, 2),)) == [market]
    assert not canvas.waiting


def drained(drain: Drain, cells: int, took_ms: float, times: int = 12) -> int:
    now = drain.drained_ns
    for _ in range(times):
        frame = drain.begin(now, cells)
        now += int(took_ms * MS)
        drain.done(frame, now)
    return drain.share()


@pytest.mark.parametrize("way_ms", [1_050, 1_900])
def test_a_far_terminal_is_not_a_stalled_one(way_ms: int) -> None:
    drain = Drain()
    drained(drain, 2_000, way_ms, times=1)
    assert drain.quiet(drain.drained_ns), "nothing is known of the way yet"
    now = drain.quiet_until_ns
    for _ in range(100):
        frame = drain.begin(now)
        now += way_ms * 1_000_000
        assert not drain.quiet(now - 1)
        assert not drain.done(frame, now)
    drain.begin(now)
    assert drain.stalled(now + 2_000_000_001)


def test_a_terminal_that_was_near_stalls_after_a_second() -> None:
    drain = Drain()
    drained(drain, 2_000, 40)
    drain.begin(drain.drained_ns)
    assert not drain.stalled(drain.sent_ns + 1_000_000_000)
    assert drain.stalled(drain.sent_ns + 1_000_000_001)


def test_the_measured_drain_chooses_the_size_of_a_frame() -> None:
    drain = Drain()
    assert drain.share() == EVERYTHING
    assert drained(drain, 2_000, 5) == EVERYTHING
    slow = drained(drain, 2_000, 160)
    assert 600 < slow < 1_000  # 2,000 cells in 155 ms are 774 in 60 ms
    assert drained(drain, 2_000, 900) == LEAST
    assert drained(drain, 2_000, 5, times=60) > 20_000


def test_a_long_way_is_not_taken_for_a_slow_link() -> None:
    assert drained(Drain(), 2_000, 250) == EVERYTHING


def counted(driven: Driven) -> list[int]:
    """Cells of each frame from now on."""
    areas: list[int] = []
    display = driven.app._display

    def count(screen: object, update: object) -> None:
        if update is not None:
            assert isinstance(update, ChopsUpdate)
            areas.append(sum(end - start for _, start, end in update.spans))
        display(screen, update)  # type: ignore[arg-type]

    driven.app._display = count  # type: ignore[method-assign, assignment]
    return areas


def terminal(driven: Driven) -> list[str]:
    """What a terminal shows of what it is given from now on; it begins with what is on the screen."""
    rows = driven.text.splitlines()
    display = driven.app._display

    def keep(screen: object, update: object) -> None:
        if update is not None:
            assert isinstance(update, ChopsUpdate)
            for y, start, end in update.spans:
                cells = {x + at: glyph for x, strip in update.chops[y].items() for at, glyph in enumerate(strip.text)}
                given = "".join(cells.get(x, " ") for x in range(start, end))
                rows[y] = f"{rows[y][:start]}{given}{rows[y][end:]}"
        display(screen, update)  # type: ignore[arg-type]

    driven.app._display = keep  # type: ignore[method-assign, assignment]
    return rows


@pytest.mark.parametrize("key", ["enter", "e", "m", "F", "colon", "question_mark", "q"])
async def test_a_dialog_and_the_keys_that_work_in_it_reach_the_terminal(key: str) -> None:
    async with cockpit() as driven:
        await driven.arm()
        shown = terminal(driven)
        await driven.press(key)
        assert shown == driven.text.splitlines()
        assert "esc back" in shown[-1]
        assert "approve" not in shown[-1]
        await driven.press("escape")
        assert shown == driven.text.splitlines()
        assert "approve" in shown[-1]


@pytest.mark.parametrize("key", ["a", "c"])
async def test_what_happens_under_two_dialogs_reaches_the_terminal(key: str) -> None:
    xrp = Difference(
        symbol="XRPUSDT", venue=Decimal(50), ours=Decimal(0), entry=Decimal("2.4"), price=2.44, price_digits=4
    )
    picture = view(foreign=(("XRPUSDT", Decimal(50)),), differences=(xrp,))
    halted = replace(picture.account, state=TradingState.HALTED, equity=12_345.0)
    async with cockpit(picture, size=(120, 40)) as driven:
        await driven.arm()
        await driven.press(key)
        assert len(driven.app.screen_stack) == 3
        shown = terminal(driven)
        await driven.show(replace(picture, seq=picture.seq + 1, account=halted, proposals=()))
        await driven.pass_ms(0)
        assert "HALTED" in shown[0] and "12,345" in shown[0]
        assert shown == driven.text.splitlines()
        await driven.press("escape", "escape")
        assert shown == driven.text.splitlines()


async def test_a_dialog_on_the_largest_screen_costs_its_own_box() -> None:
    async with cockpit(size=(200, 50)) as driven:
        await driven.arm()
        areas = counted(driven)
        await driven.press("q")
        box = driven.app.screen.query_one("#dialog").region
        assert box.area <= sum(areas) < 3 * box.area + 600
        areas.clear()
        await driven.press("escape")
        assert "Leave Nexus" not in driven.text
        assert box.area <= sum(areas) < 2 * box.area + 600


@pytest.mark.parametrize("dialog", ["", "F"])
async def test_a_storm_that_ends_at_the_size_it_began_with_is_painted_over(dialog: str) -> None:
    async with cockpit(size=(80, 24)) as driven:
        await driven.arm()
        if dialog:
            await driven.press(dialog)
        areas, size = counted(driven), Size(80, 24)
        # all signals of the storm came as one, and what the terminal cut off while it was small is gone
        driven.app.post_message(events.Resize(size, size))
        await driven.pass_ms(1_000)
        assert sum(areas) >= size.area


async def test_a_dialog_that_was_left_is_not_remembered() -> None:
    async with cockpit() as driven:

        async def kept() -> int:
            for _ in range(4):
                await driven.press("m", "escape")
            gc.collect()
            return sum(isinstance(each, StylesCache) for each in gc.get_objects())

        assert await kept() >= await kept()
