"""A trade that waits for a yes."""

import hashlib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

import msgspec

from nexus_engine.model.orders import ExitPlan
from nexus_engine.model.signals import Signal
from nexus_engine.model.verdicts import Verdict
from nexus_engine.model.words import ProposalStatus, Side


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What a person approves. `id` is the number of its intent; on the screen it is P<id> and never changes.

    `worst` is what is lost when the stop fills at its price, fees and slippage included, in quote currency (> 0).
    `expires_mono_ns` runs on the real clock, whatever the market's speed.
    """

    id: int
    symbol: str
    side: Side
    strategy: str
    qty: Decimal
    limit: Decimal
    plan: ExitPlan
    leverage: int
    market: bool = False
    """Enter at market instead of at the limit; the limit is then only what was shown."""
    part: float = 1.0
    """What a person left of the proposed size."""
    worst: Decimal
    worst_pct: float
    r_multiple: float
    signal: Signal
    verdicts: tuple[Verdict, ...] = ()
    status: ProposalStatus = ProposalStatus.PENDING
    by: str = ""
    """Who decided it."""
    reason: str = ""
    made_ns: int
    expires_ns: int
    expires_mono_ns: int

    @property
    def handle(self) -> str:
        return f"P{self.id}"

    @property
    def shown(self) -> str:
        """A hash of what was shown. An approval names it, so nobody approves numbers that they did not see."""
        return shown_hash(self.id, self.side, self.qty, self.limit, self.plan.stop, market=self.market)


def shown_hash(proposal: int, side: Side, qty: Decimal, limit: Decimal, stop: Decimal, *, market: bool = False) -> str:
    """Bind an approval to the size, price and stop on the card. 12 hex characters."""
    text = f"{proposal}|{side}|{qty}|{'market' if market else limit}|{stop}"
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


class Proposals(Mapping[int, Proposal]):
    """By number, in the order in which they came. What is decided is kept as bytes: its seventy readings and twenty
    verdicts are 14 kB as objects and 4 so, and every seal of the journal takes them in."""

    def __init__(self) -> None:
        self.packed: Final[dict[int, Proposal | msgspec.Raw]] = {}
        """As msgpack writes them, which is the same for both."""

    def put(self, proposal: Proposal) -> None:
        self.packed[proposal.id] = proposal if proposal.status.open else msgspec.Raw(_encode(proposal))

    def drop(self, number: int) -> None:
        del self.packed[number]

    def __getitem__(self, number: int) -> Proposal:
        found = self.packed[number]
        return _decode(found) if isinstance(found, msgspec.Raw) else found

    def __iter__(self) -> Iterator[int]:
        return iter(self.packed)

    def __len__(self) -> int:
        return len(self.packed)


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Proposal).decode
