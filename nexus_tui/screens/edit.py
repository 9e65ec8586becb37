"""Edit a proposal before approving it. What comes out is a new card, never an order."""

from collections.abc import Iterable
from decimal import Decimal
from typing import ClassVar, Final

from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input

from nexus_engine.model.commands import Edit
from nexus_engine.model.view import ProposalView, View
from nexus_tui import format as fmt
from nexus_tui.safe import plain
from nexus_tui.screens.dialogs import Dialog, Judged, Word, judged, number
from nexus_tui.widgets.rows import Row, Span, row

_PARTS: Final = ((1.0, "1", "as it is"), (0.5, "2", "half"), (0.25, "4", "a quarter"))


class EditPage(Dialog[Edit]):
    """1, 2, 4 choose the size, m limit or market, s the stop; Enter gives an Edit of the card as it is shown here."""

    AUTO_FOCUS: ClassVar[str | None] = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key, f"part({part})", word, show=False) for part, key, word in _PARTS),
        Binding("m", "market", "limit or market", show=False),
        Binding("s", "stop", "stop", show=False),
        Binding("enter", "take", "take", show=False),
    ]

    def __init__(self, card: ProposalView) -> None:
        super().__init__(f"Edit {card.proposal.handle}", ())
        self._card = card
        self._part = 1.0
        self._market = card.proposal.market
        self._stop: Decimal | None = None
        self._typed = ""
        self._gone = False

    def below(self) -> Iterable[Widget]:
        stop = Word()
        stop.display = False
        return (stop,)

    def put(self, view: View) -> None:
        """Numbers that move while one edits are shown, and it is those that are edited."""
        fresh = next((each for each in view.proposals if each.proposal.id == self._card.proposal.id), None)
        self._gone = fresh is None or not fresh.proposal.status.open
        if fresh is not None:
            self._card = fresh
        self.redraw()

    # ---- what stands there ----------------------------------------------------------------------------------------

    def rows(self) -> list[Row]:
        proposal, digits = self._card.proposal, self._card.price_digits
        if self._gone:
            return [row(f" {proposal.handle} is not open any more", "warn"), (), ((" esc", "key"), (" back", "quiet"))]
        qty = proposal.qty * Decimal(repr(self._part))
        stop = self._stop or proposal.plan.stop
        sizes: list[Span] = [(" size   ", "quiet")]
        for part, key, word in _PARTS:
            here = part == self._part
            sizes += [(key, "key"), (f" {'▶' if here else ''}{word}   ", "strong" if here else "")]
        entry = f"limit {fmt.price(proposal.limit, digits)}" if not self._market else "market"
        other = "market" if not self._market else "limit"
        rows: list[Row] = [
            row(
                f" {proposal.side} {fmt.quantity(proposal.qty)} {plain(proposal.symbol, 16)}, expires "
                f"{fmt.countdown(self._card.left_ms)}",
                "strong",
            ),
            (),
            tuple(sizes),
            ((" entry  ", "quiet"), ("m", "key"), (f" {entry}", "strong"), (f"   (m: {other})", "quiet")),
            ((" stop   ", "quiet"), ("s", "key"), (f" {fmt.price(stop, max(digits, _digits(stop)))}", "strong")),
            (),
            *self._then(fmt.quantity(qty.normalize()), stop),
        ]  # fmt: skip
        if self._typing:
            text, good = judged(self._typed, self._judge)
            return [
                *rows,
                (),
                ((f" stop: {text}" if text else " type the stop; enter takes it", "" if good else "warn"),),
            ]
        keys: Row = (
            (" enter", "key"),
            (" makes the new card, nothing is sent   ", "quiet"),
            ("esc", "key"),
            (" back", "quiet"),
        )
        return [*rows, (), keys]

    def _then(self, qty: str, stop: Decimal) -> list[Row]:
        """What the new card will say, as far as it follows from this one. A wider stop is cut to the risk of a trade,
        and an entry at market is priced by the book: what those make of it only the engine can tell."""
        proposal = self._card.proposal
        wider = abs(proposal.limit - stop) > abs(proposal.limit - proposal.plan.stop)
        was: Span = (f", was {fmt.money(-proposal.worst)}", "quiet")
        if wider or (self._market and not proposal.market):
            why = "the size is cut to the risk of a trade" if wider else "size and worst case depend on the book"
            told: Row = ((f"at most {qty}, worst on the new card", "strong"), was)
            return [((" then   ", "quiet"), *told), row(f"        {why}; the new card is shown first", "quiet")]
        worst = self._worst(stop)
        share = float(worst) / float(proposal.worst) * proposal.worst_pct if proposal.worst else 0.0
        return [
            (
                (" then   ", "quiet"), (f"about {qty}, worst {fmt.money(-worst)}", "strong"),
                (f" ({share:.2f}% of equity)", "quiet"), was,
            ),
            row("        less where a limit leaves less by then; the new card is shown first", "quiet"),
        ]  # fmt: skip

    def _worst(self, stop: Decimal) -> Decimal:
        """The card's worst case at the new size and a stop that is no wider; its costs move with the size."""
        proposal = self._card.proposal
        costs = proposal.worst - proposal.qty * abs(proposal.limit - proposal.plan.stop)
        return (proposal.qty * abs(proposal.limit - stop) + costs) * Decimal(repr(self._part))

    def _judge(self, stop: Decimal) -> Judged:
        """The stop stands behind the entry."""
        proposal = self._card.proposal
        if (proposal.limit - stop) * proposal.side.sign <= 0:
            return f"not behind the entry {fmt.price(proposal.limit, self._card.price_digits)}", False
        away = abs(stop / proposal.limit - 1) * 100
        return f"{stop:,f}, {away:.2f}% from the entry", True

    # ---- keys -----------------------------------------------------------------------------------------------------

    @property
    def _typing(self) -> bool:
        return self.query_one(Word).display

    def action_part(self, part: float) -> None:
        self._part = part
        self.redraw()

    def action_market(self) -> None:
        self._market = not self._market
        self.redraw()

    def action_stop(self) -> None:
        word = self.query_one(Word)
        word.display = True
        word.focus()
        self.redraw()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._typed = event.value
        self.redraw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """A good stop is kept, an empty line forgets it; anything else waits to be mended."""
        if event.value.strip() and not judged(event.value, self._judge)[1]:
            return
        self._stop = number(event.value) if event.value.strip() else None
        event.input.display = False
        self.set_focus(None)
        self.redraw()

    def action_take(self) -> None:
        proposal = self._card.proposal
        market = self._market if self._market is not proposal.market else None
        if self._gone or (self._part == 1.0 and self._stop is None and market is None):
            self.dismiss(None)
            return
        self.dismiss(
            Edit(proposal=proposal.id, shown=self._card.shown, part=self._part, stop=self._stop, market=market)
        )


def _digits(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return -exponent if isinstance(exponent, int) and exponent < 0 else 0
