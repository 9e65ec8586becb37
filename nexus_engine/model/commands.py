"""What a person can ask for. A key, a palette entry, `nexus kill` and Telegram all become one of these."""

from decimal import Decimal

import msgspec

from nexus_engine.model.words import Latch, Mode


class Command(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of all commands."""


class Approve(Command, frozen=True, kw_only=True):
    """Yes to a proposal as it was shown: `shown` is `Proposal.shown` of the card on the drained screen."""

    proposal: int
    shown: str


class Reject(Command, frozen=True, kw_only=True):
    """No to a proposal."""

    proposal: int


class Halt(Command, frozen=True, kw_only=True):
    """Latch HALT: no entries, working entries cancelled, exits and stops alive."""

    reason: str = ""


class Release(Command, frozen=True, kw_only=True):
    """Release a latch. `word` is what the person typed: it must be the latch's name in lower case."""

    latch: Latch
    word: str


class SetMode(Command, frozen=True, kw_only=True):
    """Change who decides. Going up (towards PILOT) needs the mode's name typed in lower case."""

    mode: Mode
    word: str = ""


class ClosePosition(Command, frozen=True, kw_only=True):
    """Close our position on a symbol at market, reduce-only. `half` of it leaves the rest protected."""

    symbol: str
    half: bool = False


class Flatten(Command, frozen=True, kw_only=True):
    """Close everything of ours at market. `word` must be `flat`. `longs_only` leaves the shorts alone; `foreign` closes
    what is not ours too, because a person says so."""

    word: str
    longs_only: bool = False
    foreign: bool = False


class Edit(Command, frozen=True, kw_only=True):
    """Change a proposal before approving it: to `part` of the size on its card (1, 0.5, 0.25; above 0 and at most 1),
    another stop, or market instead of a limit. None leaves a field as it is. The size never grows, and shrinks where
    the stop's worst case would be over the risk of a trade. What comes out is a new card to look at, never sent by
    this."""

    proposal: int
    shown: str
    part: float = 1.0
    stop: Decimal | None = None
    market: bool | None = None


class MoveStop(Command, frozen=True, kw_only=True):
    """Move a position's stop. Only towards less risk; the new one stands before the old one goes."""

    symbol: str
    stop: Decimal


class Rearm(Command, frozen=True, kw_only=True):
    """Try at once to place the stop of a NAKED position."""

    symbol: str


class Hold(Command, frozen=True, kw_only=True):
    """Put the machine's exit of a NAKED position off, once for each position, by the time of the directive. Its stop is
    tried on; a price beyond the stop is left at once all the same."""

    symbol: str


class Pause(Command, frozen=True, kw_only=True):
    """Latch PAUSE: no new entries, working ones stay. Released like any latch, by its typed name."""


class Adopt(Command, frozen=True, kw_only=True):
    """Take a foreign quantity for ours, with a stop: from then on it is protected like any position of ours. `qty` is
    what the person saw, signed; another one there by now is not taken."""

    symbol: str
    qty: Decimal
    stop: Decimal


class CloseForeign(Command, frozen=True, kw_only=True):
    """Close a foreign quantity at market, reduce-only, because a person says so. `qty` is what they saw, signed;
    another one there by now is not closed. `word` must be the symbol in lower case."""

    symbol: str
    qty: Decimal
    word: str


class Unlock(Command, frozen=True, kw_only=True):
    """Unlock the entries of a LIVE account for the hours of the directive. `word` must be `live_phrase`."""

    word: str


class RearmSwan(Command, frozen=True, kw_only=True):
    """Let longs in again before the black swan's lock has run out. `word` must be `swan`."""

    word: str


class Switch(Command, frozen=True, kw_only=True):
    """Switch a strategy that runs off, or on again. Off: its cards end and its working entries are cancelled; what it
    holds keeps its stop."""

    strategy: str
    on: bool


def live_phrase(account: str) -> str:
    """What a person types to unlock real money."""
    return f"live {account}"


AnyCommand = (
    Approve
    | Reject
    | Halt
    | Release
    | SetMode
    | ClosePosition
    | Flatten
    | Edit
    | MoveStop
    | Rearm
    | Hold
    | Pause
    | Adopt
    | CloseForeign
    | Unlock
    | RearmSwan
    | Switch
)
