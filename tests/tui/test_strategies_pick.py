"""The menu's list of strategies: off at once, on after a yes."""

from msgspec.structs import replace
from tui_driving import cockpit
from tui_views import view

from nexus_engine.model.commands import Switch
from nexus_engine.model.view import View
from nexus_engine.model.words import Mode


def running() -> View:
    return replace(view(), strategies=(("flow", True, Mode.PILOT), ("shark", False, Mode.COPILOT)))


async def test_a_strategy_is_switched_off_at_once_and_on_after_a_yes() -> None:
    async with cockpit(running()) as driven:
        await driven.press("colon", *"strategies", "enter")
        assert "its stops stay" in driven.text
        assert "shark" in driven.text and "OFF  COPILOT" in driven.text
        await driven.press("1")
        assert driven.sent == [Switch(strategy="flow", on=False)]
        await driven.press("colon", *"strategies", "enter", "2")
        assert "Switch shark on" in driven.text
        await driven.press("enter")
        assert len(driven.sent) == 1
        await driven.press("colon", *"strategies", "enter", "2", "y")
        assert driven.sent[1:] == [Switch(strategy="shark", on=True)]
