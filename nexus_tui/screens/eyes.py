"""What the cockpit looks at: the selection, the symbol, the candles' interval, zoom, freezing, and why."""

from typing import TYPE_CHECKING, Final, TypeVar, cast

from nexus_engine.model.view import EventRow, View
from nexus_tui import format as fmt
from nexus_tui.cards import Cards
from nexus_tui.layout import SHIELD, SHIELD_PANES
from nexus_tui.safe import plain
from nexus_tui.screens.dialogs import Dialog
from nexus_tui.screens.paced import Paced
from nexus_tui.themes import BY_NAME
from nexus_tui.widgets.header import worst_first
from nexus_tui.widgets.panes import Events, newest_first
from nexus_tui.widgets.positions import Positions
from nexus_tui.widgets.proposals import Proposals
from nexus_tui.widgets.rows import Pane

if TYPE_CHECKING:
    from nexus_tui.app import NexusApp

TIMEFRAMES: Final = ("5m", "1h")
"""The bars that the engine streams."""
PANES: Final = ("proposals", "positions", "events")
"""Where the moving keys can be; the ids of the panes."""
_MORE_BOOKS: Final = frozenset(f"book-{index}" for index in range(1, 10))
_SAID_NS: Final = 4_000_000_000
Chosen = TypeVar("Chosen")
Answered = tuple[int, str] | None
"""Which command was answered last: (when, whose)."""


