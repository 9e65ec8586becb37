"""How an account reaches its venue: one table entry per venue, opened when an account needs it."""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol

import msgspec

from nexus_engine.model.config import Directive
from nexus_engine.model.ports import Broker, Clock, Feed, Sink
from nexus_engine.model.secret import Secret
from nexus_engine.model.words import AccountKind
from nexus_engine.runtime.options import StartError


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a venue listens, and the keys that it knows us by."""

    rest_url: str
    ws_url: str
    api_key: Secret
    api_secret: Secret


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine wants to be fed with."""

    intervals: tuple[str, ...]
    warmup_bars: int


class Uplink(Protocol):
    """An open venue."""

    @property
    def feed(self) -> Feed: ...

    @property
    def broker(self) -> Broker: ...

    async def introduce(self, sink: Sink) -> tuple[str, ...]:
        """Post the instruments, not trading yet; returns the symbols that the venue does not list. Raises UplinkError:
        AccountRefused when the account must not be traded as it is, anything else when trying again may help."""

    async def prepare(self, sink: Sink) -> None:
        """Make the account tradable and post its instruments again. Raises like `introduce`."""

    async def close(self) -> None: ...


Connect = Callable[[Directive, Address, Need, Clock], Awaitable[Uplink]]

_URLS: Final[Mapping[AccountKind, tuple[str, str]]] = {
    AccountKind.TESTNET: ("https://demo-fapi.binance.com", "wss://demo-fstream.binance.com"),
}
_KEY: Final = "NEXUS_BINANCE_API_KEY"
_SECRET: Final = "NEXUS_BINANCE_API_SECRET"


def address(directive: Directive) -> Address:
    """A real venue's address; the keys leave the environment as they are read. Raises StartError."""
    rest_url, ws_url = _URLS[directive.account.kind]
    key, secret = os.environ.pop(_KEY, ""), os.environ.pop(_SECRET, "")
    if not key or not secret:
        raise StartError(f"{directive.account.kind.value.lower()} needs its keys in {_KEY} and {_SECRET}")
    return Address(
        rest_url=directive.binance.rest_url or rest_url,
        ws_url=directive.binance.ws_url or ws_url,
        api_key=Secret(key),
        api_secret=Secret(secret),
    )


async def warm() -> None:
    """Import what an uplink will need: over a second of CPU, best spent while something else is waited for."""
    from nexus_engine.uplink.binance import broker, feed, rest  # noqa: F401

    await asyncio.to_thread(rest.import_binance)


async def connect_binance(directive: Directive, where: Address, need: Need, clock: Clock) -> Uplink:
    """Open Binance USD-M futures. Needs no network yet."""
    from nexus_engine.uplink.binance.broker import BinanceBroker
    from nexus_engine.uplink.binance.feed import BinanceFeed
    from nexus_engine.uplink.binance.rest import BinanceRest
    from nexus_engine.uplink.binance.settings import BinanceSettings

    class Binance:
        def __init__(self, rest: BinanceRest) -> None:
            self.broker = broker = BinanceBroker(rest)
            self.feed = BinanceFeed(rest, random.Random())
            self.introduce = broker.introduce
            self.prepare = broker.prepare
            self.close = rest.close

    settings = BinanceSettings(
        rest_url=where.rest_url,
        ws_url=where.ws_url,
        api_key=where.api_key,
        api_secret=where.api_secret,
        symbols=directive.binance.symbols,
        intervals=need.intervals,
        warmup_bars=need.warmup_bars,
        leverage=directive.risk.leverage,
        swan_symbol=directive.shield.swan_symbol,
    )
    rest = BinanceRest(settings, clock)
    await rest.open()
    return Binance(rest)
