"""Proposals as cards: the selected one in full, the others in a line each."""

from collections.abc import Sequence
from typing import Any, Final

from nexus_engine.model.view import ProposalView, View
from nexus_engine.model.words import Mode, Side
from nexus_tui import format as fmt
from nexus_tui.cards import ARMING, READY, SENT, STALE, Cards
from nexus_tui.safe import plain
from nexus_tui.widgets.rows import Pane, Row, row, spread

SIDE: Final = {Side.BUY: "bid", Side.SELL: "ask"}
_BADGE: Final = {READY: "badge", STALE: "warn", ARMING: "quiet", SENT: "strong", "": "quiet"}
_CARD: Final = 4
_WIDE: Final = 70


class Proposals(Pane):
    """`cards` says what is selected; `badge` is what stands at the selected card's end."""

    def __init__(self, cards: Cards, **names: Any) -> None:
        super().__init__(**names)
        self._cards = cards
        self.badge = ""
        self.active = True

    def waiting(self) -> Row:
        return row("Proposals", "title")

    def build(self, view: View, width: int, height: int) -> tuple[Row, list[Row]]:
        cards = self._cards.all
        title: Row = (("Proposals", "title"), (f" {len(cards)}", "strong"))
        selected = next((i for i, each in enumerate(cards) if each.proposal.id == self._cards.selected), None)
        self._cards.on_screen = selected is not None and height >= _CARD
        if not cards:
            return title, [row(f" {idle(view)}", "quiet")]
        rows: list[Row] = []
        first, last = window(len(cards), selected, height)
        for index in range(first, last):
            if index == selected:
                rows += self._full(cards[index], view, width)
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
        )
        return spread(left, ((f"{fmt.countdown(card.left_ms):>6}" + " " * 7, "quiet"),), width)

    def _full(self, card: ProposalView, view: View, width: int) -> list[Row]:
        proposal, digits = card.proposal, card.price_digits
        wide = width >= _WIDE
        plan = proposal.plan
        marker = "▶" if self.active else "▷"
        left: Row = (
            (f"{marker}{proposal.handle} ", "strong+pick"),
            (f"{proposal.side:<4} ", f"{SIDE[proposal.side]}+pick"),
            (f"{fmt.quantity(proposal.qty)} {plain(proposal.symbol, 14)}", "strong+pick"),
            (f"  {plain(proposal.strategy.capitalize(), 12)}", "pick"),
        )
        right: Row = (
            ((("expires " if wide else "") + fmt.countdown(card.left_ms)), "pick"),
            (" ", "pick"),
            (f"{self.badge or ARMING:<5}", f"{_BADGE[self.badge]}+pick" if self.badge != READY else "badge"),
            (" ", "pick"),
        )
        gap = "   " if wide else "  "
        target = f"{gap}target {fmt.price(plan.target, digits)}" if plan.target is not None else f"{gap}no target"
        prices = f"     limit {fmt.price(proposal.limit, digits)}{gap}stop {fmt.price(plan.stop, digits)}{target}"
        lever = f"{proposal.leverage}x"
        if wide:
            margin = proposal.qty * proposal.limit / max(1, proposal.leverage)
            prices += f"{gap}isolated {lever}{gap}margin {fmt.amount(margin)}"
        fees = "incl. fees and slippage" if wide else "incl. fees"
        share = f"({proposal.worst_pct:.2f}%{' of equity' if wide else ''})"
        worst: Row = (
            ("     worst ", "pick"),
            (fmt.money(-proposal.worst), "strong+pick"),
            (f" {fees} {share}", "pick"),
        )
        ends: Row = ((f"{proposal.r_multiple:.1f} R{'' if wide else f'  {lever}'} ", "pick"),)
        return [
            picked(left, right, width),
            picked(((prices, "pick"),), (), width),
            picked(worst, ends, width),
            picked(((f"     {why(proposal.signal.reasons, card, wide)}", "quiet+pick"),), (), width),
        ]


def picked(left: Row, right: Row, width: int) -> Row:
    """A row of the selected card, its background whole."""
    return tuple((text, kind or "pick") for text, kind in spread(left, right, width))


def why(reasons: Sequence[str], card: ProposalView, wide: bool) -> str:
    text = ", ".join(plain(each, 80) for each in reasons) or "no reason given"
    regime = card.proposal.signal.regime
    return f"why: {text}; regime {regime.regime} {regime.confidence:.0%}" if wide else text


def idle(view: View) -> str:
    """What the empty pane says: why there is nothing to decide."""
    if view.account.mode is Mode.WATCHER:
        return "WATCHER only alerts; m changes the mode"
    counts = ", ".join(f"{count} {plain(name, 12)}" for name, count in view.funnel)
    return f"none now   {counts}" if counts else "none now"


def window(count: int, selected: int | None, height: int) -> tuple[int, int]:
    """Which cards are shown: from the first, or as far down as the selected one needs."""
    extra = _CARD - 1 if selected is not None else 0
    room = max(1, height - extra)
    first = 0 if selected is None else max(0, selected - room + 1)
    return first, min(count, first + room)
