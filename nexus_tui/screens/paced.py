"""Screens that paint no faster than the terminal takes, and no more than has changed."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from textual import events, on
from textual.geometry import Region
from textual.screen import ModalScreen, Screen, ScreenResultType

from nexus_tui.caches import forget

if TYPE_CHECKING:
    from nexus_tui.app import NexusApp


class Paced(Screen[ScreenResultType]):
    """Gives what is dirty to the app's `Canvas`, and paints what that says may leave now.

    Textual marks the whole screen when a dialog comes or goes: that is 45 kB on a large terminal, where the dialog's
    own box is all that changed.
    """

    def boxes(self) -> set[Region]:
        """What this screen covers of the ones below it."""
        return {
            region.intersection(clip)
            for widget, (region, clip) in self._compositor.visible_widgets.items()
            if widget is not self and widget.visible
        }

    def late(self) -> Iterable[Region]:
        """What may wait longest on a slow link."""
        return ()

    @on(events.Resize)
    def keep_the_newest_size(self, event: events.Resize) -> None:
        # Textual tells a screen of its own layout as if that were the terminal's size. Two of them on their way, one of
        # them old, would undo each other for ever.
        if event.size != self.app.size:
            event.prevent_default()

    def _on_timer_update(self) -> None:
        # Textual forgets which widgets are dirty when the screen is to be painted too, which for it is all of it
        self._compositor.update_widgets(self._dirty_widgets)
        super()._on_timer_update()

    def _compositor_refresh(self) -> None:
        app = cast("NexusApp", self.app)
        canvas, dirty = app.canvas, self._compositor._dirty_regions
        self._compositor.update_widgets(self._dirty_widgets)
        self._dirty_widgets.clear()
        if self is not app.screen:
            dirty.discard(self.size.region)
            if dirty and self in app._background_screens:
                # each screen above paints what is behind it, and keeps a picture of it that is old now
                for screen in app.screen_stack[app.screen_stack.index(self) : -1]:
                    screen._set_dirty(*dirty)
                canvas.add(dirty)  # a screen that is not mounted yet forgets of what it is told
                app.screen.refresh(*dirty)
            dirty.clear()
            return
        if app._batch_count:  # Textual paints nothing now, and what it is given would be lost
            app.owe()
            return
        if self._compositor.size != app.size:  # not laid out yet, or not anew
            # the newest size may have come before the screen could be laid out
            self.post_message(events.Resize(app.size, app.size))
            app.owe()
            return
        whole = self._compositor.size.region
        dirty.discard(whole)
        canvas.add(dirty)
        dirty.clear()
        canvas.stand(whole, {id(each): each.boxes() for each in app.screen_stack[1:] if isinstance(each, Paced)})
        if not canvas.waiting:
            return
        if not app.frame_free():
            app.owe()
            return
        first = self.boxes() if self is not app.screen_stack[0] else ()
        dirty.update(canvas.share(app.drain.share(), first, self.late()))
        if canvas.waiting:
            app.owe()
        super()._compositor_refresh()


class PacedModal(Paced[ScreenResultType], ModalScreen[ScreenResultType]):
    """The same for a dialog."""

    def on_unmount(self) -> None:
        # a closed dialog is a knot of cycles: thousands of objects of its picture would wait in it for the collector
        for widget in self._compositor.widgets:
            widget._styles_cache.clear()
        forget()
