"""Where the styles lie."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def styles_dir() -> Path:
    """Return the folder of the .tcss files: inside a wheel, or beside the package in a checkout."""
    for candidate in (_PACKAGE / "styles", _PACKAGE.parent / "styles"):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"no styles folder beside {_PACKAGE}")
