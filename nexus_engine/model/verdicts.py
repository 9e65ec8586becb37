"""What a guard rules on a signal or a size."""

from functools import cache

import msgspec
from msgspec.structs import force_setattr

from nexus_engine.model.words import Ruling, Side


class Reading(msgspec.Struct, frozen=True):
    """One number that a decision was made of, with its limit where it has one."""

    name: str
    value: float
    limit: float | None = None
    unit: str = ""

    def __post_init__(self) -> None:
        # A count passes for a float, but comes back from the journal as one: the rebuilt state would not be the sealed.
        value: object = self.value
        limit: object = self.limit
        if isinstance(value, int):
            force_setattr(self, "value", float(value))
        if isinstance(limit, int):
            force_setattr(self, "limit", float(limit))


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A guard's ruling. `side` None means both; `scale` is what REDUCE leaves of the size (0..1).

    `until_ns` is market time: what clears itself says when; None is until the cause goes.
    """

    guard: str
    ruling: Ruling
    reason: str = ""
    side: Side | None = None
    scale: float = 1.0
    until_ns: int | None = None
    inputs: tuple[Reading, ...] = ()

    @property
    def refuses(self) -> bool:
        return self.ruling is Ruling.REFUSE


def allow(guard: str, *inputs: Reading) -> Verdict:
    """The guard has looked and has nothing against it."""
    return Verdict(guard=guard, ruling=Ruling.ALLOW, inputs=inputs) if inputs else _allowed(guard)


@cache
def _allowed(guard: str) -> Verdict:
    return Verdict(guard=guard, ruling=Ruling.ALLOW)


def refuse(guard: str, reason: str, *inputs: Reading, side: Side | None = None, until_ns: int | None = None) -> Verdict:
    """The guard forbids it."""
    return Verdict(guard=guard, ruling=Ruling.REFUSE, reason=reason, side=side, until_ns=until_ns, inputs=inputs)


class Gauge(msgspec.Struct, frozen=True, kw_only=True):
    """A guard's distance to its trip, for the screen. `used` is 0 at rest and 1 at the trip."""

    guard: str
    label: str
    value: float
    limit: float
    unit: str
    used: float
