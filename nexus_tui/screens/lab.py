"""The Lab: backtests beside the account. They run as child processes, one at a time, and know nothing of it."""

import heapq
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final

from textual.binding import Binding, BindingType

from nexus_tui import child
from nexus_tui import format as fmt
from nexus_tui.safe import plain
from nexus_tui.screens.dialogs import Choice, Dialog, Find, Pick
from nexus_tui.widgets.rows import Row, row

STRATEGIES: Final = (
    ("auto", "what the directive has on"),
    ("flow", "follows breakouts, 4h"),
    ("harpoon", "reversal after a dislocation, 5m"),
    ("scalping", "small reversals in a quiet range, 5m"),
    ("shark", "shorts weak alts while the market bleeds, 1h"),
)
_WIDTH: Final = 74
_KEPT: Final = 12
_FILES: Final = 300
_OWN: Final = 9
_SYMBOL: Final = re.compile(r"[A-Z0-9]{2,16}(?:USDT|USDC|USD)(?![A-Z0-9])")
_BARS: Final = "▁▂▃▄▅▆▇█"


@dataclass
class Run:
    """One backtest: on its way, found or failed."""

    data: Path
    symbol: str
    strategy: str
    share: float = 0.0
    begun: bool = False
    found: dict[str, Any] | None = None
    failed: str = ""

    @property
    def over(self) -> bool:
        return self.found is not None or bool(self.failed)


@dataclass
class Desk:
    """The session's backtests, newest first. It outlives the page."""

    page_folder: Path
    directive: Path | None = None
    """What the backtests trade by; None: the defaults."""
    runs: list[Run] = field(default_factory=list)

    def add(self, run: Run) -> None:
        self.runs.insert(0, run)
        old = [each for each in self.runs[_KEPT:] if each.over]
        self.runs = [each for each in self.runs if not any(each is one for one in old)]

    @property
    def waiting(self) -> Run | None:
        """The oldest that has not begun, unless one is under way."""
        ours = [each for each in self.runs if not each.over]
        return None if any(each.begun for each in ours) else next(iter(reversed(ours)), None)


async def work(desk: Desk, drawn: Any) -> None:
    """Run what waits, one after the other; `drawn` is called when there is something new to see."""
    while (run := desk.waiting) is not None:
        run.begun = True

        def hear(share: float, run: Run = run) -> None:
            run.share = share
            drawn()

        page = desk.page_folder / f"backtest-{run.strategy}-{run.symbol}-{datetime.now(UTC):%Y%m%d-%H%M%S}.html"
        words: tuple[str, ...] = (
            "backtest",
            "--data",
            str(run.data),
            "--symbol",
            run.symbol,
            "--strategy",
            run.strategy,
        )
        if desk.directive is not None:
            words += ("--config", str(desk.directive))
        try:
            found = await child.run((*words, "--html", str(page)), hear, patient=True)
            told(found)
            run.found = found | {"page": str(page)}
        except child.ChildFailed as error:
            run.failed = str(error)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # what was said is not what a backtest says; the next one waits for this one's end
            run.failed = plain(f"has said something else: {type(error).__name__} {error}", 52)
        drawn()


def files(folder: Path) -> list[Path]:
    """Bars under a folder, as `nexus download` leaves them there."""
    found = [
        os.path.join(at, name)  # noqa: PTH118  # of thousands, between two frames
        for at, _, names in os.walk(folder)
        for name in names
        if name.endswith((".parquet", ".csv"))
    ]
    return [Path(name) for name in heapq.nsmallest(_FILES, found)]


def own(directive: Path | None) -> list[tuple[str, str]]:
    """The user's own strategies that a directive names, and what they say of themselves. None of them is run here."""
    if directive is None:
        return []
    from nexus_engine.model.config import ConfigError, load
    from nexus_engine.runtime.own_files import listed

    try:
        return listed(load(directive).account.own_strategies)[:_OWN]
    except ConfigError:  # who changed it meanwhile is told by the backtest
        return []


