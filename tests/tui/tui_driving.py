"""Drives a cockpit without a terminal: time stands still until a test moves it."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from textual import events
from textual.pilot import Pilot
from tui_views import FakeLink, view

from nexus_engine.model.commands import AnyCommand
from nexus_engine.model.view import View
from nexus_tui.app import NexusApp
from nexus_tui.gate import Read, Reads, mark
from nexus_tui.screens.cockpit import Cockpit

MS = 1_000_000


class Driven:
    """A running cockpit. `press` takes Textual's key names and moves the clock a little, as hands do."""

    def __init__(self, app: "TimedApp", link: FakeLink, pilot: Pilot[Any]) -> None:
        self.app = app
        self.link = link
        self.pilot = pilot

    @property
    def cockpit(self) -> Cockpit:
        bottom = self.app.screen_stack[0]
        assert isinstance(bottom, Cockpit)
        return bottom

    @property
    def text(self) -> str:
        """The whole screen, dialogs included."""
        return "\n".join(strip.text for strip in self.app.screen._compositor.render_strips())

    def row(self, number: int) -> str:
        """A row of the screen, the first is 1, -1 is the last."""
        rows = self.text.splitlines()
        return rows[number - 1 if number > 0 else number]

    @property
    def sent(self) -> list[AnyCommand]:
        return self.link.sent

    async def pass_ms(self, ms: int) -> None:
        """Let time pass; then the picture is pulled and painted."""
        self.app.now_ns += ms * MS
        self.cockpit.tick()
        await self.pilot.pause()

    async def press(self, *keys: str, apart_ms: int = 400) -> None:
        for key in keys:
            self.app.now_ns += apart_ms * MS
            await self.pilot.press(key)
        self.cockpit.tick()
        await self.pilot.pause()

    async def show(self, picture: View) -> None:
        self.link.show(picture)
        await self.pass_ms(0)

    async def arm(self) -> None:
        """Long enough for a card to be READY, with an engine that shows something new all the while."""
        for ms in (0, 0, 800):
            if self.link.shown is not None:
                self.link.show(self.link.shown)
            await self.pass_ms(ms)


class TimedApp(NexusApp):
    now_ns = 1_000_000_000_000

    def __init__(self, link: FakeLink, **options: Any) -> None:
        super().__init__(link, clock=lambda: self.now_ns, **options)
        self._reads, self._read = Reads(), deque[Read]()

    def crowd(self, keys: int) -> None:
        """The next `keys` come from the terminal in one read, at this moment."""
        self._read.extend([self._reads.take(self.now_ns, keys)] * keys)

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key) and not event.is_forwarded and self._read:
            mark(event, self._read.popleft())
        await super().on_event(event)


@asynccontextmanager
async def cockpit(
    picture: View | None = None, *, size: tuple[int, int] = (80, 24), waiting: bool = False, **options: Any
) -> AsyncIterator[Driven]:
    """A cockpit on the sketches' View, or on `picture`; `waiting` for one whose engine has shown nothing yet."""
    link = FakeLink(None if waiting else picture or view())
    app = TimedApp(link, **options)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        driven = Driven(app, link, pilot)
        await driven.pass_ms(0)
        await driven.pass_ms(0)
        yield driven
