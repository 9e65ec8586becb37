"""Screen 1: what a trader looks at all day."""

import os
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.geometry import Region

from nexus_engine.model.view import ViewRequest
from nexus_tui import format as fmt
from nexus_tui.bindings import bindings
from nexus_tui.cards import Cards
from nexus_tui.layout import BOOKS, LEAST, RULES, SHIELD
from nexus_tui.safe import plain
from nexus_tui.screens.dialogs import Dialog
from nexus_tui.screens.eyes import answered
from nexus_tui.screens.hands import Hands
from nexus_tui.widgets.body import Body
from nexus_tui.widgets.candles import Candles
from nexus_tui.widgets.foot import Footer, Outcome
from nexus_tui.widgets.header import Header
from nexus_tui.widgets.ladder import Ladder
from nexus_tui.widgets.panes import Events, Gauges, Watchlist
from nexus_tui.widgets.pnl import Pnl
from nexus_tui.widgets.positions import Positions
from nexus_tui.widgets.proposals import Proposals
from nexus_tui.widgets.rows import Pane, Rows, row
from nexus_tui.widgets.rules import HRule, VRule, crossings
from nexus_tui.widgets.shield import Audit, Funnel, Guards, LastTrip
from nexus_tui.widgets.targets import Targets

TICK_S: Final = 0.25
_SILENT_MS: Final = 2_000
_SMALL: Final = "smaller than {}x{}: only HALT is sent; make it larger".format(*LEAST)
_DEEP: Final = 100
"""Levels of a book that a market order may eat through."""


