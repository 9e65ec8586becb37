"""Proposals as cards: the selected one in full, the others in a line each."""

from typing import Any, Final

from msgspec import UNSET

from nexus_engine.model.orders import ExitPlan
from nexus_engine.model.proposals import Proposal
from nexus_engine.model.view import ProposalView, Shock, View
from nexus_engine.model.words import Mode, Side
from nexus_tui import format as fmt
from nexus_tui.cards import ARMING, READY, SENT, STALE, Cards
from nexus_tui.safe import plain
from nexus_tui.widgets.rows import Pane, Row, length, row, spread

SIDE: Final = {Side.BUY: "bid", Side.SELL: "ask"}
_BADGE: Final = {READY: "badge", STALE: "warn", ARMING: "quiet", SENT: "strong", "": "quiet"}
_HOW: Final = "j selects"
_CARD: Final = 4
_WIDE: Final = 64
_ROOMY: Final = 76
_PARTS: Final = {0.5: "half", 0.25: "a quarter"}


class Proposals(Pane):
    """`cards` says what is selected; `badge` is what stands at the selected card's end."""

    def __init__(self, cards: Cards, **names: Any) -> None:
        super().__init__(**names)
        self._cards = cards
        self.badge = ""
        self.active = True
        self.snoozing = (0, 0)
        """How many cards are hidden, and ms until the next is back."""

    def waiting(self) -> Row:
        return row("Proposals", "title")

    def build(self, view: View, width: int, height: int) -> tuple[Row, list[Row]]:
        cards = self._cards.all
        title: Row = (("Proposals", "title"), (f" {len(cards)}", "strong"))
        hidden, back_ms = self.snoozing
        if hidden:
            title = (*title, (f", {hidden} snoozed {fmt.countdown(back_ms)}", "quiet"))
        selected = next((i for i, each in enumerate(cards) if each.proposal.id == self._cards.selected), None)
        self._cards.on_screen = selected is not None and height >= _CARD
        tall = _CARD
        if selected is not None and cards[selected].shock is not None and height > _CARD + 1:
            tall += 1
        if not cards:
            return title, [row(f" {idle(view)}", "quiet")]
        rows: list[Row] = []
        whole = selected
        if selected is None and height - len(cards) >= _CARD - 1:
            # Nothing is selected by itself, but the room is used to show what there is to select.
            whole = 0
        first, last = window(len(cards), whole, height, tall)
        for index in range(first, last):
            if index == whole:
                full = self._full(cards[index], width, tall, chosen=selected is not None)
                rows += full if selected is not None else [_unpicked(each) for each in full]
            else:
                rows.append(self._line(cards[index], width))
        if last - first < len(cards):
            title = (*title, (f", {len(cards) - (last - first)} more with j k", "quiet"))
        return title, rows

    def _line(self, card: ProposalView, width: int) -> Row:
        proposal = card.proposal
        left: Row = (
            (f" {proposal.handle} ", "strong"),
            (f"{proposal.side:<4} ", SIDE[proposal.side]),
            (f"{fmt.quantity(proposal.qty)} {plain(proposal.symbol, 14)}", ""),
            (f"  {plain(proposal.strategy.capitalize(), 10)}" if width >= _WIDE else "", "quiet"),
            (f"  worst {fmt.money(-proposal.worst)}", "quiet"),
            (f"   {_multiple(proposal)}" if width >= _ROOMY else "", "quiet"),
        )
        left_over = ("expires " if width >= _WIDE else "") + self._left(card)
        return spread(left, ((f" {left_over}       ", "quiet"),), width)

    def _left(self, card: ProposalView) -> str:
        return "?" if self.stale else fmt.countdown(card.left_ms)

    def _full(self, card: ProposalView, width: int, tall: int, *, chosen: bool) -> list[Row]:
        proposal, digits = card.proposal, card.price_digits
        wide = width >= _WIDE
        plan = proposal.plan
        marker = ("▶" if self.active else "▷") if chosen else " "
        badge = self.badge if chosen else _HOW
        part = f" ({_PARTS.get(proposal.part, f'{proposal.part:.0%}')})" if proposal.part < 1 else ""
        left: Row = (
            (f"{marker}{proposal.handle} ", "strong+pick"),
            (f"{proposal.side:<4} ", f"{SIDE[proposal.side]}+pick"),
            (f"{fmt.quantity(proposal.qty)} {plain(proposal.symbol, 14)}{part}", "strong+pick"),
            (f"  {plain(proposal.strategy.capitalize(), 12)}", "pick"),
        )
        right: Row = (
            ((("expires " if wide else "") + self._left(card)), "pick"),
            (" ", "pick"),
            (f"{badge:<5}", "badge" if badge == READY else f"{_BADGE.get(badge, 'key')}+pick"),
            (" ", "pick"),
        )
        gap = "   " if wide else "  "
        lever = f"{proposal.leverage}x"
        margin = card.margin or float(proposal.qty * proposal.limit) / max(1, proposal.leverage)
        prices = [
            f"{'market' if proposal.market else 'limit'} {fmt.price(proposal.limit, digits)}",
            f"stop {fmt.price(plan.stop, digits)}",
            *((f"isolated {lever}", f"margin {fmt.amount(margin)}") if wide else ()),
        ]
        room = width - 5 - len(gap.join((*prices[:2], "")))
        prices.insert(2, targets(plan, digits, room))
        edge = f"edge {card.edge_bp:.0f} bp" if wide and card.edge_bp else ""
        ends: Row = ((gap.join(filter(None, (_multiple(proposal), edge if wide else lever))) + " ", "pick"),)
        worst: Row = (("     worst ", "pick"), (fmt.money(-proposal.worst), "strong+pick"))
        room = width - length(worst) - length(ends) - 3
        share = f"{proposal.worst_pct:.2f}%"
        costs = (
            f" incl. fees and slippage ({share} of equity)",
            f" incl. fees ({share} of equity)",
            f" incl. fees ({share})",
        )
        worst = (*worst, (next((text for text in costs if len(text) <= room), costs[-1]), "pick"))
        rows = [
            picked(left, right, width),
            picked(((f"     {fmt.joined(prices, gap, width - 5)}", "pick"),), (), width),
            picked(worst, ends, width),
            picked(((f"     {why(card, width - 6, wide=wide)}", "pick"),), (), width),
        ]
        if card.shock is not None and tall > _CARD:
            rows.append(picked(((f"     {shock(card.shock, width - 6)}", "pick"),), (), width))
        return rows


