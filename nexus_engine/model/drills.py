"""The crashes that can be rehearsed, by name, and what each of them is, in one line of the smallest screen."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

DRILLS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "slow-bleed": "5 % down in an hour and a half: nothing may trip",
        "five-in-five": "5 % down in five minutes",
        "fifteen-and-back": "15 % down in a quarter of an hour, most of it back",
        "garbage-ticks": "wrong prices, symbols and order: nothing may trip",
        "garbage-crash": "garbage on the wire, and a true fall in it",
        "spike-and-return": "8 % up for 20 s, the mark stands: nothing may trip",
        "blind-in-the-middle": "no data in a fall: trips once the market is seen",
        "venue-overload": "a fall, most exits answered with -1008 or 503",
        "alt-wick": "one alt 80 % down for 3 s: nothing may trip",
    }
)
