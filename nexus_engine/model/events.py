"""Everything that can happen to the engine. The core knows the world through these alone.

Each carries when it was received: `at_ns` (UTC) for the record and `mono_ns` (monotonic) for durations.
`venue_ns` is the venue's own time of the fact: for market data the market's clock, which a practice market may run
fast.
Ladder quantities and tape prices are floats; orders and fills are Decimal.
"""

from decimal import Decimal
from typing import Final

import msgspec

from nexus_engine.model.book import BookLevel
from nexus_engine.model.commands import AnyCommand
from nexus_engine.model.instruments import Instrument
from nexus_engine.model.macro import MacroRow
from nexus_engine.model.orders import Fill, OrderReport, PositionReport, Transfer
from nexus_engine.model.words import AccountKind, Mode, Outcome, Venue


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """Base of all events."""

    at_ns: int
    mono_ns: int


# ---- market -------------------------------------------------------------------------------------------------------


class BookSnapshot(Event, frozen=True, kw_only=True, gc=False):
    """The whole book."""

    symbol: str
    update_id: int
    bids: tuple[BookLevel, ...]
    asks: tuple[BookLevel, ...]
    venue_ns: int


class BookDelta(Event, frozen=True, kw_only=True, gc=False):
    """Absolute quantities at changed levels; the feed has already checked that no update is missing before it."""

    symbol: str
    update_id: int
    bids: tuple[BookLevel, ...]
    asks: tuple[BookLevel, ...]
    venue_ns: int


class BookInvalid(Event, frozen=True, kw_only=True, gc=False):
    """The feed lost its place in a book; a snapshot will follow."""

    symbol: str
    reason: str


class Trade(Event, frozen=True, kw_only=True, gc=False):
    """A public trade. `buyer_is_maker` means that a seller took."""

    symbol: str
    price: float
    qty: float
    buyer_is_maker: bool
    venue_ns: int


class Mark(Event, frozen=True, kw_only=True, gc=False):
    """Mark and index price. `funding_rate` is a fraction per interval."""

    symbol: str
    mark: float
    index: float
    funding_rate: float
    next_funding_ns: int
    venue_ns: int


class Bar(Event, frozen=True, kw_only=True, gc=False):
    """A candle as it stands. `closed` is true once, on the last one of its interval."""

    symbol: str
    interval: str
    open_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int
    closed: bool
    venue_ns: int


class BarRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A closed candle of the past."""

    open_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int = 0


class History(Event, frozen=True, kw_only=True):
    """Closed candles to warm up on, oldest first. It replaces what was known of that interval."""

    symbol: str
    interval: str
    bars: tuple[BarRow, ...]


class FeedStatus(Event, frozen=True, kw_only=True, gc=False):
    """A stream came up or went down. `feed` is `public`, `market` or `user`."""

    venue: Venue
    feed: str
    up: bool
    reason: str = ""


class Instruments(Event, frozen=True, kw_only=True):
    """The grids and limits of every symbol that is traded here."""

    instruments: tuple[Instrument, ...]


# ---- the account ---------------------------------------------------------------------------------------------------


class OrderUpdate(Event, frozen=True, kw_only=True):
    """The venue said something of an order, in a stream. `fill` when that was an execution."""

    report: OrderReport
    fill: Fill | None = None


class AccountUpdate(Event, frozen=True, kw_only=True):
    """Wallet balance and the positions that changed. `transfer` is what was paid in, or out (negative), with it."""

    wallet: Decimal | None
    positions: tuple[PositionReport, ...] = ()
    venue_ns: int
    transfer: Decimal = Decimal(0)


class VenueSnapshot(Event, frozen=True, kw_only=True):
    """All that the venue holds of the account: both order lists, positions, wallet, recent fills. `ok` False: it could
    not be read whole, and absence in it proves nothing. What came after `wallet_ns` (UTC; 0: after it was read) is not
    in the wallet; `transfers` are those of the last weeks."""

    venue: Venue
    ok: bool
    reason: str = ""
    wallet: Decimal = Decimal(0)
    available: Decimal = Decimal(0)
    orders: tuple[OrderReport, ...] = ()
    positions: tuple[PositionReport, ...] = ()
    fills: tuple[Fill, ...] = ()
    wallet_ns: int = 0
    transfers: tuple[Transfer, ...] = ()


class SubmitResult(Event, frozen=True, kw_only=True):
    """What became of a Submit. `code` and `text` are the venue's where it spoke."""

    client_id: str
    outcome: Outcome
    code: int = 0
    text: str = ""
    report: OrderReport | None = None


