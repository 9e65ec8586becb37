"""People, roles, presets and modes in the directive: what is allowed, and one line for what is not."""

from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from nexus_engine.model import commands as c
from nexus_engine.model.config import ConfigError, Directive, RiskConfig, load
from nexus_engine.model.people import _NEEDS, MACHINE, People, needs
from nexus_engine.model.profiles import PROFILES, Profile
from nexus_engine.model.words import Latch, Mode, Role

PEOPLE = """
[people.ana]
role = "owner"
chat_ids = [41, -42]
theme = "light"
voice = "mentor"
[people.bo]
role = "trader"
[people.cy]
"""


def loaded(folder: Path, text: str) -> Directive:
    file = folder / "nexus.toml"
    file.write_text(text)
    return load(file)


def people(folder: Path) -> People:
    return People(loaded(folder, PEOPLE).people)


def test_who_is_not_listed_is_a_viewer_and_without_a_list_everybody_is_an_owner(tmp_path: Path) -> None:
    some = people(tmp_path)
    assert [some.role(name) for name in ("ana", "bo", "cy", "dan", "ANA", "ana ", "", "bot", "you")] == [
        Role.OWNER,
        Role.TRADER,
        *[Role.VIEWER] * 7,
    ]
    assert People({}).role("anybody") is Role.OWNER
    assert (some.in_chat(-42), some.in_chat(7)) == ("ana", "")
    assert (some.voice("ana"), some.voice("bo"), some.voice("dan")) == ("mentor", None, None)


def test_every_command_has_its_role_and_one_that_is_new_takes_an_owner() -> None:
    assert set(_NEEDS) == set(get_args(c.AnyCommand))

    class Invented(c.Command, frozen=True, kw_only=True):
        pass

    assert needs(Invented(), Mode.PILOT)[0] is Role.OWNER


@pytest.mark.parametrize(
    ("command", "by", "told"),
    [
        (c.Approve(proposal=1, shown=""), "cy", "approve refused: cy is a viewer; it takes a trader"),
        (c.ClosePosition(symbol="BTCUSDT"), "root", "close refused: root is not in [people]; it takes a trader"),
        (c.Release(latch=Latch.HALT, word="halt"), "bo", "resume refused: bo is a trader; it takes an owner"),
        (c.SetMode(mode=Mode.PILOT), "bo", "mode up refused: bo is a trader; it takes an owner"),
        (c.SetMode(mode=Mode.WATCHER), "bo", ""),
        (c.SetMode(mode=Mode.COPILOT), "bo", ""),
        (c.SetMode(mode=Mode.PILOT), "ana", ""),
        (c.Flatten(word="flat"), "bo", ""),
        (
            c.Flatten(word="flat", foreign=True),
            "bo",
            "flatten with what is foreign refused: bo is a trader; it takes an owner",
        ),
        (c.Unlock(word="live main"), "bo", "unlock refused: bo is a trader; it takes an owner"),
        (c.Halt(), "", ""),
        (c.Halt(), "nexus kill", ""),
        (c.Pause(), "x" * 400, f"pause refused: {'x' * 31} is not in [people]; it takes a trader"),
    ],
)
def test_a_refusal_says_who_and_what_it_takes(tmp_path: Path, command: c.Command, by: str, told: str) -> None:
    assert people(tmp_path).refusal(command, by, Mode.COPILOT) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[people.bo]\nrole = "trader"', "people: nobody is an owner, so nobody could resume"),
        (
            '[people.a]\nrole = "owner"\nchat_ids = [1]\n[people.b]\nchat_ids = [1]',
            "people: chat 1 is a and b; a chat is one person",
        ),
        ('[people.bot]\nrole = "owner"', "people: bot is what the log calls the machine"),
        ('[people.Ana]\nrole = "owner"', "people.Ana = 'Ana': string should match pattern"),
        ('[people.a]\nrole = "boss"', "people.a.role = 'boss': input should be 'viewer', 'trader' or 'owner'"),
        ('[people.a]\nrol = "owner"', "unknown key people.a.rol; known here: role, chat_ids, theme, bell, voice"),
        ('[people.a]\nvoice = "pirate"', "people.a.voice = 'pirate': input should be 'plain', 'calm'"),
        ('[risk]\nprofile = "wild"', "risk.profile = 'wild': input should be 'careful', 'standard' or 'bold'"),
        ("[risk]\nprofile = [1]", "risk.profile = [1]: input should be 'careful'"),
        ('[account]\nmodes = {harpoon = "FAST"}', "account.modes.harpoon = 'FAST': input should be 'WATCHER'"),
    ],
)
def test_what_cannot_be_is_one_line_that_names_the_key(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_machines_own_names_are_nobodys() -> None:
    for name in MACHINE:
        with pytest.raises(ValidationError):
            Directive.model_validate({"people": {name: {"role": "owner"}}})


def test_a_profile_is_where_the_keys_of_risk_start_and_a_given_key_wins(tmp_path: Path) -> None:
    careful = loaded(tmp_path, '[risk]\nprofile = "careful"\nleverage = 7\n').risk
    assert (careful.trade_risk_pct, careful.leverage, careful.naked_ms) == (0.25, 7, 2_000)
    assert RiskConfig() == RiskConfig.model_validate({"profile": "standard"})
    # as a recording keeps it and `nexus replay` reads it back
    kept: dict[str, Any] = Directive(risk=careful).model_dump(mode="json")
    assert Directive.model_validate(kept).risk == careful


def test_every_profile_is_in_range_and_each_risks_less_than_the_next() -> None:
    assert set(PROFILES) == set(get_args(Profile))
    made = [RiskConfig.model_validate({"profile": name}) for name in ("careful", "standard", "bold")]
    for key in PROFILES["bold"]:
        values = [getattr(one, key) for one in made]
        assert values == sorted(values) and len(set(values)) == 3, key
    assert PROFILES["careful"].keys() == PROFILES["bold"].keys()
