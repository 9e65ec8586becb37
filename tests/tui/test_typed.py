"""What is typed to be sure: what a dialog says of it, and what it says where the word was another."""

import pytest
from msgspec.structs import replace
from test_hostile_text import CORPUS, check
from tui_driving import Driven, cockpit
from tui_views import POSITIONS, account, halted, view

from nexus_engine.model.commands import Release
from nexus_engine.model.view import LatchView, View
from nexus_engine.model.words import Latch
from nexus_tui.screens.cockpit import Cockpit

ANOTHER = "another Nexus writes on this account: order nx7f3a-1c-41-entry on 1000PEPEUSDT"


def latched(latch: Latch, reason: str = "") -> View:
    held = LatchView(latch=latch, by="bot", reason=reason, since_ns=halted().account.latches[0].since_ns)
    return view(account=account(latches=(held,), blocked=latch.value))


@pytest.mark.parametrize(
    ("keys", "typed", "word"),
    [
        (["F"], "flatten", "flat"),
        (["m", "p"], "piolt", "pilot"),
        (["r"], "hlat", "halt"),
        (["q", "f"], "flt", "flat"),
    ],
)
async def test_another_word_sends_nothing_and_says_so(keys: list[str], typed: str, word: str) -> None:
    async with cockpit(halted()) as driven:
        await driven.press(*keys, *typed, "enter")
        assert isinstance(driven.app.screen, Cockpit) and driven.sent == []
        assert f"nothing sent: `{typed}` is not `{word}`" in driven.row(-2)


@pytest.mark.parametrize("keys", [["escape"], ["enter"], ["space", "enter"], ["f", "escape"]])
async def test_who_goes_back_is_told_nothing(keys: list[str]) -> None:
    async with cockpit(halted()) as driven:
        before = driven.row(-2)
        for opener in ("F", "r"):
            await driven.press(opener, *keys)
            assert isinstance(driven.app.screen, Cockpit)
            assert driven.row(-2) == before


async def test_who_resumes_what_is_not_paused_is_told_what_holds_and_the_key() -> None:
    for picture, told in (
        (halted(), "PAUSE does not hold; HALT does: r releases it"),
        (latched(Latch.PROTECT_ONLY), "PAUSE does not hold; PROTECT ONLY does: r releases it"),
        (view(), "PAUSE does not hold"),
    ):
        async with cockpit(picture) as driven:
            await driven.press("colon", *"resume", "enter")
            assert driven.row(-2).strip() == told


async def release(driven: Driven, *typed: str) -> None:
    await driven.press("r", *("space" if each == " " else each for each in typed))


@pytest.mark.parametrize("typed", ["protect only", "PROTECT_ONLY", "protect-only"])
async def test_the_word_that_releases_is_the_latch_as_it_is_written_anywhere(typed: str) -> None:
    async with cockpit(latched(Latch.PROTECT_ONLY)) as driven:
        assert "PROTECT ONLY" in driven.row(2)
        await release(driven)
        assert "Release PROTECT ONLY" in driven.text and "type protect only and enter" in driven.text
        assert "PROTECT_ONLY" not in driven.text and "protect_only" not in driven.text
        await driven.press("escape")
        await release(driven, *typed, "enter")
        assert driven.sent == [Release(latch=Latch.PROTECT_ONLY, word="protect_only")]


async def test_a_long_reason_is_wrapped_and_loses_nothing() -> None:
    async with cockpit(latched(Latch.PROTECT_ONLY, ANOTHER)) as driven:
        await release(driven)
        shown = " ".join(row.strip(" │") for row in driven.text.splitlines())
        assert ANOTHER in shown


async def test_a_reason_without_an_end_is_cut_where_it_can_be_seen() -> None:
    async with cockpit(latched(Latch.PROTECT_ONLY, "disk full " * 90)) as driven:
        await release(driven)
        assert any(row.strip(" │").endswith("…") for row in driven.text.splitlines()[2:-2])
        assert "type protect only" in driven.text


@pytest.mark.parametrize("text", CORPUS)
async def test_a_reason_from_elsewhere_is_only_text(text: str) -> None:
    positions = (replace(POSITIONS[0], symbol=text * 3, no_half=text * 3),)
    held = latched(Latch.PROTECT_ONLY, text * 3)
    async with cockpit(replace(held, positions=positions)) as driven:
        for keys in (("r",), ("escape", "C")):
            await driven.press(*keys)
            await driven.show(replace(held, positions=positions))
            check(driven.text, 80)
            assert "cannot be shown" not in driven.text
