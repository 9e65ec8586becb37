"""A recording: the core's input events, and a hash of what it decided. Replaying it must give the same hash.

JSON lines: a header, one line per event, and an end that says how many events there were and what hash the effects
gave. What was killed has no end and perhaps a torn last line; it still reads.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from nexus_engine.model.effects import AnyEffect
from nexus_engine.model.events import AnyEvent
from nexus_engine.model.facts import AnyFact
from nexus_engine.store.codec import Codec, encode

_FORMAT: Final = 1
_FLUSH_NS: Final = 1_000_000_000
_BUFFER_BYTES: Final = 1 << 20


class RecordingError(Exception):
    """A recording could not be written or read; the message is one clear line."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay starts from: the directive as JSON, and the journal's facts before the first event."""

    version: str
    directive: dict[str, Any]
    facts: tuple[AnyFact, ...] = ()
    recording: int = _FORMAT


_HEADER: Final[Codec[Header]] = Codec(Header)
_EVENTS: Final[Codec[AnyEvent]] = Codec(AnyEvent)


class End(msgspec.Struct, frozen=True):
    """The last line."""

    events: int
    effects_hash: str


class _LastLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    end: End


class EffectsHash:
    """A rolling hash over effects, in order."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)

    def update(self, effects: Sequence[AnyEffect]) -> None:
        for effect in effects:
            self._hash.update(encode(effect))

    def hexdigest(self) -> str:
        """32 hex characters."""
        return self._hash.hexdigest()


class Recorder:
    """Writes a recording. Plain buffered writes, flushed about once a second of the events' own monotonic time.

    A disk that fails while it runs ends the recording and never the engine: `error` then holds one line, else "".
    """

    def __init__(self, path: Path, header: Header) -> None:
        """Create the file (0600), replacing an older one. Raises RecordingError when it cannot be written."""
        self.error = ""
        self._path = path
        self._hash = EffectsHash()
        self._events = 0
        self._flushed_mono_ns = 0
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as error:
            raise RecordingError(f"{path}: cannot be written ({error.strerror})") from error
        self._file = os.fdopen(fd, "wb", buffering=_BUFFER_BYTES)
        self._write(_HEADER.encode(header))

    def event(self, event: AnyEvent) -> None:
        """Add an event, before the engine sees it."""
        self._events += 1
        flush = event.mono_ns - self._flushed_mono_ns >= _FLUSH_NS
        if flush:
            self._flushed_mono_ns = event.mono_ns
        self._write(_EVENTS.encode(event), flush=flush)

    def effects(self, effects: Sequence[AnyEffect]) -> None:
        """Take in what the engine answered."""
        self._hash.update(effects)

    def close(self) -> None:
        """Write the end. Idempotent."""
        if self._file.closed:
            return
        self._write(encode(_LastLine(End(self._events, self._hash.hexdigest()))), flush=True)
        self._shut()

    def _write(self, line: bytes, *, flush: bool = False) -> None:
        if self.error:
            return
        try:
            self._file.write(line + b"\n")
            if flush:
                self._file.flush()
        except OSError as error:
            self.error = f"{self._path}: recording ended ({error.strerror})"
            self._shut()

    def _shut(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            self.error = self.error or f"{self._path}: recording ended ({error.strerror})"


def read_recording(path: Path) -> tuple[Header, Iterator[AnyEvent], End | None]:
    """Open a recording: its header, its events as they are read, and its end, or None where it was killed.

    Raises RecordingError; the iterator does so too, at a line that cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.readline()
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            tail = file.read()
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        header = _HEADER.decode(head)
    except msgspec.DecodeError as error:
        raise RecordingError(f"{path}: is not a recording of Nexus ({error})") from error
    if header.recording != _FORMAT:
        raise RecordingError(f"{path}: format {header.recording}, this Nexus reads {_FORMAT}")
    return header, _events(path), _end(tail)


def _end(tail: bytes) -> End | None:
    if not tail.endswith(b"}\n"):
        return None
    try:
        return msgspec.json.decode(tail.splitlines()[-1], type=_LastLine).end
    except msgspec.DecodeError:
        return None


def _events(path: Path) -> Iterator[AnyEvent]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n") or line.startswith(b'{"end":'):
                return
            if number == 1:
                continue
            try:
                yield _EVENTS.decode(line)
            except msgspec.DecodeError as error:
                raise RecordingError(f"{path}: line {number} cannot be read ({error})") from error
