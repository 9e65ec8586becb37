"""What a person can ask for. A key, a palette entry, `nexus kill` and Telegram all become one of these."""

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
    """Close everything of ours at market. `word` must be `flat`. `longs_only` leaves the shorts alone."""

    word: str
    longs_only: bool = False


AnyCommand = Approve | Reject | Halt | Release | SetMode | ClosePosition | Flatten
