"""Screen 1: what a trader looks at all day."""

from typing import TYPE_CHECKING, ClassVar, Final, cast

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Horizontal, Vertical
from textual.geometry import Region

from nexus_engine.model.commands import Approve, ClosePosition, Flatten, Reject, Release, SetMode
from nexus_engine.model.view import EventRow, View, ViewRequest
from nexus_engine.model.words import Mode
from nexus_tui import format as fmt
from nexus_tui.bindings import bindings
from nexus_tui.cards import READY, SENT, STALE, Cards
from nexus_tui.screens.dialogs import Choice, Confirm, Pick, Typed
from nexus_tui.screens.paced import Paced
from nexus_tui.widgets.foot import Footer, Outcome
from nexus_tui.widgets.header import Header, worst_first
from nexus_tui.widgets.ladder import Ladder
from nexus_tui.widgets.panes import Events, Gauges, Pnl, Watchlist
from nexus_tui.widgets.positions import Positions
from nexus_tui.widgets.proposals import Proposals
from nexus_tui.widgets.rows import Pane, Rows, row
from nexus_tui.widgets.rules import HRule, VRule, crossings

if TYPE_CHECKING:
    from nexus_tui.app import NexusApp

TICK_S: Final = 0.25
_SAID_NS: Final = 4_000_000_000
_BOOKS: Final = 4
_SILENT_MS: Final = 2_000
_RANK: Final = {Mode.WATCHER: 0, Mode.COPILOT: 1, Mode.PILOT: 2}