class Eyes(Paced[None]):
    """What is looked at, and the keys that only look."""

    cards: Cards

    def __init__(self) -> None:
        super().__init__()
        self.view: View | None = None
        self.symbol = ""
        self.interval = TIMEFRAMES[0]
        self.pane = PANES[0]
        self.page = ""
        """The page of the body: the cockpit's own, or `layout.SHIELD`."""
        self.frozen = False
        self.why = ""
        """What the engine is asked to explain."""
        self._chosen = False
        """The person has picked the ladder's symbol; no first card moves it any more."""
        self._zoomed = ""
        self._said = ""
        self._said_ns = 0
        self._sent_at: Answered = None
        self.fresh_ns = 0
        """When the engine last showed something new, by the cockpit's clock."""
        self._sent = ""

    @property
    def nexus(self) -> "NexusApp":
        return cast("NexusApp", self.app)

    def tick(self) -> None:
        """Pull the newest View and paint what changed."""
        raise NotImplementedError

    def paint(self) -> None:
        """Show the last View as it is to be seen now."""
        raise NotImplementedError

    def silence(self) -> str:
        """That the engine shows nothing new, and for how long; empty when it does."""
        raise NotImplementedError

    # ---- the outcome row ------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """A line of the cockpit's own, for a few seconds."""
        self._said, self._said_ns = text, self.nexus.clock()
        if self.is_mounted:  # what is said while it opens is painted once it is open
            self.paint()

    def sending(self, text: str) -> None:
        """Stands in the outcome row until the engine tells what became of it."""
        # an engine that has been silent shows an old time
        when = f" {fmt.clock(self.view.at_ns + self.nexus.clock() - self.fresh_ns)}" if self.view is not None else ""
        self._sent, self._sent_at = f"{text}{when}", answered(self.view)
        self._said = ""
        self.paint()

    def saying(self, now_ns: int) -> str:
        """What the outcome row says instead of the last outcome; empty for that."""
        if self._said and now_ns - self._said_ns < _SAID_NS:
            return self._said
        if self._sent and answered(self.view) == self._sent_at:
            return self._sent
        self._sent = ""
        return "held still to copy: space goes on; rows 1 and 2 are live" if self.frozen else ""

    # ---- what is really on the screen -----------------------------------------------------------------------------

    @property
    def cards_shown(self) -> bool:
        """The newest cards are in sight: nothing covers, hides or holds them."""
        pane = self.query_one(Proposals)
        return self.app.screen is self and not self.frozen and bool(pane.region.height)

    def drained(self) -> None:
        """The terminal has taken a frame."""
        if self.cards_shown and not self._unpainted(self.query_one(Proposals)):
            self.cards.drained()

    def _unpainted(self, pane: Pane) -> bool:
        """Some of `pane` has not been sent: a slow link gets a frame in parts."""
        here = [
            *pane._repaint_regions,
            *(each for each in self._compositor._dirty_regions if each.overlaps(pane.region)),
        ]
        return bool(here) or self.nexus.canvas.awaits(pane.region)

    def on_screen_resume(self) -> None:
        self.cards.look_again()

    def feed_dialog(self) -> None:
        """Hand the newest View to the dialog on top."""
        top = self.app.screen
        if isinstance(top, Dialog) and top.is_mounted and self.view is not None:
            top.put(self.view)
            top.entitle(alone=not self.nexus.link.alive)
            top.under(self._card_in_short())

    def _card_in_short(self) -> str:
        """`P41 SELL 12.4 SOLUSDT  stop 150.10  worst -26.10  0:38`; empty when none is selected."""
        card = self.cards.current
        if card is None:
            return ""
        proposal = card.proposal
        size = f"{proposal.handle} {proposal.side} {fmt.quantity(proposal.qty)} {plain(proposal.symbol, 14)}"
        stop = fmt.price(proposal.plan.stop, card.price_digits)
        left = "?" if self.silence() else fmt.countdown(card.left_ms)
        return f"{size}  stop {stop}  worst {fmt.money(-proposal.worst)}  {left}"

    # ---- moving ---------------------------------------------------------------------------------------------------

    def _follow_card(self) -> None:
        card = self.cards.current
        if card is not None:
            self.symbol = card.proposal.symbol

    def show_symbol(self, symbol: str) -> None:
        """Ladder and candles of `symbol`, until another is chosen."""
        self.symbol, self._chosen = symbol, True
        self.tick()

    def mark_active(self) -> None:
        """Tell the panes where the moving keys are, and drop a selection that is gone."""
        proposals, positions, events = self.query_one(Proposals), self.query_one(Positions), self.query_one(Events)
        proposals.active = self.pane == "proposals"
        positions.active = self.pane == "positions"
        events.active = self.pane == "events"
        if self.view is not None and positions.selected not in [each.symbol for each in self.view.positions]:
            positions.selected = ""

    @property
    def _selected(self) -> EventRow | str | int | None:
        """What is selected where the moving keys are; nothing is false."""
        if self.pane == "events":
            return self.query_one(Events).selected
        return self.query_one(Positions).selected if self.pane == "positions" else self.cards.selected

    def action_move(self, step: int) -> None:
        if self.pane == "events":
            events = self.query_one(Events)
            rows = newest_first(self.view) if self.view is not None else []
            events.selected = _next(rows, events.selected, step)
        elif self.pane == "positions":
            positions = self.query_one(Positions)
            symbols = [each.symbol for each in worst_first(self.view.positions)] if self.view is not None else []
            positions.selected = _next(symbols, positions.selected, step) or ""
            self.symbol = positions.selected or self.symbol
        else:
            self.cards.move(step)
            self._follow_card()
        self.tick()

    def action_pane(self, step: int) -> None:
        if self._zoomed:
            ours = [each.id for each in self.query(Pane) if each.id and each.id not in _MORE_BOOKS]
            panes = [each for each in ours if (each in SHIELD_PANES) is (self.page == SHIELD)]
            self._zoom(panes[(panes.index(self._zoomed) + step) % len(panes)])
            return
        self.pane = PANES[(PANES.index(self.pane) + step) % len(PANES)]
        self.mark_active()
        if self.pane != "proposals" and not self._selected:
            self.action_move(1)
        else:
            self.paint()

    def action_symbol(self, step: int) -> None:
        if self.view is None or not self.view.watch:
            return
        names = [each.symbol for each in self.view.watch]
        at = names.index(self.symbol) if self.symbol in names else 0
        self.show_symbol(names[(at + step) % len(names)])

    def action_find(self) -> None:
        from nexus_tui.screens.dialogs import Find

        def done(symbol: str | None) -> None:
            if symbol:
                self.show_symbol(symbol)

        names = [each.symbol for each in self.view.watch] if self.view is not None else []
        self.app.push_screen(Find("Find a symbol", names), done)

    def action_timeframe(self, step: int) -> None:
        at = max(0, min(len(TIMEFRAMES) - 1, TIMEFRAMES.index(self.interval) + step))
        self.interval = TIMEFRAMES[at]
        self.tick()
        self.say(f"candles of {self.interval}")

    def action_home(self) -> None:
        """The cockpit as it was: nothing zoomed, nothing held."""
        self._turn("")
        if self.frozen:
            self.action_freeze()
        self.pane = PANES[0]
        self.paint()

    def action_shield(self) -> None:
        """Screen 2."""
        self._turn(SHIELD)

    def _turn(self, page: str) -> None:
        """Show a page of the body; nothing of it is zoomed."""
        self._zoom("")
        if page != self.page:
            self.page = page
            self.pane = PANES[0]
            self.cards.look_again(anew=True)
            self.turn_to(page)
        self.tick()

    def turn_to(self, page: str) -> None:
        """Give the body to `page`."""
        raise NotImplementedError

    # ---- zoom, freeze ---------------------------------------------------------------------------------------------

    def action_zoom(self) -> None:
        self._zoom("" if self._zoomed else SHIELD_PANES[0] if self.page == SHIELD else self.pane)

    def _zoom(self, pane: str) -> None:
        """Give the body to `pane`; an empty name gives it back to all."""
        if pane == self._zoomed:
            return
        self._zoomed = pane
        self.pane = pane if pane in PANES else self.pane
        self.cards.look_again(anew=True)
        self.show_only(pane)
        self.say("zoomed: tab for the next pane, z for all" if pane else "")

    def show_only(self, pane: str) -> None:
        """Give one pane the whole body; an empty name brings the others back."""
        raise NotImplementedError

    def action_freeze(self) -> None:
        self.frozen = not self.frozen
        self._said = ""
        self.cards.look_again(anew=True)
        self.tick()

    # ---- why ------------------------------------------------------------------------------------------------------

    def _asked(self) -> str:
        """What is selected, in the words of `ViewRequest.why`; empty for nothing."""
        chosen = self._selected
        if not chosen or self.view is None:
            return ""
        if isinstance(chosen, EventRow):
            # one that has rolled off is selected no more, as the pane shows
            there = chosen in self.view.events
            return f"@{chosen.at_ns} {chosen.subject} {chosen.text}" if there else ""
        if self.pane == "positions":
            return next((f"P{each.intent}" for each in self.view.positions if each.symbol == chosen), "")
        return f"P{chosen}"

    def action_why(self) -> None:
        asked = self._asked()
        if not asked:
            self.say("nothing is selected: tab for the pane, j for the row")
            return
        from nexus_tui.screens.why import WhyPage

        self.why = asked

        def done(_: None) -> None:
            self.why = ""

        self.app.push_screen(WhyPage(asked, self.view.seq if self.view is not None else 0), done)
        self.tick()

    def action_lab(self) -> None:
        from nexus_tui.screens.lab import Lab

        self.app.push_screen(Lab(self.nexus.lab))

    def action_menu(self) -> None:
        from nexus_tui.screens.menu import THEME, Menu, entries

        actions = {key.id: key.action for key in self.nexus.key_table}

        def done(name: str | None) -> None:
            if name and name.startswith(THEME):
                self.app.theme = BY_NAME[name.removeprefix(THEME)]
            elif name:
                self.app.call_later(self.app.run_action, actions[name], self)

        choices = entries(self.nexus.key_table, read_only=self.nexus.read_only, no_colour=self.app.no_color)
        self.app.push_screen(Menu(choices), done)

    def action_keys(self) -> None:
        from nexus_tui.screens.keys import Keys

        self.app.push_screen(Keys(self.nexus.key_table))


def answered(view: View | None) -> Answered:
    """What is told of a command later on does not answer another one."""
    last = view.outcome if view is not None else None
    return (last.at_ns, last.by) if last is not None else None


def _next(values: list[Chosen], now: Chosen | None, step: int) -> Chosen | None:
    """The value `step` further, or the first or last when `now` is none of them."""
    if not values:
        return None
    at = values.index(now) + step if now in values else (0 if step > 0 else len(values) - 1)
    return values[max(0, min(len(values) - 1, at))]
