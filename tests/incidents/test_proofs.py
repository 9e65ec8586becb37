"""docs/proofs.md names a test for each invariant, fault and incident: each of them is there."""

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
from drills import DRILLS

TESTS = Path(__file__).resolve().parents[1]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (TESTS.parent / "docs" / "proofs.md").read_text().splitlines()
    if line.startswith("| ") and "---" not in line
]
BY_NAME = {row[0]: row for row in ROWS if row[0]}
WANTED = [*(f"I{number}" for number in range(1, 33)), *(f"F{number:02}" for number in (*range(1, 45), 61, 64, 65))]


@pytest.fixture(scope="module")
def table() -> ModuleType:
    """The slips planted by hand."""
    spec = spec_from_file_location("table", TESTS / "mutants" / "table.py")
    assert spec is not None and spec.loader is not None
    found = module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def _there(file: str, test: str) -> bool:
    return re.search(rf"^(async )?def {test}\(", (TESTS / file).read_text(), re.MULTILINE) is not None


@pytest.mark.parametrize("name", WANTED)
def test_what_a_row_names_is_there(name: str) -> None:
    shown = BY_NAME[name][-1]
    for file, test in re.findall(r"([\w/]+\.py)::(\w+)", shown):
        assert _there(file, test), f"{file}::{test}"
    for fault in re.findall(r"drill (F\d\d)", shown):
        assert any(fault in drill.ids.split() for drill in DRILLS), f"no drill of {fault}"
    assert "::" in shown or "drill" in shown or name == "I31"


def test_every_incident_is_on_the_page_with_its_source() -> None:
    text = (TESTS / "incidents" / "test_incidents.py").read_text()
    told = dict(re.findall(r'^(?:async )?def (test_\w+)\(.*\) -> None:\n    """([^"]*)', text, re.MULTILINE))
    listed = {test: row[0] for row in ROWS for test in re.findall(r"(?<!:)\btest_\w+", row[-1])}
    assert told.keys() - listed == {"test_the_words_of_an_order_have_a_place_for_what_is_not_known"}
    for test, source in listed.items():
        for number in re.findall(r"#\d+|\d{6,}", source):
            assert number in told[test], f"{test} says nothing of {number}"


def test_every_invariant_has_a_slip_and_every_slip_a_row_of_what_noticed_it(table: ModuleType) -> None:
    broken = {name for mutant in table.MUTANTS for name in mutant.invariant.split()}
    assert broken == {name for name in WANTED if name.startswith("I")} - {"I31"}
    page = (TESTS.parent / "docs" / "mutants.md").read_text()
    assert [mutant.name for mutant in table.MUTANTS if f"| {mutant.name} | {mutant.invariant} |" not in page] == []


def test_every_slip_still_has_its_place(table: ModuleType) -> None:
    lost = [
        (mutant.name, file)
        for mutant in table.MUTANTS
        for file, old, _ in mutant.edits
        if (TESTS.parent / file).read_text().count(old) != 1
    ]
    assert lost == []
