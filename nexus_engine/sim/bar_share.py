"""What an account may have of a bar's liquidity: a share of its volume, for all of its orders together."""

from math import inf
from typing import Final

SHARE: Final = 0.1
"""Of a bar's volume. What takes more of a market than a tenth moves it more than any bar tells."""
BOTTOMLESS: Final = 1 << 60
"""Lots of a bar whose volume nobody knows."""


class BarShare:
    """Lots of the bar in progress that are left for the account. Before the first bar it is bottomless."""

    def __init__(self, step: float, share: float = SHARE) -> None:
        """`step`: base units of a lot."""
        self.left = BOTTOMLESS
        self._per_unit = share / step

    def opens(self, volume: float) -> None:
        """A bar begins that trades so many base units; infinite where that is not known."""
        # prices and volumes are floats: a hair short of a lot is a lot
        self.left = BOTTOMLESS if volume == inf else int(volume * self._per_unit + 1e-6)

    def take(self, lots: int) -> int:
        """As many of these as there are."""
        given = min(lots, self.left)
        self.left -= given
        return given
