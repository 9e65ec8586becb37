"""The streams of Binance USD-M futures, by the categories that the venue keeps apart."""

import asyncio
import random
from typing import Final

from nexus_engine.model.instruments import Instrument
from nexus_engine.model.ports import Sink
from nexus_engine.model.verdicts import Reading
from nexus_engine.model.words import Venue
from nexus_engine.uplink.binance.market import MarketFeed
from nexus_engine.uplink.binance.outcomes import RestError
from nexus_engine.uplink.binance.public import PublicFeed
from nexus_engine.uplink.binance.rest import BinanceRest
from nexus_engine.uplink.binance.upkeep import Upkeep
from nexus_engine.uplink.binance.user import UserFeed
from nexus_engine.uplink.stream import Backoff


class BinanceFeed:
    """Books, trades, marks, candles and, with keys, the account.

    Each of the three sockets says FeedStatus "public", "market" or "user" when it comes or goes, and reconnects for
    ever by itself. After "user" was down, the account has to be read anew: nothing is replayed there.
    """

    venue: Final = Venue.BINANCE

    def __init__(self, rest: BinanceRest, rng: random.Random) -> None:
        self._rest = rest
        self._rng = rng
        self._market: MarketFeed | None = None
        self._public: PublicFeed | None = None
        self._upkeep: Upkeep | None = None

    async def run(self, sink: Sink) -> None:
        """Deliver until cancelled. Raises UplinkError when the venue lists no symbol of ours."""
        instruments = await self._instruments()
        self._market = MarketFeed(self._rest, sink, self._rng)
        self._public = public = PublicFeed(self._rest, instruments, sink, self._rng)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(public.run(), name="binance public")
            tasks.create_task(self._market.run(), name="binance market")
            if self._rest.settings.api_key:
                tasks.create_task(UserFeed(self._rest, sink, self._rng).run(), name="binance user")
                self._upkeep = Upkeep(self._rest, sink, self._rng, public.regrid)
                tasks.create_task(self._upkeep.run(), name="binance upkeep")

    def request_history(self, symbol: str, interval: str) -> None:
        """Have the past of a series delivered again, as a History event."""
        if self._market is not None:
            self._market.request_history(symbol, interval)

    def resync(self, symbol: str, reason: str) -> None:
        """Drop a book that cannot be right, and read it anew."""
        if self._public is not None:
            self._public.resync(symbol, reason)

    @property
    def problem(self) -> str:
        """What a person has to change at the venue, or how long it wants silence; empty when all is well."""
        silent_s = self._rest.budget.silent_s
        if silent_s > 0:
            return f"the venue wants silence for {silent_s:.0f} s more"
        return "" if self._upkeep is None else self._upkeep.problem

    def readings(self) -> tuple[Reading, ...]:
        """Request weight of the minute, and what could not be taken as it came."""
        budget = self._rest.budget
        return (Reading("venue weight", budget.used, budget.limit, ""), *self._rest.counts.readings())

    async def _instruments(self) -> tuple[Instrument, ...]:
        backoff = Backoff(self._rng)
        while True:
            try:
                return await self._rest.instruments()
            except RestError as error:
                await asyncio.sleep(max(error.retry_after_s, backoff.next_s()))
