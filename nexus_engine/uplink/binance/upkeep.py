"""What a person or the venue changes while we trade: position mode, margin type, leverage, trading rules.

The venue tells little of it in its streams, so it is looked at every minute, and at once when an order was refused for
it or a stream hinted at it. A symbol that is not as we want it is delivered as not trading: no entries, while exits and
stops stay alive. Nothing is set back: whoever changed it had a reason.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from msgspec.structs import replace

from nexus_engine.model.events import Instruments
from nexus_engine.model.instruments import Instrument
from nexus_engine.model.ports import Sink
from nexus_engine.uplink.binance import rest as table
from nexus_engine.uplink.binance.limits import Urgency
from nexus_engine.uplink.binance.outcomes import RestError
from nexus_engine.uplink.binance.replies import SymbolConfig
from nexus_engine.uplink.binance.rest import BinanceRest
from nexus_engine.uplink.binance.settings import UplinkError
from nexus_engine.uplink.stream import Backoff

LOOK_S: Final = 60.0
RULES_EVERY: Final = 10
"""Looks between two readings of the trading rules: a long list, and it rarely changes."""
SPACING_S: Final = 5.0
"""However often it is asked for: a look weighs 36 of the minute's 2,400."""
_HEDGED: Final = "no entries, changed outside: the account is in hedge mode; set its position mode to one-way"


class Upkeep:
    """Looks until cancelled; `problem` is what a person has to change, in one line, or empty."""

    def __init__(
        self, rest: BinanceRest, sink: Sink, rng: random.Random, regrid: Callable[[Iterable[Instrument]], None]
    ) -> None:
        self._rest = rest
        self._sink = sink
        self._regrid = regrid
        self._backoff = Backoff(rng)
        self._told: tuple[Instrument, ...] = ()
        self._listed: dict[str, bool] = {}
        """Whether the venue traded it at the last reading of the rules."""
        self._looks = 0
        self.problem = ""

    async def run(self) -> None:
        """Look every minute, and whenever the client says so."""
        look_again = self._rest.look_again
        while True:
            try:
                async with asyncio.timeout(LOOK_S):
                    await look_again.wait()
            except TimeoutError:
                pass
            hinted = look_again.is_set()
            look_again.clear()
            if self._rest.prepared:
                await self._look(rules=hinted)
            await asyncio.sleep(SPACING_S)

    async def _look(self, *, rules: bool) -> None:
        rules = rules or self._looks % RULES_EVERY == 0
        try:
            mode = await self._rest.call(table.POSITION_MODE, urgency=Urgency.QUERY)
            configs = await self._rest.call(table.SYMBOL_CONFIG, urgency=Urgency.QUERY)
            grids = await self._rest.rules() if rules else None
        except (RestError, UplinkError) as error:
            wait_s = error.retry_after_s if isinstance(error, RestError) else 0.0
            await asyncio.sleep(max(wait_s, self._backoff.next_s()))
            self._rest.look_again.set()
            return
        self._backoff.reset()
        self._looks += 1
        self._tell(mode.dual_side_position, {config.symbol: config for config in configs}, grids)

    def _tell(self, hedged: bool, configs: Mapping[str, SymbolConfig], grids: Mapping[str, Instrument] | None) -> None:
        wrong = {symbol: found for symbol in self._rest.symbols if (found := self._wrong(configs.get(symbol)))}
        before = {one.symbol: one for one in self._told or self._rest.prepared}
        after = tuple(
            self._now(before[one.symbol], one, grids, usable=not hedged and one.symbol not in wrong)
            for one in self._rest.prepared
        )
        self.problem = "; ".join(([_HEDGED] if hedged else []) + _kept_out(wrong))
        if after == tuple(before.values()):
            return
        self._told = after
        self._regrid([one for one in after if one.tick != before[one.symbol].tick])
        self._sink(Instruments(at_ns=self._rest.clock.utc_ns(), mono_ns=self._rest.clock.mono_ns(), instruments=after))

    def _now(
        self, told: Instrument, prepared: Instrument, grids: Mapping[str, Instrument] | None, *, usable: bool
    ) -> Instrument:
        """An instrument as it is now. What could not be prepared is not tradable later either: a start prepares it."""
        if grids is None:
            grid, listed = told, self._listed.get(told.symbol, True)
        else:
            found = grids.get(told.symbol)
            listed = self._listed[told.symbol] = found is not None and found.trading
            grid = found or told
        return replace(
            grid,
            maker_fee=told.maker_fee,
            taker_fee=told.taker_fee,
            trading=prepared.trading and usable and listed,
        )

    def _wrong(self, config: SymbolConfig | None) -> str:
        if config is None:
            return ""
        leverage = self._rest.settings.leverage
        if config.leverage != leverage:
            return f"leverage is {config.leverage}x, ours is {leverage}x"
        return "" if config.margin_type == "ISOLATED" else f"margin is {config.margin_type.lower()}, ours is isolated"


def _kept_out(wrong: Mapping[str, str]) -> list[str]:
    """A line for all symbols with the same thing wrong. They come first: no others are kept out, and a line is cut."""
    lines = []
    for found in dict.fromkeys(wrong.values()):
        symbols = [symbol for symbol, each in wrong.items() if each == found]
        take = "takes" if len(symbols) == 1 else "take"
        lines.append(f"{', '.join(symbols)} {take} no entries: {found}, changed outside")
    return lines
