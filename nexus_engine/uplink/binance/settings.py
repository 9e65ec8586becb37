"""Where a Binance USD-M venue is and what is wanted of it. Demo, testnet and live differ in nothing else."""

import msgspec

from nexus_engine.model.secret import Secret


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
    symbols: tuple[str, ...]
    intervals: tuple[str, ...]
    warmup_bars: int
    leverage: int
    swan_symbol: str = ""
    """Its last minutes are wanted whatever the strategies look at; empty: nobody's."""
