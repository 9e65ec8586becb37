"""What the palette offers: the keys' actions in words, and the themes."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from textual.app import SystemCommand
from textual.screen import Screen

from nexus_tui.themes import THEMES

if TYPE_CHECKING:
    from nexus_tui.app import NexusApp

_LEFT_OUT = frozenset({"down", "up", "palette"})


def commands(app: "NexusApp", screen: Screen[Any]) -> Iterable[SystemCommand]:
    """Every key but the moving ones, acting on `screen`, then one entry a theme."""
    for key in app.key_table:
        if key.id in _LEFT_OUT:
            continue

        async def run(action: str = key.action) -> None:
            await app.run_action(action, screen)

        yield SystemCommand(f"{key.id}  ({key.face})" if key.keys else key.id, key.help, run)
    if app.no_color:
        return
    for theme in THEMES:

        def wear(name: str = theme.name) -> None:
            app.theme = name

        yield SystemCommand(f"theme {theme.name}", "change the colours", wear)
