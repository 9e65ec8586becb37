"""Candles, profit and targets: what the pictures say is what the numbers are."""

import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tui_driving import Driven, cockpit
from tui_views import CHART, TARGETS, account, chart, view

from nexus_engine.model.events import BarRow
from nexus_engine.model.view import BookMark, Moment, Target
from nexus_engine.model.words import Macro
from nexus_tui.format import minute
from nexus_tui.widgets.candles import Candles, times
from nexus_tui.widgets.pnl import Pnl, bars, over_time, plot
from nexus_tui.widgets.raster import Scale, candle, columns, sample, sparkline
from nexus_tui.widgets.rows import Row, length

prices = st.floats(1, 1_000, allow_nan=False)


def texts(rows: list[Row]) -> list[str]:
    return ["".join(text for text, _ in spans) for spans in rows]


@given(prices, prices, prices, prices, st.integers(1, 40))
def test_a_candle_is_one_unbroken_column_of_its_height(a: float, b: float, c: float, d: float, rows: int) -> None:
    low, low_body, high_body, high = sorted((a, b, c, d))
    column = candle(BarRow(0, low_body, high, low, high_body, 1.0), Scale(1_000, 1, rows))
    assert len(column) == rows
    drawn = "".join(column)
    assert drawn.strip() and " " not in drawn.strip()
    assert any(glyph in "█▀▄" for glyph in column)


def test_a_candle_draws_body_and_wicks_in_half_cells() -> None:
    scale = Scale(8, 0, 4)
    assert candle(BarRow(0, 4.5, 7.5, 2.5, 5.5, 1.0), scale) == ["│", "█", "│", " "]
    assert candle(BarRow(0, 5.5, 6.5, 1.5, 3.5, 1.0), scale) == ["╷", "█", "▀", "╵"]


@given(st.lists(prices, min_size=1, max_size=300), st.integers(1, 80))
def test_a_sparkline_ends_with_the_newest_value_and_never_grows(values: list[float], width: int) -> None:
    line = sparkline(values, width)
    assert len(line) == min(width, len(values))
    assert sample(values, width)[-1] == values[-1]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300), st.integers(1, 80), st.integers(1, 30))
def test_columns_fill_their_rows_exactly(values: list[float], width: int, height: int) -> None:
    rows, up = columns(values, width, height)
    assert len(rows) == height
    assert 0 <= up <= height
    assert {len(row) for row in rows} == {min(width, len(values))}


def earned(*totals: float) -> list[Moment]:
    return [Moment(index * 60_000_000_000, total, 0.0) for index, total in enumerate(totals)]


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=240), st.integers(28, 120), st.integers(3, 30))
def test_profit_bars_are_as_large_as_asked_for(totals: list[float], width: int, height: int) -> None:
    rows = bars(earned(*totals), width, height)
    assert len(rows) == height
    assert all(length(row) <= width for row in rows)


def test_a_loss_hangs_below_zero_and_a_profit_stands_above_it() -> None:
    drawn = texts(bars(earned(-50.0, -100.0, 50.0, 100.0), 20, 4))
    assert drawn[0].startswith(" +100") and drawn[-1].startswith(" -100")
    assert drawn[0].rstrip().endswith("█") and "█" in drawn[-1][7:14]


def test_two_moments_fill_the_width_and_the_newest_is_at_its_end() -> None:
    steps = over_time(earned(0.0, -1.0), 10)
    assert len(steps) == 10 and steps[0] == 0.0 and steps[-1] == -1.0


def test_both_curves_are_plotted_within_their_room() -> None:
    curve = [Moment(index * 60_000_000_000, index - 5.0, 3.0 - index / 10) for index in range(60)]
    drawn = texts(plot(curve, 44, 9))
    assert len(drawn) <= 9 and max(map(len, drawn)) <= 44
    assert any("•" in line for line in drawn) and any("+0" in line for line in drawn)


def test_round_times_stand_under_their_candles() -> None:
    line = times(CHART, len(CHART))
    for x, bar in enumerate(CHART):
        if bar.open_ns // 1_000_000_000 % 3600 == 0 and x + 5 <= len(CHART):
            assert line[x : x + 5] == minute(bar.open_ns)


async def shown(driven: Driven, **changes: Any) -> str:
    await driven.show(view(**changes))
    return driven.cockpit.query_one(Candles).text


async def test_our_prices_cross_the_chart_and_one_far_away_stands_at_its_edge() -> None:
    async with cockpit(size=(120, 40)) as driven:
        text = driven.cockpit.query_one(Candles).text.splitlines()
        target = next(index for index, line in enumerate(text) if "target P41" in line)
        assert text[target].lstrip().startswith("144.4 ┄")
        assert "vol" in text[target + 1]
        assert any(line.lstrip().startswith("150.1 ┄") and line.endswith("stop P41") for line in text)


async def test_a_flat_market_a_single_candle_and_none_are_drawn() -> None:
    flat = tuple(BarRow(index * 300_000_000_000, 5.0, 5.0, 5.0, 5.0, 0.0) for index in range(30))
    async with cockpit(size=(120, 40)) as driven:
        for bars_ in (flat, CHART[-1:], chart(1, 0, 1.0)):
            text = await shown(driven, chart=bars_, chart_lines=(), chart_marks=(), odds=())
            assert "cannot be shown" not in text and any(glyph in text for glyph in "█▀▄")
        assert "no candles yet" in await shown(driven, chart=(), chart_lines=(), odds=())


