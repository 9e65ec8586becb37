"""Where a Binance USD-M venue is and what is wanted of it. Demo, testnet and live differ in nothing else."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec

from nexus_engine.model.config import BinanceConfig
from nexus_engine.model.secret import Secret
from nexus_engine.model.words import AccountKind


class Urls(NamedTuple):
    """Addresses without a path. `sapi` answers what a key may do; empty where the venue has no such service."""

    rest: str
    ws: str
    sapi: str


_REAL: Final = Urls("https://fapi.binance.com", "wss://fstream.binance.com", "https://api.binance.com")
VENUE_URLS: Final[Mapping[AccountKind, Urls]] = MappingProxyType(
    {
        AccountKind.PAPER: _REAL,
        AccountKind.TESTNET: Urls("https://demo-fapi.binance.com", "wss://demo-fstream.binance.com", ""),
        AccountKind.LIVE: _REAL,
    }
)
"""The venue's own, for each kind of account that trades on it."""


def urls(kind: AccountKind, config: BinanceConfig) -> Urls:
    """Where that kind of account finds its venue: the venue's own addresses, where the directive has no other."""
    own = VENUE_URLS[kind]
    return Urls(config.rest_url or own.rest, config.ws_url or own.ws, config.sapi_url or own.sapi)


class UplinkError(Exception):
    """The venue could not be made ready; the message is one line. Trying again may help."""


class AccountRefused(UplinkError):
    """The venue or we refuse this account as it is set up: a person has to change something."""


class BinanceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses without a path (`http://127.0.0.1:8700`, `ws://127.0.0.1:8700`); empty keys give market data only."""

    rest_url: str
    ws_url: str
    api_key: Secret
    api_secret: Secret
    private_key: Secret = Secret("")
    """An Ed25519 key in PEM, which then signs in the secret's place."""
    sapi_url: str = ""
    symbols: tuple[str, ...]
    intervals: tuple[str, ...]
    warmup_bars: int
    leverage: int
    swan_symbol: str = ""
    """Its last minutes are wanted whatever the strategies look at; empty: nobody's."""
