"""`nexus config --explain | --default`: every key of the directive, from the models that check it."""

import argparse
import json
import sys
import types
import typing
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin

import msgspec
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from nexus_engine.cortex.factory import STRATEGIES
from nexus_engine.cortex.strategy import Param, checked
from nexus_engine.model.config import ConfigError, Directive, load
from nexus_engine.model.people import PersonConfig
from nexus_engine.model.usage import Parser, UsageError

_FREE: Final = ("keys", "strategies")
"""Tables whose keys are not the directive's own."""
_NAMED: Final = "people.<name>"
"""A table for each of something that a person names."""
_WORDS: Final = {str: "text", int: "whole number", float: "number", bool: "true or false"}
_BOUNDS: Final = (("ge", "from {}"), ("gt", "above {}"), ("le", "to {}"), ("lt", "below {}"))


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One key. `current` is None where no file was given."""

    section: str
    key: str
    default: Any
    allowed: str
    text: str
    current: Any = None

    @property
    def name(self) -> str:
        return f"{self.section}.{self.key}" if self.section else self.key


def main(argv: Sequence[str]) -> int:
    """Print. 0: done; 2: bad usage, or a file that cannot be used, with one line on stderr."""
    try:
        given = _parser().parse_args(argv)
        directive = None if given.config is None else load(given.config)
        found = [row for row in rows(directive) if not given.what or row.name.startswith(given.what)]
        if not found:
            raise UsageError(f"no key begins with {given.what!r}; sections: {', '.join(sections())}")
    except (UsageError, ConfigError) as error:
        sys.stderr.write(f"nexus config: {error}\n")
        return 2
    except SystemExit as stop:
        return int(stop.code or 0)
    if given.json:
        keys = [
            {"key": row.name, "section": row.section, "default": row.default}
            | ({} if directive is None else {"current": row.current})
            | {"allowed": row.allowed, "text": row.text}
            for row in found
        ]
        sys.stdout.write(json.dumps({"keys": keys}) + "\n")
    else:
        sys.stdout.write(("\n".join(template(found)) if given.default else _table(found, directive)) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="nexus config", description="The system directive, nexus.toml.", allow_abbrev=False)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--explain", action="store_true", help="every key: default, what is allowed, what it does")
    what.add_argument("--default", action="store_true", help="a file to start from: every key, commented out")
    parser.add_argument("what", nargs="?", default="", metavar="KEY", help="only keys that begin with this")
    parser.add_argument("--config", metavar="FILE", type=Path, help="check this file and show its values too")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return parser


def sections() -> list[str]:
    """The tables of the file, in the order of the directive."""
    return list(dict.fromkeys(row.section for row in rows()))


def rows(directive: Directive | None = None) -> list[Row]:
    """Every key, with the values of `directive` where one is given. Raises ConfigError for a strategy's wrong value."""
    found = [row for name, field in Directive.model_fields.items() for row in _section(name, field, directive)]
    return found + [row for kind in STRATEGIES for row in _strategy(kind, directive)]


def _section(name: str, field: FieldInfo, directive: Directive | None) -> Iterator[Row]:
    model = field.annotation
    if name == "strategies":
        return
    if name == "people":
        yield from _people(directive)
        return
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        current = None if directive is None else getattr(directive, name)
        yield Row(section=name, key="<action>", default={}, allowed="a key", text=_text(field), current=current)
        return
    values = None if directive is None else getattr(directive, name).model_dump(mode="json")
    defaults = model().model_dump(mode="json")
    for key, each in model.model_fields.items():
        yield Row(
            section=name,
            key=key,
            default=defaults[key],
            allowed=_allowed(each.annotation, each.metadata),
            text=_text(each),
            current=None if values is None else values[key],
        )


def _people(directive: Directive | None) -> Iterator[Row]:
    """What a person may have; with a file, its own people."""
    known = {} if directive is None else directive.people
    defaults = PersonConfig().model_dump(mode="json")
    for section, person in {f"people.{name}": each for name, each in known.items()}.items() or [(_NAMED, None)]:
        values = None if person is None else person.model_dump(mode="json")
        for key, each in PersonConfig.model_fields.items():
            yield Row(
                section=section,
                key=key,
                default=defaults[key],
                allowed=_allowed(each.annotation, each.metadata),
                text=_text(each),
                current=None if values is None else values[key],
            )


