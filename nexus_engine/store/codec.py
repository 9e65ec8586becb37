"""Facts and events as JSON, one per row or line."""

import math
from typing import Any, Final, Generic, TypeVar

import msgspec

T = TypeVar("T")

encode: Final = msgspec.json.Encoder().encode


class Codec(Generic[T]):
    """JSON that gives back exactly what went in. NaN and infinities are written as the strings "nan", "inf", "-inf":
    a number that went wrong must neither make a journal unreadable nor come back as another one."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(kind)

    def encode(self, value: T) -> bytes:
        body = encode(value)
        if b"null" in body and not self._gives(body, value):
            return encode(_spelled(msgspec.to_builtins(value)))
        return body

    def decode(self, body: bytes | str) -> T:
        """Raises msgspec.DecodeError."""
        try:
            return self._decoder.decode(body)
        except msgspec.ValidationError as error:
            if "Expected `float" not in str(error):
                raise
        value: T = msgspec.convert(msgspec.json.decode(body), self._kind, strict=False)
        return value

    def _gives(self, body: bytes, value: T) -> bool:
        try:
            return self._decoder.decode(body) == value
        except msgspec.ValidationError:
            return False


def _spelled(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _spelled(item) for key, item in value.items()}
    return [_spelled(item) for item in value] if isinstance(value, list | tuple) else value