class Cockpit(Paced[None]):
    """Pulls a View four times a second and hands it to the panes; turns keys into commands."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(app=False)]
    AUTO_FOCUS = None

    def __init__(self) -> None:
        super().__init__()
        self.HORIZONTAL_BREAKPOINTS = [(0, "-tiny-w"), (80, "-narrow"), (112, "-wide"), (190, "-huge")]
        self.VERTICAL_BREAKPOINTS = [(0, "-tiny-h"), (24, "-short"), (36, "-tall")]
        self.view: View | None = None
        self.symbol = ""
        self._chosen = False
        """The person has picked the ladder's symbol; no first card moves it any more."""
        self._said = ""
        self._said_ns = 0
        self._sent_at: EventRow | None = None
        self._sent = ""
        self._fresh_ns = 0

    @property
    def nexus(self) -> "NexusApp":
        return cast("NexusApp", self.app)

    def compose(self) -> ComposeResult:
        self.cards = Cards(self.nexus.drain)
        yield Header(id="header")
        yield Rows(id="small")
        with Horizontal(id="body"):
            with Vertical(id="left"):
                yield Watchlist(id="watch")
                yield Proposals(self.cards, id="proposals")
                yield Positions(id="positions")
                yield Events(id="events")
            yield VRule(id="spine", classes="upright")
            with Vertical(id="right"):
                with Horizontal(id="books"):
                    for index in range(_BOOKS):
                        if index:
                            yield VRule(classes="upright extra")
                        yield Ladder(index, id=f"book-{index}", classes="extra" if index else None)
                with Container(id="lower"):
                    yield Gauges(id="gauges")
                    yield VRule(classes="upright extra")
                    yield Pnl(id="pnl")
        yield HRule(id="floor")
        yield Outcome(id="outcome")
        yield Footer(read_only=self.nexus.read_only, id="footer")

    # ---- painting -------------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        self.query_one("#small", Rows).show([row(" this terminal is smaller than 80x24: make it larger", "warn")])
        self.set_interval(TICK_S, self.tick)
        self.tick()

    def on_resize(self) -> None:
        self.call_after_refresh(self._join_lines)

    def _join_lines(self) -> None:
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

    def request(self) -> ViewRequest:
        """What is on the screen."""
        ladders = [each for each in self.query(Ladder) if each.region.height]
        names = [each.symbol for each in self.view.watch] if self.view is not None else []
        if self.symbol in names:
            start = names.index(self.symbol)
            names = names[start:] + names[:start]
        depth = max((each.size.height for each in ladders), default=20)
        events = self.query_one(Events).size.height
        return ViewRequest(books=tuple(names[: len(ladders)]), depth=max(5, depth), events=max(5, events))

    def tick(self) -> None:
        """Pull the newest View and paint what changed."""
        if not self.is_current:
            return
        now_ns = self.nexus.clock()
        view = self.nexus.link.pull(self.request())
        if heard := self.nexus.link.heard():
            self._sending(heard)
        if view is not None and view is not self.view:
            first = self.view is None
            if self.view is None or view.seq != self.view.seq:
                self._fresh_ns = now_ns
            self.view = view
            if not self.symbol and view.watch:
                self.symbol = view.watch[0].symbol
            before = self.cards.selected
            self.cards.take(view.proposals)
            if not self._chosen and self.cards.selected not in (None, before):
                self._follow_card()
            if first:
                self.call_after_refresh(self.tick)
        self.paint()

    def paint(self) -> None:
        """Show the last View as it is to be seen now."""
        view, now_ns = self.view, self.nexus.clock()
        silent = self._silence(now_ns)
        self.query_one(Header).put(
            view, progress=self.nexus.link.progress(), silent=silent, read_only=self.nexus.read_only
        )
        proposals, positions = self.query_one(Proposals), self.query_one(Positions)
        proposals.active = not positions.active
        proposals.badge = self.cards.badge(now_ns)
        if view is not None and positions.selected not in [each.symbol for each in view.positions]:
            positions.selected = ""
        self.query_one(Watchlist).symbol = self.symbol
        for pane in self.query(Pane):
            pane.stale = bool(silent)
            pane.put(view)
        self.query_one(Outcome).put(view, self._saying(now_ns))

    def _silence(self, now_ns: int) -> str:
        """What row 2 says of an engine that shows nothing new: the old numbers must not pass for today's."""
        silent_ms = (now_ns - self._fresh_ns) // 1_000_000
        if not self.nexus.link.alive:
            return f"NO ENGINE {fmt.age(silent_ms)}"
        return f"ENGINE SILENT {fmt.age(silent_ms)}" if silent_ms > _SILENT_MS else ""

    def _saying(self, now_ns: int) -> str:
        if self._said and now_ns - self._said_ns < _SAID_NS:
            return self._said
        last = self.view.outcome if self.view is not None else None
        if self._sent and last == self._sent_at:
            return self._sent
        self._sent = ""
        return "" if self.nexus.link.alive else self.nexus.link.progress() or "the engine has ended"

    def say(self, text: str) -> None:
        """A line of the cockpit's own, for a few seconds."""
        self._said, self._said_ns = text, self.nexus.clock()
        if self.is_mounted:  # what is said while it opens is painted once it is open
            self.paint()

    def _sending(self, text: str) -> None:
        """Stands in the outcome row until the engine tells what became of it."""
        when = f" {fmt.clock(self.view.at_ns)}" if self.view is not None else ""
        self._sent, self._sent_at = f"{text}{when}", self.view.outcome if self.view is not None else None
        self._said = ""
        self.paint()

    def drained(self) -> None:
        """The terminal has taken a frame."""
        self.cards.drained()

    # ---- moving ---------------------------------------------------------------------------------------------------

    def _follow_card(self) -> None:
        card = self.cards.current
        if card is not None:
            self.symbol = card.proposal.symbol

    def action_move(self, step: int) -> None:
        positions = self.query_one(Positions)
        if positions.active and self.view is not None:
            symbols = [each.symbol for each in worst_first(self.view.positions)]
            if symbols:
                at = symbols.index(positions.selected) if positions.selected in symbols else -1 if step > 0 else 1
                positions.selected = symbols[max(0, min(len(symbols) - 1, at + step))]
                self.symbol = positions.selected
        else:
            self.cards.move(step)
            self._follow_card()
        self.tick()

    def action_pane(self) -> None:
        positions = self.query_one(Positions)
        positions.active = not positions.active
        if positions.active and not positions.selected:
            self.action_move(1)
        else:
            self.paint()

    def action_symbol(self, step: int) -> None:
        if self.view is None or not self.view.watch:
            return
        names = [each.symbol for each in self.view.watch]
        at = names.index(self.symbol) if self.symbol in names else 0
        self.symbol = names[(at + step) % len(names)]
        self._chosen = True
        self.tick()

    # ---- deciding -------------------------------------------------------------------------------------------------

    def action_approve(self) -> None:
        if not self.nexus.may_act():
            return
        face, badge = self.cards.face, self.cards.badge(self.nexus.clock())
        if face is None:
            self.say("no proposal is selected: j selects" if self.cards.all else "no proposal to approve")
        elif badge == READY:
            handle = f"P{face[0]}"
            if self.nexus.send(Approve(proposal=face[0], shown=face[1])):
                self.cards.approved()
                self._sending(f"{handle} approval sent")
        else:
            reason = {
                STALE: "its numbers moved: look, then press a again",
                SENT: "is already sent",
            }.get(badge, "has just come: look, then press a again")
            self.say(f"P{face[0]} {reason}")

    def action_reject(self) -> None:
        if not self.nexus.may_act():
            return
        card = self.cards.current
        if card is None:
            self.say("no proposal is selected: j selects" if self.cards.all else "no proposal to reject")
        elif self.nexus.send(Reject(proposal=card.proposal.id)):
            self._sending(f"{card.proposal.handle} rejection sent")

    def action_close(self, half: bool) -> None:
        if not self.nexus.may_act():
            return
        positions = self.view.positions if self.view is not None else ()
        selected = self.query_one(Positions).selected
        chosen = next((each for each in positions if each.symbol == selected), None)
        if chosen is None and len(positions) == 1:
            chosen = positions[0]
        if chosen is None:
            self.say("no position is selected: tab, then j" if positions else "no position to close")
            return
        part = "half of " if half else ""
        text = f"{fmt.stance(chosen.side)} {fmt.quantity(chosen.qty)} {chosen.symbol}, PnL {fmt.money(chosen.pnl)}"

        def done(yes: bool | None) -> None:
            if yes and self.nexus.send(ClosePosition(symbol=chosen.symbol, half=half)):
                self._sending(f"{chosen.symbol} close sent")

        self.app.push_screen(Confirm(f"Close {part}{chosen.symbol}", (text, "at market, reduce-only")), done)

    def action_flatten(self) -> None:
        self._flatten(leave=False)

    def _flatten(self, *, leave: bool) -> None:
        if not self.nexus.may_act():
            return
        positions = self.view.positions if self.view is not None else ()
        lines = [
            f"{fmt.stance(each.side):<5} {fmt.right(fmt.quantity(each.qty), 9)} {each.symbol:<12} {fmt.money(each.pnl)}"
            for each in positions[:8]
        ]
        lines += [f"and {len(positions) - 8} more"] if len(positions) > 8 else []
        lines = lines or ["no position of ours is open"]
        lines += ["", "at market, reduce-only; foreign positions are not touched"]

        def done(yes: bool | None) -> None:
            if not yes or not self.nexus.send(Flatten(word="flat")):
                return
            self._sending("flatten sent")
            if leave:
                self.app.exit("flatten")

        title = "Flatten and quit" if leave else "Flatten: close everything of ours"
        self.app.push_screen(Typed(title, tuple(lines), "flat"), done)

    def action_release(self) -> None:
        if not self.nexus.may_act():
            return
        latches = self.view.account.latches if self.view is not None else ()
        if not latches:
            self.say("no latch holds")
            return
        held = latches[0]
        word = held.latch.value.lower()
        lines = (f"held by {held.by} since {fmt.clock(held.since_ns)} UTC", held.reason or "no reason given")

        def done(yes: bool | None) -> None:
            if yes and self.nexus.send(Release(latch=held.latch, word=word)):
                self._sending(f"{held.latch.value} release sent")

        self.app.push_screen(Typed(f"Release {held.latch.value}", lines, word), done)

    def action_mode(self) -> None:
        now = self.view.account.mode if self.view is not None else None
        if now is None or not self.nexus.may_act():
            return
        texts = {
            Mode.WATCHER: "alerts only, nothing is proposed",
            Mode.COPILOT: "proposes, you decide",
            Mode.PILOT: "decides by itself",
        }
        choices = [
            Choice(mode.value, mode.value[0].lower(), f"{mode.value:<8} {text}{'   (now)' if mode is now else ''}")
            for mode, text in texts.items()
        ]

        def set_mode(mode: Mode, word: str) -> None:
            if self.nexus.send(SetMode(mode=mode, word=word)):
                self._sending(f"mode {mode.value} sent")

        def done(name: str | None) -> None:
            if not name or (mode := Mode(name)) is now:
                return
            if _RANK[mode] < _RANK[now]:
                set_mode(mode, "")
                return
            word = mode.value.lower()
            self.app.push_screen(
                Typed(f"Up to {mode.value}", (texts[mode],), word),
                lambda yes: set_mode(mode, word) if yes else None,
            )

        self.app.push_screen(Pick("Mode   down at once, up typed", (), choices, start=now.value), done)

    def action_keys(self) -> None:
        from nexus_tui.screens.keys import Keys

        self.app.push_screen(Keys())

    def action_leave(self) -> None:
        """Ask how to leave; what stays open is named."""
        positions = self.view.positions if self.view is not None else ()
        held = ", ".join(f"{each.symbol} stop {each.stop_state}" for each in positions[:4]) or "no position open"
        more = f" and {len(positions) - 4} more" if len(positions) > 4 else ""
        choices = [
            Choice("stay", "s", "stay"),
            Choice("detach", "d", "detach: the engine goes on, `nexus attach` shows it again"),
            Choice("flatten", "f", "flatten and quit: close everything of ours first"),
            Choice("quit", "r", "quit with stops resting at the venue"),
        ]
        if self.nexus.read_only:
            choices = [each for each in choices if each.name != "flatten"]

        def done(how: str | None) -> None:
            if how == "flatten":
                self._flatten(leave=True)
            elif how in ("detach", "quit"):
                self.app.exit(how)

        self.app.push_screen(Pick("Leave Nexus", (f"{held}{more}",), choices, start="stay"), done)
