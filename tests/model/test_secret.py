"""Every road by which a text gets out of a program, and a secret on it."""

import copy
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable

import msgspec
import pytest

from nexus_engine.model.secret import MASK, Secret

PLAIN = "correct horse battery"


def _log(secret: Secret) -> str:
    return logging.LogRecord("x", logging.INFO, "", 0, "key %s %r", (secret, secret), None).getMessage()


def _traceback(secret: Secret) -> str:
    try:
        raise ValueError(secret)
    except ValueError as error:
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


SHOWN: dict[str, Callable[[Secret], str]] = {
    "str": str,
    "repr": repr,
    "f-string": lambda secret: f"{secret} {secret!r} {secret!s:>30} {secret:.40}",
    "percent": lambda secret: "%s %r" % (secret, secret),  # noqa: UP031
    "in a list": lambda secret: str([secret, {"key": secret}]),
    "pretty": lambda secret: pprint.pformat({"key": (secret,)}),
    "log": _log,
    "traceback": _traceback,
    "json": lambda secret: json.dumps({"key": secret}, default=str),
}
REFUSED: dict[str, Callable[[Secret], object]] = {
    "pickle": pickle.dumps,
    "copy": copy.copy,
    "deep copy": copy.deepcopy,
    "msgspec": msgspec.json.encode,
    "json": json.dumps,
    "attributes": vars,
    "joined": "".join,
}


@pytest.mark.parametrize("road", SHOWN)
def test_what_is_shown_of_a_secret_is_its_mask(road: str) -> None:
    said = SHOWN[road](Secret(PLAIN))
    assert MASK in said and PLAIN not in said


@pytest.mark.parametrize("road", REFUSED)
def test_what_would_take_it_apart_is_refused_without_showing_it(road: str) -> None:
    with pytest.raises(TypeError) as told:
        REFUSED[road](Secret(PLAIN))
    assert PLAIN not in str(told.value)


def test_only_revealing_gives_it_out() -> None:
    assert Secret(PLAIN).reveal() == PLAIN
    assert Secret(PLAIN) == Secret(PLAIN) != Secret("another")
    assert Secret(PLAIN) != PLAIN and bool(Secret(PLAIN)) and not Secret("")
    assert PLAIN not in str(Secret.__slots__)
