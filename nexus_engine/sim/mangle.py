"""Bodies that are not what they should be: values replaced, fields added, numbers spoiled."""

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nexus_engine.sim.faults import Fault

NEW_FIELDS = {"xNew": {"a": [1, "b"]}, "xFlag": "MAYBE"}  # no field of the venue's starts with an x and goes on
_NUMBER = re.compile(r"^-?\d+(\.\d+)?$")


def pick(body: Any, path: str) -> Iterator[Any]:
    """The values at a dotted path; "*" is every item of a list or object, a number an index."""
    name, _, rest = path.partition(".")
    if isinstance(body, dict):
        found = list(body.values()) if name == "*" else [body[name]] if name in body else []
    elif isinstance(body, list):
        found = body if name == "*" else [body[int(name)]] if name.isdecimal() and int(name) < len(body) else []
    else:
        return
    for value in found:
        if rest:
            yield from pick(value, rest)
        else:
            yield value


def edited(body: Any, path: str, value: Any) -> Any:
    """A copy of the body with `value` at every place the path reaches; a last name that is missing is added."""
    name, _, rest = path.partition(".")
    if isinstance(body, dict):
        names = list(body) if name == "*" else [name] if not rest or name in body else []
        return body | {key: edited(body[key], rest, value) if rest else value for key in names}
    if isinstance(body, list):
        return [
            (edited(item, rest, value) if rest else value) if name in ("*", str(index)) else item
            for index, item in enumerate(body)
        ]
    return body


def widened(body: Any) -> Any:
    """A copy whose every object has fields nobody knows."""
    if isinstance(body, dict):
        return {key: widened(value) for key, value in body.items()} | NEW_FIELDS
    return [widened(item) for item in body] if isinstance(body, list) else body


def renumbered(body: Any, value: str) -> Any:
    """A copy whose every number written as text is `value`."""
    if isinstance(body, dict):
        return {key: renumbered(item, value) for key, item in body.items()}
    if isinstance(body, list | tuple):  # a level of a book is a tuple
        return [renumbered(item, value) for item in body]
    return value if isinstance(body, str) and _NUMBER.match(body) else body


def dump(body: Any) -> bytes:
    """JSON as a careless server writes it: a nan or inf that a fault file put there stays bare."""
    return json.dumps(body, separators=(",", ":")).encode()


def mangled(fault: "Fault", body: Any) -> bytes:
    """The bytes of a body after a fault of the kinds edit, unknown_field, numbers or garbage."""
    if fault.kind == "garbage":
        return fault.body.encode()
    if fault.kind == "unknown_field":
        return dump(widened(body))
    if fault.kind == "numbers":
        return dump(renumbered(body, fault.value))
    for path, value in fault.edit.items():
        body = edited(body, path, value)
    return dump(body)
