"""What the journal remembers. The trading state is what these have made of it, and nothing else (`ledger.py`)."""

from decimal import Decimal
from typing import Final

import msgspec

from nexus_engine.model.macro import MacroRow
from nexus_engine.model.orders import ZERO, ExitPlan, Fill, Order
from nexus_engine.model.proposals import Proposal
from nexus_engine.model.signals import Leave, Quote, Signal
from nexus_engine.model.verdicts import Reading, Verdict
from nexus_engine.model.words import AccountKind, Latch, Level, Macro, Mode, OrderStatus, ProposalStatus, Rung


class Fact(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of all facts. `at_ns` is the UTC receive time of the event that led to it."""

    at_ns: int


# ---- facts that change the trading state -----------------------------------------------------------------------------


class RunStarted(Fact, frozen=True, kw_only=True):
    """A writer took the journal."""

    account: str
    kind: AccountKind
    instance: str
    epoch: int
    version: str


class Crashed(Fact, frozen=True, kw_only=True):
    """A run began, and the one before it had not ended in order."""


class RunEnded(Fact, frozen=True, kw_only=True):
    """A run is being ended in order."""


class OrderIntended(Fact, frozen=True, kw_only=True):
    """We are about to send this order."""

    order: Order


class OrderChanged(Fact, frozen=True, kw_only=True):
    """An order's state as the venue told it, or as its silence left it."""

    client_id: str
    status: OrderStatus
    venue_id: str = ""
    reason: str = ""
    mono_ns: int = 0


class Filled(Fact, frozen=True, kw_only=True):
    """An order of ours executed. Applied once per (symbol, trade id)."""

    fill: Fill
    market_ns: int


class PositionLost(Fact, frozen=True, kw_only=True):
    """The venue holds less than our fills say (a person, a liquidation or ADL closed it): the venue is right.

    `qty` is what is left, signed; `price` what the missing part is valued at.
    """

    symbol: str
    qty: Decimal
    price: Decimal


class ForeignSeen(Fact, frozen=True, kw_only=True):
    """The venue holds a quantity that is not ours. Counted, shown, never touched. 0 ends it."""

    symbol: str
    qty: Decimal


class Naked(Fact, frozen=True, kw_only=True):
    """Since when a position has had no confirmed stop; None: it is covered."""

    symbol: str
    since_ns: int | None


class PlanChanged(Fact, frozen=True, kw_only=True):
    """A person, or the plan's trail, moved a position's stop."""

    symbol: str
    plan: ExitPlan
    by: str


class Adopted(Fact, frozen=True, kw_only=True):
    """A person took a foreign quantity for ours. `qty` signed.

    `carried` is its open profit at that moment, in quote currency: it comes to an equity of `before`, and is neither
    the day's result nor a drawdown.
    """

    symbol: str
    qty: Decimal
    entry: Decimal
    plan: ExitPlan
    intent: int
    by: str
    market_ns: int = 0
    carried: Decimal = ZERO
    before: Decimal = ZERO


class Leaving(Fact, frozen=True, kw_only=True):
    """All of a position is to be closed at market, with whatever its entry still fills, until nothing is held."""

    symbol: str
    by: str
    intent: int = 0
    """Of the position; 0 where only its entry was there."""
    leave: Leave | None = None
    """What its strategy gave for it; None where somebody else wants it."""


class StopTried(Fact, frozen=True, kw_only=True):
    """One more attempt to place a stop for a naked position."""

    symbol: str


class Escalated(Fact, frozen=True, kw_only=True):
    """A naked position's ladder went one rung up. It comes down when a stop is confirmed."""

    symbol: str
    rung: Rung


class Held(Fact, frozen=True, kw_only=True):
    """A person holds the machine's exit of a naked position back until then (UTC). Once for each position."""

    symbol: str
    by: str
    until_ns: int


class ProposalMade(Fact, frozen=True, kw_only=True):
    """A new proposal, or a stale one with its new numbers."""

    proposal: Proposal


class ProposalChanged(Fact, frozen=True, kw_only=True):
    """A proposal was decided, or ran out, or its order ended."""

    proposal: int
    status: ProposalStatus
    by: str
    reason: str = ""


class LatchSet(Fact, frozen=True, kw_only=True):
    """A latch closed or was released."""

    latch: Latch
    on: bool
    by: str
    reason: str = ""


class Leased(Fact, frozen=True, kw_only=True):
    """A LIVE account may enter until `until_ns` (UTC), because a person typed the phrase; 0: no longer.

    A start ends what an earlier one was given.
    """

    until_ns: int
    by: str


class ModeSet(Fact, frozen=True, kw_only=True):
    """Who decides from now on."""

    mode: Mode
    by: str


SENTINEL: Final = "sentinel"
"""Who acts when the black swan has tripped."""
SWAN_LOCK: Final = "swan"
"""The lock of the black swan: no longs."""
SWAN_ALERT: Final = "swan_alert"
"""The lock of its alert: no new longs."""


class LockSet(Fact, frozen=True, kw_only=True):
    """Something that clears itself: no entries of that name until `until_ns` of market time.

    A name is `what`, or `what:scope` where each scope is a symbol or a strategy, e.g. `cooldown:harpoon:BTCUSDT`.
    """

    name: str
    until_ns: int
    reason: str


class WalletSeen(Fact, frozen=True, kw_only=True):
    """The wallet balance as the venue told it. `as_of_ns`: nothing that came later is in it (UTC; 0: by `at_ns`).
    `venue_ns`: what was executed by then, by the venue's clock, is in it (0: what is known of by now)."""

    wallet: Decimal
    as_of_ns: int = 0
    venue_ns: int = 0


class DayOpened(Fact, frozen=True, kw_only=True):
    """The first equity of a UTC day (days since the epoch)."""

    day: int
    equity: Decimal


class StreakTripped(Fact, frozen=True, kw_only=True):
    """A strategy has lost too often in a row. Counted by UTC day: the first pauses it, the second latches BREAKER."""

    strategy: str
    losses: int


class PeakSeen(Fact, frozen=True, kw_only=True):
    """The highest equity since the drawdown breaker was last released."""

    equity: Decimal


class Transferred(Fact, frozen=True, kw_only=True):
    """Money came into the account, or went (negative): no profit, no loss. `before` is the equity until then.

    The stream tells of it with its stamp (`venue_ns`); the venue's list with an `id` and when it was (`moved_ns`, UTC).
    """

    amount: Decimal
    before: Decimal
    venue_ns: int = 0
    id: str = ""
    moved_ns: int = 0


class MacroSeen(Fact, frozen=True, kw_only=True):
    """Samples of dominance and cap, oldest first. Another source than the last one begins a new history."""

    source: str
    rows: tuple[MacroRow, ...]


class MacroChanged(Fact, frozen=True, kw_only=True):
    """What the Shield makes of dominance and cap from now on. `turned_ns` is the source's time at which SHARK last
    began or ended."""

    macro: Macro
    reason: str
    turned_ns: int = 0
    readings: tuple[Reading, ...] = ()


class StrategySwitched(Fact, frozen=True, kw_only=True):
    """A strategy was switched off, or on again."""

    strategy: str
    on: bool
    by: str


# ---- facts that explain ----------------------------------------------------------------------------------------------


class SignalSeen(Fact, frozen=True, kw_only=True):
    """A strategy spoke, or a person said yes to it, and what the guards answered: all that `why` needs."""

    signal: Signal
    verdicts: tuple[Verdict, ...]
    outcome: str
    proposal: int = 0
    quote: Quote | None = None
    """The market that it was judged on; None where there was none."""
    equity: Decimal | None = None
    """What its size was reckoned from."""


class GuardTripped(Fact, frozen=True, kw_only=True):
    """A guard acted on its own. `verdict` carries the numbers it saw."""

    verdict: Verdict
    evidence: tuple[tuple[int, float], ...] = ()
    """(UTC ns, price) of the ticks that it judged."""


class Noted(Fact, frozen=True, kw_only=True):
    """A line of the event log."""

    level: Level
    subject: str
    by: str
    text: str


class Reconciled(Fact, frozen=True, kw_only=True):
    """Journal and venue were compared. `differences` in words, empty when there were none."""

    ok: bool
    differences: tuple[str, ...] = ()


class Sealed(Fact, frozen=True, kw_only=True):
    """The hash of the trading state after the facts before it in the same commit."""

    digest: str


AnyFact = (
    RunStarted
    | Crashed
    | RunEnded
    | OrderIntended
    | OrderChanged
    | Filled
    | PositionLost
    | ForeignSeen
    | Naked
    | Leaving
    | StopTried
    | Escalated
    | Held
    | PlanChanged
    | Adopted
    | ProposalMade
    | ProposalChanged
    | LatchSet
    | Leased
    | ModeSet
    | LockSet
    | WalletSeen
    | DayOpened
    | StreakTripped
    | PeakSeen
    | MacroSeen
    | MacroChanged
    | StrategySwitched
    | SignalSeen
    | GuardTripped
    | Noted
    | Reconciled
    | Sealed
    | Transferred
)
