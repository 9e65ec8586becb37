"""A voice in the events pane: it is heard where there is room, and no fact gives way to it."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tui_driving import cockpit
from tui_views import EVENTS, event, view

from nexus_engine.model.config import load
from nexus_engine.model.view import EventRow
from nexus_engine.model.words import Level
from nexus_tui.__main__ import _comfort, _options, _parse, _role_note
from nexus_tui.widgets.panes import Events
from nexus_tui.widgets.rows import Row

FACT = "stop 94.20 confirmed, 212 ms"
VOICED = replace(event(5, "SOLUSDT", "bot", FACT, Level.GOOD), after="— the venue holds it.")


def painted(rows: tuple[EventRow, ...], width: int, height: int) -> list[str]:
    lines: list[Row] = Events().build(view(events=rows), width, height)[1]
    return ["".join(text for text, _ in line).rstrip() for line in lines][:height]


def test_where_there_is_room_the_words_follow_the_fact_on_its_line() -> None:
    assert painted((VOICED, *EVENTS), 119, 5)[0].endswith(f"{FACT} — the venue holds it.")


def test_in_a_narrow_pane_the_newest_line_has_its_words_below_and_older_ones_go_without() -> None:
    older = replace(VOICED, at_ns=VOICED.at_ns - 10**10)
    lines = painted((VOICED, older), 51, 5)
    assert [line.strip() for line in lines[:2]] == [lines[0].strip(), "the venue holds it."]
    assert lines[0].endswith(FACT) and lines[2].endswith(FACT) and len(lines) == 3
    before = replace(VOICED, before="Settled:", after="")
    assert painted((before,), 51, 5)[1].strip() == "Settled"
    assert len(painted((VOICED, older), 51, 2)) == 2


words = st.text("abcdefghij ,'", min_size=1, max_size=44).map(lambda text: f"— a{text.strip()}.")


@given(
    st.text("abc 0123456789.,-+:", min_size=1, max_size=250).filter(str.strip),
    words,
    st.sampled_from(["", "Settled:"]),
    st.integers(30, 250),
    st.integers(1, 8),
)
def test_no_width_shows_less_of_a_fact_for_a_voice_and_none_shows_half_a_voice(
    fact: str, after: str, before: str, width: int, height: int
) -> None:
    row = event(5, "SOLUSDT", "bot", fact)
    alone = painted((row,), width, height)
    told = painted((replace(row, before=before, after=after),), width, height)
    if told == alone:
        return
    if len(told) > len(alone):
        assert told[: len(alone)] == alone and height > 2
        assert told[-1].strip() == f"{before.rstrip(':')}{after.removeprefix('— ')}".strip()
    else:
        assert len(told) == 1
        assert told[0].rstrip().endswith(f"{fact.replace(chr(160), ' ')} {after}".strip())


async def test_rows_one_and_two_the_cards_and_the_outcome_are_the_same_in_every_voice() -> None:
    loud = tuple(replace(row, before="Attention!", after="— MARKER.") for row in EVENTS)
    shown: list[list[str]] = []
    for rows in (EVENTS, loud):
        async with cockpit(view(events=rows, outcome=rows[3])) as driven:
            await driven.pass_ms(0)
            shown.append(driven.text.splitlines())
    plain, voiced = shown
    top = next(at for at, line in enumerate(plain) if "Events" in line)
    assert plain[:top] == voiced[:top] and plain[-2:] == voiced[-2:]
    assert "MARKER" not in "\n".join(voiced[:top] + voiced[-2:])


# ---- who sits here ---------------------------------------------------------------------------------------------------

PEOPLE = """
[ui]
theme = "dark"
[people.ana]
role = "owner"
theme = "light"
bell = "off"
[people.cy]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "nexus.toml"
    file.write_text(PEOPLE)
    return file


def options(*words: str, attach: bool = False) -> Any:
    return _options(_parse(words, attach=attach), attach=attach)


def test_each_persons_cockpit_looks_and_rings_as_they_like(config: Path) -> None:
    directive = load(config)
    ana, cy = _comfort(directive, config, "ana"), _comfort(directive, config, "cy")
    assert ana is not None and (ana.theme, ana.bell) == ("light", "off")
    assert cy is not None and (cy.theme, cy.bell) == ("dark", "alarm")


def test_who_may_only_look_is_told_so_at_once(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexus_engine.runtime.options.os_user", lambda: "root")
    assert options("--demo").person == "you" and not _role_note(options("--demo"))
    with_people = ("--demo", "--config", str(config))
    assert _role_note(options(*with_people)) == (
        "root is not in [people]: looks and HALTs, no more; say who you are with --as NAME"
    )
    assert _role_note(options(*with_people, "--as", "cy")) == "cy: a viewer looks and HALTs, no more"
    assert options(*with_people, "--as", "ana").person == "ana" and not _role_note(options(*with_people, "--as", "ana"))


def test_a_name_that_nobody_has_is_one_line(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from nexus_tui.__main__ import main

    for words, told in (
        (
            ("--config", str(config), "--as", "eve"),
            "--as eve: is not among the people of the directive; known: ana, cy",
        ),
        (("--as", "eve"), "there are none; add [people.eve]"),
    ):
        assert main(["--headless", "--demo", *words]) == 2
        err = capsys.readouterr().err
        assert told in err and err.count("\n") == 1


def test_an_attached_cockpit_without_a_directive_lets_the_engine_judge() -> None:
    assert options("--as", "eve", attach=True).person == "eve"
    assert options(attach=True).person == "you"