class CancelResult(Event, frozen=True, kw_only=True):
    """What became of a Cancel. REFUSED with "no such order" means that it is over, one way or another: ask."""

    client_id: str
    outcome: Outcome
    code: int = 0
    text: str = ""


class QueryResult(Event, frozen=True, kw_only=True):
    """The answer to a Query: DONE with a report and its fills, ABSENT, or UNKNOWN when nobody answered."""

    client_id: str
    outcome: Outcome
    report: OrderReport | None = None
    fills: tuple[Fill, ...] = ()


# ---- the whole market -----------------------------------------------------------------------------------------------


class MacroSample(Event, frozen=True, kw_only=True):
    """A source told of Bitcoin's dominance and the whole market's cap: one sample, or some of its past, oldest first.

    `venue_ns` of a row is the source's own time.
    """

    source: str
    rows: tuple[MacroRow, ...]


# ---- the house -----------------------------------------------------------------------------------------------------


class Started(Event, frozen=True, kw_only=True):
    """The first event of a run. `instance` names the journal, `epoch` this writer of it."""

    account: str
    kind: AccountKind
    instance: str
    epoch: int
    version: str
    mode: Mode
    """The mode to start in when the journal holds none."""
    attended: bool = False
    """A person is expected to be there: without one nothing is entered after a while."""


class TimerFired(Event, frozen=True, kw_only=True, gc=False):
    """A SetTimer came due."""

    key: str


class Attended(Event, frozen=True, kw_only=True, gc=False):
    """Somebody looks: a cockpit, here or attached, has asked for a picture."""


class Commanded(Event, frozen=True, kw_only=True):
    """A person (or `nexus kill`) asked for something. `by` is who, `surface` where."""

    command: AnyCommand
    by: str = "you"
    surface: str = "cockpit"


class Checked(Event, frozen=True, kw_only=True):
    """The account and its key were looked at: a LIVE account enters nothing while something is wrong.

    `problem` is one line, empty when nothing is.
    """

    problem: str


class JournalFailed(Event, frozen=True, kw_only=True):
    """The journal could not make records durable: nothing new may be opened."""

    reason: str


WRITER: Final = "writer"
"""The hindrance of another machine that holds the account."""


class Hindered(Event, frozen=True, kw_only=True):
    """Something of this machine keeps entries away: its disk, another machine on the account, a journal that was lost.

    It holds by `name` until the same name comes without a `problem` (one line). `latch`: PROTECT-ONLY as well, which
    only a person releases. Without a name it is said and latched, and holds no longer than the latch.
    """

    problem: str
    name: str = ""
    latch: bool = False


class Stopping(Event, frozen=True, kw_only=True):
    """The account is being closed in order: no entries from now on, and working ones are cancelled, since nobody will
    be there to protect their fills. Stops and targets stay at the venue."""


class RegimeModelChanged(Event, frozen=True, kw_only=True):
    """Regimes are told by this model from now on; an empty name: by the rule alone. `reason` is for people.

    The engine was given the model's arrays by their hash before: a recording names them, and a replay finds them.
    """

    name: str
    sha256: str
    reason: str = ""


class StrategyHung(Event, frozen=True, kw_only=True):
    """The `call`th call into the user's own strategies, counted from 1, did not come back and was ended. The engine has
    heard it where it waited; it is written down for a replay, which must not wait."""

    strategy: str
    call: int
    why: str


MarketEvent = BookSnapshot | BookDelta | BookInvalid | Trade | Mark | Bar
AnyEvent = (
    BookSnapshot
    | BookDelta
    | BookInvalid
    | Trade
    | Mark
    | Bar
    | History
    | FeedStatus
    | Instruments
    | OrderUpdate
    | AccountUpdate
    | VenueSnapshot
    | SubmitResult
    | CancelResult
    | QueryResult
    | Started
    | TimerFired
    | Attended
    | Commanded
    | Checked
    | JournalFailed
    | Stopping
    | Hindered
    | MacroSample
    | RegimeModelChanged
    | StrategyHung
)
