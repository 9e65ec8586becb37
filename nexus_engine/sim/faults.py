"""Faults a practice venue is asked to commit: a TOML file of `[[fault]]` tables.

`on` is "METHOD /path", "stream /public", "stream /market" or "user". Each request, or each message of that stream, is
one occasion: the first `after` pass, then `count` are hit (0: all), each with `probability` drawn from `seed`.
"""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from random import Random

import msgspec

REQUEST, STREAM, USER = "request", "stream", "user"
# kind -> what it can be put on
KINDS: dict[str, frozenset[str]] = {
    "delay": frozenset({REQUEST, USER}),  # everything delay_ms later
    "refuse": frozenset({REQUEST}),  # answered with status, code and msg; not executed
    "drop_before": frozenset({REQUEST}),  # the connection closes; not executed
    "drop_after": frozenset({REQUEST}),  # executed; the connection closes instead of a reply
    "mute": frozenset({STREAM, USER}),  # the message is swallowed
    "disconnect": frozenset({STREAM, USER}),  # the connections of the stream close
    "skip_depth": frozenset({STREAM}),  # one depth diff is lost, so the next one's pu does not fit
}
STREAMS = ("stream /public", "stream /market")
METHODS = ("GET", "POST", "PUT", "DELETE")


class FaultFileError(ValueError):
    """The file cannot be used; the message is one line that says why."""


class Fault(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    on: str
    kind: str
    after: int = 0
    count: int = 1
    delay_ms: int = 0
    status: int = 503
    code: int = -1000
    msg: str = "Unknown error, please check your request or try again later."
    probability: float = 1.0
    seed: int = 0

    def place(self) -> str:
        if self.on in STREAMS:
            return STREAM
        if self.on == "user":
            return USER
        method, _, path = self.on.partition(" ")
        if method in METHODS and path.startswith("/"):
            return REQUEST
        allowed = ", ".join(repr(name) for name in (*STREAMS, "user"))
        raise FaultFileError(f"on = {self.on!r}: allowed are 'METHOD /path' ({', '.join(METHODS)}), {allowed}")

    def check(self) -> None:
        if self.kind not in KINDS:
            raise FaultFileError(f"kind = {self.kind!r}: allowed are {', '.join(KINDS)}")
        place = self.place()
        if place not in KINDS[self.kind]:
            allowed = ", ".join(kind for kind, places in KINDS.items() if place in places)
            raise FaultFileError(f"kind = {self.kind!r} on {self.on!r}: allowed there are {allowed}")
        for name in ("after", "count", "delay_ms"):
            if getattr(self, name) < 0:
                raise FaultFileError(f"{name} = {getattr(self, name)}: allowed are whole numbers from 0")
        if not 0 <= self.probability <= 1:
            raise FaultFileError(f"probability = {self.probability}: allowed are 0 to 1")
        if not 400 <= self.status <= 599:
            raise FaultFileError(f"status = {self.status}: allowed are 400 to 599")


class _Rule:
    __slots__ = ("fault", "hits", "rng", "seen")

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.rng = Random(fault.seed)
        self.seen = self.hits = 0

    def strikes(self) -> bool:
        fault = self.fault
        self.seen += 1
        if self.seen <= fault.after or (fault.count and self.hits >= fault.count):
            return False
        if self.rng.random() >= fault.probability:
            return False
        self.hits += 1
        return True


class Faults:
    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._rules: dict[str, list[_Rule]] = {}
        for fault in faults:
            self._rules.setdefault(fault.on, []).append(_Rule(fault))

    def strike(self, on: str, *, depth: bool = False) -> Fault | None:
        """The fault that hits this occasion, if any. `depth`: it is a depth diff, which alone can be skipped."""
        struck = None
        for rule in self._rules.get(on, ()):
            if not depth and rule.fault.kind == "skip_depth":
                continue
            if struck is None and rule.strikes():
                struck = rule.fault
            elif struck is not None:
                rule.seen += 1  # one fault an occasion, but each rule counts them all
        return struck


def load(path: Path) -> Faults:
    """Read a fault file; FaultFileError names the key and what it allows."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise FaultFileError(f"cannot read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise FaultFileError(f"not TOML: {error}") from error
    if set(table) - {"fault"} or not isinstance(table.get("fault", []), list):
        raise FaultFileError("only [[fault]] tables are allowed")
    faults = []
    for number, row in enumerate(table.get("fault", []), 1):
        try:
            fault = msgspec.convert(row, Fault)
            fault.check()
        except (msgspec.ValidationError, FaultFileError) as error:
            keys = f"; keys are {', '.join(Fault.__struct_fields__)}"
            shown = keys if isinstance(error, msgspec.ValidationError) else ""
            raise FaultFileError(f"fault {number}: {error}{shown}") from error
        faults.append(fault)
    return Faults(faults)
