"""The crashes that can be rehearsed, by name, and what each of them is."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

DRILLS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "slow-bleed": "5 % down in an hour and a half: no window sees it, nothing may trip",
        "five-in-five": "5 % down in five minutes",
        "fifteen-and-back": "15 % down in a quarter of an hour, and most of it back",
        "garbage-ticks": "x0.01, x10, zero, NaN, wrong symbols, duplicates, disorder: nothing may trip",
        "garbage-crash": "garbage on the wire, and a true fall in it",
        "spike-and-return": "last price 8 % up for 20 s and back, the mark stands: nothing may trip",
        "blind-in-the-middle": "the tape falls silent in a fall; it trips once the market is seen again",
        "venue-overload": "a fall while most exits are answered with -1008 or 503",
        "alt-wick": "one alt 80 % down for 3 s: nothing of the market's, nothing may trip",
    }
)
