"""Numbers as text."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from nexus_tui import format as fmt


@pytest.mark.parametrize(
    ("value", "width", "digits", "text"),
    [
        (96_480.1, 7, 1, "96,480"),
        (0.16204, 7, 5, "0.16204"),
        (3_412.9, 7, 2, "3,412.9"),
        (148.2, 7, 2, "148.20"),
        (12_345, 5, 0, "12345"),
        (1_234_567, 5, 0, "1235k"),
        (1_234_567, 4, 0, "1.2M"),
        (0.0, 4, 2, "0.00"),
    ],
)
def test_a_number_gives_up_decimals_then_commas_then_thousands(
    value: float, width: int, digits: int, text: str
) -> None:
    assert fmt.short(value, width, digits) == text


@given(st.floats(0, 1e11), st.integers(4, 12), st.integers(0, 8))
def test_a_short_number_never_outgrows_its_column(value: float, width: int, digits: int) -> None:
    text = fmt.short(value, width, digits)
    assert len(text) <= width
    assert "#" not in text or value > 1e11


@given(st.lists(st.floats(0, 1e11), min_size=1), st.integers(0, 8))
def test_a_column_of_sizes_has_one_scale_that_all_of_them_fit(values: list[float], digits: int) -> None:
    by = fmt.scale(max(values), digits, 6)
    assert all(len(fmt.scaled(value, by)) <= 6 for value in values)


def test_the_scale_is_the_finest_that_fits() -> None:
    assert [fmt.scaled(1.0, fmt.scale(top, 3, 6)) for top in (9.9, 99.9, 1_016, 270_908, 2_309_000)] == [
        "1.000", "1.000", "1", "0.0k", "0k",
    ]  # fmt: skip


@given(st.floats(-1e9, 1e9))
def test_short_money_keeps_its_sign(value: float) -> None:
    text = fmt.short_money(value, 7)
    assert text[0] == ("-" if value < 0 and text[1:].strip("0.") else "+")
    assert len(text) <= 7


@given(st.text(), st.integers(0, 60))
def test_fit_is_exactly_as_wide_as_asked(text: str, width: int) -> None:
    from nexus_tui.safe import plain

    assert cell_len(fmt.fit(plain(text), width)) == width


@given(st.text(alphabet="ab 交", max_size=90))
def test_wrapped_text_fits_both_lines(text: str) -> None:
    first, second = fmt.wrap(text, 20, 30)
    assert cell_len(first) <= 20
    assert cell_len(second) <= 30


@given(st.text(max_size=120), st.integers(4, 30))
def test_folded_text_fits_every_line_and_loses_nothing_but_blanks(text: str, width: int) -> None:
    from nexus_tui.safe import plain

    text = plain(text, 120)
    lines = fmt.folded(text, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_times() -> None:
    assert fmt.clock(54_187 * 1_000_000_000) == "15:03:07"
    assert [fmt.countdown(ms) for ms in (0, 1, 38_000, 112_000, 7_013_000)] == [
        "0:00",
        "0:01",
        "0:38",
        "1:52",
        "1:56:53",
    ]
    assert [fmt.age(ms) for ms in (None, 200, 12_000, 240_000, 8_000_000)] == ["-", "0.2s", "12s", "4m", "2h"]
    assert [fmt.held(ms) for ms in (48_000, 4_320_000, 151_200_000)] == ["48s", "1h12", "1d18"]


def test_sizes_lose_zeros_but_never_value() -> None:
    assert [fmt.quantity(Decimal(text)) for text in ("12.400", "4100", "0.042", "100", "1E+3")] == [
        "12.4", "4,100", "0.042", "100", "1,000",
    ]  # fmt: skip


def test_a_bar_shows_that_there_is_something() -> None:
    assert fmt.bar(0.001, 10) == "▇"
    assert fmt.bar(0.0, 10) == ""
    assert fmt.gauge(0.5, 8) == "▇▇▇▇▁▁▁▁"
    assert len(fmt.gauge(7.0, 8)) == 8


def test_a_number_and_its_unit_stay_on_one_line() -> None:
    assert fmt.wrap("price ran away: 0.5 R left", 20, 30) == ("price ran away:", "0.5 R left")
    assert fmt.wrap("refused: spread 14 bp over 8", 18, 30) == ("refused: spread", "14 bp over 8")
