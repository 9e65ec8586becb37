"""`nexus backtest`: the core that trades live, on recorded bars, against a venue that fills as bars allow.

The same engine, strategies, shield and servos; only the clock is virtual and the venue simulated. Signals come of
closed bars and are filled after them, taking the spread and slipping; a stop that a gap jumped over fills at the open;
a bar that touches stop and target met the stop; funding is paid at 0, 8 and 16 UTC. The same input gives the same
decisions.
"""

import argparse
import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from nexus_engine.core.engine import Engine
from nexus_engine.core.hunt import Hunt
from nexus_engine.core.market import HOURLY
from nexus_engine.cortex.factory import NO_OWN, Cortex, Own
from nexus_engine.cortex.regime_model import ModelError, RegimeModel
from nexus_engine.cortex.shark import Shark
from nexus_engine.lab import history, report
from nexus_engine.lab.around import Daily, Timed, figures, led, told
from nexus_engine.lab.bars import SECOND_NS, Bars, BarsError
from nexus_engine.lab.chosen import AUTO, NAMES, Chosen, find, switched
from nexus_engine.lab.drive import Drive, Mask
from nexus_engine.lab.progress import Progress
from nexus_engine.lab.result import Result, made
from nexus_engine.lab.scan import lasting_ns, stretches
from nexus_engine.lab.skip import Skipper
from nexus_engine.lab.venue import BarVenue, Costs, instrument_of
from nexus_engine.lab.wire import Clock
from nexus_engine.model.config import ConfigError, Directive
from nexus_engine.model.config import load as load_config
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.paths import StateError, state_root
from nexus_engine.model.usage import Parser, UsageError, harmless
from nexus_engine.runtime.regime import find_model
from nexus_engine.sim.played import spec_of

SENTINEL_NS: Final = 300 * SECOND_NS
"""Bars up to this length let the Sentinel see a crash."""

Share = Callable[[float], None]


class BacktestOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What to run. `since` and `until` are UTC ns, 0 for the data's own ends; what is before `since` warms up.

    `trials`: how many variants were tried before this one, and `trial_variance` that of their Sharpe ratios a day.
    """

    data: tuple[Path, ...]
    symbol: str
    strategy: str = AUTO
    own: Own = NO_OWN
    """The user's own strategies: with `auto` all of them run beside the shipped ones."""
    since: int = 0
    until: int = 0
    funding: Path | None = None
    macro: tuple[Path, ...] = ()
    """Dominance and cap by day."""
    leader: tuple[Path, ...] = ()
    """Bars of the symbol that the Shark follows, which is the one that the Sentinel watches."""
    directive: Directive = Directive()
    model: RegimeModel | None = None
    """Tells the regime where it can, as live; None: the rule alone."""
    costs: Costs | None = None
    skipping: bool = True
    trials: int = 1
    trial_variance: float | None = None


class _Unsealed(Ledger):
    """A backtest has no journal that anybody would check against it."""

    def digest(self) -> str:
        """Nothing."""
        return ""


def run(order: BacktestOrder, progress: Share = lambda share: None) -> Result:
    """Run it. Raises BarsError, ConfigError."""
    begun_s = time.monotonic()
    bars, mended = history.gather(order.data, order.symbol)
    if order.until:
        bars = bars.cut(0, order.until)
    start = int(np.searchsorted(bars.open_ns, order.since))
    if start >= len(bars):
        raise BarsError(f"{order.data[0]}: holds no bar of {order.symbol} between --from and --to")
    rates = None if order.funding is None else history.funding(order.funding, order.symbol)
    notes = list(mended.said())
    directive, own = _directive(order, bars, notes)
    engine = Engine(directive, _Unsealed(), own)
    engine.cortex = Cortex(directive.strategies, own, order.directive.shield.swan_symbol)
    engine.cortex.use(order.model)
    frames = [history.added_up(bars, interval) for interval in engine.cortex.intervals]
    clock = Clock(int(bars.open_ns[start]))
    venue = BarVenue(
        order.symbol,
        float(bars.ohlc[start, 0]),
        wallet=Decimal(repr(directive.paper.wallet)),
        leverage=engine.directive.risk.leverage,
        costs=order.costs or Costs.of(order.symbol),
        funding=rates,
    )
    watched = _watched(bars, order, directive, notes)
    around = _around(order, engine, clock.now_ns, int(bars.open_ns[-1]) + bars.step_ns)
    skip = None
    if order.skipping:
        skip = Skipper(
            engine.cortex, order.symbol, frames, start_ns=clock.now_ns, warmup=engine.warmup_bars,
            whole=frozenset({HOURLY} if around else ()),
        )  # fmt: skip
    drive = Drive(
        engine, venue, bars, frames, start=start, clock=clock, watched=watched,
        locked=lasting_ns(directive.shield) // bars.step_ns + 1, skip=skip, progress=progress,
    )  # fmt: skip
    drive.wire.hear(around)
    drive.run()
    if skip is not None:
        skip.rest()
    progress(1.0)
    return made(order, bars, start, drive, notes, time.monotonic() - begun_s)


