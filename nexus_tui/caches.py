"""What Textual and rich remember of pictures that are gone.

Their caches are as large as a document viewer wants them: thousands of texts, regions and styles by value. Prices
change and dialogs close, so here hardly any of it is asked for twice, and filling them looks like a leak for hours.
"""

from collections.abc import Iterable
from typing import Any, Final, cast

from rich.cells import cached_cell_len
from rich.segment import Segment
from textual._segment_tools import make_blank
from textual._styles_cache import StylesCache
from textual.cache import FIFOCache
from textual.geometry import Region
from textual.strip import Strip

_CACHES: Final[tuple[Any, ...]] = (
    # by the cache that asked for the colours, and with it the last lines of a thousand dead widgets
    StylesCache.get_inner_outer,
    Segment._split_cells,
    Strip.blank,
    make_blank,
    cached_cell_len,
    Region.contains_region,
    Region.grow,
    Region.intersection,
    Region.overlaps,
    Region.shrink,
    Region.split,
    Region.split_horizontal,
    Region.split_vertical,
    Region.translate,
    Region.union,
)


def forget() -> None:
    """Let go of all that. The next frame remembers what is on the screen again."""
    for cache in _CACHES:
        getattr(cache, "__func__", cache).cache_clear()


class _Late:
    """One of a strip's caches, made when it is first asked for. Textual makes all seven with each strip, a kilobyte,
    and a dialog has six hundred: a stack of them is most of what a cockpit's memory rises and falls by, and hardly any
    strip is asked for more than one of the seven."""

    def __init__(self, name: str, size: int) -> None:
        self._slot = Strip.__dict__[name]
        self._size = size

    def __get__(self, strip: Strip, owner: type[Strip]) -> FIFOCache[Any, Any]:
        try:
            return cast("FIFOCache[Any, Any]", self._slot.__get__(strip, owner))
        except AttributeError:
            made: FIFOCache[Any, Any] = FIFOCache(self._size)
            self._slot.__set__(strip, made)
            return made


class _Nothing(FIFOCache[Any, Any]):
    """Remembers nothing. A line is cut anew where a dialog comes to lie over it, and a line that changes is another
    strip: the same cuts hardly ever come again, and the pieces were two thirds of a dialog's strips. A line that is not
    cut remembered itself, too: a cycle that waited for the collector, 60,000 objects a minute."""

    def __setitem__(self, key: Any, value: Any) -> None:
        return


def _made(strip: Strip, segments: Iterable[Segment], cell_length: int | None = None) -> None:
    strip._segments = list(segments)
    strip._cell_length = cell_length
    strip._render_cache = None
    strip._link_ids = None
    strip._cell_count = None


_SIZES: Final = {
    name: cache._maxsize for name in Strip.__slots__ if isinstance(cache := getattr(Strip([]), name), FIFOCache)
}
for _name, _size in _SIZES.items():
    setattr(Strip, _name, _Late(_name, _size))
Strip._divide_cache = _Nothing(0)  # type: ignore[misc]
Strip.__init__ = _made  # type: ignore[method-assign,assignment]
