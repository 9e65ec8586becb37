"""A few of the small worlds that `sweep.py` hunts in by the thousand."""

import pytest
from sweep import sweep


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_nothing_that_must_never_happen_happens(first: int) -> None:
    results = sweep(range(first, first + 10), 60)
    assert [(result.seed, line) for result in results for line in result.found] == []
    assert sum(result.entries for result in results) > 10
    assert sum(result.closed for result in results) > 5