def _directive(order: BacktestOrder, bars: Bars, notes: list[str]) -> tuple[Directive, Own]:
    """The directive with the strategies that run, and the user's own among them."""
    given = order.directive
    tables, own = switched(Chosen(order.strategy, order.own), given.strategies, bars, order.data[0], notes)
    if tables[Shark.name]["enabled"]:
        notes.extend(_lacks(order))
    shield = given.shield
    if order.symbol != shield.swan_symbol:
        notes.append(f"the Sentinel was not there: it watches {shield.swan_symbol}")
        shield = shield.model_copy(update={"swan_symbol": order.symbol})
    return given.model_copy(update={"strategies": tables, "shield": shield, "people": {}}), own


def _lacks(order: BacktestOrder) -> Iterator[str]:
    """What the Shark needs and has not."""
    leader = order.directive.shield.swan_symbol
    if not order.macro:
        yield "no macro series: Shark cannot activate; --macro FILE gives dominance and cap by day"
    if order.symbol == leader:
        yield f"Shark sells what falls with {leader}: it enters nothing on {leader} itself"
    elif not order.leader:
        yield f"no bars of {leader}, which it follows: Shark cannot activate; --leader FILE gives them"


def _around(order: BacktestOrder, engine: Engine, start_ns: int, end_ns: int) -> list[Timed]:
    """What only the Shark asks for, where it can hunt at all."""
    shield = order.directive.shield
    leader = shield.swan_symbol
    if Shark.name not in engine.cortex.names or any(_lacks(order)):
        return []
    bars, _ = history.gather(order.leader, leader)
    instrument = instrument_of(spec_of(leader, float(bars.ohlc[0, 0])))
    engine.shield.macro = Daily()
    engine.hunt = Hunt(shield)
    engine.cortex.watched = frozenset({leader})
    hours = led(instrument, bars.cut(0, end_ns), start_ns, engine.warmup_bars)
    return [*hours, *told(figures(order.macro), start_ns, end_ns)]


def _watched(bars: Bars, order: BacktestOrder, directive: Directive, notes: list[str]) -> Mask | None:
    """Bars in which the black swan may trip, if it watches this symbol and can see it in them."""
    if order.symbol != order.directive.shield.swan_symbol:
        return None
    if bars.step_ns > SENTINEL_NS:
        notes.append(f"the Sentinel was not there: bars of {bars.step_ns / SECOND_NS:g} s are too coarse for it")
        return None
    watched = np.zeros(len(bars), bool)
    for low, high in stretches(bars, directive.shield):
        watched[low:high] = True
    return watched


# ---- the command -----------------------------------------------------------------------------------------------------