def symbol_of(path: Path) -> str:
    """The symbol that a file's name says, or its folder's; empty for none."""
    found = _SYMBOL.search(path.name.upper()) or _SYMBOL.search(path.parent.name.upper())
    return found[0] if found else ""


class Lab(Dialog[None]):
    """The list of backtests. Enter opens one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "step(1)", "next", show=False),
        Binding("k,up", "step(-1)", "previous", show=False),
        Binding("enter", "open", "open", show=False),
        Binding("n", "new", "new", show=False),
        Binding("q,5", "dismiss", "close", show=False),
    ]

    def __init__(self, desk: Desk, data: Path = Path("data")) -> None:
        super().__init__("Lab", ())
        self._desk = desk
        self._data = data
        self._at = 0

    def rows(self) -> list[Row]:
        rows: list[Row] = []
        for index, run in enumerate(self._desk.runs):
            pick = "+pick" if index == self._at else ""
            mark = "▶" if pick else " "
            what = f"{fmt.fit(run.strategy, 9)}{fmt.fit(run.symbol, 10)}"
            text, kind = _in_short(run)
            rows.append(((mark, f"strong{pick}"), (f" {what}", f"strong{pick}"), (fmt.fit(text, 52), f"{kind}{pick}")))
        if not rows:
            rows += [row(" no backtest yet in this session", "quiet")]
        keys: list[tuple[str, str]] = []
        for key, text in (("n", "new"), ("enter", "report"), ("j k", "move"), ("esc", "back; what runs goes on")):
            keys += [(f" {key}", "key"), (f" {text}  ", "quiet")]
        return [*rows, (), tuple(keys)]

    def action_step(self, step: int) -> None:
        self._at = max(0, min(len(self._desk.runs) - 1, self._at + step))
        self.redraw()

    def action_open(self) -> None:
        if self._at < len(self._desk.runs) and (found := self._desk.runs[self._at].found) is not None:
            self.app.push_screen(Report(found))

    def action_new(self) -> None:
        if sum(not each.over for each in self._desk.runs) >= _KEPT:
            self.nexus.say(f"{_KEPT} backtests wait already")
            return
        found = {str(path): path for path in files(self._data)}
        if not found:
            where = plain(str(self._data.resolve()), 40)
            self.nexus.say(f"no bars under {where}: `nexus download klines …` first")
            return

        def file_chosen(name: str | None) -> None:
            if not name:
                return
            symbol = symbol_of(found[name])
            if not symbol:
                self.nexus.say("the file's name does not say its symbol: use `nexus backtest --symbol`")
                return
            known = (*STRATEGIES, *own(self._desk.directive))
            choices = [
                Choice(each, str(at) if at < 10 else " ", f"{plain(each, 12):<9} {plain(text, 55)}")
                for at, (each, text) in enumerate(known, 1)
            ]

            def strategy_chosen(strategy: str | None) -> None:
                if strategy:
                    self._begin(Run(found[name], symbol, strategy))

            self.app.push_screen(Pick(f"Backtest on {symbol}", (), choices, start="auto"), strategy_chosen)

        self.app.push_screen(Files("Which bars", list(found)), file_chosen)

    def _begin(self, run: Run) -> None:
        idle = self._desk.waiting is None and not any(each.begun and not each.over for each in self._desk.runs)
        self._desk.add(run)
        self._at = 0
        if idle:
            app = self.nexus

            def drawn() -> None:
                if isinstance(app.screen, Lab) and app.screen.is_mounted:
                    app.screen.redraw()

            app.run_worker(work(self._desk, drawn), name="lab", exit_on_error=False)
        self.redraw()


class Files(Find):
    """A file by part of its name."""

    def line(self, name: str) -> Row:
        return row(f" {plain(name[-66:], 66)}")


def _in_short(run: Run) -> tuple[str, str]:
    """(what became of it, kind)."""
    if run.failed:
        return run.failed, "bad"
    if run.found is None:
        return (f"{fmt.gauge(min(1.0, run.share), 30)} {run.share:.0%}", "") if run.begun else ("waits", "quiet")
    net = run.found["metrics"]["net"]
    parts = (
        f"{run.found['since'][:10]} {run.found['until'][:10]}",
        f"{net['trades']:.0f} trades",
        f"{_number(net['expectancy_r'], '+.2f')}R",
        f"sharpe {_number(net['sharpe'], '.2f')}",
    )
    return fmt.joined(parts, "  ", 52), ""


def _number(value: float | None, form: str) -> str:
    return "-" if value is None or not math.isfinite(value) else format(value, form)


# ---- one of them -----------------------------------------------------------------------------------------------------


class Report(Dialog[None]):
    """What a backtest has found, in short; the page that it wrote has all of it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,q", "dismiss", "close", show=False)]

    def __init__(self, found: Mapping[str, Any]) -> None:
        super().__init__(f"{found['strategy']} on {found['symbol']}, esc closes", ())
        self._found = found

    def rows(self) -> list[Row]:
        return list(told(self._found))


