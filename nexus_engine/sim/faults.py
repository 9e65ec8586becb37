"""Faults a practice venue is asked to commit: a TOML file of `[[fault]]` tables.

`nexus exchange --help` lists the kinds. Two faults:

    [[fault]]                              # the first market sell is executed and answered with "Unknown error"
    on = "POST /fapi/v1/order"
    kind = "unknown_after"
    match = {side = "SELL", type = "MARKET"}

    [[fault]]                              # 60 s after the start nobody is served for 5 s
    on = "server"
    kind = "down"
    at_s = 60
    for_s = 5

Where: `on` is "METHOD /path" (`*` and `?` match, METHOD may be `*`; "GET /private/ws" is the handshake of a socket;
"POST /fapi/v1/order" is order.place of the WebSocket API too, and so for each of its methods that has a route),
"stream /public", "stream /market", "stream" (both), "user" (the account's events), "algo" (a conditional order reaches
its trigger) or "server" (a tick of its clock, 100 ms).

When: each request, message, trigger or tick there is one occasion, if it comes `at_s` seconds or more after the start
and `match` fits: parameter or field -> value, where "o.X" reaches into objects. The first `after` occasions pass, then
`count` (1; 0: all) are hit, each with `probability` (1.0) drawn from `seed`. With `for_s` the first hit opens a window
of so many seconds in which every occasion is hit, with that probability, and which is the fault's last. One fault an
occasion, the first in the file that strikes, though all of them count it; server faults may strike together.

What: `kind`, and the keys that kind knows. Retry-After is `retry_after_s`, else what is left of `for_s`.
"""

import time
import tomllib
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from nexus_engine.sim.fault_kinds import (
    ALGO,
    CLOSE_CODES,
    KINDS,
    LASTING,
    REQUEST,
    SERVER,
    STREAM,
    UNKNOWN,
    USER,
    table,
)
from nexus_engine.sim.mangle import dump, pick

PLACES = {
    "stream /public": STREAM, "stream /market": STREAM, "stream": STREAM, "user": USER, "algo": ALGO, "server": SERVER,
}  # fmt: skip
METHODS = ("GET", "POST", "PUT", "DELETE", "*")
_WHERE_AND_WHEN = frozenset({"on", "kind", "match", "at_s", "for_s", "after", "count", "probability", "seed"})
MOST = {
    "size": 64 << 20,
    "copies": 100_000,
    "delay_ms": 600_000,
    "skew_ms": 10 * 365 * 86_400_000,
    "code": 1_000_000,
    "amount": 10**9,
}
"""What a venue can hold in memory, and write as a number."""

Scalar = str | int | float | bool


class FaultFileError(ValueError):
    """The file cannot be used; the message is one line that says why."""


class Fault(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True, omit_defaults=True):
    on: str
    kind: str
    match: dict[str, Scalar] = {}
    at_s: float = 0.0
    for_s: float = 0.0
    after: int = 0
    count: int = 1
    probability: float = 1.0
    seed: int = 0
    delay_ms: int = 0
    status: int = 0  # 0: the kind's own
    code: int = -1000
    msg: str = UNKNOWN
    retry_after_s: int = 0
    close_code: int = 1001
    edit: dict[str, Any] = {}
    value: str = "NaN"
    body: str = '{"e":"depthUpdate","E":17'
    copies: int = 1
    size: int = 1 << 21
    skew_ms: int = 0
    amount: float = 1_000.0
    symbol: str = "BTCUSDT"
    reason: str = "Margin is insufficient."

    def place(self) -> str:
        if self.on in PLACES:
            return PLACES[self.on]
        method, _, path = self.on.partition(" ")
        if method in METHODS and path.startswith(("/", "*")):
            return REQUEST
        allowed = ", ".join(repr(name) for name in PLACES)
        raise FaultFileError(f"on = {self.on!r}: allowed are 'METHOD /path' ({', '.join(METHODS)}), {allowed}")

    def check(self) -> None:
        """Raise FaultFileError for the first key that is wrong."""
        if self.kind not in KINDS:
            raise FaultFileError(f"kind = {self.kind!r}: allowed are {', '.join(KINDS)}")
        place, kind = self.place(), KINDS[self.kind]
        if place not in kind.places:
            allowed = ", ".join(name for name, other in KINDS.items() if place in other.places)
            raise FaultFileError(f"kind = {self.kind!r} on {self.on!r}: allowed there are {allowed}")
        for name in msgspec.to_builtins(self).keys() - _WHERE_AND_WHEN - kind.keys:
            keys = ", ".join(sorted(kind.keys)) or "none"
            raise FaultFileError(
                f"{name} = {getattr(self, name)!r}: kind = {self.kind!r} has no such key; it has {keys}"
            )
        for name in ("at_s", "for_s", "after", "count", "delay_ms", "retry_after_s", "copies", "size"):
            if not 0 <= getattr(self, name) < 1 << 32:
                raise FaultFileError(f"{name} = {getattr(self, name)}: allowed are numbers from 0")
        for name, most in MOST.items():
            if abs(getattr(self, name)) > most:
                raise FaultFileError(f"{name} = {getattr(self, name)}: allowed are numbers up to {most}")
        if not 0 <= self.probability <= 1:
            raise FaultFileError(f"probability = {self.probability}: allowed are 0 to 1")
        lowest = 200 if self.kind.startswith("html") else 400
        if self.status and not lowest <= self.status <= 599:
            raise FaultFileError(f"status = {self.status}: allowed are {lowest} to 599")
        if self.close_code not in CLOSE_CODES:
            raise FaultFileError(f"close_code = {self.close_code}: allowed are {', '.join(map(str, CLOSE_CODES))}")
        if self.kind in LASTING and not self.for_s:
            raise FaultFileError(f"for_s: kind = {self.kind!r} needs the seconds it lasts")
        if self.kind == "edit" and not self.edit:
            raise FaultFileError("edit: kind = 'edit' needs {path = value}")
        try:
            dump(self.edit)
        except TypeError:
            raise FaultFileError("edit: a date or time is no value of JSON; write it as text") from None


