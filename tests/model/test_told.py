"""One way to write a number for a person."""

from decimal import Decimal

import pytest

from nexus_engine.model.told import price, quantity


@pytest.mark.parametrize(
    ("value", "text"), [("4819", "4,819"), ("183.60", "183.6"), ("0.0420", "0.042"), ("1E+4", "10,000")]
)
def test_a_quantity_has_its_commas_and_no_zeros_behind(value: str, text: str) -> None:
    assert quantity(Decimal(value)) == text


@pytest.mark.parametrize(
    ("value", "grid", "text"),
    [
        ("149", "145.13", "149.00"),
        ("0.799", "0.7705", "0.7990"),
        ("96480.1", "95400.0", "96,480.1"),
        ("3", "1E+1", "3"),
        ("149.36", "140", "149.36"),
    ],
)
def test_a_price_has_the_digits_of_its_symbol(value: str, grid: str, text: str) -> None:
    assert price(Decimal(value), Decimal(grid)) == text
    assert price(Decimal(text.replace(",", ""))) == text
