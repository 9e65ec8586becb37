"""What a cockpit shows: one immutable picture of the engine, built when asked for.

Numbers are numbers (formatting is the face's business); text from outside is plain text, never markup.
"""

from decimal import Decimal

import msgspec

from nexus_engine.model.events import BarRow
from nexus_engine.model.orders import Order
from nexus_engine.model.proposals import Proposal
from nexus_engine.model.signals import Leave, Signal
from nexus_engine.model.verdicts import Gauge, Reading, Verdict
from nexus_engine.model.words import (
    AccountKind,
    Latch,
    Level,
    Macro,
    Mode,
    OrderStatus,
    Regime,
    Sentinel,
    Side,
    TradingState,
)


class ViewRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is on the screen: nothing else is built."""

    books: tuple[str, ...] = ()
    depth: int = 20
    chart: tuple[str, str] | None = None
    """(symbol, interval)"""
    bars: int = 0
    events: int = 20
    shield: bool = False
    """Every guard, the last trips and the funnel."""
    why: str = ""
    """What to explain: `P41` (a proposal or a trade) or a row of the events, `@<at_ns> <subject> <text>`; empty for
    nothing."""


class LatchView(msgspec.Struct, frozen=True, kw_only=True):
    latch: Latch
    by: str
    reason: str
    since_ns: int


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """The first header row. Money in quote currency. `blocked` says why no entry may leave now, empty when one may."""

    name: str
    kind: AccountKind
    mode: Mode
    state: TradingState
    latches: tuple[LatchView, ...]
    blocked: str
    equity: float
    wallet: float
    day_pnl: float
    day_realised: float
    """After fees; `day_fees` says what of it they were."""
    day_fees: float
    day_trades: int
    open_pnl: float
    loss_left: float
    """Until the nearest limit of the day or week, in money or in R, ends entries."""
    at_risk: float
    exposure_pct: float
    exposure_limit_pct: float
    lease_ms: int | None = None
    """For how long a LIVE account may still enter; None for all others."""
    known: bool = True
    """The venue has told of it in this run. Until then its money and what is open are the journal's, or nothing."""
    speed: float = 1.0
    """Market minutes a minute, of a market of our own that runs faster or slower than the clock."""


class FeedView(msgspec.Struct, frozen=True, kw_only=True):
    """One stream. `age_ms` since its last message, None before the first."""

    name: str
    up: bool
    age_ms: int | None