_FIGURES: Final = (
    ("return", "return_pct", "+,.1f", " %"),
    ("drawdown", "max_drawdown_pct", ",.1f", " %"),
    ("sharpe", "sharpe", ".2f", ""),
    ("a trade", "expectancy_r", "+.3f", " R"),
    ("profit factor", "profit_factor", ".2f", ""),
)


def told(found: Mapping[str, Any]) -> Sequence[Row]:
    """Its rows. From a process of ours, but text all the same."""
    net, gross = found["metrics"]["net"], found["metrics"]["gross"]
    twice, beside = found["costs"]["x2"], found["benchmarks"]
    rows: list[Row] = [
        row(f" {found['bars']:,} bars, {found['since'][:10]} to {found['until'][:10]}, "
            f"{net['trades']:.0f} trades", "quiet"),
        row(f" {sparkline([trade['net'] for trade in found['trades']], 60)}"),
        row(f" {'':14}{'net':>11}{'no costs':>11}{'costs x2':>11}{'buy & hold':>12}{'random':>11}", "quiet"),
    ]  # fmt: skip
    others = (net, gross, twice, beside.get("buy_and_hold") or {}, beside.get("random_entries") or {})
    for name, key, form, unit in _FIGURES:
        cells = [f"{_number(each.get(key), form)}{unit}" if each.get(key) is not None else "" for each in others]
        rows.append(row(f" {name:14}{cells[0]:>11}{cells[1]:>11}{cells[2]:>11}{cells[3]:>12}{cells[4]:>11}"))
    low, high = net.get("expectancy_r_90") or (None, None)
    odds = _number(net.get("deflated_sharpe"), ".0%")
    spread = f"{_number(low, '+.2f')} to {_number(high, '+.2f')}"
    rows.append(row(f" a trade lies in {spread} R (90 %); deflated Sharpe {odds}"))
    entered = [(regime, each) for regime, each in found["regimes"].items() if each["trades"]]
    for regime, each in entered[:5]:
        r = _number(each["expectancy_r"], "+.2f")
        rows.append(row(f" {plain(regime, 12):12} {each['trades']:5.0f} trades  {r} R"))
    rows += [row(f" {fmt.words(plain(note, 200), _WIDTH)}", "warn") for note in found["notes"][:3]]
    rows.append(row(f" {plain(found.get('page', ''), 200)[-_WIDTH:]}", "quiet"))
    return rows


def sparkline(results: Sequence[float], width: int) -> str:
    """The sum of results on its way, from the left to the right."""
    if not results:
        return "no trade"
    total, sums = 0.0, [0.0]
    for result in results:
        total += result
        sums.append(total)
    points = [sums[at * (len(sums) - 1) // (width - 1)] for at in range(width)]
    low, high = min(points), max(points)
    span = high - low or 1.0
    return "".join(_BARS[round((point - low) / span * (len(_BARS) - 1))] for point in points)
