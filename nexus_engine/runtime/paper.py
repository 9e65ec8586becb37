"""A paper account: the venue's public streams, and a practice account in the account's own folder."""

import logging
import random
from decimal import Decimal
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from nexus_engine.model.config import Directive
from nexus_engine.model.events import Instruments
from nexus_engine.model.instruments import Instrument
from nexus_engine.model.ports import Clock, Sink
from nexus_engine.runtime.options import StartError
from nexus_engine.runtime.uplinks import Address, Connect, Need, Uplink, settings_for
from nexus_engine.sim.paper import PaperBroker, PaperVenue
from nexus_engine.sim.paper_file import Keeper, Owed, PaperError, Settled, open_account
from nexus_engine.uplink.binance.feed import BinanceFeed
from nexus_engine.uplink.binance.outcomes import RestError
from nexus_engine.uplink.binance.rest import FUNDING_RATES, BinanceRest
from nexus_engine.uplink.binance.settings import UplinkError

log = logging.getLogger(__name__)

_PAGE: Final = 1_000
_MS: Final = 1_000_000


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
        try:
            kept = open_account(folder, Decimal(repr(directive.paper.wallet)))
        except PaperError as error:
            raise StartError(str(error)) from error
        self._venue = PaperVenue(kept, clock)
        self._keeper = Keeper(folder, kept, _told)
        feed = BinanceFeed(rest, random.Random())
        self.broker = self.feed = PaperBroker(
            self._venue, feed, clock, directive.paper.latency_ms, keep=self._keeper.keep, ask=self._fundings
        )

    async def introduce(self, sink: Sink) -> tuple[str, ...]:
        instruments = await self._listed()
        try:
            self._venue.begin(instruments, self._leverage)
        except PaperError as error:
            raise StartError(str(error)) from error
        await self._keeper.keep()
        self._deliver(sink, tuple(replace(instrument, trading=False) for instrument in instruments))
        return self._rest.unlisted

    async def prepare(self, sink: Sink) -> None:
        self._deliver(sink, await self._listed())

    async def close(self) -> None:
        await self._keeper.keep()
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

    async def _fundings(self, owed: Owed) -> list[Settled] | None:
        """What the venue has charged since; None when it cannot be asked."""
        found: list[Settled] = []
        start_ms = owed.since_ns // _MS
        while True:
            params = {"symbol": owed.symbol, "startTime": start_ms, "limit": _PAGE}
            try:
                rows = await self._rest.call(FUNDING_RATES, params)
            except RestError as error:
                log.warning("fundings of %s, slept through, cannot be asked for: %s", owed.symbol, error)
                return None
            found += [Settled(row.funding_time * _MS, row.funding_rate, float(row.mark_price or 0)) for row in rows]
            if len(rows) < _PAGE or rows[-1].funding_time < start_ms:
                return found
            start_ms = rows[-1].funding_time + 1


def _told(error: OSError | None) -> None:
    """A disk that is full must not end a practice account; a start would say what it has lost."""
    if error is None:
        log.warning("the paper account is kept again")
    else:
        log.warning("the paper account is not kept: %s", error.strerror)