class Struck(msgspec.Struct, frozen=True):
    """A fault that hits an occasion. `left_s` is what remains of its window."""

    fault: Fault
    left_s: float = 0.0

    @property
    def kind(self) -> str:
        return self.fault.kind

    @property
    def retry_after_s(self) -> int:
        return self.fault.retry_after_s or max(1, -int(-self.left_s // 1))


class _Rule:
    __slots__ = ("fault", "hits", "method", "path", "rng", "seen", "until_s")

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.method, _, self.path = fault.on.partition(" ")
        self.rng = Random(fault.seed)
        self.seen = self.hits = 0
        self.until_s: float | None = None

    def meets(self, method: str, path: str) -> bool:
        return self.method in ("*", method) and fnmatchcase(path, self.path)

    def fits(self, fields: Any) -> bool:
        """A value is compared as it is written on the wire, whatever its case: nautilus sends `True`."""
        return all(
            any(str(found).lower() == str(wanted).lower() for found in pick(fields, path))
            for path, wanted in self.fault.match.items()
        )

    def strikes(self, now_s: float) -> Struck | None:
        """Count the occasion; the fault if it is hit."""
        fault = self.fault
        if now_s < fault.at_s:
            return None
        self.seen += 1
        if self.until_s is not None:
            if now_s >= self.until_s or self.rng.random() >= fault.probability:
                return None
            self.hits += 1
            return Struck(fault, self.until_s - now_s)
        if self.seen <= fault.after or (fault.count and self.hits >= fault.count):
            return None
        if self.rng.random() >= fault.probability:
            return None
        self.hits += 1
        if fault.for_s:
            self.until_s = now_s + fault.for_s
        return Struck(fault, fault.for_s)


class Faults:
    """`clock` counts seconds; `at_s` is counted from the construction."""

    def __init__(self, faults: Iterable[Fault] = (), clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began_s = clock()
        self._requests: list[_Rule] = []
        self._rules: dict[str, list[_Rule]] = {}
        for fault in faults:
            rule = _Rule(fault)
            if fault.place() == REQUEST:
                self._requests.append(rule)
                continue
            for on in ("stream /public", "stream /market") if fault.on == "stream" else (fault.on,):
                self._rules.setdefault(on, []).append(rule)

    def request(self, method: str, path: str, fields: Mapping[str, Any]) -> Struck | None:
        """The fault that hits this request, if any."""
        if not self._requests:
            return None
        return self._first([rule for rule in self._requests if rule.meets(method, path)], fields)

    def watches(self, on: str) -> bool:
        """Whether a fault waits for an occasion there."""
        return on in self._rules

    def strike(self, on: str, fields: Any = None, *, depth: bool = False) -> Struck | None:
        """The fault that hits this message or trigger. `depth`: it is a depth diff, which alone can be skipped."""
        rules = self._rules.get(on)
        if not rules:
            return None
        return self._first([rule for rule in rules if depth or rule.fault.kind != "skip_depth"], fields)

    def tick(self) -> list[Struck]:
        """The server's own faults at this tick of its clock."""
        now_s = self._now_s()
        struck = [rule.strikes(now_s) for rule in self._rules.get("server", ())]
        return [one for one in struck if one is not None]

    def seen(self) -> list[tuple[Fault, int]]:
        """Every fault with the times it struck, for a drill that has to know whether it happened."""
        rules = [*self._requests, *{id(rule): rule for rules in self._rules.values() for rule in rules}.values()]
        return [(rule.fault, rule.hits) for rule in rules]

    def _first(self, rules: list[_Rule], fields: Any) -> Struck | None:
        now_s, struck = self._now_s(), None
        for rule in rules:
            if not rule.fits(fields):
                continue
            if struck is None:
                struck = rule.strikes(now_s)
            elif now_s >= rule.fault.at_s:
                rule.seen += 1  # one fault an occasion, but each rule counts them all
        return struck

    def _now_s(self) -> float:
        return self._clock() - self._began_s


def load(path: Path) -> Faults:
    """Read a fault file; FaultFileError names the key and what it allows."""
    return Faults(read(path))


def read(path: Path) -> list[Fault]:
    """The faults of a file, in its order; FaultFileError names the key and what it allows."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise FaultFileError(f"cannot read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise FaultFileError(f"not TOML: {error}") from error
    if set(tables) - {"fault"} or not isinstance(tables.get("fault", []), list):
        raise FaultFileError("only [[fault]] tables are allowed")
    faults = []
    for number, row in enumerate(tables.get("fault", []), 1):
        try:
            fault = msgspec.convert(row, Fault)
            fault.check()
        except (msgspec.ValidationError, FaultFileError) as error:
            keys = f"; keys are {', '.join(Fault.__struct_fields__)}"
            shown = keys if isinstance(error, msgspec.ValidationError) else ""
            raise FaultFileError(f"fault {number}: {error}{shown}") from error
        faults.append(fault)
    return faults


def manual() -> str:
    """The format for the command's help: this module's first lines and the table of kinds."""
    return f"fault files\n\n{__doc__}\nkinds, where they may be put, and their keys:\n{table()}"