class Cockpit(Hands):
    """Pulls a View four times a second and hands it to the panes. What keys do it inherits: those that
    act from `Hands`, those that only look from `Eyes`."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(app=False)]
    AUTO_FOCUS = None

    def __init__(self) -> None:
        super().__init__()
        self.HORIZONTAL_BREAKPOINTS = [(0, "-tiny-w"), (LEAST[0], "-enough-w")]
        self.VERTICAL_BREAKPOINTS = [(0, "-tiny-h"), (LEAST[1], "-enough-h")]
        self._small = False

    def compose(self) -> ComposeResult:
        self.cards = Cards(self.nexus.drain)
        yield Header(id="header")
        yield Rows(id="small")
        with Body(id="body"):
            yield Watchlist(id="watch")
            yield Targets(id="targets")
            yield Candles(id="candles")
            for index in range(BOOKS):
                yield Ladder(index, id=f"book-{index}")
            yield Proposals(self.cards, id="proposals")
            yield Positions(id="positions")
            yield Gauges(id="gauges")
            yield Pnl(id="pnl")
            yield Events(id="events")
            yield Guards(id="guards")
            yield Funnel(id="funnel")
            yield Audit(id="audit")
            yield LastTrip(id="trip")
            for index in range(RULES):
                yield VRule(id=f"rule-{index}")
        yield HRule(id="floor")
        yield Outcome(id="outcome")
        yield Footer(id="footer")

    # ---- painting -------------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        self.set_interval(TICK_S, self.tick)
        self.tick()

    def on_resize(self) -> None:
        self.call_after_refresh(self.join_lines)

    def on_screen_resume(self) -> None:
        # a resize under a dialog finds the panes where they were before it
        self.call_after_refresh(self.join_lines)

    def late(self) -> list[Region]:
        """The market is painted four times a second anyway; what a key did goes first."""
        return [each.region for each in self.query(Pane) if isinstance(each, Ladder | Candles)]

    def join_lines(self) -> None:
        """Draw the lines between the panes, joined where they meet."""
        uprights = [each for each in self.query(VRule) if each.region.height]
        levels: list[Pane | HRule] = [each for each in self.query(Pane) if each.region.height]
        levels += [each for each in self.query(HRule) if each.region.height]
        found = crossings(
            [each.region for each in uprights],
            [Region(each.region.x, each.region.y, each.region.width, 1) for each in levels],
        )
        for upright in uprights:
            upright.join(found)
        for level in levels:
            if isinstance(level, HRule):
                level.join(found)
            else:
                area = level.region
                level.tick(
                    {x - area.x: glyph for (x, y), glyph in found.items() if y == area.y and area.x <= x < area.right}
                )
        self.tick()

    def show_only(self, pane: str) -> None:
        """Give one pane the whole body; an empty name brings the others back."""
        self.query_one(Body).show_only(pane)
        self.call_after_refresh(self.join_lines)

    def turn_to(self, page: str) -> None:
        """Another page of the body: the Shield, or the cockpit's own."""
        self.query_one(Body).turn_to(page)
        self.call_after_refresh(self.join_lines)

    def request(self) -> ViewRequest:
        """What is on the screen."""
        ladders = [each for each in self.query(Ladder) if each.region.height]
        names = [each.symbol for each in self.view.watch] if self.view is not None else []
        if self.symbol in names:
            start = names.index(self.symbol)
            names = names[start:] + names[:start]
        depth = max((each.size.height for each in ladders), default=20)
        events = self.query_one(Events).size.height
        candles = self.query_one(Candles)
        candles.symbol, candles.interval = self.symbol, self.interval
        charted = self.symbol and candles.region.height
        top, shown = self.app.screen, names[: len(ladders)]
        wanted = [each for each in top.books() if each not in shown] if isinstance(top, Dialog) else []
        return ViewRequest(
            books=(*shown, *wanted),
            depth=max(5, depth, _DEEP if wanted else 0),
            chart=(self.symbol, self.interval) if charted else None,
            bars=candles.bars if charted else 0,
            events=max(5, events),
            shield=self.query_one(Body).page == SHIELD,
            why=self.why,
        )

    def tick(self) -> None:
        """Pull the newest View and paint what changed."""
        self.nexus.measure()
        if not self.is_current:
            return
        now_ns = self.nexus.clock()
        view = self.nexus.link.pull(self.request())
        if heard := self.nexus.link.heard():
            self.cards.answered()
            self.sending(heard)
        if view is not None and view is not self.view:
            first = self.view is None
            if self.view is None or view.seq != self.view.seq:
                self.fresh_ns = now_ns
            if self.view is not None and answered(view) != answered(self.view):
                self.cards.answered()
            self.view = view
            if not self.symbol and view.watch:
                self.symbol = view.watch[0].symbol
            before = self.cards.selected
            self.cards.take(view.proposals, now_ns)
            if not self._chosen and self.cards.selected not in (None, before):
                self._follow_card()
            if first:
                self.call_after_refresh(self.tick)
        self.paint()
        self.look_at_view()

    def paint(self) -> None:
        """Show the last View as it is to be seen now."""
        view, now_ns, small = self.view, self.nexus.clock(), self.nexus.small
        if self._small and not small:
            self.cards.look_again(anew=True)
        self._small = small
        # what was said stands here too: the outcome's row is not on such a screen
        told = (small and self.saying(now_ns)) or _SMALL
        self.query_one("#small", Rows).show([row(f" {told}", "warn")])
        silent = self.silence()
        if self.cards.silent and not silent:
            self.cards.look_again(anew=True)
        self.cards.silent = bool(silent)
        self.query_one(Header).put(
            view, progress=self.nexus.link.progress(), silent=silent, read_only=self.nexus.read_only
        )
        self.mark_active()
        proposals = self.query_one(Proposals)
        looks = self.nexus.read_only or not proposals.region.height
        proposals.badge = "" if looks else self.cards.badge(now_ns)
        proposals.snoozing = self.cards.snoozing(now_ns)
        self.query_one(Watchlist).symbol = self.symbol
        if not self.frozen:
            for pane in self.query(Pane):
                pane.stale = bool(silent)
                pane.put(view)
        away = any(shown not in ("", proposals.id) for shown in self.query_one(Body).shown)
        self.query_one(HRule).tell(self._card_in_short() if away else "")
        self.query_one(Outcome).put(view, self._hanging(silent) or self._saying(now_ns))
        self.query_one(Footer).put(covered=self.app.screen is not self, away=away)

    def silence(self) -> str:
        """What row 2 says of an engine that shows nothing new: the old numbers must not pass for today's."""
        silent_ms = (self.nexus.clock() - self.fresh_ns) // 1_000_000
        if not self.nexus.link.alive:
            return f"NO ENGINE {fmt.age(silent_ms)}"
        return f"ENGINE SILENT {fmt.age(silent_ms)}" if silent_ms > _SILENT_MS else ""

    def _hanging(self, silent: str) -> str:
        """For whom an engine that says nothing waits, where it is a strategy of the user's own: one that could not be
        ended. This process cannot go in order while one of its own hangs."""
        name = self.nexus.link.asked() if silent else ""
        told = f"strategy {plain(name, 31)} does not come back: stops rest at the venue; kill -9 {os.getpid()}"
        return told if name else ""

    def _saying(self, now_ns: int) -> str:
        if said := self.saying(now_ns):
            return said
        progress = self.nexus.link.progress()
        if not self.nexus.link.alive:
            return progress or "the engine has ended"
        # a start that waits for its venue has a picture already, of nothing yet
        return progress if self.view is not None and self.view.outcome is None else ""
