"""When the app paints: one frame in flight, what could not be painted is owed, and after a stall all of it again."""

from collections.abc import Callable
from time import monotonic_ns
from typing import Any

from rich.console import RenderableType
from textual import events
from textual._compositor import ChopsUpdate
from textual.app import App
from textual.geometry import Size
from textual.screen import Screen

from nexus_tui.caches import forget
from nexus_tui.canvas import Canvas
from nexus_tui.drain import Drain
from nexus_tui.screens.cockpit import Cockpit


class PacedApp(App[str], inherit_bindings=False):
    """Paints as fast as its terminal takes it."""

    def __init__(self, *, clock: Callable[[], int] = monotonic_ns, **wanted: Any) -> None:
        super().__init__(**wanted)
        self.clock = clock
        self.drain = Drain()
        self.canvas = Canvas()
        self._owed = False

    def frame_free(self) -> bool:
        """A frame may be painted now."""
        free: Callable[[], bool] | None = getattr(self._driver, "free", None)
        return not self.drain.busy if free is None else free()

    def owe(self) -> None:
        """Something could not be painted; it will be as soon as the frame on its way has been taken."""
        self._owed = True

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        if renderable is None or self._batch_count:
            return
        if not self.frame_free():
            # A screen of Textual's own, which does not keep what it could not paint: all of it, later.
            self.owe()
            screen.refresh()
            return
        super()._display(screen, renderable)
        spans = renderable.spans if isinstance(renderable, ChopsUpdate) else ()
        cells = sum(end - start for _, start, end in spans) or screen.size.area
        end_frame: Callable[[int], None] | None = getattr(self._driver, "end_frame", None)
        if end_frame is not None:
            end_frame(cells)
        else:
            self.frame_taken(self.drain.begin(self.clock(), cells))

    def frame_taken(self, frame: int) -> None:
        """The terminal has painted `frame`."""
        whole = self.drain.done(frame, self.clock())
        if (cockpit := self._cockpit) is not None:
            cockpit.drained()
        self.paint_owed(whole=whole)

    @property
    def _cockpit(self) -> Cockpit | None:
        bottom = self.screen_stack[0] if self._screen_stack else None
        return bottom if isinstance(bottom, Cockpit) else None

    def paint_owed(self, *, whole: bool = False) -> None:
        """Paint what waited; all of it after a stall, when nobody knows what the terminal shows."""
        if not self._screen_stack or not self.is_running:
            return
        if whole:
            self.canvas.lost()
        if whole or self._owed:
            self._owed = False
            self.screen._compositor_refresh()

    def measure(self) -> None:
        """Ask the terminal for its size: in a storm of resizes the news of the last one can get lost."""
        ask: Callable[[], tuple[int, int]] | None = getattr(self._driver, "terminal_size", None)
        if ask is not None and (size := Size(*ask())) != self.size:
            self.post_message(events.Resize(size, size))

    def on_resize(self) -> None:
        # also where the size is what it was: between two signals the terminal may have been smaller, and cut
        self.canvas.lost()
        forget()

    def refresh_css(self, animate: bool = True) -> None:
        self.canvas.lost()  # every cell may look different
        super().refresh_css(animate)
