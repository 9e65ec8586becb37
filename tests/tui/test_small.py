"""On a terminal too small for what one decides about nothing is decided, in a dialog neither; HALT always is."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace
from tui_driving import Driven, cockpit
from tui_views import POSITIONS, card, halted, view

from nexus_engine.model.commands import Halt

PICTURE = view(
    account=halted().account,
    positions=POSITIONS[:1],
    proposals=(replace(card(), proposal=replace(card().proposal, worst_pct=2.0)),),
)
WHY = "nothing is sent from a terminal smaller than 80x24 (HALT works)"


async def enlarged(driven: Driven) -> str:
    await driven.pilot.resize_terminal(80, 24)
    await driven.pass_ms(0)
    return driven.row(-2).strip()


@pytest.mark.parametrize("size", [(70, 20), (79, 40), (120, 23)])
@pytest.mark.parametrize(
    ("opener", "decides"),
    [
        ("a", "y"),
        ("c", "y"),
        ("C", "y"),
        ("m", "w"),
        ("m", ["p", *"pilot", "enter"]),
        ("F", [*"flat", "enter"]),
        ("s", [*"95500", "enter"]),
        ("e", ["2", "enter"]),
        ("r", [*"halt", "enter"]),
    ],
)
async def test_a_dialog_that_was_open_decides_nothing_on_a_terminal_too_small(
    opener: str, decides: Sequence[str], size: tuple[int, int]
) -> None:
    async with cockpit(PICTURE) as driven:
        await driven.arm()
        await driven.press(opener)
        assert len(driven.app.screen_stack) > 1
        await driven.pilot.resize_terminal(*size)
        await driven.press(*decides, apart_ms=800 if len(decides) == 1 else 100)
        assert driven.sent == []
        assert await enlarged(driven) == WHY
        await driven.pilot.resize_terminal(*size)
        await driven.press("f10")
        assert driven.sent == [Halt(reason="key")]


async def test_a_terminal_too_small_says_what_was_not_sent_and_else_what_to_do() -> None:
    async with cockpit(PICTURE) as driven:
        await driven.press("F")
        await driven.pilot.resize_terminal(79, 40)
        assert "smaller than 80x24: only HALT is sent; make it larger" in driven.text
        await driven.press(*"flat", "enter", apart_ms=100)
        assert driven.sent == []
        assert WHY in driven.text
        await driven.pass_ms(6_000)
        assert WHY not in driven.text
        assert "smaller than 80x24: only HALT is sent; make it larger" in driven.text


@pytest.mark.parametrize("key", ["a", "x", "e", "c", "C", "s", "r", "p", "m", "F"])
async def test_no_key_of_the_cockpit_acts_on_a_terminal_too_small_and_each_says_why(key: str) -> None:
    async with cockpit(PICTURE, size=(70, 20)) as driven:
        await driven.press(key)
        assert driven.sent == [] and len(driven.app.screen_stack) == 1
        assert await enlarged(driven) == WHY


async def test_a_card_is_not_hidden_unseen() -> None:
    async with cockpit(PICTURE, size=(70, 20)) as driven:
        await driven.press("full_stop")
        assert "too small" in await enlarged(driven)
        assert "P41" in driven.text


async def test_the_way_out_stays_open() -> None:
    async with cockpit(PICTURE, size=(70, 20)) as driven:
        await driven.press("q")
        await driven.pilot.press("r")
        await driven.pilot.pause()
        assert driven.app.return_value == "quit"


async def test_a_card_is_ready_only_once_it_has_stood_on_the_enlarged_terminal() -> None:
    async with cockpit(view()) as driven:
        await driven.arm()
        assert "READY" in driven.text
        await driven.pilot.resize_terminal(70, 20)
        await driven.pass_ms(800)
        await driven.pilot.resize_terminal(80, 24)
        await driven.press("a", apart_ms=50)
        assert driven.sent == []
        await driven.arm()
        await driven.press("a")
        assert [type(each).__name__ for each in driven.sent] == ["Approve"]
