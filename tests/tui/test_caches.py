"""What Textual and rich remember of dialogs and sizes that are gone."""

import gc
from decimal import Decimal
from importlib.util import module_from_spec, spec_from_file_location

from rich.segment import Segment
from textual import strip as textuals
from textual.cache import FIFOCache
from textual.strip import Strip
from tui_driving import cockpit
from tui_views import account, view

from nexus_tui.caches import _CACHES
from nexus_tui.widgets.rows import CLASSES, Rows


def kept() -> dict[str, int]:
    """Entries by cache."""
    caches = [getattr(each, "__func__", each) for each in _CACHES]
    return {each.__qualname__: each.cache_info().currsize for each in caches}


async def test_many_sizes_and_dialogs_leave_no_more_behind_than_the_last_one() -> None:
    async with cockpit(size=(120, 40)) as driven:

        async def once(width: int) -> None:
            await driven.pilot.resize_terminal(width, 40)
            await driven.press("question_mark", "escape")

        await once(120)
        first = kept()
        for width in range(90, 200, 10):
            await once(width)
        await once(120)
        grown = {name: (first[name], size) for name, size in kept().items() if size > 2 * first[name] + 20}
    assert not grown


def test_a_strip_is_what_textual_makes_of_it_and_makes_its_caches_when_they_are_asked_for() -> None:
    spec = spec_from_file_location("textuals_own", textuals.__file__)
    assert spec is not None and spec.loader is not None
    own = module_from_spec(spec)
    spec.loader.exec_module(own)
    segments = [Segment("long 2.5"), Segment(" SOLUSDT")]
    ours, theirs = Strip(segments, 16), own.Strip(segments, 16)
    assert Strip.__slots__ == own.Strip.__slots__
    assert not any(isinstance(each, FIFOCache) for each in gc.get_referents(ours))
    for name in Strip.__slots__:
        mine, told = getattr(ours, name), getattr(theirs, name)
        if name == "_divide_cache":
            mine[(4, 16)] = ours.divide([4, 16])
            assert mine.get((4, 16)) is None and [piece.text for piece in ours.divide([4, 16])] == [
                "long",
                " 2.5 SOLUSDT",
            ]
        elif isinstance(told, FIFOCache):
            assert (type(mine), mine._maxsize, len(mine)) == (FIFOCache, told._maxsize, 0)
            assert getattr(ours, name) is mine
        else:
            assert mine == told
    assert ours.crop_extend(2, 20, None) is ours.crop_extend(2, 20, None)


async def test_a_dialog_has_fewer_caches_than_lines() -> None:
    def living(kind: type) -> int:
        gc.collect()
        return sum(isinstance(each, kind) for each in gc.get_objects())

    async with cockpit(size=(200, 50)) as driven:
        await driven.press("question_mark", "escape")
        caches, strips = living(FIFOCache), living(Strip)
        await driven.press("question_mark")
        assert 0 < living(FIFOCache) - caches < living(Strip) - strips


async def test_a_painted_line_is_no_cycle_that_waits_for_the_collector() -> None:
    async with cockpit(size=(120, 40)) as driven:
        gc.collect()
        gc.disable()
        try:
            for equity in range(20):
                await driven.show(view(account=account(equity=Decimal(equity))))
            lines = [each for each in gc.get_objects() if isinstance(each, Strip)]
            before = len(lines)
            del lines
            gc.collect()
            assert before - sum(isinstance(each, Strip) for each in gc.get_objects()) < 20
        finally:
            gc.enable()


async def test_a_closed_dialog_leaves_none_of_its_lines_to_the_collector() -> None:
    async with cockpit(size=(120, 40)) as driven:
        await driven.press("question_mark", "escape")
        gc.collect()
        gc.disable()
        try:
            before = sum(isinstance(each, Strip) for each in gc.get_objects())
            for _ in range(6):
                await driven.press("question_mark", "escape")
            # a picture in the making more or less is 120 lines; one that waits in each dialog is several hundred
            assert sum(isinstance(each, Strip) for each in gc.get_objects()) < before + 250
        finally:
            gc.enable()


async def test_the_kinds_of_text_are_nodes_of_the_app_alone() -> None:
    async with cockpit(size=(120, 40)) as driven:
        await driven.press("question_mark")
        assert driven.app._component_styles.keys() >= CLASSES
        rows = [each for screen in driven.app.screen_stack for each in screen.query(Rows)]
        assert len(rows) > 10
        assert not any(each._component_styles for each in rows)
