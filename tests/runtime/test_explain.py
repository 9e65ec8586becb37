"""`nexus config`: every key is explained from the model that checks it, and the template is a directive."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from nexus_engine import explain
from nexus_engine.cortex.factory import STRATEGIES
from nexus_engine.model.config import ConfigError, Directive, load
from nexus_engine.model.people import PersonConfig


def test_every_key_of_every_section_has_an_explanation_a_default_and_what_is_allowed() -> None:
    found = {row.name: row for row in explain.rows()}
    for name, field in Directive.model_fields.items():
        model = field.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            for key in model.model_fields:
                row = found[f"{name}.{key}"]
                assert row.text and row.allowed, row
                assert "<" not in row.allowed and "Annotated" not in row.allowed, row
    for kind in STRATEGIES:
        assert {f"strategies.{kind.name}.{key}" for key in kind.PARAMS} <= set(found)
    assert found["risk.leverage"].allowed == "whole number from 1 to 8"
    assert found["shield.swan_windows_min"].allowed == "1 to 4 of: whole number from 1 to 60"
    assert found["account.mode"].allowed == "WATCHER | COPILOT | PILOT"
    assert found["risk.trade_risk_pct"].allowed == "number above 0 to 2"


def test_the_template_loads_as_it_is_and_with_every_comment_taken_away(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain.main(["--default"]) == 0
    text = capsys.readouterr().out
    file = tmp_path / "nexus.toml"
    file.write_text(text)
    assert load(file).model_copy(update={"strategies": {}}) == Directive()
    bare = re.sub(r"^#(\w+ = )", r"\1", text, flags=re.MULTILINE)
    assert bare != text
    file.write_text(bare)
    loaded = load(file)
    assert loaded.model_copy(update={"strategies": {}}) == Directive()
    assert set(tomllib.loads(bare)["strategies"]) == {kind.name for kind in STRATEGIES}


def test_what_a_person_may_have_is_explained_and_with_a_file_each_of_its_people(tmp_path: Path) -> None:
    found = {row.name: row for row in explain.rows()}
    assert found["people.<name>.role"].allowed == "viewer | trader | owner"
    for key in PersonConfig.model_fields:
        row = found[f"people.<name>.{key}"]
        assert row.text and row.allowed and "<" not in row.allowed
    file = tmp_path / "nexus.toml"
    file.write_text('[people.ana]\nrole = "owner"\n[people.cy]\nvoice = "calm"\n')
    found = {row.name: row for row in explain.rows(load(file))}
    assert (found["people.ana.role"].current, found["people.cy.voice"].current) == ("owner", "calm")
    assert "people.<name>.role" not in found


def test_current_values_are_shown_beside_the_defaults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "nexus.toml"
    file.write_text("[risk]\nleverage = 5\n[strategies.harpoon]\nturn_bars = 3\n")
    assert explain.main(["--explain", "--json", "--config", str(file)]) == 0
    found = {row["key"]: row for row in json.loads(capsys.readouterr().out)["keys"]}
    assert (found["risk.leverage"]["current"], found["risk.leverage"]["default"]) == (5, 3)
    assert found["risk.naked_ms"]["current"] == found["risk.naked_ms"]["default"] == 2000
    assert found["strategies.harpoon.turn_bars"]["current"] == 3
    assert explain.main(["--explain", "risk.lev", "--config", str(file)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("[risk]\nleverage = 5   (default 3)\n") and out.count("=") == 1


def test_what_cannot_be_used_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "nexus.toml"
    file.write_text("[strategies.harpoon]\nturn_bars = 99\n")
    for words, told in (
        (["--explain", "--config", str(file)], "strategies.harpoon.turn_bars = 99: must be a whole number from 1 to 6"),
        (["--explain", "--config", str(tmp_path / "no.toml")], "no.toml: cannot be read"),
        (["--explain", "nothing"], "no key begins with 'nothing'; sections: account, risk"),
        ([], "--explain --default is required"),
    ):
        assert explain.main(words) == 2
        err = capsys.readouterr().err
        assert told in err and err.count("\n") == 1
    with pytest.raises(ConfigError):
        explain.rows(load(file))
