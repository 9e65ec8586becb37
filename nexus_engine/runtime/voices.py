"""Reads the voices that came with the program."""

import tomllib
from collections.abc import Iterable
from importlib.resources import files

from nexus_engine.runtime.options import StartError
from nexus_engine.servos.personality import PLAIN, Personality, VoiceError, parse


def load_voices(names: Iterable[str]) -> dict[str, Personality]:
    """The voices of those names; `plain` needs no file and has none. Raises StartError with one line."""
    return {name: _load(name) for name in dict.fromkeys(names) if name != PLAIN}


def _load(name: str) -> Personality:
    file = files("nexus_engine.servos").joinpath("voices", f"{name}.toml")
    try:
        return parse(name, tomllib.loads(file.read_text("utf-8")))
    except OSError as error:
        raise StartError(f"voice {name}: cannot be read ({error.strerror}); set voice to plain") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StartError(f"voice {name}: is not valid TOML: {error}") from error
    except VoiceError as error:
        raise StartError(str(error)) from error
