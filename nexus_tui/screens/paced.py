"""Screens that paint no faster than the terminal takes."""

from typing import TYPE_CHECKING, cast

from textual.screen import ModalScreen, Screen, ScreenResultType

if TYPE_CHECKING:
    from nexus_tui.app import NexusApp


class Paced(Screen[ScreenResultType]):
    """Keeps its dirty regions while a frame is on its way; the app paints them when that has been taken."""

    def _compositor_refresh(self) -> None:
        app = cast("NexusApp", self.app)
        if self is app.screen and not app.frame_free():
            self._dirty_widgets.clear()
            app.owe()
            return
        super()._compositor_refresh()


class PacedModal(Paced[ScreenResultType], ModalScreen[ScreenResultType]):
    """The same for a dialog."""
