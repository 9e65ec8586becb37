"""What Textual and rich remember of pictures that are gone.

Their caches are as large as a document viewer wants them: thousands of texts, regions and styles by value. Prices
change and dialogs close, so here hardly any of it is asked for twice, and filling them looks like a leak for hours.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich.cells import cached_cell_len
from rich.segment import Segment
from textual._segment_tools import make_blank
from textual._styles_cache import StylesCache
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


_divide: Final = Strip.divide


def _divided(strip: Strip, cuts: Iterable[int]) -> Sequence[Strip]:
    """Textual has a strip that is not cut remember itself. Each line that was ever painted was then a cycle, and waited
    for the collector with its seven caches: 60,000 objects a minute, and pauses of both threads to find them.
    """
    cuts = [cut for cut in cuts if cut <= strip.cell_length]
    return [strip] if cuts == [strip.cell_length] else _divide(strip, cuts)


Strip.divide = _divided  # type: ignore[method-assign,assignment]
