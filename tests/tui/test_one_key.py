"""A key that a dialog answers to is used once: the cockpit behind it hears nothing of it."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from test_lab_page import FOUND
from test_looking import XRP
from tui_driving import MS, Driven, cockpit
from tui_views import POSITIONS, card, halted, view

from nexus_engine.model.words import Mode
from nexus_tui import child
from nexus_tui.app import NexusApp
from nexus_tui.bindings import KEYS
from nexus_tui.screens.cockpit import Cockpit
from nexus_tui.screens.dialogs import Confirm, Dialog, Find, Pick, Price, Typed
from nexus_tui.screens.drill import DrillPage
from nexus_tui.screens.lab import Desk, Files, Lab, Report, Run
from nexus_tui.screens.reconcile import AdoptPage

PICTURE = view(
    positions=POSITIONS[:1],
    foreign=(("XRPUSDT", Decimal(50)),),
    differences=(XRP, replace(XRP, symbol="BNBUSDT", venue=Decimal(-2))),
    strategies=(("flow", True, Mode.PILOT), ("shark", False, Mode.COPILOT)),
    account=halted().account,
    proposals=(replace(card(), proposal=replace(card().proposal, worst_pct=2.0)),),
)
HEARD = sorted({name for key in KEYS if not key.priority for name in key.keys.split(",") if name})
"""What the cockpit could take for its own."""


def _desk() -> Desk:
    return Desk(Path(), runs=[Run(Path("a.csv"), "BTCUSDT", "flow", begun=True, found=FOUND)])


def _strategy_pick(seen: Cockpit) -> None:
    lab = Lab(_desk(), Path())
    seen.app.push_screen(lab)
    lab.call_after_refresh(lab.action_new)


OPENED: dict[str, Callable[[Cockpit], object]] = {
    "approve": lambda seen: seen.action_approve(),
    "edit": lambda seen: seen.action_edit(),
    "close": lambda seen: seen.action_close(False),
    "half": lambda seen: seen.action_close(True),
    "stop": lambda seen: seen.action_stop(),
    "release": lambda seen: seen.action_release(),
    "mode": lambda seen: seen.action_mode(),
    "strategies": lambda seen: seen.action_strategies(),
    "flatten": lambda seen: seen.action_flatten(),
    "reconcile": lambda seen: seen.action_reconcile(),
    "adopt": lambda seen: seen.app.push_screen(AdoptPage(XRP)),
    "leave": lambda seen: seen.action_leave(),
    "history": lambda seen: seen.action_history(),
    "drill": lambda seen: seen.action_drill(),
    "drilling": lambda seen: seen.app.push_screen(DrillPage("flash")),
    "why": lambda seen: seen.action_why(),
    "find": lambda seen: seen.action_find(),
    "menu": lambda seen: seen.action_menu(),
    "keys": lambda seen: seen.action_keys(),
    "lab": lambda seen: seen.app.push_screen(Lab(_desk(), Path())),
    "report": lambda seen: seen.app.push_screen(Report(FOUND)),
    "files": lambda seen: seen.app.push_screen(Files("Which bars", ["a.csv", "BTCUSDT.csv"])),
    "strategy": _strategy_pick,
}


def kinds(kind: type[Dialog[Any]] = Dialog) -> Iterator[type[Dialog[Any]]]:
    for each in kind.__subclasses__():
        if each.__module__.startswith("nexus_tui."):
            yield each
            yield from kinds(each)


@pytest.fixture
def acted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What keys have asked the cockpit for; nothing leaves the test, and a backtest has a file to choose."""
    found: list[str] = []
    whole = NexusApp._dispatch_action

    async def dispatched(self: NexusApp, namespace: Any, name: str, params: Any) -> bool:
        if isinstance(namespace, Cockpit):
            found.append(name)
        return await whole(self, namespace, name, params)

    async def nothing(*_: Any, **__: Any) -> dict[str, Any]:
        raise child.ChildFailed("not here")

    monkeypatch.setattr(NexusApp, "_dispatch_action", dispatched)
    monkeypatch.setattr(NexusApp, "exit", lambda *_, **__: None)
    monkeypatch.setattr(child, "run", nothing)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "BTCUSDT.csv").touch()
    return found


async def opened(driven: Driven, name: str) -> Dialog[Any]:
    while len(driven.app.screen_stack) > 1:
        driven.app.pop_screen()
        await driven.pilot.pause()
    if name == "approve":
        await driven.arm()
    OPENED[name](driven.cockpit)
    await driven.pilot.pause()
    if name == "strategy":
        await driven.press("enter")
    top = driven.app.screen
    assert isinstance(top, Dialog)
    return top


@pytest.mark.parametrize("name", OPENED)
async def test_a_key_that_a_dialog_hears_is_heard_by_nothing_behind_it(name: str, acted: list[str]) -> None:
    async with cockpit(PICTURE) as driven:
        top = await opened(driven, name)
        typing = driven.app.focused
        for key in HEARD:
            acted.clear()
            sent = len(driven.sent)
            driven.app.now_ns += 400 * MS
            await driven.pilot.press(key)
            assert len(acted) <= (name == "menu" and key == "enter"), f"{key} does {acted}"
            assert len(driven.sent) <= sent + 1, key
            if driven.app.screen is not top or driven.app.focused is not typing:
                top = await opened(driven, name)


async def test_every_kind_of_dialog_is_among_them(acted: list[str]) -> None:
    async with cockpit(PICTURE) as driven:
        found = {type(await opened(driven, name)) for name in OPENED}
    assert set(kinds()) - {Confirm, Find, Pick, Price, Typed} <= found
    assert {Confirm, Pick, Typed} <= found
