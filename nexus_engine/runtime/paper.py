"""A paper account: the venue's public streams, and a practice account in the account's own folder."""

import logging
import random
from decimal import Decimal
from pathlib import Path

from msgspec.structs import replace

from nexus_engine.model.config import Directive
from nexus_engine.model.events import Instruments
from nexus_engine.model.instruments import Instrument
from nexus_engine.model.ports import Clock, Sink
from nexus_engine.runtime.options import StartError
from nexus_engine.runtime.uplinks import Address, Connect, Need, Uplink, settings_for
from nexus_engine.sim.paper import Kept, PaperBroker, PaperError, PaperVenue, keep_account, open_account
from nexus_engine.uplink.binance.feed import BinanceFeed
from nexus_engine.uplink.binance.outcomes import RestError
from nexus_engine.uplink.binance.rest import BinanceRest
from nexus_engine.uplink.binance.settings import UplinkError

log = logging.getLogger(__name__)


def connect_paper(folder: Path) -> Connect:
    """Opens the venue's market with the paper account that is kept in `folder`."""

    async def connect(directive: Directive, where: Address, need: Need, clock: Clock) -> Uplink:
        rest = BinanceRest(settings_for(directive, where, need), clock)
        paper = _Paper(directive, rest, folder, clock)
        await rest.open()
        return paper

    return connect


class _Paper:
    """See Uplink. Raises StartError for a kept account that cannot be used."""

    def __init__(self, directive: Directive, rest: BinanceRest, folder: Path, clock: Clock) -> None:
        self._rest = rest
        self._leverage = directive.risk.leverage
        self._folder = folder
        self._failing = False
        try:
            kept = open_account(folder, Decimal(repr(directive.paper.wallet)))
        except PaperError as error:
            raise StartError(str(error)) from error
        self._venue = PaperVenue(kept, clock, self._keep)
        feed = BinanceFeed(rest, random.Random())
        self.broker = self.feed = PaperBroker(self._venue, feed, clock, directive.paper.latency_ms)

    async def introduce(self, sink: Sink) -> tuple[str, ...]:
        instruments = await self._listed()
        try:
            self._venue.begin(instruments, self._leverage)
        except PaperError as error:
            raise StartError(str(error)) from error
        self._deliver(sink, tuple(replace(instrument, trading=False) for instrument in instruments))
        return self._rest.unlisted

    async def prepare(self, sink: Sink) -> None:
        self._deliver(sink, await self._listed())

    async def close(self) -> None:
        await self._rest.close()

    async def _listed(self) -> tuple[Instrument, ...]:
        try:
            await self._rest.sync_clock()
            return await self._rest.instruments()
        except RestError as error:
            raise UplinkError(f"the venue is not ready: {error}") from None

    def _deliver(self, sink: Sink, instruments: tuple[Instrument, ...]) -> None:
        clock = self._rest.clock
        sink(Instruments(at_ns=clock.utc_ns(), mono_ns=clock.mono_ns(), instruments=instruments))

    def _keep(self, kept: Kept) -> None:
        """A disk that is full must not end a practice account; a start would say what it has lost."""
        try:
            keep_account(self._folder, kept)
            self._failing = False
        except OSError as error:
            if not self._failing:
                log.warning("the paper account is not kept: %s", error.strerror)
            self._failing = True
