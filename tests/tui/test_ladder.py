"""The ladder's rungs, and the lines between panes."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from textual.geometry import Region
from tui_driving import cockpit
from tui_views import BOOKS, book, view

from nexus_engine.model.view import BookMark
from nexus_tui.widgets.ladder import Ladder, side
from nexus_tui.widgets.panes import Watchlist
from nexus_tui.widgets.rules import crossings

levels = st.lists(st.integers(1, 400), min_size=1, max_size=60, unique=True)
marks = st.dictionaries(st.integers(1, 600), st.just("stop"), max_size=6)


@given(levels, marks, st.integers(1, 30), st.sampled_from((1, -1)))
def test_a_side_is_ordered_unique_and_never_longer_than_its_room(
    ticks: list[int], own: dict[int, str], count: int, sign: int
) -> None:
    book = tuple((t, 1.0) for t in sorted(ticks, key=lambda t: t * sign))
    rungs = side(book, own, count, sign)
    prices = [ticks for ticks, _, _ in rungs]
    assert len(rungs) <= count
    assert prices == sorted(set(prices), key=lambda t: t * sign)
    assert all(label == own.get(ticks, "") for ticks, _, label in rungs)


@given(levels, st.integers(1, 30))
def test_without_marks_the_best_levels_are_shown(ticks: list[int], count: int) -> None:
    book = tuple((t, float(t)) for t in sorted(ticks))
    assert [(t, q) for t, q, _ in side(book, {}, count, 1)] == list(book[:count])


@given(levels, st.integers(4, 30))
def test_a_mark_of_ours_far_away_keeps_the_last_rung(ticks: list[int], count: int) -> None:
    book = tuple((t, 1.0) for t in sorted(ticks))
    assert side(book, {1_000: "stop P41"}, count, 1)[-1] == (1_000, 0.0, "stop P41")


def test_lines_meet_where_they_touch() -> None:
    spine = Region(5, 2, 1, 5)
    found = crossings([spine], [Region(0, 2, 5, 1), Region(6, 2, 5, 1), Region(0, 4, 5, 1), Region(0, 7, 11, 1)])
    assert found == {(5, 2): "┬", (5, 4): "┤", (5, 7): "┴"}


async def test_a_book_that_is_being_rebuilt_shows_no_prices() -> None:
    from msgspec.structs import replace

    broken = replace(BOOKS["SOLUSDT"], valid=False)
    async with cockpit(view()) as driven:
        driven.link.shown = view(books=(broken,), watch=(), seq=2)
        await driven.pass_ms(0)
        await driven.pass_ms(0)
        assert "the book is being rebuilt" in driven.text
        assert "148.22" not in driven.text


def test_a_mark_outside_the_book_says_what_it_is_and_one_inside_is_short_where_the_ladder_is_narrow() -> None:
    for price, shown in (("149.90", "149.90 limit P41"), ("148.22", "▇ P41")):
        marks = (BookMark(price=Decimal(price), label="limit P41"),)
        _, rows = Ladder().build(view(books=(book(marks=marks),)), 28, 12)
        assert any(shown in "".join(text for text, _ in spans) for spans in rows), rows


def test_what_is_not_known_before_the_first_trade_is_no_number() -> None:
    picture = view()
    unknown = replace(picture.books[0], last=0.0, change_pct=None)
    title, _ = Ladder().build(replace(picture, books=(unknown,)), 40, 12)
    assert "".join(text for text, _ in title) == "SOLUSDT -  -"
    watched = replace(picture.watch[0], last=0.0, change_pct=None)
    _, [line] = Watchlist().build(replace(picture, watch=(watched,)), 40, 5)
    told = "".join(text for text, _ in line)
    assert "0.0" not in told and "%" not in told
