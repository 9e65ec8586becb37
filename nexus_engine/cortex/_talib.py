"""TA-Lib, its handles and batch functions, imported without the data frames that its package tries to import.

With pandas and polars installed, `import talib` costs 1.4 s and 60 MB more, before the first candle. A module that
is None in `sys.modules` counts as not installed; both are put back to what they were at once.
"""

import sys
from types import ModuleType
from typing import cast

_FRAMES = ("pandas", "polars")

_modules = cast("dict[str, ModuleType | None]", sys.modules)
_hidden = [name for name in _FRAMES if name not in _modules]
_modules.update(dict.fromkeys(_hidden))
try:
    import talib as batch
    from talib import InsufficientHistory, stream  # type: ignore[attr-defined]  # missing in its stubs
finally:
    for _name in _hidden:
        del _modules[_name]

__all__ = ["InsufficientHistory", "batch", "stream"]
