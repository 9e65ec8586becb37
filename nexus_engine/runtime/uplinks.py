"""How an account reaches its venue: one table entry per venue, opened when an account needs it."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

import msgspec

from nexus_engine.model.config import Directive
from nexus_engine.model.ports import Broker, Clock, Feed, Sink
from nexus_engine.model.secret import Secret
from nexus_engine.model.words import AccountKind
from nexus_engine.runtime.options import StartError
from nexus_engine.uplink.binance.settings import BinanceSettings, urls

if TYPE_CHECKING:
    from nexus_engine.vault import ApiKey


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a venue listens, and the keys that it knows us by."""

    rest_url: str
    ws_url: str
    api_key: Secret
    api_secret: Secret
    private_key: Secret = Secret("")
    sapi_url: str = ""


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


def address(directive: Directive, key: "ApiKey | None") -> Address:
    """A real venue's address; paper needs no key. Raises StartError."""
    kind = directive.account.kind
    where = urls(kind, directive.binance)
    if kind is AccountKind.PAPER:
        return Address(rest_url=where.rest, ws_url=where.ws, api_key=Secret(""), api_secret=Secret(""))
    if key is None:
        raise StartError(f"{kind.value.lower()} needs a key: `nexus keys add NAME --{kind.value.lower()}`")
    return Address(
        rest_url=where.rest,
        ws_url=where.ws,
        sapi_url=where.sapi,
        api_key=key.api_key,
        api_secret=key.api_secret,
        private_key=key.private_key,
    )


async def warm() -> None:
    """Import what an uplink will need: over a second of CPU, best spent while something else is waited for."""
    from nexus_engine.uplink.binance import broker, feed, rest  # noqa: F401

    await asyncio.to_thread(rest.import_binance)


def settings_for(directive: Directive, where: Address, need: Need) -> BinanceSettings:
    """What the adapter is told."""
    return BinanceSettings(
        rest_url=where.rest_url,
        ws_url=where.ws_url,
        api_key=where.api_key,
        api_secret=where.api_secret,
        private_key=where.private_key,
        sapi_url=where.sapi_url,
        symbols=directive.binance.symbols,
        intervals=need.intervals,
        warmup_bars=need.warmup_bars,
        leverage=directive.risk.leverage,
        swan_symbol=directive.shield.swan_symbol,
    )


async def connect_binance(directive: Directive, where: Address, need: Need, clock: Clock) -> Uplink:
    """Open Binance USD-M futures. Needs no network yet."""
    from nexus_engine.uplink.binance.broker import BinanceBroker
    from nexus_engine.uplink.binance.feed import BinanceFeed
    from nexus_engine.uplink.binance.rest import BinanceRest

    class Binance:
        def __init__(self, rest: BinanceRest) -> None:
            self.broker = broker = BinanceBroker(rest)
            self.feed = BinanceFeed(rest, random.Random())
            self.introduce = broker.introduce
            self.prepare = broker.prepare
            self.close = rest.close

    rest = BinanceRest(settings_for(directive, where, need), clock)
    await rest.open()
    return Binance(rest)