def _strategy(kind: Any, directive: Directive | None) -> Iterator[Row]:
    values = None if directive is None else checked(kind, directive.strategies.get(kind.name, {}))
    for key, param in kind.PARAMS.items():
        yield Row(
            section=f"strategies.{kind.name}",
            key=key,
            default=param.default,
            allowed=_range(param),
            text=f"{param.doc} ({param.source})",
            current=None if values is None else values[key],
        )


def _range(param: Param) -> str:
    if isinstance(param.default, bool):
        return _WORDS[bool]
    if param.choices:
        return " | ".join(param.choices)
    return f"{_WORDS[type(param.default)]} from {param.low:g} to {param.high:g}"


def _text(field: FieldInfo) -> str:
    return field.description or ""


def _allowed(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """What a value may be, in words."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        return _allowed(inner, [*_unpacked(more), *metadata])
    if origin is Literal:
        return " | ".join(map(str, get_args(annotation)))
    if origin in (types.UnionType, typing.Union):
        return " | ".join(_allowed(each) for each in get_args(annotation) if each is not types.NoneType)
    if origin is tuple:
        least, most = _bound(metadata, "min_length"), _bound(metadata, "max_length")
        return f"{least or 0} to {most or 'any number'} of: {_allowed(get_args(annotation)[0])}"
    if origin is dict and annotation not in _WORDS:
        return f"a table of: {_allowed(get_args(annotation)[1])}"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " | ".join(str(each.value) for each in annotation)
    words = [_WORDS.get(annotation, str(annotation))]
    words += [form.format(_plain(bound)) for name, form in _BOUNDS if (bound := _bound(metadata, name)) is not None]
    pattern = _bound(metadata, "pattern")
    return " ".join(words) + (f" like {pattern}" if pattern else "")


def _unpacked(metadata: Sequence[Any]) -> list[Any]:
    """A Field inside Annotated carries its bounds one level deeper."""
    return [bound for each in metadata for bound in (each.metadata if isinstance(each, FieldInfo) else (each,))]


def _bound(metadata: Sequence[Any], name: str) -> Any:
    return next((value for each in metadata if (value := getattr(each, name, None)) is not None), None)


def _plain(number: float) -> str:
    return f"{number:,}".replace(",", "_") if isinstance(number, int) else f"{number:g}"


# ---- as text ---------------------------------------------------------------------------------------------------------


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    if value is None:
        return "not given"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(each)}" for key, each in value.items()) + "}"
    return repr(value)


def _table(found: Sequence[Row], directive: Directive | None) -> str:
    lines: list[str] = []
    section = None
    for row in found:
        if row.section != section:
            section = row.section
            lines += ["", f"[{section}]"]
        changed = directive is not None and row.current != row.default
        value = toml(row.current if changed else row.default)
        lines.append(f"{row.key} = {value}" + (f"   (default {toml(row.default)})" if changed else ""))
        lines.append(f"    {row.text}" + (f"; {row.allowed}" if row.allowed else ""))
    return "\n".join(lines[1:])


def template(found: Sequence[Row]) -> Iterator[str]:
    """A nexus.toml with every key at its default, commented out. It loads as it is."""
    yield "# The system directive of Nexus. Every key has its default; take the # away to change one."
    yield "# Keys and secrets are never in here: `nexus keys add`."
    section = None
    for row in found:
        if row.section != section:
            section = row.section
            yield ""
            yield f"# [{section}]" if section == _NAMED else f"[{section}]"
        yield f"# {row.text}; {row.allowed}"
        if row.section == _NAMED:
            yield f"# {row.key} = {toml(row.default)}" if row.default is not None else f"# {row.key}"
        elif row.section not in _FREE:
            yield f"#{row.key} = {toml(row.default)}"