def main(argv: Sequence[str]) -> int:
    """0: it ran; 1: stopped, or its page could not be written; 2: bad usage or input, with one line on stderr."""
    try:
        given = _parser().parse_args(argv)
        order = _order(given)
    except (UsageError, ConfigError) as error:
        sys.stderr.write(f"nexus backtest: {harmless(error)}\n")
        return 2
    except SystemExit as stop:
        return int(stop.code or 0)
    logging.getLogger("nexus_engine").addHandler(logging.NullHandler())
    progress = Progress(as_json=given.json)
    try:
        result = run(order, lambda share: progress("backtest", share))
    except (BarsError, ConfigError) as error:
        progress.wipe()
        sys.stderr.write(f"nexus backtest: {harmless(error)}\n")
        return 2
    except KeyboardInterrupt:
        progress.wipe()
        sys.stderr.write("nexus backtest: stopped; nothing was kept\n")
        return 1
    progress.wipe()
    sys.stdout.write((json.dumps(report.told(result)) if given.json else report.text(result)) + "\n")
    try:
        if given.html is not None:
            given.html.write_text(report.page(result), "utf-8")
    except OSError as error:
        sys.stderr.write(f"nexus backtest: {harmless(given.html)}: cannot be written ({error.strerror})\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="nexus backtest", formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
        description=__doc__, epilog="Files have the columns open_time, open, high, low, close, volume (parquet or "
        "CSV, UTC),\nbars of 1 s to 1 h; with a column symbol its rows of --symbol count. Several files are joined.",
    )  # fmt: skip
    add = parser.add_argument
    add("--data", metavar="F", type=Path, nargs="+", required=True, help="recorded bars of the symbol")
    add("--symbol", metavar="S", required=True, help="whose bars they are, e.g. BTCUSDT")
    add(
        "--strategy",
        metavar="NAME",
        default=AUTO,
        help=f"{AUTO}, {', '.join(NAMES)}, one of your own (of the folder "
        "that --config names in account.own_strategies), or the path of its file",
    )
    add("--from", dest="since", metavar="DATE", default="", help="play from here on (UTC); earlier bars warm up")
    add("--to", dest="until", metavar="DATE", default="", help="and up to before this")
    add("--funding", metavar="FILE", type=Path, help="rates: funding_time, rate; without it 1 bp in 8 h")
    add(
        "--macro",
        metavar="FILE",
        type=Path,
        nargs="+",
        default=[],
        help="dominance and cap by day, for the Shark: date, btc_dominance, total_cap_usd",
    )
    add(
        "--leader",
        metavar="FILE",
        type=Path,
        nargs="+",
        default=[],
        help="bars of bitcoin, which the Shark follows (lab.leader of the directive)",
    )
    add("--config", metavar="FILE", type=Path, help="a directive: strategies, risk, shield, paper.wallet")
    add("--trials", metavar="N", type=int, default=1, help="variants tried before this one: deflates the Sharpe ratio")
    add("--step", action="store_true", help="tell the core of every closed bar; slower, the same decisions")
    add("--html", metavar="FILE", type=Path, help="also write the report as a page")
    add("--json", action="store_true", help="one JSON object on stdout, progress on stderr")
    return parser


def _order(given: argparse.Namespace) -> BacktestOrder:
    if not re.fullmatch(r"[A-Z0-9]{2,20}", given.symbol):
        raise UsageError(f"--symbol {given.symbol!r}: allowed are 2 to 20 of A-Z and 0-9, e.g. BTCUSDT")
    if not 1 <= given.trials <= 1_000_000:
        raise UsageError(f"--trials {given.trials}: allowed are whole numbers from 1 to 1000000")
    since, until = moment("--from", given.since), moment("--to", given.until)
    page: Path | None = given.html
    if page is not None and (page.is_dir() or not page.parent.is_dir()):
        raise UsageError(f"--html {page}: cannot be written: must be a file in a folder that there is")
    if page is not None and not os.access(page if page.exists() else page.parent, os.W_OK):
        raise UsageError(f"--html {page}: cannot be written: no right to")
    if until and since >= until:
        raise UsageError(f"--to {given.until}: must be after --from")
    directive = load_config(given.config)
    chosen = find(given.strategy, directive)
    return BacktestOrder(
        data=tuple(given.data),
        symbol=given.symbol,
        strategy=chosen.name,
        own=chosen.own,
        since=since,
        until=until,
        funding=given.funding,
        macro=tuple(given.macro) or directive.lab.files("macro"),
        leader=tuple(given.leader) or directive.lab.files("leader"),
        directive=directive,
        model=model_of(directive),
        skipping=not given.step,
        trials=given.trials,
    )


def model_of(directive: Directive) -> RegimeModel | None:
    """The model that an account of this directive would begin with. Raises UsageError."""
    try:
        return find_model(state_root(), directive.regime.model)
    except (ModelError, StateError) as error:
        raise UsageError(f'the regime model: {error}; `[regime] model = "off"` goes by the rule') from error


def moment(option: str, text: str) -> int:
    if not text:
        return 0
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text!r}: must be a date or time, e.g. 2024-01-01 or 2024-01-01T08:00") from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()) * SECOND_NS