async def test_two_marks_of_one_row_share_it() -> None:
    marks = tuple(BookMark(price=Decimal("150.10"), label=label) for label in ("stop P41", "in P40"))
    async with cockpit(size=(160, 45)) as driven:
        assert "stop P41, in P40" in await shown(driven, chart_marks=marks)


async def test_labels_without_room_for_all_of_them_are_cut_not_wrapped() -> None:
    marks = tuple(BookMark(price=Decimal("150.10"), label=f"target P{number}") for number in range(900, 909))
    async with cockpit(size=(112, 36)) as driven:
        text = await shown(driven, chart_marks=marks)
        assert "target P900" in text and max(map(len, text.splitlines())) <= 42


async def test_the_newest_price_never_moves_the_axis() -> None:
    async with cockpit(size=(120, 40)) as driven:
        widths = set()
        for close in (148.2, 148.21, 148.0):
            bars_ = (*CHART[:-1], replace(CHART[-1], close=close))
            widths.add((await shown(driven, chart=bars_)).splitlines()[-2].index("13:00"))
        assert len(widths) == 1


async def test_the_chart_follows_symbol_and_interval() -> None:
    async with cockpit(size=(120, 40)) as driven:
        asked = driven.link.requests[-1]
        assert asked.chart == ("SOLUSDT", "5m") and 20 < asked.bars < 120
        await driven.press("right", "right_square_bracket")
        assert driven.link.requests[-1].chart == ("ADAUSDT", "1h")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_chart_says_how_much_faster_than_the_clock_its_market_runs(size: tuple[int, int]) -> None:
    async with cockpit(view(account=account(speed=20.0)), size=size) as driven:
        assert ("SOLUSDT 5m x20 " if size[0] > 80 else "5m candles SOLUSDT x20 ") in driven.text
        await driven.show(view())
        assert "x20" not in driven.text


async def test_a_vetoed_target_says_why_and_keeps_its_place_beside_many_others() -> None:
    many = tuple(Target(symbol=f"C{index}USDT", score=index / 20, drop_pct=-1.0, note="") for index in range(12))
    async with cockpit(view(targets=(*many, *TARGETS)), size=(120, 40)) as driven:
        assert "PEPE  vetoed: funding -0.11%" in driven.text
        assert "WIF   vetoed: spread 14 bp" in driven.text
        assert "1 SOL   -2.1%  83" in driven.text


async def test_a_squeeze_and_an_unknown_macro_are_said() -> None:
    picture = view(squeeze="BTC +2.1% in 30 min: shorts wait", macro=Macro.UNKNOWN)
    for size in ((80, 24), (120, 40)):
        async with cockpit(picture, size=size) as driven:
            assert "acro UNKNOWN" in driven.text
            assert "BTC +2.1% in 30 min" in driven.text


async def test_the_worst_dip_of_the_day_is_told() -> None:
    async with cockpit() as driven:
        assert "worst dip -64" in driven.cockpit.query_one(Pnl).text
        await driven.show(view(curve=()))
        assert "worst dip" not in driven.cockpit.query_one(Pnl).text
        assert "realised +182" in driven.cockpit.query_one(Pnl).text


@pytest.mark.parametrize(
    ("lowest", "told"),
    [(-0.124, "worst dip -0.12"), (-9.5, "worst dip -9.50"), (-64.2, "worst dip -64"), (-0.004, ""), (0.0, "")],
)
def test_a_small_dip_keeps_its_digits_and_none_is_minus_nothing(lowest: float, told: str) -> None:
    curve = tuple(Moment(at, 0.0, lowest if at == 1 else 0.0) for at in range(4))
    picture = view(curve=curve, account=account(day_realised=-0.12, open_pnl=0.0))
    for width, height in ((28, 3), (34, 6)):
        shown = "\n".join(texts(Pnl().build(picture, width, height)[1]))
        assert "realised -0.12" in shown
        assert told in shown and ("worst dip" in shown) is bool(told)
        assert not re.search(r"-0(\.00)?(?![.\d])", shown)


def test_of_a_small_loss_beside_a_large_profit_the_axis_says_how_much() -> None:
    labels = [line.split()[0] for line in texts(bars(earned(0.0, -0.3, 400.0), 34, 6)) if re.match(r" *[+-]\d", line)]
    assert labels[0] == "+400" and labels[-1] == "-0.30"


async def test_a_card_says_what_a_fall_of_bitcoin_would_do_where_there_is_room() -> None:
    picture = view()
    async with cockpit(picture, size=(120, 40)) as driven:
        assert "if BTC falls 10%: long stopped, -45.36; no liquidation; exposure 45%" in driven.text
        bare = tuple(replace(each, shock=None) for each in picture.proposals)
        await driven.show(view(proposals=bare))
        assert "if BTC falls" not in driven.text


def test_a_day_without_profit_or_loss_is_a_line_at_zero() -> None:
    drawn = texts(bars(earned(0.0, 0.0), 20, 4))
    assert len(drawn) == 4
    assert [line for line in drawn if line.strip()] == [" +0 " + "─" * 15]


async def test_a_veto_is_shown_with_its_whole_reason_and_the_others_are_counted() -> None:
    vetoed = tuple(
        Target(symbol=f"{name}USDT", score=0.1, drop_pct=-3, veto="fell 3.3% in 4 h")
        for name in ("AVAX", "LINK", "DOGE")
    )
    async with cockpit(view(targets=vetoed)) as driven:
        assert " vetoed: AVAX fell 3.3% in 4 h, +2 " in driven.text
