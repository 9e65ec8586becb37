"""The quieter panes say what their numbers are of."""

import pytest
from msgspec.structs import replace
from tui_driving import cockpit
from tui_views import ODDS, account, event, position, view

from nexus_engine.model.view import Moment
from nexus_tui.layout import plan
from nexus_tui.widgets.candles import odds
from nexus_tui.widgets.panes import Events, Watchlist, newest_first
from nexus_tui.widgets.pnl import Pnl, bars
from nexus_tui.widgets.rows import Row
from nexus_tui.widgets.targets import Targets


def said(row: Row) -> str:
    return "".join(text for text, _ in row)


def test_a_watchlist_that_is_not_all_of_it_says_so() -> None:
    picture = view()
    total = len(picture.watch)
    for height, told in ((3, f"Watchlist 3 of {total}"), (total, f"Watchlist {total}"), (60, f"Watchlist {total}")):
        title, rows = Watchlist().build(picture, 34, height)
        assert said(title) == told
        assert len(rows) == min(height, total)


LONG = "refused: spread 14 bp over the limit of 8, and the book is thinner than what would be sent"
MOMENT = tuple(event(60, symbol, "bot", f"{LONG} {symbol}") for symbol in ("SOLUSDT", "ADAUSDT", "BTCUSDT"))


@pytest.mark.parametrize("width", [51, 78, 118])
@pytest.mark.parametrize("height", range(1, 12))
def test_one_row_of_the_events_is_selected_and_none_stands_there_without_its_head(width: int, height: int) -> None:
    picture = view(events=(event(90, "feed", "uplink", LONG), *MOMENT, event(30, "P40", "you", "approved")))
    pane = Events()
    pane.active = True
    for pane.selected in picture.events:
        lines = pane.build(picture, width, height)[1]
        assert len(lines) <= height
        assert lines[0][0][0] in " !▶"
        assert not said(lines[0]).startswith("  ")
        assert [said(each)[0] for each in lines].count("▶") == 1
        [chosen] = [each for each in lines if said(each)[0] == "▶"]
        assert said(chosen).split()[1] in (pane.selected.subject, pane.selected.subject.removesuffix("USDT"))


async def test_the_keys_go_through_rows_of_one_moment_one_by_one() -> None:
    async with cockpit(view(events=MOMENT), size=(120, 40)) as driven:
        await driven.press("tab", "tab")
        seen = []
        for _ in MOMENT:
            [chosen] = [line for line in driven.text.splitlines() if line.startswith("▶") and "bot" in line]
            seen.append(chosen.split()[1])
            await driven.press("j")
        assert sorted(seen) == sorted(each.subject for each in MOMENT)


async def test_a_row_that_has_rolled_off_is_selected_no_more() -> None:
    async with cockpit(view(events=MOMENT), size=(120, 40)) as driven:
        await driven.press("tab", "tab")
        assert driven.cockpit._asked().startswith(f"@{MOMENT[0].at_ns} ")
        await driven.show(view(events=(event(60, "ADAUSDT", "bot", "stop confirmed"),)))
        await driven.press("enter")
        assert "nothing is selected" in driven.row(-2)


def test_the_chart_gives_odds_and_the_list_the_rank_of_the_regime_that_holds() -> None:
    for width in (28, 48, 100):
        assert "odds TREND_DOWN 71%" in said(odds(view(odds=ODDS), width))
        assert len(said(odds(view(odds=ODDS), width))) <= width
    title, rows = Watchlist().build(view(), 90, 20)
    assert "regime and its rank" in said(title)
    assert any("71%" in said(each) for each in rows)


def test_the_targets_title_says_that_the_hours_are_closed_ones_where_it_has_room() -> None:
    for width, told in ((34, "4h to BTC, score"), (44, "4 closed h to BTC, score"), (80, "4 closed h to BTC, score")):
        title = said(Targets().build(view(), width, 8)[0])
        assert told in title
        assert len(title) + 3 <= width


@pytest.mark.parametrize(
    ("totals", "labels"),
    [
        ((0.1, 0.42), ("+0.42", "+0")),
        ((-0.2, 0.42), ("+0.42", "-0.20")),
        ((-3.4, 0.1), ("+0.10", "-3.40")),
        ((1.0, 214.1), ("+214", "+0")),
        ((-6.0, 12.0), ("+12", "-6")),
    ],
)
def test_the_axis_of_a_small_profit_has_cents_everywhere(totals: tuple[float, float], labels: tuple[str, str]) -> None:
    curve = tuple(Moment(at, total, 0.0) for at, total in enumerate(totals))
    drawn = [said(each).split()[0] for each in bars(curve, 34, 6) if said(each).strip()]
    assert drawn[0] == labels[0]
    assert any(each == labels[1] for each in drawn)


def test_the_columns_follow_a_profit_of_cents() -> None:
    pane = Pnl()
    for total in (0.1, 0.4):
        curve = (Moment(0, 0.0, 0.0), Moment(1, 0.0, total))
        rows = pane.build(view(curve=curve, account=account(open_pnl=0.0)), 34, 8)[1]
        assert any(f"+{total:.2f}" in said(each) for each in rows)


async def test_a_liquidation_price_that_is_not_known_is_not_shown_as_none() -> None:
    for known, shown in ((True, "-"), (False, "?")):
        one = replace(position(liq=None), liquidation_known=known)
        async with cockpit(view(positions=(one,)), size=(120, 40)) as driven:
            (line,) = [each for each in driven.text.splitlines() if each.startswith("L BTCUSDT")]
            assert line.split("2s")[1].split()[0] == shown


@pytest.mark.parametrize("size", [(112, 30), (137, 33), (190, 34)])
async def test_the_watchlist_is_there_from_112_columns_on(size: tuple[int, int]) -> None:
    assert plan(size[0], size[1] - 5)["watch"].height >= 5
    async with cockpit(size=size) as driven:
        assert "Watchlist 4 of 8" in driven.text
        assert "▶ SOLUSDT" in driven.text
        assert {len(line) for line in driven.text.splitlines()} == {size[0]}


def test_of_one_instant_what_was_written_later_stands_higher() -> None:
    first, then, after = (
        event(5, "P2", "bot", "exit of P2"),
        event(5, "P2", "bot", "P2 closed"),
        event(1, "P3", "you", "x"),
    )
    assert newest_first(view(events=(first, then, after))) == [after, then, first]
