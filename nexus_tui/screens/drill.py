"""A rehearsed crash beside the account, and what followed the real ones."""

from typing import Any, ClassVar, Final

from textual.binding import Binding, BindingType

from nexus_engine.model.drills import DRILLS
from nexus_tui import child
from nexus_tui import format as fmt
from nexus_tui.safe import plain
from nexus_tui.screens.dialogs import Choice, Dialog
from nexus_tui.widgets.rows import Row, row

_WIDTH: Final = 70
_BAR: Final = 40
_HISTORY: Final = (
    "What followed, BTC, fall from the rolling high of closes",
    "window/fall   a year   next 1h / 4h / 24h    P(4h<-3%)  further low 4h*",
    "10m  4%          4.8   +2.8  +3.9  +5.3 %       .14     -1.3  -7.3 -15.5",
    "15m  4%          8.2   +2.3  +3.0  +4.3 %       .08     -1.9  -9.4 -17.7",
    "30m  4%         16.4   +1.2  +1.8  +2.9 %       .08     -2.2  -9.4 -17.7",
    "60m  5%         16.9   +1.6  +2.3  +4.4 %       .11     -2.2  -9.4 -17.7",
    "15m  4% 2017-19 52.7   +0.8  +1.1  +1.7 %       .16     -3.0 -11.0 -21.8",
    "* median, worst of twenty, worst. Binance 5m 2020-12 to 2025-07; the last",
    "  row Bitfinex 1m.",
    "",
    "On average the exit sells near the low: it is insurance against",
    "liquidation, and costs some 2 to 4 % of what is closed, a few times a",
    "year. By then the alts are 8.4 % under their high of two hours; in 21 %",
    "of cases they fall 8 % more within 4 h, in 10 % of them 18 % in a day.",
    "Levels and windows: [shield] swan_* of nexus.toml.",
)


def choices() -> list[Choice]:
    """One a scenario, on the digits."""
    return [Choice(name, str(number), f"{name:<20} {text}") for number, (name, text) in enumerate(DRILLS.items(), 1)]


class History(Dialog[None]):
    """The table that says what a trip costs."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,q", "dismiss", "close", show=False)]

    def __init__(self) -> None:
        super().__init__("Black swans of the past, esc closes", _HISTORY)


class DrillPage(Dialog[None]):
    """Runs `nexus drill` and shows what it says. Leaving ends it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,q", "leave", "close", show=False)]

    def __init__(self, name: str) -> None:
        super().__init__(f"Drill {name}", ())
        self._scenario = name
        self._share = 0.0
        self._found: dict[str, Any] | None = None
        self._failed = ""

    def on_mount(self) -> None:
        super().on_mount()
        self.run_worker(self._run(), name="drill", exit_on_error=False)

    async def _run(self) -> None:
        try:
            self._found = await child.run(("drill", "--scenario", self._scenario), self._heard)
        except child.ChildFailed as error:
            self._failed = str(error)
        self._show()

    def _heard(self, share: float) -> None:
        self._share = share
        self._show()

    def _show(self) -> None:
        if self.is_mounted:
            self.redraw()

    def action_leave(self) -> None:
        self.dismiss(None)

    def rows(self) -> list[Row]:
        head = row(f" {fmt.words(DRILLS.get(self._scenario, ''), _WIDTH)}", "quiet")
        if self._found is not None:
            return [head, *_told(self._found)]
        if self._failed:
            return [head, row(f" {self._failed}", "bad")]
        bar = fmt.gauge(min(1.0, self._share), _BAR)
        return [head, ((f" {bar} ", ""), (f"{self._share:.0%}", "strong"), ("   esc ends it", "quiet"))]


def _told(found: dict[str, Any]) -> list[Row]:
    """What a drill has found, as its JSON says it; from a process of ours, but text all the same."""
    rows: list[Row] = []
    for trip in found.get("trips", ())[:4]:
        text = f"{trip['at'][11:19]} {trip['drop_pct']:.2f} % under the {trip['window_s'] // 60} min high"
        rows.append(row(f" tripped {plain(text, _WIDTH)}"))
    if not rows:
        rows.append(row(" it did not trip"))
    if found.get("longs_open"):
        rows.append(row(f" longs open {found['longs_open']}, closed {found['longs_closed']}"))
        rows.append(row(f" last exit on the wire {found['exit_ms_max']} ms, last fill {found['closed_ms_max']} ms"))
    rows.append(
        row(
            f" shorts touched {found['shorts_touched']}, longs sent while tripped {found['longs_opened_while_tripped']}"
        )
    )
    for problem in found.get("problems", ()):
        rows.append(row(f" {plain(problem, _WIDTH)}", "alarm"))
    rows.append(
        row(" as it must be" if found.get("ok") else " NOT as it must be", "good" if found.get("ok") else "alarm")
    )
    return rows
