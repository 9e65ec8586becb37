"""What the Shark would hunt, in its order, and what it must not touch."""

from typing import Final

from rich.cells import cell_len

from nexus_engine.model.view import Target, View
from nexus_engine.model.words import Macro
from nexus_tui import format as fmt
from nexus_tui.safe import plain
from nexus_tui.widgets.rows import Pane, Row, Span, length, row

_LIST: Final = 5
"""From this many rows on, each target has one of its own."""
_TITLED: Final = 42
_MACRO: Final = {Macro.SHARK: "warn", Macro.NEUTRAL: "", Macro.UNKNOWN: "quiet"}
_CALM: Final = ("", "quiet")


class Targets(Pane):
    """Ranked targets with score and reason, then the vetoed ones, then the squeeze rule and the macro gate."""

    def waiting(self) -> Row:
        return row("Shark targets", "title")

    def build(self, view: View, width: int, height: int) -> tuple[Row, list[Row]]:
        title: Row = (("Shark targets", "title"),)
        hunted = sorted((each for each in view.targets if not each.veto), key=lambda each: -each.score)
        vetoed = [each for each in view.targets if each.veto]
        if height < _LIST:
            return title, self._brief(view, hunted, vetoed, width)[:height]
        over = " 4 closed h to BTC, score" if width >= _TITLED else " 4h to BTC, score" if width >= 34 else ""
        title = (*title, (over, "quiet"))
        feet = [self._gate(view, width)]
        reason = view.macro_view.reason
        if reason and (not trend(view) or ":" in reason):
            # nothing to see yet, or the source and what is wrong with it
            feet.append(row(fmt.words(f"  {plain(reason)}", width), "care" if ":" in reason else "quiet"))
        if view.squeeze not in _CALM and not feet[0][-1][0].endswith(view.squeeze):
            feet.append(row(fmt.words(f"  squeeze: {plain(view.squeeze)}", width), "warn"))
        room = height - len(feet)
        # A veto says why nothing happens: at least two of them keep their place.
        kept = max(room - len(vetoed), room - 2, 0)
        rows = [self._row(rank, each, width) for rank, each in enumerate(hunted[:kept], start=1)]
        rows += [self._veto(each, width) for each in vetoed[: room - len(rows)]]
        if not view.targets:
            rows = [row(" none ranked yet", "quiet")]
        return title, rows + feet

    def _row(self, rank: int, each: Target, width: int) -> Row:
        drop = fmt.percent(each.drop_pct, 1 if abs(each.drop_pct) < 9.95 else 0)
        head: Row = (
            (f"{rank:<2}", "quiet"),
            (fmt.fit(base(each.symbol), 5), "strong"),
            (fmt.right(drop, 6), "bad" if each.drop_pct < 0 else "good"),
            (f"{each.score * 100:>4.0f} ", "quiet"),
        )
        return (*head, (fmt.words(plain(each.note), width - length(head)), ""))

    def _veto(self, each: Target, width: int) -> Row:
        head: Row = (("  ", ""), (fmt.fit(base(each.symbol), 5), "quiet"), (" vetoed: ", "quiet"))
        return (*head, (fmt.words(plain(each.veto), width - length(head)), "care"))

    def _gate(self, view: View, width: int) -> Row:
        spans: Row = (("  macro ", "quiet"), (f"{view.macro}", _MACRO[view.macro]))
        whole = length(spans) + sum(map(len, trend(view))) <= width
        for text in trend(view, short=not whole):
            if length(spans) + len(text) <= width:
                spans = (*spans, (text, ""))
        text = f"  squeeze {plain(view.squeeze)}" if view.squeeze else ""
        if text and length(spans) + len(text) <= width:
            spans = (*spans, (text, _CALM[1] if view.squeeze in _CALM else "warn"))
        return spans

    def _brief(self, view: View, hunted: list[Target], vetoed: list[Target], width: int) -> list[Row]:
        """Three rows: the gate, the ranks, the vetoes."""
        gate: Row = ((" Macro ", "quiet"), (f"{view.macro}", _MACRO[view.macro]))
        # a squeeze is the graver word: it comes before the trend
        for text in trend(view) if view.squeeze in _CALM else ():
            if length(gate) + len(text) <= width:
                gate = (*gate, (text, ""))
        if view.squeeze and length(gate) + 16 <= width:
            rule = fmt.words(plain(view.squeeze), width - length(gate) - 10)
            gate = (*gate, ("  squeeze ", "quiet"), (rule, _CALM[1] if view.squeeze in _CALM else "warn"))
        if not view.targets:
            return [gate, row(" none ranked yet", "quiet")]
        ranks: list[Span] = []
        for rank, each in enumerate(hunted, start=1):
            spans: Row = (
                (f" {rank} ", "quiet"),
                (base(each.symbol), "strong"),
                (f" {fmt.percent(each.drop_pct)}  ", "bad" if each.drop_pct < 0 else "good"),
            )
            if length((*ranks, *spans)) > width + 2:
                break
            ranks += spans
        rows = [gate, tuple(ranks) or row(" none may be hunted", "quiet")]
        return [*rows, row(_vetoes(vetoed, width), "care")] if vetoed else rows


def trend(view: View, *, short: bool = False) -> tuple[str, ...]:
    """`  dominance +0.8`, `  cap -2.3`, `  age 4 min`; empty while the history does not reach."""
    macro = view.macro_view
    if macro.dominance_pt is None or macro.cap_pct is None or macro.age_ms is None:
        return ()
    old = f"  {fmt.age(macro.age_ms)}" if short else f"  age {macro.age_ms // 60_000} min"
    return f"  {'dom' if short else 'dominance'} {macro.dominance_pt:+z.1f}", f"  cap {macro.cap_pct:+z.1f}", old


def _vetoes(vetoed: list[Target], width: int) -> str:
    """` vetoed: PEPE funding, +2`: as many with their reason as fit whole, the rest counted."""
    texts = [f"{base(each.symbol)} {plain(each.veto, 40)}" for each in vetoed]
    for shown in range(len(texts), 0, -1):
        more = [f"+{len(texts) - shown}"] if shown < len(texts) else []
        line = f" vetoed: {', '.join((*texts[:shown], *more))}"
        if cell_len(line) <= width:
            return line
    return fmt.words(f" vetoed: {', '.join(texts)}", width)


def base(symbol: str) -> str:
    """A symbol without its quote currency, in at most eight cells."""
    return plain(symbol.removesuffix("USDT"), 8)