class PositionView(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the positions pane. `stop_state` is `ok`, `unseen` (it stands by the journal; the venue has not shown it
    since the start), `wait`, `UNKNOWN` or `NAKED`; `naked_ms` runs until ok."""

    symbol: str
    intent: int
    side: Side
    qty: Decimal
    entry: Decimal
    price: float
    price_digits: int
    pnl: float
    r: float
    stop: Decimal | None
    stop_state: str
    stop_seen_ms: int | None
    naked_ms: int | None
    liquidation: Decimal | None
    held_ms: int
    strategy: str
    by: str
    exit_ms: int | None = None
    """Until the machine leaves a naked position; None where it does not count down, or is leaving already."""
    held_by: str = ""
    """Who has put that exit off."""
    stop_qty: Decimal | None = None
    """What the stop at the venue would still close; None without one."""
    half: Decimal | None = None
    """What closing half of it sends, by the venue's step; None from an engine that does not say."""
    no_half: str = ""
    """Why half of it would not be closed now."""
    liquidation_known: bool = True
    """The venue has told `liquidation`, or that there is none."""


class EntryView(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of which `leaves` may still fill. `price` is None at market; after `left_ms` it is cancelled."""

    symbol: str
    intent: int
    side: Side
    leaves: Decimal
    price: Decimal | None
    price_digits: int
    status: OrderStatus
    left_ms: int


class BookMark(msgspec.Struct, frozen=True, kw_only=True):
    """Something of ours at a price of the ladder: `entry P41` (a working one), `in P41` (where it was entered), `stop`,
    `target`, `exit`, `liq` (the venue's liquidation price), or of an open card `limit` (`market`), `stop`, `target`."""

    price: Decimal
    label: str


class BookView(msgspec.Struct, frozen=True, kw_only=True):
    """A ladder. Levels are (price in ticks, quantity), best first. `last` is 0 before the first trade, `change_pct`
    None while a day ago is not known."""

    symbol: str
    valid: bool
    tick: Decimal
    price_digits: int
    qty_digits: int
    bids: tuple[tuple[int, float], ...]
    asks: tuple[tuple[int, float], ...]
    last: float
    change_pct: float | None
    funding_pct: float
    funding_in_ms: int
    marks: tuple[BookMark, ...] = ()


class WatchRow(msgspec.Struct, frozen=True, kw_only=True):
    symbol: str
    last: float
    price_digits: int
    change_pct: float | None
    regime: Regime
    confidence: float
    age_ms: int | None


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    at_ns: int
    level: Level
    subject: str
    by: str
    text: str
    before: str = ""
    """A voice's words around the text, see `voiced`; without a voice there are none."""
    after: str = ""

    @property
    def voiced(self) -> str:
        """The text with the voice's words around it. It is in there as it is."""
        return " ".join(filter(None, (self.before, self.text, self.after)))


class Shock(msgspec.Struct, frozen=True, kw_only=True):
    """What a fall of Bitcoin would do to the account with one more position: money, and in words what happens."""

    drop_pct: float
    pnl: float
    text: str


class ProposalView(msgspec.Struct, frozen=True, kw_only=True):
    """A card. `left_ms` until it expires; `shown` is what an approval must name."""

    proposal: Proposal
    price_digits: int
    left_ms: int
    shown: str
    shock: Shock | None = None
    margin: float = 0.0
    """Isolated margin that it would tie up."""
    edge_bp: float = 0.0
    """Distance to the target less the costs of getting there and back."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the strategy over the chart's bars: one value for each of them, all finite. A line that does not reach
    back to the first bar is not there at all."""

    name: str
    values: tuple[float, ...]


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the Shark targets. `score` 0..1; `veto` says why not, empty when it may be hunted."""

    symbol: str
    score: float
    drop_pct: float
    """Against Bitcoin, over four hours."""
    veto: str = ""
    note: str = ""


class Moment(msgspec.Struct, frozen=True, array_like=True):
    """A point of today's profit: UTC ns, realised less fees, and open."""

    at_ns: int
    realised: float
    open: float


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Where venue and journal do not agree: a foreign quantity, and what can be done about it. `liquidation` is the
    venue's price for the whole position, None where it has none."""

    symbol: str
    venue: Decimal
    ours: Decimal
    entry: Decimal
    price: float
    price_digits: int
    liquidation: Decimal | None = None

    @property
    def foreign(self) -> Decimal:
        """What is held there beside ours, signed."""
        return self.venue - self.ours


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """What a comparison with the venue found and settled, a line each."""

    at_ns: int
    lines: tuple[str, ...]


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """One decision explained: signal, every guard's ruling with its numbers, and what became of it."""

    title: str
    signal: Signal | None
    verdicts: tuple[Verdict, ...]
    outcome: str
    orders: tuple[Order, ...] = ()
    notes: tuple[EventRow, ...] = ()
    leave: Leave | None = None
    """Why its strategy left it; None where it did not."""


class MacroView(msgspec.Struct, frozen=True, kw_only=True):
    """Dominance (points) and cap (percent) over the macro guard's slow span; None while the history does not reach.
    `age_ms` of the newest sample, None before the first. `reason` says what the state follows from, or what is wrong
    with the source."""

    source: str = ""
    dominance_pt: float | None = None
    cap_pct: float | None = None
    age_ms: int | None = None
    reason: str = ""


class GuardView(msgspec.Struct, frozen=True, kw_only=True):
    """A guard on the Shield screen. `used` is 0 at rest and 1 at its limit; `age_ms` that of its input, None where it
    has none; `state` is `ok`, `WARN`, `TRIPPED`, `LOCKED`, `LATCHED` or `BLIND`. A lock's `value` is what is left."""

    name: str
    value: float
    limit: float
    unit: str
    used: float
    age_ms: int | None
    state: str
    reason: str = ""
    until_ns: int = 0


class ExitView(msgspec.Struct, frozen=True, kw_only=True):
    """A long that left after a trip. Times are milliseconds since it, or since it went on before the exit was sent;
    None: not confirmed yet."""

    symbol: str
    qty: str
    sent_ms: int
    attempts: int
    confirmed_ms: int | None
    price: str


class TripView(msgspec.Struct, frozen=True, kw_only=True):
    """A trip of the black swan, or its alert, with the evidence. `ticks` are (UTC ns, price), and so is `further`: each
    time that the fall went on under the lock, and its low."""

    at_ns: int
    alert: bool
    reason: str
    readings: tuple[Reading, ...]
    ticks: tuple[tuple[int, float], ...]
    exits: tuple[ExitView, ...]
    further: tuple[tuple[int, float], ...] = ()


class StageView(msgspec.Struct, frozen=True, kw_only=True):
    """A stage of the way from a wish to an order: how many came through and ended here, and the last one's why."""

    name: str
    passed: int
    stopped: int
    reason: str
    at_ns: int


class StressLine(msgspec.Struct, frozen=True, kw_only=True):
    """A shock and its result: quote currency, and percent of equity, None without any."""

    name: str
    money: float
    pct: float | None


class StressView(msgspec.Struct, frozen=True, kw_only=True):
    """What is at stake. `unpriced` symbols have no mark; `foreign` ones count in the fall and the funding alone,
    entries `in_flight` in the stops alone. The liquidation price next to its mark is `liquidation_pct` away, if any."""

    lines: tuple[StressLine, ...] = ()
    liquidation_pct: float | None = None
    liquidation_symbol: str = ""
    unpriced: tuple[str, ...] = ()
    foreign: int = 0
    in_flight: int = 0


class View(msgspec.Struct, frozen=True, kw_only=True):
    """The picture."""

    seq: int
    at_ns: int
    account: AccountView
    sentinel: Sentinel
    sentinel_reason: str
    macro: Macro
    gauges: tuple[Gauge, ...]
    feeds: tuple[FeedView, ...]
    proposals: tuple[ProposalView, ...]
    positions: tuple[PositionView, ...]
    foreign: tuple[tuple[str, Decimal], ...]
    unknown_orders: int
    books: tuple[BookView, ...]
    watch: tuple[WatchRow, ...]
    events: tuple[EventRow, ...]
    outcome: EventRow | None
    """The last command's outcome, as the venue told it."""
    entries: tuple[EntryView, ...] = ()
    chart: tuple[BarRow, ...] = ()
    chart_digits: int = 2
    chart_lines: tuple[Line, ...] = ()
    chart_marks: tuple[BookMark, ...] = ()
    odds: tuple[tuple[Regime, float], ...] = ()
    """How likely each regime is for the chart's symbol, by the rule's own measures; sums to 1."""
    targets: tuple[Target, ...] = ()
    squeeze: str = ""
    """What the squeeze rule says: `quiet`, or why shorts are dangerous now."""
    curve: tuple[Moment, ...] = ()
    """Today's profit, at most 240 points."""
    differences: tuple[Difference, ...] = ()
    compared: Compared | None = None
    """The last comparison of this run that found the journal behind the venue; None when none has."""
    why: Why | None = None
    funnel: tuple[tuple[str, int], ...] = ()
    """Why no trade: signals seen, refused, proposed today."""
    macro_view: MacroView = MacroView()
    health: tuple[Reading, ...] = ()
    """What the machine and its venue count; `nexus status` tells it."""
    problem: str = ""
    """The worst that is wrong with the machine itself, in one line; empty when all is well."""
    guards: tuple[GuardView, ...] = ()
    """Only where the Shield screen asks for it, as the two below."""
    trips: tuple[TripView, ...] = ()
    stages: tuple[StageView, ...] = ()
    stress: StressView = StressView()
    strategies: tuple[tuple[str, bool, Mode], ...] = ()
    """What runs: (name, whether it is switched on, who decides its entries)."""
