"""The cockpit's app: the keys that work everywhere, what the terminal is told beside frames, and how it ends."""

import contextlib
import os
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.binding import BindingType
from textual.driver import Driver
from textual.screen import Screen
from textual.widgets import Input

from nexus_engine.model.commands import AnyCommand, Halt
from nexus_engine.model.view import View
from nexus_tui.bindings import bindings, deciding, emergency, keymap, moving
from nexus_tui.comfort import Comfort, Ringer, heading
from nexus_tui.gate import KeyGate
from nexus_tui.layout import LEAST
from nexus_tui.link import Link
from nexus_tui.pace import PacedApp
from nexus_tui.paths import styles_dir
from nexus_tui.screens.cockpit import Cockpit
from nexus_tui.themes import ANSI_VARIABLES, BY_NAME, DARK, NO_COLOUR, SIXTEEN, THEMES
from nexus_tui.widgets.rows import CLASSES

if TYPE_CHECKING:
    from nexus_tui.screens.lab import Desk

QUIT, DETACH, HANGUP, FLATTEN, TERMINATE = "quit", "detach", "hangup", "flatten", "terminate"


class NexusApp(PacedApp, inherit_bindings=False):
    """Shows what a link sees. `run()` returns how it was left: quit, detach, hangup, flatten or terminate.

    None means that it failed; the traceback, without any value, is then in `log_path`.
    """

    TITLE = "Nexus"
    CSS_PATH: ClassVar[Any] = [styles_dir() / name for name in ("base.tcss", "cockpit.tcss", "narrow.tcss")]
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(app=True)]
    COMPONENT_CLASSES: ClassVar[set[str]] = set(CLASSES)
    ENABLE_COMMAND_PALETTE = False

    def __init__(
        self,
        link: Link,
        *,
        comfort: Comfort | None = None,
        log_path: Path | None = None,
        read_only: bool = False,
        clock: Callable[[], int] = monotonic_ns,
        driver_class: type[Driver] | None = None,
    ) -> None:
        if driver_class is None:
            from nexus_tui.driver import CockpitDriver

            driver_class = CockpitDriver
        comfort = comfort or Comfort()
        if comfort.theme not in BY_NAME:
            os.environ["NO_COLOR"] = "1"  # Textual asks for it in one place only
        no_colour = "NO_COLOR" in os.environ
        for stale in ("COLUMNS", "LINES"):  # asked before the terminal itself, and no resize changes them
            os.environ.pop(stale, None)
        super().__init__(clock=clock, driver_class=driver_class, ansi_color=True if no_colour else None)
        self.animation_level = "none"
        self.link = link
        self.read_only = read_only
        self.key_table = comfort.keys
        self.emergency = emergency(comfort.keys)
        self.gate = KeyGate(
            self.drain, emergency=self.emergency, deciding=deciding(comfort.keys), moving=moving(comfort.keys)
        )
        self.confirm_pct = comfort.confirm_pct
        self._directive = comfort.file
        self._ringer = Ringer(comfort.bell)
        self._heading = ""
        self._log_path = log_path
        self._not_shown: set[tuple[str, type[Exception]]] = set()
        for each in (*THEMES, SIXTEEN):
            self.register_theme(each)
        wanted = NO_COLOUR if no_colour else BY_NAME[comfort.theme]
        few = wanted == DARK.name and self.console.color_system == "standard"
        self.theme = SIXTEEN.name if few else wanted
        self.set_keymap(keymap(comfort.keys))

    @cached_property
    def lab(self) -> "Desk":
        """The session's backtests."""
        from nexus_tui.screens.lab import Desk

        return Desk(self._log_path.parent if self._log_path is not None else Path(), self._directive)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return ANSI_VARIABLES

    def get_default_screen(self) -> Screen[Any]:
        return Cockpit()

    # ---- keys that work everywhere --------------------------------------------------------------------------------

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key) and not event.is_forwarded:
            typing = isinstance(self.focused, Input)
            refused = self.gate.refuses(event, self.clock(), typing=typing)
            if refused:
                self.say(refused.strip())
                return
        await super().on_event(event)

    def say(self, text: str) -> None:
        """A line of the cockpit's own in the outcome row."""
        if text and (cockpit := self._cockpit) is not None:
            cockpit.say(text)

    def send(self, command: AnyCommand) -> bool:
        """Give a command to the engine. False when this cockpit may not."""
        if not isinstance(command, Halt) and not self.may_act():
            return False
        self.link.send(command)
        return True

    def may_act(self) -> bool:
        """Whether this cockpit can do more than look; says so when it cannot."""
        if hindrance := self.hindrance():
            self.say(f"{hindrance} (HALT works)")
        return not hindrance

    def hindrance(self) -> str:
        """Why nothing but HALT can be sent from here; empty when all can."""
        if self.read_only:
            return "read-only: this cockpit only looks"
        if self.small:
            return "nothing is sent from a terminal smaller than {}x{}".format(*LEAST)
        return "" if self.link.alive else "nothing is sent: there is no engine"

    @property
    def small(self) -> bool:
        """The terminal shows rows 1 and 2 alone."""
        return self.size.width < LEAST[0] or self.size.height < LEAST[1]

    def action_halt(self) -> None:
        self.send(Halt(reason="key"))
        if self._cockpit is not None:
            self._cockpit.sending("HALT sent")

    def action_redraw(self) -> None:
        self.canvas.lost()
        self.screen.refresh(layout=True)

    def action_picture(self) -> None:
        """Save what is on the screen as SVG: beside the log, or in the current folder."""
        folder = self._log_path.parent if self._log_path is not None else Path()
        path = folder / f"nexus-{datetime.now(UTC):%Y%m%d-%H%M%S}.svg"
        try:
            path.write_text(self.export_screenshot(title="Nexus"), encoding="utf-8")
        except OSError as error:
            self.say(f"no picture: {path}: {error.strerror}")
        else:
            self.say(f"picture saved: {path}")

    # ---- beyond the screen ----------------------------------------------------------------------------------------

    def seen(self, view: View, silent: str) -> None:
        """A View has been painted: the terminal's title, and the bell. `silent`: what there is instead of a new one."""
        title = heading(view, silent)
        if title != self._heading and os.environ.get("TERM") not in ("linux", "dumb"):
            self._heading = title
            self.tell_terminal(f"\x1b]2;{title}\x07")
        if self._ringer.rings(view, self.clock()):
            self.tell_terminal("\a")

    def tell_terminal(self, data: str) -> None:
        """What is not a frame."""
        if self._driver is not None and not self.is_headless:
            self._driver.write(data)

    def action_detach(self) -> None:
        self.exit(DETACH)

    def action_leave(self) -> None:
        if isinstance(self.screen, Cockpit):
            self.screen.action_leave()

    # ---- the end --------------------------------------------------------------------------------------------------

    def hangup(self) -> None:
        """The terminal is going (SIGHUP). From a signal handler or any thread."""
        self._leave_from_outside(HANGUP)

    def terminate(self) -> None:
        """The process is asked to end (SIGTERM). From a signal handler or any thread."""
        self._leave_from_outside(TERMINATE)

    def _leave_from_outside(self, result: str) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.exit, result)

    def hung_up(self) -> None:
        """The driver found its terminal gone."""
        self.exit(HANGUP)

    def not_shown(self, where: str, error: Exception) -> None:
        """A picture could not be built. Each place tells of each kind of error once, not with every frame."""
        kind = (where, type(error))
        if kind not in self._not_shown:
            self._not_shown.add(kind)
            self._write_down(error)

    def _write_down(self, error: Exception) -> None:
        """Its traceback, without any value. A disk that is full takes no more than this from us."""
        if self._log_path is not None:
            with contextlib.suppress(OSError), self._log_path.open("a", encoding="utf-8") as log:
                log.writelines(traceback.format_exception(error, limit=-40))

    def _handle_exception(self, error: Exception) -> None:
        """Textual would print every local of every frame, and a key could be among them."""
        self._return_code = 1
        if self._exception is None:
            self._exception = error
            self._exception_event.set()
        self._write_down(error)
        where = "" if self._log_path is None else f"; details in {self._log_path}"
        self._exit_renderables = [f"nexus: the cockpit failed: {type(error).__name__}{where}"]
        self._close_messages_no_wait()
