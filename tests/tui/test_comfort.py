"""Comfort: other keys, colours, the bell, the terminal's title, the first start."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tui_driving import cockpit
from tui_views import card, event, view

from nexus_engine.model.commands import Approve, Halt, Reject
from nexus_engine.model.config import ConfigError, load
from nexus_engine.model.words import Level
from nexus_tui.__main__ import _comfort
from nexus_tui.bindings import KEYS, NAMED, KeyProblem, remap
from nexus_tui.comfort import Comfort, Ringer, heading
from nexus_tui.safe import plain
from nexus_tui.screens.menu import entries
from nexus_tui.themes import BY_NAME
from nexus_tui.welcome import first_run, welcome

S = 1_000_000_000


# ---- keys ------------------------------------------------------------------------------------------------------------


async def test_a_remapped_key_works_everywhere_and_the_old_one_is_dead() -> None:
    comfort = Comfort(keys=remap({"approve": "y", "reject": "a", "halt": "u"}))
    async with cockpit(comfort=comfort) as driven:
        await driven.arm()
        await driven.press("x")
        assert driven.sent == []
        await driven.press("y")
        assert driven.sent == [Approve(proposal=41, shown=card().shown)]
        await driven.press("a")
        assert driven.sent[1:] == [Reject(proposal=41)]
        assert driven.row(-1).startswith(" y approve  a reject ")
        await driven.press("question_mark")
        assert "y        approve it" in driven.text
        assert "u ^x F10" in driven.text
        await driven.press("u", "f10", "ctrl+x")
        assert driven.sent[2:] == [Halt(reason="key")] * 3


async def test_a_remapped_halt_is_halt_where_a_word_is_typed() -> None:
    async with cockpit(comfort=Comfort(keys=remap({"halt": "u"}))) as driven:
        await driven.press("F", "f", "u")
        assert driven.sent == [Halt(reason="key")]


async def test_a_remapped_approval_is_still_not_repeated() -> None:
    async with cockpit(view(proposals=(card(), card(42))), comfort=Comfort(keys=remap({"approve": "v"}))) as driven:
        await driven.arm()
        await driven.press("v", "v", "v", apart_ms=40)
        assert len(driven.sent) == 1


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"halt": ""}, "halt cannot be without a key"),
        ({"approve": "  "}, "approve cannot be without a key"),
        ({"fly": "f"}, "unknown action fly; known here: approve"),
        ({"reconcile": "f"}, "unknown action reconcile"),
        ({"approve": "x"}, "reject and approve are both on x"),
        ({"approve": "f10"}, "halt and approve are both on f10"),
        ({"approve": "ctrl+x"}, "are both on ctrl+x"),
        ({"approve": "escape"}, "is no key"),
        ({"approve": "ctrl+c"}, "is no key"),
        ({"approve": "hyper+a"}, "is no key"),
        ({"approve": "\x1b[2J"}, "is no key"),
    ],
)
def test_keys_that_cannot_be_are_told_in_one_line(keys: dict[str, str], told: str) -> None:
    with pytest.raises(KeyProblem) as caught:
        remap(keys)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.dictionaries(st.sampled_from(sorted(NAMED)), st.text(max_size=8), max_size=4))
def test_whatever_is_remapped_halt_keeps_its_two_keys(keys: dict[str, str]) -> None:
    try:
        table = remap(keys)
    except KeyProblem as problem:
        assert str(problem).isprintable()
        return
    halt = next(key for key in table if key.id == "halt")
    assert {"ctrl+x", "f10"} <= set(halt.keys.split(","))
    assert [key.id for key in table] == [key.id for key in KEYS]


def test_a_directive_says_how_the_cockpit_looks(tmp_path: Path) -> None:
    path = tmp_path / "nexus.toml"
    path.write_text('[ui]\ntheme = "cvd"\nbell = "off"\nconfirm_pct = 1.0\n[keys]\napprove = "y"\n')
    comfort = _comfort(load(path), path)
    assert comfort is not None
    assert (comfort.theme, comfort.bell, comfort.confirm_pct) == ("cvd", "off", 1.0)
    assert next(key.keys for key in comfort.keys if key.id == "approve") == "y"
    assert _comfort(None, None) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[keys]\nhalt = ""', "[keys] halt cannot be without a key"),
        ('[ui]\ntheme = "pink"', "ui.theme = 'pink'"),
        ("[ui]\nbell = true", "ui.bell"),
        ("[ui]\nsound = 1", "unknown key ui.sound; known here: theme, bell, confirm_pct"),
    ],
)
def test_a_wrong_directive_gets_one_line_with_its_file(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "nexus.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        _comfort(load(path), path)
    assert told in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_the_menu_has_what_has_no_key() -> None:
    async with cockpit() as driven:
        offered = {each.name for each in entries(driven.app.key_table, read_only=False, no_colour=False)}
        assert {key.id for key in KEYS} - offered == {"down", "up", "palette"}
        await driven.press("colon", *"recon", "enter")
        assert "nothing" in driven.row(-2)


async def test_the_menu_finds_by_name_first_then_by_what_it_does_and_says_what_it_does_not_find() -> None:
    async with cockpit() as driven:
        await driven.press("colon", *"stop")
        listed = driven.text[driven.text.index("Menu") :].split()
        assert listed.index("▶") < listed.index("move") < listed.index("edit")
        await driven.press(*"xx")
        assert "none of that name" in driven.text
        await driven.press("enter")
        assert len(driven.app.screen_stack) == 1 and driven.sent == []


async def test_the_menu_changes_the_theme_and_without_colour_offers_none(monkeypatch: pytest.MonkeyPatch) -> None:
    async with cockpit() as driven:
        await driven.press("colon", *"light", "enter")
        assert driven.app.theme == "nexus-light"
    monkeypatch.setenv("NO_COLOR", "1")
    async with cockpit() as driven:
        await driven.press("colon", *"theme")
        assert "none of that name" in driven.text


async def test_the_menu_of_a_cockpit_that_only_looks_offers_nothing_that_acts() -> None:
    async with cockpit(read_only=True) as driven:
        await driven.press("colon", *"flatten")
        assert "none of that name" in driven.text
        await driven.press("escape", "colon", *"halt", "enter")
        assert driven.sent == [Halt(reason="key")]


# ---- colours ---------------------------------------------------------------------------------------------------------


async def test_theme_none_has_no_colour() -> None:
    async with cockpit(comfort=Comfort(theme="none")) as driven:
        assert driven.app.no_color
        assert driven.app.theme == "ansi-dark"


@pytest.mark.parametrize("name", sorted(BY_NAME))
async def test_a_theme_is_worn(name: str) -> None:
    async with cockpit(comfort=Comfort(theme=name)) as driven:
        assert driven.app.theme == f"nexus-{name}"
        assert not driven.app.no_color


async def test_a_terminal_of_sixteen_colours_is_given_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textual.constants.COLOR_SYSTEM", "standard")
    async with cockpit() as driven:
        await driven.arm()
        assert driven.app.theme == "nexus-16"
        looks = {segment.text: segment.style for strip in driven.app.screen._compositor.render_strips()
                 for segment in strip if segment.style}  # fmt: skip
        assert [looks[word].color.number for word in ("ACTIVE", "SELL ", "BUY  ")] == [2, 9, 2]
        await driven.press("F", "f")
        field = driven.app.screen.query_one("Word").region
        (row,) = driven.app.screen._compositor.render_strips()[field.y : field.y + 1]
        (cursor,) = [style for text, style, _ in row.crop(field.x + 1, field.x + 2) if style]
        assert cursor.reverse
    async with cockpit(comfort=Comfort(theme="light")) as driven:
        assert driven.app.theme == "nexus-light"


# ---- bell and title --------------------------------------------------------------------------------------------------


def test_the_bell_rings_by_level_at_most_every_two_seconds() -> None:
    loud, quiet = event(0, "x", "bot", "!", Level.ALARM), event(0, "x", "bot", "?", Level.WARN)
    for bell, alarms, warnings in (("off", 0, 0), ("alarm", 1, 0), ("all", 1, 1)):
        for news, expected in ((loud, alarms), (quiet, warnings)):
            ringer = Ringer(bell)
            rings = [ringer.rings(view(), 0), ringer.rings(view(events=(*view().events, news)), S)]
            assert rings == [False, bool(expected)]
    ringer = Ringer("all")
    later = [replace(loud, at_ns=loud.at_ns + n) for n in range(5)]
    ringer.rings(view(), 0)
    rang = [ringer.rings(view(events=tuple(later[: n + 1])), n * S) for n in range(5)]
    assert rang == [True, False, True, False, True]


def test_old_events_ring_nothing_and_a_new_card_rings_with_all() -> None:
    old = view(events=(event(1, "x", "bot", "!", Level.ALARM),))
    for bell in ("alarm", "all"):
        ringer = Ringer(bell)
        assert not ringer.rings(old, 0)
        assert ringer.rings(replace(old, proposals=(*old.proposals, card(43))), S) is (bell == "all")


async def test_the_title_says_whose_money_it_is_and_how_the_day_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    async with cockpit() as driven:
        told: list[str] = []
        monkeypatch.setattr(driven.app, "tell_terminal", told.append)
        await driven.show(view(account=replace(view().account, day_pnl=-31.4)))
        await driven.show(view(account=replace(view().account, day_pnl=-31.2)))
        assert told == ["\x1b]2;nexus LIVE main ACTIVE -31\x07"]
        driven.link.alive = False
        await driven.pass_ms(600)
        await driven.pass_ms(600)
        assert told[1:] == ["\x1b]2;nexus LIVE main NO ENGINE\x07"]


@given(st.text())
def test_no_name_escapes_from_the_title(name: str) -> None:
    title = heading(view(account=replace(view().account, name=name)))
    assert not {char for char in title if ord(char) < 32 or 0x7F <= ord(char) < 0xA0}
    assert title == plain(title)


async def test_a_read_only_cockpit_says_so() -> None:
    async with cockpit(read_only=True) as driven:
        assert "READ-ONLY" in driven.row(0)
        assert "HALT" in driven.row(-1)
        assert "approve" not in driven.row(-1)
    async with cockpit() as driven:
        assert "READ-ONLY" not in driven.text


# ---- the first start -------------------------------------------------------------------------------------------------


def test_the_first_start_is_the_one_without_any_account(tmp_path: Path) -> None:
    assert first_run(tmp_path / "none")
    assert first_run(tmp_path)
    (tmp_path / "main-demo").mkdir()
    assert not first_run(tmp_path)


@pytest.mark.parametrize(
    ("answers", "starts", "told"),
    [([""], True, ""), (["1"], True, ""), (["q"], False, ""), (["2", ""], True, "NEXUS_BINANCE_API_KEY"),
     (["3", "x", "q"], False, "nexus keys add NAME --live"), ([], False, "")],
)  # fmt: skip
def test_enter_is_the_demo_and_nothing_else_starts(answers: list[str], starts: bool, told: str) -> None:
    left, said = list(answers), list[str]()

    def ask(prompt: str) -> str:
        if not left:
            raise EOFError
        return left.pop(0)

    assert welcome(ask, said.append) is starts
    assert not left
    assert told in "".join(said)
    assert all(len(line) < 80 for text in said for line in text.splitlines())