def _multiple(proposal: Proposal) -> str:
    """What the target is of the risk; a plan without one has none."""
    return f"{proposal.r_multiple:.1f} R" if proposal.plan.targets else ""


def targets(plan: ExitPlan, digits: int, room: int) -> str:
    """Every take-profit, nearest first, with the part that it takes where there is room; all else is left out before a
    price is."""
    partials = () if plan.partials is UNSET else plan.partials
    prices = plan.targets
    if not prices:
        return "no target"
    each = [fmt.price(price, digits) for price in prices]
    if len(each) == 1 and not partials:
        return f"target {each[0]}"
    parts = [f" ({one.part:.0%})" for one in partials] + [""]
    texts = (
        "targets " + " ".join(map("".join, zip(each, parts, strict=False))),
        f"targets {' '.join(each)}",
        f"to {' '.join(each)}",
        f"to {' '.join(fmt.short_price(price, digits, 6) for price in prices)}",
        f"target {each[0]} +{len(each) - 1}",
    )
    return next((text for text in texts if len(text) <= room), texts[-1])


def picked(left: Row, right: Row, width: int) -> Row:
    """A row of the selected card, its background whole."""
    return tuple((text, kind or "pick") for text, kind in spread(left, right, width))


def _unpicked(spans: Row) -> Row:
    return tuple((text, kind.removesuffix("pick").removesuffix("+")) for text, kind in spans)


def why(card: ProposalView, width: int, *, wide: bool) -> str:
    """The strategy's reasons, and the regime in which it saw them, as many as fit whole; enter shows them all."""
    reasons = [plain(each, 80) for each in card.proposal.signal.reasons] or ["no reason given"]
    reasons[0] = fmt.words(f"why: {reasons[0]}" if wide else reasons[0], width)
    text = fmt.joined(reasons, ", ", width)
    if not wide:
        return text
    regime = card.proposal.signal.regime
    return fmt.joined((text, f"regime {regime.regime} {regime.confidence:.0%}"), "; ", width)


def shock(found: Shock, width: int) -> str:
    """`if BTC falls 10%: long stopped, -45.36; no liquidation; exposure 45%`."""
    first, *rest = f"if BTC falls {found.drop_pct:.0f}%: {plain(found.text)}".split("; ")
    return fmt.joined((fmt.words(first, width), *rest), "; ", width)


def idle(view: View) -> str:
    """What the empty pane says: why there is nothing to decide."""
    if view.account.mode is Mode.WATCHER:
        return "WATCHER only alerts; m changes the mode"
    counts = ", ".join(fmt.counted(count, plain(name, 12)) for name, count in view.funnel)
    return f"none now   {counts}" if counts else "none now"


def window(count: int, selected: int | None, height: int, tall: int = _CARD) -> tuple[int, int]:
    """Which cards are shown: from the first, or as far down as the selected one, `tall` rows high, needs."""
    extra = tall - 1 if selected is not None else 0
    room = max(1, height - extra)
    first = 0 if selected is None else max(0, selected - room + 1)
    return first, min(count, first + room)
