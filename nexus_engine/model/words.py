"""The closed vocabularies: every state a thing of the house can be in."""

from enum import StrEnum
from typing import Final


class Venue(StrEnum):
    """Where orders go."""

    BINANCE = "BINANCE"
    ALPACA = "ALPACA"
    COINMARKETCAP = "COINMARKETCAP"
    """Takes no orders: it tells dominance and total cap, to whom has a key."""
    POSTGRES = "POSTGRES"
    """No market at all: the second memory, whose password lies in the vault beside the keys."""


class AccountKind(StrEnum):
    """What is at stake. Demo needs nothing and works offline."""

    DEMO = "DEMO"
    PAPER = "PAPER"
    TESTNET = "TESTNET"
    LIVE = "LIVE"


class Mode(StrEnum):
    """Who decides an entry: nobody, a person, the machine."""

    WATCHER = "WATCHER"
    COPILOT = "COPILOT"
    PILOT = "PILOT"

    @property
    def rank(self) -> int:
        """How much the machine may do by itself: more is looser."""
        return _MODES.index(self)


_MODES: Final = tuple(Mode)


class TradingState(StrEnum):
    """What may still leave. Exits and stops are alive in all of them."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    """No new entries; working entries may still fill."""
    HALTED = "HALTED"
    """No entries; working entries are cancelled."""


class Latch(StrEnum):
    """A stop that survives restarts and that only a person releases."""

    HALT = "HALT"
    BREAKER = "BREAKER"
    DRAWDOWN = "DRAWDOWN"
    PROTECT_ONLY = "PROTECT_ONLY"
    PAUSE = "PAUSE"
    """A person wants no new entries for now; what works stays."""


class Sentinel(StrEnum):
    """The badge. Where several hold, the first in this order shows."""

    BLACK_SWAN = "BLACK_SWAN"
    BLIND = "BLIND"
    SHARK = "SHARK"
    CALM = "CALM"


class Regime(StrEnum):
    """What kind of market a symbol is in."""

    RANGE = "RANGE"
    VOLATILE = "VOLATILE"
    TREND_UP = "TREND_UP"
    TREND_DOWN = "TREND_DOWN"
    UNKNOWN = "UNKNOWN"


class Macro(StrEnum):
    """What the whole market does (dominance and total cap)."""

    NEUTRAL = "NEUTRAL"
    SHARK = "SHARK"
    UNKNOWN = "UNKNOWN"


class Side(StrEnum):
    """The side of an order or a fill."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> "Side":
        return Side.SELL if self is Side.BUY else Side.BUY

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1


class OrderKind(StrEnum):
    """The order types that Nexus sends."""

    LIMIT = "LIMIT"
    MARKET = "MARKET"
    STOP_MARKET = "STOP_MARKET"
    STOP_LIMIT = "STOP"
    """A stop that becomes a limit order: for when the venue takes no other."""


CONDITIONAL: Final = frozenset({OrderKind.STOP_MARKET, OrderKind.STOP_LIMIT})


class TimeInForce(StrEnum):
    """How long an order may rest."""

    GTC = "GTC"
    IOC = "IOC"
    GTX = "GTX"
    """Post-only: an order that would take is not placed."""


class Leg(StrEnum):
    """What an order is for. Its letter ends the client id."""

    ENTRY = "e"
    STOP = "s"
    TARGET = "t"
    EXIT = "x"
    FOREIGN = "f"
    """Closes what is not ours, because a person says so. It never counts for a position of ours."""

    @property
    def word(self) -> str:
        return self.name.lower()


class OrderStatus(StrEnum):
    """The life of an order. UNKNOWN means that the venue may or may not have it: it counts as exposure until asked."""

    INTENT = "INTENT"
    SUBMITTED = "SUBMITTED"
    """Left, and not answered. Nothing is set to it: the seals cover every status, so it would be a fact and a commit
    for each order, and a restart would be no wiser, since an INTENT on disk may have left before the next fact stood.
    INTENT therefore means that it may have left, and whatever reads one takes both alike."""
    UNKNOWN = "UNKNOWN"
    OPEN = "OPEN"
    PARTIAL = "PARTIAL"
    PENDING_CANCEL = "PENDING_CANCEL"
    PENDING_REPLACE = "PENDING_REPLACE"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"

    @property
    def terminal(self) -> bool:
        """Nothing more can come of it, but for a fill that arrives late."""
        return self in TERMINAL

    @property
    def resting(self) -> bool:
        """The venue has confirmed that it holds the order."""
        return self in RESTING

    @property
    def standing(self) -> bool:
        """It rests, and nobody has asked for anything else."""
        return self in STANDING


STANDING: Final = frozenset({OrderStatus.OPEN, OrderStatus.PARTIAL})
TERMINAL: Final = frozenset({OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.EXPIRED})
RESTING: Final = frozenset(
    {OrderStatus.OPEN, OrderStatus.PARTIAL, OrderStatus.PENDING_CANCEL, OrderStatus.PENDING_REPLACE}
)


class Rung(StrEnum):
    """How far the machine has gone to protect a position or be rid of it. Each is reached by time, never by tries."""

    OTHER_STOP = "another kind of stop"
    LIMIT = "out at a limit"
    MARKET = "out at market"


class ProposalStatus(StrEnum):
    """The life of a proposal. Leaving PENDING or STALE happens once, whoever asks first."""

    PENDING = "PENDING"
    STALE = "STALE"
    """Price, size or stop moved since it was shown; it can be approved again at the new ones."""
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    EXECUTED = "EXECUTED"
    FAILED = "FAILED"

    @property
    def open(self) -> bool:
        """A person can still decide it."""
        return self in (ProposalStatus.PENDING, ProposalStatus.STALE)


class Ruling(StrEnum):
    """What a guard says."""

    ALLOW = "allow"
    REDUCE = "reduce"
    REFUSE = "refuse"


class Outcome(StrEnum):
    """What became of a request to the venue. UNKNOWN is resolved by asking, never by sending again."""

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    ABSENT = "absent"
    """Asked for an order: the venue says that it has none of that id."""


UNSENT: Final = frozenset({"withdrawn", "not recorded", "the account is being closed"})
"""Refusals of our own carrier: the venue was never asked."""


class Level(StrEnum):
    """How loudly a line of the event log speaks."""

    INFO = "info"
    GOOD = "good"
    WARN = "warn"
    ALARM = "alarm"


class Role(StrEnum):
    """What a person may do to an account. Each may what the one before may."""

    VIEWER = "viewer"
    """Looks, and HALTs."""
    TRADER = "trader"
    """Decides cards, closes, moves stops, pauses, lowers the mode."""
    OWNER = "owner"
    """Also loosens: mode up, releases, real money, what is foreign."""

    @property
    def rank(self) -> int:
        return tuple(Role).index(self)
