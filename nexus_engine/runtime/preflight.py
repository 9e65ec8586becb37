"""What has to be well before a LIVE account may enter: the key, the account, the clock, and this machine."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

from nexus_engine.model.findings import Finding, Grade, worst
from nexus_engine.model.ports import Clock
from nexus_engine.runtime import checkup
from nexus_engine.runtime.options import StartError
from nexus_engine.runtime.uplinks import Address
from nexus_engine.uplink.binance.checks import (
    Unreachable,
    account_findings,
    asking,
    permission_findings,
    reachable,
)
from nexus_engine.uplink.binance.rest import BinanceRest
from nexus_engine.uplink.binance.settings import Urls

FIRST_S: Final = 5.0
AGAIN_S: Final = 15.0
"""After a venue that did not answer."""
DAILY_S: Final = 24 * 3600.0
WITHDRAWALS: Final = "withdrawals"

Tell = Callable[[str], None]
"""Takes what is wrong in one line; empty when nothing is."""


class Preflight:
    """Checks at the start, and again every day. `tell` hears every result."""

    def __init__(self, where: Address, folder: Path, clock: Clock, tell: Tell) -> None:
        self._where = where
        self._folder = folder
        self._clock = clock
        self._tell = tell

    async def first(self) -> None:
        """Raises StartError for a key that could take money out: it is not used at all. Nothing else is looked at,
        and a venue that does not say so in time holds up nobody: what is held wants to be protected.
        """
        try:
            async with asyncio.timeout(FIRST_S), self._asking() as rest:
                found = await permission_findings(rest)
        except (Unreachable, TimeoutError):
            return
        for finding in found:
            if finding.check == WITHDRAWALS and finding.grade is Grade.BAD:
                raise StartError(f"live: {finding.text}; {finding.todo}")

    async def keep(self) -> None:
        """Check until cancelled."""
        while True:
            wait_s = DAILY_S
            try:
                sick = worst(await self._look())
            except Unreachable as error:
                wait_s = AGAIN_S
                self._tell(f"account and key could not be checked: {error}")
            except Exception as error:
                # what was found the last time must not count for ever; whoever supervises begins again
                self._tell(f"account and key could not be checked: {type(error).__name__}; see the log")
                raise
            else:
                self._tell("" if sick is None else f"{sick.check}: {sick.text}; {sick.todo}")
                if sick is not None:
                    wait_s = AGAIN_S * 4
            await asyncio.sleep(wait_s)

    async def _look(self) -> tuple[Finding, ...]:
        async with self._asking() as rest:
            found = (*await reachable(rest), *await account_findings(rest), *await permission_findings(rest))
        root = self._folder.parent
        local = (
            await asyncio.to_thread(checkup.machine, root),
            await asyncio.to_thread(checkup.account, self._folder, ours=True),
            checkup.keys_file(root),
        )
        return (*found, *(finding for part in local for finding in part))

    def _asking(self) -> AbstractAsyncContextManager[BinanceRest]:
        where = self._where
        return asking(
            Urls(where.rest_url, where.ws_url, where.sapi_url),
            self._clock,
            symbols=(),
            api_key=where.api_key,
            api_secret=where.api_secret,
            private_key=where.private_key,
        )
